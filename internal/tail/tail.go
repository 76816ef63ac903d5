// Package tail hands committed records to those who watch: live, in commit
// order, without gap or duplicate for a watcher who says where it stopped.
//
// The hub is called from the store's commit path and never blocks it: each
// watcher has a bounded queue, and what does not fit is counted as dropped and
// reported. Nothing of it survives a restart; the cursor is a record's Ord, and
// what a watcher missed is read again from the store.
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
	Store          store.Reader // for resuming
	Queue          int          // records that wait for one watcher, default 10,000
	MaxSubscribers int          // default 200
	MaxReplay      int          // records read again for one watcher, default 100,000
	Metrics        *telemetry.Metrics
}

// Hub fans committed batches out.
type Hub struct {
	opt     Options
	dropped prometheus.Counter

	mu   sync.Mutex
	subs map[*Subscription]struct{}
	last uint64 // Ord of the last record published; 0: none yet
}

// New returns a Hub. Give its Publish to store.Watch.
func New(opt Options) *Hub {
	if opt.Queue <= 0 {
		opt.Queue = 10_000
	}
	if opt.MaxSubscribers <= 0 {
		opt.MaxSubscribers = 200
	}
	if opt.MaxReplay <= 0 {
		opt.MaxReplay = 100_000
	}
	h := &Hub{opt: opt, subs: map[*Subscription]struct{}{}}
	h.dropped = opt.Metrics.Counter("meshtrail_tail_dropped_records_total", "Records that a live tail did not take in time.").WithLabelValues()
	opt.Metrics.GaugeFunc("meshtrail_tail_subscribers", "Live tails that are open.", func() float64 {
		h.mu.Lock()
		defer h.mu.Unlock()
		return float64(len(h.subs))
	})
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
	if len(h.subs) == 0 {
		return
	}
	detached := make(map[int]record.Record) // shared by the watchers
	for s := range h.subs {
		s.offer(b, detached)
	}
}

// A Request says what to watch.
type Request struct {
	Where match.Predicate // nil: everything
	// Resume asks for what was committed after the record with Ord After, from
	// the store, before what comes live.
	Resume bool
	After  uint64
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
		hub: h, tenant: scope.Tenant(), where: p, matcher: match.Compile(p),
		cursor: req.After, behind: req.Resume, wake: make(chan struct{}, 1), gone: make(chan struct{}),
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.subs) >= h.opt.MaxSubscribers {
		return nil, fault.WithHint(fault.Errorf(fault.Overload, "%d live tails are open already", len(h.subs)), "close one, or try again later")
	}
	h.subs[s] = struct{}{}
	s.stop = context.AfterFunc(ctx, s.Close)
	return s, nil
}

// A Subscription is one watcher. Next is for one goroutine at a time.
type Subscription struct {
	hub    *Hub
	tenant record.TenantID
	where  match.Predicate
	stop   func() bool
	wake   chan struct{}
	gone   chan struct{}
	once   sync.Once

	matcher *match.Matcher // used under hub.mu

	mu       sync.Mutex
	queue    []record.Record
	dropped  uint64 // not yet reported
	overflow bool   // since the last catch-up began

	// Owned by the goroutine that calls Next.
	cursor uint64              // everything up to it was handed out
	behind bool                // the store must be read first
	seen   map[uint64]struct{} // handed out from the store, and may come live
}

// offer is called under hub.mu.
func (s *Subscription) offer(b *record.Batch, detached map[int]record.Record) {
	if b.Tenant != s.tenant {
		return
	}
	s.matcher.Bind(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.queue)
	for i := range b.Len() {
		if !s.matcher.MatchRow(b, i) {
			continue
		}
		if len(s.queue) >= s.hub.opt.Queue {
			s.dropped++
			s.overflow = true
			s.hub.dropped.Inc()
			continue
		}
		r, ok := detached[i]
		if !ok {
			r = b.Record(i)
			detached[i] = r
		}
		s.queue = append(s.queue, r)
	}
	if len(s.queue) > before || s.dropped > 0 {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// Next waits for records and returns them in commit order, with the number of
// records that were dropped after them, because they came faster than they were
// taken. It fails with ctx's error, and with
// fault.Canceled once the subscription is closed.
func (s *Subscription) Next(ctx context.Context) (records []record.Record, dropped uint64, err error) {
	for {
		if s.behind {
			records, err := s.catchUp(ctx)
			if err != nil || len(records) > 0 {
				return records, 0, err
			}
			continue
		}
		s.mu.Lock()
		records, dropped = s.queue, s.dropped
		s.queue, s.dropped = nil, 0
		s.mu.Unlock()
		records = s.fresh(records)
		if len(records) > 0 || dropped > 0 {
			return records, dropped, nil
		}
		select {
		case <-s.wake:
		case <-s.gone:
			return nil, 0, fault.Errorf(fault.Canceled, "tail is closed")
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

// fresh drops what was handed out before.
func (s *Subscription) fresh(records []record.Record) []record.Record {
	out := records[:0:0]
	for _, r := range records {
		if _, twice := s.seen[r.Ord]; twice || r.Ord <= s.cursor {
			continue
		}
		out = append(out, r)
	}
	if len(out) > 0 {
		s.cursor = out[len(out)-1].Ord
		s.seen = nil // live records have passed what the store gave
	}
	return out
}

// Close ends the subscription. It may be called more than once.
func (s *Subscription) Close() {
	s.once.Do(func() {
		// A context that was done before Subscribe runs Close at once: the lock
		// waits until Subscribe has filled in stop.
		s.hub.mu.Lock()
		stop := s.stop
		delete(s.hub.subs, s)
		s.hub.mu.Unlock()
		stop()
		close(s.gone)
	})
}

// everywhen bounds the event times of a replay.
const everywhen = math.MaxInt64 / 2
