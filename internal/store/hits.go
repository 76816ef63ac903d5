package store

import (
	"cmp"
	"slices"
)

// A hit is a matching record that was not read yet.
type hit struct {
	time int64
	ord  uint64
	row  uint32
	of   *target
}

// before orders hits; equal times come by Ord.
func (o Order) before(a, b *hit) bool { return o.compare(a, b) < 0 }

func (o Order) compare(a, b *hit) int {
	c := 0
	switch o {
	case Newest:
		c = cmp.Compare(b.time, a.time)
	case Oldest:
		c = cmp.Compare(a.time, b.time)
	}
	return cmp.Or(c, cmp.Compare(a.ord, b.ord))
}

// hits returns the matching rows of a target in no order. keep, if not nil,
// says which times can still matter. With a limit, rows that lie behind so many
// others in the order are left out.
func (r *runner) hits(w *worker, t *target, o Order, limit int, keep func(time int64) bool) ([]hit, error) {
	sel, err := r.selectRows(w, t)
	if err != nil || sel.source == nil {
		return nil, err
	}
	if sel.times == nil {
		if sel.times, err = sel.source.Times(); err != nil {
			return nil, err
		}
	}
	var ords []uint64
	if r.after > 0 {
		if ords, _, err = sel.source.Origins(); err != nil {
			return nil, err
		}
	}
	if sel.all {
		sel.rows = w.bitmap(t.rows)
		sel.rows.Fill(t.rows)
	}
	rows := w.matching[:0]
	each(sel.rows, func(row int) {
		if (keep == nil || keep(int64(sel.times[row]))) && (ords == nil || ords[row] > r.after) {
			rows = append(rows, uint32(row))
		}
	})
	w.matching = rows
	if limit > 0 && len(rows) > limit {
		rows = w.first(rows, sel.times, o, limit)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	if ords == nil {
		if ords, _, err = sel.source.Origins(); err != nil {
			return nil, err
		}
	}
	out := make([]hit, len(rows))
	for i, row := range rows {
		out[i] = hit{time: int64(sel.times[row]), ord: ords[row], row: row, of: t}
	}
	return out, nil
}

// first keeps the rows whose time is among the first limit, in place. Rows of one
// time stay together: their order is decided by Ord.
func (w *worker) first(rows []uint32, times []uint64, o Order, limit int) []uint32 {
	w.times = w.times[:0]
	for _, row := range rows {
		w.times = append(w.times, int64(times[row]))
	}
	slices.Sort(w.times) // mostly they are
	last := w.times[limit-1]
	if o == Newest {
		last = w.times[len(w.times)-limit]
	}
	out := rows[:0]
	for _, row := range rows {
		if at := int64(times[row]); o == Newest && at >= last || o == Oldest && at <= last {
			out = append(out, row)
		}
	}
	return out
}
