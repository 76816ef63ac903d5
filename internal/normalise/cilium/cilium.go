// Package cilium reads what Cilium's own programs write beside Hubble's flows: what
// cilium monitor prints (pkg/monitor), as text and as JSON, and the logs of
// cilium-agent, cilium-operator and hubble-relay, which were logrus's until 1.17 and
// are slog's since.
//
// Monitor's lines have no time. Its identities are numbers or reserved names.
//
// Flows are package hubble's. It never panics on bytes from outside and keeps
// nothing beyond a call.
package cilium

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// The names of the formats.
const (
	Monitor     = "cilium-monitor"
	MonitorJSON = "cilium-monitor-json"
	Log         = "cilium-log"
	LogJSON     = "cilium-log-json"
)

// Formats are the text layouts that this package reads.
var Formats = []facts.Format{
	{Name: Monitor, Platform: "cilium", Mesh: "cilium", Kind: facts.Flow, Of: "Cilium, what cilium monitor prints"},
	{Name: Log, Platform: "cilium", Mesh: "cilium", Kind: facts.App, Of: "cilium-agent, cilium-operator and hubble-relay of themselves, in text"},
}

// reserved are the identities that have names.
var reserved = map[string]int64{
	"host": 1, "world": 2, "unmanaged": 3, "health": 4, "init": 5, "remote-node": 6, "kube-apiserver": 7, "ingress": 8, "world-ipv4": 9, "world-ipv6": 10, "encrypted-overlay": 11,
}

// identity writes a numeric identity, or that of a reserved name. unknown is none.
func identity(o *facts.Out, to field.ID, v []byte) {
	n, ok := facts.Uint(v)
	if !ok {
		if n, ok = reserved[string(v)]; !ok {
			return
		}
	}
	if n > 0 {
		o.Int(to, n)
	}
}

// MonitorLine reads what cilium monitor prints, a line each:
//
//	xx drop (REASON) flow 0xH to endpoint N, …, identity A->B: SRC -> DST tcp SYN
//	-> endpoint N flow 0xH, identity A->B state S ifindex I orig-ip IP: SRC -> DST tcp SYN
//	Policy verdict log: flow 0xH local EP ID N, remote ID M, proto P, ingress, action A, auth: X, match M, SRC -> DST tcp SYN
//	-> Request http from N ([LABELS]) to M ([LABELS]), identity A->B, verdict V GET URL => CODE
type MonitorLine struct{ made []byte }

// Text implements facts.Line.
func (l *MonitorLine) Text(line []byte, o *facts.Out) bool {
	l.made = l.made[:0]
	var ok bool
	switch line[0] {
	case 'x':
		ok = l.drop(line, o)
	case 'P':
		ok = l.verdict(line, o)
	case '-', '<':
		ok = l.trace(line, o) || l.layer7(line, o)
	}
	if ok {
		o.Derive(field.MeshReporter, "node")
		o.MeshType("cilium")
	}
	return ok
}

func begin(o *facts.Out) { o.Format, o.Status = Monitor, facts.OK }

func (l *MonitorLine) drop(b []byte, o *facts.Out) bool {
	b, ok := bytes.CutPrefix(b, []byte("xx drop ("))
	if !ok {
		return false
	}
	reason, rest, ok := bytes.Cut(b, []byte(") flow 0x"))
	if !ok {
		return false
	}
	begin(o)
	o.Derive(field.MeshVerdict, "DROPPED")
	o.Derive(field.MeshFlowType, "L3_L4")
	o.Derive(field.MeshFlowEvent, "1")
	dropped(o, reason)
	l.identities(rest, o)
	return true
}

// dropped writes a drop's reason as flows name it, and what it says of a policy.
func dropped(o *facts.Out, reason []byte) {
	switch string(reason) {
	case "Policy denied":
		o.Derive(field.MeshDropReason, "POLICY_DENIED")
	case "Policy denied by denylist":
		o.Derive(field.MeshDropReason, "POLICY_DENY")
	case "Authentication required":
		o.Derive(field.MeshDropReason, "AUTH_REQUIRED")
	default:
		var scratch [64]byte
		o.DeriveBytes(field.MeshDropReason, constant(scratch[:0], reason))
		if !bytes.HasPrefix(reason, []byte("Policy denied (")) { // (L3) and (L4) before 1.6
			return
		}
	}
	o.Decision("deny", "network-policy")
}

// constant appends "CT: Map insertion failed" as CT_MAP_INSERTION_FAILED.
func constant(dst, b []byte) []byte {
	for _, c := range b {
		switch {
		case c >= 'a' && c <= 'z':
			c -= 'a' - 'A'
		case (c < 'A' || c > 'Z') && (c < '0' || c > '9'):
			if len(dst) > 0 && dst[len(dst)-1] == '_' {
				continue
			}
			c = '_'
		}
		dst = append(dst, c)
	}
	return bytes.TrimRight(dst, "_")
}

// identities reads "identity A->B …: CONNECTION".
func (l *MonitorLine) identities(b []byte, o *facts.Out) {
	_, b, ok := bytes.Cut(b, []byte("identity "))
	if !ok {
		o.PartialOf("identity")
		return
	}
	source, rest, _ := bytes.Cut(b, []byte("->"))
	end := bytes.IndexAny(rest, " :,")
	if end < 0 {
		o.PartialOf("identity")
		return
	}
	identity(o, field.MeshSourceIdentityID, source)
	identity(o, field.MeshDestinationIdentityID, rest[:end])
	if _, state, ok := bytes.Cut(rest, []byte(" state ")); ok {
		state, _, _ = bytes.Cut(state, []byte(" "))
		if string(state) == "reply" {
			o.Bool(field.MeshFlowIsReply, true)
		}
	}
	i := bytes.LastIndex(rest, []byte(" -> "))
	if i < 0 {
		return
	}
	from := rest[:i]
	if j := bytes.LastIndex(from, []byte(": ")); j >= 0 {
		connection(o, from[j+2:], rest[i+4:])
	}
}

// connection writes SRC -> DST PROTOCOL FLAGS, in which addresses may have ports.
func connection(o *facts.Out, from, rest []byte) {
	to, what, _ := bytes.Cut(rest, []byte(" "))
	end(o, field.SourceAddress, field.SourcePort, from)
	end(o, field.DestinationAddress, field.DestinationPort, to)
	protocol, flags, _ := bytes.Cut(what, []byte(" "))
	switch string(protocol) {
	case "tcp":
		o.Derive(field.NetworkTransport, "tcp")
		var few [64]byte
		set := few[:0]
		for _, c := range flags {
			if c != ' ' && len(set) < cap(set) {
				set = append(set, c)
			}
		}
		o.DeriveBytes(field.MeshFlowTCPFlags, set)
	case "udp":
		o.Derive(field.NetworkTransport, "udp")
	case "sctp":
		o.Derive(field.NetworkTransport, "sctp")
	case "EchoRequest", "EchoReply":
		if bytes.IndexByte(from, ':') >= 0 {
			o.Derive(field.NetworkTransport, "icmpv6")
		} else {
			o.Derive(field.NetworkTransport, "icmp")
		}
	}
}

func end(o *facts.Out, address, port field.ID, b []byte) {
	addr, ok := facts.SplitAddress(b)
	if !ok {
		return
	}
	o.DeriveBytes(address, addr.Host)
	if addr.Port > 0 {
		o.Int(port, addr.Port)
	}
	if facts.IsAddress(addr.Host) {
		if bytes.IndexByte(addr.Host, ':') >= 0 {
			o.Derive(field.NetworkType, "ipv6")
		} else {
			o.Derive(field.NetworkType, "ipv4")
		}
	}
}

func (l *MonitorLine) verdict(b []byte, o *facts.Out) bool {
	b, ok := bytes.CutPrefix(b, []byte("Policy verdict log: flow 0x"))
	if !ok {
		return false
	}
	begin(o)
	o.Derive(field.MeshFlowType, "L3_L4")
	o.Derive(field.MeshFlowEvent, "5")
	var remote []byte
	inbound := false
	for len(b) > 0 {
		var part []byte
		if i := bytes.Index(b, []byte(", ")); i >= 0 && !bytes.Contains(b[:i], []byte(" -> ")) {
			part, b = b[:i], b[i+2:]
		} else {
			part, b = b, nil
		}
		if v, ok := bytes.CutPrefix(part, []byte("remote ID ")); ok {
			remote = v
		} else if v, ok := bytes.CutPrefix(part, []byte("action ")); ok {
			action(o, v)
		} else if v, ok := bytes.CutPrefix(part, []byte("auth: ")); ok && string(v) == "spire" {
			o.Derive(field.MeshMTLS, "mutual")
		} else if from, to, ok := bytes.Cut(part, []byte(" -> ")); ok {
			connection(o, from, to)
		}
		switch string(part) {
		case "ingress":
			inbound = true
			o.Derive(field.MeshDirection, "inbound")
		case "egress":
			o.Derive(field.MeshDirection, "outbound")
		}
	}
	if inbound {
		identity(o, field.MeshSourceIdentityID, remote)
	} else {
		identity(o, field.MeshDestinationIdentityID, remote)
	}
	return true
}

// action writes what a policy's verdict did.
func action(o *facts.Out, v []byte) {
	what, verdict := "", ""
	switch string(v) {
	case "allow":
		what, verdict = "allow", "FORWARDED"
	case "redirect":
		what, verdict = "allow", "REDIRECTED"
	case "deny":
		what, verdict = "deny", "DROPPED"
	case "audit":
		what, verdict = "audit", "AUDIT"
	default:
		o.PartialOf("action")
		return
	}
	o.Derive(field.MeshVerdict, verdict)
	o.Decision(what, "network-policy")
}

// trace reads "-> WHERE flow 0xH…", WHERE being endpoint N, stack, overlay, host, …
func (l *MonitorLine) trace(b []byte, o *facts.Out) bool {
	where, rest, ok := bytes.Cut(b[min(3, len(b)):], []byte(" flow 0x"))
	if !ok || !bytes.HasPrefix(b, []byte("-> ")) && !bytes.HasPrefix(b, []byte("<- ")) || len(where) > 32 {
		return false
	}
	where, _, _ = bytes.Cut(where, []byte(" "))
	if !bytes.Contains(rest, []byte("identity ")) {
		return false
	}
	begin(o)
	direction := "TO_"
	if b[0] == '<' {
		direction = "FROM_"
	}
	l.made = constant(append(l.made, direction...), where)
	o.DeriveBytes(field.MeshFlowObservationPoint, l.made)
	o.Derive(field.MeshVerdict, "FORWARDED")
	o.Derive(field.MeshFlowType, "L3_L4")
	o.Derive(field.MeshFlowEvent, "4")
	l.identities(rest, o)
	return true
}

func (l *MonitorLine) layer7(b []byte, o *facts.Out) bool {
	head, rest, ok := bytes.Cut(b, []byte(" from "))
	between := []byte(" to ")
	if to := bytes.Index(b, []byte(" to ")); ok && to >= 0 && to < len(head) { // a response: its request's source first
		head, rest, between = b[:to], b[to+4:], []byte(" from ")
	}
	ids, said, found := bytes.Cut(rest, []byte(", verdict "))
	if !ok || !found || len(head) > 32 {
		return false
	}
	half, protocol, ok := bytes.Cut(bytes.TrimLeft(head, "<-> "), []byte(" "))
	if !ok {
		return false
	}
	switch string(half) {
	case "Request", "Response", "request", "response":
	default:
		return false
	}
	begin(o)
	o.Derive(field.MeshFlowType, "L7")
	o.Derive(field.MeshFlowEvent, "129")
	if half[2] == 'q' {
		o.Derive(field.MeshFlowL7, "REQUEST")
	} else {
		o.Derive(field.MeshFlowL7, "RESPONSE")
	}
	o.DeriveLower(field.NetworkProtocolName, protocol)
	l.labels(ids, between, o)
	verdict, said, _ := bytes.Cut(said, []byte(" "))
	l7Verdict(o, verdict)
	l.said(protocol, said, o)
	return true
}

// labels reads "N ([LABELS]) to M ([LABELS]), identity A->B", and with from between.
func (l *MonitorLine) labels(b, between []byte, o *facts.Out) {
	from, to, _ := bytes.Cut(b, between)
	to, ids, _ := bytes.Cut(to, []byte(", identity "))
	for i, side := range [...][]byte{from, to} {
		_, list, ok := bytes.Cut(side, []byte("(["))
		if !ok {
			continue
		}
		list = bytes.TrimSuffix(list, []byte("])"))
		l.made = l.made[:0]
		for _, c := range list {
			if c == ' ' {
				c = ','
			}
			l.made = append(l.made, c)
		}
		o.DeriveBytes([...]field.ID{field.MeshSourceLabels, field.MeshDestinationLabels}[i], l.made)
		namespaceOf(o, [...]field.ID{field.MeshSourceNamespace, field.MeshDestinationNamespace}[i], list)
	}
	source, destination, _ := bytes.Cut(ids, []byte("->"))
	identity(o, field.MeshSourceIdentityID, source)
	identity(o, field.MeshDestinationIdentityID, destination)
}

// namespaceOf writes the namespace that a list of labels names.
func namespaceOf(o *facts.Out, to field.ID, labels []byte) {
	if _, ns, ok := bytes.Cut(labels, []byte("k8s:io.kubernetes.pod.namespace=")); ok {
		if end := bytes.IndexAny(ns, " ,;\""); end >= 0 {
			ns = ns[:end]
		}
		o.DeriveBytes(to, ns)
	}
}

func l7Verdict(o *facts.Out, v []byte) {
	switch string(v) {
	case "Forwarded":
		o.Derive(field.MeshVerdict, "FORWARDED")
	case "Denied":
		o.Derive(field.MeshVerdict, "DROPPED")
		o.Decision("deny", "network-policy")
	case "Redirected":
		o.Derive(field.MeshVerdict, "REDIRECTED")
	case "Error":
		o.Derive(field.MeshVerdict, "ERROR")
	}
}

// said reads what the proxy saw: "METHOD URL => CODE", "DNS Query: NAME TYPES", or a
// request of Kafka.
func (l *MonitorLine) said(protocol, b []byte, o *facts.Out) {
	switch string(protocol) {
	case "http":
		request, code, _ := bytes.Cut(b, []byte(" => "))
		method, url, ok := bytes.Cut(request, []byte(" "))
		if !ok || !facts.Token(method) {
			return
		}
		o.Method(method)
		o.URL(url)
		o.Server(facts.SplitURL(url).Host)
		if n, ok := facts.Uint(bytes.TrimSpace(code)); ok && n > 0 {
			o.Int(field.HTTPResponseStatusCode, n)
		}
	case "dns":
		q, ok := bytes.CutPrefix(b, []byte("DNS Query: "))
		if !ok {
			return
		}
		name, rest, _ := bytes.Cut(q, []byte(" "))
		kind, rest, _ := bytes.Cut(rest, []byte(" "))
		o.DeriveBytes(field.DNSQuestionName, bytes.TrimSuffix(name, []byte(".")))
		o.DeriveBytes(field.DNSQuestionType, kind)
		if _, answer, ok := bytes.Cut(rest, []byte("Answer: '")); ok {
			answer, _ = facts.CutByte(answer, '\'')
			o.DeriveBytes(field.DNSAnswers, answer)
		}
	case "kafka":
		o.Derive(field.MessagingSystem, "kafka")
		operation, _, _ := bytes.Cut(b, []byte(" "))
		o.DeriveBytes(field.MessagingOperationName, operation)
		if _, topic, ok := bytes.Cut(b, []byte("topic ")); ok {
			topic, _, _ = bytes.Cut(topic, []byte(" "))
			o.DeriveBytes(field.MessagingDestinationName, bytes.Trim(topic, "'"))
		}
	}
}
