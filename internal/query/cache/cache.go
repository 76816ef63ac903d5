// Package cache keeps answers of a store, so that a dashboard that is shown again
// is read only for what is new.
//
// A Reader is a store.Reader that answers Count and Measure by time buckets from
// what it kept, where it can prove that this is still right; all else goes to the
// store as it is. A request is cut at multiples of a span that follows from the
// number of its buckets, so that requests whose buckets fall together share parts
// however their ends differ. Parts are cut between buckets only: nothing is ever
// merged that was not a bucket of its own, and an answer is the same to the last
// bit of a sum as the store's own.
//
// A part is kept with the number of the last change of the store at a moment when
// it was right, and given out while nothing that it depends on has changed since
// (store.Extent). An answer is what the store would have said at one moment of the
// request: what is missing is read, and then it is looked whether what was kept is
// still right. If it is not, the store is asked for the whole. Answers in which
// damage was met are not kept, nor is what is asked for the first time.
//
// Parts are found by tenant, classes, predicate and everything else that an answer
// depends on. The predicate has the asker's scope in it: who may see other records
// has other parts. The key is a SHA-256 over an encoding that no two predicates
// share.
//
// It knows no language and no asker. Memory is bounded by bytes, the least recently
// used parts go first; answers belong to the caller.
package cache

import (
	"container/list"
	"context"
	"crypto/sha256"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshtrail/meshtrail/internal/store"
	"github.com/meshtrail/meshtrail/internal/telemetry"
)

// A Reader is a store.Reader that keeps answers. It is safe for concurrent use.
type Reader struct {
	store.Reader // the store
	most         int64

	mu      sync.Mutex
	parts   map[partKey]*part
	used    list.List // of *part, front: most recently
	bytes   int64
	flights map[flightKey]chan struct{} // closed when the reading is done
	asked   [2]map[requestKey]bool      // lately, and before that; true: more than once

	hits, misses, evictions prometheus.Counter
}

type requestKey [sha256.Size]byte

// A partKey names a part: the request without its ends, and which multiple of the
// span.
type partKey struct {
	request requestKey
	number  int64
}

// A part is what is kept of one span: groups of the buckets from ≤ t < to. It is
// never changed.
type part struct {
	key      partKey
	from, to int64  // whole buckets of the span
	now      uint64 // the last change of the store when it was right
	counts   []counted
	measures []store.MeasureGroup // Bucket counts from time 0
	size     int64
	at       *list.Element
}

// New returns a Reader that keeps up to most bytes.
func New(s store.Reader, most int64, m *telemetry.Metrics) *Reader {
	parts := m.Counter("meshtrail_query_cache_parts_total", "Parts of counts and measures, by whether they were kept from before.", "outcome")
	r := &Reader{
		Reader: s, most: most, parts: map[partKey]*part{}, flights: map[flightKey]chan struct{}{},
		hits: parts.WithLabelValues("hit"), misses: parts.WithLabelValues("miss"),
		evictions: m.Counter("meshtrail_query_cache_evictions_total", "Kept parts that were dropped to make room.").WithLabelValues(),
	}
	if m != nil {
		m.GaugeFunc("meshtrail_query_cache_bytes", "Memory of kept parts.", func() float64 {
			r.mu.Lock()
			defer r.mu.Unlock()
			return float64(r.bytes)
		})
	}
	return r
}

// lookup returns the kept part that has the buckets from ≤ t < to, if it is right.
func (r *Reader) lookup(k partKey, of store.Extent) *part {
	r.mu.Lock()
	p := r.parts[k]
	r.mu.Unlock()
	if p == nil || p.from > of.From || p.to < of.To {
		return nil
	}
	if last, _ := r.LastChange(of); last > p.now {
		return nil // it may still be right for others, who need less of it
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.at != nil {
		r.used.MoveToFront(p.at)
	}
	return p
}

// keep keeps a part in place of an older one.
func (r *Reader) keep(p *part) {
	if p.size += partSize; p.size > r.most/4 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.parts[p.key]; old != nil {
		r.drop(old)
	}
	r.parts[p.key] = p
	p.at = r.used.PushFront(p)
	for r.bytes += p.size; r.bytes > r.most; {
		r.drop(r.used.Back().Value.(*part))
		r.evictions.Inc()
	}
}

func (r *Reader) drop(p *part) {
	r.used.Remove(p.at)
	p.at = nil
	delete(r.parts, p.key)
	r.bytes -= p.size
}

// partSize estimates the memory of a part without groups.
const partSize = 300

type flightKey struct {
	request  requestKey
	from, to int64
}

// mostAsked bounds the requests that are remembered, twice.
const mostAsked = 2048

// ask notes that a request is asked. Nothing is kept of one that is asked for the
// first time: where times are not rounded no other falls together with it.
func (r *Reader) ask(k requestKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, lately := r.asked[0][k]
	_, before := r.asked[1][k]
	if len(r.asked[0]) >= mostAsked {
		r.asked[1], r.asked[0] = r.asked[0], nil
	}
	if r.asked[0] == nil {
		r.asked[0] = make(map[requestKey]bool)
	}
	r.asked[0][k] = lately || before
}

// again reports whether a request was asked more than once.
func (r *Reader) again(k requestKey) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked[0][k] || r.asked[1][k]
}

// share waits while an equal request is being read, once, or notes that this one
// is, until land is called. It reports false when it has waited: what the other
// has read may be kept now. Nobody depends on the other's success.
func (r *Reader) share(ctx context.Context, k flightKey) (first bool, land func()) {
	r.mu.Lock()
	other := r.flights[k]
	if other == nil {
		done := make(chan struct{})
		r.flights[k] = done
		r.mu.Unlock()
		return true, func() {
			r.mu.Lock()
			delete(r.flights, k)
			r.mu.Unlock()
			close(done)
		}
	}
	r.mu.Unlock()
	select {
	case <-other:
	case <-ctx.Done():
	}
	return false, func() {}
}
