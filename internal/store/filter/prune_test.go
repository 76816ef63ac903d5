package filter

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
	"github.com/meshtrail/meshtrail/internal/store/segment"
)

// sealed makes a segment of blocks with these bodies, each with an id and a
// number of its own.
func sealed(t *testing.T, n int, blocks ...[]string) *segment.Reader {
	t.Helper()
	key := crypt.NewKey()
	var buf bytes.Buffer
	w, err := segment.NewWriter(&buf, segment.Meta{ID: segment.ID{byte(n)}, Class: "app", KeyID: "k", Key: key})
	if err != nil {
		t.Fatal(err)
	}
	for i, bodies := range blocks {
		var b record.Batch
		in := &block.Input{}
		for k, s := range bodies {
			in.Times, in.Ords, in.Ingests = append(in.Times, int64(k)), append(in.Ords, uint64(k)), append(in.Ingests, 1)
			b.Begin(int64(k), "app")
			b.Str(record.Body, s)
			b.Str("id", fmt.Sprintf("id.%d.%d.%d", n, i, k))
			b.Int("number", int64(100*n+i))
			b.End()
		}
		in.Columns = b.Columns()
		p, err := w.Prepare(i, in)
		if err == nil {
			err = w.Add(p)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	r, err := segment.Open(bytes.NewReader(buf.Bytes()), int64(buf.Len()), func(string) (*crypt.Key, error) { return key, nil }, segment.NewCache(0))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestPrunerAsksForTheRarestFirst counts the pages that are read: one for a
// segment that has not the rarest token, none where the columns' bounds tell,
// and none for a token that all blocks of the segments before had.
func TestPrunerAsksForTheRarestFirst(t *testing.T) {
	var segments []*segment.Reader
	for n := range 8 {
		segments = append(segments, sealed(t, n, []string{"every request came in", "every request went out"}, []string{"every request was lost"}))
	}
	page := func(r *segment.Reader) int64 {
		var cost segment.Cost
		if err := r.Probe(segment.HashToken("every", segment.Seed(record.Body)), []uint64{3}, &cost); err != nil {
			t.Fatal(err)
		}
		return cost.Read.Load()
	}
	f := func(p match.Predicate, want [8]int, left [8]uint64) *Pruner {
		t.Helper()
		var cost segment.Cost
		pr := New(p).Pruner(&cost)
		for n, r := range segments {
			set, before := []uint64{3}, cost.Read.Load()
			if err := pr.Prune(r, set); err != nil {
				t.Fatal(err)
			}
			if pages := int((cost.Read.Load() - before) / page(r)); pages != want[n] || set[0] != left[n] {
				t.Errorf("%v: segment %d took %d pages and kept %b, want %d and %b", p, n, pages, set[0], want[n], left[n])
			}
		}
		return pr
	}
	all := [8]uint64{3, 3, 3, 3, 3, 3, 3, 3}
	word := func(s string) match.Predicate { return match.Word{Field: record.Body, Value: s} }
	id := match.Eq{Field: "id", Value: "id.5.1.0"}
	number := match.Eq{Field: "number", Value: "501"}

	f(word("every"), [8]int{1, 1, 1}, all)                                                                       // then it is known to be everywhere
	f(match.And{word("every"), word("request")}, [8]int{2, 2, 2}, all)                                           // both
	f(match.And{word("every"), id}, [8]int{1, 1, 1, 1, 1, 3, 1, 1}, [8]uint64{5: 2})                             // the id is asked for first
	f(match.And{word("every"), word("lost")}, [8]int{2, 2, 2, 1, 1, 1, 1, 1}, [8]uint64{2, 2, 2, 2, 2, 2, 2, 2}) // lost prunes always
	f(match.And{word("every"), number}, [8]int{5: 1}, [8]uint64{5: 3})                                           // bounds are asked before

	pr := f(match.And{number, id}, [8]int{5: 2}, [8]uint64{5: 2})
	if pr.ByColumns != 14 || pr.ByTokens != 1 {
		t.Errorf("%d blocks ruled out by columns and %d by tokens, want 14 and 1", pr.ByColumns, pr.ByTokens)
	}
}

// TestPrunerLooksAgain makes a token rare after it was everywhere: it is asked
// for again in time.
func TestPrunerLooksAgain(t *testing.T) {
	with, without := sealed(t, 1, []string{"alpha"}), sealed(t, 2, []string{"omega"})
	pr := New(match.Word{Field: record.Body, Value: "alpha"}).Pruner(nil)
	pruned := 0
	for i := range 60 {
		r, set := with, []uint64{1}
		if i >= 20 {
			r = without
		}
		if err := pr.Prune(r, set); err != nil {
			t.Fatal(err)
		}
		if set[0] == 0 {
			pruned++
		}
	}
	if pruned < 20 || pruned > 40 || pruned != pr.ByTokens {
		t.Errorf("%d of 40 blocks ruled out, %d counted", pruned, pr.ByTokens)
	}
}
