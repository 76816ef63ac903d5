package store

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store/filter"
)

// Limits of an answer of Count, beyond which it is refused.
const (
	maxBuckets = 1 << 20 // per group
	maxCells   = 1 << 24 // groups times buckets
)

// Count implements Reader.
func (s *Store) Count(ctx context.Context, req CountRequest) ([]Group, Stats, error) {
	return s.count(ctx, req, true)
}

// count counts, by the digests of columns where they tell and may.
func (s *Store) count(ctx context.Context, req CountRequest, outlined bool) ([]Group, Stats, error) {
	f := filter.New(req.Where)
	c := newCounter(&req, s.o.Limits.AnswerBytes)
	c.memory.lease = LeaseOf(ctx)
	defer c.memory.release()
	if c.buckets > maxBuckets {
		return nil, Stats{}, fault.Errorf(fault.Invalid, "count: %d buckets, limit %d", c.buckets, maxBuckets)
	}
	outlined = outlined && f.Outlined() && !req.Sum && !slices.Contains(req.By, match.Line)
	p := s.newPlan(req.Tenant, req.Classes, req.From, req.To, f)
	defer p.close()
	r := p.runner(ctx, f, req.From, req.To, req.Budget)
	var err error
	if outlined {
		err = c.outline(ctx, r)
	}
	if err == nil {
		err = c.scan(ctx, r)
	}
	groups, ended := c.merge(fault.NewWatch(ctx))
	return groups, r.stats(), cmp.Or(err, ended)
}

// A counter is a count on its way.
type counter struct {
	req     *CountRequest
	by      []schema.Resolution
	buckets int
	memory  memory

	mu      sync.Mutex
	tallies []*tally // of the workers that are done
}

func newCounter(req *CountRequest, limit int64) *counter {
	c := &counter{req: req, buckets: 1, memory: memory{limit: limit}}
	if req.Step > 0 && req.To > req.From {
		c.buckets = int(min((uint64(req.To)-uint64(req.From)-1)/uint64(req.Step)+1, 1<<40))
	}
	for _, name := range req.By {
		c.by = append(c.by, schema.Resolve(name))
	}
	return c
}

// tally returns the worker's own.
func (c *counter) tally(w *worker) *tally {
	if w.tally == nil {
		w.tally = c.newTally()
	}
	return w.tally
}

// collect takes the tally of a worker that is done.
func (c *counter) collect(w *worker) {
	if w.tally != nil && len(w.tally.groups) > 0 {
		c.mu.Lock()
		c.tallies = append(c.tallies, w.tally)
		c.mu.Unlock()
	}
	w.tally = nil
	w.outline.Release()
}

// bucketsOf returns the first and the last bucket that a target has times in.
func (c *counter) bucketsOf(r *runner, t *target) (first, last int) {
	if c.buckets == 1 {
		return 0, 0
	}
	return int((max(t.minTime, r.from) - r.from) / c.req.Step), int((min(t.maxTime, r.to-1) - r.from) / c.req.Step)
}

// outline counts what the digests of the segments tell, and leaves in the plan
// the targets that must be looked at.
func (c *counter) outline(ctx context.Context, r *runner) error {
	targets := r.p.targets
	var spans [][]target // of one segment each
	for start := 0; start < len(targets); {
		end := start + 1
		for end < len(targets) && targets[end].x == targets[start].x {
			end++
		}
		if targets[start].x != nil {
			spans = append(spans, targets[start:end])
		}
		start = end
	}
	err := r.each(ctx, len(spans), func(w *worker, i int) error {
		t := c.tally(w)
		x := spans[i][0].x
		w.outline.Reset(r.f, c.by, x.reader, len(spans[i]), t, &r.p.cost)
		for k := range spans[i] {
			if err := c.outlineBlock(r, w, &spans[i][k]); err != nil {
				return err
			}
		}
		return nil
	}, c.collect)
	r.p.targets = slices.DeleteFunc(targets, func(t target) bool { return t.done })
	return err
}

func (c *counter) outlineBlock(r *runner, w *worker, t *target) (err error) {
	first, last := c.bucketsOf(r, t)
	if first != last || t.minTime < r.from || t.maxTime >= r.to {
		return nil
	}
	matched := 0
	t.done = w.outline.Count(t.n, func(codes []uint32, n uint32) {
		matched += int(n)
		if e := w.tally.add(codes, first, uint64(n), 0); e != nil {
			err = e
		}
	})
	switch {
	case matched > 0:
		r.matched.Add(int64(matched))
	case t.done:
		r.pruned.Add(1)
	}
	return err
}

// scan counts the targets of the plan.
func (c *counter) scan(ctx context.Context, r *runner) error {
	return r.each(ctx, len(r.p.targets), func(w *worker, i int) error {
		t := &r.p.targets[i]
		if err := c.block(r, w, t); err != nil {
			return r.skip(t, err)
		}
		return nil
	}, c.collect)
}

// block counts one block.
func (c *counter) block(r *runner, w *worker, t *target) error {
	sel, err := r.selectRows(w, t)
	if err != nil || sel.source == nil {
		return err
	}
	tally := c.tally(w)
	first, last := c.bucketsOf(r, t)
	if sel.all {
		if len(c.by) == 0 && first == last && !c.req.Sum {
			return c.own(tally.add(nil, first, uint64(t.rows), 0))
		}
		sel.rows = w.bitmap(t.rows)
		sel.rows.Fill(t.rows)
	}
	g := &w.group
	defer g.release()
	g.reset(tally, sel.rows, t.rows)
	for i := range c.by {
		if err := g.field(sel.source, i, &c.by[i]); err != nil {
			return err
		}
	}
	var bucket, sizes []uint32
	if first != last {
		if sel.times == nil {
			if sel.times, err = sel.source.Times(); err != nil {
				return err
			}
		}
		bucket = w.bucketsOf(sel.times, r.from+int64(first)*c.req.Step, c.req.Step)
	}
	if c.req.Sum {
		if sizes, err = w.sizer.lines(sel.source, sel.rows); err != nil {
			return err
		}
	}
	return c.own(g.count(first, last-first+1, bucket, sizes))
}

// own marks an error as one of the count and not of a file.
func (c *counter) own(err error) error {
	if err != nil {
		return ownError{err}
	}
	return nil
}

// bucketsOf returns the bucket of each time, the first of which starts at from.
// Times before it are in the first. Mostly times are sorted, so that most are in
// the bucket of the one before.
func (w *worker) bucketsOf(times []uint64, from, step int64) []uint32 {
	w.buckets = slices.Grow(w.buckets[:0], len(times))[:len(times)]
	lo, bucket := uint64(from), uint32(0)
	for i, t := range times {
		if t-lo >= uint64(step) {
			bucket = uint32(max(int64(t)-from, 0) / step)
			lo = uint64(from + int64(bucket)*step)
		}
		w.buckets[i] = bucket
	}
	return w.buckets
}

// eachLine renders the lines of rows.
func eachLine(s source, rows filter.Bitmap, f func(row int, line []byte)) error {
	var r filter.Rows
	r.Reset(s, nil)
	if err := r.Load(); err != nil {
		return err
	}
	var rec record.Record
	var line []byte
	rows.Each(func(row int) {
		rec.Fields, _ = r.Fields(rec.Fields[:0], row) // everything is loaded
		if v, ok := rec.Get(record.Body); ok {
			line = v.AppendText(line[:0])
		} else {
			line = match.AppendSorted(line[:0], rec.Fields)
		}
		f(row, line)
	})
	return nil
}

// Values implements Reader.
func (s *Store) Values(ctx context.Context, req ValuesRequest) ([]record.Count, Stats, error) {
	limit := req.Limit
	if limit <= 0 {
		limit = 1000
	}
	groups, stats, err := s.Count(ctx, CountRequest{
		Tenant: req.Tenant, Classes: req.Classes, From: req.From, To: req.To, Where: req.Where, By: []string{req.Field},
	})
	out := make([]record.Count, 0, len(groups))
	for _, g := range groups {
		if g.Values[0] != "" {
			out = append(out, record.Count{Name: g.Values[0], N: g.Counts[0]})
		}
	}
	ended := fault.Sort(fault.NewWatch(ctx), out, func(a, b record.Count) int {
		return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Name, b.Name))
	})
	return out[:min(len(out), limit)], stats, cmp.Or(err, ended)
}

var (
	_ Reader          = (*Store)(nil)
	_ record.Appender = (*Store)(nil)
)
