package record

import (
	"slices"
	"sort"
	"strconv"
)

// The methods of this file change closed records. They cost time in proportion
// to the column and are for what is rare: redaction.

// Rename gives a column of b another name. If the batch has a column of that
// name and kind already, a number is added: names stay unique.
func (b *Batch) Rename(c *Column, name string) {
	delete(b.index, colKey{c.Name, c.Kind})
	free := name
	for n := 2; ; n++ {
		if _, taken := b.index[colKey{free, c.Kind}]; !taken {
			break
		}
		free = name + "#" + strconv.Itoa(n)
	}
	c.Name = free
	b.layout = 0
	b.index[colKey{free, c.Kind}] = slices.Index(b.cols, c)
}

// Remove removes value i (not record i) of the column: its record no longer has
// the field.
func (c *Column) Remove(i int) {
	c.Entries, c.Codes = c.Entries[:0], c.Codes[:0]
	c.Rows = slices.Delete(c.Rows, i, i+1)
	if c.Kind != String {
		c.Nums = slices.Delete(c.Nums, i, i+1)
		return
	}
	start := uint32(0)
	if i > 0 {
		start = c.Ends[i-1]
	}
	size := c.Ends[i] - start
	c.Data = slices.Delete(c.Data, int(start), int(start+size))
	c.Ends = slices.Delete(c.Ends, i, i+1)
	for j := i; j < len(c.Ends); j++ {
		c.Ends[j] -= size
	}
}

// SetStringAt sets a string field of record row. A value that is there stays.
func (b *Batch) SetStringAt(row int, name, v string) {
	i, ok := b.index[colKey{name, String}]
	if !ok {
		i = b.addColumn(name, String)
	}
	c := b.cols[i]
	c.Entries, c.Codes = c.Entries[:0], c.Codes[:0]
	at := sort.Search(len(c.Rows), func(j int) bool { return c.Rows[j] >= uint32(row) })
	if at < len(c.Rows) && c.Rows[at] == uint32(row) {
		return
	}
	start := uint32(0)
	if at > 0 {
		start = c.Ends[at-1]
	}
	c.Rows = slices.Insert(c.Rows, at, uint32(row))
	c.Ends = slices.Insert(c.Ends, at, start)
	c.Data = slices.Insert(c.Data, int(start), []byte(v)...)
	for j := at; j < len(c.Ends); j++ {
		c.Ends[j] += uint32(len(v))
	}
}

// FillStrings gives each record for which f returns ok the string that f appended
// to dst, as the field name, in one pass. A value that is there stays: f is not
// called for that record.
func (b *Batch) FillStrings(name string, f func(dst []byte, row int) (out []byte, ok bool)) {
	i, ok := b.index[colKey{name, String}]
	if !ok {
		i = b.addColumn(name, String)
	}
	c := b.cols[i]
	rows, ends, data := make([]uint32, 0, len(c.Rows)), make([]uint32, 0, len(c.Ends)), make([]byte, 0, len(c.Data))
	for row, had := 0, 0; row < len(b.times); row++ {
		if had < len(c.Rows) && c.Rows[had] == uint32(row) {
			data = append(data, c.Bytes(had)...)
			had++
		} else if out, ok := f(data, row); ok {
			data = out
		} else {
			continue
		}
		rows, ends = append(rows, uint32(row)), append(ends, uint32(len(data)))
	}
	c.Rows, c.Ends, c.Data = rows, ends, data
	c.Entries, c.Codes = c.Entries[:0], c.Codes[:0]
}

// Reclass gives the records of each class the one that f returns for it. f is
// called once for each class of the batch.
func (b *Batch) Reclass(f func(Class) Class) {
	old := b.names
	b.names = nil
	var now [256]uint8
	for i, c := range old {
		now[i] = b.classIndex(f(c))
	}
	for row, c := range b.classes {
		b.classes[row] = now[c]
	}
}
