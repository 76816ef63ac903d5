package normalise

import (
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
)

var nginxFormats = []CustomFormat{
	{Name: "shop", Sources: []string{"edge"}, NGINX: `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" rt=$request_time up=$upstream_addr us=$upstream_status ut=$upstream_response_time host=$host rid=$request_id tenant=$http_x_tenant`},
	{Name: "shop-json", NGINX: `{"ip":"$remote_addr","t":"$time_iso8601","s":$status,"rt":$request_time,"m":"$request_method","u":"$request_uri","both":"$foo $bar","up":{"a":"$upstream_addr"}}`},
	{Name: "shop-directive", NGINX: "log_format main escape=none '$remote_addr $msec $scheme://$host$request_uri '\n\t'$status \"it\\'s\" ${sent_http_x_cache}';"},
}

// TestNGINXFormats holds lines of a declared log_format against what NGINX's
// variables stand for.
func TestNGINXFormats(t *testing.T) {
	c, err := CompileFormats(nginxFormats)
	if err != nil {
		t.Fatal(err)
	}
	n := NewWith(c)
	f := func(raw record.Raw, opt Options, format string, want ...string) {
		t.Helper()
		opt.Now, opt.Class = 1, "app"
		var b record.Batch
		if err := n.Append(&b, &raw, &opt); err != nil {
			t.Fatal(err)
		}
		r := b.Record(0)
		got := map[string]string{"time": time.Unix(0, r.Time).UTC().Format(time.RFC3339Nano)}
		for _, f := range r.Fields {
			got[f.Name] = f.Value.Text()
		}
		if got["parse.format"] != format {
			t.Errorf("%s is read as %s, want %s: %v", raw.Payload, got["parse.format"], format, got)
		}
		for _, w := range want {
			name, v, _ := strings.Cut(w, "=")
			if got[name] != v {
				t.Errorf("%s: %s is %q, want %q in %v", raw.Payload, name, got[name], v, got)
			}
		}
	}
	line := record.Raw{Payload: []byte(`203.0.113.9 - bob [20/Nov/2025:10:00:00 +0200] "GET /a?b=1 HTTP/1.1" 200 512 "-" "curl/8 \x22q\x22" rt=0.005 up=10.0.0.1:80, 10.0.0.2:80 us=502, 200 ut=0.001, 0.004 host=shop.example.com rid=abcdef tenant=acme`)}
	f(line, Options{Source: "edge"}, "shop", "time=2025-11-20T08:00:00Z", "client.address=203.0.113.9", "user.name=bob", "http.request.method=GET", "url.path=/a", "url.query=b=1",
		"http.response.status_code=200", "http.response.body.size=512", `user_agent.original=curl/8 "q"`, "http.request.header.referer=", "mesh.duration_ns=5000000", "mesh.upstream.address=10.0.0.2:80",
		"mesh.upstream.status_code=200", "mesh.upstream_duration_ns=4000000", "http.request.resend_count=1", "server.address=shop.example.com", "http.request.header.x-request-id=abcdef",
		"http.request.header.x-tenant=acme", "parse.status=ok", "body="+string(line.Payload))
	f(line, Options{Source: "edge", Platform: "nginx"}, "shop")
	f(line, Options{Source: "edge", Platform: "apache"}, "nginx-combined")
	f(record.Raw{Payload: []byte(`203.0.113.9 - - [20/Nov/2025:10:00:00 +0200] "\x16\x03\x01" 400 150 "-" "-" rt=0.000 up=- us=- ut=- host=_ rid=ab tenant=-`)}, Options{Source: "edge"}, "shop",
		"http.response.status_code=400", "mesh.upstream.address=", "http.request.header.x-tenant=", "server.address=")
	f(record.Raw{Payload: []byte(`1.2.3.4 1763625600.250 https://a.example.com/x?y 200 "it's" HIT`)}, Options{}, "shop-directive",
		"time=2025-11-20T08:00:00.25Z", "url.scheme=https", "server.address=a.example.com", "url.path=/x", "url.query=y", "http.response.status_code=200", "http.response.header.x-cache=HIT")
	f(record.Raw{Payload: []byte(`1.2.3.4 soon https://a.example.com/x?y 200 "it's" HIT`)}, Options{}, "text")
	object := record.Raw{JSON: true, Payload: []byte(`{"ip":"1.2.3.4","t":"2025-11-20T10:00:00+02:00","s":404,"rt":0.25,"m":"GET","u":"/x?y=1","both":"a b","up":{"a":"10.0.0.1:80"},"extra":1}`)}
	f(object, Options{}, "shop-json", "time=2025-11-20T08:00:00Z", "client.address=1.2.3.4", "http.response.status_code=404", "mesh.duration_ns=250000000", "http.request.method=GET",
		"url.path=/x", "url.query=y=1", "both=a b", "mesh.upstream.address=10.0.0.1:80", "extra=1", "parse.status=ok")
	f(record.Raw{JSON: true, Payload: []byte(`{"ip":"1.2.3.4","t":"x","s":404}`)}, Options{}, "json")
	if raceEnabled {
		return
	}
	b, opt := &record.Batch{}, &Options{Now: 1, Class: "app", Source: "edge"}
	run := func() {
		b.Reset()
		for _, raw := range []*record.Raw{&line, &object} {
			if err := n.Append(b, raw, opt); err != nil {
				t.Fatal(err)
			}
		}
	}
	run()
	run()
	if a := testing.AllocsPerRun(50, run); a != 0 {
		t.Errorf("%v allocations", a)
	}
}

// TestNGINXFormatErrors holds what is refused to the column that is named.
func TestNGINXFormatErrors(t *testing.T) {
	for format, want := range map[string]string{
		"no variable":                      "formats[0].log_format: column 1: no variable",
		"$remote_addr$status":              "formats[0].log_format: column 13: nothing stands between $remote_addr and $status",
		"$remote_addr $":                   "formats[0].log_format: column 14: no name behind $",
		"log_format main '$status":         "column 17: a quote without its end",
		strings.Repeat("$status ", 100):    "more than 96 variables",
		strings.Repeat("a", 20000) + "$a ": "more than 16384 bytes",
	} {
		_, err := CompileFormats([]CustomFormat{{Name: "x", NGINX: format}})
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want %s", format, err, want)
		}
	}
	for _, f := range []CustomFormat{{Name: "x", NGINX: "$status", Text: "%START_TIME%"}, {Name: "x", NGINX: "$status", Platform: "envoy"}} {
		if _, err := CompileFormats([]CustomFormat{f}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", f, err)
		}
	}
}

// FuzzNGINXFormat tries formats and lines on each other.
func FuzzNGINXFormat(f *testing.F) {
	for _, n := range nginxFormats {
		f.Add(n.NGINX, `203.0.113.9 - bob [20/Nov/2025:10:00:00 +0200] "GET /a?b=1 HTTP/1.1" 200 512`)
	}
	f.Fuzz(func(t *testing.T, format, line string) {
		c, err := CompileFormats([]CustomFormat{{Name: "x", NGINX: format}})
		if err != nil || line == "" {
			return
		}
		var b record.Batch
		if err := NewWith(c).Append(&b, &record.Raw{Payload: []byte(line)}, &Options{Now: 1, Class: "app"}); err != nil {
			t.Fatal(err)
		}
		if b.Record(0).Fields == nil {
			t.Fatal("no fields")
		}
	})
}
