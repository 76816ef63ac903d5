package istio

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/kv"
)

// early reads a line of ztunnel of Istio 1.18 to 1.21, whose logger was Rust's
// tracing as it comes (src/telemetry.rs then):
//
//	2023-08-21T12:13:10.036108Z  INFO inbound{id=… peer_ip=… peer_id=…}: ztunnel::proxy::inbound: message
//
// A connection that came in with an identity came by mutual TLS.
func early(b []byte, o *facts.Out) bool {
	if len(b) < stampSize+16 || b[stampSize-1] != 'Z' || b[stampSize] != ' ' {
		return false
	}
	ns, n := facts.Stamp(b)
	if n != stampSize || !facts.Plausible(ns) {
		return false
	}
	word, rest := facts.CutByte(bytes.TrimLeft(b[n:], " "), ' ')
	switch string(word) {
	case "TRACE", "DEBUG", "INFO", "WARN", "ERROR":
	default:
		return false
	}
	var spans []byte
	if !bytes.HasPrefix(rest, []byte("ztunnel")) {
		i := bytes.Index(rest[:min(len(rest), 1024)], []byte(": ztunnel"))
		if i < 0 || rest[i-1] != '}' {
			return false
		}
		spans, rest = rest[:i], rest[i+2:]
	}
	target, _, ok := bytes.Cut(rest, []byte(": "))
	if !ok || len(target) > 128 || !scopeName(target) || len(target) > len("ztunnel") && target[len("ztunnel")] != ':' {
		return false
	}
	o.Format, o.Status = Log, facts.OK
	if !o.Fixed {
		o.Time = ns
	}
	o.Severity(word)
	o.DeriveBytes(field.LogLogger, target)
	switch {
	case bytes.HasPrefix(spans, []byte("inbound")):
		atSide(o, "inbound")
	case bytes.HasPrefix(spans, []byte("outbound")):
		atSide(o, "outbound")
	}
	if _, fields, found := bytes.Cut(spans, []byte("{")); found {
		s := kv.Scan(bytes.TrimSuffix(fields, []byte("}")), kv.Words)
		for p, more := s.Next(); more; p, more = s.Next() {
			switch string(p.Key) {
			case "peer_ip":
				o.DeriveBytes(field.NetworkPeerAddress, p.Value)
				o.DeriveBytes(field.ClientAddress, p.Value)
			case "peer_id":
				o.SourcePrincipal(p.Value)
			}
		}
	}
	o.MeshType("istio")
	return true
}
