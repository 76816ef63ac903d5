package store

import (
	"slices"
	"unsafe"

	"github.com/meshtrail/meshtrail/internal/store/filter"
)

// cells are what one worker has measured: the groups are those of a tally, and a
// cell is a group in a bucket.
type cells struct {
	*tally
	fields int
	index  map[uint64]uint32 // by group and bucket
	list   []cell
	of     []Measure // by cell and field
	noted  int       // bytes that the measurer knows of
	bytes  int       // of lists, about
}

type cell struct {
	group, bucket uint32
	records       uint64
}

// sizeOf one cell of n fields, about: with its place in the index.
func sizeOf(n int) int {
	return int(unsafe.Sizeof(cell{})) + 24 + n*int(unsafe.Sizeof(Measure{}))
}

func newCells(keys, fields int, m *memory) *cells {
	return &cells{tally: newTally(keys, m), fields: fields, index: make(map[uint64]uint32)}
}

// cell returns the number of a cell.
func (c *cells) cell(codes []uint32, bucket int) (uint32, error) {
	group, err := c.group(codes)
	if err != nil {
		return 0, err
	}
	key := uint64(group)<<32 | uint64(bucket)
	n, ok := c.index[key]
	if !ok {
		n = uint32(len(c.list))
		c.index[key] = n
		c.list = append(c.list, cell{group: uint32(group), bucket: uint32(bucket)})
		c.of = append(c.of, make([]Measure, c.fields)...)
	}
	return n, nil
}

// measure returns the statistics of a field in a cell, until the next cell.
func (c *cells) measure(cell uint32, field int) *Measure {
	return &c.of[int(cell)*c.fields+field]
}

// maxSlots is how many combinations of values and buckets are told apart in a
// table.
const maxSlots = 1 << 16

// slots say to which cell each of a block's rows belongs: cells are numbered as
// they occur in the block. The memory is used again.
type slots struct {
	single  bool     // all rows are in slot 0
	of      []uint32 // by row, unless single
	cells   []uint32 // by slot
	records []uint32 // by slot
	table   []uint32 // slots plus one, by combination
	sparse  map[uint64]uint32
}

// reset begins with no slot.
func (x *slots) reset() {
	x.of, x.cells, x.records = x.of[:0], x.cells[:0], x.records[:0]
}

// assign finds the slots of rows. buckets are by row, from first on, and nil when
// all are in first.
func (x *slots) assign(g *grouper, c *cells, rows []uint32, first, buckets int, bucket []uint32) (err error) {
	x.reset()
	if x.single = g.size == 1 && bucket == nil; x.single {
		if _, err = x.open(g, c, 0, first); err == nil {
			x.records[0] = uint32(len(rows))
		}
		return err
	}
	x.of = slices.Grow(x.of, g.n)[:g.n]
	if n := g.size * uint64(buckets); n <= maxSlots && n <= uint64(4*g.n+1024) {
		return x.dense(g, c, rows, first, int(n), bucket)
	}
	if x.sparse == nil {
		x.sparse = make(map[uint64]uint32)
	}
	clear(x.sparse)
	for _, r := range rows {
		b := 0
		if bucket != nil {
			b = int(bucket[r])
		}
		key := uint64(b)<<32 | uint64(g.cells[r])
		s, ok := x.sparse[key]
		if !ok {
			if s, err = x.open(g, c, g.cells[r], first+b); err != nil {
				return err
			}
			x.sparse[key] = s
		}
		x.of[r] = s
		x.records[s]++
	}
	return nil
}

// dense is assign for few combinations.
func (x *slots) dense(g *grouper, c *cells, rows []uint32, first, n int, bucket []uint32) (err error) {
	x.table = slices.Grow(x.table[:0], n)[:n]
	clear(x.table)
	size := uint32(g.size)
	for _, r := range rows {
		id := g.cells[r]
		if bucket != nil {
			id += size * bucket[r]
		}
		s := x.table[id]
		if s == 0 {
			if s, err = x.open(g, c, g.cells[r], first+int(id/size)); err != nil {
				return err
			}
			s++
			x.table[id] = s
		}
		x.of[r] = s - 1
		x.records[s-1]++
	}
	return nil
}

// open makes a slot for a combination in a bucket.
func (x *slots) open(g *grouper, c *cells, combination uint32, bucket int) (uint32, error) {
	g.decode(combination, g.folded)
	n, err := c.cell(g.codes, bucket)
	x.cells, x.records = append(x.cells, n), append(x.records, 0)
	return uint32(len(x.cells) - 1), err
}

// slot returns the slot of a row.
func (x *slots) slot(row uint32) uint32 {
	if x.single {
		return 0
	}
	return x.of[row]
}

// each calls f with the slot of each row of a set.
func (x *slots) each(set filter.Bitmap, f func(slot uint32)) {
	set.Each(func(row int) { f(x.slot(uint32(row))) })
}
