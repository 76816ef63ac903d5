package cilium

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// Slots of the JSON layouts.
const (
	_ table.Slot = iota
	atType
	atReason
	atVerdict
	atHalf
	atPoint
	atSourceLabels
	atDestinationLabels
	atSourceIdentity
	atDestinationIdentity
	atSourceIP
	atDestinationIP
	atSourcePort
	atDestinationPort
	atTCP
	atUDP
	atHost
	atPath
	atQuery
	atCode
	atRequestID
	atUserAgent
	atTopic
	atOperation
	atDNS
	atSubsystem
	atPlace
	atPod
)

// Tables are the JSON layouts that this package reads.
var Tables = []*table.Table{monitor, log}

// monitor is what cilium monitor -j prints: log records of layer 7, drops, traces
// (pkg/proxy/accesslog, pkg/monitor/datapath_*.go).
var monitor = &table.Table{
	Format: facts.Format{Name: MonitorJSON, Platform: "cilium", Mesh: "cilium", Kind: facts.Flow, Of: "Cilium, what cilium monitor prints as JSON"},
	All:    [][]string{{"type"}, {"srcIdentity", "srcLabel", "source", "srcEpID"}, {"l7Proto", "summary.l3.src", "summary.ethernet", "reason", "traceSummary"}},
	Keys: map[string]table.Rule{
		"type": table.Own().At(atType), "reason": table.Take(atReason), "verdict": table.Take(atVerdict), "flowType": table.Take(atHalf), "observationPoint": table.Own().At(atPoint),
		"srcEpLabels": table.Take(atSourceLabels), "dstEpLabels": table.Take(atDestinationLabels),
		"srcIdentity": table.Take(atSourceIdentity), "DstIdentity": table.Take(atDestinationIdentity), "dstIdentity": table.Take(atDestinationIdentity), "srcLabel": table.Take(atSourceIdentity), "dstLabel": table.Take(atDestinationIdentity),
		"summary.l3.src": table.Text(field.SourceAddress).At(atSourceIP), "summary.l3.dst": table.Text(field.DestinationAddress).At(atDestinationIP),
		"summary.l4.src": table.Int(field.SourcePort).At(atSourcePort), "summary.l4.dst": table.Int(field.DestinationPort).At(atDestinationPort), "summary.tcp": table.Own().At(atTCP), "summary.udp": table.Own().At(atUDP),
		"l7Proto":   table.Text(field.NetworkProtocolName),
		"http.Code": table.Take(atCode), "http.Method": table.Method(), "http.Protocol": table.Protocol(), "http.URL.Scheme": table.Text(field.URLScheme),
		"http.URL.Host": table.Server().At(atHost), "http.URL.Path": table.Text(field.URLPath).At(atPath), "http.URL.RawQuery": table.Text(field.URLQuery).At(atQuery),
		"http.Headers.X-Request-Id": table.Take(atRequestID), "http.Headers.User-Agent": table.Take(atUserAgent),
		"kafka.Topic.Topic": table.Text(field.MessagingDestinationName).At(atTopic), "kafka.APIKey": table.Text(field.MessagingOperationName).At(atOperation),
		"dns.Query": table.Take(atDNS), "dns.query": table.Take(atDNS), "timestamp": table.Time(), "time": table.Time(),
	},
	Match: func(s *table.Slots) bool {
		switch string(s.Text(atType)) {
		case "logRecord", "drop", "trace":
			return true
		}
		return false
	},
	Finish: func(o *facts.Out, s *table.Slots) {
		switch string(s.Text(atType)) {
		case "drop":
			o.Derive(field.MeshFlowEvent, "1")
			o.Derive(field.MeshFlowType, "L3_L4")
			o.Derive(field.MeshVerdict, "DROPPED")
			dropped(o, s.Text(atReason))
		case "trace":
			o.Derive(field.MeshFlowEvent, "4")
			o.Derive(field.MeshFlowType, "L3_L4")
			o.Derive(field.MeshVerdict, "FORWARDED")
			var scratch [64]byte
			o.DeriveBytes(field.MeshFlowObservationPoint, constant(scratch[:0], s.Text(atPoint)))
		default:
			layer7(o, s)
		}
		if s.Member(atTCP) != nil {
			o.Derive(field.NetworkTransport, "tcp")
		} else if s.Member(atUDP) != nil {
			o.Derive(field.NetworkTransport, "udp")
		}
		identity(o, field.MeshSourceIdentityID, s.Text(atSourceIdentity))
		identity(o, field.MeshDestinationIdentityID, s.Text(atDestinationIdentity))
		o.Derive(field.MeshReporter, "node")
	},
}

// layer7 writes a log record of the proxy. Ingress and Egress are seen from the
// endpoint whose policy it enforces.
func layer7(o *facts.Out, s *table.Slots) {
	o.Derive(field.MeshFlowEvent, "129")
	o.Derive(field.MeshFlowType, "L7")
	switch string(s.Text(atHalf)) {
	case "Request":
		o.Derive(field.MeshFlowL7, "REQUEST")
	case "Response":
		o.Derive(field.MeshFlowL7, "RESPONSE")
	case "Sample":
		o.Derive(field.MeshFlowL7, "SAMPLE")
	}
	switch string(s.Text(atPoint)) {
	case "Ingress":
		o.Derive(field.MeshDirection, "inbound")
	case "Egress":
		o.Derive(field.MeshDirection, "outbound")
	}
	l7Verdict(o, s.Text(atVerdict))
	labels(o, s, atSourceLabels, field.MeshSourceLabels, field.MeshSourceNamespace)
	labels(o, s, atDestinationLabels, field.MeshDestinationLabels, field.MeshDestinationNamespace)
	if code, ok := s.Int(atCode); ok && code > 0 {
		o.Int(field.HTTPResponseStatusCode, code)
	}
	o.DeriveBytes(field.HTTPRequestHeaderXRequestID, s.First(atRequestID))
	o.DeriveBytes(field.UserAgentOriginal, s.First(atUserAgent))
	if s.Member(atTopic) != nil || s.Member(atOperation) != nil {
		o.Derive(field.MessagingSystem, "kafka")
	}
	if v := s.Text(atDNS); v != nil {
		o.DeriveBytes(field.DNSQuestionName, bytes.TrimSuffix(v, []byte(".")))
	}
}

// labels writes a list of labels with commas between, as flows have it.
func labels(o *facts.Out, s *table.Slots, at table.Slot, to, namespace field.ID) {
	m := s.Member(at)
	if m == nil || len(m.Text) < 4 {
		return
	}
	namespaceOf(o, namespace, m.Text)
	var scratch [512]byte
	list := scratch[:0]
	for _, c := range m.Text { // ["a","b"]: labels hold no quotes
		if c != '"' && c != '[' && c != ']' && c != ' ' {
			if len(list) == cap(list) {
				s.Leave(o, at)
				return
			}
			list = append(list, c)
		}
	}
	o.DeriveBytes(to, list)
}

// log is what the programs write with --log-opt format=json or json-ts.
var log = &table.Table{
	Format: facts.Format{Name: LogJSON, Platform: "cilium", Mesh: "cilium", Kind: facts.App, Of: "cilium-agent, cilium-operator and hubble-relay of themselves, in JSON"},
	All:    [][]string{{"level"}, {"msg"}, {"subsys", "module"}},
	Keys: map[string]table.Rule{
		"level": table.Severity(), "msg": table.Message(), "time": table.Time(), "timestamp": table.Time(), "ts": table.Time(),
		"subsys": table.Text(field.LogLogger).At(atSubsystem), "module": table.Text(field.LogLogger).At(atSubsystem), "source": table.Take(atPlace), "error": table.Text(field.ExceptionMessage),
		"containerID": table.Text(field.ContainerID), "k8sNamespace": table.Text(field.K8sNamespaceName), "k8sPodName": table.Take(atPod),
		"nodeName": table.Text(field.K8sNodeName), "clusterName": table.Text(field.K8sClusterName),
	},
	Match: func(s *table.Slots) bool {
		v := s.Text(atSubsystem)
		for _, sub := range [...]string{"agent", "operator", "health"} {
			if bytes.HasPrefix(v, []byte(sub+".")) || string(v) == sub {
				return true
			}
		}
		return v != nil && s.Member(atSubsystem).Name.Text == "subsys"
	},
	Finish: func(o *facts.Out, s *table.Slots) {
		if v := s.Text(atPlace); v != nil && !o.Place(v) {
			s.Leave(o, atPlace)
		}
		if v := s.Text(atPod); v != nil {
			known(o, []byte("k8sPodName"), v)
		}
	},
}
