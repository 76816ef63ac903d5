package exec

import (
	"slices"
	"sort"

	"github.com/meshtrail/meshtrail/internal/store"
)

// A layout cuts time into buckets of which every window is a run. A bucket
// excludes its start and includes its end, as windows do. Window i is made of
// the buckets low[i] ≤ j < high[i]; both ascend.
type layout struct {
	low, high []int
	buckets   int
	// The buckets are of one width and the first starts at from; or, when width is
	// 0, bucket j lies between cuts[j] and cuts[j+1].
	from, width int64
	cuts        []int64
}

// evenly cuts time into buckets whose width divides both range and step. It
// reports false when they would be more than most.
func evenly(s Steps, rng, offset int64, most int) (*layout, bool) {
	width := rng
	if s.N > 1 {
		width = gcd(rng, s.Step)
	}
	l := &layout{from: s.Start - offset - rng, width: width}
	n := (s.End() - offset - l.from) / width
	if n > int64(most) {
		return nil, false
	}
	l.buckets = int(n)
	every := int(s.Step / width)
	for i := range s.N {
		l.low, l.high = append(l.low, i*every), append(l.high, i*every+int(rng/width))
	}
	return l, true
}

// atEdges cuts time where a window starts or ends: into as few buckets as can be,
// fewer than twice the windows.
func atEdges(s Steps, rng, offset int64) *layout {
	l := &layout{}
	for i := range s.N {
		end := s.At(i) - offset
		l.cuts = append(l.cuts, end-rng, end)
	}
	slices.Sort(l.cuts)
	l.cuts = slices.Compact(l.cuts)
	l.buckets = len(l.cuts) - 1
	index := func(t int64) int { i, _ := slices.BinarySearch(l.cuts, t); return i }
	for i := range s.N {
		end := s.At(i) - offset
		l.low, l.high = append(l.low, index(end-rng)), append(l.high, index(end))
	}
	return l
}

// bounds returns the first and last time of bucket j, as a request to the store
// has them: from ≤ t < to.
func (l *layout) bounds(j int) (from, to int64) {
	if l.width > 0 {
		from = l.from + int64(j)*l.width
		return from + 1, from + l.width + 1
	}
	return l.cuts[j] + 1, l.cuts[j+1] + 1
}

// span returns the times of all buckets.
func (l *layout) span() (from, to int64) {
	from, _ = l.bounds(0)
	_, to = l.bounds(l.buckets - 1)
	return from, to
}

// bucket returns the bucket of a time within the span.
func (l *layout) bucket(t int64) int {
	if l.width > 0 {
		return int((t - l.from - 1) / l.width)
	}
	return sort.Search(l.buckets, func(j int) bool { return l.cuts[j+1] >= t })
}

// covered reports whether a window has bucket j.
func (l *layout) covered(j int) bool {
	i := sort.SearchInts(l.high, j+1)
	return i < len(l.low) && l.low[i] <= j
}

// A spread is what a series has in its buckets, of those that are not empty.
type spread[T any] struct {
	at    []int32 // buckets, ascending once sorted
	cells []T
	index map[int32]int32 // where a bucket is, once they came out of order
}

// of returns the cell of a bucket, and whether it is new. It is valid until the
// next call.
func (s *spread[T]) of(bucket int) (cell *T, fresh bool) {
	b, n := int32(bucket), len(s.at)
	if n > 0 && s.at[n-1] == b {
		return &s.cells[n-1], false
	}
	if s.index != nil || n > 0 && b < s.at[n-1] {
		if s.index == nil {
			s.index = make(map[int32]int32, 2*n)
			for i, b := range s.at {
				s.index[b] = int32(i)
			}
		}
		if i, ok := s.index[b]; ok {
			return &s.cells[i], false
		}
		s.index[b] = int32(n)
	}
	var zero T
	s.at, s.cells = append(s.at, b), append(s.cells, zero)
	return &s.cells[n], true
}

// sort puts the buckets in order.
func (s *spread[T]) sort() {
	if s.index != nil {
		sort.Sort(byBucket[T]{s})
		s.index = nil
	}
}

type byBucket[T any] struct{ *spread[T] }

func (s byBucket[T]) Len() int           { return len(s.at) }
func (s byBucket[T]) Less(i, j int) bool { return s.at[i] < s.at[j] }
func (s byBucket[T]) Swap(i, j int) {
	s.at[i], s.at[j] = s.at[j], s.at[i]
	s.cells[i], s.cells[j] = s.cells[j], s.cells[i]
}

// each calls f for every window with the cells that it has: a ≤ i < b. Both
// ascend. The buckets must be sorted.
func (s *spread[T]) each(l *layout, f func(window, a, b int)) {
	a, b := 0, 0
	for i := range l.low {
		for b < len(s.at) && int(s.at[b]) < l.high[i] {
			b++
		}
		for a < b && int(s.at[a]) < l.low[i] {
			a++
		}
		f(i, a, b)
	}
}

// A cell is what is known of the samples of a series in a bucket. Those that are
// no numbers in the sense of the store (NaN, and the infinities) are counted
// apart where they would spoil what is known of the others.
type cell struct {
	store.Measure
	nans   uint64
	ends   [2]store.Sample // first and last of the NaNs
	spoilt bool            // has an infinity
}

// merge adds what is known of other samples, but for lists of values, which take
// room in proportion and are not needed twice.
func (c *cell) merge(o *cell) {
	values, samples := o.Values, o.Samples
	o.Values, o.Samples = nil, nil
	c.Measure.Merge(&o.Measure)
	o.Values, o.Samples = values, samples
	c.spoilt = c.spoilt || o.spoilt
	if o.nans > 0 {
		c.nan(&o.ends[0])
		c.nan(&o.ends[1])
		c.nans += o.nans - 2
	}
}

// nan counts a NaN.
func (c *cell) nan(s *store.Sample) {
	if c.nans == 0 || s.Before(&c.ends[0]) {
		c.ends[0] = *s
	}
	if c.nans == 0 || c.ends[1].Before(s) {
		c.ends[1] = *s
	}
	c.nans++
}

// slide calls f for every window with what is known of all its samples, in one
// pass: the cells of a window are those before mid, of which tail holds the
// merged rests, and those after, merged in head. Each cell is merged twice.
func (s *spread[T]) slide(l *layout, merge func(into, from *T), f func(window int, sum *T)) {
	var tail []T // tail[k] is the cells from start+k up to mid
	var head, sum T
	start, mid, end := 0, 0, 0
	s.each(l, func(i, a, b int) {
		var zero T
		for ; end < b; end++ {
			merge(&head, &s.cells[end])
		}
		if a >= mid && a < b { // the tail is used up: what is in head becomes the next
			start, mid, head = a, b, zero
			tail = slices.Grow(tail[:0], b-a)[:b-a]
			for k := b - a - 1; k >= 0; k-- {
				tail[k] = s.cells[a+k]
				if k < b-a-1 {
					merge(&tail[k], &tail[k+1])
				}
			}
		}
		if a >= b {
			mid, head = b, zero
			return
		}
		sum = tail[a-start]
		merge(&sum, &head)
		f(i, &sum)
	})
}
