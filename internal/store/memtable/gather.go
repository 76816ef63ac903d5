package memtable

import (
	"slices"
	"sync"

	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

// Blocks returns the number of blocks.
func (p *Plan) Blocks() int { return len(p.bounds) - 1 }

// A run is records of a block that follow each other and lie in one view: one
// column of it serves them all.
type run struct {
	view   uint32
	lo, hi int // of the block's records

	// The values that these records have of the columns whose presence is has.
	// The next column mostly has the same.
	known bool
	has   *presence
	is    []uint32 // which value of the view's column
	rows  []uint32 // and of which record of the block
}

// A gatherer is the scratch of one block.
type gatherer struct {
	runs []run

	codes []uint16 // by place in the plan's texts
	uses  []uint32 // the use in which the code was given
	use   uint32
	fresh []uint32 // values that no earlier one is equal to
	ids   []uint32 // and their place
	out   []uint16
}

var gatherers = sync.Pool{New: func() any { return new(gatherer) }}

// divide cuts the records of a block into runs.
func (g *gatherer) divide(refs []ref) {
	runs := g.runs[:0]
	for j := range refs {
		if j > 0 && refs[j].view == refs[j-1].view {
			continue
		}
		if j > 0 {
			runs[len(runs)-1].hi = j
		}
		if len(runs) < cap(runs) {
			runs = runs[:len(runs)+1]
		} else {
			runs = append(runs, run{})
		}
		r := &runs[len(runs)-1]
		r.view, r.lo, r.known = refs[j].view, j, false
	}
	runs[len(runs)-1].hi = len(refs)
	g.runs = runs
}

// pick finds the values that the records of a run have of a column.
func (r *run) pick(s *source, refs []ref) {
	if r.known && r.has == s.has {
		return
	}
	r.known, r.has, r.is, r.rows = true, s.has, r.is[:0], r.rows[:0]
	if s.has == nil {
		for j := r.lo; j < r.hi; j++ {
			r.is, r.rows = append(r.is, refs[j].row), append(r.rows, uint32(j))
		}
		return
	}
	for j := r.lo; j < r.hi; j++ {
		if i, ok := s.has.find(refs[j].row); ok {
			r.is, r.rows = append(r.is, uint32(i)), append(r.rows, uint32(j))
		}
	}
}

// Block gathers block i into in, whose memory is used again; nil makes a new
// one. It is safe for concurrent use with different inputs.
func (p *Plan) Block(i int, in *block.Input) *block.Input {
	if in == nil {
		in = &block.Input{}
	}
	refs := p.order[p.bounds[i]:p.bounds[i+1]]
	g := gatherers.Get().(*gatherer)
	defer gatherers.Put(g)
	g.divide(refs)
	in.Times, in.Ords, in.Ingests, in.Raw = in.Times[:0], in.Ords[:0], in.Ingests[:0], 0
	for j := range refs {
		r := &refs[j]
		v := p.views[r.view]
		in.Times, in.Ords = append(in.Times, v.Times[r.row]), append(in.Ords, v.Ords[r.row])
		in.Ingests = append(in.Ingests, v.Ingests[r.row])
		in.Raw += int64(r.raw)
	}
	all := in.Columns[:cap(in.Columns)]
	n := 0
	for k := range p.keys {
		if !slices.ContainsFunc(g.runs, func(r run) bool { return p.cols[r.view][k] != nil }) {
			continue
		}
		if n == len(all) {
			all = append(all, &record.Column{})
		}
		if all[n] == nil {
			all[n] = &record.Column{}
		}
		if n == len(in.Codes) {
			in.Codes = append(in.Codes, nil)
		}
		if p.texts[k] == nil || !p.encode(g, k, refs, all[n], &in.Codes[n]) {
			in.Codes[n] = nil
			p.gather(g, k, refs, all[n])
		}
		if len(all[n].Rows) > 0 {
			n++
		}
	}
	in.Columns = all[:n]
	in.Rest = p.rest(i, in.Rest)
	return in
}

// encode gathers column k as its distinct values and a code for each of its
// rows. It reports false when a block does not keep such values as a dictionary.
func (p *Plan) encode(g *gatherer, k int, refs []ref, c *record.Column, codes *[]uint16) bool {
	if n := len(p.texts[k]); len(g.uses) < n {
		g.codes, g.uses, g.use = make([]uint16, n), make([]uint32, n), 0
	}
	if g.use++; g.use == 0 {
		clear(g.uses)
		g.use = 1
	}
	g.fresh, g.ids = g.fresh[:0], g.ids[:0]
	c.Name, c.Kind = p.keys[k].name, record.String
	c.Rows, c.Nums, c.Ends, c.Data = c.Rows[:0], c.Nums[:0], c.Ends[:0], c.Data[:0]
	out := g.out[:0]
	defer func() { g.out = out[:0] }()
	for n := range g.runs {
		r := &g.runs[n]
		s := p.cols[r.view][k]
		if s == nil {
			continue
		}
		r.pick(s, refs)
		c.Rows = append(c.Rows, r.rows...)
		switch s.v.Form {
		case block.Const:
			for range r.is {
				out = append(out, g.code(s.ids[0], len(out)))
			}
		case block.Dict:
			for _, i := range r.is {
				out = append(out, g.code(s.ids[s.v.Codes[i]], len(out)))
			}
		default:
			for _, i := range r.is {
				out = append(out, g.code(s.ids[i], len(out)))
			}
		}
		if len(g.ids) > len(refs)/2 {
			return false
		}
	}
	if len(g.ids) > 1 && !block.Compact(g.fresh, len(out)) || len(g.ids) == 1 && len(out) == 1 {
		return false
	}
	*codes = append((*codes)[:0], out...)
	for _, id := range g.ids {
		c.Data = append(c.Data, p.texts[k][id]...)
		c.Ends = append(c.Ends, uint32(len(c.Data)))
	}
	return true
}

// code returns the number of a text in the block; at is how many values the
// column has already.
func (g *gatherer) code(id uint32, at int) uint16 {
	if g.uses[id] != g.use {
		g.uses[id], g.codes[id] = g.use, uint16(len(g.ids))
		g.fresh, g.ids = append(g.fresh, uint32(at)), append(g.ids, id)
	}
	return g.codes[id]
}

// gather gathers the values of column k.
func (p *Plan) gather(g *gatherer, k int, refs []ref, c *record.Column) {
	c.Name, c.Kind = p.keys[k].name, p.keys[k].kind
	c.Rows, c.Nums, c.Ends, c.Data = c.Rows[:0], c.Nums[:0], c.Ends[:0], c.Data[:0]
	for n := range g.runs {
		r := &g.runs[n]
		s := p.cols[r.view][k]
		if s == nil {
			continue
		}
		r.pick(s, refs)
		c.Rows = append(c.Rows, r.rows...)
		v := s.v
		switch {
		case c.Kind == record.String:
			for _, i := range r.is {
				c.Data = append(c.Data, v.Bytes(v.Entry(int(i)))...)
				c.Ends = append(c.Ends, uint32(len(c.Data)))
			}
		case v.Form == block.Plain:
			for _, i := range r.is {
				c.Nums = append(c.Nums, v.Nums[i])
			}
		default:
			for _, i := range r.is {
				c.Nums = append(c.Nums, v.Nums[v.Entry(int(i))])
			}
		}
	}
}
