package block

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/zeebo/xxh3"

	"github.com/meshtrail/meshtrail/internal/record"
)

// A derived column follows from another of its block, its base, which is not
// derived itself. Mesh records say the same thing many times over: the server's
// name follows from its address, the namespace from the pod.
//
//	head | form u8 | base uvarint | of a map: as that of a dictionary |
//	body   same: nothing
//	       map: presence, entries if not in the head, codes: for each entry of the base
//	       difference: ints
const (
	derivedSame = 1 // the values of the base
	derivedMap  = 2 // the entry is a function of the base's entry
	derivedDiff = 3 // the base's value plus a difference
)

const (
	minDerive  = 64 // bytes a column must take to be worth deriving
	maxBases   = 32 // columns tried as a base
	maxDiffs   = 8  // int columns of which differences are tried
	diffSample = 32 // values compared before all of them are
)

// A draft is a column whose codec is not fixed yet.
type draft struct {
	c        *record.Column
	codec    codec // codecConst, codecDict, or 0: the one of its kind
	first    []uint32
	codes    []uint16
	min, max uint64
	base     int  // what it derives from, or -1
	form     byte // how
	table    []uint16
	taken    bool // another derives from it
}

// bits is how wide the codes of a dictionary are.
func (d *draft) bits() int { return int(width(uint64(len(d.first) - 1))) }

// deriver finds which drafts follow from which. It is reused.
type deriver struct {
	order, bases []int
	table        []uint16
	sums         []uint64
	work         int // steps left
}

func (x *deriver) run(ds []draft, rows int) {
	x.work = 64 * rows
	x.order, x.bases = x.order[:0], x.bases[:0]
	for i := range ds {
		if ds[i].codec == codecDict {
			x.order = append(x.order, i)
		}
	}
	slices.SortFunc(x.order, func(a, b int) int {
		return cmp.Or(cmp.Compare(len(ds[b].first), len(ds[a].first)), cmp.Compare(len(ds[b].c.Rows), len(ds[a].c.Rows)), cmp.Compare(a, b))
	})
	for _, i := range x.order {
		if !x.dict(ds, i) && len(x.bases) < maxBases {
			x.bases = append(x.bases, i)
		}
	}
	x.equal(ds)
	x.differences(ds)
}

// dict looks for a base of dictionary i, among those of more entries; the one
// with the fewest costs least.
func (x *deriver) dict(ds []draft, i int) bool {
	d := &ds[i]
	if len(d.codes)*d.bits() < 8*minDerive || len(d.first) > noCode || changes(d.codes) < len(d.codes)/32 {
		return false
	}
	for k := len(x.bases) - 1; k >= 0; k-- {
		b := x.bases[k]
		base := &ds[b]
		if 2*len(base.first) > len(d.codes) || len(base.codes) < len(d.codes) || x.work < len(base.first) {
			continue
		}
		if !x.function(d, base) {
			continue
		}
		d.base, d.form, base.taken = b, derivedMap, true
		if sameTable(d, base, x.table) {
			d.form = derivedSame
			return true
		}
		d.table = slices.Clone(x.table)
		for k, v := range d.table {
			if v == noCode {
				d.table[k] = 0
			}
		}
		return true
	}
	return false
}

const noCode = 1<<16 - 1

// changes counts where codes differ from the one before: few compress to little.
func changes(codes []uint16) (n int) {
	for i := 1; i < len(codes); i++ {
		if codes[i] != codes[i-1] {
			n++
		}
	}
	return n
}

// function fills the table that says which code of d each code of base means,
// or reports false when there is none.
func (x *deriver) function(d, base *draft) bool {
	x.table = x.table[:0]
	for range base.first {
		x.table = append(x.table, noCode)
	}
	x.work -= len(base.first)
	j, last := 0, len(base.c.Rows)-1
	gaps := int(base.c.Rows[last]) > last
	for i, row := range d.c.Rows {
		if !gaps {
			j = int(row)
			if j >= len(base.codes) {
				return false
			}
		} else {
			for j < len(base.c.Rows) && base.c.Rows[j] < row {
				j++
			}
			if j == len(base.c.Rows) || base.c.Rows[j] != row {
				x.work -= i
				return false
			}
		}
		at := &x.table[base.codes[j]]
		if *at == noCode {
			*at = d.codes[i]
		} else if *at != d.codes[i] {
			x.work -= i
			return false
		}
	}
	x.work -= len(d.codes)
	return true
}

// sameTable reports whether d has the values of base, given the function.
func sameTable(d, base *draft, table []uint16) bool {
	if len(d.first) != len(base.first) || d.c.Kind != base.c.Kind || !slices.Equal(d.c.Rows, base.c.Rows) {
		return false
	}
	for k, v := range table {
		if int(v) != k {
			return false
		}
		if d.c.Kind == record.String && string(d.c.Bytes(int(d.first[k]))) != string(base.c.Bytes(int(base.first[k]))) {
			return false
		}
		if d.c.Kind != record.String && d.c.Nums[d.first[k]] != base.c.Nums[base.first[k]] {
			return false
		}
	}
	return true
}

// equal finds columns that are neither constants nor dictionaries and hold the
// values of an earlier one.
func (x *deriver) equal(ds []draft) {
	x.sums = slices.Grow(x.sums[:0], len(ds))[:len(ds)]
	for i := range ds {
		d := &ds[i]
		if d.codec != 0 || len(d.c.Data)+len(d.c.Nums) < minDerive {
			x.sums[i] = 0
			continue
		}
		x.sums[i] = sum(d.c) | 1
		for k := range i {
			if x.sums[k] == x.sums[i] && ds[k].base < 0 && sameValues(d.c, ds[k].c) {
				d.base, d.form, ds[k].taken = k, derivedSame, true
				break
			}
		}
	}
}

// sum returns a hash of a column's last values and of their number: enough to
// tell which columns to compare.
func sum(c *record.Column) uint64 {
	h := uint64(len(c.Rows))<<8 + uint64(c.Kind)
	if c.Kind == record.String {
		return xxh3.HashSeed(c.Data[len(c.Data)-min(len(c.Data), 1024):], h+uint64(len(c.Data))<<32)
	}
	for _, v := range c.Nums[len(c.Nums)-min(len(c.Nums), 64):] {
		h = (h ^ v) * 0x9e3779b97f4a7c15
		h ^= h >> 29
	}
	return h
}

func sameValues(a, b *record.Column) bool {
	return a.Kind == b.Kind && slices.Equal(a.Nums, b.Nums) && slices.Equal(a.Ends, b.Ends) &&
		string(a.Data) == string(b.Data) && slices.Equal(a.Rows, b.Rows)
}

// differences finds int columns that are near an earlier one.
func (x *deriver) differences(ds []draft) {
	x.order = x.order[:0]
	for i := range ds {
		if d := &ds[i]; d.codec != 0 || d.c.Kind != record.Int || d.base >= 0 || len(d.c.Nums) < minDerive || len(x.order) == maxDiffs {
			continue
		}
		for _, k := range x.order {
			if base := &ds[k]; base.base < 0 && !ds[i].taken && near(ds[i].c, base.c, ds[i].max-ds[i].min) {
				ds[i].base, ds[i].form, base.taken = k, derivedDiff, true
				break
			}
		}
		x.order = append(x.order, i)
	}
}

// near reports whether the differences of two columns are at least four bits
// narrower than values of such a span.
func near(a, b *record.Column, span uint64) bool {
	if len(a.Nums) != len(b.Nums) {
		return false
	}
	limit := int(width(span)) - 4
	step := max(len(a.Nums)/diffSample, 1)
	if limit < 0 || spread(a.Nums, b.Nums, step) > limit {
		return false
	}
	return spread(a.Nums, b.Nums, 1) <= limit && slices.Equal(a.Rows, b.Rows)
}

// spread is how many bits the differences take, of every step'th value.
func spread(a, b []uint64, step int) int {
	lo, hi := int64(a[0]-b[0]), int64(a[0]-b[0])
	for i := 0; i < len(a); i += step {
		d := int64(a[i] - b[i])
		lo, hi = min(lo, d), max(hi, d)
	}
	return int(width(uint64(hi - lo)))
}

// writeDerived writes draft d as what follows from its base; e has d's first.
func (e *encoded) writeDerived(d, base *draft, rows int, dst []byte) {
	e.codec = codecDerived
	e.head = binary.AppendUvarint([]byte{d.form}, uint64(d.base))
	switch d.form {
	case derivedMap:
		if slices.Equal(d.c.Rows, base.c.Rows) {
			dst = append(dst, presentBase)
		} else {
			dst = appendPresence(dst, d.c.Rows, rows)
		}
		dst = e.table(d.c, d.first, d.codes, dst)
		dst = appendCodes(dst, d.table, len(d.first))
	case derivedDiff:
		diffs := make([]uint64, len(d.c.Nums))
		for i, v := range d.c.Nums {
			diffs[i] = v - base.c.Nums[i]
		}
		dst = appendInts(dst, diffs)
	}
	e.body = dst
}

// Base returns which column of the header this one follows from, or -1. Decode
// needs its vector.
func (c *Column) Base() int {
	if c.codec != codecDerived {
		return -1
	}
	return c.base
}

// derivedHead reads what a head says of a derived column, up to the table.
func (c *Column) derivedHead(in *cursor) {
	c.derived = in.u8()
	c.base = in.count(MaxColumns, "base of column "+c.Name)
	if c.derived < derivedSame || c.derived > derivedDiff || c.derived == derivedDiff && c.Kind != record.Int {
		in.fail("column %q of kind %d is derived in form %d", c.Name, c.Kind, c.derived)
	}
}

// link checks the bases of derived columns.
func (h *Header) link() error {
	for i := range h.Columns {
		c := &h.Columns[i]
		if c.codec != codecDerived {
			continue
		}
		if c.base >= len(h.Columns) {
			return corrupt("column %q derives from column %d of %d", c.Name, c.base, len(h.Columns))
		}
		b := &h.Columns[c.base]
		ok := b.codec != codecDerived
		switch c.derived {
		case derivedMap:
			ok = ok && b.codec == codecDict && b.Values >= c.Values
		default:
			ok = ok && b.Kind == c.Kind && b.Values == c.Values
		}
		if !ok {
			return corrupt("column %q can not derive in form %d from column %q", c.Name, c.derived, b.Name)
		}
		if c.derived == derivedSame {
			c.form = b.Form()
		}
	}
	return nil
}

// follow decodes a derived column of n values.
func (c *Column) follow(in *cursor, base *Vector) *Vector {
	if base == nil {
		panic("block: column " + c.Name + " is decoded without its base")
	}
	switch c.derived {
	case derivedSame:
		v := *base
		return &v
	case derivedDiff:
		v := &Vector{Kind: c.Kind, N: c.Values, Rows: base.Rows, Nums: in.ints(c.Values)}
		for i := range v.Nums {
			v.Nums[i] += base.Nums[base.Entry(i)]
		}
		return v
	}
	v := &Vector{Kind: c.Kind, Form: Dict, N: c.Values}
	if len(in.b) > 0 && in.b[0] == presentBase {
		in.u8()
		if v.Rows = base.Rows; base.N != c.Values {
			in.fail("%d values derived from %d", c.Values, base.N)
		}
	} else {
		v.Rows = in.presence(c.Values, c.rows)
	}
	table := in.tableOf(c)
	if in.err != nil {
		return nil
	}
	v.Nums, v.Ends, v.Data = table.Nums, table.Ends, table.Data
	codes := in.codes(base.Entries(), v.Entries())
	if in.err != nil {
		return nil
	}
	v.Codes = make([]uint16, v.N)
	if v.N == base.N { // then their rows are the same, or a bit of one is not base's
		for i, b := range base.Codes {
			v.Codes[i] = codes[b]
		}
		if len(v.Rows) != len(base.Rows) || !slices.Equal(v.Rows, base.Rows) {
			in.fail("column %q has other rows than its base", c.Name)
		}
		return v
	}
	j := 0
	for i := range v.Codes {
		row := uint32(v.Row(i))
		if base.Rows == nil {
			j = int(row)
		}
		for base.Rows != nil && j < base.N && base.Rows[j] < row {
			j++
		}
		if j >= base.N || base.Rows != nil && base.Rows[j] != row {
			in.fail("row %d of column %q is not in its base", row, c.Name)
			return nil
		}
		v.Codes[i] = codes[base.Codes[j]]
	}
	return v
}
