package memtable

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

// maxTexts is the largest number of distinct values that number keeps a place of
// for every block.
const maxTexts = 1 << 16

// number gives the values of string columns numbers that hold for all views, so
// that the values of a block are gathered by number and not by their bytes. A
// column that repeats too rarely for a dictionary gets none: the first values
// tell.
func (p *Plan) number() {
	p.texts = make([][][]byte, len(p.keys))
	var x interner
	for k, key := range p.keys {
		if key.kind == record.String {
			p.texts[k] = x.column(p, k)
		}
	}
}

// An interner gives each distinct value a place. A slot is the hash's upper half
// and a place plus one.
type interner struct {
	slots []uint64
	texts [][]byte
}

// column numbers column k and returns its distinct values, or nil.
func (x *interner) column(p *Plan, k int) [][]byte {
	if cap(x.slots) < 1<<10 {
		x.slots = make([]uint64, 1<<10)
	}
	x.slots = x.slots[:1<<10]
	clear(x.slots)
	x.texts = nil
	seen := 0 // values, of which a dictionary's stand for the entry's share
	for _, cols := range p.cols {
		s := cols[k]
		if s == nil {
			continue
		}
		s.ids = make([]uint32, s.v.Entries())
		for e := range s.ids {
			id, ok := x.place(s.v.Bytes(e))
			if !ok || s.v.Form == block.Plain && rarelyRepeats(len(x.texts), seen+e+1) {
				for _, cols := range p.cols {
					if cols[k] != nil {
						cols[k].ids = nil
					}
				}
				return nil
			}
			s.ids[e] = id
		}
		seen += s.v.N
	}
	return x.texts
}

// rarelyRepeats reports whether a column of which n values had so many distinct
// ones does not become a dictionary in most blocks.
func rarelyRepeats(distinct, n int) bool {
	return n >= 4<<10 && distinct > n-n/64 || n >= 16<<10 && distinct > n-n/8 || n >= 64<<10 && distinct > n-n/4
}

// place returns the place of a value. It reports false if there are too many, or
// values that were made to collide.
func (x *interner) place(v []byte) (uint32, bool) {
	h := record.Hash(v)
	mask := uint32(len(x.slots) - 1)
	at := uint32(h) & mask
	for range maxProbes {
		s := x.slots[at]
		if s == 0 {
			if len(x.texts) == maxTexts {
				return 0, false
			}
			x.texts = append(x.texts, v)
			x.slots[at] = h&^0xffffffff | uint64(len(x.texts))
			if 2*len(x.texts) > len(x.slots) {
				x.grow()
			}
			return uint32(len(x.texts) - 1), true
		}
		if id := uint32(s) - 1; (s^h)>>32 == 0 && bytes.Equal(x.texts[id], v) {
			return id, true
		}
		at = (at + 1) & mask
	}
	return 0, false
}

func (x *interner) grow() {
	n := 2 * len(x.slots)
	if cap(x.slots) < n {
		x.slots = make([]uint64, n)
	}
	x.slots = x.slots[:n]
	clear(x.slots)
	mask := uint32(n - 1)
	for i, v := range x.texts {
		h := record.Hash(v)
		at := uint32(h) & mask
		for x.slots[at] != 0 {
			at = (at + 1) & mask
		}
		x.slots[at] = h&^0xffffffff | uint64(i+1)
	}
}
