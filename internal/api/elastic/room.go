package elastic

import (
	"slices"
	"strings"
	"unsafe"

	"github.com/meshtrail/meshtrail/internal/record"
)

// maxHits bounds the bytes of the records and buckets that one request holds for
// its answer.
// Their number alone bounds nothing: a record may be large.
const maxHits = 64 << 20

// sizeOfBucket is about what a bucket of an answer holds, so that the searches of
// one request have at most twice as many as one search may have.
const sizeOfBucket = 512

// A room is what is left of maxHits. The searches of one request share one.
type room struct {
	held int
	hold func(n int) error // takes from what all questions share; nil: unbounded
}

func (m *room) take(n int) error {
	if m.hold != nil {
		if err := m.hold(n); err != nil {
			return err
		}
	}
	if m.held+n > maxHits {
		return tooMany("circuit_breaking_exception", "the hits and buckets of this request hold more than %d MiB; ask for fewer at once and page with search_after or composite", maxHits>>20)
	}
	m.held += n
	return nil
}

// size is about how many bytes a hit holds.
func (h *hit) size() int {
	n := int(unsafe.Sizeof(*h)) + len(h.keys)*int(unsafe.Sizeof(sortValue{}))
	for i := range h.rec.Fields {
		n += int(unsafe.Sizeof(record.Field{})) + len(h.rec.Fields[i].Value.Str)
	}
	return n
}

// add keeps a hit. It is copied: the records of a visit share their memory, and
// most of them may not be wanted.
func (t *topList) add(h hit) error {
	n := h.size()
	if err := t.room.take(n); err != nil {
		t.settle() // what lies behind the limit makes room
		if err = t.room.take(n); err != nil {
			return err
		}
	}
	h.rec.Fields = slices.Clone(h.rec.Fields)
	for i := range h.rec.Fields {
		f := &h.rec.Fields[i]
		f.Value.Str = strings.Clone(f.Value.Str)
	}
	t.hits = append(t.hits, h)
	return nil
}

// settle keeps the first hits, in order.
func (t *topList) settle() {
	t.full = len(t.hits) >= t.limit
	slices.SortFunc(t.hits, func(a, b hit) int { return t.order.compare(&a, &b) })
	if len(t.hits) > t.limit {
		for i := range t.hits[t.limit:] {
			t.room.held -= t.hits[t.limit+i].size()
		}
		clear(t.hits[t.limit:])
		t.hits = t.hits[:t.limit]
	}
}

// leave lets go of hits that are not kept.
func (m *room) leave(hits []hit) {
	for i := range hits {
		m.held -= hits[i].size()
	}
}
