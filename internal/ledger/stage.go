package ledger

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/meshtrail/meshtrail/internal/vfs"
)

// A tileFile is a tile to be written.
type tileFile struct {
	name string
	data []byte
}

// staged is a tree that grows in memory before any of it is written.
type staged struct {
	old, size int64
	edge      Edge
	entries   []byte
	tiles     []tileFile
}

func newStaged(size int64, e Edge, entries []byte) *staged {
	return &staged{old: size, size: size, edge: e.clone(), entries: append([]byte(nil), entries...)}
}

// add appends a leaf and stages each tile that it fills.
func (s *staged) add(leaf []byte) {
	n := s.size
	s.entries = appendEntry(s.entries, leaf)
	s.size++
	s.edge.Add(tlog.RecordHash(leaf), func(level int, tile []tlog.Hash) {
		t := tlog.Tile{H: TileHeight, L: level, N: n >> ((level + 1) * TileHeight), W: TileWidth}
		s.stage(t, appendHashes(nil, tile))
		if level == 0 {
			t.L = EntriesLevel
			s.stage(t, s.entries)
			s.entries = nil
		}
	})
}

// finish stages the partial tiles that changed.
func (s *staged) finish() {
	for _, t := range EdgeTiles(s.size) {
		if t.W == 0 || s.old>>(t.L*TileHeight) == s.size>>(t.L*TileHeight) {
			continue
		}
		s.stage(t, appendHashes(nil, s.edge[t.L]))
		if t.L == 0 {
			t.L = EntriesLevel
			s.stage(t, s.entries)
		}
	}
}

func (s *staged) stage(t tlog.Tile, data []byte) {
	s.tiles = append(s.tiles, tileFile{name: TilePath(t), data: data})
}

// removeSuperseded removes the partial tiles of the old size that the new one
// does not use. They are allowed to stay; failing costs only space.
func (l *Ledger) removeSuperseded(old, size int64) {
	l.files.Lock()
	defer l.files.Unlock()
	for _, t := range EdgeTiles(old) {
		if t.W == 0 || old>>(t.L*TileHeight) == size>>(t.L*TileHeight) {
			continue
		}
		l.remove(TilePath(t))
		if t.L == 0 {
			t.L = EntriesLevel
			l.remove(TilePath(t))
		}
	}
}

// discard removes what an append that failed left beyond the head, to give back
// its space.
func (l *Ledger) discard(tiles []tileFile) {
	for _, t := range tiles {
		l.remove(t.name)
	}
}

func (l *Ledger) remove(name string) {
	err := l.fs.Remove(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.log.Warn("superseded ledger tile stays", "file", name, "error", err)
		return
	}
	if dir := partialDir(name); dir != "" {
		l.fs.Remove(dir) // fails while it holds another width
	}
}

// sweep removes what is not part of the head: partial tiles that it does not
// use, and the rest of an append that did not finish. Nothing depends on it.
func (l *Ledger) sweep() {
	size := l.Checkpoint().Size
	var stale []string
	err := walkTiles(l.fs, func(name string, t tlog.Tile, ok bool) error {
		if !ok {
			l.log.Warn("unknown file in the ledger folder", "file", name)
			return nil
		}
		if want, ok := TileAt(t.L, t.N, size); !ok || want != t {
			stale = append(stale, name)
		}
		return nil
	})
	if err != nil {
		l.log.Warn("ledger folder not swept", "error", err)
		return
	}
	for _, name := range stale {
		l.remove(name)
	}
}

// walkTiles calls f for each file below tile/, in order; ok says that the name
// is a tile's.
func walkTiles(fsys vfs.FS, f func(name string, t tlog.Tile, ok bool) error) error {
	var walk func(dir string) error
	walk = func(dir string) error {
		list, err := fsys.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // no tile yet, or a partial one removed meanwhile
		}
		if err != nil {
			return err
		}
		for _, e := range list {
			name := path.Join(dir, e.Name())
			if e.IsDir() {
				if strings.Count(name, "/") > 9 {
					continue // deeper than any tile
				}
				if err := walk(name); err != nil {
					return err
				}
				continue
			}
			t, ok := ParseTilePath(name)
			if err := f(name, t, ok); err != nil {
				return err
			}
		}
		return nil
	}
	return walk("tile")
}
