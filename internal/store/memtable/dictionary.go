package memtable

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

// maxProbes bounds the search for one value, so that values which were made to
// collide cost no more than others: their column becomes plain.
const maxProbes = 32

// A dictionary finds the entries of a coded column. A slot is | hash 32 | entry
// 16 | generation 16 |: it is emptied by a new generation instead of by clearing.
type dictionary struct {
	slots []uint64
	gen   uint16
}

const firstSlots = 16

// reset empties the dictionary and keeps its memory.
func (d *dictionary) reset() {
	if d.gen++; d.gen == 0 {
		clear(d.slots)
		d.gen = 1
	}
}

// put notes that entry n has this hash, and makes room for the next ones, which
// hash tells of.
func (d *dictionary) put(h uint64, n int, hash func(entry int) uint64) {
	if 2*(n+1) > len(d.slots) {
		d.slots, d.gen = make([]uint64, max(firstSlots, 2*len(d.slots))), 1
		for e := range n {
			d.place(hash(e), e)
		}
	}
	d.place(h, n)
}

func (d *dictionary) place(h uint64, n int) {
	mask := uint32(len(d.slots) - 1)
	at := uint32(h) & mask
	for d.slots[at]&0xffff == uint64(d.gen) {
		at = (at + 1) & mask
	}
	d.slots[at] = h&^0xffffffff | uint64(n)<<16 | uint64(d.gen)
}

// entry returns which entry of a coded column value i of c is, adding it if it
// is new. It reports false if the column cannot have one more.
func (k *column) entry(c *record.Column, i int) (uint16, bool) {
	if k.kind == record.String {
		return k.text(c.Bytes(i))
	}
	return k.number(c.Nums[i])
}

func (k *column) text(v []byte) (uint16, bool) {
	n := len(k.ends)
	if n == 0 || n == 1 && bytes.Equal(k.bytes(0), v) {
		if n == 0 {
			k.data, k.ends = append(k.data, v...), append(k.ends, uint32(len(v)))
		}
		return 0, true
	}
	h := record.Hash(v)
	if n == 1 {
		k.dict.put(record.Hash(k.bytes(0)), 0, nil)
	}
	mask := uint32(len(k.dict.slots) - 1)
	gen := uint64(k.dict.gen)
	at := uint32(h) & mask
	for range maxProbes {
		s := k.dict.slots[at]
		if s&0xffff != gen {
			if n == block.MaxDict {
				return 0, false
			}
			k.data = append(k.data, v...)
			k.ends = append(k.ends, uint32(len(k.data)))
			k.dict.put(h, n, func(e int) uint64 { return record.Hash(k.bytes(e)) })
			return uint16(n), true
		}
		if e := int(uint16(s >> 16)); (s^h)>>32 == 0 && bytes.Equal(k.bytes(e), v) {
			return uint16(e), true
		}
		at = (at + 1) & mask
	}
	return 0, false
}

func hashNumber(v uint64) uint64 {
	h := v * 0x9e3779b97f4a7c15
	return h ^ h>>32
}

func (k *column) number(v uint64) (uint16, bool) {
	n := len(k.nums)
	if n == 0 || n == 1 && k.nums[0] == v {
		if n == 0 {
			k.nums = append(k.nums, v)
		}
		return 0, true
	}
	if k.kind != record.Int {
		return 0, false // more than a constant is not worth it
	}
	h := hashNumber(v)
	if n == 1 {
		k.dict.put(hashNumber(k.nums[0]), 0, nil)
	}
	mask := uint32(len(k.dict.slots) - 1)
	gen := uint64(k.dict.gen)
	at := uint32(h) & mask
	for range maxProbes {
		s := k.dict.slots[at]
		if s&0xffff != gen {
			if n == block.MaxDict {
				return 0, false
			}
			k.nums = append(k.nums, v)
			k.dict.put(h, n, func(e int) uint64 { return hashNumber(k.nums[e]) })
			return uint16(n), true
		}
		if e := int(uint16(s >> 16)); k.nums[e] == v {
			return uint16(e), true
		}
		at = (at + 1) & mask
	}
	return 0, false
}

// bytes returns string entry or, of a plain column, value e.
func (k *column) bytes(e int) []byte {
	start := uint32(0)
	if e > 0 {
		start = k.ends[e-1]
	}
	return k.data[start:k.ends[e]]
}
