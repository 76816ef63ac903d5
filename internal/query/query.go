// Package query is the one door to stored records for everyone who asks: it
// parses, plans, limits, audits and runs queries.
//
// Every call takes an access.Scope, refuses a zero one, and ANDs the scope's
// predicate into all that is read. Records of class audit are read only by a
// query that names the class, in a scope that may. Every call is put on record
// by an audit.Recorder; the record is written while the work is done, and no
// byte of an answer is released before it is durable.
//
// The package knows LogQL (query/logql), what it means (query/plan) and the
// arithmetic of metric queries (query/exec); it does not know HTTP. Between calls
// it keeps nothing but counts and measures of the store while they are right
// (query/cache). What it returns belongs to the caller.
package query

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/audit"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/cache"
	"github.com/meshtrail/meshtrail/internal/query/exec"
	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/query/plan"
	"github.com/meshtrail/meshtrail/internal/store"
	"github.com/meshtrail/meshtrail/internal/telemetry"
)

// The words of the answers, so that doors need no sub-room of ours.
type (
	// Labels are sorted by name.
	Labels = exec.Labels
	// Series is one value per step.
	Series = exec.Series
	// Steps are the points in time of a metric answer.
	Steps = exec.Steps
)

// Limits bound what one query may ask. Zero values are the defaults.
type Limits struct {
	// MaxEntries bounds the records of a Query's answer, default 5,000. Stream
	// is not bounded.
	MaxEntries int `yaml:"max_entries"`
	// MaxPoints bounds the points of one series, default 11,000.
	MaxPoints int `yaml:"max_points"`
	// MaxSeries bounds the series that a metric query makes on its way,
	// default 10,000.
	MaxSeries int `yaml:"max_series"`
	// MaxRange bounds the time range, 0: unbounded.
	MaxRange time.Duration `yaml:"max_range"`
	// Timeout ends a Query, default 1 minute; StreamTimeout a Stream, default
	// 1 hour.
	Timeout       time.Duration `yaml:"timeout"`
	StreamTimeout time.Duration `yaml:"stream_timeout"`
	// MaxConcurrent bounds the queries that run at once (streams apart),
	// default four per processor, 16 at least; others wait.
	MaxConcurrent int `yaml:"max_concurrent"`
	// ResultCacheBytes bounds what is kept of counts and measures, to be used again
	// by later queries; 0: nothing is.
	ResultCacheBytes int64 `yaml:"result_cache_bytes"`
	// MemoryBytes bounds what all queries together hold for their answers, default
	// 1 GiB. A query that needs more than is left is refused.
	MemoryBytes int64 `yaml:"memory_bytes"`
	// Budget of one request to the store; zero is the store's default.
	Budget store.Budget `yaml:"-"`
}

func (l Limits) withDefaults() Limits {
	def := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	def(&l.MaxEntries, 5000)
	def(&l.MaxPoints, 11_000)
	def(&l.MaxSeries, 10_000)
	def(&l.MaxConcurrent, max(16, 4*runtime.GOMAXPROCS(0)))
	if l.Timeout <= 0 {
		l.Timeout = time.Minute
	}
	if l.StreamTimeout <= 0 {
		l.StreamTimeout = time.Hour
	}
	if l.MemoryBytes <= 0 {
		l.MemoryBytes = 1 << 30
	}
	return l
}

// Bounds that are no matter of taste.
const (
	maxBuckets  = 1 << 20 // time buckets of one request to the store
	maxRequests = 1_000   // requests of one metric query
	maxTime     = 1 << 62 // ns: year 2116, and as far back
)

// Options of an Engine. Store and Audit are required.
type Options struct {
	Store   store.Reader
	Audit   audit.Recorder
	Limits  Limits
	Metrics *telemetry.Metrics
	Logger  *slog.Logger     // nil: discard
	Now     func() time.Time // nil: time.Now
}

// Engine answers queries. It is safe for concurrent use.
type Engine struct {
	opt      Options // Store has the result cache before it
	uncached store.Reader
	limits   Limits
	slots    chan struct{}
	memory   *store.Memory
	seconds  *prometheus.HistogramVec
	total    *prometheus.CounterVec
}

// New returns an Engine.
func New(opt Options) (*Engine, error) {
	if opt.Store == nil || opt.Audit == nil {
		return nil, fault.Errorf(fault.Internal, "query engine without store or audit recorder")
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	e := &Engine{opt: opt, limits: opt.Limits.withDefaults(), uncached: opt.Store}
	if n := e.limits.ResultCacheBytes; n > 0 {
		e.opt.Store = cache.New(opt.Store, n, opt.Metrics)
	}
	e.slots = make(chan struct{}, e.limits.MaxConcurrent)
	e.memory = store.NewMemory(e.limits.MemoryBytes)
	opt.Metrics.GaugeFunc("meshtrail_query_memory_bytes", "Memory that queries hold for their answers.", func() float64 { return float64(e.memory.Used()) })
	e.seconds = opt.Metrics.Histogram("meshtrail_query_seconds", "Time to answer, by kind of request.", "kind")
	e.total = opt.Metrics.Counter("meshtrail_queries_total", "Requests, by kind and outcome.", "kind", "outcome")
	return e, nil
}

// Limits returns the limits in force.
func (e *Engine) Limits() Limits { return e.limits }

// Now returns the engine's time, which relative times of requests refer to.
func (e *Engine) Now() time.Time { return e.opt.Now() }

// Format parses a query and prints it in the canonical form.
func (e *Engine) Format(query string) (string, error) {
	x, err := logql.Parse(query)
	if err != nil {
		return "", err
	}
	return x.String(), nil
}

// Pretty parses a query and prints it for people: over several lines where it is
// long.
func (e *Engine) Pretty(query string) (string, error) {
	x, err := logql.Parse(query)
	if err != nil {
		return "", err
	}
	return logql.Pretty(x), nil
}

// auditTimeout bounds the wait for an audit record.
const auditTimeout = 10 * time.Second

// call is one request on its way: its audit record, its time.
type call struct {
	e       *Engine
	kind    string
	started time.Time
	audited chan error
	waited  bool
	auditOK error
}

// begin checks the scope and starts to write the audit record, which Join
// waits for. The record is written even when the caller goes away.
func (e *Engine) begin(ctx context.Context, scope access.Scope, kind, remote, outcome string, detail map[string]string) (*call, error) {
	if err := scope.Check(); err != nil {
		e.total.WithLabelValues(kind, fault.KindOf(err).String()).Inc()
		return nil, err
	}
	c := &call{e: e, kind: kind, started: time.Now(), audited: make(chan error, 1)}
	act := audit.Act{
		Principal: scope.Principal(), Tenant: string(scope.Tenant()), Action: kind,
		Detail: detail, Remote: remote, Outcome: outcome,
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTimeout)
		defer cancel()
		c.audited <- e.opt.Audit.Record(ctx, act)
	}()
	return c, nil
}

// join waits until the audit record is durable. No answer leaves before.
func (c *call) join() error {
	if !c.waited {
		c.waited = true
		if err := <-c.audited; err != nil {
			c.auditOK = fault.WithHint(fault.Errorf(fault.Unavailable, "put the %s on record: %w", c.kind, err),
				"nothing is answered that could not be audited; see the server's log")
		}
	}
	return c.auditOK
}

// end joins, and returns what the call ends with: a missing audit record is
// worse than any other failure.
func (c *call) end(err error) error {
	if auditErr := c.join(); auditErr != nil {
		err = auditErr
	}
	outcome := "ok"
	if err != nil {
		outcome = fault.KindOf(err).String()
	}
	c.e.total.WithLabelValues(c.kind, outcome).Inc()
	c.e.seconds.WithLabelValues(c.kind).Observe(time.Since(c.started).Seconds())
	return err
}

// enter waits for a slot, and limits the time of what follows.
func (e *Engine) enter(ctx context.Context) (context.Context, func(), error) {
	select {
	case e.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, fault.Wrap(fault.Canceled, ctx.Err())
	}
	ctx, cancel := context.WithTimeout(ctx, e.limits.Timeout)
	lease := e.memory.Lease()
	return store.WithLease(ctx, lease), func() { cancel(); lease.Release(); <-e.slots }, nil
}

// late explains an error that our own time limit caused.
func late(err error, limit time.Duration) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fault.WithHint(fault.Errorf(fault.Overload, "query took longer than %s: %w", limit, err),
		"select less, or a shorter time range")
}

// notAudit leaves out what only some may read.
var notAudit = match.Not{P: match.Eq{Field: match.Class, Value: string(access.AuditClass)}}

// where adds the scope to a query's predicate.
func where(scope access.Scope, l *plan.Log) match.Predicate {
	and := match.And{scope.Where(), l.Where}
	if !l.NamesClass || !scope.MayReadAudit() {
		and = append(and, notAudit)
	}
	return match.Simplify(and)
}

// refused reports whether the query asks for the audit records by name without
// the permission to read them.
func refused(scope access.Scope, l *plan.Log) bool {
	return !scope.MayReadAudit() && slices.Contains(l.WantsClass, string(access.AuditClass))
}

// deny puts a refused query on record.
func (e *Engine) deny(ctx context.Context, scope access.Scope, kind, remote string, detail map[string]string) error {
	c, err := e.begin(ctx, scope, kind, remote, audit.Denied, detail)
	if err != nil {
		return err
	}
	return c.end(fault.WithHint(fault.Errorf(fault.Denied, "%s may not read audit records", scope.Principal()),
		"the permission is called "+string(access.AuditRead)))
}

// checkRange checks a time range [from, to).
func (e *Engine) checkRange(from, to int64) error {
	if from < -maxTime || from > maxTime || to < -maxTime || to > maxTime {
		return fault.Errorf(fault.Invalid, "time is out of range")
	}
	if to <= from {
		return fault.Errorf(fault.Invalid, "end timestamp must not be before or equal to start time")
	}
	if m := e.limits.MaxRange; m > 0 && uint64(to)-uint64(from) > uint64(m) {
		return fault.WithHint(fault.Errorf(fault.Invalid, "the query time range exceeds the limit (query length: %s, limit: %s)", time.Duration(to-from), m),
			"ask for a shorter time range")
	}
	return nil
}

// stamp writes a time for an audit record.
func stamp(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }
