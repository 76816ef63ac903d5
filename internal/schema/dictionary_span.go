package schema

// spanFields is what a record of kind span has beside what log records have too.
var spanFields = []Field{
	{Name: RecordKind, Type: Text, Values: "span, evidence", Meaning: "Kind of the record; absent from log records."},
	{Name: SpanName, Type: Text, Meaning: "What the span does: Jaeger's operation, Zipkin's name."},
	{Name: SpanKind, Type: Text, Values: "internal, server, client, producer, consumer", Meaning: "Part of the span in an exchange."},
	{Name: SpanParent, Type: Text, Meaning: "Parent's span_id; absent in a root."},
	{Name: SpanStatus, Type: Text, Values: "ok, error", Meaning: "Outcome of the span; absent when the sender said nothing."},
	{Name: SpanStatusMessage, Type: Text, Sensitivity: Personal, Meaning: "Why the span has its status."},
	{Name: SpanPeer, Type: Text, Meaning: "Service on the other side, as the sender named it.",
		Aliases: names("OpenTelemetry since 1.39", "service.peer.name"), Also: []string{"service.peer.name"}},
	{Name: SpanState, Type: Text, Meaning: "W3C tracestate."},
	{Name: SpanShared, Type: Boolean, Meaning: "True in a Zipkin server span that has its client's id."},
	{Name: SpanEvents, Type: Text, Sensitivity: Personal, Meaning: `What happened within the span: [{"time":ns,"name":"…","attributes":{…}}].`},
	{Name: SpanLinks, Type: Text, Sensitivity: Personal, Meaning: `References to other spans: [{"traceId":"…","spanId":"…","attributes":{…}}].`},
	{Name: SpanResource, Type: Text, Meaning: "Names of the fields that are the resource's, comma-separated."},
	{Name: SpanBinary, Type: Text, Meaning: "Names of the fields whose value is base64 of bytes, comma-separated."},
	{Name: ScopeName, Type: Text, Meaning: "Instrumentation that made the record."},
	{Name: ScopeVersion, Type: Text, Meaning: "Its version."},
	{Name: SpanDroppedAttributes, Type: Integer, Meaning: "Attributes that the instrumentation left out."},
	{Name: SpanDroppedEvents, Type: Integer, Meaning: "Events of the span that the instrumentation left out."},
	{Name: SpanDroppedLinks, Type: Integer, Meaning: "Links of the span that the instrumentation left out."},
}
