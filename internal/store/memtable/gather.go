package memtable

import (
	"cmp"
	"math/bits"
	"slices"
	"sync"
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
}

type ref struct {
	time  int64
	ord   uint64
	view  uint32
	row   uint32
	group uint32
	raw   uint32
}

// source is a view's column with a way to find a row's value.
type source struct {
	v    *block.Vector
	bits []uint64 // a bit per row; nil when every row has a value
	rank []uint32 // values before each word of bits
	ids  []uint32 // by entry: its place in the plan's texts; nil if that has none
}

func (s *source) find(row uint32) (int, bool) {
	if s.bits == nil {
		return int(row), true
	}
	w := s.bits[row/64]
	if w>>(row%64)&1 == 0 {
		return 0, false
	}
	return int(s.rank[row/64]) + bits.OnesCount64(w&(1<<(row%64)-1)), true
}

// maxKeys is how many distinct columns the views of one plan have together,
// unless one alone has more. It keeps senders who invent names from making
// every block as wide as all of them.
const maxKeys = 8 << 10

// Plans cuts the records of views, which are of one part. Mostly there is one
// plan; their blocks follow each other in a segment.
func Plans(views []*View, maxRows int, maxRaw int64) []*Plan {
	slices.SortFunc(views, func(a, b *View) int { return cmp.Compare(a.Ords[0], b.Ords[0]) })
	var out []*Plan
	start, seen := 0, make(map[columnKey]bool)
	for i, v := range views {
		fresh := 0
		for j := range v.Columns {
			if !seen[columnKey{v.Columns[j].Name, v.Columns[j].Kind}] {
				fresh++
			}
		}
		if i > start && len(seen)+fresh > maxKeys {
			out = append(out, newPlan(views[start:i], maxRows, maxRaw))
			start = i
			clear(seen)
		}
		for j := range v.Columns {
			seen[columnKey{v.Columns[j].Name, v.Columns[j].Kind}] = true
		}
	}
	return append(out, newPlan(views[start:], maxRows, maxRaw))
}

func newPlan(views []*View, maxRows int, maxRaw int64) *Plan {
	p := &Plan{views: views}
	index := make(map[columnKey]int)
	for _, v := range views {
		for i := range v.Columns {
			k := columnKey{v.Columns[i].Name, v.Columns[i].Kind}
			if _, ok := index[k]; !ok && v.Columns[i].Values > 0 {
				index[k] = len(p.keys)
				p.keys = append(p.keys, k)
			}
		}
	}
	for _, v := range views {
		cols := make([]*source, len(p.keys))
		for i := range v.Columns {
			if v.Columns[i].Values > 0 {
				cols[index[columnKey{v.Columns[i].Name, v.Columns[i].Kind}]] = newSource(v.Vectors[i], v.Rows)
			}
		}
		p.cols = append(p.cols, cols)
	}
	p.number()
	p.sort()
	p.cut(maxRows, maxRaw)
	return p
}

// maxTexts is the largest number of distinct values that number keeps a place of
// for every block.
const maxTexts = 1 << 16

// number gives the entries of string columns numbers that hold for all views, so
// that the values of a block are gathered by number and not by their bytes.
func (p *Plan) number() {
	p.texts = make([][][]byte, len(p.keys))
	places := make(map[string]uint32)
	for k, key := range p.keys {
		if key.kind != record.String || !p.coded(k) {
			continue
		}
		clear(places)
		var texts [][]byte
		for _, cols := range p.cols {
			s := cols[k]
			if s == nil {
				continue
			}
			s.ids = make([]uint32, s.v.Entries())
			for e := range s.ids {
				b := s.v.Bytes(e)
				id, ok := places[string(b)]
				if !ok {
					id = uint32(len(texts))
					places[unsafe.String(unsafe.SliceData(b), len(b))] = id
					texts = append(texts, b)
				}
				s.ids[e] = id
			}
		}
		p.texts[k] = texts
	}
}

// coded reports whether every view has column k as a constant or a dictionary.
func (p *Plan) coded(k int) bool {
	n := 0
	for _, cols := range p.cols {
		if cols[k] == nil {
			continue
		}
		if cols[k].v.Form == block.Plain {
			return false
		}
		n += cols[k].v.Entries()
	}
	return n <= maxTexts
}

func newSource(v *block.Vector, rows int) *source {
	s := &source{v: v}
	if v.Rows == nil {
		return s
	}
	words := (rows + 63) / 64
	s.bits, s.rank = make([]uint64, words), make([]uint32, words)
	for _, r := range v.Rows {
		s.bits[r/64] |= 1 << (r % 64)
	}
	n := 0
	for i, w := range s.bits {
		s.rank[i] = uint32(n)
		n += bits.OnesCount64(w)
	}
	return s
}

// sort puts the records in order: distributed by group first, then sorted by
// time within, which is mostly done already.
func (p *Plan) sort() {
	groups := make(map[string]uint32)
	total := 0
	for _, v := range p.views {
		total += v.Rows
	}
	refs := make([]ref, 0, total)
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
	p.order = make([]ref, len(refs))
	for _, r := range refs {
		p.order[next[r.group]] = r
		next[r.group]++
	}
	byTime := func(a, b ref) int { return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.ord, b.ord)) }
	for i := range names {
		if g := p.order[starts[i]:starts[i+1]]; !slices.IsSortedFunc(g, byTime) {
			slices.SortFunc(g, byTime)
		}
	}
}

// append adds the records of a view with their group's number and their size.
func (p *Plan) append(refs []ref, n uint32, v *View, groups map[string]uint32) []ref {
	large := make(map[uint32]uint32)
	rest := v.Raw
	var by []*source
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
		r := ref{time: v.Times[row], ord: v.Ords[row], view: n, row: uint32(row), group: group, raw: mean}
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
func (p *Plan) cut(maxRows int, maxRaw int64) {
	p.bounds = append(p.bounds, 0)
	start, raw := 0, int64(0)
	for i := range p.order {
		r := &p.order[i]
		full := i-start >= maxRows || raw >= maxRaw
		fresh := i > 0 && r.group != p.order[i-1].group && (i-start >= maxRows/2 || raw >= maxRaw/2)
		if i > start && (full || fresh) {
			p.bounds = append(p.bounds, i)
			start, raw = i, 0
		}
		raw += int64(r.raw)
	}
	p.bounds = append(p.bounds, len(p.order))
}

// Blocks returns the number of blocks.
func (p *Plan) Blocks() int { return len(p.bounds) - 1 }

// Block gathers block i into in, whose memory is used again; nil makes a new
// one. It is safe for concurrent use with different inputs.
func (p *Plan) Block(i int, in *block.Input) *block.Input {
	if in == nil {
		in = &block.Input{}
	}
	refs := p.order[p.bounds[i]:p.bounds[i+1]]
	in.Times, in.Ords, in.Ingests, in.Raw = in.Times[:0], in.Ords[:0], in.Ingests[:0], 0
	used := make([]bool, len(p.views))
	for j := range refs {
		r := &refs[j]
		in.Times, in.Ords = append(in.Times, r.time), append(in.Ords, r.ord)
		in.Ingests = append(in.Ingests, p.views[r.view].Ingests[r.row])
		in.Raw += int64(r.raw)
		used[r.view] = true
	}
	all := in.Columns[:cap(in.Columns)]
	n := 0
	for k, key := range p.keys {
		has := false
		for v := range p.views {
			has = has || used[v] && p.cols[v][k] != nil
		}
		if !has {
			continue
		}
		if n == len(all) {
			all = append(all, &record.Column{})
		}
		if all[n] == nil {
			all[n] = &record.Column{}
		}
		if n == len(in.Codes) {
			in.Codes = append(in.Codes, nil)
		}
		if p.texts[k] == nil || !p.encode(k, refs, all[n], &in.Codes[n]) {
			in.Codes[n] = nil
			p.gather(k, key, refs, all[n])
		}
		if len(all[n].Rows) > 0 {
			n++
		}
	}
	in.Columns = all[:n]
	return in
}

// An encoder numbers the values of one block's column in the order of their
// first use.
type encoder struct {
	codes []uint16 // by place in the plan's texts
	uses  []uint32 // the use in which the code was given
	use   uint32
	fresh []uint32 // values that no earlier one is equal to
	ids   []uint32 // and their place
}

var coders = sync.Pool{New: func() any { return new(encoder) }}

// encode gathers column k as its distinct values and a code for each of its
// rows. It reports false when a block does not keep such values as a dictionary.
func (p *Plan) encode(k int, refs []ref, c *record.Column, codes *[]uint16) bool {
	x := coders.Get().(*encoder)
	defer coders.Put(x)
	if n := len(p.texts[k]); len(x.uses) < n {
		x.codes, x.uses, x.use = make([]uint16, n), make([]uint32, n), 0
	}
	if x.use++; x.use == 0 {
		clear(x.uses)
		x.use = 1
	}
	x.fresh, x.ids = x.fresh[:0], x.ids[:0]
	c.Name, c.Kind = p.keys[k].name, record.String
	c.Rows, c.Nums, c.Ends, c.Data = c.Rows[:0], c.Nums[:0], c.Ends[:0], c.Data[:0]
	out := (*codes)[:0]
	for j := range refs {
		s := p.cols[refs[j].view][k]
		if s == nil {
			continue
		}
		i, ok := s.find(refs[j].row)
		if !ok {
			continue
		}
		id := s.ids[s.v.Entry(i)]
		if x.uses[id] != x.use {
			x.uses[id], x.codes[id] = x.use, uint16(len(x.ids))
			x.fresh, x.ids = append(x.fresh, uint32(len(out))), append(x.ids, id)
		}
		c.Rows = append(c.Rows, uint32(j))
		out = append(out, x.codes[id])
	}
	*codes = out
	if len(x.ids) > 1 && !block.Compact(x.fresh, len(out)) || len(x.ids) == 1 && len(out) == 1 {
		return false
	}
	for _, id := range x.ids {
		c.Data = append(c.Data, p.texts[k][id]...)
		c.Ends = append(c.Ends, uint32(len(c.Data)))
	}
	return true
}

func (p *Plan) gather(k int, key columnKey, refs []ref, c *record.Column) {
	c.Name, c.Kind = key.name, key.kind
	c.Rows, c.Nums, c.Ends, c.Data = c.Rows[:0], c.Nums[:0], c.Ends[:0], c.Data[:0]
	for j := range refs {
		s := p.cols[refs[j].view][k]
		if s == nil {
			continue
		}
		i, ok := s.find(refs[j].row)
		if !ok {
			continue
		}
		c.Rows = append(c.Rows, uint32(j))
		if i = s.v.Entry(i); key.kind == record.String {
			c.Data = append(c.Data, s.v.Bytes(i)...)
			c.Ends = append(c.Ends, uint32(len(c.Data)))
		} else {
			c.Nums = append(c.Nums, s.v.Nums[i])
		}
	}
}
