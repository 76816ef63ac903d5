package store

import (
	"strconv"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store/block"
	"github.com/meshtrail/meshtrail/internal/store/filter"
)

// maxSeen is how many pairs of a slot and an entry are marked when they occur.
const maxSeen = 1 << 18

// A differ adds the different texts of a field to the sets of the cells of a
// block. Its memory is used again.
type differ struct {
	sets   []*Distinct // by slot
	rest   filter.Bitmap
	hashes []uint64 // by entry
	seen   filter.Bitmap
	buf    []byte
}

// distinct adds the texts of field i. With alone set it counts as well the records
// that do not have the field.
func (w *worker) distinct(c *cells, sel *selected, i int, res *schema.Resolution, alone bool) error {
	d, x := &w.differ, &w.slots
	d.sets = d.sets[:0]
	for _, cell := range x.cells {
		m := c.measure(cell, i)
		if m.Distinct == nil {
			m.Distinct = new(Distinct)
		}
		d.sets = append(d.sets, m.Distinct)
		c.bytes -= m.Distinct.size()
	}
	defer func() {
		for _, s := range d.sets {
			c.bytes += s.size()
		}
		clear(d.sets)
	}()
	d.rest = append(d.rest[:0], sel.rows...)
	if err := d.add(sel, x, res); err != nil {
		return err
	}
	if alone {
		x.each(d.rest, func(slot uint32) { c.measure(x.cells[slot], i).Absent++ })
	}
	return nil
}

func (d *differ) add(sel *selected, x *slots, res *schema.Resolution) error {
	s := sel.source
	switch res.Asked {
	case match.Class, match.Line:
		clear(d.rest)
		return eachText(s, res, sel.rows, func(row int, text []byte) { d.sets[x.slot(uint32(row))].Add(text) })
	case TimeName:
		times, err := s.Times()
		if err != nil {
			return err
		}
		sel.rows.Each(func(row int) {
			d.buf = strconv.AppendInt(d.buf[:0], int64(times[row]), 10)
			d.sets[x.slot(uint32(row))].Add(d.buf)
		})
		clear(d.rest)
		return nil
	}
	if d.known(sel, x, res) {
		return nil
	}
	if err := filter.Widen(s, res); err != nil {
		return err
	}
	for _, c := range filter.Resolve(res, s.Columns()) {
		if d.rest.Empty() {
			break
		}
		v, err := s.Load(c)
		if err != nil {
			return err
		}
		if v.Form == block.Plain {
			for k := range v.N {
				if row := v.Row(k); d.rest.Has(row) {
					d.sets[x.slot(uint32(row))].Add(d.text(v, k))
				}
			}
		} else {
			d.coded(v, x)
		}
		if v.Rows == nil {
			clear(d.rest)
		}
		for _, r := range v.Rows {
			d.rest[r/64] &^= 1 << (r % 64)
		}
	}
	return nil
}

// known adds the entries that the header of a block has, when all records of the
// block are in one slot and have no other value.
func (d *differ) known(sel *selected, x *slots, res *schema.Resolution) bool {
	s, sealed := sel.source.(*sealedBlock)
	if !sealed || !sel.all || !x.single || s.InRest(res) {
		return false
	}
	columns := s.Columns()
	found := filter.Resolve(res, columns)
	if len(found) != 1 || columns[found[0]].Values != s.Rows() {
		return false
	}
	head, counts := columns[found[0]].Head(), columns[found[0]].Counts()
	if head == nil || counts == nil {
		return false
	}
	for e, n := range counts {
		if n > 0 {
			d.sets[0].Add(d.text(head, e))
		}
	}
	clear(d.rest)
	return true
}

// coded adds the values of a constant or a dictionary.
func (d *differ) coded(v *block.Vector, x *slots) {
	n := v.Entries()
	d.hashes = zeroed(d.hashes, n)
	for e := range d.hashes {
		if t := d.text(v, e); len(t) > 0 {
			d.hashes[e] = textHash(t)
		}
	}
	pairs := n * len(d.sets)
	if d.seen = d.seen[:0]; pairs <= maxSeen {
		d.seen = zeroed(d.seen, (pairs+63)/64)
	}
	for k := range v.N {
		row := v.Row(k)
		if !d.rest.Has(row) {
			continue
		}
		slot, e := x.slot(uint32(row)), v.Entry(k)
		if pair := int(slot)*n + e; pairs <= maxSeen {
			if d.seen.Has(pair) {
				continue
			}
			d.seen.Set(pair)
		}
		if len(d.text(v, e)) > 0 {
			d.sets[slot].add(d.hashes[e])
		}
	}
}

// text returns the text of an entry, until the next one.
func (d *differ) text(v *block.Vector, e int) []byte {
	if v.Kind == record.String {
		return v.Bytes(e)
	}
	d.buf = filter.ValueOf(v, e).AppendText(d.buf[:0])
	return d.buf
}
