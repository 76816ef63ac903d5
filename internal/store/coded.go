package store

import (
	"slices"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/store/block"
	"github.com/meshtrail/meshtrail/internal/store/filter"
)

// byEntry are the statistics that tell from how often each number occurs.
const byEntry = WantSums | WantSpread | WantBounds | WantValues

// A coded measures a column that is a constant or a dictionary by its entries:
// records are only counted, and where the header of the block says how often each
// entry occurs not even that. Its memory is used again.
type coded struct {
	hist  []uint32 // by slot and entry
	found []uint32 // by slot: records that have the field
}

// coded measures field i by the entries of its column, if it can.
func (m *measurer) coded(w *worker, c *cells, sel *selected, i int, rows []uint32) (done bool, err error) {
	f, res, s, g, x := &m.req.Of[i], &m.fields[i], sel.source, &w.gauge, &w.slots
	if f.Want&^byEntry != 0 || res.Asked == match.Class || res.Asked == match.Line || res.Asked == TimeName {
		return false, nil
	}
	if err := filter.Widen(s, res); err != nil {
		return false, err
	}
	columns := s.Columns()
	g.meanings = filter.Meanings(g.meanings[:0], res, columns)
	if len(g.meanings) == 0 || len(g.meanings) > 1 && columns[g.meanings[0].Column].Values < s.Rows() {
		return false, nil
	}
	col := &columns[g.meanings[0].Column]
	g.unit = f.Unit
	g.num, g.den = f.Unit.Scale(res, g.meanings[0].Mul)
	k := &w.coded
	v := col.Head()
	if counts := col.Counts(); v != nil && counts != nil && sel.all && x.single {
		k.found = append(k.found[:0], uint32(col.Values))
		k.fold(c, w, i, f.Want, v, counts)
		return true, nil
	}
	if _, sealed := s.(*sealedBlock); sealed && col.Form() == block.Plain {
		return false, nil
	}
	if v, err = g.load(s, g.meanings[0].Column); err != nil {
		return false, err
	}
	if n := v.Entries(); v.Form == block.Plain || n*len(x.cells) > 2*len(rows)+256 {
		return false, nil
	}
	k.count(v, x, sel.rows, rows)
	k.fold(c, w, i, f.Want, v, k.hist)
	return true, nil
}

// count counts how often each entry occurs in each slot.
func (k *coded) count(v *block.Vector, x *slots, set filter.Bitmap, rows []uint32) {
	n := v.Entries()
	k.hist = zeroed(k.hist, n*len(x.cells))
	k.found = zeroed(k.found, len(x.cells))
	hist := k.hist
	switch {
	case v.Rows != nil:
		for j, r := range v.Rows {
			if set.Has(int(r)) {
				slot := x.slot(r)
				k.found[slot]++
				hist[int(slot)*n+v.Entry(j)]++
			}
		}
		return
	case v.Form == block.Const:
		copy(hist, x.records)
	case x.single:
		for _, r := range rows {
			hist[v.Codes[r]]++
		}
	default:
		for _, r := range rows {
			hist[int(x.of[r])*n+int(v.Codes[r])]++
		}
	}
	copy(k.found, x.records)
}

// fold adds what was counted to the cells.
func (k *coded) fold(c *cells, w *worker, i int, want Want, v *block.Vector, hist []uint32) {
	g, x, n := &w.gauge, &w.slots, v.Entries()
	g.table = slices.Grow(g.table[:0], n)[:n]
	for e := range g.table {
		g.table[e] = g.number(v, e)
	}
	for slot, cell := range x.cells {
		to := c.measure(cell, i)
		part := Measure{Absent: uint64(x.records[slot] - k.found[slot])}
		part.weigh(want, g.table, hist[slot*n:(slot+1)*n])
		part.NotNumbers = uint64(k.found[slot]) - part.Count
		if want&WantValues != 0 {
			c.bytes += 8 * int(part.Count)
			to.Values = slices.Grow(to.Values, int(part.Count))
			for e, times := range hist[slot*n : (slot+1)*n] {
				if x := g.table[e]; x == x {
					for range times {
						to.Values = append(to.Values, x)
					}
				}
			}
		}
		to.Merge(&part)
	}
}

// weigh adds numbers, each so many times; NaN is none.
func (m *Measure) weigh(want Want, numbers []float64, times []uint32) {
	var d variance
	for e, n := range times {
		x := numbers[e]
		if n == 0 || x != x {
			continue
		}
		if m.Count == 0 {
			m.Min, m.Max, d.from = x, x, x
		}
		m.Count += uint64(n)
		m.Min, m.Max = min(m.Min, x), max(m.Max, x)
		if want&(WantSums|WantSpread) != 0 {
			high := x * float64(n)
			m.plus(high, product(x, float64(n), high))
		}
		x -= d.from
		d.sum += x * float64(n)
		d.square += x * x * float64(n)
	}
	if want&(WantSums|WantSpread|WantBounds) == 0 {
		m.Min, m.Max = 0, 0
	}
	if m.spread = want&WantSpread != 0; m.spread && m.Count > 0 {
		m.M2 = d.m2(m.Count)
	}
}
