package fault_test

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// leaves is a context that is done from its n-th look on.
type leaves struct {
	context.Context
	n     int
	looks int
}

func (c *leaves) Err() error {
	if c.looks++; c.looks >= c.n {
		return context.Canceled
	}
	return nil
}

func TestWatchLooksAtIntervals(t *testing.T) {
	ctx := &leaves{Context: t.Context(), n: 3}
	w := fault.NewWatch(ctx)
	steps := 0
	for w.Step(1) == nil {
		steps++
	}
	if ctx.looks != 3 || steps > 3*256 {
		t.Errorf("%d looks in %d steps", ctx.looks, steps)
	}
	if !fault.Is(w.Step(1), fault.Canceled) || !fault.Is(w.Err(), fault.Canceled) || ctx.looks != 3 {
		t.Errorf("after its end: %v, %v, %d looks", w.Step(1), w.Err(), ctx.looks)
	}
	if fault.NewWatch(&leaves{Context: t.Context(), n: 1}).Step(1<<20) == nil {
		t.Error("many steps at once are no reason to look")
	}
	var none *fault.Watch
	if none.Step(1<<30) != nil || none.Look() != nil || none.Err() != nil {
		t.Error("a nil Watch ended")
	}
}

// TestSortEnds: a sort compares no more once its reader left, but for one pass,
// and sorts until then.
func TestSortEnds(t *testing.T) {
	type sort func(w *fault.Watch, s []int, compare func(a, b int) int) error
	for name, f := range map[string]sort{"Sort": fault.Sort[[]int], "SortStable": fault.SortStable[[]int]} {
		s := rand.New(rand.NewPCG(1, 2)).Perm(100_000)
		compared := 0
		compare := func(a, b int) int { compared++; return cmp.Compare(a, b) }
		err := f(fault.NewWatch(&leaves{Context: t.Context(), n: 4}), slices.Clone(s), compare)
		if !fault.Is(err, fault.Canceled) || compared > 4*256 {
			t.Errorf("%s: %v after %d comparisons", name, err, compared)
		}
		if err := f(fault.NewWatch(t.Context()), s, compare); err != nil || !slices.IsSorted(s) {
			t.Errorf("%s: %v, sorted %v", name, err, slices.IsSorted(s))
		}
	}
}
