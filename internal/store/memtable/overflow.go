package memtable

import (
	"cmp"
	"slices"
	"strings"

	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

// An open block gives a column to each of the first fewColumns names and kinds,
// and beyond them, up to maxColumns, to those of which one batch brings
// manyValues at least. The values of all others go into the block's overflow:
// whoever invents names costs a list entry each, and fills no block by it.
const (
	fewColumns = 256
	maxColumns = 2000
	manyValues = 8

	// keyCost is what a name in an overflow takes of memory beside its bytes,
	// about. It counts as bytes of records: what waits to be sealed is bounded.
	keyCost = 100
	// keepKeys is the largest overflow whose memory is used again.
	keepKeys = 1 << 13
)

// An overflow holds values in the order in which they come, for each name by
// row. It only grows: its slices up to a length never change.
type overflow struct {
	index map[columnKey]uint32 // place in keys
	keys  []columnKey
	of    []uint32 // by value: its key
	rows  []uint32
	nums  []uint64 // the number, or of a string its begin in data << 32 | its end
	data  []byte
}

// append adds values from to to of c, of a field without a column; place gives
// the row of a record's index.
func (o *overflow) append(c *record.Column, i int, row uint32) {
	key := columnKey{c.Name, c.Kind}
	k, ok := o.index[key]
	if !ok {
		if o.index == nil {
			o.index = make(map[columnKey]uint32)
		}
		k = uint32(len(o.keys))
		o.index[key] = k
		o.keys = append(o.keys, key)
	}
	o.of, o.rows = append(o.of, k), append(o.rows, row)
	if c.Kind != record.String {
		o.nums = append(o.nums, c.Nums[i])
		return
	}
	begin := len(o.data)
	o.data = append(o.data, c.Bytes(i)...)
	o.nums = append(o.nums, uint64(begin)<<32|uint64(len(o.data)))
}

// cost is what the names take of memory beside what raw counts.
func (o *overflow) cost() int64 { return keyCost * int64(len(o.keys)) }

// reset empties an overflow that nobody shares.
func (o *overflow) reset() {
	if len(o.keys) > keepKeys {
		*o = overflow{}
		return
	}
	clear(o.index)
	clear(o.keys)
	o.keys, o.of, o.rows, o.nums, o.data = o.keys[:0], o.of[:0], o.rows[:0], o.nums[:0], o.data[:0]
}

// snapshot returns the overflow as it is now.
func (o *overflow) snapshot() overflow {
	return overflow{keys: o.keys[:len(o.keys):len(o.keys)], of: o.of[:len(o.of):len(o.of)], rows: o.rows, nums: o.nums, data: o.data}
}

// rest returns the values by name and kind, copied.
func (o *overflow) rest() *block.Rest {
	if len(o.of) == 0 {
		return nil
	}
	order := make([]uint32, len(o.keys)) // keys by name
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int { return compareKeys(o.keys[a], o.keys[b]) })
	starts := make([]uint32, len(o.keys)+1) // by key, then its next value in values
	for _, k := range o.of {
		starts[k+1]++
	}
	place := make([]uint32, len(o.keys))
	at := uint32(0)
	for _, k := range order {
		place[k] = at
		at += starts[k+1]
	}
	values := make([]uint32, len(o.of)) // by name, then row
	next := slices.Clone(place)
	for i, k := range o.of {
		values[next[k]] = uint32(i)
		next[k]++
	}
	r := block.NewRest(len(o.keys), len(o.of), len(o.data))
	for _, k := range order {
		key := o.keys[k]
		r.Begin(key.name, key.kind)
		for _, i := range values[place[k]:next[k]] {
			if n := o.nums[i]; key.kind == record.String {
				r.String(o.rows[i], o.data[n>>32:uint32(n)])
			} else {
				r.Number(o.rows[i], n)
			}
		}
	}
	return r
}

func compareKeys(a, b columnKey) int {
	return cmp.Or(strings.Compare(a.name, b.name), cmp.Compare(a.kind, b.kind))
}

// Rest returns the fields of the block that have no column, or nil.
func (v *View) Rest() *block.Rest {
	v.once.Do(func() {
		if v.rest == nil {
			v.rest = v.flow.rest()
		}
		v.flow = overflow{}
	})
	return v.rest
}

// SetRest gives a new View its rest.
func (v *View) SetRest(r *block.Rest) { v.rest = r }
