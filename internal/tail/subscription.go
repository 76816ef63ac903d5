package tail

import (
	"context"
	"sync"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
)

// A Subscription is one watcher. Next, Cursor and Gap are for one goroutine at a
// time; Nudge and Close are for any.
type Subscription struct {
	hub      *Hub
	tenant   record.TenantID
	where    match.Predicate
	then     func(*record.Record) (record.Record, bool)
	complete bool
	stop     func() bool
	wake     chan struct{}
	gone     chan struct{}
	once     sync.Once

	// Guarded by hub.mu.
	matcher  *match.Matcher
	queue    []record.Record
	bytes    int64  // of queue
	dropped  uint64 // after queue; not yet reported
	offered  uint64 // Ord up to which the queue, or dropped, has everything
	live     bool   // what is committed goes into the queue
	expelled bool
	nudged   bool

	// Owned by the goroutine that calls Next.
	cursor uint64 // everything up to it was handed out, or reported as dropped
	gap    uint64 // the cursor before what was reported last as dropped
	behind bool   // the store must be read first
}

// offer is called under hub.mu.
func (s *Subscription) offer(b *record.Batch, detached map[int]record.Record) {
	if !s.live {
		return // it reads the store next
	}
	h := s.hub
	s.matcher.Bind(b)
	before := len(s.queue)
	for i := range b.Len() {
		h.tested++
		if !s.matcher.MatchRow(b, i) {
			continue
		}
		if s.dropped == 0 && len(s.queue) < h.opt.Queue && s.queued(b, i, detached) {
			continue
		}
		if s.complete {
			s.live = false
			s.signal()
			return
		}
		s.dropped++
		h.dropped.Inc()
	}
	s.offered = b.Ord + uint64(b.Len()) - 1
	if s.dropped > uint64(h.opt.MaxLost) {
		s.live, s.expelled = false, true
		s.dropped += uint64(len(s.queue))
		h.expelled.Inc()
		h.leave(s)
	}
	if len(s.queue) > before || s.dropped > 0 {
		s.signal()
	}
}

// queued puts a record into the queue if there is memory for it.
func (s *Subscription) queued(b *record.Batch, i int, detached map[int]record.Record) bool {
	r, ok := detached[i]
	if !ok {
		r = b.Record(i)
	}
	n := size(&r)
	if s.bytes+n > s.hub.opt.QueueBytes && len(s.queue) > 0 || s.hub.held+n > s.hub.opt.MemoryBytes {
		return false
	}
	detached[i] = r
	s.queue = append(s.queue, r)
	s.bytes += n
	s.hub.held += n
	s.offered = r.Ord
	return true
}

func (s *Subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Next waits for records and returns them in commit order, with the number of
// records that were dropped after them, because they came faster than they were
// taken. It may return nothing after a Nudge. It fails with ctx's error, with
// fault.Canceled once the subscription is closed, and with fault.Overload when
// the watcher was expelled or has fallen too far behind; Cursor is then where to
// come back.
func (s *Subscription) Next(ctx context.Context) (records []record.Record, dropped uint64, err error) {
	for {
		if s.behind {
			records, err := s.catchUp(ctx)
			records = s.pass(records)
			if err != nil || len(records) > 0 {
				return records, 0, err
			}
			continue
		}
		h := s.hub
		h.mu.Lock()
		records, dropped = s.queue, s.dropped
		if s.expelled {
			h.mu.Unlock()
			return nil, 0, fault.WithHint(fault.Errorf(fault.Overload, "the reader of this tail is too slow: %d records wait for it", dropped),
				"resume from the place given, or ask for less")
		}
		offered, nudged := s.offered, s.nudged
		s.behind = !s.live
		h.held -= s.bytes
		s.queue, s.bytes, s.dropped, s.nudged = nil, 0, 0, false
		h.mu.Unlock()
		if dropped > 0 {
			s.gap = s.cursor
			if n := len(records); n > 0 {
				s.gap = records[n-1].Ord
			}
		}
		s.cursor = max(s.cursor, offered)
		records = s.pass(records)
		if len(records) > 0 || dropped > 0 || nudged {
			return records, dropped, nil
		}
		if s.behind {
			continue
		}
		select {
		case <-s.wake:
		case <-s.gone:
			return nil, 0, closed()
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

func closed() error { return fault.Errorf(fault.Canceled, "tail is closed") }

// pass runs what a pipeline left to do.
func (s *Subscription) pass(records []record.Record) []record.Record {
	if s.then == nil {
		return records
	}
	out := records[:0]
	for i := range records {
		if r, keep := s.then(&records[i]); keep {
			out = append(out, r)
		}
	}
	return out
}

// Cursor is where the watcher is: everything up to it was returned by Next, or
// counted as dropped. Resuming after it misses and repeats nothing.
func (s *Subscription) Cursor() uint64 { return s.cursor }

// Gap is the cursor before the records that Next reported last as dropped:
// resuming after it reads them.
func (s *Subscription) Gap() uint64 { return s.gap }

// Nudge makes a Next that waits return, perhaps with nothing, so that Cursor
// moves over what was committed and not matched.
func (s *Subscription) Nudge() {
	s.hub.mu.Lock()
	s.nudged = true
	s.hub.mu.Unlock()
	s.signal()
}

// Close ends the subscription. It may be called more than once.
func (s *Subscription) Close() {
	s.once.Do(func() {
		// A context that was done before Subscribe runs Close at once: the lock
		// waits until Subscribe has filled in stop.
		s.hub.mu.Lock()
		stop := s.stop
		s.live = false
		s.hub.leave(s)
		s.hub.mu.Unlock()
		stop()
		close(s.gone)
	})
}
