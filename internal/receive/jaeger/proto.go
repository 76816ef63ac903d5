package jaeger

import (
	"math"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/pb"
	"github.com/meshtrail/meshtrail/internal/record"
)

// The protobuf form (jaeger-idl, proto/api_v2/collector.proto and model.proto).

// decodeProto fills set with the spans of PostSpansRequest { Batch batch = 1 },
// whose bytes they alias.
func decodeProto(b []byte, set *receive.Set, lim receive.Limits) error {
	d := newDecoder(set, lim)
	defer d.release()
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		if b = rest; f.Tag == 1<<3|pb.Length {
			if err := d.protoBatch(f.V); err != nil {
				return err
			}
		}
	}
	return nil
}

// protoBatch reads Batch { repeated Span spans = 1; Process process = 2 }.
func (d *decoder) protoBatch(b []byte) error {
	common, err := last(b, 2)
	if err != nil {
		return err
	}
	if err := d.protoProcess(common); err != nil {
		return err
	}
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
		own, err := d.protoSpan(f.V)
		if err == nil && len(own) > 0 { // the span has a process of its own
			err = d.protoProcess(own)
		}
		if err != nil {
			d.set.Undo()
			d.set.Reject("malformed_span", err.Error(), 1)
			continue
		}
		if d.end(); len(own) > 0 {
			if err := d.protoProcess(common); err != nil {
				return err
			}
		}
	}
	return nil
}

// last returns the last message of a number, nil if there is none.
func last(b []byte, num int) (v []byte, err error) {
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return nil, err
		}
		if b = rest; f.Tag == num<<3|pb.Length {
			v = f.V
		}
	}
	return v, nil
}

// protoProcess reads Process { string service_name = 1; repeated KeyValue tags = 2 }.
func (d *decoder) protoProcess(b []byte) error {
	d.set.Open()
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		switch b = rest; f.Tag {
		case 1<<3 | pb.Length:
			d.service(f.V)
		case 2<<3 | pb.Length:
			var g tag
			if err := protoTag(f.V, &g); err != nil {
				return err
			}
			d.process(&g)
		}
	}
	d.span.SetResource(d.set.Close())
	return nil
}

// protoSpan reads Span { bytes trace_id = 1; bytes span_id = 2; string
// operation_name = 3; repeated SpanRef references = 4; uint32 flags = 5; Timestamp
// start_time = 6; Duration duration = 7; repeated KeyValue tags = 8; repeated Log
// logs = 9; Process process = 10 }, and returns the process.
func (d *decoder) protoSpan(b []byte) (process []byte, err error) {
	s := d.span
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return nil, err
		}
		b = rest
		switch f.Tag {
		case 1<<3 | pb.Length:
			err = id(s.TraceID[:], f.V)
		case 2<<3 | pb.Length:
			err = id(s.SpanID[:], f.V)
		case 3<<3 | pb.Length:
			s.Name = f.V
		case 4<<3 | pb.Length:
			err = d.protoRef(f.V)
		case 5<<3 | pb.Varint:
			s.Flags = uint32(f.N)
		case 6<<3 | pb.Length:
			s.Start, err = stamp(f.V)
		case 7<<3 | pb.Length:
			s.Duration, err = stamp(f.V)
		case 8<<3 | pb.Length:
			var g tag
			if err = protoTag(f.V, &g); err == nil {
				d.tag(&g)
			}
		case 9<<3 | pb.Length:
			err = d.protoLog(f.V)
		case 10<<3 | pb.Length:
			process = f.V
		}
		if err != nil {
			return nil, err
		}
	}
	s.HasFlags = true
	return process, nil
}

// id reads an id of 16 or 8 bytes; a trace id of 8 has lost its zeros.
func id(dst, v []byte) error {
	if len(v) > len(dst) {
		return fault.Errorf(fault.Invalid, "an id of %d bytes", len(v))
	}
	copy(dst[len(dst)-len(v):], v)
	return nil
}

// stamp reads Timestamp or Duration { int64 seconds = 1; int32 nanos = 2 } as ns. A
// negative one is zero.
func stamp(b []byte) (uint64, error) {
	var seconds, nanos int64
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return 0, err
		}
		switch b = rest; f.Tag {
		case 1<<3 | pb.Varint:
			seconds = int64(f.N)
		case 2<<3 | pb.Varint:
			nanos = int64(int32(f.N))
		}
	}
	if seconds < 0 || nanos < 0 || seconds > math.MaxInt64/1_000_000_000-1 || nanos >= 1_000_000_000 {
		return 0, nil
	}
	return uint64(seconds)*1_000_000_000 + uint64(nanos), nil
}

// protoRef reads SpanRef { bytes trace_id = 1; bytes span_id = 2; SpanRefType
// ref_type = 3 (CHILD_OF, FOLLOWS_FROM) }.
func (d *decoder) protoRef(b []byte) error {
	var ref reference
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		switch b = rest; f.Tag {
		case 1<<3 | pb.Length:
			err = id(ref.trace[:], f.V)
		case 2<<3 | pb.Length:
			err = id(ref.span[:], f.V)
		case 3<<3 | pb.Varint:
			ref.follows = f.N == 1
		}
		if err != nil {
			return err
		}
	}
	d.refs = append(d.refs, ref)
	return nil
}

// protoLog reads Log { Timestamp timestamp = 1; repeated KeyValue fields = 2 }.
func (d *decoder) protoLog(b []byte) error {
	var at uint64
	d.log()
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		switch b = rest; f.Tag {
		case 1<<3 | pb.Length:
			at, err = stamp(f.V)
		case 2<<3 | pb.Length:
			var g tag
			if err = protoTag(f.V, &g); err == nil {
				d.field(&g)
			}
		}
		if err != nil {
			return err
		}
	}
	d.logged(at)
	return nil
}

// protoTag reads KeyValue { string key = 1; ValueType v_type = 2 (STRING, BOOL,
// INT64, FLOAT64, BINARY); string v_str = 3; bool v_bool = 4; int64 v_int64 = 5;
// double v_float64 = 6; bytes v_binary = 7 }.
func protoTag(b []byte, g *tag) error {
	var (
		kind         uint64
		text, packed []byte
		truth        bool
		whole        int64
		real         float64
	)
	for len(b) > 0 {
		f, rest, err := pb.Next(b)
		if err != nil {
			return err
		}
		switch b = rest; f.Tag {
		case 1<<3 | pb.Length:
			g.key = f.V
		case 2<<3 | pb.Varint:
			kind = f.N
		case 3<<3 | pb.Length:
			text = f.V
		case 4<<3 | pb.Varint:
			truth = f.N != 0
		case 5<<3 | pb.Varint:
			whole = int64(f.N)
		case 6<<3 | pb.Fixed64:
			real = math.Float64frombits(f.N)
		case 7<<3 | pb.Length:
			packed = f.V
		}
	}
	kinds := [...]record.Kind{record.String, record.Bool, record.Int, record.Float, record.String}
	if kind >= uint64(len(kinds)) {
		return fault.Errorf(fault.Invalid, "a tag of the unknown type %d", kind)
	}
	if g.text = text; kind == 4 {
		g.text, g.binary = packed, true
	}
	g.value(kinds[kind], truth, whole, real)
	return nil
}
