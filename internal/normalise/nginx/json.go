package nginx

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/clf"
	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// The slots of the table.
const (
	_ table.Slot = iota
	msec
	local
	line
	method
	uri
	path
	args
	peer
	peerAlias
	port
	forwarded
	authority
	asked
	vhost
	name
	code
	addrs
	codes
	times
	connects
	heads
	sizes
	cluster
	version
)

// variables are NGINX's variables, and what operators call them beside.
var variables = map[string]struct {
	rule  table.Rule
	names []string
}{
	"time_iso8601":             {table.Time(), nil},
	"time_local":               {table.Take(local), []string{"time", "timestamp", "@timestamp", "ts", "access_time", "date"}},
	"msec":                     {table.Own().At(msec), nil},
	"request":                  {table.Take(line), nil},
	"request_method":           {table.Method().At(method), []string{"method", "http_method"}},
	"request_uri":              {table.Take(uri), nil},
	"uri":                      {table.Take(path), []string{"path", "url"}},
	"args":                     {table.Take(args), []string{"query_string", "request_query", "query"}},
	"remote_addr":              {table.Take(peer), nil},
	"remote_address":           {table.Take(peerAlias), []string{"remote_ip", "client_ip", "client", "realip_remote_addr"}},
	"remote_port":              {table.Take(port), []string{"client_port"}},
	"http_x_forwarded_for":     {table.Take(forwarded), []string{"x_forwarded_for", "x_forward_for", "x-forward-for", "x-forwarded-for", "xff", "proxy_add_x_forwarded_for"}},
	"http_host":                {table.Take(authority), nil},
	"host":                     {table.Take(asked), nil},
	"vhost":                    {table.Take(vhost), []string{"domain"}},
	"server_name":              {table.Take(name), nil},
	"status":                   {table.Take(code), []string{"response_status", "status_code", "http_status", "response_code"}},
	"body_bytes_sent":          {table.Int(field.HTTPResponseBodySize), []string{"body_bytes", "size"}},
	"bytes_sent":               {table.Int(field.HTTPResponseSize), nil},
	"request_length":           {table.Int(field.HTTPRequestSize), nil},
	"request_time":             {table.Seconds(field.MeshDurationNS), []string{"duration", "response_time"}},
	"upstream_addr":            {table.Take(addrs), []string{"upstream_host", "upstream"}},
	"upstream_status":          {table.Take(codes), nil},
	"upstream_response_time":   {table.Take(times), []string{"upstream_time"}},
	"upstream_connect_time":    {table.Take(connects), nil},
	"upstream_header_time":     {table.Take(heads), nil},
	"upstream_response_length": {table.Take(sizes), nil},
	"upstream_cache_status":    {table.Text(field.MeshCacheStatus), []string{"cache_status"}},
	"proxy_upstream_name":      {table.Take(cluster), []string{"upstream_name"}},
	"http_referer":             {table.Text(field.HTTPRequestHeaderReferer), []string{"http_referrer", "referer", "referrer"}},
	"http_user_agent":          {table.Text(field.UserAgentOriginal), []string{"user_agent", "agent", "useragent", "ua"}},
	"server_protocol":          {table.Protocol(), []string{"request_proto", "protocol", "proto", "http_version"}},
	"scheme":                   {table.Text(field.URLScheme), []string{"http_x_forwarded_proto"}},
	"server_addr":              {table.Text(field.NetworkLocalAddress), nil},
	"server_port":              {table.Int(field.NetworkLocalPort), nil},
	"ssl_protocol":             {table.Take(version), []string{"tls_version"}},
	"ssl_cipher":               {table.Text(field.TLSCipher), []string{"tls_cipher"}},
	"ssl_server_name":          {table.Text(field.TLSClientServerName), nil},
	"ssl_client_s_dn":          {table.Text(field.TLSClientSubject), nil},
	"ssl_client_i_dn":          {table.Text(field.TLSClientIssuer), nil},
	"remote_user":              {table.Text(field.UserName), []string{"user"}},
	"request_id":               {table.Text(field.HTTPRequestHeaderXRequestID), []string{"req_id", "http_x_request_id", "x_request_id", "x-request-id"}},
	"ingress_name":             {table.Text(field.MeshRoute), []string{"ingress"}},
	"service_name":             {table.Text(field.ServiceName), []string{"service"}},
	"namespace":                {table.Text(field.K8sNamespaceName), nil},
	"opentelemetry_trace_id":   {table.TraceID(), []string{"otel_trace_id", "opentracing_context_uber_trace_id", "trace_id", "traceid"}},
	"otel_span_id":             {table.Text(field.SpanID), []string{"opentelemetry_span_id", "span_id"}},
	"http_traceparent":         {table.Traceparent(), []string{"traceparent"}},
	"hostname":                 {table.Text(field.HostName), nil},
	"pid":                      {table.Int(field.ProcessPID), nil},
	"http_cookie":              {table.Text(field.HTTPRequestHeaderCookie), nil},
	"http_authorization":       {table.Text(field.HTTPRequestHeaderAuthorization), nil},
}

// spellings returns a name and what it is in camelCase.
func spellings(names ...string) []string {
	out := names[:len(names):len(names)]
	for _, n := range names {
		var camel []byte
		for i := 0; i < len(n); i++ {
			if (n[i] == '_' || n[i] == '-') && i+1 < len(n) {
				i++
				camel = append(camel, n[i]&^0x20)
				continue
			}
			camel = append(camel, n[i])
		}
		if string(camel) != n {
			out = append(out, string(camel))
		}
	}
	return out
}

func group(variable ...string) []string {
	var all []string
	for _, v := range variable {
		all = append(all, spellings(append([]string{v}, variables[v].names...)...)...)
	}
	return all
}

// Tables are the JSON layouts: names are the operator's, so a shape is known by
// NGINX's own words for sizes and times beside a status and a client.
var Tables = func() []*table.Table {
	t := &table.Table{
		Format: facts.Format{Name: "nginx-json", Platform: "nginx", Kind: facts.Access, Of: "NGINX's access log in JSON: names of variables, of ingress-nginx's documentation, or either in camelCase"},
		All: [][]string{
			group("status"), group("remote_addr", "remote_address", "http_x_forwarded_for"),
			spellings("body_bytes_sent", "body_bytes", "bytes_sent", "request_length"),
			spellings("request_time", "time_iso8601", "time_local", "upstream_response_time", "upstream_addr", "http_user_agent", "http_referrer", "http_referer", "request_proto", "proxy_upstream_name", "request_uri"),
		},
		None:   []string{"response_flags", "frontend", "frontend_name", "logger", "ClientAddr"},
		Keys:   map[string]table.Rule{},
		Finish: finish,
	}
	for v, alias := range variables {
		for _, n := range spellings(append([]string{v}, alias.names...)...) {
			t.Keys[n] = alias.rule
		}
	}
	return []*table.Table{t}
}()

func finish(o *facts.Out, s *table.Slots) {
	when(o, s)
	requested(o, s)
	host := s.Text(authority)
	for _, at := range [...]table.Slot{vhost, asked, name} {
		if v := s.Text(at); host == nil && string(v) != "_" {
			host = v
		} else if v != nil && string(v) != string(host) {
			table.Keep(o, s.Member(at))
		}
	}
	if host != nil {
		o.Server(host)
	}
	remote := s.Text(peer)
	if remote == nil {
		remote = s.Text(peerAlias)
	} else if m := s.Member(peerAlias); m != nil {
		table.Keep(o, m)
	}
	o.Peer(remote, s.Text(forwarded))
	if n, ok := s.Int(port); ok && n > 0 && n < 65536 {
		o.Int(field.NetworkPeerPort, n)
	} else if s.Text(port) != nil {
		s.Leave(o, port)
	}
	if n, ok := s.Int(code); !ok || n > 999 {
		if s.Text(code) != nil {
			s.Leave(o, code)
		}
	} else if n > 0 {
		o.Int(field.HTTPResponseStatusCode, n)
	}
	upstreams(o, s)
	if v := s.Text(version); v != nil {
		o.TLSVersion(v)
	}
}

// when prefers the time in milliseconds, which is of the same moment as the others.
func when(o *facts.Out, s *table.Slots) {
	if v := s.Text(local); v != nil {
		ns, n := facts.ClockStamp(v)
		ok := n == len(v)
		if !ok {
			ns, ok = facts.Time(v)
		}
		switch {
		case !ok:
			s.Leave(o, local)
		case !o.Fixed && o.Time == 0:
			o.Time = ns
		case o.Fixed:
			table.Keep(o, s.Member(local))
		}
	}
	if m := s.Member(msec); m != nil && !o.Fixed {
		if ns, ok := facts.Time(m.Text); ok {
			o.Time = ns
		}
	}
}

// requested writes what was asked for, of the parts that the object has.
func requested(o *facts.Out, s *table.Slots) {
	whole := s.Text(uri)
	if whole == nil {
		whole = s.Text(path)
	} else if v := s.Text(path); v != nil {
		table.Keep(o, s.Member(path)) // as NGINX rewrote it
	}
	query := s.Text(args)
	if whole != nil {
		o.URL(whole)
	}
	if query != nil && bytes.IndexByte(whole, '?') < 0 {
		o.Str(field.URLQuery, query)
	}
	v := s.Text(line)
	if v == nil {
		return
	}
	if whole == nil || s.Text(method) == nil {
		if _, ok := o.Request(v); ok {
			return
		}
	}
	table.Keep(o, s.Member(line))
}

func upstreams(o *facts.Out, s *table.Slots) {
	if v := s.Text(addrs); v != nil {
		clf.Upstream(o, v)
	}
	count(o, s, codes, field.MeshUpstreamStatusCode)
	count(o, s, sizes, field.MeshUpstreamResponseSize)
	span(o, s, times, field.MeshUpstreamDurationNS)
	span(o, s, connects, field.MeshUpstreamConnectNS)
	span(o, s, heads, field.MeshUpstreamFirstByteNS)
	if v := s.Text(cluster); v != nil {
		o.Str(field.MeshUpstreamCluster, v)
		o.Derive(field.MeshReporter, "gateway")
		if ns, svc, ok := clf.KubeService(v); ok && !o.Has(field.ServiceName) {
			o.DeriveBytes(field.ServiceName, svc)
			o.DeriveBytes(field.K8sNamespaceName, ns)
		}
	}
}

func count(o *facts.Out, s *table.Slots, at table.Slot, f field.ID) {
	v := clf.Last(s.Text(at))
	if facts.Absent(v) {
		return
	}
	if n, ok := facts.Uint(v); ok {
		o.Int(f, n)
		return
	}
	s.Leave(o, at)
}

func span(o *facts.Out, s *table.Slots, at table.Slot, f field.ID) {
	m := s.Member(at)
	if m == nil || m.Kind != jsonscan.JSON && facts.Absent(clf.Last(m.Text)) {
		return
	}
	if ns, ok := facts.Decimal(clf.Last(m.Text), 1_000_000_000); ok {
		o.Int(f, ns)
		return
	}
	s.Leave(o, at)
}
