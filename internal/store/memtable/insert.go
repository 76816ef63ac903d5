package memtable

import (
	"slices"

	"github.com/meshtrail/meshtrail/internal/record"
)

// scatter is the scratch of one Insert.
type scatter struct {
	target []uint16 // by record: index into blocks
	place  []uint32 // by record: its row in that block
	parts  []Part
	index  map[Part]int // of parts beyond fewParts
	blocks []*Block
	base   []int // rows of the block before this insert
	added  []int
	over   []int64 // cost of the block's overflow before this insert
	split  split
	codes  []uint32

	clamped bool // some record's time was
}

// fewParts are compared one by one. Senders who mean well have few in a batch.
const fewParts = 32

// find returns the index of a part, or -1.
func (s *scatter) find(p Part) int {
	if i := slices.Index(s.parts[:min(len(s.parts), fewParts)], p); i >= 0 || len(s.parts) <= fewParts {
		return i
	}
	if i, ok := s.index[p]; ok {
		return i
	}
	return -1
}

// found notes the part that was appended last.
func (s *scatter) found(p Part) {
	if n := len(s.parts); n > fewParts {
		if s.index == nil {
			s.index = make(map[Part]int)
		}
		s.index[p] = n - 1
	}
}

// Insert copies the records of b, whose Ord is set. Either all of it is visible
// to Views or nothing. Numbers of values, where b has them, are used.
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
	s.split.begin(len(s.blocks))
	for i, c := range b.Columns() {
		from, to := rowRange(c.Rows, lo, hi)
		if from == to || s.clamped && c.Name == OriginalTime && c.Kind == record.Int {
			continue
		}
		if len(s.blocks) == 1 {
			p := picked{c: c, from: from, to: to, shift: s.base[0] - lo}
			s.blocks[0].add(i, &p, &s.codes)
			continue
		}
		s.split.divide(s, c.Rows[from:to], from, lo)
		for k, is := range s.split.is {
			if len(is) > 0 {
				p := picked{c: c, is: is, rows: s.split.rows[k]}
				s.blocks[k].add(i, &p, &s.codes)
			}
		}
	}
	if s.clamped {
		t.originals(b, lo, hi)
	}
	for i, x := range s.blocks {
		t.raw += x.over.cost() - s.over[i]
		if len(x.times) >= MaxRows || x.raw+x.over.cost() >= MaxRaw {
			t.close(t.parts[s.parts[i]])
		}
	}
}

// A split divides the values of a column among the blocks of an insert. Columns
// of one shape have the same rows, and their split is the same.
type split struct {
	of   []uint32 // the rows that were divided last
	from int
	is   [][]uint32 // by block: its values
	rows [][]uint32 // and the rows that they get there
}

func (x *split) begin(blocks int) {
	x.of = x.of[:0]
	for len(x.is) < blocks {
		x.is, x.rows = append(x.is, nil), append(x.rows, nil)
	}
	x.is, x.rows = x.is[:blocks], x.rows[:blocks]
}

// divide splits the values of which these are the records; the first is value
// from of its column, and lo is the first record of the insert.
func (x *split) divide(s *scatter, rows []uint32, from, lo int) {
	if from == x.from && slices.Equal(rows, x.of) {
		return
	}
	x.of, x.from = append(x.of[:0], rows...), from
	for k := range x.is {
		x.is[k], x.rows[k] = x.is[k][:0], x.rows[k][:0]
	}
	for i, r := range rows {
		k := s.target[int(r)-lo]
		x.is[k], x.rows[k] = append(x.is[k], uint32(from+i)), append(x.rows[k], s.place[int(r)-lo])
	}
}

// aim finds the block and the row of each record and appends their times.
func (t *Table) aim(b *record.Batch, lo, hi int) {
	s := &t.scratch
	s.target, s.place = s.target[:0], s.place[:0]
	s.parts, s.blocks, s.base, s.added = s.parts[:0], s.blocks[:0], s.base[:0], s.added[:0]
	s.over, s.index = s.over[:0], nil
	s.clamped = false
	last := -1
	for i := lo; i < hi; i++ {
		at, clamped := clamp(b, i)
		s.clamped = s.clamped || clamped
		if last < 0 || at/day != s.parts[last].Day || b.ClassAt(i) != s.parts[last].Class {
			p := Part{b.Tenant, b.ClassAt(i), at / day}
			if last = s.find(p); last < 0 {
				last = t.open(p, hi-lo)
			}
		}
		x := s.blocks[last]
		s.target, s.place = append(s.target, uint16(last)), append(s.place, uint32(len(x.times)))
		s.added[last]++
		x.times = append(x.times, at)
		x.minTime, x.maxTime = min(x.minTime, at), max(x.maxTime, at)
		x.ords = append(x.ords, b.Ord+uint64(i))
		x.ingests = append(x.ingests, b.Ingest)
	}
}

// clamp returns the event time that record i is kept under.
func clamp(b *record.Batch, i int) (at int64, changed bool) {
	if at = b.Times()[i]; at >= MinTime && at < MaxTime {
		return at, false
	}
	return min(max(b.Ingest, MinTime), MaxTime-1), true
}

// EventTime returns the event time that record i is kept under: its own, or that of
// its arrival where its own is none that a clock shows.
func EventTime(b *record.Batch, i int) int64 {
	at, _ := clamp(b, i)
	return at
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
		one := record.Column{Name: OriginalTime, Kind: record.Int, Nums: []uint64{v}}
		p := picked{c: &one, is: []uint32{0}, rows: s.place[i-lo : i-lo+1]}
		s.blocks[s.target[i-lo]].add(-1, &p, &s.codes)
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
		x.open.few = t.few
	}
	last := x.open
	s.parts, s.blocks = append(s.parts, p), append(s.blocks, last)
	s.found(p)
	s.base, s.added, s.over = append(s.base, len(last.times)), append(s.added, 0), append(s.over, last.over.cost())
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

// add adds values to the column of their name, or to the overflow if it has
// none.
func (b *Block) add(hint int, p *picked, scratch *[]uint32) {
	if k := b.column(hint, p.c.Name, p.c.Kind, p.len()); k != nil {
		k.add(p, scratch)
		return
	}
	for j := range p.len() {
		i, row := p.at(j)
		b.over.append(p.c, i, row)
	}
}

// column returns the column of a name and kind, of which n values come, or nil
// when they go into the overflow. Batches of one sender have the same columns in
// the same order: hint, if not negative, is which column of the batch it is, and
// the map is rarely asked.
func (b *Block) column(hint int, name string, kind record.Kind, n int) *column {
	if hint >= 0 && hint < len(b.hints) {
		if c := b.cols[b.hints[hint]]; c.name == name && c.kind == kind {
			return c
		}
	}
	k := columnKey{name, kind}
	i, ok := b.index[k]
	if !ok {
		if name != OriginalTime && len(b.cols) >= b.few && (n < manyValues || len(b.cols) >= maxColumns) {
			return nil
		}
		if _, ok := b.over.index[k]; ok {
			return nil // where its other values are
		}
		i = len(b.cols)
		b.index[k] = i
		b.cols = append(b.cols, &column{name: name, kind: kind, dense: true, coded: true})
	}
	for hint >= len(b.hints) {
		b.hints = append(b.hints, i)
	}
	if hint >= 0 {
		b.hints[hint] = i
	}
	return b.cols[i]
}
