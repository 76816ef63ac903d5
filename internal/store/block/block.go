// Package block turns the columns of up to MaxRows records into bytes and back.
//
// A block is the unit of compression and of pruning. It consists of one header,
// which holds names, kinds, minima and maxima, constants, dictionaries and every
// small column, and of one body for each larger column, so that a reader decides
// from the header alone whether the block can hold a match. The package knows
// neither files nor keys: package segment seals and places the bytes.
//
// The bytes, integers little-endian, uvarint and varint (zigzag) as in package
// encoding/binary:
//
//	header  | version u8 | rows | raw bytes | times min max | columns | column … |
//	column  | name | kind u8 | values | codec u8 | min max | head | place u8 | body or sizes |
//	body    | presence u8 … | values … |
//	ints    | form u8 | … |   const, frame of reference, delta, delta of delta, varint+zstd
//	blob    | form u8 | size | stored | … |   raw or zstd
//
// spec/segment.md draws each field. Every decoder takes bytes that may be
// damaged: it returns fault.Corrupt, never panics, and one decoded column takes
// no more than a small multiple of MaxBody.
//
// Memory: an encoder appends to the caller's buffer and keeps nothing. A decoded
// Vector owns its memory, is immutable and may be shared between goroutines.
// Nothing here survives a crash by itself.
package block

import (
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Version of the block format that is written, in front of every header. Those
// before it are read: one of version 1 does not say how many values each entry
// of a dictionary has.
const Version = 2

// Limits of a block. A builder stays below them; a decoder refuses what exceeds
// them.
const (
	MaxRows    = 1 << 20  // records
	MaxColumns = 1 << 17  // columns
	MaxBody    = 64 << 20 // bytes of one decoded column
	MaxDict    = 1 << 16  // dictionary entries
)

// The kinds of the two columns every block has, which are not a record's fields.
const (
	TimeKind   record.Kind = 16 // event times
	OriginKind record.Kind = 17 // order and ingest times
)

// Form says how a Vector holds its values.
type Form uint8

// The forms.
const (
	Plain Form = iota // value i is entry i
	Const             // every value is entry 0
	Dict              // value i is entry Codes[i]
)

// A Vector is one decoded column. It has N values; value i belongs to the row
// Rows[i], or to row i when Rows is nil. Entries are in Nums (Int, Float, Bool,
// as in record.Column) or, for String, in Data cut at Ends.
type Vector struct {
	Kind  record.Kind
	Form  Form
	N     int
	Rows  []uint32
	Codes []uint16
	Nums  []uint64
	Ends  []uint32
	Data  []byte
}

// Entries returns the number of entries.
func (v *Vector) Entries() int {
	if v.Kind == record.String {
		return len(v.Ends)
	}
	return len(v.Nums)
}

// Entry returns which entry value i is.
func (v *Vector) Entry(i int) int {
	switch v.Form {
	case Const:
		return 0
	case Dict:
		return int(v.Codes[i])
	}
	return i
}

// Bytes returns string entry e, aliasing the vector.
func (v *Vector) Bytes(e int) []byte {
	start := uint32(0)
	if e > 0 {
		start = v.Ends[e-1]
	}
	end := v.Ends[e]
	return v.Data[start:end:end]
}

// Row returns the row of value i.
func (v *Vector) Row(i int) int {
	if v.Rows == nil {
		return i
	}
	return int(v.Rows[i])
}

// Find returns which value row has.
func (v *Vector) Find(row int) (int, bool) {
	if v.Rows == nil {
		return row, row < v.N
	}
	lo, hi := 0, len(v.Rows)
	if row < hi { // at most row values lie before it
		hi = row + 1
	}
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if int(v.Rows[m]) < row {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo, lo < len(v.Rows) && int(v.Rows[lo]) == row
}

// Size returns the bytes of memory the vector holds, about.
func (v *Vector) Size() int64 {
	return int64(4*cap(v.Rows) + 2*cap(v.Codes) + 8*cap(v.Nums) + 4*cap(v.Ends) + cap(v.Data) + 160)
}

// FromColumn makes a vector of a column under construction, sharing its memory.
// The column's slices below their lengths MUST NOT change any more.
func FromColumn(c *record.Column, rows int) *Vector {
	v := &Vector{Kind: c.Kind, N: len(c.Rows), Nums: c.Nums, Ends: c.Ends, Data: c.Data}
	if len(c.Rows) != rows {
		v.Rows = c.Rows
	}
	return v
}

func corrupt(format string, args ...any) error {
	return fault.Errorf(fault.Corrupt, "decode block: "+format, args...)
}

// cut copies s to its exact size.
func cut[T any](s []T) []T { return append(make([]T, 0, len(s)), s...) }
