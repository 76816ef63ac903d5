// Package istio reads what Istio's own programs write: the access log of ztunnel,
// the proxy of ambient nodes, and the logs of istiod, pilot-agent, ztunnel and the
// Envoy beside a workload, each as text and as JSON (istio pkg/log; ztunnel
// src/telemetry.rs and src/proxy/metrics.rs).
//
// ztunnel writes identities only of connections whose both ends proved them, so
// their absence is a connection in the clear. Its bytes are as its own workload
// sees them. dst.addr is the next hop, at port 15008 a tunnel's end;
// dst.hbone_addr, when it is there, is where the connection goes.
//
// Access logs of Envoy are package envoy's. It knows no other platform, never
// panics on bytes from outside and keeps nothing beyond a call.
package istio

import (
	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// The names of the formats.
const (
	Ztunnel     = "istio-ztunnel"
	ZtunnelJSON = "istio-ztunnel-json"
	Log         = "istio-log"
	LogJSON     = "istio-log-json"
)

// Formats are the text layouts that this package reads.
var Formats = []facts.Format{
	{Name: Ztunnel, Platform: "istio", Mesh: "istio-ambient", Kind: facts.Access, Of: "Istio's ztunnel, access log in text"},
	{Name: Log, Platform: "istio", Mesh: "istio", Kind: facts.App, Of: "istiod, pilot-agent, ztunnel and the sidecar's Envoy of themselves, in text"},
}

// Slots of the JSON logs besides those of the access log.
const (
	levelName = count + iota
	callerName
	policyName
	spanWorkload
	spanPeer
)

// Tables are the JSON layouts that this package reads.
var Tables = []*table.Table{
	mixer,
	{
		Format: facts.Format{Name: ZtunnelJSON, Platform: "istio", Mesh: "istio-ambient", Kind: facts.Access, Of: "Istio's ztunnel, access log in JSON"},
		All:    [][]string{{"scope"}, {"time"}, {"src.addr", "src.workload", "dst.addr"}, {"message"}},
		Keys: map[string]table.Rule{
			"time": table.Time(), "level": table.Severity().At(levelName), "scope": table.Text(field.LogLogger).At(scope), "message": table.Message().At(happening),
			"src.addr": table.Take(srcAddr), "src.workload": table.Take(srcWorkload), "src.namespace": table.Take(srcNamespace),
			"src.identity": table.Take(srcIdentity), "src.cluster": table.Take(srcCluster),
			"dst.addr": table.Take(dstAddr), "dst.hbone_addr": table.Take(dstHBONE), "dst.service": table.Take(dstService),
			"dst.workload": table.Take(dstWorkload), "dst.namespace": table.Take(dstNamespace), "dst.identity": table.Take(dstIdentity), "dst.cluster": table.Take(dstCluster),
			"direction": table.Take(direction), "bytes_sent": table.Take(bytesSent), "bytes_recv": table.Take(bytesReceived),
			"duration": table.Take(duration), "error": table.Take(failure),
			"method": table.Take(method), "path": table.Take(path), "protocol": table.Take(protocol), "response_code": table.Take(responseCode), "request_id": table.Take(requestID),
		},
		Match: func(s *table.Slots) bool { return s.Is(scope, "access") || s.Is(scope, "http access") },
		Finish: func(o *facts.Out, s *table.Slots) {
			var a access
			for k := range a.slot {
				a.slot[k] = s.Text(table.Slot(k))
			}
			a.write(o)
		},
	},
	{
		Format: facts.Format{Name: LogJSON, Platform: "istio", Mesh: "istio", Kind: facts.App, Of: "istiod, pilot-agent, ztunnel and the sidecar's Envoy of themselves, in JSON"},
		All:    [][]string{{"scope"}, {"time"}, {"level"}, {"msg", "message"}},
		None:   []string{"src.addr", "traceId", "span_id"},
		Keys: map[string]table.Rule{
			"time": table.Time(), "level": table.Severity().At(levelName), "scope": table.Take(scope), "msg": table.Message().At(happening), "message": table.Message().At(happening),
			"caller": table.Take(callerName), "stack": table.Text(field.ExceptionStacktrace), "thread": table.Int(field.ThreadID), "policy": table.Own().At(policyName),
			"proxy.wl": table.Own().At(spanWorkload), "inbound.peer": table.Own().At(spanPeer),
		},
		Match: func(s *table.Slots) bool { return s.Text(scope) != nil && level(s.Text(levelName)) },
		Finish: func(o *facts.Out, s *table.Slots) {
			o.DeriveBytes(field.LogLogger, module(s.Text(scope)))
			if v := s.Text(callerName); v != nil && !o.Place(v) {
				s.Leave(o, callerName)
			}
			workload(o, s.Text(spanWorkload))
			if v := s.Text(spanPeer); v != nil {
				atSide(o, "inbound")
				peer(o, v)
			}
			decided(o, s.Text(scope), s.Text(happening), s.Text(policyName))
		},
	},
}
