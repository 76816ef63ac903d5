package segment

import (
	"encoding/binary"
)

// A page of the token index, kind 2: hashes cut to a number of bits, ascending,
// and for each the blocks that hold it. The first hash is in the directory.
//
//	| entries uvarint | bytes of gaps uvarint | rice u8 | skips | gaps … | lists … | zeros |
//	lists | run | block … | list | run | block … | list | …
//
// The gaps come first and alone, so that a token which is not there, the most
// frequent question of all, costs a walk over some of them and nothing else: the
// skips, one in 256 entries, take an eightieth of a page and save nine tenths of
// the walk. Nine tokens
// of ten are in one block: how many follow each other is said once, before their
// blocks, and not with a bit for each. spec/segment.md draws the bits.
const (
	pageHead = 7 // bytes at most before the gaps
	maxRice  = 44
	runRice  = 3 // parameter of the length of a run

	skipEvery = 256 // entries
	hasSkips  = 128 // beside the Rice parameter
)

// A skip is where the gap of an entry ends, and its hash.
type skip struct {
	h   uint64
	bit int
}

// pageWriter fills one page at a time.
type pageWriter struct {
	size   int // of a page, plain
	blocks int
	rice   uint
	gaps   bitWriter
	lists  bitWriter
	run    []uint32 // blocks of tokens that are in one, since the last list
	runLen int      // bits they take
	skips  []byte
	skip   skip // the last one
	n      int
	first  uint64
	last   uint64
	out    []byte
}

func (p *pageWriter) begin(rice uint) {
	p.rice, p.n = rice, 0
	p.gaps.reset()
	p.lists.reset()
	p.run, p.runLen = p.run[:0], 0
	p.skips, p.skip = p.skips[:0], skip{}
}

// add appends a hash above those before and its blocks; false: the page is full.
func (p *pageWriter) add(h uint64, ids []uint32) bool {
	gaps, lists, run, runLen, skips := p.gaps, p.lists, len(p.run), p.runLen, len(p.skips)
	room := 8 * (p.size - pageHead)
	if p.n == 0 {
		p.first, p.skip.h = h, h
	} else if q := (h - p.last - 1) >> p.rice; q > uint64(room) {
		return false
	} else {
		p.gaps.rice(h-p.last-1, p.rice)
		if p.n%skipEvery == 0 {
			p.addSkip(h)
		}
	}
	if len(ids) == 1 {
		p.run = append(p.run, ids[0])
		n, spare := numbering(p.blocks)
		if p.runLen += int(n); ids[0] < spare {
			p.runLen--
		}
	} else {
		p.endRun()
		p.lists.list(ids, p.blocks)
	}
	if p.n > 0 && p.gaps.bits()+7+p.lists.bits()+len(p.run)>>runRice+runRice+1+p.runLen+p.skipBits() > room {
		p.gaps, p.lists, p.run, p.runLen, p.skips = gaps, lists, p.run[:run], runLen, p.skips[:skips]
		return false
	}
	p.n++
	p.last = h
	return true
}

// addSkip adds a skip to the hash that was just added.
func (p *pageWriter) addSkip(h uint64) {
	at := p.gaps.bits()
	p.skips = binary.AppendUvarint(p.skips, h-p.skip.h)
	p.skips = binary.AppendUvarint(p.skips, uint64(at-p.skip.bit))
	p.skip = skip{h, at}
}

// skipBits returns what the skips take, with their size.
func (p *pageWriter) skipBits() int {
	if len(p.skips) == 0 {
		return 0
	}
	return 8 * (3 + len(p.skips))
}

// endRun writes the run.
func (p *pageWriter) endRun() {
	p.lists.rice(uint64(len(p.run)), runRice)
	n, spare := numbering(p.blocks)
	for _, id := range p.run {
		p.lists.number(id, n, spare)
	}
	p.run, p.runLen = p.run[:0], 0
}

// finish returns the page, padded to its size unless it is the last. It is
// valid until the next call.
func (p *pageWriter) finish(last bool) []byte {
	if len(p.run) > 0 {
		p.endRun()
	}
	gaps := p.gaps.bytes()
	out := binary.AppendUvarint(p.out[:0], uint64(p.n))
	out = binary.AppendUvarint(out, uint64(len(gaps)))
	if len(p.skips) > 0 {
		out = append(out, byte(p.rice)|hasSkips)
		out = binary.AppendUvarint(out, uint64(len(p.skips)))
		out = append(out, p.skips...)
	} else {
		out = append(out, byte(p.rice))
	}
	out = append(append(out, gaps...), p.lists.bytes()...)
	for !last && len(out) < p.size {
		out = append(out, 0)
	}
	p.out = out
	return out
}

// page is a decoded head.
type page struct {
	n     int
	rice  uint
	skips []byte
	gaps  []byte
	lists []byte
}

func decodePage(b []byte) (page, error) {
	n, k := binary.Uvarint(b)
	if k <= 0 {
		return page{}, corrupt("a page of tokens is cut short")
	}
	size, m := binary.Uvarint(b[k:])
	b = b[k+max(m, 0):]
	if m <= 0 || len(b) == 0 || size >= uint64(len(b)) || n == 0 || n > 8*size+1 || b[0]&^hasSkips > maxRice {
		return page{}, corrupt("a page of tokens has %d entries and %d bytes of gaps", n, size)
	}
	p := page{n: int(n), rice: uint(b[0] &^ hasSkips)}
	skips := b[0]&hasSkips != 0
	if b = b[1:]; skips {
		n, k := binary.Uvarint(b)
		if k <= 0 || n > uint64(len(b)-k) || size > uint64(len(b)-k)-n {
			return page{}, corrupt("a page of tokens has %d bytes of skips and %d of gaps", n, size)
		}
		p.skips, b = b[k:][:n], b[uint64(k)+n:]
	}
	p.gaps, p.lists = b[:size], b[size:]
	return p, nil
}

// find returns the place of h in a page that starts with first, or -1.
func (p *page) find(first, h uint64) (int, error) {
	if h <= first {
		if h == first {
			return 0, nil
		}
		return -1, nil
	}
	r := bitReader{b: p.gaps}
	left := h - first
	i, err := p.pass(&r, &left)
	if err != nil || left == 0 {
		return i - 1, err
	}
	i, left = r.walk(i, p.n, p.rice, left)
	for ; i < p.n && left > 0; i++ {
		gap := r.rice(p.rice) + 1
		if r.bad {
			return -1, corrupt("a page of tokens ends within its gaps")
		}
		if gap > left {
			return -1, nil
		}
		left -= gap
	}
	if left > 0 {
		return -1, nil
	}
	return i - 1, nil
}

// pass moves past the skips that left reaches. It returns the number of the next
// entry, and in left what is left then.
func (p *page) pass(r *bitReader, left *uint64) (i int, err error) {
	i = 1
	for s := p.skips; len(s) > 0; i += skipEvery {
		h, k := binary.Uvarint(s)
		if k > 0 && h > *left {
			break
		}
		n, m := binary.Uvarint(s[max(k, 0):])
		if k <= 0 || m <= 0 || n > uint64(8*len(p.gaps)-r.pos) || i+skipEvery > p.n {
			return 0, corrupt("a page of %d tokens has a skip that can not be", p.n)
		}
		*left -= h
		r.pos += int(n)
		s = s[k+m:]
	}
	return i, nil
}

// blocks appends to ids the blocks of entry i.
func (p *page) blocks(i, b int, ids []uint32) ([]uint32, error) {
	l := listReader{bits: bitReader{b: p.lists}, blocks: b}
	l.skip(i)
	if ids = l.next(ids); l.bits.bad {
		return ids, corrupt("a page of tokens has a list that can not be")
	}
	return ids, nil
}

// listReader reads the lists of a page one after the other.
type listReader struct {
	bits   bitReader
	blocks int
	run    uint64 // entries left of it
	list   bool   // the run is at its end, and a list follows
}

// next appends the blocks of the next entry to ids.
func (l *listReader) next(ids []uint32) []uint32 {
	if !l.list {
		l.run, l.list = l.bits.rice(runRice), true
	}
	if l.run > 0 {
		l.run--
		return append(ids, l.bits.number(l.blocks))
	}
	l.list = false
	return l.bits.list(ids, l.blocks)
}

// skip moves past n entries.
func (l *listReader) skip(n int) {
	for n > 0 && !l.bits.bad {
		if !l.list {
			l.run, l.list = l.bits.rice(runRice), true
		}
		if k := min(l.run, uint64(n)); k > 0 {
			l.bits.skipNumbers(int(k), l.blocks)
			l.run -= k
			n -= int(k)
			continue
		}
		l.list = false
		l.bits.skipList(l.blocks)
		n--
	}
}
