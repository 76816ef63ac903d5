package record

import (
	"math"
	"sync/atomic"
)

// layouts numbers the layouts of all batches, so that a batch which was emptied
// by assignment has none of its old numbers.
var layouts atomic.Uint64

// A writer of many records of one shape need not name a column for each value:
// it asks for the Column once and puts values into it. Put* is what Str, Int and
// the others do after they found the column.

// Layout changes whenever a Column that Open returned may no longer be the
// column of its name: it was renamed, or the batch let its columns go. No two
// batches have the same.
func (b *Batch) Layout() uint64 {
	if b.layout == 0 {
		b.layout = layouts.Add(1)
	}
	return b.layout
}

// Open returns the column of a name and kind, adding it if it is not there. The
// Column belongs to the batch and stays that column while Layout is the same,
// over any number of Resets.
func (b *Batch) Open(name string, kind Kind) *Column {
	i, ok := b.index[colKey{name, kind}]
	if !ok {
		i = b.addColumn(name, kind)
	}
	return b.cols[i]
}

// PutBytes sets the open record's value of a String column of b. v is copied.
func (b *Batch) PutBytes(c *Column, v []byte) {
	if c.last == b.begun {
		c.pop()
	}
	c.last = b.begun
	c.Rows = append(c.Rows, uint32(len(b.times)-1))
	c.Data = append(c.Data, v...)
	c.Ends = append(c.Ends, uint32(len(c.Data)))
}

// PutStr is PutBytes for a string.
func (b *Batch) PutStr(c *Column, v string) {
	c.begin(b)
	c.Data = append(c.Data, v...)
	c.Ends = append(c.Ends, uint32(len(c.Data)))
}

// PutNum sets the open record's value of an Int, Float or Bool column of b, as
// Column.Nums holds it.
func (b *Batch) PutNum(c *Column, v uint64) {
	c.begin(b)
	c.Nums = append(c.Nums, v)
}

// PutValue sets the open record's value of a column of b that is of v's kind.
func (b *Batch) PutValue(c *Column, v *Value) {
	switch v.Kind {
	case String:
		b.PutStr(c, v.Str)
	case Float:
		b.PutNum(c, math.Float64bits(v.Flt))
	case Bool:
		var n uint64
		if v.Int != 0 {
			n = 1
		}
		b.PutNum(c, n)
	default:
		b.PutNum(c, uint64(v.Int))
	}
}

// Holds reports whether the open record has a value in a column of b.
func (b *Batch) Holds(c *Column) bool { return c.last == b.begun }

// begin appends a row. A value that the record has already is taken back: the
// last one stays. The row before is not asked for it, because with many columns
// it is no longer in the nearest cache.
func (c *Column) begin(b *Batch) {
	if c.last == b.begun {
		c.pop()
	}
	c.last = b.begun
	c.Rows = append(c.Rows, uint32(len(b.times)-1))
}
