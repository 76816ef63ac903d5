package schema

import (
	"slices"
	"strings"
)

// A mapping is what other vocabularies call a field: OpenTelemetry where it is not
// the field's own name, the Elastic Common Schema, and OCSF 1.x as the path of an
// attribute in the classes that package docs name (docs/platforms.md). "=" is the
// field's own name; "" is none. A name that means the same in another unit or
// form says so behind it.
type mapping struct{ otel, ecs, ocsf string }

// mappings by field. OpenTelemetry first, the Elastic Common Schema second: a
// field has a name of its own only where neither has one.
var mappings = map[string]mapping{
	"body":            {"Body", "message", "message"},
	"severity_text":   {"SeverityText", "log.level", "severity"},
	"severity_number": {"SeverityNumber", "event.severity (another scale)", "severity_id (1 to 6)"},
	"event.name":      {"EventName", "event.action", "metadata.event_code"},
	"trace_id":        {"TraceId", "trace.id", "trace.uid"},
	"span_id":         {"SpanId", "span.id", "trace.span.uid"},
	"trace_flags":     {"Flags", "", ""},
	"log.file.path":   {"", "=", "metadata.log_name"},
	"log.record.uid":  {"", "event.id", "metadata.uid"},
	"log.source":      {"", "", "metadata.log_provider"},
	"log.logger":      {"", "=", "metadata.log_name"},

	"k8s.cluster.name":   {"", "orchestrator.cluster.name", "cloud.cluster.name"},
	"k8s.namespace.name": {"", "orchestrator.namespace", "container.namespace"},
	"k8s.pod.label.app":  {"", "kubernetes.labels.app", ""},
	"k8s.pod.name":       {"", "kubernetes.pod.name", "dst_endpoint.instance_uid"},
	"k8s.container.name": {"", "container.name", "container.name"},
	"k8s.node.name":      {"", "kubernetes.node.name", "device.hostname"},
	"service.name":       {"", "=", "dst_endpoint.svc_name"},
	"service.version":    {"", "=", "metadata.product.version"},
	"host.name":          {"", "=", "device.hostname"},
	"host.id":            {"", "=", "device.uid"},
	"container.id":       {"", "=", "container.uid"},

	"http.request.method":                 {"", "=", "http_request.http_method"},
	"http.response.status_code":           {"", "=", "http_response.code"},
	"http.request.body.size":              {"", "http.request.body.bytes", "http_request.body_length"},
	"http.response.body.size":             {"", "http.response.body.bytes", "http_response.body_length"},
	"http.request.size":                   {"", "http.request.bytes", "http_request.length"},
	"http.response.size":                  {"", "http.response.bytes", "http_response.length"},
	"http.request.header.x-request-id":    {"", "http.request.id", "http_request.uid"},
	"http.request.header.x-forwarded-for": {"", "", "http_request.x_forwarded_for"},
	"http.request.header.referer":         {"", "http.request.referrer", "http_request.referrer"},
	"url.scheme":                          {"", "=", "http_request.url.scheme"},
	"url.path":                            {"", "=", "http_request.url.path"},
	"url.query":                           {"", "=", "http_request.url.query_string"},
	"url.full":                            {"", "=", "http_request.url.url_string"},
	"user_agent.original":                 {"", "=", "http_request.user_agent"},
	"rpc.method":                          {"", "", "api.operation"},
	"rpc.grpc.status_code":                {"rpc.response.status_code (by name)", "", "api.response.code"},
	"dns.question.name":                   {"", "=", "query.hostname"},
	"dns.question.type":                   {"", "=", "query.type"},
	"dns.answers":                         {"", "dns.resolved_ip (addresses only)", "answers[].rdata"},
	"dns.response_code":                   {"", "=", "rcode"},

	"network.protocol.name":    {"", "network.protocol", "connection_info.protocol_name"},
	"network.protocol.version": {"", "http.version", "http_request.version"},
	"network.transport":        {"", "=", "connection_info.protocol_name"},
	"network.type":             {"", "=", "connection_info.protocol_ver"},
	"network.bytes":            {"", "=", "traffic.bytes_out"},
	"network.packets":          {"", "=", "traffic.packets_out"},
	"client.address":           {"", "client.ip", "src_endpoint.ip"},
	"client.port":              {"", "=", "src_endpoint.port"},
	"source.address":           {"", "source.ip", "src_endpoint.ip"},
	"source.port":              {"", "=", "src_endpoint.port"},
	"destination.address":      {"", "destination.ip", "dst_endpoint.ip"},
	"destination.port":         {"", "=", "dst_endpoint.port"},
	"network.peer.address":     {"", "source.ip (of a proxy)", "proxy_endpoint.ip"},
	"network.peer.port":        {"", "source.port (of a proxy)", "proxy_endpoint.port"},
	"server.address":           {"", "=", "dst_endpoint.hostname"},
	"server.port":              {"", "=", "dst_endpoint.port"},
	"tls.client.server_name":   {"", "=", "tls.sni"},
	"tls.protocol.version":     {"", "tls.version", "tls.version"},
	"tls.cipher":               {"", "=", "tls.cipher"},
	"tls.client.subject":       {"", "=", "tls.certificate.subject"},
	"tls.client.issuer":        {"", "=", "tls.certificate.issuer"},

	"user.name":            {"", "=", "actor.user.name"},
	"user.id":              {"", "=", "actor.user.uid"},
	"user.roles":           {"", "=", "actor.user.groups[].name"},
	"user.effective.name":  {"", "=", "user.name"},
	"user.effective.id":    {"", "=", "user.uid"},
	"user.effective.roles": {"", "=", "user.groups[].name"},
	"user.target.name":     {"", "=", "user.name"},
	"user.target.id":       {"", "=", "user.uid"},
	"group.name":           {"", "=", "group.name"},
	"auth.method":          {"", "", "auth_protocol"},

	"event.action":   {"", "=", "api.operation"},
	"event.outcome":  {"", "=", "status"},
	"event.provider": {"", "=", "api.service.name"},
	"event.reason":   {"", "=", "status_detail"},
	"event.code":     {"", "=", "metadata.event_code"},
	"event.count":    {"", "", "count"},
	"error.code":     {"", "=", "api.response.error"},

	"cloud.provider":          {"", "=", "cloud.provider"},
	"cloud.region":            {"", "=", "cloud.region"},
	"cloud.availability_zone": {"", "=", "cloud.zone"},
	"cloud.account.id":        {"", "=", "cloud.account.uid"},
	"cloud.resource_id":       {"", "", "resources[].uid"},
	"aws.request_id":          {"", "", "api.request.uid"},
	"aws.vpc.id":              {"", "", "src_endpoint.vpc_uid"},
	"aws.vpc.interface_id":    {"", "", "src_endpoint.interface_uid"},
	"aws.vpc.subnet_id":       {"", "", "src_endpoint.subnet_uid"},
	"aws.log.group.names":     {"", "", "metadata.log_name"},
	"k8s.audit.id":            {"", "event.id", "metadata.uid"},
	"k8s.audit.verb":          {"", "event.action", "api.operation"},
	"k8s.audit.resource":      {"", "orchestrator.resource.type", "resources[].type"},
	"k8s.audit.object":        {"", "orchestrator.resource.name", "resources[].name"},
	"k8s.audit.decision":      {"", "", "action"},
	"k8s.event.reason":        {"", "event.reason", "status_detail"},
	"k8s.event.action":        {"", "event.action", ""},
	"k8s.event.count":         {"", "", "count"},
	"k8s.event.uid":           {"", "event.id", "metadata.uid"},
	"k8s.object.kind":         {"", "orchestrator.resource.type", "resources[].type"},
	"k8s.object.name":         {"", "orchestrator.resource.name", "resources[].name"},
	"k8s.object.uid":          {"", "orchestrator.resource.id", "resources[].uid"},
	"k8s.object.api_version":  {"", "orchestrator.api_version", ""},

	"mesh.direction":             {"", "network.direction (more values)", "connection_info.direction"},
	"mesh.source.workload":       {"", "", "src_endpoint.name"},
	"mesh.source.service":        {"", "", "src_endpoint.svc_name"},
	"mesh.source.pod":            {"", "", "src_endpoint.instance_uid"},
	"mesh.source.principal":      {"", "user.id", "actor.user.uid"},
	"mesh.destination.workload":  {"", "", "dst_endpoint.name"},
	"mesh.destination.service":   {"", "service.target.name", "dst_endpoint.svc_name"},
	"mesh.destination.pod":       {"", "", "dst_endpoint.instance_uid"},
	"mesh.response_code_details": {"", "", "status_detail"},
	"mesh.route":                 {"http.route", "", ""},
	"mesh.duration_ns":           {"", "event.duration", "duration (ms)"},
	"mesh.bytes_received":        {"", "source.bytes", "traffic.bytes_in"},
	"mesh.bytes_sent":            {"", "destination.bytes", "traffic.bytes_out"},
	"mesh.policy.decision":       {"", "event.type (allowed, denied)", "action_id, disposition_id"},
	"mesh.policy.name":           {"security_rule.name", "rule.name", "firewall_rule.name"},
	"mesh.policy.namespace":      {"", "", "policy.group.name"},
	"mesh.policy.rule":           {"", "rule.id", "firewall_rule.uid"},
	"mesh.policy.kind":           {"security_rule.category", "rule.category", "policy.name"},
	"mesh.policy.engine":         {"security_rule.ruleset.name", "rule.ruleset", "firewall_rule.type"},
	"mesh.verdict":               {"", "event.type (allowed, denied)", "disposition"},
	"mesh.drop_reason":           {"", "event.reason", "status_detail"},
	"mesh.flow.tcp_flags":        {"", "", "connection_info.tcp_flags (a number)"},
	"mesh.upstream.address":      {"", "destination.address", "dst_endpoint.ip"},
	"mesh.call.id":               {"", "network.community_id (another hash)", "connection_info.uid"},

	"span.name":                     {"Name", "span.name", "trace.span.operation"},
	"span.kind":                     {"Kind", "span.kind", ""},
	"parent_span_id":                {"ParentSpanId", "parent.id", "trace.span.parent_uid"},
	"span.status":                   {"Status.Code", "event.outcome", "trace.span.status_code"},
	"span.status_message":           {"Status.Message", "", "trace.span.message"},
	"span.trace_state":              {"TraceState", "", ""},
	"span.events":                   {"Events", "", ""},
	"span.links":                    {"Links", "span.links", ""},
	"peer.service":                  {"service.peer.name", "service.target.name", "trace.span.service.name"},
	"otel.dropped_attributes_count": {"DroppedAttributesCount", "", ""},
	"otel.dropped_events_count":     {"DroppedEventsCount", "", ""},
	"otel.dropped_links_count":      {"DroppedLinksCount", "", ""},

	"thread.name":               {"", "process.thread.name", ""},
	"thread.id":                 {"", "process.thread.id", "actor.process.tid"},
	"exception.type":            {"", "error.type", ""},
	"exception.message":         {"", "error.message", "status_detail"},
	"exception.stacktrace":      {"", "error.stack_trace", ""},
	"code.file.path":            {"", "log.origin.file.name", ""},
	"code.line.number":          {"", "log.origin.file.line", ""},
	"code.function.name":        {"", "log.origin.function", ""},
	"process.pid":               {"", "=", "actor.process.pid"},
	"process.parent_pid":        {"", "process.parent.pid", "actor.process.parent_process.pid"},
	"process.executable.name":   {"", "process.name", "actor.process.name"},
	"process.executable.path":   {"", "process.executable", "actor.process.file.path"},
	"process.command_line":      {"", "=", "actor.process.cmd_line"},
	"process.working_directory": {"", "=", "actor.process.working_directory"},
	"process.exit.code":         {"", "process.exit_code", "exit_code"},
	"process.tty.name":          {"", "", "actor.session.terminal"},
	"file.path":                 {"", "=", "file.path"},
	"db.namespace":              {"", "", "database.name"},

	"messaging.system":           {"", "", "api.service.name"},
	"messaging.destination.name": {"", "", "resources[].name"},
	"messaging.operation.name":   {"", "", "api.operation"},
	"consul.token.accessor_id":   {"", "user.id", "actor.session.credential_uid"},

	"syslog.facility": {"", "log.syslog.facility.name", ""},
	"syslog.priority": {"", "log.syslog.priority", ""},
	"syslog.version":  {"", "log.syslog.version", ""},
	"syslog.appname":  {"", "log.syslog.appname", "app_name"},
	"syslog.procid":   {"", "log.syslog.procid", ""},
	"syslog.msgid":    {"", "log.syslog.msgid", "metadata.event_code"},
	"systemd.unit":    {"", "systemd.unit", ""},

	"observer.ingress.interface.name": {"", "=", "src_endpoint.interface_name"},
	"observer.egress.interface.name":  {"", "=", "dst_endpoint.interface_name"},
	"observer.vendor":                 {"", "=", "metadata.product.vendor_name"},
	"observer.product":                {"", "=", "metadata.product.name"},
	"observer.version":                {"", "=", "metadata.product.version"},

	"data.classification": {"", "", "data_classification.confidentiality"},
	"deadletter.reason":   {"", "", "status_code"},
}

// mapped gives each field what other vocabularies call it. What only one field is
// called by the Elastic Common Schema, in the same unit and form, is an alias of it,
// and a column of that name answers for it.
func mapped(fields []Field) []Field {
	taken := map[string]int{}
	for i := range fields {
		f := &fields[i]
		m := mappings[f.Name]
		f.OTel, f.ECS, f.OCSF = called(m.otel, f), called(m.ecs, f), called(m.ocsf, f)
		taken[f.Name]++
		taken[f.ECS]++
		for _, a := range f.Aliases {
			taken[a.Name]++
		}
		for _, c := range f.Also {
			taken[c]++
		}
	}
	for i := range fields {
		if f := &fields[i]; f.ECS != "" && taken[f.ECS] == 1 && !strings.Contains(f.ECS, " ") {
			f.Aliases = append(slices.Clip(f.Aliases), Alias{f.ECS, f.Unit, ecs})
			f.Also = append(slices.Clip(f.Also), f.ECS)
		}
	}
	return fields
}

// called reads a name of a mapping.
func called(name string, f *Field) string {
	if name == "=" {
		return f.Name
	}
	return name
}
