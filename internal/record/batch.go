package record

import (
	"math"
	"sort"
	"strings"
)

// MaxRows is the largest number of records in one batch.
const MaxRows = 1 << 20

// A Batch is records of one tenant and source, held by column so that nothing
// is allocated per record and a store can encode a column at once. Build it
// with Begin, the setters and End; read it by Columns or by View.
//
// A Batch is not safe for concurrent use. Whoever calls Append lends it: after
// Append returns it may be Reset and filled again.
type Batch struct {
	ID      BatchID
	Tenant  TenantID
	Source  string // counted name of the source, 1 to 128 bytes; never from the record
	Ingest  int64  // when the batch was received, ns
	Account Account

	// Ord is the commit order of the first record; the store sets it.
	Ord uint64

	times   []int64
	classes []uint8 // per record, index into Classes
	names   []Class
	cols    []*Column
	index   map[colKey]int
	next    int    // the column that the last record of this shape used next
	begun   uint64 // records begun so far, over all Resets
	layout  uint64 // 0: not numbered yet
	open    bool
}

type colKey struct {
	name string
	kind Kind
}

// A Column holds the values of one name and kind. Value i belongs to record
// Rows[i]; Rows ascends strictly. Its slices belong to the batch.
//
// Entries and Codes number the values of a column that has few distinct ones:
// value i equals value Entries[Codes[i]], and entries stand in the order of
// their first use. A constant column has one entry and no codes. Both are empty
// where the numbers are not known, which is so until Number, AppendEncoded or
// Decode found them, and after every change.
type Column struct {
	Name string
	Kind Kind
	last uint64 // Batch.begun when it got its last value
	Rows []uint32
	Ends []uint32 // String: value i is Data[Ends[i-1]:Ends[i]]
	Data []byte
	Nums []uint64 // Int (two's complement), Float (IEEE 754 bits), Bool (0, 1)

	Entries []uint32
	Codes   []uint16
}

// Reset empties the batch and keeps its memory, columns and their names.
func (b *Batch) Reset() {
	b.ID, b.Tenant, b.Source, b.Ingest, b.Ord = BatchID{}, "", "", 0, 0
	b.Account.Received, b.Account.Deduplicated = 0, 0
	b.Account.Rejected = b.Account.Rejected[:0]
	b.Account.Dropped = b.Account.Dropped[:0]
	b.times, b.classes, b.names = b.times[:0], b.classes[:0], b.names[:0]
	b.next, b.open = 0, false
	if len(b.cols) > 512 { // a hostile shape must not be kept for ever
		b.cols, b.index, b.layout = nil, nil, 0
	}
	for _, c := range b.cols {
		c.Rows, c.Nums, c.Ends, c.Data = c.Rows[:0], c.Nums[:0], c.Ends[:0], c.Data[:0]
		c.Entries, c.Codes = c.Entries[:0], c.Codes[:0]
		if cap(c.Data) > 8<<20 { // nor a single huge request
			c.Data = nil
		}
	}
}

// Len returns the number of records.
func (b *Batch) Len() int { return len(b.times) }

// forget drops the numbers of all columns, because their values change.
func (b *Batch) forget() {
	for _, c := range b.cols {
		c.Entries, c.Codes = c.Entries[:0], c.Codes[:0]
	}
}

// Begin opens a record. Every Begin is followed by End or Discard.
func (b *Batch) Begin(time int64, class Class) {
	if b.open {
		panic("record: Begin inside an open record")
	}
	b.open, b.next = true, 0
	b.begun++
	b.times = append(b.times, time)
	b.classes = append(b.classes, b.classIndex(class))
}

func (b *Batch) classIndex(c Class) uint8 {
	for i, n := range b.names {
		if n == c {
			return uint8(i)
		}
	}
	if len(b.names) == math.MaxUint8 {
		panic("record: more than 255 classes in a batch")
	}
	b.names = append(b.names, c)
	return uint8(len(b.names) - 1)
}

// End closes the open record.
func (b *Batch) End() { b.open = false }

// Discard removes the open record and what was set in it.
func (b *Batch) Discard() {
	row := uint32(len(b.times) - 1)
	for _, c := range b.cols {
		if n := len(c.Rows); n > 0 && c.Rows[n-1] == row {
			c.pop()
		}
	}
	b.times, b.classes = b.times[:row], b.classes[:row]
	b.open = false
}

// SetTime changes the event time of the open record.
func (b *Batch) SetTime(t int64) { b.times[len(b.times)-1] = t }

// SetTimeAt sets the time of record i, before the batch is encoded.
func (b *Batch) SetTimeAt(i int, t int64) { b.times[i] = t }

// SetClassAt changes the class of record i.
func (b *Batch) SetClassAt(i int, c Class) { b.classes[i] = b.classIndex(c) }

// Str sets a string field of the open record. A name set twice in one record
// keeps the last value of each kind.
func (b *Batch) Str(name, v string) {
	c := b.column(name, String)
	c.Data = append(c.Data, v...)
	c.Ends = append(c.Ends, uint32(len(c.Data)))
}

// StrBytes is Str for a byte slice, which is copied.
func (b *Batch) StrBytes(name string, v []byte) {
	c := b.column(name, String)
	c.Data = append(c.Data, v...)
	c.Ends = append(c.Ends, uint32(len(c.Data)))
}

// Int sets an integer field of the open record.
func (b *Batch) Int(name string, v int64) {
	c := b.column(name, Int)
	c.Nums = append(c.Nums, uint64(v))
}

// Float sets a floating-point field of the open record.
func (b *Batch) Float(name string, v float64) {
	c := b.column(name, Float)
	c.Nums = append(c.Nums, math.Float64bits(v))
}

// Bool sets a boolean field of the open record.
func (b *Batch) Bool(name string, v bool) {
	c := b.column(name, Bool)
	var n uint64
	if v {
		n = 1
	}
	c.Nums = append(c.Nums, n)
}

// Set sets a field of the open record from a Value. An absent Value sets nothing.
func (b *Batch) Set(name string, v Value) {
	switch v.Kind {
	case String:
		b.Str(name, v.Str)
	case Int:
		b.Int(name, v.Int)
	case Float:
		b.Float(name, v.Flt)
	case Bool:
		b.Bool(name, v.Int != 0)
	}
}

// column returns the column for the open record with its row appended. Records
// of one shape set the same names in the same order, so the column after the
// last one used is tried first and the map is rarely asked.
func (b *Batch) column(name string, kind Kind) *Column {
	i := b.next
	if i >= len(b.cols) || b.cols[i].Name != name || b.cols[i].Kind != kind {
		var ok bool
		if i, ok = b.index[colKey{name, kind}]; !ok {
			i = b.addColumn(name, kind)
		}
	}
	b.next = i + 1
	c := b.cols[i]
	c.begin(b)
	return c
}

func (b *Batch) addColumn(name string, kind Kind) int {
	if b.index == nil {
		b.index = make(map[colKey]int)
	}
	name = strings.Clone(name) // a column outlives the request that named it
	c := &Column{Name: name, Kind: kind}
	b.cols = append(b.cols, c)
	b.index[colKey{name, kind}] = len(b.cols) - 1
	return len(b.cols) - 1
}

func (c *Column) pop() {
	n := len(c.Rows) - 1
	c.Rows = c.Rows[:n]
	if c.Kind != String {
		c.Nums = c.Nums[:n]
		return
	}
	c.Ends = c.Ends[:n]
	if n == 0 {
		c.Data = c.Data[:0]
	} else {
		c.Data = c.Data[:c.Ends[n-1]]
	}
}

// Times returns the event times by record. The slice belongs to the batch.
func (b *Batch) Times() []int64 { return b.times }

// ClassAt returns the class of record i.
func (b *Batch) ClassAt(i int) Class { return b.names[b.classes[i]] }

// Columns returns the columns; some may be empty. They belong to the batch.
func (b *Batch) Columns() []*Column { return b.cols }

// Bytes returns i's bytes of a String column, aliasing the batch.
func (c *Column) Bytes(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = c.Ends[i-1]
	}
	return c.Data[start:c.Ends[i]:c.Ends[i]]
}

// Value returns value i (not record i), detached from the batch.
func (c *Column) Value(i int) Value {
	switch c.Kind {
	case String:
		return StringValue(string(c.Bytes(i)))
	case Int:
		return IntValue(int64(c.Nums[i]))
	case Float:
		return FloatValue(math.Float64frombits(c.Nums[i]))
	default:
		return BoolValue(c.Nums[i] != 0)
	}
}

// Find returns the index of record row's value in the column.
func (c *Column) Find(row uint32) (int, bool) {
	if n := len(c.Rows); n > 0 && c.Rows[n-1] == uint32(n-1) { // dense
		return int(row), row < uint32(n)
	}
	i := sort.Search(len(c.Rows), func(i int) bool { return c.Rows[i] >= row })
	return i, i < len(c.Rows) && c.Rows[i] == row
}

// Record returns record i, detached from the batch.
func (b *Batch) Record(i int) Record {
	r := Record{Time: b.times[i], Ingest: b.Ingest, Ord: b.Ord + uint64(i), Class: b.ClassAt(i)}
	for _, c := range b.cols {
		if j, ok := c.Find(uint32(i)); ok {
			r.Fields = append(r.Fields, Field{c.Name, c.Value(j)})
		}
	}
	return r
}

// AddRecord appends a detached record.
func (b *Batch) AddRecord(r *Record) {
	b.Begin(r.Time, r.Class)
	for _, f := range r.Fields {
		b.Set(f.Name, f.Value)
	}
	b.End()
}

// RewriteStrings calls f for each string value of the batch, with the column's
// name, and replaces the value where f returns changed. f appends the new value
// to dst. It is how redaction reaches every field before the first write.
func (b *Batch) RewriteStrings(f func(dst []byte, name string, v []byte) (out []byte, changed bool)) {
	b.forget()
	var scratch []byte
	for _, c := range b.cols {
		if c.Kind != String || len(c.Rows) == 0 {
			continue
		}
		var data []byte // nil until something changed
		start := uint32(0)
		for i := range c.Ends {
			end := c.Ends[i]
			v := c.Data[start:end]
			out, changed := f(scratch[:0], c.Name, v)
			scratch = out
			if changed && data == nil {
				data = append(make([]byte, 0, len(c.Data)), c.Data[:start]...)
			}
			if data != nil {
				if changed {
					v = out
				}
				data = append(data, v...)
				c.Ends[i] = uint32(len(data))
			}
			start = end
		}
		if data != nil {
			c.Data = data
		}
	}
}

// SetAll gives every record the same string value under name, whatever values of
// whatever kind they had.
func (b *Batch) SetAll(name, value string) {
	i, ok := b.index[colKey{name, String}]
	if !ok {
		i = b.addColumn(name, String)
	}
	all := b.cols[i]
	for _, c := range b.cols {
		if c.Name == name {
			c.Rows, c.Nums, c.Ends, c.Data = c.Rows[:0], c.Nums[:0], c.Ends[:0], c.Data[:0]
			c.Entries, c.Codes = c.Entries[:0], c.Codes[:0]
		}
	}
	for row := range b.times {
		all.Rows = append(all.Rows, uint32(row))
		all.Data = append(all.Data, value...)
		all.Ends = append(all.Ends, uint32(len(all.Data)))
	}
}

// Keep drops every record i for which keep(i) is false.
func (b *Batch) Keep(keep func(i int) bool) {
	b.forget()
	moved := make([]int32, len(b.times)) // new index, or -1
	n := 0
	for i := range b.times {
		if !keep(i) {
			moved[i] = -1
			continue
		}
		moved[i] = int32(n)
		b.times[n], b.classes[n] = b.times[i], b.classes[i]
		n++
	}
	if n == len(b.times) {
		return
	}
	b.times, b.classes = b.times[:n], b.classes[:n]
	for _, c := range b.cols {
		c.keep(moved)
	}
}

func (c *Column) keep(moved []int32) {
	n, start, data := 0, uint32(0), c.Data[:0]
	for i, row := range c.Rows {
		var v []byte
		if c.Kind == String {
			v = c.Data[start:c.Ends[i]]
			start = c.Ends[i]
		}
		if moved[row] < 0 {
			continue
		}
		c.Rows[n] = uint32(moved[row])
		if c.Kind == String {
			data = append(data, v...)
			c.Ends[n] = uint32(len(data))
		} else {
			c.Nums[n] = c.Nums[i]
		}
		n++
	}
	c.Rows = c.Rows[:n]
	if c.Kind == String {
		c.Ends, c.Data = c.Ends[:n], data
	} else {
		c.Nums = c.Nums[:n]
	}
}
