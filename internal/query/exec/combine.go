package exec

import (
	"cmp"
	"context"
	"strconv"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/plan"
	"github.com/meshtrail/meshtrail/internal/store"
)

// combinations counts the combinations of fields without a series for each: the
// store keeps the set of one field's values, and groups by the others. It reports
// false when that is no way.
func combinations(ctx context.Context, env *Env, n *plan.Range, of []string) (out []*Series, ok bool, err error) {
	if env.byRecord {
		return nil, false, nil
	}
	g, err := groupingOf(ctx, env, n)
	if err != nil {
		return nil, false, err
	}
	r := &combiner{ranger: &ranger{ctx: ctx, env: env, n: n, g: g, series: map[string]*tally{}}}
	r.lay, ok = evenly(env.Steps, n.Range, n.Offset, env.MaxBuckets)
	if !ok {
		if r.lay = atEdges(env.Steps, n.Range, n.Offset); len(r.pieces()) > maxPieces {
			return nil, false, nil
		}
	}
	defer func() { env.held -= r.held }()
	if err := r.collect(of); err != nil {
		return nil, false, err
	}
	for _, s := range r.sets {
		if err := r.windows(s); err != nil {
			return nil, false, err
		}
	}
	for _, t := range r.order {
		if t.out != nil {
			out = append(out, t.out)
		}
	}
	return out, true, nil
}

// A combiner is a count of combinations on its way.
type combiner struct {
	*ranger
	where match.Predicate
	of    store.MeasureField
	by    []store.GroupKey
	sets  []*combined // of all but the measured field, a combination each
	index map[string]*combined
}

// combined is the values that the measured field has with one combination of the
// others, by bucket. Records without it are a value as well: the empty one.
type combined struct {
	values []string
	cells  spread[seen]
}

type seen struct {
	hashes []uint64
	empty  bool
}

// collect asks the store for all that is in the windows.
func (r *combiner) collect(of []string) error {
	r.where, r.index = r.env.Where(r.n.Log), map[string]*combined{}
	if _, none := r.where.(match.False); none {
		return nil
	}
	names := make([]string, len(of))
	for i, name := range of {
		if names[i] = name; name == plan.ClassName {
			names[i] = match.Class
		}
	}
	most, err := r.widest(names)
	if err != nil {
		return err
	}
	r.of = store.MeasureField{Name: names[most], Want: store.WantDistinct}
	r.by = store.GroupBy(r.g.by...)
	for i, name := range names {
		if i != most {
			r.by = append(r.by, store.GroupKey{Name: name})
		}
	}
	if err := r.request(r.where, []store.MeasureField{r.of}); err != nil || r.of.Name == match.Class {
		return err
	}
	// A text may be empty, which the store does not count among the values.
	blank := match.Simplify(match.And{r.where, match.Eq{Field: r.of.Name, Value: ""}})
	return r.request(blank, nil)
}

// widest returns which field has most values: the store keeps a set of those for
// every combination of the others.
func (r *combiner) widest(names []string) (most int, err error) {
	if len(names) == 1 {
		return 0, nil
	}
	var of []store.MeasureField
	for _, name := range names {
		of = append(of, store.MeasureField{Name: name, Want: store.WantDistinct})
	}
	if err := r.env.ask(); err != nil {
		return 0, err
	}
	from, to := r.lay.span()
	groups, stats, err := r.env.Store.Measure(r.ctx, store.MeasureRequest{
		Tenant: r.env.Tenant, From: from, To: to, Where: r.where, Of: of, Budget: r.env.Budget,
	})
	addStats(&r.env.Stats, stats)
	if err != nil || len(groups) == 0 || len(groups[0].Cells) == 0 {
		return 0, err
	}
	best := uint64(0)
	for i := range names {
		if n, _ := groups[0].Cells[0].Of[i].Distinct.Len(); n > best {
			most, best = i, n
		}
	}
	return most, nil
}

// request takes the values of the records that where holds for; without fields to
// measure these have the empty one.
func (r *combiner) request(where match.Predicate, of []store.MeasureField) error {
	if _, none := where.(match.False); none {
		return nil
	}
	for _, p := range r.pieces() {
		if err := r.env.ask(); err != nil {
			return err
		}
		groups, stats, err := r.env.Store.Measure(r.ctx, store.MeasureRequest{
			Tenant: r.env.Tenant, From: p.from, To: p.to, Where: where, By: r.by, Step: p.step, Of: of, Budget: r.env.Budget,
		})
		addStats(&r.env.Stats, stats)
		if err != nil {
			return err
		}
		if err := r.env.groups(len(groups)); err != nil {
			return err
		}
		for i := range groups {
			if i%64 == 0 && r.ctx.Err() != nil {
				return r.ctx.Err()
			}
			if err := r.take(&groups[i], p.first); err != nil {
				return err
			}
		}
	}
	return nil
}

// take adds what one combination of the other fields has.
func (r *combiner) take(g *store.MeasureGroup, first int) error {
	key := textsKey(g.Values)
	s := r.index[key]
	if s == nil {
		if err := r.hold(2*len(key) + 200); err != nil {
			return err
		}
		s = &combined{values: g.Values}
		r.index[key], r.sets = s, append(r.sets, s)
	}
	for i := range g.Cells {
		c, bucket := &g.Cells[i], first+g.Cells[i].Bucket
		if !r.lay.covered(bucket) {
			continue
		}
		into, _ := s.cells.of(bucket)
		if len(c.Of) == 0 {
			into.empty = true
			continue
		}
		hashes, whole := c.Of[0].Distinct.Hashes()
		if !whole {
			return fault.WithHint(fault.Errorf(fault.Overload, "%s has more than %d different values, which are too many to count exactly", r.of.Name, len(hashes)),
				"select less, or use a shorter time range")
		}
		into.hashes, into.empty = hashes, into.empty || c.Of[0].Absent > 0
		if err := r.hold(48 + 8*len(hashes)); err != nil {
			return err
		}
	}
	return nil
}

// textsKey returns a text that equal texts, and only they, share.
func textsKey(texts []string) string {
	var b []byte
	for _, s := range texts {
		b = append(strconv.AppendInt(b, int64(len(s)), 10), ':')
		b = append(b, s...)
	}
	return string(b)
}

// windows adds, for every window, the number of different values in it.
func (r *combiner) windows(s *combined) error {
	t, err := r.tally(r.g.labels(s.values))
	if err != nil {
		return err
	}
	s.cells.sort()
	if r.lay.single() {
		s.cells.each(r.lay, func(i, a, b int) {
			if a < b && err == nil {
				err = r.point(t, i, s.cells.cells[a].count())
			}
		})
		return err
	}
	in := map[uint64]int32{} // how many buckets of the window have a value
	empty, held, from, to := 0, 0, 0, 0
	defer func() { r.env.held -= int64(held) }()
	s.cells.each(r.lay, func(i, a, b int) {
		if err != nil {
			return
		}
		for ; to < b; to++ {
			c := &s.cells.cells[to]
			empty += c.blank()
			for _, h := range c.hashes {
				in[h]++
			}
		}
		for ; from < a; from++ {
			c := &s.cells.cells[from]
			empty -= c.blank()
			for _, h := range c.hashes {
				if in[h]--; in[h] == 0 {
					delete(in, h)
				}
			}
		}
		if more := 40*len(in) - held; more > 0 {
			held += more
			err = r.env.hold(more)
		}
		if a < b && err == nil {
			err = r.point(t, i, float64(len(in)+min(empty, 1)))
		}
		err = cmp.Or(err, r.ctx.Err())
	})
	return err
}

func (c *seen) count() float64 { return float64(len(c.hashes) + c.blank()) }

func (c *seen) blank() int {
	if c.empty {
		return 1
	}
	return 0
}

// single reports whether every window is one bucket.
func (l *layout) single() bool {
	for i := range l.low {
		if l.high[i]-l.low[i] != 1 {
			return false
		}
	}
	return true
}
