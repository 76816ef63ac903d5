package istio

import (
	"encoding/base64"
	"net/netip"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// Mixer is the name of the format of Mixer's access log.
const Mixer = "istio-mixer-json"

// Slots of Mixer's access log.
const (
	_ table.Slot = iota
	mixReporter
	mixInstance
	mixProtocol
	mixCode
	mixSourceIP
	mixDestinationIP
	mixSourcePrincipal
	mixDestinationPrincipal
	mixSecurity
	mixSourceWorkload
	mixSourceNamespace
	mixSourcePod
	mixDestinationWorkload
	mixDestinationNamespace
	mixDestinationPod
	mixForwardedFor
	mixShadow
	mixShadowPolicy
)

// mixer is what the stdio adapter of Istio 1.0 to 1.4 wrote of the log entries
// accesslog and tcpaccesslog (mixer/adapter/stdio; install/kubernetes/helm/istio/
// charts/mixer/templates/config.yaml). Both ends' proxies report; what is not known
// is "unknown", an address that is not known 0.0.0.0. Versions before 1.5 wrote
// addresses as their bytes in base64. receivedBytes and sentBytes are of requests
// and responses with their headers.
var mixer = &table.Table{
	Format: facts.Format{Name: Mixer, Platform: "istio", Mesh: "istio", Kind: facts.Access, Of: "Mixer of Istio 1.0 to 1.7, access log in JSON"},
	All:    [][]string{{"instance"}, {"time"}, {"reporter"}, {"destinationWorkload"}, {"sourceWorkload"}, {"connection_security_policy"}},
	Keys: map[string]table.Rule{
		"time": table.Time(), "level": table.Severity(), "instance": table.Text(field.LogLogger).At(mixInstance), "reporter": table.Take(mixReporter),
		"method": table.Method(), "url": table.URL(), "protocol": table.Take(mixProtocol), "responseCode": table.Take(mixCode),
		"responseFlags": table.Text(field.MeshResponseFlags), "requestSize": table.Int(field.HTTPRequestBodySize), "responseSize": table.Int(field.HTTPResponseBodySize),
		"receivedBytes": table.Int(field.MeshBytesReceived), "sentBytes": table.Int(field.MeshBytesSent),
		"latency": table.Nanos(field.MeshDurationNS), "connectionDuration": table.Nanos(field.MeshDurationNS),
		"requestId": table.Text(field.HTTPRequestHeaderXRequestID), "userAgent": table.Text(field.UserAgentOriginal), "httpAuthority": table.Server(),
		"xForwardedFor": table.Take(mixForwardedFor), "sourceIp": table.Take(mixSourceIP), "destinationIp": table.Take(mixDestinationIP),
		"sourceWorkload": table.Take(mixSourceWorkload), "sourceNamespace": table.Take(mixSourceNamespace), "sourceName": table.Take(mixSourcePod), "sourcePrincipal": table.Take(mixSourcePrincipal),
		"destinationWorkload": table.Take(mixDestinationWorkload), "destinationNamespace": table.Take(mixDestinationNamespace), "destinationName": table.Take(mixDestinationPod), "destinationPrincipal": table.Take(mixDestinationPrincipal),
		"referer": table.Text(field.HTTPRequestHeaderReferer), "grpcStatus": table.Int(field.RPCGRPCStatusCode),
		"destinationServiceHost": table.Text(field.MeshDestinationService), "connection_security_policy": table.Take(mixSecurity),
		"requestedServerName": table.Text(field.TLSClientServerName), "permissiveResponseCode": table.Take(mixShadow), "permissiveResponsePolicyID": table.Take(mixShadowPolicy),
	},
	Match:  func(s *table.Slots) bool { return s.Is(mixReporter, "source") || s.Is(mixReporter, "destination") },
	Finish: finishMixer,
}

func finishMixer(o *facts.Out, s *table.Slots) {
	source := s.Is(mixReporter, "source")
	if source {
		o.Derive(field.MeshDirection, "outbound")
		o.Derive(field.MeshReporter, "source")
		observedMixer(o, s, mixSourceWorkload)
	} else {
		o.Derive(field.MeshDirection, "inbound")
		o.Derive(field.MeshReporter, "destination")
		observedMixer(o, s, mixDestinationWorkload)
	}
	switch p := s.Text(mixProtocol); string(p) {
	case "tcp", "mongo", "redis", "mysql":
		o.Derive(field.NetworkTransport, "tcp")
	case "":
	default:
		o.Protocol(p)
	}
	if !s.Is(mixProtocol, "http") && !s.Is(mixProtocol, "tcp") {
		keep(o, s, mixProtocol)
	}
	if code, ok := s.Int(mixCode); ok && code > 0 {
		o.Int(field.HTTPResponseStatusCode, code)
	}
	// Identities come before what Mixer itself says of the ends.
	var made [320]byte
	if v := s.Text(mixSourcePrincipal); named(v) && len(v) < 256 {
		o.SourcePrincipal(append(append(made[:0], "spiffe://"...), v...))
	} else if len(v) > 0 {
		keep(o, s, mixSourcePrincipal)
	}
	if v := s.Text(mixDestinationPrincipal); named(v) && len(v) < 256 {
		o.DeriveBytes(field.MeshDestinationPrincipal, append(append(made[:0], "spiffe://"...), v...))
	} else if len(v) > 0 {
		keep(o, s, mixDestinationPrincipal)
	}
	switch {
	case s.Is(mixSecurity, "mutual_tls"):
		o.Derive(field.MeshMTLS, "mutual")
	case s.Is(mixSecurity, "none"):
		o.Derive(field.MeshMTLS, "none")
	}
	keep(o, s, mixSecurity)
	for _, m := range [...]struct {
		at table.Slot
		to field.ID
	}{
		{mixSourceWorkload, field.MeshSourceWorkload}, {mixSourceNamespace, field.MeshSourceNamespace}, {mixSourcePod, field.MeshSourcePod},
		{mixDestinationWorkload, field.MeshDestinationWorkload}, {mixDestinationNamespace, field.MeshDestinationNamespace}, {mixDestinationPod, field.MeshDestinationPod},
	} {
		if v := s.Text(m.at); named(v) {
			o.DeriveBytes(m.to, v)
		} else if len(v) > 0 {
			keep(o, s, m.at)
		}
	}
	if ip, ok := mixerAddress(made[:0], s.Text(mixSourceIP)); ok {
		o.DeriveBytes(field.SourceAddress, ip)
		o.DeriveBytes(field.NetworkPeerAddress, ip)
		if !facts.IsAddress(s.Text(mixSourceIP)) {
			keep(o, s, mixSourceIP)
		}
		if v := s.Text(mixForwardedFor); len(v) > 0 && string(v) != "0.0.0.0" {
			o.Str(field.HTTPRequestHeaderXForwardedFor, v)
			o.DeriveBytes(field.ClientAddress, facts.First(v))
		} else {
			o.DeriveBytes(field.ClientAddress, ip)
			keep(o, s, mixForwardedFor)
		}
	} else {
		keep(o, s, mixSourceIP)
		keep(o, s, mixForwardedFor)
	}
	if ip, ok := mixerAddress(made[:0], s.Text(mixDestinationIP)); ok {
		o.DeriveBytes(field.DestinationAddress, ip)
	}
	if !facts.IsAddress(s.Text(mixDestinationIP)) {
		keep(o, s, mixDestinationIP)
	}
	switch {
	case s.Is(mixShadow, "denied"):
		o.Decision("shadow_deny", "rbac")
	case s.Is(mixShadow, "allowed"):
		o.Decision("shadow_allow", "rbac")
	}
	if v := s.Text(mixShadowPolicy); named(v) && string(v) != "none" {
		o.DeriveBytes(field.MeshPolicyName, v)
	} else {
		keep(o, s, mixShadowPolicy)
	}
	keep(o, s, mixShadow)
	o.MeshType("istio")
}

// observedMixer writes whose proxy reported: slots first to first+2 are its
// workload, namespace and pod.
func observedMixer(o *facts.Out, s *table.Slots, first table.Slot) {
	for i, to := range [...]field.ID{field.ServiceName, field.K8sNamespaceName, field.K8sPodName} {
		if v := s.Text(first + table.Slot(i)); named(v) {
			o.DeriveBytes(to, v)
		}
	}
}

func named(v []byte) bool { return len(v) > 0 && string(v) != "unknown" }

// mixerAddress appends an address that is given as text, or as 4 or 16 bytes in
// base64.
func mixerAddress(dst, v []byte) (ip []byte, ok bool) {
	if facts.IsAddress(v) {
		return v, string(v) != "0.0.0.0"
	}
	var raw [18]byte
	if len(v) != 8 && len(v) != 24 {
		return nil, false
	}
	n, err := base64.StdEncoding.Decode(raw[:], v)
	if err != nil {
		return nil, false
	}
	a, ok := netip.AddrFromSlice(raw[:n])
	if !ok || a.Unmap().IsUnspecified() {
		return nil, false
	}
	return a.Unmap().AppendTo(dst), true
}

// keep keeps a value as it is written too, where its field says it otherwise or
// not at all.
func keep(o *facts.Out, s *table.Slots, at table.Slot) {
	if m := s.Member(at); m != nil && len(m.Text) > 0 {
		table.Keep(o, m)
	}
}
