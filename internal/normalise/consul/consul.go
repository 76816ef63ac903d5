// Package consul reads what Consul's own programs write: the logs of agents,
// consul-dataplane and consul-k8s, which are hclog's (github.com/hashicorp/go-hclog)
// as text and as JSON, and the audit log of Consul Enterprise.
//
// hclog is the logger of Nomad, Vault and Boundary too. Whether a line is Consul's
// is told by the logger's name; any other one is read the same way and named hclog.
//
// Access logs of its Envoys are package envoy's. It never panics on bytes from
// outside and keeps nothing beyond a call.
package consul

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/kv"
)

// The names of the formats.
const (
	Text      = "consul-log"
	JSON      = "consul-log-json"
	Audit     = "consul-audit"
	HCLog     = "hclog-text"
	HCLogJSON = "hclog-json"
)

// Formats are the text layouts that this package reads.
var Formats = []facts.Format{
	{Name: Text, Platform: "consul", Mesh: "consul", Kind: facts.App, Of: "Consul's agents, consul-dataplane and consul-k8s of themselves, in text"},
	{Name: HCLog, Platform: "hclog", Kind: facts.App, Of: "hclog in text: Nomad, Vault and others"},
}

// Line reads text lines of hclog:
//
//	TIME [LEVEL] CALLER: NAME: MESSAGE: k=v
//
// Without the time too, as it is when the caller took it for a container runtime's,
// or syslog wrote its own.
type Line struct{ made []byte }

// Text implements facts.Line.
func (l *Line) Text(line []byte, o *facts.Out) bool {
	b := bytes.TrimLeft(line, " ") // Consul before 1.8 began lines with four spaces
	ns, n := facts.Stamp(b)
	if n > 0 {
		if rest, ok := bytes.CutPrefix(b[n:], []byte("+00:00 [")); ok && b[n-1] == 'Z' && facts.Plausible(ns) {
			return envoy(ns, rest, o)
		}
		if n+3 > len(b) || b[n] != ' ' || !facts.Plausible(ns) {
			return false
		}
		b = b[n+1:]
	}
	if len(b) < 8 || b[0] != '[' {
		return false
	}
	end := bytes.IndexByte(b[:8], ']')
	if end < 0 || end+1 >= len(b) || b[end+1] != ' ' || !level(b[1:end]) {
		return false
	}
	word, padded := b[1:end], end == 5 && bytes.HasPrefix(b[end+1:], []byte("  "))
	b = bytes.TrimLeft(b[end+1:], " ")
	caller, rest, ok := bytes.Cut(b, []byte(": "))
	if !ok || !bytes.Contains(caller, []byte(".go:")) || bytes.IndexByte(caller, ' ') >= 0 {
		caller, rest = nil, b
	}
	name, message := named(rest)
	ours := known(name) || o.Declared == "consul"
	if !ours && n == 0 && !padded && o.Declared != "hclog" {
		return false // a line of anybody that begins with a level in brackets
	}
	o.Format, o.Status = HCLog, facts.OK
	if n > 0 && !o.Fixed {
		o.Time = ns
	}
	o.Severity(word)
	if caller != nil {
		o.Place(caller)
	}
	message, pairs := split(message)
	if ours {
		o.Format = Text
		o.MeshType("consul")
		decide(o, message, pairs)
	}
	o.DeriveBytes(field.LogLogger, name)
	l.pairs(o, pairs, httpServer(name))
	return true
}

// envoy reads what follows the time where consul-dataplane's Envoy says something
// of itself, which has a format of its own (consul-dataplane/pkg/envoy/proxy.go):
//
//	2022-12-16T16:42:38.990Z+00:00 [info] envoy.NAME(THREAD) message
func envoy(ns int64, b []byte, o *facts.Out) bool {
	word, rest, ok := bytes.Cut(b, []byte("] envoy."))
	name, rest, found := bytes.Cut(rest, []byte("("))
	digits, _, closed := bytes.Cut(rest, []byte(") "))
	thread, number := facts.Uint(digits)
	if !ok || !found || !closed || !number || !facts.IsLevel(word) || len(name) == 0 || len(name) > 64 || bytes.IndexByte(name, ' ') >= 0 {
		return false
	}
	o.Format, o.Status = Text, facts.OK
	if !o.Fixed {
		o.Time = ns
	}
	o.Severity(word)
	o.DeriveBytes(field.LogLogger, b[len(word)+len("] "):len(word)+len("] envoy.")+len(name)])
	o.Int(field.ThreadID, thread)
	o.MeshType("consul")
	return true
}

func level(b []byte) bool {
	switch string(b) {
	case "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "ERR", "CRIT":
		return true
	}
	return false
}

// named splits the logger's name from the message. A name is one word; a message
// that is one word before a colon is taken for one.
func named(b []byte) (name, message []byte) {
	i := bytes.Index(b, []byte(": "))
	if i <= 0 || i > 128 {
		return nil, b
	}
	for _, c := range b[:i] {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' && c != '/' {
			return nil, b
		}
	}
	return b[:i], b[i+2:]
}

// split splits "message: k=v k=v". hclog writes a colon before pairs, so a message
// that looks like a pair is none.
func split(b []byte) (message, pairs []byte) {
	for i := 0; i+2 < len(b); i++ {
		if b[i] == ':' && b[i+1] == ' ' && kv.IsPair(b[i+2:]) {
			return b[:i], b[i+2:]
		}
	}
	return bytes.TrimSuffix(b, []byte(":")), nil // values of several lines follow
}

// names are the first parts of the names of Consul's loggers (logging/names.go, and
// the programs' own).
var names = map[string]bool{
	"agent": true, "agent_cache": true, "consul-dataplane": true, "connect": true, "consul": true, "consul-api-gateway": true,
	"mesh-gateway": true, "terminating-gateway": true, "ingress-gateway": true, "connect-injector": true, "api-gateway": true, "proxy": true,
	"envoy": true, // consul-dataplane's, in JSON
}

// others are loggers of Vault's agent, which begin as Consul's do.
var others = []string{"agent.auth", "agent.sink", "agent.template", "agent.apiproxy", "agent.exec", "agent.storage", "agent.telemetry"}

func httpServer(name []byte) bool { return string(name) == "agent.http" }

func known(name []byte) bool {
	for _, s := range others {
		if bytes.HasPrefix(name, []byte(s)) {
			return false
		}
	}
	if bytes.HasPrefix(name, []byte("consul-")) {
		return true
	}
	first, _ := facts.CutByte(name, '.')
	return names[string(first)]
}

// pairs writes the pairs under their own names: an error under the one that all
// programs share.
func (l *Line) pairs(o *facts.Out, b []byte, ofRequest bool) {
	s := kv.Scan(b, kv.Nested)
	for p, ok := s.Next(); ok; p, ok = s.Next() {
		if p.Flag {
			continue
		}
		v := p.Text(&l.made)
		switch key := string(p.Key); {
		case key == "error" || key == "err":
			o.DeriveBytes(field.ExceptionMessage, v)
		case ofRequest && key == "method":
			o.Method(v)
		case ofRequest && key == "url":
			o.URL(v)
		case ofRequest && key == "from":
			request(o, nil, nil, v)
		default:
			o.OwnText(p.Key, v)
		}
	}
}

// decide derives what intentions and ACLs decided, where a message or the pairs
// behind it say so (agent/acl, connect/tls.go).
func decide(o *facts.Out, message, rest []byte) {
	switch {
	case either(message, rest, "authz denied"):
		o.Decision("deny", "intention")
	case bytes.Contains(rest, []byte("error=Unauthorized")), string(rest) == "Unauthorized",
		either(message, rest, "Permission denied"), either(message, rest, "ACL not found"):
		o.Decision("deny", "acl")
	}
}

func either(a, b []byte, text string) bool {
	return bytes.Contains(a, []byte(text)) || bytes.Contains(b, []byte(text))
}

// request writes what the agent's HTTP server says of a request that failed, or at
// level debug of any.
func request(o *facts.Out, method, url, from []byte) {
	o.Method(method)
	o.URL(url)
	if addr, ok := facts.SplitAddress(from); ok {
		o.DeriveBytes(field.ClientAddress, addr.Host)
		if addr.Port > 0 {
			o.Int(field.ClientPort, addr.Port)
		}
	}
}
