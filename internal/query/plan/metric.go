package plan

import (
	"slices"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/logql"
)

// A Node is one step of a metric query: *Range, *Aggregate, *Replace, *Binary,
// Vector or Number. The set is closed.
type Node interface{ isNode() }

type (
	// Range computes over the records in the window of Range ns that ends Offset
	// ns before each point. The window excludes its start and includes its end.
	Range struct {
		Op     string // as LogQL names it: rate, max_over_time, …
		Param  float64
		Log    *Log
		Unwrap *Unwrap // nil: records, or the bytes of their lines, are counted
		Range  int64
		Offset int64
		// By names the labels of the result. With Stream set the series are told
		// apart by the stream labels and what the pipeline makes, but not by those
		// in Without, and by By besides.
		By      []string
		Stream  bool
		Without []string
		// Absent are the labels of the series of absent_over_time: name, value.
		Absent [][2]string
		// Distinct says that a record counts or not by what comes before it in the
		// window, so that each window must be read by itself.
		Distinct bool
	}
	// Aggregate combines series: sum, count, min, max, avg, stddev, stdvar, or
	// chooses or orders them: topk, bottomk, approx_topk, sort, sort_desc.
	Aggregate struct {
		Op      string
		Param   int64
		Without bool
		Labels  []string
		X       Node
	}
	// Replace sets label Dst of the series whose label Src matches Regex, to what
	// Replacement makes of the match.
	Replace struct {
		Dst, Replacement, Src string
		Regex                 *match.Regexp // anchored
		X                     Node
	}
	// Binary is an operator between two nodes.
	Binary struct {
		Op       string
		Bool     bool
		Matching *logql.Matching
		L, R     Node
	}
	// Vector is one series without labels.
	Vector float64
	// Number is a scalar.
	Number float64
)

func (*Range) isNode()     {}
func (*Aggregate) isNode() {}
func (*Replace) isNode()   {}
func (*Binary) isNode()    {}
func (Vector) isNode()     {}
func (Number) isNode()     {}

// Metric plans a metric query.
func Metric(e logql.Expr) (Node, error) { return metric(e, nil) }

// metric plans e inside aggregations that group by the labels in wanted: ranges
// must tell records apart by those as well.
func metric(e logql.Expr, wanted []string) (Node, error) {
	switch e := e.(type) {
	case *logql.Number:
		return Number(e.Value), nil
	case *logql.Vector:
		return Vector(e.Value), nil
	case *logql.RangeAgg:
		return overTime(e, wanted)
	case *logql.VectorAgg:
		return aggregate(e, wanted)
	case *logql.LabelReplace:
		return replace(e, wanted)
	case *logql.Binary:
		return binary(e, wanted)
	}
	return nil, fault.Errorf(fault.Invalid, "a metric query is wanted here, not a log query")
}

// with returns list and names, in a slice of its own.
func with(list []string, names ...string) []string { return slices.Concat(list, names) }

func binary(e *logql.Binary, wanted []string) (Node, error) {
	left, right := wanted, wanted
	if m := e.Matching; m != nil {
		if m.On {
			left, right = with(left, m.Names...), with(right, m.Names...)
		}
		switch m.Many {
		case "left":
			right = with(right, m.Include...)
		case "right":
			left = with(left, m.Include...)
		}
	}
	l, err := metric(e.L, left)
	if err != nil {
		return nil, err
	}
	r, err := metric(e.R, right)
	if err != nil {
		return nil, err
	}
	if logql.IsSet(e.Op) {
		for i, side := range []Node{l, r} {
			if v, ok := side.(Number); ok {
				return nil, fault.WithHint(fault.Errorf(fault.Invalid, "unexpected literal for %s leg of logical/set binary operation (%s): %f",
					[]string{"left", "right"}[i], e.Op, float64(v)), "write vector(n)")
			}
		}
	}
	return &Binary{Op: e.Op, Bool: e.Bool, Matching: e.Matching, L: l, R: r}, nil
}

func replace(e *logql.LabelReplace, wanted []string) (Node, error) {
	re, err := match.CompileRegexp("^(?s:" + e.Regex + ")$")
	if err != nil {
		return nil, fault.Errorf(fault.KindOf(err), "invalid regex in label_replace: %w", err)
	}
	x, err := metric(e.X, with(wanted, e.Src))
	if err != nil {
		return nil, err
	}
	return &Replace{Dst: e.Dst, Replacement: e.Replacement, Src: e.Src, Regex: re, X: x}, nil
}

// chooses reports whether an aggregation gives series as they are.
func chooses(op string) bool {
	switch op {
	case "topk", "bottomk", "approx_topk", "sort", "sort_desc":
		return true
	}
	return false
}

func aggregate(e *logql.VectorAgg, wanted []string) (Node, error) {
	a := &Aggregate{Op: e.Op, Param: e.Param}
	if e.Grouping != nil {
		a.Without, a.Labels = e.Grouping.Without, unique(e.Grouping.Names)
	}
	if a.Op == "approx_topk" && e.Grouping != nil {
		return nil, fault.Errorf(fault.Invalid, "grouping not allowed for %s aggregation", a.Op)
	}
	if r, ok := e.X.(*logql.RangeAgg); ok && !a.Without && r.Grouping == nil && inner(a.Op, r.Op) {
		return grouped(r, a)
	}
	if !a.Without {
		if !chooses(a.Op) {
			wanted = nil // what is inside shows only these labels
		}
		wanted = with(wanted, a.Labels...)
	}
	x, err := metric(e.X, wanted)
	if err != nil {
		return nil, err
	}
	a.X = x
	return a, nil
}

// inner reports whether an aggregation of a range aggregation is that range
// aggregation over fewer series: the sum of counts is a count, the largest of
// largest values the largest.
func inner(op, rangeOp string) bool {
	switch op {
	case "sum":
		switch rangeOp {
		case "count_over_time", "rate", "bytes_over_time", "bytes_rate", "sum_over_time":
			return true
		}
	case "min":
		return rangeOp == "min_over_time"
	case "max":
		return rangeOp == "max_over_time"
	}
	return false
}

// grouped plans an aggregation that is inner: the store groups by the asked
// fields alone.
func grouped(e *logql.RangeAgg, a *Aggregate) (Node, error) {
	r, err := overTime(e, nil)
	if err != nil {
		return nil, err
	}
	r.By, r.Stream, r.Without = a.Labels, false, nil
	// Ranges lose the label that they unwrap, but for those that Loki groups at
	// once, which is what it does with sums.
	if r.Unwrap != nil && a.Op != "sum" {
		r.By = slices.DeleteFunc(r.By, func(name string) bool { return name == r.Unwrap.Name })
	}
	return r, nil
}

func overTime(e *logql.RangeAgg, wanted []string) (*Range, error) {
	if err := fits(e); err != nil {
		return nil, err
	}
	r := &Range{Op: e.Op, Param: e.Param, Range: e.Range, Offset: e.Offset, Stream: true, By: unique(wanted)}
	for _, s := range e.Log.Stages {
		if _, ok := s.(*logql.Distinct); ok {
			r.Distinct = true
		}
	}
	var err error
	if e.Unwrap == nil {
		r.Log, err = Select(e.Log)
	} else {
		r.Log, r.Unwrap, err = unwrap(e)
		r.Without = []string{e.Unwrap.Name}
	}
	if err != nil {
		return nil, err
	}
	if g := e.Grouping; g != nil {
		r.Stream = g.Without
		if g.Without {
			r.Without = with(r.Without, g.Names...)
		} else {
			r.By, r.Without = unique(g.Names), nil
		}
	}
	if e.Op == "absent_over_time" {
		r.Absent, r.By, r.Stream, r.Without = absent(e.Log.Matchers), nil, false, nil
	}
	return r, nil
}

// fits checks that function, grouping and unwrap go together.
func fits(e *logql.RangeAgg) error {
	counts, values, groups := false, false, false
	switch e.Op {
	case "rate", "absent_over_time":
		counts, values = true, true
	case "count_over_time", "bytes_over_time", "bytes_rate":
		counts = true
	case "sum_over_time", "rate_counter":
		values = true
	case "avg_over_time", "min_over_time", "max_over_time", "first_over_time", "last_over_time",
		"stddev_over_time", "stdvar_over_time", "quantile_over_time":
		values, groups = true, true
	default:
		return fault.Errorf(fault.Invalid, "unsupported range vector aggregation operation: %s", e.Op)
	}
	switch {
	case e.Grouping != nil && !groups:
		return fault.WithHint(fault.Errorf(fault.Invalid, "grouping not allowed for %s aggregation", e.Op), "write sum by (…) ("+e.Op+"(…))")
	case e.Unwrap != nil && !values:
		return fault.Errorf(fault.Invalid, "invalid aggregation %s with unwrap", e.Op)
	case e.Unwrap == nil && !counts:
		return fault.WithHint(fault.Errorf(fault.Invalid, "invalid aggregation %s without unwrap", e.Op), "name the field to take the values from: {…} | unwrap latency [5m]")
	}
	return nil
}

// absent returns the labels that a series would have whose matchers all hold:
// those that are asked for by equality, once.
func absent(matchers []logql.Matcher) (out [][2]string) {
	unsure := map[string]bool{}
	seen := map[string]bool{}
	for _, m := range matchers {
		unsure[m.Name] = unsure[m.Name] || m.Op != logql.OpEq || seen[m.Name]
		seen[m.Name] = true
	}
	for _, m := range matchers {
		if !unsure[m.Name] && m.Value != "" {
			out = append(out, [2]string{m.Name, m.Value})
		}
	}
	return out
}

func unique(names []string) []string {
	seen := map[string]bool{}
	out := []string{}
	for _, n := range names {
		if !seen[n] {
			seen[n] = true
			out = append(out, n)
		}
	}
	return out
}

// Ranges calls f for every range aggregation of a metric query, and stops at an
// error.
func Ranges(n Node, f func(*Range) error) error {
	switch n := n.(type) {
	case *Range:
		return f(n)
	case *Aggregate:
		return Ranges(n.X, f)
	case *Replace:
		return Ranges(n.X, f)
	case *Binary:
		if err := Ranges(n.L, f); err != nil {
			return err
		}
		return Ranges(n.R, f)
	}
	return nil
}

// Sorts reports whether a query gives its series an order: sort or sort_desc is
// somewhere in it. Others are shown in the order of their labels, topk as well.
func Sorts(n Node) bool {
	switch n := n.(type) {
	case *Aggregate:
		return n.Op == "sort" || n.Op == "sort_desc" || Sorts(n.X)
	case *Replace:
		return Sorts(n.X)
	case *Binary:
		return Sorts(n.L) || Sorts(n.R)
	}
	return false
}
