package exec

import (
	"cmp"
	"context"
	"math"
	"math/bits"
	"slices"
)

// quantiles calls f for every window with the quantile q of its values. Where
// windows overlap each value is put in once and taken out once, into a tree of
// counts by rank: the cost per value is the logarithm of their number, however
// many windows it is in.
func quantiles(ctx context.Context, s *spread[cell], l *layout, q float64, f func(window int, v float64)) error {
	if overlap := len(l.low) > 1 && l.low[1] < l.high[0]; !overlap {
		var err error
		s.each(l, func(i, a, b int) {
			if err = cmp.Or(err, ctx.Err()); a < b && err == nil {
				values := sortedValues(s.cells[a:b])
				f(i, quantile(q, len(values), func(k int) float64 { return values[k] }))
			}
		})
		return err
	}
	all := sortedValues(s.cells)
	all = slices.CompactFunc(all, func(a, b float64) bool { return cmp.Compare(a, b) == 0 })
	t := newRanks(len(all))
	from, to, n := 0, 0, 0
	change := func(c *cell, by int32) {
		for _, v := range c.Values {
			k, _ := slices.BinarySearch(all, v)
			t.add(k, by)
		}
		n += int(by) * len(c.Values)
	}
	var err error
	s.each(l, func(i, a, b int) {
		if err = cmp.Or(err, ctx.Err()); err != nil {
			return
		}
		for ; to < b; to++ {
			change(&s.cells[to], 1)
		}
		for ; from < a; from++ {
			change(&s.cells[from], -1)
		}
		if a < b {
			f(i, quantile(q, n, func(k int) float64 { return all[t.at(k)] }))
		}
	})
	return err
}

// quantile interpolates between the two nearest of n values, of which at gives
// the k-th smallest.
func quantile(q float64, n int, at func(k int) float64) float64 {
	switch {
	case n == 0 || math.IsNaN(q):
		return math.NaN()
	case q < 0:
		return math.Inf(-1)
	case q > 1:
		return math.Inf(1)
	}
	rank := q * float64(n-1)
	low := int(rank)
	high, weight := min(low+1, n-1), rank-math.Floor(rank)
	return at(low)*(1-weight) + at(high)*weight
}

// ranks counts how many values there are of each rank: a Fenwick tree.
type ranks struct {
	sums []int32 // 1-based
	top  int     // the highest power of two within
}

func newRanks(n int) *ranks {
	t := &ranks{sums: make([]int32, n+1)}
	if n > 0 {
		t.top = 1 << (bits.Len(uint(n)) - 1)
	}
	return t
}

func (t *ranks) add(rank int, by int32) {
	for i := rank + 1; i < len(t.sums); i += i & -i {
		t.sums[i] += by
	}
}

// at returns the rank of the k-th smallest value, from 0.
func (t *ranks) at(k int) int {
	at := 0
	for step := t.top; step > 0; step /= 2 {
		if next := at + step; next < len(t.sums) && int(t.sums[next]) <= k {
			at, k = next, k-int(t.sums[next])
		}
	}
	return at
}
