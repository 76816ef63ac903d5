package query_test

import (
	"fmt"
	mrand "math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

// dashboard is six panels over a day.
var dashboard = []string{
	`sum by (level) (count_over_time({service=~".+"}[5m]))`,
	`sum by (service) (rate({service=~".+"}[5m]))`,
	`sum(rate({service="cart"} | http_response_status_code >= 500 [5m])) / sum(rate({service="cart"}[5m]))`,
	`avg_over_time({service=~".+"} | unwrap mesh_duration_ns [5m]) by (service)`,
	`sum by (service) (count_over_time({service=~".+"} |= "timeout" [5m]))`,
	`sum by (http_response_status_code) (bytes_over_time({service=~".+"}[5m]))`,
}

// dayBatches are 200,000 records of a day, and more after that.
func dayBatches(n int, from time.Time, width time.Duration) []*record.Batch {
	rnd := mrand.New(mrand.NewPCG(1, 2))
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	var out []*record.Batch
	for i := 0; i < n; {
		b := &record.Batch{Tenant: "acme", Source: "test", Ingest: from.UnixNano()}
		for ; b.Len() < 1000 && i < n; i++ {
			b.Begin(from.Add(width*time.Duration(i)/time.Duration(n)).UnixNano(), "app")
			b.Str("service.name", pick("cart", "pay", "users", "search", "web"))
			b.Str("level", pick("info", "info", "info", "warn", "error"))
			b.Int("http.response.status_code", int64([]int{200, 200, 200, 404, 503}[rnd.IntN(5)]))
			b.Int("mesh.duration_ns", rnd.Int64N(5e8))
			b.Str("url.path", fmt.Sprintf("/api/v1/cart/%d", rnd.IntN(2000)))
			b.Str("body", fmt.Sprintf("%s of order %d after %dms", pick("timeout", "retry", "done", "sent"), rnd.IntN(1e6), rnd.IntN(900)))
			b.End()
		}
		out = append(out, b)
	}
	return out
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDashboard is a refresh of six panels over 24 hours, each a minute after
// the one before, of records of which new ones arrive all the time. Where
// the points of refreshes do not fall together nothing can be used again: that is
// what the cache costs.
func BenchmarkDashboard(b *testing.B) {
	for _, bench := range []struct {
		records int
		size    int64
		aligned bool
	}{
		{200_000, 0, true}, {200_000, 32 << 20, true}, {200_000, 0, false}, {200_000, 32 << 20, false},
		{1_000_000, 0, true}, {1_000_000, 32 << 20, true}, {1_000_000, 0, false}, {1_000_000, 32 << 20, false},
	} {
		size := bench.size
		b.Run(fmt.Sprintf("records=%d/aligned=%v/cache=%dMiB", bench.records, bench.aligned, size>>20), func(b *testing.B) {
			s := openStore(b, func(l *store.Limits) { l.BlockRows = 0; l.JournalFile = 0 })
			const day = 24 * time.Hour
			appendAll(b, s, func(i int) bool { return i%10 == 9 }, dayBatches(bench.records, base, day))
			e := engine(b, s, func(o *query.Options) { o.Limits.ResultCacheBytes = size })
			end := base.Add(day)
			var cpu time.Duration
			off := int64(0)
			ask := func() {
				if !bench.aligned {
					off += int64(time.Second)
				}
				for _, q := range dashboard {
					at := end.UnixNano()/int64(time.Minute)*int64(time.Minute) + off%int64(time.Minute)
					if _, err := e.Query(b.Context(), scopeOf(b), query.Request{Query: q, Start: at - int64(day), End: at, Step: int64(time.Minute)}); err != nil {
						b.Fatal(err)
					}
				}
			}
			ask()
			ask()
			b.ResetTimer()
			for range b.N {
				b.StopTimer()
				appendAll(b, s, func(int) bool { return false }, dayBatches(bench.records/1440, end, time.Minute))
				end = end.Add(time.Minute)
				b.StartTimer()
				before := cpuTime()
				ask()
				cpu += cpuTime() - before
			}
			b.ReportMetric(float64(cpu.Microseconds())/1000/float64(b.N), "cpu-ms/refresh")
		})
	}
}
