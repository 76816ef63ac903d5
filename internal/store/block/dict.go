package block

import (
	"bytes"
	"encoding/binary"
	"sync"

	"github.com/zeebo/xxh3"

	"github.com/meshtrail/meshtrail/internal/record"
)

// maxIntDict is the largest number of distinct integers kept as a dictionary;
// beyond it bit-packing is as small and needs no table.
const maxIntDict = 256

// A dictBuilder finds the distinct values of a column. It is reused: slots are
// emptied by a new generation instead of by clearing.
type dictBuilder struct {
	slots []dictSlot
	gen   uint32
	first []uint32 // entry → index of its first value
	codes []uint16
}

type dictSlot struct {
	hash  uint32
	gen   uint32
	entry uint32
}

var dictPool = sync.Pool{New: func() any { return new(dictBuilder) }}

// build fills first and codes, or reports false when the column has too many
// distinct values for a dictionary to pay.
func (d *dictBuilder) build(c *record.Column) bool {
	n := max(len(c.Ends), len(c.Nums))
	limit := min(n/2, MaxDict)
	if c.Kind == record.Int {
		limit = min(n/2, maxIntDict)
	}
	size := 64
	for size < 2*limit {
		size *= 2
	}
	if len(d.slots) < size {
		d.slots, d.gen = make([]dictSlot, size), 0
	}
	if d.gen++; d.gen == 0 {
		clear(d.slots)
		d.gen = 1
	}
	d.first, d.codes = d.first[:0], d.codes[:0]
	if c.Kind == record.Int {
		return d.ints(c, limit, uint32(size-1))
	}
	return d.strings(c, limit, uint32(size-1))
}

func (d *dictBuilder) strings(c *record.Column, limit int, mask uint32) bool {
	var prev []byte
	code := -1
	for i := range c.Ends {
		v := c.Bytes(i)
		if code < 0 || !bytes.Equal(v, prev) {
			h := uint32(xxh3.Hash(v))
			at := h & mask
			for {
				s := &d.slots[at]
				if s.gen != d.gen {
					if len(d.first) >= limit || hopeless(len(d.first), i) {
						return false
					}
					*s = dictSlot{h, d.gen, uint32(len(d.first))}
					d.first = append(d.first, uint32(i))
					code = len(d.first) - 1
					break
				}
				if s.hash == h && bytes.Equal(c.Bytes(int(d.first[s.entry])), v) {
					code = int(s.entry)
					break
				}
				at = (at + 1) & mask
			}
			prev = v
		}
		d.codes = append(d.codes, uint16(code))
	}
	return true
}

// hopeless reports whether a column of which i values had n distinct ones is
// not worth going through to the end.
func hopeless(n, i int) bool { return i >= 1024 && n > i*3/4 }

func (d *dictBuilder) ints(c *record.Column, limit int, mask uint32) bool {
	for i, v := range c.Nums {
		h := uint32(v * 0x9e3779b97f4a7c15 >> 32)
		at := h & mask
		for {
			s := &d.slots[at]
			if s.gen != d.gen {
				if len(d.first) >= limit {
					return false
				}
				*s = dictSlot{h, d.gen, uint32(len(d.first))}
				d.first = append(d.first, uint32(i))
				d.codes = append(d.codes, uint16(len(d.first)-1))
				break
			}
			if s.hash == h && c.Nums[d.first[s.entry]] == v {
				d.codes = append(d.codes, uint16(s.entry))
				break
			}
			at = (at + 1) & mask
		}
	}
	return true
}

// Forms of dictionary codes.
const (
	codesPacked = 0 // | width u8 | packed |
	codesBytes  = 1 // | blob of u8 |
	codesWords  = 2 // | blob of u16 |
)

func appendCodes(dst []byte, codes []uint16, entries int) []byte {
	w := width(uint64(entries - 1))
	sc := intsPool.Get().(*intsScratch)
	defer intsPool.Put(sc)
	if len(codes) >= minEntropy {
		form := byte(codesBytes)
		sc.buf = sc.buf[:0]
		if entries <= 256 {
			for _, c := range codes {
				sc.buf = append(sc.buf, byte(c))
			}
		} else {
			form = codesWords
			for _, c := range codes {
				sc.buf = binary.LittleEndian.AppendUint16(sc.buf, c)
			}
		}
		start := len(dst)
		dst = appendBlob(append(dst, form), sc.buf)
		if len(dst)-start < packedSize(len(codes), w) {
			return dst
		}
		dst = dst[:start]
	}
	sc.vals = sc.vals[:0]
	for _, c := range codes {
		sc.vals = append(sc.vals, uint64(c))
	}
	return appendPacked(append(dst, codesPacked, byte(w)), sc.vals, w)
}

// codes reads n codes below entries.
func (c *cursor) codes(n, entries int) []uint16 {
	out := c.codes16
	if c.codes16 = nil; cap(out) < n {
		out = make([]uint16, n)
	}
	out = out[:n]
	switch form := c.u8(); form {
	case codesPacked:
		w := uint(c.u8())
		if w > 16 {
			c.fail("width %d of a dictionary code", w)
			return nil
		}
		src := c.take(packedSize(n, w))
		if c.err != nil {
			return nil
		}
		unpack16(out, src, w)
	case codesBytes, codesWords:
		size := n
		if form == codesWords {
			size = 2 * n
		}
		b := c.blob(size, false)
		if c.err != nil || len(b) != size {
			c.fail("%d bytes of dictionary codes, want %d", len(b), size)
			return nil
		}
		for i := range out {
			if form == codesBytes {
				out[i] = uint16(b[i])
			} else {
				out[i] = binary.LittleEndian.Uint16(b[2*i:])
			}
		}
	default:
		c.fail("form %d of dictionary codes is unknown", form)
		return nil
	}
	most := uint16(0)
	for _, v := range out {
		most = max(most, v)
	}
	if n > 0 && int(most) >= entries {
		c.fail("dictionary code %d of %d entries", most, entries)
		return nil
	}
	return out
}
