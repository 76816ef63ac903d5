package store

import (
	"context"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store/block"
	"github.com/meshtrail/meshtrail/internal/store/filter"
)

// A TableRequest asks for some fields of the matching records, for who reads so
// many that making a record of each would take longer than reading them.
type TableRequest struct {
	Tenant  record.TenantID
	Classes []record.Class // nil: all
	From    int64
	To      int64
	Where   match.Predicate // nil: all
	Fields  []string        // by any name the asker may use, but match.Class and match.Line
	Budget  Budget
}

// A Part is some of the records of a table: of one block, in no order.
type Part struct {
	Records int
	Columns []Cells // by TableRequest.Fields
}

// Cells are the values of one field, as texts: record i has Texts[Codes[i]]. Code
// 0 says that it has none. A text may be there twice.
type Cells struct {
	Codes []uint32
	Texts [][]byte
}

// Text returns the text of record i, an empty one if it has none.
func (c *Cells) Text(i int) []byte { return c.Texts[c.Codes[i]] }

// Table implements Reader.
func (s *Store) Table(ctx context.Context, req TableRequest, visit func(*Part) error) (Stats, error) {
	f := filter.New(req.Where)
	p := s.newPlan(req.Tenant, req.Classes, req.From, req.To, f)
	defer p.close()
	r := p.runner(ctx, f, req.From, req.To, req.Budget)
	fields := make([]schema.Resolution, len(req.Fields))
	for i, name := range req.Fields {
		fields[i] = schema.Resolve(name)
	}
	work := func(w *worker, t *target) (*Part, error) { return r.part(w, t, fields) }
	err := run(ctx, r, work, nil, func(_ *target, p *Part) error {
		if p == nil {
			return nil
		}
		return visit(p)
	})
	return r.stats(), err
}

// part reads the fields of the matching records of a block; nil if there are none.
func (r *runner) part(w *worker, t *target, fields []schema.Resolution) (*Part, error) {
	sel, err := r.selectRows(w, t)
	if err != nil || sel.source == nil {
		return nil, err
	}
	p := &Part{Records: t.rows, Columns: make([]Cells, len(fields))}
	var at []uint32 // by row: its place among the matching ones, plus one
	if !sel.all {
		w.matching = appendRows(w.matching[:0], sel.rows)
		p.Records = len(w.matching)
		at = make([]uint32, t.rows)
		for i, row := range w.matching {
			at[row] = uint32(i) + 1
		}
	}
	for i := range fields {
		if err := p.Columns[i].read(sel.source, &fields[i], p.Records, at); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// read reads a field of n records.
func (c *Cells) read(s source, res *schema.Resolution, n int, at []uint32) error {
	if err := filter.Widen(s, res); err != nil {
		return err
	}
	c.Codes, c.Texts = make([]uint32, n), [][]byte{nil}
	for _, column := range filter.Resolve(res, s.Columns()) { // the best first
		v, err := s.Load(column)
		if err != nil {
			return err
		}
		c.add(v, at)
	}
	return nil
}

// add takes the values of a column for records that have none yet.
func (c *Cells) add(v *block.Vector, at []uint32) {
	var known []uint32 // by entry: its code
	if v.Form != block.Plain {
		known = make([]uint32, v.Entries())
	}
	for i := range v.N {
		row := uint32(v.Row(i))
		if at != nil {
			if at[row] == 0 {
				continue
			}
			row = at[row] - 1
		}
		if c.Codes[row] != 0 {
			continue
		}
		e := v.Entry(i)
		if known != nil && known[e] != 0 {
			c.Codes[row] = known[e]
			continue
		}
		code := uint32(len(c.Texts))
		if c.Codes[row] = code; known != nil {
			known[e] = code
		}
		if v.Kind == record.String {
			c.Texts = append(c.Texts, v.Bytes(e))
		} else {
			value := filter.ValueOf(v, e)
			c.Texts = append(c.Texts, value.AppendText(nil))
		}
	}
}
