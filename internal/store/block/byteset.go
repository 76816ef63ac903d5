package block

import "github.com/meshtrail/meshtrail/internal/record"

// A ByteSet is a set of byte values: those that the strings of a column are made
// of. A text with any other byte is in none of them, so that most columns need
// not be read to know that they do not hold it.
type ByteSet [4]uint64

// Has reports whether c is in the set.
func (s *ByteSet) Has(c byte) bool { return s[c>>6]>>(c&63)&1 != 0 }

// BytesOf returns the bytes that occur in b.
func BytesOf(b []byte) *ByteSet {
	var seen [256]bool // stores do not wait for each other as those of a word would
	for _, c := range b {
		seen[c] = true
	}
	var s ByteSet
	for c, ok := range seen {
		if ok {
			s[c>>6] |= 1 << (c & 63)
		}
	}
	return &s
}

// The bytes of packed forms.
var (
	hexBytes     = BytesOf([]byte("0123456789abcdef"))
	uuidBytes    = BytesOf([]byte("0123456789abcdef-"))
	decimalBytes = BytesOf([]byte("0123456789"))
)

// Alphabet returns the bytes that the values of a string column are made of, at
// most, or nil when neither its header tells nor anybody has Learned it.
func (h *Header) Alphabet(column int) *ByteSet {
	switch c := &h.Columns[column]; {
	case c.codec == codecHex:
		return hexBytes
	case c.codec == codecUUID:
		return uuidBytes
	case c.codec == codecDecimal:
		return decimalBytes
	}
	return h.alphabets[column].Load()
}

// Learn keeps what Alphabet could not tell: v is the column's vector. It is safe
// for concurrent use, and returns what it keeps.
func (h *Header) Learn(column int, v *Vector) *ByteSet {
	s := BytesOf(v.Data)
	h.alphabets[column].Store(s)
	return s
}

// learnHeads finds the alphabets of the columns whose entries the header has.
func (h *Header) learnHeads() {
	for i := range h.Columns {
		if c := &h.Columns[i]; c.head != nil && c.Kind == record.String {
			h.Learn(i, c.head)
		}
	}
}
