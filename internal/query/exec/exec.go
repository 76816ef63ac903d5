// Package exec runs planned metric queries against a store and does the
// arithmetic that the store does not.
//
// A range aggregation is computed in one of three ways, all of which give the
// same numbers: the store counts (Count), the store measures a field (Measure),
// or, when a pipeline is left to run, records are read and each is looked at
// (Scan). Where a plan says of some records that the pipeline does not touch
// them, the store answers for those and only the others are read. Times are cut
// into buckets of which every window is a run; buckets are merged into windows
// in one pass, so that the cost does not grow with the number of windows that a
// record is in.
//
// It knows nothing of the language, nor of who asks; package query gives it the
// tenant and adds the scope to every predicate before it gets here. Memory is
// bounded and accounted for by Env; a value belongs to whoever Run returned it to.
package exec

import (
	"cmp"
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

// A Value is a scalar or a set of series. The order of series means something
// only when the query sorts.
type Value struct {
	IsScalar bool
	Scalar   float64
	Series   []*Series
}

// Env is what a run needs. It belongs to one run and its goroutine.
type Env struct {
	Store   store.Reader
	Tenant  record.TenantID
	Steps   Steps
	Instant bool
	Budget  store.Budget
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
	lease    *store.Lease // of the question
	leased   int64        // bytes taken from it: the most that was held
	held     int64        // bytes of the series and samples that are alive
	points   int64        // of the series that are alive
	most     int64        // that may be held; 0: maxHeld
	byRecord bool         // for tests: never let the store count or measure
	hands    int          // for tests: the hands of a reading; 0: as many as are worth it
}

// limit returns how many bytes may be held.
func (e *Env) limit() int64 { return cmp.Or(e.most, maxHeld) }

// maxHeld bounds what one query holds in memory at a time, in bytes. It counts
// series, buckets and samples, which is most of it.
const maxHeld = 256 << 20

// maxPoints bounds series times points that are alive.
const maxPoints = 8 << 20

// hold accounts for n bytes more.
func (e *Env) hold(n int) error {
	e.held += int64(n)
	if e.held > e.limit() {
		return fault.WithHint(fault.Errorf(fault.Overload, "query holds more than %d MiB of series and samples", maxHeld>>20),
			"group by fewer labels, use a longer step or a shorter time range, or select less")
	}
	if more := e.held - e.leased; more > 0 {
		more = max(more, leasePiece)
		if err := e.lease.Take(int(more)); err != nil {
			return err
		}
		e.leased += more
	}
	return nil
}

// begin finds what the run takes its memory from.
func (e *Env) begin(ctx context.Context) {
	if e.lease == nil {
		e.lease = store.LeaseOf(ctx)
	}
}

// leasePiece is how many bytes at least are taken from the lease at once.
const leasePiece = 64 << 10

// size estimates the memory of a series of n points.
func size(l Labels, n int) int {
	b := 120 + 9*n
	for i := range l {
		b += 32 + len(l[i].Name) + len(l[i].Value)
	}
	return b
}

// room accounts for a series.
func (e *Env) room(l Labels) error {
	if e.points += int64(e.Steps.N); e.points > maxPoints {
		return fault.WithHint(fault.Errorf(fault.Overload, "query holds more than %d points of series", maxPoints),
			"group by fewer labels, use a longer step or a shorter time range")
	}
	return e.hold(size(l, e.Steps.N))
}

// series returns a new series, accounted for.
func (e *Env) series(l Labels) (*Series, error) {
	if err := e.room(l); err != nil {
		return nil, err
	}
	return newSeries(l, e.Steps.N), nil
}

// alias returns a series with other labels and the points of s.
func (e *Env) alias(s *Series, l Labels) (*Series, error) {
	return &Series{Labels: l, Vals: s.Vals, Has: s.Has}, e.room(l)
}

// release forgets series that no one will look at again.
func (e *Env) release(list []*Series) {
	for _, s := range list {
		e.held -= int64(size(s.Labels, len(s.Vals)))
		e.points -= int64(len(s.Vals))
	}
}

// few checks the number of series of an answer.
func (e *Env) few(n int) error {
	if n <= e.MaxSeries {
		return nil
	}
	return fault.WithHint(fault.Errorf(fault.Overload, "maximum number of series (%d) reached for a single query", e.MaxSeries),
		"group by fewer labels, or select less: sum by (…) (…) keeps only the labels that are named")
}

// groups checks the number of groups that the store gave. Some may prove to be one
// series, as the store tells apart by fields that not every series shows.
func (e *Env) groups(n int) error { return e.few(n / 4) }

// Run runs a metric query.
func Run(ctx context.Context, env *Env, n plan.Node) (Value, error) {
	env.begin(ctx)
	if err := ctx.Err(); err != nil {
		return Value{}, err
	}
	switch n := n.(type) {
	case plan.Number:
		return Value{IsScalar: true, Scalar: float64(n)}, nil
	case plan.Vector:
		s := Constant(float64(n), env.Steps.N)
		return Value{Series: []*Series{s}}, env.room(nil)
	case *plan.Range:
		s, err := overTime(ctx, env, n)
		return Value{Series: s}, err
	case *plan.Aggregate:
		return aggregated(ctx, env, n)
	case *plan.Replace:
		return one(ctx, env, n.X, func(x Value) (Value, error) { return replace(ctx, env, n, x) })
	case *plan.Binary:
		return one(ctx, env, n.L, func(l Value) (Value, error) {
			return one(ctx, env, n.R, func(r Value) (Value, error) { return binary(ctx, env, n, l, r) })
		})
	}
	return Value{}, fault.Errorf(fault.Internal, "plan node %T is unknown", n)
}

// one runs x, gives it to f and then forgets it.
func one(ctx context.Context, env *Env, x plan.Node, f func(Value) (Value, error)) (Value, error) {
	v, err := Run(ctx, env, x)
	if err != nil {
		return Value{}, err
	}
	out, err := f(v)
	env.release(v.Series)
	return out, err
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
	a.ResultCache.Add(b.ResultCache)
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
// NaN, as in Loki. Where a comparison holds its value is that of the left side.
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
