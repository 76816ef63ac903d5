package block

import (
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/meshtrail/meshtrail/internal/record"
)

// Forms of a slot.
const (
	slotConst   = 0 // | text |
	slotInts    = 1 // | ints |                decimal numbers, as strconv writes them
	slotDigits  = 2 // | width u8 | ints |     of so many digits
	slotHex     = 3 // | width u8 | ints |     of so many lower-case hexadecimal digits
	slotDict    = 4 // | entries uvarint | strings | codes |
	slotStrings = 5 // | strings |
	slotLongHex = 6 // | length uvarint | blob of two digits a byte |
)

// appendTemplates writes c, which x has split.
func (x *splitter) appendTemplates(dst []byte, c *record.Column) []byte {
	x.sort()
	dst = binary.AppendUvarint(dst, uint64(len(c.Data)))
	dst = binary.AppendUvarint(dst, uint64(len(x.temps)))
	x.nums, x.ends, x.data = x.nums[:0], x.ends[:0], x.data[:0]
	piece := func(b []byte) {
		x.data = append(x.data, b...)
		x.ends = append(x.ends, uint32(len(x.data)))
	}
	for k := range x.temps {
		t := &x.temps[k]
		slots := uint64(0)
		if t.plain {
			piece(nil)
			piece(nil)
			x.nums = append(x.nums, 1)
			continue
		}
		at := begins(c, t.rep)
		for _, tok := range x.of(t.rep) {
			if t.slot(tok) {
				piece(c.Data[at : tok.from&^wordBit])
				at = tok.to
				slots++
			}
		}
		piece(c.Data[at:c.Ends[t.rep]])
		x.nums = append(x.nums, slots)
	}
	dst = appendInts(dst, x.nums)
	dst = appendStrings(dst, x.ends, x.data)
	x.codes = x.codes[:0]
	for _, t := range x.temp {
		x.codes = append(x.codes, uint16(t))
	}
	dst = appendCodes(dst, x.codes, len(x.temps))
	values := x.order
	for k := range x.temps {
		t := &x.temps[k]
		dst = x.appendSlots(dst, c, t, values[:t.count])
		values = values[t.count:]
	}
	return dst
}

// sort puts the values into the order of their templates.
func (x *splitter) sort() {
	next := slices.Grow(x.ids[:0], len(x.temps))[:len(x.temps)]
	at := uint32(0)
	for k := range x.temps {
		next[k] = at
		at += x.temps[k].count
	}
	x.order = slices.Grow(x.order[:0], len(x.temp))[:len(x.temp)]
	for i, t := range x.temp {
		x.order[next[t]] = uint32(i)
		next[t]++
	}
	x.ids = next
}

// appendSlots writes the slots of one template, whose values are given.
func (x *splitter) appendSlots(dst []byte, c *record.Column, t *template, values []uint32) []byte {
	col := &x.column
	if t.plain {
		col.Ends, col.Data = col.Ends[:0], col.Data[:0]
		for _, i := range values {
			col.Data = append(col.Data, c.Bytes(int(i))...)
			col.Ends = append(col.Ends, uint32(len(col.Data)))
		}
		return appendStrings(append(dst, slotStrings), col.Ends, col.Data)
	}
	for k, tok := range x.of(t.rep) {
		if t.slot(tok) {
			dst = x.appendSlot(dst, c, values, k)
		}
	}
	return dst
}

// appendSlot writes the values of one slot, the k'th token of each value.
func (x *splitter) appendSlot(dst []byte, c *record.Column, values []uint32, k int) []byte {
	form, size := x.numbers(c, values, k)
	switch form {
	case slotInts, slotDigits, slotHex:
		if dst = append(dst, byte(form)); form != slotInts {
			dst = append(dst, byte(size))
		}
		return appendInts(dst, x.nums)
	}
	col := &x.column
	col.Kind, col.Ends, col.Data = record.String, col.Ends[:0], col.Data[:0]
	for _, i := range values {
		v := x.tokens[int(x.starts[i])+k]
		col.Data = append(col.Data, c.Data[v.from&^wordBit:v.to]...)
		col.Ends = append(col.Ends, uint32(len(col.Data)))
	}
	if constant(col) {
		return appendBytes(append(dst, slotConst), col.Bytes(0))
	}
	if form == slotLongHex {
		if b, ok := appendHex(append(dst, slotLongHex), col); ok {
			return b
		}
	}
	d := dictPool.Get().(*dictBuilder)
	defer dictPool.Put(d)
	if d.build(col) {
		dst = binary.AppendUvarint(append(dst, slotDict), uint64(len(d.first)))
		dst = appendEntries(dst, col, d.first)
		return appendCodes(dst, d.codes, len(d.first))
	}
	return appendStrings(append(dst, slotStrings), col.Ends, col.Data)
}

// numbers says how the values of a slot are written, and of which size each is.
// It fills nums where that is as numbers.
func (x *splitter) numbers(c *record.Column, values []uint32, k int) (form, size int) {
	first := x.tokens[int(x.starts[values[0]])+k]
	size = int(first.to - first.from&^wordBit)
	same, zero, longest := true, false, 0
	most := byte(0)
	x.nums = x.nums[:0]
	for _, i := range values {
		t := x.tokens[int(x.starts[i])+k]
		v := c.Data[t.from&^wordBit : t.to]
		same = same && len(v) == size
		longest = max(longest, len(v))
		zero = zero || v[0] == '0' && len(v) > 1
		n := uint64(0)
		for _, b := range v {
			most = max(most, digits[b])
			n = n*10 + uint64(b-'0')
		}
		if most > 9 {
			break
		}
		x.nums = append(x.nums, n)
	}
	switch {
	case most <= 9 && !zero && longest <= 18:
		return slotInts, 0
	case most <= 9 && same && size <= 18:
		return slotDigits, size
	case !same || most > 15 || size > 128:
		return slotStrings, 0
	case size > 16:
		return slotLongHex, size
	}
	x.nums = x.nums[:0]
	for _, i := range values {
		t := x.tokens[int(x.starts[i])+k]
		v := c.Data[t.from&^wordBit : t.to]
		n := uint64(0)
		for _, b := range v {
			if most = max(most, digits[b]); most > 15 {
				return slotStrings, 0
			}
			n = n<<4 | uint64(digits[b])
		}
		if len(v) != size {
			return slotStrings, 0
		}
		x.nums = append(x.nums, n)
	}
	return slotHex, size
}

// slot is what a template's slot holds while its values are put together.
type slot struct {
	form  byte
	width int
	at    int      // the next value
	nums  []uint64 // of numbers
	codes []uint16 // of a dictionary
	v     Vector   // of texts: entries, or values; a constant is its Data
}

// templates reads n values that were split into v.
func (c *cursor) templates(v *Vector, n int) {
	s := c.split(n)
	if c.err != nil {
		return
	}
	x, err := s.Vector()
	if err != nil {
		c.fail("%w", err)
		return
	}
	v.Ends, v.Data = x.Ends, x.Data
}

const hexDigits = "0123456789abcdef"

// append appends the slot's next value.
func (s *slot) append(dst []byte) []byte {
	i := s.at
	s.at++
	switch s.form {
	case slotConst:
		return append(dst, s.v.Data...)
	case slotInts:
		return strconv.AppendUint(dst, s.nums[i], 10)
	case slotDigits:
		n := len(dst)
		dst = append(dst, "000000000000000000"[:s.width]...)
		v := s.nums[i]
		for k := len(dst) - 1; k >= n; k-- {
			dst[k] = byte('0' + v%10)
			v /= 10
		}
		return dst
	case slotHex:
		n := len(dst)
		dst = append(dst, "000000000000000000"[:s.width]...)
		v := s.nums[i]
		for k := len(dst) - 1; k >= n; k-- {
			dst[k] = hexDigits[v&15]
			v >>= 4
		}
		return dst
	case slotDict:
		return append(dst, s.v.Bytes(int(s.codes[i]))...)
	}
	return append(dst, s.v.Bytes(i)...)
}
