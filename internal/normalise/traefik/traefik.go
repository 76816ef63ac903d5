// Package traefik reads Traefik's access log in JSON
// (pkg/middlewares/accesslog/logdata.go). Its common format is read by package
// clf, and what it says of itself, which zerolog or logrus wrote, by package
// applog.
//
// Durations are nanoseconds. RouterName and ServiceName end in @PROVIDER. Headers
// stand under request_NAME, downstream_NAME and origin_NAME.
package traefik

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/clf"
	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// The slots of the table.
const (
	_ table.Slot = iota
	clientAddr
	clientHost
	clientPort
	forwarded
	requestAddr
	requestHost
	requestPort
	status
	originStatus
	retries
	service
	version
	subject
	logged
	originDuration
	started
)

// Tables are the JSON layouts.
var Tables = []*table.Table{{
	Format: facts.Format{Name: "traefik-json", Platform: "traefik", Mesh: "traefik", Kind: facts.Access, Of: "Traefik's access log, json"},
	All:    [][]string{{"ClientAddr", "ClientHost"}, {"RequestMethod", "RequestPath"}, {"DownstreamStatus", "OriginStatus", "Duration", "DownstreamContentSize"}},
	Keys: map[string]table.Rule{
		"StartUTC": table.Time(), "StartLocal": table.Take(started), "time": table.Take(logged),
		"ClientAddr": table.Take(clientAddr), "ClientHost": table.Take(clientHost), "ClientPort": table.Take(clientPort),
		"ClientUsername": table.Text(field.UserName),
		"RequestAddr":    table.Take(requestAddr), "RequestHost": table.Take(requestHost), "RequestPort": table.Take(requestPort),
		"RequestMethod": table.Method(), "RequestPath": table.URL(), "RequestProtocol": table.Protocol(), "RequestScheme": table.Text(field.URLScheme),
		"RequestContentSize": table.Int(field.HTTPRequestBodySize),
		"DownstreamStatus":   table.Take(status), "DownstreamContentSize": table.Int(field.HTTPResponseBodySize),
		"OriginStatus": table.Take(originStatus), "OriginContentSize": table.Int(field.MeshUpstreamResponseSize), "OriginDuration": table.Take(originDuration),
		"Duration": table.Nanos(field.MeshDurationNS), "Overhead": table.Nanos(field.MeshProcessingNS), "RetryAttempts": table.Take(retries),
		"RouterName": table.Text(field.MeshRoute), "ServiceName": table.Text(field.MeshUpstreamCluster).At(service), "ServiceAddr": table.Text(field.MeshUpstreamAddress),
		"FrontendName": table.Text(field.MeshRoute), "BackendName": table.Text(field.MeshUpstreamCluster), "BackendAddr": table.Text(field.MeshUpstreamAddress), // 1.x
		"TLSVersion": table.Take(version), "TLSCipher": table.Text(field.TLSCipher), "TLSClientSubject": table.Text(field.TLSClientSubject).At(subject),
		"entryPointName": table.Text(field.MeshListener), "TraceId": table.TraceID(), "SpanId": table.Text(field.SpanID),
		"level": table.Severity(), "msg": table.Text(field.Body),
		"request_User-Agent": table.Text(field.UserAgentOriginal), "request_Referer": table.Text(field.HTTPRequestHeaderReferer),
		"request_X-Forwarded-For": table.Take(forwarded), "request_X-Request-Id": table.Text(field.HTTPRequestHeaderXRequestID),
		"request_Traceparent": table.Traceparent(), "request_Authorization": table.Text(field.HTTPRequestHeaderAuthorization), "request_Cookie": table.Text(field.HTTPRequestHeaderCookie),
	},
	Finish: finish,
}}

func finish(o *facts.Out, s *table.Slots) {
	o.Derive(field.MeshReporter, "gateway")
	if v := s.Text(started); v != nil { // the same as StartUTC, which may have been dropped, with a zone
		if ns, ok := facts.Time(v); ok && o.Time == 0 && !o.Fixed {
			o.Time = ns
		} else {
			table.Keep(o, s.Member(started))
		}
	}
	if v := s.Text(logged); v != nil { // when it was logged: the end
		if ns, ok := facts.Time(v); ok && o.Time == 0 && !o.Fixed {
			o.Time = ns
		} else {
			table.Keep(o, s.Member(logged))
		}
	}
	peer := s.Text(clientAddr)
	if peer == nil {
		peer = s.Text(clientHost)
	}
	o.Peer(peer, s.Text(forwarded))
	if n, ok := s.Int(clientPort); ok && n > 0 && n < 65536 && s.Text(clientAddr) == nil {
		o.Int(field.NetworkPeerPort, n)
	}
	host := s.Text(requestAddr)
	if host == nil {
		host = s.Text(requestHost)
	}
	if host != nil {
		o.Server(host)
	}
	if n, ok := s.Int(requestPort); ok && n > 0 && n < 65536 {
		o.Int(field.ServerPort, n)
	}
	if n, ok := s.Int(status); ok && n > 0 {
		o.Int(field.HTTPResponseStatusCode, n)
	}
	if n, ok := s.Int(originStatus); ok && n > 0 {
		o.Int(field.MeshUpstreamStatusCode, n)
	}
	if ns, ok := s.Int(originDuration); ok && ns > 0 { // 0: nothing was asked
		o.Int(field.MeshUpstreamDurationNS, ns)
	}
	if n, ok := s.Int(retries); ok && n > 0 {
		o.Int(field.HTTPRequestResendCount, n)
	}
	target(o, s.Text(service))
	v := s.Text(version)
	if v != nil {
		o.TLSVersion(v)
	}
	switch {
	case s.Text(subject) != nil:
		o.Derive(field.MeshMTLS, "mutual")
	case v != nil:
		o.Derive(field.MeshMTLS, "tls")
	}
}

// target derives the service of NAME@PROVIDER: of Kubernetes the name is
// NAMESPACE-SERVICE-PORT, of others the service's own.
func target(o *facts.Out, name []byte) {
	name, provider, ok := bytes.Cut(name, []byte("@"))
	if !ok || len(name) == 0 {
		return
	}
	if !bytes.HasPrefix(provider, []byte("kubernetes")) {
		if string(provider) != "internal" {
			o.DeriveBytes(field.ServiceName, name)
		}
		return
	}
	if ns, svc, ok := clf.KubeService(name); ok {
		o.DeriveBytes(field.ServiceName, svc)
		o.DeriveBytes(field.K8sNamespaceName, ns)
	}
}
