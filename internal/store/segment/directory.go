package segment

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
	"github.com/meshtrail/meshtrail/internal/wire"
)

// Limits of a directory.
const (
	maxBlocks    = 1 << 20
	maxDirectory = 256 << 20
	maxSchema    = 1 << 20 // versions of the dictionary
)

// Directory says what a segment holds.
type Directory struct {
	Tenant, Class, Day   string
	Records              uint64
	MinTime, MaxTime     int64
	MinIngest, MaxIngest int64
	FirstOrd, LastOrd    uint64
	// MinSchema and MaxSchema are the versions of the dictionary of fields that the
	// records were written under; 0 does not say.
	MinSchema, MaxSchema int
	Columns              []Column // by name, then kind; the first may be the Rest
	Blocks               []Block

	index tokenIndex
}

// A Column is one name and kind of a segment's records.
type Column struct {
	Name     string
	Kind     record.Kind
	Values   uint64
	Min, Max uint64   // as block.Column
	Blocks   []uint64 // bit b: block b has the column
}

// In reports whether block b has the column.
func (c *Column) In(b int) bool { return c.Blocks[b/64]>>(b%64)&1 != 0 }

// A Block is one block of a segment.
type Block struct {
	UID              UID
	Offset           int64 // of its sealed header; its sealed bodies follow
	Header           int   // sealed size
	Rows             int
	Raw              int64
	MinTime, MaxTime int64
}

func compareColumns(a, b *Column) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
}

func (d *Directory) encode() []byte {
	b := appendText(appendText(appendText(nil, d.Tenant), d.Class), d.Day)
	b = binary.AppendUvarint(b, d.Records)
	for _, t := range []int64{d.MinTime, d.MaxTime, d.MinIngest, d.MaxIngest} {
		b = binary.AppendVarint(b, t)
	}
	b = binary.AppendUvarint(binary.AppendUvarint(b, d.FirstOrd), d.LastOrd)
	b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(d.MinSchema)), uint64(d.MaxSchema))
	b = binary.AppendUvarint(b, uint64(len(d.Blocks)))
	for i := range d.Blocks {
		k := &d.Blocks[i]
		b = append(b, k.UID[:]...)
		b = binary.AppendUvarint(b, uint64(k.Offset))
		b = binary.AppendUvarint(b, uint64(k.Header))
		b = binary.AppendUvarint(b, uint64(k.Rows))
		b = binary.AppendUvarint(b, uint64(k.Raw))
		b = binary.AppendVarint(binary.AppendVarint(b, k.MinTime), k.MaxTime)
	}
	b = binary.AppendUvarint(b, uint64(len(d.Columns)))
	for i := range d.Columns {
		c := &d.Columns[i]
		b = append(appendText(b, c.Name), byte(c.Kind))
		b = binary.AppendUvarint(b, c.Values)
		b = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, c.Min), c.Max)
		for _, w := range c.Blocks {
			b = binary.LittleEndian.AppendUint64(b, w)
		}
	}
	return block.AppendBlob(nil, d.index.append(b))
}

// decodeDirectory reads the directory of a file of a version.
func decodeDirectory(data []byte, version int) (*Directory, error) {
	plain, err := block.DecodeBlob(data, maxDirectory)
	if err != nil {
		return nil, err
	}
	in := wire.NewReader(plain)
	d := &Directory{Tenant: in.String(64), Class: in.String(64), Day: in.String(10)}
	d.Records = in.Uvarint()
	for _, t := range []*int64{&d.MinTime, &d.MaxTime, &d.MinIngest, &d.MaxIngest} {
		*t = in.Varint()
	}
	d.FirstOrd, d.LastOrd = in.Uvarint(), in.Uvarint()
	if version >= 3 {
		d.MinSchema, d.MaxSchema = int(in.Max(maxSchema)), int(in.Max(maxSchema))
	}
	n := in.Count(maxBlocks, 1)
	d.Blocks = make([]Block, n)
	rows := uint64(0)
	for i := range d.Blocks {
		k := &d.Blocks[i]
		copy(k.UID[:], in.Raw(len(k.UID)))
		k.Offset = int64(in.Uvarint())
		k.Header = int(in.Max(block.MaxBody))
		k.Rows = int(in.Max(block.MaxRows))
		k.Raw = int64(in.Uvarint())
		k.MinTime, k.MaxTime = in.Varint(), in.Varint()
		rows += uint64(k.Rows)
	}
	words := (n + 63) / 64
	d.Columns = make([]Column, in.Count(math.MaxInt32, 1))
	for i := range d.Columns {
		c := &d.Columns[i]
		c.Name = in.String(block.MaxBody)
		c.Kind = record.Kind(in.U8())
		c.Values = in.Uvarint()
		c.Min, c.Max = in.U64(), in.U64()
		if in.Len() < 8*words {
			in.Fail("the columns are cut short")
			break
		}
		c.Blocks = make([]uint64, words)
		for w := range c.Blocks {
			c.Blocks[w] = in.U64()
		}
	}
	d.index.decode(in, n)
	if err := in.Done(); err != nil {
		return nil, corrupt("directory: %w", err)
	}
	if rows != d.Records || n == 0 {
		return nil, corrupt("%d records in %d blocks of %d rows", d.Records, n, rows)
	}
	return d, nil
}

// written notes under which versions of the dictionary a block was written.
func (d *Directory) written(from, to int) {
	if len(d.Blocks) == 0 {
		d.MinSchema, d.MaxSchema = from, to
		return
	}
	d.MinSchema, d.MaxSchema = min(d.MinSchema, from), max(d.MaxSchema, to)
}

// merge adds the columns of block n.
func (d *Directory) merge(index map[columnKey]int, h []blockColumn, n int) {
	for _, c := range h {
		k := columnKey{c.name, c.kind}
		i, ok := index[k]
		if !ok {
			i = len(d.Columns)
			index[k] = i
			d.Columns = append(d.Columns, Column{Name: c.name, Kind: c.kind, Min: c.min, Max: c.max})
			if c.kind == block.RestKind {
				d.Columns[i].Max = 0 // it is a sum
			}
		}
		col := &d.Columns[i]
		col.Values += uint64(c.values)
		col.widen(c.min, c.max)
		for len(col.Blocks) <= n/64 {
			col.Blocks = append(col.Blocks, 0)
		}
		col.Blocks[n/64] |= 1 << (n % 64)
	}
}

func (c *Column) widen(lo, hi uint64) {
	switch c.Kind {
	case block.RestKind:
		c.Max += hi
	case record.Int:
		c.Min, c.Max = uint64(min(int64(c.Min), int64(lo))), uint64(max(int64(c.Max), int64(hi)))
	case record.Float:
		f := math.Float64frombits
		c.Min = math.Float64bits(min(f(c.Min), f(lo)))
		c.Max = math.Float64bits(max(f(c.Max), f(hi)))
	}
}

// finish sorts the columns and gives each a bit for every block.
func (d *Directory) finish() {
	slices.SortFunc(d.Columns, func(a, b Column) int { return compareColumns(&a, &b) })
	words := (len(d.Blocks) + 63) / 64
	for i := range d.Columns {
		for c := &d.Columns[i]; len(c.Blocks) < words; {
			c.Blocks = append(c.Blocks, 0)
		}
	}
}

type columnKey struct {
	name string
	kind record.Kind
}

type blockColumn struct {
	name     string
	kind     record.Kind
	values   int
	min, max uint64
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}
