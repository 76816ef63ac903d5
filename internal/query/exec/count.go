package exec

import (
	"slices"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/plan"
	"github.com/meshtrail/meshtrail/internal/store"
)

// A count keeps all buckets of every group. Three requests are better than one
// with many more of them than windows need.
const (
	fewBuckets  = 1 << 12
	manyBuckets = 1 << 16
)

// evenBuckets returns up to how many buckets one request is better.
func evenBuckets(s Steps, rng int64) int {
	needed := int64(s.N)
	if s.Step > 0 {
		needed += rng / s.Step
	}
	return int(min(max(4*needed, fewBuckets), manyBuckets))
}

// bytes reports whether lines are measured instead of counted.
func (r *ranger) bytes() bool { return r.n.Op == "bytes_over_time" || r.n.Op == "bytes_rate" }

// count lets the store count what l selects.
func (r *ranger) count(l *plan.Log) error {
	even, ok := evenly(r.env.Steps, r.n.Range, r.n.Offset, min(evenBuckets(r.env.Steps, r.n.Range), r.env.MaxBuckets))
	if !ok {
		r.lay = atEdges(r.env.Steps, r.n.Range, r.n.Offset)
		return r.countEdges(l)
	}
	r.lay = even
	from, to := even.span()
	return r.countGroups(l, from, to, even.width, func(t *tally, g *store.Group) error {
		return r.eachCount(g, func(i int, v float64) error { return r.point(t, i, v) })
	})
}

// eachCount calls f for every window that a group has records in.
func (r *ranger) eachCount(g *store.Group, f func(window int, v float64) error) error {
	var n, bytes uint64
	from, to := 0, 0
	for i := range r.lay.low {
		for ; to < r.lay.high[i]; to++ {
			n += at(g.Counts, to)
			bytes += at(g.Bytes, to)
		}
		for ; from < r.lay.low[i]; from++ {
			n -= at(g.Counts, from)
			bytes -= at(g.Bytes, from)
		}
		if n == 0 {
			continue
		}
		v := n
		if r.bytes() {
			v = bytes
		}
		if err := f(i, float64(v)); err != nil {
			return err
		}
	}
	return nil
}

func at(counts []uint64, i int) uint64 {
	if i < len(counts) {
		return counts[i]
	}
	return 0
}

// countGroups asks for counts by buckets, and calls f for every group that has
// any.
func (r *ranger) countGroups(l *plan.Log, from, to, step int64, f func(*tally, *store.Group) error) error {
	groups, err := r.counted(l, from, to, step)
	if err == nil {
		err = r.env.groups(len(groups))
	}
	if err != nil {
		return err
	}
	for i := range groups {
		g := &groups[i]
		if i%64 == 0 && r.ctx.Err() != nil {
			return r.ctx.Err()
		}
		if !slices.ContainsFunc(g.Counts, func(n uint64) bool { return n > 0 }) {
			continue
		}
		t, err := r.tally(r.g.labels(g.Values))
		if err == nil {
			err = f(t, g)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// counted asks for counts by buckets.
func (r *ranger) counted(l *plan.Log, from, to, step int64) ([]store.Group, error) {
	e, where := r.env, r.env.Where(l)
	if _, none := where.(match.False); none {
		return nil, nil
	}
	if err := e.ask(); err != nil {
		return nil, err
	}
	groups, stats, err := e.Store.Count(r.ctx, store.CountRequest{
		Tenant: e.Tenant, From: from, To: to, Where: where, By: r.g.by, Step: step, Sum: r.bytes(), Budget: e.Budget,
	})
	addStats(&e.Stats, stats)
	return groups, err
}

// countEdges counts in windows whose edges have no common measure worth the
// name, whatever range and step are: a window holds what the first one did, and
// what came by its end since, less what went by its start.
func (r *ranger) countEdges(l *plan.Log) error {
	s, rng := r.env.Steps, r.n.Range
	first := s.Start - r.n.Offset
	type both struct{ n, bytes int64 }
	changes := map[*tally][]both{}
	add := func(from, to, step int64, point int, sign int64) error {
		if to <= from {
			return nil
		}
		return r.countGroups(l, from, to, step, func(t *tally, g *store.Group) error {
			c := changes[t]
			if c == nil {
				if err := r.hold(16 * s.N); err != nil {
					return err
				}
				c = make([]both, s.N)
				changes[t] = c
			}
			for j := range g.Counts {
				c[point+j].n += sign * int64(g.Counts[j])
				c[point+j].bytes += sign * int64(at(g.Bytes, j))
			}
			return nil
		})
	}
	last := s.End() - r.n.Offset
	if err := add(first-rng+1, first+1, 0, 0, 1); err != nil {
		return err
	}
	if err := add(first+1, last+1, s.Step, 1, 1); err != nil {
		return err
	}
	if err := add(first-rng+1, last-rng+1, s.Step, 1, -1); err != nil {
		return err
	}
	for _, t := range r.order {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		var sum both
		for i, c := range changes[t] {
			sum.n, sum.bytes = sum.n+c.n, sum.bytes+c.bytes
			if sum.n <= 0 {
				continue
			}
			v := sum.n
			if r.bytes() {
				v = sum.bytes
			}
			if err := r.point(t, i, float64(v)); err != nil {
				return err
			}
		}
	}
	return nil
}
