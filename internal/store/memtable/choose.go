package memtable

import (
	"cmp"
	"slices"

	"github.com/zeebo/xxh3"

	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

// MaxColumns is how many names and kinds get columns in the blocks of a plan.
const MaxColumns = 1000

// A plan of more than freeColumns names and kinds gives columns only to those of
// leastValues at least: a column costs the directory of a segment, which is held
// in memory, about 100 bytes, and a value of the rest none.
const (
	freeColumns = 128
	leastValues = 16
)

// A tally counts the values of names and kinds by their hash: there may be
// millions of names.
type tally map[uint64]uint32

func hashOf(k columnKey) uint64 { return xxh3.HashStringSeed(k.name, uint64(k.kind)) }

// eachField calls f for each field of a view: one with a column first.
func eachField(v *View, f func(k columnKey, column, group int, values int)) {
	for i := range v.Columns {
		if c := &v.Columns[i]; c.Values > 0 {
			f(columnKey{c.Name, c.Kind}, i, -1, c.Values)
		}
	}
	r := v.Rest()
	for i := range r.Len() {
		name, kind, values := r.Name(i)
		f(columnKey{name, kind}, -1, i, values)
	}
}

// best returns limit of the keys: those of names that the dictionary knows come
// before those that a sender chose, and then those of most values.
func best(keys []columnKey, limit int, counts tally) []columnKey {
	type ranked struct {
		columnKey
		rank   int
		values uint32
	}
	list := make([]ranked, len(keys))
	for i, k := range keys {
		list[i] = ranked{k, 1, counts[hashOf(k)]}
		if r := schema.Resolve(k.name); k.name == record.Body || len(r.Names()) > 1 {
			list[i].rank = 0
		}
	}
	slices.SortFunc(list, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(b.values, a.values), compareKeys(a.columnKey, b.columnKey))
	})
	keys = keys[:limit]
	for i := range keys {
		keys[i] = list[i].columnKey
	}
	return keys
}

// choose picks the fields that get a column, at most limit, those that the
// dictionary knows and then those of most values first, and finds their values
// in the views.
func (p *Plan) choose(limit int) {
	counts := make(tally)
	for _, v := range p.views {
		eachField(v, func(k columnKey, _, _, values int) { counts[hashOf(k)] += uint32(values) })
	}
	least := uint32(0)
	if len(counts) > min(freeColumns, limit) {
		least = leastValues
	}
	index := make(map[columnKey]int)
	for _, v := range p.views {
		eachField(v, func(k columnKey, _, _, _ int) {
			if _, ok := index[k]; !ok && counts[hashOf(k)] >= least {
				index[k] = len(p.keys)
				p.keys = append(p.keys, k)
			}
		})
	}
	if len(p.keys) > limit {
		p.keys = best(p.keys, limit, counts)
	}
	// The columns of a view stand in the order in which its block, which may have
	// been used before, first saw their names: what is written must not tell.
	slices.SortFunc(p.keys, compareKeys)
	clear(index)
	for i, k := range p.keys {
		index[k] = i
	}
	p.spill = make([]spilled, len(p.views))
	for i, v := range p.views {
		cols := make([]*source, len(p.keys))
		var x shape
		eachField(v, func(k columnKey, column, group int, _ int) {
			if at, ok := index[k]; !ok {
				p.spill[i].add(v, k, column, group, counts[hashOf(k)] < leastValues)
			} else if group >= 0 {
				cols[at] = x.source(v.Rest().Vector(group), v.Rows)
			} else {
				cols[at] = x.source(v.Vectors[column], v.Rows)
			}
		})
		p.cols = append(p.cols, cols)
	}
}

// spilled are the fields of a view that get no column.
type spilled struct {
	fields    []field
	few, many int // values of fields of few values, and of too many fields
}

type field struct {
	columnKey
	v *block.Vector
}

func (s *spilled) add(v *View, k columnKey, column, group int, few bool) {
	f := field{columnKey: k}
	if group >= 0 {
		f.v = v.Rest().Vector(group)
	} else {
		f.v = v.Vectors[column]
	}
	if s.fields = append(s.fields, f); few {
		s.few += f.v.N
	} else {
		s.many += f.v.N
	}
}

// weigh calls add with what each value takes, as rawSize counts it: the records
// of one block may have few such fields and those of another many.
func (s *spilled) weigh(v *View, add func(row, size uint32)) {
	for i := range s.fields {
		f := &s.fields[i]
		for k := range f.v.N {
			size := uint32(len(f.name) + 12)
			if f.kind == record.String {
				size = uint32(len(f.name) + 6 + len(f.v.Bytes(f.v.Entry(k))))
			}
			add(uint32(f.v.Row(k)), size)
		}
	}
}

// Spilled returns how many values the plan puts into rests, because their fields
// have few values, and because there are too many fields.
func (p *Plan) Spilled() (few, many int) {
	for i := range p.spill {
		few += p.spill[i].few
		many += p.spill[i].many
	}
	return few, many
}

// A loose value of a block is value i of a field of a view.
type loose struct {
	view, field, i uint32
	row            uint32 // of the block
}

// scatter finds for each block the values that go into its rest.
func (p *Plan) scatter() {
	few, many := p.Spilled()
	if few+many == 0 {
		return
	}
	type place struct{ block, row uint32 }
	places := make([][]place, len(p.views))
	for i, v := range p.views {
		places[i] = make([]place, v.Rows)
	}
	p.rests = make([][]loose, p.Blocks())
	for b := range p.rests {
		for j, r := range p.order[p.bounds[b]:p.bounds[b+1]] {
			places[r.view][r.row] = place{uint32(b), uint32(j)}
		}
	}
	for i := range p.spill {
		for k := range p.spill[i].fields {
			v := p.spill[i].fields[k].v
			for n := range v.N {
				at := places[i][v.Row(n)]
				p.rests[at.block] = append(p.rests[at.block], loose{uint32(i), uint32(k), uint32(n), at.row})
			}
		}
	}
}

// rest gathers the rest of block i into r, whose memory is used again.
func (p *Plan) rest(i int, r *block.Rest) *block.Rest {
	if r != nil {
		r.Reset()
	}
	if p.rests == nil || len(p.rests[i]) == 0 {
		return r
	}
	if r == nil {
		r = &block.Rest{}
	}
	list := p.rests[i]
	at := func(x *loose) *field { return &p.spill[x.view].fields[x.field] }
	type run struct{ from, to int } // of list: values of one field of a view
	var runs []run
	for from, to := 0, 1; from < len(list); from, to = to, to+1 {
		for to < len(list) && list[to].field == list[from].field && list[to].view == list[from].view {
			to++
		}
		runs = append(runs, run{from, to})
	}
	slices.SortFunc(runs, func(a, b run) int {
		return cmp.Or(compareKeys(at(&list[a.from]).columnKey, at(&list[b.from]).columnKey), cmp.Compare(a.from, b.from))
	})
	var values []loose // of one name and kind
	byRow := func(a, b loose) int { return cmp.Compare(a.row, b.row) }
	for len(runs) > 0 {
		key := at(&list[runs[0].from]).columnKey
		values = values[:0]
		for len(runs) > 0 && at(&list[runs[0].from]).columnKey == key {
			values = append(values, list[runs[0].from:runs[0].to]...)
			runs = runs[1:]
		}
		if !slices.IsSortedFunc(values, byRow) {
			slices.SortFunc(values, byRow)
		}
		r.Begin(key.name, key.kind)
		for k := range values {
			v := at(&values[k]).v
			if e := v.Entry(int(values[k].i)); key.kind == record.String {
				r.String(values[k].row, v.Bytes(e))
			} else {
				r.Number(values[k].row, v.Nums[e])
			}
		}
	}
	return r
}
