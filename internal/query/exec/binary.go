package exec

import (
	"context"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/query/plan"
)

// binary joins two values with an operator.
func binary(ctx context.Context, env *Env, n *plan.Binary, l, r Value) (Value, error) {
	if l.IsScalar && r.IsScalar {
		v, holds := apply(n.Op, l.Scalar, r.Scalar)
		if logql.IsComparison(n.Op) {
			v = truth(holds)
		}
		return Value{IsScalar: true, Scalar: v}, nil
	}
	j := &joint{ctx: ctx, env: env, n: n}
	var err error
	switch {
	case logql.IsSet(n.Op) && (l.IsScalar || r.IsScalar):
		err = fault.Errorf(fault.Invalid, "operator %s joins series, not scalars", n.Op)
	case logql.IsSet(n.Op):
		err = j.sets(l.Series, r.Series)
	case r.IsScalar:
		err = j.each(l.Series, func(x float64) (float64, bool) { return apply(n.Op, x, r.Scalar) })
	case l.IsScalar:
		err = j.each(r.Series, func(x float64) (float64, bool) {
			v, holds := apply(n.Op, l.Scalar, x)
			if logql.IsComparison(n.Op) {
				v = x // a filter keeps the value of the series
			}
			return v, holds
		})
	default:
		err = j.pairs(l.Series, r.Series)
	}
	return Value{Series: j.out}, err
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// A joint is a binary operation on its way.
type joint struct {
	ctx context.Context
	env *Env
	n   *plan.Binary
	out []*Series
}

// series returns a new series of the result.
func (j *joint) series(l Labels) (*Series, error) {
	if err := j.ctx.Err(); err != nil {
		return nil, err
	}
	if err := j.env.few(len(j.out) + 1); err != nil {
		return nil, err
	}
	s, err := j.env.series(l)
	if err == nil {
		j.out = append(j.out, s)
	}
	return s, err
}

// put sets a value where the operator holds, or 0 or 1 with bool.
func (j *joint) put(t *Series, i int, v float64, holds bool) {
	switch {
	case j.n.Bool && logql.IsComparison(j.n.Op):
		t.set(i, truth(holds))
	case holds:
		t.set(i, v)
	}
}

// each applies f to every value.
func (j *joint) each(in []*Series, f func(float64) (float64, bool)) error {
	for _, s := range in {
		t, err := j.series(s.Labels)
		if err != nil {
			return err
		}
		for i, has := range s.Has {
			if has {
				v, holds := f(s.Vals[i])
				j.put(t, i, v, holds)
			}
		}
	}
	return nil
}

// signature returns the labels by which two sides meet.
func signature(m *logql.Matching, l Labels) Labels {
	if m == nil {
		return l
	}
	return l.keep(m.Names, !m.On)
}

// numbered gives every signature a number, and each series that of its own.
type numbered map[string]int

func (n numbered) of(m *logql.Matching, list []*Series) []int {
	out := make([]int, len(list))
	for i, s := range list {
		key := signature(m, s.Labels).Key()
		if _, ok := n[key]; !ok {
			n[key] = len(n)
		}
		out[i] = n[key]
	}
	return out
}

// Errors in Loki's words.
const (
	manyToOne  = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
	notUnique  = "multiple matches for labels: grouping labels must ensure unique matches"
	manyToMany = "found duplicate series on the %s hand-side;many-to-many matching not allowed: matching labels must be unique on one side"
)

// pairs joins the series of two sides whose signatures are equal. Which series
// meet is decided at each step, as not all are there at each. The side that may
// have several series for one of the other is called many.
func (j *joint) pairs(left, right []*Series) error {
	m := j.n.Matching
	many, one, side := left, right, "right"
	grouped := m != nil && m.Many != ""
	swapped := grouped && m.Many == "right"
	if swapped {
		many, one, side = right, left, "left"
	}
	sigs := numbered{}
	manySigs, oneSigs := sigs.of(m, many), sigs.of(m, one)
	results := map[[2]int]int{} // of a pair of series, in j.out
	byLabels := map[string]int{}
	here := make([]int, len(sigs)) // the series of one that is there, + 1
	met := make([]bool, len(sigs)) // by a series of many
	var filled []int               // at which step a result got its last value, + 1
	for i := range j.env.Steps.N {
		if err := j.ctx.Err(); err != nil {
			return err
		}
		clear(here)
		clear(met)
		for k, s := range one {
			if !s.Has[i] {
				continue
			}
			if here[oneSigs[k]] != 0 {
				return fault.WithHint(fault.Errorf(fault.Invalid, manyToMany, side), "match by more labels, or aggregate that side")
			}
			here[oneSigs[k]] = k + 1
		}
		for k, s := range many {
			sig := manySigs[k]
			if !s.Has[i] || here[sig] == 0 {
				continue
			}
			if met[sig] && !grouped {
				return fault.WithHint(fault.Errorf(fault.Invalid, manyToOne), "match by more labels, aggregate one side, or write group_left after on (…)")
			}
			met[sig] = true
			o := here[sig] - 1
			at, ok := results[[2]int{k, o}]
			if !ok {
				l := resultLabels(m, s.Labels, one[o].Labels)
				key := l.Key()
				if at, ok = byLabels[key]; !ok {
					at = len(j.out)
					if _, err := j.series(l); err != nil {
						return err
					}
					byLabels[key], filled = at, append(filled, 0)
				}
				results[[2]int{k, o}] = at
			}
			if filled[at] == i+1 {
				return fault.WithHint(fault.Errorf(fault.Invalid, notUnique), "the labels in group_left (…) make series the same")
			}
			filled[at] = i + 1
			a, b := s.Vals[i], one[o].Vals[i]
			if swapped {
				a, b = b, a
			}
			v, holds := apply(j.n.Op, a, b)
			j.put(j.out[at], i, v, holds)
		}
	}
	return nil
}

// resultLabels returns the labels of a pair: those by which they met, or those of
// the many side with some of the one side.
func resultLabels(m *logql.Matching, many, one Labels) Labels {
	if m == nil {
		return many
	}
	if m.Many == "" {
		return signature(m, many)
	}
	out := many.keep(m.Include, true)
	for _, name := range m.Include {
		out = append(out, Label{name, one.Get(name)})
	}
	return sorted(out)
}

// sets computes and, or, unless at each step.
func (j *joint) sets(l, r []*Series) error {
	sigs := numbered{}
	left, right := sigs.of(j.n.Matching, l), sigs.of(j.n.Matching, r)
	words := (j.env.Steps.N + 63) / 64
	present := func(list []*Series, of []int) ([][]uint64, error) {
		if err := j.env.hold(8 * words * len(sigs)); err != nil {
			return nil, err
		}
		out := make([][]uint64, len(sigs))
		for k, s := range list {
			if out[of[k]] == nil {
				out[of[k]] = make([]uint64, words)
			}
			for i, has := range s.Has {
				if has {
					out[of[k]][i/64] |= 1 << (i % 64)
				}
			}
		}
		return out, nil
	}
	filter := func(list []*Series, of []int, there [][]uint64, want bool) error {
		for k, s := range list {
			t, err := j.series(s.Labels)
			if err != nil {
				return err
			}
			bits := there[of[k]]
			for i, has := range s.Has {
				if has && (bits != nil && bits[i/64]>>(i%64)&1 == 1) == want {
					t.set(i, s.Vals[i])
				}
			}
		}
		return nil
	}
	list, of := r, right
	if j.n.Op == "or" {
		list, of = l, left
	}
	there, err := present(list, of)
	if err != nil {
		return err
	}
	defer func() { j.env.held -= int64(8 * words * len(sigs)) }()
	switch j.n.Op {
	case "and":
		return filter(l, left, there, true)
	case "unless":
		return filter(l, left, there, false)
	}
	if err := filter(l, left, make([][]uint64, len(sigs)), false); err != nil {
		return err
	}
	if err := filter(r, right, there, false); err != nil {
		return err
	}
	return j.unite()
}

// unite makes series of equal labels one: an or may give a series from the left
// at some steps and from the right at others.
func (j *joint) unite() error {
	seen := map[string]*Series{}
	var out []*Series
	for _, s := range j.out {
		key := s.Labels.Key()
		t, ok := seen[key]
		if !ok {
			seen[key] = s
			out = append(out, s)
			continue
		}
		for i, has := range s.Has {
			if has && !t.Has[i] {
				t.set(i, s.Vals[i])
			}
		}
		j.env.release([]*Series{s})
	}
	j.out = out
	return j.ctx.Err()
}
