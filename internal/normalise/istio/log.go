package istio

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/kv"
)

// Line reads text lines of Istio's programs.
type Line struct {
	access access
	text   []byte // without escapes
	policy []byte
}

// Text implements facts.Line.
func (l *Line) Text(line []byte, o *facts.Out) bool {
	h, ok := headOf(line)
	if !ok {
		return early(line, o)
	}
	if h.accessLog() {
		o.Format, o.Status = Ztunnel, facts.OK
		h.write(o)
		l.access.read(h.pairs, o)
		l.access.slot[happening] = h.message
		l.access.write(o)
		return true
	}
	if h.loose && o.Declared != "istio" && !bytes.HasPrefix(h.scope, []byte("envoy ")) {
		return false // any program's line that begins with a time and a word
	}
	o.Format, o.Status = Log, facts.OK
	h.write(o)
	l.own(&h, o)
	return true
}

// head is a line of Istio's loggers by its columns:
//
//	TIME LEVEL [SCOPE] [CALLER] MESSAGE [PAIRS]
//
// The columns are parted by tabs, as the programs write them, or by spaces, as
// copies show them. Of such a line that has no two spaces in a row the scope can not
// be told from the message: it is loose.
type head struct {
	time                 int64
	level, scope, caller []byte
	message, pairs       []byte
	loose                bool
}

// stampSize is the length of a time: RFC 3339 in UTC with microseconds, always.
const stampSize = len("2006-01-02T15:04:05.000000Z")

func headOf(b []byte) (h head, ok bool) {
	if len(b) < 16 {
		return h, false
	}
	if b[0]-'0' < 10 {
		if len(b) < stampSize+6 || b[stampSize-1] != 'Z' || b[10] != 'T' || b[19] != '.' || !blank(b[stampSize]) {
			return h, false
		}
		ns, n := facts.Stamp(b)
		if n != stampSize || !facts.Plausible(ns) {
			return h, false
		}
		h.time, b = ns, b[n:]
		return h, h.read(b)
	}
	// A copy without its time is known by nothing but the access log.
	end := bytes.IndexAny(b[:16], " \t")
	if end <= 0 || !level(b[:end]) {
		return h, false
	}
	h.level, b = b[:end], bytes.TrimLeft(b[end:], " \t")
	first, rest := cut(b, false)
	if s := string(first); s == "access" || s == "http access" {
		h.scope = first
		h.text(rest, false)
	} else {
		h.single(b)
	}
	return h, h.accessLog()
}

// read reads what stands behind the time.
func (h *head) read(b []byte) bool {
	tabbed := b[0] == '\t'
	wide := !tabbed && (bytes.Contains(b, []byte("  ")) || bytes.IndexByte(b, '\t') >= 0)
	b = bytes.TrimLeft(b, " \t")
	end := bytes.IndexAny(b, " \t")
	if end <= 0 || !level(b[:end]) {
		return false
	}
	h.level, b = b[:end], b[end:]
	if tabbed && b[0] != '\t' {
		return false
	}
	b = bytes.TrimLeft(b, " \t")
	if !tabbed && !wide {
		h.loose = true
		h.single(b)
		return true
	}
	h.columns(b, tabbed)
	return true
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

// level reports whether a word is a level as Istio's loggers write it.
func level(b []byte) bool {
	switch string(b) {
	case "trace", "debug", "info", "warn", "warning", "error", "critical", "fatal", "none":
		return true
	}
	return false
}

// cut returns the first column of b and the columns behind it.
func cut(b []byte, tabbed bool) (column, rest []byte) {
	if tabbed {
		return facts.CutByte(b, '\t')
	}
	for i := 0; i < len(b); i++ {
		if b[i] == '\t' || b[i] == ' ' && i+1 < len(b) && blank(b[i+1]) {
			return b[:i], bytes.TrimLeft(b[i:], " \t")
		}
	}
	return b, nil
}

func (h *head) columns(b []byte, tabbed bool) {
	first, rest := cut(b, tabbed)
	if len(rest) == 0 || !scopeName(first) {
		if tabbed || !h.single(b) {
			h.text(b, tabbed)
		}
		return
	}
	h.scope = first
	if i := bytes.LastIndexByte(first, ' '); i > len("envoy ") && caller(first[i+1:]) {
		h.scope, h.caller = first[:i], first[i+1:]
	}
	second, behind := cut(rest, tabbed)
	if caller(second) {
		h.caller, rest = second, behind
	}
	h.text(rest, tabbed)
}

// text splits the message and the pairs behind it. Pairs are a column of their own:
// what looks like a pair within a message is none.
func (h *head) text(b []byte, tabbed bool) {
	switch {
	case bytes.HasPrefix(h.scope, []byte("envoy ")):
		h.threaded(b)
	case tabbed:
		i := bytes.LastIndexByte(b, '\t')
		if kv.IsPair(b[i+1:]) {
			h.message, h.pairs = b[:max(i, 0)], b[i+1:]
			return
		}
		h.message = bytes.TrimRight(b, "\t")
	case string(h.scope) == "access" || string(h.scope) == "http access":
		h.message, h.pairs = kv.Message(b)
		h.message = bytes.TrimRight(h.message, " ")
	default:
		h.message = b
		for rest := b; len(rest) > 0; {
			if kv.IsPair(rest) {
				h.message, h.pairs = bytes.TrimRight(b[:len(b)-len(rest)], " \t"), rest
				return
			}
			_, rest = cut(rest, false)
		}
	}
}

// threaded splits a message of Envoy and the thread behind it.
func (h *head) threaded(b []byte) {
	h.message = b
	i := bytes.LastIndexAny(b, " \t")
	if kv.IsPair(b[i+1:]) && bytes.HasPrefix(b[i+1:], []byte("thread=")) {
		h.message, h.pairs = bytes.TrimRight(b[:max(i, 0)], " \t"), b[i+1:]
	}
}

// single reads what stands behind the level where one space may part columns: it
// knows the access log and Envoy's components by name.
func (h *head) single(b []byte) bool {
	for _, s := range [...]string{"access ", "http access "} {
		if rest, ok := bytes.CutPrefix(b, []byte(s)); ok {
			h.scope = b[:len(s)-1]
			h.message, h.pairs = kv.Message(bytes.TrimLeft(rest, " "))
			return true
		}
	}
	if rest, ok := bytes.CutPrefix(b, []byte("envoy ")); ok {
		if i := bytes.IndexByte(rest, ' '); i > 0 && i < 32 {
			h.scope = b[:len("envoy ")+i]
			rest = bytes.TrimLeft(rest[i:], " ")
			if i = bytes.IndexByte(rest, ' '); i > 0 && caller(rest[:i]) {
				h.caller, rest = rest[:i], bytes.TrimLeft(rest[i:], " ")
			}
			h.threaded(rest)
			return true
		}
	}
	h.message = b
	return false
}

// scopeName reports whether a column is a logger's name: a word, "envoy COMPONENT",
// "http access", or a Rust module with spans, whose fields may hold spaces.
func scopeName(b []byte) bool {
	if len(b) == 0 || len(b) > 512 {
		return false
	}
	if bytes.HasPrefix(b, []byte("envoy ")) {
		return bytes.Count(b, []byte(" ")) < 3
	}
	if string(b) == "http access" {
		return true
	}
	if i := bytes.IndexByte(b, '{'); i > 0 && b[len(b)-1] == '}' {
		b = b[:i]
	}
	for _, c := range b {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' && c != ':' && c != '/' {
			return false
		}
	}
	return len(b) <= 64 && b[len(b)-1] != ':'
}

func caller(b []byte) bool {
	i := bytes.LastIndexByte(b, ':')
	if i < 3 || bytes.IndexByte(b, ' ') >= 0 {
		return false
	}
	_, ok := facts.Uint(b[i+1:])
	return ok && (bytes.HasSuffix(b[:i], []byte(".go")) || bytes.HasSuffix(b[:i], []byte(".cc")) || bytes.HasSuffix(b[:i], []byte(".h")))
}

// accessLog reports whether the line is of ztunnel's access log.
func (h *head) accessLog() bool {
	if s := string(h.scope); s != "access" && s != "http access" {
		return false
	}
	switch string(h.message) {
	case "connection complete", "connection opened", "connection failed", "connection closed", "request complete", "request opened", "request failed":
		return kv.IsPair(h.pairs)
	}
	return false
}

func (h *head) write(o *facts.Out) {
	if h.time != 0 && !o.Fixed {
		o.Time = h.time
	}
	if string(h.level) != "none" {
		o.Severity(h.level)
	}
	o.DeriveBytes(field.LogLogger, module(h.scope))
	if len(h.caller) > 0 {
		o.Place(h.caller)
	}
}

// module returns a scope without the spans that ztunnel adds to it,
// MODULE:SPAN{FIELDS}, where a module may have :: within.
func module(b []byte) []byte {
	for i := 1; i < len(b); i++ {
		if b[i] != ':' {
			continue
		}
		if i+1 < len(b) && b[i+1] == ':' {
			i++
			continue
		}
		return b[:i]
	}
	return b
}

// own writes what a program says of itself: its pairs under their own names, and
// what a policy decided.
func (l *Line) own(h *head, o *facts.Out) {
	l.policy = l.policy[:0]
	s := kv.Scan(h.pairs, kv.Loose)
	for p, ok := s.Next(); ok; p, ok = s.Next() {
		v := p.Text(&l.text)
		switch {
		case p.Flag:
		case string(p.Key) == "thread":
			if n, ok := facts.Uint(v); ok {
				o.Int(field.ThreadID, n)
			}
		case string(p.Key) == "policy":
			l.policy = append(l.policy, v...)
			o.OwnText(p.Key, v)
		default:
			o.OwnText(p.Key, v)
		}
	}
	spans(o, h.scope)
	decided(o, h.scope, h.message, l.policy)
	o.MeshType("istio")
}

// spans reads what ztunnel says of the connection that it is at:
// MODULE:proxy{wl=NAMESPACE/POD}:inbound{id=… peer=ADDRESS}.
func spans(o *facts.Out, scope []byte) {
	i := bytes.IndexByte(scope, '{')
	if i < 0 {
		return
	}
	if bytes.Contains(scope, []byte(":inbound{")) || bytes.HasPrefix(scope, []byte("proxy::inbound:")) {
		atSide(o, "inbound")
	} else if bytes.Contains(scope, []byte(":outbound{")) || bytes.HasPrefix(scope, []byte("proxy::outbound:")) {
		atSide(o, "outbound")
	}
	for b := scope[i:]; len(b) > 0; {
		fields, rest := facts.CutByte(b[1:], '}')
		s := kv.Scan(fields, kv.Words)
		for p, ok := s.Next(); ok; p, ok = s.Next() {
			switch string(p.Key) {
			case "wl":
				workload(o, p.Value)
			case "peer":
				peer(o, p.Value)
			}
		}
		if i = bytes.IndexByte(rest, '{'); i < 0 {
			return
		}
		b = rest[i:]
	}
}

func atSide(o *facts.Out, direction string) {
	o.Derive(field.MeshDirection, direction)
	if direction == "inbound" {
		o.Derive(field.MeshReporter, "destination")
	} else {
		o.Derive(field.MeshReporter, "source")
	}
}

// workload writes whose connection it is: NAMESPACE/POD.
func workload(o *facts.Out, v []byte) {
	ns, pod := facts.CutByte(v, '/')
	if len(pod) == 0 {
		return
	}
	o.DeriveBytes(field.K8sNamespaceName, ns)
	o.DeriveBytes(field.K8sPodName, pod)
	o.DeriveBytes(field.ServiceName, facts.PodWorkload(pod))
}

func peer(o *facts.Out, v []byte) {
	if addr, ok := facts.SplitAddress(v); ok {
		o.DeriveBytes(field.ClientAddress, addr.Host)
		o.DeriveBytes(field.NetworkPeerAddress, addr.Host)
		if addr.Port > 0 {
			o.Int(field.NetworkPeerPort, addr.Port)
		}
	}
}

// decided derives the decision of a policy from a message of Envoy's RBAC filter
// at level debug (source/extensions/filters/{http,network}/rbac), or of ztunnel's
// authorisation (src/state.rs). Those of Envoy name the policy in the message.
func decided(o *facts.Out, scope, message, name []byte) {
	if string(scope) == "envoy rbac" {
		what, rest := "", message
		for _, s := range [...]struct{ text, what string }{
			{"enforced denied", "deny"}, {"enforced allowed", "allow"}, {"shadow denied", "shadow_deny"}, {"shadow allowed", "shadow_allow"},
		} {
			if after, ok := bytes.CutPrefix(message, []byte(s.text)); ok {
				what, rest = s.what, after
			}
		}
		if what == "" {
			return
		}
		o.Decision(what, "rbac")
		if p, ok := bytes.CutPrefix(rest, []byte(", matched policy ")); ok {
			o.RBACPolicy(bytes.TrimSpace(p))
		}
		return
	}
	scope = bytes.TrimPrefix(scope, []byte("ztunnel::"))
	if !bytes.HasPrefix(scope, []byte("state")) {
		return
	}
	switch string(message) {
	case "deny policy match", "no allow policies matched":
		o.Decision("deny", "rbac")
	case "allow policy match", "no allow policies, allow":
		o.Decision("allow", "rbac")
	case "dry-run: deny policy match", "dry-run: no allow policies match":
		o.Decision("shadow_deny", "rbac")
	case "dry-run: allow policy match":
		o.Decision("shadow_allow", "rbac")
	default:
		return
	}
	policy(o, name)
}
