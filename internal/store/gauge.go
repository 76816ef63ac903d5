package store

import (
	"math"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store/block"
	"github.com/meshtrail/meshtrail/internal/store/filter"
)

// A gauge finds the numbers that a field is, of a block. Its memory is used
// again.
type gauge struct {
	// rows, ascending, have a number. It is of ints, times num over den, when whole
	// is set, else of flts; both are by row.
	rows     []uint32
	whole    bool
	ints     []uint64
	num, den float64
	flts     []float64
	absent   filter.Bitmap // rows without the field; the others have no number
	full     bool          // no row is in absent, all have a number

	unit     match.Unit
	has      filter.Bitmap
	list     []uint32
	intsBuf  []uint64
	table    []float64 // by entry: its number, NaN: none
	meanings []filter.Meaning

	of       source // whose column was loaded last
	loadedAt int
	loaded   *block.Vector
}

// load loads a column, or has it still: there may be no cache.
func (g *gauge) load(s source, column int) (v *block.Vector, err error) {
	if g.loaded == nil || g.of != s || g.loadedAt != column {
		if v, err = s.Load(column); err != nil {
			return nil, err
		}
		g.of, g.loadedAt, g.loaded = s, column, v
	}
	return g.loaded, nil
}

// release lets the block go.
func (g *gauge) release() { g.of, g.loaded, g.ints = nil, nil, nil }

// value returns the number of a row.
func (g *gauge) value(row uint32) float64 {
	if g.whole {
		return float64(int64(g.ints[row])) * g.num / g.den
	}
	return g.flts[row]
}

// read finds the numbers of the records of sel, which rows lists. They are good
// until the next read.
func (g *gauge) read(s source, res *schema.Resolution, unit match.Unit, sel filter.Bitmap, rows []uint32) error {
	g.unit, g.whole, g.full, g.ints = unit, false, false, nil
	g.num, g.den = unit.Scale(res, 1)
	switch res.Asked {
	case TimeName:
		times, err := s.Times()
		g.take(times, rows)
		return err
	case match.Class, match.Line:
		return g.readText(s, res, sel)
	}
	if err := filter.Widen(s, res); err != nil {
		return err
	}
	g.meanings = filter.Meanings(g.meanings[:0], res, s.Columns())
	g.begin(sel, s.Rows())
	for i, m := range g.meanings {
		if g.absent.Empty() {
			break
		}
		v, err := g.load(s, m.Column)
		if err != nil {
			return err
		}
		g.num, g.den = unit.Scale(res, m.Mul)
		switch plain := v.Kind == record.Int && v.Form == block.Plain; {
		case plain && i == 0 && v.Rows == nil:
			g.take(v.Nums, rows)
			return nil
		case plain && len(g.meanings) == 1:
			g.sparse(v)
		default:
			g.column(v)
		}
	}
	g.finish(rows)
	return nil
}

// take takes the integers of all rows as they are.
func (g *gauge) take(ints []uint64, rows []uint32) {
	g.whole, g.full, g.ints, g.rows = true, true, ints, rows
}

// begin begins without any number.
func (g *gauge) begin(sel filter.Bitmap, n int) {
	g.absent = append(g.absent[:0], sel...)
	g.has = slices.Grow(g.has[:0], len(sel))[:len(sel)]
	clear(g.has)
	g.flts = slices.Grow(g.flts[:0], n)[:n]
}

// finish lists the rows that have a number.
func (g *gauge) finish(rows []uint32) {
	g.list = appendRows(g.list[:0], g.has)
	g.rows, g.full = g.list, len(g.list) == len(rows)
}

// appendRows appends the rows of a set.
func appendRows(dst []uint32, set filter.Bitmap) []uint32 {
	for w, word := range set {
		for base := uint32(w * 64); word != 0; word &= word - 1 {
			dst = append(dst, base+uint32(bits.TrailingZeros64(word)))
		}
	}
	return dst
}

// sparse takes the integers of a column that not all rows have.
func (g *gauge) sparse(v *block.Vector) {
	g.intsBuf = slices.Grow(g.intsBuf[:0], cap(g.flts))[:len(g.flts)]
	g.whole, g.ints = true, g.intsBuf
	nums := v.Nums[:len(v.Rows)]
	for i, r := range v.Rows {
		g.ints[r] = nums[i]
		g.has[r/64] |= g.absent[r/64] & (1 << (r % 64))
	}
	g.absent.AndNot(g.has)
}

// column takes the numbers of the rows that have no better column.
func (g *gauge) column(v *block.Vector) {
	switch {
	case v.Kind == record.Bool:
	case v.Form == block.Plain:
		for i := range v.N {
			if row := v.Row(i); g.absent.Has(row) {
				g.set(row, g.number(v, i))
			}
		}
	case v.Rows == nil && v.Form == block.Dict && g.entries(v):
		g.has.Or(g.absent)
		flts := g.flts[:len(v.Codes)]
		for i, c := range v.Codes {
			flts[i] = g.table[c]
		}
	default:
		g.entries(v)
		for i := range v.N {
			g.set(v.Row(i), g.table[v.Entry(i)])
		}
	}
	g.present(v)
}

// entries finds the numbers that the entries of a vector are, and reports whether
// all are numbers and no row has one of another column.
func (g *gauge) entries(v *block.Vector) (all bool) {
	g.table = slices.Grow(g.table[:0], v.Entries())[:v.Entries()]
	all = g.has.Empty()
	for e := range g.table {
		g.table[e] = g.number(v, e)
		all = all && g.table[e] == g.table[e]
	}
	return all
}

// set takes a number of a row, which NaN is not.
func (g *gauge) set(row int, x float64) {
	if x == x && g.absent.Has(row) {
		g.flts[row] = x
		g.has.Set(row)
	}
}

// number returns the number that an entry is, or NaN.
func (g *gauge) number(v *block.Vector, e int) float64 {
	var x float64
	switch v.Kind {
	case record.String:
		return g.text(v.Bytes(e))
	case record.Int:
		x = float64(int64(v.Nums[e])) * g.num / g.den
	case record.Float:
		x = math.Float64frombits(v.Nums[e]) * g.num / g.den
	default:
		return math.NaN()
	}
	if math.IsInf(x, 0) {
		return math.NaN()
	}
	return x
}

func (g *gauge) text(b []byte) float64 {
	if x, ok := g.unit.Text(unsafe.String(unsafe.SliceData(b), len(b)), g.num, g.den); ok {
		return x
	}
	return math.NaN()
}

// present notes which rows have the field.
func (g *gauge) present(v *block.Vector) {
	if v.Rows == nil {
		clear(g.absent)
		return
	}
	for _, r := range v.Rows {
		g.absent[r/64] &^= 1 << (r % 64)
	}
}

// readText reads what is no column.
func (g *gauge) readText(s source, res *schema.Resolution, sel filter.Bitmap) error {
	g.begin(sel, s.Rows())
	err := eachText(s, res, sel, func(row int, text []byte) { g.set(row, g.text(text)) })
	clear(g.absent)
	g.list = appendRows(g.list[:0], g.has)
	g.rows = g.list
	return err
}

// eachText calls f with the class or the line of each of rows.
func eachText(s source, res *schema.Resolution, rows filter.Bitmap, f func(row int, text []byte)) error {
	if res.Asked == match.Line {
		return eachLine(s, rows, f)
	}
	class := []byte(s.Class())
	rows.Each(func(row int) { f(row, class) })
	return nil
}
