package store

import (
	"math"
	"slices"

	"github.com/meshtrail/meshtrail/internal/record"
)

// maxDistinct is how many values a Distinct counts exactly.
const maxDistinct = 1 << 16

// A Distinct is a set of texts, "" left out as in Values, that can tell how many
// there are: exactly up to
// maxDistinct, and beyond that within about a percent (the standard error is
// 0.4 %). It keeps hashes of 64 bits, at most maxDistinct of them, the smallest:
// where the largest of those lies tells how many there are in all. Sets of
// different records are put together by Merge. The zero Distinct is empty.
type Distinct struct {
	hashes []uint64 // the first sorted ascending and different, then others
	sorted int
	more   bool // larger ones were left out
}

// Add adds a text.
func (d *Distinct) Add(text []byte) {
	if len(text) > 0 {
		d.add(textHash(text))
	}
}

// textHash is record.Hash with all bits made to depend on all: as it is, that of
// a short text is good enough for a table, but not evenly spread.
func textHash(text []byte) uint64 {
	h := record.Hash(text)
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return h ^ h>>32
}

func (d *Distinct) add(h uint64) {
	if d.more && h > d.hashes[maxDistinct-1] {
		return
	}
	if len(d.hashes) == cap(d.hashes) {
		d.settle()
		if n := len(d.hashes); n > cap(d.hashes)/2 {
			d.hashes = slices.Grow(d.hashes, max(n, 16))
		}
		if d.more && h > d.hashes[maxDistinct-1] {
			return
		}
	}
	d.hashes = append(d.hashes, h)
}

// settle sorts the hashes, and keeps each once and the smallest.
func (d *Distinct) settle() {
	if d.sorted == len(d.hashes) {
		return
	}
	slices.Sort(d.hashes)
	d.hashes = slices.Compact(d.hashes)
	if len(d.hashes) > maxDistinct {
		d.hashes, d.more = d.hashes[:maxDistinct], true
	}
	d.sorted = len(d.hashes)
}

// Merge adds the texts of o, of which it keeps no memory.
func (d *Distinct) Merge(o *Distinct) {
	d.hashes = append(d.hashes, o.hashes...)
	if d.more || o.more {
		// What is above the limit of either is not known in both.
		d.sorted = 0
		limit := uint64(math.MaxUint64)
		if d.more {
			limit = d.hashes[maxDistinct-1]
		}
		if o.more {
			limit = min(limit, o.hashes[maxDistinct-1])
		}
		d.hashes = slices.DeleteFunc(d.hashes, func(h uint64) bool { return h > limit })
	}
	more := d.more || o.more
	d.settle()
	d.more = d.more || more
}

// Len returns the number of different texts, and whether it is exact.
func (d *Distinct) Len() (n uint64, exact bool) {
	if d == nil {
		return 0, true
	}
	d.settle()
	if !d.more {
		return uint64(len(d.hashes)), true
	}
	k := float64(len(d.hashes))
	return uint64(math.Round((k - 1) / (float64(d.hashes[len(d.hashes)-1]) / math.MaxUint64))), false
}

// Hashes returns a hash of 64 bits of each different text, ascending, and whether
// they are all: of more than maxDistinct texts it has the smallest. The slice
// belongs to d, which must not change while it is used.
func (d *Distinct) Hashes() (list []uint64, whole bool) {
	if d == nil {
		return nil, true
	}
	d.settle()
	return d.hashes, !d.more
}

// size returns the bytes of memory that the set takes, about.
func (d *Distinct) size() int { return 8*cap(d.hashes) + 48 }
