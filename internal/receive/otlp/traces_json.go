package otlp

import (
	"encoding/hex"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/receive/spans"
)

// json reads {"resourceSpans":[…]}.
func (d *traceDecoder) json(b []byte) error {
	j := jsontext.NewReader(b, d.lim.Depth, d.set)
	var failed error
	j.Object(func(key []byte) {
		if string(key) != "resourceSpans" {
			j.Raw()
			return
		}
		j.Array(func() {
			if failed == nil {
				failed = d.jsonResource(&j)
			} else {
				j.Raw()
			}
		})
	})
	if j.End(); failed != nil {
		return failed
	}
	return j.Err()
}

// within reads the array at an offset of j, one element by each call of f, and
// stops at the first error.
func within(j *jsontext.Reader, at int, f func(in *jsontext.Reader) error) error {
	if j.Err() != nil || at < 0 {
		return j.Err()
	}
	in := j.At(at)
	var failed error
	in.Array(func() {
		if failed == nil {
			failed = f(&in)
		} else {
			in.Raw()
		}
	})
	if failed != nil {
		return failed
	}
	return in.Err()
}

func (d *traceDecoder) jsonResource(j *jsontext.Reader) error {
	scopes := -1
	d.span.SetResource(nil)
	j.Object(func(key []byte) {
		switch string(key) {
		case "resource":
			d.set.Open()
			j.Object(func(key []byte) { d.jsonAttributes(j, string(key) == "attributes") })
			d.span.SetResource(d.set.Close())
		case "scopeSpans":
			skip(j, &scopes)
		default:
			j.Raw()
		}
	})
	return within(j, scopes, d.jsonScope)
}

func (d *traceDecoder) jsonScope(j *jsontext.Reader) error {
	list := -1
	d.span.SetScope(nil, nil, nil)
	j.Object(func(key []byte) {
		switch string(key) {
		case "scope":
			var name, version []byte
			d.set.Open()
			j.Object(func(key []byte) {
				switch string(key) {
				case "name":
					name = j.String()
				case "version":
					version = j.String()
				default:
					d.jsonAttributes(j, string(key) == "attributes")
				}
			})
			d.scopeOf(name, version, d.set.Close())
		case "spans":
			skip(j, &list)
		default:
			j.Raw()
		}
	})
	return within(j, list, func(in *jsontext.Reader) error {
		at := in.At(in.Pos()) // so that a bad span spoils no other
		text := in.Raw()
		if in.Err() != nil {
			return nil
		}
		if err := d.begin(); err != nil {
			return err
		}
		if len(text) > maxRecordText {
			d.set.Open()
			d.reject(fault.Errorf(fault.Invalid, "a span has %d bytes of JSON", len(text)))
			return nil
		}
		d.jsonSpan(&at)
		if err := at.Err(); err != nil {
			d.reject(err)
			return nil
		}
		d.span.Append()
		return nil
	})
}

func (d *traceDecoder) jsonSpan(j *jsontext.Reader) {
	s := d.span
	var start, end uint64
	d.set.Open()
	j.Object(func(key []byte) {
		switch string(key) {
		case "traceId":
			jsonID(j, s.TraceID[:])
		case "spanId":
			jsonID(j, s.SpanID[:])
		case "parentSpanId":
			jsonID(j, s.ParentID[:])
		case "traceState":
			s.State = j.String()
		case "name":
			s.Name = j.String()
		case "kind":
			s.Kind = kindOf(unsigned(j))
		case "startTimeUnixNano":
			start = unsigned(j)
		case "endTimeUnixNano":
			end = unsigned(j)
		case "droppedAttributesCount":
			s.DroppedAttributes = unsigned(j)
		case "droppedEventsCount":
			s.DroppedEvents = unsigned(j)
		case "droppedLinksCount":
			s.DroppedLinks = unsigned(j)
		case "flags":
			d.flags(unsigned(j))
		case "events":
			j.Array(func() { d.jsonEvent(j) })
		case "links":
			j.Array(func() { d.jsonLink(j) })
		case "status":
			j.Object(func(key []byte) {
				switch string(key) {
				case "code":
					s.Status = status(unsigned(j))
				case "message":
					s.Message = j.String()
				default:
					j.Raw()
				}
			})
		default:
			d.jsonAttributes(j, string(key) == "attributes")
		}
	})
	for _, f := range d.set.Opened() {
		s.Add(f)
	}
	d.set.Undo()
	d.times(start, end)
}

// jsonID reads an id in hex. One that is empty or of another length stays zero.
func jsonID(j *jsontext.Reader, dst []byte) {
	if s := hexText(j); len(s) == 2*len(dst) && j.Err() == nil {
		hex.Decode(dst, s)
	}
}

func (d *traceDecoder) jsonEvent(j *jsontext.Reader) {
	var at uint64
	var name []byte
	d.members = d.members[:0]
	j.Object(func(key []byte) {
		switch string(key) {
		case "timeUnixNano":
			at = unsigned(j)
		case "name":
			name = j.String()
		default:
			d.jsonMembers(j, string(key) == "attributes")
		}
	})
	d.span.Event(at, name, d.members)
}

func (d *traceDecoder) jsonLink(j *jsontext.Reader) {
	var trace [16]byte
	var span [8]byte
	var state []byte
	d.members = d.members[:0]
	j.Object(func(key []byte) {
		switch string(key) {
		case "traceId":
			jsonID(j, trace[:])
		case "spanId":
			jsonID(j, span[:])
		case "traceState":
			state = j.String()
		default:
			d.jsonMembers(j, string(key) == "attributes")
		}
	})
	d.span.Link(trace, span, state, d.members)
}

// jsonMembers appends a list of KeyValues to the members of an event or a link,
// or passes a value that is none.
func (d *traceDecoder) jsonMembers(j *jsontext.Reader, attributes bool) {
	if !attributes {
		j.Raw()
		return
	}
	j.Array(func() {
		key, at := jsonPair(j)
		if at < 0 || len(key) == 0 {
			return
		}
		in := j.At(at)
		start := len(d.members)
		d.members = spans.AppendRawMember(d.members, key, nil)
		value := len(d.members)
		if d.members = d.appendJSONAny(d.members, &in); string(d.members[value:]) == "null" {
			d.members = d.members[:start]
		}
		j.Adopt(in.Err())
	})
}
