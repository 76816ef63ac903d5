// Package memtable holds the accepted records that no segment holds yet, by
// column, so that a query sees them as soon as they are acknowledged.
//
// A Table is one generation: it grows until the store rotates it, is sealed
// into segments, and is dropped when those are durable. It consists of parts,
// one for each tenant, class and event day, and a part of blocks shaped like
// the blocks of a segment.
//
// Memory: Insert copies what it keeps. A View shares the table's columns: their
// slices only ever grow behind the lengths that a View has, so a View never
// changes and needs no lock. Nothing survives a crash; the journal does.
package memtable

import (
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
}

type part struct {
	blocks []*Block // the last one grows
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
	t.mu.Lock() // views of full blocks are kept
	defer t.mu.Unlock()
	var out []*View
	for p, x := range t.parts {
		if !want(p) {
			continue
		}
		for _, b := range x.blocks {
			out = append(out, b.view(p))
		}
	}
	return out
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
	full             bool
	frozen           *View
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

func (b *Block) view(p Part) *View {
	if b.frozen != nil {
		return b.frozen
	}
	n := len(b.times)
	v := &View{
		Part: p, Rows: n, Raw: b.raw, Times: b.times[:n:n], Ords: b.ords[:n:n], Ingests: b.ingests[:n:n],
		Sources: b.sources[:len(b.sources):len(b.sources)], MinTime: b.minTime, MaxTime: b.maxTime,
	}
	v.Columns, v.Vectors = make([]block.Column, 0, len(b.cols)), make([]*block.Vector, 0, len(b.cols))
	vectors := make([]block.Vector, len(b.cols))
	for i, c := range b.cols {
		v.Columns = append(v.Columns, block.MemoryColumn(c.name, c.kind, c.n))
		x := &vectors[i]
		*x = block.Vector{Kind: c.kind, N: c.n, Nums: c.nums, Ends: c.ends, Data: c.data}
		if !c.dense || c.n < n {
			x.Rows = c.presentRows()
		}
		v.Vectors = append(v.Vectors, x)
	}
	if b.full {
		b.frozen = v
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
	c.rows = make([]uint32, c.n, 2*c.n+8)
	for i := range c.rows {
		c.rows[i] = uint32(i)
	}
	c.dense = false
}
