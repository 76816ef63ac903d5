package fault

import (
	"context"
	"slices"
)

// A Watch lets work that may be long notice that nobody waits for it any more. It
// belongs to one goroutine. A nil Watch never ends.
type Watch struct {
	ctx  context.Context
	left int
	err  error
}

// stride is after how many steps a Watch looks at its context. A step is what
// takes some microseconds at most, so that work ends within milliseconds.
const stride = 256

// NewWatch returns a Watch of ctx.
func NewWatch(ctx context.Context) *Watch { return &Watch{ctx: ctx, left: stride} }

// Step counts n steps of work. It returns why the work is to end (Canceled), from
// then on always, or nil.
func (w *Watch) Step(n int) error {
	if w == nil {
		return nil
	}
	if w.left -= n; w.left > 0 || w.err != nil {
		return w.err
	}
	w.left = stride
	return w.Look()
}

// Look looks at the context now.
func (w *Watch) Look() error {
	if w == nil {
		return nil
	}
	if w.err == nil {
		w.err = Wrap(Canceled, w.ctx.Err())
	}
	return w.err
}

// Err returns what the last Step or Look found. What builds an answer by many
// small functions may stop at the first that fails and let the last one say why.
func (w *Watch) Err() error {
	if w == nil {
		return nil
	}
	return w.err
}

// Sort sorts s as slices.SortFunc does, or ends early, with s in any order, when
// w says so: from then on all elements are equal, of which a sort makes one pass.
func Sort[S ~[]E, E any](w *Watch, s S, compare func(a, b E) int) error {
	var ended error
	slices.SortFunc(s, func(a, b E) int {
		if ended == nil {
			ended = w.Step(1)
		}
		if ended != nil {
			return 0
		}
		return compare(a, b)
	})
	return ended
}

// SortStable is Sort, and leaves equal elements in their order.
func SortStable[S ~[]E, E any](w *Watch, s S, compare func(a, b E) int) error {
	var ended error
	slices.SortStableFunc(s, func(a, b E) int {
		if ended == nil {
			ended = w.Step(1)
		}
		if ended != nil {
			return 0
		}
		return compare(a, b)
	})
	return ended
}
