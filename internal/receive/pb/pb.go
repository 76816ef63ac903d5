// Package pb takes protobuf messages off the wire field by field, for receivers
// whose volume does not allow an object for each message. It knows no message.
//
// Fields alias the input. Nothing is durable here.
package pb

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// The wire types of a tag.
const (
	Varint  = int(protowire.VarintType)
	Fixed64 = int(protowire.Fixed64Type)
	Length  = int(protowire.BytesType)
	Fixed32 = int(protowire.Fixed32Type)
)

// A Field is one field of a message: V of a length-delimited one, N of every
// other type. Tag holds number and type (number<<3 | type), so that a field of
// another type than expected is an unknown field, as protobuf has it.
type Field struct {
	Tag int
	V   []byte
	N   uint64
}

// ErrMessage is what Next fails with.
var ErrMessage = fault.Errorf(fault.Invalid, "not a protobuf message of the expected shape")

// Next takes the first field off b, which must not be empty.
func Next(b []byte) (f Field, rest []byte, err error) {
	if len(b) > 1 && b[0] < 0x80 && b[0] >= 1<<3 && int(b[0])&7 == Length {
		if v, rest, ok := Take(b, int(b[0])); ok {
			return Field{Tag: int(b[0]), V: v}, rest, nil
		}
	}
	num, typ, size := protowire.ConsumeTag(b)
	if size < 0 {
		return f, nil, ErrMessage
	}
	b = b[size:]
	f.Tag = int(num)<<3 | int(typ)
	switch typ {
	case protowire.BytesType:
		f.V, size = protowire.ConsumeBytes(b)
	case protowire.VarintType:
		f.N, size = protowire.ConsumeVarint(b)
	case protowire.Fixed64Type:
		f.N, size = protowire.ConsumeFixed64(b)
	case protowire.Fixed32Type:
		var n uint32
		n, size = protowire.ConsumeFixed32(b)
		f.N = uint64(n)
	default:
		size = protowire.ConsumeFieldValue(num, typ, b)
	}
	if size < 0 {
		return f, nil, ErrMessage
	}
	return f, b[size:], nil
}

// Take takes a length-delimited field off b that has this tag, which is of one
// byte, and a length of one or two.
func Take(b []byte, tag int) (v, rest []byte, ok bool) {
	if len(b) < 2 || int(b[0]) != tag {
		return nil, b, false
	}
	n, b := int(b[1]), b[2:]
	if n >= 0x80 {
		if len(b) == 0 || b[0] >= 0x80 {
			return nil, b, false
		}
		n, b = n&0x7f|int(b[0])<<7, b[1:]
	}
	if n > len(b) {
		return nil, b, false
	}
	return b[:n:n], b[n:], true
}

// Pair takes a message apart that is a text and a text or message, fields 1 and 2,
// as all encoders write one: both, in order, and nothing else.
func Pair(b []byte) (one, two []byte, ok bool) {
	one, b, ok = Take(b, 1<<3|Length)
	if !ok {
		return nil, nil, false
	}
	two, b, ok = Take(b, 2<<3|Length)
	return one, two, ok && len(b) == 0
}

// Each calls f with every field of a message, and stops at its first error.
func Each(b []byte, f func(Field) error) error {
	for len(b) > 0 {
		w, rest, err := Next(b)
		if err != nil {
			return err
		}
		if err := f(w); err != nil {
			return err
		}
		b = rest
	}
	return nil
}
