// Package tail hands committed records to those who watch: live, in commit
// order, without gap or duplicate for a watcher who says where it stopped.
//
// The hub is called from the store's commit path and does the same little work
// there for a commit of any size and any number of watchers: it takes the commit
// over. A few goroutines of its own, a quarter of the processors, hold it against
// what is watched for. Watchers who ask the same share a channel: one matching,
// one copy of the records (a Parcel), and one encoding of it for each form in which
// they are written (Form).
//
// Each watcher has a queue that is bounded in records and bytes, and all queues
// together have one bound. What does not fit is counted as dropped and reported,
// or, for a watcher who wants everything, read from the store later. A watcher
// who has lost too much is expelled, with the place from which to come back. The
// same is done, by all records that were committed, with what comes while more
// commits wait to be matched than there is memory for.
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
	"time"

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
	Last        uint64
	Queue       int   // records that wait for one watcher, default 10,000
	QueueBytes  int64 // their bytes, default 8 MiB
	MemoryBytes int64 // bytes that wait for all watchers, default 256 MiB
	Backlog     int64 // bytes of commits that wait to be matched, default 64 MiB
	// Pace is the shortest time between what one watcher is handed when a hundred
	// or more watch, in proportion when fewer do: each time costs each of them a
	// write. Default 200 ms, below 0: none.
	Pace           time.Duration
	MaxLost        int // dropped records after which a watcher is expelled, default 100,000
	MaxSubscribers int // of all tenants, default 1,000
	MaxPerTenant   int // default 200
	MaxReplay      int // records that a watcher may be behind, default 100,000
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
	if o.Backlog <= 0 {
		o.Backlog = 64 << 20
	}
	if o.Pace == 0 {
		o.Pace = 200 * time.Millisecond
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

	feed feed

	mu   sync.Mutex // before feed.mu
	subs map[record.TenantID]*watched
	open int
	held int64 // bytes in all queues
	// tested counts the records that were held against a predicate.
	tested uint64
}

// watched is what is watched of one tenant.
type watched struct {
	open     int                   // subscriptions
	channels map[string][]*channel // by the text of the predicate, which may be that of others
}

// New returns a Hub. Give its Publish to store.Watch.
func New(opt Options) *Hub {
	h := &Hub{
		opt: opt.withDefaults(), subs: map[record.TenantID]*watched{}, replays: make(chan struct{}, maxReplays),
	}
	h.feed.last, h.feed.watched = opt.Last, map[record.TenantID]int{}
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
	opt.Metrics.GaugeFunc("meshtrail_tail_backlog_bytes", "Bytes of commits that wait to be matched for live tails.", func() float64 {
		h.feed.mu.Lock()
		defer h.feed.mu.Unlock()
		return float64(h.feed.bytes)
	})
	return h
}

// A Request says what to watch.
type Request struct {
	Where match.Predicate // nil: everything
	// Then is what a pipeline leaves to do for each record that Where holds for:
	// it returns what to hand out in its place, or false to leave it out. It is
	// called for one record after the other in commit order, never on the commit
	// path. It MUST NOT change r, which other watchers share. nil: r itself.
	Then func(r *record.Record) (out record.Record, keep bool)
	// Shared, if not "", says that a Then with this name gives the same as that of
	// any other Request with the name, whatever it was called for before. It is
	// called once for all of them.
	Shared string
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
		live: !req.Resume, behind: req.Resume, cursor: req.After,
		wake: make(chan struct{}, 1), gone: make(chan struct{}),
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	of := h.subs[s.tenant]
	if of == nil {
		of = &watched{channels: map[string][]*channel{}}
	}
	last := h.feed.end()
	switch {
	case h.open >= h.opt.MaxSubscribers:
		return nil, fault.WithHint(fault.Errorf(fault.Overload, "%d live tails are open already", h.open), "close one, or try again later")
	case of.open >= h.opt.MaxPerTenant:
		return nil, fault.WithHint(fault.Errorf(fault.Overload, "tenant %s has %d live tails open already", s.tenant, of.open), "close one, or try again later")
	case req.Resume && req.After > last:
		return nil, fault.WithHint(fault.Errorf(fault.Invalid, "%d is no point to resume from: nothing was kept there yet", req.After),
			"is it of another server? tail without a point to resume from")
	case !req.Resume:
		s.cursor = last
	}
	h.subs[s.tenant] = of
	of.join(s, &req)
	of.open++
	h.open++
	if cursor := h.feed.watch(s.tenant, 1); !req.Resume {
		s.cursor = cursor // nothing before it was taken over for a tenant nobody watched
	}
	s.offered = s.cursor
	s.stop = context.AfterFunc(ctx, s.Close)
	return s, nil
}

// leave takes a watcher off the list and frees its queue. The caller holds mu.
func (h *Hub) leave(s *Subscription) {
	if s.here {
		s.here = false
		of := h.subs[s.tenant]
		of.leave(s)
		if of.open--; of.open == 0 {
			delete(h.subs, s.tenant)
		}
		h.open--
		h.feed.watch(s.tenant, -1)
	}
	h.held -= s.bytes
	s.queue, s.waiting, s.bytes = nil, 0, 0
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
