package jaeger

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/audit"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/query/querytest"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/trace"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden")

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

type noAudit struct{}

func (noAudit) Record(context.Context, audit.Act) error { return nil }

const (
	traceA = "0af7651916cd43dd8448eb211c80319c"
	traceB = "00000000000000005af7183fb1d4cf5f"
)

// stored puts two traces in a naive store: one as OpenTelemetry sends them, with
// everything a span may have, and one as Zipkin does, with a shared id.
func stored(t *testing.T) *querytest.Store {
	t.Helper()
	s := &querytest.Store{}
	b := record.Batch{Tenant: "acme", Source: "s"}
	span := func(at time.Duration, trace, id, parent, service, name, kind string, more ...record.Field) {
		b.Begin(noon.Add(at).UnixNano(), "app")
		b.Str("record.kind", "span")
		for _, p := range [][2]string{{"trace_id", trace}, {"span_id", id}, {"parent_span_id", parent}, {"service.name", service}, {"span.name", name}, {"span.kind", kind}} {
			if p[1] != "" {
				b.Str(p[0], p[1])
			}
		}
		b.Int("mesh.duration_ns", 1_500_000)
		for _, f := range more {
			b.Set(f.Name, f.Value)
		}
		b.Str("parse.format", "none")
		b.Str("log.source", "otlp/x")
		b.End()
	}
	str := func(k, v string) record.Field { return record.Field{Name: k, Value: record.StringValue(v)} }
	span(0, traceA, "b7ad6b7169203331", "", "front", "GET /", "server", str("host.name", "h1"), str("span.resource", "service.name,host.name"),
		str("http.route", "/"), record.Field{Name: "n", Value: record.IntValue(7)}, record.Field{Name: "f", Value: record.FloatValue(0.5)},
		record.Field{Name: "b", Value: record.BoolValue(true)}, str("blob", "AQID"), str("span.binary", "blob"), str("trace_flags", "01"),
		str("otel.scope.name", "lib"), str("otel.scope.version", "1"), str("scope.k", "v"), str("span.trace_state", "a=b"), str("span.status", "ok"))
	span(time.Millisecond, traceA, "00f067aa0ba902b7", "b7ad6b7169203331", "back", `say "hi"`, "client", str("span.resource", "service.name"),
		str("span.status", "error"), str("span.status_message", "boom"), str("peer.service", "db"),
		str("span.events", `[{"time":1763640000001000000,"name":"retry","attributes":{"attempt":2}}]`),
		str("span.links", `[{"traceId":"`+traceB+`","spanId":"352bff9a74ca9ad2","attributes":{"opentracing.ref_type":"follows_from"}}]`))
	span(time.Minute, traceB, "352bff9a74ca9ad2", "", "one", "call", "client")
	span(time.Minute+time.Millisecond, traceB, "352bff9a74ca9ad2", "", "two", "call", "server", record.Field{Name: "span.shared", Value: record.BoolValue(true)})
	span(time.Minute+2*time.Millisecond, traceB, "6b221d5bc9e6496c", "352bff9a74ca9ad2", "two", "work", "")
	if err := s.Append(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return s
}

// served answers as the server would, for somebody who may read.
func served(t *testing.T) http.Handler {
	t.Helper()
	e, err := query.New(query.Options{Store: stored(t), Audit: noAudit{}, Now: func() time.Time { return noon.Add(time.Hour) }})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for _, rt := range Routes(Options{Reader: trace.New(e)}) {
		mux.HandleFunc(rt.Pattern, func(w http.ResponseWriter, r *http.Request) {
			r = r.WithContext(httpd.WithPrincipal(r.Context(), &access.Principal{Name: "alice", Tenant: "acme", Grants: []access.Permission{access.LogsRead}}))
			if err := rt.Handle(w, r); err != nil {
				rt.Fail(w, r, err)
			}
		})
	}
	return mux
}

// TestGrafanasTimes asks for a trace as Grafana does with "time range in query":
// version 1 in ms, version 3 with a plus that nobody escaped.
func TestGrafanasTimes(t *testing.T) {
	h := served(t)
	around := func(d time.Duration) time.Time { return noon.Add(d).In(time.FixedZone("", 3600)) }
	for _, path := range []string{
		fmt.Sprintf("/api/traces/%s?start=%d&end=%d", traceA, around(-time.Minute).UnixMilli(), around(time.Minute).UnixMilli()),
		fmt.Sprintf("/api/traces/%s?start=%d&end=%d", traceA, around(-time.Minute).UnixMicro(), around(time.Minute).UnixMicro()),
		fmt.Sprintf("/api/v3/traces/%s?start_time=%s&end_time=%s", traceA, around(-time.Minute).Format(time.RFC3339Nano), around(time.Minute).Format(time.RFC3339Nano)),
	} {
		if w := get(h, path); w.Code != http.StatusOK {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := get(h, fmt.Sprintf("/api/traces/%s?start=%d&end=%d", traceA, noon.Add(-9*time.Hour).UnixMilli(), noon.Add(-8*time.Hour).UnixMilli())); w.Code != http.StatusNotFound {
		t.Errorf("hours before: %d %s", w.Code, w.Body)
	}
}

func get(h http.Handler, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestAnswers holds whole answers against golden files.
func TestAnswers(t *testing.T) {
	h := served(t)
	times := "&query.startTimeMin=2026-11-20T11:00:00Z&query.startTimeMax=2026-11-20T13:00:00Z"
	from := "&start=1763632800000000&end=1763643600000000" // of 2025: before all of it
	var b strings.Builder
	for _, target := range []string{
		"/jaeger/api/services",
		"/jaeger/api/services/front/operations",
		"/jaeger/api/operations?service=two",
		"/jaeger/api/operations?service=two&spanKind=server",
		"/jaeger/api/operations",
		"/jaeger/api/traces/" + traceA,
		"/api/traces/5af7183fb1d4cf5f",
		"/api/traces/5af7183fb1d4cf5f?raw=true",
		"/api/traces/ffff",
		"/api/traces/xyz",
		"/api/traces?service=front&limit=1&minDuration=1ms&tags=" + url.QueryEscape(`{"http.route":"/"}`) + "&traceID=ffff",
		"/api/traces?service=front" + from,
		"/api/traces?service=back&tag=attempt:2",
		"/api/traces?service=back&tag=attempt",
		"/api/traces?minDuration=long",
		"/api/dependencies?endTs=1795179600000&lookback=86400000",
		"/api/metrics/latencies",
		"/jaeger/api/v3/services",
		"/jaeger/api/v3/operations?service=two",
		"/api/v3/traces/" + traceA,
		"/api/v3/traces/CvdlGRbNQ92ESOshHIAxnA==",
		"/api/v3/traces/ffff",
		"/api/v3/traces?query.serviceName=one" + times,
		"/api/v3/traces?query.service_name=one&query.start_time_min=2026-11-20T11:00:00Z&query.start_time_max=2026-11-20T13:00:00Z&query.num_traces=1",
		"/api/v3/traces?query.serviceName=nobody" + times,
		"/api/v3/traces?query.serviceName=one",
		"/api/v3/trace-summaries?x=" + times,
		"/api/v3/dependencies?startTime=2026-11-20T11:00:00Z&endTime=2026-11-20T13:00:00Z",
		"/tempo/api/traces/" + traceA,
		"/api/v2/traces/" + traceA,
		"/tempo/api/v2/traces/ffff",
		"/tempo/api/echo",
	} {
		w := get(h, target)
		b.WriteString("GET " + target + "\n" + http.StatusText(w.Code) + " " + w.Header().Get("Content-Type") + "\n" + strings.TrimSpace(w.Body.String()) + "\n\n")
	}
	file := filepath.Join("testdata", "answers.golden")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got, wanted := strings.Split(b.String(), "\n\n"), strings.Split(string(want), "\n\n")
	for i := range got {
		if i >= len(wanted) || got[i] != wanted[i] {
			t.Errorf("got  %s", got[i])
			if i < len(wanted) {
				t.Errorf("want %s", wanted[i])
			}
		}
	}
}

// TestTempoProtobuf reads an answer with the messages that Grafana does.
func TestTempoProtobuf(t *testing.T) {
	h := served(t)
	for _, path := range []string{"/api/traces/", "/tempo/api/traces/"} {
		w := get(h, path+traceA, "Accept", "application/protobuf")
		var td otlp.TracesData
		if err := proto.Unmarshal(w.Body.Bytes(), &td); err != nil || w.Header().Get("Content-Type") != "application/protobuf" {
			t.Fatal(err, w.Header())
		}
		if len(td.ResourceSpans) != 2 || td.ResourceSpans[0].ScopeSpans[0].Spans[0].Kind != otlp.Span_SPAN_KIND_SERVER {
			t.Errorf("%v", protojson.Format(&td))
		}
	}
}

// call makes a gRPC call of one message and returns the messages of the answer,
// and its status.
func call(t *testing.T, h http.Handler, method string, message []byte) (out [][]byte, status string) {
	t.Helper()
	body := append([]byte{0}, binary.BigEndian.AppendUint32(nil, uint32(len(message)))...)
	r := httptest.NewRequest("POST", "/"+method, strings.NewReader(string(append(body, message...))))
	r.ProtoMajor, r.ProtoMinor = 2, 0
	r.Header.Set("Content-Type", "application/grpc")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	b := w.Body.Bytes()
	for len(b) >= 5 {
		n := binary.BigEndian.Uint32(b[1:])
		out = append(out, b[5:5+n])
		b = b[5+n:]
	}
	if status = w.Header().Get(http.TrailerPrefix + "Grpc-Status"); status == "" {
		status = w.Header().Get("Grpc-Status")
	}
	return out, status
}

func TestCalls(t *testing.T) {
	h := served(t)
	find := func(attributes ...message) message {
		q := message(nil).stamp(4, noon.Add(-time.Hour).UnixNano()).stamp(5, noon.Add(time.Hour).UnixNano()).number(8, 10)
		for _, a := range attributes {
			q = q.bytes(3, a)
		}
		return message(nil).bytes(1, q)
	}
	entry := message(nil).text(1, "attempt").text(2, "2")
	typed := message(nil).text(1, "attempt").bytes(2, message(nil).number(3, 2))
	a := message(nil).bytes(1, id(traceA))
	for _, c := range []struct {
		method string
		in     message
		sizes  []int // spans of each message
		status string
	}{
		{"jaeger.api_v3.QueryService/GetTrace", message(nil).text(1, traceA), []int{2}, "0"},
		{"jaeger.api_v3.QueryService/GetTrace", message(nil).text(1, "ffff"), nil, "5"},
		{"jaeger.api_v3.QueryService/GetTrace", nil, nil, "3"},
		{"jaeger.api_v3.QueryService/FindTraces", find(), []int{3, 2}, "0"},
		{"jaeger.api_v3.QueryService/FindTraces", find(entry), []int{2}, "0"},
		{"jaeger.storage.v2.TraceReader/FindTraces", find(typed), []int{2}, "0"},
		{"jaeger.storage.v2.TraceReader/GetTraces", message(nil).bytes(1, a).bytes(1, message(nil).bytes(1, make([]byte, 16))), []int{2}, "0"},
		{"jaeger.storage.v2.TraceReader/GetTraces", message("\xff"), nil, "3"},
	} {
		out, status := call(t, h, c.method, c.in)
		if status != c.status || len(out) != len(c.sizes) {
			t.Errorf("%s: status %s, %d messages", c.method, status, len(out))
			continue
		}
		for i, b := range out {
			var td otlp.TracesData
			if err := proto.Unmarshal(b, &td); err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, rs := range td.ResourceSpans {
				for _, ss := range rs.ScopeSpans {
					n += len(ss.Spans)
				}
			}
			if n != c.sizes[i] {
				t.Errorf("%s: message %d has %d spans", c.method, i, n)
			}
		}
	}
	for method, want := range map[string]string{
		"jaeger.storage.v2.Capabilities/GetCapabilities": "\n\x04\x08\x01\x10\x01",
		"jaeger.storage.v2.TraceReader/GetServices":      "\n\x04back\n\x05front\n\x03one\n\x03two",
		"jaeger.storage.v2.TraceReader/GetOperations": "\n\x0e\n\x04call\x12\x06client\n\x0e\n\x04call\x12\x06server\n\x0f\n\x05GET /\x12\x06server\n" +
			"\x12\n\x08say \"hi\"\x12\x06client\n\x06\n\x04work",
	} {
		out, status := call(t, h, method, nil)
		if status != "0" || len(out) != 1 || len(out[0]) != len(want) {
			t.Errorf("%s: %s %q", method, status, out)
		}
	}
	if out, status := call(t, h, "jaeger.storage.v2.TraceReader/FindTraceIDs", find()); status != "0" || len(out) != 1 || len(out[0]) != 40 {
		t.Errorf("%s %q", status, out)
	}
}

// TestCallsV2 reads a span of version 2 by its field numbers (model.proto).
func TestCallsV2(t *testing.T) {
	h := served(t)
	out, status := call(t, h, "jaeger.api_v2.QueryService/GetTrace", message(nil).bytes(1, id(traceA)))
	if status != "0" || len(out) != 1 {
		t.Fatalf("status %s, %d messages", status, len(out))
	}
	var spans []message
	message(out[0]).each(func(_ protowire.Number, v message, _ uint64) error { spans = append(spans, v); return nil })
	fields := map[protowire.Number]int{}
	var tags []string
	if len(spans) != 2 {
		t.Fatalf("%d spans", len(spans))
	}
	err := spans[1].each(func(num protowire.Number, v message, _ uint64) error {
		if fields[num]++; num == 8 {
			return v.each(func(num protowire.Number, v message, n uint64) error {
				tags = append(tags, strings.TrimSpace(string(v))+strings.Repeat("!", int(n)))
				return nil
			})
		}
		return nil
	})
	want := map[protowire.Number]int{1: 1, 2: 1, 3: 1, 4: 2, 6: 1, 7: 1, 8: 5, 9: 1, 10: 1}
	if err != nil || !maps.Equal(fields, want) || strings.Join(tags, " ") != "peer.service db span.kind client error ! ! otel.status_code ERROR otel.status_description boom" {
		t.Errorf("%v, fields %v, tags %q", err, fields, tags)
	}
	for method, sizes := range map[string]int{"FindTraces": 2, "GetServices": 1, "GetOperations": 1, "GetDependencies": 1} {
		q := message(nil).bytes(1, message(nil).stamp(4, noon.Add(-time.Hour).UnixNano()).stamp(5, noon.Add(time.Hour).UnixNano()))
		if out, status := call(t, h, "jaeger.api_v2.QueryService/"+method, q); status != "0" || len(out) != sizes {
			t.Errorf("%s: status %s, %d messages", method, status, len(out))
		}
	}
	if _, status := call(t, h, "jaeger.api_v2.QueryService/GetTrace", message(nil).bytes(1, make([]byte, 16))); status != "5" {
		t.Errorf("no trace: status %s", status)
	}
}

func FuzzFind(f *testing.F) {
	f.Add([]byte(message(nil).bytes(1, message(nil).text(1, "s").stamp(4, 5).bytes(3, message(nil).text(1, "k")))))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, reading := range []reading{queryV3, queryStorage} {
			if got, _, err := findOf(b, reading, noon.UnixNano()); err == nil && got.To <= 0 {
				t.Fatalf("%+v", got)
			}
		}
	})
}
