package store

import (
	"errors"
	"io/fs"
	"math/bits"
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
}

func (b *sealedBlock) Rows() int               { return b.header.Rows }
func (b *sealedBlock) Class() record.Class     { return record.Class(b.x.reader.Class) }
func (b *sealedBlock) Columns() []block.Column { return b.header.Columns }

func (b *sealedBlock) Load(column int) (*block.Vector, error) {
	return b.x.reader.Load(b.n, column, b.cost)
}

func (b *sealedBlock) Alphabet(column int) *block.ByteSet { return b.header.Alphabet(column) }

func (b *sealedBlock) Learn(column int, v *block.Vector) *block.ByteSet {
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
type memoryBlock struct{ v *memtable.View }

func (b memoryBlock) Rows() int                              { return b.v.Rows }
func (b memoryBlock) Class() record.Class                    { return b.v.Part.Class }
func (b memoryBlock) Columns() []block.Column                { return b.v.Columns }
func (b memoryBlock) Load(column int) (*block.Vector, error) { return b.v.Vectors[column], nil }
func (b memoryBlock) Times() ([]uint64, error)               { return unsigned(b.v.Times), nil }
func (b memoryBlock) Origins() (ords, in []uint64, err error) {
	return b.v.Ords, unsigned(b.v.Ingests), nil
}

// A target is a block in the range of a request.
type target struct {
	mem              *memtable.View
	x                *openSegment
	n                int // of the block in x
	rows             int
	minTime, maxTime int64
}

// A plan is what a request looks at: a snapshot that no seal changes.
type plan struct {
	s       *Store
	targets []target
	open    []*openSegment
	cost    segment.Cost
	stats   Stats
	start   time.Time
}

// snapshot is the state of the store at one moment.
func (s *Store) snapshot(tenant record.TenantID, classes []record.Class, from, to int64) (views []*memtable.View, handles []*handle) {
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
		if l.Tenant == string(tenant) && l.MinTime < to && l.MaxTime >= from &&
			(classes == nil || slices.Contains(classes, record.Class(l.Class))) {
			handles = append(handles, h)
		}
	}
	return views, handles
}

// newPlan finds the blocks that a request must look at. The plan is closed by
// the caller.
func (s *Store) newPlan(tenant record.TenantID, classes []record.Class, from, to int64, f *filter.Filter) *plan {
	p := &plan{s: s, start: time.Now()}
	views, handles := s.snapshot(tenant, classes, from, to)
	for _, v := range views {
		if v.Rows > 0 && v.MinTime < to && v.MaxTime >= from {
			p.targets = append(p.targets, target{mem: v, rows: v.Rows, minTime: v.MinTime, maxTime: v.MaxTime})
			p.stats.Blocks++
		}
	}
	for _, h := range handles {
		p.stats.Segments++
		x, err := s.files.acquire(h)
		if err != nil {
			p.lost(h, err)
			continue
		}
		p.open = append(p.open, x)
		if err := p.addSegment(x, from, to, f); err != nil {
			p.lost(h, err)
		}
	}
	return p
}

func (p *plan) addSegment(x *openSegment, from, to int64, f *filter.Filter) error {
	blocks := x.reader.Blocks
	set := make([]uint64, (len(blocks)+63)/64)
	inRange := 0
	for i := range blocks {
		if blocks[i].MinTime < to && blocks[i].MaxTime >= from {
			set[i/64] |= 1 << (i % 64)
			inRange++
		}
	}
	if err := f.Prune(x.reader, set, &p.cost); err != nil {
		return err
	}
	p.stats.Blocks += inRange
	for w, word := range set {
		for ; word != 0; word &= word - 1 {
			i := w*64 + bits.TrailingZeros64(word)
			b := &blocks[i]
			p.targets = append(p.targets, target{x: x, n: i, rows: b.Rows, minTime: b.MinTime, maxTime: b.MaxTime})
			inRange--
		}
	}
	p.stats.BlocksPruned += inRange
	return nil
}

// lost notes a segment that can not be read: the answer goes on without it.
func (p *plan) lost(h *handle, err error) {
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
}

// source opens a target.
func (p *plan) source(t *target) (source, error) {
	if t.mem != nil {
		return memoryBlock{t.mem}, nil
	}
	h, err := t.x.reader.Header(t.n, &p.cost)
	if err != nil {
		return nil, err
	}
	return &sealedBlock{t.x, t.n, h, &p.cost}, nil
}
