package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/store/filter"
)

// unsigned reads times as vectors hold them.
func unsigned(t []int64) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(t))), len(t))
}

// A runner evaluates the targets of a plan in parallel.
type runner struct {
	p        *plan
	watch    *fault.Watch // of the caller's goroutine
	f        *filter.Filter
	from, to int64
	cut      cut // of a scan
	budget   Budget
	tick     func(steps int64) error // of every worker's Evaluator

	pruned, scanned, matched atomic.Int64 // for the stats
	rowsScanned, rows, steps atomic.Int64

	mu sync.Mutex // guards p.stats while workers run
}

// maxSteps is the default of Budget.Steps.
const maxSteps = 1 << 44

func (p *plan) runner(ctx context.Context, f *filter.Filter, from, to int64, b Budget) *runner {
	d := p.s.o.Limits.Budget
	if b.Bytes == 0 {
		b.Bytes = d.Bytes
	}
	if b.Rows == 0 {
		b.Rows = d.Rows
	}
	if b.Steps == 0 {
		b.Steps = cmp.Or(d.Steps, maxSteps)
	}
	r := &runner{p: p, watch: fault.NewWatch(ctx), f: f, from: from, to: to, budget: b}
	r.tick = func(steps int64) error {
		if n := r.steps.Add(steps); n > b.Steps {
			return ownError{fault.WithHint(fault.Errorf(fault.Overload, "the regular expressions of the request took %d steps, its budget is %d", n, b.Steps),
				"use a simpler expression, one with a fixed text in it, or a shorter time range")}
		}
		if err := canceled(ctx); err != nil {
			return ownError{err}
		}
		return nil
	}
	return r
}

// stats closes the account of the request.
func (r *runner) stats() Stats {
	s := r.p.stats
	s.BlocksPruned += int(r.pruned.Load())
	s.BlocksScanned += int(r.scanned.Load())
	s.RowsScanned, s.RowsMatched = r.rowsScanned.Load(), r.matched.Load()
	s.BytesRead, s.BytesDecoded = r.p.cost.Read.Load(), r.p.cost.Decoded.Load()
	s.Elapsed = time.Since(r.p.start)
	return s
}

// worker is what one goroutine needs to evaluate blocks. Its memory is used
// again by later requests.
type worker struct {
	eval    filter.Evaluator
	outline filter.Outline
	rows    filter.Bitmap
	group   grouper
	sizer   sizer
	buckets []uint32
	tally   *tally // of the count at hand
	cells   *cells // of the measurement at hand
	slots   slots
	gauge   gauge
	sums    sums
	differ  differ
	coded   coded
	codes   []uint32      // of a key's ranges, plus one
	floors  [256]struct { // some of them
		floor float64
		code  uint32 // plus one
	}

	all      []uint32 // 0, 1, 2 …
	matching []uint32 // rows of a scan or a measurement
	times    []int64
}

var workers = sync.Pool{New: func() any { return new(worker) }}

// bitmap returns the worker's bitmap of rows, which holds anything.
func (w *worker) bitmap(rows int) filter.Bitmap {
	n := (rows + 63) / 64
	w.rows = slices.Grow(w.rows[:0], n)[:n]
	return w.rows
}

// selected is a block with its matching rows; source is nil if there are none.
type selected struct {
	source source
	rows   filter.Bitmap // the worker's, until the next block
	times  []uint64      // nil if it was not needed to know them
	all    bool          // every row of the block matches
}

// selectRows evaluates range and filter on a target.
func (r *runner) selectRows(w *worker, t *target) (sel selected, err error) {
	src, err := r.p.source(t)
	if err != nil {
		return sel, err
	}
	w.eval.Tick = r.tick
	inside := t.minTime >= r.from && t.maxTime < r.to
	settled := w.eval.Settle(r.f, src)
	if settled == filter.None {
		r.pruned.Add(1)
		return sel, nil
	}
	if inside && settled == filter.All {
		r.rows.Add(int64(t.rows))
		r.matched.Add(int64(t.rows))
		return selected{source: src, all: true}, nil
	}
	rows := w.bitmap(t.rows)
	rows.Fill(t.rows)
	sel = selected{source: src, rows: rows}
	if !inside {
		if sel.times, err = src.Times(); err != nil {
			return sel, err
		}
		keepRange(rows, sel.times, r.from, r.to)
	}
	if settled == filter.Some {
		if err := w.eval.Eval(r.f, src, rows); err != nil {
			return sel, err
		}
	}
	n := rows.Count()
	r.rows.Add(int64(t.rows))
	r.matched.Add(int64(n))
	r.scanned.Add(1)
	r.rowsScanned.Add(int64(t.rows))
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

// exceeded reports a budget that is used up.
func (r *runner) exceeded() error {
	if n := r.p.cost.Decoded.Load(); n > r.budget.Bytes {
		return fault.WithHint(fault.Errorf(fault.Overload, "the request decoded %d bytes, its budget is %d", n, r.budget.Bytes),
			"narrow the time range or the selector")
	}
	if rows := r.rows.Load(); rows > r.budget.Rows {
		return fault.WithHint(fault.Errorf(fault.Overload, "the request visited %d records, its budget is %d", rows, r.budget.Rows),
			"narrow the time range or the selector")
	}
	return nil
}

// canceled returns why the context is done, or nil.
func canceled(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fault.Wrap(fault.Canceled, err)
	}
	return nil
}

// skip notes a segment that can not be read. Errors that do not come from a
// file end the request.
func (r *runner) skip(t *target, err error) error {
	var own ownError
	if errors.As(err, &own) {
		return own.error
	}
	if t.x == nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.p.lost(t.x.h, err)
	return nil
}

// An ownError does not come from a file.
type ownError struct{ error }

func (e ownError) Unwrap() error { return e.error }
