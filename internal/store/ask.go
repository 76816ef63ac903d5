package store

import (
	"math/bits"
	"sync/atomic"

	"github.com/meshtrail/meshtrail/internal/store/filter"
)

// found is what a segment says of a request.
type found struct {
	x              *openSegment // nil when it could not be opened
	err            error
	inRange        int // blocks
	targets        []target
	pruned, tokens int // blocks ruled out by columns and by tokens
}

// An asker asks one segment after the other. It belongs to one goroutine.
type asker struct {
	s        *Store
	from, to int64
	pruner   *filter.Pruner
	set      []uint64
}

// askAll asks every segment which of its blocks may hold a match. A few that are
// open take microseconds each and are not worth waking others; many, or those
// that have to be opened, are asked by several goroutines. It does not enter the
// gate: a needle would wait there for the blocks of heavy requests, once for each
// segment. Where it finds no room for two it stays alone.
func (p *plan) askAll(handles []*handle, from, to int64, f *filter.Filter) []found {
	out := make([]found, len(handles))
	var next atomic.Int64
	work := func() func() bool {
		a := asker{s: p.s, from: from, to: to, pruner: f.Pruner(&p.cost)}
		return func() bool {
			i := int(next.Add(1)) - 1
			if i < len(out) {
				a.ask(handles[i], &out[i])
			}
			return i < len(out)
		}
	}
	h := helpers{start: p.start}
	defer h.Wait()
	one := work()
	for one() {
		left := len(out) - int(next.Load())
		if left < fewSegments || h.called || p.s.gate.room() < 2 {
			continue
		}
		h.call(left/fewSegments, func() {
			for one := work(); one(); {
			}
		})
	}
	return out
}

// fewSegments are not worth another goroutine.
const fewSegments = 4

// ask opens a segment and asks it.
func (a *asker) ask(h *handle, out *found) {
	if out.x, out.err = a.s.files.acquire(h); out.err != nil {
		return
	}
	blocks := out.x.reader.Blocks
	n := (len(blocks) + 63) / 64
	if cap(a.set) < n {
		a.set = make([]uint64, n)
	}
	set := a.set[:n]
	clear(set)
	for i := range blocks {
		if blocks[i].MinTime < a.to && blocks[i].MaxTime >= a.from {
			set[i/64] |= 1 << (i % 64)
			out.inRange++
		}
	}
	columns, tokens := a.pruner.ByColumns, a.pruner.ByTokens
	if out.err = a.pruner.Prune(out.x.reader, set); out.err != nil {
		return
	}
	out.pruned, out.tokens = a.pruner.ByColumns-columns, a.pruner.ByTokens-tokens
	left := 0
	for _, word := range set {
		left += bits.OnesCount64(word)
	}
	if left == 0 {
		return
	}
	out.targets = make([]target, 0, left)
	for w, word := range set {
		for ; word != 0; word &= word - 1 {
			i := w*64 + bits.TrailingZeros64(word)
			b := &blocks[i]
			out.targets = append(out.targets, target{x: out.x, n: i, rows: b.Rows, minTime: b.MinTime, maxTime: b.MaxTime})
		}
	}
}

// add takes what the segment of h said.
func (p *plan) add(h *handle, in *found) {
	p.stats.Segments++
	if in.x != nil {
		p.open = append(p.open, in.x)
	}
	if in.err != nil {
		p.lost(h, in.err)
		return
	}
	p.stats.PrunedByTime += len(in.x.reader.Blocks) - in.inRange
	p.stats.Blocks += in.inRange
	p.stats.BlocksPruned += in.inRange - len(in.targets)
	p.stats.PrunedByColumns += in.pruned
	p.stats.PrunedByTokens += in.tokens
	p.targets = append(p.targets, in.targets...)
}
