// Package plan turns a LogQL tree into what a store can do: predicates, counts
// by fields and time, and the arithmetic that is left over.
//
// It decides what a query means (spec/query.md) and knows nothing of time ranges,
// limits or who asks; those are package query's. It keeps nothing.
package plan

import (
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/query/pipe"
)

// ClassName is the name by which a query asks for the retention class.
const ClassName = "class"

// A Log is a log query: which records it selects.
//
// Where holds for every record that the query selects. With a nil Pipe it holds
// for no other: Where says it all. Else each record that Where holds for must go
// through Pipe, which lets go of those that the query does not select.
//
// Sure and Unsure, set together or not at all, split that work: Sure holds
// only for records that the query selects and that Pipe would leave exactly as
// they are (no field made or dropped, the line unchanged, no error), Unsure
// for whatever else must go through Pipe. None has both, and together they hold
// for all that the query selects. Counting by Sure in the store and the rest
// record by record gives the same as Where and Pipe.
type Log struct {
	Where        match.Predicate
	Pipe         *pipe.Pipeline
	Sure, Unsure match.Predicate
	// NamesClass is set when the query itself speaks of the retention class;
	// WantsClass lists the classes that it asks for by name.
	NamesClass bool
	WantsClass []string
}

// A Node is one step of a metric query: *Count, *Aggregate, *Binary, Vector or
// Number. The set is closed.
type Node interface{ isNode() }

type (
	// Count counts records, or with Bytes the bytes of their lines, in the
	// window of Range ns that ends Offset ns before each point. The window
	// excludes its start and includes its end.
	Count struct {
		Log    *Log
		Range  int64
		Offset int64
		Bytes  bool
		Rate   bool // divide by the seconds of Range
		// By names the labels of the result. With Stream set the series are
		// grouped by the stream labels, and by By besides.
		By     []string
		Stream bool
	}
	// Aggregate combines series: sum, count, min, max, avg, topk, bottomk.
	Aggregate struct {
		Op      string
		Param   int64
		Without bool
		Labels  []string
		X       Node
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

func (*Count) isNode()     {}
func (*Aggregate) isNode() {}
func (*Binary) isNode()    {}
func (Vector) isNode()     {}
func (Number) isNode()     {}

// Metric plans a metric query.
func Metric(e logql.Expr) (Node, error) { return metric(e, nil) }

// metric plans e inside aggregations that group by the labels in wanted: counts
// must tell records apart by those as well.
func metric(e logql.Expr, wanted []string) (Node, error) {
	switch e := e.(type) {
	case *logql.Number:
		return Number(e.Value), nil
	case *logql.Vector:
		return Vector(e.Value), nil
	case *logql.RangeAgg:
		return count(e, wanted, true)
	case *logql.VectorAgg:
		return aggregate(e, wanted)
	case *logql.Binary:
		if e.Matching != nil && e.Matching.On {
			wanted = append(wanted[:len(wanted):len(wanted)], e.Matching.Names...)
		}
		l, err := metric(e.L, wanted)
		if err != nil {
			return nil, err
		}
		r, err := metric(e.R, wanted)
		if err != nil {
			return nil, err
		}
		return &Binary{Op: e.Op, Bool: e.Bool, Matching: e.Matching, L: l, R: r}, nil
	}
	return nil, fault.Errorf(fault.Invalid, "a metric query is wanted here, not a log query")
}

func count(e *logql.RangeAgg, by []string, stream bool) (*Count, error) {
	l, err := Select(e.Log)
	if err != nil {
		return nil, err
	}
	return &Count{
		Log: l, Range: e.Range, Offset: e.Offset, By: unique(by), Stream: stream,
		Bytes: e.Op == "bytes_over_time" || e.Op == "bytes_rate",
		Rate:  e.Op == "rate" || e.Op == "bytes_rate",
	}, nil
}

func aggregate(e *logql.VectorAgg, wanted []string) (Node, error) {
	a := &Aggregate{Op: e.Op, Param: e.Param}
	if e.Grouping != nil {
		a.Without, a.Labels = e.Grouping.Without, unique(e.Grouping.Names)
	}
	// The sum of counts is a count: the store groups by the asked fields alone.
	if r, ok := e.X.(*logql.RangeAgg); ok && e.Op == "sum" && !a.Without {
		return count(r, a.Labels, false)
	}
	if !a.Without {
		if keeps := e.Op == "topk" || e.Op == "bottomk"; !keeps {
			wanted = nil // what is inside shows only these labels
		}
		wanted = append(wanted[:len(wanted):len(wanted)], a.Labels...)
	}
	x, err := metric(e.X, wanted)
	if err != nil {
		return nil, err
	}
	a.X = x
	return a, nil
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

// Counts calls f for every count of a metric query, and stops at an error.
func Counts(n Node, f func(*Count) error) error {
	switch n := n.(type) {
	case *Count:
		return f(n)
	case *Aggregate:
		return Counts(n.X, f)
	case *Binary:
		if err := Counts(n.L, f); err != nil {
			return err
		}
		return Counts(n.R, f)
	}
	return nil
}

// Ranks reports whether the order of the series of an instant answer has a
// meaning: topk and bottomk give them best first.
func Ranks(n Node) bool {
	a, ok := n.(*Aggregate)
	return ok && (a.Op == "topk" || a.Op == "bottomk")
}
