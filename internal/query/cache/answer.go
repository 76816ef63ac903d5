package cache

import (
	"context"
	"slices"

	"github.com/meshtrail/meshtrail/internal/store"
)

// A question is a Count or a Measure that is being answered.
type question interface {
	// ask reads from ≤ t < to from the store and remembers the answer as the run
	// that starts at from.
	ask(ctx context.Context, from, to int64, b store.Budget) (store.Stats, error)
	// keep fills p with what the run that starts at run has of its buckets.
	keep(run int64, p *part)
	// read adds the run that starts at from to the answer; kept adds the buckets
	// from ≤ t < to of a part. They come in the order of time. An error is that
	// nobody waits any more.
	read(from int64) error
	kept(p *part, from, to int64) error
}

// A run is pieces side by side that are read at once: pieces a ≤ i < b.
type run struct{ a, b int }

// answer lets q be answered: from what is kept, and for the rest by the store. It
// reports false when the whole must be asked of the store, because what was kept
// changed meanwhile; stats are of what was done in vain then.
func (r *Reader) answer(ctx context.Context, q question, k requestKey, g *grid, of store.Extent, b store.Budget) (stats store.Stats, ok bool, err error) {
	r.ask(k)
	pieces := g.cut()
	runs := r.missing(pieces, k, of)
	if unread(runs) > 1 {
		first, land := r.share(ctx, flightKey{k, g.from, g.to})
		defer land()
		if !first {
			runs = r.missing(pieces, k, of)
		}
	}
	for _, run := range runs {
		_, since := r.LastChange(of)
		for i := run.a; i < run.b; i++ {
			pieces[i].since, pieces[i].kept = since, nil
		}
		s, err := q.ask(ctx, pieces[run.a].from, pieces[run.b-1].to, left(b, &stats))
		Sum(&stats, &s)
		if err != nil {
			return stats, true, err
		}
	}
	if ok = r.settle(q, pieces, runs, k, of, len(stats.Damaged) == 0 && r.again(k)); !ok {
		return stats, false, nil
	}
	r.tell(&stats, pieces)
	for i, next := 0, 0; i < len(pieces); {
		if next < len(runs) && runs[next].a == i {
			err = q.read(pieces[i].from)
			i, next = runs[next].b, next+1
		} else {
			err = q.kept(pieces[i].kept, pieces[i].from, pieces[i].to)
			i++
		}
		if err != nil {
			return stats, true, err
		}
	}
	return stats, true, nil
}

// missing looks up the pieces, and returns what is to be read. More than two runs
// are one.
func (r *Reader) missing(pieces []piece, k requestKey, of store.Extent) []run {
	var runs []run
	for i := range pieces {
		p := &pieces[i]
		p.kept = nil
		if p.whole {
			of.From, of.To = p.from, p.to
			p.kept = r.lookup(partKey{k, p.number}, of)
		}
		if p.kept != nil {
			continue
		}
		if n := len(runs); n > 0 && runs[n-1].b == i {
			runs[n-1].b++
		} else {
			runs = append(runs, run{i, i + 1})
		}
	}
	if n := len(runs); n > 2 {
		runs = []run{{runs[0].a, runs[n-1].b}}
	}
	return runs
}

func unread(runs []run) (n int) {
	for _, x := range runs {
		n += x.b - x.a
	}
	return n
}

// settle keeps what was read and is still right, if asked to. It reports whether there was a
// moment of which all pieces are: that at which the last run was read.
func (r *Reader) settle(q question, pieces []piece, runs []run, k requestKey, of store.Extent, keep bool) bool {
	lastRun := len(runs) - 1
	at, ok := 0, true
	for i := range pieces {
		p := &pieces[i]
		for at < len(runs) && runs[at].b <= i {
			at++
		}
		of.From, of.To = p.from, p.to
		last, now := r.LastChange(of)
		if p.kept != nil {
			ok = ok && last <= p.kept.now
			continue
		}
		if last > p.since {
			ok = ok && at == lastRun
		} else if p.whole && keep {
			n := &part{key: partKey{k, p.number}, from: p.from, to: p.to, now: now}
			q.keep(pieces[runs[at].a].from, n)
			r.keep(n)
		}
	}
	return ok
}

// tell counts the pieces of an answer.
func (r *Reader) tell(stats *store.Stats, pieces []piece) {
	for i := range pieces {
		if pieces[i].kept != nil {
			stats.ResultCache.Hits++
		} else {
			stats.ResultCache.Misses++
		}
	}
	r.hits.Add(float64(stats.ResultCache.Hits))
	r.misses.Add(float64(stats.ResultCache.Misses))
}

// left returns what is left of a budget, as far as the stats tell.
func left(b store.Budget, used *store.Stats) store.Budget {
	if b.Bytes > 0 {
		b.Bytes = max(1, b.Bytes-used.BytesDecoded)
	}
	if b.Rows > 0 {
		b.Rows = max(1, b.Rows-max(used.RowsScanned, used.RowsMatched))
	}
	return b
}

// Sum adds what another request cost.
func Sum(a, b *store.Stats) {
	a.Segments = max(a.Segments, b.Segments)
	a.Blocks += b.Blocks
	a.BlocksPruned += b.BlocksPruned
	a.BlocksScanned += b.BlocksScanned
	a.PrunedByTime += b.PrunedByTime
	a.PrunedByColumns += b.PrunedByColumns
	a.PrunedByTokens += b.PrunedByTokens
	a.RowsScanned += b.RowsScanned
	a.RowsMatched += b.RowsMatched
	a.BytesRead += b.BytesRead
	a.BytesDecoded += b.BytesDecoded
	a.Elapsed += b.Elapsed
	a.ResultCache.Add(b.ResultCache)
	for _, d := range b.Damaged {
		if !slices.Contains(a.Damaged, d) {
			a.Damaged = append(a.Damaged, d)
		}
	}
}
