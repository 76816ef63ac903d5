package cache

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"unsafe"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/store"
)

// lists are statistics that take memory in proportion to the records: they are not
// kept.
const lists = store.WantValues | store.WantSamples | store.WantDistinct

// Measure implements store.Reader.
func (r *Reader) Measure(ctx context.Context, req store.MeasureRequest) ([]store.MeasureGroup, store.Stats, error) {
	zero := cmp.Or(req.Zero, req.From)
	g, ok := gridOf(req.From, req.To, req.Step, zero)
	var k requestKey
	if ok = ok && req.Check() == nil; ok {
		k, ok = measureKey(&req, g)
	}
	// A bucket that starts at time 0 and is not whole can not be asked for.
	if !ok || req.From != zero && g.start(g.first) == 0 {
		return r.Reader.Measure(ctx, req)
	}
	q := &measureQuestion{r: r.Reader, watch: fault.NewWatch(ctx), req: &req, g: g, base: g.bucket(zero), runs: map[int64][]store.MeasureGroup{}}
	stats, ok, err := r.answer(ctx, q, k, g, extent(req.Tenant, req.Classes, req.Where, req.From, req.To), req.Budget)
	if err != nil {
		return nil, stats, err
	}
	if ok {
		groups, err := q.answer()
		return groups, stats, err
	}
	groups, more, err := r.Reader.Measure(ctx, req)
	Sum(&stats, &more)
	return groups, stats, err
}

func measureKey(req *store.MeasureRequest, g *grid) (requestKey, bool) {
	var e encoder
	e.request('M', req.Tenant, req.Classes, req.Where, g)
	e.int(int64(len(req.By)))
	for i := range req.By {
		by := &req.By[i]
		e.text(by.Name)
		e.int(int64(by.Unit))
		e.int(int64(len(by.Edges)))
		for _, x := range by.Edges {
			e.float(x)
		}
		e.float(by.Interval)
		e.float(by.Offset)
	}
	e.int(int64(len(req.Of)))
	for _, f := range req.Of {
		if f.Want&lists != 0 {
			return requestKey{}, false
		}
		e.text(f.Name)
		e.int(int64(f.Unit))
		e.int(int64(f.Want))
	}
	return e.key()
}

// A measureQuestion answers a Measure. Within it buckets count from the grid's.
type measureQuestion struct {
	r     store.Reader
	watch *fault.Watch
	req   *store.MeasureRequest
	g     *grid
	base  int64 // the bucket that the request calls 0
	runs  map[int64][]store.MeasureGroup

	index map[string]int
	out   []store.MeasureGroup
	key   []byte
}

func (q *measureQuestion) ask(ctx context.Context, from, to int64, b store.Budget) (store.Stats, error) {
	req := *q.req
	req.From, req.To, req.Budget, req.Zero = from, to, b, 0
	first := q.g.bucket(from)
	if s := q.g.start(first); s != from {
		req.Zero = s
	}
	groups, stats, err := q.r.Measure(ctx, req)
	for i := range groups {
		for j := range groups[i].Cells {
			groups[i].Cells[j].Bucket += int(first)
		}
	}
	q.runs[from] = groups
	return stats, err
}

func (q *measureQuestion) keep(run int64, p *part) {
	a, b := int(q.g.bucket(p.from)), int(q.g.bucket(p.to))
	for i := range q.runs[run] {
		g := &q.runs[run][i]
		cells := within(g.Cells, a, b)
		if len(cells) == 0 {
			continue
		}
		p.measures = append(p.measures, store.MeasureGroup{Values: slices.Clone(g.Values), Cells: cloned(cells)})
		p.size += sizeOf(g.Values) + 64 + int64(len(cells))*(cellSize+int64(len(q.req.Of))*measureSize)
	}
}

const (
	cellSize    = int64(unsafe.Sizeof(store.MeasureCell{}))
	measureSize = int64(unsafe.Sizeof(store.Measure{}))
)

// within returns the cells of the buckets a ≤ i < b.
func within(cells []store.MeasureCell, a, b int) []store.MeasureCell {
	at := func(bucket int) int {
		i, _ := slices.BinarySearchFunc(cells, bucket, func(c store.MeasureCell, bucket int) int { return cmp.Compare(c.Bucket, bucket) })
		return i
	}
	return cells[at(a):at(b)]
}

// cloned copies cells with their measures, which have no lists.
func cloned(cells []store.MeasureCell) []store.MeasureCell {
	out := slices.Clone(cells)
	for i := range out {
		out[i].Of = slices.Clone(out[i].Of)
	}
	return out
}

// add appends cells, which become the answer's.
func (q *measureQuestion) add(values []string, cells []store.MeasureCell) {
	if len(cells) == 0 {
		return
	}
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
		q.out = append(q.out, store.MeasureGroup{Values: slices.Clone(values)})
	}
	for j := range cells {
		cells[j].Bucket -= int(q.base)
	}
	q.out[i].Cells = append(q.out[i].Cells, cells...)
}

func (q *measureQuestion) read(from int64) error {
	for _, g := range q.runs[from] {
		if err := q.watch.Step(1 + len(g.Cells)); err != nil {
			return err
		}
		q.add(g.Values, g.Cells)
	}
	return nil
}

func (q *measureQuestion) kept(p *part, from, to int64) error {
	a, b := int(q.g.bucket(from)), int(q.g.bucket(to))
	for i := range p.measures {
		cells := within(p.measures[i].Cells, a, b)
		if err := q.watch.Step(1 + len(cells)); err != nil {
			return err
		}
		q.add(p.measures[i].Values, cloned(cells))
	}
	return nil
}

// answer returns the groups in the store's order.
func (q *measureQuestion) answer() ([]store.MeasureGroup, error) {
	err := fault.Sort(q.watch, q.out, func(a, b store.MeasureGroup) int { return slices.Compare(a.Values, b.Values) })
	return q.out, err
}
