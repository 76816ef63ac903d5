package store

import (
	"math"
	"slices"
)

// sums add up the numbers of a block by slot. Their memory is used again.
type sums struct {
	totals []total
	ranges []variance
	ends   []ends
}

// total is what the numbers of a slot add up to: as integers, of which high and
// low are the sums of the upper and the lower 32 bits, which can not overflow, or
// as floats, of which lost is what sum lost by rounding.
type total struct {
	n         uint64
	high      int64
	low       uint64
	least     int64
	most      int64
	sum, lost float64
	min, max  float64
}

// variance adds up the differences from the first number, and their squares.
type variance struct {
	any         bool
	from        float64
	sum, square float64
}

// ends are rows.
type ends struct {
	any         bool
	first, last uint32
}

func zeroed[T any](s []T, n int) []T {
	s = slices.Grow(s[:0], n)[:n]
	clear(s)
	return s
}

// add adds up the numbers of g.
func (s *sums) add(g *gauge, x *slots) {
	s.totals = zeroed(s.totals, len(x.cells))
	switch {
	case len(g.rows) == 0:
	case g.whole && x.single:
		s.totals[0] = totalOf(g.ints, g.rows)
	case g.whole:
		addInts(s.totals, x.of, g.ints, g.rows)
	case x.single:
		t := &s.totals[0]
		for _, r := range g.rows {
			t.float(g.flts[r])
		}
	default:
		for _, r := range g.rows {
			s.totals[x.of[r]].float(g.flts[r])
		}
	}
	for i := range s.totals {
		s.totals[i].settle(g)
	}
}

func totalOf(ints []uint64, rows []uint32) total {
	least, most := int64(math.MaxInt64), int64(math.MinInt64)
	high, low := int64(0), uint64(0)
	if len(rows) == len(ints) {
		for _, v := range ints {
			high += int64(v) >> 32
			low += v & math.MaxUint32
			least, most = min(least, int64(v)), max(most, int64(v))
		}
	} else {
		for _, r := range rows {
			v := ints[r]
			high += int64(v) >> 32
			low += v & math.MaxUint32
			least, most = min(least, int64(v)), max(most, int64(v))
		}
	}
	return total{n: uint64(len(rows)), high: high, low: low, least: least, most: most}
}

func addInts(totals []total, of []uint32, ints []uint64, rows []uint32) {
	for i := range totals {
		totals[i].least, totals[i].most = math.MaxInt64, math.MinInt64
	}
	for _, r := range rows {
		v, t := ints[r], &totals[of[r]]
		t.n++
		t.high += int64(v) >> 32
		t.low += v & math.MaxUint32
		t.least, t.most = min(t.least, int64(v)), max(t.most, int64(v))
	}
}

func (t *total) float(v float64) {
	if t.n++; t.n == 1 {
		t.min, t.max = v, v
	} else {
		t.min, t.max = min(t.min, v), max(t.max, v)
	}
	s := t.sum + v
	b := s - t.sum
	t.lost += (t.sum - (s - b)) + (v - b)
	t.sum = s
}

// settle makes numbers of the integers.
func (t *total) settle(g *gauge) {
	if !g.whole || t.n == 0 {
		if t.lost != t.lost { // the sum is infinite
			t.lost = 0
		}
		return
	}
	t.sum, t.lost = float64(t.high)*(1<<32), float64(t.low)
	t.min, t.max = float64(t.least), float64(t.most)
	if g.num != g.den {
		t.sum, t.lost = t.sum*g.num/g.den, t.lost*g.num/g.den
		t.min, t.max = t.min*g.num/g.den, t.max*g.num/g.den
	}
}

// spread adds up the differences of the numbers of g.
func (s *sums) spread(g *gauge, x *slots) {
	s.ranges = zeroed(s.ranges, len(x.cells))
	for _, r := range g.rows {
		v, d := g.value(r), &s.ranges[x.slot(r)]
		if !d.any {
			d.any, d.from = true, v
			continue
		}
		v -= d.from
		d.sum += v
		d.square += v * v
	}
}

// m2 returns the sum of the squares of the differences from the mean of n numbers.
func (d *variance) m2(n uint64) float64 { return max(d.square-d.sum*d.sum/float64(n), 0) }

// end finds the first and the last rows of g by time and Ord.
func (s *sums) end(g *gauge, x *slots, times, ords []uint64) {
	s.ends = zeroed(s.ends, len(x.cells))
	before := func(a, b uint32) bool {
		return int64(times[a]) < int64(times[b]) || times[a] == times[b] && ords[a] < ords[b]
	}
	for _, r := range g.rows {
		e := &s.ends[x.slot(r)]
		switch {
		case !e.any:
			*e = ends{true, r, r}
		case before(r, e.first):
			e.first = r
		case before(e.last, r):
			e.last = r
		}
	}
}

// product returns what x*y lost when it was rounded to high.
func product(x, y, high float64) float64 {
	if low := math.FMA(x, y, -high); low == low {
		return low
	}
	return 0
}

// sortNumbers sorts numbers, of which none is NaN: many of them byte by byte.
func sortNumbers(s []float64) {
	if len(s) < 1<<12 {
		slices.Sort(s)
		return
	}
	keys, other := make([]uint64, len(s)), make([]uint64, len(s))
	var counts [8][256]uint32
	for i, f := range s {
		k := math.Float64bits(f)
		k ^= uint64(int64(k)>>63) | 1<<63 // so that they sort as unsigned integers
		keys[i] = k
		for b := range counts {
			counts[b][byte(k>>(8*b))]++
		}
	}
	for b := range counts {
		c := &counts[b]
		if int(c[byte(keys[0]>>(8*b))]) == len(s) {
			continue // all have the same byte here
		}
		at := uint32(0)
		for i, n := range c {
			c[i] = at
			at += n
		}
		for _, k := range keys {
			i := byte(k >> (8 * b))
			other[c[i]] = k
			c[i]++
		}
		keys, other = other, keys
	}
	for i, k := range keys {
		k ^= uint64(int64(^k)>>63) | 1<<63
		s[i] = math.Float64frombits(k)
	}
}
