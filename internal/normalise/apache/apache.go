// Package apache reads the error log of Apache httpd, of 2.2 and 2.4. Its access
// logs are read by package clf.
//
// It never panics on outside bytes.
package apache

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/nginx"
)

// Formats are the layouts that this package reads.
var Formats = []facts.Format{
	{Name: "apache-error", Platform: "apache", Kind: facts.App, Of: "Apache's error log"},
}

// ErrorLog reads lines of the error log:
//
//	[Mon Jan 02 15:04:05.000000 2006] [MODULE:LEVEL] [pid N:tid N] [client A:P] (errno)Text: AH00000: MESSAGE, referer: R
//	[Mon Jan 02 15:04:05 2006] [LEVEL] [client A] MESSAGE, referer: R
//	AH00000: MESSAGE                                                            before the log is open
//
// The time is local and names no zone: it is taken for UTC.
type ErrorLog struct{}

// Text implements facts.Line.
func (ErrorLog) Text(line []byte, o *facts.Out) bool {
	if code := number(line); len(code) > 0 && line[len(code)] == ':' {
		o.Format, o.Status = "apache-error", facts.OK
		o.Str(field.EventCode, code)
		return true
	}
	if len(line) < 30 || line[0] != '[' {
		return false
	}
	ns, n := stamp(line[1:])
	if n == 0 || n+3 >= len(line) || line[n+1] != ']' || line[n+2] != ' ' {
		return false
	}
	s := line[n+3:]
	what, s, ok := bracket(s)
	if !ok {
		return false
	}
	module, level := []byte(nil), what
	if i := bytes.IndexByte(what, ':'); i >= 0 {
		module, level = what[:i], what[i+1:]
	}
	if !severity(level) || len(module) > 0 && !facts.Token(module) {
		return false
	}
	o.Format, o.Status = "apache-error", facts.OK
	if !o.Fixed && facts.Plausible(ns) {
		o.Time = ns
	}
	o.Severity(level)
	if len(level) == 6 && string(level[:5]) == "trace" {
		o.DeriveInt(field.SeverityNumber, 1)
	}
	o.DeriveBytes(field.LogLogger, module)
	rest(s, module, o)
	return true
}

// severity reports whether a word is one of Apache's levels, of which trace has
// eight.
func severity(b []byte) bool {
	if len(b) == 6 && string(b[:5]) == "trace" {
		return true
	}
	return facts.IsLevel(b)
}

// bracket cuts [TEXT] and the space behind it.
func bracket(s []byte) (text, rest []byte, ok bool) {
	if len(s) < 2 || s[0] != '[' {
		return nil, s, false
	}
	end := bytes.IndexByte(s, ']')
	if end < 0 {
		return nil, s, false
	}
	return s[1:end], bytes.TrimPrefix(s[end+1:], []byte(" ")), true
}

// rest reads what follows the level.
func rest(s, module []byte, o *facts.Out) {
	peer := false
	for {
		if len(s) > 0 && s[0] == '(' { // the system's error, which stands before the client
			for _, next := range [...]string{" [client ", " [remote "} {
				if i := bytes.Index(s, []byte(next)); i > 0 {
					s = s[i+1:]
					break
				}
			}
		}
		text, after, ok := bracket(s)
		if !ok {
			break
		}
		name, v := facts.CutByte(text, ' ')
		switch {
		case string(name) == "pid" && len(v) > 0:
			pid, tid := facts.CutByte(v, ':')
			if n, ok := facts.Uint(pid); ok {
				o.Int(field.ProcessPID, n)
			}
			if n, ok := facts.Uint(bytes.TrimPrefix(tid, []byte("tid "))); ok {
				o.Int(field.ThreadID, n)
			}
		case string(name) == "client" && len(v) > 0:
			if !peer { // ModSecurity repeats it
				o.PeerAt(address(v, module != nil), nil)
			}
			peer = true
		case string(name) == "remote" && len(v) > 0: // of a connection without a request: a proxy's own, or HTTP/2's
			if bytes.HasPrefix(module, []byte("proxy")) {
				o.Str(field.MeshUpstreamAddress, v)
			} else if !peer {
				o.PeerAt(address(v, true), nil)
				peer = true
			}
		default:
			ok = false
		}
		if !ok {
			break
		}
		s = after
	}
	if i := bytes.LastIndex(s, []byte(", referer: ")); i >= 0 {
		if v := s[i+len(", referer: "):]; !facts.Absent(v) {
			o.Str(field.HTTPRequestHeaderReferer, v)
		}
		s = s[:i]
	}
	if len(s) > 0 && s[0] == '(' { // the system's error
		if i := bytes.Index(s, []byte(": AH")); i > 0 {
			s = s[i+2:]
		}
	}
	code := number(s)
	o.DeriveBytes(field.EventCode, code)
	decide(s, code, module, o)
}

// address splits ADDRESS:PORT of 2.4, which puts no brackets around IPv6, and ADDRESS
// of 2.2.
func address(b []byte, ported bool) facts.Address {
	i := bytes.LastIndexByte(b, ':')
	if ported && i > 0 {
		if n, ok := facts.Uint(b[i+1:]); ok && n < 65536 && facts.IP(b[:i]) {
			return facts.Address{Host: b[:i], Port: n}
		}
	}
	return facts.Address{Host: b}
}

// number returns the AH00000 that b begins with, or nil.
func number(b []byte) []byte {
	if len(b) < 9 || b[0] != 'A' || b[1] != 'H' {
		return nil
	}
	if _, ok := facts.Uint(b[2:7]); !ok {
		return nil
	}
	return b[:7]
}

// decide derives the decision of the modules that refuse requests and say so.
func decide(m, code, module []byte, o *facts.Out) {
	if bytes.Contains(m, []byte("ModSecurity: ")) {
		nginx.ModSecurity(m, o)
		return
	}
	if i := bytes.IndexByte(m, ' '); len(code) > 0 && i > 0 {
		m = m[i+1:]
	}
	switch {
	case bytes.HasPrefix(m, []byte("client denied by server configuration")):
		decision(o, "acl")
	case bytes.HasPrefix(m, []byte("user ")) && (bytes.Contains(m, []byte("not found")) || bytes.Contains(m, []byte("authentication failure")) ||
		bytes.Contains(m, []byte("Password Mismatch")) || bytes.Contains(m, []byte("password mismatch"))):
		name, _ := facts.CutByte(m[5:], ' ')
		name = bytes.TrimSuffix(name, []byte(":"))
		o.DeriveBytes(field.UserName, name)
		decision(o, "basic_auth")
	}
}

func decision(o *facts.Out, engine string) {
	o.Derive(field.MeshPolicyDecision, "deny")
	o.Derive(field.MeshPolicyEngine, engine)
}

var days = [...]string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}

// stamp reads "Mon Jan 02 15:04:05[.000000] 2006", or the access log's time.
func stamp(b []byte) (ns int64, n int) {
	if ns, n := facts.ClockStamp(b); n > 0 {
		return ns, n
	}
	named := false
	for _, d := range days {
		named = named || string(b[:3]) == d
	}
	if !named || b[3] != ' ' {
		return 0, 0
	}
	end := bytes.IndexByte(b, ']')
	if end < 24 || end > 31 || b[end-5] != ' ' {
		return 0, 0
	}
	mo := facts.Month(b[4:])
	if mo == 0 || b[7] != ' ' || b[10] != ' ' {
		return 0, 0
	}
	// As RFC 3339: 2006-01-02 15:04:05.000000
	var iso [32]byte
	out := append(iso[:0], b[end-4:end]...)
	out = append(out, '-', byte('0'+mo/10), byte('0'+mo%10), '-')
	day := b[8]
	if day == ' ' {
		day = '0'
	}
	out = append(out, day, b[9], ' ')
	out = append(out, b[11:end-5]...)
	ns, took := facts.Stamp(out)
	if took != len(out) {
		return 0, 0
	}
	return ns, end
}
