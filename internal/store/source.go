package store

import (
	"errors"
	"io/fs"
	"slices"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
	"github.com/meshtrail/meshtrail/internal/store/filter"
	"github.com/meshtrail/meshtrail/internal/store/memtable"
	"github.com/meshtrail/meshtrail/internal/store/segment"
)

// A source is one block that a request looks at.
type source interface {
	filter.Source
	// Times returns the event times by row.
	Times() ([]uint64, error)
	// Origins returns commit orders and ingest times by row.
	Origins() (ords, ingests []uint64, err error)
}

// sealedBlock is a block of a segment.
type sealedBlock struct {
	x      *openSegment
	n      int
	header *block.Header
	cost   *segment.Cost
	wide   filter.Widened
}

func (b *sealedBlock) Rows() int               { return b.header.Rows }
func (b *sealedBlock) Class() record.Class     { return record.Class(b.x.reader.Class) }
func (b *sealedBlock) Columns() []block.Column { return columns(&b.wide, b.header.Columns) }

func (b *sealedBlock) Load(column int) (*block.Vector, error) {
	if v, ok := b.wide.Vector(column); ok {
		return v, nil
	}
	return b.x.reader.Load(b.n, column, b.cost)
}

func (b *sealedBlock) Split(column int) (*block.Split, error) {
	if column >= len(b.header.Columns) {
		return nil, nil
	}
	return b.x.reader.Split(b.n, column, b.cost)
}

func (b *sealedBlock) Alphabet(column int) *block.ByteSet {
	if column >= len(b.header.Columns) {
		return nil
	}
	return b.header.Alphabet(column)
}

func (b *sealedBlock) Learn(column int, v *block.Vector) *block.ByteSet {
	if column >= len(b.header.Columns) {
		return block.BytesOf(v.Data)
	}
	return b.header.Learn(column, v)
}

func (b *sealedBlock) Times() ([]uint64, error) {
	v, err := b.Load(segment.TimeColumn)
	if err != nil {
		return nil, err
	}
	return v.Nums, nil
}

func (b *sealedBlock) Origins() (ords, ingests []uint64, err error) {
	v, err := b.Load(segment.OriginColumn)
	if err != nil {
		return nil, nil, err
	}
	ords, ingests = block.Origins(v)
	return ords, ingests, nil
}

// memoryBlock is a block of a memtable.
type memoryBlock struct {
	v    *memtable.View
	wide filter.Widened
}

func (b *memoryBlock) Rows() int                { return b.v.Rows }
func (b *memoryBlock) Class() record.Class      { return b.v.Part.Class }
func (b *memoryBlock) Columns() []block.Column  { return columns(&b.wide, b.v.Columns) }
func (b *memoryBlock) Times() ([]uint64, error) { return unsigned(b.v.Times), nil }

func (b *memoryBlock) Load(column int) (*block.Vector, error) {
	if v, ok := b.wide.Vector(column); ok {
		return v, nil
	}
	return b.v.Vectors[column], nil
}

func (b *memoryBlock) Origins() (ords, in []uint64, err error) {
	return b.v.Ords, unsigned(b.v.Ingests), nil
}

// A target is a block in the range of a request.
type target struct {
	mem              *memtable.View
	x                *openSegment
	n                int // of the block in x
	rows             int
	minTime, maxTime int64
	done             bool // a count knows it already
}

// A plan is what a request looks at: a snapshot that no seal changes.
type plan struct {
	s       *Store
	targets []target
	pinned  []*handle
	open    []*openSegment
	cost    segment.Cost
	stats   Stats
	start   time.Time
}

// snapshot is the state of the store at one moment. The handles are pinned.
func (s *Store) snapshot(tenant record.TenantID, classes []record.Class, from, to int64, after uint64) (views []*memtable.View, handles []*handle) {
	const day = 86400 * 1e9
	want := func(p memtable.Part) bool {
		return p.Tenant == tenant && (classes == nil || slices.Contains(classes, p.Class)) &&
			p.Day*day < to && (p.Day+1)*day > from
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	views = s.active.Views(want)
	if s.pending != nil {
		views = append(views, s.pending.table.Views(want)...)
	}
	for _, h := range s.segments {
		l := &h.leaf
		if l.Tenant == string(tenant) && l.MinTime < to && l.MaxTime >= from && (after == 0 || l.LastOrd > after) &&
			(classes == nil || slices.Contains(classes, record.Class(l.Class))) {
			handles = append(handles, h)
		}
	}
	s.files.pin(handles)
	return views, handles
}

// newPlan finds the blocks that a request must look at. The plan is closed by
// the caller.
func (s *Store) newPlan(tenant record.TenantID, classes []record.Class, from, to int64, f *filter.Filter) *plan {
	return s.planAfter(tenant, classes, from, to, 0, f)
}

// planAfter is newPlan for a request that wants only records whose Ord is larger
// than after.
func (s *Store) planAfter(tenant record.TenantID, classes []record.Class, from, to int64, after uint64, f *filter.Filter) *plan {
	p := &plan{s: s, start: time.Now()}
	views, handles := s.snapshot(tenant, classes, from, to, after)
	p.pinned = handles
	for _, v := range views {
		if v.Rows > 0 && v.MinTime < to && v.MaxTime >= from && (after == 0 || v.Ords[v.Rows-1] > after) {
			p.targets = append(p.targets, target{mem: v, rows: v.Rows, minTime: v.MinTime, maxTime: v.MaxTime})
			p.stats.Blocks++
		}
	}
	all := p.askAll(handles, from, to, f)
	for i, h := range handles {
		p.add(h, &all[i])
	}
	return p
}

// lost notes a segment that can not be read: the answer goes on without it.
func (p *plan) lost(h *handle, err error) {
	if h.destroyed.Load() {
		return // with a certificate, since the request began
	}
	if !slices.Contains(p.stats.Damaged, h.leaf.ID) {
		p.stats.Damaged = append(p.stats.Damaged, h.leaf.ID)
	}
	switch k := fault.KindOf(err); {
	case k == fault.Corrupt, k == fault.Tampered, errors.Is(err, fs.ErrNotExist):
		p.s.damage(h.leaf.Path, "", 0, err)
	default: // it may be readable the next time
		p.s.counts.damage(k)
		p.s.log.Error("segment can not be read now", "file", h.leaf.Path, "err", err, "kind", k.String())
	}
}

func (p *plan) close() {
	for _, x := range p.open {
		p.s.files.release(x)
	}
	p.s.files.unpin(p.pinned)
}

// source opens a target.
func (p *plan) source(t *target) (source, error) {
	if t.mem != nil {
		return &memoryBlock{v: t.mem}, nil
	}
	h, err := t.x.reader.Header(t.n, &p.cost)
	if err != nil {
		return nil, err
	}
	return &sealedBlock{x: t.x, n: t.n, header: h, cost: &p.cost}, nil
}
