package querytest

import (
	"errors"
	"maps"
	"math"
	"slices"

	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/record"
)

func binary(e *logql.Binary, records []record.Record, t int64, wanted []string) ([]Sample, error) {
	if e.Matching != nil && e.Matching.On {
		wanted = append(slices.Clone(wanted), e.Matching.Names...)
	}
	if n, ok := e.R.(*logql.Number); ok {
		return scalar(e, records, t, wanted, e.L, func(v float64) (float64, float64) { return v, n.Value })
	}
	if n, ok := e.L.(*logql.Number); ok {
		return scalar(e, records, t, wanted, e.R, func(v float64) (float64, float64) { return n.Value, v })
	}
	left, err := eval(e.L, records, t, wanted)
	if err != nil {
		return nil, err
	}
	right, err := eval(e.R, records, t, wanted)
	if err != nil {
		return nil, err
	}
	sign := func(s Sample) string { return keyOf(signature(e.Matching, s.Labels)) }
	has := func(list []Sample, s Sample) bool {
		return slices.ContainsFunc(list, func(o Sample) bool { return sign(o) == sign(s) })
	}
	var out []Sample
	switch e.Op {
	case "and", "unless":
		for _, s := range left {
			if has(right, s) == (e.Op == "and") {
				out = append(out, s)
			}
		}
		return out, nil
	case "or":
		out = append(out, left...)
		for _, s := range right {
			if !has(left, s) {
				out = append(out, s)
			}
		}
		return out, nil
	}
	return pairs(e, left, right, sign)
}

func pairs(e *logql.Binary, left, right []Sample, sign func(Sample) string) ([]Sample, error) {
	many := ""
	if e.Matching != nil {
		many = e.Matching.Many
	}
	if many != "right" && twice(right, sign) || many != "left" && twice(left, sign) {
		return nil, errors.New("many to many")
	}
	var out []Sample
	for _, l := range left {
		for _, r := range right {
			if sign(l) != sign(r) {
				continue
			}
			v, holds := operate(e.Op, l.Value, r.Value)
			if logql.IsComparison(e.Op) && e.Bool {
				v, holds = truth(holds), true
			}
			if !holds {
				continue
			}
			labels := signature(e.Matching, l.Labels)
			if many != "" {
				from, one := l.Labels, r.Labels
				if many == "right" {
					from, one = one, from
				}
				labels = maps.Clone(from)
				for _, n := range e.Matching.Include {
					put(labels, n, one[n])
				}
			}
			out = append(out, Sample{labels, v})
		}
	}
	return out, nil
}

func twice(list []Sample, sign func(Sample) string) bool {
	seen := map[string]bool{}
	for _, s := range list {
		if seen[sign(s)] {
			return true
		}
		seen[sign(s)] = true
	}
	return false
}

func signature(m *logql.Matching, labels map[string]string) map[string]string {
	if m == nil {
		return labels
	}
	return shown(&logql.Grouping{Without: !m.On, Names: m.Names}, labels)
}

// scalar joins series with a number.
func scalar(e *logql.Binary, records []record.Record, t int64, wanted []string, x logql.Expr, sides func(float64) (float64, float64)) ([]Sample, error) {
	in, err := eval(x, records, t, wanted)
	var out []Sample
	for _, s := range in {
		v, holds := operate(e.Op, first(sides(s.Value)), second(sides(s.Value)))
		if logql.IsComparison(e.Op) {
			if v = s.Value; e.Bool {
				v, holds = truth(holds), true
			}
		}
		if holds {
			out = append(out, Sample{s.Labels, v})
		}
	}
	return out, err
}

func first(a, _ float64) float64  { return a }
func second(_, b float64) float64 { return b }

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// operate applies an operator; comparisons give the left side where they hold.
func operate(op string, a, b float64) (v float64, holds bool) {
	switch op {
	case "+":
		return a + b, true
	case "-":
		return a - b, true
	case "*":
		return a * b, true
	case "/":
		if b == 0 {
			return math.NaN(), true
		}
		return a / b, true
	case "%":
		if b == 0 {
			return math.NaN(), true
		}
		return math.Mod(a, b), true
	case "^":
		return math.Pow(a, b), true
	case "==":
		return a, a == b
	case "!=":
		return a, a != b
	case ">":
		return a, a > b
	case ">=":
		return a, a >= b
	case "<":
		return a, a < b
	case "<=":
		return a, a <= b
	}
	panic("operator " + op)
}
