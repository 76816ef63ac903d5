package query

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/audit"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/exec"
	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/query/plan"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

// A Request is a query with its times, ns.
type Request struct {
	Query    string
	Language Language
	Where    match.Predicate // of Compiled
	// Start and End bound a log query, Start <= t < End. A metric query is
	// computed at Start, Start+Step, … up to and including End.
	Start, End int64
	Step       int64 // ns; of metric queries
	Instant    bool  // compute a metric query at End only
	Limit      int   // records of a log query; 0: the engine's maximum
	// Interval, of log queries, leaves out records that are nearer than it to the
	// one before them in the answer, ns; 0: none.
	Interval int64
	Order    store.Order
	Remote   string // network peer, for the audit record
}

func (r *Request) detail() map[string]string {
	d := map[string]string{"query": r.Query, "start": stamp(r.Start), "end": stamp(r.End)}
	if r.Instant {
		delete(d, "start")
	}
	if r.Limit > 0 {
		d["limit"] = strconv.Itoa(r.Limit)
	}
	return r.Language.put(d)
}

// Kind is the type of a Result.
type Kind string

// The kinds of results, as Loki names them.
const (
	Streams Kind = "streams"
	Vector  Kind = "vector"
	Matrix  Kind = "matrix"
	Scalar  Kind = "scalar"
)

// Result is the answer to a Request.
type Result struct {
	Kind    Kind
	Streams []Stream  // Streams, in order of their labels
	Steps   Steps     // Vector (one step), Matrix, Scalar
	Series  []*Series // Vector, Matrix
	Scalar  float64
	Stats   store.Stats
	// Partial is set when the answer is not whole; Warnings say why.
	Partial  bool
	Warnings []string
}

// A Stream is the records of one set of stream labels, in the order asked for.
type Stream struct {
	Labels  Labels
	Entries []Entry
}

// An Entry is one record, its line, and the labels that the query's stages made
// or changed, __error__ included.
type Entry struct {
	Record record.Record
	Line   string
	Parsed Labels
}

// errInstantLog is what Loki answers to a log query at an instant.
const errInstantLog = "log queries are not supported as an instant query type, please change your query to a range query type"

// Query answers a log or metric query.
func (e *Engine) Query(ctx context.Context, scope access.Scope, req Request) (*Result, error) {
	l, x, err := read(req.Language, req.Query, req.Where)
	if err != nil {
		e.total.WithLabelValues("query", fault.KindOf(err).String()).Inc()
		return nil, err
	}
	logs, node, err := e.prepare(l, x, &req)
	if err != nil {
		e.total.WithLabelValues("query", fault.KindOf(err).String()).Inc()
		return nil, err
	}
	for _, l := range logs {
		if refused(scope, l) {
			return nil, e.deny(ctx, scope, "query", req.Remote, req.detail())
		}
	}
	c, err := e.begin(ctx, scope, "query", req.Remote, audit.Allowed, req.detail())
	if err != nil {
		return nil, err
	}
	ctx, leave, err := e.enter(ctx)
	if err != nil {
		return nil, c.end(err)
	}
	defer leave()
	var res *Result
	if node == nil {
		res, err = e.logs(ctx, scope, logs[0], &req)
	} else {
		res, err = e.metric(ctx, scope, node, &req)
	}
	if err = c.end(late(err, e.limits.Timeout)); err != nil {
		return nil, err
	}
	res.Stats.Elapsed = time.Since(c.started)
	return res, nil
}

// prepare checks the limits of log query l, or plans metric query x and checks
// its limits. For a log query node is nil.
func (e *Engine) prepare(l *plan.Log, x logql.Expr, req *Request) (logs []*plan.Log, node plan.Node, err error) {
	if l != nil {
		if req.Instant {
			return nil, nil, fault.Errorf(fault.Invalid, errInstantLog)
		}
		if req.Limit > e.limits.MaxEntries {
			return nil, nil, fault.Errorf(fault.Invalid, "max entries limit per query exceeded, limit > max_entries_limit_per_query (%d > %d)", req.Limit, e.limits.MaxEntries)
		}
		if req.Limit <= 0 {
			req.Limit = e.limits.MaxEntries
		}
		if err := e.checkRange(req.Start, req.End); err != nil {
			return nil, nil, err
		}
		return []*plan.Log{l}, nil, nil
	}
	if node, err = plan.Metric(x); err != nil {
		return nil, nil, err
	}
	if req.Instant {
		req.Start, req.Step = req.End, 0
	}
	if err := e.checkSteps(req); err != nil {
		return nil, nil, err
	}
	err = plan.Ranges(node, func(c *plan.Range) error {
		logs = append(logs, c.Log)
		return e.checkRange(req.Start-c.Range-c.Offset, req.End-c.Offset)
	})
	return logs, node, err
}

func (e *Engine) checkSteps(req *Request) error {
	if req.Start < -maxTime || req.End > maxTime || req.End < req.Start {
		return fault.Errorf(fault.Invalid, "end timestamp must not be before or equal to start time")
	}
	if req.Instant {
		return nil
	}
	if req.Step <= 0 {
		return fault.Errorf(fault.Invalid, "zero or negative query resolution step widths are not accepted. Try a positive integer")
	}
	if (req.End-req.Start)/req.Step > int64(e.limits.MaxPoints) {
		return fault.Errorf(fault.Invalid, "exceeded maximum resolution of %s points per time series. Try increasing the value of the step parameter", thousands(e.limits.MaxPoints))
	}
	return nil
}

func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// logs answers a log query.
func (e *Engine) logs(ctx context.Context, scope access.Scope, l *plan.Log, req *Request) (*Result, error) {
	shaper, lease := newShaper(l), store.LeaseOf(ctx)
	streams := map[string]*Stream{}
	n, held, full := 0, 0, false
	limit, last := req.Limit, int64(0)
	if req.Interval > 0 || l.Pipe != nil {
		limit = 0 // of those that are shown
	}
	scan := store.ScanRequest{
		Tenant: scope.Tenant(), From: req.Start, To: req.End, Where: where(scope, l),
		Order: req.Order, Limit: limit, Budget: e.limits.Budget,
	}
	shaper.sift(ctx, l, &scan)
	stats, err := e.opt.Store.Scan(ctx, scan, func(rs []record.Record) error {
		for i := range rs {
			if err := shaper.goOn(ctx); err != nil {
				return err
			}
			if at := rs[i].Time; req.Interval > 0 && n > 0 && max(at-last, last-at) < req.Interval {
				continue
			}
			labels, entry, ok := shaper.Entry(&rs[i])
			if !ok {
				continue
			}
			last = rs[i].Time
			if limit == 0 { // most of what it shares memory with may be let go of
				entry.detach()
			}
			more := entry.size()
			if held += more; held > maxAnswer {
				return errAnswer
			}
			if err := lease.Take(more); err != nil {
				full = true
				return err
			}
			key := labels.Key()
			s, ok := streams[key]
			if !ok {
				s = &Stream{Labels: labels}
				if limit == 0 {
					s.Labels = labels.Clone()
				}
				streams[key] = s
			}
			s.Entries = append(s.Entries, entry)
			if n++; n == req.Limit {
				return errEnough
			}
		}
		return shaper.Err()
	})
	switch {
	case errors.Is(err, errEnough):
		err = nil
	case errors.Is(err, errAnswer) || full: // no part of it: who asked for less records would have got them
		return nil, err
	}
	res := &Result{Kind: Streams, Streams: []Stream{}, Stats: stats}
	if err = e.partial(err, n, stats, &res.Partial, &res.Warnings); err != nil {
		return nil, err
	}
	for _, s := range streams {
		res.Streams = append(res.Streams, *s)
	}
	slices.SortFunc(res.Streams, func(a, b Stream) int { return compareLabels(a.Labels, b.Labels) })
	return res, nil
}

// errEnough ends a scan whose answer is complete.
var errEnough = errors.New("enough")

// partial decides whether an error leaves an answer that is worth giving, and
// notes why it is not whole.
func (e *Engine) partial(err error, n int, stats store.Stats, partial *bool, warnings *[]string) error {
	if len(stats.Damaged) > 0 {
		*partial = true
		*warnings = append(*warnings, fmt.Sprintf("%d segments are damaged and could not be read: %v", len(stats.Damaged), stats.Damaged))
	}
	if err == nil {
		return nil
	}
	if n > 0 && fault.Is(err, fault.Overload) {
		*partial = true
		*warnings = append(*warnings, "the answer is cut short: "+err.Error())
		return nil
	}
	return err
}

func compareLabels(a, b Labels) int {
	return slices.CompareFunc(a, b, func(x, y exec.Label) int {
		return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.Value, y.Value))
	})
}

// metric answers a metric query. A sum over part of the records would look like
// a whole one, so exceeding a budget is an error.
func (e *Engine) metric(ctx context.Context, scope access.Scope, node plan.Node, req *Request) (*Result, error) {
	steps := Steps{Start: req.Start, Step: req.Step, N: 1}
	if !req.Instant {
		steps.N = int((req.End-req.Start)/req.Step) + 1
	}
	env := &exec.Env{
		Store: e.opt.Store, Tenant: scope.Tenant(), Steps: steps, Instant: req.Instant, Budget: e.limits.Budget,
		Where:     func(l *plan.Log) match.Predicate { return where(scope, l) },
		MaxSeries: e.limits.MaxSeries, MaxBuckets: maxBuckets, MaxRequests: maxRequests,
	}
	v, err := exec.Run(ctx, env, node)
	if err != nil {
		return nil, err
	}
	res := &Result{Kind: Matrix, Steps: steps, Stats: env.Stats}
	if err := e.partial(nil, 0, env.Stats, &res.Partial, &res.Warnings); err != nil {
		return nil, err
	}
	switch {
	case v.IsScalar && req.Instant:
		res.Kind, res.Scalar = Scalar, v.Scalar
		return res, nil
	case v.IsScalar:
		v.Series = []*Series{exec.Constant(v.Scalar, steps.N)}
	case req.Instant:
		res.Kind = Vector
	}
	res.Series = slices.DeleteFunc(v.Series, func(s *Series) bool { return !slices.Contains(s.Has, true) })
	if res.Kind != Vector || !plan.Sorts(node) {
		err = fault.Sort(fault.NewWatch(ctx), res.Series, func(a, b *Series) int { return compareLabels(a.Labels, b.Labels) })
	}
	return res, err
}
