// Package journal is a durable, encrypted, append-only log of frames whose
// integrity anyone can check without a key. It is the store's write-ahead log
// and the agent's spool. It MUST NOT know what a payload is.
//
//	file   | header 176 | frame | frame | … | zeros |
//	frame  | "MTJF" | size 4 | seq 8 | group 8 | chain value 32 | sealed payload |
//
// The bytes are drawn in spec/journal.md. Each chain value is a SHA-256 over
// the one before and the sealed frame; each payload is AES-256-GCM sealed and
// bound to its journal and seq.
//
// One committer goroutine takes everything that is queued, writes it with one
// write, makes it durable with one sync, reports it and wakes the appenders.
// The sync in flight is the batching window. Appenders seal their own frames
// into the next group meanwhile.
//
// What survives a crash: every frame whose Append returned nil, whole, once and
// in order. A torn tail is cut at the last whole frame. Damage before it is
// never cut nor skipped: it is copied to quarantine and reported, whole frames
// before it stay, and the journal goes on in a new file (see Recovery).
//
// After a failed sync the journal is poisoned (see the note on fsync in vfs).
//
// Memory: Append copies the payload before it returns. Payloads handed out by
// Replay and Reader are lent until the next call.
package journal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"sync"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/telemetry"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// Defaults of Options.
const (
	DefaultFileSize  = 64 << 20
	minPreallocate   = 1 << 20 // reserved at once for a new file
	minTurn          = 1 << 20 // a smaller file is not worth replacing when it is released
	DefaultMaxQueued = 16 << 20
)

const lockName = "journal.lock"

// Options are what Open needs.
type Options struct {
	FS  vfs.FS // the journal's own folder
	Key *crypt.Key

	// FileSize is how large a file grows before the next is begun, in bytes;
	// 0 means DefaultFileSize. A larger group makes a larger file.
	FileSize int64
	// MaxQueued bounds the bytes that are accepted and not yet durable; 0 means
	// DefaultMaxQueued. One payload is always let in. Memory in use is about
	// twice that.
	MaxQueued int64
	// Anchor is the newest position that somebody else remembers (the newest
	// epoch leaf of the ledger), or nil. It decides what is damage and what is
	// a torn tail.
	Anchor *Position
	// Quarantine is where damaged bytes are copied; nil means the folder
	// quarantine below FS. Quarantine names in Recovery are relative to it.
	Quarantine vfs.FS

	Logger  *slog.Logger       // nil: none
	Metrics *telemetry.Metrics // nil: none

	// Committed, if not nil, is called on the committer goroutine for each
	// frame, in seq order, after the frame is durable and before its Append
	// returns. It MUST NOT call the journal's Append or Close.
	Committed func(seq uint64, token any)
	// Poisoned, if not nil, is called once, when a sync has failed. The process
	// is expected to end: nothing will be accepted any more.
	Poisoned func(error)

	nonces io.Reader // of the vectors' tests; nil: random
}

func (o *Options) sealer() *crypt.Sealer {
	if o.nonces != nil {
		return crypt.NewSealerWithNonces(o.Key, o.nonces)
	}
	return crypt.NewSealer(o.Key)
}

func (o *Options) setDefaults() {
	if o.FileSize <= 0 {
		o.FileSize = DefaultFileSize
	}
	if o.MaxQueued <= 0 {
		o.MaxQueued = DefaultMaxQueued
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// fileInfo is a file as readers and Release need it.
type fileInfo struct {
	name  string
	first uint64
	prev  Position
	end   int64 // behind the last durable frame
	gap   bool
}

// Journal is an open journal. It is safe for concurrent use.
type Journal struct {
	o      Options
	id     journalID
	lock   io.Closer
	counts *counters
	work   chan struct{} // holds one signal for the committer
	done   chan struct{} // closed when the committer has ended

	// Owned by the committer after Open.
	file      vfs.File
	off       int64 // behind the last durable frame in file
	allocated int64 // size of file
	next      uint64
	cut       bool // bytes behind off must be cut before the next write
	rotate    bool // file must not grow any more
	closeErr  error

	mu      sync.Mutex
	cipher  *cipher
	chain   *chain
	tail    Position // of the last frame laid out
	tailSeq uint64   // seq of the next frame to lay out
	pending *group
	spare   *group
	queued  int64
	head    Position
	files   []fileInfo
	room    chan struct{} // closed when queued shrinks; nil if nobody waits
	grown   chan struct{} // closed when head moves; nil if nobody waits
	dead    error         // poisoned
	closed  bool
	used    bool       // Append was called
	turning chan error // asks the committer for a new file; nil if nobody does
}

// Create makes the first file of a journal that does not exist yet, in an
// existing or new folder. A folder that holds a journal is fault.Conflict.
func Create(f vfs.FS, key *crypt.Key) error {
	var id journalID
	rand.Read(id[:])
	return create(f, crypt.NewSealer(key), commitment(key), id)
}

func create(f vfs.FS, s *crypt.Sealer, commitment [32]byte, id journalID) error {
	if err := f.MkdirAll("."); err != nil {
		return fmt.Errorf("create journal: %w", err)
	}
	names, err := list(f)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		return fault.Errorf(fault.Conflict, "create journal: the folder holds one already, from %s on", names[0])
	}
	h := header{id: id, first: 1, commitment: commitment}
	file, err := createFile(f, &h, s)
	if err != nil {
		return fmt.Errorf("create journal: %w", err)
	}
	return file.Close()
}

func commitment(key *crypt.Key) [32]byte { return key.Commitment("journal") }

// syncError marks a failed sync, after which nothing may be retried.
type syncError struct{ err error }

func (e *syncError) Error() string { return e.err.Error() }
func (e *syncError) Unwrap() error { return e.err }

// createFile makes a file under its final name, durably. It may be repeated
// after an error that is no syncError: the same header makes the same file.
func createFile(f vfs.FS, h *header, s *crypt.Sealer) (vfs.File, error) {
	name := fileName(h.first)
	tmp := name + tmpSuffix
	if err := f.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove stale %s: %w", tmp, err)
	}
	file, err := f.Create(tmp)
	if err != nil {
		return nil, fmt.Errorf("create journal file %s: %w", name, err)
	}
	err = fillFile(file, h, s)
	if err == nil {
		err = f.Rename(tmp, name)
	}
	if err == nil {
		if err = f.SyncDir("."); err != nil {
			err = &syncError{err}
		}
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("create journal file %s: %w", name, err)
	}
	return file, nil
}

func fillFile(file vfs.File, h *header, s *crypt.Sealer) error {
	b, err := h.encode(s)
	if err != nil {
		return err
	}
	if _, err := file.WriteAt(b, 0); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return &syncError{err}
	}
	return nil
}

// ID returns the journal's random id as hex.
func (j *Journal) ID() string { return j.id.String() }

// Head returns the last durable position: what an epoch leaf anchors.
func (j *Journal) Head() Position {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.head
}

// Gaps returns the seqs of the first frames behind damage that was moved to
// quarantine, as long as they were not released (spec/journal.md, "Gap").
func (j *Journal) Gaps() []uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []uint64
	for _, f := range j.files {
		if f.gap {
			out = append(out, f.first)
		}
	}
	return out
}

// Size returns the bytes of all frames and headers on disk, without
// preallocated space.
func (j *Journal) Size() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	var n int64
	for _, f := range j.files {
		n += f.end
	}
	return n
}

// Replay calls f for each durable frame with seq > after, in order. It MUST be
// called before the first Append. payload is lent for the call. An error of f
// ends the replay and is returned as it is. Frames that were released are not
// there to replay: a first seq above after+1 tells the caller.
func (j *Journal) Replay(ctx context.Context, after uint64, f func(seq uint64, payload []byte) error) error {
	j.mu.Lock()
	used := j.used
	j.mu.Unlock()
	if used {
		return fault.Errorf(fault.Internal, "replay journal: frames were appended already")
	}
	r := j.Reader(after)
	defer r.Close()
	for ctx.Err() == nil {
		seq, payload, err := r.TryNext()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("replay journal: %w", err)
		}
		if err := f(seq, payload); err != nil {
			return err
		}
	}
	return fault.Wrap(fault.Canceled, ctx.Err())
}

// Release deletes the files of which every frame has a seq of at most upto. The
// chain goes on in the last file, which always stays; when it has nothing but
// such frames, and is not small, a new one is begun so that its space returns
// too. After an error it may be called again.
func (j *Journal) Release(upto uint64) error {
	if err := j.Turn(upto); err != nil {
		return err
	}
	for {
		j.mu.Lock()
		var name string
		if len(j.files) > 1 && j.files[1].prev.Seq <= upto {
			name = j.files[0].name
		}
		j.mu.Unlock()
		if name == "" {
			return nil
		}
		if err := j.o.FS.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("release journal file %s: %w", name, err)
		}
		// One by one: if a crash kept the older file and lost the newer, the
		// journal would have a hole in the middle.
		if err := j.o.FS.SyncDir("."); err != nil {
			return fmt.Errorf("release journal file %s: %w", name, err)
		}
		j.mu.Lock()
		if len(j.files) > 1 && j.files[0].name == name {
			j.files = append([]fileInfo(nil), j.files[1:]...)
		}
		j.mu.Unlock()
	}
}

// Turn begins a new file if every frame of the file in use has a seq of at most
// upto and the file is not small. Who appends a frame that outlives the others
// before Release calls Turn first: else that frame holds back their space.
func (j *Journal) Turn(upto uint64) error {
	j.mu.Lock()
	last := len(j.files) - 1
	if j.closed || j.dead != nil || j.turning != nil || last < 0 || j.head.Seq > upto || j.files[last].end < min(minTurn, j.o.FileSize/2) {
		j.mu.Unlock()
		return nil
	}
	answer := make(chan error, 1)
	j.turning = answer
	j.mu.Unlock()
	select {
	case j.work <- struct{}{}:
	default:
	}
	select {
	case err := <-answer:
		return err
	case <-j.done:
		return nil
	}
}
