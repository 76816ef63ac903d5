package store

import (
	"slices"

	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/memtable"
)

// An Extent is the records that an answer depends on. Times are event times, ns,
// From <= t < To.
//
// Every change of what is stored has a number; they grow from 1 and none is used
// twice by one Store. LastChange returns the number of the last change of the
// extent, or a larger one, and that of the last change of all. Whoever asks for
// now first and for an answer then may keep both: as long as last is not above
// that now, the same request has the same answer. Only an answer in which damage
// was met must not be kept. Changes are records that become visible, their
// destruction, and damage that is found. To seal and to compact changes nothing.
type Extent struct {
	Tenant  record.TenantID
	Classes []record.Class // nil: all
	Without record.Class   // of these, not this one; "": none
	From    int64
	To      int64
}

// LastChange implements Reader. It reads no file and takes microseconds, however
// many segments there are.
func (s *Store) LastChange(of Extent) (last, now uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.changes.last(&of), s.changes.now
}

const (
	// slotBits of an event time are not told apart: a slot is 34 seconds.
	slotBits = 35
	// mostSlots of one tenant and class are remembered, or fewer where there are
	// many tenants, so that all take 8 MiB at most.
	mostSlots  = 4096
	leastSlots = 64
	allSlots   = 1 << 19
	// mostSpans of segments are remembered.
	mostSpans = 64
)

// changes remembers what changed last. It is bounded: what it forgets raises the
// floor, below which everything may have changed. Guarded by Store.mu; changes
// that a snapshot sees are noted under the same lock that makes them visible.
type changes struct {
	now   uint64
	floor uint64
	parts map[record.TenantID]map[record.Class]*slotted
	n     int // of parts
	spans []span
}

// slotted is the last changes of a tenant and class by slots of event time.
type slotted struct {
	floor uint64
	slots []int64 // ascending
	last  []uint64
}

// A span is the last change of a whole segment.
type span struct {
	tenant   record.TenantID
	class    record.Class
	from, to int64 // both included
	last     uint64
}

// came notes the records of a batch.
func (c *changes) came(b *record.Batch) {
	c.now++
	var part *slotted
	var class record.Class
	var slot int64
	for i, at := range b.Times() {
		if at < memtable.MinTime || at >= memtable.MaxTime {
			at = memtable.EventTime(b, i)
		}
		at >>= slotBits
		if cl := b.ClassAt(i); part == nil || cl != class {
			part, class = c.part(b.Tenant, cl), cl
		} else if at == slot {
			continue
		}
		slot = at
		part.set(slot, c.now)
	}
	if part != nil {
		part.forget(min(mostSlots, max(leastSlots, allSlots/c.n)))
	}
}

// part returns what is known of a tenant and class.
func (c *changes) part(tenant record.TenantID, class record.Class) *slotted {
	p := c.parts[tenant][class]
	if p != nil {
		return p
	}
	if c.parts == nil {
		c.parts = make(map[record.TenantID]map[record.Class]*slotted)
	}
	if c.parts[tenant] == nil {
		c.parts[tenant] = make(map[record.Class]*slotted)
	}
	p = &slotted{}
	c.parts[tenant][class] = p
	c.n++
	return p
}

func (s *slotted) set(slot int64, now uint64) {
	i := len(s.slots) - 1
	if i < 0 || s.slots[i] != slot {
		var known bool
		if i, known = slices.BinarySearch(s.slots, slot); !known {
			s.slots, s.last = slices.Insert(s.slots, i, slot), slices.Insert(s.last, i, now)
			return
		}
	}
	s.last[i] = now
}

// forget lets go of the oldest changes when there are more than most, half of them
// at a time.
func (s *slotted) forget(most int) {
	if len(s.slots) <= most {
		return
	}
	order := slices.Sorted(slices.Values(s.last))
	s.floor = max(s.floor, order[len(order)-1-most/2])
	n := 0
	for i, last := range s.last {
		if last > s.floor {
			s.slots[n], s.last[n] = s.slots[i], last
			n++
		}
	}
	s.slots, s.last = s.slots[:n], s.last[:n]
}

// ofSegment notes that all records of a segment may have changed.
func (c *changes) ofSegment(l *ledger.Segment) {
	c.now++
	x := span{record.TenantID(l.Tenant), record.Class(l.Class), l.MinTime, l.MaxTime, c.now}
	for i := range c.spans {
		if o := &c.spans[i]; o.tenant == x.tenant && o.class == x.class && o.from == x.from && o.to == x.to {
			o.last = c.now
			return
		}
	}
	if len(c.spans) == mostSpans {
		c.everything()
	}
	c.spans = append(c.spans, x)
}

// everything notes that anything may have changed.
func (c *changes) everything() {
	c.now++
	c.floor, c.spans = c.now, c.spans[:0]
}

// last returns the last change of an extent, or a later one.
func (c *changes) last(of *Extent) uint64 {
	out := c.floor
	wants := func(class record.Class) bool { return of.Classes == nil || slices.Contains(of.Classes, class) }
	for i := range c.spans {
		// Of.Without does not count here: a request that leaves a class out by its
		// predicate may still fail to open a segment of it, and say so.
		if x := &c.spans[i]; x.tenant == of.Tenant && x.from < of.To && x.to >= of.From && wants(x.class) {
			out = max(out, x.last)
		}
	}
	if of.To <= of.From {
		return out
	}
	from, to := of.From>>slotBits, (of.To-1)>>slotBits
	for class, p := range c.parts[of.Tenant] {
		if !wants(class) || of.Without != "" && class == of.Without {
			continue
		}
		out = max(out, p.floor)
		i, _ := slices.BinarySearch(p.slots, from)
		j, _ := slices.BinarySearch(p.slots, to+1)
		for _, last := range p.last[i:j] {
			out = max(out, last)
		}
	}
	return out
}

// changedFile notes that a file was found damaged.
func (s *Store) changedFile(file string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.segments {
		if h.leaf.Path == file {
			s.changes.ofSegment(&h.leaf)
			return
		}
	}
	s.changes.everything()
}
