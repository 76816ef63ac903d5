// Package haproxy reads the text that HAProxy logs: httplog, httpslog and tcplog,
// errors of connections, and what it says of itself (configuration manual, 8.2).
// Its clf is read by package clf.
//
// Times are milliseconds, of which -1 says that the phase was not reached; + before
// a time or a size says that the exchange went on. The time of a line is that of
// the request in the machine's zone, which it does not name: it is taken for UTC.
// Control characters and the like are escaped as #XX.
//
// It never panics on outside bytes.
package haproxy

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/clf"
	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// Formats are the layouts that this package reads.
var Formats = []facts.Format{
	{Name: "haproxy-http", Platform: "haproxy", Kind: facts.Access, Of: "HAProxy, option httplog or httpslog"},
	{Name: "haproxy-tcp", Platform: "haproxy", Kind: facts.Access, Of: "HAProxy, option tcplog"},
	{Name: "haproxy-error", Platform: "haproxy", Kind: facts.Access, Of: "HAProxy, a connection that failed before there was a request"},
	{Name: "haproxy-connect", Platform: "haproxy", Kind: facts.Access, Of: "HAProxy, a frontend without a log format"},
	{Name: "haproxy", Platform: "haproxy", Kind: facts.App, Of: "HAProxy of itself: servers up and down, proxies started and stopped"},
}

// Begins are the bytes that a line may begin with.
const Begins = "0123456789abcdefABCDEF:huSPCH[-"

// A Line reads lines. It keeps scratch memory.
type Line struct {
	buf []byte
	x   exchange
}

// Text implements facts.Line.
func (l *Line) Text(line []byte, o *facts.Out) bool {
	s, own := line, string(o.Program) == "haproxy" || o.Declared == "haproxy"
	if rest, ok := bytes.CutPrefix(s, []byte("haproxy[")); ok {
		end := bytes.IndexByte(rest, ']')
		if end < 1 || end+2 >= len(rest) || rest[end+1] != ':' {
			return false
		}
		if _, ok := facts.Uint(rest[:end]); !ok {
			return false
		}
		s, own = bytes.TrimLeft(rest[end+2:], " "), true
	}
	if l.exchange(s, o) {
		return true
	}
	return l.connect(s, o) || own && said(s, o) || alert(s, o)
}

// exchange reads what begins with CLIENT [TIME].
func (l *Line) exchange(s []byte, o *facts.Out) bool {
	client, s := facts.CutByte(s, ' ')
	colon := bytes.LastIndexByte(client, ':')
	if colon < 1 || len(s) < 24 || s[0] != '[' {
		return false
	}
	port, ok := facts.Uint(client[colon+1:])
	ns, n := facts.ClockStamp(s[1:])
	if !ok || n == 0 || n+3 > len(s) || s[n+1] != ']' || s[n+2] != ' ' {
		return false
	}
	x := &l.x
	*x = exchange{time: ns, host: client[:colon], port: port}
	s = s[n+3:]
	var front []byte
	front, s = facts.CutByte(s, ' ')
	if i := bytes.IndexByte(front, '/'); i > 0 && front[len(front)-1] == ':' {
		x.fail(front[:i], s, o)
		return true
	}
	x.Frontend = front
	var pair []byte
	pair, s = facts.CutByte(s, ' ')
	x.Backend, x.Server = facts.CutByte(pair, '/')
	if len(front) == 0 || len(x.Server) == 0 {
		return false
	}
	times, s := facts.CutByte(s, ' ')
	x.Times = split(x.times[:0], times)
	switch len(x.Times) {
	case 5:
		return l.http(x, s, o)
	case 3:
		return x.tcp(s, o)
	}
	return false
}

// exchange is what the layouts share.
type exchange struct {
	clf.HAProxy
	time  int64
	host  []byte
	port  int64
	times [6][]byte
}

// split splits a/b/c; nil when an element is no number, or there are too many.
func split(dst [][]byte, s []byte) [][]byte {
	for len(s) > 0 {
		var v []byte
		v, s = facts.CutByte(s, '/')
		if _, ok := facts.Uint(bytes.TrimLeft(v, "+-")); !ok || len(dst) == cap(dst) {
			return nil
		}
		dst = append(dst, v)
	}
	return dst
}

func (x *exchange) write(o *facts.Out, format string) {
	o.Format, o.Status = format, facts.OK
	if !o.Fixed && facts.Plausible(x.time) {
		o.Time = x.time
	}
	x.peer(o)
}

// peer writes the client, which is the peer.
func (x *exchange) peer(o *facts.Out) {
	if facts.IP(x.host) {
		o.Str(field.NetworkPeerAddress, x.host)
		o.DeriveBytes(field.ClientAddress, x.host)
		if x.port > 0 {
			o.Int(field.NetworkPeerPort, x.port)
			o.Int(field.ClientPort, x.port)
		}
	} else if !facts.Absent(x.host) {
		o.Str(field.NetworkPeerAddress, x.host)
	}
}

// fail reads MESSAGE of CLIENT [TIME] FRONTEND/BIND: MESSAGE.
func (x *exchange) fail(front, message []byte, o *facts.Out) {
	x.write(o, "haproxy-error")
	o.Derive(field.MeshReporter, "gateway")
	o.DeriveBytes(field.MeshListener, front)
	o.DeriveBytes(field.MeshConnectionTerminationDetails, message)
}

// counters reads ac/fc/bc/sc/rc sq/bq.
func (x *exchange) counters(s []byte) (rest []byte, ok bool) {
	var few [6][]byte
	conns, s := facts.CutByte(s, ' ')
	c := split(few[:0], conns)
	if len(c) < 4 {
		return s, false
	}
	if len(c) == 5 {
		x.Retries = c[4]
	}
	queues, s := facts.CutByte(s, ' ')
	return s, len(split(few[:0], queues)) == 2
}

// tcp reads BYTES STATE ac/fc/bc/sc/rc sq/bq.
func (x *exchange) tcp(s []byte, o *facts.Out) bool {
	sent, s := facts.CutByte(s, ' ')
	size, ok := facts.Uint(bytes.TrimPrefix(sent, []byte("+")))
	x.State, s = facts.CutByte(s, ' ')
	s, good := x.counters(s)
	if !ok || !good || len(x.State) != 2 {
		return false
	}
	x.write(o, "haproxy-tcp")
	o.Int(field.MeshBytesSent, size)
	o.Derive(field.NetworkTransport, "tcp")
	x.HAProxy.Write(o)
	if len(s) > 0 {
		o.PartialOf("rest of the line")
	}
	return true
}

// http reads STATUS BYTES CC CS STATE ac/fc/bc/sc/rc sq/bq [{REQUEST HEADERS}]
// [{RESPONSE HEADERS}] "REQUEST" [errors sni/version/cipher].
func (l *Line) http(x *exchange, s []byte, o *facts.Out) bool {
	status, s := facts.CutByte(s, ' ')
	sent, s := facts.CutByte(s, ' ')
	size, ok := facts.Uint(bytes.TrimPrefix(sent, []byte("+")))
	_, s = facts.CutByte(s, ' ') // cookies
	_, s = facts.CutByte(s, ' ')
	x.State, s = facts.CutByte(s, ' ')
	s, good := x.counters(s)
	code, coded := facts.Uint(status)
	if !ok || !good || len(x.State) != 4 || !coded && string(status) != "-1" {
		return false
	}
	x.Status = status
	x.write(o, "haproxy-http")
	if coded && code > 0 {
		o.Int(field.HTTPResponseStatusCode, code)
	}
	o.Int(field.HTTPResponseSize, size)
	o.Derive(field.NetworkProtocolName, "http")
	x.HAProxy.Write(o)
	l.request(l.captured(s, o), o)
	return true
}

// captured reads the captured headers: {a|b} of the request, then of the response.
func (l *Line) captured(s []byte, o *facts.Out) (rest []byte) {
	if len(s) == 0 || s[0] != '{' {
		return s
	}
	end := bytes.Index(s, []byte(`} "`))
	if end < 0 {
		return s
	}
	req, rest := s[1:end], s[end+2:]
	if i := bytes.Index(req, []byte("} {")); i >= 0 {
		l.headers(o, field.HAProxyResponseHeaders, req[i+3:])
		req = req[:i]
	}
	l.headers(o, field.HAProxyRequestHeaders, req)
	return rest
}

func (l *Line) headers(o *facts.Out, f field.ID, v []byte) {
	if len(bytes.Trim(v, "| ")) > 0 {
		o.Str(f, l.plain(v))
	}
}

// request reads "REQUEST", which a line that is too long does not end, and the
// columns of httpslog.
func (l *Line) request(s []byte, o *facts.Out) {
	if len(s) == 0 || s[0] != '"' {
		o.PartialOf("request")
		return
	}
	end := bytes.LastIndexByte(s, '"')
	if end == 0 {
		o.PartialOf("request")
		end = len(s)
	}
	if host, ok := l.line(s[1:end], o); ok && len(host) > 0 {
		o.Server(host)
	}
	if end >= len(s)-1 {
		return
	}
	_, s = facts.CutByte(s[end+1:], ' ')
	errors, tls := facts.CutByte(s, ' ')
	var sni []byte // which 2.4 does not have
	if bytes.Count(tls, []byte("/")) > 1 {
		sni, tls = facts.CutByte(tls, '/')
	}
	version, cipher := facts.CutByte(tls, '/')
	if n := bytes.Count(errors, []byte("/")); n != 4 && n != 3 || len(cipher) == 0 {
		o.PartialOf("tls")
		return
	}
	if !facts.Absent(sni) {
		o.Str(field.TLSClientServerName, sni)
	}
	if !facts.Absent(version) {
		o.TLSVersion(version)
	}
	if !facts.Absent(cipher) {
		o.Str(field.TLSCipher, cipher)
	}
}

func (l *Line) line(req []byte, o *facts.Out) (host []byte, ok bool) {
	if len(req) == 0 || req[0] == '<' {
		return nil, false
	}
	// The protocol is written already: Derive leaves it.
	method, rest := facts.CutByte(req, ' ')
	if !facts.Token(method) || len(rest) == 0 {
		return nil, false
	}
	if i := bytes.LastIndexByte(rest, ' '); i >= 0 && bytes.HasPrefix(rest[i+1:], []byte("HTTP/")) {
		version(o, rest[i+6:])
		rest = rest[:i]
	}
	o.Method(method)
	rest = l.plain(rest)
	if string(method) == "CONNECT" {
		return rest, true
	}
	o.URL(rest)
	return facts.SplitURL(rest).Host, true
}

func version(o *facts.Out, v []byte) {
	switch string(v) {
	case "2.0":
		o.Derive(field.NetworkProtocolVersion, "2")
	case "3.0":
		o.Derive(field.NetworkProtocolVersion, "3")
	default:
		o.DeriveBytes(field.NetworkProtocolVersion, v)
	}
}

// plain resolves #XX. It is valid until the next call.
func (l *Line) plain(v []byte) []byte {
	if bytes.IndexByte(v, '#') < 0 {
		return v
	}
	l.buf = l.buf[:0]
	for i := 0; i < len(v); i++ {
		if v[i] == '#' && i+2 < len(v) && facts.Hex(v[i+1:i+3]) {
			l.buf = append(l.buf, '\\', 'x', v[i+1], v[i+2])
			i += 2
			continue
		}
		if v[i] == '\\' {
			l.buf = append(l.buf, '\\')
		}
		l.buf = append(l.buf, v[i])
	}
	n := len(l.buf)
	l.buf = facts.AppendUnescaped(l.buf, l.buf)
	if string(l.buf[n:]) == string(l.buf[:n]) {
		return v // what was escaped is no text
	}
	return l.buf[n:]
}

// connect reads Connect from A:P to A:P (FRONTEND/MODE).
func (l *Line) connect(s []byte, o *facts.Out) bool {
	s, ok := bytes.CutPrefix(s, []byte("Connect from "))
	if !ok {
		return false
	}
	from, s := facts.CutByte(s, ' ')
	to, s := facts.CutByte(bytes.TrimPrefix(s, []byte("to ")), ' ')
	front, mode, found := bytes.Cut(bytes.Trim(s, "()"), []byte("/"))
	i, j := bytes.LastIndexByte(from, ':'), bytes.LastIndexByte(to, ':')
	if i < 0 || j < 0 || !found || len(s) < 4 || s[0] != '(' {
		return false
	}
	port, ok := facts.Uint(from[i+1:])
	local, good := facts.Uint(to[j+1:])
	if !ok || !good {
		return false
	}
	l.x = exchange{host: from[:i], port: port}
	l.x.write(o, "haproxy-connect")
	o.Str(field.NetworkLocalAddress, to[:j])
	o.Int(field.NetworkLocalPort, local)
	o.Derive(field.MeshReporter, "gateway")
	o.DeriveBytes(field.MeshListener, front)
	if string(mode) == "HTTP" {
		o.Derive(field.NetworkProtocolName, "http")
	} else {
		o.DeriveLower(field.NetworkTransport, mode)
	}
	return true
}

// said reads what HAProxy says of itself, of a program that is known to be it.
func said(s []byte, o *facts.Out) bool {
	o.Format, o.Status = "haproxy", facts.OK
	if rest, ok := bytes.CutPrefix(s, []byte("Server ")); ok {
		name, rest := facts.CutByte(rest, ' ')
		backend, server, ok := bytes.Cut(name, []byte("/"))
		state, _ := facts.CutByte(bytes.TrimPrefix(rest, []byte("is ")), ' ')
		if ok {
			o.DeriveBytes(field.MeshUpstreamCluster, backend)
			o.DeriveBytes(field.MeshUpstreamName, server)
		}
		switch string(bytes.TrimRight(state, ",.")) {
		case "DOWN":
			o.Derive(field.EventName, "haproxy.server.down")
		case "UP":
			o.Derive(field.EventName, "haproxy.server.up")
		}
		if i := bytes.Index(rest, []byte("reason: ")); i >= 0 {
			reason, _, _ := bytes.Cut(rest[i+8:], []byte(", check duration"))
			o.DeriveBytes(field.MeshUpstreamFailureReason, down(state, reason))
		}
	} else if rest, ok := bytes.CutPrefix(s, []byte("backend ")); ok {
		name, rest := facts.CutByte(rest, ' ')
		if bytes.HasPrefix(rest, []byte("has no server available")) {
			o.DeriveBytes(field.MeshUpstreamCluster, bytes.Trim(name, "'"))
			o.Derive(field.EventName, "haproxy.backend.down")
		}
	}
	return true
}

func down(state, reason []byte) []byte {
	if bytes.HasPrefix(state, []byte("DOWN")) {
		return reason
	}
	return nil
}

// alert reads what HAProxy writes to its standard error:
//
//	[ALERT]    (30055) : backend 'app' has no server available!
//	[WARNING] 325/210925 (30055) : …
func alert(s []byte, o *facts.Out) bool {
	if len(s) < 12 || s[0] != '[' {
		return false
	}
	end := bytes.IndexByte(s, ']')
	if end < 0 || end > 9 {
		return false
	}
	level := s[1:end]
	switch string(level) {
	case "ALERT", "WARNING", "NOTICE", "DIAG":
	default:
		return false
	}
	s = bytes.TrimLeft(s[end+1:], " ")
	open := bytes.IndexByte(s, '(')
	if open < 0 || open > 12 {
		return false
	}
	close := bytes.Index(s, []byte(") : "))
	if close < open {
		return false
	}
	pid, ok := facts.Uint(s[open+1 : close])
	if !ok {
		return false
	}
	said(s[close+4:], o)
	o.Severity(level)
	o.Int(field.ProcessPID, pid)
	return true
}
