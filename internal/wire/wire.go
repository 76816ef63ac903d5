// Package wire reads and writes the small parts that Meshtrail's binary formats
// are made of. It knows no format.
//
//	u8 u16 u32 u64   fixed size, little-endian
//	uvarint          7 bits a byte, low bits first, 1 to 10 bytes, the shortest form
//	varint           zigzag, then uvarint: 0 -1 1 -2 2 … is 0 1 2 3 4 …
//	bytes, string    uvarint length, then the bytes
//
// A Reader never panics, never allocates for what is not there and never
// believes a length: each has a limit that the caller states, and none can be
// more than what is left. Its first error sticks, is fault.Corrupt and tells
// the offset; every read after it returns zero, so that a decoder may check
// once, at the end of a part, as long as it loops over nothing in between that
// did not come from Count.
//
// What a Reader returns aliases its input. Neither type is safe for concurrent
// use, and nothing here is durable.
package wire

import (
	"encoding/binary"
	"math/bits"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// A Writer appends to B, which the caller may set, read and reuse.
type Writer struct{ B []byte }

// U8 appends one byte.
func (w *Writer) U8(v uint8) { w.B = append(w.B, v) }

// U16 appends 2 bytes.
func (w *Writer) U16(v uint16) { w.B = binary.LittleEndian.AppendUint16(w.B, v) }

// U32 appends 4 bytes.
func (w *Writer) U32(v uint32) { w.B = binary.LittleEndian.AppendUint32(w.B, v) }

// U64 appends 8 bytes.
func (w *Writer) U64(v uint64) { w.B = binary.LittleEndian.AppendUint64(w.B, v) }

// Uvarint appends an unsigned varint.
func (w *Writer) Uvarint(v uint64) { w.B = binary.AppendUvarint(w.B, v) }

// Varint appends a signed varint.
func (w *Writer) Varint(v int64) { w.B = binary.AppendVarint(w.B, v) }

// Bytes appends a length and the bytes.
func (w *Writer) Bytes(p []byte) {
	w.Uvarint(uint64(len(p)))
	w.B = append(w.B, p...)
}

// String appends a length and the bytes of s.
func (w *Writer) String(s string) {
	w.Uvarint(uint64(len(s)))
	w.B = append(w.B, s...)
}

// Raw appends the bytes alone.
func (w *Writer) Raw(p []byte) { w.B = append(w.B, p...) }

// UvarintLen returns how many bytes v takes as a uvarint.
func UvarintLen(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// A Reader reads from the front of a byte slice.
type Reader struct {
	b   []byte
	off int
	err error
}

// NewReader returns a Reader of b, which it aliases.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// Reset makes r read b from its front, without an error.
func (r *Reader) Reset(b []byte) { *r = Reader{b: b} }

// Err returns the first error, or nil.
func (r *Reader) Err() error { return r.err }

// Offset returns how many bytes were read.
func (r *Reader) Offset() int { return r.off }

// Len returns how many bytes are left; 0 after an error.
func (r *Reader) Len() int {
	if r.err != nil {
		return 0
	}
	return len(r.b) - r.off
}

// Fail makes the Reader fail with a fault.Corrupt that tells the offset, unless
// it has failed already. Decoders use it for values that cannot be.
func (r *Reader) Fail(format string, args ...any) {
	if r.err == nil {
		r.err = fault.Errorf(fault.Corrupt, "at byte %d: %w", r.off, fault.Errorf(fault.Corrupt, format, args...))
	}
}

// Done returns the error, which it is, too, to have bytes left.
func (r *Reader) Done() error {
	if n := r.Len(); n > 0 {
		r.Fail("%d bytes too many", n)
	}
	return r.err
}

// Raw returns the next n bytes.
func (r *Reader) Raw(n int) []byte {
	if n < 0 || n > r.Len() || r.err != nil {
		r.Fail("%d bytes wanted, %d left", n, r.Len())
		return nil
	}
	p := r.b[r.off : r.off+n : r.off+n]
	r.off += n
	return p
}

// Rest returns all that is left.
func (r *Reader) Rest() []byte { return r.Raw(r.Len()) }

// U8 reads one byte.
func (r *Reader) U8() uint8 {
	if p := r.Raw(1); p != nil {
		return p[0]
	}
	return 0
}

// U16 reads 2 bytes.
func (r *Reader) U16() uint16 {
	if p := r.Raw(2); p != nil {
		return binary.LittleEndian.Uint16(p)
	}
	return 0
}

// U32 reads 4 bytes.
func (r *Reader) U32() uint32 {
	if p := r.Raw(4); p != nil {
		return binary.LittleEndian.Uint32(p)
	}
	return 0
}

// U64 reads 8 bytes.
func (r *Reader) U64() uint64 {
	if p := r.Raw(8); p != nil {
		return binary.LittleEndian.Uint64(p)
	}
	return 0
}

// Uvarint reads an unsigned varint. Only the shortest form is accepted, so that
// one value has one encoding.
func (r *Reader) Uvarint() uint64 {
	if r.err == nil && r.off < len(r.b) && r.b[r.off] < 0x80 { // most are small
		v := r.b[r.off]
		r.off++
		return uint64(v)
	}
	return r.longUvarint()
}

func (r *Reader) longUvarint() uint64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Uvarint(r.b[r.off:])
	switch {
	case n == 0:
		r.Fail("the varint is cut short")
		return 0
	case n < 0:
		r.Fail("the varint is larger than 64 bits")
		return 0
	case r.b[r.off+n-1] == 0: // n > 1: a single 0 took the short way
		r.Fail("the varint is longer than it must be")
		return 0
	}
	r.off += n
	return v
}

// Varint reads a signed varint.
func (r *Reader) Varint() int64 {
	u := r.Uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// Max reads a uvarint that MUST NOT exceed limit.
func (r *Reader) Max(limit uint64) uint64 {
	v := r.Uvarint()
	if v > limit {
		r.Fail("%d is more than %d", v, limit)
		return 0
	}
	return v
}

// Count reads how many elements follow: at most limit, and no more than can be
// in what is left if each takes at least size bytes. A caller may allocate for
// as many. size MUST be positive.
func (r *Reader) Count(limit, size int) int {
	v := r.Uvarint()
	if v > uint64(limit) || v > uint64(r.Len()/size) {
		r.Fail("%d elements of at least %d bytes: at most %d are allowed, %d bytes are left", v, size, limit, r.Len())
		return 0
	}
	return int(v)
}

// Bytes reads a length of at most limit and the bytes.
func (r *Reader) Bytes(limit int) []byte {
	v := r.Uvarint()
	if v > uint64(limit) {
		r.Fail("length %d is more than %d", v, limit)
		return nil
	}
	return r.Raw(int(v))
}

// String reads a length of at most limit and returns a copy of the bytes.
func (r *Reader) String(limit int) string { return string(r.Bytes(limit)) }
