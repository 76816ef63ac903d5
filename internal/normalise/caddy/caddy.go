// Package caddy reads Caddy's access log in JSON (modules/caddyhttp/logging.go,
// marshalers.go). What Caddy says of itself, which zap wrote, is read by package
// applog.
//
// Durations are seconds, or as duration_format has them. Versions and ciphers of TLS
// are numbers. Headers are arrays; policy may have replaced their values by
// REDACTED. Before 2.5 the peer was one remote_addr with its port.
package caddy

import (
	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// The slots of the table.
const (
	_ table.Slot = iota
	remoteIP
	remotePort
	remoteAddr
	clientIP
	forwarded
	agent
	referer
	requestID
	traceparent
	authorization
	cookie
	version
	cipher
	subject
	status
)

// Tables are the JSON layouts.
var Tables = []*table.Table{{
	Format: facts.Format{Name: "caddy-json", Platform: "caddy", Kind: facts.Access, Of: "Caddy's access log"},
	All:    [][]string{{"request.remote_ip", "request.remote_addr"}, {"request.method"}, {"request.uri"}, {"status"}, {"duration"}},
	Keys: map[string]table.Rule{
		"ts": table.Time(), "level": table.Severity(), "logger": table.Text(field.LogLogger), "msg": table.Text(field.Body),
		"request.remote_ip": table.Take(remoteIP), "request.remote_port": table.Take(remotePort), "request.remote_addr": table.Take(remoteAddr), "request.client_ip": table.Take(clientIP),
		"request.proto": table.Protocol(), "request.method": table.Method(), "request.host": table.Server(), "request.uri": table.URL(),
		"request.headers.User-Agent": table.Take(agent), "request.headers.Referer": table.Take(referer), "request.headers.X-Forwarded-For": table.Take(forwarded),
		"request.headers.X-Request-Id": table.Take(requestID), "request.headers.Traceparent": table.Take(traceparent),
		"request.headers.Authorization": table.Take(authorization), "request.headers.Cookie": table.Take(cookie),
		"request.tls.version": table.Take(version), "request.tls.cipher_suite": table.Take(cipher), "request.tls.server_name": table.Text(field.TLSClientServerName),
		"request.tls.client_common_name": table.Text(field.TLSClientSubject).At(subject),
		"bytes_read":                     table.Int(field.HTTPRequestBodySize), "size": table.Int(field.HTTPResponseBodySize), "user_id": table.Text(field.UserName),
		"duration": table.Seconds(field.MeshDurationNS), "status": table.Take(status),
	},
	Finish: finish,
}}

func finish(o *facts.Out, s *table.Slots) {
	if n, ok := s.Int(status); ok && n > 0 && n < 1000 { // 0: the handler wrote none
		o.Int(field.HTTPResponseStatusCode, n)
	}
	peers(o, s)
	header(o, s, agent, field.UserAgentOriginal)
	header(o, s, referer, field.HTTPRequestHeaderReferer)
	header(o, s, requestID, field.HTTPRequestHeaderXRequestID)
	header(o, s, authorization, field.HTTPRequestHeaderAuthorization)
	header(o, s, cookie, field.HTTPRequestHeaderCookie)
	if v := s.First(traceparent); v != nil && !o.Traceparent(v) {
		s.Leave(o, traceparent)
	}
	tls(o, s)
}

// header writes a header of one value; more stay under their own name.
func header(o *facts.Out, s *table.Slots, at table.Slot, f field.ID) {
	switch m := s.Member(at); {
	case m == nil:
	case s.Count(at) > 1:
		table.Keep(o, m)
	default:
		if v := s.First(at); !facts.Absent(v) {
			o.Str(f, v)
		}
	}
}

// peers writes the addresses: client_ip is Caddy's own choice by the proxies that it
// trusts, and stands above the header, which anyone can write.
func peers(o *facts.Out, s *table.Slots) {
	peer := s.Text(remoteIP)
	if peer == nil {
		peer = s.Text(remoteAddr)
	}
	client := s.Text(clientIP)
	var xff []byte
	if s.Member(forwarded) != nil {
		if s.Count(forwarded) > 1 {
			table.Keep(o, s.Member(forwarded))
		} else if xff = s.First(forwarded); client != nil && len(xff) > 0 {
			o.Str(field.HTTPRequestHeaderXForwardedFor, xff)
			xff = nil
		}
	}
	if client == nil {
		o.Peer(peer, xff)
	} else {
		o.DeriveBytes(field.ClientAddress, client)
		if facts.IP(peer) {
			o.Str(field.NetworkPeerAddress, peer)
		}
	}
	if n, ok := s.Int(remotePort); ok && n > 0 && n < 65536 {
		o.Int(field.NetworkPeerPort, n)
		if string(client) == string(peer) {
			o.Int(field.ClientPort, n)
		}
	}
}

// ciphers are the suites that Go's TLS offers (IANA).
var ciphers = map[int64]string{
	0x1301: "TLS_AES_128_GCM_SHA256", 0x1302: "TLS_AES_256_GCM_SHA384", 0x1303: "TLS_CHACHA20_POLY1305_SHA256",
	0xc02b: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", 0xc02c: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
	0xc02f: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", 0xc030: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
	0xcca8: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", 0xcca9: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
	0xc009: "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", 0xc00a: "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
	0xc013: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", 0xc014: "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
	0x009c: "TLS_RSA_WITH_AES_128_GCM_SHA256", 0x009d: "TLS_RSA_WITH_AES_256_GCM_SHA384",
	0x002f: "TLS_RSA_WITH_AES_128_CBC_SHA", 0x0035: "TLS_RSA_WITH_AES_256_CBC_SHA",
}

var versions = map[int64]string{0x0301: "1.0", 0x0302: "1.1", 0x0303: "1.2", 0x0304: "1.3"}

func tls(o *facts.Out, s *table.Slots) {
	if n, ok := s.Int(version); ok && versions[n] != "" {
		o.Derive(field.TLSProtocolVersion, versions[n])
	} else if s.Member(version) != nil {
		s.Leave(o, version)
	}
	if n, ok := s.Int(cipher); ok && ciphers[n] != "" {
		o.Derive(field.TLSCipher, ciphers[n])
	} else if s.Member(cipher) != nil {
		s.Leave(o, cipher)
	}
	switch {
	case s.Text(subject) != nil:
		o.Derive(field.MeshMTLS, "mutual")
	case s.Member(version) != nil:
		o.Derive(field.MeshMTLS, "tls")
	}
}
