package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/store/segment"
)

// A Retention says when the records of a class and event day (2006-01-02), of
// which the newest arrived at a time, may be destroyed at the earliest, all of
// them, and the rule in words. It is not ok for what is kept without end.
type Retention func(tenant, class, day string, arrived time.Time) (end time.Time, rule string, ok bool)

// Expire destroys the days whose retention has ended and that no hold covers, and
// returns how many. The order is: the certificate in the ledger, which takes the
// segments from all queries that begin later; the data keys, which is the
// deletion; a leaf that says so; the files. What was begun and did not come to
// its end is finished by the next call, or by the next Open.
//
// Records of a destroyed day that arrive later are kept under a new key, and
// destroyed by a later call.
func (s *Store) Expire(ctx context.Context, now time.Time) (n int, err error) {
	if s.o.Retention == nil {
		return 0, nil
	}
	s.compacting.Lock()
	defer s.compacting.Unlock()
	if err := s.shred(ctx); err != nil {
		s.counts.destructions.WithLabelValues("failed").Inc()
		return 0, err
	}
	for _, p := range s.parts() {
		end, rule, ok := s.o.Retention(p.Tenant, p.Class, p.Day, time.Unix(0, p.arrived))
		if !ok || now.Before(end) {
			continue
		}
		p.Reason, p.Policy, p.End, p.By = "retention", rule, end.UnixNano(), "retention"
		done, err := s.destroy(ctx, p.Destruction)
		if err != nil {
			s.counts.destructions.WithLabelValues("failed").Inc()
			return n, fmt.Errorf("destroy %s/%s/%s: %w", p.Tenant, p.Class, p.Day, err)
		}
		if done {
			n++
		}
	}
	return n, nil
}

// A candidate is a part that may be beyond its retention.
type candidate struct {
	ledger.Destruction
	arrived int64 // the newest of its records, ns
}

// parts returns the tenants, classes and days that have segments, in order.
func (s *Store) parts() []candidate {
	seen := make(map[string]candidate)
	s.mu.RLock()
	for _, h := range s.segments {
		dir := folderOf(&h.leaf)
		seen[dir] = candidate{
			ledger.Destruction{Tenant: h.leaf.Tenant, Class: h.leaf.Class, Day: h.leaf.Day},
			max(seen[dir].arrived, h.leaf.MaxIngest),
		}
	}
	s.mu.RUnlock()
	var out []candidate
	for _, dir := range slices.Sorted(maps.Keys(seen)) {
		out = append(out, seen[dir])
	}
	return out
}

// destroy destroys all segments of a part, unless it is held.
func (s *Store) destroy(ctx context.Context, d ledger.Destruction) (bool, error) {
	s.sealing.Lock() // no seal is writing under the key that goes
	defer s.sealing.Unlock()
	gone, held, err := s.certify(ctx, d)
	if err != nil || held {
		return false, err
	}
	err = s.shred(context.WithoutCancel(ctx)) // what is certified is done
	// The files go even if the keys did not: their segments do not exist any more.
	s.forget(gone)
	s.retire(gone)
	if e := s.o.FS.SyncDir(folderOf(&gone[0].leaf)); err == nil {
		err = e
	}
	if err != nil {
		return false, err
	}
	s.counts.destroyed(gone)
	s.log.Info("destroyed", "tenant", d.Tenant, "class", d.Class, "day", d.Day, "rule", d.Policy, "segments", len(gone))
	return true, nil
}

// certify appends the certificate and takes the segments from the queries.
func (s *Store) certify(ctx context.Context, d ledger.Destruction) (gone []*handle, held bool, err error) {
	s.ledgerMu.Lock()
	defer s.ledgerMu.Unlock()
	s.mu.RLock()
	for i := range s.holds {
		held = held || s.holds[i].Covers(d.Tenant, d.Class, d.Day)
	}
	byID := make(map[string]*ledger.Segment)
	for _, h := range s.segments {
		l := &h.leaf
		if l.Tenant != d.Tenant || l.Class != d.Class || l.Day != d.Day {
			continue
		}
		gone, byID[l.ID] = append(gone, h), l
		d.Segments = append(d.Segments, l.ID)
		if !slices.Contains(d.KeyIDs, l.KeyID) {
			d.KeyIDs = append(d.KeyIDs, l.KeyID)
		}
	}
	failed := s.failed
	s.mu.RUnlock()
	switch {
	case failed != nil:
		return nil, false, fault.Errorf(fault.Unavailable, "destroy: %w", failed)
	case held:
		s.log.Info("kept beyond its retention: a legal hold covers it", "tenant", d.Tenant, "class", d.Class, "day", d.Day, "rule", d.Policy)
		return nil, true, nil
	}
	d.At = s.o.Now().UnixNano()
	err = s.commit(ctx, d.Split(func(id string) (uint64, int64) { return byID[id].Records, byID[id].Size }))
	if err != nil {
		return nil, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.segments = slices.DeleteFunc(slices.Clone(s.segments), func(h *handle) bool { return byID[h.leaf.ID] == &h.leaf })
	for _, h := range gone {
		h.destroyed.Store(true)
		s.changes.ofSegment(&h.leaf)
		s.written.DestroyedSegments++
		s.written.DestroyedRecords += h.leaf.Records
	}
	for _, id := range d.KeyIDs {
		s.doomed[id] = ledger.Key{ID: id, Tenant: d.Tenant, Class: d.Class, Day: d.Day}
	}
	return gone, false, nil
}

// shred destroys the keys that certificates name and no leaf says are destroyed,
// and writes those leaves. The caller holds compacting, or is Open.
func (s *Store) shred(ctx context.Context) error {
	for _, id := range slices.Sorted(maps.Keys(s.doomed)) {
		k := s.doomed[id]
		s.keys.drop(id)
		// A key that this keyring does not have can not be read with it either.
		if err := s.o.Keyring.Destroy(id); err != nil && !fault.Is(err, fault.NotFound) {
			return fmt.Errorf("destroy data key %s: %w", id, err)
		}
		k.At, k.Action = s.o.Now().UnixNano(), "destroyed"
		if err := s.commit(ctx, []any{k}); err != nil {
			return fmt.Errorf("note that data key %s was destroyed: %w", id, err)
		}
		delete(s.doomed, id)
	}
	return nil
}

// forget drops what the memory has of destroyed segments.
func (s *Store) forget(gone []*handle) {
	for _, h := range gone {
		if id, err := segment.ParseID(h.leaf.ID); err == nil {
			s.cache.Drop(id)
		}
		s.damageMu.Lock()
		delete(s.damaged, h.leaf.Path)
		s.damageMu.Unlock()
	}
}

// drop forgets an opened key.
func (k *keyCache) drop(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.byID, id)
	delete(k.leaf, id)
}

// SetHolds places and releases legal holds until those are in force, and no
// others, that are given; by says who did it. Every change is a leaf of the
// ledger, so holds outlive the process: without a call the ledger's are in force.
func (s *Store) SetHolds(ctx context.Context, holds []ledger.Hold, by string) error {
	s.ledgerMu.Lock()
	defer s.ledgerMu.Unlock()
	s.mu.RLock()
	was := slices.Clone(s.holds)
	s.mu.RUnlock()
	now := s.o.Now().UnixNano()
	var leaves []any
	var next []ledger.Hold
	find := func(list []ledger.Hold, id string) *ledger.Hold {
		if i := slices.IndexFunc(list, func(h ledger.Hold) bool { return h.ID == id }); i >= 0 {
			return &list[i]
		}
		return nil
	}
	same := func(a, b *ledger.Hold) bool {
		return a != nil && b != nil && a.Tenant == b.Tenant && a.Class == b.Class && a.From == b.From && a.To == b.To && a.Reason == b.Reason
	}
	for i := range was {
		if h := was[i]; same(&h, find(holds, h.ID)) {
			next = append(next, h)
		} else {
			h.At, h.Action, h.By = now, "released", by
			leaves = append(leaves, h)
		}
	}
	for i, h := range holds {
		if find(holds[:i], h.ID) != nil {
			return fault.Errorf(fault.Invalid, "set holds: two have the id %q", h.ID)
		}
		if find(next, h.ID) == nil {
			h.At, h.Action, h.By = now, "placed", by
			leaves, next = append(leaves, h), append(next, h)
		}
	}
	if len(leaves) == 0 {
		return nil
	}
	if err := s.commit(ctx, leaves); err != nil {
		return fmt.Errorf("set holds: %w", err)
	}
	for _, l := range leaves {
		h := l.(ledger.Hold)
		s.log.Warn("legal hold "+h.Action, "id", h.ID, "tenant", h.Tenant, "class", h.Class, "from", h.From, "to", h.To, "by", by)
	}
	slices.SortFunc(next, func(a, b ledger.Hold) int { return cmp.Compare(a.ID, b.ID) })
	s.mu.Lock()
	s.holds = next
	s.mu.Unlock()
	return nil
}

// Holds returns the legal holds in force.
func (s *Store) Holds() []ledger.Hold {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.holds)
}
