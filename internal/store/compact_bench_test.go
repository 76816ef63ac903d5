package store

import (
	"context"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// BenchmarkCompact merges the seals of a quiet day, whose blocks are encoded anew,
// and of a busy one, whose blocks are moved. It tells the processor time by GB of
// JSON, and what two questions take before and after.
func BenchmarkCompact(b *testing.B) {
	for _, c := range []struct {
		name       string
		seals, per int // records of a seal
	}{{"quiet", 120, 1000}, {"busy", 24, 20_000}} {
		b.Run(c.name, func(b *testing.B) {
			batches, raw := benchBatches(b, c.seals*c.per)
			var spent, before, after time.Duration
			var st Status
			for b.Loop() {
				b.StopTimer()
				f, err := vfs.Dir(b.TempDir())
				if err != nil {
					b.Fatal(err)
				}
				createWorld(b, f)
				s := openWorld(b, f, Limits{SealAge: -1, CompactAfter: -1})
				for i, batch := range batches {
					mustAppend(b, s, batch)
					if (i+1)*2000%c.per == 0 || c.per < 2000 {
						if err := s.Seal(context.Background()); err != nil {
							b.Fatal(err)
						}
					}
				}
				before += questions(b, s)
				c0 := cpu()
				b.StartTimer()
				if _, err := s.Compact(context.Background()); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				spent += cpu() - c0
				after += questions(b, s)
				st = s.Status()
				s.Close()
				b.StartTimer()
			}
			n := float64(b.N)
			b.ReportMetric(spent.Seconds()*1e9/n/float64(raw), "cpu-s/GB")
			b.ReportMetric(float64(st.SealedBytes+st.CompactedBytes)/float64(st.SealedBytes), "written/sealed")
			b.ReportMetric(float64(st.SegmentBytes)/float64(st.SealedBytes), "size/sealed")
			b.ReportMetric(before.Seconds()*1000/n, "ms-before")
			b.ReportMetric(after.Seconds()*1000/n, "ms-after")
			b.ReportMetric(float64(st.Segments), "segments")
		})
	}
}

// questions asks for a value that nobody has and counts by service.
func questions(b *testing.B, s *Store) time.Duration {
	b.Helper()
	start := time.Now()
	_, err := s.Scan(context.Background(), ScanRequest{Tenant: "acme", To: 1 << 62, Where: match.Eq{Field: "request_id", Value: "00000000-none"}}, nil)
	if err != nil {
		b.Fatal(err)
	}
	if _, _, err := s.Count(context.Background(), CountRequest{Tenant: "acme", To: 1 << 62, By: []string{"service"}}); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}
