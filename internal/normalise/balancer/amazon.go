package balancer

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/clf"
	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// Begins are the bytes that a line may begin with: a type, a time or a date.
const Begins = "hwgt2"

// Amazon reads text lines. Columns were added at the end over the years, and a line
// may end after any of them. It keeps scratch memory.
type Amazon struct {
	col     [40][]byte
	n       int
	buf     []byte // decoded
	version [3]byte
}

// Text implements facts.Line.
func (a *Amazon) Text(line []byte, o *facts.Out) bool {
	if len(line) > 20 && line[4] == '-' && line[10] == '\t' {
		return a.front(line, o)
	}
	if ns, n := facts.Stamp(line); n > 19 {
		return n < len(line) && line[n] == ' ' && a.classic(line[n+1:], ns, o)
	}
	kind, rest := facts.CutByte(line, ' ')
	switch string(kind) {
	case "http", "https", "h2", "h2c", "ws", "wss", "grpcs", "grpc":
		return a.application(kind, rest, o)
	case "tls":
		return a.network(rest, o)
	}
	return false
}

// split cuts columns at spaces; those in quotes whole.
func (a *Amazon) split(s []byte) bool {
	a.n = 0
	for len(s) > 0 {
		if a.n == len(a.col) {
			return false
		}
		v, rest, ok := clf.Quoted(s)
		if !ok {
			if s[0] == '"' { // the last column was cut off
				v, rest = s[1:], nil
			} else {
				v, rest = facts.CutByte(s, ' ')
			}
		}
		a.col[a.n], s = v, rest
		a.n++
	}
	return true
}

// at returns a column, or nil when it is absent or the line ends before it.
func (a *Amazon) at(i int) []byte {
	if i >= a.n || facts.Absent(a.col[i]) {
		return nil
	}
	return a.col[i]
}

func (a *Amazon) begin(o *facts.Out, format string, ns int64) {
	o.Format, o.Status = format, facts.OK
	if !o.Fixed && facts.Plausible(ns) {
		o.Time = ns
	}
	o.Derive(field.MeshReporter, "gateway")
}

// application reads an application load balancer's line behind its type:
//
//	time elb client:port target:port request_time target_time response_time elb_status target_status
//	received sent "request" "agent" cipher protocol target_group "trace" "domain" "certificate"
//	priority created "actions" "redirect" "error" "targets" "statuses" "classification" "reason" conn_trace …
func (a *Amazon) application(kind, s []byte, o *facts.Out) bool {
	ns, n := facts.Stamp(s)
	if n == 0 || n >= len(s) || s[n] != ' ' || !a.split(s[n+1:]) || a.n < 15 || !number(a.col[6]) || !number(a.col[8]) || !number(a.col[9]) {
		return false
	}
	a.begin(o, "aws-alb", ns)
	o.StrOf(field.MeshListener, a.at(0))
	a.exchange(o, 1)
	a.requested(o, 10)
	if v := a.at(11); v != nil {
		a.buf = facts.AppendUnescaped(a.buf[:0], v)
		o.Str(field.UserAgentOriginal, a.buf)
	}
	a.tls(o, 12, 13)
	if string(kind) == "http" || string(kind) == "ws" || string(kind) == "h2c" {
		o.Derive(field.MeshMTLS, "none")
	}
	o.StrOf(field.MeshUpstreamCluster, a.at(14))
	arn(o, a.at(14))
	a.trace(o, a.at(15))
	o.StrOf(field.TLSClientServerName, a.at(16))
	o.StrOf(field.MeshRoute, a.at(18))
	o.StrOf(field.MeshResponseCodeDetails, a.at(22))
	a.actions(o, a.at(20), a.at(22))
	if v := a.at(3); v == nil { // of several targets that a Lambda or a retry had
		o.StrOf(field.MeshUpstreamAddress, clf.Last(a.at(23)))
	}
	return true
}

func number(b []byte) bool {
	_, ok := facts.Uint(b)
	return ok || string(b) == "-"
}

// exchange reads client target three times, two statuses and two sizes from column i.
func (a *Amazon) exchange(o *facts.Out, i int) {
	o.Peer(a.at(i), nil)
	if v := a.at(i + 1); v != nil {
		o.Str(field.MeshUpstreamAddress, v)
	}
	total, known := int64(0), true
	for k := 0; k < 3; k++ {
		ns, ok := facts.Decimal(a.at(i+2+k), 1_000_000_000)
		if !ok {
			known = false
			continue
		}
		total += ns
		if k == 1 {
			o.Int(field.MeshUpstreamDurationNS, ns)
		}
	}
	if known {
		o.Int(field.MeshDurationNS, total)
	}
	a.number(o, field.HTTPResponseStatusCode, i+5)
	a.number(o, field.MeshUpstreamStatusCode, i+6)
}

func (a *Amazon) number(o *facts.Out, f field.ID, i int) {
	if n, ok := facts.Uint(a.at(i)); ok && (n > 0 || f != field.HTTPResponseStatusCode && f != field.MeshUpstreamStatusCode) {
		o.Int(f, n)
	}
}

// requested reads "METHOD URL PROTOCOL", of which each may be absent, and the sizes
// before it.
func (a *Amazon) requested(o *facts.Out, i int) {
	a.number(o, field.HTTPRequestSize, i-2)
	a.number(o, field.HTTPResponseSize, i-1)
	v := a.at(i)
	if len(v) == 0 || v[0] == '-' {
		return
	}
	if host, ok := o.Request(bytes.TrimRight(v, " ")); ok && len(host) > 0 {
		o.Server(host)
	} else if !ok {
		o.PartialOf("request")
	}
}

func (a *Amazon) tls(o *facts.Out, cipher, version int) {
	o.StrOf(field.TLSCipher, a.at(cipher))
	if v := a.at(version); v != nil {
		o.TLSVersion(v)
		o.Derive(field.MeshMTLS, "tls")
	}
}

// trace reads Root=1-TIME-RANDOM, X-Ray's trace, of which the 8 and 24 digits are
// the 32 of a trace.
func (a *Amazon) trace(o *facts.Out, v []byte) {
	i := bytes.Index(v, []byte("Root=1-"))
	if i < 0 {
		return
	}
	if v = v[i+7:]; len(v) < 33 || v[8] != '-' {
		return
	}
	var id [32]byte
	copy(id[:], v[:8])
	copy(id[8:], v[9:33])
	o.TraceID(id[:])
}

// arn derives region and account of arn:PARTITION:SERVICE:REGION:ACCOUNT:….
func arn(o *facts.Out, v []byte) {
	v, ok := bytes.CutPrefix(v, []byte("arn:"))
	if !ok {
		return
	}
	_, v = facts.CutByte(v, ':')
	_, v = facts.CutByte(v, ':')
	region, v := facts.CutByte(v, ':')
	account, _ := facts.CutByte(v, ':')
	o.DeriveBytes(field.CloudRegion, region)
	o.DeriveBytes(field.CloudAccountID, account)
}

// actions derives the decision: waf-failed is the firewall's own failure; waf with
// nothing that passed the request on is its denial only when no other action
// answered.
func (a *Amazon) actions(o *facts.Out, list, reason []byte) {
	switch {
	case string(list) == "waf":
		o.Denied("waf")
	case bytes.Contains(list, []byte("waf-failed")):
		waf(o, "error")
	case bytes.HasPrefix(reason, []byte("Auth")) || bytes.HasPrefix(reason, []byte("JWT")):
		o.Denied("oidc")
	}
}

// classic reads a classic load balancer's line behind its time:
//
//	elb client:port backend:port request_time backend_time response_time elb_status backend_status
//	received sent "request" ["agent" cipher protocol]
func (a *Amazon) classic(s []byte, ns int64, o *facts.Out) bool {
	if !timed(s) || !a.split(s) || a.n < 11 || a.n > 14 || !number(a.col[6]) || !number(a.col[7]) || !number(a.col[8]) || !number(a.col[9]) || bytes.Count(a.col[10], []byte(" ")) < 2 {
		return false
	}
	for i := 3; i < 6; i++ {
		if _, ok := facts.Decimal(bytes.TrimPrefix(a.col[i], []byte("-")), 1_000_000_000); !ok {
			return false
		}
	}
	a.begin(o, "aws-elb", ns)
	o.StrOf(field.MeshListener, a.at(0))
	a.exchange(o, 1)
	if v := a.at(10); len(v) > 0 && v[0] == '-' { // of TCP
		a.number(o, field.MeshBytesReceived, 8)
		a.number(o, field.MeshBytesSent, 9)
		o.Derive(field.NetworkTransport, "tcp")
	} else {
		a.requested(o, 10)
	}
	o.StrOf(field.UserAgentOriginal, a.at(11))
	a.tls(o, 12, 13)
	return true
}

// timed reports whether the fourth column may be a duration: it is not in most
// lines that begin with a time, and tells before all are cut.
func timed(s []byte) bool {
	for range 3 {
		if len(s) == 0 || s[0] == '"' {
			return len(s) > 0
		}
		_, s = facts.CutByte(s, ' ')
	}
	return len(s) > 0 && (s[0]-'0' < 10 || s[0] == '-' || s[0] == '.' || s[0] == '"')
}

// network reads a network load balancer's TLS line behind its type:
//
//	version time elb listener client:port destination:port connection_time tls_handshake_time received sent
//	incoming_tls_alert chosen_cert_arn chosen_cert_serial cipher protocol named_group domain alpn_fe alpn_be alpn_client [conn_created]
func (a *Amazon) network(s []byte, o *facts.Out) bool {
	if !a.split(s) || a.n < 17 || !number(a.col[8]) || !number(a.col[9]) {
		return false
	}
	ns, n := facts.Stamp(a.col[1])
	if n == 0 || n != len(a.col[1]) {
		return false
	}
	a.begin(o, "aws-nlb", ns)
	o.StrOf(field.MeshListener, a.at(2))
	o.Peer(a.at(4), nil)
	if v := a.at(5); v != nil {
		o.Str(field.MeshUpstreamAddress, v)
	}
	if n, ok := facts.Decimal(a.at(6), 1_000_000); ok {
		o.Int(field.MeshDurationNS, n)
	}
	a.number(o, field.MeshBytesReceived, 8)
	a.number(o, field.MeshBytesSent, 9)
	if v := a.at(10); v != nil {
		o.Str(field.MeshConnectionTerminationDetails, v)
	}
	arn(o, a.at(11))
	cipher := a.at(13)
	if cipher != nil {
		o.Str(field.TLSCipher, cipher)
	}
	if v := a.at(14); v != nil {
		v = bytes.TrimPrefix(v, []byte("tlsv"))
		if len(v) == 2 { // tlsv12
			a.version = [3]byte{v[0], '.', v[1]}
			o.Str(field.TLSProtocolVersion, a.version[:])
		} else {
			o.TLSVersion(v)
		}
		o.Derive(field.MeshMTLS, "tls")
	}
	o.StrOf(field.TLSClientServerName, a.at(16))
	o.Derive(field.NetworkTransport, "tcp")
	return true
}

// front reads CloudFront's line, whose columns stand between tabs, with spaces in
// values as %20:
//
//	date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent)
//	cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol cs-bytes time-taken
//	x-forwarded-for ssl-protocol ssl-cipher x-edge-response-result-type cs-protocol-version fle-status
//	fle-encrypted-fields c-port time-to-first-byte x-edge-detailed-result-type …
func (a *Amazon) front(line []byte, o *facts.Out) bool {
	a.n = 0
	for s := line; len(s) > 0; a.n++ {
		if a.n == len(a.col) {
			return false
		}
		a.col[a.n], s = facts.CutByte(s, '\t')
	}
	if a.n < 19 || len(a.col[0]) != 10 || len(a.col[1]) != 8 || !number(a.col[3]) || !number(a.col[8]) || !facts.IP(a.col[4]) {
		return false
	}
	var stamp [19]byte
	copy(stamp[:], a.col[0])
	stamp[10] = 'T'
	copy(stamp[11:], a.col[1])
	ns, n := facts.Stamp(stamp[:])
	if n == 0 {
		return false
	}
	a.begin(o, "aws-cloudfront", ns)
	o.Str(field.MeshListener, a.col[2])
	o.Peer(a.at(4), a.at(19))
	if n, ok := facts.Uint(a.at(26)); ok {
		o.Int(field.NetworkPeerPort, n)
	}
	a.number(o, field.HTTPResponseSize, 3)
	a.number(o, field.HTTPRequestSize, 17)
	o.Method(a.at(5))
	o.StrOf(field.URLPath, a.at(7))
	o.StrOf(field.URLQuery, a.at(11))
	o.StrOf(field.URLScheme, a.at(16))
	a.number(o, field.HTTPResponseStatusCode, 8)
	a.decoded(o, field.HTTPRequestHeaderReferer, 9)
	a.decoded(o, field.UserAgentOriginal, 10)
	a.decoded(o, field.HTTPRequestHeaderCookie, 12)
	o.StrOf(field.MeshCacheStatus, a.at(13))
	o.StrOf(field.HTTPRequestHeaderXRequestID, a.at(14))
	host := a.at(15)
	if host == nil {
		host = a.at(6)
	}
	if host != nil {
		o.Server(host)
	}
	if n, ok := facts.Decimal(a.at(18), 1_000_000_000); ok {
		o.Int(field.MeshDurationNS, n)
	}
	if n, ok := facts.Decimal(a.at(27), 1_000_000_000); ok {
		o.Int(field.MeshFirstByteNS, n)
	}
	if v := a.at(20); v != nil {
		o.TLSVersion(v)
		o.Derive(field.MeshMTLS, "tls")
	}
	o.StrOf(field.TLSCipher, a.at(21))
	o.Protocol(a.at(23))
	if v := a.at(28); string(v) != string(a.at(13)) {
		o.StrOf(field.MeshResponseCodeDetails, v)
	}
	return true
}

// decoded writes a header, of which CloudFront encodes what is no plain character.
func (a *Amazon) decoded(o *facts.Out, f field.ID, i int) {
	v := a.at(i)
	if v == nil {
		return
	}
	if bytes.IndexByte(v, '%') >= 0 {
		a.buf = a.buf[:0]
		for k := 0; k < len(v); k++ {
			if v[k] == '%' && k+2 < len(v) && facts.Hex(v[k+1:k+3]) {
				a.buf = append(a.buf, '\\', 'x', v[k+1], v[k+2])
				k += 2
				continue
			}
			if v[k] == '\\' {
				a.buf = append(a.buf, '\\')
			}
			a.buf = append(a.buf, v[k])
		}
		n := len(a.buf)
		a.buf = facts.AppendUnescaped(a.buf, a.buf[:n])
		if string(a.buf[n:]) != string(a.buf[:n]) {
			v = a.buf[n:]
		}
	}
	o.Str(f, v)
}
