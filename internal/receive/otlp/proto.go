package otlp

import (
	"math"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/receive/pb"
	"github.com/meshtrail/meshtrail/internal/record"
)

// The protobuf form, field numbers of opentelemetry/proto (collector/logs/v1,
// logs/v1, common/v1, resource/v1). It is read off the wire directly: unmarshalled
// messages would cost an allocation per attribute.

// proto reads ExportLogsServiceRequest { repeated ResourceLogs resource_logs = 1 }.
func (d *decoder) proto(b []byte) error {
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		if b = rest; f.Tag == 1<<3|pb.Length {
			if err := d.resourceLogs(f.V); err != nil {
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
		f, rest, err := pb.Next(p)
		if err != nil {
			return err
		}
		if p = rest; f.Tag == 1<<3|pb.Length { // Resource { repeated KeyValue attributes = 1 }
			if err := d.attributes(f.V, 1); err != nil {
				return err
			}
		}
	}
	d.resource = d.set.Close()
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		if b = rest; f.Tag == 2<<3|pb.Length {
			if err := d.scopeLogs(f.V); err != nil {
				return err
			}
		}
	}
	return nil
}

// attributes reads the KeyValues of one field of a message.
func (d *decoder) attributes(b []byte, num int) error {
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		if b = rest; f.Tag == num<<3|pb.Length {
			if err := d.keyValue(f.V); err != nil {
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
		f, rest, err := pb.Next(p)
		if err != nil {
			return err
		}
		if p = rest; f.Tag == 1<<3|pb.Length {
			if err := d.protoScope(f.V); err != nil {
				return err
			}
		}
	}
	d.scope = d.set.Close()
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		if b = rest; f.Tag != 2<<3|pb.Length {
			continue
		}
		if err := d.begin(); err != nil {
			return err
		}
		var r logRecord
		if err := d.logRecord(&r, f.V); err != nil {
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
		f, rest, err := pb.Next(p)
		if err != nil {
			return err
		}
		p = rest
		if len(f.V) == 0 {
			continue
		}
		switch f.Tag {
		case 1<<3 | pb.Length:
			d.attr([]byte(fieldScopeName), textValue(f.V))
		case 2<<3 | pb.Length:
			d.attr([]byte(fieldScopeVersion), textValue(f.V))
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
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		b = rest
		switch f.Tag {
		case 1<<3 | pb.Fixed64:
			r.time = f.N
		case 2<<3 | pb.Varint:
			r.severity = int64(int32(f.N))
		case 3<<3 | pb.Length:
			r.severityText = f.V
		case 5<<3 | pb.Length:
			a, err := d.protoAny(f.V)
			if err != nil {
				return err
			}
			d.setBody(r, a)
		case 6<<3 | pb.Length:
			if err := d.keyValue(f.V); err != nil {
				return err
			}
		case 7<<3 | pb.Varint:
			r.dropped = f.N
		case 8<<3 | pb.Fixed32:
			r.flags = f.N
		case 9<<3 | pb.Length:
			r.trace = f.V
		case 10<<3 | pb.Length:
			r.span = f.V
		case 11<<3 | pb.Fixed64:
			r.observed = f.N
		case 12<<3 | pb.Length:
			r.event = f.V
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
	key, b, ok = pb.Take(b, 1<<3|pb.Length)
	if !ok {
		return nil, nil, false
	}
	value, b, ok := pb.Take(b, 2<<3|pb.Length)
	if !ok || len(b) > 0 {
		return nil, nil, false
	}
	text, b, ok = pb.Take(value, 1<<3|pb.Length)
	return key, text, ok && len(b) == 0
}

func pair(b []byte) (key, value []byte, err error) {
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return nil, nil, err
		}
		b = rest
		switch f.Tag {
		case 1<<3 | pb.Length:
			key = f.V
		case 2<<3 | pb.Length:
			value = f.V
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
		f, rest, err := pb.Next(b)
		if err != nil {
			return a, nil, 0, err
		}
		b = rest
		switch f.Tag {
		case 1<<3 | pb.Length:
			a = textValue(f.V)
		case 2<<3 | pb.Varint:
			a = anyValue{v: record.BoolValue(f.N != 0)}
		case 3<<3 | pb.Varint:
			a = anyValue{v: record.IntValue(int64(f.N))}
		case 4<<3 | pb.Fixed64:
			a = anyValue{v: record.FloatValue(math.Float64frombits(f.N))}
		case 5<<3 | pb.Length, 6<<3 | pb.Length, 7<<3 | pb.Length:
			a, inner, num = anyValue{}, f.V, f.Tag>>3
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
		f, rest, err := pb.Next(b)
		if err != nil {
			return dst, err
		}
		if b = rest; f.Tag != 1<<3|pb.Length {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		value := f.V
		if object {
			var key []byte
			if key, value, err = pair(f.V); err != nil {
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
