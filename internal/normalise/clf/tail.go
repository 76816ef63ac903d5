package clf

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// after reads the columns behind the layout, and returns the name of the format
// that they prove, or "".
func (l *Line) after(o *facts.Out) string {
	l.tail = bytes.TrimSpace(l.tail)
	switch {
	case len(l.tail) == 0:
		return ""
	case !l.combined:
		l.columns(l.tail, o)
		return ""
	case l.ingress(l.tail):
		o.Derive(field.MeshReporter, "gateway")
		if ns, svc, ok := KubeService(l.cluster); ok {
			o.DeriveBytes(field.ServiceName, svc)
			o.DeriveBytes(field.K8sNamespaceName, ns)
		}
		return "nginx-ingress"
	case l.traefik(l.tail, o):
		return "traefik-clf"
	case l.haproxy(l.tail, o):
		return "haproxy-clf"
	case bytes.HasPrefix(l.tail, []byte("kong_request_id: ")):
		id, rest, ok := Quoted(l.tail[len("kong_request_id: "):])
		l.id, l.partial = id, !ok || len(rest) > 0
		o.Derive(field.MeshReporter, "gateway")
		return "kong"
	}
	in, out := facts.CutByte(l.tail, ' ')
	if whole(in) && whole(out) {
		l.requestSize = in
		number(o, field.HTTPResponseSize, out)
		return "apache-combinedio"
	}
	l.columns(l.tail, o)
	if l.nginx {
		return declared["nginx"][l.shape()]
	}
	return ""
}

func whole(b []byte) bool {
	_, ok := facts.Uint(b)
	return ok
}

// seconds reports whether b is a time as NGINX writes it, with three decimals.
func seconds(b []byte) bool {
	i := bytes.IndexByte(b, '.')
	return i > 0 && len(b)-i == 4 && whole(b[:i]) && whole(b[i+1:])
}

// ingress reads what ingress-nginx adds (docs: user-guide/nginx-configuration/log-format):
//
//	LENGTH TIME [UPSTREAM NAME] [ALTERNATIVE NAME] ADDRS LENGTHS TIMES STATUSES ID
//
// Before 0.24 there was no alternative name, before 0.18 no ID.
func (a *access) ingress(s []byte) bool {
	length, s := facts.CutByte(s, ' ')
	took, s := facts.CutByte(s, ' ')
	if !whole(length) || !seconds(took) || len(s) < 4 || s[0] != '[' {
		return false
	}
	end := bytes.IndexByte(s, ']')
	if end < 0 || end+2 > len(s) || s[end+1] != ' ' {
		return false
	}
	name := s[1:end]
	if s = s[end+2:]; len(s) > 0 && s[0] == '[' {
		if end = bytes.IndexByte(s, ']'); end < 0 || end+2 > len(s) {
			return false
		}
		s = s[end+2:]
	}
	a.requestSize, a.duration, a.cluster = length, took, name
	a.upstreamAddr, s = List(s)
	a.upstreamSize, s = List(s)
	a.upstream, s = List(s)
	a.upstreamCode, s = List(s)
	a.id = s
	a.partial = bytes.IndexByte(s, ' ') >= 0 || len(a.upstreamCode) == 0
	return true
}

// traefik reads what Traefik's common format adds
// (pkg/middlewares/accesslog/logger_formatters.go): COUNT "ROUTER" "URL" Nms
func (a *access) traefik(s []byte, o *facts.Out) bool {
	count, s := facts.CutByte(s, ' ')
	if !whole(count) && string(count) != "-" {
		return false
	}
	router, s, ok := Quoted(s)
	if !ok {
		return false
	}
	server, s, ok := Quoted(s)
	took, isMillis := bytes.CutSuffix(s, []byte("ms"))
	ms, good := facts.Uint(took)
	if !ok || !isMillis || !good || ms > 1<<40 {
		return false
	}
	o.Int(field.MeshDurationNS, ms*1_000_000)
	o.Derive(field.MeshReporter, "gateway")
	o.MeshType("traefik")
	if router = known(router); router != nil {
		o.Str(field.MeshRoute, router)
	}
	if server = known(server); server != nil {
		u := facts.SplitURL(server)
		if len(u.Host) == 0 {
			u.Host = server
		}
		o.Str(field.MeshUpstreamAddress, u.Host)
	}
	return true
}

// haproxy reads what option httplog clf adds:
//
//	CLIENT_PORT MS "FRONTEND" "BACKEND" "SERVER" TR Tw Tc Tr Ta STATE
//	ac fc bc sc rc sq bq "CC" "CS" "HEADERS" "HEADERS"
func (a *access) haproxy(s []byte, o *facts.Out) bool {
	port, s := facts.CutByte(s, ' ')
	ms, s := facts.CutByte(s, ' ')
	n, ok := facts.Uint(port)
	if !ok || n > 65535 || !whole(ms) || len(ms) > 3 {
		return false
	}
	var name [3][]byte
	for i := range name {
		if name[i], s, ok = Quoted(s); !ok {
			return false
		}
	}
	var times [5][]byte
	for i := range times {
		times[i], s = facts.CutByte(s, ' ')
		if !signed(times[i]) {
			return false
		}
	}
	state, s, ok := Quoted(s)
	if !ok {
		state, s = facts.CutByte(s, ' ')
		ok = len(state) == 4
	}
	var counts [7][]byte
	for i := range counts {
		counts[i], s = facts.CutByte(s, ' ')
		if !signed(counts[i]) {
			return false
		}
	}
	if !ok {
		return false
	}
	fraction, _ := facts.Uint(ms)
	a.time += fraction * 1_000_000
	o.Int(field.ClientPort, n)
	o.Int(field.NetworkPeerPort, n)
	HAProxy{Frontend: name[0], Backend: name[1], Server: name[2], Times: times[:], State: state, Retries: counts[4], Status: a.status}.Write(o)
	return true
}

func signed(b []byte) bool {
	if len(b) > 1 && (b[0] == '-' || b[0] == '+') {
		b = b[1:]
	}
	return whole(b)
}

// columns reads columns of no fixed layout by their form: the forwarded addresses
// in quotes, NGINX's times, and the names that NGINX's own documentation gives.
func (a *access) columns(s []byte, o *facts.Out) {
	for first := true; len(s) > 0; first = false {
		if s[0] == '"' || s[0] == '-' {
			v, rest, ok := Quoted(s)
			if !ok {
				a.partial = true
				return
			}
			switch {
			case !first && s[0] == '-':
			case first && a.combined && (facts.Absent(v) || addresses(v)):
				a.forwarded, a.forwardedSeen = known(v), true
			case a.asked == nil && a.forwardedSeen && (facts.IsHost(v) || bytes.HasPrefix(rest, []byte("sn="))): // NGINX Amplify's "$host"
				a.asked = v
			case a.cache == nil && cached(v):
				a.cache = v
			case known(v) != nil:
				a.partial = true
			}
			s = rest
			continue
		}
		var c []byte
		c, rest := facts.CutByte(s, ' ')
		switch eq := bytes.IndexByte(c, '='); {
		case eq > 0:
			rest = a.pair(s[:eq], s[eq+1:])
		case seconds(c) && a.duration == nil:
			a.duration = c
		case seconds(bytes.TrimSuffix(c, []byte(","))) && a.upstream == nil:
			a.upstream, rest = List(s)
		case whole(c) && a.duration == nil && len(rest) == 0 && o.Declared == "apache":
			a.duration, a.micros = c, true // %D
		case string(c) == "." || string(c) == "p":
		default:
			a.partial = true
		}
		s = rest
	}
}

// cached reports whether a word is one of $upstream_cache_status.
func cached(b []byte) bool {
	switch string(b) {
	case "HIT", "MISS", "BYPASS", "EXPIRED", "STALE", "UPDATING", "REVALIDATED":
		return true
	}
	return false
}

// pair reads NAME=VALUE or NAME="VALUE" as formats of NGINX's makers have it.
func (a *access) pair(name, s []byte) (rest []byte) {
	v, rest, ok := Quoted(s)
	if !ok {
		v, rest = List(s)
	}
	switch string(name) {
	case "rt", "request_time":
		a.duration = v
	case "uct":
		a.connect = v
	case "uht":
		a.firstByte = v
	case "urt", "ut", "upstream_response_time":
		a.upstream = v
	case "ua", "upstream_addr":
		a.upstreamAddr = v
	case "us", "upstream_status":
		a.upstreamCode = v
	case "ul", "upstream_response_length":
		a.upstreamSize = v
	case "cs", "upstream_cache_status":
		a.cache = v
	case "request_id", "rid":
		a.id = v
	case "sn", "server_name", "host":
		if a.asked == nil {
			a.asked = known(v)
		}
	default:
		a.partial = true
		return rest
	}
	a.nginx = true
	return rest
}

// manager reads what follows the time in NGINX Proxy Manager's two formats, and in
// that of NPMplus:
//
//	[CACHE UPSTREAM_STATUS] STATUS - METHOD SCHEME HOST "TARGET" [Client A] [Length N] [Gzip R] [Sent-to S] "AGENT" "REFERER"
//	HOST CLIENT TIME "REQUEST" STATUS BYTES BYTES_SENT REFERER AGENT
func (l *Line) manager(s []byte, o *facts.Out) bool {
	i := bytes.IndexByte(s, '"')
	if i < 4 || s[i-1] != ' ' {
		return false
	}
	var c [8][]byte
	n := 0
	for rest := s[:i-1]; len(rest) > 0; n++ {
		if n == len(c) {
			return false
		}
		c[n], rest = facts.CutByte(rest, ' ')
	}
	switch {
	case n == 3 && facts.IP(c[1]) && seconds(c[2]):
		l.vhost, l.host, l.duration = c[0], c[1], c[2]
		if !l.middle(s[i:]) || l.combined {
			return false
		}
		sent, rest := facts.CutByte(l.tail, ' ')
		l.referer, l.agent = facts.CutByte(rest, ' ')
		l.referer, l.agent = known(l.referer), known(l.agent)
		if !whole(sent) {
			return false
		}
		number(o, field.HTTPResponseSize, sent)
	case n == 5 && string(c[1]) == "-", n == 7 && string(c[3]) == "-":
		if n == 7 {
			l.cache, l.upstreamCode = c[0], c[1]
		}
		l.status, l.vhost = c[n-5], c[n-1]
		if !whole(l.status) && string(l.status) != "-" || !l.managed(s[i:], c[n-3], c[n-2], o) {
			return false
		}
	default:
		return false
	}
	o.Derive(field.MeshReporter, "gateway")
	l.write(o, "nginx-proxy-manager")
	return true
}

// managed reads "TARGET" [Client A] [Length N] [Gzip R] [Sent-to S] "AGENT" "REFERER".
func (l *Line) managed(s, method, scheme []byte, o *facts.Out) bool {
	target, s, ok := Quoted(s)
	if !ok || !facts.Token(method) {
		return false
	}
	sentTo := []byte(nil)
	for len(s) > 0 && s[0] == '[' {
		end := bytes.IndexByte(s, ']')
		if end < 0 {
			return false
		}
		name, v := facts.CutByte(s[1:end], ' ')
		switch string(name) {
		case "Client":
			l.host = v
		case "Length":
			l.size = v
		case "Sent-to":
			sentTo = v
		}
		s = bytes.TrimPrefix(s[end+1:], []byte(" "))
	}
	if l.host == nil || l.size == nil {
		return false
	}
	agent, s, ok := Quoted(s)
	referer, s, good := Quoted(s)
	l.agent, l.referer, l.partial = known(agent), known(referer), !ok || !good || len(s) > 0
	o.Method(method)
	o.DeriveBytes(field.URLScheme, scheme)
	o.Derive(field.NetworkProtocolName, "http")
	o.URL(l.plain(target))
	if known(sentTo) != nil {
		o.Str(field.MeshUpstreamAddress, sentTo)
	}
	return true
}
