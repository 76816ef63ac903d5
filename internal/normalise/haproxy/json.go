package haproxy

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
	when
	request
	front
	back
	server
	state
	code
	retries
	t0
	t1
	t2
	t3
	t4
	clientIP
	clientPort
	tlsVersion
	uri
	query
)

// Tables are the JSON layouts: log-format as HAProxy's blog and operators write it.
// Of times only those are read whose names say which they are: TR, Tw, Tc, Tr, Ta
// or their long forms.
var Tables = []*table.Table{{
	Format: facts.Format{Name: "haproxy-json", Platform: "haproxy", Kind: facts.Access, Of: "HAProxy, a log-format of JSON"},
	All: [][]string{
		{"frontend", "frontend_name", "frontend_name_transport", "fe", "ft", "fe_name", "haproxy.frontend_name"},
		{"backend", "backend_name", "be", "be_name"},
		{"termination_state", "termination_state_cookie", "ts", "tsc", "term_state", "termination", "bytes_read", "server_name", "server", "srv"},
	},
	Keys: func() map[string]table.Rule {
		k := map[string]table.Rule{}
		add := func(r table.Rule, names ...string) {
			for _, n := range names {
				k[n] = r
			}
		}
		add(table.Take(when), "time", "timestamp", "@timestamp", "accept_date", "request_date", "date", "time_local", "time_iso8601")
		add(table.Take(request), "request", "http_request", "request_line")
		add(table.Take(front), "frontend", "frontend_name", "frontend_name_transport", "fe", "ft", "fe_name")
		add(table.Take(back), "backend", "backend_name", "be", "be_name")
		add(table.Take(server), "server", "server_name", "srv", "srv_name")
		add(table.Take(state), "termination_state", "termination_state_cookie", "tsc", "ts", "term_state", "termination")
		add(table.Take(code), "status", "status_code", "http_status", "http_status_code", "response_code")
		add(table.Take(retries), "retries", "rc", "retry_count")
		add(table.Take(t0), "TR", "time_request", "tr_request")
		add(table.Take(t1), "Tw", "time_queue", "time_wait", "queue_time")
		add(table.Take(t2), "Tc", "time_connect", "time_backend_connect", "connect_time", "backend_connect")
		add(table.Take(t3), "Tr", "time_response", "time_backend_response", "response_time", "server_response")
		add(table.Take(t4), "Ta", "Tt", "time_active", "time_total", "time_duration", "total_time", "request_time")
		add(table.Take(clientIP), "client_ip", "client", "ci", "src", "client_address", "remote_addr", "source_ip")
		add(table.Take(clientPort), "client_port", "cp", "src_port", "remote_port")
		add(table.Method(), "method", "http_method", "request_method", "HM")
		add(table.Take(uri), "uri", "request_uri", "http_uri", "path", "url", "HU", "HP")
		add(table.Take(query), "query", "http_query", "HQ", "query_string")
		add(table.Protocol(), "http_version", "protocol", "HV", "proto")
		add(table.Int(field.HTTPResponseSize), "bytes_read", "bytes_sent")
		add(table.Int(field.HTTPRequestSize), "bytes_uploaded", "bytes_received", "request_size")
		add(table.Text(field.UserAgentOriginal), "user_agent", "useragent", "ua")
		add(table.Server(), "host", "http_host", "hostname_header")
		add(table.Text(field.HTTPRequestHeaderReferer), "referer", "referrer")
		add(table.Take(tlsVersion), "ssl_version", "sslv", "tls_version")
		add(table.Text(field.TLSCipher), "ssl_cipher", "ssl_ciphers", "sslc", "tls_cipher")
		add(table.Text(field.TLSClientServerName), "sni", "ssl_sni")
		add(table.Text(field.HTTPRequestHeaderXRequestID), "unique_id", "request_id", "ID")
		add(table.Text(field.HTTPRequestHeaderXForwardedFor), "x_forwarded_for", "xff")
		add(table.Int(field.ProcessPID), "pid")
		return k
	}(),
	Finish: finish,
}}

func finish(o *facts.Out, s *table.Slots) {
	if v := s.Text(when); v != nil {
		ns, n := facts.ClockStamp(v)
		ok := n == len(v)
		if !ok {
			ns, ok = facts.Time(v)
		}
		if ok && !o.Fixed && facts.Plausible(ns) {
			o.Time = ns
		} else {
			table.Keep(o, s.Member(when))
		}
	}
	if n, ok := s.Int(code); ok && n > 0 && n < 1000 {
		o.Int(field.HTTPResponseStatusCode, n)
	}
	x := exchange{host: s.Text(clientIP)}
	if n, ok := s.Int(clientPort); ok && n < 65536 {
		x.port = n
	}
	x.peer(o)
	h := clf.HAProxy{Frontend: s.Text(front), Backend: s.Text(back), Server: s.Text(server), State: s.Text(state), Retries: s.Text(retries), Status: s.Text(code)}
	h.Write(o)
	for i, at := range [...]table.Slot{t0, t1, t2, t3, t4} {
		m := s.Member(at)
		if m == nil || len(m.Text) > 0 && m.Text[0] == '-' {
			continue
		}
		v := bytes.TrimPrefix(m.Text, []byte("+"))
		if n, ok := facts.Uint(v); ok && n < 1<<40 && m.Kind != jsonscan.JSON {
			o.Int(clf.HAProxyTimes[i], n*1_000_000)
		} else {
			s.Leave(o, at)
		}
	}
	if v := s.Text(uri); v != nil {
		o.URL(v)
		if q := s.Text(query); q != nil && bytes.IndexByte(v, '?') < 0 {
			o.Str(field.URLQuery, bytes.TrimPrefix(q, []byte("?")))
		}
	} else if v := s.Text(request); v != nil {
		if _, ok := o.Request(v); !ok {
			table.Keep(o, s.Member(request))
		}
	}
	if v := s.Text(tlsVersion); v != nil {
		o.TLSVersion(v)
	}
}
