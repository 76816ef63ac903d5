package store

import (
	"slices"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store/block"
	"github.com/meshtrail/meshtrail/internal/store/filter"
)

// A sizer finds how long the lines of a block's records are, without writing
// them: the length of each field as JSON is found once for each entry of a
// dictionary. Its memory is used again.
type sizer struct {
	sizes []uint32
	rest  filter.Bitmap // rows without a body
	table []uint32
	buf   []byte
	one   [1]record.Field
}

// bodyField means the columns in which records keep their line.
var bodyField = schema.Resolve(record.Body)

// lines returns the length of the line of each of rows.
func (z *sizer) lines(s source, rows filter.Bitmap) ([]uint32, error) {
	if err := filter.Widen(s, &bodyField); err != nil {
		return nil, err
	}
	z.sizes = slices.Grow(z.sizes[:0], s.Rows())[:s.Rows()]
	z.rest = append(z.rest[:0], rows...)
	var bodies []*block.Vector
	cols := s.Columns()
	for i := range cols {
		if cols[i].Name != record.Body {
			continue
		}
		v, err := s.Load(i)
		if err != nil {
			return nil, err
		}
		if v.Kind != record.String { // rare: a body may have two kinds then
			return z.sizes, eachLine(s, rows, func(row int, line []byte) { z.sizes[row] = uint32(len(line)) })
		}
		bodies = append(bodies, v)
		for k := range v.N {
			row := v.Row(k)
			z.rest[row/64] &^= 1 << (row % 64)
		}
	}
	if !z.rest.Empty() {
		if err := z.json(s); err != nil {
			return nil, err
		}
	}
	for _, v := range bodies {
		for k := range v.N {
			z.sizes[v.Row(k)] = uint32(len(v.Bytes(v.Entry(k))))
		}
	}
	return z.sizes, nil
}

// json finds the lengths as JSON: braces, and for each field its name, a colon,
// its value and a comma, but for the last.
func (z *sizer) json(s source) error {
	if err := filter.Widen(s, nil); err != nil {
		return err
	}
	for i := range z.sizes {
		z.sizes[i] = 2
	}
	cols := s.Columns()
	for i := range cols {
		if cols[i].Name == record.Labels || cols[i].Name == record.Body {
			continue
		}
		v, err := s.Load(i)
		if err != nil {
			return err
		}
		z.column(cols[i].Name, v)
	}
	for i, n := range z.sizes {
		if n > 2 {
			z.sizes[i]--
		}
	}
	return nil
}

func (z *sizer) column(name string, v *block.Vector) {
	if v.Form == block.Plain && v.Kind == record.String && plainText(v.Data) {
		z.one[0] = record.Field{Name: name, Value: record.StringValue("")}
		fixed := z.field() + 1
		start := uint32(0)
		for k, end := range v.Ends {
			z.sizes[v.Row(k)] += fixed + end - start
			start = end
		}
		return
	}
	if v.Form == block.Plain {
		for k := range v.N {
			z.one[0] = record.Field{Name: name, Value: filter.ValueOf(v, k)}
			z.sizes[v.Row(k)] += z.field() + 1
		}
		return
	}
	z.table = slices.Grow(z.table[:0], v.Entries())[:v.Entries()]
	for e := range z.table {
		z.one[0] = record.Field{Name: name, Value: filter.ValueOf(v, e)}
		z.table[e] = z.field() + 1
	}
	for k := range v.N {
		z.sizes[v.Row(k)] += z.table[v.Entry(k)]
	}
}

// field returns the length of a field as JSON.
func (z *sizer) field() uint32 {
	z.buf = match.AppendSorted(z.buf[:0], z.one[:])
	return uint32(len(z.buf) - len("{}"))
}

// plainText reports whether JSON writes every text in b as it is.
func plainText(b []byte) bool {
	for _, c := range b {
		if c < 0x20 || c >= 0x80 || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
