package gcp

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

const j = "jsonPayload."

// connected are the names of a flow that VPC and firewall logs share.
func connected(own map[string]table.Rule) map[string]table.Rule {
	for name, r := range map[string]table.Rule{
		"connection.src_ip": table.Text(field.SourceAddress).At(address), "connection.src_port": table.Int(field.SourcePort),
		"connection.dest_ip": table.Text(field.DestinationAddress), "connection.dest_port": table.Int(field.DestinationPort),
		"connection.protocol": table.Own().At(protocol),
	} {
		own[j+name] = r
	}
	return keys(own)
}

func connection(o *facts.Out, s *table.Slots) {
	around(o, s)
	if n, ok := s.Int(protocol); ok {
		o.Transport(n)
	}
	o.NetworkType(s.Text(address))
}

var flow = &table.Table{
	Format: facts.Format{Name: "gcp-vpc-flow", Platform: "gcp", Kind: facts.Flow, Of: "Google Cloud VPC flow logs"},
	All:    [][]string{{j + "connection.src_ip"}, {j + "reporter", j + "bytes_sent", j + "packets_sent"}},
	None:   []string{j + "disposition"},
	Keys: connected(map[string]table.Rule{
		j + "bytes_sent": table.Int(field.NetworkBytes), j + "packets_sent": table.Int(field.NetworkPackets), j + "reporter": table.Own().At(reporter),
		j + "start_time": table.Own().At(starts), j + "end_time": table.Own().At(ends),
		j + "src_gke_details.pod.pod_name": table.Text(field.MeshSourcePod), j + "src_gke_details.pod.pod_namespace": table.Text(field.MeshSourceNamespace),
		j + "dest_gke_details.pod.pod_name": table.Text(field.MeshDestinationPod), j + "dest_gke_details.pod.pod_namespace": table.Text(field.MeshDestinationNamespace),
		"resource.labels.subnetwork_name": table.Own(),
	}),
	Finish: func(o *facts.Out, s *table.Slots) {
		connection(o, s)
		switch string(s.Text(reporter)) {
		case "SRC", "SRC_GATEWAY":
			o.Derive(field.MeshReporter, "source")
		case "DEST", "DEST_GATEWAY":
			o.Derive(field.MeshReporter, "destination")
		}
		from, ok := facts.Time(s.Text(starts))
		to, ok2 := facts.Time(s.Text(ends))
		if ok && ok2 && to >= from {
			o.DeriveInt(field.MeshDurationNS, to-from)
		}
	},
}

var firewall = &table.Table{
	Format: facts.Format{Name: "gcp-firewall", Platform: "gcp", Kind: facts.Flow, Of: "Google Cloud firewall logs"},
	All:    [][]string{{j + "connection.src_ip"}, {j + "disposition"}},
	Keys: connected(map[string]table.Rule{
		j + "disposition": table.Own().At(disposition), j + "rule_details.reference": table.Text(field.MeshPolicyName).At(ruleName),
		j + "rule_details.direction": table.Own().At(reporter),
	}),
	Finish: func(o *facts.Out, s *table.Slots) {
		connection(o, s)
		switch string(s.Text(disposition)) {
		case "ALLOWED":
			o.Derive(field.MeshPolicyDecision, "allow")
			o.Derive(field.MeshPolicyEngine, "firewall")
		case "DENIED":
			o.Denied("firewall")
		}
		switch string(s.Text(reporter)) {
		case "INGRESS":
			o.Derive(field.MeshDirection, "inbound")
		case "EGRESS":
			o.Derive(field.MeshDirection, "outbound")
		}
	},
}

const h = "httpRequest."

// balancer is an entry with a request: of a load balancer, of Cloud Run, of App
// Engine, and of applications that log requests as the logging library does.
var balancer = &table.Table{
	Format: facts.Format{Name: "gcp-http", Platform: "gcp", Kind: facts.Access, Of: "requests in Google Cloud's log entries: load balancers with Cloud Armor, Cloud Run, App Engine"},
	All:    [][]string{{h + "requestMethod", h + "requestUrl"}, {h + "status", h + "remoteIp", h + "userAgent"}, {"logName", "insertId", "resource.type"}},
	Keys: keys(map[string]table.Rule{
		h + "requestMethod": table.Method(), h + "requestUrl": table.URL().At(url), h + "status": table.Int(field.HTTPResponseStatusCode).At(status),
		h + "requestSize": table.Int(field.HTTPRequestSize), h + "responseSize": table.Int(field.HTTPResponseSize),
		h + "userAgent": table.Text(field.UserAgentOriginal), h + "referer": table.Text(field.HTTPRequestHeaderReferer),
		h + "remoteIp": table.Address(field.ClientAddress, field.ClientPort), h + "serverIp": table.Text(field.MeshUpstreamAddress),
		h + "latency": table.Seconds(field.MeshDurationNS), h + "protocol": table.Protocol(),
		j + "statusDetails": table.Text(field.MeshResponseCodeDetails), j + "remoteIp": table.Text(field.NetworkPeerAddress).At(peerIP),
		j + "enforcedSecurityPolicy.name": table.Text(field.MeshPolicyName), j + "enforcedSecurityPolicy.outcome": table.Own().At(armor),
		j + "enforcedSecurityPolicy.priority": table.Text(field.MeshPolicyRule), "resource.labels.backend_service_name": table.Text(field.MeshUpstreamCluster),
		"resource.labels.forwarding_rule_name": table.Text(field.MeshListener),
	}),
	Finish: func(o *facts.Out, s *table.Slots) {
		around(o, s)
		if u := facts.SplitURL(s.Text(url)); len(u.Host) > 0 {
			o.Server(u.Host)
		}
		switch v := s.Text(armor); {
		case bytes.Equal(v, []byte("DENY")):
			o.Denied("waf")
		case v != nil:
			o.Derive(field.MeshPolicyDecision, "allow")
			o.Derive(field.MeshPolicyEngine, "waf")
		}
	},
}
