package store

import (
	"context"
	"sync"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

// The kinds of payload of a journal frame.
const (
	frameBatch      = 1
	frameAccount    = 2
	frameCheckpoint = 3
)

// A frame is what Committed is told of: the batch of a frame of the journal.
type frame struct {
	kind   byte
	b      *record.Batch
	commit Commit
	again  bool // it was kept before; set when it is applied
}

var payloads = sync.Pool{New: func() any { return new([]byte) }}

// keepPayload is the largest buffer that is kept, in bytes.
const keepPayload = 4 << 20

// Append implements record.Appender. Besides what the journal returns it fails
// with fault.Invalid for a batch that can never be kept, and with
// fault.Overload when too many records wait to be sealed.
func (s *Store) Append(ctx context.Context, b *record.Batch) error {
	if err := b.Check(); err != nil {
		return fault.Errorf(fault.KindOf(err), "append batch: %w", err)
	}
	if err := s.spare(b); err != nil {
		return err
	}
	if err := s.admit(ctx); err != nil {
		return err
	}
	if b.Len() > 0 && b.ClassAt(0) != auditClass {
		s.gate.came()
	}
	f := frame{kind: frameBatch, b: b}
	s.mu.RLock()
	repeated := s.dedup.has(b)
	s.mu.RUnlock()
	if repeated {
		f = frame{kind: frameAccount, b: accountOf(b)}
	}
	buf := payloads.Get().(*[]byte)
	payload := f.b.AppendEncoded(append((*buf)[:0], f.kind))
	f.commit = Commit{Batch: f.b, payload: payload[1:]}
	_, err := s.journal.Append(ctx, payload, &f)
	if cap(payload) <= keepPayload && !f.commit.kept {
		*buf = payload
		payloads.Put(buf)
	}
	if err != nil {
		return fault.Errorf(fault.KindOf(err), "append batch: %w", err)
	}
	if repeated || f.again {
		b.Account.Deduplicated = uint64(b.Len()) // who sent it may want to know
	}
	return nil
}

// auditClass may use what Limits.Reserve keeps free. access.AuditClass is the
// same; senders cannot choose it.
const auditClass record.Class = "audit"

// spare refuses a batch that would use what is kept free of the disk.
func (s *Store) spare(b *record.Batch) error {
	if s.o.Limits.Reserve <= 0 || b.Len() > 0 && b.ClassAt(0) == auditClass {
		return nil
	}
	if free := s.o.FS.Free(); free >= 0 && free < s.o.Limits.Reserve {
		return fault.WithHint(fault.Errorf(fault.Unavailable, "append batch: the disk is full: %d bytes are free, and %d are kept for audit records and seals", free, s.o.Limits.Reserve),
			"nothing was accepted; free space and send again")
	}
	return nil
}

// accountOf returns the account of a batch that was kept before.
func accountOf(b *record.Batch) *record.Batch {
	a := &record.Batch{Tenant: b.Tenant, Source: b.Source, Ingest: b.Ingest, Account: b.Account}
	a.Account.Deduplicated += uint64(b.Len())
	a.Account.Received = a.Account.Deduplicated + sum(a.Account.Rejected) + sum(a.Account.Dropped)
	return a
}

// unsealed returns the bytes and number of records that no segment has. The
// caller holds mu.
func (s *Store) unsealed() (raw, rows int64) {
	raw, rows = s.active.Raw()
	if s.pending != nil {
		r, n := s.pending.table.Raw()
		raw, rows = raw+r, rows+n
	}
	return raw, rows
}

// admit waits until there is room for more records that are not sealed.
func (s *Store) admit(ctx context.Context) error {
	var timeout <-chan time.Time
	for {
		s.mu.RLock()
		raw, _ := s.unsealed()
		failed, closed := s.failed, s.closed
		space := s.space.Load()
		s.mu.RUnlock()
		switch {
		case failed != nil:
			return fault.Errorf(fault.Unavailable, "append batch: %w", failed)
		case closed:
			return fault.Errorf(fault.Unavailable, "append batch: the store is closed")
		case raw < s.o.Limits.Unsealed:
			return nil
		}
		s.signal()
		if timeout == nil {
			t := time.NewTimer(s.o.Limits.AppendWait)
			defer t.Stop()
			timeout = t.C
		}
		err := fault.Errorf(fault.Overload, "append batch: %d bytes of records wait to be sealed, limit %d", raw, s.o.Limits.Unsealed)
		select {
		case <-*space:
		case <-ctx.Done():
			return err
		case <-timeout:
			return err
		}
	}
}

// freed wakes those who wait in admit.
func (s *Store) freed() {
	c := make(chan struct{})
	if old := s.space.Swap(&c); old != nil {
		close(*old)
	}
}

// committed is called by the journal for each durable frame, in order.
func (s *Store) committed(seq uint64, token any) {
	f, _ := token.(*frame)
	head := s.journal.Head()
	s.mu.Lock()
	fresh := false
	if f != nil {
		fresh = s.apply(seq, f, true, true)
	}
	s.last = seq
	if head.Seq == seq {
		s.pos = head
		s.grouped.Broadcast()
	}
	raw, _ := s.active.Raw()
	s.mu.Unlock()
	if raw >= s.o.Limits.SealBytes {
		s.signal()
	}
	if !fresh || f.b.Len() == 0 {
		return
	}
	if list := s.watch.list.Load(); list != nil {
		for _, w := range *list {
			w.f(&f.commit)
		}
	}
}

// apply counts a frame and inserts its records, unless they were kept before.
// The caller holds mu. On replay, frames that an epoch has counted are not
// counted again, and those that are sealed are not inserted.
func (s *Store) apply(seq uint64, f *frame, count, insert bool) (fresh bool) {
	b := f.b
	b.Ord = seq << block.OrdShift
	n := uint64(b.Len())
	fresh = f.kind == frameBatch && s.dedup.add(b)
	f.again = !fresh
	if count {
		stored, repeated := n, uint64(0)
		if !fresh {
			stored, repeated = 0, n
		}
		s.totals.add(b, stored, repeated)
		s.counts.applied(stored, repeated)
	}
	if insert {
		s.latest = s.o.Now()
		if !s.dirty {
			s.dirty, s.since = true, s.latest
		}
		if fresh && n > 0 {
			s.active.Insert(b)
			s.changes.came(b)
		}
	}
	return fresh
}
