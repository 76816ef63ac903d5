package segment

import (
	"encoding/binary"
	"math/bits"
)

// bitWriter appends bits, least significant first.
type bitWriter struct {
	b    []byte // with room behind at
	at   int    // whole bytes written
	acc  uint64
	used uint // bits in acc, fewer than 8
}

// write appends the low n bits of v, which has no others; n is 56 at most.
func (w *bitWriter) write(v uint64, n uint) {
	if w.at+8 > len(w.b) {
		w.b = append(w.b, make([]byte, 64+len(w.b))...)
	}
	w.acc |= v << w.used
	w.used += n
	binary.LittleEndian.PutUint64(w.b[w.at:], w.acc)
	w.at += int(w.used >> 3)
	w.acc >>= w.used &^ 7
	w.used &= 7
}

// rice appends v as v >> r zeros, a one, and the low r bits.
func (w *bitWriter) rice(v uint64, r uint) {
	q, low := v>>r, v&(1<<r-1)
	if uint64(r)+q < 56 {
		w.write((low<<1|1)<<q, uint(q)+1+r)
		return
	}
	for ; q > 40; q -= 40 {
		w.write(0, 40)
	}
	w.write(1<<q, uint(q)+1)
	w.write(low, r)
}

func (w *bitWriter) bits() int { return 8*w.at + int(w.used) }

// bytes returns what was written, filled up to a byte.
func (w *bitWriter) bytes() []byte {
	if w.used == 0 {
		return w.b[:w.at]
	}
	w.b[w.at] = byte(w.acc) // an entry that was taken back may have left bits here
	return w.b[:w.at+1]
}

// reset empties w and keeps its memory.
func (w *bitWriter) reset() { w.at, w.acc, w.used = 0, 0, 0 }

// bitReader reads what a bitWriter wrote. Behind the end come zeros, and bad.
type bitReader struct {
	b   []byte
	pos int // in bits
	bad bool
}

// peek returns the next 56 bits at least.
func (r *bitReader) peek() uint64 {
	at := r.pos >> 3
	if at+8 <= len(r.b) {
		return binary.LittleEndian.Uint64(r.b[at:]) >> (r.pos & 7)
	}
	var v uint64
	for i := len(r.b) - 1; i >= at; i-- {
		v = v<<8 | uint64(r.b[i])
	}
	return v >> (r.pos & 7)
}

// skip moves on by n bits.
func (r *bitReader) skip(n int) {
	if r.pos += n; r.pos > 8*len(r.b) {
		r.pos, r.bad = 8*len(r.b), true
	}
}

// read returns n bits, 56 at most.
func (r *bitReader) read(n uint) uint64 {
	v := r.peek() & (1<<n - 1)
	r.skip(int(n))
	return v
}

func (r *bitReader) rice(k uint) uint64 {
	v := r.peek()
	if z := uint(bits.TrailingZeros64(v)); z+1+k <= 56 {
		r.skip(int(z + 1 + k))
		return uint64(z)<<k | v>>(z+1)&(1<<k-1)
	}
	q := uint64(0)
	for !r.bad {
		z := bits.TrailingZeros64(r.peek())
		if z < 56 {
			r.skip(z + 1)
			q += uint64(z)
			break
		}
		r.skip(56)
		q += 56
	}
	return q<<k | r.read(k)
}

// walk moves past the gaps of the entries from i to n for as long as the sum of
// each and one is below left. It returns the number of the next entry and what is
// left then; it leaves to rice the last few, those that do not fit in a word, and
// the one that it ends at.
//
// A lookup is this loop, so it takes as many from a word as it holds and calls
// nothing.
func (r *bitReader) walk(i, n int, k uint, left uint64) (next int, rest uint64) {
	b, pos, mask := r.b, r.pos, uint64(1)<<k-1
	for at := pos >> 3; i < n && at+8 <= len(b); at = pos >> 3 {
		v := binary.LittleEndian.Uint64(b[at:]) >> (pos & 7)
		have := uint(64 - pos&7)
		from := have
		for i < n && v != 0 {
			z := uint(bits.TrailingZeros64(v))
			width := z + 1 + k
			if width > have {
				break
			}
			gap := uint64(z)<<k | v>>((z+1)&63)&mask
			if gap >= left-1 {
				r.pos = pos + int(from-have)
				return i, left
			}
			left -= gap + 1
			v >>= width & 63
			have -= width
			i++
		}
		if from == have {
			break // one that is longer than a word
		}
		pos += int(from - have)
	}
	r.pos = pos
	return i, left
}

// gamma is Elias' code of v + 1: as many zeros as it has bits below the highest,
// a one, and those bits.
func (w *bitWriter) gamma(v uint64) {
	n := uint(bits.Len64(v+1)) - 1
	w.write(1<<n, n+1)
	w.write((v+1)&(1<<n-1), n)
}

func (r *bitReader) gamma() uint64 {
	n := uint(bits.TrailingZeros64(r.peek()))
	if n > 24 {
		r.bad = true
		return 0
	}
	r.skip(int(n) + 1)
	return 1<<n | r.read(n) - 1
}

// listing says how n of b blocks are listed: by gaps with a Rice parameter, or
// by a bit for each block.
func listing(n, b int) (rice uint, bitmap bool) {
	if n == 0 {
		return 0, false
	}
	rice = uint(bits.Len(uint(b/n))) - 1
	return rice, n*(int(rice)+1)+b>>rice >= b
}

// number appends one of 2^n - spare numbers: those that a whole number of bits
// has left over take one bit less.
func (w *bitWriter) number(v uint32, n uint, spare uint32) {
	if v < spare {
		w.write(uint64(v), n-1)
	} else if n > 0 {
		v += spare // the lowest bit comes last
		w.write(uint64(v>>1|v&1<<(n-1)), n)
	}
}

func (r *bitReader) number(b int) uint32 {
	n, spare := numbering(b)
	if n == 0 {
		return 0
	}
	v := uint32(r.read(n - 1))
	if v < spare {
		return v
	}
	return v<<1 + uint32(r.read(1)) - spare
}

// skipNumbers moves past n numbers of b blocks.
func (r *bitReader) skipNumbers(n, b int) {
	width, spare := numbering(b)
	if spare == 0 || width == 0 {
		r.skip(n * int(width))
		return
	}
	short := uint64(spare)
	for mask := uint64(1)<<(width-1) - 1; n > 0 && !r.bad; {
		v := r.peek()
		used := uint(0)
		for ; n > 0 && used+width <= 56; n-- {
			w := width - uint((v&mask-short)>>63) // one less when below
			v >>= w & 63
			used += w
		}
		r.skip(int(used))
	}
}

// numbering returns how many bits b numbers take, and how many of them take one
// less.
func numbering(b int) (n uint, spare uint32) {
	n = uint(bits.Len(uint(b - 1)))
	return n, uint32(1<<n - b)
}

// list appends which of b blocks a token is in, several and ascending.
func (w *bitWriter) list(ids []uint32, b int) {
	absent := len(ids) > b/2
	if absent {
		w.write(1, 1)
		w.gamma(uint64(b - len(ids)))
	} else {
		w.write(0, 1)
		w.gamma(uint64(len(ids) - 2))
	}
	w.listed(ids, b, absent)
}

// listed appends the ids, or those of b blocks that are not among them.
func (w *bitWriter) listed(ids []uint32, b int, absent bool) {
	n := len(ids)
	if absent {
		n = b - n
	}
	rice, bitmap := listing(n, b)
	next := uint32(0) // the least that may come
	put := func(id uint32) {
		if bitmap {
			for ; next < id; next += min(40, id-next) {
				w.write(0, uint(min(40, id-next)))
			}
			w.write(1, 1)
		} else {
			w.rice(uint64(id-next), rice)
		}
		next = id + 1
	}
	if !absent {
		for _, id := range ids {
			put(id)
		}
	} else {
		from := uint32(0)
		for _, id := range ids {
			for ; from < id; from++ {
				put(from)
			}
			from = id + 1
		}
		for ; from < uint32(b); from++ {
			put(from)
		}
	}
	if bitmap {
		for ; next < uint32(b); next += min(40, uint32(b)-next) {
			w.write(0, uint(min(40, uint32(b)-next)))
		}
	}
}

// list appends the blocks of the next list to ids.
func (r *bitReader) list(ids []uint32, b int) []uint32 {
	absent := r.read(1) == 1
	n := int(r.gamma())
	if !absent {
		n += 2
	}
	if n > b || absent && n == b {
		r.bad = true
	}
	if r.bad {
		return ids
	}
	rice, bitmap := listing(n, b)
	from, next := uint32(0), uint64(0)
	for range n {
		if bitmap {
			for v := r.peek(); ; v = r.peek() {
				z := min(uint64(bits.TrailingZeros64(v)), 56)
				r.skip(int(z))
				if next += z; z < 56 || r.bad {
					break
				}
			}
			r.skip(1)
		} else {
			next += r.rice(rice)
		}
		if next >= uint64(b) || r.bad {
			r.bad = true
			return ids
		}
		if absent {
			for ; from < uint32(next); from++ {
				ids = append(ids, from)
			}
			from++
		} else {
			ids = append(ids, uint32(next))
		}
		next++
	}
	if bitmap {
		r.skip(b - int(next))
	}
	if absent {
		for ; from < uint32(b); from++ {
			ids = append(ids, from)
		}
	}
	return ids
}

// skipList moves past a list.
func (r *bitReader) skipList(b int) {
	absent := r.read(1) == 1
	n := int(r.gamma())
	if !absent {
		n += 2
	}
	if n > b {
		r.bad = true
		return
	}
	rice, bitmap := listing(n, b)
	if bitmap {
		r.skip(b)
		return
	}
	for range n {
		r.rice(rice)
	}
}
