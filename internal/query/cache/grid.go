package cache

import "math/bits"

const (
	// mostBuckets of a request that is looked up; one of more is rare and large.
	mostBuckets = 1 << 15
	// mostParts of a request, and half as many at least where there are buckets.
	mostParts = 64
	// farthest time from 1970 of a request that is looked up, ns.
	farthest = 1 << 61
)

// A grid is the buckets of a request and how they are cut into parts: bucket k
// starts at phase + k*step, and part i has every of them, from i*every on.
type grid struct {
	step, phase int64
	every       int64
	from, to    int64 // of the request
	first       int64 // the bucket that from is in
}

// gridOf returns the grid of a request one bucket of which starts at zero. It
// reports false for a request that is not worth it.
func gridOf(from, to, step, zero int64) (*grid, bool) {
	if step <= 0 || from < -farthest || to > farthest || zero < -farthest || zero > farthest || to <= from || step >= to-from || (to-from)/step >= mostBuckets {
		return nil, false
	}
	g := &grid{step: step, from: from, to: to}
	g.phase = zero - floor(zero, step)*step
	g.first = g.bucket(from)
	n := g.bucket(to-1) - g.first + 1
	g.every = 1
	if n > mostParts {
		g.every = 1 << bits.Len64(uint64((n-1)/mostParts))
	}
	return g, true
}

// floor divides and rounds down.
func floor(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// bucket returns the bucket of a time, start where a bucket begins.
func (g *grid) bucket(t int64) int64 { return floor(t-g.phase, g.step) }
func (g *grid) start(k int64) int64  { return g.phase + k*g.step }

// A piece is a part, or what a request needs of it; or a bucket at one of its ends
// that it has not whole, which is never kept.
type piece struct {
	from, to int64
	number   int64
	whole    bool
	kept     *part
	since    uint64 // the last change of the store before it was read
}

// cut returns the pieces of the request in the order of time.
func (g *grid) cut() []piece {
	var out []piece
	at := g.from
	if s := g.start(g.first); s < at {
		end := min(s+g.step, g.to)
		out, at = append(out, piece{from: at, to: end}), end
	}
	last := g.start(g.bucket(g.to))
	for at < last {
		number := floor(g.bucket(at), g.every)
		end := min(g.start((number+1)*g.every), last)
		out, at = append(out, piece{from: at, to: end, number: number, whole: true}), end
	}
	if at < g.to {
		out = append(out, piece{from: at, to: g.to})
	}
	return out
}
