package block

import (
	"slices"
	"sync/atomic"

	"github.com/meshtrail/meshtrail/internal/record"
)

// A Split is a column of templates as it was written: which template each value
// has, and the slots unread. It takes as much memory as its bytes do, and a reader
// that asks first which templates can hold a text (Pattern) puts together the
// values of those alone. It is immutable and may be shared between goroutines.
type Split struct {
	N     int
	Rows  []uint32 // as of a Vector
	Temps []uint16 // value → its template

	total  int      // bytes of all values
	counts []uint32 // values of each template
	first  []uint32 // template → its first slot, and one more
	pieces Vector
	slots  []part
	size   int64

	byTemplate atomic.Pointer[[]uint32]
}

// part is a slot that was not read.
type part struct {
	form  byte
	width uint8  // digits of each number
	count int    // entries of a dictionary
	b     []byte // the section; of a constant, its text
	codes []byte // of a dictionary
	table atomic.Pointer[Vector]
}

// IsSplit reports whether Split can read the column.
func (c *Column) IsSplit() bool { return c.codec == codecSplit }

// SameAs returns of which column this one has the rows and the values, or -1.
func (c *Column) SameAs() int {
	if c.codec == codecDerived && c.derived == derivedSame {
		return c.base
	}
	return -1
}

// Split reads the column from its body, which it keeps.
func (c *Column) Split(body []byte) (*Split, error) {
	in := cursor{b: body}
	rows := in.presence(c.Values, c.rows)
	s := in.split(c.Values)
	if err := in.end("column " + c.Name); err != nil {
		return nil, err
	}
	s.Rows = rows
	s.size = int64(2*len(body)+4*cap(s.Rows)+4*s.N+2*cap(s.Temps)+80*len(s.slots)+8*len(s.counts)) + 200
	return s, nil
}

// split reads n values that were split.
func (c *cursor) split(n int) *Split {
	s := &Split{N: n, total: c.count(MaxBody, "bytes of split values")}
	k := c.count(min(maxTemplates, n), "templates")
	sizes := c.ints(k)
	s.first = make([]uint32, k+1)
	for t, size := range sizes {
		if size > maxTokens {
			c.fail("a template of %d slots", size)
			return s
		}
		s.first[t+1] = s.first[t] + uint32(size)
	}
	slots := int(s.first[k])
	c.strings(&s.pieces, k+slots)
	s.Temps = c.codes(n, k)
	if c.err != nil {
		return s
	}
	s.counts = make([]uint32, k)
	for _, t := range s.Temps {
		s.counts[t]++
	}
	s.slots = make([]part, slots)
	left := maxSlotValues
	for t := range k {
		for p := s.first[t]; p < s.first[t+1]; p++ {
			if left -= int(s.counts[t]); left < 0 {
				c.fail("more than %d values of slots", maxSlotValues)
			}
			if c.err != nil {
				return s
			}
			c.part(&s.slots[p], int(s.counts[t]))
		}
	}
	return s
}

// part finds a slot of n values.
func (c *cursor) part(s *part, n int) {
	switch s.form = c.u8(); s.form {
	case slotConst:
		s.b = c.bytes(MaxBody, "length of a constant")
	case slotInts, slotDigits, slotHex:
		if s.form != slotInts {
			s.width = c.u8()
		}
		if s.width > 18 {
			c.fail("numbers of %d digits", s.width)
			return
		}
		s.b = c.section(func(c *cursor) { c.skipInts(n) })
		s.settle()
	case slotDict:
		s.count = c.count(min(MaxDict, n), "entries of a slot")
		s.b = c.section(func(c *cursor) { c.skipStrings(s.count) })
		s.codes = c.section(func(c *cursor) { c.skipCodes(n) })
	case slotStrings:
		s.b = c.section(func(c *cursor) { c.skipStrings(n) })
	case slotLongHex:
		s.b = c.section(func(c *cursor) {
			c.uvarint()
			c.skipBlob()
		})
	default:
		c.fail("form %d of a slot is unknown", s.form)
	}
}

// settle makes a constant of numbers that are all the same.
func (p *part) settle() {
	if len(p.b) == 0 || p.b[0] != intsConst {
		return
	}
	in := cursor{b: p.b}
	one := slot{form: p.form, width: int(p.width), nums: in.ints(1)}
	if in.err == nil {
		p.form, p.b = slotConst, one.append(nil)
	}
}

// Size returns the bytes of memory that the column holds, about.
func (s *Split) Size() int64 { return s.size }

// Templates returns how many templates there are.
func (s *Split) Templates() int { return len(s.counts) }

// Count returns how many values template t has.
func (s *Split) Count(t int) int { return int(s.counts[t]) }

// RowsOf returns the rows of the values of template t, ascending. They must not be
// changed.
func (s *Split) RowsOf(t int) []uint32 {
	all := s.byTemplate.Load()
	if all == nil {
		all = s.order()
		s.byTemplate.Store(all)
	}
	from := uint32(0)
	for _, n := range s.counts[:t] {
		from += n
	}
	return (*all)[from : from+s.counts[t]]
}

// order puts the rows in the order of their templates.
func (s *Split) order() *[]uint32 {
	next := make([]uint32, len(s.counts))
	at := uint32(0)
	for t, n := range s.counts {
		next[t] = at
		at += n
	}
	out := make([]uint32, s.N)
	for i, t := range s.Temps {
		row := uint32(i)
		if s.Rows != nil {
			row = s.Rows[i]
		}
		out[next[t]] = row
		next[t]++
	}
	return &out
}

// piece returns piece k of template t, which has one more than slots.
func (s *Split) piece(t, k int) []byte { return s.pieces.Bytes(int(s.first[t]) + t + k) }

// entries returns the entries of a dictionary. They are read once.
func (p *part) entries() (*Vector, error) {
	if v := p.table.Load(); v != nil {
		return v, nil
	}
	in := cursor{b: p.b}
	v := in.entries(record.String, p.count)
	if err := in.end("the entries of a slot"); err != nil {
		return nil, err
	}
	p.table.Store(v)
	return v, nil
}

// open reads the n values of a slot into s.
func (p *part) open(s *slot, n int) error {
	s.form, s.width, s.at = p.form, int(p.width), 0
	in := cursor{b: p.b, nums: s.nums, codes16: s.codes}
	switch p.form {
	case slotConst:
		s.v.Data = p.b
		return nil
	case slotInts, slotDigits, slotHex:
		s.nums = in.ints(n)
	case slotDict:
		v, err := p.entries()
		if err != nil {
			return err
		}
		s.v.Ends, s.v.Data = v.Ends, v.Data
		in.b = p.codes
		s.codes = in.codes(n, p.count)
	case slotStrings:
		in.strings(&s.v, n)
	case slotLongHex:
		in.hex(&s.v, n)
	}
	return in.end("a slot")
}

// A Renderer puts values of a Split together. It is scratch memory of one
// goroutine.
type Renderer struct {
	Data  []byte
	Ends  []uint32
	all   []slot // their memory is used again
	slots []slot
}

// Values puts the chosen values of template t together in Data, cut at Ends: pick
// has their numbers among those of the template, ascending. They are good until
// the next call.
func (r *Renderer) Values(s *Split, t int, pick []uint32) error {
	from, to := s.first[t], s.first[t+1]
	for len(r.all) < int(to-from) {
		r.all = append(r.all, slot{})
	}
	r.slots = r.all[:to-from]
	for k := range r.slots {
		if err := s.slots[int(from)+k].open(&r.slots[k], s.Count(t)); err != nil {
			return err
		}
	}
	var buf [maxTokens + 1][]byte
	pieces := buf[:len(r.slots)+1]
	for k := range pieces {
		pieces[k] = s.piece(t, k)
	}
	data := r.Data[:0]
	r.Ends = slices.Grow(r.Ends[:0], len(pick))[:len(pick)]
	for n, i := range pick {
		for k := range r.slots {
			x := &r.slots[k]
			x.at = int(i)
			data = x.append(append(data, pieces[k]...))
		}
		data = append(data, pieces[len(r.slots)]...)
		if len(data) > s.total {
			return corrupt("split values of more than %d bytes", s.total)
		}
		r.Ends[n] = uint32(len(data))
	}
	r.Data = data
	for k := range r.slots {
		r.slots[k].v = Vector{} // keep no block alive
	}
	return nil
}

// Vector puts all values together.
func (s *Split) Vector() (*Vector, error) {
	v := &Vector{Kind: record.String, N: s.N, Rows: s.Rows}
	all := make([]slot, len(s.slots))
	for t, count := range s.counts {
		for p := s.first[t]; p < s.first[t+1]; p++ {
			if err := s.slots[p].open(&all[p], int(count)); err != nil {
				return nil, err
			}
		}
	}
	parts := make([][]byte, len(s.pieces.Ends))
	for p := range parts {
		parts[p] = s.pieces.Bytes(p)
	}
	// A number may take more bytes than its width says: what the section claims
	// is checked on the way.
	data, ends := make([]byte, 0, s.total), make([]uint32, s.N)
	for i, t := range s.Temps {
		from, to := s.first[t], s.first[t+1]
		p := parts[from+uint32(t):] // every template has one piece more than slots
		for k := range all[from:to] {
			data = append(data, p[k]...)
			data = all[int(from)+k].append(data)
		}
		data = append(data, p[to-from]...)
		if ends[i] = uint32(len(data)); len(data) > s.total {
			break
		}
	}
	if len(data) != s.total {
		return nil, corrupt("split values of %d bytes, want %d", len(data), s.total)
	}
	v.Ends, v.Data = ends, data
	return v, nil
}
