// Package envoy reads the access logs of Envoy and of the meshes built on it:
// Envoy's default text, Istio's text in today's and older layouts, Kuma's text,
// and JSON of the same operators under the key names of Istio, Envoy Gateway,
// kgateway and others.
//
// Text and JSON meet in Access: a slot per operator, filled by either reader and
// written once, under canonical names, with the facts that they imply (direction,
// reporter, destination, mutual TLS, policy decision; ../../../docs/schema.md).
// The formats are those of Envoy's access log documentation, Istio's
// telemetry_logging.go and Kuma's MeshAccessLog.
//
// It knows nothing of other platforms and does not detect: that is normalise.
// An Access is scratch memory of one normaliser and aliases the bytes it reads
// until the next Reset.
package envoy

import (
	"slices"
	"strings"

	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
)

// Key is an access log operator, by what it means. 0 is none.
type Key uint8

// The operators.
const (
	None Key = iota
	StartTime
	Method
	Path
	Protocol
	Code
	Flags
	Details
	Termination
	Failure
	BytesReceived
	BytesSent
	Duration
	UpstreamTime
	ForwardedFor
	UserAgent
	RequestID
	Authority
	UpstreamHost
	UpstreamCluster
	UpstreamLocal
	DownstreamLocal
	DownstreamRemote
	ServerName
	Route
	PolicyStatus
	PeerURI
	FirstByte
	GRPCStatus
	Attempts
	TLSVersion
	TLSCipher
	PeerSubject
	PeerIssuer
	Traceparent
	B3TraceID
	B3SpanID
	SourceService      // Kuma
	DestinationService // Kuma
	MeshID             // Kuma
	FlagsLong
	Scheme
	Query
	Referer
	ClientCert // X-Forwarded-Client-Cert
	LocalURI   // the URI in the certificate that the proxy showed the client
	UpstreamURI
	DirectRemote
	TraceID
	SpanID
	UberTraceID
	B3
	HostName
	Direction
	ShadowResult
	ShadowPolicy
	SourceWorkload
	SourceNamespace
	DestinationWorkload
	DestinationNamespace
	numKeys
)

// keys are the JSON names of the operators.
var keys = map[string]Key{
	"start_time": StartTime,
	"method":     Method, ":method": Method, "request_method": Method,
	"path": Path, "x-envoy-origin-path": Path, "x_envoy_origin_path": Path, ":path": Path,
	"protocol":      Protocol,
	"response_code": Code, "response_status": Code,
	"response_flags":                    Flags,
	"response_code_details":             Details,
	"connection_termination_details":    Termination,
	"upstream_transport_failure_reason": Failure,
	"bytes_received":                    BytesReceived,
	"bytes_sent":                        BytesSent,
	"duration":                          Duration, "total_duration": Duration,
	"upstream_service_time": UpstreamTime, "x-envoy-upstream-service-time": UpstreamTime, "resp_backend_service_time": UpstreamTime,
	"x_forwarded_for": ForwardedFor, "x-forwarded-for": ForwardedFor, "req_x_forwarded_for": ForwardedFor,
	"user_agent": UserAgent, "user-agent": UserAgent,
	"request_id": RequestID, "x-request-id": RequestID, "x_request_id": RequestID,
	"authority": Authority, ":authority": Authority,
	"upstream_host": UpstreamHost, "upstreamHost": UpstreamHost, "backendHost": UpstreamHost,
	"upstream_cluster": UpstreamCluster, "upstreamCluster": UpstreamCluster, "backendCluster": UpstreamCluster, "upstream_cluster_raw": UpstreamCluster,
	"upstream_local_address":    UpstreamLocal,
	"downstream_local_address":  DownstreamLocal,
	"downstream_remote_address": DownstreamRemote,
	"requested_server_name":     ServerName,
	"route_name":                Route,
	"istio_policy_status":       PolicyStatus,
	"downstream_peer_uri_san":   PeerURI,
	"time_to_first_byte":        FirstByte,
	"grpc_status":               GRPCStatus, "grpc_status_number": GRPCStatus,
	"upstream_request_attempt_count": Attempts,
	"downstream_tls_version":         TLSVersion,
	"downstream_tls_cipher":          TLSCipher,
	"downstream_peer_subject":        PeerSubject,
	"downstream_peer_issuer":         PeerIssuer,
	"traceparent":                    Traceparent,
	"x_b3_traceid":                   B3TraceID, "x-b3-traceid": B3TraceID,
	"x_b3_spanid": B3SpanID, "x-b3-spanid": B3SpanID,
	"response_flags_long": FlagsLong,
	"x_forwarded_proto":   Scheme, "x-forwarded-proto": Scheme,
	"x_forwarded_client_cert": ClientCert, "x-forwarded-client-cert": ClientCert,
	"downstream_local_uri_san":         LocalURI,
	"upstream_peer_uri_san":            UpstreamURI,
	"downstream_direct_remote_address": DirectRemote,
	"uber_trace_id":                    UberTraceID, "uber-trace-id": UberTraceID,
	"shadow_engine_result":       ShadowResult,
	"shadow_effective_policy_id": ShadowPolicy,
}

// Platforms are those whose proxy is Envoy, by which a sender may declare its
// lines. It MUST NOT be changed.
var Platforms = []string{"envoy", "istio", "consul", "kuma", "appmesh", "osm", "gloo", "contour", "emissary", "envoy-gateway"}

// Family reports whether a platform's access logs are Envoy's.
func Family(platform string) bool { return platform != "" && slices.Contains(Platforms, platform) }

// columns are the keys' names as Istio writes them, to say which one did not fit.
var columns = func() (list [numKeys]string) {
	for name, k := range keys {
		if strings.ContainsFunc(name, func(r rune) bool { return r == ':' || r == '-' || r >= 'A' && r <= 'Z' }) {
			continue
		}
		if best := list[k]; best == "" || len(name) < len(best) || len(name) == len(best) && name < best {
			list[k] = name
		}
	}
	return list
}()

// KeyOf returns the operator that a JSON name stands for, or None.
func KeyOf(name string) Key { return keys[name] }

// Strong reports whether hardly anything but an Envoy access log has the
// operator.
func (k Key) Strong() bool {
	switch k {
	case Flags, Details, Termination, Failure, UpstreamHost, UpstreamCluster, UpstreamLocal,
		DownstreamLocal, DownstreamRemote, ServerName, Route, PolicyStatus, UpstreamTime, PeerURI,
		FlagsLong, DirectRemote, LocalURI, UpstreamURI:
		return true
	}
	return false
}

// Match reports whether a shape is an Envoy access log: strong and all count
// its keys, members all its names, null ones included. Applications have methods,
// paths and durations too, so only strong keys decide: few of them suffice where
// all names are operators.
func Match(strong, all, members int, flags, declared bool) bool {
	if declared {
		return all >= 3
	}
	return strong >= 3 || strong == 2 && (all >= 6 || all >= 3 && all == members) || flags && all >= 3
}

// Access is one access log record by operator. Slots alias what was read.
type Access struct {
	slot  [numKeys]*jsonscan.Member
	null  [numKeys]bool // JSON null, or - in text: known to be absent
	count int           // keys of the shape, null ones included
	other bool          // a name is spelt as Istio never spells it
	line  bool          // read from text
	odd   bool          // a value is of no type that an operator has
	// misfit is the name of what is odd, or the column of a text line that could not
	// be told from its neighbours.
	misfit string
	text   [numKeys]jsonscan.Member
	// started is the start time, where its text is not read again.
	started int64
	own     []ownField // what has no slot
	scratch []byte     // of derived texts
	mesh    string     // that the layout is of, if it says
	gateway bool       // a name is spelt as Envoy Gateway spells it
	at      [MaxOperators]span
}

// ownField is the text of an operator that has no canonical field. unit is how
// much one of its numbers is of the field's; 0 is text.
type ownField struct {
	name  string
	value []byte
	unit  int64
}

// Reset empties the slots.
func (a *Access) Reset() {
	a.slot = [numKeys]*jsonscan.Member{}
	a.null = [numKeys]bool{}
	a.count, a.other, a.line, a.odd, a.own, a.mesh = 0, false, false, false, a.own[:0], ""
	a.misfit, a.gateway = "", false
}

// Set puts a JSON member into a slot. It reports false when the slot is taken or
// the value can be no operator's: then the member is an ordinary one.
func (a *Access) Set(k Key, m *jsonscan.Member) bool {
	if m.Kind == jsonscan.Bool {
		a.odd, a.misfit = true, m.Name.Text
		return false
	}
	if a.slot[k] != nil {
		return false
	}
	a.slot[k] = m
	a.count++
	if k == Path && m.Name.Text == "x-envoy-origin-path" { // no other gateway's format calls it so
		a.gateway = true
	}
	return true
}

// Null notes that a key was there without a value.
func (a *Access) Null(k Key) { a.null[k], a.count = true, a.count+1 }

// NotIstio notes that a name of the shape is spelt as Istio never spells it.
func (a *Access) NotIstio() { a.other = true }

// Foreign reports whether Istio would spell the name of an operator otherwise:
// Envoy Gateway names headers as they are, Istio with underscores.
func Foreign(name string) bool {
	return KeyOf(name) != None && (strings.IndexByte(name, '-') >= 0 || name == ":authority")
}

// put fills a slot from text. Absent text leaves it empty.
func (a *Access) put(k Key, v []byte) {
	a.count++
	if len(v) == 0 || len(v) == 1 && v[0] == '-' {
		a.null[k] = true
		return
	}
	a.text[k] = jsonscan.Member{Kind: jsonscan.String, Text: v}
	a.slot[k] = &a.text[k]
}

// str returns a slot's text, nil when absent. A number is its text as written.
func (a *Access) str(k Key) []byte {
	m := a.slot[k]
	if m == nil || len(m.Text) == 0 || len(m.Text) == 1 && m.Text[0] == '-' {
		return nil
	}
	return m.Text
}
