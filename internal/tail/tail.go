// Package tail hands committed records to those who watch: live, in commit
// order, without gap or duplicate for a watcher who says where it stopped.
//
// The hub is called from the store's commit path and never blocks it: each
// watcher has a queue that is bounded in records and bytes, and all queues
// together have one bound. What does not fit is counted as dropped and reported,
// or, for a watcher who wants everything, read from the store later. A watcher
// who has lost too much is expelled, with the place from which to come back.
//
// The place of a watcher, its cursor, is the Ord up to which it was given
// everything; it grows with every commit, also where nothing matches, and holds
// across restarts. Nothing else of the hub survives one: what a watcher missed is
// read again from the store, page by page.
//
// Tail knows no query language and no protocol. Records that it hands out are
// shared between watchers and MUST NOT be changed.
package tail

import (
	"context"
	"math"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
	"github.com/meshtrail/meshtrail/internal/telemetry"
)

// Options of a Hub. Zero values are the defaults.
type Options struct {
	Store store.Reader // for resuming
	// Last is the Ord of the last record that Store held before the first
	// Publish; 0 is an empty store.
	Last           uint64
	Queue          int   // records that wait for one watcher, default 10,000
	QueueBytes     int64 // their bytes, default 8 MiB
	MemoryBytes    int64 // bytes that wait for all watchers, default 256 MiB
	MaxLost        int   // dropped records after which a watcher is expelled, default 100,000
	MaxSubscribers int   // of all tenants, default 1,000
	MaxPerTenant   int   // default 200
	MaxReplay      int   // records that a watcher may be behind, default 100,000
	Metrics        *telemetry.Metrics
}

func (o Options) withDefaults() Options {
	def := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	def(&o.Queue, 10_000)
	def(&o.MaxLost, 100_000)
	def(&o.MaxSubscribers, 1_000)
	def(&o.MaxPerTenant, 200)
	def(&o.MaxReplay, 100_000)
	if o.QueueBytes <= 0 {
		o.QueueBytes = 8 << 20
	}
	if o.MemoryBytes <= 0 {
		o.MemoryBytes = 256 << 20
	}
	return o
}

// maxReplays bounds how many watchers read the store at once: after a restart
// all of them come back together.
const maxReplays = 2

// Hub fans committed batches out.
type Hub struct {
	opt      Options
	dropped  prometheus.Counter
	expelled prometheus.Counter
	replays  chan struct{}

	mu   sync.Mutex
	subs map[record.TenantID]map[*Subscription]struct{}
	open int
	last uint64 // Ord of the last record published, or Options.Last
	held int64  // bytes in all queues
	// tested counts the records that were held against a watcher's predicate.
	tested uint64
}

// New returns a Hub. Give its Publish to store.Watch.
func New(opt Options) *Hub {
	h := &Hub{
		opt: opt.withDefaults(), subs: map[record.TenantID]map[*Subscription]struct{}{},
		last: opt.Last, replays: make(chan struct{}, maxReplays),
	}
	h.dropped = opt.Metrics.Counter("meshtrail_tail_dropped_records_total", "Records that a live tail did not take in time.").WithLabelValues()
	h.expelled = opt.Metrics.Counter("meshtrail_tail_expelled_total", "Live tails that were ended because they lost too much.").WithLabelValues()
	gauge := func(name, help string, value func() float64) {
		opt.Metrics.GaugeFunc(name, help, func() float64 {
			h.mu.Lock()
			defer h.mu.Unlock()
			return value()
		})
	}
	gauge("meshtrail_tail_subscribers", "Live tails that are open.", func() float64 { return float64(h.open) })
	gauge("meshtrail_tail_queue_bytes", "Bytes of records that wait for live tails.", func() float64 { return float64(h.held) })
	return h
}

// Publish offers a committed batch to every watcher. It is called in commit
// order, after the batch is durable and visible to scans, and does not keep b.
func (h *Hub) Publish(b *record.Batch) {
	n := b.Len()
	if n == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = b.Ord + uint64(n) - 1
	watchers := h.subs[b.Tenant]
	if len(watchers) == 0 {
		return
	}
	detached := make(map[int]record.Record) // shared by the watchers
	for s := range watchers {
		s.offer(b, detached)
	}
}

// A Request says what to watch.
type Request struct {
	Where match.Predicate // nil: everything
	// Then is what a pipeline leaves to do for each record that Where holds for:
	// it returns what to hand out in its place, or false to leave it out. Next
	// calls it, for one record after the other in commit order, never the commit
	// path. It MUST NOT change r, which other watchers share. nil: r itself.
	Then func(r *record.Record) (out record.Record, keep bool)
	// Resume asks for what was committed after the record with Ord After, from
	// the store, before what comes live.
	Resume bool
	After  uint64
	// Complete asks to read what did not fit the queue from the store instead of
	// dropping it.
	Complete bool
}

// Subscribe starts to watch within a scope; records of class audit only when
// the scope may read them. It ends with ctx or with Close.
func (h *Hub) Subscribe(ctx context.Context, scope access.Scope, req Request) (*Subscription, error) {
	if err := scope.Check(); err != nil {
		return nil, err
	}
	where := match.And{scope.Where()}
	if req.Where != nil {
		where = append(where, req.Where)
	}
	if !scope.MayReadAudit() {
		where = append(where, match.Not{P: match.Eq{Field: match.Class, Value: string(access.AuditClass)}})
	}
	p := match.Simplify(where)
	s := &Subscription{
		hub: h, tenant: scope.Tenant(), where: p, then: req.Then, complete: req.Complete && h.opt.Store != nil,
		matcher: match.Compile(p), live: !req.Resume, behind: req.Resume, cursor: req.After,
		wake: make(chan struct{}, 1), gone: make(chan struct{}),
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.open >= h.opt.MaxSubscribers:
		return nil, fault.WithHint(fault.Errorf(fault.Overload, "%d live tails are open already", h.open), "close one, or try again later")
	case len(h.subs[s.tenant]) >= h.opt.MaxPerTenant:
		return nil, fault.WithHint(fault.Errorf(fault.Overload, "tenant %s has %d live tails open already", s.tenant, len(h.subs[s.tenant])), "close one, or try again later")
	case req.Resume && req.After > h.last:
		return nil, fault.WithHint(fault.Errorf(fault.Invalid, "%d is no point to resume from: nothing was kept there yet", req.After),
			"is it of another server? tail without a point to resume from")
	case !req.Resume:
		s.cursor = h.last
	}
	if h.subs[s.tenant] == nil {
		h.subs[s.tenant] = map[*Subscription]struct{}{}
	}
	h.subs[s.tenant][s] = struct{}{}
	h.open++
	s.offered = s.cursor
	s.stop = context.AfterFunc(ctx, s.Close)
	return s, nil
}

// leave takes a watcher off the list and frees its queue. The caller holds mu.
func (h *Hub) leave(s *Subscription) {
	if _, here := h.subs[s.tenant][s]; here {
		delete(h.subs[s.tenant], s)
		if len(h.subs[s.tenant]) == 0 {
			delete(h.subs, s.tenant)
		}
		h.open--
	}
	h.held -= s.bytes
	s.queue, s.bytes = nil, 0
}

// size is about how many bytes of memory a record takes.
func size(r *record.Record) int64 {
	n := int64(96)
	for i := range r.Fields {
		n += 48 + int64(len(r.Fields[i].Value.Str))
	}
	return n
}

// everywhen bounds the event times of a replay.
const everywhen = math.MaxInt64 / 2
