package store

import (
	"slices"
	"sync"
)

// topHits keeps the first limit hits in an order. It is safe for concurrent use.
type topHits struct {
	o     Order
	limit int

	mu   sync.Mutex
	hits []hit // a heap once full: the last in order at the root
}

// reaches reports whether a record of this time can still be among the first.
// Equal times can: the order of commit decides between them.
func (t *topHits) reaches(at int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.hits) < t.limit {
		return true
	}
	if t.o == Newest {
		return at >= t.hits[0].time
	}
	return at <= t.hits[0].time
}

// keep returns which times can still be among the first, as of now; nil: all.
func (t *topHits) keep() func(at int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.hits) < t.limit {
		return nil
	}
	last := t.hits[0].time
	if t.o == Newest {
		return func(at int64) bool { return at >= last }
	}
	return func(at int64) bool { return at <= last }
}

func (t *topHits) add(hits []hit) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range hits {
		switch {
		case len(t.hits) < t.limit:
			if t.hits = append(t.hits, hits[i]); len(t.hits) == t.limit {
				for j := len(t.hits)/2 - 1; j >= 0; j-- {
					t.down(j)
				}
			}
		case t.o.before(&hits[i], &t.hits[0]):
			t.hits[0] = hits[i]
			t.down(0)
		}
	}
}

func (t *topHits) down(i int) {
	for {
		last := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(t.hits); c++ {
			if t.o.before(&t.hits[last], &t.hits[c]) {
				last = c
			}
		}
		if last == i {
			return
		}
		t.hits[i], t.hits[last] = t.hits[last], t.hits[i]
		i = last
	}
}

func (t *topHits) sorted() []hit {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := slices.Clone(t.hits)
	slices.SortFunc(out, func(a, b hit) int { return t.o.compare(&a, &b) })
	return out
}
