package zipkin

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/trace"
)

// A span in Zipkin's JSON of version 2: members in the order of its own writer
// (V2SpanWriter), what is empty is left out, times in µs.

func appendTraces(b []byte, traces []trace.Trace) []byte {
	b = append(b, '[')
	for i := range traces {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendTrace(b, &traces[i])
	}
	return append(b, ']')
}

func appendTrace(b []byte, t *trace.Trace) []byte {
	b = append(b, '[')
	for i := range t.Spans {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendSpan(b, &t.Spans[i])
	}
	return append(b, ']')
}

func member(b []byte, name string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	return append(strconv.AppendQuote(b, name), ':')
}

func text(b []byte, name, v string) []byte {
	if v == "" {
		return b
	}
	return quoted(member(b, name), v)
}

func quoted(b []byte, v string) []byte {
	q, _ := json.Marshal(v)
	return append(b, q...)
}

func number(b []byte, name string, n int64) []byte {
	if n <= 0 {
		return b
	}
	return strconv.AppendInt(member(b, name), n, 10)
}

func truth(b []byte, name string, v bool) []byte {
	if !v {
		return b
	}
	return append(member(b, name), "true"...)
}

// shortID is a trace id as its sender wrote it, as far as we know: 16 digits when
// the rest is zero.
func shortID(id string) string {
	if len(id) == 32 && id[:16] == "0000000000000000" {
		return id[16:]
	}
	return id
}

func micros(ns int64) int64 {
	if ns > 0 && ns < 1000 {
		return 1 // Zipkin takes 0 for unknown
	}
	return ns / 1000
}

// An endpoint is one side of a span.
type endpoint struct{ service, ip, ipv6, port string }

// The fields of endpoints, which are no tags (see receive/zipkin).
func (e *endpoint) take(key, value string, side string) bool {
	switch key {
	case "network." + side + ".address":
		e.ip = value
	case "network." + side + ".port":
		e.port = value
	case map[string]string{"local": "zipkin.local.ipv6", "peer": "zipkin.remote.ipv6"}[side]:
		e.ipv6 = value
	default:
		return false
	}
	return true
}

func (e *endpoint) append(b []byte, name string) []byte {
	if *e == (endpoint{}) {
		return b
	}
	b = append(member(b, name), '{')
	b = text(b, "serviceName", strings.ToLower(e.service))
	if strings.Contains(e.ip, ":") && e.ipv6 == "" {
		e.ip, e.ipv6 = "", e.ip
	}
	b = text(text(b, "ipv4", e.ip), "ipv6", e.ipv6)
	if n, err := strconv.Atoi(e.port); err == nil {
		b = number(b, "port", int64(n))
	}
	return append(b, '}')
}

func appendSpan(b []byte, s *trace.Span) []byte {
	local, remote := endpoint{service: s.Service}, endpoint{service: s.Peer}
	tags := make([]trace.Attr, 0, len(s.Attributes)+len(s.Resource)+4)
	debug := false
	for _, a := range s.Attributes {
		switch {
		case a.Key == "zipkin.debug":
			debug = a.Value.Int != 0
		case !remote.take(a.Key, a.Value.Text(), "peer"):
			tags = append(tags, a)
		}
	}
	for _, a := range s.Resource {
		if a.Key != "service.name" && !local.take(a.Key, a.Value.Text(), "local") {
			tags = append(tags, a)
		}
	}
	tags = append(tags, ownTags(s)...)

	b = append(b, '{')
	b = text(b, "traceId", shortID(s.TraceID))
	b = text(b, "parentId", s.Parent)
	b = text(b, "id", s.SpanID)
	if s.Kind != "internal" {
		b = text(b, "kind", strings.ToUpper(s.Kind))
	}
	b = text(b, "name", strings.ToLower(s.Name))
	b = number(b, "timestamp", s.Start/1000)
	b = number(b, "duration", micros(s.Duration))
	b = local.append(b, "localEndpoint")
	b = remote.append(b, "remoteEndpoint")
	b = appendAnnotations(b, s.Events)
	b = appendTags(b, tags)
	b = truth(b, "debug", debug)
	b = truth(b, "shared", s.Shared)
	return append(b, '}')
}

// ownTags are the tags that say what Zipkin's spans have no members for.
func ownTags(s *trace.Span) (tags []trace.Attr) {
	add := func(key, value string) {
		if value != "" {
			tags = append(tags, trace.Attr{Key: key, Value: record.StringValue(value)})
		}
	}
	add("otel.scope.name", s.Scope)
	add("otel.scope.version", s.ScopeVersion)
	tags = append(tags, s.ScopeAttributes...)
	if s.Status == "ok" {
		add("otel.status_code", "OK")
	}
	if _, has := s.Attr("error"); s.Failed() && !has {
		message := s.Message
		if message == "" {
			message = "true"
		}
		add("error", message)
	}
	return tags
}

func appendAnnotations(b []byte, events []trace.Event) []byte {
	if len(events) == 0 {
		return b
	}
	b = append(member(b, "annotations"), '[')
	for i := range events {
		e := &events[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = number(append(b, '{'), "timestamp", e.Time/1000)
		b = quoted(member(b, "value"), annotation(e))
		b = append(b, '}')
	}
	return append(b, ']')
}

// annotation is an event in one text, as OpenTelemetry's exporter to Zipkin has
// it: name, and attributes as JSON.
func annotation(e *trace.Event) string {
	if len(e.Attributes) == 0 {
		return e.Name
	}
	m := make(map[string]any, len(e.Attributes))
	for _, a := range e.Attributes {
		switch a.Value.Kind {
		case record.Int:
			m[a.Key] = a.Value.Int
		case record.Float:
			m[a.Key] = a.Value.Flt
		case record.Bool:
			m[a.Key] = a.Value.Int != 0
		default:
			m[a.Key] = a.Value.Str
		}
	}
	q, err := json.Marshal(m)
	if err != nil {
		return e.Name
	}
	if e.Name == "" {
		return string(q)
	}
	return e.Name + ": " + string(q)
}

func appendTags(b []byte, tags []trace.Attr) []byte {
	if len(tags) == 0 {
		return b
	}
	b = append(member(b, "tags"), '{')
	seen := make(map[string]bool, len(tags))
	for i := range tags {
		if key := tags[i].Key; !seen[key] {
			seen[key] = true
			q, _ := json.Marshal(key)
			if b[len(b)-1] != '{' {
				b = append(b, ',')
			}
			b = quoted(append(append(b, q...), ':'), tags[i].Value.Text())
		}
	}
	return append(b, '}')
}
