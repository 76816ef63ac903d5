// Package memtable holds the accepted records that no segment holds yet, by
// column, so that a query sees them as soon as they are acknowledged.
//
// A Table is one generation: it grows until the store rotates it, is sealed
// into segments, and is dropped when those are durable. It consists of parts,
// one for each tenant, class and event day, and a part of blocks shaped like
// the blocks of a segment.
//
// Memory: Insert copies what it keeps, a value that repeats once for each block.
// A full block is copied once more, into vectors of exactly its size. Fields
// beyond the columns of a block lie in its overflow, which costs a few bytes a
// value. The memory in which a block grew is for the next block, unless a View
// of it was given out: then it is left to that View. The columns of an open
// block only ever grow behind the lengths that a View has, so a View never
// changes and needs no lock. Nothing survives a crash; the journal does.
package memtable

import (
	"slices"
	"sync"
	"time"

	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

// Limits of one block under construction.
const (
	MaxRows = 16 << 10 // records
	MaxRaw  = 8 << 20  // bytes, as JSON would take
)

// Event times outside of [MinTime, MaxTime) are taken for a fault of the
// sender's clock: such a record gets its ingest time, and the original, in ns,
// as the field OriginalTime.
const (
	MinTime      = 0
	MaxTime      = 7258118400 * int64(time.Second) // the year 2200
	OriginalTime = "time.original"
)

const day = 24 * int64(time.Hour)

// Part names the records that share segments.
type Part struct {
	Tenant record.TenantID
	Class  record.Class
	Day    int64 // of the event time, UTC, since 1970
}

// Date returns the day as 2006-01-02.
func (p Part) Date() string { return time.Unix(p.Day*86400, 0).UTC().Format(time.DateOnly) }

// A Table is one generation. It is safe for concurrent use.
type Table struct {
	mu    sync.RWMutex
	parts map[Part]*part
	rows  int64
	raw   int64
	few   int // columns that a block gives to any field

	scratch scatter
}

type part struct {
	at   Part
	full []*View
	open *Block // nil until there is something to put into it
}

// New returns an empty table.
func New() *Table { return &Table{parts: make(map[Part]*part), few: fewColumns} }

// Limit sets how many columns an open block gives to fields of few values, at
// most what New does: to be called before the first Insert.
func (t *Table) Limit(columns int) { t.few = min(columns, fewColumns) }

// Raw returns the bytes of all records, about as JSON would take or, where
// senders invent names, as memory holds, and their number.
func (t *Table) Raw() (raw, rows int64) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.raw, t.rows
}

// RowsOf returns the number of records of a tenant.
func (t *Table) RowsOf(tenant record.TenantID) (rows int64) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for p, x := range t.parts {
		if p.Tenant != tenant {
			continue
		}
		for _, v := range x.full {
			rows += int64(v.Rows)
		}
		if x.open != nil {
			rows += int64(len(x.open.times))
		}
	}
	return rows
}

// A View is a block as it was at one moment. It is immutable.
type View struct {
	Part             Part
	Rows             int
	Raw              int64
	Times            []int64
	Ords             []uint64
	Ingests          []int64
	Sources          []SourceRun
	MinTime, MaxTime int64
	Columns          []block.Column
	Vectors          []*block.Vector // by column

	once sync.Once
	flow overflow // what rest is made of, when it is asked for
	rest *block.Rest
}

// A SourceRun says that rows from Start on came from Source.
type SourceRun struct {
	Start  int
	Source string
}

// Views returns all blocks for which want holds, in no order.
func (t *Table) Views(want func(p Part) bool) []*View {
	t.mu.Lock() // an open block learns that it is shared
	defer t.mu.Unlock()
	var out []*View
	for p, x := range t.parts {
		if !want(p) {
			continue
		}
		out = append(out, x.full...)
		if x.open != nil {
			x.open.shared = true
			out = append(out, x.open.view(p))
		}
	}
	return out
}

// Close makes the open blocks small too, when nothing will be inserted any more
// soon.
func (t *Table) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, x := range t.parts {
		if x.open != nil {
			t.close(x)
		}
	}
}

// close turns the open block of a part into a small view. The block's memory is
// for the next one, unless a view shares it.
func (t *Table) close(x *part) {
	b := x.open
	x.open = nil
	v := b.compact(x.at)
	v.Rest()
	x.full = append(x.full, v)
	if !b.shared && b.reset() {
		blocks.Put(b)
	}
}

// blocks are empty and have memory.
var blocks = sync.Pool{New: func() any { return newBlock() }}

// reset empties a block that nobody shares, and reports whether it is worth
// keeping: one of unusual shape is not.
func (b *Block) reset() bool {
	if len(b.cols) > fewColumns || len(b.times) > MaxRows || b.raw > 2*MaxRaw {
		return false
	}
	clear(b.sources)
	if len(b.over.keys) > 0 {
		b.forget()
		b.over.reset()
	}
	b.raw, b.minTime, b.maxTime = 0, MaxTime, MinTime
	b.times, b.ords, b.ingests, b.sources = b.times[:0], b.ords[:0], b.ingests[:0], b.sources[:0]
	for _, c := range b.cols {
		c.reset()
	}
	return true
}

// forget drops the columns of fields that few records had, so that names which
// somebody invented leave room for others.
func (b *Block) forget() {
	clear(b.index)
	b.hints = b.hints[:0]
	kept := b.cols[:0]
	for _, c := range b.cols {
		if c.n >= manyValues {
			b.index[columnKey{c.name, c.kind}] = len(kept)
			kept = append(kept, c)
		}
	}
	clear(b.cols[len(kept):])
	b.cols = kept
}

// A Block is a block under construction.
type Block struct {
	raw              int64
	times            []int64
	ords             []uint64
	ingests          []int64
	sources          []SourceRun
	minTime, maxTime int64
	cols             []*column
	index            map[columnKey]int
	few              int      // columns for fields of few values
	over             overflow // values of fields without a column
	hints            []int    // by column of a batch: the column it went to last
	shared           bool     // a view has its memory
}

type columnKey struct {
	name string
	kind record.Kind
}

func newBlock() *Block {
	return &Block{index: make(map[columnKey]int), minTime: MaxTime, maxTime: MinTime}
}

// view returns the block as it is. Unless the block is closed next, the caller
// notes that it is shared.
func (b *Block) view(p Part) *View {
	n := len(b.times)
	v := &View{
		Part: p, Rows: n, Raw: b.raw, Times: b.times[:n:n], Ords: b.ords[:n:n], Ingests: b.ingests[:n:n],
		Sources: b.sources[:len(b.sources):len(b.sources)], MinTime: b.minTime, MaxTime: b.maxTime,
		flow: b.over.snapshot(),
	}
	v.Columns, v.Vectors = make([]block.Column, 0, len(b.cols)), make([]*block.Vector, 0, len(b.cols))
	vectors := make([]block.Vector, len(b.cols))
	for i, c := range b.cols {
		if c.n == 0 {
			continue // of a block before
		}
		vectors[i] = c.vector(n)
		v.Columns = append(v.Columns, block.MemoryColumn(c.name, c.kind, c.n))
		v.Vectors = append(v.Vectors, &vectors[i])
	}
	return v
}

// compact returns the block as a view that shares nothing with it: all of its
// values lie in a few pieces of memory of their exact size.
func (b *Block) compact(p Part) *View {
	v := b.view(p)
	v.Times, v.Ords, v.Ingests = slices.Clone(v.Times), slices.Clone(v.Ords), slices.Clone(v.Ingests)
	v.Sources = slices.Clone(v.Sources)
	var rows, codes, nums, ends, data int
	for _, x := range v.Vectors {
		rows, codes, nums = rows+len(x.Rows), codes+len(x.Codes), nums+len(x.Nums)
		ends, data = ends+len(x.Ends), data+len(x.Data)
	}
	words, shorts, longs, bytes := make([]uint32, 0, rows+ends), make([]uint16, 0, codes), make([]uint64, 0, nums), make([]byte, 0, data)
	var before []uint32 // rows of the column before: columns of one shape share theirs
	for _, x := range v.Vectors {
		if len(x.Rows) == 0 {
			x.Rows = nil
		} else if slices.Equal(x.Rows, before) {
			x.Rows = before
		} else {
			words, x.Rows = move(words, x.Rows)
			before = x.Rows
		}
		shorts, x.Codes = move(shorts, x.Codes)
		longs, x.Nums = move(longs, x.Nums)
		words, x.Ends = move(words, x.Ends)
		bytes, x.Data = move(bytes, x.Data)
	}
	return v
}

// move appends s to dst and returns both.
func move[T any](dst, s []T) (all, moved []T) {
	at := len(dst)
	dst = append(dst, s...)
	return dst, dst[at:len(dst):len(dst)]
}
