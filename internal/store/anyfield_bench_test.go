package store

import (
	"context"
	"fmt"
	mrand "math/rand/v2"
	"testing"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
)

// BenchmarkAnyField searches words in 200,000 records, in their lines and in any
// field of them: records that have a body beside their fields, and such as have
// none.
func BenchmarkAnyField(b *testing.B) {
	for _, kind := range []string{"bodied", "bare", "unsealed"} {
		s, _ := newWorld(b, Limits{SealAge: -1, CacheBytes: 256 << 20, JournalFile: 256 << 20, SealBytes: 1 << 30})
		batches, _ := benchBatches(b, 200_000)
		r := mrand.New(mrand.NewPCG(7, 7))
		var id string
		for n, x := range batches {
			y := &record.Batch{Tenant: x.Tenant, Source: x.Source, Ingest: x.Ingest}
			for i := range x.Len() {
				rec := x.Record(i)
				if kind != "bare" {
					rec.Fields = append(rec.Fields, record.Field{Name: record.Body, Value: record.StringValue(bodyText(r))})
				}
				y.AddRecord(&rec)
				if v, ok := rec.Get("request_id"); ok && n == len(batches)/2 {
					id = v.Str
				}
			}
			mustAppend(b, s, y)
		}
		if kind != "unsealed" {
			mustSeal(b, s)
		}
		run := func(name string, p func(field string) match.Predicate, ask func(p match.Predicate) error) {
			for _, field := range []string{match.Line, match.AnyField} {
				where := p(field)
				b.Run(fmt.Sprintf("%s/%s/%s", kind, name, field), func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						if err := ask(where); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
		scan := func(p match.Predicate) error {
			_, err := s.Scan(context.Background(), ScanRequest{Tenant: "acme", To: 1 << 62, Where: p, Limit: 100}, func([]record.Record) error { return nil })
			return err
		}
		count := func(p match.Predicate) error {
			_, _, err := s.Count(context.Background(), CountRequest{Tenant: "acme", To: 1 << 62, Where: p})
			return err
		}
		word := func(text string) func(field string) match.Predicate {
			return func(field string) match.Predicate { return match.Word{Field: field, Value: text, Fold: true} }
		}
		run("rare", word(id), scan)
		run("absent", word("nowhere"), scan)
		run("number", word("987654321"), scan)
		run("latest of common", word("upstream"), scan)
		run("common", word("upstream"), count)
		run("phrase", word("reset by peer"), count)
		run("everywhere", word("request"), count)
		run("not common", func(field string) match.Predicate { return match.Not{P: word("upstream")(field)} }, count)
		run("number of many", word("503"), count)
		run("infix", func(field string) match.Predicate {
			return match.Contains{Field: field, Value: "pstrea", Fold: true}
		}, count)
	}
}

func bodyText(r *mrand.Rand) string {
	switch r.IntN(3) {
	case 0:
		return fmt.Sprintf("request %d took %dms in upstream zone-%d", r.IntN(1<<20), r.IntN(900), r.IntN(4))
	case 1:
		return fmt.Sprintf("request %d failed: connection reset by peer after %d tries", r.IntN(1<<20), r.IntN(9))
	}
	return fmt.Sprintf("request %d was served from cache entry %08x", r.IntN(1<<20), r.Uint32())
}
