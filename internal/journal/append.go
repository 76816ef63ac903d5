package journal

import (
	"context"
	"sync"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
)

// A group is what one write and one sync make durable. While it is pending it
// is guarded by Journal.mu; then it belongs to the committer.
type group struct {
	buf     []byte
	first   uint64 // seq of the first frame; 0 if empty
	last    Position
	waiters []*waiter
}

func (g *group) reset(keep int64) {
	if int64(cap(g.buf)) > keep {
		g.buf = nil // one huge payload must not be paid for ever
	}
	g.buf, g.first, g.waiters = g.buf[:0], 0, g.waiters[:0]
}

type waiter struct {
	seq   uint64
	token any
	done  chan error // holds the one outcome
}

var waiters = sync.Pool{New: func() any { return &waiter{done: make(chan error, 1)} }}

// Append makes payload durable and returns its seq. ctx bounds the wait for
// room in the queue; once the payload is queued Append waits for the outcome,
// which takes as long as the disk does, so that nothing is ever half accepted.
// token is handed to Options.Committed.
//
// fault.Unavailable means that the payload was not accepted and may be sent
// again: the disk is full (then the journal works again when there is space),
// or the journal is closed or poisoned. After such an error the payload may
// still turn up after a crash; callers number what they send.
func (j *Journal) Append(ctx context.Context, payload []byte, token any) (seq uint64, err error) {
	if len(payload) > MaxPayload {
		return 0, fault.Errorf(fault.TooLarge, "append to journal: payload of %d bytes, more than %d", len(payload), MaxPayload)
	}
	size := int64(frameHeaderSize + crypt.Overhead + len(payload))
	if err := j.enter(ctx, size); err != nil {
		return 0, err
	}
	seq = j.tailSeq
	if err := j.lay(payload, seq); err != nil {
		j.mu.Unlock()
		return 0, err
	}
	w := waiters.Get().(*waiter)
	w.seq, w.token = seq, token
	j.pending.waiters = append(j.pending.waiters, w)
	j.queued += size
	j.mu.Unlock()
	select {
	case j.work <- struct{}{}:
	default:
	}
	err = <-w.done
	w.token = nil
	waiters.Put(w)
	if err != nil {
		return 0, err
	}
	return seq, nil
}

// enter waits for room and returns with j.mu held if there is.
func (j *Journal) enter(ctx context.Context, size int64) error {
	j.mu.Lock()
	for {
		switch {
		case j.dead != nil:
			err := j.dead
			j.mu.Unlock()
			return err
		case j.closed:
			j.mu.Unlock()
			return fault.Errorf(fault.Unavailable, "append to journal: it is closed")
		case j.queued == 0 || j.queued+size <= j.o.MaxQueued:
			j.used = true
			return nil
		}
		if j.room == nil {
			j.room = make(chan struct{})
		}
		room := j.room
		j.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return fault.Errorf(fault.Canceled, "append to journal: wait for room: %w", ctx.Err())
		}
		j.mu.Lock()
	}
}

// lay seals payload as frame seq at the end of the pending group. j.mu is held:
// the chain is a sequence, and sealing under the lock costs no copy. It runs
// while the committer waits for the disk. Sealing and chaining 64 KiB takes
// about 155 µs (423 MB/s); sealing outside the lock has not been measured.
func (j *Journal) lay(payload []byte, seq uint64) error {
	g := j.pending
	if g.first == 0 {
		g.first = seq
	}
	start := len(g.buf)
	b, err := j.cipher.seal(appendFrameHeader(g.buf, seq, g.first), payload, seq)
	if err != nil {
		if start == 0 {
			g.first = 0
		}
		return err
	}
	g.buf = b
	j.tail.Hash = j.chain.finishFrame(b[start:], &j.tail.Hash)
	j.tail.Seq = seq
	j.tailSeq = seq + 1
	g.last = j.tail
	return nil
}
