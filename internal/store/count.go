package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store/block"
	"github.com/meshtrail/meshtrail/internal/store/filter"
)

// Limits of an answer of Count, beyond which it is refused.
const (
	maxBuckets = 1 << 20 // per group
	maxCells   = 1 << 24 // groups times buckets
)

// Count implements Reader.
func (s *Store) Count(ctx context.Context, req CountRequest) ([]Group, Stats, error) {
	f := filter.New(req.Where)
	c := &counter{req: &req, buckets: 1, groups: make(map[string]*Group)}
	if req.Step > 0 && req.To > req.From {
		c.buckets = int(min((uint64(req.To)-uint64(req.From)-1)/uint64(req.Step)+1, 1<<40))
	}
	if c.buckets > maxBuckets {
		return nil, Stats{}, fault.Errorf(fault.Invalid, "count: %d buckets, limit %d", c.buckets, maxBuckets)
	}
	for _, name := range req.By {
		c.by = append(c.by, schema.Resolve(name))
	}
	p := s.newPlan(req.Tenant, req.Classes, req.From, req.To, f)
	defer p.close()
	r := p.runner(f, req.From, req.To, req.Budget)
	work := func(w *worker, t *target) (*partial, error) { return c.block(r, w, t) }
	err := run(ctx, r, work, nil, func(_ *target, x *partial) error { return c.merge(x) })
	return c.list(), r.stats(), err
}

type counter struct {
	req     *CountRequest
	by      []schema.Resolution
	buckets int
	groups  map[string]*Group
	cells   int
}

// A partial is the groups of one block.
type partial struct {
	keys   []string   // the values of By, each with its length before it
	counts [][]uint64 // by group, then bucket
	bytes  [][]uint64
}

func (c *counter) newPartial(keys []string) *partial {
	p := &partial{keys: keys, counts: make([][]uint64, len(keys))}
	if c.req.Sum {
		p.bytes = make([][]uint64, len(keys))
	}
	return p
}

func (c *counter) merge(x *partial) error {
	if x == nil {
		return nil
	}
	for i, key := range x.keys {
		if x.counts[i] == nil {
			continue
		}
		g := c.groups[key]
		if g == nil {
			if c.cells += c.buckets; c.cells > maxCells {
				return fault.WithHint(fault.Errorf(fault.Overload, "count: more than %d groups times buckets", maxCells),
					"group by fewer fields or use a longer step")
			}
			g = &Group{Values: splitKey(key, len(c.by)), Counts: make([]uint64, c.buckets)}
			if c.req.Sum {
				g.Bytes = make([]uint64, c.buckets)
			}
			c.groups[key] = g
		}
		for b, n := range x.counts[i] {
			g.Counts[b] += n
		}
		if c.req.Sum {
			for b, n := range x.bytes[i] {
				g.Bytes[b] += n
			}
		}
	}
	return nil
}

// list returns the groups by their values.
func (c *counter) list() []Group {
	out := make([]Group, 0, len(c.groups))
	for _, g := range c.groups {
		out = append(out, *g)
	}
	slices.SortFunc(out, func(a, b Group) int { return slices.Compare(a.Values, b.Values) })
	return out
}

func appendKey(dst []byte, v []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(v))), v...)
}

func splitKey(key string, n int) []string {
	out := make([]string, n)
	b := []byte(key)
	for i := range out {
		size, k := binary.Uvarint(b)
		out[i] = string(b[k : k+int(size)])
		b = b[k+int(size):]
	}
	return out
}

// block counts one block.
func (c *counter) block(r *runner, w *worker, t *target) (*partial, error) {
	sel, err := r.selectRows(w, t)
	if err != nil || sel.source == nil {
		return nil, err
	}
	if sel.all && len(c.by) == 0 && c.buckets == 1 && !c.req.Sum {
		p := c.newPartial([]string{""})
		p.counts[0] = []uint64{uint64(t.rows)}
		return p, nil
	}
	if sel.all {
		if n := (t.rows + 63) / 64; cap(w.rows) < n {
			w.rows = make(filter.Bitmap, n)
		} else {
			w.rows = w.rows[:n]
		}
		w.rows.Fill(t.rows)
		sel.rows = w.rows
	}
	codes, keys, err := c.group(sel.source, sel.rows)
	if err != nil {
		return nil, err
	}
	p := c.newPartial(keys)
	if p.counts, err = c.tally(&sel, codes, len(keys), nil); err != nil || !c.req.Sum {
		return p, err
	}
	sizes, err := lineSizes(sel.source, sel.rows)
	if err == nil {
		p.bytes, err = c.tally(&sel, codes, len(keys), sizes)
	}
	return p, err
}

// tally adds one, or the row's size, to the cell of each selected row.
func (c *counter) tally(sel *selected, codes []uint32, groups int, sizes []uint64) ([][]uint64, error) {
	times := sel.times
	if c.buckets > 1 && times == nil {
		var err error
		if times, err = sel.source.Times(); err != nil {
			return nil, err
		}
	}
	cells := make([][]uint64, groups)
	sel.rows.Each(func(row int) {
		g := 0
		if codes != nil {
			g = int(codes[row])
		}
		if cells[g] == nil {
			cells[g] = make([]uint64, c.buckets)
		}
		b := 0
		if c.buckets > 1 {
			b = int((int64(times[row]) - c.req.From) / c.req.Step)
		}
		n := uint64(1)
		if sizes != nil {
			n = sizes[row]
		}
		cells[g][b] += n
	})
	return cells, nil
}

// group gives each row the number of its group, and the groups their keys.
func (c *counter) group(s source, rows filter.Bitmap) (codes []uint32, keys []string, err error) {
	if len(c.by) == 0 {
		return nil, []string{""}, nil
	}
	for i := range c.by {
		next, values, err := fieldCodes(s, &c.by[i], rows)
		if err != nil {
			return nil, nil, err
		}
		if i == 0 {
			codes = next
			for _, v := range values {
				keys = append(keys, string(appendKey(nil, v)))
			}
			continue
		}
		// Number the pairs that occur.
		pairs := make(map[uint64]uint32)
		var joined []string
		rows.Each(func(row int) {
			pair := uint64(codes[row])<<32 | uint64(next[row])
			n, ok := pairs[pair]
			if !ok {
				n = uint32(len(joined))
				pairs[pair] = n
				joined = append(joined, string(appendKey([]byte(keys[codes[row]]), values[next[row]])))
			}
			codes[row] = n
		})
		keys = joined
	}
	return codes, keys, nil
}

// fieldCodes gives each selected row the number of its value of a field; the
// text forms are by number, 0 is "" for the rows without one.
func fieldCodes(s source, res *schema.Resolution, rows filter.Bitmap) (codes []uint32, values [][]byte, err error) {
	codes, values = make([]uint32, s.Rows()), [][]byte{nil}
	index := map[string]uint32{"": 0}
	number := func(v []byte) uint32 {
		n, ok := index[string(v)]
		if !ok {
			n = uint32(len(values))
			v = slices.Clone(v)
			index[string(v)] = n
			values = append(values, v)
		}
		return n
	}
	switch res.Asked {
	case match.Class:
		n := number([]byte(s.Class()))
		for i := range codes {
			codes[i] = n
		}
		return codes, values, nil
	case match.Line:
		return codes, values, eachLine(s, rows, func(row int, line []byte) { codes[row] = number(line) })
	}
	columns := filter.Resolve(res, s.Columns())
	rest := slices.Clone(rows)
	for _, c := range columns {
		if rest.Empty() {
			break
		}
		v, err := s.Load(c)
		if err != nil {
			return nil, nil, err
		}
		vectorCodes(v, rest, codes, number)
		if v.Rows == nil {
			break
		}
		for _, r := range v.Rows {
			rest[r/64] &^= 1 << (r % 64)
		}
	}
	return codes, values, nil
}

// vectorCodes numbers the values of the rows of rest. Entries of a dictionary
// are numbered once.
func vectorCodes(v *block.Vector, rest filter.Bitmap, codes []uint32, number func(v []byte) uint32) {
	var buf []byte
	text := func(e int) []byte {
		if v.Kind == record.String {
			return v.Bytes(e)
		}
		buf = filter.ValueOf(v, e).AppendText(buf[:0])
		return buf
	}
	if v.Form == block.Plain {
		for i := range v.N {
			if row := v.Row(i); rest.Has(row) {
				codes[row] = number(text(i))
			}
		}
		return
	}
	table := make([]uint32, v.Entries())
	known := make([]bool, len(table))
	for i := range v.N {
		row := v.Row(i)
		if !rest.Has(row) {
			continue
		}
		e := v.Entry(i)
		if !known[e] {
			table[e], known[e] = number(text(e)), true
		}
		codes[row] = table[e]
	}
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

// lineSizes returns the length of each row's line.
func lineSizes(s source, rows filter.Bitmap) ([]uint64, error) {
	sizes := make([]uint64, s.Rows())
	rest := slices.Clone(rows)
	cols := s.Columns()
	for i := range cols {
		if cols[i].Name != record.Body || cols[i].Kind != record.String {
			continue
		}
		v, err := s.Load(i)
		if err != nil {
			return nil, err
		}
		for k := range v.N {
			if row := v.Row(k); rest.Has(row) {
				sizes[row] = uint64(len(v.Bytes(v.Entry(k))))
				rest[row/64] &^= 1 << (row % 64)
			}
		}
	}
	if rest.Empty() {
		return sizes, nil
	}
	return sizes, eachLine(s, rest, func(row int, line []byte) { sizes[row] = uint64(len(line)) })
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
	slices.SortFunc(out, func(a, b record.Count) int {
		return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Name, b.Name))
	})
	return out[:min(len(out), limit)], stats, err
}

// Fields implements Reader.
func (s *Store) Fields(ctx context.Context, tenant record.TenantID, from, to int64) ([]FieldInfo, error) {
	type key struct {
		name string
		kind record.Kind
	}
	seen := make(map[key]uint64)
	p := s.newPlan(tenant, nil, from, to, filter.New(nil))
	defer p.close()
	for i := range p.targets {
		if m := p.targets[i].mem; m != nil {
			for c := range m.Columns {
				seen[key{m.Columns[c].Name, m.Columns[c].Kind}] += uint64(m.Columns[c].Values)
			}
		}
	}
	for _, x := range p.open {
		if err := ctx.Err(); err != nil {
			return nil, fault.Wrap(fault.Canceled, err)
		}
		d := x.reader.Directory
		for i := range d.Columns {
			c, rows := &d.Columns[i], uint64(0)
			for b := range d.Blocks {
				if c.In(b) && d.Blocks[b].MinTime < to && d.Blocks[b].MaxTime >= from {
					rows += uint64(d.Blocks[b].Rows)
				}
			}
			if rows > 0 {
				seen[key{c.Name, c.Kind}] += min(rows, c.Values)
			}
		}
	}
	delete(seen, key{record.Labels, record.String})
	out := make([]FieldInfo, 0, len(seen))
	for k, n := range seen {
		out = append(out, FieldInfo{Name: k.name, Kind: k.kind, Records: n})
	}
	slices.SortFunc(out, func(a, b FieldInfo) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
	})
	return out, nil
}

var (
	_ Reader          = (*Store)(nil)
	_ record.Appender = (*Store)(nil)
)
