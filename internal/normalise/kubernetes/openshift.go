package kubernetes

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// The members that a record of OpenShift's collector is put together from.
const (
	_ table.Slot = iota
	collected
	severity
)

// viaq is the envelope of OpenShift's collector around lines of containers, of the
// audit daemon and of OVN. What the API server audits has it too, without a
// message, and is read as audit event.
var viaq = &table.Table{
	Format:   facts.Format{Name: "openshift-viaq", Platform: "openshift", Kind: facts.Host, Of: "the envelope of OpenShift's log collector (ViaQ)"},
	All:      [][]string{{"log_type"}, {"message"}, {"openshift.cluster_id", "log_source"}, {"hostname", "kubernetes.namespace_name"}},
	Envelope: true,
	Keys: map[string]table.Rule{
		"@timestamp": table.Own().At(collected), "message": table.Message(), "level": table.Take(severity), "hostname": table.Text(field.HostName),
		"kubernetes.namespace_name": table.Text(field.K8sNamespaceName), "kubernetes.pod_name": table.Text(field.K8sPodName),
		"kubernetes.container_name": table.Text(field.K8sContainerName), "kubernetes.labels.app": table.Text(field.K8sPodLabelApp),
		"kubernetes.container_iostream": table.Text(field.LogIostream),
	},
	Finish: func(o *facts.Out, s *table.Slots) {
		if m := s.Member(severity); m != nil {
			if n := facts.Level(m.Text); n != 0 {
				o.Str(field.SeverityText, m.Text)
				o.DeriveInt(field.SeverityNumber, n)
			} else { // default, unknown
				table.Keep(o, m)
			}
		}
		if ns, ok := facts.Time(s.Text(collected)); ok && !o.Fixed {
			o.Time = ns
		}
	},
}

// Formats are the layouts of text lines.
var Formats = []facts.Format{ovnFormat}

var ovnFormat = facts.Format{Name: "ovn-acl", Platform: "openshift", Mesh: "", Kind: facts.Flow, Of: "decisions of network policies, as OVN logs them (ovn-kubernetes)"}

// OVN reads what OVN's controller logs of access control:
//
//	2026-01-10T12:00:00.123Z|00004|acl_log(ovn_pinctrl0)|INFO|name="NP:NS:POLICY:Ingress", verdict=drop, severity=alert, direction=to-lport: tcp,…,nw_src=A,nw_dst=B,…,tp_src=P,tp_dst=P,tcp_flags=syn
//
// The zero OVN is ready to use.
type OVN struct{}

// Text implements facts.Line.
func (OVN) Text(line []byte, o *facts.Out) bool {
	ns, n := facts.Stamp(line)
	if n == 0 || n >= len(line) || line[n] != '|' {
		return false
	}
	_, rest := facts.CutByte(line[n+1:], '|')
	module, rest := facts.CutByte(rest, '|')
	level, rest := facts.CutByte(rest, '|')
	if !has(module, "acl_log(") || !has(rest, "name=") || !facts.IsLevel(level) {
		return false
	}
	o.Format, o.Status = ovnFormat.Name, facts.OK
	if !o.Fixed {
		o.Time = ns
	}
	o.Str(field.SeverityText, level)
	o.DeriveInt(field.SeverityNumber, facts.Level(level))
	name, packet := rest[len("name="):], []byte(nil)
	if i := bytes.Index(rest, []byte(": ")); i >= 0 {
		packet = rest[i+2:]
	}
	if len(name) > 0 && name[0] == '"' {
		name, rest = facts.CutByte(name[1:], '"')
	} else {
		name, rest = facts.CutByte(name, ',')
	}
	ovnPolicy(o, name)
	for len(rest) > 0 {
		var part []byte
		part, rest = facts.CutByte(rest, ',')
		part = bytes.TrimSpace(part)
		switch {
		case has(part, "verdict="):
			ovnVerdict(o, part[len("verdict="):])
		case has(part, "direction=from-lport"):
			o.Derive(field.MeshDirection, "outbound")
		case has(part, "direction=to-lport"):
			o.Derive(field.MeshDirection, "inbound")
		}
	}
	ovnPacket(o, packet)
	return true
}

// ovnPolicy writes the policy of a name: NP:NAMESPACE:POLICY:DIRECTION[:INDEX],
// of other kinds of policies too, or, once, NAMESPACE_POLICY.
func ovnPolicy(o *facts.Out, name []byte) {
	kind, rest := facts.CutByte(name, ':')
	if len(rest) == 0 || len(kind) > 8 {
		o.StrOf(field.MeshPolicyName, name)
		return
	}
	o.Str(field.MeshPolicyKind, kind)
	if string(kind) == "NP" || string(kind) == "EF" {
		var ns []byte
		if ns, rest = facts.CutByte(rest, ':'); len(ns) > 0 {
			o.Str(field.MeshPolicyNamespace, ns)
		}
	}
	policy, _ := facts.CutByte(rest, ':')
	o.StrOf(field.MeshPolicyName, policy)
}

func ovnVerdict(o *facts.Out, v []byte) {
	switch string(v) {
	case "allow", "pass":
		o.Derive(field.MeshPolicyDecision, "allow")
		o.Derive(field.MeshPolicyEngine, "network-policy")
	case "drop", "reject":
		o.Denied("network-policy")
	}
	o.StrOf(field.MeshVerdict, v)
}

// ovnPacket writes the packet, as Open vSwitch writes a flow.
func ovnPacket(o *facts.Out, b []byte) {
	transport, rest := facts.CutByte(b, ',')
	switch string(transport) {
	case "tcp", "udp", "sctp", "icmp":
		o.Str(field.NetworkTransport, transport)
	case "tcp6", "udp6", "sctp6":
		o.Str(field.NetworkTransport, transport[:len(transport)-1])
	case "icmp6":
		o.Derive(field.NetworkTransport, "icmpv6")
	}
	for len(rest) > 0 {
		var part []byte
		part, rest = facts.CutByte(rest, ',')
		key, value := facts.CutByte(part, '=')
		switch string(key) {
		case "nw_src", "ipv6_src":
			o.StrOf(field.SourceAddress, value)
			o.NetworkType(value)
		case "nw_dst", "ipv6_dst":
			o.StrOf(field.DestinationAddress, value)
		case "tp_src":
			ovnPort(o, field.SourcePort, value)
		case "tp_dst":
			ovnPort(o, field.DestinationPort, value)
		}
	}
}

func ovnPort(o *facts.Out, f field.ID, b []byte) {
	if n, ok := facts.Uint(b); ok && n < 1<<16 {
		o.Int(f, n)
	}
}
