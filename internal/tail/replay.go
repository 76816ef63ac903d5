package tail

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

// catchUp reads from the store what was committed after the cursor and before
// the live queue began. When the queue overflows meanwhile, it is thrown away
// and the next call reads that from the store as well: nothing is dropped.
func (s *Subscription) catchUp(ctx context.Context) ([]record.Record, error) {
	s.hub.mu.Lock() // no batch is published between these two
	upTo := s.hub.last
	s.mu.Lock()
	s.queue, s.dropped, s.overflow = nil, 0, false
	s.mu.Unlock()
	s.hub.mu.Unlock()
	known := upTo != 0
	if !known {
		upTo = math.MaxUint64 // nothing was published since the start
	}
	records, err := s.missed(ctx, upTo)
	if err != nil {
		return nil, err
	}
	if !known {
		// A batch may be visible to the scan and be published afterwards.
		s.seen = make(map[uint64]struct{}, len(records))
		for i := range records {
			s.seen[records[i].Ord] = struct{}{}
		}
	} else {
		s.cursor = max(s.cursor, upTo)
	}
	s.mu.Lock()
	s.behind = s.overflow
	s.mu.Unlock()
	if s.behind && len(records) > 0 && !known {
		s.cursor = records[len(records)-1].Ord
	}
	return records, nil
}

// missed returns the records after the cursor, up to an Ord, in commit order.
func (s *Subscription) missed(ctx context.Context, upTo uint64) ([]record.Record, error) {
	if s.hub.opt.Store == nil || upTo <= s.cursor {
		return nil, nil
	}
	var out []record.Record
	_, err := s.hub.opt.Store.Scan(ctx, store.ScanRequest{
		Tenant: s.tenant, From: -everywhen, To: everywhen, Where: s.where,
		Order: store.AsStored, AfterOrd: s.cursor,
	}, func(rs []record.Record) error {
		for _, r := range rs {
			if r.Ord <= s.cursor || r.Ord > upTo {
				continue
			}
			if len(out) >= s.hub.opt.MaxReplay {
				return fault.WithHint(fault.Errorf(fault.Overload, "more than %d records were committed since the point to resume from", s.hub.opt.MaxReplay),
					"read them with a query, then tail without a point to resume from")
			}
			out = append(out, r)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b record.Record) int { return cmp.Compare(a.Ord, b.Ord) })
	return out, nil
}
