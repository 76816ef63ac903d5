package store

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"
	"sync"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store/filter"
)

// Measure implements Reader.
func (s *Store) Measure(ctx context.Context, req MeasureRequest) ([]MeasureGroup, Stats, error) {
	if err := req.Check(); err != nil {
		return nil, Stats{}, err
	}
	if count, ok := req.asCount(); ok {
		groups, stats, err := s.Count(ctx, count)
		if err != nil {
			return nil, stats, err
		}
		out, err := measured(fault.NewWatch(ctx), groups, int((req.From-req.zero())/max(req.Step, 1)))
		return out, stats, err
	}
	m := newMeasurer(&req, s.o.Limits.AnswerBytes)
	m.memory.lease = LeaseOf(ctx)
	defer m.memory.release()
	f := filter.New(req.Where)
	p := s.newPlan(req.Tenant, req.Classes, req.From, req.To, f)
	defer p.close()
	r := p.runner(ctx, f, req.From, req.To, req.Budget)
	err := r.each(ctx, len(p.targets), func(w *worker, i int) error {
		t := &p.targets[i]
		if err := m.block(r, w, t); err != nil {
			return r.skip(t, err)
		}
		return nil
	}, m.collect)
	var groups []MeasureGroup
	if err == nil {
		groups, err = m.merge(fault.NewWatch(ctx))
	}
	if err == nil {
		err = m.sort(ctx, r, groups)
	}
	return groups, r.stats(), err
}

// A measurer is a Measure on its way.
type measurer struct {
	req    *MeasureRequest
	keys   []schema.Resolution // of req.By
	fields []schema.Resolution // of req.Of
	ends   bool                // a field wants First and Last or Samples
	memory memory

	mu    sync.Mutex
	done  []*cells // of the workers that are done
	lists bool     // something is to be sorted
}

func newMeasurer(req *MeasureRequest, limit int64) *measurer {
	m := &measurer{req: req, memory: memory{limit: limit}}
	for i := range req.By {
		m.keys = append(m.keys, schema.Resolve(req.By[i].Name))
	}
	for i := range req.Of {
		w := req.Of[i].Want
		m.fields = append(m.fields, schema.Resolve(req.Of[i].Name))
		m.ends = m.ends || w&(WantEnds|WantSamples) != 0
		m.lists = m.lists || w&(WantValues|WantSamples) != 0
	}
	return m
}

// own returns the cells of a worker.
func (m *measurer) own(w *worker) *cells {
	if w.cells == nil {
		w.cells = newCells(len(m.keys), len(m.fields), &m.memory)
	}
	return w.cells
}

// collect takes the cells of a worker that is done.
func (m *measurer) collect(w *worker) {
	if w.cells != nil && len(w.cells.list) > 0 {
		m.mu.Lock()
		m.done = append(m.done, w.cells)
		m.mu.Unlock()
	}
	w.cells = nil
}

// bucketsOf returns the first and the last bucket that a target has times in.
func (m *measurer) bucketsOf(r *runner, t *target) (first, last int) {
	if m.req.Step == 0 {
		return 0, 0
	}
	zero := m.req.zero()
	return int((max(t.minTime, r.from) - zero) / m.req.Step), int((min(t.maxTime, r.to-1) - zero) / m.req.Step)
}

// block measures one block.
func (m *measurer) block(r *runner, w *worker, t *target) (err error) {
	sel, err := r.selectRows(w, t)
	if err != nil || sel.source == nil {
		return err
	}
	c := m.own(w)
	first, last := m.bucketsOf(r, t)
	rows := w.every(t.rows)
	if sel.all {
		sel.rows = w.bitmap(t.rows)
		sel.rows.Fill(t.rows)
	} else {
		w.matching = appendRows(w.matching[:0], sel.rows)
		rows = w.matching
	}
	if sel.times == nil && (first != last || m.ends) {
		if sel.times, err = sel.source.Times(); err != nil {
			return err
		}
	}
	g := &w.group
	defer g.release()
	defer w.gauge.release()
	g.reset(c.tally, sel.rows, t.rows)
	for i := range m.keys {
		if err := m.key(w, sel.source, i, rows); err != nil {
			return err
		}
	}
	var bucket []uint32
	if first != last {
		bucket = w.bucketsOf(sel.times, m.req.zero()+int64(first)*m.req.Step, m.req.Step)
	}
	if err := w.slots.assign(g, c, rows, first, last-first+1, bucket); err != nil {
		return ownError{err}
	}
	for s, n := range w.slots.records {
		c.list[w.slots.cells[s]].records += uint64(n)
	}
	for i := range m.fields {
		if err := m.field(w, c, &sel, i, rows); err != nil {
			return err
		}
	}
	return m.note(c)
}

// every returns the rows of a block of n.
func (w *worker) every(n int) []uint32 {
	for i := len(w.all); i < n; i++ {
		w.all = append(w.all, uint32(i))
	}
	return w.all[:n]
}

// note counts what the cells of a worker take by now.
func (m *measurer) note(c *cells) error {
	size := len(c.list)*sizeOf(c.fields) + c.bytes
	err := m.memory.take(size - c.noted)
	c.noted = size
	if err != nil {
		return ownError{err}
	}
	return nil
}

// key adds key i to the combinations of the grouper.
func (m *measurer) key(w *worker, s source, i int, rows []uint32) error {
	k, res, g := &m.req.By[i], &m.keys[i], &w.group
	if k.Edges == nil && k.Interval == 0 && res.Asked != TimeName {
		return g.field(s, i, res)
	}
	x := &w.gauge
	if err := x.read(s, res, k.Unit, g.rows, rows); err != nil {
		return err
	}
	code := func(text []byte) uint32 { return g.t.Code(i, text) }
	g.clearLocal(code(nil))
	switch {
	case k.Edges != nil:
		w.codes = zeroed(w.codes, len(k.Edges)+1)
		for _, r := range x.rows {
			n, equal := slices.BinarySearch(k.Edges, x.value(r))
			if equal {
				n++
			}
			if w.codes[n] == 0 {
				g.buf = strconv.AppendInt(g.buf[:0], int64(n), 10)
				w.codes[n] = code(g.buf) + 1
			}
			g.local[r] = w.codes[n] - 1
		}
	case k.Interval > 0:
		clear(w.floors[:])
		for _, r := range x.rows {
			v := k.floor(x.value(r))
			at := &w.floors[math.Float64bits(v)*0x9e3779b97f4a7c15>>56]
			if at.code == 0 || at.floor != v {
				g.buf = strconv.AppendFloat(g.buf[:0], v, 'g', -1, 64)
				at.floor, at.code = v, code(g.buf)+1
			}
			g.local[r] = at.code - 1
		}
	default: // the time, as text
		for _, r := range x.rows {
			g.buf = strconv.AppendInt(g.buf[:0], int64(x.ints[r]), 10)
			g.local[r] = code(g.buf)
		}
	}
	return g.numbered(fold{field: i, n: 1}, nil)
}

// field measures field i of the rows.
func (m *measurer) field(w *worker, c *cells, sel *selected, i int, rows []uint32) error {
	f, res, x := &m.req.Of[i], &m.fields[i], &w.slots
	if f.Want&WantDistinct != 0 {
		alone := f.Want&numeric == 0
		if err := w.distinct(c, sel, i, res, alone); err != nil || alone {
			return err
		}
	} else if m.bounded(w, c, sel, i, rows) {
		return nil
	}
	if done, err := m.coded(w, c, sel, i, rows); done || err != nil {
		return err
	}
	g := &w.gauge
	if err := g.read(sel.source, res, f.Unit, sel.rows, rows); err != nil {
		return err
	}
	if !g.full {
		m.missing(w, c, i, rows)
	}
	var ords []uint64
	if f.Want&(WantEnds|WantSamples) != 0 {
		var err error
		if ords, _, err = sel.source.Origins(); err != nil {
			return err
		}
	}
	w.sums.add(g, x)
	if f.Want&WantSpread != 0 {
		w.sums.spread(g, x)
	}
	if f.Want&WantEnds != 0 {
		w.sums.end(g, x, sel.times, ords)
	}
	sample := func(row uint32) Sample { return Sample{int64(sel.times[row]), ords[row], g.value(row)} }
	for s, cell := range x.cells {
		t := &w.sums.totals[s]
		if t.n == 0 {
			continue
		}
		part := Measure{Count: t.n}
		if f.Want&(WantSums|WantSpread) != 0 {
			part.plus(t.sum, t.lost)
		}
		if f.Want&(WantSums|WantSpread|WantBounds) != 0 {
			part.Min, part.Max = t.min, t.max
		}
		if f.Want&WantSpread != 0 {
			part.M2, part.spread = w.sums.ranges[s].m2(t.n), true
		}
		if f.Want&WantEnds != 0 {
			e := &w.sums.ends[s]
			part.First, part.Last = sample(e.first), sample(e.last)
		}
		to := c.measure(cell, i)
		to.Merge(&part)
		if x.single { // the others grow as they come
			if f.Want&WantValues != 0 {
				to.Values = slices.Grow(to.Values, len(g.rows))
			}
			if f.Want&WantSamples != 0 {
				to.Samples = slices.Grow(to.Samples, len(g.rows))
			}
		}
	}
	if f.Want&WantValues != 0 {
		c.bytes += 8 * len(g.rows)
		for _, r := range g.rows {
			to := c.measure(x.cells[x.slot(r)], i)
			to.Values = append(to.Values, g.value(r))
		}
	}
	if f.Want&WantSamples != 0 {
		c.bytes += 24 * len(g.rows)
		for _, r := range g.rows {
			to := c.measure(x.cells[x.slot(r)], i)
			to.Samples = append(to.Samples, sample(r))
		}
	}
	return nil
}

// missing counts the rows that have no number, of field i.
func (m *measurer) missing(w *worker, c *cells, i int, rows []uint32) {
	x, g := &w.slots, &w.gauge
	x.each(g.absent, func(slot uint32) { c.measure(x.cells[slot], i).Absent++ })
	if len(rows) == len(g.rows)+g.absent.Count() {
		return
	}
	for _, r := range rows {
		if !g.has.Has(int(r)) && !g.absent.Has(int(r)) {
			c.measure(x.cells[x.slot(r)], i).NotNumbers++
		}
	}
}

// bounded measures field i by what the header of a block says of it, if it is all
// that is asked for.
func (m *measurer) bounded(w *worker, c *cells, sel *selected, i int, rows []uint32) bool {
	s, sealed := sel.source.(*sealedBlock)
	if m.req.Of[i].Want != WantBounds || !sealed || !sel.all || !w.slots.single || s.InRest(&m.fields[i]) {
		return false
	}
	g, columns := &w.gauge, s.Columns()
	g.meanings = filter.Meanings(g.meanings[:0], &m.fields[i], columns)
	if len(g.meanings) != 1 {
		return false
	}
	col := &columns[g.meanings[0].Column]
	if col.Kind != record.Int {
		return false
	}
	g.num, g.den = m.req.Of[i].Unit.Scale(&m.fields[i], g.meanings[0].Mul)
	to := c.measure(w.slots.cells[0], i)
	to.Merge(&Measure{
		Count: uint64(col.Values), Absent: uint64(len(rows) - col.Values),
		Min: float64(int64(col.Min)) * g.num / g.den, Max: float64(int64(col.Max)) * g.num / g.den,
	})
	return true
}

// merge puts the cells of all workers together, by the values of the groups,
// unless w ends.
func (m *measurer) merge(w *fault.Watch) ([]MeasureGroup, error) {
	var out []MeasureGroup
	index := make(map[string]int)
	byCell := make(map[uint64]int) // group and bucket: the place in the group
	var key []byte
	for _, c := range m.done {
		groups := make([]int, len(c.groups)) // in out
		for i := range c.groups {
			if err := w.Step(1); err != nil {
				return nil, err
			}
			values := c.values(&c.groups[i])
			key = appendKey(key[:0], values)
			at, ok := index[string(key)]
			if !ok {
				at = len(out)
				index[string(key)] = at
				out = append(out, MeasureGroup{Values: values})
			}
			groups[i] = at
		}
		for i := range c.list {
			x := &c.list[i]
			if err := w.Step(1); err != nil {
				return nil, err
			}
			at := groups[x.group]
			g := &out[at]
			of := c.of[i*c.fields : (i+1)*c.fields : (i+1)*c.fields]
			if len(m.done) > 1 {
				key := uint64(at)<<32 | uint64(x.bucket)
				if k, ok := byCell[key]; ok {
					g.Cells[k].merge(x.records, of)
					continue
				}
				byCell[key] = len(g.Cells)
			}
			g.Cells = append(g.Cells, MeasureCell{Bucket: int(x.bucket), Records: x.records, Of: of})
		}
	}
	for i := range out {
		if err := fault.Sort(w, out[i].Cells, func(a, b MeasureCell) int { return cmp.Compare(a.Bucket, b.Bucket) }); err != nil {
			return nil, err
		}
	}
	err := fault.Sort(w, out, func(a, b MeasureGroup) int { return slices.Compare(a.Values, b.Values) })
	return out, err
}

func (c *MeasureCell) merge(records uint64, of []Measure) {
	c.Records += records
	for i := range of {
		c.Of[i].Merge(&of[i])
	}
}

// sort puts values and samples in order, in parallel.
func (m *measurer) sort(ctx context.Context, r *runner, groups []MeasureGroup) error {
	if !m.lists {
		return nil
	}
	var all []*Measure
	for i := range groups {
		for k := range groups[i].Cells {
			for j := range groups[i].Cells[k].Of {
				all = append(all, &groups[i].Cells[k].Of[j])
			}
		}
	}
	return r.each(ctx, len(all), func(_ *worker, i int) error {
		return all[i].sort(fault.NewWatch(ctx))
	}, func(*worker) {})
}

// asCount returns the count that a request is which measures nothing.
func (q *MeasureRequest) asCount() (CountRequest, bool) {
	c := CountRequest{
		Tenant: q.Tenant, Classes: q.Classes, From: q.From, To: q.To, Where: q.Where, Step: q.Step, Budget: q.Budget,
	}
	for i := range q.By {
		k := &q.By[i]
		if k.Edges != nil || k.Interval != 0 || k.Name == TimeName {
			return c, false
		}
		c.By = append(c.By, k.Name)
	}
	return c, len(q.Of) == 0 && (q.Step == 0 || (q.From-q.zero())%q.Step == 0)
}

// measured returns groups of a count as those of a measurement, the first bucket
// of which is the count's own.
func measured(w *fault.Watch, groups []Group, first int) ([]MeasureGroup, error) {
	out := make([]MeasureGroup, 0, len(groups))
	for i := range groups {
		if err := w.Step(1 + len(groups[i].Counts)/64); err != nil {
			return nil, err
		}
		g := MeasureGroup{Values: groups[i].Values}
		for b, n := range groups[i].Counts {
			if n > 0 {
				g.Cells = append(g.Cells, MeasureCell{Bucket: first + b, Records: n})
			}
		}
		out = append(out, g)
	}
	return out, nil
}
