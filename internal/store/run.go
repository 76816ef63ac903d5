package store

import (
	"context"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/store/filter"
)

// unsigned reads times as vectors hold them.
func unsigned(t []int64) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(t))), len(t))
}

// A runner evaluates the targets of a plan in parallel and hands the outcomes
// over in order, a bounded number ahead.
type runner struct {
	p        *plan
	f        *filter.Filter
	from, to int64
	budget   Budget

	mu   sync.Mutex // guards the counts of p.stats while workers run
	rows int64
}

func (p *plan) runner(f *filter.Filter, from, to int64, b Budget) *runner {
	d := p.s.o.Limits.Budget
	if b.Bytes == 0 {
		b.Bytes = d.Bytes
	}
	if b.Rows == 0 {
		b.Rows = d.Rows
	}
	return &runner{p: p, f: f, from: from, to: to, budget: b}
}

// stats closes the account of the request.
func (r *runner) stats() Stats {
	s := r.p.stats
	s.BytesRead, s.BytesDecoded = r.p.cost.Read.Load(), r.p.cost.Decoded.Load()
	s.Elapsed = time.Since(r.p.start)
	return s
}

// worker is what one goroutine needs to evaluate blocks.
type worker struct {
	eval filter.Evaluator
	rows filter.Bitmap
}

// selected is a block with its matching rows; source is nil if there are none.
type selected struct {
	source source
	rows   filter.Bitmap // the worker's, until the next block
	times  []uint64      // nil if it was not needed to know them
	all    bool          // every row of the block matches
}

// select evaluates range and filter on a target.
func (r *runner) selectRows(w *worker, t *target) (sel selected, err error) {
	src, err := r.p.source(t)
	if err != nil {
		return sel, err
	}
	inside := t.minTime >= r.from && t.maxTime < r.to
	if inside && r.f.All() {
		r.count(t.rows, t.rows, false)
		return selected{source: src, all: true}, nil
	}
	if !r.f.Possible(src) {
		r.mu.Lock()
		r.p.stats.BlocksPruned++
		r.mu.Unlock()
		return sel, nil
	}
	if n := (t.rows + 63) / 64; cap(w.rows) < n {
		w.rows = make(filter.Bitmap, n)
	} else {
		w.rows = w.rows[:n]
	}
	w.rows.Fill(t.rows)
	sel = selected{source: src, rows: w.rows}
	if !inside {
		if sel.times, err = src.Times(); err != nil {
			return sel, err
		}
		keepRange(w.rows, sel.times, r.from, r.to)
	}
	if err := w.eval.Eval(r.f, src, w.rows); err != nil {
		return sel, err
	}
	n := w.rows.Count()
	r.count(t.rows, n, true)
	if n == 0 {
		return selected{}, nil
	}
	return sel, nil
}

func keepRange(rows filter.Bitmap, times []uint64, from, to int64) {
	for w := range rows {
		var word uint64
		base := w * 64
		for i, t := range times[base:min(base+64, len(times))] {
			if t := int64(t); t >= from && t < to {
				word |= 1 << i
			}
		}
		rows[w] &= word
	}
}

func (r *runner) count(rows, matched int, scanned bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows += int64(rows)
	r.p.stats.RowsMatched += int64(matched)
	if scanned {
		r.p.stats.BlocksScanned++
		r.p.stats.RowsScanned += int64(rows)
	}
}

// exceeded reports a budget that is used up.
func (r *runner) exceeded() error {
	r.mu.Lock()
	rows := r.rows
	r.mu.Unlock()
	if n := r.p.cost.Decoded.Load(); n > r.budget.Bytes {
		return fault.WithHint(fault.Errorf(fault.Overload, "the request decoded %d bytes, its budget is %d", n, r.budget.Bytes),
			"narrow the time range or the selector")
	}
	if rows > r.budget.Rows {
		return fault.WithHint(fault.Errorf(fault.Overload, "the request visited %d records, its budget is %d", rows, r.budget.Rows),
			"narrow the time range or the selector")
	}
	return nil
}

// run calls work for each target on parallel goroutines and then take with its
// outcome, in the order of the targets, on the caller's goroutine. more, if not
// nil, is asked before each take whether it is needed. A target of a segment
// that can not be read is left out and noted.
func run[T any](ctx context.Context, r *runner, work func(w *worker, t *target) (T, error), more func(t *target) bool, take func(t *target, v T) error) error {
	type outcome struct {
		v   T
		err error
	}
	ctx, cancel := context.WithCancel(ctx)
	targets := r.p.targets
	workers := min(runtime.GOMAXPROCS(0), len(targets))
	results := make([]chan outcome, len(targets))
	for i := range results {
		results[i] = make(chan outcome, 1)
	}
	feed := make(chan int)
	ahead := make(chan struct{}, 2*workers+1)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for range workers {
		wg.Go(func() {
			var w worker
			for i := range feed {
				v, err := work(&w, &targets[i])
				results[i] <- outcome{v, err}
			}
		})
	}
	wg.Go(func() {
		defer close(feed)
		for i := range targets {
			select {
			case ahead <- struct{}{}:
			case <-ctx.Done():
				return
			}
			select {
			case feed <- i:
			case <-ctx.Done():
				return
			}
		}
	})
	for i := range targets {
		t := &targets[i]
		if more != nil && !more(t) {
			return nil
		}
		var o outcome
		select {
		case o = <-results[i]:
		case <-ctx.Done():
			return fault.Wrap(fault.Canceled, ctx.Err())
		}
		<-ahead
		if o.err != nil {
			if err := r.skip(t, o.err); err != nil {
				return err
			}
			continue
		}
		if err := take(t, o.v); err != nil {
			return err
		}
		if err := r.exceeded(); err != nil {
			return err
		}
	}
	return nil
}

// skip notes a segment that can not be read. Errors that do not come from a
// file end the request.
func (r *runner) skip(t *target, err error) error {
	if t.x == nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.p.lost(t.x.h, err)
	return nil
}
