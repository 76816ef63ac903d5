// Package sensitive finds what must not be kept in text: credentials, numbers of
// cards and accounts, addresses of people.
//
// A Scanner reads each value once, word by word, and asks a validator only where
// a word's look or the bytes around it give reason to. Nothing is an expression,
// and nothing is allocated per value. What hides behind URL escapes, JSON's
// escapes or base64 is decoded in bounded pieces and looked through as well; then
// the whole of the encoded text is what was found.
//
// Names are evidence: a column's own name (authorization, db.password), and names
// within a text (password=…, "token":"…"). So are a vendor's prefix with its
// checksum, an issuer's range with Luhn's digit, a country's length with its
// remainder. High entropy alone is none, because a trace id has it too.
//
// The package knows no batch and no rule, keeps nothing of a value, and decides
// nothing: policy says what becomes of a finding.
package sensitive

import "bytes"

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

// Field is what the name of a column tells about its values. Take it once per
// column, from Scanner.Field.
type Field struct {
	whole Kind // the whole value is of this kind, whatever it looks like
}

// Field reads a column's name: a schema name or a sender's own.
func (s *Scanner) Field(name string) Field { return Field{} }

// Named reports whether the name alone makes every value one of a kind, so that
// nothing about the values' bytes can tell that there is nothing to find.
func (f Field) Named() bool { return f.whole != 0 }

// MayFind is the cheap test of a whole column's bytes: false means that no value
// in it has a finding, unless its Field is Named.
func (s *Scanner) MayFind(data []byte) bool { return bytes.IndexByte(data, '@') >= 0 }

// Find appends the findings in v, in order and apart from each other. field is
// the name of its column, "" of none. Where many values have one name, a Cursor
// is much faster.
func (s *Scanner) Find(dst []Finding, field string, v []byte) []Finding {
	return s.FindIn(dst, s.Field(field), v)
}

// FindIn is Find with the field's name already read.
func (s *Scanner) FindIn(dst []Finding, f Field, v []byte) []Finding { return dst }

// FindInt reports whether a whole number is one of a kind: a number of a card, or
// a telephone's in a field named so.
func (s *Scanner) FindInt(f Field, n int64) (Kind, bool) { return 0, false }

// Cursor walks the values of one column. It skips values that are equal to others
// which it has seen to be clean: most of what an access log says, it said before.
// The zero Cursor is ready for Reset. It is large: keep it.
type Cursor struct {
	s    *Scanner
	f    Field
	data []byte
	ends []uint32
	next int
}

// Reset begins a column: value i is data[ends[i-1]:ends[i]].
func (c *Cursor) Reset(s *Scanner, f Field, data []byte, ends []uint32) {
	c.s, c.f, c.data, c.ends, c.next = s, f, data, ends, 0
}

// Next returns the index of the next value with findings, and appends them to
// dst; -1 when there is none. The data MUST stay as they are until then.
func (c *Cursor) Next(dst []Finding) (int, []Finding) {
	for c.next < len(c.ends) {
		i, start := c.next, uint32(0)
		c.next++
		if i > 0 {
			start = c.ends[i-1]
		}
		n := len(dst)
		if dst = c.s.FindIn(dst, c.f, c.data[start:c.ends[i]]); len(dst) > n {
			return i, dst
		}
	}
	return -1, dst
}
