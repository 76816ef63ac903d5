package block

import (
	"encoding/binary"
	"math"
	"slices"
	"sync"

	"github.com/meshtrail/meshtrail/internal/record"
)

// codec names how a column's values are written; part of the format.
type codec uint8

const (
	codecConst    codec = 1  // head: one entry; body: presence
	codecDict     codec = 2  // head: entries, or none; body: presence, entries if not in the head, codes
	codecInts     codec = 3  // body: presence, ints
	codecString   codec = 4  // body: presence, lengths, bytes
	codecFloats   codec = 5  // body: presence, floats
	codecBits     codec = 6  // body: presence, bits
	codecHex      codec = 7  // body: presence, two digits a byte
	codecUUID     codec = 8  // body: presence, 16 bytes a value
	codecDecimal  codec = 9  // body: presence, ints: decimal texts
	codecOrigin   codec = 10 // body: sequence numbers and what hangs on them
	codecSplit    codec = 11 // body: presence, templates and variables
	codecIPv4     codec = 12 // body: presence, ints: addresses
	codecIPv6     codec = 13 // body: presence, ints: upper and lower halves of addresses
	codecDerived  codec = 14 // head: base, and entries of a map; body: what tells it from the base
	codecFraction codec = 15 // body: presence, decimals, ints: decimal texts with a point
	codecRest     codec = 32 // head: how much; body: the fields without a column
)

const (
	maxInline    = 512     // bytes of a body that lives in the header
	maxHeadTable = 4 << 10 // bytes of a dictionary that lives in the header
	maxHeadPlain = 8 << 10 // and that is compressed with the header only
	minSplitDict = 256     // entries of a dictionary that may be split into templates
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

	of     *Header
	number int // among its Columns
	rows   int // of the block
	codec  codec

	derived byte // of a derived column: how
	form    Form // of one that is the same
	base    int  // and what it follows from
	Groups  int  // of RestKind: names and kinds in it
	total   int  // of RestKind: values of all of them

	entries int   // that the header holds; see parts
	head    piece // these, or the alphabet
	inline  piece // the body, when it is in the header
	Body    int   // plain size of the body's chunk, 0 if it has none
	chunk   Chunk
}

// A Chunk says where the body's chunk of a column is among those of its block.
type Chunk struct {
	Number int   // of chunks before it
	Before int64 // plain bytes of these
}

// Chunk returns where the chunk of a column with a Body is.
func (c *Column) Chunk() Chunk { return c.chunk }

// after returns where the chunk of the column after this one is.
func (c *Column) after() Chunk {
	if c.Body == 0 {
		return c.chunk
	}
	return Chunk{c.chunk.Number + 1, c.chunk.Before + int64(c.Body)}
}

// Form says how the column's values are held.
func (c *Column) Form() Form {
	switch c.codec {
	case codecConst:
		return Const
	case codecDict:
		return Dict
	case codecDerived:
		if c.derived == derivedMap {
			return Dict
		}
		return c.form
	}
	return Plain
}

// encoded is one column on its way into a block.
type encoded struct {
	codec    codec
	head     []byte
	body     []byte
	first    []uint32 // values that hold every distinct one; nil: not known
	min, max uint64
}

// newDraft finds whether a column is a constant or a dictionary. Codes are those
// of Input; codes that are found are appended to arena.
func newDraft(c *record.Column, codes []uint16, arena *[]uint16) draft {
	d := draft{c: c, base: -1, codes: codes}
	d.min, d.max = extremes(c)
	switch {
	case constant(c):
		d.codec, d.first = codecConst, []uint32{0}
	case codes != nil:
		d.codec, d.first = codecDict, make([]uint32, len(c.Ends))
		for i := range d.first {
			d.first[i] = uint32(i)
		}
	case c.Kind == record.String || c.Kind == record.Int:
		b := dictPool.Get().(*dictBuilder)
		if b.build(c) {
			d.codec, d.first = codecDict, slices.Clone(b.first)
			n := len(*arena)
			*arena = append(*arena, b.codes...)
			d.codes = (*arena)[n:len(*arena):len(*arena)]
		}
		dictPool.Put(b)
	}
	return d
}

// encode writes draft i; the body is written to dst.
func encode(ds []draft, i, rows int, dst []byte) encoded {
	d := &ds[i]
	c := d.c
	e := encoded{codec: d.codec, first: d.first, min: d.min, max: d.max}
	if d.base >= 0 {
		e.writeDerived(d, &ds[d.base], rows, dst)
		return e
	}
	dst = appendPresence(dst, c.Rows, rows)
	switch {
	case d.codec == codecConst:
		e.head, e.body = appendEntries(nil, c, d.first), dst
	case d.codec == codecDict:
		if !e.splitDict(d, dst) {
			dst = e.table(c, d.first, d.codes, dst)
			e.body = appendCodes(dst, d.codes, len(d.first))
		}
	case c.Kind == record.Int:
		e.codec, e.body = codecInts, appendInts(dst, c.Nums)
	case c.Kind == record.Float:
		e.codec, e.body = codecFloats, appendFloats(dst, c.Nums)
	case c.Kind == record.Bool:
		e.codec, e.body = codecBits, appendBits(dst, c.Nums)
	default:
		e.strings(c, dst)
	}
	return e
}

// strings writes a string column that is no dictionary.
func (e *encoded) strings(c *record.Column, dst []byte) {
	form := packedForm(c)
	b, ok := appendForm(dst, form, c)
	if !ok || !form.short() && !worthPacking(c, len(b)-len(dst)) {
		e.text(c, dst)
		return
	}
	e.codec, e.body = form, b
}

// short reports whether nothing else takes less than a packed form.
func (d codec) short() bool { return d == codecHex || d == codecUUID || d == codecDecimal }

// appendForm writes a string column in a packed form, or reports false when a
// value has another.
func appendForm(dst []byte, form codec, c *record.Column) ([]byte, bool) {
	switch form {
	case codecHex:
		return appendHex(dst, c)
	case codecUUID:
		return appendUUIDs(dst, c)
	case codecDecimal:
		return appendDecimals(dst, c)
	case codecIPv4:
		return appendIPv4s(dst, c)
	case codecIPv6:
		return appendIPv6s(dst, c)
	case codecFraction:
		return appendFractions(dst, c)
	}
	return dst, false
}

// splitDict writes a large dictionary packed as numbers or split into templates,
// if that is much smaller than it would be, or reports false.
func (e *encoded) splitDict(d *draft, dst []byte) bool {
	c := d.c
	if c.Kind != record.String || d.taken || len(d.first) < minSplitDict || 8*len(d.first) < len(d.codes) {
		return false
	}
	if len(c.Ends) != len(d.codes) {
		x := expandedPool.Get().(*record.Column)
		defer expandedPool.Put(x)
		x.Kind, x.Ends, x.Data = record.String, x.Ends[:0], x.Data[:0]
		for _, k := range d.codes {
			x.Data = append(x.Data, c.Bytes(int(k))...)
			x.Ends = append(x.Ends, uint32(len(x.Data)))
		}
		c = x
	}
	// Codes hardly compress, and an entry takes three bytes and more.
	size := packedSize(len(d.codes), uint(d.bits())) + 3*len(d.first)
	if form := packedForm(c); !form.short() {
		if b, ok := appendForm(dst, form, c); ok && len(b)-len(dst) <= size*3/4 {
			e.codec, e.body = form, b
			return true
		}
	}
	b, ok := appendSplit(dst, c)
	if !ok || len(b)-len(dst) > size*3/4 {
		return false
	}
	e.codec, e.body, e.head = codecSplit, b, BytesOf(d.c.Data).append(nil)
	return true
}

var expandedPool = sync.Pool{New: func() any { return new(record.Column) }}

// text writes a column of strings split into templates if that is smaller than
// compressing them.
func (e *encoded) text(c *record.Column, dst []byte) {
	at := len(dst)
	e.head = BytesOf(c.Data).append(nil)
	if b, ok := appendSplit(dst, c); ok {
		if size := len(b) - at; size < plainSize(c)*7/8 {
			e.codec, e.body = codecSplit, b
			return
		}
		dst = b[:at]
	}
	e.codec, e.body = codecString, appendStrings(dst, c.Ends, c.Data)
}

// worthPacking reports whether a column that takes size bytes packed as numbers
// would not take an eighth less as texts, judged by a part of it. Numbers are
// written several times faster.
func worthPacking(c *record.Column, size int) bool {
	if plainSize(c) < size*7/8 {
		return false
	}
	some := sample(c)
	b, ok := appendSplit(nil, some)
	return !ok || len(b)*len(c.Ends)/len(some.Ends) >= size*7/8
}

// plainSize guesses how much appendStrings takes, from a part of the values.
func plainSize(c *record.Column) int {
	some := sample(c)
	return len(appendStrings(nil, some.Ends, some.Data)) * len(c.Ends) / len(some.Ends)
}

// sample returns a part of a string column, from its middle.
func sample(c *record.Column) *record.Column {
	n := len(c.Ends)
	part := max(n/16, min(n, 256))
	from := (n - part) / 2
	at := uint32(0)
	if from > 0 {
		at = c.Ends[from-1]
	}
	some := &record.Column{Kind: record.String, Data: c.Data[at:c.Ends[from+part-1]]}
	some.Ends = make([]uint32, 0, part)
	for _, end := range c.Ends[from : from+part] {
		some.Ends = append(some.Ends, end-at)
	}
	return some
}

// table writes the entries of a dictionary to the head, or to dst if they are
// too large.
func (e *encoded) table(c *record.Column, first []uint32, codes []uint16, dst []byte) []byte {
	table := binary.AppendUvarint(make([]byte, 0, 1024), uint64(len(first)))
	if size := entriesSize(c, first); size <= maxHeadPlain {
		table = appendPlainEntries(table, c, first, size)
	} else if table = appendEntries(table, c, first); len(table) > maxHeadTable {
		if c.Kind == record.String {
			e.head = BytesOf(c.Data).append(append(e.head, 0))
		}
		return append(dst, table...)
	}
	e.head = append(e.head, appendCounts(table, codes, len(first))...)
	return dst
}

// entriesSize returns the bytes of chosen strings, and too much for anything else.
func entriesSize(c *record.Column, values []uint32) (n int) {
	if c.Kind != record.String {
		return maxHeadPlain + 1
	}
	for _, i := range values {
		n += len(c.Bytes(int(i)))
	}
	return n
}

// appendPlainEntries writes strings that the header is going to compress with
// those of its other columns, which often have much in common.
func appendPlainEntries(dst []byte, c *record.Column, values []uint32, size int) []byte {
	lens := make([]uint64, len(values))
	for k, i := range values {
		lens[k] = uint64(len(c.Bytes(int(i))))
	}
	dst = appendInts(dst, lens)
	dst = binary.AppendUvarint(append(dst, blobRaw), uint64(size))
	for _, i := range values {
		dst = append(dst, c.Bytes(int(i))...)
	}
	return dst
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

// appendCounts writes how many of the codes name each of n entries.
func appendCounts(dst []byte, codes []uint16, n int) []byte {
	counts := make([]uint32, n)
	for _, c := range codes {
		counts[c]++
	}
	for _, c := range counts {
		dst = binary.AppendUvarint(dst, uint64(c))
	}
	return dst
}

// counts reads how many values each of n entries has, of so many in all.
func (c *cursor) counts(n, values int) []uint32 {
	out := make([]uint32, n)
	left := values
	for i := range out {
		k := c.count(left, "values of an entry")
		out[i] = uint32(k)
		left -= k
	}
	if left != 0 {
		c.fail("%d of %d values are of no entry", left, values)
	}
	return out
}

// Decode reads the column from its body. One that has a Base also needs that
// one's vector; for others base is nil.
func (c *Column) Decode(body []byte, base *Vector) (*Vector, error) {
	in := cursor{b: body}
	if c.codec == codecDerived {
		v := c.follow(&in, base)
		return v, in.end("derived column " + c.Name)
	}
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
		if one := in.tableOf(c); in.err == nil {
			v.Form, v.Nums, v.Ends, v.Data = Const, one.Nums, one.Ends, one.Data
		}
	case codecDict:
		if table := in.tableOf(c); in.err == nil {
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
	case codecSplit:
		in.templates(v, n)
	case codecHex:
		in.hex(v, n)
	case codecUUID:
		in.uuids(v, n)
	case codecDecimal:
		in.decimals(v, n)
	case codecIPv4:
		in.ipv4s(v, n)
	case codecIPv6:
		in.ipv6s(v, n)
	case codecFraction:
		in.fractions(v, n)
	}
	if err := in.end("column " + c.Name); err != nil {
		return nil, err
	}
	return v, nil
}

// tableOf returns the entries of a dictionary, which the body has when the
// header does not.
func (c *cursor) tableOf(col *Column) *Vector {
	if col.entries > 0 {
		p := col.of.entriesOf(col)
		if p.err != nil {
			c.fail("%w", p.err)
		}
		return p.entries
	}
	return c.entries(col.Kind, c.count(min(MaxDict, col.rows), "entries of a dictionary"))
}

// fits reports whether a codec can hold a kind.
func (d codec) fits(k record.Kind) bool {
	switch d {
	case codecConst, codecDerived:
		return k >= record.String && k <= record.Bool
	case codecDict:
		return k == record.String || k == record.Int
	case codecInts:
		return k == record.Int || k == TimeKind
	case codecFloats:
		return k == record.Float
	case codecBits:
		return k == record.Bool
	case codecString, codecSplit, codecHex, codecUUID, codecDecimal, codecIPv4, codecIPv6, codecFraction:
		return k == record.String
	case codecOrigin:
		return k == OriginKind
	case codecRest:
		return k == RestKind
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
