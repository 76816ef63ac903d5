package schema

//go:generate go test -count=1 -run ^TestDocs$ . -update

// fields is the dictionary, in the order in which fields are shown. The order is
// not part of any format. docs/schema.md is rendered from it.
var fields = mapped(concat(recordFields, placeFields, httpFields, networkFields, peopleFields, auditFields, meshFields, callFields, webFields, spanFields, appFields, proxyFields, senderFields, hostFields, intakeFields))

func concat(lists ...[]Field) []Field {
	var out []Field
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

var recordFields = []Field{
	{Name: "body", Type: Text, Sensitivity: Personal,
		Meaning: "The message. Of a platform's text line, the whole line as it came.",
		Aliases: names(usual, "msg", "message", "log", "short_message")},
	{Name: "severity_text", Type: Text, Meaning: "Severity as the sender wrote it, or the name of severity_number.",
		Aliases: names(usual, "level", "severity", "detected_level", "log.level", "lvl"),
		Also:    []string{"level", "severity", "log.level", "lvl"}},
	{Name: "severity_number", Type: Integer, Meaning: "Severity on OpenTelemetry's scale of 1 to 24."},
	{Name: "event.name", Type: Text, Meaning: "Name of the kind of happening that the record tells of."},
	{Name: "trace_id", Type: Text, Meaning: "Trace, 32 hexadecimal digits.",
		Aliases: names(usual, "traceid", "traceID", "traceId", "trace.id", "otelTraceID"),
		Also:    []string{"traceid", "traceID", "traceId", "trace.id", "otelTraceID"}},
	{Name: "span_id", Type: Text, Meaning: "Span, 16 hexadecimal digits.",
		Aliases: names(usual, "spanid", "spanID", "spanId", "span.id"),
		Also:    []string{"spanid", "spanID", "spanId", "span.id"}},
	{Name: "trace_flags", Type: Text, Meaning: "W3C trace flags, 2 hexadecimal digits."},
	{Name: "log.iostream", Type: Text, Values: "stdout, stderr", Meaning: "Stream of the container that wrote the record."},
	{Name: "log.file.path", Type: Text, Meaning: "File that the record was read from."},
	{Name: "event.original_time", Type: Text, Meaning: "Event time that the sender named, RFC 3339, when it is more than ten years ago or more than a day ahead: the record has the time of its receipt then."},
	{Name: "event.original_class", Type: Text, Meaning: "Retention class that an agent named and the policy of the server does not: the record has the default class."},
	{Name: "data.owner", Type: Text, Meaning: "Whose the record's data is, as a rule of the policy says."},
	{Name: "data.classification", Type: Text, Meaning: "How the record's data is classified, as a rule of the policy says.", Values: "public, internal, confidential, restricted, or words of the policy's own"},
	{Name: "event.created", Type: Text, Meaning: "Time at which the container runtime or a tool took the record, as it wrote it, when the record names a time of its own."},
	{Name: "log.record.uid", Type: Text, Meaning: "Identity that the sender gave the record.", Aliases: names(hubble, "uuid")},
}

var placeFields = []Field{
	{Name: "k8s.cluster.name", Type: Text, Meaning: "Cluster.",
		Aliases: all(names(short, "cluster"), names(usual, "kubernetes.cluster_name")),
		Also:    []string{"cluster", "cluster_name", "kubernetes.cluster_name", "orchestrator.cluster.name"}},
	{Name: "k8s.namespace.name", Type: Text, Meaning: "Namespace of the pod that the record is about.",
		Aliases: names(short, "namespace"),
		Also:    []string{"namespace", "kubernetes.namespace_name", "kubernetes.namespace", "namespace_name"}},
	{Name: "service.name", Type: Text, Meaning: "Service or workload that the record is about: the observed side.",
		Aliases: all(names(short, "service", "service_name"), names(short, "workload")),
		Also:    []string{"service", "workload", "service_name", "serviceName"}},
	{Name: "service.namespace", Type: Text, Meaning: "Namespace of service.name, where it is not a Kubernetes namespace."},
	{Name: "service.version", Type: Text, Meaning: "Version of the service."},
	{Name: "k8s.pod.label.app", Type: Text, Meaning: "Value of the pod's label app.",
		Aliases: names(short, "app"),
		Also:    []string{"app", "kubernetes.labels.app", "kubernetes.labels.app.kubernetes.io/name"}},
	{Name: "k8s.pod.name", Type: Text, Meaning: "Pod.",
		Aliases: names(short, "pod", "pod_name"),
		Also:    []string{"pod", "pod_name", "kubernetes.pod_name", "kubernetes.pod.name"}},
	{Name: "k8s.container.name", Type: Text, Meaning: "Container; also one that docker compose names.",
		Aliases: names(short, "container", "container_name"),
		Also:    []string{"container", "container_name", "kubernetes.container_name", "kubernetes.container.name"}},
	{Name: "k8s.node.name", Type: Text, Meaning: "Node.",
		Aliases: all(names(short, "node"), names(hubble, "node_name")),
		Also:    []string{"node", "node_name", "kubernetes.host", "kubernetes.node.name"}},
	{Name: "host.name", Type: Text, Meaning: "Machine that the record comes from.", Aliases: names(usual, "hostname"), Also: []string{"hostname"}},
}

var httpFields = []Field{
	{Name: "http.request.method", Type: Text, Values: "the methods of RFC 9110 and 5789, or _OTHER", Meaning: "Method of the request.",
		Aliases: all(names(envoy, "method"), names(hubble, "l7.http.method")), Also: []string{"method"}},
	{Name: "http.request.method_original", Type: Text, Meaning: "Method as it was sent, when http.request.method is _OTHER."},
	{Name: "url.scheme", Type: Text, Meaning: "Scheme of the URL."},
	{Name: "url.path", Type: Text, Sensitivity: Personal, Meaning: "Path of the URL, without the query.",
		Aliases: all(names(envoy, "path", "x-envoy-origin-path"), names(linkerd, "uri")), Also: []string{"path"}},
	{Name: "url.query", Type: Text, Sensitivity: Personal, Meaning: "Query of the URL, without the question mark."},
	{Name: "url.full", Type: Text, Sensitivity: Personal, Meaning: "Whole URL, when the sender gave one.", Aliases: names(usual, "url"), Also: []string{"url"}},
	{Name: "http.response.status_code", Type: Integer, Meaning: "Status code of the response; absent when none was sent.",
		Aliases: all(names(envoy, "response_code"), names(linkerd, "status"), names(hubble, "l7.http.code", "code"), names(usual, "status_code", "http_status")),
		Also:    []string{"response_code", "status_code", "status"}},
	{Name: "http.request.body.size", Type: Integer, Unit: ByteCount, Meaning: "Bytes of the request's body.",
		Aliases: all(united(ByteCount, envoy, "bytes_received"), united(ByteCount, linkerd, "request_bytes"))},
	{Name: "http.response.body.size", Type: Integer, Unit: ByteCount, Meaning: "Bytes of the response's body.",
		Aliases: all(united(ByteCount, envoy, "bytes_sent"), united(ByteCount, linkerd, "response_bytes"))},
	{Name: "http.request.header.x-request-id", Type: Text, Meaning: "Identity of the request, the same at every proxy it passes.",
		Aliases: all(names(envoy, "request_id"), names(usual, "x-request-id", "req_id")), Also: []string{"request_id", "x-request-id", "requestId"}},
	{Name: "http.request.header.x-forwarded-for", Type: Text, Sensitivity: Personal, Meaning: "Addresses that the request passed, as its header says.",
		Aliases: names(envoy, "x_forwarded_for", "x-forwarded-for")},
	{Name: "http.request.resend_count", Type: Integer, Meaning: "How often the request was sent again."},
	{Name: "user_agent.original", Type: Text, Sensitivity: Personal, Meaning: "User agent of the client.",
		Aliases: all(names(envoy, "user_agent", "user-agent")), Also: []string{"user_agent"}},
	{Name: "rpc.method", Type: Text, Meaning: "Method of a remote call."},
	{Name: "rpc.grpc.status_code", Type: Integer, Meaning: "Status of a gRPC call.", Aliases: names(envoy, "grpc_status")},
	{Name: "dns.question.name", Type: Text, Meaning: "Name that was asked for, without the final dot.", Aliases: names(hubble, "l7.dns.query", "query")},
	{Name: "dns.question.type", Type: Text, Meaning: "Types that were asked for, comma-separated."},
	{Name: "dns.answers", Type: Text, Meaning: "Addresses and names in the answer, comma-separated."},
	{Name: "dns.response_code", Type: Text, Meaning: "Response code by name, or by number when it has none."},
}

var networkFields = []Field{
	{Name: "network.protocol.name", Type: Text, Meaning: "Application protocol, in lower case.", Aliases: names(envoy, "protocol")},
	{Name: "network.protocol.version", Type: Text, Meaning: "Version of the application protocol: 1.1, 2, 3.", Aliases: names(linkerd, "version")},
	{Name: "network.transport", Type: Text, Values: "tcp, udp, icmp, icmpv6, sctp", Meaning: "Transport protocol."},
	{Name: "network.type", Type: Text, Values: "ipv4, ipv6", Meaning: "Family of the addresses."},
	{Name: "client.address", Type: Text, Sensitivity: Personal, Meaning: "Client that began the exchange: the left-most forwarded address, else the peer.",
		Aliases: all(names(usual, "client_ip", "remote_addr"), names(linkerd, "client.addr"), names(cloudtrail, "sourceIPAddress"), names(gcp, "protoPayload.requestMetadata.callerIp")), Also: []string{"client_ip", "remote_addr"}},
	{Name: "client.port", Type: Integer, Meaning: "Port of the client."},
	{Name: "source.address", Type: Text, Sensitivity: Personal, Meaning: "Source address of a flow.", Aliases: names(hubble, "IP.source", "src_ip")},
	{Name: "source.port", Type: Integer, Meaning: "Source port of a flow."},
	{Name: "destination.address", Type: Text, Sensitivity: Personal, Meaning: "Destination address of a flow.", Aliases: names(hubble, "IP.destination", "dst_ip")},
	{Name: "destination.port", Type: Integer, Meaning: "Destination port of a flow."},
	{Name: "network.peer.address", Type: Text, Sensitivity: Personal, Meaning: "Immediate peer of the proxy.",
		Aliases: all(names(envoy, "downstream_remote_address"), names(ztunnel, "src.addr"))},
	{Name: "network.peer.port", Type: Integer, Meaning: "Port of the immediate peer."},
	{Name: "network.local.address", Type: Text, Meaning: "The proxy's own address towards the client.", Aliases: names(envoy, "downstream_local_address")},
	{Name: "network.local.port", Type: Integer, Meaning: "The proxy's own port towards the client."},
	{Name: "server.address", Type: Text, Meaning: "Host that was asked for.",
		Aliases: all(names(envoy, "authority", ":authority"), names(linkerd, "host")), Also: []string{"authority"}},
	{Name: "server.port", Type: Integer, Meaning: "Port that was asked for."},
	{Name: "tls.client.server_name", Type: Text, Meaning: "Server name that the client asked for (SNI).", Aliases: names(envoy, "requested_server_name")},
	{Name: "tls.protocol.version", Type: Text, Meaning: "Version of TLS."},
	{Name: "tls.cipher", Type: Text, Meaning: "Cipher suite of TLS."},
	{Name: "tls.client.subject", Type: Text, Sensitivity: Personal, Meaning: "Subject of the client's certificate."},
	{Name: "tls.client.issuer", Type: Text, Meaning: "Issuer of the client's certificate."},
}

var peopleFields = []Field{
	{Name: "user.name", Type: Text, Sensitivity: Personal, Meaning: "Name of the person or account.", Aliases: all(names(usual, "user", "username"), names(k8sAudit, "user.username"), names(cloudtrail, "userIdentity.userName"), names(gcp, "protoPayload.authenticationInfo.principalEmail")), Also: []string{"user", "username"}},
	{Name: "user.id", Type: Text, Sensitivity: Personal, Meaning: "Identity of the person or account.", Aliases: all(names(k8sAudit, "user.uid"), names(cloudtrail, "userIdentity.arn"))},
	{Name: "http.request.header.authorization", Type: Text, Sensitivity: Secret, Meaning: "Credential of a request. Policy removes it.",
		Aliases: names(usual, "authorization", "Authorization")},
	{Name: "http.request.header.cookie", Type: Text, Sensitivity: Secret, Meaning: "Cookies of a request. Policy removes them.",
		Aliases: names(usual, "cookie", "Cookie")},
}
