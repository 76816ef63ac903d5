package jaeger

import (
	"math"
	"strconv"
	"sync"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/spans"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// A tag is a key and a typed value: text and bytes alias the body.
type tag struct {
	key    []byte
	text   []byte
	v      record.Value // Kind String: see text
	binary bool         // text is bytes
}

// A reference is one of a span's to another span.
type reference struct {
	trace   [16]byte
	span    [8]byte
	follows bool // FOLLOWS_FROM, else CHILD_OF
}

// A decoder turns one batch into spans.
type decoder struct {
	set     *receive.Set
	lim     receive.Limits
	span    *spans.Span
	refs    []reference
	members []byte // of the log being read
	event   []byte // its field "event"
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

func newDecoder(set *receive.Set, lim receive.Limits) *decoder {
	d := decoders.Get().(*decoder)
	d.set, d.lim, d.span = set, lim, spans.New(set)
	return d
}

func (d *decoder) release() {
	d.span.Release()
	keep := decoder{}
	if cap(d.refs) <= 1<<10 && cap(d.members) <= 1<<20 {
		keep.refs, keep.members = d.refs[:0], d.members[:0]
	}
	*d = keep
	decoders.Put(d)
}

// begin makes ready for the next span.
func (d *decoder) begin() error {
	if len(d.set.Raws) >= d.lim.Items || d.set.Full() {
		return fault.Errorf(fault.TooLarge, "batch has more than %d spans, or too many tags", d.lim.Items)
	}
	d.span.Reset()
	d.refs = d.refs[:0]
	return nil
}

// end appends the span.
func (d *decoder) end() {
	s := d.span
	for _, follows := range []bool{false, true} { // what a span only follows is its parent when it has no other
		for i := range d.refs {
			if ref := &d.refs[i]; ref.follows == follows && ref.trace == s.TraceID && s.ParentID == [8]byte{} {
				s.ParentID = ref.span
			}
		}
	}
	for i := range d.refs {
		ref := &d.refs[i]
		if !ref.follows && ref.trace == s.TraceID && s.ParentID == ref.span {
			continue
		}
		kind := "child_of"
		if ref.follows {
			kind = "follows_from"
		}
		d.members = spans.AppendMember(d.members[:0], refType, record.StringValue(kind))
		s.Link(ref.trace, ref.span, nil, d.members)
	}
	s.Append()
}

var refType = []byte("opentracing.ref_type")

// tag adds a tag of the span. Those that say what a span has fields for are not
// attributes.
func (d *decoder) tag(t *tag) {
	s := d.span
	switch string(t.key) {
	case "span.kind":
		if k := spans.ParseKind(t.text); k != spans.Unset {
			s.Kind = k
			return
		}
	case "error":
		if t.v.Kind == record.Bool && t.v.Int != 0 || t.v.Kind == record.String && !t.binary && string(t.text) == "true" {
			s.Status = spans.Error
			return
		}
	case "otel.status_code":
		switch string(t.text) {
		case "ERROR":
			s.Status = spans.Error
			return
		case "OK":
			s.Status = spans.OK
			return
		}
	case "otel.status_description":
		if t.v.Kind == record.String && !t.binary {
			s.Message = t.text
			return
		}
	case "w3c.tracestate":
		if t.v.Kind == record.String && !t.binary {
			s.State = t.text
			return
		}
	}
	switch {
	case s.Attrs() > spans.MaxFields: // Append refuses it
	case t.binary:
		s.Bytes(t.key, t.text)
	case t.v.Kind == record.String:
		s.Text(t.key, t.text)
	default:
		s.Attr(t.key, t.v)
	}
}

// field adds a field of a log to the event being read.
func (d *decoder) field(t *tag) {
	switch {
	case string(t.key) == "event" && t.v.Kind == record.String && !t.binary && len(d.event) == 0:
		d.event = t.text
	case len(t.key) == 0:
	case t.binary:
		d.members = spans.AppendBytesMember(d.members, t.key, t.text)
	case t.v.Kind == record.String:
		d.members = spans.AppendTextMember(d.members, t.key, t.text)
	default:
		d.members = spans.AppendMember(d.members, t.key, t.v)
	}
}

// log begins an event.
func (d *decoder) log() { d.members, d.event = d.members[:0], nil }

// logged ends it. Its time is in ns.
func (d *decoder) logged(at uint64) { d.span.Event(at, d.event, d.members) }

// process adds a tag of the process to the resource that is open in the set.
func (d *decoder) process(t *tag) {
	switch {
	case len(t.key) == 0:
	case t.binary:
		d.set.Field(receive.Str(t.key), receive.Str(appendBase64(d.set, t.text)))
	case t.v.Kind == record.String:
		d.set.Field(receive.Str(t.key), receive.Str(t.text))
	default:
		d.set.Value(receive.Str(t.key), t.v)
	}
}

// service adds the name of the process.
func (d *decoder) service(name []byte) {
	if len(name) > 0 {
		d.set.Field(schema.ServiceName, receive.Str(name))
	}
}

// micros turns µs into ns, as far as they go.
func micros(n int64) uint64 {
	if n < 0 || n > math.MaxInt64/1000 {
		return 0
	}
	return uint64(n) * 1000
}

// value gives a tag the value of a type by name: those of Thrift and of protobuf
// have other numbers.
func (t *tag) value(kind record.Kind, truth bool, whole int64, real float64) {
	switch kind {
	case record.Bool:
		t.v = record.BoolValue(truth)
	case record.Int:
		t.v = record.IntValue(whole)
	case record.Float:
		t.v = record.FloatValue(real)
		if math.IsNaN(real) || math.IsInf(real, 0) {
			t.v, t.text = record.Value{Kind: record.String}, strconv.AppendFloat(nil, real, 'g', -1, 64)
		}
	default:
		t.v = record.Value{Kind: record.String}
	}
}
