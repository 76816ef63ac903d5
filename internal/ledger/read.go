package ledger

import (
	"errors"
	"io/fs"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// ReadTile reads one tile of hashes or entries, exactly as wide as t says. The
// content is unchecked, but for the size of a tile of hashes. A missing or
// cut tile is fault.Tampered: the checkpoint promised it.
func ReadTile(fsys vfs.FS, t tlog.Tile) ([]byte, error) {
	name := TilePath(t)
	data, err := vfs.ReadFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Errorf(fault.Tampered, "read %s: %w", name, err)
	}
	if err != nil {
		return nil, fault.Errorf(fault.KindOf(err), "read %s: %w", name, err)
	}
	if t.L != EntriesLevel && len(data) != t.W*tlog.HashSize {
		return nil, fault.Errorf(fault.Tampered, "read %s: it has %d bytes, want %d", name, len(data), t.W*tlog.HashSize)
	}
	return data, nil
}

// tiles is a tlog.TileReader over the folder. TileHashReader checks all that it
// reads against the tree head.
type tiles struct{ fs vfs.FS }

func (t tiles) Height() int                         { return TileHeight }
func (t tiles) SaveTiles(_ []tlog.Tile, _ [][]byte) {}

func (t tiles) ReadTiles(want []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(want))
	for i := range want {
		var err error
		if data[i], err = ReadTile(t.fs, want[i]); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// HashReader returns the stored hashes of a tree, each checked against its
// root, from a ledger folder.
func HashReader(fsys vfs.FS, tree tlog.Tree) tlog.HashReader {
	inner := tlog.TileHashReader(tree, tiles{fsys})
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		h, err := inner.ReadHashes(indexes)
		if err != nil && fault.KindOf(err) == fault.Internal {
			err = fault.Errorf(fault.Tampered, "check tiles against the root: %w", err)
		}
		return h, err
	})
}

// Entries calls f with the leaves from <= i < to of the head, in order, each
// checked against the root. leaf is lent. to beyond the head is cut; an error
// of f ends the walk and is returned as it is. f may append.
func (l *Ledger) Entries(from, to int64, f func(i int64, leaf []byte) error) error {
	from, to = max(from, 0), min(to, l.Checkpoint().Size)
	for from < to {
		n := from / TileWidth
		entries, _, err := l.readBundle(n)
		if err != nil {
			return fault.Errorf(fault.KindOf(err), "read ledger: %w", err)
		}
		for end := min(to, (n+1)*TileWidth); from < end; from++ {
			if err := f(from, entries[from-n*TileWidth].Data); err != nil {
				return err
			}
		}
	}
	return nil
}

// readBundle reads entries tile n as the head of this moment has it.
func (l *Ledger) readBundle(n int64) ([]Entry, []byte, error) {
	l.files.RLock()
	defer l.files.RUnlock()
	return l.bundle(l.head.Load().Tree(), n)
}

// bundle reads entries tile n of a tree and checks it against the root.
func (l *Ledger) bundle(tree tlog.Tree, n int64) ([]Entry, []byte, error) {
	t, ok := TileAt(EntriesLevel, n, tree.N)
	if !ok {
		return nil, nil, fault.Errorf(fault.Internal, "entries tile %d is beyond the head", n)
	}
	data, err := ReadTile(l.fs, t)
	if err != nil {
		return nil, nil, err
	}
	entries, err := SplitEntries(data, t.W)
	if err != nil {
		return nil, nil, fault.Errorf(fault.Tampered, "read %s: %w", TilePath(t), err)
	}
	indexes := make([]int64, t.W)
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, n*TileWidth+int64(i))
	}
	want, err := HashReader(l.fs, tree).ReadHashes(indexes)
	if err != nil {
		return nil, nil, err
	}
	for i, e := range entries {
		if tlog.RecordHash(e.Data) != want[i] {
			return nil, nil, fault.Errorf(fault.Tampered, "leaf %d at byte %d of %s does not hash to its tile", n*TileWidth+int64(i), e.Offset, TilePath(t))
		}
	}
	return entries, data, nil
}

// Prove returns the inclusion proof of leaf i in the tree of the given size, at
// most the head's (tlog.CheckRecord checks it).
func (l *Ledger) Prove(i, size int64) (tlog.RecordProof, error) {
	l.files.RLock()
	defer l.files.RUnlock()
	tree := l.head.Load().Tree()
	if i < 0 || i >= size || size > tree.N {
		return nil, fault.Errorf(fault.Invalid, "prove leaf %d in %d of %d leaves: out of range", i, size, tree.N)
	}
	p, err := tlog.ProveRecord(size, i, HashReader(l.fs, tree))
	if err != nil {
		return nil, fault.Errorf(fault.KindOf(err), "prove leaf %d: %w", i, err)
	}
	return p, nil
}

// ProveConsistency returns the proof that the tree of size old is a prefix of
// the tree of the given size, at most the head's (tlog.CheckTree checks it).
func (l *Ledger) ProveConsistency(old, size int64) (tlog.TreeProof, error) {
	l.files.RLock()
	defer l.files.RUnlock()
	tree := l.head.Load().Tree()
	if old < 1 || old > size || size > tree.N {
		return nil, fault.Errorf(fault.Invalid, "prove consistency of %d and %d of %d leaves: out of range", old, size, tree.N)
	}
	p, err := tlog.ProveTree(size, old, HashReader(l.fs, tree))
	if err != nil {
		return nil, fault.Errorf(fault.KindOf(err), "prove consistency of %d leaves: %w", old, err)
	}
	return p, nil
}
