// Package clf reads the access logs that descend from the common log format of
// NCSA's httpd: those of Apache, NGINX and what is built on it (ingress-nginx,
// NGINX Proxy Manager, Kong), Traefik, HAProxy's "clf", and of many handlers
// written in Go, Python and Java.
//
//	[VHOST] HOST IDENT USER [02/Jan/2006:15:04:05 -0700] "REQUEST" STATUS BYTES
//	        ["REFERER" "AGENT" [what the software adds]]
//
// NGINX's combined format is byte for byte Apache's, so the format is named after
// a software when the sender declared it or when the columns at the end prove it,
// and is neutral (common, combined, …) otherwise. Columns at the end that prove
// nothing stay in the body, and the record is partial.
//
// Values are escaped by each software in its own way (\x22, \", nothing), and are
// unescaped when the result is text without control characters. Of several
// upstreams that were tried NGINX lists each: the fields are the last one's, and
// http.request.resend_count says how many were before it.
//
// It knows no JSON, and never panics on outside bytes.
package clf

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// The names of the formats.
const (
	common = iota
	combined
	vhostCommon
	vhostCombined
	shapes
)

var neutral = [shapes]string{"common", "combined", "vhost-common", "vhost-combined"}

// declared are the names of the shapes of declared platforms.
var declared = map[string]*[shapes]string{
	"nginx":   {"nginx-common", "nginx-combined", "nginx-vhost-common", "nginx-vhost-combined"},
	"apache":  {"apache-common", "apache-combined", "apache-vhost-common", "apache-vhost-combined"},
	"traefik": {"traefik-common", "traefik-combined", "traefik-vhost-common", "traefik-vhost-combined"},
	"kong":    {"kong-common", "kong-combined", "kong-vhost-common", "kong-vhost-combined"},
}

// Formats are the layouts that this package reads.
var Formats = func() []facts.Format {
	f := []facts.Format{
		{Name: "nginx-ingress", Platform: "nginx", Kind: facts.Access, Of: "ingress-nginx, its default log-format-upstream"},
		{Name: "nginx-proxy-manager", Platform: "nginx", Kind: facts.Access, Of: "NGINX Proxy Manager and NPMplus"},
		{Name: "traefik-clf", Platform: "traefik", Mesh: "traefik", Kind: facts.Access, Of: "Traefik's access log, common"},
		{Name: "kong", Platform: "kong", Kind: facts.Access, Of: "Kong, kong_log_format with its request id"},
		{Name: "haproxy-clf", Platform: "haproxy", Kind: facts.Access, Of: "HAProxy, option httplog clf"},
		{Name: "squid", Platform: "squid", Kind: facts.Access, Of: "Squid's native access log"},
		{Name: "apache-combinedio", Platform: "apache", Kind: facts.Access, Of: "Apache's combinedio: combined and the bytes of mod_logio"},
	}
	of := [shapes]string{"the common log format", "the combined log format", "the common log format behind a virtual host", "the combined log format behind a virtual host"}
	for i, name := range neutral {
		f = append(f, facts.Format{Name: name, Platform: "clf", Kind: facts.Access, Of: of[i]})
		for _, p := range [...]string{"apache", "kong", "nginx", "traefik"} {
			f = append(f, facts.Format{Name: declared[p][i], Platform: p, Kind: facts.Access, Of: of[i] + ", of a declared " + p})
		}
	}
	return f
}()

// Platforms may be declared for lines of this package.
var Platforms = []string{"clf", "nginx", "apache", "traefik", "kong", "haproxy"}

// Begins are the bytes that a line may begin with: an address, a host or a time.
const Begins = `0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-:[_ "`

// A Line reads lines. It keeps scratch memory.
type Line struct {
	buf []byte
	access
}

// access is one line in parts, which alias it.
type access struct {
	time                       int64
	vhost, host, user          []byte
	forwarded                  []byte // when the line begins with the header's list
	request, status, size      []byte
	referer, agent             []byte
	combined                   bool
	tail                       []byte // behind all that
	duration, upstream         []byte // seconds, as they were written
	connect, firstByte         []byte
	upstreamAddr, upstreamCode []byte
	upstreamSize, requestSize  []byte
	id, cluster, cache         []byte
	micros                     bool // duration is microseconds
	partial                    bool
	forwardedSeen              bool   // a column for them stood first
	asked                      []byte // host, of the columns at the end
	nginx                      bool   // which proves that NGINX wrote them
}

// Text implements facts.Line.
func (l *Line) Text(line []byte, o *facts.Out) bool {
	i, n, ns := clock(line)
	if n == 0 {
		return false
	}
	l.access = access{time: ns}
	if i == 0 {
		return l.manager(line[n:], o)
	}
	if !l.before(line[:i]) || !l.middle(line[n:]) {
		return false
	}
	l.write(o, l.after(o))
	return true
}

// clock finds the time in brackets: where its bracket opens, and where what
// follows the space behind it begins; 0 when there is none.
func clock(line []byte) (at, end int, ns int64) {
	for from := 0; from < 1024; {
		i := bytes.IndexByte(line[from:], '[')
		if i < 0 {
			return 0, 0, 0
		}
		i += from
		if len(line) > i+22 && line[i+3] == '/' && line[i+7] == '/' {
			stamp := line[i+1:]
			var python [20]byte
			if stamp[11] == ' ' { // http.server and Werkzeug: no zone
				copy(python[:], stamp)
				python[11] = ':'
				stamp = python[:]
			}
			ns, n := facts.ClockStamp(stamp)
			if end := i + 1 + n; n > 0 && end+2 < len(line) && line[end] == ']' && line[end+1] == ' ' {
				return i, end + 2, ns
			}
		}
		from = i + 1
	}
	return 0, 0, 0
}

// before reads what stands before the time.
func (a *access) before(p []byte) bool {
	p = bytes.TrimLeft(p, " ")
	if len(p) < 4 || p[len(p)-1] != ' ' {
		return false
	}
	p = p[:len(p)-1]
	if bytes.IndexByte(p, ',') > 0 && a.listed(p) {
		return true
	}
	first, rest := facts.CutByte(p, ' ')
	if first[len(first)-1] == ',' { // a list of addresses, as its header has it
		i := bytes.Index(p, []byte(" - "))
		if i < 0 || !addresses(p[:i]) {
			return false
		}
		a.forwarded, a.user = p[:i], known(p[i+3:])
		return true
	}
	second, third := facts.CutByte(rest, ' ')
	switch {
	case len(second) == 0:
		return false
	case string(second) == "-":
		// Old ingress-nginx: ADDRESS - [REAL ADDRESS] - USER
		if len(third) > 2 && third[0] == '[' {
			if end := bytes.IndexByte(third, ']'); end > 0 && bytes.HasPrefix(third[end+1:], []byte(" - ")) {
				third = third[end+4:]
			}
		}
		a.host, a.user = first, known(third)
		return hostLike(first)
	}
	ident, user := facts.CutByte(third, ' ')
	switch {
	case len(third) == 0:
		return false
	case len(user) == 0: // HOST IDENT USER
		a.host, a.user = first, known(third)
		return hostLike(first)
	case string(ident) == "-" || bytes.IndexByte(user, ' ') < 0: // VHOST HOST IDENT USER
		if id, name := facts.CutByte(user, ' '); len(id) == 32 && len(name) > 0 && facts.Hex(id) { // BunkerWeb: … - REQUEST-ID USER
			a.id, user = id, name
		}
		a.vhost, a.host, a.user = first, second, known(user)
		return hostLike(first) && hostLike(second)
	}
	return false
}

// listed reads VHOST LIST - USER and VHOST LIST HOST IDENT USER, of which LIST is
// the addresses that a request was forwarded for, perhaps in quotes.
func (a *access) listed(p []byte) bool {
	vhost, rest := facts.CutByte(p, ' ')
	i := bytes.LastIndex(rest, []byte(" - "))
	if i < 0 || !hostLike(vhost) || vhost[len(vhost)-1] == ',' {
		return false
	}
	list, host := rest[:i], []byte(nil)
	last := bytes.LastIndexByte(list, ',')
	if last < 0 {
		return false
	}
	if j := bytes.IndexByte(bytes.TrimLeft(list[last+1:], " "), ' '); j >= 0 {
		j = len(list) - len(bytes.TrimLeft(list[last+1:], " ")) + j
		list, host = list[:j], list[j+1:]
	}
	if n := len(list); n > 1 && list[0] == '"' && list[n-1] == '"' {
		list = list[1 : n-1]
	}
	if !addresses(list) || host != nil && !hostLike(host) {
		return false
	}
	a.vhost, a.host, a.forwarded, a.user = vhost, host, list, known(rest[i+3:])
	return true
}

func known(b []byte) []byte {
	if facts.Absent(b) || string(b) == `""` {
		return nil
	}
	return b
}

// addresses reports whether b is a list of addresses with commas between.
func addresses(b []byte) bool {
	for len(b) > 0 {
		var one []byte
		one, b = facts.CutByte(b, ',')
		one = bytes.TrimSpace(one)
		if a, ok := facts.SplitAddress(one); !facts.IP(one) && (!ok || !facts.IP(a.Host)) && string(one) != "unknown" {
			return false
		}
	}
	return true
}

func hostLike(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c == '"' || c == '\'' || c == '=' || c == '{' || c == '(' {
			return false
		}
	}
	return len(b) > 0 && len(b) < 256
}

// middle reads "REQUEST" STATUS BYTES and the two quoted columns that make it
// combined.
func (a *access) middle(s []byte) bool {
	if len(s) == 0 || s[0] != '"' {
		return false
	}
	end := 0
	for from := 1; ; { // a request may hold quotes that nobody escaped
		i := bytes.IndexByte(s[from:], '"')
		if i < 0 {
			return a.truncated(s[1:])
		}
		end = from + i
		if end+2 < len(s) && s[end+1] == ' ' && a.numbers(s[end+2:]) {
			break
		}
		from = end + 1
	}
	a.request = s[1:end]
	s = a.early(a.tail)
	r, rest, ok := Quoted(s)
	if !ok {
		return true
	}
	u, rest, ok := Quoted(rest)
	if ok {
		a.referer, a.agent, a.combined, a.tail = known(r), known(u), true, rest
	}
	return true
}

// truncated reads REQUEST" STATUS of a line that ends within either, and reports
// whether it is such a one.
func (a *access) truncated(s []byte) bool {
	i := bytes.IndexByte(s, '"')
	request, rest := s, []byte(nil)
	if i >= 0 {
		request, rest = s[:i], bytes.TrimPrefix(s[i+1:], []byte(" "))
	}
	method, target := facts.CutByte(request, ' ')
	if len(method) < 3 || len(method) > 16 || len(target) == 0 || target[0] != '/' || len(rest) > 3 || len(rest) > 0 && !whole(rest) {
		return false
	}
	for _, c := range method {
		if c-'A' >= 26 {
			return false
		}
	}
	a.request, a.partial = request, true
	if len(rest) == 3 {
		a.status = rest
	}
	return true
}

// early reads times that stand before the quoted columns, as in F5's examples:
// rt=0.010 urt="0.009" "REFERER" "AGENT".
func (a *access) early(s []byte) []byte {
	t := s
	for len(t) > 0 && t[0] != '"' && t[0] != '-' {
		c, rest := facts.CutByte(t, ' ')
		switch eq := bytes.IndexByte(c, '='); {
		case eq > 0:
			rest = a.pair(t[:eq], t[eq+1:])
		case seconds(c) && a.duration == nil:
			a.duration = c
		default:
			a.partial = false
			return s
		}
		t = rest
	}
	if len(t) == 0 {
		a.duration, a.partial, a.nginx = nil, false, false // columns reads them again
		return s
	}
	return t
}

// numbers reads STATUS BYTES and leaves the rest in tail.
func (a *access) numbers(s []byte) bool {
	status, rest := facts.CutByte(s, ' ')
	size, rest := facts.CutByte(rest, ' ')
	if _, ok := facts.Uint(status); (!ok || len(status) != 3 && string(status) != "0") && string(status) != "-" {
		return false
	}
	if _, ok := facts.Uint(size); !ok && string(size) != "-" {
		return false
	}
	a.status, a.size, a.tail = status, size, rest
	return true
}

// Quoted cuts a column in quotes, or a bare -, and the space behind it. A quote
// within is behind a backslash, or no space follows it.
func Quoted(s []byte) (v, rest []byte, ok bool) {
	if len(s) > 0 && s[0] == '-' && (len(s) == 1 || s[1] == ' ') {
		return s[:1], s[min(2, len(s)):], true
	}
	if len(s) < 2 || s[0] != '"' {
		return nil, s, false
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			if i+1 == len(s) {
				return s[1:i], nil, true
			}
			if s[i+1] == ' ' {
				return s[1:i], s[i+2:], true
			}
			if bytes.HasPrefix(s[i+1:], []byte("rt=")) { // NGINX's own example forgot the space
				return s[1:i], s[i+1:], true
			}
		}
	}
	return nil, s, false
}

// write writes the fields under the name of the format, or if that is empty under
// that of the shape.
func (l *Line) write(o *facts.Out, format string) {
	o.Status = facts.OK
	if o.Format = format; format == "" {
		shape := l.shape()
		o.Format = neutral[shape]
		if names := declared[o.Declared]; names != nil {
			o.Format = names[shape]
		}
	}
	if l.partial {
		o.PartialOf("columns")
	}
	if !o.Fixed && facts.Plausible(l.time) {
		o.Time = l.time
	}
	o.Peer(l.host, l.forwarded)
	l.text(o, field.UserName, l.user)
	host := l.vhost
	if host == nil {
		host = l.asked
	}
	if len(l.request) > 1 {
		if h, ok := o.Request(l.plain(l.request)); ok && len(h) > 0 {
			host = h
		}
	}
	if len(host) > 0 && string(host) != "_" {
		o.Server(host)
	}
	if n, ok := facts.Uint(l.status); ok && n > 0 {
		o.Int(field.HTTPResponseStatusCode, n)
	}
	number(o, field.HTTPResponseBodySize, l.size)
	number(o, field.HTTPRequestSize, l.requestSize)
	l.text(o, field.HTTPRequestHeaderReferer, l.referer)
	l.text(o, field.UserAgentOriginal, l.agent)
	l.proxied(o)
}

func (a *access) shape() int {
	shape := common
	if a.combined {
		shape = combined
	}
	if a.vhost != nil {
		shape += vhostCommon
	}
	return shape
}

// proxied writes what a proxy says of its upstream.
func (l *Line) proxied(o *facts.Out) {
	unit := int64(1_000_000_000)
	if l.micros {
		unit = 1000
	}
	duration(o, field.MeshDurationNS, l.duration, unit)
	Upstream(o, l.upstreamAddr)
	if v := Last(l.upstreamCode); len(v) == 3 {
		number(o, field.MeshUpstreamStatusCode, v)
	}
	duration(o, field.MeshUpstreamDurationNS, Last(l.upstream), 1_000_000_000)
	duration(o, field.MeshUpstreamConnectNS, Last(l.connect), 1_000_000_000)
	duration(o, field.MeshUpstreamFirstByteNS, Last(l.firstByte), 1_000_000_000)
	number(o, field.MeshUpstreamResponseSize, Last(l.upstreamSize))
	o.DeriveBytes(field.MeshCacheStatus, known(l.cache))
	o.DeriveBytes(field.HTTPRequestHeaderXRequestID, known(l.id))
	o.DeriveBytes(field.MeshUpstreamCluster, known(l.cluster))
}

func (l *Line) text(o *facts.Out, f field.ID, v []byte) {
	if len(v) > 0 {
		o.Str(f, l.plain(v))
	}
}

// plain returns v without escapes. It is valid until the next call.
func (l *Line) plain(v []byte) []byte {
	if bytes.IndexByte(v, '\\') < 0 {
		return v
	}
	l.buf = facts.AppendUnescaped(l.buf[:0], v)
	return l.buf
}

func number(o *facts.Out, f field.ID, v []byte) {
	if n, ok := facts.Uint(v); ok {
		o.Int(f, n)
	}
}

func duration(o *facts.Out, f field.ID, v []byte, unit int64) {
	if ns, ok := facts.Decimal(v, unit); ok {
		o.Int(f, ns)
	}
}

// Last returns the last element of NGINX's list of upstreams: commas stand between
// those that one request was sent to, colons between groups.
func Last(list []byte) []byte {
	if i := bytes.LastIndexByte(list, ' '); i >= 0 {
		return list[i+1:]
	}
	if i := bytes.LastIndexByte(list, ','); i >= 0 {
		return list[i+1:]
	}
	return list
}

// Upstream writes the address of the upstream that was tried last, and how many
// were tried before it. "" and - mean that there was none.
func Upstream(o *facts.Out, list []byte) {
	last := Last(list)
	if facts.Absent(last) {
		return
	}
	o.Str(field.MeshUpstreamAddress, last)
	if n := bytes.Count(list, []byte(",")); n > 0 {
		o.Int(field.HTTPRequestResendCount, int64(n))
	}
}

// List cuts a column that is one of NGINX's lists, and the space behind it.
func List(s []byte) (list, rest []byte) {
	end := 0
	for {
		i := bytes.IndexByte(s[end:], ' ')
		if i < 0 {
			return s, nil
		}
		end += i
		switch {
		case end > 0 && s[end-1] == ',':
			end++
		case len(s) > end+2 && s[end+1] == ':' && s[end+2] == ' ':
			end += 3
		default:
			return s[:end], s[end+1:]
		}
	}
}

// KubeService reads the name that ingress-nginx and Traefik make of a Kubernetes
// service, NAMESPACE-SERVICE-PORT. ok is false when a part may hold a hyphen
// itself, so that it cannot be told where it ends.
func KubeService(v []byte) (namespace, service []byte, ok bool) {
	i := bytes.LastIndexByte(v, '-')
	if i < 0 {
		return nil, nil, false
	}
	namespace, service, ok = bytes.Cut(v[:i], []byte("-"))
	if !ok || len(namespace) == 0 || len(service) == 0 || bytes.IndexByte(service, '-') >= 0 || !whole(v[i+1:]) {
		return nil, nil, false
	}
	return namespace, service, true
}
