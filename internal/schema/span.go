package schema

// A span is a record of kind span: its event time is its start, and these are the
// fields that every protocol of traces fills in and every reader of traces reads.
// Attributes stand beside them under their own names: the resource's first, then
// the span's. Where both have one name, the span's keeps it and the resource's
// stands under ResourcePrefix+name; so do scope attributes, under ScopePrefix.
//
// trace_id (32 hex digits), span_id (16), trace_flags, service.name and
// mesh.duration_ns (the span's duration) are the names that log records have too:
// one question finds both.
const (
	// RecordKind is absent from log records.
	RecordKind = "record.kind"
	// KindSpan is the value of RecordKind of a span.
	KindSpan = "span"
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
	// SpanResource names, comma-separated and in order, the fields that are the
	// resource's (Jaeger's process tags, Zipkin's local endpoint).
	SpanResource = "span.resource"
	// SpanPeer is the service on the other side as the sender named it: Zipkin's
	// remote endpoint, OpenTelemetry's peer.service.
	SpanPeer = "peer.service"
	// SpanShared is true in a Zipkin server span that shares its client's id.
	SpanShared = "span.shared"
	// ScopeName and ScopeVersion are the instrumentation's.
	ScopeName    = "otel.scope.name"
	ScopeVersion = "otel.scope.version"
	// SpanDuration is in nanoseconds, the name of schema for every duration.
	SpanDuration = "mesh.duration_ns"

	// ResourcePrefix and ScopePrefix stand before an attribute whose name is taken.
	ResourcePrefix = "resource."
	ScopePrefix    = "scope."
)
