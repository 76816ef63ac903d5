package exec

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/query/plan"
)

// aggregated runs an aggregation: without its input where there is a shorter way.
func aggregated(ctx context.Context, env *Env, n *plan.Aggregate) (Value, error) {
	if r, of, is := n.Combinations(); is {
		if out, ok, err := combinations(ctx, env, r, of); ok || err != nil {
			return Value{Series: out}, err
		}
	}
	if n.Ranks() {
		if out, ok, err := ranked(ctx, env, n); ok || err != nil {
			return Value{Series: out}, err
		}
	}
	v, err := input(ctx, env, n)
	if err != nil {
		return Value{}, err
	}
	out, err := aggregate(ctx, env, n, v)
	env.release(v.Series)
	return out, err
}

// maxRanked bounds the series of which one point is compared and few are kept.
// The memory that they take is bounded like all other.
const maxRanked = 1 << 18

// input runs what an aggregation is of.
func input(ctx context.Context, env *Env, n *plan.Aggregate) (Value, error) {
	if n.Ranks() && env.Steps.N == 1 {
		defer func(most int) { env.MaxSeries = most }(env.MaxSeries)
		env.MaxSeries = max(env.MaxSeries, maxRanked)
	}
	return Run(ctx, env, n.X)
}

// aggregate combines, chooses or orders the series of x.
func aggregate(ctx context.Context, env *Env, n *plan.Aggregate, x Value) (Value, error) {
	if x.IsScalar {
		return Value{}, fault.WithHint(fault.Errorf(fault.Invalid, "%s aggregates series, not a scalar", n.Op), "write vector(n)")
	}
	if n.Op == "approx_topk" && !env.Instant {
		return Value{}, fault.WithHint(fault.Errorf(fault.Invalid, "count min sketches are only supported on instant queries"), "use topk")
	}
	var out []*Series
	order, err := groups(ctx, n, x.Series)
	if err != nil {
		return Value{}, err
	}
	for _, g := range order {
		list, err := g.aggregate(ctx, env, n)
		if err != nil {
			return Value{}, err
		}
		out = append(out, list...)
	}
	return Value{Series: out}, nil
}

// A group is series that are aggregated together.
type group struct {
	labels  Labels
	members []*Series
}

func groups(ctx context.Context, n *plan.Aggregate, list []*Series) (order []*group, err error) {
	byKey, watch := map[string]*group{}, fault.NewWatch(ctx)
	for _, s := range list {
		if err := watch.Step(1); err != nil {
			return nil, err
		}
		l := s.Labels.keep(n.Labels, n.Without)
		key := l.Key()
		g, ok := byKey[key]
		if !ok {
			g = &group{labels: l}
			byKey[key] = g
			order = append(order, g)
		}
		g.members = append(g.members, s)
	}
	return order, nil
}

func (g *group) aggregate(ctx context.Context, env *Env, n *plan.Aggregate) ([]*Series, error) {
	switch n.Op {
	case "topk", "bottomk", "approx_topk":
		return g.best(ctx, env, int(n.Param), n.Op != "bottomk")
	case "sort", "sort_desc":
		return g.sort(ctx, env, n.Op == "sort_desc")
	}
	s, err := env.series(g.labels)
	if err != nil {
		return nil, err
	}
	mean := make([]float64, env.Steps.N)
	count := make([]float64, env.Steps.N)
	for _, m := range g.members {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for i, has := range m.Has {
			if has {
				count[i]++
				s.Has[i] = true
				combine(n.Op, &s.Vals[i], &mean[i], count[i], m.Vals[i])
			}
		}
	}
	for i, c := range count {
		if c > 0 {
			s.Vals[i] = conclude(n.Op, s.Vals[i], mean[i], c)
		}
	}
	return []*Series{s}, nil
}

// combine takes the n-th value x of a step into v. For avg, stddev and stdvar
// mean follows the values, and v their squared differences from it (Welford).
func combine(op string, v, mean *float64, n, x float64) {
	switch op {
	case "sum":
		*v += x
	case "min":
		if n == 1 || x < *v || math.IsNaN(*v) {
			*v = x
		}
	case "max":
		if n == 1 || x > *v || math.IsNaN(*v) {
			*v = x
		}
	case "avg":
		// An infinite mean stays as it is, unless the other infinity or NaN comes.
		if math.IsInf(*mean, 0) && !math.IsNaN(x) && (!math.IsInf(x, 0) || x == *mean) {
			return
		}
		*mean += (x - *mean) / n
	case "stddev", "stdvar":
		d := x - *mean
		*mean += d / n
		*v += d * (x - *mean)
	}
}

// conclude turns what combine left into the value of a step.
func conclude(op string, v, mean, n float64) float64 {
	switch op {
	case "count":
		return n
	case "avg":
		return mean
	case "stdvar":
		return cleared(v/n, mean)
	case "stddev":
		return math.Sqrt(cleared(v/n, mean))
	}
	return v
}

// cleared returns the variance of numbers around mean without what rounding alone
// makes of equal ones: that may be negative, and its root and what is divided by
// it are anything.
func cleared(variance, mean float64) float64 {
	if noise := 1e-14 * mean; variance <= noise*noise {
		return 0
	}
	return variance // NaN too
}

// best keeps at each step the k largest (or smallest) of the series. Equal
// values are told apart by labels, so that an answer can be repeated.
func (g *group) best(ctx context.Context, env *Env, k int, largest bool) ([]*Series, error) {
	if k < 1 {
		return nil, fault.Errorf(fault.Invalid, "invalid parameter (must be greater than 0): %d", k)
	}
	members, watch := slices.Clone(g.members), fault.NewWatch(ctx)
	if err := fault.SortStable(watch, members, func(a, b *Series) int { return a.Labels.Compare(b.Labels) }); err != nil {
		return nil, err
	}
	kept := make([]*Series, len(members))
	var out []*Series
	var here []int
	for i := range env.Steps.N {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		here = here[:0]
		for j, s := range members {
			if s.Has[i] {
				here = append(here, j)
			}
		}
		err := fault.Sort(watch, here, func(a, b int) int {
			return cmp.Or(order(members[a].Vals[i], members[b].Vals[i], largest), cmp.Compare(a, b))
		})
		if err != nil {
			return nil, err
		}
		for _, j := range here[:min(k, len(here))] {
			if kept[j] == nil {
				s, err := env.series(members[j].Labels)
				if err == nil {
					err = env.few(len(out) + 1)
				}
				if err != nil {
					return nil, err
				}
				kept[j], out = s, append(out, s)
			}
			kept[j].set(i, members[j].Vals[i])
		}
	}
	return out, nil
}

// sort orders the series by their values, which means something at an instant
// only: elsewhere series are shown in order of their labels.
func (g *group) sort(ctx context.Context, env *Env, descending bool) ([]*Series, error) {
	out, watch := make([]*Series, len(g.members)), fault.NewWatch(ctx)
	for i, s := range g.members {
		var err error
		if out[i], err = env.alias(s, s.Labels); err != nil {
			return nil, err
		}
	}
	if env.Instant {
		err := fault.SortStable(watch, out, func(a, b *Series) int {
			return cmp.Or(order(a.Vals[0], b.Vals[0], descending), a.Labels.Compare(b.Labels))
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
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

// maxLabel bounds a label that label_replace makes, in bytes.
const maxLabel = 64 << 10

// replace computes label_replace. Labels that it makes equal do not make series
// one.
func replace(ctx context.Context, env *Env, n *plan.Replace, x Value) (Value, error) {
	if x.IsScalar {
		return Value{}, fault.Errorf(fault.Invalid, "label_replace takes series, not a scalar")
	}
	refs := 0
	for i := range len(n.Replacement) {
		if n.Replacement[i] == '$' {
			refs++
		}
	}
	var out []*Series
	for _, s := range x.Series {
		if err := ctx.Err(); err != nil {
			return Value{}, err
		}
		src := s.Labels.Get(n.Src)
		if len(n.Replacement)+refs*len(src) > maxLabel {
			return Value{}, fault.WithHint(fault.Errorf(fault.Overload, "label_replace may make a label of more than %d bytes", maxLabel), "name fewer groups in the replacement")
		}
		l := s.Labels
		if text, ok := n.Regex.Expand(n.Replacement, src); ok {
			l = append(l.keep([]string{n.Dst}, true), Label{n.Dst, text})
			l = sorted(l)
		}
		t, err := env.alias(s, l)
		if err != nil {
			return Value{}, err
		}
		out = append(out, t)
	}
	return Value{Series: out}, nil
}
