package otlp

import (
	"github.com/meshtrail/meshtrail/internal/receive/pb"

	"github.com/meshtrail/meshtrail/internal/receive/spans"
	"github.com/meshtrail/meshtrail/internal/record"
)

// The protobuf form of traces, field numbers of opentelemetry/proto
// (collector/trace/v1, trace/v1).

// proto reads ExportTraceServiceRequest { repeated ResourceSpans resource_spans = 1 }.
func (d *traceDecoder) proto(b []byte) error {
	return each(b, 1, d.resourceSpans)
}

// each calls f with every length-delimited field of a message that has this
// number.
func each(b []byte, num int, f func([]byte) error) error {
	for len(b) > 0 {
		w, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		if b = rest; w.Tag == num<<3|pb.Length {
			if err := f(w.V); err != nil {
				return err
			}
		}
	}
	return nil
}

// resourceSpans reads ResourceSpans { Resource resource = 1; repeated ScopeSpans
// scope_spans = 2 }, the resource first wherever it stands.
func (d *traceDecoder) resourceSpans(b []byte) error {
	d.set.Open()
	if err := each(b, 1, func(v []byte) error { return d.attributes(v, 1) }); err != nil {
		return err
	}
	d.span.SetResource(d.set.Close())
	if err := each(b, 1, func(v []byte) error { return binaries(v, 1, d.span.ResourceBytes) }); err != nil {
		return err
	}
	return each(b, 2, d.scopeSpans)
}

// binaries calls f with the name of each attribute whose value is bytes.
func binaries(b []byte, num int, f func(name []byte)) error {
	return each(b, num, func(v []byte) error {
		key, value, err := pair(v)
		if err != nil || len(key) == 0 || len(value) == 0 || int(value[0]) != 7<<3|pb.Length {
			return err
		}
		f(key)
		return nil
	})
}

// scopeSpans reads ScopeSpans { InstrumentationScope scope = 1; repeated Span
// spans = 2 }.
func (d *traceDecoder) scopeSpans(b []byte) error {
	var name, version []byte
	d.set.Open()
	err := each(b, 1, func(v []byte) error {
		for p := v; len(p) > 0; {
			f, rest, err := pb.Next(p)
			if err != nil {
				return err
			}
			switch p = rest; f.Tag {
			case 1<<3 | pb.Length:
				name = f.V
			case 2<<3 | pb.Length:
				version = f.V
			}
		}
		return d.attributes(v, 3)
	})
	if err != nil {
		return err
	}
	d.scopeOf(name, version, d.set.Close())
	if err := each(b, 1, func(v []byte) error { return binaries(v, 3, d.span.ScopeBytes) }); err != nil {
		return err
	}
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
		if err := d.protoSpan(f.V); err != nil {
			d.reject(err)
			continue
		}
		d.span.Append()
	}
	return nil
}

// protoSpan reads Span { bytes trace_id = 1; bytes span_id = 2; string trace_state
// = 3; bytes parent_span_id = 4; string name = 5; SpanKind kind = 6; fixed64
// start_time_unix_nano = 7; fixed64 end_time_unix_nano = 8; repeated KeyValue
// attributes = 9; uint32 dropped_attributes_count = 10; repeated Event events = 11;
// uint32 dropped_events_count = 12; repeated Link links = 13; uint32
// dropped_links_count = 14; Status status = 15; fixed32 flags = 16 }.
func (d *traceDecoder) protoSpan(b []byte) error {
	s := d.span
	var start, end uint64
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		b = rest
		switch f.Tag {
		case 1<<3 | pb.Length:
			binaryID(s.TraceID[:], f.V)
		case 2<<3 | pb.Length:
			binaryID(s.SpanID[:], f.V)
		case 3<<3 | pb.Length:
			s.State = f.V
		case 4<<3 | pb.Length:
			binaryID(s.ParentID[:], f.V)
		case 5<<3 | pb.Length:
			s.Name = f.V
		case 6<<3 | pb.Varint:
			s.Kind = kindOf(f.N)
		case 7<<3 | pb.Fixed64:
			start = f.N
		case 8<<3 | pb.Fixed64:
			end = f.N
		case 9<<3 | pb.Length:
			err = d.spanAttribute(f.V)
		case 10<<3 | pb.Varint:
			s.DroppedAttributes = f.N
		case 11<<3 | pb.Length:
			err = d.protoEvent(f.V)
		case 12<<3 | pb.Varint:
			s.DroppedEvents = f.N
		case 13<<3 | pb.Length:
			err = d.protoLink(f.V)
		case 14<<3 | pb.Varint:
			s.DroppedLinks = f.N
		case 15<<3 | pb.Length:
			err = d.protoStatus(f.V)
		case 16<<3 | pb.Fixed32:
			d.flags(f.N)
		}
		if err != nil {
			return err
		}
	}
	d.times(start, end)
	return nil
}

// spanAttribute reads KeyValue { string key = 1; AnyValue value = 2 }.
func (d *traceDecoder) spanAttribute(b []byte) error {
	if d.span.Attrs() > spans.MaxFields {
		return errAttributes
	}
	if key, text, ok := textPair(b); ok {
		d.span.Text(key, text)
		return nil
	}
	key, value, err := pair(b)
	if err != nil {
		return err
	}
	a, inner, num, err := scalar(value)
	switch {
	case err != nil:
		return err
	case num == 7:
		d.span.Bytes(key, inner)
		return nil
	case num == 5 || num == 6:
		if d.tmp, err = d.appendContainer(d.tmp[:0], inner, num == 6, 1); err != nil {
			return err
		}
		a = d.keep(num == 6)
	}
	if a.v.Kind == record.String {
		d.span.Text(key, a.text)
	} else {
		d.span.Attr(key, a.v)
	}
	return nil
}

// protoStatus reads Status { string message = 2; StatusCode code = 3 }.
func (d *traceDecoder) protoStatus(b []byte) error {
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		switch b = rest; f.Tag {
		case 2<<3 | pb.Length:
			d.span.Message = f.V
		case 3<<3 | pb.Varint:
			d.span.Status = status(f.N)
		}
	}
	return nil
}

// protoEvent reads Event { fixed64 time_unix_nano = 1; string name = 2; repeated
// KeyValue attributes = 3 }.
func (d *traceDecoder) protoEvent(b []byte) error {
	var at uint64
	var name []byte
	d.members = d.members[:0]
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		switch b = rest; f.Tag {
		case 1<<3 | pb.Fixed64:
			at = f.N
		case 2<<3 | pb.Length:
			name = f.V
		case 3<<3 | pb.Length:
			if err := d.member(f.V); err != nil {
				return err
			}
		}
	}
	d.span.Event(at, name, d.members)
	return nil
}

// protoLink reads Link { bytes trace_id = 1; bytes span_id = 2; string trace_state
// = 3; repeated KeyValue attributes = 4 }.
func (d *traceDecoder) protoLink(b []byte) error {
	var trace [16]byte
	var span [8]byte
	var state []byte
	d.members = d.members[:0]
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		switch b = rest; f.Tag {
		case 1<<3 | pb.Length:
			binaryID(trace[:], f.V)
		case 2<<3 | pb.Length:
			binaryID(span[:], f.V)
		case 3<<3 | pb.Length:
			state = f.V
		case 4<<3 | pb.Length:
			if err := d.member(f.V); err != nil {
				return err
			}
		}
	}
	d.span.Link(trace, span, state, d.members)
	return nil
}

// member appends a KeyValue to the members of an event or a link.
func (d *traceDecoder) member(b []byte) error {
	key, value, err := pair(b)
	if err != nil {
		return err
	}
	a, inner, num, err := scalar(value)
	switch {
	case err != nil:
		return err
	case len(key) == 0:
	case num == 7:
		d.members = spans.AppendBytesMember(d.members, key, inner)
	case num == 5 || num == 6:
		d.members, err = d.appendContainer(spans.AppendRawMember(d.members, key, nil), inner, num == 6, 1)
	case a.v.Kind == record.String:
		d.members = spans.AppendTextMember(d.members, key, a.text)
	default:
		d.members = spans.AppendMember(d.members, key, a.v)
	}
	return err
}
