package tail

import (
	"context"
	"sync"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
)

// A Subscription is one watcher. Next, Take, Cursor and Gap are for one goroutine at a
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
	here     bool // on the list of its tenant, and in its channel
	channel  *channel
	queue    []*Parcel
	waiting  int    // records in queue
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
	took   time.Time
}

// offer takes what was found in a commit that ends at last. The caller holds
// hub.mu.
func (s *Subscription) offer(f *find, last uint64) {
	if !s.live || last <= s.offered {
		return // it reads the store next, or has read it from there
	}
	p := f.parcel
	fit := s.fits(p)
	lost := uint64(len(p.Records)-fit) + f.beyond
	switch {
	case fit == 0:
	case fit == len(p.Records):
		s.take(p, f.upTo)
	default:
		s.take(p.first(fit), p.Records[fit-1].Ord)
	}
	if lost > 0 && s.complete {
		s.live = false
		s.signal()
		return
	}
	if s.lose(lost, last); fit > 0 {
		s.signal()
	}
}

// fits returns how many records of a parcel the queue has room for.
func (s *Subscription) fits(p *Parcel) int {
	o := &s.hub.opt
	if s.dropped > 0 {
		return 0
	}
	if s.waiting+len(p.Records) <= o.Queue && s.bytes+p.bytes <= o.QueueBytes && s.hub.held+p.bytes <= o.MemoryBytes {
		return len(p.Records)
	}
	bytes := int64(0)
	for i := range p.Records {
		n := size(&p.Records[i])
		if s.waiting+i >= o.Queue || s.bytes+bytes+n > o.QueueBytes && s.waiting+i > 0 || s.hub.held+bytes+n > o.MemoryBytes {
			return i
		}
		bytes += n
	}
	return len(p.Records)
}

// take puts a parcel into the queue, which then has everything up to an Ord.
func (s *Subscription) take(p *Parcel, upTo uint64) {
	s.queue = append(s.queue, p)
	s.waiting += len(p.Records)
	s.bytes += p.bytes
	s.hub.held += p.bytes
	s.offered = upTo
}

// lose counts n records up to an Ord as dropped, which may be none.
func (s *Subscription) lose(n, last uint64) {
	h := s.hub
	s.offered = last
	s.dropped += n
	h.dropped.Add(float64(n))
	if s.dropped > uint64(h.opt.MaxLost) {
		s.live, s.expelled = false, true
		s.dropped += uint64(s.waiting)
		h.expelled.Inc()
		h.leave(s)
	}
	if s.dropped > 0 {
		s.signal()
	}
}

// skip is offered n records up to an Ord that nobody has looked at. The caller
// holds hub.mu.
func (s *Subscription) skip(n, last uint64) {
	if !s.live || last <= s.offered {
		return
	}
	if s.complete {
		s.live = false
		s.signal()
		return
	}
	s.lose(n, last)
}

func (s *Subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Next is Take, with the records of all parcels together.
func (s *Subscription) Next(ctx context.Context) (records []record.Record, dropped uint64, err error) {
	parcels, dropped, err := s.Take(ctx)
	for _, p := range parcels {
		if len(parcels) == 1 {
			return p.Records, dropped, err
		}
		records = append(records, p.Records...)
	}
	return records, dropped, err
}

// Take waits for records and returns them in commit order, with the number of
// records that were dropped after them: because they came faster than they were
// taken, or, all that were committed then, because the server had no time to look
// at them. It may return nothing after a Nudge. It fails with ctx's error, with
// fault.Canceled once the subscription is closed, and with fault.Overload when
// the watcher was expelled or has fallen too far behind; Cursor is then where to
// come back.
func (s *Subscription) Take(ctx context.Context) (parcels []*Parcel, dropped uint64, err error) {
	for {
		if s.behind {
			records, err := s.catchUp(ctx)
			records = s.pass(records)
			if err != nil {
				return nil, 0, err
			}
			if len(records) > 0 {
				return []*Parcel{{Records: records}}, 0, nil
			}
			continue
		}
		if err := s.rest(ctx); err != nil {
			return nil, 0, err
		}
		h := s.hub
		h.mu.Lock()
		parcels, dropped = s.queue, s.dropped
		if s.expelled {
			h.mu.Unlock()
			return nil, 0, fault.WithHint(fault.Errorf(fault.Overload, "the reader of this tail is too slow: %d records wait for it", dropped),
				"resume from the place given, or ask for less")
		}
		offered, nudged := s.offered, s.nudged
		s.behind = !s.live
		h.held -= s.bytes
		s.queue, s.waiting, s.bytes, s.dropped, s.nudged = nil, 0, 0, 0, false
		h.mu.Unlock()
		if dropped > 0 {
			s.gap = s.cursor
			if n := len(parcels); n > 0 {
				of := parcels[n-1].Records
				s.gap = of[len(of)-1].Ord
			}
		}
		s.cursor = max(s.cursor, offered)
		if parcels = s.passAll(parcels); len(parcels) > 0 || dropped > 0 || nudged {
			s.took = time.Now()
			return parcels, dropped, nil
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

// rest waits until it is time to take more: with many watchers each takes more at
// a time, and less often.
func (s *Subscription) rest(ctx context.Context) error {
	o := &s.hub.opt
	if s.took.IsZero() || o.Pace < 0 {
		return nil
	}
	s.hub.mu.Lock()
	pace := o.Pace * time.Duration(min(s.hub.open-1, crowd)) / crowd
	s.hub.mu.Unlock()
	left := pace - time.Since(s.took)
	if left <= 0 {
		return nil
	}
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-s.gone:
		return closed()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// crowd is from how many watchers on Pace is what each of them waits.
const crowd = 100

func closed() error { return fault.Errorf(fault.Canceled, "tail is closed") }

// passAll runs what a pipeline left to do, where nobody else did.
func (s *Subscription) passAll(parcels []*Parcel) []*Parcel {
	if s.then == nil || !s.channel.alone {
		return parcels
	}
	var out []*Parcel
	for _, p := range parcels {
		// The memory is this watcher's: nobody shares its channel.
		if records := s.pass(p.Records); len(records) > 0 {
			out = append(out, &Parcel{Records: records})
		}
	}
	return out
}

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
