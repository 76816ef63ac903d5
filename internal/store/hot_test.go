package store

import (
	"context"
	"fmt"
	"testing"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
)

// TestHotAllocations holds what appends and warm requests allocate to their
// batch, their blocks and their answer: nothing for a record that is not asked
// for.
func TestHotAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates on its own")
	}
	batches, _ := benchBatches(t, 32_000)
	l := manual()
	l.BlockRows, l.CacheBytes, l.JournalFile = 2000, 64<<20, 64<<20
	s, _ := newWorld(t, l)
	needle := ""
	for i, b := range batches {
		if i == 5 {
			rec := b.Record(77)
			v, _ := rec.Get("request_id")
			needle = v.Str
		}
		mustAppend(t, s, b)
	}
	f := func(name string, most float64, run func()) {
		t.Helper()
		for range 3 { // what is kept is in the cache
			run()
		}
		n := testing.AllocsPerRun(20, run)
		if t.Logf("%s: %.0f allocations", name, n); n > most {
			t.Errorf("%s allocates %.0f times, want %.0f at most", name, n, most)
		}
	}
	more := &record.Batch{Tenant: "acme", Source: "bench", Ingest: noon}
	for i := range batches[0].Len() {
		rec := batches[0].Record(i)
		more.AddRecord(&rec)
	}
	f("append of 2,000 records", 100, func() { mustAppend(t, s, more) })
	mustSeal(t, s)
	all := ScanRequest{Tenant: "acme", To: 1 << 62}
	scan := func(p match.Predicate, limit int) func() {
		return func() {
			q := all
			q.Where, q.Limit = p, limit
			if _, err := s.Scan(context.Background(), q, func([]record.Record) error { return nil }); err != nil {
				t.Fatal(err)
			}
		}
	}
	count := func(p match.Predicate, by ...string) func() {
		return func() {
			if _, _, err := s.Count(context.Background(), CountRequest{Tenant: "acme", To: 1 << 62, Where: p, By: by}); err != nil {
				t.Fatal(err)
			}
		}
	}
	f("needle", 100, scan(match.Eq{Field: "request_id", Value: needle}, 10))
	f("absent needle", 60, scan(match.Eq{Field: "request_id", Value: fmt.Sprint(needle, "0")}, 10))
	f("newest 100", 250, scan(nil, 100))
	f("count by service", 200, count(nil, "service"))
	f("count of a range", 300, count(match.Range{Field: "duration", Min: match.IntBound(100, true)}, "response_code"))
	f("count of a phrase", 300, count(match.Contains{Field: match.Line, Value: "cart/77"}))
	word := func(text string) match.Predicate { return match.Word{Field: match.AnyField, Value: text, Fold: true} }
	f("needle in any field", 150, scan(word(needle), 10))
	f("absent needle in any field", 120, scan(word(needle+"x"), 10))
	f("count of a word in any field", 300, count(word("checkout")))
	f("count of a rare word in any field", 300, count(word("cart/77")))
}
