package exec

import (
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/query/plan"
)

// binary joins two values with an operator.
func binary(n *plan.Binary, l, r Value, steps int) (Value, error) {
	switch {
	case logql.IsSet(n.Op):
		if l.IsScalar || r.IsScalar {
			return Value{}, fault.Errorf(fault.Invalid, "operator %s joins series, not scalars", n.Op)
		}
		return sets(n, l.Series, r.Series, steps), nil
	case l.IsScalar && r.IsScalar:
		v, holds := apply(n.Op, l.Scalar, r.Scalar)
		if logql.IsComparison(n.Op) {
			v = truth(holds)
		}
		return Value{IsScalar: true, Scalar: v}, nil
	case r.IsScalar:
		return each(n, l.Series, steps, func(x float64) (float64, bool) { return apply(n.Op, x, r.Scalar) }), nil
	case l.IsScalar:
		return each(n, r.Series, steps, func(x float64) (float64, bool) {
			v, holds := apply(n.Op, l.Scalar, x)
			if logql.IsComparison(n.Op) {
				v = x // a filter keeps the value of the series
			}
			return v, holds
		}), nil
	}
	return pairs(n, l.Series, r.Series, steps)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// each applies f to every value; where f does not hold the value is dropped,
// or 0 with bool.
func each(n *plan.Binary, in []*Series, steps int, f func(float64) (float64, bool)) Value {
	var out []*Series
	for _, s := range in {
		t := newSeries(s.Labels, steps)
		for i := range steps {
			if !s.Has[i] {
				continue
			}
			v, holds := f(s.Vals[i])
			put(t, i, n.Bool, v, holds)
		}
		out = append(out, t)
	}
	return Value{Series: out}
}

func put(t *Series, i int, asBool bool, v float64, holds bool) {
	switch {
	case asBool:
		t.set(i, truth(holds))
	case holds:
		t.set(i, v)
	}
}

// signature returns the labels by which two sides meet.
func signature(m *logql.Matching, l Labels) Labels {
	switch {
	case m == nil:
		return l
	case m.On:
		return l.keep(m.Names, false)
	}
	return l.keep(m.Names, true)
}

// pairs joins the series of two sides one to one.
func pairs(n *plan.Binary, l, r []*Series, steps int) (Value, error) {
	right, err := bySignature(n, r, "right")
	if err != nil {
		return Value{}, err
	}
	if _, err := bySignature(n, l, "left"); err != nil {
		return Value{}, err
	}
	var out []*Series
	for _, a := range l {
		labels := signature(n.Matching, a.Labels)
		b, ok := right[labels.Key()]
		if !ok {
			continue
		}
		t := newSeries(labels, steps)
		for i := range steps {
			if a.Has[i] && b.Has[i] {
				v, holds := apply(n.Op, a.Vals[i], b.Vals[i])
				put(t, i, n.Bool, v, holds)
			}
		}
		out = append(out, t)
	}
	return Value{Series: out}, nil
}

func bySignature(n *plan.Binary, list []*Series, side string) (map[string]*Series, error) {
	m := make(map[string]*Series, len(list))
	for _, s := range list {
		key := signature(n.Matching, s.Labels).Key()
		if _, twice := m[key]; twice {
			return nil, fault.WithHint(fault.Errorf(fault.Invalid, "several series on the %s side of %s have the same labels to match by", side, n.Op),
				"match by more labels, or aggregate that side")
		}
		m[key] = s
	}
	return m, nil
}

// sets computes and, or, unless at each step.
func sets(n *plan.Binary, l, r []*Series, steps int) Value {
	present := func(list []*Series) map[string][]bool {
		m := map[string][]bool{}
		for _, s := range list {
			key := signature(n.Matching, s.Labels).Key()
			if m[key] == nil {
				m[key] = make([]bool, steps)
			}
			for i, has := range s.Has {
				m[key][i] = m[key][i] || has
			}
		}
		return m
	}
	filter := func(list []*Series, other map[string][]bool, want bool) (out []*Series) {
		for _, s := range list {
			there := other[signature(n.Matching, s.Labels).Key()]
			t := newSeries(s.Labels, steps)
			for i := range steps {
				if s.Has[i] && (there != nil && there[i]) == want {
					t.set(i, s.Vals[i])
				}
			}
			out = append(out, t)
		}
		return out
	}
	switch n.Op {
	case "and":
		return Value{Series: filter(l, present(r), true)}
	case "unless":
		return Value{Series: filter(l, present(r), false)}
	}
	return Value{Series: join(l, filter(r, present(l), false), steps)}
}

// join puts b beside a; series of equal labels become one.
func join(a, b []*Series, steps int) []*Series {
	seen := map[string]*Series{}
	var out []*Series
	for _, s := range append(a[:len(a):len(a)], b...) {
		key := s.Labels.Key()
		t, ok := seen[key]
		if !ok {
			t = newSeries(s.Labels, steps)
			seen[key] = t
			out = append(out, t)
		}
		for i := range steps {
			if s.Has[i] && !t.Has[i] {
				t.set(i, s.Vals[i])
			}
		}
	}
	return out
}
