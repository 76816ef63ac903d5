package block

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/meshtrail/meshtrail/internal/record"
)

// codec names how a column's values are written; part of the format.
type codec uint8

const (
	codecConst   codec = 1  // head: one entry; body: presence
	codecDict    codec = 2  // head: entries, or none; body: presence, entries if not in the head, codes
	codecInts    codec = 3  // body: presence, ints
	codecString  codec = 4  // body: presence, lengths, bytes
	codecFloats  codec = 5  // body: presence, floats
	codecBits    codec = 6  // body: presence, bits
	codecHex     codec = 7  // body: presence, two digits a byte
	codecUUID    codec = 8  // body: presence, 16 bytes a value
	codecDecimal codec = 9  // body: presence, ints: decimal texts
	codecOrigin  codec = 10 // body: sequence numbers and what hangs on them
)

const (
	maxInline    = 512     // bytes of a body that lives in the header
	maxHeadTable = 4 << 10 // bytes of a dictionary that lives in the header
)

// A Column describes one column of a block, from its header. Entries of a
// constant, and of a dictionary small enough, are at hand; other values need
// the body.
type Column struct {
	Name   string
	Kind   record.Kind
	Values int // how many rows have a value

	// Min and Max bound the values of Int (two's complement) and Float (bits,
	// NaN left out: Min is above Max when there is nothing else).
	Min, Max uint64

	codec codec
	head  *Vector // entries, when they are in the header
	rows  int     // of the block

	inline []byte // the body, when it is in the header
	Body   int    // plain size of the body's chunk, 0 if it has none
}

// Form says how the column's values are held.
func (c *Column) Form() Form {
	switch c.codec {
	case codecConst:
		return Const
	case codecDict:
		return Dict
	}
	return Plain
}

// Head returns the entries of a constant or of a small dictionary without its
// codes, or nil: enough to decide which entries match.
func (c *Column) Head() *Vector { return c.head }

// encoded is one column on its way into a block.
type encoded struct {
	codec    codec
	head     []byte
	body     []byte
	first    []uint32 // values that hold every distinct one; nil: not known
	min, max uint64
}

// encodeColumn chooses the codec of a column and writes it; the body is written
// to scratch. Codes are those of Input.
func encodeColumn(c *record.Column, codes []uint16, rows int, scratch []byte) encoded {
	e := encoded{}
	e.min, e.max = extremes(c)
	if constant(c) {
		e.codec, e.first = codecConst, []uint32{0}
		e.head = appendEntries(nil, c, []uint32{0})
		e.body = appendPresence(scratch, c.Rows, rows)
		return e
	}
	e.body = appendPresence(scratch, c.Rows, rows)
	if codes != nil {
		first := make([]uint32, len(c.Ends))
		for i := range first {
			first[i] = uint32(i)
		}
		e.dict(c, first, codes)
		return e
	}
	if c.Kind == record.String || c.Kind == record.Int {
		d := dictPool.Get().(*dictBuilder)
		defer dictPool.Put(d)
		if d.build(c) {
			e.dict(c, slices.Clone(d.first), d.codes)
			return e
		}
	}
	switch c.Kind {
	case record.Int:
		e.codec, e.body = codecInts, appendInts(e.body, c.Nums)
	case record.Float:
		e.codec, e.body = codecFloats, appendFloats(e.body, c.Nums)
	case record.Bool:
		e.codec, e.body = codecBits, appendBits(e.body, c.Nums)
	default:
		switch e.codec = packedForm(c); e.codec {
		case codecHex:
			e.body = appendHex(e.body, c)
		case codecUUID:
			e.body = appendUUIDs(e.body, c)
		case codecDecimal:
			e.body = appendDecimals(e.body, c)
		default:
			e.body = appendStrings(e.body, c.Ends, c.Data)
		}
	}
	return e
}

func (e *encoded) dict(c *record.Column, first []uint32, codes []uint16) {
	e.codec, e.first = codecDict, first
	table := binary.AppendUvarint(nil, uint64(len(first)))
	table = appendEntries(table, c, first)
	if len(table) <= maxHeadTable {
		e.head = table
	} else {
		e.body = append(e.body, table...)
	}
	e.body = appendCodes(e.body, codes, len(first))
}

func constant(c *record.Column) bool {
	if c.Kind == record.String {
		first := c.Bytes(0)
		if len(first) > maxInline || len(first)*len(c.Ends) != len(c.Data) {
			return false
		}
		for i := 1; i < len(c.Ends); i++ {
			if string(c.Bytes(i)) != string(first) {
				return false
			}
		}
		return true
	}
	for _, v := range c.Nums[1:] {
		if v != c.Nums[0] {
			return false
		}
	}
	return true
}

func extremes(c *record.Column) (lo, hi uint64) {
	switch c.Kind {
	case record.Int:
		a, b := int64(c.Nums[0]), int64(c.Nums[0])
		for _, v := range c.Nums[1:] {
			a, b = min(a, int64(v)), max(b, int64(v))
		}
		return uint64(a), uint64(b)
	case record.Float:
		a, b := math.Inf(1), math.Inf(-1)
		for _, v := range c.Nums {
			if f := float(v); !math.IsNaN(f) {
				a, b = min(a, f), max(b, f)
			}
		}
		return math.Float64bits(a), math.Float64bits(b)
	}
	return 0, 0
}

// appendEntries writes chosen values of a column: strings, ints, or raw bits.
func appendEntries(dst []byte, c *record.Column, values []uint32) []byte {
	switch c.Kind {
	case record.String:
		ends := make([]uint32, 0, len(values))
		var data []byte
		for _, i := range values {
			data = append(data, c.Bytes(int(i))...)
			ends = append(ends, uint32(len(data)))
		}
		return appendStrings(dst, ends, data)
	case record.Float:
		for _, i := range values {
			dst = appendFloat(dst, c.Nums[i])
		}
		return dst
	}
	nums := make([]uint64, 0, len(values))
	for _, i := range values {
		nums = append(nums, c.Nums[i])
	}
	return appendInts(dst, nums)
}

func (c *cursor) entries(kind record.Kind, n int) *Vector {
	v := &Vector{Kind: kind, N: n}
	switch kind {
	case record.String:
		c.strings(v, n)
	case record.Float:
		for range n {
			v.Nums = append(v.Nums, c.u64())
		}
	default:
		v.Nums = c.ints(n)
	}
	return v
}

// decodeHead reads the entries that a header holds.
func (c *Column) decodeHead(head []byte) error {
	in := cursor{b: head}
	switch {
	case c.codec == codecConst:
		c.head = in.entries(c.Kind, 1)
		c.head.Form = Const
	case c.codec == codecDict && len(head) > 0:
		n := in.count(min(MaxDict, c.rows), "entries of a dictionary")
		c.head = in.entries(c.Kind, n)
		c.head.Form = Dict
	}
	return in.end("the head of column " + c.Name)
}

// Inline returns the body when it lives in the header. A column whose Body is 0
// has its body inline.
func (c *Column) Inline() []byte { return c.inline }

// Decode reads the column from its body.
func (c *Column) Decode(body []byte) (*Vector, error) {
	in := cursor{b: body}
	v := &Vector{Kind: c.Kind, N: c.Values}
	switch c.Kind {
	case TimeKind:
		v.Nums = in.ints(c.rows)
		return v, in.end("the times")
	case OriginKind:
		in.origin(v, c.rows)
		return v, in.end("the origins")
	}
	v.Rows = in.presence(c.Values, c.rows)
	if in.err != nil {
		return nil, in.err
	}
	n := c.Values
	switch c.codec {
	case codecConst:
		v.Form, v.Nums, v.Ends, v.Data = Const, c.head.Nums, c.head.Ends, c.head.Data
	case codecDict:
		table := c.head
		if table == nil {
			table = in.entries(c.Kind, in.count(min(MaxDict, c.rows), "entries of a dictionary"))
		}
		if in.err == nil {
			v.Form, v.Nums, v.Ends, v.Data = Dict, table.Nums, table.Ends, table.Data
			v.Codes = in.codes(n, v.Entries())
		}
	case codecInts:
		v.Nums = in.ints(n)
	case codecFloats:
		v.Nums = in.floats(n)
	case codecBits:
		v.Nums = in.bits(n)
	case codecString:
		in.strings(v, n)
	case codecHex:
		in.hex(v, n)
	case codecUUID:
		in.uuids(v, n)
	case codecDecimal:
		in.decimals(v, n)
	}
	if err := in.end("column " + c.Name); err != nil {
		return nil, err
	}
	return v, nil
}

// fits reports whether a codec can hold a kind.
func (d codec) fits(k record.Kind) bool {
	switch d {
	case codecConst:
		return k >= record.String && k <= record.Bool
	case codecDict:
		return k == record.String || k == record.Int
	case codecInts:
		return k == record.Int || k == TimeKind
	case codecFloats:
		return k == record.Float
	case codecBits:
		return k == record.Bool
	case codecString, codecHex, codecUUID, codecDecimal:
		return k == record.String
	case codecOrigin:
		return k == OriginKind
	}
	return false
}

// MemoryColumn describes a column that is not encoded: it may hold any value.
func MemoryColumn(name string, kind record.Kind, values int) Column {
	c := Column{Name: name, Kind: kind, Values: values, codec: codecString}
	switch kind {
	case record.Int:
		c.Min, c.Max = 1<<63, 1<<63-1
	case record.Float:
		c.Min, c.Max = math.Float64bits(math.Inf(-1)), math.Float64bits(math.Inf(1))
	}
	return c
}
