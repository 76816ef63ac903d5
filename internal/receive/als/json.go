package als

import (
	"encoding/base64"
	"math"
	"strconv"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/receive/pb"
)

// name begins a member. The names written here need no escape.
func (e *entry) name(name string) {
	e.comma()
	e.b = append(e.b, '"')
	e.b = append(e.b, name...)
	e.b = append(e.b, '"', ':')
}

// within begins a member whose name the sender chose, under a prefix of ours.
func (e *entry) within(prefix string, name []byte) {
	e.comma()
	e.b = append(e.b, '"')
	e.b = append(e.b, prefix...)
	open := len(e.b)
	e.b = jsontext.AppendString(e.b, name)
	e.b = append(e.b[:open], e.b[open+1:]...) // without its own first quote
	e.b = append(e.b, ':')
}

func (e *entry) comma() {
	if c := e.b[len(e.b)-1]; c != '{' && c != '[' {
		e.b = append(e.b, ',')
	}
}

// text adds a member; an empty text is none.
func (e *entry) text(name string, v []byte) {
	if len(v) > 0 {
		e.name(name)
		e.b = jsontext.AppendString(e.b, v)
	}
}

func (e *entry) word(name, v string) {
	if v != "" {
		e.name(name)
		e.b = append(e.b, '"')
		e.b = append(e.b, v...)
		e.b = append(e.b, '"')
	}
}

func (e *entry) null(name string) {
	e.name(name)
	e.b = append(e.b, "null"...)
}

func (e *entry) number(name string, n uint64) {
	e.name(name)
	e.b = strconv.AppendUint(e.b, n, 10)
}

// millis adds a duration of nanoseconds as milliseconds, exactly.
func (e *entry) millis(name string, ns int64) {
	e.name(name)
	e.b = strconv.AppendInt(e.b, ns/1e6, 10)
	if rest := ns % 1e6; rest > 0 {
		e.b = append(e.b, '.')
		for div := int64(100_000); rest > 0; div /= 10 {
			e.b = append(e.b, byte('0'+rest/div))
			rest %= div
		}
	}
}

// object adds a google.protobuf.Struct as the value of what was begun.
func (e *entry) object(b []byte, depth int) error {
	if depth > e.depth {
		return fault.Errorf(fault.TooLarge, "metadata is nested deeper than %d", e.depth)
	}
	e.b = append(e.b, '{')
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		if b = rest; f.Tag != 1<<3|pb.Length {
			continue
		}
		key, value, err := pair(f.V)
		if err != nil {
			return err
		}
		e.within("", key)
		if err := e.value(value, depth); err != nil {
			return err
		}
	}
	e.b = append(e.b, '}')
	return nil
}

// value adds a google.protobuf.Value { oneof: null = 1, double number = 2, string
// = 3, bool = 4, Struct = 5, ListValue { repeated Value values = 1 } = 6 }.
func (e *entry) value(b []byte, depth int) error {
	var last pb.Field
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		b, last = rest, f
	}
	switch last.Tag {
	case 2<<3 | pb.Fixed64:
		e.float(math.Float64frombits(last.N))
	case 3<<3 | pb.Length:
		e.b = jsontext.AppendString(e.b, last.V)
	case 4<<3 | pb.Varint:
		e.b = strconv.AppendBool(e.b, last.N != 0)
	case 5<<3 | pb.Length:
		return e.object(last.V, depth+1)
	case 6<<3 | pb.Length:
		return e.list(last.V, depth+1)
	default:
		e.b = append(e.b, "null"...)
	}
	return nil
}

func (e *entry) list(b []byte, depth int) error {
	if depth > e.depth {
		return fault.Errorf(fault.TooLarge, "metadata is nested deeper than %d", e.depth)
	}
	e.b = append(e.b, '[')
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		if b = rest; f.Tag != 1<<3|pb.Length {
			continue
		}
		e.comma()
		if err := e.value(f.V, depth); err != nil {
			return err
		}
	}
	e.b = append(e.b, ']')
	return nil
}

func (e *entry) float(v float64) {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		e.b = append(e.b, "null"...)
	case v == math.Trunc(v) && math.Abs(v) < 1<<53:
		e.b = strconv.AppendInt(e.b, int64(v), 10)
	default:
		e.b = strconv.AppendFloat(e.b, v, 'g', -1, 64)
	}
}

const typePrefix = "type.googleapis.com/google.protobuf."

// any adds a google.protobuf.Any { string type_url = 1; bytes value = 2 }: the
// inside where it says itself what it is (Struct, StringValue, BytesValue), else
// its type and its bytes.
func (e *entry) any(b []byte) error {
	kind, value, err := pair(b)
	if err != nil {
		return err
	}
	switch string(kind) {
	case typePrefix + "Struct":
		return e.object(value, 1)
	case typePrefix + "StringValue", typePrefix + "BytesValue":
		inner, _, err := pair(value) // { value = 1 }
		if err != nil {
			return err
		}
		if kind[len(typePrefix)] == 'S' {
			e.b = jsontext.AppendString(e.b, inner)
		} else {
			e.base64(inner)
		}
		return nil
	}
	e.b = append(e.b, '{')
	e.text("@type", kind)
	e.name("value")
	e.base64(value)
	e.b = append(e.b, '}')
	return nil
}

func (e *entry) base64(v []byte) {
	e.b = append(e.b, '"')
	e.b = base64.StdEncoding.AppendEncode(e.b, v)
	e.b = append(e.b, '"')
}
