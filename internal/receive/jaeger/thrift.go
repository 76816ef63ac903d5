package jaeger

import (
	"encoding/base64"
	"encoding/binary"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/thrift"
	"github.com/meshtrail/meshtrail/internal/record"
)

// The Thrift form (jaeger-idl, thrift/jaeger.thrift and agent.thrift).

// decodeThrift fills set with the spans of a Batch, whose bytes they alias.
func decodeThrift(r *thrift.Reader, set *receive.Set, lim receive.Limits) error {
	d := newDecoder(set, lim)
	defer d.release()
	return d.batch(r)
}

// decodeDatagram reads one call emitBatch(1: Batch batch).
func decodeDatagram(b []byte, compact bool, set *receive.Set, lim receive.Limits) error {
	r := thrift.Binary(b)
	if compact {
		r = thrift.Compact(b)
	}
	method := r.Message()
	if err := r.Err(); err != nil {
		return err
	}
	if string(method) != "emitBatch" {
		return fault.Errorf(fault.Invalid, "call of %.40q, not of emitBatch", method)
	}
	var failed error
	r.Fields(func(id int16, t thrift.Type) {
		if id == 1 && t == thrift.Struct {
			failed = decodeThrift(&r, set, lim)
		} else {
			r.Skip(t)
		}
	})
	if failed != nil {
		return failed
	}
	return r.Err()
}

// batch reads Batch { 1: Process process, 2: list<Span> spans }, the process first
// wherever it stands.
func (d *decoder) batch(r *thrift.Reader) error {
	var failed error
	known, held := false, -1
	r.Fields(func(id int16, t thrift.Type) {
		switch {
		case id == 1 && t == thrift.Struct:
			d.thriftProcess(r)
			known = true
		case id == 2 && t == thrift.List && known:
			failed = d.thriftSpans(r)
		case id == 2 && t == thrift.List:
			held = r.Pos()
			r.Skip(t)
		default:
			r.Skip(t)
		}
	})
	if r.Err() == nil && failed == nil && held >= 0 {
		in := r.At(held)
		failed = d.thriftSpans(&in)
		r.Adopt(in.Err())
	}
	if failed != nil {
		return failed
	}
	return r.Err()
}

// thriftProcess reads Process { 1: string serviceName, 2: list<Tag> tags }.
func (d *decoder) thriftProcess(r *thrift.Reader) {
	d.set.Open()
	r.Fields(func(id int16, t thrift.Type) {
		switch {
		case id == 1 && t == thrift.String:
			d.service(r.Bytes())
		case id == 2 && t == thrift.List:
			r.Elems(thrift.Struct, func() {
				var g tag
				thriftTag(r, &g)
				d.process(&g)
			})
		default:
			r.Skip(t)
		}
	})
	d.span.SetResource(d.set.Close())
}

func (d *decoder) thriftSpans(r *thrift.Reader) error {
	var failed error
	r.Elems(thrift.Struct, func() {
		if failed != nil {
			r.Skip(thrift.Struct)
			return
		}
		if failed = d.begin(); failed != nil {
			return
		}
		if d.thriftSpan(r); r.Err() == nil {
			d.end()
		}
	})
	return failed
}

// thriftSpan reads Span { 1: i64 traceIdLow, 2: i64 traceIdHigh, 3: i64 spanId, 4:
// i64 parentSpanId, 5: string operationName, 6: list<SpanRef> references, 7: i32
// flags, 8: i64 startTime, 9: i64 duration, 10: list<Tag> tags, 11: list<Log> logs }.
// Times are in µs.
func (d *decoder) thriftSpan(r *thrift.Reader) {
	s := d.span
	r.Fields(func(id int16, t thrift.Type) {
		switch {
		case id == 1 && t == thrift.I64:
			put(s.TraceID[8:], r.I64())
		case id == 2 && t == thrift.I64:
			put(s.TraceID[:8], r.I64())
		case id == 3 && t == thrift.I64:
			put(s.SpanID[:], r.I64())
		case id == 4 && t == thrift.I64:
			put(s.ParentID[:], r.I64())
		case id == 5 && t == thrift.String:
			s.Name = r.Bytes()
		case id == 6 && t == thrift.List:
			r.Elems(thrift.Struct, func() { d.thriftRef(r) })
		case id == 7 && t == thrift.I32:
			s.Flags, s.HasFlags = uint32(r.I32()), true
		case id == 8 && t == thrift.I64:
			s.Start = micros(r.I64())
		case id == 9 && t == thrift.I64:
			s.Duration = micros(r.I64())
		case id == 10 && t == thrift.List:
			r.Elems(thrift.Struct, func() {
				var g tag
				thriftTag(r, &g)
				d.tag(&g)
			})
		case id == 11 && t == thrift.List:
			r.Elems(thrift.Struct, func() { d.thriftLog(r) })
		default:
			r.Skip(t)
		}
	})
}

func put(dst []byte, n int64) { binary.BigEndian.PutUint64(dst, uint64(n)) }

// thriftRef reads SpanRef { 1: SpanRefType refType (CHILD_OF, FOLLOWS_FROM), 2: i64
// traceIdLow, 3: i64 traceIdHigh, 4: i64 spanId }.
func (d *decoder) thriftRef(r *thrift.Reader) {
	var ref reference
	r.Fields(func(id int16, t thrift.Type) {
		switch {
		case id == 1 && t == thrift.I32:
			ref.follows = r.I32() == 1
		case id == 2 && t == thrift.I64:
			put(ref.trace[8:], r.I64())
		case id == 3 && t == thrift.I64:
			put(ref.trace[:8], r.I64())
		case id == 4 && t == thrift.I64:
			put(ref.span[:], r.I64())
		default:
			r.Skip(t)
		}
	})
	d.refs = append(d.refs, ref)
}

// thriftLog reads Log { 1: i64 timestamp, 2: list<Tag> fields }.
func (d *decoder) thriftLog(r *thrift.Reader) {
	var at uint64
	d.log()
	r.Fields(func(id int16, t thrift.Type) {
		switch {
		case id == 1 && t == thrift.I64:
			at = micros(r.I64())
		case id == 2 && t == thrift.List:
			r.Elems(thrift.Struct, func() {
				var g tag
				thriftTag(r, &g)
				d.field(&g)
			})
		default:
			r.Skip(t)
		}
	})
	d.logged(at)
}

// usualTag reads a tag that is a text or an integer, written as clients write it:
// key, type, value, and nothing else. Of any other it reads nothing.
func usualTag(r *thrift.Reader, g *tag) bool {
	start := r.Pos()
	if !r.Head(thrift.String, 1) {
		return false
	}
	key := r.Bytes()
	if r.Head(thrift.I32, 2) {
		switch kind := r.I32(); {
		case kind == 0 && r.Head(thrift.String, 3):
			if text := r.Bytes(); r.Head(thrift.Stop, 0) {
				g.key, g.text = key, text
				g.value(record.String, false, 0, 0)
				return true
			}
		case kind == 3 && r.Head(thrift.I64, 6):
			if n := r.I64(); r.Head(thrift.Stop, 0) {
				g.key, g.text = key, nil
				g.value(record.Int, false, n, 0)
				return true
			}
		}
	}
	r.Back(start)
	return false
}

// thriftTag reads Tag { 1: string key, 2: TagType vType (STRING, DOUBLE, BOOL, LONG,
// BINARY), 3: string vStr, 4: double vDouble, 5: bool vBool, 6: i64 vLong, 7: binary
// vBinary }.
func thriftTag(r *thrift.Reader, g *tag) {
	if usualTag(r, g) {
		return
	}
	var (
		kind         int32
		text, packed []byte
		truth        bool
		whole        int64
		real         float64
	)
	r.Fields(func(id int16, t thrift.Type) {
		switch {
		case id == 1 && t == thrift.String:
			g.key = r.Bytes()
		case id == 2 && t == thrift.I32:
			kind = r.I32()
		case id == 3 && t == thrift.String:
			text = r.Bytes()
		case id == 4 && t == thrift.Double:
			real = r.Double()
		case id == 5 && t == thrift.Bool:
			truth = r.Bool()
		case id == 6 && t == thrift.I64:
			whole = r.I64()
		case id == 7 && t == thrift.String:
			packed = r.Bytes()
		default:
			r.Skip(t)
		}
	})
	kinds := [...]record.Kind{record.String, record.Float, record.Bool, record.Int, record.String}
	if g.text = text; kind == 4 {
		g.text, g.binary = packed, true
	}
	if kind < 0 || int(kind) >= len(kinds) {
		r.Fail("a tag of an unknown type")
		return
	}
	g.value(kinds[kind], truth, whole, real)
}

func appendBase64(set *receive.Set, v []byte) []byte {
	return set.Keep(base64.StdEncoding.AppendEncode(set.Text(base64.StdEncoding.EncodedLen(len(v))), v))
}
