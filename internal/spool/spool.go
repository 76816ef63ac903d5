// Package spool is the agent's disk buffer: a record.Appender on one side and,
// on the other, the batches in order until the upstream has them.
//
//	spool/state       what was acknowledged, and who this spool is (state.go)
//	spool/journal/    the batches, one frame each (package journal)
//
//	frame payload     | version 1 | a batch in its encoding (spec/batch.md) |
//
// What survives a crash: every batch whose Append returned nil, until it was
// acknowledged. The position of acknowledgement is saved a moment later, so a
// restart may give the last batches again, under the same IDs.
//
// A batch without an ID gets one when it is given out: the spool's origin, its
// epoch, and the number of its first record. Numbers follow from the order of
// the batches alone, so they are the same after a restart. If the spool lost
// batches that it may have given out, the epoch grows.
//
// Nothing is ever dropped: a full spool makes Append wait. The room MUST NOT
// know where batches go. A batch from Next is lent until the next call.
package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/journal"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/telemetry"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// DefaultMaxBytes is how much a spool holds unless it is told otherwise.
const DefaultMaxBytes = 4 << 30

const (
	journalDir   = "journal"
	frameVersion = 1

	// saveEvery is the shortest time between two saves of the position. Each
	// costs three syncs, which the journal needs more.
	saveEvery = 200 * time.Millisecond
)

// Options are what Open needs.
type Options struct {
	FS  vfs.FS // the spool's own folder
	Key *crypt.Key
	// MaxBytes bounds the batches that were not acknowledged, in bytes; 0 means
	// DefaultMaxBytes. One batch is always let in. The disk holds up to a
	// quarter more.
	MaxBytes int64

	Logger  *slog.Logger       // nil: none
	Metrics *telemetry.Metrics // nil: none
	// Poisoned, if not nil, is called once, when the disk failed a sync. The
	// process is expected to end.
	Poisoned func(error)

	fileSize int64 // of tests; 0: by MaxBytes
}

// Spool is an open spool. Append, Ack and Close are safe for concurrent use;
// Next belongs to one goroutine.
type Spool struct {
	o        Options
	journal  *journal.Journal
	recovery journal.Recovery
	buffers  sync.Pool // *[]byte
	save     chan struct{}
	saved    chan struct{} // closed when the saver has ended

	// Owned by the goroutine that calls Next.
	reader *journal.Reader
	batch  record.Batch
	given  numbering // of the batch given last

	saving sync.Mutex // held while the state file is written

	mu      sync.Mutex
	state   state
	unacked []given // in order
	used    int64
	room    chan struct{} // closed when used shrinks; nil if nobody waits
	closed  bool
	closing chan struct{}
}

// given is a batch that Next gave out.
type given struct {
	at    journal.Position
	after numbering
	bytes int64
}

// Open opens the spool in a folder, or begins one in an empty folder. Damage is
// moved to quarantine and does not make it fail: see Recovery.
func Open(o Options) (*Spool, error) {
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Spool{
		o: o, save: make(chan struct{}, 1), saved: make(chan struct{}), closing: make(chan struct{}),
		buffers: sync.Pool{New: func() any { return new([]byte) }},
	}
	if s.o.fileSize == 0 {
		s.o.fileSize = min(journal.DefaultFileSize, max(o.MaxBytes/4, 64<<10))
	}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	o.Metrics.GaugeFunc("meshtrail_spool_bytes", "Bytes of batches in the spool that the upstream does not have yet.", func() float64 {
		return float64(s.Used())
	})
	go s.saveLoop()
	return s, nil
}

func (s *Spool) open() error {
	if err := s.o.FS.MkdirAll(journalDir); err != nil {
		return err
	}
	st, known, err := readState(s.o.FS, s.o.Logger)
	if err != nil {
		return err
	}
	if err := s.openJournal(&st, known); err != nil {
		return err
	}
	for _, first := range s.journal.Gaps() {
		if first > st.Acked {
			st.breaks = append(st.breaks, first)
		}
	}
	st.Highest = max(st.Highest, st.Epoch+uint64(len(st.breaks)))
	if err = writeState(s.o.FS, &st); err == nil {
		err = s.journal.Replay(context.Background(), st.Acked, func(_ uint64, p []byte) error {
			s.used += int64(len(p))
			return nil
		})
	}
	if err != nil {
		return errors.Join(err, s.journal.Close())
	}
	s.state, s.given = st, st.numbering
	s.reader = s.journal.Reader(st.Acked)
	return nil
}

// openJournal opens the journal and makes it if there is none.
func (s *Spool) openJournal(st *state, known bool) (err error) {
	o := journal.Options{
		FS: vfs.Sub(s.o.FS, journalDir), Key: s.o.Key,
		FileSize: s.o.fileSize,
		Anchor:   st.anchor(),
		Logger:   s.o.Logger, Metrics: s.o.Metrics, Poisoned: s.o.Poisoned,
	}
	s.journal, s.recovery, err = journal.Open(o)
	if !fault.Is(err, fault.NotFound) {
		return err
	}
	if known {
		// The batches that may have been given out are gone, and numbers that
		// come now must not be taken for theirs. The state goes first: with the
		// old position, the new journal's first batches would be skipped.
		s.o.Logger.Error("spool has a state and no journal: what it held is lost")
		st.Highest++
		st.Epoch, st.Number, st.Acked, st.Hash = st.Highest, 0, 0, nil
		if err := writeState(s.o.FS, st); err != nil {
			return err
		}
	}
	if err := journal.Create(o.FS, o.Key); err != nil {
		return err
	}
	o.Anchor = nil
	s.journal, s.recovery, err = journal.Open(o)
	return err
}

// Recovery says what opening the journal found. Damage MUST be reported.
func (s *Spool) Recovery() journal.Recovery { return s.recovery }

// Used returns the bytes of batches that were not acknowledged.
func (s *Spool) Used() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}

// Append implements record.Appender. While the spool is full it waits until
// something is acknowledged or ctx ends (fault.Canceled). A full disk is
// fault.Unavailable.
func (s *Spool) Append(ctx context.Context, b *record.Batch) error {
	if err := b.Check(); err != nil {
		return fmt.Errorf("append to spool: %w", err)
	}
	p := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(p)
	*p = b.AppendEncoded(append((*p)[:0], frameVersion))
	n := int64(len(*p))
	if err := s.enter(ctx, n); err != nil {
		return err
	}
	if _, err := s.journal.Append(ctx, *p, nil); err != nil {
		s.leave(n)
		return fmt.Errorf("append to spool: %w", err)
	}
	if cap(*p) > 8<<20 {
		*p = nil
	}
	return nil
}

// enter waits for room for n bytes and takes it.
func (s *Spool) enter(ctx context.Context, n int64) error {
	s.mu.Lock()
	for {
		if s.closed {
			s.mu.Unlock()
			return fault.Errorf(fault.Unavailable, "append to spool: it is closed")
		}
		if s.used == 0 || s.used+n <= s.o.MaxBytes {
			s.used += n
			s.mu.Unlock()
			return nil
		}
		if s.room == nil {
			s.room = make(chan struct{})
		}
		room := s.room
		s.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return fault.WithHint(fault.Errorf(fault.Canceled, "append to spool: wait for room: %w", ctx.Err()),
				"the spool is full: is the upstream reachable?")
		}
		s.mu.Lock()
	}
}

func (s *Spool) leave(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used -= n
	s.wake()
}

// wake wakes everyone who waits for room. s.mu is held.
func (s *Spool) wake() {
	if s.room != nil {
		close(s.room)
		s.room = nil
	}
}

// Next waits for the next batch and returns it with the number by which it is
// acknowledged. Batches come in the order of Append. The batch is lent until the
// next call. After Close it returns fault.Unavailable.
func (s *Spool) Next(ctx context.Context) (*record.Batch, uint64, error) {
	seq, p, err := s.reader.Next(ctx)
	if err != nil {
		if errors.Is(err, io.EOF) {
			s.reader.Close()
			err = fault.Errorf(fault.Unavailable, "it is closed, or its disk failed")
		}
		return nil, 0, fmt.Errorf("read spool: %w", err)
	}
	if len(p) == 0 || p[0] != frameVersion {
		return nil, 0, fault.Errorf(fault.Corrupt, "read spool: frame %d has an unknown form", seq)
	}
	if err := record.Decode(p[1:], &s.batch); err != nil {
		return nil, 0, fmt.Errorf("read spool: frame %d: %w", seq, err)
	}
	s.given.cross(seq)
	if s.batch.ID.IsZero() {
		s.batch.ID = record.BatchID{Origin: s.given.Origin, Epoch: s.given.Epoch, Seq: s.given.Number}
		s.given.Number += uint64(s.batch.Len())
	}
	s.mu.Lock()
	s.unacked = append(s.unacked, given{s.reader.Position(), s.given, int64(len(p))})
	s.mu.Unlock()
	return &s.batch, seq, nil
}

// Ack tells that every batch up to seq is durable upstream. What was
// acknowledged is not given out again, except after a crash within a moment.
func (s *Spool) Ack(seq uint64) error {
	s.mu.Lock()
	n := 0
	for n < len(s.unacked) && s.unacked[n].at.Seq <= seq {
		s.used -= s.unacked[n].bytes
		n++
	}
	if n == 0 {
		s.mu.Unlock()
		return nil
	}
	last := s.unacked[n-1]
	s.unacked = slices.Delete(s.unacked, 0, n)
	s.state = state{numbering: last.after, Highest: s.state.Highest, Acked: last.at.Seq, Hash: last.at.Hash[:]}
	s.wake()
	s.mu.Unlock()
	select {
	case s.save <- struct{}{}:
	default:
	}
	return nil
}

// saveLoop saves the position behind the acknowledgements.
func (s *Spool) saveLoop() {
	defer close(s.saved)
	for {
		select {
		case <-s.save:
		case <-s.closing:
			return
		}
		if err := s.savePosition(); err != nil {
			// What was acknowledged may be sent again after a crash; that is all.
			s.o.Logger.Warn("spool could not save its position", "err", err)
		}
		select {
		case <-time.After(saveEvery):
		case <-s.closing:
			return
		}
	}
}

// savePosition makes the position durable and then gives space back: a position
// behind the released batches could not be numbered on from.
func (s *Spool) savePosition() error {
	s.saving.Lock()
	defer s.saving.Unlock()
	s.mu.Lock()
	st := s.state
	s.mu.Unlock()
	if err := writeState(s.o.FS, &st); err != nil {
		return err
	}
	return s.journal.Release(st.Acked)
}

// Close saves the position and closes the journal. It is idempotent.
func (s *Spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.wake()
	s.mu.Unlock()
	close(s.closing)
	<-s.saved
	return errors.Join(s.savePosition(), s.journal.Close())
}

// maxNumber keeps numbers far from overflow.
const maxNumber = math.MaxUint64 / 2
