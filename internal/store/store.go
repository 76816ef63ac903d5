// Package store keeps records: durably before it acknowledges them, visible to
// queries at once, and in sealed segments that cannot be changed unseen.
//
// The life of a batch: Append encodes it and appends it to the journal, which
// makes it durable; in commit order it is counted, held against the batches
// seen before, and put into the memtable of its generation (package memtable).
// Seal rotates the generation, writes its records as segments (package
// segment), and appends their leaves to the ledger: that is the commit point.
// Then the files get their final names and the journal is released.
//
//	DIR/journal/                             frames not yet sealed
//	DIR/segments/TENANT/CLASS/DAY/ID.seg     named by a leaf of the ledger, and live
//	DIR/segments/TENANT/CLASS/DAY/ID.seg.new not committed, or just about to be
//	DIR/quarantine/                          damaged journal bytes
//
// A journal frame's payload is one of:
//
//	| 1 | encoded batch |                    spec/batch.md
//	| 2 | encoded batch without records |    the account of a repeated batch
//	| 3 | checkpoint |                       the windows of dedup.go
//
// Compact replaces small segments by one (compact.go), and Expire destroys days
// whose retention has ended (expire.go); both are decided by a leaf.
//
// After a crash the leaves decide which segments exist; every frame beyond the
// last sealed one is replayed into a new memtable. Whatever cannot be trusted
// is left where it is or moved to quarantine, reported in Status and in a leaf,
// and never keeps the rest from being served.
//
// Memory: Append lends the batch and gives it back. Records handed to a scan's
// visitor are detached. The store never knows a query language, a protocol or
// a person.
package store

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/journal"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
	"github.com/meshtrail/meshtrail/internal/store/catalog"
	"github.com/meshtrail/meshtrail/internal/store/memtable"
	"github.com/meshtrail/meshtrail/internal/store/segment"
	"github.com/meshtrail/meshtrail/internal/telemetry"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// Keys is what the store needs of a keyring.
type Keys interface {
	// JournalKey returns the key of the journal.
	JournalKey() *crypt.Key
	// DataKey returns the key of a tenant's class and day, made durably on
	// first use.
	DataKey(tenant, class, day string) (id string, key *crypt.Key, created bool, err error)
	// MakeDataKeys makes the keys of the days that have none, durably, so that
	// DataKey has them at hand.
	MakeDataKeys(tenant, class string, days []string) error
	// OpenDataKey returns a data key by its id.
	OpenDataKey(id string) (*crypt.Key, error)
	// Destroy makes a data key unreadable for ever. The next DataKey of its
	// place makes a new one.
	Destroy(id string) error
}

// Options are what Open needs.
type Options struct {
	FS      vfs.FS // the data folder
	Keyring Keys
	Ledger  *ledger.Ledger
	Logger  *slog.Logger       // nil: none
	Metrics *telemetry.Metrics // nil: none
	Now     func() time.Time   // nil: time.Now
	Limits  Limits
	// Retention says when records may be destroyed; nil: never.
	Retention Retention
	// Fatal, if not nil, is called once when the store can not go on: the
	// journal or the ledger is poisoned. The process is expected to end.
	Fatal func(error)
	// fixed, for tests, replaces what is random in a segment: two stores of the
	// same batches then write the same bytes.
	fixed *fixed
}

// fixed are sources of ids and nonces that are no secret.
type fixed struct{ ids, nonces io.Reader }

// Limits of a store. Zero fields are the defaults.
type Limits struct {
	// SealBytes of records, as JSON would take, begin a seal (192 MiB).
	SealBytes int64
	// SealAge of the oldest record that is not sealed begins a seal (2 minutes).
	// Below zero nothing is sealed by age or size: tests do it themselves.
	SealAge time.Duration
	// SealIdle after the newest record, an eighth of SealBytes is sealed: what a
	// load leaves behind takes a fifth of the memory and disk then (3 seconds).
	SealIdle time.Duration
	// Unsealed bytes, as JSON would take, from which on Append waits (512 MiB).
	Unsealed int64
	// Reserve is how many bytes of the disk are kept free for what must go on when
	// it fills up: audit records, without which nothing is answered, keys, seals
	// and the ledger. Other batches are refused when less is free. The journal
	// takes the space of its next file in advance: more than JournalFile. 0: none.
	Reserve int64
	// AppendWait is how long Append waits for that at most (5 seconds).
	AppendWait time.Duration
	// BlockRows and BlockBytes cut the blocks of segments (16,384 and 8 MiB).
	BlockRows  int
	BlockBytes int64
	// Columns is how many fields of a segment get columns of their own (1,000);
	// the others share one chunk of each block.
	Columns int
	// CacheBytes of decoded columns are kept (128 MiB); below zero none.
	CacheBytes int64
	// OpenSegments is how many segment files are kept open (512).
	OpenSegments int
	// Origins is how many origins' batch numbers are remembered (65,536). Keys of
	// requests are remembered apart (dedup_keys.go).
	Origins int
	// Budget of a request that sets none (256 GiB, no bound of rows).
	Budget Budget
	// AnswerBytes of memory are what an answer of Measure may take while it is put
	// together: cells, values, samples and sets (256 MiB).
	AnswerBytes int64
	// CompactFiles is how many small segments of one tenant, class and day are
	// merged into one (24); below zero none are, ever. No file is merged that is
	// larger than half of CompactBytes (256 MiB), and none grows beyond it.
	CompactFiles int
	CompactBytes int64
	// CompactAfter is how long a segment is left alone first (10 minutes), unless
	// there are four times CompactFiles. CloseAfter is how long after its end a day
	// is closed (6 hours). Below zero: not at all.
	CompactAfter time.Duration
	CloseAfter   time.Duration
	// JournalFile is the size of the journal's files; 0 is the journal's default.
	JournalFile int64
}

func orInt[T int | int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

func (l *Limits) setDefaults() {
	orInt(&l.SealBytes, 192<<20)
	orInt(&l.SealAge, 2*time.Minute)
	orInt(&l.SealIdle, 3*time.Second)
	orInt(&l.Unsealed, 512<<20)
	orInt(&l.AppendWait, 5*time.Second)
	orInt(&l.BlockRows, memtable.MaxRows)
	orInt(&l.BlockBytes, 8<<20)
	orInt(&l.Columns, memtable.MaxColumns)
	orInt(&l.CacheBytes, 128<<20)
	orInt(&l.OpenSegments, 512)
	orInt(&l.Origins, 65_536)
	orInt(&l.CompactFiles, 24)
	orInt(&l.CompactBytes, 256<<20)
	orInt(&l.CompactAfter, 10*time.Minute)
	orInt(&l.CloseAfter, 6*time.Hour)
	orInt(&l.AnswerBytes, 256<<20)
	orInt(&l.Budget.Bytes, 256<<30)
	orInt(&l.Budget.Rows, 1<<62)
}

func (l *Limits) windows() windowLimits { return windowLimits{l.Origins, defaultKeys} }

// A Store is an open store. It is safe for concurrent use.
type Store struct {
	o       Options
	log     *slog.Logger
	journal *journal.Journal
	keys    *keyCache
	cache   *segment.Cache
	files   *openFiles
	counts  counters
	gate    *gate

	// compacting serialises compactions and destructions, sealing serialises
	// seals, ledgerMu serialises epoch and segment leaves. They are taken in this
	// order.
	compacting sync.Mutex
	sealing    sync.Mutex
	ledgerMu   sync.Mutex

	doomed  map[string]ledger.Key // keys to be destroyed; guarded by compacting
	shunned map[string]time.Time  // parts that could not be compacted; guarded by compacting

	mu       sync.RWMutex
	grouped  *sync.Cond // on mu: pos has caught up with last
	active   *memtable.Table
	pending  *generation // rotated and not yet in segments
	segments []*handle
	changes  changes
	written  catalog.Written
	holds    []ledger.Hold
	last     uint64 // seq of the last frame that was applied
	pos      journal.Position
	dirty    bool      // frames other than checkpoints since the last rotation
	since    time.Time // of the oldest record of active
	latest   time.Time // of the newest
	tail     bool      // active is what came after a generation worth a segment
	resumed  time.Time // of the newest epoch before Open; zero: none
	sealed   uint64    // frames up to here are in segments
	totals   totals
	dedup    *windows
	closed   bool
	failed   error

	space atomic.Pointer[chan struct{}] // closed when unsealed bytes shrink
	watch watchers

	wake chan struct{} // to the sealer
	stop context.CancelFunc
	done sync.WaitGroup

	damageMu sync.Mutex
	damaged  map[string]string // file → what is wrong with it
}

// Folders below the data folder.
const (
	journalDir    = "journal"
	segmentsDir   = "segments"
	quarantineDir = "quarantine"
)

// Create makes the journal of a store that does not exist yet. An existing one
// is fault.Conflict.
func Create(fs vfs.FS, keys Keys) error {
	if err := fs.MkdirAll(segmentsDir); err != nil {
		return fault.Errorf(fault.KindOf(err), "create store: %w", err)
	}
	if err := fs.MkdirAll(journalDir); err != nil {
		return fault.Errorf(fault.KindOf(err), "create store: %w", err)
	}
	if err := journal.Create(vfs.Sub(fs, journalDir), keys.JournalKey()); err != nil {
		return fault.Errorf(fault.KindOf(err), "create store: %w", err)
	}
	if err := fs.SyncDir("."); err != nil {
		return fault.Errorf(fault.KindOf(err), "create store: %w", err)
	}
	return nil
}

// fail ends the store: nothing is accepted any more.
func (s *Store) fail(err error) {
	s.mu.Lock()
	first := s.failed == nil
	if first {
		s.failed = err
		s.grouped.Broadcast()
	}
	s.mu.Unlock()
	if first {
		s.log.Error("store can not go on", "err", err)
		if s.o.Fatal != nil {
			s.o.Fatal(err)
		}
	}
}

// Close seals what is not sealed, writes a last epoch and closes the journal.
// It is idempotent. What could not be sealed is in the journal.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	failed := s.failed
	s.mu.Unlock()
	s.stop()
	s.done.Wait()
	var errs []error
	if failed == nil {
		ctx := context.Background()
		errs = append(errs, s.Seal(ctx), s.Epoch(ctx, "shutdown"))
	}
	errs = append(errs, s.journal.Close())
	s.files.closeAll()
	return errors.Join(errs...)
}

// Status describes the store for people and for metrics.
type Status struct {
	Segments        int
	Records         uint64 // sealed and not yet sealed
	SegmentBytes    int64
	UnsealedRecords int64
	UnsealedBytes   int64 // as JSON would take
	JournalBytes    int64
	JournalSeq      uint64
	SealedSeq       uint64
	Damaged         map[string]string // file → what is wrong with it
	Failed          error             // the store accepts nothing any more
	// Rest says how many field values were sealed without a column of their own
	// since the start, by reason.
	Rest []record.Count

	// Since the history began: what was written, and what was destroyed with a
	// certificate.
	SealedBytes       int64
	Compactions       int64
	CompactedBytes    int64
	DestroyedSegments int64
	DestroyedRecords  uint64
	Holds             int // in force
}

// Status returns the state of this moment.
func (s *Store) Status() Status {
	s.mu.RLock()
	st := Status{JournalSeq: s.last, SealedSeq: s.sealed, Failed: s.failed, Segments: len(s.segments)}
	for _, h := range s.segments {
		st.Records += h.leaf.Records
		st.SegmentBytes += h.leaf.Size
	}
	st.UnsealedBytes, st.UnsealedRecords = s.unsealed()
	w := s.written
	st.Holds = len(s.holds)
	s.mu.RUnlock()
	st.SealedBytes, st.Compactions, st.CompactedBytes = w.SealedBytes, w.Compactions, w.CompactedBytes
	st.DestroyedSegments, st.DestroyedRecords = w.DestroyedSegments, w.DestroyedRecords
	st.Records += uint64(st.UnsealedRecords)
	st.JournalBytes = s.journal.Size()
	st.Rest = s.counts.restList()
	s.damageMu.Lock()
	defer s.damageMu.Unlock()
	st.Damaged = make(map[string]string, len(s.damaged))
	for k, v := range s.damaged {
		st.Damaged[k] = v
	}
	return st
}

// StatusOf returns what Status says of the records of one tenant, and nothing that
// depends on others.
func (s *Store) StatusOf(tenant record.TenantID) Status {
	s.mu.RLock()
	st := Status{Failed: s.failed, Damaged: map[string]string{}}
	for _, h := range s.segments {
		if h.leaf.Tenant == string(tenant) {
			st.Segments++
			st.Records += h.leaf.Records
			st.SegmentBytes += h.leaf.Size
		}
	}
	st.UnsealedRecords = s.active.RowsOf(tenant)
	if s.pending != nil {
		st.UnsealedRecords += s.pending.table.RowsOf(tenant)
	}
	s.mu.RUnlock()
	st.Records += uint64(st.UnsealedRecords)
	return st
}

// Resumed returns the time of the newest epoch that was there before Open: when
// the store was last known to run. It is zero if it never did.
func (s *Store) Resumed() time.Time { return s.resumed }

// Segments returns the leaves of all segments that live.
func (s *Store) Segments() []ledger.Segment {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]ledger.Segment, len(s.segments))
	for i, h := range s.segments {
		out[i] = h.leaf
	}
	return out
}

// Sources returns the account of every source, by tenant and name.
func (s *Store) Sources() []SourceTotals {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.totals.list()
}

// Epoch writes the account of every source to the ledger. Reason is "interval",
// "seal", "start" or "shutdown".
func (s *Store) Epoch(ctx context.Context, reason string) error {
	s.ledgerMu.Lock()
	defer s.ledgerMu.Unlock()
	leaves, err := s.epochLeaves(reason)
	if err != nil {
		return err
	}
	return s.commit(ctx, leaves)
}

// epochLeaves reads accounts and journal position of one moment. The caller
// holds ledgerMu, so that epochs stand in the ledger in their order.
func (s *Store) epochLeaves(reason string) ([]any, error) {
	s.mu.Lock()
	for s.pos.Seq != s.last && s.failed == nil {
		s.grouped.Wait()
	}
	if err := s.failed; err != nil {
		s.mu.Unlock()
		return nil, fault.Errorf(fault.Unavailable, "write epoch: %w", err)
	}
	e := ledger.Epoch{
		At: s.o.Now().UnixNano(), Reason: reason, JournalSeq: s.pos.Seq,
		JournalHash: hex.EncodeToString(s.pos.Hash[:]), Sources: s.totals.leaf(),
	}
	s.mu.Unlock()
	return e.Split()
}

// commit appends leaves. A ledger of unknown state ends the store.
func (s *Store) commit(ctx context.Context, leaves []any) error {
	_, err := s.o.Ledger.Append(ctx, leaves...)
	if errors.Is(err, ledger.ErrPoisoned) {
		s.fail(err)
	}
	return err
}

// watchers are called for each committed batch.
type watchers struct {
	mu   sync.Mutex
	list atomic.Pointer[[]*watcher]
}

type watcher struct{ f Committed }

func (w *watchers) change(f func(list []*watcher) []*watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []*watcher
	if p := w.list.Load(); p != nil {
		list = slices.Clone(*p)
	}
	list = f(list)
	w.list.Store(&list)
}

// LastOrd returns an Ord that no record kept so far exceeds, and every later one
// does.
func (s *Store) LastOrd() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return (s.last+1)<<block.OrdShift - 1
}

// Watch calls f for each batch with records after it became durable, in commit
// order, until cancel is called. f runs while later batches wait: it MUST be
// quick, and MUST NOT call Append, Seal or Close.
func (s *Store) Watch(f Committed) (cancel func()) {
	w := &watcher{f}
	s.watch.change(func(list []*watcher) []*watcher { return append(list, w) })
	return func() {
		s.watch.change(func(list []*watcher) []*watcher {
			return slices.DeleteFunc(list, func(x *watcher) bool { return x == w })
		})
	}
}
