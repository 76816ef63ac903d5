package jaeger

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strconv"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/trace"
)

// Spans in OpenTelemetry's form: messages for gRPC and Tempo, JSON (ids in hex,
// enums as numbers, 64-bit numbers as text) for version 3.

func itoa(n int) string { return strconv.Itoa(n) }

func flagsOf(s *trace.Span) uint32 {
	n, _ := strconv.ParseUint(s.Flags, 16, 32)
	return uint32(n)
}

// toOTLP groups spans by resource and scope, in the order in which they stand.
func toOTLP(spans []trace.Span) []*otlp.ResourceSpans {
	var out []*otlp.ResourceSpans
	resources := map[string]*otlp.ResourceSpans{}
	scopes := map[string]*otlp.ScopeSpans{}
	for i := range spans {
		s := &spans[i]
		key := resourceKey(s)
		rs := resources[key]
		if rs == nil {
			rs = &otlp.ResourceSpans{Resource: &resource.Resource{Attributes: keyValues(resourceOf(s))}}
			resources[key] = rs
			out = append(out, rs)
		}
		key += "\x02" + s.Scope + "\x02" + s.ScopeVersion
		ss := scopes[key]
		if ss == nil {
			ss = &otlp.ScopeSpans{Scope: &common.InstrumentationScope{Name: s.Scope, Version: s.ScopeVersion, Attributes: keyValues(s.ScopeAttributes)}}
			scopes[key] = ss
			rs.ScopeSpans = append(rs.ScopeSpans, ss)
		}
		ss.Spans = append(ss.Spans, spanToOTLP(s))
	}
	return out
}

// resourceOf returns the resource with the service, wherever intake found it.
func resourceOf(s *trace.Span) []trace.Attr {
	for i := range s.Resource {
		if s.Resource[i].Key == "service.name" {
			return s.Resource
		}
	}
	if s.Service == "" {
		return s.Resource
	}
	return append([]trace.Attr{{Key: "service.name", Value: record.StringValue(s.Service)}}, s.Resource...)
}

var kindsOTLP = map[string]otlp.Span_SpanKind{
	"internal": otlp.Span_SPAN_KIND_INTERNAL, "server": otlp.Span_SPAN_KIND_SERVER, "client": otlp.Span_SPAN_KIND_CLIENT,
	"producer": otlp.Span_SPAN_KIND_PRODUCER, "consumer": otlp.Span_SPAN_KIND_CONSUMER,
}

func id(text string) []byte {
	b, err := hex.DecodeString(text)
	if err != nil {
		return nil
	}
	return b
}

func spanToOTLP(s *trace.Span) *otlp.Span {
	out := &otlp.Span{
		TraceId: id(s.TraceID), SpanId: id(s.SpanID), ParentSpanId: id(s.Parent), TraceState: s.State, Name: s.Name,
		Kind: kindsOTLP[s.Kind], StartTimeUnixNano: uint64(s.Start), EndTimeUnixNano: uint64(s.End()), Flags: flagsOf(s),
		Attributes: keyValues(s.Attributes), DroppedAttributesCount: uint32(s.DroppedAttributes),
		DroppedEventsCount: uint32(s.DroppedEvents), DroppedLinksCount: uint32(s.DroppedLinks), Status: &otlp.Status{Message: s.Message},
	}
	if s.Peer != "" {
		out.Attributes = append(out.Attributes, keyValue(&trace.Attr{Key: "peer.service", Value: record.StringValue(s.Peer)}))
	}
	switch s.Status {
	case "ok":
		out.Status.Code = otlp.Status_STATUS_CODE_OK
	case "error":
		out.Status.Code = otlp.Status_STATUS_CODE_ERROR
	}
	for i := range s.Events {
		e := &s.Events[i]
		out.Events = append(out.Events, &otlp.Span_Event{TimeUnixNano: uint64(e.Time), Name: e.Name, Attributes: keyValues(e.Attributes)})
	}
	for i := range s.Links {
		l := &s.Links[i]
		out.Links = append(out.Links, &otlp.Span_Link{TraceId: id(l.TraceID), SpanId: id(l.SpanID), TraceState: l.State, Attributes: keyValues(l.Attributes)})
	}
	return out
}

func keyValues(attrs []trace.Attr) []*common.KeyValue {
	out := make([]*common.KeyValue, 0, len(attrs))
	for i := range attrs {
		out = append(out, keyValue(&attrs[i]))
	}
	return out
}

func keyValue(a *trace.Attr) *common.KeyValue {
	v := &common.AnyValue{}
	switch {
	case a.Bytes:
		b, err := base64.StdEncoding.DecodeString(a.Value.Str)
		if err != nil {
			b = []byte(a.Value.Str)
		}
		v.Value = &common.AnyValue_BytesValue{BytesValue: b}
	case a.Value.Kind == record.Int:
		v.Value = &common.AnyValue_IntValue{IntValue: a.Value.Int}
	case a.Value.Kind == record.Float:
		v.Value = &common.AnyValue_DoubleValue{DoubleValue: a.Value.Flt}
	case a.Value.Kind == record.Bool:
		v.Value = &common.AnyValue_BoolValue{BoolValue: a.Value.Int != 0}
	default:
		v.Value = &common.AnyValue_StringValue{StringValue: a.Value.Str}
	}
	return &common.KeyValue{Key: a.Key, Value: v}
}

// A writer appends JSON. A member is written with its comma.
type writer struct{ b []byte }

func (w *writer) open(c byte) { w.b = append(w.b, c) }

func (w *writer) close(c byte) {
	if w.b[len(w.b)-1] == ',' {
		w.b = w.b[:len(w.b)-1]
	}
	w.b = append(w.b, c, ',')
}

func (w *writer) key(name string) { w.b = append(append(append(w.b, '"'), name...), '"', ':') }

func (w *writer) text(name, s string) {
	if s != "" {
		w.key(name)
		w.quoted(s)
	}
}

func (w *writer) quoted(s string) {
	q, _ := json.Marshal(s)
	w.b = append(append(w.b, q...), ',')
}

func (w *writer) hex(name string, v []byte) {
	if len(v) > 0 {
		w.text(name, hex.EncodeToString(v))
	}
}

// long is a 64-bit number, written as text.
func (w *writer) long(name string, n uint64) {
	if n != 0 {
		w.text(name, strconv.FormatUint(n, 10))
	}
}

func (w *writer) number(name string, n int64) {
	if n != 0 {
		w.key(name)
		w.b = append(strconv.AppendInt(w.b, n, 10), ',')
	}
}

// array writes a member that is a list of n, unless it is empty.
func (w *writer) array(name string, n int, each func(i int)) {
	if n == 0 {
		return
	}
	w.key(name)
	w.open('[')
	for i := range n {
		each(i)
	}
	w.close(']')
}

// tracesJSON writes {"resourceSpans":[…]}.
func (w *writer) tracesJSON(list []*otlp.ResourceSpans) {
	w.open('{')
	w.key("resourceSpans")
	w.open('[')
	for _, rs := range list {
		w.resourceSpans(rs, "scopeSpans")
	}
	w.close(']')
	w.close('}')
}

func (w *writer) resourceSpans(rs *otlp.ResourceSpans, scopes string) {
	w.open('{')
	w.key("resource")
	w.open('{')
	w.attributes(rs.Resource.GetAttributes())
	w.close('}')
	w.array(scopes, len(rs.ScopeSpans), func(i int) {
		ss := rs.ScopeSpans[i]
		w.open('{')
		w.key("scope")
		w.open('{')
		w.text("name", ss.Scope.GetName())
		w.text("version", ss.Scope.GetVersion())
		w.attributes(ss.Scope.GetAttributes())
		w.close('}')
		w.array("spans", len(ss.Spans), func(i int) { w.span(ss.Spans[i]) })
		w.close('}')
	})
	w.close('}')
}

func (w *writer) attributes(list []*common.KeyValue) {
	w.array("attributes", len(list), func(i int) {
		w.open('{')
		w.key("key")
		w.quoted(list[i].Key)
		w.key("value")
		w.open('{')
		switch v := list[i].Value.Value.(type) {
		case *common.AnyValue_StringValue:
			w.key("stringValue")
			w.quoted(v.StringValue)
		case *common.AnyValue_IntValue:
			w.key("intValue")
			w.quoted(strconv.FormatInt(v.IntValue, 10))
		case *common.AnyValue_DoubleValue:
			w.key("doubleValue")
			b, err := json.Marshal(v.DoubleValue)
			if err != nil { // NaN and the infinities are text
				b, _ = json.Marshal(strconv.FormatFloat(v.DoubleValue, 'g', -1, 64))
			}
			w.b = append(append(w.b, b...), ',')
		case *common.AnyValue_BoolValue:
			w.key("boolValue")
			w.b = append(strconv.AppendBool(w.b, v.BoolValue), ',')
		case *common.AnyValue_BytesValue:
			w.key("bytesValue")
			w.quoted(base64.StdEncoding.EncodeToString(v.BytesValue))
		}
		w.close('}')
		w.close('}')
	})
}

func (w *writer) span(s *otlp.Span) {
	w.open('{')
	w.hex("traceId", s.TraceId)
	w.hex("spanId", s.SpanId)
	w.text("traceState", s.TraceState)
	w.hex("parentSpanId", s.ParentSpanId)
	w.number("flags", int64(s.Flags))
	w.text("name", s.Name)
	w.number("kind", int64(s.Kind))
	w.long("startTimeUnixNano", s.StartTimeUnixNano)
	w.long("endTimeUnixNano", s.EndTimeUnixNano)
	w.attributes(s.Attributes)
	w.number("droppedAttributesCount", int64(s.DroppedAttributesCount))
	w.array("events", len(s.Events), func(i int) {
		e := s.Events[i]
		w.open('{')
		w.long("timeUnixNano", e.TimeUnixNano)
		w.text("name", e.Name)
		w.attributes(e.Attributes)
		w.close('}')
	})
	w.number("droppedEventsCount", int64(s.DroppedEventsCount))
	w.array("links", len(s.Links), func(i int) {
		l := s.Links[i]
		w.open('{')
		w.hex("traceId", l.TraceId)
		w.hex("spanId", l.SpanId)
		w.text("traceState", l.TraceState)
		w.attributes(l.Attributes)
		w.close('}')
	})
	w.number("droppedLinksCount", int64(s.DroppedLinksCount))
	w.key("status")
	w.open('{')
	w.text("message", s.Status.GetMessage())
	w.number("code", int64(s.Status.GetCode()))
	w.close('}')
	w.close('}')
}

// done returns what was written, without the last comma.
func (w *writer) done() []byte { return w.b[:len(w.b)-1] }
