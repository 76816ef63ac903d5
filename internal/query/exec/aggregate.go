package exec

import (
	"cmp"
	"math"
	"slices"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/query/plan"
)

// aggregate combines the series of x.
func aggregate(n *plan.Aggregate, x Value, steps int) (Value, error) {
	if x.IsScalar {
		return Value{}, fault.WithHint(fault.Errorf(fault.Invalid, "%s aggregates series, not a scalar", n.Op), "write vector(n)")
	}
	type group struct {
		labels  Labels
		members []*Series
	}
	groups := map[string]*group{}
	var order []*group
	for _, s := range x.Series {
		l := s.Labels.keep(n.Labels, n.Without)
		key := l.Key()
		g, ok := groups[key]
		if !ok {
			g = &group{labels: l}
			groups[key] = g
			order = append(order, g)
		}
		g.members = append(g.members, s)
	}
	var out []*Series
	for _, g := range order {
		if n.Op == "topk" || n.Op == "bottomk" {
			out = append(out, best(g.members, int(n.Param), n.Op == "topk", steps)...)
			continue
		}
		s := newSeries(g.labels, steps)
		for i := range steps {
			if v, ok := combine(n.Op, g.members, i); ok {
				s.set(i, v)
			}
		}
		out = append(out, s)
	}
	return Value{Series: out}, nil
}

// combine computes one step of one group.
func combine(op string, members []*Series, i int) (v float64, ok bool) {
	n := 0.0
	for _, s := range members {
		if !s.Has[i] {
			continue
		}
		x := s.Vals[i]
		n++
		switch {
		case n == 1:
			v = x
		case op == "min":
			if x < v || math.IsNaN(v) {
				v = x
			}
		case op == "max":
			if x > v || math.IsNaN(v) {
				v = x
			}
		default:
			v += x
		}
	}
	switch op {
	case "count":
		v = n
	case "avg":
		v /= n
	}
	return v, n > 0
}

// best keeps at each step the k largest (or smallest) of the series. Equal
// values are told apart by labels, so that an answer can be repeated.
func best(members []*Series, k int, largest bool, steps int) []*Series {
	keys := make(map[*Series]string, len(members))
	kept := map[*Series]*Series{}
	for _, s := range members {
		keys[s] = s.Labels.Key()
	}
	var out, here []*Series
	for i := range steps {
		here = here[:0]
		for _, s := range members {
			if s.Has[i] {
				here = append(here, s)
			}
		}
		slices.SortFunc(here, func(a, b *Series) int {
			return cmp.Or(order(a.Vals[i], b.Vals[i], largest), cmp.Compare(keys[a], keys[b]))
		})
		for _, s := range here[:min(k, len(here))] {
			t, ok := kept[s]
			if !ok {
				t = newSeries(s.Labels, steps)
				kept[s] = t
				out = append(out, t)
			}
			t.set(i, s.Vals[i])
		}
	}
	return out
}

// order compares values with NaN last.
func order(a, b float64, largest bool) int {
	switch {
	case math.IsNaN(a) || math.IsNaN(b):
		return cmp.Compare(nan(a), nan(b))
	case largest:
		return cmp.Compare(b, a)
	}
	return cmp.Compare(a, b)
}

func nan(f float64) int {
	if math.IsNaN(f) {
		return 1
	}
	return 0
}
