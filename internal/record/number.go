package record

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"sync"
)

// MaxEntries is how many distinct values a column's numbers tell apart at most.
const MaxEntries = 1 << 16

const (
	// maxIntEntries is the same for integers: those that have more take less
	// room as they are.
	maxIntEntries = 256
	// minNumbered is the number of values from which it is worth looking.
	minNumbered = 8
	// maxProbes bounds the search for one value, so that values which were made
	// to collide cost no more than others: their column is left as it is.
	maxProbes = 32
)

// Number finds the columns that have few distinct values and numbers them: see
// Column.Entries. It looks at every value once, and less where the first ones
// show that it will not pay. Whoever changes a batch after that MUST number it
// again before anyone reads the numbers; Reset forgets them.
func (b *Batch) Number() {
	n := numberers.Get().(*numberer)
	for _, c := range b.cols {
		c.Entries, c.Codes = c.Entries[:0], c.Codes[:0]
		switch count := len(c.Rows); {
		case count < 2:
		case c.constant():
			c.Entries = append(c.Entries, 0)
		case count < minNumbered:
		case c.Kind == String:
			n.strings(c)
		case c.Kind == Int:
			n.ints(c)
		}
	}
	numberers.Put(n)
}

// Constant reports whether the column has values and all of them are equal. It
// compares whole stretches of bytes, and no value with another.
func (c *Column) Constant() bool { return len(c.Rows) > 0 && c.constant() }

// constant reports whether all values of a column are equal.
func (c *Column) constant() bool {
	if c.Kind != String {
		first := c.Nums[0]
		for _, v := range c.Nums[1:] {
			if v != first {
				return false
			}
		}
		return true
	}
	size := int(c.Ends[0])
	if size*len(c.Ends) != len(c.Data) {
		return false
	}
	// All bytes are those before them by one value: then every value is the first,
	// unless they are cut elsewhere.
	if !bytes.Equal(c.Data[size:], c.Data[:len(c.Data)-size]) {
		return false
	}
	for i, end := range c.Ends {
		if int(end) != (i+1)*size {
			return false
		}
	}
	return true
}

// A numberer finds distinct values. A slot is | hash 32 | number 16 | generation
// 16 |: it is emptied by a new generation instead of by clearing.
type numberer struct {
	slots   []uint64
	gen     uint16
	entries []uint32
	codes   []uint16
}

var numberers = sync.Pool{New: func() any { return new(numberer) }}

// begin makes room for limit values and returns the mask of their slots.
func (n *numberer) begin(limit int) (mask uint32) {
	size := 64
	for size < 2*limit {
		size *= 2
	}
	if len(n.slots) < size {
		n.slots, n.gen = make([]uint64, size), 0
	}
	if n.gen++; n.gen == 0 {
		clear(n.slots)
		n.gen = 1
	}
	return uint32(size - 1)
}

// hopeless reports whether a column of which i values had n distinct ones is not
// worth going through to the end.
func hopeless(n, i int) bool { return i >= 128 && n > i-i/8 || i >= 512 && n > i-i/4 }

func (n *numberer) strings(c *Column) {
	count := len(c.Ends)
	limit := min(count/2, MaxEntries)
	mask := n.begin(limit)
	slots, gen := n.slots[:mask+1], uint64(n.gen)
	entries, codes, data := n.entries[:0], n.codes[:0], c.Data
	defer func() { n.entries, n.codes = entries, codes }()
	start := uint32(0)
	for i, end := range c.Ends {
		v := data[start:end]
		start = end
		h := Hash(v)
		at := uint32(h) & mask
		for probes := 0; ; probes++ {
			s := slots[at&mask]
			if s&0xffff != gen {
				if len(entries) == limit || hopeless(len(entries), i) {
					return
				}
				slots[at&mask] = h&^0xffffffff | uint64(len(entries))<<16 | gen
				codes = append(codes, uint16(len(entries)))
				entries = append(entries, uint32(i))
				break
			}
			if (s^h)>>32 == 0 {
				if code := uint16(s >> 16); bytes.Equal(c.Bytes(int(entries[code])), v) {
					codes = append(codes, code)
					break
				}
			}
			if probes == maxProbes {
				return
			}
			at++
		}
	}
	c.Entries, c.Codes = append(c.Entries, entries...), append(c.Codes, codes...)
}

func (n *numberer) ints(c *Column) {
	limit := min(len(c.Nums)/2, maxIntEntries)
	mask := n.begin(limit)
	slots, gen := n.slots[:mask+1], uint64(n.gen)
	entries, codes := n.entries[:0], n.codes[:0]
	defer func() { n.entries, n.codes = entries, codes }()
	for i, v := range c.Nums {
		h := v * 0x9e3779b97f4a7c15
		at := uint32(h>>40) & mask
		for probes := 0; ; probes++ {
			s := slots[at&mask]
			if s&0xffff != gen {
				if len(entries) == limit || hopeless(len(entries), i) {
					return
				}
				slots[at&mask] = h&^0xffffffff | uint64(len(entries))<<16 | gen
				codes = append(codes, uint16(len(entries)))
				entries = append(entries, uint32(i))
				break
			}
			if (s^h)>>32 == 0 {
				if code := uint16(s >> 16); c.Nums[entries[code]] == v {
					codes = append(codes, code)
					break
				}
			}
			if probes == maxProbes {
				return
			}
			at++
		}
	}
	c.Entries, c.Codes = append(c.Entries, entries...), append(c.Codes, codes...)
}

// distinct reports whether no two entries of a numbered string or int column are
// equal.
func (c *Column) distinct() bool {
	n := numberers.Get().(*numberer)
	defer numberers.Put(n)
	mask := n.begin(len(c.Entries))
	probes := 0
	for k, i := range c.Entries {
		h := c.hash(i)
		at := uint32(h) & mask
		for ; n.slots[at]&0xffff == uint64(n.gen); at = (at + 1) & mask {
			if s := n.slots[at]; (s^h)>>32 == 0 && c.equal(i, c.Entries[uint16(s>>16)]) {
				return false
			}
			if probes++; probes > maxProbes*(len(c.Entries)+64) { // made to collide
				return c.distinctSlowly()
			}
		}
		n.slots[at] = h&^0xffffffff | uint64(k)<<16 | uint64(n.gen)
	}
	return true
}

func (c *Column) hash(i uint32) uint64 {
	if c.Kind == String {
		return Hash(c.Bytes(int(i)))
	}
	h := c.Nums[i] * 0x9e3779b97f4a7c15
	return h ^ h>>32
}

func (c *Column) equal(i, j uint32) bool {
	if c.Kind == String {
		return bytes.Equal(c.Bytes(int(i)), c.Bytes(int(j)))
	}
	return c.Nums[i] == c.Nums[j]
}

func (c *Column) distinctSlowly() bool {
	seen := make(map[string]bool, len(c.Entries))
	for _, i := range c.Entries {
		v := c.Value(int(i)).Text()
		if seen[v] {
			return false
		}
		seen[v] = true
	}
	return true
}

// Hash is a quick hash of a value's bytes, the same in every process. It does
// not withstand values that were made to collide: its tables bound their search.
func Hash(v []byte) uint64 {
	const k0, k1 = 0xa0761d6478bd642f, 0xe7037ed1a0b428db
	n := len(v)
	h := uint64(n+1) * k1 // never k1 for a text: what follows would multiply by 0
	var a, b uint64
	switch {
	case n > 16:
		p := v
		for len(p) > 16 {
			hi, lo := bits.Mul64(binary.LittleEndian.Uint64(p)^k0, binary.LittleEndian.Uint64(p[8:])^h)
			h = hi ^ lo
			p = p[16:]
		}
		a, b = binary.LittleEndian.Uint64(v[n-16:]), binary.LittleEndian.Uint64(v[n-8:])
	case n >= 8:
		a, b = binary.LittleEndian.Uint64(v), binary.LittleEndian.Uint64(v[n-8:])
	case n >= 4:
		a, b = uint64(binary.LittleEndian.Uint32(v)), uint64(binary.LittleEndian.Uint32(v[n-4:]))
	case n > 0:
		a = uint64(v[0]) | uint64(v[n/2])<<8 | uint64(v[n-1])<<16
	}
	hi, lo := bits.Mul64(a^k0, b^k1^h)
	hi, lo = bits.Mul64(hi^lo^k0, k1)
	return hi ^ lo
}
