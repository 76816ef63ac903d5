package app

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

// zipkinTrace is a request through two services as Zipkin's clients send it: the
// server shares its client's id. Times are µs.
const zipkinTrace = `[
{"traceId":"%[1]s","id":"1a","name":"get /cart","kind":"CLIENT","timestamp":%[2]d,"duration":400000,"localEndpoint":{"serviceName":"web"},"tags":{"guid:x-request-id":"req-77777777"}},
{"traceId":"%[1]s","id":"1a","name":"get /cart","kind":"SERVER","shared":true,"timestamp":%[2]d,"duration":300000,"localEndpoint":{"serviceName":"cart"},"tags":{"response_flags":"UF","upstream_cluster":"outbound|80||cart","response_code":"503","mesh":"x"},"annotations":[{"timestamp":%[2]d,"value":"retry"}]}]`

const otlpTrace = `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"cart"}},{"key":"k8s.namespace.name","value":{"stringValue":"shop"}}]},
"scopeSpans":[{"scope":{"name":"lib"},"spans":[{"traceId":"%[1]s","spanId":"000000000000002b","parentSpanId":"000000000000001a","name":"select","kind":3,
"startTimeUnixNano":"%[2]d000","endTimeUnixNano":"%[3]d000","attributes":[{"key":"rows","value":{"intValue":"7"}},{"key":"ratio","value":{"doubleValue":0.5}},{"key":"hot","value":{"boolValue":true}},
{"key":"peer.service","value":{"stringValue":"db"}}],"events":[{"timeUnixNano":"%[2]d000","name":"exception","attributes":[{"key":"exception.message","value":{"stringValue":"late"}}]}],"status":{"code":2,"message":"boom"}}]}]}]}`

// TestSpansGoAllTheWay sends one trace in two protocols and logs beside it, and
// finds it in every form, before and after it was sealed.
func TestSpansGoAllTheWay(t *testing.T) {
	s := opened(t)
	id := "0af7651916cd43dd8448eb211c80319c"
	at := time.Now().Add(-time.Minute).UnixMicro()
	post := func(path, kind, body string, code int) {
		t.Helper()
		if w := s.asked(t.Context(), "POST", path, s.token, body, "Content-Type", kind); w.Code != code {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	post("/api/v2/spans", "application/json", fmt.Sprintf(zipkinTrace, id, at), 202)
	post("/v1/traces", "application/json", fmt.Sprintf(otlpTrace, id, at+100, at+50_100), 200)
	post("/_bulk", "application/x-ndjson", fmt.Sprintf(`{"create":{"_index":"logs"}}
{"@timestamp":"%[1]s","message":"of the trace","trace_id":"%[2]s"}
{"create":{"_index":"logs"}}
{"@timestamp":"%[1]s","message":"of the request","http.request.header.x-request-id":"req-77777777"}
`, time.UnixMicro(at).UTC().Format(time.RFC3339Nano), id), 200)

	get := func(path string, want ...string) string {
		t.Helper()
		w := s.asked(t.Context(), "GET", path, s.token, "")
		if w.Code != 200 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		for _, part := range want {
			if !strings.Contains(w.Body.String(), part) {
				t.Errorf("%s has no %s: %s", path, part, w.Body)
			}
		}
		return w.Body.String()
	}
	logql := func(q string) string { return "/loki/api/v1/query_range?limit=10&query=" + url.QueryEscape(q) }
	lines := func(q string) int {
		t.Helper()
		var got struct {
			Data struct{ Result []struct{ Values [][]any } }
		}
		if err := json.Unmarshal([]byte(get(logql(q))), &got); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, r := range got.Data.Result {
			n += len(r.Values)
		}
		return n
	}
	for _, when := range []string{"before", "after"} {
		if when == "after" {
			if w := s.asked(t.Context(), "POST", "/api/v1/seal", s.token, ""); w.Code != 200 {
				t.Fatal(w.Body)
			}
		}
		for q, want := range map[string]int{
			`{service="cart", record_kind="span"} | duration > 250ms`:  1,
			`{record_kind="span"} | duration > 250ms`:                  2,
			`{service="cart", record_kind="span"} | rows = 7`:          1,
			`{record_kind="span"} | ratio < 0.6 | hot = "true"`:        1,
			`{record_kind="span"} | span_status = "error"`:             1,
			`{trace_id="` + id + `"}`:                                  4,
			`{record_kind="span"} | parse_format != "none"`:            0, // no platform takes a span for its own
			`{record_kind="span"} | mesh_response_flags = "UF"`:        0,
			`{record_kind="span", span_name="get /cart"}`:              2,
			`{namespace="shop"} | span_parent = "x"`:                   0,
			`{record_kind="span"} | parent_span_id="000000000000001a"`: 1,
		} {
			if got := lines(q); got != want {
				t.Errorf("%s sealing: %s: %d records, want %d", when, q, got, want)
			}
		}
		get("/jaeger/api/services", `["cart","web"]`)
		get("/jaeger/api/traces?service=cart&tag=exception.message:late&tag=rows:7", `"spanID":"000000000000002b"`, `"spanID":"000000000000001a"`, `{"key":"rows","type":"int64","value":7}`)
		get("/jaeger/api/traces/"+id, `"total":1`, `{"key":"ratio","type":"float64","value":0.5}`, `{"key":"response_flags","type":"string","value":"UF"}`)
		get("/zipkin/api/v2/trace/"+id, `"shared":true`, `"remoteEndpoint":{"serviceName":"db"}`)
		get("/zipkin/api/v2/traces?serviceName=cart&annotationQuery=retry", `"value":"retry"`)
		get(fmt.Sprintf("/zipkin/api/v2/dependencies?endTs=%d", time.Now().UnixMilli()), `{"parent":"cart","child":"db","callCount":1,"errorCount":1}`, `{"parent":"web","child":"cart","callCount":1}`)
		get("/api/v3/traces/"+id, `"traceId":"`+id+`"`, `"intValue":"7"`)
		get("/tempo/api/traces/"+id, `"batches"`)
		for _, key := range []string{id, "req-77777777"} {
			var story struct {
				TraceID        string
				Spans, Records []any
			}
			if err := json.Unmarshal([]byte(get("/api/v1/trace/"+key)), &story); err != nil || story.TraceID != id || len(story.Spans) != 3 || len(story.Records) != 2 {
				t.Errorf("%s: %d spans, %d records, %v", key, len(story.Spans), len(story.Records), err)
			}
		}
	}
	if w := s.asked(t.Context(), "GET", "/jaeger/api/traces/ffff", s.token, ""); w.Code != 404 {
		t.Errorf("no trace: %d %s", w.Code, w.Body)
	}
}
