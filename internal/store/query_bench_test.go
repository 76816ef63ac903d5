package store

import (
	"context"
	"testing"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
)

// BenchmarkQueries runs each query of docs/performance.md's table on 100,000
// drawn records, or on those of the file that MESHTRAIL_BENCH_LOGS names: with
// what a cache holds, and with nothing in it.
func BenchmarkQueries(b *testing.B) {
	batches, _ := benchBatches(b, 100_000)
	from, to := batches[0].Record(0).Time, int64(0)
	for _, x := range batches {
		for i := range x.Len() {
			r := x.Record(i)
			from, to = min(from, r.Time), max(to, r.Time+1)
		}
	}
	var id string
	for i := 0; id == ""; i++ {
		r := batches[len(batches)/2].Record(i)
		if v, ok := r.Get("request_id"); ok {
			id = v.Str
		}
	}
	re, err := match.CompileRegexp("^/api/v1/cart/1234[0-9]+$")
	if err != nil {
		b.Fatal(err)
	}
	path := match.And{match.Prefix{Field: "path", Value: "/api/v1/cart/1234"}, match.Regex{Field: "path", Re: re}}
	for _, cache := range []struct {
		name  string
		bytes int64
	}{{"warm", 256 << 20}, {"cold", -1}} {
		s, _ := newWorld(b, Limits{SealAge: -1, CacheBytes: cache.bytes, JournalFile: 1 << 20})
		for _, x := range batches {
			mustAppend(b, s, x)
		}
		mustSeal(b, s)
		scan := func(name string, p match.Predicate) {
			b.Run(cache.name+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					req := ScanRequest{Tenant: "acme", To: 1 << 62, Where: p, Limit: 100}
					if _, err := s.Scan(context.Background(), req, func([]record.Record) error { return nil }); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		count := func(name string, p match.Predicate, step int64, by ...string) {
			b.Run(cache.name+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					req := CountRequest{Tenant: "acme", From: from, To: to, Where: p, By: by, Step: step}
					if _, _, err := s.Count(context.Background(), req); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		measure := func(name string, req MeasureRequest) {
			b.Run(cache.name+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				req.Tenant, req.From, req.To = "acme", from, to
				for b.Loop() {
					if _, _, err := s.Measure(context.Background(), req); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		duration := func(w Want) []MeasureField { return []MeasureField{{Name: "duration", Want: w}} }
		scan("needle", match.Eq{Field: "request_id", Value: id})
		scan("latest100", match.Eq{Field: "service", Value: "checkout"})
		count("all", nil, 0)
		count("byService", nil, 0, "service")
		count("byCode", match.Exists{Field: "response_code"}, 0, "response_code")
		count("errors", match.Range{Field: "response_code", Min: match.IntBound(500, true)}, 0, "service")
		count("steps", nil, 1e9, "service", "response_code")
		count("phrase", match.Contains{Field: match.Line, Value: "leader elected"}, 0)
		count("regex", path, 0)
		count("regexAlone", match.Regex{Field: "path", Re: re}, 0)
		count("slow", match.Range{Field: "duration", Min: match.IntBound(100, false)}, 0)
		measure("sum", MeasureRequest{Of: duration(WantSums)})
		measure("bounds", MeasureRequest{Of: duration(WantBounds)})
		measure("avgByService", MeasureRequest{By: GroupBy("service"), Of: duration(WantSums)})
		measure("avgSteps", MeasureRequest{By: GroupBy("service", "response_code"), Step: 1e9, Of: duration(WantSums)})
		measure("stddevByService", MeasureRequest{By: GroupBy("service"), Of: duration(WantSpread)})
		measure("valuesByService", MeasureRequest{By: GroupBy("service"), Of: duration(WantValues)})
		measure("endsByPod", MeasureRequest{By: GroupBy("pod"), Of: duration(WantEnds)})
		measure("sumOfErrors", MeasureRequest{Where: match.Range{Field: "response_code", Min: match.IntBound(500, true)}, By: GroupBy("service"), Of: duration(WantSums)})
		measure("histogram", MeasureRequest{By: []GroupKey{{Name: "duration", Interval: 10}}})
		measure("distinctPods", MeasureRequest{By: GroupBy("service"), Of: []MeasureField{{Name: "pod", Want: WantDistinct}}})
		measure("distinctIDs", MeasureRequest{By: GroupBy("service"), Of: []MeasureField{{Name: "request_id", Want: WantDistinct}}})
	}
}
