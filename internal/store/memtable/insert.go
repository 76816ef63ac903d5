package memtable

import (
	"slices"

	"github.com/meshtrail/meshtrail/internal/record"
)

// scatter is the scratch of one Insert.
type scatter struct {
	target []uint16 // by record: index into targets
	parts  []Part
	blocks []*Block
	base   []int // rows of the block before this insert
	added  []int
	place  []uint32 // by record: its row in the target's block
	cols   []*column

	clamped bool // some record's time was
}

// Insert copies the records of b, whose Ord is set. Either all of it is visible
// to Views or nothing.
func (t *Table) Insert(b *record.Batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	raw := rawSize(b)
	n := b.Len()
	step := MaxRows
	if avg := raw / int64(max(n, 1)); avg > 0 {
		step = min(step, max(1, int(MaxRaw/avg)))
	}
	for lo := 0; lo < n; lo += step {
		t.insert(b, lo, min(lo+step, n), raw)
	}
	t.raw += raw
	t.rows += int64(n)
}

// rawSize estimates what the records would take as JSON.
func rawSize(b *record.Batch) int64 {
	size := int64(b.Len()) * 40
	for _, c := range b.Columns() {
		size += int64(len(c.Rows))*int64(len(c.Name)+6) + int64(len(c.Data)) + 6*int64(len(c.Nums))
	}
	return size
}

// insert adds records lo to hi, of a batch of raw bytes.
func (t *Table) insert(b *record.Batch, lo, hi int, raw int64) {
	s := &t.scratch
	t.aim(b, lo, hi)
	share := raw * int64(hi-lo) / int64(b.Len())
	for i, x := range s.blocks {
		x.raw += share * int64(s.added[i]) / int64(hi-lo)
		if n := len(x.sources); n == 0 || x.sources[n-1].Source != b.Source {
			x.sources = append(x.sources, SourceRun{s.base[i], b.Source})
		}
	}
	single := len(s.blocks) == 1
	for _, c := range b.Columns() {
		from, to := rowRange(c.Rows, lo, hi)
		if from == to || s.clamped && c.Name == OriginalTime && c.Kind == record.Int {
			continue
		}
		if single {
			s.blocks[0].column(c.Name, c.Kind).appendRange(c, from, to, s.base[0]-lo)
			continue
		}
		s.cols = append(s.cols[:0], make([]*column, len(s.blocks))...)
		for i := from; i < to; i++ {
			row := int(c.Rows[i]) - lo
			k := s.target[row]
			if s.cols[k] == nil {
				s.cols[k] = s.blocks[k].column(c.Name, c.Kind)
			}
			s.cols[k].appendValue(c, i, s.place[row])
		}
	}
	if s.clamped {
		t.originals(b, lo, hi)
	}
	for i, x := range s.blocks {
		if len(x.times) >= MaxRows || x.raw >= MaxRaw || len(x.cols) >= maxColumns {
			t.close(t.parts[s.parts[i]])
		}
	}
}

// aim finds the block and the row of each record and appends their times.
func (t *Table) aim(b *record.Batch, lo, hi int) {
	s := &t.scratch
	s.target, s.place = s.target[:0], s.place[:0]
	s.parts, s.blocks, s.base, s.added = s.parts[:0], s.blocks[:0], s.base[:0], s.added[:0]
	s.clamped = false
	last := -1
	for i := lo; i < hi; i++ {
		at, clamped := clamp(b, i)
		s.clamped = s.clamped || clamped
		p := Part{b.Tenant, b.ClassAt(i), at / day}
		if last < 0 || s.parts[last] != p {
			if last = slices.Index(s.parts, p); last < 0 {
				last = t.open(p, hi-lo)
			}
		}
		x := s.blocks[last]
		row := uint32(len(x.times))
		s.target, s.place = append(s.target, uint16(last)), append(s.place, row)
		s.added[last]++
		x.times = append(x.times, at)
		x.ords = append(x.ords, b.Ord+uint64(i))
		x.ingests = append(x.ingests, b.Ingest)
		x.minTime, x.maxTime = min(x.minTime, at), max(x.maxTime, at)
	}
}

// clamp returns the event time that record i is kept under.
func clamp(b *record.Batch, i int) (at int64, changed bool) {
	if at = b.Times()[i]; at >= MinTime && at < MaxTime {
		return at, false
	}
	return min(max(b.Ingest, MinTime), MaxTime-1), true
}

// originals keeps the times that were clamped, between what the sender itself
// may have put into that field.
func (t *Table) originals(b *record.Batch, lo, hi int) {
	s := &t.scratch
	var own *record.Column
	for _, c := range b.Columns() {
		if c.Name == OriginalTime && c.Kind == record.Int {
			own = c
		}
	}
	for i := lo; i < hi; i++ {
		v := uint64(b.Times()[i])
		if _, changed := clamp(b, i); !changed {
			if own == nil {
				continue
			}
			k, ok := own.Find(uint32(i))
			if !ok {
				continue
			}
			v = own.Nums[k]
		}
		c := s.blocks[s.target[i-lo]].column(OriginalTime, record.Int)
		c.present(s.place[i-lo])
		c.nums = append(c.nums, v)
	}
}

// open makes the block of a part that takes up to n more records a target.
func (t *Table) open(p Part, n int) int {
	s := &t.scratch
	x := t.parts[p]
	if x == nil {
		x = new(part)
		t.parts[p] = x
		x.at = p
	}
	if x.open != nil && len(x.open.times)+n > MaxRows {
		t.close(x)
	}
	if x.open == nil {
		x.open = blocks.Get().(*Block)
	}
	last := x.open
	s.parts, s.blocks = append(s.parts, p), append(s.blocks, last)
	s.base, s.added = append(s.base, len(last.times)), append(s.added, 0)
	return len(s.parts) - 1
}

// rowRange returns which values belong to records lo to hi.
func rowRange(rows []uint32, lo, hi int) (from, to int) {
	n := len(rows)
	if n == 0 {
		return 0, 0
	}
	if int(rows[0]) >= lo && int(rows[n-1]) < hi {
		return 0, n
	}
	if int(rows[n-1]) == n-1 { // every record has one
		return min(lo, n), min(hi, n)
	}
	from, _ = slices.BinarySearch(rows, uint32(lo))
	to, _ = slices.BinarySearch(rows, uint32(hi))
	return from, to
}

func (b *Block) column(name string, kind record.Kind) *column {
	k := columnKey{name, kind}
	i, ok := b.index[k]
	if !ok {
		i = len(b.cols)
		b.index[k] = i
		b.cols = append(b.cols, &column{name: name, kind: kind, dense: true})
	}
	return b.cols[i]
}

// appendRange adds values from to to of c; shift turns a record's index into
// its row.
func (k *column) appendRange(c *record.Column, from, to, shift int) {
	n := to - from
	if k.dense && !(k.n == int(c.Rows[from])+shift && int(c.Rows[to-1]-c.Rows[from]) == n-1) {
		k.sparse()
	}
	if !k.dense {
		for _, r := range c.Rows[from:to] {
			k.rows = append(k.rows, uint32(int(r)+shift))
		}
	}
	k.n += n
	if c.Kind != record.String {
		k.nums = append(k.nums, c.Nums[from:to]...)
		return
	}
	start := uint32(0)
	if from > 0 {
		start = c.Ends[from-1]
	}
	move := uint32(len(k.data)) - start
	k.data = append(k.data, c.Data[start:c.Ends[to-1]]...)
	for _, e := range c.Ends[from:to] {
		k.ends = append(k.ends, e+move)
	}
}

func (k *column) appendValue(c *record.Column, i int, row uint32) {
	k.present(row)
	if c.Kind != record.String {
		k.nums = append(k.nums, c.Nums[i])
		return
	}
	k.data = append(k.data, c.Bytes(i)...)
	k.ends = append(k.ends, uint32(len(k.data)))
}

// present notes that row has the next value.
func (k *column) present(row uint32) {
	if k.dense && k.n != int(row) {
		k.sparse()
	}
	if !k.dense {
		k.rows = append(k.rows, row)
	}
	k.n++
}
