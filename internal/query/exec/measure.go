package exec

import (
	"math"
	"time"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/plan"
	"github.com/meshtrail/meshtrail/internal/store"
)

// want returns what must be known of the samples of a bucket.
func want(op string) store.Want {
	switch op {
	case "stddev_over_time", "stdvar_over_time":
		return store.WantSpread | store.WantSums
	case "first_over_time", "last_over_time":
		return store.WantEnds
	case "quantile_over_time":
		return store.WantValues
	case "rate_counter":
		return store.WantSamples
	}
	return store.WantSums
}

// measure lets the store measure the field of what l selects. Records whose field
// it takes for no number are looked at one by one.
func (r *ranger) measure(l *plan.Log) error {
	e, u := r.env, r.n.Unwrap
	even, ok := evenly(e.Steps, r.n.Range, r.n.Offset, e.MaxBuckets)
	if r.lay = even; !ok {
		r.lay = atEdges(e.Steps, r.n.Range, r.n.Offset)
	}
	has := restricted(l, match.Simplify(match.And{l.Where, match.Exists{Field: u.Name}}))
	where, odd := e.Where(has), false
	if _, none := where.(match.False); none {
		return nil
	}
	for _, p := range r.pieces() {
		if err := e.ask(); err != nil {
			return err
		}
		groups, stats, err := e.Store.Measure(r.ctx, store.MeasureRequest{
			Tenant: e.Tenant, From: p.from, To: p.to, Where: where, By: store.GroupBy(r.g.by...), Step: p.step,
			Of: []store.MeasureField{{Name: u.Name, Unit: u.Unit, Want: want(r.n.Op)}}, Budget: e.Budget,
		})
		addStats(&e.Stats, stats)
		if err != nil {
			return err
		}
		if err := e.groups(len(groups)); err != nil {
			return err
		}
		for i := range groups {
			if err := r.ctx.Err(); err != nil {
				return err
			}
			not, err := r.measured(&groups[i], p.first)
			if err != nil {
				return err
			}
			odd = odd || not
		}
	}
	if !odd {
		return nil
	}
	finite := match.Range{Field: u.Name, Unit: u.Unit, Min: match.FloatBound(-math.MaxFloat64, true), Max: match.FloatBound(math.MaxFloat64, true)}
	strange := restricted(l, match.Simplify(match.And{has.Where, match.Not{P: finite}}))
	return r.read(e.Where(strange), nil, true)
}

// measured takes the measures of a group, and reports whether it has records
// that were left out.
func (r *ranger) measured(g *store.MeasureGroup, first int) (odd bool, err error) {
	var t *tally
	for i := range g.Cells {
		m, bucket := &g.Cells[i].Of[0], first+g.Cells[i].Bucket
		if m.Count == 0 && m.NotNumbers == 0 || !r.lay.covered(bucket) {
			continue
		}
		odd = odd || m.NotNumbers > 0
		if m.Count == 0 {
			continue
		}
		if t == nil {
			if t, err = r.tally(r.g.labels(g.Values)); err != nil {
				return odd, err
			}
		}
		c, fresh := t.cells.of(bucket)
		if !fresh {
			m.Values, c.Values = nil, append(c.Values, m.Values...)
			m.Samples, c.Samples = nil, append(c.Samples, m.Samples...)
			c.merge(&cell{Measure: *m})
			continue
		}
		c.Measure = *m
		if err := r.hold(cellSize + 8*len(m.Values) + sampleSize*len(m.Samples)); err != nil {
			return odd, err
		}
	}
	return odd, nil
}

// Estimates of memory, in bytes.
const (
	cellSize   = 320
	sampleSize = 24
)

// computeSamples makes values of the samples of a series.
func (r *ranger) computeSamples(t *tally) (err error) {
	if len(t.cells.at) == 0 {
		return nil
	}
	t.cells.sort()
	put := func(i int, v float64) {
		if err == nil {
			err = r.point(t, i, v)
		}
	}
	switch r.n.Op {
	case "quantile_over_time":
		n := 0
		for i := range t.cells.cells {
			n += 16 * len(t.cells.cells[i].Values) // to merge them takes as much again, twice
		}
		defer func() { r.env.held -= int64(n) }()
		if err := r.env.hold(n); err != nil {
			return err
		}
		e := quantiles(r.ctx, &t.cells, r.lay, r.n.Param, func(i int, v float64) { put(i, r.shown(v)) })
		if err == nil {
			err = e
		}
		return err
	case "rate_counter":
		counter(&t.cells, r.lay, func(i int, from []store.Sample, resets float64) {
			end := r.env.Steps.At(i) - r.n.Offset
			put(i, r.shown(counterRate(from, resets, end, r.n.Range)))
		})
		return err
	case "absent_over_time":
		t.cells.each(r.lay, func(i, a, b int) {
			if a < b {
				put(i, 1)
			}
		})
		return err
	}
	t.cells.slide(r.lay, (*cell).merge, func(i int, sum *cell) { put(i, r.shown(sum.over(r.n.Op))) })
	return err
}

// shown turns nanoseconds into seconds where a duration was unwrapped.
func (r *ranger) shown(v float64) float64 {
	if r.n.Unwrap.Unit != match.Duration {
		return v
	}
	if r.n.Op == "stdvar_over_time" {
		return v / float64(time.Second) / float64(time.Second)
	}
	return v / float64(time.Second)
}

// over computes a function over the samples of a window, of which there is one at
// least.
func (c *cell) over(op string) float64 {
	switch op {
	case "min_over_time":
		if c.Count == 0 {
			return math.NaN()
		}
		return c.Min
	case "max_over_time":
		if c.Count == 0 {
			return math.NaN()
		}
		return c.Max
	case "first_over_time":
		s := c.first()
		return s.Value
	case "last_over_time":
		s := c.last()
		return s.Value
	}
	if c.nans > 0 {
		return math.NaN()
	}
	switch op {
	case "avg_over_time":
		return c.Mean()
	case "stdvar_over_time", "stddev_over_time":
		v := cleared(c.Variance(), c.Mean())
		if c.spoilt {
			return math.NaN()
		}
		if op == "stddev_over_time" {
			return math.Sqrt(v)
		}
		return v
	}
	return c.Sum // sum_over_time, and rate before it is divided
}

// counter calls f for every window with its samples in order and the sum of what
// a counter lost by its resets among them.
func counter(s *spread[cell], l *layout, f func(window int, in []store.Sample, resets float64)) {
	var all []store.Sample
	start := make([]int, 1, len(s.cells)+1) // of each cell in all
	for i := range s.cells {
		c := &s.cells[i]
		c.Sort()
		all = append(all, c.Samples...)
		start = append(start, len(all))
	}
	// Up to each sample: what was lost, and how often that was infinite, which can
	// not be taken out of a sum again.
	lost, endless := make([]float64, len(all)), make([]int32, len(all))
	for i := 1; i < len(all); i++ {
		lost[i], endless[i] = lost[i-1], endless[i-1]
		if v := all[i-1].Value; all[i].Value < v {
			if math.IsInf(v, 1) {
				endless[i]++
			} else {
				lost[i] += v
			}
		}
	}
	s.each(l, func(i, a, b int) {
		if a >= b {
			return
		}
		from, last := start[a], start[b]-1
		resets := lost[last] - lost[from]
		if endless[last] > endless[from] {
			resets = math.Inf(1)
		}
		f(i, all[from:last+1], resets)
	})
}

// counterRate is the growth per second of a counter over a window that ends at
// end, as Prometheus and Loki estimate it: what the samples show, extended to the
// edges of the window where a sample is near one (within 1.1 times the mean
// distance of samples) and else by half that distance, but not to before the
// moment at which the counter was zero.
func counterRate(in []store.Sample, resets float64, end, window int64) float64 {
	if len(in) < 2 {
		return 0
	}
	seconds := func(ns int64) float64 { return float64(ns) / float64(time.Second) }
	first, last := in[0], in[len(in)-1]
	growth := last.Value - first.Value + resets
	before, after, sampled := seconds(first.Time-(end-window)), seconds(end-last.Time), seconds(last.Time-first.Time)
	mean := sampled / float64(len(in)-1)
	if before >= 1.1*mean {
		before = mean / 2
	}
	if growth > 0 && first.Value >= 0 {
		before = min(before, sampled*(first.Value/growth))
	}
	if after >= 1.1*mean {
		after = mean / 2
	}
	return growth * ((sampled + before + after) / sampled) / seconds(window)
}
