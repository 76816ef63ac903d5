package store

import (
	"cmp"
	"math"
	"slices"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// A hit is a matching record that was not read yet.
type hit struct {
	time int64
	ord  uint64
	row  uint32
	of   *target
}

// before orders hits.
func (o Order) before(a, b *hit) bool { return o.compare(a, b) < 0 }

func (o Order) compare(a, b *hit) int {
	switch o {
	case Newest:
		a, b = b, a
	case AsStored:
		return cmp.Compare(a.ord, b.ord)
	}
	return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.ord, b.ord))
}

// A cut says which records of a range a scan asks for, by their Ord: those after
// and up to one, and those behind a place in an order.
type cut struct {
	after, upTo uint64 // 0: none
	place       hit
	placed      bool
	o           Order
}

// cutOf returns the cut of a request, whose range it narrows.
func cutOf(req *ScanRequest) (cut, error) {
	c := cut{after: req.AfterOrd, upTo: req.UpToOrd, o: req.Order}
	if req.After == nil {
		return c, nil
	}
	c.place, c.placed = hit{time: req.After.Time, ord: req.After.Ord}, true
	switch req.Order {
	case Newest:
		if c.place.time < math.MaxInt64 {
			req.To = min(req.To, c.place.time+1)
		}
	case Oldest:
		req.From = max(req.From, c.place.time)
	default:
		return c, fault.Errorf(fault.Invalid, "scan: a place to go on from needs an order")
	}
	return c, nil
}

// asks reports whether the cut must know the Ords of a target's records.
func (c *cut) asks(t *target) bool {
	return c.after > 0 || c.upTo > 0 || c.placed && c.place.time >= t.minTime && c.place.time <= t.maxTime
}

func (c *cut) has(time int64, ord uint64) bool {
	if ord <= c.after || c.upTo > 0 && ord > c.upTo {
		return false
	}
	return !c.placed || c.o.before(&c.place, &hit{time: time, ord: ord})
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
	if r.cut.asks(t) {
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
		if (keep == nil || keep(int64(sel.times[row]))) && (ords == nil || r.cut.has(int64(sel.times[row]), ords[row])) {
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
