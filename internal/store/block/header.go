package block

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/meshtrail/meshtrail/internal/record"
)

// Input is what a block is built from. Its columns have values each, rows
// ascending; all of it stays the caller's.
type Input struct {
	Times   []int64
	Ords    []uint64
	Ingests []int64
	Columns []*record.Column
	// Codes may hold, for a string column, which of its values each of its Rows
	// has: the column then holds every distinct value once, in the order of first
	// use, and Compact holds for them.
	Codes [][]uint16
	// Rest holds the fields that get no column of their own, or is nil.
	Rest *Rest
	Raw  int64 // bytes of the records before encoding, about
}

// Compact reports whether a string column is best written as a dictionary, when
// fresh holds which of its n values are not equal to an earlier one, ascending.
func Compact(fresh []uint32, n int) bool {
	if len(fresh) > min(n/2, MaxDict) {
		return false
	}
	for k, i := range fresh {
		if hopeless(k, int(i)) {
			return false
		}
	}
	return true
}

// codes returns the codes of column i, or nil.
func (in *Input) codes(i int) []uint16 {
	if i < len(in.Codes) {
		return in.Codes[i]
	}
	return nil
}

// Encoded is a block as plain bytes: the header, and the bodies that have a
// chunk of their own, in the order of their columns.
type Encoded struct {
	Header []byte
	Bodies [][]byte
	Rows   int
	Raw    int64
	// MinTime and MaxTime bound the event times.
	MinTime, MaxTime int64

	columns  []Column   // of the records' fields: name, kind, values, extremes
	distinct [][]uint32 // by field column: see Distinct
}

// Header describes a block.
type Header struct {
	Rows             int
	Raw              int64
	MinTime, MaxTime int64
	Time, Origin     *Column
	Columns          []Column // of the records' fields
	Rest             *Column  // what holds the other fields, or nil

	plain   []byte // all of it, which columns and entries alias
	version byte
	parts   []parts // by column of the records' fields
	grew    func(bytes int64)
}

// scratch holds what one Encode needs besides its result.
type scratch struct {
	body   []byte
	header []byte
	drafts []draft
	codes  []uint16 // of all dictionaries
	derive deriver
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// Encode writes a block. It panics on rows, times, orders and ingest times of
// different number: that is the caller's own bug.
func Encode(in *Input) *Encoded {
	rows := len(in.Times)
	if rows == 0 || rows > MaxRows || len(in.Ords) != rows || len(in.Ingests) != rows {
		panic(fmt.Sprintf("block: %d times, %d orders, %d ingest times", rows, len(in.Ords), len(in.Ingests)))
	}
	e := &Encoded{Rows: rows, Raw: in.Raw, MinTime: in.Times[0], MaxTime: in.Times[0]}
	times := make([]uint64, rows)
	for i, t := range in.Times {
		e.MinTime, e.MaxTime = min(e.MinTime, t), max(e.MaxTime, t)
		times[i] = uint64(t)
	}
	scratch := scratches.Get().(*scratch)
	defer scratches.Put(scratch)
	scratch.drafts, scratch.codes = scratch.drafts[:0], scratch.codes[:0]
	for i, c := range in.Columns {
		if len(c.Rows) > 0 {
			scratch.drafts = append(scratch.drafts, newDraft(c, in.codes(i), &scratch.codes))
		}
	}
	drafts := scratch.drafts
	defer clear(drafts)
	scratch.derive.run(drafts, rows)
	h := binary.AppendUvarint(scratch.header[:0], uint64(rows))
	h = binary.AppendUvarint(h, uint64(in.Raw))
	h = binary.AppendVarint(h, e.MinTime)
	h = binary.AppendVarint(h, e.MaxTime)
	columns := len(drafts)
	if in.Rest.Len() > 0 {
		columns++
	}
	h = binary.AppendUvarint(h, uint64(columns)+2)
	h = e.column(h, "", TimeKind, rows, encoded{codec: codecInts, body: appendInts(nil, times)})
	h = e.column(h, "", OriginKind, rows, encoded{codec: codecOrigin, body: appendOrigin(nil, in.Ords, in.Ingests)})
	for i := range drafts {
		c := drafts[i].c
		enc := encode(drafts, i, rows, scratch.body[:0])
		scratch.body = enc.body
		h = e.column(h, c.Name, c.Kind, len(c.Rows), enc)
		e.columns = append(e.columns, Column{Name: c.Name, Kind: c.Kind, Values: len(c.Rows), Min: enc.min, Max: enc.max})
		e.distinct = append(e.distinct, enc.first)
	}
	if in.Rest.Len() > 0 {
		h = e.column(h, "", RestKind, in.Rest.present(rows), encodeRest(in.Rest))
	}
	scratch.header = h
	e.Header = appendBlob([]byte{Version}, h)
	return e
}

// Places of a body.
const (
	placeInline = 1 // | bytes |
	placeChunk  = 2 // | size uvarint | in a chunk of its own
)

func (e *Encoded) column(h []byte, name string, kind record.Kind, values int, c encoded) []byte {
	h = appendBytes(h, name)
	h = append(h, byte(kind))
	h = binary.AppendUvarint(h, uint64(values))
	h = append(h, byte(c.codec))
	switch kind {
	case record.Int:
		h = binary.AppendVarint(h, int64(c.min))
		h = binary.AppendVarint(h, int64(c.max))
	case record.Float:
		h = appendFloat(appendFloat(h, c.min), c.max)
	}
	h = appendBytes(h, c.head)
	if len(c.body) <= maxInline {
		return appendBytes(append(h, placeInline), c.body)
	}
	e.Bodies = append(e.Bodies, slices.Clone(c.body))
	return binary.AppendUvarint(append(h, placeChunk), uint64(len(c.body)))
}

// DecodeHeader reads a header, which it does not keep. It reads the list of
// columns; what a header says of the values of a column is read, and may turn out
// to be damaged, when it is asked for.
func DecodeHeader(b []byte) (*Header, error) {
	return DecodeNamed(b, func(name []byte) string { return string(name) })
}

// DecodeNamed is DecodeHeader for a caller who knows most names, and returns each
// as a string.
func DecodeNamed(b []byte, names func(name []byte) string) (*Header, error) {
	in := cursor{b: b}
	version := in.u8()
	if in.err == nil && (version == 0 || version > Version) {
		return nil, corrupt("version %d is not known, only 1 to %d", version, Version)
	}
	plain := in.blob(MaxBody, true)
	if err := in.end("the header"); err != nil {
		return nil, err
	}
	in = cursor{b: plain}
	h := &Header{Rows: in.count(MaxRows, "rows of a block"), plain: plain, version: version}
	h.Raw = int64(in.uvarint())
	h.MinTime, h.MaxTime = in.varint(), in.varint()
	n := in.count(min(MaxColumns, len(in.b)), "columns of a block")
	if in.err != nil {
		return nil, in.err
	}
	if n < 2 || h.Rows == 0 {
		return nil, corrupt("a block of %d rows and %d columns", h.Rows, n)
	}
	all := make([]Column, n)
	for i := range all {
		c := &all[i]
		if i > 0 {
			c.chunk = all[i-1].after()
		}
		if err := in.column(c, h, names); err != nil {
			return nil, err
		}
		if k := c.Kind; (i == 0) != (k == TimeKind) || (i == 1) != (k == OriginKind) || k == RestKind && i < n-1 {
			return nil, corrupt("column %d has kind %d", i, k)
		}
	}
	if last := &all[n-1]; last.Kind == RestKind {
		h.Rest, all = last, all[:n-1]
	}
	h.Time, h.Origin, h.Columns = &all[0], &all[1], all[2:]
	h.parts = make([]parts, len(h.Columns))
	for i := range h.Columns {
		h.Columns[i].number = i
	}
	if err := cmp.Or(in.end("the columns"), h.link()); err != nil {
		return nil, err
	}
	return h, nil
}

func (c *cursor) column(col *Column, h *Header, names func([]byte) string) error {
	col.of, col.rows = h, h.Rows
	col.Name = names(c.bytes(MaxBody, "length of a name"))
	col.Kind = record.Kind(c.u8())
	col.Values = c.count(h.Rows, "values of a column")
	col.codec = codec(c.u8())
	switch col.Kind {
	case record.Int:
		col.Min, col.Max = uint64(c.varint()), uint64(c.varint())
	case record.Float:
		col.Min, col.Max = c.u64(), c.u64()
	}
	head := c.bytes(MaxBody, "size of a head")
	end := len(h.plain) - len(c.b)
	switch place := c.u8(); place {
	case placeInline:
		body := c.bytes(MaxBody, "size of a body")
		col.inline = piece{len(h.plain) - len(c.b) - len(body), len(body)}
	case placeChunk:
		col.Body = c.count(MaxBody, "size of a body")
		if col.Body == 0 {
			c.fail("an empty body in a chunk of its own")
		}
	default:
		c.fail("place %d of a body is unknown", place)
	}
	if c.err != nil {
		return c.err
	}
	if !col.codec.fits(col.Kind) || col.Values == 0 {
		return corrupt("column %q of kind %d has codec %d and %d values", col.Name, col.Kind, col.codec, col.Values)
	}
	return col.readHead(head, end)
}

// Columns lists the field columns as the header has them.
func (e *Encoded) Columns() []Column { return e.columns }

// Distinct returns, for field column i, the indexes of values that between them
// hold every distinct one, or nil when the column has no dictionary.
func (e *Encoded) Distinct(i int) []uint32 { return e.distinct[i] }
