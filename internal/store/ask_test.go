package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/filter"
)

// TestManyAskAsOne holds what several goroutines find in forty segments to what
// one finds: the same blocks, in the same order, every segment open.
func TestManyAskAsOne(t *testing.T) {
	l := manual()
	l.BlockRows, l.OpenSegments = 10, 3
	s, _ := newWorld(t, l)
	for i := range 40 {
		b := &record.Batch{Tenant: "acme", Source: "s", Ingest: noon}
		for j := range 30 {
			b.Begin(noon+int64(i*30+j)*1e6, "app")
			b.Str("request_id", fmt.Sprintf("%08x-%04x-4000-8000-%012x", i*30+j, i, j))
			b.Int("code", int64(i))
			b.End()
		}
		mustAppend(t, s, b)
		mustSeal(t, s)
	}
	for _, p := range []match.Predicate{
		nil,
		match.Eq{Field: "request_id", Value: fmt.Sprintf("%08x-%04x-4000-8000-%012x", 7*30+3, 7, 3)},
		match.Word{Field: match.Line, Value: fmt.Sprintf("%08x", 31*30+29)},
		match.Range{Field: "code", Min: match.IntBound(35, true)},
	} {
		f := filter.New(p)
		_, handles := s.snapshot("acme", nil, 0, 1<<62, 0)
		many := &plan{s: s, pinned: handles} // it began long ago: others are called at once
		out := many.askAll(handles, 0, 1<<62, f)
		alone := &plan{s: s, start: time.Now()}
		a := asker{s: s, to: 1 << 62, pruner: f.Pruner(&alone.cost)}
		for i, h := range handles {
			many.add(h, &out[i])
			var one found
			a.ask(h, &one)
			alone.add(h, &one)
		}
		alone.close()
		many.close()
		if len(handles) != 40 || len(many.open) != 40 || len(many.stats.Damaged) > 0 {
			t.Fatalf("%v: %d segments, %d open, %v damaged", p, len(handles), len(many.open), many.stats.Damaged)
		}
		if len(many.targets) == 0 || fmt.Sprint(many.stats) != fmt.Sprint(alone.stats) {
			t.Errorf("%v: %d blocks, %+v, alone %+v", p, len(many.targets), many.stats, alone.stats)
		}
		for i := range many.targets {
			if m, o := &many.targets[i], &alone.targets[i]; m.n != o.n || m.x.h != o.x.h || m.minTime != o.minTime {
				t.Fatalf("%v: block %d is %d of %s, alone %d of %s", p, i, m.n, m.x.h.leaf.ID, o.n, o.x.h.leaf.ID)
			}
		}
	}
}
