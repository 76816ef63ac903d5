package memtable

import (
	"cmp"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

// largeValue is the size from which a value counts as itself, not by the mean
// of its block, when blocks are cut.
const largeValue = 4 << 10

// groupFields are the fields of which the first that a record has names its
// group: records of one service compress and prune best together. A record
// without any goes by its source.
var groupFields = []string{"service.name", "service"}

// A Plan is how the records of one part are cut into the blocks of a segment:
// by group, then by time, then by Ord.
type Plan struct {
	views  []*View
	order  []ref
	bounds []int // block i holds order[bounds[i]:bounds[i+1]]
	keys   []columnKey
	cols   [][]*source // by view, then by key; nil: the view has no such column
	texts  [][][]byte  // by key: the distinct values, if no view has another form
	spill  []spilled   // by view: its fields that get no column
	rests  [][]loose   // by block: their values
}

// A ref is a record: of which view, in which of its rows, and its size.
type ref struct{ view, row, raw uint32 }

// A placed ref is one on its way into the order.
type placed struct {
	ref
	group uint32
	time  int64
	ord   uint64
}

// source is a view's column with a way to find a row's value.
type source struct {
	v   *block.Vector
	has *presence // nil when every row has a value
	ids []uint32  // by entry: its place in the plan's texts; nil if that has none
}

// presence says which rows have a value. Columns of one shape share theirs.
type presence struct {
	bits []uint64 // a bit per row
	rank []uint32 // values before each word of bits
}

func (p *presence) find(row uint32) (int, bool) {
	w := p.bits[row/64]
	if w>>(row%64)&1 == 0 {
		return 0, false
	}
	return int(p.rank[row/64]) + bits.OnesCount64(w&(1<<(row%64)-1)), true
}

func (s *source) find(row uint32) (int, bool) {
	if s.has == nil {
		return int(row), true
	}
	return s.has.find(row)
}

// Cut says how blocks are cut: they have at most so many rows and bytes of
// records, except by their last record, and columns. What exceeds the columns,
// which are those of the whole plan, goes into the blocks' rests.
type Cut struct {
	Rows    int
	Raw     int64
	Columns int
}

// Plan cuts the records of views, which are of one part.
func (c Cut) Plan(views []*View) *Plan {
	slices.SortFunc(views, func(a, b *View) int { return cmp.Compare(a.Ords[0], b.Ords[0]) })
	p := &Plan{views: views}
	p.choose(c.Columns)
	p.number()
	p.cut(p.sort(), c.Rows, c.Raw)
	p.scatter()
	return p
}

// A shape makes the sources of one view's columns.
type shape struct {
	rows []uint32
	has  *presence
}

func (x *shape) source(v *block.Vector, rows int) *source {
	if v.Rows == nil {
		return &source{v: v}
	}
	if x.has == nil || unsafe.SliceData(v.Rows) != unsafe.SliceData(x.rows) || len(v.Rows) != len(x.rows) {
		x.rows, x.has = v.Rows, newPresence(v.Rows, rows)
	}
	return &source{v: v, has: x.has}
}

func newPresence(of []uint32, rows int) *presence {
	words := (rows + 63) / 64
	p := &presence{make([]uint64, words), make([]uint32, words)}
	for _, r := range of {
		p.bits[r/64] |= 1 << (r % 64)
	}
	n := 0
	for i, w := range p.bits {
		p.rank[i] = uint32(n)
		n += bits.OnesCount64(w)
	}
	return p
}

// sort puts the records in order: distributed by group first, then sorted by
// time within, which is mostly done already.
func (p *Plan) sort() []placed {
	groups := make(map[string]uint32)
	total := 0
	for _, v := range p.views {
		total += v.Rows
	}
	refs := make([]placed, 0, total)
	for i, v := range p.views {
		refs = p.append(refs, uint32(i), v, groups)
	}
	names := make([]string, 0, len(groups))
	for g := range groups {
		names = append(names, g)
	}
	slices.Sort(names)
	place := make([]uint32, len(names)) // by group number: its place by name
	for i, g := range names {
		place[groups[g]] = uint32(i)
	}
	starts := make([]int, len(names)+1)
	for i := range refs {
		refs[i].group = place[refs[i].group]
		starts[refs[i].group+1]++
	}
	for i := range names {
		starts[i+1] += starts[i]
	}
	next := slices.Clone(starts)
	order := make([]placed, len(refs))
	for _, r := range refs {
		order[next[r.group]] = r
		next[r.group]++
	}
	byTime := func(a, b placed) int { return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.ord, b.ord)) }
	for i := range names {
		if g := order[starts[i]:starts[i+1]]; !slices.IsSortedFunc(g, byTime) {
			slices.SortFunc(g, byTime)
		}
	}
	return order
}

// append adds the records of a view with their group's number and their size.
func (p *Plan) append(refs []placed, n uint32, v *View, groups map[string]uint32) []placed {
	large := make(map[uint32]uint32)
	rest := v.Raw
	var by []*source
	p.spill[n].weigh(v, func(row, size uint32) {
		large[row] += size
		rest -= int64(size)
	})
	for k, s := range p.cols[n] {
		if s == nil || p.keys[k].kind != record.String {
			continue
		}
		if len(s.v.Data) < largeValue {
			continue
		}
		for i := range s.v.N {
			if size := len(s.v.Bytes(s.v.Entry(i))); size >= largeValue {
				large[uint32(s.v.Row(i))] += uint32(size)
				rest -= int64(size)
			}
		}
	}
	for _, f := range groupFields {
		if k := slices.Index(p.keys, columnKey{f, record.String}); k >= 0 && p.cols[n][k] != nil {
			by = append(by, p.cols[n][k])
		}
	}
	mean := uint32(max(rest, 0)/int64(v.Rows)) + 1
	known := make([][]uint32, len(by)) // by entry: its group's number plus one
	for i, f := range by {
		if f.v.Form != block.Plain {
			known[i] = make([]uint32, f.v.Entries())
		}
	}
	run := 0
	for row := range v.Rows {
		for run+1 < len(v.Sources) && v.Sources[run+1].Start <= row {
			run++
		}
		group := groupOf(by, known, uint32(row), v.Sources[run].Source, groups)
		r := placed{ref{n, uint32(row), mean}, group, v.Times[row], v.Ords[row]}
		if len(large) > 0 {
			r.raw += large[uint32(row)]
		}
		refs = append(refs, r)
	}
	return refs
}

// groupOf returns the number of a row's group. A name that is new aliases the
// view.
func groupOf(by []*source, known [][]uint32, row uint32, src string, groups map[string]uint32) uint32 {
	for k, s := range by {
		i, ok := s.find(row)
		if !ok {
			continue
		}
		e := s.v.Entry(i)
		if known[k] != nil && known[k][e] != 0 {
			return known[k][e] - 1
		}
		b := s.v.Bytes(e)
		n := numberOf(unsafe.String(unsafe.SliceData(b), len(b)), groups)
		if known[k] != nil {
			known[k][e] = n + 1
		}
		return n
	}
	return numberOf(src, groups)
}

func numberOf(name string, groups map[string]uint32) uint32 {
	n, ok := groups[name]
	if !ok {
		n = uint32(len(groups))
		groups[name] = n
	}
	return n
}

// cut sets the bounds of blocks: no block exceeds the limits, except by its
// last record, and a group begins a block of its own when the one before it is
// at least half full.
func (p *Plan) cut(order []placed, maxRows int, maxRaw int64) {
	p.bounds = append(p.bounds, 0)
	p.order = make([]ref, len(order))
	start, raw := 0, int64(0)
	for i := range order {
		r := &order[i]
		p.order[i] = r.ref
		full := i-start >= maxRows || raw >= maxRaw
		fresh := i > 0 && r.group != order[i-1].group && (i-start >= maxRows/2 || raw >= maxRaw/2)
		if i > start && (full || fresh) {
			p.bounds = append(p.bounds, i)
			start, raw = i, 0
		}
		raw += int64(r.raw)
	}
	p.bounds = append(p.bounds, len(p.order))
}
