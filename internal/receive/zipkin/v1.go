package zipkin

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"

	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/receive/spans"
	readthrift "github.com/meshtrail/meshtrail/internal/receive/thrift"
)

// A spanV1 is a span of version 1: what happened is annotations, each with the
// host that it happened at, and the kind of the span follows from their names.
type spanV1 struct {
	trace               [16]byte
	id, parent          [8]byte
	name                []byte
	timestamp, duration uint64 // µs
	debug               bool
	annotations         []annotation
	binary              []binaryAnnotation
}

type annotation struct {
	at    uint64
	value []byte
	host  endpoint
}

type binaryAnnotation struct {
	key, value []byte
	address    bool // "sa", "ca", "ma": the host is the other side
	host       endpoint
}

func (v *spanV1) reset() {
	*v = spanV1{annotations: v.annotations[:0], binary: v.binary[:0]}
}

// A half is one side's view of a span of version 1.
type half struct {
	kind       spans.Kind
	host       endpoint
	start, end uint64
}

// halves returns what the annotations say: the client's or the producer's side
// first, then the server's or the consumer's.
func (v *spanV1) halves(out *[2]half) []half {
	n := 0
	side := func(kind spans.Kind, begin, finish string) {
		h := half{kind: kind}
		found := false
		for i := range v.annotations {
			a := &v.annotations[i]
			switch string(a.value) {
			case begin:
				h.start = a.at
			case finish:
				h.end = a.at
			default:
				continue
			}
			if found = true; len(h.host.service) == 0 {
				h.host = a.host
			}
		}
		if found && n < len(out) {
			out[n] = h
			n++
		}
	}
	side(spans.Client, "cs", "cr")
	side(spans.Producer, "ms", "ms")
	side(spans.Server, "sr", "ss")
	side(spans.Consumer, "mr", "mr")
	if n == 0 {
		out[0] = half{host: v.someHost()}
		n = 1
	}
	return out[:n]
}

// someHost returns the host of a span without a kind.
func (v *spanV1) someHost() (e endpoint) {
	for i := range v.annotations {
		if h := v.annotations[i].host; len(h.service) > 0 {
			return h
		}
	}
	for i := range v.binary {
		if h := v.binary[i].host; len(h.service) > 0 && !v.binary[i].address {
			return h
		}
	}
	return e
}

func core(value []byte) bool {
	switch string(value) {
	case "cs", "cr", "sr", "ss", "ms", "mr":
		return true
	}
	return false
}

// endV1 appends the one or two spans that d.v1 is.
func (d *decoder) endV1() {
	if d.bad != nil {
		d.end()
		return
	}
	v := &d.v1
	var both [2]half
	halves := v.halves(&both)
	for i := range halves {
		d.clear()
		h, s := &halves[i], d.span
		s.TraceID, s.SpanID, s.ParentID = v.trace, v.id, v.parent
		s.Name, s.Kind, d.local, d.debug = v.name, h.kind, h.host, v.debug
		if i == 0 { // who began the span owns its time
			d.timestamp, d.duration = v.timestamp, v.duration
		}
		if d.timestamp == 0 {
			d.timestamp = h.start
		}
		if d.duration == 0 && h.end > h.start && h.start > 0 {
			d.duration = h.end - h.start
		}
		s.Shared = h.kind == spans.Server && (i == 1 || v.timestamp == 0)
		d.annotationsOf(halves, i)
		d.end()
	}
}

// annotationsOf adds what belongs to one half: what its host reported, and, to
// the first, what neither did.
func (d *decoder) annotationsOf(halves []half, i int) {
	ours := func(host *endpoint) bool {
		for k := range halves {
			if bytes.Equal(host.service, halves[k].host.service) {
				return k == i
			}
		}
		return i == 0
	}
	for j := range d.v1.annotations {
		if a := &d.v1.annotations[j]; !core(a.value) && ours(&a.host) {
			d.annotation(a.at, a.value)
		}
	}
	for j := range d.v1.binary {
		switch b := &d.v1.binary[j]; {
		case !b.address && ours(&b.host):
			d.tag(b.key, b.value)
		case b.address && otherSide(b.key, &d.span.Kind):
			d.remote = b.host
		}
	}
}

// otherSide reports whether an address annotation names the other side of a span
// of this kind. One without a kind gets it.
func otherSide(key []byte, kind *spans.Kind) bool {
	switch string(key) {
	case "sa":
		if *kind == spans.Unset {
			*kind = spans.Client
		}
		return *kind == spans.Client
	case "ca":
		if *kind == spans.Unset {
			*kind = spans.Server
		}
		return *kind == spans.Server
	}
	return *kind == spans.Producer || *kind == spans.Consumer
}

func (d *decoder) jsonV1(b []byte) error {
	return d.list(b, func(j *jsontext.Reader) {
		d.v1.reset()
		d.jsonSpanV1(j)
	}, d.endV1)
}

func (d *decoder) jsonSpanV1(j *jsontext.Reader) {
	v := &d.v1
	j.Object(func(key []byte) {
		switch string(key) {
		case "traceId":
			d.id(v.trace[:], j.String())
		case "id":
			d.id(v.id[:], j.String())
		case "parentId":
			d.id(v.parent[:], j.String())
		case "name":
			v.name = j.String()
		case "timestamp":
			v.timestamp = micros(j)
		case "duration":
			v.duration = micros(j)
		case "debug":
			v.debug = string(j.Scalar()) == "true"
		case "annotations":
			j.Array(func() {
				var a annotation
				a.at, a.value = jsonAnnotation(j, &a.host)
				v.annotations = append(v.annotations, a)
			})
		case "binaryAnnotations":
			j.Array(func() { d.jsonBinary(j) })
		default:
			j.Raw()
		}
	})
}

func (d *decoder) jsonBinary(j *jsontext.Reader) {
	var b binaryAnnotation
	truth := false
	j.Object(func(key []byte) {
		switch string(key) {
		case "key":
			b.key = j.String()
		case "value":
			c := j.Peek()
			truth = c == 't' || c == 'f'
			b.value = j.Text()
		case "endpoint":
			jsonEndpoint(j, &b.host)
		default:
			j.Raw()
		}
	})
	d.binary(b, truth)
}

// binary keeps a binary annotation; truth says that its value is a truth value.
func (d *decoder) binary(b binaryAnnotation, truth bool) {
	switch string(b.key) {
	case "sa", "ca", "ma":
		b.address = truth
	}
	d.v1.binary = append(d.v1.binary, b)
}

// thrift reads a list of spans in the binary protocol (zipkinCore.thrift).
func (d *decoder) thrift(b []byte) error {
	r := readthrift.Binary(b)
	var failed error
	r.Elems(readthrift.Struct, func() {
		if failed != nil {
			r.Skip(readthrift.Struct)
			return
		}
		if failed = d.begin(); failed != nil {
			return
		}
		d.v1.reset()
		if d.thriftSpan(&r); r.Err() == nil {
			d.endV1()
		}
	})
	if failed != nil {
		return failed
	}
	return r.Err()
}

// thriftSpan reads Span { 1: i64 trace_id, 3: string name, 4: i64 id, 5: i64
// parent_id, 6: list<Annotation>, 8: list<BinaryAnnotation>, 9: bool debug, 10: i64
// timestamp, 11: i64 duration, 12: i64 trace_id_high }.
func (d *decoder) thriftSpan(r *readthrift.Reader) {
	v := &d.v1
	r.Fields(func(id int16, t readthrift.Type) {
		switch {
		case id == 1 && t == readthrift.I64:
			binary.BigEndian.PutUint64(v.trace[8:], uint64(r.I64()))
		case id == 12 && t == readthrift.I64:
			binary.BigEndian.PutUint64(v.trace[:], uint64(r.I64()))
		case id == 3 && t == readthrift.String:
			v.name = r.Bytes()
		case id == 4 && t == readthrift.I64:
			binary.BigEndian.PutUint64(v.id[:], uint64(r.I64()))
		case id == 5 && t == readthrift.I64:
			binary.BigEndian.PutUint64(v.parent[:], uint64(r.I64()))
		case id == 6 && t == readthrift.List:
			r.Elems(readthrift.Struct, func() { d.thriftAnnotation(r) })
		case id == 8 && t == readthrift.List:
			r.Elems(readthrift.Struct, func() { d.thriftBinary(r) })
		case id == 9 && t == readthrift.Bool:
			v.debug = r.Bool()
		case id == 10 && t == readthrift.I64:
			v.timestamp = uint64(max(r.I64(), 0))
		case id == 11 && t == readthrift.I64:
			v.duration = uint64(max(r.I64(), 0))
		default:
			r.Skip(t)
		}
	})
}

// thriftAnnotation reads Annotation { 1: i64 timestamp, 2: string value, 3: Endpoint host }.
func (d *decoder) thriftAnnotation(r *readthrift.Reader) {
	var a annotation
	r.Fields(func(id int16, t readthrift.Type) {
		switch {
		case id == 1 && t == readthrift.I64:
			a.at = uint64(max(r.I64(), 0))
		case id == 2 && t == readthrift.String:
			a.value = r.Bytes()
		case id == 3 && t == readthrift.Struct:
			d.thriftEndpoint(r, &a.host)
		default:
			r.Skip(t)
		}
	})
	d.v1.annotations = append(d.v1.annotations, a)
}

// thriftBinary reads BinaryAnnotation { 1: string key, 2: binary value, 3:
// AnnotationType annotation_type, 4: Endpoint host }.
func (d *decoder) thriftBinary(r *readthrift.Reader) {
	var b binaryAnnotation
	var raw []byte
	kind := int32(6)
	r.Fields(func(id int16, t readthrift.Type) {
		switch {
		case id == 1 && t == readthrift.String:
			b.key = r.Bytes()
		case id == 2 && t == readthrift.String:
			raw = r.Bytes()
		case id == 3 && t == readthrift.I32:
			kind = r.I32()
		case id == 4 && t == readthrift.Struct:
			d.thriftEndpoint(r, &b.host)
		default:
			r.Skip(t)
		}
	})
	b.value = d.thriftValue(kind, raw)
	d.binary(b, kind == 0)
}

// thriftValue reads a value of AnnotationType { BOOL, BYTES, I16, I32, I64, DOUBLE,
// STRING } as text, in the form in which Zipkin shows it.
func (d *decoder) thriftValue(kind int32, raw []byte) []byte {
	switch {
	case kind == 0 && len(raw) == 1:
		return d.set.Keep(strconv.AppendBool(d.set.Text(8), raw[0] == 1))
	case kind == 2 && len(raw) == 2:
		return d.numberText(int64(int16(binary.BigEndian.Uint16(raw))))
	case kind == 3 && len(raw) == 4:
		return d.numberText(int64(int32(binary.BigEndian.Uint32(raw))))
	case kind == 4 && len(raw) == 8:
		return d.numberText(int64(binary.BigEndian.Uint64(raw)))
	case kind == 5 && len(raw) == 8:
		return d.set.Keep(strconv.AppendFloat(d.set.Text(32), math.Float64frombits(binary.BigEndian.Uint64(raw)), 'g', -1, 64))
	}
	return raw
}

// thriftEndpoint reads Endpoint { 1: i32 ipv4, 2: i16 port, 3: string service_name,
// 4: binary ipv6 }.
func (d *decoder) thriftEndpoint(r *readthrift.Reader, e *endpoint) {
	r.Fields(func(id int16, t readthrift.Type) {
		switch {
		case id == 1 && t == readthrift.I32:
			var packed [4]byte
			binary.BigEndian.PutUint32(packed[:], uint32(r.I32()))
			if packed != [4]byte{} {
				e.ipv4 = d.addressText(packed[:])
			}
		case id == 2 && t == readthrift.I16:
			e.port = uint64(uint16(r.I16()))
		case id == 3 && t == readthrift.String:
			e.service = r.Bytes()
		case id == 4 && t == readthrift.String:
			e.ipv6 = d.addressText(r.Bytes())
		default:
			r.Skip(t)
		}
	})
}
