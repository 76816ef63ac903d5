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
	AWSRequestID ID = iota
	AWSVPCID
	AWSVPCInterfaceID
	AWSVPCSubnetID
	AuditdEventID
	AuthKeyFingerprint
	AuthMethod
	ClientAddress
	ClientPort
	CodeFilePath
	CodeFunctionName
	CodeLineNumber
	CloudAccountID
	CloudAvailabilityZone
	CloudProvider
	CloudRegion
	CloudResourceID
	ConsulAuditStage
	ConsulTokenAccessorID
	ContainerID
	DBNamespace
	DestinationAddress
	DestinationPort
	DNSAnswers
	DNSQuestionName
	DNSQuestionType
	DNSResponseCode
	ErrorCode
	EventAction
	EventCode
	EventCount
	EventCreated
	EventName
	ExceptionMessage
	ExceptionStacktrace
	ExceptionType
	EventOutcome
	EventProvider
	EventReason
	FilePath
	GroupName
	HAProxyRequestHeaders
	HAProxyResponseHeaders
	HostID
	HostName
	HTTPRequestBodySize
	HTTPRequestHeaderAuthorization
	HTTPRequestHeaderCookie
	HTTPRequestHeaderReferer
	HTTPRequestHeaderXFCC
	HTTPRequestHeaderXForwardedFor
	HTTPRequestHeaderXRequestID
	HTTPRequestMethod
	HTTPRequestMethodOriginal
	HTTPRequestResendCount
	HTTPRequestSize
	HTTPResponseBodySize
	HTTPResponseSize
	HTTPResponseStatusCode
	K8sAuditDecision
	K8sAuditID
	K8sAuditLevel
	K8sAuditObject
	K8sAuditResource
	K8sAuditStage
	K8sAuditVerb
	K8sClusterName
	K8sContainerName
	K8sEventAction
	K8sEventCount
	K8sEventName
	K8sEventReason
	K8sEventUID
	K8sNamespaceName
	K8sNodeName
	K8sObjectAPIVersion
	K8sObjectFieldpath
	K8sObjectKind
	K8sObjectName
	K8sObjectUID
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
	MeshCallID
	MeshConnectionTerminationDetails
	MeshDestinationCluster
	MeshDestinationIdentityID
	MeshDestinationLabels
	MeshDestinationNamespace
	MeshDestinationPod
	MeshDestinationPrincipal
	MeshDestinationService
	MeshDestinationSubset
	MeshDestinationWorkload
	MeshDirection
	MeshDropReason
	MeshDurationNS
	MeshFailureClass
	MeshFirstByteNS
	MeshFlowEvent
	MeshFlowIsReply
	MeshFlowL7
	MeshFlowObservationPoint
	MeshFlowSummary
	MeshFlowTCPFlags
	MeshFlowType
	MeshHopAddress
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
	MeshResponseFlagsText
	MeshRetry
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
	MeshTimeout
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
	MeshWorkloadIdentity
	MessagingDestinationName
	MessagingOperationName
	MessagingSystem
	NetworkBytes
	NetworkLocalAddress
	NetworkLocalPort
	NetworkPackets
	NetworkPeerAddress
	NetworkPeerPort
	NetworkProtocolName
	NetworkProtocolVersion
	NetworkTransport
	NetworkType
	ObserverEgress
	ObserverIngress
	ObserverProduct
	ObserverVendor
	ObserverVersion
	ParseError
	ParseEscaped
	ParseFormat
	ParseStatus
	ProcessCommandLine
	ProcessExecutableName
	ProcessExecutablePath
	ProcessExitCode
	ProcessExitSignal
	ProcessParentPID
	ProcessPID
	ProcessWorkingDirectory
	ProcessTTY
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
	SyslogFacility
	SyslogMsgid
	SyslogPriority
	SyslogProcid
	SystemdUnit
	ThreadID
	ThreadName
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
	UserEffectiveID
	UserEffectiveName
	UserEffectiveRoles
	UserID
	UserName
	UserRoles
	UserTargetID
	UserTargetName
	Body
	Count // how many there are
)

var names = [Count]string{
	AWSRequestID:                     "aws.request_id",
	AWSVPCID:                         "aws.vpc.id",
	AWSVPCInterfaceID:                "aws.vpc.interface_id",
	AWSVPCSubnetID:                   "aws.vpc.subnet_id",
	AuditdEventID:                    "auditd.event.id",
	AuthKeyFingerprint:               "auth.key.fingerprint",
	AuthMethod:                       "auth.method",
	ClientAddress:                    "client.address",
	ClientPort:                       "client.port",
	CodeFilePath:                     "code.file.path",
	CodeFunctionName:                 "code.function.name",
	CodeLineNumber:                   "code.line.number",
	CloudAccountID:                   "cloud.account.id",
	CloudAvailabilityZone:            "cloud.availability_zone",
	CloudProvider:                    "cloud.provider",
	CloudRegion:                      "cloud.region",
	CloudResourceID:                  "cloud.resource_id",
	ConsulAuditStage:                 "consul.audit.stage",
	ConsulTokenAccessorID:            "consul.token.accessor_id",
	ContainerID:                      "container.id",
	DBNamespace:                      "db.namespace",
	DestinationAddress:               "destination.address",
	DestinationPort:                  "destination.port",
	DNSAnswers:                       "dns.answers",
	DNSQuestionName:                  "dns.question.name",
	DNSQuestionType:                  "dns.question.type",
	DNSResponseCode:                  "dns.response_code",
	ErrorCode:                        "error.code",
	EventAction:                      "event.action",
	EventCode:                        "event.code",
	EventCount:                       "event.count",
	EventCreated:                     "event.created",
	EventName:                        "event.name",
	ExceptionMessage:                 "exception.message",
	ExceptionStacktrace:              "exception.stacktrace",
	ExceptionType:                    "exception.type",
	EventOutcome:                     "event.outcome",
	EventProvider:                    "event.provider",
	EventReason:                      "event.reason",
	FilePath:                         "file.path",
	GroupName:                        "group.name",
	HAProxyRequestHeaders:            "haproxy.http.request.captured_headers",
	HAProxyResponseHeaders:           "haproxy.http.response.captured_headers",
	HostID:                           "host.id",
	HostName:                         "host.name",
	HTTPRequestBodySize:              "http.request.body.size",
	HTTPRequestHeaderAuthorization:   "http.request.header.authorization",
	HTTPRequestHeaderCookie:          "http.request.header.cookie",
	HTTPRequestHeaderReferer:         "http.request.header.referer",
	HTTPRequestHeaderXFCC:            "http.request.header.x-forwarded-client-cert",
	HTTPRequestHeaderXForwardedFor:   "http.request.header.x-forwarded-for",
	HTTPRequestHeaderXRequestID:      "http.request.header.x-request-id",
	HTTPRequestMethod:                "http.request.method",
	HTTPRequestMethodOriginal:        "http.request.method_original",
	HTTPRequestResendCount:           "http.request.resend_count",
	HTTPRequestSize:                  "http.request.size",
	HTTPResponseBodySize:             "http.response.body.size",
	HTTPResponseSize:                 "http.response.size",
	HTTPResponseStatusCode:           "http.response.status_code",
	K8sAuditDecision:                 "k8s.audit.decision",
	K8sAuditID:                       "k8s.audit.id",
	K8sAuditLevel:                    "k8s.audit.level",
	K8sAuditObject:                   "k8s.audit.object",
	K8sAuditResource:                 "k8s.audit.resource",
	K8sAuditStage:                    "k8s.audit.stage",
	K8sAuditVerb:                     "k8s.audit.verb",
	K8sClusterName:                   "k8s.cluster.name",
	K8sContainerName:                 "k8s.container.name",
	K8sEventAction:                   "k8s.event.action",
	K8sEventCount:                    "k8s.event.count",
	K8sEventName:                     "k8s.event.name",
	K8sEventReason:                   "k8s.event.reason",
	K8sEventUID:                      "k8s.event.uid",
	K8sNamespaceName:                 "k8s.namespace.name",
	K8sNodeName:                      "k8s.node.name",
	K8sObjectAPIVersion:              "k8s.object.api_version",
	K8sObjectFieldpath:               "k8s.object.fieldpath",
	K8sObjectKind:                    "k8s.object.kind",
	K8sObjectName:                    "k8s.object.name",
	K8sObjectUID:                     "k8s.object.uid",
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
	MeshCallID:                       "mesh.call.id",
	MeshConnectionTerminationDetails: "mesh.connection_termination_details",
	MeshDestinationCluster:           "mesh.destination.cluster",
	MeshDestinationIdentityID:        "mesh.destination.identity_id",
	MeshDestinationLabels:            "mesh.destination.labels",
	MeshDestinationNamespace:         "mesh.destination.namespace",
	MeshDestinationPod:               "mesh.destination.pod",
	MeshDestinationPrincipal:         "mesh.destination.principal",
	MeshDestinationService:           "mesh.destination.service",
	MeshDestinationSubset:            "mesh.destination.subset",
	MeshDestinationWorkload:          "mesh.destination.workload",
	MeshDirection:                    "mesh.direction",
	MeshDropReason:                   "mesh.drop_reason",
	MeshDurationNS:                   "mesh.duration_ns",
	MeshFailureClass:                 "mesh.failure.class",
	MeshFirstByteNS:                  "mesh.first_byte_ns",
	MeshFlowEvent:                    "mesh.flow.event",
	MeshFlowIsReply:                  "mesh.flow.is_reply",
	MeshFlowL7:                       "mesh.flow.l7",
	MeshFlowObservationPoint:         "mesh.flow.observation_point",
	MeshFlowSummary:                  "mesh.flow.summary",
	MeshFlowTCPFlags:                 "mesh.flow.tcp_flags",
	MeshFlowType:                     "mesh.flow.type",
	MeshHopAddress:                   "mesh.hop.address",
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
	MeshResponseFlagsText:            "mesh.response_flags_text",
	MeshRetry:                        "mesh.retry",
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
	MeshTimeout:                      "mesh.timeout",
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
	MeshWorkloadIdentity:             "mesh.workload.identity",
	MessagingDestinationName:         "messaging.destination.name",
	MessagingOperationName:           "messaging.operation.name",
	MessagingSystem:                  "messaging.system",
	NetworkBytes:                     "network.bytes",
	NetworkLocalAddress:              "network.local.address",
	NetworkLocalPort:                 "network.local.port",
	NetworkPackets:                   "network.packets",
	NetworkPeerAddress:               "network.peer.address",
	NetworkPeerPort:                  "network.peer.port",
	NetworkProtocolName:              "network.protocol.name",
	NetworkProtocolVersion:           "network.protocol.version",
	NetworkTransport:                 "network.transport",
	NetworkType:                      "network.type",
	ObserverEgress:                   "observer.egress.interface.name",
	ObserverIngress:                  "observer.ingress.interface.name",
	ObserverProduct:                  "observer.product",
	ObserverVendor:                   "observer.vendor",
	ObserverVersion:                  "observer.version",
	ParseError:                       "parse.error",
	ParseEscaped:                     "parse.escaped",
	ParseFormat:                      "parse.format",
	ParseStatus:                      "parse.status",
	ProcessCommandLine:               "process.command_line",
	ProcessExecutableName:            "process.executable.name",
	ProcessExecutablePath:            "process.executable.path",
	ProcessExitCode:                  "process.exit.code",
	ProcessExitSignal:                "process.exit.signal",
	ProcessParentPID:                 "process.parent_pid",
	ProcessPID:                       "process.pid",
	ProcessWorkingDirectory:          "process.working_directory",
	ProcessTTY:                       "process.tty.name",
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
	SyslogFacility:                   "syslog.facility",
	SyslogMsgid:                      "syslog.msgid",
	SyslogPriority:                   "syslog.priority",
	SyslogProcid:                     "syslog.procid",
	SystemdUnit:                      "systemd.unit",
	ThreadID:                         "thread.id",
	ThreadName:                       "thread.name",
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
	UserEffectiveID:                  "user.effective.id",
	UserEffectiveName:                "user.effective.name",
	UserEffectiveRoles:               "user.effective.roles",
	UserID:                           "user.id",
	UserName:                         "user.name",
	UserRoles:                        "user.roles",
	UserTargetID:                     "user.target.id",
	UserTargetName:                   "user.target.name",
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
