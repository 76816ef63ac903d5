package ledger

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// TileHeight is the height of a tile: TileWidth hashes wide (C2SP tlog-tiles).
const (
	TileHeight = 8
	TileWidth  = 1 << TileHeight
)

// MaxLeaf is the largest leaf in bytes: its length is a uint16.
const MaxLeaf = 1<<16 - 1

// EntriesLevel is the level, in tlog.Tile's convention, of the leaves themselves.
const EntriesLevel = -1

// TilePath returns the file of a tile below the ledger folder, as C2SP
// tlog-tiles names it: tile/<L>/<N>[.p/<W>], where tlog.Tile.Path would put the
// height in as well. Level -1 is tile/entries.
func TilePath(t tlog.Tile) string {
	level := "entries"
	if t.L != EntriesLevel {
		level = strconv.Itoa(t.L)
	}
	n := fmt.Sprintf("%03d", t.N%1000)
	for rest := t.N / 1000; rest > 0; rest /= 1000 {
		n = fmt.Sprintf("x%03d/%s", rest%1000, n)
	}
	if t.W != TileWidth {
		n += ".p/" + strconv.Itoa(t.W)
	}
	return "tile/" + level + "/" + n
}

// ParseTilePath is the inverse of TilePath. ok is false for every other name.
func ParseTilePath(name string) (t tlog.Tile, ok bool) {
	part := strings.Split(name, "/")
	if len(part) < 3 || part[0] != "tile" {
		return t, false
	}
	t = tlog.Tile{H: TileHeight, L: EntriesLevel, W: TileWidth}
	if part[1] != "entries" {
		level, err := strconv.Atoi(part[1])
		if err != nil || level < 0 || level > 63 {
			return t, false
		}
		t.L = level
	}
	part = part[2:]
	if dir := len(part) - 2; dir >= 0 && strings.HasSuffix(part[dir], ".p") {
		w, err := strconv.Atoi(part[dir+1])
		if err != nil || w < 1 || w >= TileWidth {
			return t, false
		}
		t.W = w
		part = append(part[:dir:dir], strings.TrimSuffix(part[dir], ".p"))
	}
	if len(part) > 6 {
		return t, false
	}
	for _, p := range part {
		n, err := strconv.Atoi(strings.TrimPrefix(p, "x"))
		if err != nil || n < 0 || n > 999 {
			return t, false
		}
		t.N = t.N*1000 + int64(n)
	}
	return t, TilePath(t) == name
}

// TileAt returns tile n of a level as a tree of this size has it, cut to its
// width; ok is false if the tree has none of its hashes.
func TileAt(level int, n, size int64) (t tlog.Tile, ok bool) {
	t = tlog.Tile{H: TileHeight, L: level, N: n, W: TileWidth}
	if level > 0 {
		if level*TileHeight > 62 {
			return t, false
		}
		size >>= uint(level * TileHeight)
	}
	if left := size - n*TileWidth; left < TileWidth {
		t.W = int(left)
	}
	return t, t.W > 0
}

// appendEntry appends a leaf as an entries tile holds it.
func appendEntry(dst, leaf []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(leaf)))
	return append(dst, leaf...)
}

// An Entry is one leaf inside an entries tile. Data aliases the tile.
type Entry struct {
	Offset int64 // of the length prefix in the file
	Data   []byte
}

// SplitEntries cuts an entries tile of exactly width leaves:
//
//	| length uint16, big endian | leaf | × width
//
// On damage it returns the whole entries before it and fault.Corrupt; the
// damage starts at the byte after the last entry.
func SplitEntries(data []byte, width int) ([]Entry, error) {
	entries := make([]Entry, 0, width)
	off := 0
	for len(entries) < width {
		if len(data)-off < 2 {
			return entries, fault.Errorf(fault.Corrupt, "entries tile ends at byte %d after %d of %d leaves", len(data), len(entries), width)
		}
		n := int(binary.BigEndian.Uint16(data[off:]))
		if len(data)-off-2 < n {
			return entries, fault.Errorf(fault.Corrupt, "leaf at byte %d is cut: %d of %d bytes", off, len(data)-off-2, n)
		}
		entries = append(entries, Entry{Offset: int64(off), Data: data[off+2 : off+2+n]})
		off += 2 + n
	}
	if off != len(data) {
		return entries, fault.Errorf(fault.Corrupt, "%d bytes after the last leaf at byte %d", len(data)-off, off)
	}
	return entries, nil
}

// hashes cuts a tile of hashes; its length MUST be a multiple of tlog.HashSize.
func hashes(data []byte) []tlog.Hash {
	out := make([]tlog.Hash, len(data)/tlog.HashSize)
	for i := range out {
		copy(out[i][:], data[i*tlog.HashSize:])
	}
	return out
}

// An Edge is the right side of a tree: for each level the hashes of the tile
// that is not full yet, in order. It is all that appending needs. The zero Edge
// is that of the empty tree.
type Edge [][]tlog.Hash

// EdgeTiles returns the right tile of each level of a tree of this size, by
// level; W is 0 where the last tile is full.
func EdgeTiles(size int64) []tlog.Tile {
	var tiles []tlog.Tile
	for level := 0; size>>(level*TileHeight) > 0; level++ {
		n := size >> (level * TileHeight)
		tiles = append(tiles, tlog.Tile{H: TileHeight, L: level, N: n / TileWidth, W: int(n % TileWidth)})
	}
	return tiles
}

// clone copies the edge, so that an append that fails leaves the old one.
func (e Edge) clone() Edge {
	out := make(Edge, len(e))
	for i, h := range e {
		out[i] = append(make([]tlog.Hash, 0, TileWidth), h...)
	}
	return out
}

// Add appends a leaf hash and calls full for each level whose tile filled up,
// with its hashes, lent.
func (e *Edge) Add(h tlog.Hash, full func(level int, tile []tlog.Hash)) {
	for level := 0; ; level++ {
		if level == len(*e) {
			*e = append(*e, nil)
		}
		(*e)[level] = append((*e)[level], h)
		if len((*e)[level]) < TileWidth {
			return
		}
		full(level, (*e)[level])
		h = treeHash((*e)[level])
		(*e)[level] = (*e)[level][:0]
	}
}

// Root returns the RFC 6962 tree head. A partial subtree on the right is one
// more node of the level above, because the split is at a power of two.
func (e Edge) Root() tlog.Hash {
	var nodes []tlog.Hash
	var right tlog.Hash
	have := false
	for _, level := range e {
		nodes = append(nodes[:0], level...)
		if have {
			nodes = append(nodes, right)
		}
		if len(nodes) > 0 {
			right, have = treeHash(nodes), true
		}
	}
	if !have {
		empty, _ := tlog.TreeHash(0, nil)
		return empty
	}
	return right
}

// treeHash returns the RFC 6962 hash over at least one node.
func treeHash(nodes []tlog.Hash) tlog.Hash {
	if len(nodes) == 1 {
		return nodes[0]
	}
	k := 1
	for k*2 < len(nodes) {
		k *= 2
	}
	return tlog.NodeHash(treeHash(nodes[:k]), treeHash(nodes[k:]))
}

func appendHashes(dst []byte, tile []tlog.Hash) []byte {
	for i := range tile {
		dst = append(dst, tile[i][:]...)
	}
	return dst
}
