package cache

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/store"
)

// counted is a group of a kept part: its counts, and bytes of lines if they were
// asked for, of every bucket in turn as varints.
type counted struct {
	values []string
	cells  []byte
}

// mostCells of an answer, groups times buckets; a larger one is the store's.
const mostCells = 1 << 22

// Count implements store.Reader.
func (r *Reader) Count(ctx context.Context, req store.CountRequest) ([]store.Group, store.Stats, error) {
	g, ok := gridOf(req.From, req.To, req.Step, req.From)
	if !ok {
		return r.Reader.Count(ctx, req)
	}
	var e encoder
	e.request('C', req.Tenant, req.Classes, req.Where, g)
	e.texts(req.By)
	e.bool(req.Sum)
	k, ok := e.key()
	if !ok {
		return r.Reader.Count(ctx, req)
	}
	q := &countQuestion{r: r.Reader, watch: fault.NewWatch(ctx), req: &req, g: g, buckets: int(g.bucket(req.To-1) - g.first + 1), runs: map[int64][]store.Group{}}
	stats, ok, err := r.answer(ctx, q, k, g, extent(req.Tenant, req.Classes, req.Where, req.From, req.To), req.Budget)
	if err != nil {
		return nil, stats, err
	}
	if ok && q.cells() <= mostCells {
		groups, err := q.answer()
		return groups, stats, err
	}
	groups, more, err := r.Reader.Count(ctx, req)
	stats.ResultCache = store.CacheUse{Misses: stats.ResultCache.Hits + stats.ResultCache.Misses}
	Sum(&stats, &more)
	return groups, stats, err
}

// A countQuestion answers a Count.
type countQuestion struct {
	r       store.Reader
	watch   *fault.Watch
	req     *store.CountRequest
	g       *grid
	buckets int
	runs    map[int64][]store.Group // by their start

	only  []store.Group // the answer, when one run is all of it
	index map[string]int
	out   []store.Group
	key   []byte
}

func (q *countQuestion) ask(ctx context.Context, from, to int64, b store.Budget) (store.Stats, error) {
	req := *q.req
	req.From, req.To, req.Budget = from, to, b
	groups, stats, err := q.r.Count(ctx, req)
	q.runs[from] = groups
	return stats, err
}

func (q *countQuestion) keep(run int64, p *part) {
	a, n := int((p.from-run)/q.g.step), int((p.to-p.from)/q.g.step)
	for i := range q.runs[run] {
		g := &q.runs[run][i]
		if !slices.ContainsFunc(g.Counts[a:a+n], func(n uint64) bool { return n > 0 }) {
			continue
		}
		cells := make([]byte, 0, 2*n)
		for j := a; j < a+n; j++ {
			cells = binary.AppendUvarint(cells, g.Counts[j])
			if q.req.Sum {
				cells = binary.AppendUvarint(cells, g.Bytes[j])
			}
		}
		p.counts = append(p.counts, counted{slices.Clone(g.Values), slices.Clip(cells)})
		p.size += sizeOf(g.Values) + int64(len(cells)) + 48
	}
}

// sizeOf estimates the memory of the values of a group.
func sizeOf(values []string) (n int64) {
	for _, v := range values {
		n += 16 + int64(len(v))
	}
	return n
}

// group returns the counts of a group in the answer, from a bucket on.
func (q *countQuestion) group(values []string, at int64) (counts, bytes []uint64) {
	if q.index == nil {
		q.index = map[string]int{}
	}
	q.key = q.key[:0]
	for _, v := range values {
		q.key = append(binary.AppendUvarint(q.key, uint64(len(v))), v...)
	}
	i, ok := q.index[string(q.key)]
	if !ok {
		i = len(q.out)
		q.index[string(q.key)] = i
		g := store.Group{Values: slices.Clone(values)}
		if q.cells() <= mostCells {
			g.Counts = make([]uint64, q.buckets)
			if q.req.Sum {
				g.Bytes = make([]uint64, q.buckets)
			}
		}
		q.out = append(q.out, g)
	}
	g := &q.out[i]
	if g.Counts == nil { // too many: the answer is not used
		return nil, nil
	}
	if first := at - q.g.first; q.req.Sum {
		return g.Counts[first:], g.Bytes[first:]
	} else {
		return g.Counts[first:], nil
	}
}

func (q *countQuestion) cells() int { return len(q.out) * q.buckets }

func (q *countQuestion) read(from int64) error {
	groups := q.runs[from]
	if len(q.runs) == 1 && from == q.req.From && len(q.out) == 0 && (len(groups) == 0 || len(groups[0].Counts) == q.buckets) {
		q.only = groups
		return nil
	}
	for i := range groups {
		g := &groups[i]
		if err := q.watch.Step(1 + len(g.Counts)/64); err != nil {
			return err
		}
		counts, bytes := q.group(g.Values, q.g.bucket(from))
		if counts != nil {
			copy(counts, g.Counts)
			copy(bytes, g.Bytes)
		}
	}
	return nil
}

func (q *countQuestion) kept(p *part, from, to int64) error {
	skip, n := int((from-p.from)/q.g.step), int((to-from)/q.g.step)
	for i := range p.counts {
		c := &p.counts[i]
		if err := q.watch.Step(1 + len(c.cells)/64); err != nil {
			return err
		}
		cells := c.cells
		var counts, bytes []uint64
		for j := range skip + n {
			count, w := binary.Uvarint(cells)
			cells = cells[w:]
			sum := uint64(0)
			if q.req.Sum {
				sum, w = binary.Uvarint(cells)
				cells = cells[w:]
			}
			if j < skip || count == 0 {
				continue
			}
			if counts == nil {
				if counts, bytes = q.group(c.values, q.g.bucket(from)); counts == nil {
					break
				}
			}
			counts[j-skip] = count
			if q.req.Sum {
				bytes[j-skip] = sum
			}
		}
	}
	return nil
}

// answer returns the groups in the store's order.
func (q *countQuestion) answer() ([]store.Group, error) {
	if q.out == nil {
		return q.only, nil
	}
	err := fault.Sort(q.watch, q.out, func(a, b store.Group) int { return slices.Compare(a.Values, b.Values) })
	return q.out, err
}
