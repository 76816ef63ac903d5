package memtable

import (
	"slices"

	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

// A column is a column of a block under construction. Its rows are left out
// while it has every one.
//
// While it is coded it holds each value once, as an entry, and the numbers of
// the entries; as long as there is one entry not even those. It becomes plain
// when its values turn out to repeat too rarely.
type column struct {
	name  string
	kind  record.Kind
	n     int
	rows  []uint32 // nil while dense
	dense bool

	coded bool
	dict  dictionary
	codes []uint16
	nums  []uint64 // values, or entries
	ends  []uint32
	data  []byte

	tries int // blocks that it began to be coded in vain
	wait  int // blocks for which it is not tried again
}

// reset empties the column for the next block. A column that became plain is
// plain from the start there, and for more and more blocks to come.
func (k *column) reset() {
	switch {
	case k.n == 0:
	case k.coded:
		k.tries, k.wait = 0, 0
	case k.wait > 0:
		k.wait--
	default:
		k.tries = min(k.tries+1, 5)
		k.wait = 1<<k.tries - 1
	}
	k.n, k.dense, k.coded = 0, true, k.wait == 0
	k.dict.reset()
	k.rows, k.codes, k.nums, k.ends, k.data = k.rows[:0], k.codes[:0], k.nums[:0], k.ends[:0], k.data[:0]
}

// A picked part of a batch's column: values from to to, or those of which is.
type picked struct {
	c        *record.Column
	from, to int
	is       []uint32 // which values, ascending; nil: from to to
	rows     []uint32 // by value of is: the row of the block it gets
	shift    int      // without is: from a record's index to its row
}

func (p *picked) len() int {
	if p.is != nil {
		return len(p.is)
	}
	return p.to - p.from
}

// at returns which value of its column the j-th is, and the row it gets.
func (p *picked) at(j int) (i int, row uint32) {
	if p.is != nil {
		return int(p.is[j]), p.rows[j]
	}
	i = p.from + j
	return i, uint32(int(p.c.Rows[i]) + p.shift)
}

// add appends values. codes is scratch.
func (k *column) add(p *picked, scratch *[]uint32) {
	k.addRows(p)
	before := k.n
	k.n += p.len()
	if !k.coded {
		k.addPlain(p)
		return
	}
	done := 0
	if len(p.c.Entries) > 0 {
		done = k.addNumbered(p, scratch)
	} else if k.kind == record.String {
		done = k.addSought(p, before)
	}
	if done < p.len() {
		k.flatten(before + done)
		rest := *p
		if rest.is != nil {
			rest.is = rest.is[done:]
		} else {
			rest.from += done
		}
		k.addPlain(&rest)
	}
}

func (k *column) addRows(p *picked) {
	n := p.len()
	if p.is != nil {
		if k.dense && (int(p.rows[0]) != k.n || int(p.rows[n-1]) != k.n+n-1) {
			k.sparse()
		}
		if !k.dense {
			k.rows = append(k.rows, p.rows...)
		}
		return
	}
	rows := p.c.Rows[p.from:p.to]
	if k.dense && (int(rows[0])+p.shift != k.n || int(rows[n-1])+p.shift != k.n+n-1) {
		k.sparse()
	}
	if k.dense {
		return
	}
	for _, r := range rows {
		k.rows = append(k.rows, uint32(int(r)+p.shift))
	}
}

func (k *column) sparse() {
	k.rows = slices.Grow(k.rows[:0], k.n+8)[:k.n]
	for i := range k.rows {
		k.rows[i] = uint32(i)
	}
	k.dense = false
}

// addNumbered appends values whose column has numbers: each distinct one is
// sought once. It returns how many it could append.
func (k *column) addNumbered(p *picked, scratch *[]uint32) int {
	n := p.len()
	if len(p.c.Codes) == 0 {
		code, ok := k.entry(p.c, 0)
		if !ok {
			return 0
		}
		k.repeat(code, n)
		return n
	}
	const unknown = ^uint32(0)
	codes := slices.Grow((*scratch)[:0], len(p.c.Entries))[:len(p.c.Entries)]
	*scratch = codes
	for i := range codes {
		codes[i] = unknown
	}
	at := func(j int) int {
		if p.is != nil {
			return int(p.is[j])
		}
		return p.from + j
	}
	j := 0
	// While there is one entry there are no codes.
	for ; j < n && len(k.codes) == 0; j++ {
		i := at(j)
		e := p.c.Codes[i]
		if codes[e] == unknown {
			code, ok := k.entry(p.c, i)
			if !ok {
				return j
			}
			codes[e] = uint32(code)
		}
		k.repeatFrom(uint16(codes[e]), 1, k.n-n+j)
	}
	k.codes = slices.Grow(k.codes, n-j)
	for ; j < n; j++ {
		i := at(j)
		e := p.c.Codes[i]
		code := codes[e]
		if code == unknown {
			found, ok := k.entry(p.c, i)
			if !ok {
				return j
			}
			code = uint32(found)
			codes[e] = code
		}
		k.codes = append(k.codes, uint16(code))
	}
	return n
}

// repeat appends entry code n times, as the last of the values that k.n counts.
func (k *column) repeat(code uint16, n int) { k.repeatFrom(code, n, k.n-n) }

// repeatFrom appends entry code n times behind before values.
func (k *column) repeatFrom(code uint16, n, before int) {
	if code == 0 && len(k.codes) == 0 {
		return // still constant
	}
	if len(k.codes) == 0 && before > 0 {
		k.codes = slices.Grow(k.codes, before+n)[:before]
		clear(k.codes)
	}
	for range n {
		k.codes = append(k.codes, code)
	}
}

// addSought appends strings that have no numbers, each sought by itself, until
// it shows that they repeat too rarely. It returns how many it appended.
func (k *column) addSought(p *picked, before int) int {
	n := p.len()
	for j := range n {
		i := p.from + j
		if p.is != nil {
			i = int(p.is[j])
		}
		code, ok := k.text(p.c.Bytes(i))
		if !ok {
			return j
		}
		k.repeatFrom(code, 1, before+j)
		if entries, all := len(k.ends), before+j+1; all >= 256 && entries > all-all/8 || all >= 2048 && entries > all-all/4 {
			return j + 1
		}
	}
	return n
}

// flatten makes a coded column plain when it has n values. What views have of it
// stays as it is.
func (k *column) flatten(n int) {
	codes := k.codes
	at := func(i int) int {
		if len(codes) == 0 {
			return 0
		}
		return int(codes[i])
	}
	k.coded, k.codes = false, nil
	if k.kind != record.String {
		nums := make([]uint64, 0, max(n, cap(k.nums)))
		for i := range n {
			nums = append(nums, k.nums[at(i)])
		}
		k.nums = nums
		return
	}
	old := *k
	size := 0
	for i := range n {
		size += len(old.bytes(at(i)))
	}
	k.ends, k.data = make([]uint32, 0, max(n, cap(k.ends))), make([]byte, 0, max(size, cap(k.data)))
	for i := range n {
		k.data = append(k.data, old.bytes(at(i))...)
		k.ends = append(k.ends, uint32(len(k.data)))
	}
}

// addPlain appends values as they are.
func (k *column) addPlain(p *picked) {
	c := p.c
	switch {
	case c.Kind != record.String && p.is == nil:
		k.nums = append(k.nums, c.Nums[p.from:p.to]...)
	case c.Kind != record.String:
		k.nums = slices.Grow(k.nums, len(p.is))
		for _, i := range p.is {
			k.nums = append(k.nums, c.Nums[i])
		}
	case p.is == nil:
		if p.from == p.to {
			return
		}
		start := uint32(0)
		if p.from > 0 {
			start = c.Ends[p.from-1]
		}
		move := uint32(len(k.data)) - start
		k.data = append(k.data, c.Data[start:c.Ends[p.to-1]]...)
		k.ends = slices.Grow(k.ends, p.to-p.from)
		for _, e := range c.Ends[p.from:p.to] {
			k.ends = append(k.ends, e+move)
		}
	default:
		k.ends = slices.Grow(k.ends, len(p.is))
		for _, i := range p.is {
			k.data = append(k.data, c.Bytes(int(i))...)
			k.ends = append(k.ends, uint32(len(k.data)))
		}
	}
}

// vector returns the values so far of a block that has rows records.
func (k *column) vector(rows int) block.Vector {
	v := block.Vector{Kind: k.kind, N: k.n, Nums: k.nums, Ends: k.ends, Data: k.data}
	switch {
	case k.coded && len(k.codes) == 0:
		v.Form = block.Const
	case k.coded:
		v.Form, v.Codes = block.Dict, k.codes
	}
	if k.n < rows && k.dense {
		k.sparse()
	}
	if !k.dense {
		v.Rows = k.rows
	}
	return v
}
