package block

import (
	"encoding/binary"
)

// A ByteSet is a set of byte values: those that the strings of a column are made
// of. A text with any other byte is in none of them, so that most columns need
// not be read to know that they do not hold it.
type ByteSet [4]uint64

// Has reports whether c is in the set.
func (s *ByteSet) Has(c byte) bool { return s[c>>6]>>(c&63)&1 != 0 }

// append writes the set: four words.
func (s *ByteSet) append(dst []byte) []byte {
	for _, w := range s {
		dst = binary.LittleEndian.AppendUint64(dst, w)
	}
	return dst
}

// byteSet reads a set.
func (c *cursor) byteSet() *ByteSet {
	var s ByteSet
	for i := range s {
		s[i] = c.u64()
	}
	return &s
}

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
	ipv4Bytes    = BytesOf([]byte("0123456789."))
	ipv6Bytes    = BytesOf([]byte("0123456789abcdef:."))
	pointBytes   = BytesOf([]byte("0123456789.-"))
)

// Alphabet returns the bytes that the values of a string column are made of, at
// most, or nil when neither its header tells nor anybody has Learned it.
func (h *Header) Alphabet(column int) *ByteSet {
	c := &h.Columns[column]
	if c.codec == codecDerived && c.derived == derivedSame {
		column = c.base
		c = &h.Columns[column]
	}
	switch {
	case c.codec == codecHex:
		return hexBytes
	case c.codec == codecUUID:
		return uuidBytes
	case c.codec == codecDecimal:
		return decimalBytes
	case c.codec == codecIPv4:
		return ipv4Bytes
	case c.codec == codecIPv6:
		return ipv6Bytes
	case c.codec == codecFraction:
		return pointBytes
	}
	return h.alphabet(column)
}

// Learn keeps what Alphabet could not tell: v is the column's vector. It is safe
// for concurrent use, and returns what it keeps.
func (h *Header) Learn(column int, v *Vector) *ByteSet {
	return h.keepAlphabet(column, BytesOf(v.Data))
}
