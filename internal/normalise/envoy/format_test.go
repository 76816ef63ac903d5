package envoy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/record"
)

// defaultFormat is Envoy's.
const defaultFormat = `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"` + "\n"

// read returns what a format makes of a line: its fields as name=value, and its
// time; nil when it is not of the format.
func read(t testing.TB, format, line string) map[string]string {
	t.Helper()
	f, err := CompileText(format)
	if err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	f.Name, f.Platform = "own", "envoy"
	var a Access
	matched, whole := f.Text(&a, []byte(line))
	if !matched {
		return nil
	}
	var b record.Batch
	var cols facts.Columns
	cols.Bind(&b)
	b.Begin(0, "")
	o := facts.Out{B: &b, Cols: &cols}
	f.Write(&a, &o)
	b.End()
	m := map[string]string{"format": o.Format, "whole": fmt.Sprint(whole)}
	if o.Time != 0 {
		m["time"] = time.Unix(0, o.Time).UTC().Format(time.RFC3339Nano)
	}
	r := b.Record(0)
	for _, f := range r.Fields {
		m[f.Name] = f.Value.Text()
	}
	return m
}

func TestFormats(t *testing.T) {
	f := func(format, line string, want ...string) {
		t.Helper()
		got := read(t, format, line)
		if len(want) == 0 {
			if got != nil {
				t.Errorf("%s\nreads %s\nas %v", format, line, got)
			}
			return
		}
		for _, w := range want {
			name, v, _ := strings.Cut(w, "=")
			if have, ok := got[name]; have != v || ok == (v == "absent") && v != have {
				t.Errorf("%s\nof %s\n%s is %q, want %q\n%v", format, line, name, have, v, got)
			}
		}
	}
	line := `[2026-03-01T10:00:00.001Z] "GET /a?b=c HTTP/1.1" 200 - 1 2 3 4 "10.0.0.1" "curl/8" "id-1" "shop:80" "10.0.0.2:80"`
	f(defaultFormat, line, "time=2026-03-01T10:00:00.001Z", "url.path=/a", "url.query=b=c", "http.response.status_code=200", "mesh.duration_ns=3000000",
		"mesh.upstream_duration_ns=4000000", "user_agent.original=curl/8", "server.port=80", "mesh.upstream.address=10.0.0.2:80", "format=own", "whole=true")
	f(defaultFormat, line+" more")
	f(defaultFormat, strings.Replace(line, " 200 ", " OK ", 1))
	f(defaultFormat, strings.TrimSuffix(line, `"`))
	// A user agent may hold anything, the ends of other columns too.
	f(defaultFormat, strings.Replace(line, "curl/8", `x" "fake-id" "fake:1" "9.9.9.9:9`, 1), `user_agent.original=x" "fake-id" "fake:1" "9.9.9.9:9`,
		"http.request.header.x-request-id=id-1", "mesh.upstream.address=10.0.0.2:80", "whole=true")
	f(defaultFormat, strings.Replace(line, "curl/8", ``, 1), "whole=true", "http.request.header.x-request-id=id-1")
	f(defaultFormat, strings.Replace(line, "curl/8", `say "hi" 200 - 1`, 1), `user_agent.original=say "hi" 200 - 1`, "whole=true")
	// Another header that holds a quote leaves two ways: the record is partial.
	f(`"%REQ(X-A)%" "%REQ(X-B)%" %RESPONSE_CODE%`, `"a" "b" "c" 200`, "whole=false", "http.response.status_code=200")
	f(`"%REQ(X-A)%" "%REQ(X-B)%" %RESPONSE_CODE%`, `"-" "b" 200`, "whole=true", "http.request.header.x-b=b", "http.request.header.x-a=")

	// Times.
	f(`%START_TIME(%Y/%m/%dT%H:%M:%S%z %s)% %RESPONSE_CODE%`, `2026/03/01T11:00:00+0100 1772359200 200`, "time=2026-03-01T10:00:00Z")
	f(`%START_TIME(%s.%3f)%|%RESPONSE_CODE%`, `1772359200.528|200`, "time=2026-03-01T10:00:00.528Z")
	f(`%START_TIME(%s.%6f)%|%RESPONSE_CODE%`, `1772359200.528001|200`, "time=2026-03-01T10:00:00.528001Z")
	f(`%START_TIME(%d/%b/%Y:%H:%M:%S.%9f %z)%|%RESPONSE_CODE%`, `01/Mar/2026:10:00:00.000000007 +0000|200`, "time=2026-03-01T10:00:00.000000007Z")
	f(`%START_TIME(%F %I:%M:%S %p)%|%RESPONSE_CODE%`, `2026-03-01 10:00:00 PM|200`, "time=2026-03-01T22:00:00Z")
	f(`%START_TIME(%H:%M)%|%RESPONSE_CODE%`, `10:00|200`, "envoy.start_time=10:00")
	f(`%START_TIME%|%RESPONSE_CODE%`, `nonsense|200`, "whole=false")
	f(`%START_TIME(%s)%|%RESPONSE_CODE%`, `x|200`)

	// Operators by the names that they have in old, new and nobody's versions.
	f(`%REQUEST_HEADER(:METHOD)% %PATH(NQ)% %RESPONSE_FLAGS_LONG% %RESPONSE_CODE%`, `GET /a UpstreamRequestTimeout 504`,
		"mesh.response_flags=UT", "mesh.failure.class=timeout", "mesh.timeout=request", "mesh.response_flags_text=upstream request timed out")
	f(`%RESPONSE_CODE% %REQUEST_DURATION% %COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)% %UPSTREAM_WIRE_BYTES_SENT% %CONNECTION_ID%`, `200 5 1250 77 9`,
		"envoy.request_duration_ns=5000000", "envoy.duration.ds_rx_beg_ds_tx_end_ns=1250000", "envoy.upstream_wire_bytes_sent=77", "envoy.connection_id=9")
	f(`%RESPONSE_CODE% "%REQ(X-TENANT?X-ORG):8%" "%RESP(CONTENT-TYPE)%" "%TRAILER(GRPC-MESSAGE)%" %TRAILER(GRPC-STATUS)%`, `200 "acme" "text/html; q=1" "-" 14`,
		"http.request.header.x-tenant=acme", "http.response.header.content-type=text/html; q=1", "rpc.grpc.status_code=14")
	f(`%RESPONSE_CODE% %DYNAMIC_METADATA(com.test.my_filter:test_object:inner_key)% %FILTER_STATE(wasm.x:PLAIN):20% %ENVIRONMENT(ZONE)% %FROBNICATE(A b)%`, `200 bar baz z1 q`,
		"envoy.dynamic_metadata.com.test.my_filter_test_object_inner_key=bar", "envoy.filter_state.wasm.x_plain=baz", "envoy.environment.zone=z1", "envoy.frobnicate.a_b=q")
	f(`%RESPONSE_CODE% %DYNAMIC_METADATA(envoy.filters.http.rbac:shadow_engine_result)% %DYNAMIC_METADATA(envoy.filters.http.rbac:shadow_effective_policy_id)%`,
		`200 denied ns[shop]-policy[web]-rule[0]`, "mesh.policy.decision=shadow_deny", "mesh.policy.name=web", "mesh.policy.namespace=shop", "mesh.policy.engine=rbac")
	f(`%RESPONSE_CODE% %CEL(request.headers['x-a'] || request.path.contains('b)'))% %DURATION%`, `200 true 5`, "mesh.duration_ns=5000000")
	f(`%RESPONSE_CODE% %COALESCE({"operators": ["REQUESTED_SERVER_NAME", {"command": "REQ", "param": ":authority"}]}):50% 100%%`, `200 a.example 100%`, "http.response.status_code=200")
	f(`%DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_LOCAL_URI_SAN% %RESPONSE_CODE%`, `spiffe://td/ns/a/sa/web spiffe://td/ns/b/sa/cart 200`,
		"mesh.source.principal=spiffe://td/ns/a/sa/web", "mesh.destination.principal=spiffe://td/ns/b/sa/cart", "mesh.mtls=mutual", "mesh.source.workload=web", "mesh.source.namespace=a")
	f(`%KUMA_MESH% %KUMA_SOURCE_SERVICE% %KUMA_DESTINATION_SERVICE% %KUMA_TRAFFIC_DIRECTION% %RESPONSE_CODE%`, `m a_ns_svc_80 b_ns_svc_80 INBOUND 200`,
		"mesh.id=m", "mesh.source.workload=a", "mesh.destination.workload=b", "mesh.direction=inbound", "mesh.reporter=destination")
	f(`%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS% %RESPONSE_CODE%`, `192.0.2.1:0 10.0.0.1:777 200`,
		"client.address=192.0.2.1", "network.peer.address=10.0.0.1", "network.peer.port=777")
	f(`%REQ(X-B3-TRACEID?X-DATADOG-TRACEID)% %RESPONSE_CODE%`, `11803532876627986230 200`, "trace_id=0000000000000000a3ce929d0e0e4736")
	f(`{"code": %RESPONSE_CODE%, "path": "%REQ(:PATH)%"}`, `{"code": 200}`) // it is JSON: CompileText reads it as such
}

func TestFormatErrors(t *testing.T) {
	f := func(format, want string) {
		t.Helper()
		_, err := CompileText(format)
		if !fault.Is(err, fault.Invalid) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s…", format, err, want)
		}
	}
	f("", "column 1: no operator")
	f("no operator", "column 1: no operator")
	f("%FROB%", "column 1: no operator that has a field")
	f("%RESPONSE_CODE% 100%", "column 20: no operator")
	f("%RESPONSE_CODE% %REQ(:PATH%", "column 17: no operator")
	f("%RESPONSE_CODE% %req(:PATH)%", "column 17: no operator")
	f("%RESPONSE_CODE%%DURATION%", "column 16: two operators with nothing between them")
	f("%RESPONSE_CODE%\n%DURATION%", "column 16: a line break")
	f("%RESPONSE_CODE% %START_TIME(%Q)%", "column 17: unknown specifier %Q")
	f("%RESPONSE_CODE% %START_TIME(%)%", "column 17: the time's format ends")
	f("%RESPONSE_CODE% "+strings.Repeat("%DURATION% ", MaxOperators), fmt.Sprintf("column %d: more than", 17+11*(MaxOperators-1)))
	f(strings.Repeat("x", MaxFormat+1), "column 16384: a format may have")
	for format, want := range map[string]string{
		`{"a":1}`:                       "no operator",
		`{"a":{"b":"%REQ(X%"}}`:         "a.b: column 1: no operator",
		`{"a":"x %`:                     "column ",
		`{"a":"%RESPONSE_CODE%%PATH%"}`: "a: column 16: two operators",
		strings.Repeat(`{"a":`, 12) + `"%PATH%"` + strings.Repeat("}", 12): "a.a.a.a.a.a.a.a.a: nested",
	} {
		if _, err := CompileJSON([]byte(format)); !fault.Is(err, fault.Invalid) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s…", format, err, want)
		}
	}
}

// TestHostileLine holds the ways in which a line may be cut to a bound.
func TestHostileLine(t *testing.T) {
	f, err := CompileText(strings.Repeat(`"%REQ(USER-AGENT)%" `, 40) + "%RESPONSE_CODE%")
	if err != nil {
		t.Fatal(err)
	}
	var a Access
	began := time.Now()
	if matched, _ := f.Text(&a, []byte(strings.Repeat(`"a" `, 100_000))); matched {
		t.Error("matched")
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
}

func FuzzFormat(f *testing.F) {
	f.Add(defaultFormat, `[2026-03-01T10:00:00.001Z] "GET /a HTTP/1.1" 200 - 1 2 3 4 "-" "curl/8" "id" "h:80" "10.0.0.2:80"`)
	f.Add(`%START_TIME(%s.%3f)%|%RESPONSE_CODE%`, `1772359200.528|200`)
	f.Add(`%RESPONSE_CODE% %CEL(a('b)'))% x`, `200 y x`)
	f.Add(`{"a":"%REQ(:PATH)% %RESPONSE_CODE%"}`, `{"a":"/x 200"}`)
	f.Fuzz(func(t *testing.T, format, line string) {
		c, err := CompileText(format)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("%q: %v", format, err)
			}
			return
		}
		c.Name, c.Platform = "own", "envoy"
		if c.JSON() {
			return
		}
		var a Access
		matched, _ := c.Text(&a, []byte(line))
		if !matched {
			return
		}
		// What was cut, put together, is the line.
		var b strings.Builder
		b.WriteString(c.text.head)
		for i, p := range c.text.pieces {
			b.WriteString(line[a.at[i].from:a.at[i].to])
			b.WriteString(p.lit)
		}
		if b.String() != line {
			t.Fatalf("%q of %q: %q", line, format, b.String())
		}
		var batch record.Batch
		var cols facts.Columns
		cols.Bind(&batch)
		batch.Begin(0, "")
		o := facts.Out{B: &batch, Cols: &cols}
		c.Write(&a, &o)
		batch.End()
		if o.Format != "own" {
			t.Fatalf("format %q", o.Format)
		}
	})
}

// FuzzLine holds the text layouts to this: what matches has a format.
func FuzzLine(f *testing.F) {
	f.Add([]byte(`[2026-03-01T10:00:00.004Z] - default 10.42.0.7(a_b_svc_1)->10.42.0.8:6379(r_b_svc_2) took 35ms, sent 1 bytes, received: 2 bytes`))
	f.Add([]byte(`[2026-03-01 10:00:00.014][31][debug][rbac] [a.cc:205] enforced denied, matched policy ns[a]-policy[b]-rule[0]`))
	f.Add([]byte(`[2022-10-20T15:53:13.764Z] authority=httpbin.httpbin:14001 bytes_received=0 bytes_sent=0`))
	f.Add([]byte(`[2026-03-01T10:00:00.007Z] "- - -" 0 - - rbac_access_denied_matched_policy[ns[a]-policy[b]-rule[0]] "-" 0 0 0 - "-" "-" "-" "-" "-" cds_egress_a_b_http_1 - 10.0.0.4:6379 10.0.0.3:50112 outbound_.6379_._.redis.shop.svc.cluster.local -`))
	l := new(Line)
	var cols facts.Columns
	var b record.Batch
	f.Fuzz(func(t *testing.T, line []byte) {
		if len(line) == 0 {
			return
		}
		b.Reset()
		cols.Bind(&b)
		b.Begin(0, "")
		o := facts.Out{B: &b, Cols: &cols}
		if l.Text(line, &o) && (o.Format == "" || o.Status == facts.None) {
			t.Fatalf("%q: format %q, %v", line, o.Format, o.Status)
		}
		b.End()
	})
}
