package store

import (
	"context"
	"fmt"
	"testing"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// BenchmarkNeedle asks for one record of those that lie in 17 and in 168 segments
// of 4,000 records: with a cache, without, and with every file closed before.
func BenchmarkNeedle(b *testing.B) {
	for _, cache := range []struct {
		name  string
		bytes int64
	}{{"warm", 64 << 20}, {"cold", -1}} {
		f, err := vfs.Dir(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		createWorld(b, f)
		s := openWorld(b, f, Limits{SealAge: -1, JournalFile: 1 << 20, BlockRows: 1000, CacheBytes: cache.bytes})
		next := drawnRecords()
		var ids []string
		for _, segments := range []int{17, 168} {
			for len(s.Segments()) < segments {
				for range 2 {
					x := &record.Batch{Tenant: "acme", Source: "bench", Ingest: noon}
					for range 2000 {
						rec, _ := next()
						x.AddRecord(rec)
					}
					rec := x.Record(777)
					id, _ := rec.Get("request_id")
					ids = append(ids, id.Str)
					mustAppend(b, s, x)
				}
				mustSeal(b, s)
			}
			name := fmt.Sprintf("%s/%d/", cache.name, segments)
			benchNeedles(b, s, name, ids)
		}
	}
}

func benchNeedles(b *testing.B, s *Store, name string, ids []string) {
	some := func(i int) match.Predicate { return match.Eq{Field: "request_id", Value: ids[i*7%len(ids)]} }
	for _, q := range []struct {
		name string
		p    func(i int) match.Predicate
	}{
		{"present", some},
		{"absent", func(i int) match.Predicate {
			return match.Eq{Field: "request_id", Value: fmt.Sprintf("%08x-0000-4000-8000-%012x", uint32(i)*0x9e3779b1, i*7919)}
		}},
		{"closed", func(i int) match.Predicate {
			limit := s.files.limit
			s.files.closeAll()
			s.files.limit = limit
			return some(i)
		}},
		{"word", func(i int) match.Predicate { return match.Word{Field: match.Line, Value: ids[i*7%len(ids)]} }},
		{"any", func(i int) match.Predicate {
			return match.Word{Field: match.AnyField, Value: ids[i*7%len(ids)], Fold: true}
		}},
	} {
		b.Run(name+q.name, func(b *testing.B) {
			b.ReportAllocs()
			start, n := cpu(), 0
			for b.Loop() {
				req := ScanRequest{Tenant: "acme", To: 1 << 62, Where: q.p(n), Limit: 100}
				if _, err := s.Scan(context.Background(), req, func([]record.Record) error { return nil }); err != nil {
					b.Fatal(err)
				}
				n++
			}
			b.ReportMetric(float64((cpu()-start).Microseconds())/float64(n), "CPU-µs/op")
		})
	}
}
