package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/store/catalog"
)

// Compaction replaces runs of small segments of one tenant, class and day by one
// segment, so that a day is a few files and not one for each seal. Blocks are
// moved as they are; those under a quarter full are encoded anew together, once
// (compact_write.go). Records are written once when they are sealed and at most
// once more here, over all: a compaction that would exceed that is not begun.
//
// It tells three levels apart. Segments of level 0 are as they were sealed; a
// run of them is merged (level 1). When a day is over and nothing arrives for it
// any more, what is left is put together (level 2), as far as the bytes that
// were saved before allow it.

const (
	// maxInputs of one compaction: each is an open file.
	maxInputs = 256
	// maxRaw of the records of an output, as JSON would take.
	maxRaw = 2 << 30
)

// compaction is one that is to be done.
type compaction struct {
	reason string
	inputs []*handle // by the journal
}

func (c *compaction) cost() (bytes int64) {
	for _, h := range c.inputs {
		bytes += h.leaf.Size
	}
	return bytes
}

// Compact does every compaction that is due and returns how many. It is safe to
// call at any time; the store calls it by itself.
func (s *Store) Compact(ctx context.Context) (n int, err error) {
	s.compacting.Lock()
	defer s.compacting.Unlock()
	var errs []error
	for {
		c := s.dueCompaction()
		if c == nil {
			return n, errors.Join(errs...)
		}
		if err := s.compact(ctx, c); err != nil {
			s.counts.compactions.WithLabelValues("failed").Inc()
			part := folderOf(&c.inputs[0].leaf)
			s.shunned[part] = s.o.Now().Add(shunFor)
			errs = append(errs, fmt.Errorf("compact %d segments of %s: %w", len(c.inputs), part, err))
			if ctx.Err() != nil {
				return n, errors.Join(errs...)
			}
			continue
		}
		n++
	}
}

// shunFor is how long a part is left alone that could not be compacted.
const shunFor = 10 * time.Minute

// dueCompaction returns the one that takes the most segments away, or nil.
func (s *Store) dueCompaction() *compaction {
	now := s.o.Now()
	parts, written, ok := s.compactable()
	if !ok || s.o.Limits.CompactFiles < 0 {
		return nil
	}
	credit := written.SealedBytes - written.CompactedBytes
	surplus := credit // what is left when every segment of level 0 was merged
	for _, p := range parts {
		for _, h := range p {
			if h.level == 0 && s.small(h) {
				surplus -= h.leaf.Size
			}
		}
	}
	var best *compaction
	for _, p := range parts {
		if until, ok := s.shunned[folderOf(&p[0].leaf)]; ok && now.Before(until) {
			continue
		}
		for _, c := range s.runs(p, now, surplus) {
			if cost := c.cost(); cost > credit || !s.roomFor(cost) {
				continue
			}
			if best == nil || len(c.inputs) > len(best.inputs) {
				best = c
			}
		}
	}
	return best
}

// compactable returns the segments that can be read, by part and then by the
// journal. It is not ok when the store can not go on.
func (s *Store) compactable() (parts [][]*handle, w catalog.Written, ok bool) {
	s.damageMu.Lock()
	bad := make(map[string]bool, len(s.damaged))
	for f := range s.damaged {
		bad[f] = true
	}
	s.damageMu.Unlock()
	s.mu.RLock()
	defer s.mu.RUnlock()
	byPart := make(map[string][]*handle)
	for _, h := range s.segments {
		if !bad[h.leaf.Path] {
			dir := folderOf(&h.leaf)
			byPart[dir] = append(byPart[dir], h)
		}
	}
	for _, p := range byPart {
		slices.SortFunc(p, func(a, b *handle) int {
			return cmp.Or(cmp.Compare(a.leaf.JournalAfter, b.leaf.JournalAfter), cmp.Compare(a.leaf.ID, b.leaf.ID))
		})
		parts = append(parts, p)
	}
	slices.SortFunc(parts, func(a, b []*handle) int { return cmp.Compare(a[0].leaf.Path, b[0].leaf.Path) })
	return parts, s.written, s.failed == nil
}

// small reports whether a segment is worth merging.
func (s *Store) small(h *handle) bool { return h.leaf.Size <= s.o.Limits.CompactBytes/2 }

// roomFor reports whether the disk has room for a file beside what is kept free.
func (s *Store) roomFor(size int64) bool {
	free := s.o.FS.Free()
	return free < 0 || free >= s.o.Limits.Reserve+size+size/4
}

// runs returns the compactions that a part is due for.
func (s *Store) runs(p []*handle, now time.Time, surplus int64) []*compaction {
	fresh, newest := 0, int64(0)
	for _, h := range p {
		if h.level == 0 {
			fresh++
			newest = max(newest, h.leaf.SealedAt)
		}
	}
	if s.dayIsOver(p[0], now, newest) {
		all := s.adjacent(p, func(h *handle) bool { return h.level <= 1 })
		var out []*compaction
		for _, c := range all {
			old := int64(0)
			for _, h := range c.inputs {
				if h.level > 0 {
					old += h.leaf.Size
				}
			}
			if len(c.inputs) > 1 && old <= surplus {
				c.reason = catalog.Close
				out = append(out, c)
			}
		}
		if len(out) > 0 {
			return out
		}
		return s.atLeast(2, catalog.Close, s.adjacent(p, func(h *handle) bool { return h.level == 0 }))
	}
	settled := now.Add(-s.o.Limits.CompactAfter).UnixNano()
	many := fresh > 4*s.o.Limits.CompactFiles
	return s.atLeast(s.o.Limits.CompactFiles, catalog.Merge, s.adjacent(p, func(h *handle) bool {
		return h.level == 0 && (many || h.leaf.SealedAt <= settled)
	}))
}

// atLeast keeps the runs of n segments, or of few that fill a file.
func (s *Store) atLeast(n int, reason string, runs []*compaction) []*compaction {
	out := runs[:0]
	for _, c := range runs {
		if k := len(c.inputs); k >= n || k >= 4 && c.cost() >= s.o.Limits.CompactBytes*3/4 {
			c.reason = reason
			out = append(out, c)
		}
	}
	return out
}

// adjacent returns the longest runs of segments that follow one another in the
// journal, are under one key, want to be compacted and fit into one file.
func (s *Store) adjacent(p []*handle, want func(h *handle) bool) []*compaction {
	var out []*compaction
	var c *compaction
	var size int64
	for _, h := range p {
		if !s.small(h) || !want(h) {
			c = nil
			continue
		}
		if c != nil {
			last := &c.inputs[len(c.inputs)-1].leaf
			if len(c.inputs) == maxInputs || size+h.leaf.Size > s.o.Limits.CompactBytes || h.leaf.KeyID != last.KeyID || h.leaf.KeyCommitment != last.KeyCommitment {
				c = nil
			}
		}
		if c == nil {
			c, size = &compaction{}, 0
			out = append(out, c)
		}
		c.inputs = append(c.inputs, h)
		size += h.leaf.Size
	}
	return out
}

// dayIsOver reports whether the event day of a part ended long enough ago, and
// nothing was sealed for it in the last while.
func (s *Store) dayIsOver(h *handle, now time.Time, newest int64) bool {
	day, err := time.Parse(time.DateOnly, h.leaf.Day)
	wait := s.o.Limits.CloseAfter
	return err == nil && !now.Before(day.AddDate(0, 0, 1).Add(wait)) && newest <= now.Add(-wait/6).UnixNano()
}

// compactEvery is how often it is looked whether a compaction is due.
const compactEvery = time.Minute

// compactLoop compacts in the background.
func (s *Store) compactLoop(ctx context.Context) {
	defer s.done.Done()
	tick := time.NewTicker(compactEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, err := s.Compact(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("compaction", "err", err, "kind", fault.KindOf(err).String())
		}
	}
}

// pacer makes compaction yield: while records arrive it works half of the time
// at most, and never beside a seal.
type pacer struct {
	s     *Store
	begun time.Time
	done  int
	seq   uint64
}

const (
	// paceEvery is how many bytes are handled between two looks.
	paceEvery = 1 << 20
	// sealWait is how long compaction waits for a seal: one that fails again and
	// again, as on a full disk, MUST NOT keep retention from making room.
	sealWait = 5 * time.Second
)

func (p *pacer) step(ctx context.Context, n int) error {
	if err := ctx.Err(); err != nil {
		return fault.Wrap(fault.Canceled, err)
	}
	if p.begun.IsZero() {
		p.begun = time.Now()
	}
	if p.done += n; p.done < paceEvery {
		return nil
	}
	took := time.Since(p.begun)
	for wait, waited := took, time.Duration(0); ; wait = sealWait / 100 {
		p.s.mu.RLock()
		seq, sealing := p.s.last, p.s.pending != nil
		p.s.mu.RUnlock()
		busy := seq != p.seq || sealing
		p.seq = seq
		if wait = min(wait, time.Second); busy {
			t := time.NewTimer(wait)
			select {
			case <-ctx.Done():
				t.Stop()
				return fault.Wrap(fault.Canceled, ctx.Err())
			case <-t.C:
			}
		}
		if waited += wait; !sealing || waited > sealWait {
			p.done, p.begun = 0, time.Now()
			return nil
		}
	}
}
