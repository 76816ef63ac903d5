package tail

import (
	"container/heap"
	"context"
	"slices"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

// catchUp reads from the store what was committed after the cursor and before
// the live queue began, a page at a time. When the queue overflows meanwhile, it
// is thrown away and the next call reads that from the store as well: nothing is
// dropped.
func (s *Subscription) catchUp(ctx context.Context) ([]record.Record, error) {
	h := s.hub
	select {
	case <-s.gone:
		return nil, closed()
	default:
	}
	select {
	case h.replays <- struct{}{}:
		defer func() { <-h.replays }()
	case <-s.gone:
		return nil, closed()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	h.mu.Lock()
	upTo := h.feed.end() // later commits are offered; of those that wait, what is up to here is passed over
	s.listen(upTo, true)
	h.mu.Unlock()
	records, more, err := s.page(ctx, upTo)
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err != nil:
		s.listen(upTo, false)
		return nil, err
	case more:
		s.listen(upTo, false)
		s.cursor = records[len(records)-1].Ord
		return records, nil
	}
	s.cursor = max(s.cursor, upTo)
	if s.dropped > 0 { // the queue is full: read that from the store as well
		s.listen(upTo, false)
	}
	s.behind = !s.live
	return records, nil
}

// listen begins an empty queue after an Ord, or ends it. The caller holds
// hub.mu.
func (s *Subscription) listen(after uint64, live bool) {
	s.hub.held -= s.bytes
	s.queue, s.waiting, s.bytes, s.dropped = nil, 0, 0, 0
	s.offered = max(s.cursor, after)
	s.live = live && s.here
}

// page returns the first matching records after the cursor, up to an Ord, in
// commit order: as many as a queue holds. more says that there are others.
func (s *Subscription) page(ctx context.Context, upTo uint64) (records []record.Record, more bool, err error) {
	o := &s.hub.opt
	if o.Store == nil || upTo <= s.cursor {
		return nil, false, nil
	}
	var first latest
	var bytes int64
	n := 0
	_, err = o.Store.Scan(ctx, store.ScanRequest{
		Tenant: s.tenant, From: -everywhen, To: everywhen, Where: s.where,
		Order: store.AsStored, AfterOrd: s.cursor, UpToOrd: upTo,
	}, func(rs []record.Record) error {
		for _, r := range rs {
			if n++; n > o.MaxReplay {
				return fault.WithHint(fault.Errorf(fault.Overload, "more than %d records were committed since the point to resume from", o.MaxReplay),
					"read them with a query, then tail without a point to resume from")
			}
			heap.Push(&first, r)
			bytes += size(&r)
			for len(first) > o.Queue || bytes > o.QueueBytes && len(first) > 1 {
				last := heap.Pop(&first).(record.Record)
				bytes -= size(&last)
			}
		}
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	slices.SortFunc(first, func(a, b record.Record) int {
		if a.Ord < b.Ord {
			return -1
		}
		return 1
	})
	return first, n > len(first), nil
}

// latest is a heap whose top has the largest Ord.
type latest []record.Record

func (l latest) Len() int           { return len(l) }
func (l latest) Less(i, j int) bool { return l[i].Ord > l[j].Ord }
func (l latest) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *latest) Push(r any)        { *l = append(*l, r.(record.Record)) }
func (l *latest) Pop() any {
	old := *l
	r := old[len(old)-1]
	*l = old[:len(old)-1]
	return r
}
