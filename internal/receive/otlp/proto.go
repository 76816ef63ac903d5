package otlp

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/record"
)

// The protobuf form, field numbers of opentelemetry/proto (collector/logs/v1,
// logs/v1, common/v1, resource/v1). It is read off the wire directly: unmarshalled
// messages would cost an allocation per attribute.

// A wireField is one field of a message: v for a length-delimited one, n for
// every other type. The tag holds number and type, so that a field of another
// type than expected is an unknown field, as protobuf has it.
type wireField struct {
	tag int // number<<3 | type
	v   []byte
	n   uint64
}

// The wire types of a tag.
const (
	varint  = int(protowire.VarintType)
	fixed64 = int(protowire.Fixed64Type)
	length  = int(protowire.BytesType)
	fixed32 = int(protowire.Fixed32Type)
)

var errProto = fault.Errorf(fault.Invalid, "not a protobuf message of the expected shape")

// next takes the first field off b.
func next(b []byte) (f wireField, rest []byte, err error) {
	if len(b) > 1 && b[0] < 0x80 && b[0] >= 1<<3 && int(b[0])&7 == length {
		if v, rest, ok := field(b, int(b[0])); ok {
			return wireField{tag: int(b[0]), v: v}, rest, nil
		}
	}
	num, typ, size := protowire.ConsumeTag(b)
	if size < 0 {
		return f, nil, errProto
	}
	b = b[size:]
	f.tag = int(num)<<3 | int(typ)
	switch typ {
	case protowire.BytesType:
		f.v, size = protowire.ConsumeBytes(b)
	case protowire.VarintType:
		f.n, size = protowire.ConsumeVarint(b)
	case protowire.Fixed64Type:
		f.n, size = protowire.ConsumeFixed64(b)
	case protowire.Fixed32Type:
		var n uint32
		n, size = protowire.ConsumeFixed32(b)
		f.n = uint64(n)
	default:
		size = protowire.ConsumeFieldValue(num, typ, b)
	}
	if size < 0 {
		return f, nil, errProto
	}
	return f, b[size:], nil
}

// proto reads ExportLogsServiceRequest { repeated ResourceLogs resource_logs = 1 }.
func (d *decoder) proto(b []byte) error {
	for len(b) > 0 {
		f, rest, err := next(b)
		if err != nil {
			return err
		}
		if b = rest; f.tag == 1<<3|length {
			if err := d.resourceLogs(f.v); err != nil {
				return err
			}
		}
	}
	return nil
}

// resourceLogs reads ResourceLogs { Resource resource = 1; repeated ScopeLogs
// scope_logs = 2 }, the resource first wherever it stands.
func (d *decoder) resourceLogs(b []byte) error {
	d.set.Open()
	for p := b; len(p) > 0; {
		f, rest, err := next(p)
		if err != nil {
			return err
		}
		if p = rest; f.tag == 1<<3|length { // Resource { repeated KeyValue attributes = 1 }
			if err := d.attributes(f.v, 1); err != nil {
				return err
			}
		}
	}
	d.resource = d.set.Close()
	for len(b) > 0 {
		f, rest, err := next(b)
		if err != nil {
			return err
		}
		if b = rest; f.tag == 2<<3|length {
			if err := d.scopeLogs(f.v); err != nil {
				return err
			}
		}
	}
	return nil
}

// attributes reads the KeyValues of one field of a message.
func (d *decoder) attributes(b []byte, num int) error {
	for len(b) > 0 {
		f, rest, err := next(b)
		if err != nil {
			return err
		}
		if b = rest; f.tag == num<<3|length {
			if err := d.keyValue(f.v); err != nil {
				return err
			}
		}
	}
	return nil
}

// scopeLogs reads ScopeLogs { InstrumentationScope scope = 1; repeated LogRecord
// log_records = 2 }.
func (d *decoder) scopeLogs(b []byte) error {
	d.set.Open()
	d.set.Fields(d.resource)
	for p := b; len(p) > 0; {
		f, rest, err := next(p)
		if err != nil {
			return err
		}
		if p = rest; f.tag == 1<<3|length {
			if err := d.protoScope(f.v); err != nil {
				return err
			}
		}
	}
	d.scope = d.set.Close()
	for len(b) > 0 {
		f, rest, err := next(b)
		if err != nil {
			return err
		}
		if b = rest; f.tag != 2<<3|length {
			continue
		}
		if err := d.begin(); err != nil {
			return err
		}
		var r logRecord
		if err := d.logRecord(&r, f.v); err != nil {
			d.reject(err)
			continue
		}
		d.end(&r)
	}
	return nil
}

// protoScope reads InstrumentationScope { string name = 1; string version = 2;
// repeated KeyValue attributes = 3 }.
func (d *decoder) protoScope(b []byte) error {
	for p := b; len(p) > 0; {
		f, rest, err := next(p)
		if err != nil {
			return err
		}
		p = rest
		if len(f.v) == 0 {
			continue
		}
		switch f.tag {
		case 1<<3 | length:
			d.attr([]byte(fieldScopeName), textValue(f.v))
		case 2<<3 | length:
			d.attr([]byte(fieldScopeVersion), textValue(f.v))
		}
	}
	return d.attributes(b, 3)
}

// logRecord reads LogRecord { fixed64 time_unix_nano = 1; SeverityNumber
// severity_number = 2; string severity_text = 3; AnyValue body = 5; repeated
// KeyValue attributes = 6; uint32 dropped_attributes_count = 7; fixed32 flags = 8;
// bytes trace_id = 9; bytes span_id = 10; fixed64 observed_time_unix_nano = 11;
// string event_name = 12 }.
func (d *decoder) logRecord(r *logRecord, b []byte) error {
	for len(b) > 0 {
		f, rest, err := next(b)
		if err != nil {
			return err
		}
		b = rest
		switch f.tag {
		case 1<<3 | fixed64:
			r.time = f.n
		case 2<<3 | varint:
			r.severity = int64(int32(f.n))
		case 3<<3 | length:
			r.severityText = f.v
		case 5<<3 | length:
			a, err := d.protoAny(f.v)
			if err != nil {
				return err
			}
			d.setBody(r, a)
		case 6<<3 | length:
			if err := d.keyValue(f.v); err != nil {
				return err
			}
		case 7<<3 | varint:
			r.dropped = f.n
		case 8<<3 | fixed32:
			r.flags = f.n
		case 9<<3 | length:
			r.trace = f.v
		case 10<<3 | length:
			r.span = f.v
		case 11<<3 | fixed64:
			r.observed = f.n
		case 12<<3 | length:
			r.event = f.v
		}
	}
	return nil
}

// keyValue adds the attribute KeyValue { string key = 1; AnyValue value = 2 }.
func (d *decoder) keyValue(b []byte) error {
	if d.set.Pending() >= maxAttributes {
		return errAttributes
	}
	if key, text, ok := textPair(b); ok {
		if len(key) > 0 {
			d.set.Field(receive.Str(key), receive.Str(text))
		}
		return nil
	}
	key, value, err := pair(b)
	if err != nil {
		return err
	}
	a, err := d.protoAny(value)
	if err != nil {
		return err
	}
	d.attr(key, a)
	return nil
}

// textPair reads a KeyValue whose value is a text, written as all encoders write
// it: the key, then the value, and nothing else.
func textPair(b []byte) (key, text []byte, ok bool) {
	key, b, ok = field(b, 1<<3|length)
	if !ok {
		return nil, nil, false
	}
	value, b, ok := field(b, 2<<3|length)
	if !ok || len(b) > 0 {
		return nil, nil, false
	}
	text, b, ok = field(value, 1<<3|length)
	return key, text, ok && len(b) == 0
}

// field takes a length-delimited field off b that has this tag, which is of one
// byte, and a length of one or two.
func field(b []byte, tag int) (v, rest []byte, ok bool) {
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

func pair(b []byte) (key, value []byte, err error) {
	for len(b) > 0 {
		f, rest, err := next(b)
		if err != nil {
			return nil, nil, err
		}
		b = rest
		switch f.tag {
		case 1<<3 | length:
			key = f.v
		case 2<<3 | length:
			value = f.v
		}
	}
	return key, value, nil
}

// protoAny reads AnyValue { oneof: string = 1; bool = 2; int64 = 3; double = 4;
// ArrayValue = 5; KeyValueList = 6; bytes = 7 }.
func (d *decoder) protoAny(b []byte) (anyValue, error) {
	a, inner, num, err := scalar(b)
	if err != nil {
		return a, err
	}
	switch num {
	case 5, 6:
		if d.tmp, err = d.appendContainer(d.tmp[:0], inner, num == 6, 1); err != nil {
			return a, err
		}
		return d.keep(num == 6), nil
	case 7:
		d.tmp = appendBase64(d.tmp[:0], inner)
		return d.keep(false), nil
	}
	return a, nil
}

// scalar reads an AnyValue. For a list, a map or bytes it returns the inside and
// the field's number.
func scalar(b []byte) (a anyValue, inner []byte, num int, err error) {
	for len(b) > 0 {
		f, rest, err := next(b)
		if err != nil {
			return a, nil, 0, err
		}
		b = rest
		switch f.tag {
		case 1<<3 | length:
			a = textValue(f.v)
		case 2<<3 | varint:
			a = anyValue{v: record.BoolValue(f.n != 0)}
		case 3<<3 | varint:
			a = anyValue{v: record.IntValue(int64(f.n))}
		case 4<<3 | fixed64:
			a = anyValue{v: record.FloatValue(math.Float64frombits(f.n))}
		case 5<<3 | length, 6<<3 | length, 7<<3 | length:
			a, inner, num = anyValue{}, f.v, f.tag>>3
			continue
		default:
			continue
		}
		num = 0
	}
	return a, inner, num, nil
}

// appendContainer appends an ArrayValue { repeated AnyValue values = 1 } or a
// KeyValueList { repeated KeyValue values = 1 } as JSON.
func (d *decoder) appendContainer(dst, b []byte, object bool, depth int) ([]byte, error) {
	if depth > d.lim.Depth {
		return dst, fault.Errorf(fault.TooLarge, "a value is nested deeper than %d", d.lim.Depth)
	}
	brackets := "[]"
	if object {
		brackets = "{}"
	}
	dst = append(dst, brackets[0])
	for first := true; len(b) > 0; {
		f, rest, err := next(b)
		if err != nil {
			return dst, err
		}
		if b = rest; f.tag != 1<<3|length {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		value := f.v
		if object {
			var key []byte
			if key, value, err = pair(f.v); err != nil {
				return dst, err
			}
			dst = append(jsontext.AppendString(dst, key), ':')
		}
		if dst, err = d.appendAny(dst, value, depth); err != nil {
			return dst, err
		}
	}
	return append(dst, brackets[1]), nil
}

func (d *decoder) appendAny(dst, b []byte, depth int) ([]byte, error) {
	a, inner, num, err := scalar(b)
	switch {
	case err != nil:
		return dst, err
	case num == 5 || num == 6:
		return d.appendContainer(dst, inner, num == 6, depth+1)
	case num == 7:
		return append(appendBase64(append(dst, '"'), inner), '"'), nil
	}
	return appendJSON(dst, a), nil
}
