package normalise

import (
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
)

var ownFormats = []CustomFormat{
	{Name: "edge", Sources: []string{"fluent/*", "tail"}, Text: `%REQ(:METHOD)%|%REQ(:PATH)%|%RESPONSE_CODE%|%DURATION%|%REQ(X-TENANT)%|%START_TIME(%s.%3f)%`},
	{Name: "edge-json", Platform: "istio", JSON: map[string]any{
		"when": "%START_TIME(%Y/%m/%d %H:%M:%S)%", "req": map[string]any{"verb": "%REQ(:METHOD)%", "what": "%REQ(:PATH)% of %REQ(:AUTHORITY)%"},
		"status": "%RESPONSE_CODE%", "ms": "%DURATION%", "tenant": "%REQ(X-TENANT)%", "env": "prod", "cluster_name": "%UPSTREAM_CLUSTER%", "meta": "%DYNAMIC_METADATA(a)%",
	}},
}

func custom(t testing.TB) *Normaliser {
	t.Helper()
	c, err := CompileFormats(ownFormats)
	if err != nil {
		t.Fatal(err)
	}
	return NewWith(c)
}

func TestCustomFormats(t *testing.T) {
	n := custom(t)
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
	text := record.Raw{Payload: []byte(`GET|/a?b|200|7|acme|1772359200.528`)}
	f(text, Options{Source: "fluent/x"}, "edge", "time=2026-03-01T10:00:00.528Z", "url.path=/a", "url.query=b", "http.response.status_code=200",
		"mesh.duration_ns=7000000", "http.request.header.x-tenant=acme", "body="+string(text.Payload), "parse.status=ok", "mesh.type=envoy")
	f(text, Options{Source: "tail"}, "edge")
	f(text, Options{Source: "loki/x"}, "text")
	f(text, Options{Source: "tail", Platform: "istio"}, "text")
	f(text, Options{Source: "tail", Platform: "envoy"}, "edge")
	f(record.Raw{Payload: []byte(`2026-03-01T10:00:00.8Z stdout F GET|/a?b|200|7|acme|1772359200.528`)}, Options{Source: "tail"}, "edge", "log.iostream=stdout")

	object := record.Raw{JSON: true, Payload: []byte(`{"when":"2026/03/01 10:00:00","req":{"verb":"GET","what":"/a of shop:80"},"status":503,"ms":12,"tenant":"acme","env":"prod","cluster_name":"outbound|80||shop.ns.svc.cluster.local","meta":{"k":"v","n":1}}`)}
	f(object, Options{}, "edge-json", "time=2026-03-01T10:00:00Z", "http.request.method=GET", "url.path=/a", "server.address=shop", "http.response.status_code=503",
		"mesh.duration_ns=12000000", "tenant=acme", "env=prod", "mesh.destination.workload=shop", "mesh.type=istio", "req.what=/a of shop:80", "meta.k=v", "meta.n=1", "service.name=shop")
	f(object, Options{Platform: "linkerd"}, "json")
	// Absent values are null, or the names of them are left out.
	f(record.Raw{JSON: true, Payload: []byte(`{"when":"2026/03/01 10:00:00","req":{"verb":"GET"},"status":200,"ms":1,"tenant":null,"cluster_name":null}`)}, Options{}, "edge-json", "http.request.method=GET")
	// What an application writes under some of the names is none of it.
	f(record.Raw{JSON: true, Payload: []byte(`{"status":200,"ms":1,"msg":"done"}`)}, Options{}, "json")
	f(record.Raw{JSON: true, Payload: []byte(`{"status":200}`)}, Options{}, "json")
	// A value that is not what its operator prints stays under its name.
	f(record.Raw{JSON: true, Payload: []byte(`{"when":"soon","req":{"verb":"GET"},"status":"x","ms":true,"tenant":"a"}`)}, Options{}, "edge-json", "when=soon", "status=x", "ms=true", "parse.status=partial")
}

func TestCustomFormatErrors(t *testing.T) {
	f := func(want string, list ...CustomFormat) {
		t.Helper()
		_, err := CompileFormats(list)
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	ok := CustomFormat{Name: "a", Text: "%RESPONSE_CODE% x"}
	f(`formats[0].text_format: column 17: no operator`, CustomFormat{Name: "a", Text: "%RESPONSE_CODE% %x"})
	f(`formats[0].json_format.b.c: column 1: no operator`, CustomFormat{Name: "a", JSON: map[string]any{"b": map[string]any{"c": "%x"}}})
	f(`formats[1].name: "a" is a layout's name already`, ok, ok)
	f(`formats[0].name: "istio-text" is a layout's name already`, CustomFormat{Name: "istio-text", Text: ok.Text})
	f(`formats[0].name: "A b" is no name`, CustomFormat{Name: "A b", Text: ok.Text})
	f(`formats[0].platform: no proxy of "nginx"`, CustomFormat{Name: "a", Platform: "nginx", Text: ok.Text})
	f(`formats[0].text_format: either`, CustomFormat{Name: "a"})
	f(`formats[0].text_format: either`, CustomFormat{Name: "a", Text: ok.Text, JSON: map[string]any{"a": "%PATH%"}})
	f(`formats[0].sources: "" is no pattern`, CustomFormat{Name: "a", Text: ok.Text, Sources: []string{""}})
	f(`formats: 65, where 64 may be`, make([]CustomFormat, 65)...)
}

// TestFormatNamesAreUnique: policy and reports tell layouts by their names.
func TestFormatNamesAreUnique(t *testing.T) {
	seen := map[string]string{}
	for _, f := range Formats() {
		if of, twice := seen[f.Name]; twice && of != f.Of {
			t.Errorf("%s is both %q and %q", f.Name, of, f.Of)
		}
		seen[f.Name] = f.Of
	}
}

func BenchmarkCustomFormat(b *testing.B) {
	c, err := CompileFormats([]CustomFormat{{Name: "own", Text: `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%`}})
	if err != nil {
		b.Fatal(err)
	}
	n, batch, opt := NewWith(c), &record.Batch{}, Options{Source: "bench", Now: 1, Class: "app"}
	raw := record.Raw{Payload: []byte(`[2022-07-20T09:52:24.955Z] "GET /details/0 HTTP/1.1" 200 - via_upstream - "-" 0 178 2 1 "-" "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_14_4)" "785918d6-06b6-9312-bf77-6d9bd968dc21" "details:9080" "10.68.2.10:9080" inbound|9080|| 127.0.0.6:47889 10.68.2.10:9080 10.68.1.7:39696 outbound_.9080_._.details.default.svc.cluster.local default`)}
	b.SetBytes(int64(len(raw.Payload)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%2000 == 0 {
			batch.Reset()
		}
		if err := n.Append(batch, &raw, &opt); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOperators(b *testing.B) {
	n, batch, opt, raw := New(), &record.Batch{}, &Options{Now: 1, Class: "app"}, &record.Raw{Time: 5, Attrs: istioAttributes}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%2000 == 0 {
			batch.Reset()
		}
		if err := n.Append(batch, raw, opt); err != nil {
			b.Fatal(err)
		}
	}
}
