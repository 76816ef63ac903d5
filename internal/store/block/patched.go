package block

import (
	"encoding/binary"
	"math"
)

// A patched section packs the low bits of each value and lists the few values
// that have more, so that one outlier does not widen all:
//
//	| width u8 | packed low bits | exceptions uvarint | ints of their places | ints of v >> width |
//
// Places are ascending; without exceptions the last two are left out.

const (
	patchNone = iota
	patchFrame
	patchDelta
)

// distances returns how far values or deltas are from the least of them.
func (s *spans) distances(vals []uint64, sc *intsScratch, deltas bool) []uint64 {
	if !deltas {
		for i, v := range vals {
			sc.vals[i] = v - uint64(s.min)
		}
		return sc.vals
	}
	d := sc.vals[:len(vals)-1]
	for i := range d {
		d[i] = vals[i+1] - vals[i] - uint64(s.minD)
	}
	return d
}

// ascend prepares for a section of patched deltas: where values ascend but for
// a few, those that do not are exceptions, and zero counts as the least delta.
func (s *spans) ascend(n int) {
	if s.falls > 0 && s.falls < n/64 {
		s.minD, s.maxD = 0, -1
	}
}

// patched returns the best width of a patched section of values or deltas of at
// most top bits, and about how many bytes it takes.
func (s *spans) patched(vals []uint64, deltas bool, top uint) (low uint, size int) {
	var with [65]int // values by width, of some
	n := len(vals)
	if deltas {
		n--
	}
	step := n/patchSample + 1
	seen := 0
	for i := 0; i < n; i += step {
		v := vals[i] - uint64(s.min)
		if deltas {
			v = vals[i+1] - vals[i] - uint64(s.minD)
		}
		with[width(v)]++
		seen++
	}
	best, above := seen*int(top), 0
	low = top
	for w := top; w > 0; w-- {
		above += with[w]
		if above == 0 {
			low, best = w-1, seen*int(w-1)
			continue
		}
		// A place takes some bits more than the mean distance has.
		bits := seen*int(w-1) + above*(int(width(uint64(seen/above)))+2+int(top-w+1)) + 64/step
		if bits < best {
			low, best = w-1, bits
		}
	}
	return low, best*n/seen/8 + 8
}

// patchSample is about how many values say which width is best.
const patchSample = 1024

func appendPatched(dst []byte, vals []uint64, low uint) []byte {
	mask := uint64(1)<<low - 1
	var places, high []uint64
	for i, v := range vals {
		if v > mask {
			places, high = append(places, uint64(i)), append(high, v>>low)
			vals[i] = v & mask
		}
	}
	dst = appendPacked(append(dst, byte(low)), vals, low)
	dst = binary.AppendUvarint(dst, uint64(len(places)))
	if len(places) > 0 {
		dst = appendInts(appendInts(dst, places), high)
	}
	return dst
}

// patched reads n values after skip free places.
func (c *cursor) patched(n, skip int) (out, vals []uint64) {
	w := uint(0)
	if len(c.b) > 0 {
		w = uint(c.b[0])
	}
	out, vals = c.packed(n, skip)
	k := c.count(max(n, 0), "exceptions of a patched section")
	if c.err != nil || k == 0 {
		return out, vals
	}
	places, high := c.ints(k), c.ints(k)
	for i, p := range places {
		if c.err != nil || w >= 64 || p >= uint64(n) || i > 0 && p <= places[i-1] {
			c.fail("exception %d of a patched section", i)
			return nil, nil
		}
		vals[p] |= high[i] << w
	}
	return out, vals
}

// compressible reports whether the entropy coder may make less than size bytes
// of vals: trying costs more than everything else together, and most integers
// are noise that it can do nothing with.
func (s *spans) compressible(vals []uint64, sc *intsScratch, size int) bool {
	part := vals[:min(len(vals), compressSample)]
	sc.buf = sc.buf[:0]
	last := part[0]
	repeats := 0
	for i, v := range part {
		d := v - uint64(s.min)
		if s.lenD < s.lenV {
			d = zigzag(int64(v - last))
			last = v
		}
		if i >= 8 && v == part[i-8] || i > 0 && v == part[i-1] {
			repeats++
		}
		sc.buf = binary.AppendUvarint(sc.buf, d)
	}
	if repeats > len(part)/8 {
		return true
	}
	var with [256]int
	for _, b := range sc.buf {
		with[b]++
	}
	bits := logs[len(sc.buf)]
	for _, n := range with {
		bits -= logs[n]
	}
	return bits/8/float64(len(part)) < 15.0/16*float64(size)/float64(len(vals))
}

// compressSample is how many values say whether the others compress.
const compressSample = 512

// logs has n × log2 n, for up to as many bytes as the sample takes.
var logs = func() []float64 {
	t := make([]float64, compressSample*binary.MaxVarintLen64+1)
	for n := 1; n < len(t); n++ {
		t[n] = float64(n) * math.Log2(float64(n))
	}
	return t
}()
