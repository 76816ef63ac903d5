// Package nginx reads what NGINX logs beside the access log of package clf: its
// error log, access logs in JSON as operators write them with escape=json, and
// lines of a log_format that was declared.
//
// It never panics on outside bytes.
package nginx

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// Formats are the text layouts that this package reads.
var Formats = []facts.Format{
	{Name: "nginx-error", Platform: "nginx", Kind: facts.App, Of: "NGINX's error log"},
}

// ErrorLog reads lines of the error log (ngx_log_error_core and
// ngx_http_log_error_handler):
//
//	2006/01/02 15:04:05 [LEVEL] PID#TID: *CONNECTION MESSAGE, client: A, server: S, request: "R", upstream: "U", host: "H", referrer: "R", login: "L"
//
// The time is local and names no zone: it is taken for UTC. Nothing is escaped, so
// a value ends where the next name, in this order, begins.
type ErrorLog struct{}

// Text implements facts.Line.
func (ErrorLog) Text(line []byte, o *facts.Out) bool {
	if len(line) < 28 || line[4] != '/' || line[7] != '/' || line[10] != ' ' || line[19] != ' ' || line[20] != '[' {
		return false
	}
	var stamp [19]byte
	copy(stamp[:], line)
	stamp[4], stamp[7] = '-', '-'
	ns, n := facts.Stamp(stamp[:])
	end := bytes.IndexByte(line[20:], ']')
	if n != 19 || end < 0 || end > 8 || len(line) < 20+end+4 || line[20+end+1] != ' ' {
		return false
	}
	level, s := line[21:20+end], line[20+end+2:]
	if facts.Level(level) == 0 {
		return false
	}
	hash, colon := bytes.IndexByte(s, '#'), bytes.IndexByte(s, ':')
	if hash < 1 || colon < hash {
		return false
	}
	pid, ok := facts.Uint(s[:hash])
	tid, good := facts.Uint(s[hash+1 : colon])
	if !ok || !good {
		return false
	}
	s = bytes.TrimPrefix(s[colon+1:], []byte(" "))
	if len(s) > 0 && s[0] == '*' {
		number, rest := facts.CutByte(s, ' ')
		if _, ok := facts.Uint(number[1:]); ok {
			s = rest
		}
	}
	o.Format, o.Status = "nginx-error", facts.OK
	if !o.Fixed && facts.Plausible(ns) {
		o.Time = ns
	}
	o.Severity(level)
	o.Int(field.ProcessPID, pid)
	o.Int(field.ThreadID, tid)
	var c context
	c.read(s)
	c.write(o)
	c.fail(o)
	c.decide(o)
	return true
}

// context is what the error log says around a message.
type context struct {
	message []byte
	value   [len(names)][]byte
}

const (
	client = iota
	server
	request
	subrequest
	upstream
	host
	referrer
	login
)

var names = [...]string{", client: ", ", server: ", ", request: ", ", subrequest: ", ", upstream: ", ", host: ", ", referrer: ", ", login: "}

func (c *context) read(s []byte) {
	if i := bytes.Index(s, []byte(", bytes from/to client:")); i >= 0 { // of package stream
		s = s[:i]
	}
	c.message = s
	last := &c.message
	for i, name := range names {
		at := bytes.Index(*last, []byte(name))
		if at < 0 {
			continue
		}
		rest := *last
		*last, c.value[i] = rest[:at], rest[at+len(name):]
		last = &c.value[i]
	}
	for i, v := range c.value {
		if len(v) > 1 && v[0] == '"' && v[len(v)-1] == '"' {
			v = v[1 : len(v)-1]
		}
		c.value[i] = v
	}
}

func (c *context) write(o *facts.Out) {
	peer := c.value[client]
	if rest, ok := bytes.CutPrefix(c.message, []byte("client ")); ok && len(peer) == 0 { // of mail and stream: client A:P connected to A:P
		if a, to, ok := bytes.Cut(rest, []byte(" connected to ")); ok {
			peer = a
			o.Server(to)
		}
	}
	o.Peer(peer, nil)
	if v := c.value[login]; !facts.Absent(v) {
		o.Str(field.UserName, v)
	}
	authority := c.value[host]
	if v := c.value[request]; len(v) > 0 {
		if h, ok := o.Request(v); ok && len(authority) == 0 {
			authority = h
		}
	}
	if v := c.value[server]; len(authority) == 0 && len(v) > 0 && string(v) != "_" {
		authority = v
	}
	if len(authority) > 0 {
		o.Server(authority)
	}
	if v := c.value[referrer]; !facts.Absent(v) {
		o.Str(field.HTTPRequestHeaderReferer, v)
	}
	v := c.value[upstream]
	if facts.Absent(v) {
		return
	}
	o.Str(field.MeshUpstreamAddress, upstreamAddress(v))
	if bytes.Contains(c.message, []byte("upstream")) {
		o.Str(field.MeshUpstreamFailureReason, c.message)
	}
}

// upstreamAddress returns the address of SCHEME://ADDRESS/PATH, or of
// SCHEME://unix:/PATH:URI.
func upstreamAddress(v []byte) []byte {
	i := bytes.Index(v, []byte("://"))
	if i >= 0 {
		v = v[i+3:]
	}
	if bytes.HasPrefix(v, []byte("unix:")) {
		if j := bytes.IndexByte(v[5:], ':'); j >= 0 {
			return v[:5+j]
		}
		return v
	}
	a, _ := facts.CutByte(v, '/')
	return a
}

// failures are what messages about an upstream or a client say, and its class.
var failures = [...]struct {
	text  []byte
	class string
}{
	{[]byte("upstream timed out"), "timeout"}, {[]byte("client timed out"), "timeout"},
	{[]byte("connect() failed"), "connect"}, {[]byte("connect() to"), "connect"},
	{[]byte("no live upstreams"), "no_upstream"}, {[]byte("could not be resolved"), "dns"}, {[]byte("host not found"), "dns"},
	{[]byte("SSL_do_handshake() failed"), "tls"}, {[]byte("upstream SSL certificate"), "tls"}, {[]byte("client SSL certificate verify"), "tls"},
	{[]byte("client prematurely closed"), "canceled"}, {[]byte("upstream prematurely closed"), "reset"}, {[]byte("reset by peer"), "reset"},
	{[]byte("limiting requests, excess"), "rate_limit"}, {[]byte("limiting connections by"), "rate_limit"}, {[]byte("access forbidden by rule"), "policy"},
	{[]byte("client sent invalid"), "protocol"}, {[]byte("upstream sent"), "protocol"}, {[]byte("worker_connections are not enough"), "overload"},
}

// fail derives the class of what failed.
func (c *context) fail(o *facts.Out) {
	for i := range failures {
		f := &failures[i]
		if !bytes.Contains(c.message, f.text) {
			continue
		}
		if f.class == "connect" && bytes.Contains(c.message, []byte("Connection refused")) {
			o.Derive(field.MeshFailureClass, "refused")
		} else {
			o.Derive(field.MeshFailureClass, f.class)
		}
		return
	}
}

// decide derives the decision of the modules that refuse requests and say so.
func (c *context) decide(o *facts.Out) {
	m := c.message
	has := func(s string) bool { return bytes.HasPrefix(m, []byte(s)) }
	switch {
	case has("limiting requests"), has("limiting connections"):
		what := "rate_limited"
		if bytes.Contains(m, []byte("dry run")) {
			what = "shadow_deny"
		}
		decision(o, what, "ratelimit")
		o.DeriveBytes(field.MeshPolicyName, between(m, `zone "`, `"`))
	case has("access forbidden by rule"):
		decision(o, "deny", "acl")
	case has(`user "`):
		name := between(m, `user "`, `"`)
		switch {
		case bytes.Contains(m, []byte(`": password mismatch`)), bytes.Contains(m, []byte(`" was not found in`)):
			o.Str(field.UserName, name)
			decision(o, "deny", "basic_auth")
		}
	case has("no user/password was provided for basic authentication"):
		decision(o, "deny", "basic_auth")
	case has("client SSL certificate verify error"), has("client sent no required SSL certificate"):
		decision(o, "deny", "mtls")
	case has("client login failed:"):
		decision(o, "deny", "mail_auth")
	case has("auth request unexpected status"):
		decision(o, "error", "ext_authz")
	case bytes.Contains(m, []byte("ModSecurity: ")):
		ModSecurity(m, o)
	}
}

func decision(o *facts.Out, what, engine string) {
	o.Derive(field.MeshPolicyDecision, what)
	o.Derive(field.MeshPolicyEngine, engine)
}

// ModSecurity derives the decision of a message of ModSecurity, in NGINX or
// Apache: a denial, or a warning, which is a match that was let through.
func ModSecurity(m []byte, o *facts.Out) {
	switch {
	case bytes.Contains(m, []byte("ModSecurity: Access denied")):
		decision(o, "deny", "waf")
	case bytes.Contains(m, []byte("ModSecurity: Warning")):
		decision(o, "audit", "waf")
	default:
		return
	}
	o.DeriveBytes(field.MeshPolicyRule, between(m, `[id "`, `"]`))
	o.DeriveBytes(field.MeshPolicyName, between(m, `[msg "`, `"]`))
}

// between returns what stands between open and the next close, or nil.
func between(b []byte, open, close string) []byte {
	i := bytes.Index(b, []byte(open))
	if i < 0 {
		return nil
	}
	b = b[i+len(open):]
	if i = bytes.Index(b, []byte(close)); i < 0 {
		return nil
	}
	return b[:i]
}
