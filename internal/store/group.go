package store

import (
	"math/bits"
	"slices"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store/block"
	"github.com/meshtrail/meshtrail/internal/store/filter"
)

// Limits of what a grouper does with arrays.
const (
	maxDense = 1 << 16 // combinations of values that are numbered without looking
	maxHist  = 1 << 18 // combinations times buckets that are counted in an array
)

// A grouper numbers, in one block, the combinations of values by which records
// are counted: first by the codes of dictionaries, which are multiplied out
// while their product is small, else as they occur. Its memory is used again.
type grouper struct {
	t     *tally
	rows  filter.Bitmap // that are counted
	n     int           // of the block
	cells []uint32      // by row: its combination
	size  uint64        // combinations are below

	folded []fold   // the fields after those in tuples
	tuples []uint32 // numbers of the first width fields, by combination
	width  int
	first  uint64 // combinations in tuples; 1 without

	local  []uint32
	numbed [][]uint32 // by field: the memory of its fold
	pairs  map[uint64]uint32
	rest   filter.Bitmap
	buf    []byte
	codes  []uint32
	hist   []uint64
	sums   []uint64
}

// A fold is a field whose values are multiplied into the combinations. Value 0
// of a vector's field is its absence, and i+1 entry i.
type fold struct {
	field  int
	n      uint64
	v      *block.Vector // nil: value i has the number i, or fixed has the only one
	numbed []uint32      // of v: numbers plus one, by value, when asked for
	fixed  uint32
}

// reset begins with a block of n records.
func (g *grouper) reset(t *tally, rows filter.Bitmap, n int) {
	g.t, g.rows, g.n = t, rows, n
	g.cells = slices.Grow(g.cells[:0], n)[:n]
	clear(g.cells)
	g.size, g.first, g.width = 1, 1, 0
	g.folded, g.tuples = g.folded[:0], g.tuples[:0]
	g.codes = slices.Grow(g.codes[:0], len(t.fields))[:len(t.fields)]
}

// release lets the block go.
func (g *grouper) release() {
	clear(g.folded[:cap(g.folded)])
	g.t, g.rows = nil, nil
}

// field adds field i to the combinations.
func (g *grouper) field(s source, i int, res *schema.Resolution) error {
	f := fold{field: i, n: 1}
	switch res.Asked {
	case match.Class:
		f.fixed = g.t.Code(i, []byte(s.Class()))
		g.folded = append(g.folded, f)
		return nil
	case match.Line:
		g.clearLocal(g.t.Code(i, nil))
		err := eachLine(s, g.rows, func(row int, line []byte) { g.local[row] = g.t.Code(i, line) })
		return g.numbered(f, err)
	}
	if err := filter.Widen(s, res); err != nil {
		return err
	}
	columns := filter.Resolve(res, s.Columns())
	if len(columns) == 0 {
		f.fixed = g.t.Code(i, nil)
		g.folded = append(g.folded, f)
		return nil
	}
	v, err := s.Load(columns[0])
	if err != nil {
		return err
	}
	if v.Form != block.Plain && (len(columns) == 1 || v.Rows == nil) {
		g.coded(f, v)
		return nil
	}
	g.clearLocal(g.t.Code(i, nil))
	return g.numbered(f, g.texts(s, i, columns))
}

func (g *grouper) clearLocal(code uint32) {
	g.local = slices.Grow(g.local[:0], g.n)[:g.n]
	for i := range g.local {
		g.local[i] = code
	}
}

// numbered adds a field of which local has the numbers by row.
func (g *grouper) numbered(f fold, err error) error {
	if err == nil {
		f.n = uint64(len(g.t.fields[f.field].list))
		g.combine(f)
	}
	return err
}

// texts numbers the values that rows have in the best column for each.
func (g *grouper) texts(s source, field int, columns []int) error {
	g.rest = append(g.rest[:0], g.rows...)
	for _, c := range columns {
		if g.rest.Empty() {
			return nil
		}
		v, err := s.Load(c)
		if err != nil {
			return err
		}
		var known []uint32
		if v.Form != block.Plain {
			known = make([]uint32, v.Entries())
		}
		for i := range v.N {
			row := v.Row(i)
			if !g.rest.Has(row) {
				continue
			}
			e := v.Entry(i)
			if known == nil {
				g.local[row] = g.t.Code(field, g.text(v, e))
				continue
			}
			if known[e] == 0 {
				known[e] = g.t.Code(field, g.text(v, e)) + 1
			}
			g.local[row] = known[e] - 1
		}
		if v.Rows == nil {
			return nil
		}
		for _, r := range v.Rows {
			g.rest[r/64] &^= 1 << (r % 64)
		}
	}
	return nil
}

func (g *grouper) text(v *block.Vector, e int) []byte {
	if v.Kind == record.String {
		return v.Bytes(e)
	}
	g.buf = filter.ValueOf(v, e).AppendText(g.buf[:0])
	return g.buf
}

// coded adds a field by the codes of its constant or dictionary.
func (g *grouper) coded(f fold, v *block.Vector) {
	f.v, f.n = v, uint64(v.Entries()+1)
	if g.size*f.n > maxDense && len(g.folded)+g.width > 0 {
		g.clearLocal(0)
		for i := range v.N {
			g.local[v.Row(i)] = uint32(v.Entry(i)) + 1
		}
		g.combine(f)
		return
	}
	by := uint32(g.size)
	switch {
	case v.Form == block.Const && v.Rows == nil:
		for i := range g.cells {
			g.cells[i] += by
		}
	case v.Form == block.Const:
		for _, r := range v.Rows {
			g.cells[r] += by
		}
	case v.Rows == nil:
		cells := g.cells[:len(v.Codes)]
		for i, c := range v.Codes {
			cells[i] += by * (uint32(c) + 1)
		}
	default:
		rows := v.Rows[:len(v.Codes)]
		for i, c := range v.Codes {
			g.cells[rows[i]] += by * (uint32(c) + 1)
		}
	}
	g.size *= f.n
	g.folded = append(g.folded, f)
}

// combine adds a field of which local has the values by row.
func (g *grouper) combine(f fold) {
	if len(g.folded)+g.width == 0 {
		copy(g.cells, g.local)
		g.size = f.n
		g.folded = append(g.folded, f)
		return
	}
	if g.size*f.n <= maxDense {
		for i, v := range g.local {
			g.cells[i] += uint32(g.size) * v
		}
		g.size *= f.n
		g.folded = append(g.folded, f)
		return
	}
	if g.pairs == nil {
		g.pairs = make(map[uint64]uint32)
	}
	clear(g.pairs)
	var tuples []uint32
	g.folded = append(g.folded, f)
	width := g.width + len(g.folded)
	each(g.rows, func(row int) {
		pair := uint64(g.cells[row])<<32 | uint64(g.local[row])
		n, ok := g.pairs[pair]
		if !ok {
			n = uint32(len(g.pairs))
			g.pairs[pair] = n
			g.decode(g.cells[row], g.folded[:len(g.folded)-1])
			g.codes[f.field] = g.number(&g.folded[len(g.folded)-1], uint64(g.local[row]))
			tuples = append(tuples, g.codes[:width]...)
		}
		g.cells[row] = n
	})
	g.tuples, g.width, g.folded = tuples, width, g.folded[:0]
	g.first = uint64(len(g.pairs))
	g.size = max(g.first, 1)
}

func each(rows filter.Bitmap, f func(row int)) {
	for w, word := range rows {
		for ; word != 0; word &= word - 1 {
			f(w*64 + bits.TrailingZeros64(word))
		}
	}
}

// decode finds the numbers of the fields of a combination.
func (g *grouper) decode(cell uint32, folded []fold) {
	c := uint64(cell)
	if g.width > 0 {
		at := int(c%g.first) * g.width
		copy(g.codes, g.tuples[at:at+g.width])
		c /= g.first
	}
	for i := range folded {
		f := &folded[i]
		g.codes[f.field] = g.number(f, c%f.n)
		c /= f.n
	}
}

// number returns the number of a value of a field.
func (g *grouper) number(f *fold, value uint64) uint32 {
	if f.v == nil {
		if f.n == 1 {
			return f.fixed
		}
		return uint32(value)
	}
	if f.numbed == nil {
		for len(g.numbed) <= f.field {
			g.numbed = append(g.numbed, nil)
		}
		f.numbed = slices.Grow(g.numbed[f.field][:0], int(f.n))[:f.n]
		clear(f.numbed)
		g.numbed[f.field] = f.numbed
	}
	if f.numbed[value] == 0 {
		var text []byte
		if value > 0 {
			text = g.text(f.v, int(value-1))
		}
		f.numbed[value] = g.t.Code(f.field, text) + 1
	}
	return f.numbed[value] - 1
}

// count adds the records to the tally. buckets are by row, from first on, and
// nil when all are in first; sizes are by row, or nil.
func (g *grouper) count(first, buckets int, bucket, sizes []uint32) error {
	cells := g.size * uint64(buckets)
	if cells > maxHist || cells > uint64(4*g.n+1024) {
		return g.countEach(first, bucket, sizes)
	}
	g.hist = slices.Grow(g.hist[:0], int(cells))[:cells]
	clear(g.hist)
	if sizes != nil {
		g.sums = slices.Grow(g.sums[:0], int(cells))[:cells]
		clear(g.sums)
	}
	if bucket != nil {
		by := uint32(g.size)
		for i, b := range bucket[:g.n] {
			g.cells[i] += by * b
		}
	}
	g.histogram(sizes)
	for cell, n := range g.hist {
		if n == 0 {
			continue
		}
		g.decode(uint32(uint64(cell)%g.size), g.folded)
		sum := uint64(0)
		if sizes != nil {
			sum = g.sums[cell]
		}
		if err := g.t.add(g.codes, first+cell/int(g.size), n, sum); err != nil {
			return err
		}
	}
	return nil
}

func (g *grouper) histogram(sizes []uint32) {
	hist := g.hist
	for w, word := range g.rows {
		base := w * 64
		switch {
		case word == 0:
		case word == ^uint64(0) && sizes == nil:
			for _, c := range g.cells[base : base+64] {
				hist[c]++
			}
		default:
			for ; word != 0; word &= word - 1 {
				row := base + bits.TrailingZeros64(word)
				c := g.cells[row]
				hist[c]++
				if sizes != nil {
					g.sums[c] += uint64(sizes[row])
				}
			}
		}
	}
}

// countEach adds record by record, when there are too many combinations.
func (g *grouper) countEach(first int, bucket, sizes []uint32) (err error) {
	each(g.rows, func(row int) {
		if err != nil {
			return
		}
		b, sum := first, uint64(0)
		if bucket != nil {
			b += int(bucket[row])
		}
		if sizes != nil {
			sum = uint64(sizes[row])
		}
		g.decode(g.cells[row], g.folded)
		err = g.t.add(g.codes, b, 1, sum)
	})
	return err
}
