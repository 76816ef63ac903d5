// Package ledger is the history that cannot be rewritten: an append-only Merkle
// log of small JSON leaves that say what the store did (leaf.go), under a signed
// checkpoint.
//
// On disk it is a C2SP tlog-tiles folder, so that any witness or monitor of that
// family can read it. One file is replaced, all others are written once:
//
//	checkpoint               signed note: origin, size, root
//	tile/<L>/<N>[.p/<W>]     256 hashes of 32 bytes, or W while it fills
//	tile/entries/<N>[.p/<W>] 256 leaves: | length uint16 | JSON |
//
// Append writes the new tiles durably, then the checkpoint atomically. The
// checkpoint alone says what exists: whatever lies beyond it is the rest of an
// append that did not finish, and the next Open or Append overwrites it. After
// a crash the leaves of one Append are all there or none is.
//
// Create begins a history and Open continues one; neither does the other's
// work, so a mistyped path cannot start a second history.
//
// The package knows nothing of records, keys of data, or the store; it never
// holds record content. It owns its folder (DIR/ledger), holding the file lock
// while open. Slices given to callbacks are lent. spec/ledger.md has the bytes.
package ledger

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/telemetry"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// ErrPoisoned is what every Append returns after the outcome of one became
// unknown: the new checkpoint may or may not be on disk. The process must end
// and the next Open finds out.
var ErrPoisoned = errors.New("ledger is poisoned: the outcome of an append is unknown")

// lockFile is held while a ledger is open.
const lockFile = "lock"

// tmpCheckpoint is the next checkpoint before it is renamed.
const tmpCheckpoint = CheckpointFile + ".tmp"

// Options are what a ledger needs to be opened.
type Options struct {
	FS       vfs.FS             // the ledger folder
	Signer   note.Signer        // signs new checkpoints; nil opens read-only
	Verifier note.Verifier      // checks the stored one; its key is the Signer's
	Logger   *slog.Logger       // nil: silent
	Metrics  *telemetry.Metrics // nil: none
	Now      func() time.Time   // for metrics only; nil: time.Now
}

// A Ledger is an open history. It is safe for concurrent use.
type Ledger struct {
	fs      vfs.FS
	signer  note.Signer
	log     *slog.Logger
	metrics metrics
	lock    io.Closer

	head atomic.Pointer[Checkpoint] // under the newest durable checkpoint

	// files is read-locked while tiles of the head are read, and locked while
	// superseded ones are removed.
	files sync.RWMutex

	mu      sync.Mutex // one append at a time; guards all below
	edge    Edge
	entries []byte // the entries tile that fills
	poison  error
	closed  bool
}

// Create begins a history with its genesis leaf, at the time at, and leaves it
// closed. It refuses a folder that holds one already (fault.Conflict). The
// origin names this history for ever; signer signs the first checkpoint.
func Create(fsys vfs.FS, signer note.Signer, origin string, at time.Time, version string) error {
	if err := checkOrigin(origin); err != nil {
		return fault.Errorf(fault.KindOf(err), "create ledger: %w", err)
	}
	if err := fsys.MkdirAll("."); err != nil {
		return fault.Errorf(fault.KindOf(err), "create ledger: %w", err)
	}
	lock, err := fsys.Lock(lockFile)
	if err != nil {
		return fault.Errorf(fault.KindOf(err), "create ledger: %w", err)
	}
	defer lock.Close()
	if err := refuseHistory(fsys); err != nil {
		return fault.Errorf(fault.KindOf(err), "create ledger: %w", err)
	}
	l := &Ledger{fs: fsys, signer: signer, log: slog.New(slog.DiscardHandler), metrics: newMetrics(nil, nil)}
	l.head.Store(&Checkpoint{Origin: origin})
	_, err = l.Append(context.Background(), Genesis{Origin: origin, At: at.UnixNano(), Version: version})
	if err != nil {
		return fault.Errorf(fault.KindOf(err), "create ledger: %w", err)
	}
	return nil
}

// refuseHistory fails if the folder holds more than a Create that did not
// finish leaves behind: a checkpoint, or tiles of more than one leaf.
func refuseHistory(fsys vfs.FS) error {
	have, err := vfs.Exists(fsys, CheckpointFile)
	if err != nil {
		return err
	}
	if !have {
		err := walkTiles(fsys, func(name string, t tlog.Tile, ok bool) error {
			have = have || !ok || t.L > 0 || t.N > 0 || t.W > 1
			return nil
		})
		if err != nil {
			return err
		}
	}
	if have {
		return fault.WithHint(fault.Errorf(fault.Conflict, "the folder holds a history already"),
			"a history is created once; to continue it, use serve")
	}
	return nil
}

// Open continues an existing history (fault.NotFound if there is none). It
// checks the signature of the checkpoint, that the right edge of the tiles
// gives its root, and that the newest leaves hash to that edge; `meshtrail
// verify` checks the rest. What does not hold is fault.Tampered.
func Open(o Options) (*Ledger, error) {
	if o.Verifier == nil {
		return nil, fault.Errorf(fault.Invalid, "open ledger: no verifier key")
	}
	if o.Signer != nil && (o.Signer.Name() != o.Verifier.Name() || o.Signer.KeyHash() != o.Verifier.KeyHash()) {
		return nil, fault.Errorf(fault.Invalid, "open ledger: the signing key is not that of the verifier key")
	}
	l := &Ledger{fs: o.FS, signer: o.Signer, log: o.Logger, metrics: newMetrics(o.Metrics, o.Now)}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	// Before the lock, which would create the folder of a mistyped path.
	_, err := ReadCheckpoint(o.FS)
	if err != nil {
		return nil, fault.Errorf(fault.KindOf(err), "open ledger: %w", err)
	}
	if l.lock, err = o.FS.Lock(lockFile); err != nil {
		return nil, fault.Errorf(fault.KindOf(err), "open ledger: %w", err)
	}
	var msg []byte
	if msg, err = ReadCheckpoint(o.FS); err == nil {
		err = l.load(msg, o.Verifier)
	}
	if err != nil {
		l.lock.Close()
		if fault.Is(err, fault.Tampered) || fault.Is(err, fault.Corrupt) {
			err = fault.WithHint(err, "run meshtrail verify on the data folder: it names every damaged place")
		}
		return nil, fault.Errorf(fault.KindOf(err), "open ledger: %w", err)
	}
	l.sweep()
	l.metrics.opened(l.Checkpoint())
	return l, nil
}

// ReadCheckpoint returns the stored checkpoint note, unchecked. A missing one
// is fault.NotFound.
func ReadCheckpoint(fsys vfs.FS) ([]byte, error) {
	msg, err := vfs.ReadFile(fsys, CheckpointFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.WithHint(fault.Errorf(fault.NotFound, "read checkpoint: the folder holds no history"),
			"check the path; `meshtrail init` begins a new history")
	}
	if err != nil {
		return nil, fault.Errorf(fault.KindOf(err), "read checkpoint: %w", err)
	}
	return msg, nil
}

// load reads and checks the head, the edge and the entries tile that fills.
func (l *Ledger) load(msg []byte, verifier note.Verifier) error {
	cp, err := ParseCheckpoint(msg, verifier)
	if err != nil {
		return err
	}
	if cp.Size == 0 {
		return fault.Errorf(fault.Tampered, "the checkpoint is of an empty ledger, without a genesis")
	}
	for _, t := range EdgeTiles(cp.Size) {
		var data []byte
		if t.W > 0 {
			if data, err = ReadTile(l.fs, t); err != nil {
				return err
			}
		}
		l.edge = append(l.edge, hashes(data))
	}
	if l.edge.Root() != cp.Root {
		return fault.Errorf(fault.Tampered, "the tiles do not give the root of the checkpoint")
	}
	l.head.Store(&cp)
	if err := l.checkGenesis(cp.Origin); err != nil {
		return err
	}
	last := (cp.Size - 1) / TileWidth
	entries, data, err := l.bundle(cp.Tree(), last)
	if err != nil {
		return err
	}
	if cp.Size%TileWidth != 0 {
		l.entries = data
	}
	for i := len(entries) - 1; i >= 0 && cp.At == 0; i-- {
		if leaf, err := Decode(entries[i].Data); err == nil {
			cp.At = leaf.At()
		}
	}
	return nil
}

func (l *Ledger) checkGenesis(origin string) error {
	return l.Entries(0, 1, func(_ int64, data []byte) error {
		leaf, err := Decode(data)
		if err != nil {
			return err
		}
		if g, ok := leaf.Value.(Genesis); !ok || g.Origin != origin {
			return fault.Errorf(fault.Tampered, "leaf 0 is not the genesis of %s", origin)
		}
		return nil
	})
}

// Append adds leaves, structs of leaf.go, whose Type it fills in. After nil
// they are durable under the returned checkpoint. After an error none of them
// is part of the history, and a later Append may succeed (fault.Unavailable
// when the disk is full); but if the error wraps ErrPoisoned nobody knows until
// the next Open. Appending nothing returns the head.
func (l *Ledger) Append(ctx context.Context, leaves ...any) (Checkpoint, error) {
	data := make([][]byte, len(leaves))
	var at int64
	for i, leaf := range leaves {
		var err error
		if data[i], err = encode(leaf); err != nil {
			return Checkpoint{}, err
		}
		if d, err := Decode(data[i]); err == nil && d.At() != 0 {
			at = d.At()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.poison != nil:
		return Checkpoint{}, l.poison
	case l.closed:
		return Checkpoint{}, fault.Errorf(fault.Unavailable, "append to ledger: it is closed")
	case l.signer == nil:
		return Checkpoint{}, fault.Errorf(fault.Internal, "append to ledger: it was opened without a signer")
	case len(leaves) == 0:
		return *l.head.Load(), nil
	}
	if err := ctx.Err(); err != nil {
		return Checkpoint{}, err
	}
	cp, err := l.append(data, at)
	if err != nil {
		kind := fault.KindOf(err)
		if vfs.IsFull(err) {
			kind = fault.Unavailable
		}
		l.metrics.failed(kind)
		return Checkpoint{}, fault.Errorf(kind, "append to ledger: %w", err)
	}
	l.metrics.appended(cp, len(leaves))
	return cp, nil
}

// append writes tiles, signs, and replaces the checkpoint. l.mu is held.
func (l *Ledger) append(leaves [][]byte, at int64) (Checkpoint, error) {
	old := *l.head.Load()
	s := newStaged(old.Size, l.edge, l.entries)
	for _, leaf := range leaves {
		s.add(leaf)
	}
	s.finish()
	cp, err := sign(l.signer, old.Origin, tlog.Tree{N: s.size, Hash: s.edge.Root()})
	if err != nil {
		return Checkpoint{}, err
	}
	cp.At = max(at, old.At)
	err = writeTiles(l.fs, s.tiles)
	if err == nil {
		err = l.commit(cp.Note)
	}
	if err != nil {
		if l.poison == nil {
			l.discard(s.tiles)
		}
		return Checkpoint{}, err
	}
	l.head.Store(&cp)
	l.edge, l.entries = s.edge, s.entries
	l.removeSuperseded(old.Size, cp.Size)
	return cp, nil
}

// commit replaces the checkpoint. Until the rename is tried a failure leaves
// the old one for certain; after that nobody knows what is on disk, and a
// second try proves nothing (see package vfs on fsync).
func (l *Ledger) commit(msg []byte) error {
	if err := writeNew(l.fs, tmpCheckpoint, msg); err != nil {
		return fault.Errorf(fault.KindOf(err), "write checkpoint: %w", err)
	}
	err := l.fs.Rename(tmpCheckpoint, CheckpointFile)
	if err == nil {
		err = l.fs.SyncDir(".")
	}
	if err != nil {
		l.poison = fault.Errorf(fault.Unavailable, "replace checkpoint: %w: %w", ErrPoisoned, err)
		return l.poison
	}
	return nil
}

// Checkpoint returns the newest durable checkpoint. It never waits for a write.
func (l *Ledger) Checkpoint() Checkpoint { return *l.head.Load() }

// Close releases the folder. It is idempotent; a running Append ends first.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	return l.lock.Close()
}

// writeNew writes a file that is not part of the history yet, replacing a rest
// of an earlier try, and makes its content durable. The name needs SyncDir.
func writeNew(fsys vfs.FS, name string, data []byte) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := fsys.Create(name)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		fsys.Remove(name) // else overwritten next time; it may hold the last free space
	}
	return err
}

// writeTiles writes files and then the names of their folders.
func writeTiles(fsys vfs.FS, tiles []tileFile) error {
	var dirs []string
	seen := map[string]bool{}
	for _, t := range tiles {
		dir := path.Dir(t.name)
		if !seen[dir] {
			seen[dir] = true
			dirs = append(dirs, dir)
			if err := fsys.MkdirAll(dir); err != nil {
				return fault.Errorf(fault.KindOf(err), "make folder of %s: %w", t.name, err)
			}
		}
		if err := writeNew(fsys, t.name, t.data); err != nil {
			return fault.Errorf(fault.KindOf(err), "write %s: %w", t.name, err)
		}
	}
	for _, dir := range dirs {
		if err := fsys.SyncDir(dir); err != nil {
			return fault.Errorf(fault.KindOf(err), "sync folder %s: %w", dir, err)
		}
	}
	return nil
}

// partialDir returns the folder of a partial tile, "" for a full one.
func partialDir(name string) string {
	if dir := path.Dir(name); strings.HasSuffix(dir, ".p") {
		return dir
	}
	return ""
}
