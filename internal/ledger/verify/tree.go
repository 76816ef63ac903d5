package verify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// tree recomputes all tiles of a ledger. It climbs twice at once: from the
// hashes of the leaves, and from the stored leaf hashes. The climb that ends in
// the checkpoint's root is right, and where the other differs is the damage.
type tree struct {
	fs  vfs.FS
	cp  ledger.Checkpoint
	rep *Report

	fromLeaves, fromTiles climb
	wrong                 map[int64]bool // leaves whose hash is not the stored one
	leafDamage            []Finding      // if the stored hashes are right
	tileDamage            []Finding      // if the leaves are right
	cut                   []Finding      // damage whoever is right
}

// climb is one way up the tree.
type climb struct {
	edge   ledger.Edge
	damage []Finding // stored tiles above the leaves that are not as computed
}

// check compares every tile with what the leaves make of it. An error means
// that a tile is missing or unreadable.
func (t *tree) check(ctx context.Context) error {
	if t.cp.Size == 0 {
		t.rep.add(Finding{Kind: KindGenesis, File: ledgerDir + "/" + ledger.CheckpointFile, Detail: "the checkpoint is of an empty ledger, without a genesis"})
		return nil
	}
	for n := int64(0); n*ledger.TileWidth < t.cp.Size; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.bundle(n); err != nil {
			return err
		}
	}
	for _, c := range []*climb{&t.fromLeaves, &t.fromTiles} {
		for level, tile := range ledger.EdgeTiles(t.cp.Size) {
			if level == 0 || tile.W == 0 {
				continue
			}
			if err := t.compare(c, tile, c.edge[level]); err != nil {
				return err
			}
		}
	}
	t.judge()
	return nil
}

// bundle reads entries tile n and the stored hashes of its leaves.
func (t *tree) bundle(n int64) error {
	et, _ := ledger.TileAt(ledger.EntriesLevel, n, t.cp.Size)
	ht, _ := ledger.TileAt(0, n, t.cp.Size)
	data, err := read(t.fs, et)
	if err != nil {
		return err
	}
	stored, err := t.hashes(ht)
	if err != nil {
		return err
	}
	entries, cut := ledger.SplitEntries(data, et.W)
	var off int64 // behind the last whole leaf
	for i := range et.W {
		index := n*ledger.TileWidth + int64(i)
		h := stored[i] // a leaf that cannot be read: the other climb is wrong in any case
		if i < len(entries) {
			h = tlog.RecordHash(entries[i].Data)
			off = entries[i].Offset + 2 + int64(len(entries[i].Data))
		}
		if h != stored[i] || i >= len(entries) {
			t.wrong[index] = true
		}
		if h != stored[i] {
			t.leafDamage = append(t.leafDamage, Finding{Kind: KindChanged, File: path(et), Offset: entries[i].Offset, Length: 2 + int64(len(entries[i].Data)),
				Detail: fmt.Sprintf("leaf %d does not hash to its stored hash", index)})
			t.tileDamage = append(t.tileDamage, Finding{Kind: KindChanged, File: path(ht), Offset: int64(i) * tlog.HashSize, Length: tlog.HashSize,
				Detail: fmt.Sprintf("hash %d is not that of leaf %d", i, index)})
		}
		if err := t.climb(&t.fromLeaves, index, h); err != nil {
			return err
		}
		if err := t.climb(&t.fromTiles, index, stored[i]); err != nil {
			return err
		}
	}
	if cut != nil {
		t.cut = append(t.cut, Finding{Kind: KindChanged, File: path(et), Offset: off, Length: int64(len(data)) - off, Detail: cut.Error()})
	}
	return nil
}

// climb adds a leaf hash and compares each tile above that it completes.
func (t *tree) climb(c *climb, index int64, h tlog.Hash) error {
	var err error
	c.edge.Add(h, func(level int, hashes []tlog.Hash) {
		if level > 0 && err == nil {
			n := index >> ((level + 1) * ledger.TileHeight)
			err = t.compare(c, tlog.Tile{H: ledger.TileHeight, L: level, N: n, W: ledger.TileWidth}, hashes)
		}
	})
	return err
}

// compare holds a stored tile above the leaves against the computed one.
func (t *tree) compare(c *climb, tile tlog.Tile, want []tlog.Hash) error {
	stored, err := t.hashes(tile)
	if err != nil {
		return err
	}
	for i := range want {
		if stored[i] != want[i] {
			c.damage = append(c.damage, Finding{Kind: KindChanged, File: path(tile), Offset: int64(i) * tlog.HashSize, Length: tlog.HashSize,
				Detail: fmt.Sprintf("hash %d is not that of the tile below", i)})
		}
	}
	return nil
}

// hashes reads a tile of hashes. One of the wrong size is a finding; what it
// lacks reads as zeros.
func (t *tree) hashes(tile tlog.Tile) ([]tlog.Hash, error) {
	data, err := read(t.fs, tile)
	if err != nil {
		return nil, err
	}
	if want := tile.W * tlog.HashSize; len(data) != want {
		f := Finding{Kind: KindChanged, File: path(tile), Offset: int64(min(len(data), want)), Length: int64(max(0, len(data)-want)),
			Detail: fmt.Sprintf("the tile has %d bytes, want %d", len(data), want)}
		if len(t.cut) == 0 || t.cut[len(t.cut)-1] != f {
			t.cut = append(t.cut, f)
		}
	}
	out := make([]tlog.Hash, tile.W)
	for i := range out {
		if len(data) >= (i+1)*tlog.HashSize {
			copy(out[i][:], data[i*tlog.HashSize:])
		}
	}
	return out, nil
}

// judge decides which climb was right and reports where the other differs.
func (t *tree) judge() {
	seen := map[Finding]bool{}
	report := func(lists ...[]Finding) {
		for _, list := range lists {
			for _, f := range list {
				if !seen[f] {
					seen[f] = true
					t.rep.add(f)
				}
			}
		}
	}
	report(t.cut)
	root := tlog.Hash(t.cp.Root)
	switch {
	case t.fromLeaves.edge.Root() == root && t.whole():
		clear(t.wrong)
		report(t.tileDamage, t.fromLeaves.damage)
	case t.fromTiles.edge.Root() == root:
		report(t.leafDamage, t.fromTiles.damage)
	default:
		report(t.leafDamage, t.tileDamage, t.fromTiles.damage)
		t.rep.add(Finding{Kind: KindCheckpoint, File: ledgerDir + "/" + ledger.CheckpointFile,
			Detail: "neither the leaves nor the tiles give the root of the checkpoint"})
	}
	t.rep.Ledger.Tiles = t.count()
}

// whole reports whether every leaf could be read.
func (t *tree) whole() bool {
	for _, f := range t.cut {
		if tile, ok := ledger.ParseTilePath(f.File[len(ledgerDir)+1:]); ok && tile.L == ledger.EntriesLevel {
			return false
		}
	}
	return true
}

func (t *tree) count() int {
	n := 0
	for size := t.cp.Size; size > 0; size >>= ledger.TileHeight {
		n += int((size + ledger.TileWidth - 1) / ledger.TileWidth)
	}
	return n + int((t.cp.Size+ledger.TileWidth-1)/ledger.TileWidth) // entries
}

// leaves reads the leaves that are right into the book.
func (t *tree) leaves(ctx context.Context, b *book) error {
	for n := int64(0); n*ledger.TileWidth < t.cp.Size; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		et, _ := ledger.TileAt(ledger.EntriesLevel, n, t.cp.Size)
		data, err := read(t.fs, et)
		if err != nil {
			return err
		}
		entries, _ := ledger.SplitEntries(data, et.W)
		for i, e := range entries {
			if index := n*ledger.TileWidth + int64(i); !t.wrong[index] {
				b.leaf(place{index, path(et), e.Offset, int64(len(e.Data)) + 2}, e.Data)
			}
		}
	}
	b.finish()
	return nil
}

// prefix checks that the ledger continues an earlier checkpoint. A tile that is
// not there is an error, as in check: the folder may be in motion.
func (r *run) prefix(fsys vfs.FS, t *tree) error {
	if len(r.o.Checkpoint) == 0 {
		return nil
	}
	file := ledgerDir + "/" + ledger.CheckpointFile
	old, err := ledger.ParseCheckpoint(r.o.Checkpoint, r.verifier)
	switch {
	case err != nil:
		r.rep.add(Finding{Kind: KindRollback, File: file, Detail: "the earlier checkpoint: " + err.Error()})
	case old.Origin != t.cp.Origin:
		r.rep.add(Finding{Kind: KindRollback, File: file, Detail: fmt.Sprintf("the earlier checkpoint is of the history %q, this one is %q", old.Origin, t.cp.Origin)})
	case old.Size > t.cp.Size:
		r.rep.add(Finding{Kind: KindRollback, File: file, Detail: fmt.Sprintf("the ledger has %d leaves, and had %d when the earlier checkpoint was exported: it was rolled back", t.cp.Size, old.Size)})
	case old.Size > 0:
		root, err := tlog.TreeHash(old.Size, ledger.HashReader(fsys, t.cp.Tree()))
		if errors.Is(err, fs.ErrNotExist) {
			return err
		} else if err != nil {
			r.rep.add(Finding{Kind: KindRollback, File: file, Detail: "the earlier checkpoint could not be compared: " + err.Error()})
		} else if root != tlog.Hash(old.Root) {
			r.rep.add(Finding{Kind: KindRollback, File: file, Detail: fmt.Sprintf("the first %d leaves are not those of the earlier checkpoint: the history was rewritten", old.Size)})
		} else {
			r.rep.Ledger.Since = old.Size
		}
	}
	return nil
}

// read reads a tile whatever its length. Only a file that is not there, or
// cannot be read, is an error.
func read(fsys vfs.FS, tile tlog.Tile) ([]byte, error) {
	name := ledger.TilePath(tile)
	data, err := vfs.ReadFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	if err != nil {
		return nil, fault.Errorf(fault.KindOf(err), "read %s: %w", name, err)
	}
	return data, nil
}

// path returns the name of a tile below the data folder.
func path(t tlog.Tile) string { return ledgerDir + "/" + ledger.TilePath(t) }
