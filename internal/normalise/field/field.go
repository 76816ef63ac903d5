// Package field numbers the canonical names that the platform parsers write, so
// that a parser's output finds its column by an index and not by its name.
//
// It is a list and knows nothing else: what the fields mean is in package
// schema. A name that no parser writes by itself is not here.
package field

// ID is one name of the list.
type ID uint16

// The names.
const (
	ClientAddress ID = iota
	ClientPort
	CloudAccountID
	CloudRegion
	DestinationAddress
	DestinationPort
	DNSAnswers
	DNSQuestionName
	DNSQuestionType
	DNSResponseCode
	EventCode
	EventName
	HostName
	HTTPRequestBodySize
	HTTPRequestHeaderReferer
	HTTPRequestHeaderXForwardedFor
	HTTPRequestHeaderXRequestID
	HTTPRequestMethod
	HTTPRequestMethodOriginal
	HTTPRequestResendCount
	HTTPRequestSize
	HTTPResponseBodySize
	HTTPResponseSize
	HTTPResponseStatusCode
	K8sClusterName
	K8sNamespaceName
	K8sNodeName
	K8sPodLabelApp
	K8sPodName
	LogIostream
	LogLogger
	LogPartial
	LogRecordUID
	LogSource
	MeshBytesReceived
	MeshBytesSent
	MeshCacheStatus
	MeshConnectionTerminationDetails
	MeshDestinationCluster
	MeshDestinationIdentityID
	MeshDestinationLabels
	MeshDestinationNamespace
	MeshDestinationPod
	MeshDestinationService
	MeshDestinationSubset
	MeshDestinationWorkload
	MeshDirection
	MeshDropReason
	MeshDurationNS
	MeshFirstByteNS
	MeshFlowEvent
	MeshFlowIsReply
	MeshFlowL7
	MeshFlowObservationPoint
	MeshFlowSummary
	MeshFlowTCPFlags
	MeshFlowType
	MeshID
	MeshListener
	MeshMTLS
	MeshPolicyDecision
	MeshPolicyEngine
	MeshPolicyKind
	MeshPolicyName
	MeshPolicyNamespace
	MeshPolicyRule
	MeshPolicyStatus
	MeshProcessingNS
	MeshQueueNS
	MeshReporter
	MeshRequestReadNS
	MeshResponseCodeDetails
	MeshResponseFlags
	MeshRoute
	MeshSourceCluster
	MeshSourceIdentityID
	MeshSourceLabels
	MeshSourceNamespace
	MeshSourcePod
	MeshSourcePrincipal
	MeshSourceService
	MeshSourceWorkload
	MeshTerminationReason
	MeshTerminationState
	MeshType
	MeshUpstreamAddress
	MeshUpstreamCluster
	MeshUpstreamConnectNS
	MeshUpstreamFirstByteNS
	MeshUpstreamLocalAddress
	MeshUpstreamDurationNS
	MeshUpstreamFailureReason
	MeshUpstreamName
	MeshUpstreamResponseSize
	MeshUpstreamStatusCode
	MeshVerdict
	NetworkLocalAddress
	NetworkLocalPort
	NetworkPeerAddress
	NetworkPeerPort
	NetworkProtocolName
	NetworkProtocolVersion
	NetworkTransport
	NetworkType
	ParseEscaped
	ParseFormat
	ParseStatus
	ProcessPID
	RPCGRPCStatusCode
	ServerAddress
	ServerPort
	ServiceName
	SeverityNumber
	SeverityText
	SourceAddress
	SourcePort
	SpanID
	SyslogAppname
	SyslogMsgid
	SyslogPriority
	SyslogProcid
	ThreadID
	TLSCipher
	TLSClientIssuer
	TLSClientServerName
	TLSClientSubject
	TLSProtocolVersion
	TraceFlags
	TraceID
	URLPath
	URLQuery
	URLScheme
	UserAgentOriginal
	UserName
	Body
	Count // how many there are
)

var names = [Count]string{
	ClientAddress:                    "client.address",
	ClientPort:                       "client.port",
	CloudAccountID:                   "cloud.account.id",
	CloudRegion:                      "cloud.region",
	DestinationAddress:               "destination.address",
	DestinationPort:                  "destination.port",
	DNSAnswers:                       "dns.answers",
	DNSQuestionName:                  "dns.question.name",
	DNSQuestionType:                  "dns.question.type",
	DNSResponseCode:                  "dns.response_code",
	EventCode:                        "event.code",
	EventName:                        "event.name",
	HostName:                         "host.name",
	HTTPRequestBodySize:              "http.request.body.size",
	HTTPRequestHeaderReferer:         "http.request.header.referer",
	HTTPRequestHeaderXForwardedFor:   "http.request.header.x-forwarded-for",
	HTTPRequestHeaderXRequestID:      "http.request.header.x-request-id",
	HTTPRequestMethod:                "http.request.method",
	HTTPRequestMethodOriginal:        "http.request.method_original",
	HTTPRequestResendCount:           "http.request.resend_count",
	HTTPRequestSize:                  "http.request.size",
	HTTPResponseBodySize:             "http.response.body.size",
	HTTPResponseSize:                 "http.response.size",
	HTTPResponseStatusCode:           "http.response.status_code",
	K8sClusterName:                   "k8s.cluster.name",
	K8sNamespaceName:                 "k8s.namespace.name",
	K8sNodeName:                      "k8s.node.name",
	K8sPodLabelApp:                   "k8s.pod.label.app",
	K8sPodName:                       "k8s.pod.name",
	LogIostream:                      "log.iostream",
	LogLogger:                        "log.logger",
	LogPartial:                       "log.partial",
	LogRecordUID:                     "log.record.uid",
	LogSource:                        "log.source",
	MeshBytesReceived:                "mesh.bytes_received",
	MeshBytesSent:                    "mesh.bytes_sent",
	MeshCacheStatus:                  "mesh.cache.status",
	MeshConnectionTerminationDetails: "mesh.connection_termination_details",
	MeshDestinationCluster:           "mesh.destination.cluster",
	MeshDestinationIdentityID:        "mesh.destination.identity_id",
	MeshDestinationLabels:            "mesh.destination.labels",
	MeshDestinationNamespace:         "mesh.destination.namespace",
	MeshDestinationPod:               "mesh.destination.pod",
	MeshDestinationService:           "mesh.destination.service",
	MeshDestinationSubset:            "mesh.destination.subset",
	MeshDestinationWorkload:          "mesh.destination.workload",
	MeshDirection:                    "mesh.direction",
	MeshDropReason:                   "mesh.drop_reason",
	MeshDurationNS:                   "mesh.duration_ns",
	MeshFirstByteNS:                  "mesh.first_byte_ns",
	MeshFlowEvent:                    "mesh.flow.event",
	MeshFlowIsReply:                  "mesh.flow.is_reply",
	MeshFlowL7:                       "mesh.flow.l7",
	MeshFlowObservationPoint:         "mesh.flow.observation_point",
	MeshFlowSummary:                  "mesh.flow.summary",
	MeshFlowTCPFlags:                 "mesh.flow.tcp_flags",
	MeshFlowType:                     "mesh.flow.type",
	MeshID:                           "mesh.id",
	MeshListener:                     "mesh.listener",
	MeshMTLS:                         "mesh.mtls",
	MeshPolicyDecision:               "mesh.policy.decision",
	MeshPolicyEngine:                 "mesh.policy.engine",
	MeshPolicyKind:                   "mesh.policy.kind",
	MeshPolicyName:                   "mesh.policy.name",
	MeshPolicyNamespace:              "mesh.policy.namespace",
	MeshPolicyRule:                   "mesh.policy.rule",
	MeshPolicyStatus:                 "mesh.policy.status",
	MeshProcessingNS:                 "mesh.processing_ns",
	MeshQueueNS:                      "mesh.queue_ns",
	MeshReporter:                     "mesh.reporter",
	MeshRequestReadNS:                "mesh.request_read_ns",
	MeshResponseCodeDetails:          "mesh.response_code_details",
	MeshResponseFlags:                "mesh.response_flags",
	MeshRoute:                        "mesh.route",
	MeshSourceCluster:                "mesh.source.cluster",
	MeshSourceIdentityID:             "mesh.source.identity_id",
	MeshSourceLabels:                 "mesh.source.labels",
	MeshSourceNamespace:              "mesh.source.namespace",
	MeshSourcePod:                    "mesh.source.pod",
	MeshSourcePrincipal:              "mesh.source.principal",
	MeshSourceService:                "mesh.source.service",
	MeshSourceWorkload:               "mesh.source.workload",
	MeshTerminationReason:            "mesh.termination_reason",
	MeshTerminationState:             "mesh.termination_state",
	MeshType:                         "mesh.type",
	MeshUpstreamAddress:              "mesh.upstream.address",
	MeshUpstreamCluster:              "mesh.upstream.cluster",
	MeshUpstreamConnectNS:            "mesh.upstream.connect_ns",
	MeshUpstreamFirstByteNS:          "mesh.upstream.first_byte_ns",
	MeshUpstreamLocalAddress:         "mesh.upstream.local_address",
	MeshUpstreamDurationNS:           "mesh.upstream_duration_ns",
	MeshUpstreamFailureReason:        "mesh.upstream_failure_reason",
	MeshUpstreamName:                 "mesh.upstream.name",
	MeshUpstreamResponseSize:         "mesh.upstream.response_size",
	MeshUpstreamStatusCode:           "mesh.upstream.status_code",
	MeshVerdict:                      "mesh.verdict",
	NetworkLocalAddress:              "network.local.address",
	NetworkLocalPort:                 "network.local.port",
	NetworkPeerAddress:               "network.peer.address",
	NetworkPeerPort:                  "network.peer.port",
	NetworkProtocolName:              "network.protocol.name",
	NetworkProtocolVersion:           "network.protocol.version",
	NetworkTransport:                 "network.transport",
	NetworkType:                      "network.type",
	ParseEscaped:                     "parse.escaped",
	ParseFormat:                      "parse.format",
	ParseStatus:                      "parse.status",
	ProcessPID:                       "process.pid",
	RPCGRPCStatusCode:                "rpc.grpc.status_code",
	ServerAddress:                    "server.address",
	ServerPort:                       "server.port",
	ServiceName:                      "service.name",
	SeverityNumber:                   "severity_number",
	SeverityText:                     "severity_text",
	SourceAddress:                    "source.address",
	SourcePort:                       "source.port",
	SpanID:                           "span_id",
	SyslogAppname:                    "syslog.appname",
	SyslogMsgid:                      "syslog.msgid",
	SyslogPriority:                   "syslog.priority",
	SyslogProcid:                     "syslog.procid",
	ThreadID:                         "thread.id",
	TLSCipher:                        "tls.cipher",
	TLSClientIssuer:                  "tls.client.issuer",
	TLSClientServerName:              "tls.client.server_name",
	TLSClientSubject:                 "tls.client.subject",
	TLSProtocolVersion:               "tls.protocol.version",
	TraceFlags:                       "trace_flags",
	TraceID:                          "trace_id",
	URLPath:                          "url.path",
	URLQuery:                         "url.query",
	URLScheme:                        "url.scheme",
	UserAgentOriginal:                "user_agent.original",
	UserName:                         "user.name",
	Body:                             "body",
}

// String returns the name.
func (f ID) String() string { return names[f] }

var ids = func() map[string]ID {
	m := make(map[string]ID, Count)
	for id, name := range names {
		m[name] = ID(id)
	}
	return m
}()

// Of returns the number of a name, if it has one.
func Of(name string) (ID, bool) {
	id, ok := ids[name]
	return id, ok
}
