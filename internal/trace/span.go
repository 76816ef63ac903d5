package trace

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// A Span is one span as readers see it. Ids are lower-case hex: 32 digits of a
// trace, 16 of a span; an absent one is "". Times are ns.
type Span struct {
	TraceID, SpanID, Parent string
	Name, Kind, Service     string
	Start, Duration         int64
	Status, Message         string // "", ok or error, and why
	State, Flags            string // W3C: tracestate, and two hex digits
	Shared                  bool   // a Zipkin server span under its client's id
	Peer                    string
	Scope, ScopeVersion     string

	// Resource holds service.name too. None of the lists holds what has a field of
	// its own above, but Service.
	Attributes, Resource, ScopeAttributes []Attr
	Events                                []Event
	Links                                 []Link

	DroppedAttributes, DroppedEvents, DroppedLinks int64
}

// An Attr is a name and a value. Of bytes the value is base64, of lists and maps
// their JSON.
type Attr struct {
	Key   string
	Value record.Value
	Bytes bool
}

// An Event happened within a span.
type Event struct {
	Time       int64
	Name       string
	Attributes []Attr
}

// A Link is a reference to another span.
type Link struct {
	TraceID, SpanID, State string
	Attributes             []Attr
}

// End returns when the span ended.
func (s *Span) End() int64 { return s.Start + s.Duration }

// Failed reports whether the span's status is error.
func (s *Span) Failed() bool { return s.Status == "error" }

// Attr returns an attribute of the span by its name.
func (s *Span) Attr(key string) (record.Value, bool) { return find(s.Attributes, key) }

func find(list []Attr, key string) (record.Value, bool) {
	for i := range list {
		if list[i].Key == key {
			return list[i].Value, true
		}
	}
	return record.Value{}, false
}

// IsSpan reports whether a record is a span.
func IsSpan(r *record.Record) bool {
	v, ok := r.Get(schema.RecordKind)
	return ok && v.Str == schema.KindSpan
}

// Decode reads a record of kind span.
func Decode(r *record.Record) (Span, bool) {
	s := Span{Start: r.Time}
	var kind, resource, binary, events, links string
	rest := make([]record.Field, 0, len(r.Fields))
	for _, f := range r.Fields {
		switch f.Name {
		case schema.RecordKind:
			kind = f.Value.Text()
		case schema.SpanResource:
			resource = f.Value.Text()
		case schema.SpanBinary:
			binary = f.Value.Text()
		case schema.SpanEvents:
			events = f.Value.Text()
		case schema.SpanLinks:
			links = f.Value.Text()
		case schema.SpanDuration:
			s.Duration = f.Value.Int
		case schema.SpanShared:
			s.Shared = f.Value.Int != 0
		case schema.SpanDroppedAttributes:
			s.DroppedAttributes = f.Value.Int
		case schema.SpanDroppedEvents:
			s.DroppedEvents = f.Value.Int
		case schema.SpanDroppedLinks:
			s.DroppedLinks = f.Value.Int
		default:
			if p := s.text(f.Name); p != nil {
				*p = f.Value.Text()
			} else {
				rest = append(rest, f)
			}
		}
	}
	if kind != schema.KindSpan {
		return Span{}, false
	}
	s.sort(rest, listed(resource), listed(binary))
	s.Events, s.Links = decodeEvents(events), decodeLinks(links)
	return s, true
}

// text returns where the text of one of the span's own fields goes, or nil.
func (s *Span) text(name string) *string {
	switch name {
	case "trace_id":
		return &s.TraceID
	case "span_id":
		return &s.SpanID
	case schema.SpanParent:
		return &s.Parent
	case schema.SpanName:
		return &s.Name
	case schema.SpanKind:
		return &s.Kind
	case schema.SpanStatus:
		return &s.Status
	case schema.SpanStatusMessage:
		return &s.Message
	case schema.SpanState:
		return &s.State
	case "trace_flags":
		return &s.Flags
	case schema.SpanPeer:
		return &s.Peer
	case schema.ScopeName:
		return &s.Scope
	case schema.ScopeVersion:
		return &s.ScopeVersion
	}
	return nil
}

func listed(list string) (names []string) {
	schema.Listed(list, func(n string) { names = append(names, n) })
	return names
}

// sort gives each field that is not the span's own to what it is an attribute of.
func (s *Span) sort(fields []record.Field, resource, binary []string) {
	in := setOf(resource)
	isBytes := setOf(binary)
	s.Resource = make([]Attr, 0, len(resource))
	for _, f := range fields {
		a := Attr{Key: f.Name, Value: f.Value, Bytes: isBytes(f.Name)}
		switch {
		case intake(f.Name):
		case in(f.Name):
			s.Resource = append(s.Resource, a)
			if f.Name == schema.ServiceName {
				s.Service = f.Value.Text()
			}
		case strings.HasPrefix(f.Name, schema.ScopePrefix):
			a.Key = f.Name[len(schema.ScopePrefix):]
			s.ScopeAttributes = append(s.ScopeAttributes, a)
		case f.Name == schema.ServiceName: // nobody's resource: intake found it elsewhere
			s.Service = f.Value.Text()
		default:
			a.Key = unprefixed(f.Name, schema.AttributePrefix, func(string) bool { return true })
			s.Attributes = append(s.Attributes, a)
		}
	}
	inOrder(s.Resource, resource)
	for i := range s.Resource {
		a := &s.Resource[i]
		a.Key = unprefixed(a.Key, schema.ResourcePrefix, func(n string) bool {
			return ownField(n) || slices.ContainsFunc(fields, func(f record.Field) bool { return f.Name == n })
		})
	}
}

// few is how many names are compared one by one.
const few = 32

// setOf returns what tells whether a name is one of names.
func setOf(names []string) func(string) bool {
	if len(names) <= few {
		return func(n string) bool { return slices.Contains(names, n) }
	}
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[n] = true
	}
	return func(n string) bool { return set[n] }
}

// inOrder puts attributes in the order of names, which is their sender's.
func inOrder(attrs []Attr, names []string) {
	if len(attrs) < 2 {
		return
	}
	at := make(map[string]int, len(names))
	for i, n := range names {
		at[n] = i
	}
	slices.SortStableFunc(attrs, func(a, b Attr) int { return at[a.Key] - at[b.Key] })
}

// unprefixed takes a prefix off a name that it was put before because the name
// was taken.
func unprefixed(name, prefix string, taken func(string) bool) string {
	if n, ok := strings.CutPrefix(name, prefix); ok && n != "" && taken(n) {
		return n
	}
	return name
}

// ownField reports whether a name is one of a span's own fields.
func ownField(name string) bool {
	return strings.HasPrefix(name, "span.") || strings.HasPrefix(name, "otel.") ||
		slices.Contains([]string{schema.RecordKind, "trace_id", "span_id", schema.SpanParent, schema.SpanDuration, "trace_flags", schema.SpanPeer}, name)
}

// intake reports whether a field was written by intake, not by the sender.
func intake(name string) bool {
	return name == "log.source" || name == record.Labels || strings.HasPrefix(name, "parse.")
}

func decodeEvents(text string) (out []Event) {
	if text == "" {
		return nil
	}
	var raw []struct {
		Time       int64           `json:"time"`
		Name       string          `json:"name"`
		Attributes json.RawMessage `json:"attributes"`
	}
	if json.Unmarshal([]byte(text), &raw) != nil {
		return []Event{{Name: text}} // redaction may have cut it: better as it is than not at all
	}
	for _, e := range raw {
		out = append(out, Event{e.Time, e.Name, decodeAttrs(e.Attributes)})
	}
	return out
}

func decodeLinks(text string) (out []Link) {
	if text == "" {
		return nil
	}
	var raw []struct {
		TraceID    string          `json:"traceId"`
		SpanID     string          `json:"spanId"`
		State      string          `json:"traceState"`
		Attributes json.RawMessage `json:"attributes"`
	}
	if json.Unmarshal([]byte(text), &raw) != nil {
		return nil
	}
	for _, l := range raw {
		out = append(out, Link{l.TraceID, l.SpanID, l.State, decodeAttrs(l.Attributes)})
	}
	return out
}

// decodeAttrs reads the members of a JSON object in their order.
func decodeAttrs(text json.RawMessage) (out []Attr) {
	if len(text) == 0 {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	for d.More() {
		key, err := d.Token()
		name, ok := key.(string)
		var value json.RawMessage
		if err != nil || !ok || d.Decode(&value) != nil {
			return out
		}
		out = append(out, decodeAttr(name, value))
	}
	return out
}

func decodeAttr(name string, value json.RawMessage) Attr {
	a := Attr{Key: name}
	switch value[0] {
	case '"':
		var s string
		json.Unmarshal(value, &s)
		a.Value = record.StringValue(s)
	case 't', 'f':
		a.Value = record.BoolValue(value[0] == 't')
	case '{':
		var b struct {
			Base64 *string `json:"base64"`
		}
		if json.Unmarshal(value, &b) == nil && b.Base64 != nil {
			a.Value, a.Bytes = record.StringValue(*b.Base64), true
			break
		}
		a.Value = record.StringValue(string(value))
	case '[', 'n':
		a.Value = record.StringValue(string(value))
	default:
		n := json.Number(value)
		if i, err := n.Int64(); err == nil {
			a.Value = record.IntValue(i)
		} else if f, err := n.Float64(); err == nil {
			a.Value = record.FloatValue(f)
		}
	}
	return a
}
