package schema

import "strings"

// A span is a record of kind span: its event time is its start, and these are the
// fields that every protocol of traces fills in and every reader of traces reads.
// Attributes stand beside them under their own names, the span's and its
// resource's. Where both have one name, the span's keeps it and the resource's
// stands under ResourcePrefix+name. Scope attributes stand under ScopePrefix+name,
// and a span attribute that has one of the names below under AttributePrefix+name.
//
// trace_id (32 hex digits), span_id (16), trace_flags, service.name and
// mesh.duration_ns (the span's duration) are the names that log records have too:
// one question finds both.
const (
	// RecordKind is absent from log records.
	RecordKind = "record.kind"
	// KindSpan is the value of RecordKind of a span.
	KindSpan = "span"
	// KindEvidence is its value of a record that tells of counters, not of traffic.
	KindEvidence = "evidence"
	// SpanName is what the span does: Jaeger's operation, Zipkin's name.
	SpanName = "span.name"
	// SpanKind is one of internal, server, client, producer, consumer; absent if
	// the sender said nothing.
	SpanKind = "span.kind"
	// SpanParent is the span_id of the parent, 16 hex digits; absent in a root.
	SpanParent = "parent_span_id"
	// SpanStatus is ok or error; absent when unset.
	SpanStatus = "span.status"
	// SpanStatusMessage says why.
	SpanStatusMessage = "span.status_message"
	// SpanState is the W3C tracestate.
	SpanState = "span.trace_state"
	// SpanEvents is a JSON array of [{"time":ns,"name":"…","attributes":{…}}].
	SpanEvents = "span.events"
	// SpanLinks is a JSON array of [{"traceId":"…","spanId":"…","attributes":{…}}].
	// A Jaeger reference that is not the parent is a link with the attribute
	// opentracing.ref_type, as OpenTelemetry's translation has it.
	SpanLinks = "span.links"
	// SpanResource lists, comma-separated and in order, the fields that are the
	// resource's (Jaeger's process tags, Zipkin's local endpoint). See AppendListed.
	SpanResource = "span.resource"
	// SpanBinary lists the attributes whose value is base64 of bytes.
	SpanBinary = "span.binary"
	// SpanPeer is the service on the other side as the sender named it: Zipkin's
	// remote endpoint, OpenTelemetry's peer.service.
	SpanPeer = "peer.service"
	// SpanShared is true in a Zipkin server span that shares its client's id.
	SpanShared = "span.shared"
	// SpanDroppedAttributes, SpanDroppedEvents and SpanDroppedLinks count what the
	// instrumentation left out.
	SpanDroppedAttributes = "otel.dropped_attributes_count"
	SpanDroppedEvents     = "otel.dropped_events_count"
	SpanDroppedLinks      = "otel.dropped_links_count"
	// ScopeName and ScopeVersion are the instrumentation's.
	ScopeName    = "otel.scope.name"
	ScopeVersion = "otel.scope.version"
	// SpanDuration is in nanoseconds, the name of schema for every duration.
	SpanDuration = "mesh.duration_ns"

	// ServiceName is the resource's, always.
	ServiceName = "service.name"

	// ResourcePrefix and AttributePrefix stand before an attribute whose name is
	// taken, ScopePrefix before every attribute of the scope.
	ResourcePrefix  = "resource."
	AttributePrefix = "attribute."
	ScopePrefix     = "scope."
)

// AppendListed appends a name to a comma-separated list of names. A comma or a
// backslash in the name is written after a backslash.
func AppendListed(list []byte, name string) []byte {
	if len(list) > 0 {
		list = append(list, ',')
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; c == ',' || c == '\\' {
			list = append(list, '\\')
		}
		list = append(list, name[i])
	}
	return list
}

// Listed calls f with each name of a list that AppendListed made.
func Listed(list string, f func(name string)) {
	for start, i := 0, 0; len(list) > 0 && i <= len(list); i++ {
		switch {
		case i == len(list) || list[i] == ',':
			f(unlisted(list[start:i]))
			start = i + 1
		case list[i] == '\\':
			i++
		}
	}
}

func unlisted(name string) string {
	if strings.IndexByte(name, '\\') < 0 {
		return name
	}
	b := make([]byte, 0, len(name))
	for i := 0; i < len(name); i++ {
		if name[i] == '\\' && i+1 < len(name) {
			i++
		}
		b = append(b, name[i])
	}
	return string(b)
}
