package block

import (
	"sync/atomic"
	"unsafe"

	"github.com/meshtrail/meshtrail/internal/record"
)

// A header takes long to read whole: entries of dictionaries, how often each
// occurs, alphabets. A request asks for them of a few columns, and of most blocks
// for none. So they are read when they are asked for, and kept.

// piece is a part of a header's plain bytes.
type piece struct{ at, size int }

func (h *Header) bytes(s piece) []byte { return h.plain[s.at : s.at+s.size : s.at+s.size] }

// parts is what has been read of a column's part of the header.
type parts struct {
	table    atomic.Pointer[table]
	alphabet atomic.Pointer[ByteSet]
}

// table is the entries of a column.
type table struct {
	entries *Vector
	counts  []uint32 // values of each, when the header tells
	err     error
}

func (t *table) size() int64 {
	if t.err != nil {
		return 200
	}
	return t.entries.Size() + int64(4*cap(t.counts)) + 60
}

// Size returns the bytes of memory the header holds, about, without what is read
// of it later: see Watch.
func (h *Header) Size() int64 {
	columns := len(h.Columns) + 3
	return int64(cap(h.plain)) + int64(columns)*int64(unsafe.Sizeof(Column{})) +
		int64(len(h.parts))*int64(unsafe.Sizeof(parts{})) + int64(unsafe.Sizeof(*h))
}

// Watch has grew called with the bytes that the header takes more each time a part
// of it has been read. It MUST be called before others use the header.
func (h *Header) Watch(grew func(bytes int64)) { h.grew = grew }

func (h *Header) grow(bytes int64) {
	if h.grew != nil {
		h.grew(bytes)
	}
}

// readHead reads what a head, which ends at end of the header, says but for the
// entries, which it finds.
func (c *Column) readHead(head []byte, end int) error {
	in := cursor{b: head}
	switch c.codec {
	case codecRest:
		return c.restHead(head)
	case codecConst:
		c.entries, c.head = 1, piece{end - len(head), len(head)}
		return nil
	case codecDerived:
		if c.derivedHead(&in); c.derived == derivedMap {
			c.tableHead(&in, end)
		}
	case codecDict:
		c.tableHead(&in, end)
	case codecString, codecSplit:
		c.alphabetHead(&in, end)
	}
	if in.err != nil {
		return in.err
	}
	return in.end("the head of a column")
}

// tableHead finds the entries, or the alphabet of those that the body has.
func (c *Column) tableHead(in *cursor, end int) {
	if len(in.b) == 0 {
		return
	}
	n := in.count(min(MaxDict, c.rows), "entries of a dictionary")
	if n == 0 {
		c.alphabetHead(in, end)
		return
	}
	if c.of.version > 1 && n > len(in.b) {
		in.fail("%d entries of column %s in %d bytes", n, c.Name, len(in.b)) // each has a count
		return
	}
	c.entries, c.head = n, piece{end - len(in.b), len(in.b)}
	in.b = nil
}

// alphabetHead finds the alphabet, if there is one: version 1 has none.
func (c *Column) alphabetHead(in *cursor, end int) {
	const size = int(unsafe.Sizeof(ByteSet{}))
	if len(in.b) > 0 {
		c.head = piece{end - len(in.b), size}
		in.take(size)
	}
}

// entriesOf returns the entries that the header has of a column.
func (h *Header) entriesOf(c *Column) *table {
	at := &h.parts[c.number].table
	if t := at.Load(); t != nil {
		return t
	}
	t := c.readTable()
	if at.CompareAndSwap(nil, t) {
		h.grow(t.size())
	}
	return at.Load()
}

func (c *Column) readTable() *table {
	in := cursor{b: c.of.bytes(c.head)}
	t := &table{entries: in.entries(c.Kind, c.entries)}
	t.entries.Form = Dict
	version := c.of.version
	if c.codec == codecConst {
		t.entries.Form = Const
		if version > 1 {
			t.counts = []uint32{uint32(c.Values)}
		}
	} else if version > 1 && in.err == nil {
		t.counts = in.counts(c.entries, c.Values)
	}
	if err := in.end("the head of column " + c.Name); err != nil {
		return &table{err: err}
	}
	return t
}

// table returns the entries that the header has, or nil when it has none or they
// are damaged.
func (c *Column) table() *table {
	if c.codec == codecDerived && c.derived == derivedSame {
		c = &c.of.Columns[c.base]
	}
	if c.entries == 0 {
		return nil
	}
	if t := c.of.entriesOf(c); t.err == nil {
		return t
	}
	return nil
}

// Head returns the entries of a constant or of a small dictionary without its
// codes, or nil: enough to decide which entries match. It is nil as well when they
// are damaged: then one has to look into the column, and Decode says so.
func (c *Column) Head() *Vector {
	if t := c.table(); t != nil {
		return t.entries
	}
	return nil
}

// Counts returns how many values each entry of Head has, or nil when the header
// does not tell (it is of version 1). It must not be changed.
func (c *Column) Counts() []uint32 {
	if t := c.table(); t != nil {
		return t.counts
	}
	return nil
}

// Inline returns the body when it lives in the header. A column whose Body is 0
// has its body inline.
func (c *Column) Inline() []byte { return c.of.bytes(c.inline) }

// alphabet returns the alphabet that the header has of a column, that of the
// entries it has, or what was learned.
func (h *Header) alphabet(column int) *ByteSet {
	if s := h.parts[column].alphabet.Load(); s != nil {
		return s
	}
	c := &h.Columns[column]
	switch {
	case c.Kind != record.String:
	case c.entries > 0:
		if head := c.Head(); head != nil {
			return h.Learn(column, head)
		}
	case c.head.size > 0:
		in := cursor{b: h.bytes(c.head)}
		return h.keepAlphabet(column, in.byteSet())
	}
	return nil
}

func (h *Header) keepAlphabet(column int, s *ByteSet) *ByteSet {
	if h.parts[column].alphabet.CompareAndSwap(nil, s) {
		h.grow(int64(unsafe.Sizeof(*s)))
	}
	return s
}
