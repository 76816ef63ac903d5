package exec

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/pipe"
	"github.com/meshtrail/meshtrail/internal/query/plan"
	"github.com/meshtrail/meshtrail/internal/store"
)

// overTime runs one range aggregation. The series come in order of their labels.
func overTime(ctx context.Context, env *Env, n *plan.Range) ([]*Series, error) {
	env.begin(ctx)
	g, err := groupingOf(ctx, env, n)
	if err != nil {
		return nil, err
	}
	r := &ranger{ctx: ctx, env: env, n: n, g: g, series: map[string]*tally{}, rows: map[string]*tally{}}
	defer func() { env.held -= r.held }()
	if n.Distinct && env.Steps.N > 1 {
		err = r.eachAlone()
	} else if err = r.gather(); err == nil {
		err = r.compute()
	}
	if err != nil {
		return nil, err
	}
	out := make([]*Series, 0, len(r.order))
	for _, t := range r.order {
		if t.out != nil && slices.Contains(t.out.Has, true) {
			out = append(out, t.out)
		}
	}
	if n.Op == "absent_over_time" {
		return r.absent(out)
	}
	err = fault.Sort(fault.NewWatch(ctx), out, func(a, b *Series) int { return a.Labels.Compare(b.Labels) })
	return out, err
}

// A ranger is a range aggregation on its way.
type ranger struct {
	ctx context.Context
	env *Env
	n   *plan.Range
	g   *grouping
	lay *layout

	series map[string]*tally // by labels
	order  []*tally
	rows   map[string]*tally // by what tells records apart
	held   int64             // of env's, until the series are done
}

// A tally is a series in the making.
type tally struct {
	labels Labels
	out    *Series
	counts spread[uint64] // records or bytes that were read one by one
	cells  spread[cell]   // samples
}

// gather asks the store for all that is in the windows.
func (r *ranger) gather() error {
	n, l := r.n, r.n.Log
	if r.byRecord() {
		r.lay = atEdges(r.env.Steps, n.Range, n.Offset)
		return r.read(r.env.Where(l), l.Pipe, false)
	}
	sure, err := l, error(nil)
	if l.Pipe != nil {
		sure = restricted(l, l.Sure)
	}
	if n.Unwrap == nil {
		err = r.count(sure)
	} else {
		err = r.measure(sure)
	}
	if err == nil && l.Pipe != nil {
		err = r.read(r.env.Where(restricted(l, l.Unsure)), l.Pipe, false)
	}
	return err
}

// restricted returns l with another predicate and nothing left to do.
func restricted(l *plan.Log, where match.Predicate) *plan.Log {
	out := *l
	out.Where, out.Pipe = where, nil
	return &out
}

// byRecord reports whether the store can answer for no record by itself.
func (r *ranger) byRecord() bool {
	l, u := r.n.Log, r.n.Unwrap
	switch {
	case r.env.byRecord, r.n.Distinct, u != nil && u.Good != nil:
		return true
	case l.Pipe != nil && l.Sure == nil:
		return true
	case u != nil:
		// Measures of some bucket can not be taken apart again, as counts can.
		_, even := evenly(r.env.Steps, r.n.Range, r.n.Offset, r.env.MaxBuckets)
		return !even && len(r.pieces()) > maxPieces
	}
	return false
}

// maxPieces bounds the requests to measure time that is not cut evenly.
const maxPieces = 64

// eachAlone computes every step as if it was the only one.
func (r *ranger) eachAlone() error {
	all := r.env.Steps
	defer func() { r.env.Steps = all }()
	for i := range all.N {
		r.env.Steps = Steps{Start: all.At(i), Step: all.Step, N: 1}
		one := &ranger{ctx: r.ctx, env: r.env, n: r.n, g: r.g, series: map[string]*tally{}, rows: map[string]*tally{}}
		err := one.gather()
		if err == nil {
			err = one.compute()
		}
		r.env.held -= one.held
		r.env.Steps = all
		if err != nil {
			return err
		}
		for _, t := range one.order {
			if t.out == nil || !t.out.Has[0] {
				continue
			}
			into, err := r.tally(t.labels)
			if err == nil {
				err = r.point(into, i, t.out.Vals[0])
			}
			if err != nil {
				return err
			}
			r.env.release([]*Series{t.out})
		}
	}
	return nil
}

// hold accounts for memory that is needed until the series are done.
func (r *ranger) hold(n int) error {
	r.held += int64(n)
	return r.env.hold(n)
}

// tally returns the series of these labels.
func (r *ranger) tally(l Labels) (*tally, error) {
	key := l.Key()
	if t, ok := r.series[key]; ok {
		return t, nil
	}
	if err := r.env.few(len(r.order) + 1); err != nil {
		return nil, err
	}
	if err := r.hold(size(l, 0) + len(key) + 200); err != nil {
		return nil, err
	}
	t := &tally{labels: l}
	r.series[key] = t
	r.order = append(r.order, t)
	return t, nil
}

// point sets or adds to the value of a series at step i.
func (r *ranger) point(t *tally, i int, v float64) (err error) {
	if t.out == nil {
		if t.out, err = r.env.series(t.labels); err != nil {
			return err
		}
	}
	t.out.set(i, t.out.Vals[i]+v)
	return nil
}

// compute makes values of what was gathered.
func (r *ranger) compute() error {
	for _, t := range r.order {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		if err := r.computeCounts(t); err != nil {
			return err
		}
		if err := r.computeSamples(t); err != nil {
			return err
		}
		if t.out != nil && (r.n.Op == "rate" || r.n.Op == "bytes_rate") {
			seconds := float64(r.n.Range) / float64(time.Second)
			for i := range t.out.Vals {
				t.out.Vals[i] /= seconds
			}
		}
		t.counts, t.cells = spread[uint64]{}, spread[cell]{}
	}
	return nil
}

// computeCounts adds what was counted record by record: in whole numbers, so
// that taking a bucket out again is exact.
func (r *ranger) computeCounts(t *tally) (err error) {
	t.counts.sort()
	var n uint64
	from, to := 0, 0
	t.counts.each(r.lay, func(i, a, b int) {
		for ; to < b; to++ {
			n += t.counts.cells[to]
		}
		for ; from < a; from++ {
			n -= t.counts.cells[from]
		}
		if a < b && err == nil {
			err = r.point(t, i, float64(n))
		}
	})
	return err
}

// absent gives 1 where there is nothing.
func (r *ranger) absent(there []*Series) ([]*Series, error) {
	var l Labels
	for _, p := range r.n.Absent {
		l = append(l, Label{p[0], p[1]})
	}
	s, err := r.env.series(sorted(l))
	if err != nil {
		return nil, err
	}
	for i := range s.Has {
		if !slices.ContainsFunc(there, func(o *Series) bool { return o.Has[i] }) {
			s.set(i, 1)
		}
	}
	r.env.release(there)
	return []*Series{s}, nil
}

// failed says that a record has an error that no filter asked for.
func failed(kind, details string, l Labels) error {
	l = append(slices.Clone(l), Label{pipe.ErrorName, kind}, Label{pipe.DetailsName, details})
	return fault.WithHint(fault.Errorf(fault.Invalid, "pipeline error: '%s' for series: '%s'", kind, sorted(l)),
		"a metric query with records that a stage failed on would be wrong; leave them out with | "+pipe.ErrorName+`="" at the end of the pipeline, after unwrap if there is one`)
}

// ask counts a request to the store.
func (e *Env) ask() error {
	if e.requests++; e.requests > e.MaxRequests {
		return fault.WithHint(fault.Errorf(fault.Overload, "query takes more than %d requests to the store", e.MaxRequests),
			"use a longer step or a shorter time range")
	}
	return nil
}

// A piece is one request for a run of buckets of one width, the first of which
// is bucket first.
type piece struct {
	from, to, step int64
	first          int
}

// pieces returns the requests that give all buckets of a layout at the edges of
// windows.
func (r *ranger) pieces() []piece {
	l := cmp.Or(r.lay, atEdges(r.env.Steps, r.n.Range, r.n.Offset))
	if l.width > 0 {
		from, to := l.span()
		return []piece{{from, to, l.width, 0}}
	}
	var out []piece
	for j := range l.buckets {
		from, to := l.bounds(j)
		if !l.covered(j) {
			continue
		}
		if n := len(out); n > 0 && out[n-1].to == from && out[n-1].step == to-from {
			out[n-1].to = to
			continue
		}
		out = append(out, piece{from, to, to - from, j})
	}
	return out
}

// Streams returns the label sets of the records that a log query selects, with
// their numbers, From ≤ t < to.
func Streams(ctx context.Context, env *Env, l *plan.Log, from, to int64) ([]Labels, []uint64, error) {
	env.Steps = Steps{Start: to - 1, N: 1}
	series, err := overTime(ctx, env, &plan.Range{Op: "count_over_time", Log: l, Range: to - from, Stream: true})
	if err != nil {
		return nil, nil, err
	}
	labels, counts := make([]Labels, len(series)), make([]uint64, len(series))
	for i, s := range series {
		labels[i], counts[i] = s.Labels, uint64(s.Vals[0])
	}
	return labels, counts, nil
}

// ends are the samples at the ends of a window.
func (c *cell) first() store.Sample {
	if c.nans > 0 && (c.Count == 0 || c.ends[0].Before(&c.First)) {
		return c.ends[0]
	}
	return c.First
}

func (c *cell) last() store.Sample {
	if c.nans > 0 && (c.Count == 0 || c.Last.Before(&c.ends[1])) {
		return c.ends[1]
	}
	return c.Last
}
