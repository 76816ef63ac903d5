// Package memtable holds the accepted records that no segment holds yet, by
// column, so that a query sees them as soon as they are acknowledged.
//
// A Table is one generation: it grows until the store rotates it, is sealed
// into segments, and is dropped when those are durable. It consists of parts,
// one for each tenant, class and event day, and a part of blocks shaped like
// the blocks of a segment.
//
// Memory: Insert copies what it keeps. A full block is copied once more, into
// vectors that hold a repeated value once (block.Compactor): a table takes about
// two fifths of what mesh access records would as JSON. The memory in which a block grew
// is for the next block, unless a View of it was given out: then it is left to
// that View. The columns of an open block only ever grow behind the lengths that
// a View has, so a View never changes and needs no lock. Nothing survives a
// crash; the journal does.
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
	MaxRows    = 16 << 10 // records
	MaxRaw     = 2 << 20  // bytes, as JSON would take
	maxColumns = 2000

	keepColumns = 256 // columns of a block whose memory is used again
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

	scratch scatter
	compact block.Compactor
}

type part struct {
	at   Part
	full []*View
	open *Block // nil until there is something to put into it
}

// New returns an empty table.
func New() *Table { return &Table{parts: make(map[Part]*part)} }

// Raw returns the bytes of all records, about as JSON would take, and their
// number.
func (t *Table) Raw() (raw, rows int64) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.raw, t.rows
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
	v := b.view(x.at)
	v.Times, v.Ords, v.Ingests = slices.Clone(v.Times), slices.Clone(v.Ords), slices.Clone(v.Ingests)
	v.Sources = slices.Clone(v.Sources)
	for _, c := range v.Vectors {
		t.compact.Add(c)
	}
	small := t.compact.Take()
	for i := range small {
		v.Vectors[i] = &small[i]
	}
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
	if len(b.cols) > keepColumns || len(b.times) > MaxRows || b.raw > 2*MaxRaw {
		return false
	}
	clear(b.sources)
	b.raw, b.minTime, b.maxTime = 0, MaxTime, MinTime
	b.times, b.ords, b.ingests, b.sources = b.times[:0], b.ords[:0], b.ingests[:0], b.sources[:0]
	for _, c := range b.cols {
		c.n, c.dense = 0, true
		c.rows, c.nums, c.ends, c.data = c.rows[:0], c.nums[:0], c.ends[:0], c.data[:0]
	}
	return true
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
	shared           bool // a view has its memory
}

type columnKey struct {
	name string
	kind record.Kind
}

// A column is record.Column whose rows are left out while it has every one.
type column struct {
	name  string
	kind  record.Kind
	n     int
	rows  []uint32 // nil while dense
	dense bool
	nums  []uint64
	ends  []uint32
	data  []byte
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
	}
	v.Columns, v.Vectors = make([]block.Column, 0, len(b.cols)), make([]*block.Vector, 0, len(b.cols))
	vectors := make([]block.Vector, len(b.cols))
	for i, c := range b.cols {
		if c.n == 0 {
			continue // of a block before
		}
		v.Columns = append(v.Columns, block.MemoryColumn(c.name, c.kind, c.n))
		x := &vectors[i]
		*x = block.Vector{Kind: c.kind, N: c.n, Nums: c.nums, Ends: c.ends, Data: c.data}
		if !c.dense || c.n < n {
			x.Rows = c.presentRows()
		}
		v.Vectors = append(v.Vectors, x)
	}
	return v
}

// presentRows returns the rows of a column, also of one that was dense and fell
// behind the block.
func (c *column) presentRows() []uint32 {
	if c.dense {
		c.sparse()
	}
	return c.rows
}

func (c *column) sparse() {
	c.rows = slices.Grow(c.rows[:0], c.n+8)[:c.n]
	for i := range c.rows {
		c.rows[i] = uint32(i)
	}
	c.dense = false
}
