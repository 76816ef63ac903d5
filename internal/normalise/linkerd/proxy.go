package linkerd

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/kv"
)

// The names of the formats of logs.
const (
	Proxy     = "linkerd-proxy"
	ProxyJSON = "linkerd-proxy-json"
	Control   = "linkerd-control"
)

// ProxyLog reads text lines of the proxy's own log (linkerd/tracing/src, plain
// format):
//
//	[  UPTIMEs]  LEVEL ThreadId(NN) SPAN{k=v}:SPAN: TARGET: MESSAGE k=v
//
// It has no time of day: the container runtime's is the record's. The policy
// controller and the other Rust programs write RFC 3339 and no thread instead.
type ProxyLog struct{ event event }

// Text implements facts.Line.
func (l *ProxyLog) Text(line []byte, o *facts.Out) bool {
	h, ok := proxyHead(line)
	if !ok {
		return false
	}
	o.Format, o.Status = Proxy, facts.OK
	if h.time != 0 {
		o.Format = Control
		if !o.Fixed {
			o.Time = h.time
		}
	}
	o.Severity(h.level)
	if h.thread > 0 {
		o.Int(field.ThreadID, h.thread)
	}
	e := &l.event
	e.reset()
	e.target = h.target
	e.spans(h.spans)
	message, pairs := kv.Message(h.rest)
	e.message = message
	s := kv.Scan(pairs, kv.Loose)
	for p, ok := s.Next(); ok; p, ok = s.Next() {
		v := p.Value
		if p.Escaped {
			n := len(e.made)
			e.made = kv.Unescape(e.made, v)
			v = e.made[n:]
		}
		if !p.Flag && !e.set(p.Key, v) {
			o.OwnText(p.Key, v)
		}
	}
	e.write(o)
	return true
}

type proxyLine struct {
	level, spans, target, rest []byte
	thread                     int64
	time                       int64 // ns, 0 for a line of the proxy
	bare                       bool  // begins with the level
}

func proxyHead(b []byte) (h proxyLine, ok bool) {
	if b[0] == '[' {
		n := uptime(b)
		if n == 0 {
			return h, false
		}
		b = bytes.TrimLeft(b[n:], " ")
	} else if b[0]-'0' > 9 { // copied without the uptime
		h.bare = true
	} else {
		ns, n := facts.Stamp(b)
		if n == 0 || n >= len(b) || b[n] != ' ' || b[n-1] != 'Z' || !facts.Plausible(ns) {
			return h, false
		}
		h.time, b = ns, bytes.TrimLeft(b[n:], " ")
	}
	h.level, b = facts.CutByte(b, ' ')
	switch string(h.level) {
	case "TRACE", "DEBUG", "INFO", "WARN", "ERROR":
	default:
		return h, false
	}
	b = bytes.TrimLeft(b, " ")
	if rest, found := bytes.CutPrefix(b, []byte("ThreadId(")); found {
		n, rest := facts.CutByte(rest, ')')
		if h.thread, ok = facts.Uint(n); !ok {
			return h, false
		}
		b = bytes.TrimLeft(rest, " ")
	}
	h.origin(b)
	return h, h.time == 0 && (!h.bare || h.thread > 0) || bytes.HasPrefix(h.target, []byte("linkerd"))
}

// uptime returns the length of [SECONDS.MICROS s] with spaces before the seconds,
// or 0.
func uptime(b []byte) int {
	end := bytes.IndexByte(b[:min(len(b), 32)], ']')
	if end < 5 || b[end-1] != 's' {
		return 0
	}
	seconds, micros := facts.CutByte(bytes.TrimLeft(b[1:end-1], " "), '.')
	if _, ok := facts.Uint(seconds); !ok || len(micros) != 6 {
		return 0
	}
	return end + 1
}

// origin splits spans, target and message. Spans and target both end with a colon
// and a space: of two such groups the second is the target, and a lone one is it
// unless it looks like spans.
func (h *proxyLine) origin(b []byte) {
	first, n := group(b)
	if n == 0 {
		h.spans, h.rest = nil, b
		if first != nil { // spans alone: the line was cut
			h.spans, h.rest = first, nil
		}
		return
	}
	second, m := group(b[n:])
	switch {
	case m > 0 && modulePath(second):
		h.spans, h.target, h.rest = first, second, b[n+m:]
	case modulePath(first):
		h.target, h.rest = first, b[n:]
	default:
		h.spans, h.rest = first, b[n:]
	}
}

// group returns what b begins with up to a colon and a space, and where the rest
// is. Spaces within braces are the fields' of spans. n is 0 when there is none;
// then first is all of b if it is one group that the line's end cut.
func group(b []byte) (first []byte, n int) {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '{':
			depth++
		case c == '}':
			depth--
		case c == '"' && depth > 0:
			if end, _ := kv.Quote(b[i:]); end > 0 {
				i += end - 1
			}
		case c == ' ' && depth <= 0:
			if i > 0 && b[i-1] == ':' {
				return b[:i-1], i + 1
			}
			return nil, 0
		}
	}
	if len(b) > 0 && bytes.IndexByte(b, '{') > 0 {
		return b, 0
	}
	return nil, 0
}

// modulePath reports whether b is a path of Rust modules: a::b, or one of names
// that the proxy's crates have.
func modulePath(b []byte) bool {
	if string(b) == "error" || string(b) == "warning" {
		return false
	}
	for _, c := range b {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != ':' {
			return false
		}
	}
	if bytes.Contains(b, []byte("::")) {
		return true
	}
	return len(b) > 0 && bytes.IndexByte(b, ':') < 0
}

// event is one record of the proxy's log by what is known of its fields.
type event struct {
	target, message, failure        []byte
	serverKind, serverName          []byte
	routeGroup, routeKind, route    []byte
	authzKind, authzName            []byte
	tls, clientIP, client, identity []byte
	peer                            []byte // of a span
	port, path                      []byte
	proxied, endpoint               []byte // addresses of outbound spans
	serviceNS, service              []byte
	inbound, outbound               bool
	made                            []byte // scratch: values without escapes
}

func (e *event) reset() { *e = event{made: e.made[:0]} }

// set takes a field of the event, and reports false for one that it does not know.
func (e *event) set(key, v []byte) bool {
	switch string(key) {
	case "server.group":
	case "server.kind":
		e.serverKind = v
	case "server.name":
		e.serverName = v
	case "server": // before 2.12: KIND:NAME
		e.serverKind, e.serverName = facts.CutByte(v, ':')
		if len(e.serverName) == 0 {
			e.serverKind, e.serverName = nil, v
		}
	case "route.group":
		e.routeGroup = v
	case "route.kind":
		e.routeKind = v
	case "route.name", "route":
		e.route = v
	case "authz.group":
	case "authz.kind":
		e.authzKind = v
	case "authz.name":
		e.authzName = v
	case "client.tls", "tls":
		e.tls = v
	case "client.ip":
		e.clientIP = v
	case "client", "client.addr":
		e.client = v
	case "path":
		e.path = v
	case "error":
		e.failure = v
	case "id":
		e.identity = v
		return string(e.message) == "Certified identity"
	default:
		return false
	}
	return true
}

// spans reads NAME{k=v k=v}:NAME: what the line's event happened within.
func (e *event) spans(b []byte) {
	for len(b) > 0 {
		end := 0
		for end < len(b) && b[end] != '{' && b[end] != ':' {
			end++
		}
		name := b[:end]
		b = b[end:]
		var fields []byte
		if len(b) > 0 && b[0] == '{' {
			end = bytes.IndexByte(b, '}')
			if end < 0 {
				end = len(b)
			}
			fields = b[1:end]
			b = b[min(end+1, len(b)):]
		}
		e.span(name, fields)
		b = bytes.TrimPrefix(b, []byte(":"))
	}
}

func (e *event) span(name, fields []byte) {
	switch string(name) {
	case "inbound":
		e.inbound = true
	case "outbound":
		e.outbound = true
	}
	s := kv.Scan(fields, kv.Nested)
	for p, ok := s.Next(); ok; p, ok = s.Next() {
		e.spanField(name, p.Key, p.Value)
	}
}

func (e *event) spanField(span, key, v []byte) {
	switch string(key) {
	case "client.addr", "peer.addr":
		e.peer = v
	case "target.addr": // of accept, before 2.11
		e.proxied = v
	case "port":
		if string(span) == "server" {
			e.port = v
		}
	case "addr":
		switch string(span) {
		case "proxy", "balance":
			e.proxied = v
		case "endpoint", "forward":
			e.endpoint = v
		}
	case "ns":
		if string(span) == "service" {
			e.serviceNS = v
		}
	case "name":
		if string(span) == "service" {
			e.service = v
		}
	}
}

// write writes what is known of the event under canonical names, and the facts
// that it implies.
func (e *event) write(o *facts.Out) {
	o.DeriveBytes(field.LogLogger, e.target)
	switch {
	case e.inbound || !e.outbound && bytes.HasPrefix(e.target, []byte("linkerd_app_inbound")): // the latter alone: the admin server's
		o.Derive(field.MeshDirection, "inbound")
		o.Derive(field.MeshReporter, "destination")
	case e.outbound:
		o.Derive(field.MeshDirection, "outbound")
		o.Derive(field.MeshReporter, "source")
	}
	e.peers(o)
	e.identities(o)
	if len(e.failure) > 0 {
		o.Str(field.ExceptionMessage, e.failure)
	}
	if len(e.path) > 0 {
		o.URL(e.path)
	}
	e.decide(o)
	if version, ok := bytes.CutSuffix(e.message, []byte(" request failed")); ok && bytes.HasPrefix(version, []byte("HTTP/")) {
		o.Protocol(version)
	}
	if v, ok := bytes.CutPrefix(e.message, []byte("Local identity is ")); ok {
		e.self(o, v)
	} else if string(e.message) == "Certified identity" {
		e.self(o, e.identity)
	}
	o.MeshType("linkerd")
}

// self writes whose proxy this is.
func (e *event) self(o *facts.Out, id []byte) {
	o.DeriveBytes(field.MeshWorkloadIdentity, id)
	if p, ok := facts.SplitPrincipal(id); ok {
		o.DeriveBytes(field.ServiceName, p.Workload)
		o.DeriveBytes(field.K8sNamespaceName, p.Namespace)
	}
}

func (e *event) peers(o *facts.Out) {
	peer := e.client
	if len(peer) == 0 {
		peer = e.peer
	}
	if addr, ok := facts.SplitAddress(peer); ok {
		o.DeriveBytes(field.NetworkPeerAddress, addr.Host)
		o.DeriveBytes(field.ClientAddress, addr.Host)
		if addr.Port > 0 {
			o.Int(field.NetworkPeerPort, addr.Port)
		}
	}
	if len(e.clientIP) > 0 && len(peer) == 0 {
		o.DeriveBytes(field.ClientAddress, e.clientIP)
	}
	if n, ok := facts.Uint(e.port); ok {
		o.Int(field.DestinationPort, n)
	} else if addr, ok := facts.SplitAddress(e.proxied); ok {
		o.DeriveBytes(field.DestinationAddress, addr.Host)
		if addr.Port > 0 {
			o.Int(field.DestinationPort, addr.Port)
		}
	}
	o.DeriveBytes(field.MeshUpstreamAddress, e.endpoint)
	o.DeriveBytes(field.MeshDestinationService, e.service)
	o.DeriveBytes(field.MeshDestinationWorkload, e.service)
	o.DeriveBytes(field.MeshDestinationNamespace, e.serviceNS)
}

// identities reads the Debug form of a connection's TLS (linkerd/tls/src/server.rs):
// None(NoClientHello), or Some(Established { client_id: Some(ClientId(…)), … }) with
// the client's name as Dns(Name("…")), before 2.14 as Name("…"), or as a URI.
func (e *event) identities(o *facts.Out) {
	switch {
	case bytes.HasPrefix(e.tls, []byte("None(")):
		o.Derive(field.MeshMTLS, "none")
		return
	case !bytes.HasPrefix(e.tls, []byte("Some(Established")):
		return
	}
	if bytes.Contains(e.tls, []byte("client_id: None")) {
		o.Derive(field.MeshMTLS, "tls")
		return
	}
	if name := quotedAfter(e.tls, "Name("); len(name) > 0 {
		o.SourcePrincipal(name)
	} else if host := quotedAfter(e.tls, "Domain("); len(host) > 0 {
		n := len(e.made)
		e.made = append(append(append(e.made, "spiffe://"...), host...), quotedAfter(e.tls, "path: ")...)
		o.SourcePrincipal(e.made[n:])
	}
}

// quotedAfter returns the text in double quotes right behind a mark.
func quotedAfter(b []byte, mark string) []byte {
	i := bytes.Index(b, []byte(mark))
	if i < 0 {
		return nil
	}
	b = bytes.TrimPrefix(b[i+len(mark):], []byte("\\"))
	if len(b) == 0 || b[0] != '"' {
		return nil
	}
	b = b[1:]
	end := bytes.IndexByte(b, '"')
	if end < 0 {
		return nil
	}
	return bytes.TrimSuffix(b[:end], []byte("\\"))
}

// decide derives the decision of a policy from the message (linkerd/app/inbound/
// src/policy), or from the error that a refused client was given. "Request
// allowed" is said of what only auditing let pass.
func (e *event) decide(o *facts.Out) {
	kind, name := e.serverKind, e.serverName
	switch string(e.message) {
	case "Request denied", "Connection denied", "Connection terminated due to policy change":
		o.Decision("deny", "rbac")
	case "Request allowed", "Connection allowed":
		o.Decision("audit", "rbac")
		kind, name = e.authzKind, e.authzName
	case "Request authorized", "Connection authorized":
		o.Decision("allow", "rbac")
		kind, name = e.authzKind, e.authzName
	default:
		e.refused(o)
		return
	}
	o.DeriveBytes(field.MeshPolicyKind, kind)
	o.DeriveBytes(field.MeshPolicyName, name)
	o.DeriveBytes(field.MeshRoute, e.route)
}

func (e *event) refused(o *facts.Out) {
	why := e.failure
	switch {
	case len(why) == 0:
	case bytes.Contains(why, []byte("unauthorized request on route")):
		o.Decision("deny", "rbac")
	case bytes.Contains(why, []byte("unauthorized connection on ")):
		o.Decision("deny", "rbac")
		_, on, _ := bytes.Cut(why, []byte("unauthorized connection on "))
		on, server := bytes.CutPrefix(on, []byte("server "))
		on, _, _ = bytes.Cut(on, []byte(" "))
		if i := bytes.IndexAny(on, "/:"); i > 0 { // a colon before 2.12
			o.DeriveBytes(field.MeshPolicyKind, on[:i])
			o.DeriveBytes(field.MeshPolicyName, on[i+1:])
		} else if server { // of 2.11
			o.DeriveBytes(field.MeshPolicyName, on)
		}
	case bytes.Contains(why, []byte("rate limit exceeded")):
		o.Decision("rate_limited", "ratelimit")
	}
}
