// Package exec runs planned metric queries against a store: it asks for counts
// by label and time, and does the arithmetic that the store does not.
//
// It knows nothing of the language, nor of who asks; package query gives it the
// tenant and adds the scope to every predicate before it gets here. A value
// belongs to whoever Run returned it to.
package exec

import (
	"context"
	"math"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/plan"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

// Steps are the points in time of an answer: Start, Start+Step, … N of them, ns.
// An instant query has one.
type Steps struct {
	Start, Step int64
	N           int
}

// At returns the time of point i.
func (s Steps) At(i int) int64 { return s.Start + int64(i)*s.Step }

// End returns the time of the last point.
func (s Steps) End() int64 { return s.At(s.N - 1) }

// A Series is one value per step, absent where Has is false.
type Series struct {
	Labels Labels
	Vals   []float64
	Has    []bool
}

func newSeries(l Labels, n int) *Series {
	return &Series{Labels: l, Vals: make([]float64, n), Has: make([]bool, n)}
}

// Constant returns a series without labels that has v at each of n steps.
func Constant(v float64, n int) *Series {
	s := newSeries(nil, n)
	for i := range s.Vals {
		s.set(i, v)
	}
	return s
}

func (s *Series) set(i int, v float64) { s.Vals[i], s.Has[i] = v, true }

// A Value is a scalar or a set of series, in no particular order.
type Value struct {
	IsScalar bool
	Scalar   float64
	Series   []*Series
}

// Env is what a run needs.
type Env struct {
	Store  store.Reader
	Tenant record.TenantID
	Steps  Steps
	Budget store.Budget
	// Where gives the predicate of a log query with the scope added.
	Where func(*plan.Log) match.Predicate
	// MaxSeries bounds the series of any intermediate answer, MaxBuckets the
	// time buckets of one request to the store, MaxRequests their number. Series
	// times buckets the store bounds itself.
	MaxSeries   int
	MaxBuckets  int
	MaxRequests int

	Stats    store.Stats // summed over all requests
	requests int
}

// Run runs a metric query.
func Run(ctx context.Context, env *Env, n plan.Node) (Value, error) {
	if err := ctx.Err(); err != nil {
		return Value{}, err
	}
	switch n := n.(type) {
	case plan.Number:
		return Value{IsScalar: true, Scalar: float64(n)}, nil
	case plan.Vector:
		return Value{Series: []*Series{Constant(float64(n), env.Steps.N)}}, nil
	case *plan.Count:
		s, err := count(ctx, env, n)
		return Value{Series: s}, err
	case *plan.Aggregate:
		x, err := Run(ctx, env, n.X)
		if err != nil {
			return Value{}, err
		}
		return aggregate(n, x, env.Steps.N)
	case *plan.Binary:
		l, err := Run(ctx, env, n.L)
		if err != nil {
			return Value{}, err
		}
		r, err := Run(ctx, env, n.R)
		if err != nil {
			return Value{}, err
		}
		return binary(n, l, r, env.Steps.N)
	}
	return Value{}, fault.Errorf(fault.Internal, "plan node %T is unknown", n)
}

// addStats sums what requests cost.
func addStats(a *store.Stats, b store.Stats) {
	a.Segments = max(a.Segments, b.Segments)
	a.Blocks += b.Blocks
	a.BlocksPruned += b.BlocksPruned
	a.BlocksScanned += b.BlocksScanned
	a.PrunedByTime += b.PrunedByTime
	a.PrunedByColumns += b.PrunedByColumns
	a.PrunedByTokens += b.PrunedByTokens
	a.RowsScanned += b.RowsScanned
	a.RowsMatched += b.RowsMatched
	a.BytesRead += b.BytesRead
	a.BytesDecoded += b.BytesDecoded
	a.Elapsed += b.Elapsed
	for _, d := range b.Damaged {
		if !contains(a.Damaged, d) {
			a.Damaged = append(a.Damaged, d)
		}
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// apply computes one arithmetic or comparison operator. Division by zero is
// NaN, as in Loki.
func apply(op string, l, r float64) (v float64, holds bool) {
	switch op {
	case "+":
		return l + r, true
	case "-":
		return l - r, true
	case "*":
		return l * r, true
	case "/":
		if r == 0 {
			return math.NaN(), true
		}
		return l / r, true
	case "%":
		if r == 0 {
			return math.NaN(), true
		}
		return math.Mod(l, r), true
	case "^":
		return math.Pow(l, r), true
	case "==":
		return l, l == r
	case "!=":
		return l, l != r
	case ">":
		return l, l > r
	case ">=":
		return l, l >= r
	case "<":
		return l, l < r
	case "<=":
		return l, l <= r
	}
	return 0, false
}
