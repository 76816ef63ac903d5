package hubble

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// Compact is the name of the format of hubble observe's text.
const Compact = "hubble-compact"

// Text reads what hubble observe prints for people (cilium/hubble/pkg/printer):
//
//	TIME[ [NODE]]: SOURCE (IDENTITY) -> DESTINATION (IDENTITY) TYPE VERDICT[ BY POLICY (KIND), …] (SUMMARY)
//	TIME[   NODE]   SOURCE   DESTINATION   TYPE   VERDICT   SUMMARY
//
// the first with -o compact, as it is unless told otherwise, the second with -o
// tab. The arrow is <- for a reply, whose ends are printed the other way round, and
// <> when that is not known. It has no year. Versions before 0.10 print no
// identities.
type Text struct{ made []byte }

// Text implements facts.Line.
func (t *Text) Text(line []byte, o *facts.Out) bool {
	var ns int64
	n := 0
	if line[0] != '[' { // else the caller took the time for a container runtime's
		if ns, n = stampOf(line, o.Now); n == 0 || n+2 >= len(line) {
			return false
		}
	}
	t.made = t.made[:0]
	var l flowLine
	other := ""
	if !l.compact(line[n:]) && !l.tab(line[n:]) {
		if other = noFlow(line[n:]); other == "" {
			return false
		}
	}
	o.Format, o.Status = Compact, facts.OK
	if n > 0 && !o.Fixed && facts.Plausible(ns) {
		o.Time = ns
	}
	if other != "" {
		o.Derive(field.EventName, other)
		o.MeshType("cilium")
		return true
	}
	t.write(&l, o)
	return true
}

// noFlow returns the kind of what is printed between flows, by the names that the
// exporter has for them, or "":
//
//	[RELAY]: 1 nodes are unavailable: NODE
//	EVENTS LOST: HUBBLE_RING_BUFFER CPU(0) 1
//	POLICY_UPDATED (labels: […], revision: 2, count: 1)
//	ID: 2394 DBG_IP_ID_MAP_SUCCEED4 MARK: 0xd37e8a6d CPU: 07 (…)
func noFlow(b []byte) string {
	if rest, ok := bytes.CutPrefix(bytes.TrimPrefix(b, []byte(" ")), []byte("[")); ok {
		_, b = facts.CutByte(rest, ']')
	}
	b, ok := bytes.CutPrefix(b, []byte(": "))
	if !ok {
		return ""
	}
	if bytes.HasPrefix(b, []byte("EVENTS LOST: ")) {
		return "lost_events"
	}
	for _, s := range [...]string{" nodes are unavailable: ", " nodes removed from cluster: ", "Receiving flows from "} {
		if bytes.Contains(b[:min(len(b), 64)], []byte(s)) {
			return "node_status"
		}
	}
	if bytes.HasPrefix(b, []byte("ID: ")) && bytes.Contains(b, []byte(" MARK: ")) && bytes.Contains(b, []byte(" CPU: ")) {
		return "debug_event"
	}
	word, rest, _ := bytes.Cut(b, []byte(" "))
	for _, s := range [...]string{"AGENT_", "POLICY_", "ENDPOINT_", "IPCACHE_", "SERVICE_"} {
		if bytes.HasPrefix(word, []byte(s)) && len(rest) > 1 && rest[0] == '(' && rest[len(rest)-1] == ')' {
			return "agent_event"
		}
	}
	return ""
}

// stampOf reads the time of hubble observe: "Jan _2 15:04:05.000", in copies with
// one space less, or RFC 3339.
func stampOf(b []byte, now int64) (ns int64, n int) {
	if ns, n = facts.MonthStamp(b, now); n > 0 {
		return ns, n
	}
	if len(b) > 15 && b[3] == ' ' && b[5] == ' ' && b[4]-'0' < 10 {
		var wide [32]byte
		full := append(append(append(wide[:0], b[:4]...), ' '), b[4:min(len(b), 30)]...)
		if ns, n = facts.MonthStamp(full, now); n > 0 {
			return ns, n - 1
		}
	}
	return facts.Stamp(b)
}

// flowLine is a line by its parts. The ends are those of the packet.
type flowLine struct {
	node, kind, verdict, by, summary []byte
	ends                             [2]end
	reply, known                     bool // known: whether it is a reply
}

type end struct{ name, identity []byte }

// verdictWords are the verdicts that are printed.
var verdictWords = [...]string{"FORWARDED", "DROPPED", "ERROR", "AUDIT", "REDIRECTED", "TRACED", "TRANSLATED", "ALLOWED", "DENIED", "AUDITED", "VERDICT_UNKNOWN"}

func isVerdict(b []byte) bool {
	for _, v := range verdictWords {
		if string(b) == v {
			return true
		}
	}
	return false
}

func (l *flowLine) compact(b []byte) bool {
	if rest, ok := bytes.CutPrefix(bytes.TrimPrefix(b, []byte(" ")), []byte("[")); ok {
		if l.node, b = facts.CutByte(rest, ']'); len(b) == 0 {
			return false
		}
	}
	b, ok := bytes.CutPrefix(b, []byte(": "))
	if !ok {
		return false
	}
	if l.ends[0], b = endOf(b); len(b) < 4 {
		return false
	}
	flip := false
	switch string(b[:3]) {
	case "-> ":
		l.known = true
	case "<- ":
		l.known, l.reply, flip = true, true, true
	case "<> ":
	default:
		return false
	}
	if l.ends[1], b = endOf(b[3:]); len(l.ends[0].name) == 0 || len(l.ends[1].name) == 0 {
		return false
	}
	if flip {
		l.ends[0], l.ends[1] = l.ends[1], l.ends[0]
	}
	return l.event(b)
}

// endOf reads NAME[:PORT][ (IDENTITY)] and the space behind it.
func endOf(b []byte) (e end, rest []byte) {
	i := bytes.IndexByte(b, ' ')
	if i <= 0 {
		return e, nil
	}
	e.name, rest = b[:i], b[i+1:]
	if len(rest) > 0 && rest[0] == '(' {
		j := bytes.IndexByte(rest, ')')
		if j < 0 || j+2 > len(rest) {
			return e, nil
		}
		e.identity, rest = rest[1:j], rest[min(j+2, len(rest)):]
	}
	return e, rest
}

// event reads TYPE VERDICT[ BY …] (SUMMARY). The type may have spaces.
func (l *flowLine) event(b []byte) bool {
	for i := 0; i < len(b); {
		n := bytes.IndexByte(b[i:], ' ')
		if n < 0 {
			n = len(b) - i
		}
		if isVerdict(b[i : i+n]) {
			l.kind, l.verdict = bytes.TrimSpace(b[:i]), b[i:i+n]
			b = bytes.TrimLeft(b[i+n:], " ")
			if rest, ok := bytes.CutPrefix(b, []byte("BY ")); ok {
				end := bytes.LastIndex(rest, []byte(") ("))
				if end < 0 {
					return false
				}
				l.by, b = rest[:end+1], rest[end+2:]
			}
			if len(b) >= 2 && b[0] == '(' && b[len(b)-1] == ')' {
				l.summary = b[1 : len(b)-1]
				return true
			}
			return false
		}
		i += n + 1
	}
	return false
}

// tab reads columns that are parted by spaces, three at least.
func (l *flowLine) tab(b []byte) bool {
	if !bytes.HasPrefix(b, []byte("   ")) {
		return false
	}
	var col [6][]byte
	n := 0
	for len(b) > 0 && n < len(col) {
		b = bytes.TrimLeft(b, " ")
		i := bytes.Index(b, []byte("   "))
		if i < 0 {
			i = len(b)
		}
		col[n], b = b[:i], b[i:]
		n++
	}
	at := 0
	switch {
	case n >= 4 && isVerdict(col[3]):
	case n >= 5 && isVerdict(col[4]):
		l.node, at = col[0], 1
	default:
		return false
	}
	l.ends[0].name, l.ends[1].name, l.kind, l.verdict = col[at], col[at+1], col[at+2], col[at+3]
	if at+4 < n {
		l.summary = col[at+4]
	}
	return true
}

func (t *Text) write(l *flowLine, o *facts.Out) {
	o.DeriveBytes(field.K8sNodeName, l.node)
	for side := range l.ends {
		l.end(o, side)
	}
	if l.known {
		o.Bool(field.MeshFlowIsReply, l.reply)
	}
	t.event(l, o)
	l.decide(o)
	o.DeriveBytes(field.MeshFlowSummary, l.summary)
	t.said(l.summary, o)
	o.Derive(field.MeshReporter, "node")
	o.MeshType("cilium")
}

// reserved are the identities that have names (pkg/identity/reserved.go).
var reserved = [...]string{1: "host", 2: "world", 3: "unmanaged", 4: "health", 5: "init", 6: "remote-node", 7: "kube-apiserver", 8: "ingress", 9: "world-ipv4", 10: "world-ipv6", 11: "encrypted-overlay"}

// local is where the identities of addresses outside the cluster begin.
const local = 1 << 24

// identity returns an identity's number, 0 for none.
func (e *end) number() int64 {
	if digits, ok := bytes.CutPrefix(e.identity, []byte("ID:")); ok {
		n, _ := facts.Uint(digits)
		return n
	}
	for n, name := range reserved {
		if name != "" && string(e.identity) == name {
			return int64(n)
		}
	}
	return 0
}

var ends = [2]struct{ address, port field.ID }{{field.SourceAddress, field.SourcePort}, {field.DestinationAddress, field.DestinationPort}}

// end writes one end: NAMESPACE/POD, NAMESPACE/SERVICE, a name or an address.
func (l *flowLine) end(o *facts.Out, side int) {
	e, names := &l.ends[side], &sides[side]
	id := e.number()
	if id > 0 {
		o.Int(names.identity, id)
	}
	addr, ok := facts.SplitAddress(e.name)
	if !ok {
		o.PartialOf("endpoint")
		return
	}
	if addr.Port > 0 {
		o.Int(ends[side].port, addr.Port)
	}
	ns, name := facts.CutByte(addr.Host, '/')
	if len(name) == 0 {
		o.Str(ends[side].address, addr.Host)
		if facts.IsAddress(addr.Host) {
			if bytes.IndexByte(addr.Host, ':') >= 0 {
				o.Derive(field.NetworkType, "ipv6")
			} else {
				o.Derive(field.NetworkType, "ipv4")
			}
		} else if side == 1 {
			o.DeriveBytes(field.ServerAddress, addr.Host)
		}
		return
	}
	o.DeriveBytes(names.namespace, ns)
	if id > 0 && (id < int64(len(reserved)) || id >= local) {
		o.DeriveBytes(names.service, name)
		return
	}
	o.DeriveBytes(names.pod, name)
	o.DeriveBytes(names.workload, facts.PodWorkload(name))
	if string(l.kind) == "" {
		return
	}
	if side == 0 && bytes.HasSuffix(l.kind, []byte(" EGRESS")) || side == 1 && bytes.HasSuffix(l.kind, []byte(" INGRESS")) {
		o.DeriveBytes(field.ServiceName, facts.PodWorkload(name))
		o.DeriveBytes(field.K8sNamespaceName, ns)
		o.DeriveBytes(field.K8sPodName, name)
	}
}

// event writes type and verdict by the names that flows have for them: what is
// printed as ALLOWED, DENIED and AUDITED is the verdict of a policy.
func (t *Text) event(l *flowLine, o *facts.Out) {
	switch string(l.verdict) {
	case "ALLOWED":
		o.Derive(field.MeshVerdict, "FORWARDED")
	case "DENIED":
		o.Derive(field.MeshVerdict, "DROPPED")
	case "AUDITED":
		o.Derive(field.MeshVerdict, "AUDIT")
	default:
		o.Str(field.MeshVerdict, l.verdict)
	}
	kind := l.kind
	switch {
	case bytes.HasPrefix(kind, []byte("policy-verdict:")):
		o.Derive(field.MeshFlowType, "L3_L4")
		o.Derive(field.MeshFlowEvent, "5")
		if bytes.HasSuffix(kind, []byte(" EGRESS")) {
			o.Derive(field.MeshDirection, "outbound")
		} else if bytes.HasSuffix(kind, []byte(" INGRESS")) {
			o.Derive(field.MeshDirection, "inbound")
		}
	case l.matched():
		o.Derive(field.MeshFlowType, "L3_L4")
		o.Derive(field.MeshFlowEvent, "5")
	case l.layer7():
		o.Derive(field.MeshFlowType, "L7")
		_, half := facts.CutByte(kind, '-')
		half, _ = facts.CutByte(half, ' ')
		switch string(half) {
		case "request":
			o.Derive(field.MeshFlowL7, "REQUEST")
		case "response":
			o.Derive(field.MeshFlowL7, "RESPONSE")
		}
	case bytes.Contains(kind, []byte("-xlate-")):
		o.Derive(field.MeshFlowType, "SOCK")
	case string(l.verdict) == "DROPPED":
		o.Derive(field.MeshFlowType, "L3_L4")
		o.Str(field.MeshDropReason, t.reason(kind))
	case bytes.HasPrefix(kind, []byte("to-")) || bytes.HasPrefix(kind, []byte("from-")):
		o.Derive(field.MeshFlowType, "L3_L4")
		o.Str(field.MeshFlowObservationPoint, t.constant(kind))
	}
}

// matched reports whether the type is what a policy's verdict matched on, which is
// how versions before 0.9 print the events of verdicts.
func (l *flowLine) matched() bool {
	switch string(l.kind) {
	case "L3-Only", "L3-L4", "L4-Only", "L3-Proto", "Proto-Only", "all", "none":
		return true
	}
	return false
}

func (l *flowLine) layer7() bool {
	for _, s := range [...]string{"http-", "dns-", "kafka-", "l7-"} {
		if bytes.HasPrefix(l.kind, []byte(s)) {
			return true
		}
	}
	return false
}

// reason is a drop's reason as flows name it.
func (t *Text) reason(kind []byte) []byte {
	if string(kind) == "Policy denied by denylist" {
		return []byte("POLICY_DENY")
	}
	return t.constant(kind)
}

// constant turns "to-endpoint" into TO_ENDPOINT and "CT: Map insertion failed" into
// CT_MAP_INSERTION_FAILED.
func (t *Text) constant(b []byte) []byte {
	n := len(t.made)
	for _, c := range b {
		switch {
		case c >= 'a' && c <= 'z':
			c -= 'a' - 'A'
		case (c < 'A' || c > 'Z') && (c < '0' || c > '9'):
			if len(t.made) > n && t.made[len(t.made)-1] == '_' {
				continue
			}
			c = '_'
		}
		t.made = append(t.made, c)
	}
	return t.made[n:]
}

// decide derives what a network policy decided, and the first policy that did.
func (l *flowLine) decide(o *facts.Out) {
	what := ""
	switch string(l.verdict) {
	case "ALLOWED":
		what = "allow"
	case "DENIED":
		what = "deny"
	case "AUDIT", "AUDITED":
		what = "audit"
	case "FORWARDED", "REDIRECTED":
		if l.matched() {
			what = "allow"
		}
	case "DROPPED":
		if l.layer7() || l.matched() || bytes.HasPrefix(l.kind, []byte("Policy denied")) || string(l.kind) == "Authentication required" {
			what = "deny"
		}
	}
	if what != "" {
		o.Decision(what, "network-policy")
	}
	if name, kind, ok := bytes.Cut(l.by, []byte(" (")); ok {
		kind, _ = facts.CutByte(kind, ')')
		o.DeriveBytes(field.MeshPolicyName, name)
		o.DeriveBytes(field.MeshPolicyKind, kind)
	}
}
