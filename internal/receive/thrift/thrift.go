// Package thrift reads Apache Thrift's binary and compact protocols, for the
// receivers of Jaeger and Zipkin. It knows none of their structures.
//
// A Reader never panics, never allocates and never believes a length: a string
// or a list is no longer than what is left. Its first error sticks and is
// fault.Invalid; every read after it returns nothing. Strings alias the input.
// (thrift/doc/specs/thrift-binary-protocol.md, thrift-compact-protocol.md)
package thrift

import (
	"encoding/binary"
	"math"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// Type is the type of a value; the numbers are those of the binary protocol.
type Type uint8

// The types.
const (
	Stop   Type = 0
	Bool   Type = 2
	Byte   Type = 3
	Double Type = 4
	I16    Type = 6
	I32    Type = 8
	I64    Type = 10
	String Type = 11
	Struct Type = 12
	Map    Type = 13
	Set    Type = 14
	List   Type = 15
)

var compactTypes = [16]Type{
	1: Bool, 2: Bool, 3: Byte, 4: I16, 5: I32, 6: I64, 7: Double, 8: String, 9: List, 10: Set, 11: Map, 12: Struct,
}

// maxDepth is how deep structures may nest: no protocol of ours has half of it.
const maxDepth = 16

// A Reader reads values in their order.
type Reader struct {
	b       []byte
	pos     int
	depth   int
	compact bool
	held    int8 // of a compact Bool field, whose type is its value: 1 true, 2 false
	err     error
}

// Binary returns a reader of the binary protocol.
func Binary(b []byte) Reader { return Reader{b: b} }

// Compact returns a reader of the compact protocol.
func Compact(b []byte) Reader { return Reader{b: b, compact: true} }

// Err returns the first error.
func (r *Reader) Err() error { return r.err }

// Pos returns the offset of the next value.
func (r *Reader) Pos() int { return r.pos }

// At returns a reader of the value at an offset that Pos gave.
func (r *Reader) At(pos int) Reader {
	c := *r
	c.pos = pos
	return c
}

// Fail makes what was found wrong the reader's error.
func (r *Reader) Fail(what string) {
	if r.err == nil {
		r.err = fault.Errorf(fault.Invalid, "thrift at byte %d: %s", r.pos, what)
	}
}

// Adopt takes over the first error of a reader that At returned.
func (r *Reader) Adopt(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *Reader) take(n int) []byte {
	if r.err != nil {
		return nil
	}
	if n < 0 || len(r.b)-r.pos < n {
		r.Fail("the message ends within a value")
		return nil
	}
	r.pos += n
	return r.b[r.pos-n : r.pos : r.pos]
}

func (r *Reader) byte() byte {
	if r.err == nil && r.pos < len(r.b) {
		r.pos++
		return r.b[r.pos-1]
	}
	r.take(1)
	return 0
}

func (r *Reader) uvarint() uint64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Uvarint(r.b[r.pos:])
	if n <= 0 {
		r.Fail("a number without an end")
		return 0
	}
	r.pos += n
	return v
}

func (r *Reader) zigzag() int64 {
	v := r.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

// I16 returns a 16-bit integer.
func (r *Reader) I16() int16 {
	if r.compact {
		return int16(r.zigzag())
	}
	if b := r.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

// I32 returns a 32-bit integer.
func (r *Reader) I32() int32 {
	if r.compact {
		return int32(r.zigzag())
	}
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

// I64 returns a 64-bit integer.
func (r *Reader) I64() int64 {
	if r.compact {
		return r.zigzag()
	}
	if b := r.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

// Double returns a floating-point number.
func (r *Reader) Double() float64 {
	b := r.take(8)
	switch {
	case b == nil:
		return 0
	case r.compact:
		return math.Float64frombits(binary.LittleEndian.Uint64(b))
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b))
}

// Bool returns a truth value.
func (r *Reader) Bool() bool {
	if h := r.held; h != 0 {
		r.held = 0
		return h == 1
	}
	return r.byte() == 1
}

// Bytes returns a string or bytes.
func (r *Reader) Bytes() []byte {
	n := int64(0)
	if r.compact {
		n = int64(min(r.uvarint(), math.MaxInt32))
	} else {
		n = int64(r.I32())
	}
	if n < 0 {
		r.Fail("a string of negative length")
		return nil
	}
	return r.take(int(n))
}

// Head passes the head of a field of the binary protocol, if the text goes on with
// this one; Stop has no number. It is for structures that all senders write alike,
// and that hold no others: Back and Fields read one that is written otherwise.
func (r *Reader) Head(t Type, id int16) bool {
	b := r.b[r.pos:]
	switch {
	case r.compact || r.err != nil || len(b) == 0 || Type(b[0]) != t:
		return false
	case t == Stop:
		r.pos++
		return true
	case len(b) < 3 || int16(binary.BigEndian.Uint16(b[1:])) != id:
		return false
	}
	r.pos += 3
	return true
}

// Back returns to an offset that Pos gave in the same structure. An error stays.
func (r *Reader) Back(pos int) { r.pos = pos }

// Fields calls f before each field of a structure. f must read the value, or
// Skip it.
func (r *Reader) Fields(f func(id int16, t Type)) {
	if !r.enter() {
		return
	}
	id := int16(0)
	for r.err == nil {
		t := Type(0)
		if !r.compact {
			if t = Type(r.byte()); t == Stop {
				break
			}
			id = r.I16()
		} else {
			head := r.byte()
			if head == 0 {
				break
			}
			if t = compactTypes[head&15]; t == Stop {
				r.Fail("unknown type")
			}
			if head>>4 != 0 {
				id += int16(head >> 4)
			} else {
				id = r.I16()
			}
			if r.held = 0; t == Bool {
				r.held = int8(head & 15)
			}
		}
		if r.err == nil {
			f(id, t)
		}
	}
	r.depth--
}

func (r *Reader) enter() bool {
	if r.depth++; r.depth > maxDepth {
		r.Fail("nested too deep")
	}
	return r.err == nil
}

// Elems calls f before each element of a list or a set whose elements are of
// type want. One of another type is an error; an empty one may be of any.
func (r *Reader) Elems(want Type, f func()) {
	t, n := r.listHead()
	if n > 0 && t != want {
		r.Fail("a list of another type than expected")
	}
	if r.enter() {
		for ; n > 0 && r.err == nil; n-- {
			f()
		}
	}
	r.depth--
}

func (r *Reader) listHead() (t Type, n int) {
	if r.compact {
		head := r.byte()
		t, n = compactTypes[head&15], int(head>>4)
		if n == 15 {
			n = int(min(r.uvarint(), math.MaxInt32))
		}
	} else {
		t, n = Type(r.byte()), int(r.I32())
	}
	r.fits(n)
	return t, n
}

// fits refuses a count of elements that the rest can not hold: each is a byte
// at least.
func (r *Reader) fits(n int) {
	if n < 0 || n > len(r.b)-r.pos {
		r.Fail("a list longer than the message")
	}
}

// Skip passes a value.
func (r *Reader) Skip(t Type) {
	switch t {
	case Bool:
		r.Bool()
	case Byte:
		r.byte()
	case I16:
		r.I16()
	case I32:
		r.I32()
	case I64:
		r.I64()
	case Double:
		r.take(8)
	case String:
		r.Bytes()
	case Struct:
		r.Fields(func(_ int16, t Type) { r.Skip(t) })
	case List, Set:
		t, n := r.listHead()
		r.skipMany(n, t, Stop)
	case Map:
		r.skipMap()
	default:
		r.Fail("unknown type")
	}
}

func (r *Reader) skipMany(n int, t, value Type) {
	if r.enter() {
		for ; n > 0 && r.err == nil; n-- {
			r.Skip(t)
			if value != Stop {
				r.Skip(value)
			}
		}
	}
	r.depth--
}

func (r *Reader) skipMap() {
	if !r.compact {
		k, v, n := Type(r.byte()), Type(r.byte()), int(r.I32())
		r.fits(n)
		r.skipMany(n, k, v)
		return
	}
	n := int(min(r.uvarint(), math.MaxInt32))
	r.fits(n)
	if n > 0 && r.err == nil {
		types := r.byte()
		r.skipMany(n, compactTypes[types>>4], compactTypes[types&15])
	}
}

// Message reads the head of a call and returns the method's name.
func (r *Reader) Message() []byte {
	if r.compact {
		if r.byte() != 0x82 || r.byte()&0x1f != 1 {
			r.Fail("not a compact call of version 1")
		}
		r.uvarint()
		return r.Bytes()
	}
	head := r.I32()
	if head < 0 { // strict: version and type
		if uint32(head)>>16 != 0x8001 {
			r.Fail("not a binary call of version 1")
		}
		name := r.Bytes()
		r.I32()
		return name
	}
	name := r.take(int(head))
	r.take(5)
	return name
}
