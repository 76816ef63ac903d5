package journal

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// commitLoop is the committer: the only goroutine that writes.
func (j *Journal) commitLoop() {
	defer close(j.done)
	for {
		g, ended := j.take()
		if g != nil {
			j.commit(g)
			continue
		}
		if j.turn() {
			continue
		}
		if ended {
			j.closeErr = j.finish()
			return
		}
		<-j.work
	}
}

// take swaps the pending group for an empty one. It returns nil if there is
// none, and whether none will come any more.
func (j *Journal) take() (g *group, ended bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.pending.first == 0 {
		return nil, j.closed || j.dead != nil
	}
	g = j.pending
	j.pending, j.spare = j.spare, nil
	return g, false
}

// commit makes a group durable and tells everyone.
func (j *Journal) commit(g *group) {
	if err := j.write(g); err != nil {
		var failed *syncError
		if errors.As(err, &failed) {
			j.poison(g, err)
		} else {
			j.refuse(g, err)
		}
		return
	}
	start := time.Now()
	if err := j.file.Sync(); err != nil {
		j.poison(g, &syncError{err})
		return
	}
	j.counts.synced(time.Since(start), len(g.waiters), len(g.buf))
	j.off += int64(len(g.buf))
	j.next = g.last.Seq + 1

	j.mu.Lock()
	j.head = g.last
	j.files[len(j.files)-1].end = j.off
	grown := j.grown
	j.grown = nil
	j.mu.Unlock()
	if j.o.Committed != nil {
		for _, w := range g.waiters {
			j.o.Committed(w.seq, w.token)
		}
	}
	if grown != nil {
		close(grown)
	}
	j.settle(g, nil)
}

// settle wakes the appenders of g with their outcome and takes the group back.
func (j *Journal) settle(g *group, err error) {
	j.mu.Lock()
	j.queued -= int64(len(g.buf))
	if j.room != nil {
		close(j.room)
		j.room = nil
	}
	j.mu.Unlock()
	for i, w := range g.waiters {
		g.waiters[i] = nil
		w.done <- err
	}
	g.reset(2 * j.o.MaxQueued)
	j.mu.Lock()
	j.spare = g
	j.mu.Unlock()
}

// refuse gives up a group whose bytes could not be written, and all that was
// queued behind it, because their chain values follow from it.
func (j *Journal) refuse(g *group, err error) {
	err = fault.Errorf(fault.Unavailable, "append to journal: %w", err)
	if vfs.IsFull(err) {
		err = fault.WithHint(err, "the disk is full: nothing was accepted; free space and send again")
	}
	j.counts.refused(len(g.waiters))
	j.o.Logger.Warn("journal refused frames", "first", g.first, "frames", len(g.waiters), "err", err)

	j.mu.Lock()
	behind := j.pending
	j.pending = &group{}
	j.tail, j.tailSeq = j.head, j.next
	j.mu.Unlock()
	j.settle(g, err)
	j.settle(behind, err)
}

// poison ends the journal after a failed sync.
func (j *Journal) poison(g *group, err error) {
	err = fault.WithHint(
		fault.Errorf(fault.Unavailable, "journal is poisoned: sync of %s: %w", j.file.Name(), err),
		"the disk may have lost what it was given; the process must end and start again")
	j.counts.poisoned()
	j.o.Logger.Error("journal is poisoned", "err", err)
	j.mu.Lock()
	j.dead = err
	behind := j.pending
	j.pending = &group{}
	if j.grown != nil {
		close(j.grown)
		j.grown = nil
	}
	j.mu.Unlock()
	j.settle(g, err)
	j.settle(behind, err)
	if j.o.Poisoned != nil {
		j.o.Poisoned(err)
	}
}

// write puts the bytes of g behind the last durable frame. After an error that
// is no syncError nothing of g counts, and the next write may succeed.
func (j *Journal) write(g *group) error {
	size := int64(len(g.buf))
	if j.cut {
		if err := j.cutTail(); err != nil {
			return err
		}
	}
	if j.rotate || j.off > headerSize && j.off+size > j.o.FileSize {
		if err := j.nextFile(); err != nil {
			return err
		}
	}
	if end := j.off + size; j.allocated < end && end <= j.o.FileSize {
		// Best effort: without it every sync also syncs the size, and a full disk
		// is noticed by the write. Doubling keeps the file of an idle server small.
		if room := min(j.o.FileSize, max(minPreallocate, 2*end)); j.file.Preallocate(room) == nil {
			j.allocated = room
		}
	}
	n, err := j.file.WriteAt(g.buf, j.off)
	if err == nil && n < len(g.buf) {
		err = io.ErrShortWrite
	}
	if err != nil {
		// Whole frames may stand behind off now. They would survive a shorter
		// write at the same place, so nothing is written before they are gone.
		j.cut = true
		return errors.Join(fmt.Errorf("write %s: %w", j.file.Name(), err), j.cutTail())
	}
	j.allocated = max(j.allocated, j.off+size)
	return nil
}

func (j *Journal) cutTail() error {
	if err := j.file.Truncate(j.off); err != nil {
		return fmt.Errorf("cut %s: %w", j.file.Name(), err)
	}
	j.cut, j.allocated = false, j.off
	return nil
}

// turn begins a new file if Release asked for one, and reports whether it did.
func (j *Journal) turn() bool {
	j.mu.Lock()
	answer := j.turning
	j.turning = nil
	dead := j.dead != nil || j.closed
	j.mu.Unlock()
	if answer == nil {
		return false
	}
	var err error
	if !dead && j.off > headerSize {
		err = j.nextFile()
	}
	if failed := (*syncError)(nil); errors.As(err, &failed) {
		j.poison(&group{}, err)
	}
	answer <- err
	return true
}

// nextFile ends the file in use and begins the next one.
func (j *Journal) nextFile() error {
	if !j.rotate {
		if err := j.cutTail(); err != nil {
			return err
		}
		// Else bytes that were cut could come back after a crash, behind which a
		// new file stands.
		if err := j.file.Sync(); err != nil {
			return &syncError{err}
		}
		// From here on the new file may exist, whatever an error says: the old
		// one must not take another frame.
		j.rotate = true
	}
	h := header{id: j.id, first: j.next, prev: j.headPosition(), commitment: commitment(j.o.Key)}
	file, err := createFile(j.o.FS, &h, j.cipher.sealer)
	if err != nil {
		return err
	}
	j.file.Close() // everything in it is synced
	j.file, j.off, j.rotate = file, headerSize, false
	j.allocated = headerSize
	j.mu.Lock()
	j.files = append(j.files, fileInfo{name: fileName(h.first), first: h.first, prev: h.prev, end: j.off})
	j.mu.Unlock()
	j.counts.rotated()
	return nil
}

func (j *Journal) headPosition() Position {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.head
}

// finish cuts the preallocated space, so that a cleanly closed file ends at its
// last frame, and closes the file.
func (j *Journal) finish() error {
	if j.dead != nil {
		j.file.Close()
		return j.dead
	}
	err := j.cutTail()
	if err == nil {
		err = j.file.Sync()
	}
	if e := j.file.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("close journal: %w", err)
	}
	return nil
}

// Close waits until everything queued is durable, cuts the preallocated space
// and releases the folder. It is idempotent.
func (j *Journal) Close() error {
	j.mu.Lock()
	j.closed = true
	for _, c := range []*chan struct{}{&j.room, &j.grown} {
		if *c != nil {
			close(*c)
			*c = nil
		}
	}
	first := j.lock
	j.lock = nil
	j.mu.Unlock()
	select {
	case j.work <- struct{}{}:
	default:
	}
	<-j.done
	if first != nil {
		return errors.Join(j.closeErr, first.Close())
	}
	return nil
}
