package block

import (
	"encoding/binary"
	"slices"
	"sync"
)

// Forms of an ints section. Arithmetic wraps, so that every uint64 and every
// two's complement int64 round-trips.
const (
	intsConst  = 0 // | varint |
	intsFrame  = 1 // | base varint | width u8 | packed v-base |
	intsDelta  = 2 // | first varint | least varint | width u8 | packed d-least |
	intsDelta2 = 3 // | first varint | delta varint | least varint | width u8 | packed dd-least |
	intsVar    = 4 // | base varint | blob of uvarint(v-base) |
	intsVarDel = 5 // | blob of varint(delta) |, the first against 0

	intsScaled       = 6 // | base varint | factor uvarint | ints of (v-base)/factor |, not scaled again
	intsPatched      = 7 // | base varint | patched v-base |
	intsPatchedDelta = 8 // | first varint | least varint | patched d-least |
)

// minEntropy is the number of values below which the entropy coder is not tried.
const minEntropy = 256

type intsScratch struct {
	vals []uint64
	buf  []byte
}

var intsPool = sync.Pool{New: func() any { return new(intsScratch) }}

// appendInts appends vals in the smallest of the forms. The count is not part
// of the section.
func appendInts(dst []byte, vals []uint64) []byte {
	s := span(vals)
	if len(vals) == 0 || s.min == s.max {
		dst = append(dst, intsConst)
		if len(vals) == 0 {
			return append(dst, 0)
		}
		return binary.AppendVarint(dst, int64(vals[0]))
	}
	g := factor(vals, uint64(s.min))
	if g == 1 {
		return appendFlat(dst, vals, &s)
	}
	sc := intsPool.Get().(*intsScratch)
	defer intsPool.Put(sc)
	sc.vals = slices.Grow(sc.vals[:0], len(vals))[:len(vals)]
	for i, v := range vals {
		sc.vals[i] = (v - uint64(s.min)) / g
	}
	dst = binary.AppendVarint(append(dst, intsScaled), s.min)
	dst = binary.AppendUvarint(dst, g)
	s = span(sc.vals)
	return appendFlat(dst, sc.vals, &s)
}

// factor returns the greatest number that divides the distance of every value
// from base, one of them.
func factor(vals []uint64, base uint64) uint64 {
	g := uint64(0)
	for _, v := range vals {
		a := v - base
		if a == 0 || g != 0 && a%g == 0 {
			continue
		}
		for a != 0 {
			g, a = a, g%a
		}
		if g == 1 {
			break
		}
	}
	return max(g, 1)
}

// appendFlat appends vals, which are not all the same, without a factor.
func appendFlat(dst []byte, vals []uint64, s *spans) []byte {
	frame, delta, delta2 := width(uint64(s.max-s.min)), width(uint64(s.maxD-s.minD)), width(uint64(s.maxDD-s.minDD))
	best := min(frame, delta, delta2)
	size := packedSize(len(vals), best)
	sc := intsPool.Get().(*intsScratch)
	defer intsPool.Put(sc)
	sc.vals = slices.Grow(sc.vals[:0], len(vals))[:len(vals)]
	patch := patchNone
	var low uint
	if best > 2 && len(vals) >= minEntropy {
		if w, n := s.patched(vals, false, frame); n < size {
			patch, low, size = patchFrame, w, n
		}
		up := *s
		up.ascend(len(vals))
		if w, n := up.patched(vals, true, width(uint64(up.maxD-up.minD))); n < size {
			patch, low, size, s = patchDelta, w, n, &up
		}
		if s.compressible(vals, sc, size) {
			start := len(dst)
			dst = appendEntropy(dst, sc, vals, s)
			if len(dst)-start < size*15/16 {
				return dst
			}
			dst = dst[:start]
		}
	}
	switch {
	case patch == patchFrame:
		dst = binary.AppendVarint(append(dst, intsPatched), s.min)
		return appendPatched(dst, s.distances(vals, sc, false), low)
	case patch == patchDelta:
		dst = binary.AppendVarint(append(dst, intsPatchedDelta), int64(vals[0]))
		dst = binary.AppendVarint(dst, s.minD)
		return appendPatched(dst, s.distances(vals, sc, true), low)
	case best == frame:
		dst = binary.AppendVarint(append(dst, intsFrame), s.min)
		return appendPacked(append(dst, byte(frame)), s.distances(vals, sc, false), frame)
	case best == delta:
		dst = binary.AppendVarint(append(dst, intsDelta), int64(vals[0]))
		dst = binary.AppendVarint(dst, s.minD)
		return appendPacked(append(dst, byte(delta)), s.distances(vals, sc, true), delta)
	}
	d := sc.vals[:len(vals)-2]
	for i := range d {
		d[i] = vals[i+2] - 2*vals[i+1] + vals[i] - uint64(s.minDD)
	}
	dst = append(dst, intsDelta2)
	dst = binary.AppendVarint(dst, int64(vals[0]))
	dst = binary.AppendVarint(dst, int64(vals[1]-vals[0]))
	dst = binary.AppendVarint(dst, s.minDD)
	return appendPacked(append(dst, byte(delta2)), d, delta2)
}

// spanSample is how many values say whether deltas are shorter.
const spanSample = 1024

type spans struct {
	min, max, minD, maxD, minDD, maxDD int64
	lenV, lenD                         int // bits of v-min and of deltas, summed, of the first values
	falls                              int // negative deltas
}

// span finds the extremes of values, deltas and deltas of deltas. Where there
// is no delta (of delta) its width comes out as 64, which never wins.
func span(vals []uint64) spans {
	if len(vals) == 0 {
		return spans{}
	}
	s := spans{min: int64(vals[0]), max: int64(vals[0]), minD: 0, maxD: -1, minDD: 0, maxDD: -1}
	var last int64
	for i := 1; i < len(vals); i++ {
		v := int64(vals[i])
		s.min, s.max = min(s.min, v), max(s.max, v)
		d := v - int64(vals[i-1])
		if i < spanSample {
			s.lenD += int(width(zigzag(d)))
		}
		s.falls += int(uint64(d) >> 63)
		if i == 1 {
			s.minD, s.maxD = d, d
		} else {
			s.minD, s.maxD = min(s.minD, d), max(s.maxD, d)
			dd := d - last
			if i == 2 {
				s.minDD, s.maxDD = dd, dd
			} else {
				s.minDD, s.maxDD = min(s.minDD, dd), max(s.maxDD, dd)
			}
		}
		last = d
	}
	for _, v := range vals[:min(len(vals), spanSample)] {
		s.lenV += int(width(v - uint64(s.min)))
	}
	return s
}

func zigzag(d int64) uint64 { return uint64(d<<1) ^ uint64(d>>63) }

func appendEntropy(dst []byte, sc *intsScratch, vals []uint64, s *spans) []byte {
	sc.buf = sc.buf[:0]
	if s.lenD < s.lenV {
		last := uint64(0)
		for _, v := range vals {
			sc.buf = binary.AppendVarint(sc.buf, int64(v-last))
			last = v
		}
		return appendBlob(append(dst, intsVarDel), sc.buf)
	}
	for _, v := range vals {
		sc.buf = binary.AppendUvarint(sc.buf, v-uint64(s.min))
	}
	dst = binary.AppendVarint(append(dst, intsVar), s.min)
	return appendBlob(dst, sc.buf)
}

// ints reads n values.
func (c *cursor) ints(n int) []uint64 {
	form := c.u8()
	if form == intsScaled {
		return c.scaled(n)
	}
	return c.flat(n, form)
}

func (c *cursor) scaled(n int) []uint64 {
	base, factor := uint64(c.varint()), c.uvarint()
	out := c.flat(n, c.u8())
	for i, v := range out {
		out[i] = base + v*factor
	}
	return out
}

// flat reads n values of any form but the scaled one.
func (c *cursor) flat(n int, form byte) []uint64 {
	first := int64(0)
	if form != intsVarDel {
		first = c.varint()
	}
	if c.err != nil {
		return nil
	}
	switch form {
	case intsConst:
		out := c.numbers(n)
		for i := range out {
			out[i] = uint64(first)
		}
		return out
	case intsFrame:
		out, _ := c.packed(n, 0)
		for i := range out {
			out[i] += uint64(first)
		}
		return out
	case intsDelta:
		return c.deltas(n, uint64(first))
	case intsDelta2:
		return c.deltas2(n, uint64(first))
	case intsVar, intsVarDel:
		return c.varints(n, uint64(first), form == intsVarDel)
	case intsPatched:
		out, vals := c.patched(n, 0)
		for i := range vals {
			vals[i] += uint64(first)
		}
		return out
	case intsPatchedDelta:
		least := uint64(c.varint())
		out, d := c.patched(n-1, 1)
		return c.sum(out, d, uint64(first), least)
	}
	c.fail("form %d of an integer section is unknown", form)
	return nil
}

// packed reads a width and n values after skip free places.
func (c *cursor) packed(n, skip int) (out, vals []uint64) {
	w := uint(c.u8())
	if w > 64 {
		c.fail("width %d of a packed value", w)
		return nil, nil
	}
	if n < 0 {
		c.fail("too few values for a section of deltas")
		return nil, nil
	}
	src := c.take(packedSize(n, w))
	if c.err != nil {
		return nil, nil
	}
	out = c.numbers(n + skip)
	unpack(out[skip:], src, w)
	return out, out[skip:]
}

func (c *cursor) deltas(n int, first uint64) []uint64 {
	least := uint64(c.varint())
	out, d := c.packed(n-1, 1)
	return c.sum(out, d, first, least)
}

// sum turns deltas into values, in place.
func (c *cursor) sum(out, d []uint64, first, least uint64) []uint64 {
	if c.err != nil {
		return nil
	}
	out[0] = first
	for i, v := range d {
		first += v + least
		d[i] = first
	}
	return out
}

func (c *cursor) deltas2(n int, first uint64) []uint64 {
	delta := uint64(c.varint())
	least := uint64(c.varint())
	out, dd := c.packed(n-2, 2)
	if c.err != nil {
		return nil
	}
	out[0], out[1] = first, first+delta
	first += delta
	for i, v := range dd {
		delta += v + least
		first += delta
		dd[i] = first
	}
	return out
}

func (c *cursor) varints(n int, base uint64, deltas bool) []uint64 {
	in := cursor{b: c.blob(binary.MaxVarintLen64*n, false), err: c.err}
	if in.err != nil || len(in.b) < n {
		c.fail("%d values in %d bytes", n, len(in.b))
		return nil
	}
	out := c.numbers(n)
	for i := range out {
		var v uint64
		if len(in.b) > 0 && in.b[0] < 0x80 {
			v = uint64(in.b[0])
			in.b = in.b[1:]
		} else {
			v = in.uvarint()
		}
		if deltas {
			base += v>>1 ^ -(v & 1)
			out[i] = base
		} else {
			out[i] = v + base
		}
	}
	if err := in.end("an integer section"); err != nil {
		c.fail("%v", err)
		return nil
	}
	return out
}
