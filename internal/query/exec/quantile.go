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
			if a >= b || err != nil {
				return
			}
			var values []float64
			if values, err = ascending(ctx, s.cells[a:b]); err == nil {
				f(i, quantile(q, len(values), func(k int) float64 { return values[k] }))
			}
		})
		return err
	}
	all, err := ascending(ctx, s.cells)
	if err != nil {
		return err
	}
	if len(s.cells) == 1 {
		all = slices.Clone(all) // it is the cell's own
	}
	all = slices.CompactFunc(all, func(a, b float64) bool { return cmp.Compare(a, b) == 0 })
	t := newRanks(len(all))
	from, to, n := 0, 0, 0
	change := func(c *cell, by int32) {
		for k, v := range c.Values {
			if k%chunk == 0 && err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return
			}
			rank, _ := slices.BinarySearch(all, v)
			t.add(rank, by)
		}
		n += int(by) * len(c.Values)
	}
	s.each(l, func(i, a, b int) {
		for ; to < b; to++ {
			change(&s.cells[to], 1)
		}
		for ; from < a; from++ {
			change(&s.cells[from], -1)
		}
		if a < b && err == nil {
			f(i, quantile(q, n, func(k int) float64 { return all[t.at(k)] }))
		}
	})
	return cmp.Or(err, ctx.Err())
}

// chunk is how many values are worked on before it is asked whether anyone still
// waits for them.
const chunk = 1 << 16

// ascending returns the values of cells in order, NaN first. Those of one cell are
// not copied.
func ascending(ctx context.Context, cells []cell) ([]float64, error) {
	var runs [][]float64
	for i := range cells {
		v := cells[i].Values
		if slices.IsSorted(v) {
			runs = append(runs, v)
			continue
		}
		for part := range slices.Chunk(v, chunk) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			slices.Sort(part)
			runs = append(runs, part)
		}
	}
	for len(runs) > 1 { // neighbours, so that all are merged about as often
		half := runs[:0]
		for i := 0; i < len(runs); i += 2 {
			if i+1 == len(runs) {
				half = append(half, runs[i])
				break
			}
			both, err := mergeRuns(ctx, runs[i], runs[i+1])
			if err != nil {
				return nil, err
			}
			half = append(half, both)
		}
		runs = half
	}
	if len(runs) == 0 {
		return nil, ctx.Err()
	}
	return runs[0], ctx.Err()
}

// mergeRuns merges two ascending lists into a new one.
func mergeRuns(ctx context.Context, a, b []float64) ([]float64, error) {
	out := make([]float64, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if len(out)%chunk == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if cmp.Less(b[0], a[0]) {
			out, b = append(out, b[0]), b[1:]
		} else {
			out, a = append(out, a[0]), a[1:]
		}
	}
	return append(append(out, a...), b...), nil
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
