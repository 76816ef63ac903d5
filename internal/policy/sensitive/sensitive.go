// Package sensitive finds what must not be kept in text: credentials, numbers of
// cards and accounts, addresses of people.
//
// A Scanner reads each value once, word by word, and asks a validator only where
// a word's look or the bytes around it give reason to. Nothing is an expression,
// and nothing is allocated per value. What hides behind URL escapes, JSON's
// escapes, strings that are joined, or base64 is decoded and looked through as
// well, three layers deep; of base64 the whole run is then what was found.
//
// Names are evidence: a column's own name (authorization, db.password), and names
// within a text (password=…, "token":"…"). So are a vendor's prefix with its
// checksum, an issuer's range with Luhn's digit, a country's length with its
// remainder. High entropy alone is none, because a trace id has it too.
//
// Each step is bounded by what it consumes, so that no text costs more than a
// constant per byte.
//
// The package knows no batch and no rule, keeps nothing of a value, and decides
// nothing: policy says what becomes of a finding.
package sensitive

// Finding is a part of a value: v[Start:End] is of Kind and is what is to be
// replaced. Of "Bearer abc" that is the credential alone.
type Finding struct {
	Start, End int
	Kind       Kind
}

// Scanner finds the kinds of a set. It is immutable, and safe for concurrent use.
type Scanner struct {
	set Set
}

// New returns a Scanner for the kinds in set.
func New(set Set) *Scanner { return &Scanner{set: set & All()} }

// MayFind is the cheap test of a whole column's bytes: false means that no value
// in it has a finding, unless its Field is Named.
func (s *Scanner) MayFind(data []byte) bool {
	if len(data) < shortest {
		return false
	}
	for len(data) >= 8 {
		p := (*[8]byte)(data)
		if hint[p[0]]|hint[p[1]]|hint[p[2]]|hint[p[3]]|hint[p[4]]|hint[p[5]]|hint[p[6]]|hint[p[7]] != 0 {
			return true
		}
		data = data[8:]
	}
	for _, b := range data {
		if hint[b] != 0 {
			return true
		}
	}
	return false
}

// MayFindIn is MayFind for a column whose values end at ends: of one that is the
// same in every record it looks at the first value alone.
func (s *Scanner) MayFindIn(data []byte, ends []uint32) bool {
	if len(ends) > 1 && constant(data, ends) {
		data = data[:ends[0]]
	}
	return s.MayFind(data)
}

// Find appends the findings in v, in order and apart from each other. field is
// the name of its column, "" of none. Where many values have one name, a Cursor
// is much faster.
func (s *Scanner) Find(dst []Finding, field string, v []byte) []Finding {
	return s.FindIn(dst, s.Field(field), v)
}

// FindIn is Find with the field's name already read.
func (s *Scanner) FindIn(dst []Finding, f Field, v []byte) []Finding {
	if f.whole != 0 {
		return s.named(dst, f, v)
	}
	if len(v) < shortest && !f.any {
		return dst
	}
	return s.find(dst, f, v, 0)
}

// FindInt reports whether a whole number is one of a kind: a number of a card, a
// telephone's in a field named so, or any of three digits in one whose name speaks
// for its values.
func (s *Scanner) FindInt(f Field, n int64) (Kind, bool) {
	if f.whole != 0 { // one of two digits is a count, or yes and no
		return f.whole, (n >= 100 || n <= -100) && f.ev != ofDirectory && s.set.Has(f.whole)
	}
	if n < 1e6 || n < 1e12 && !f.phone {
		return 0, false
	}
	var text [20]byte
	i := len(text)
	for ; n > 0; n /= 10 {
		i--
		text[i] = byte('0' + n%10)
	}
	switch digits := text[i:]; {
	case f.phone && s.set.Has(Phone) && len(digits) >= 7 && len(digits) <= 15:
		return Phone, true
	case s.set.Has(PAN) && isPAN(digits, f.card):
		return PAN, true
	}
	return 0, false
}

// Cursor walks the values of one column. Of values that are equal to others which
// it has seen it remembers what was found: most of what an access log says, it
// said before. The zero Cursor is ready for Reset. It is large: keep it.
type Cursor struct {
	scan  scan
	data  []byte
	ends  []uint32
	next  int
	start uint32 // where value next begins
	last  *memory
	one   memory
	shift uint8  // of a hash, to a slot; 0 is none
	tries uint16 // slots asked
	hits  uint16 // and found right
	turn  uint32 // Resets: what was remembered before is of other bytes
	seen  [slots]memory
}

// memory is a value that was looked at, and what was found in it.
type memory struct {
	start, end uint32
	turn       uint32 // Cursor.turn
	n          uint32
	found      [2]struct {
		start, end uint32
		kind       Kind
	}
}

// is reports whether v, within data, is the value that m remembers.
func (m *memory) is(data, v []byte) bool {
	return int(m.end-m.start) == len(v) && string(data[m.start:m.end]) == string(v)
}

// keep remembers data[start:end], unless it has more findings than fit.
func (m *memory) keep(start, end uint32, found []Finding) {
	if len(found) > len(m.found) {
		m.start, m.end = 0, 0
		return
	}
	m.start, m.end, m.n = start, end, uint32(len(found))
	for i, x := range found {
		m.found[i].start, m.found[i].end, m.found[i].kind = uint32(x.Start), uint32(x.End), x.Kind
	}
}

// A column of few values has no slots. Of the others the first trial values tell
// whether there is anything to remember: paths and pods come again after some
// hundred others, ids never.
const (
	slots = 1 << slotBits
	few   = 32
	trial = 448

	slotBits = 10
)

// Reset begins a column: value i is data[ends[i-1]:ends[i]].
func (c *Cursor) Reset(s *Scanner, f Field, data []byte, ends []uint32) {
	c.scan = scan{s: s, set: s.set, f: f}
	c.data, c.ends, c.next, c.start = data, ends, 0, 0
	c.one, c.last, c.tries, c.hits = memory{}, &c.one, 0, 0
	if c.shift = 32 - slotBits; len(ends) < few {
		c.shift = 0
	}
	if c.turn++; c.turn == 0 { // after 2^32 columns
		clear(c.seen[:])
		c.turn = 1
	}
}

// constant reports whether all values are equal to the first.
func constant(data []byte, ends []uint32) bool {
	n, size := len(ends), int(ends[0])
	if int(ends[n-1]) != n*size || int(ends[n/2]) != (n/2+1)*size {
		return false
	}
	if all := data[:n*size]; string(all[size:]) != string(all[:len(all)-size]) {
		return false
	}
	for i, end := range ends {
		if int(end) != (i+1)*size {
			return false
		}
	}
	return true
}

// Next returns the index of the next value with findings, and appends them to
// dst; -1 when there is none. The data MUST stay as they are until then; ends of
// values up to the returned one may be overwritten.
func (c *Cursor) Next(dst []Finding) (int, []Finding) {
	data, least, ids := c.data, shortest, true
	if c.scan.f.Named() {
		least, ids = 1, false
	}
	for c.next < len(c.ends) {
		i, start, end := c.next, c.start, c.ends[c.next]
		c.next, c.start = i+1, end
		v := data[start:end]
		if len(v) < least {
			if i == 0 && constant(c.data, c.ends) {
				c.next = len(c.ends)
			}
			continue
		}
		if n := len(v); (n == 32 || n == 36) && ids && isID(v) {
			continue
		}
		m := c.last
		if !m.is(data, v) {
			if c.shift != 0 && len(v) >= 8 {
				m = &c.seen[slotOf(v, c.shift)]
				c.last = m
			} else {
				m = &c.one
			}
			again := m.turn == c.turn && m.is(data, v)
			if c.tries < trial {
				c.judge(again)
			}
			if !again {
				n := len(dst)
				dst = c.look(dst, v)
				m.turn = c.turn
				m.keep(start, end, dst[n:])
				if len(dst) > n {
					return i, dst
				}
				if i == 0 && constant(c.data, c.ends) {
					c.next = len(c.ends)
				}
				continue
			}
		}
		if m.n == 0 {
			continue
		}
		for _, x := range m.found[:m.n] {
			dst = append(dst, Finding{int(x.start), int(x.end), x.kind})
		}
		return i, dst
	}
	return -1, dst
}

// judge counts whether a slot knew a value. Where of the first values few were
// known, as in a column of ids, no more slots are asked.
func (c *Cursor) judge(known bool) {
	if known {
		c.hits++
	}
	if c.tries++; c.tries == trial && c.hits < trial/16 {
		c.shift = 0
	}
}

// look is Scanner.FindIn.
func (c *Cursor) look(dst []Finding, v []byte) []Finding {
	if c.scan.f.whole != 0 {
		return c.scan.s.named(dst, c.scan.f, v)
	}
	return c.scan.read(dst, v)
}

// slotOf hashes the length and both ends of a value of at least 8 bytes. Names
// of one column differ at their ends.
func slotOf(v []byte, shift uint8) uint32 {
	a, b := (*[4]byte)(v), (*[4]byte)(v[len(v)-4:])
	x := uint32(a[0]) | uint32(a[1])<<8 | uint32(a[2])<<16 | uint32(a[3])<<24
	y := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
	return ((x^y<<7)*0x9e3779b1 + (y+uint32(len(v)))*0x85ebca6b) >> shift
}
