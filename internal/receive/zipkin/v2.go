package zipkin

import (
	"strconv"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/receive/pb"
	"github.com/meshtrail/meshtrail/internal/receive/spans"
)

// maxSpanText bounds the text of one span; the pipeline refuses records of more
// than 1 MiB, this only bounds the work before it does.
const maxSpanText = 8 << 20

// list reads a JSON array of spans: one by each call of read, whose reader stands
// before it, and of end. A bad span spoils no other.
func (d *decoder) list(b []byte, read func(j *jsontext.Reader), end func()) error {
	j := jsontext.NewReader(b, d.lim.Depth, d.set)
	var failed error
	j.Array(func() {
		if failed != nil {
			j.Raw()
			return
		}
		if failed = d.begin(); failed != nil {
			return
		}
		start := j.Pos()
		at := &d.each
		*at = j.At(start)
		if read(at); at.Err() == nil {
			j.Past(at)
		} else if d.bad = at.Err(); j.Raw() == nil { // the list ends here, and says so
			return
		}
		if size := j.Pos() - start; size > maxSpanText && d.bad == nil {
			d.bad = fault.Errorf(fault.Invalid, "a span has %d bytes", size)
		}
		if d.bad != nil {
			d.end() // rejects it
			return
		}
		end()
	})
	if j.End(); failed != nil {
		return failed
	}
	return j.Err()
}

func (d *decoder) jsonV2(b []byte) error {
	return d.list(b, d.jsonSpan, d.end)
}

func (d *decoder) jsonSpan(j *jsontext.Reader) {
	s := d.span
	j.Object(func(key []byte) {
		switch string(key) {
		case "traceId":
			d.id(s.TraceID[:], j.String())
		case "id":
			d.id(s.SpanID[:], j.String())
		case "parentId":
			d.id(s.ParentID[:], j.String())
		case "kind":
			s.Kind = spans.ParseKind(j.String())
		case "name":
			s.Name = j.String()
		case "timestamp":
			d.timestamp = micros(j)
		case "duration":
			d.duration = micros(j)
		case "debug":
			d.debug = string(j.Scalar()) == "true"
		case "shared":
			s.Shared = string(j.Scalar()) == "true"
		case "localEndpoint":
			jsonEndpoint(j, &d.local)
		case "remoteEndpoint":
			jsonEndpoint(j, &d.remote)
		case "annotations":
			j.Array(func() {
				at, value := jsonAnnotation(j, nil)
				d.annotation(at, value)
			})
		case "tags":
			j.Object(func(key []byte) { d.tag(key, j.Text()) })
		default:
			j.Raw()
		}
	})
}

// micros reads a time in µs. Some reporters write a fraction, or text.
func micros(j *jsontext.Reader) uint64 {
	text := receive.Str(j.Text())
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return n
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && f >= 0 && f < 1e18 {
		return uint64(f)
	}
	j.Fail("expected a number of microseconds")
	return 0
}

func jsonEndpoint(j *jsontext.Reader, e *endpoint) {
	*e = endpoint{}
	j.Object(func(key []byte) {
		switch string(key) {
		case "serviceName":
			e.service = j.String()
		case "ipv4":
			e.ipv4 = j.String()
		case "ipv6":
			e.ipv6 = j.String()
		case "port":
			e.port, _ = strconv.ParseUint(receive.Str(j.Text()), 10, 16)
		default:
			j.Raw()
		}
	})
}

// jsonAnnotation reads an annotation, of version 1 with its host.
func jsonAnnotation(j *jsontext.Reader, host *endpoint) (at uint64, value []byte) {
	j.Object(func(key []byte) {
		switch {
		case string(key) == "timestamp":
			at = micros(j)
		case string(key) == "value":
			value = j.Text()
		case string(key) == "endpoint" && host != nil:
			jsonEndpoint(j, host)
		default:
			j.Raw()
		}
	})
	return at, value
}

// proto reads ListOfSpans { repeated Span spans = 1 } (zipkin.proto).
func (d *decoder) proto(b []byte) error {
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		if b = rest; f.Tag != 1<<3|pb.Length {
			continue
		}
		if err := d.begin(); err != nil {
			return err
		}
		if err := d.protoSpan(f.V); err != nil {
			d.bad = err
		}
		d.end()
	}
	return nil
}

// protoSpan reads Span { bytes trace_id = 1; bytes parent_id = 2; bytes id = 3;
// Kind kind = 4; string name = 5; fixed64 timestamp = 6; uint64 duration = 7;
// Endpoint local_endpoint = 8; Endpoint remote_endpoint = 9; repeated Annotation
// annotations = 10; map<string, string> tags = 11; bool debug = 12; bool shared = 13 }.
func (d *decoder) protoSpan(b []byte) error {
	s := d.span
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		b = rest
		switch f.Tag {
		case 1<<3 | pb.Length:
			d.packedID(s.TraceID[:], f.V)
		case 2<<3 | pb.Length:
			d.packedID(s.ParentID[:], f.V)
		case 3<<3 | pb.Length:
			d.packedID(s.SpanID[:], f.V)
		case 4<<3 | pb.Varint:
			s.Kind = protoKind(f.N)
		case 5<<3 | pb.Length:
			s.Name = f.V
		case 6<<3 | pb.Fixed64:
			d.timestamp = f.N
		case 7<<3 | pb.Varint:
			d.duration = f.N
		case 8<<3 | pb.Length:
			d.local, err = d.protoEndpoint(f.V)
		case 9<<3 | pb.Length:
			d.remote, err = d.protoEndpoint(f.V)
		case 10<<3 | pb.Length:
			err = d.protoAnnotation(f.V)
		case 11<<3 | pb.Length:
			err = d.protoTag(f.V)
		case 12<<3 | pb.Varint:
			d.debug = f.N != 0
		case 13<<3 | pb.Varint:
			s.Shared = f.N != 0
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// packedID reads an id of 8 or 16 bytes: one that is shorter lost its zeros.
func (d *decoder) packedID(dst, v []byte) {
	if len(v) > len(dst) {
		d.bad = errID
		return
	}
	copy(dst[len(dst)-len(v):], v)
}

// protoKind reads Kind { UNSPECIFIED = 0; CLIENT = 1; SERVER = 2; PRODUCER = 3;
// CONSUMER = 4 }.
func protoKind(n uint64) spans.Kind {
	kinds := [...]spans.Kind{spans.Unset, spans.Client, spans.Server, spans.Producer, spans.Consumer}
	if n < uint64(len(kinds)) {
		return kinds[n]
	}
	return spans.Unset
}

// protoEndpoint reads Endpoint { string service_name = 1; bytes ipv4 = 2; bytes
// ipv6 = 3; int32 port = 4 }.
func (d *decoder) protoEndpoint(b []byte) (e endpoint, err error) {
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return e, err
		}
		switch b = rest; f.Tag {
		case 1<<3 | pb.Length:
			e.service = f.V
		case 2<<3 | pb.Length:
			e.ipv4 = d.addressText(f.V)
		case 3<<3 | pb.Length:
			e.ipv6 = d.addressText(f.V)
		case 4<<3 | pb.Varint:
			e.port = f.N
		}
	}
	return e, nil
}

// protoAnnotation reads Annotation { fixed64 timestamp = 1; string value = 2 }.
func (d *decoder) protoAnnotation(b []byte) error {
	var at uint64
	var value []byte
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		switch b = rest; f.Tag {
		case 1<<3 | pb.Fixed64:
			at = f.N
		case 2<<3 | pb.Length:
			value = f.V
		}
	}
	d.annotation(at, value)
	return nil
}

// protoTag reads an entry of a map<string, string>.
func (d *decoder) protoTag(b []byte) error {
	if key, value, ok := pb.Pair(b); ok {
		d.tag(key, value)
		return nil
	}
	var key, value []byte
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		switch b = rest; f.Tag {
		case 1<<3 | pb.Length:
			key = f.V
		case 2<<3 | pb.Length:
			value = f.V
		}
	}
	d.tag(key, value)
	return nil
}
