package zipkin

import (
	"context"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// stored puts two traces in a naive store: one that Zipkin's clients sent, with a
// shared id, and one of OpenTelemetry's.
func stored(t *testing.T) *querytest.Store {
	t.Helper()
	s := &querytest.Store{}
	b := record.Batch{Tenant: "acme", Source: "s"}
	str := func(k, v string) record.Field { return record.Field{Name: k, Value: record.StringValue(v)} }
	span := func(at time.Duration, trace, id, name string, more ...record.Field) {
		b.Begin(noon.Add(at).UnixNano(), "app")
		b.Str("record.kind", "span")
		b.Str("trace_id", trace)
		b.Str("span_id", id)
		b.Str("span.name", name)
		b.Int("mesh.duration_ns", 1_431_000)
		for _, f := range more {
			b.Set(f.Name, f.Value)
		}
		b.Str("parse.format", "none")
		b.End()
	}
	span(0, traceB, "352bff9a74ca9ad2", "Get /API", str("service.name", "Frontend"), str("span.kind", "client"), str("span.resource", "service.name,network.local.address"),
		str("network.local.address", "10.0.0.1"), str("peer.service", "backend"), str("network.peer.address", "::1"), record.Field{Name: "network.peer.port", Value: record.IntValue(9000)})
	span(time.Millisecond, traceB, "352bff9a74ca9ad2", "get /api", str("service.name", "backend"), str("span.kind", "server"), str("span.resource", "service.name"),
		record.Field{Name: "span.shared", Value: record.BoolValue(true)}, record.Field{Name: "zipkin.debug", Value: record.BoolValue(true)},
		str("http.method", "GET"), str("error", "boom"), str("span.status", "error"), str("span.status_message", "boom"),
		str("span.events", `[{"time":1795176000001500000,"name":"ws"}]`))
	span(2*time.Millisecond, traceB, "6b221d5bc9e6496c", "select", str("parent_span_id", "352bff9a74ca9ad2"), str("service.name", "backend"), str("span.kind", "client"), str("peer.service", "MySQL"))
	span(time.Minute, traceA, "b7ad6b7169203331", "checkout", str("service.name", "shop"), str("host.name", "h1"), str("span.resource", "service.name,host.name"), str("span.kind", "internal"),
		record.Field{Name: "n", Value: record.IntValue(7)}, str("otel.scope.name", "lib"), str("span.status", "error"),
		str("span.events", `[{"time":1795176060000500000,"name":"exception","attributes":{"exception.message":"declined","n":2}}]`))
	if err := s.Append(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return s
}

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

// TestAnswers holds whole answers against golden files.
func TestAnswers(t *testing.T) {
	h := served(t)
	var b strings.Builder
	for _, target := range []string{
		"/api/v2/services",
		"/zipkin/api/v2/spans?serviceName=FRONTEND",
		"/api/v2/spans",
		"/api/v2/spans?serviceName=nobody",
		"/api/v2/remoteServices?serviceName=backend",
		"/api/v2/trace/5af7183fb1d4cf5f",
		"/api/v2/trace/" + traceB,
		"/api/v2/trace/" + traceA,
		"/api/v2/trace/abc",
		"/api/v2/trace/ABC",
		"/api/v2/trace/" + strings.Repeat("1", 33),
		"/api/v2/traceMany?traceIds=" + traceA + ",5af7183fb1d4cf5f",
		"/api/v2/traceMany?traceIds=" + traceA,
		"/api/v2/traceMany?traceIds=a,a",
		"/api/v2/traceMany",
		"/api/v2/traces?serviceName=frontend&spanName=get%20/api&limit=1",
		"/api/v2/traces?serviceName=backend&remoteServiceName=mysql",
		"/api/v2/traces?annotationQuery=error%20and%20http.method%3DGET",
		"/api/v2/traces?annotationQuery=ws",
		"/api/v2/traces?annotationQuery=exception.message%3Ddeclined",
		"/api/v2/traces?spanName=all&minDuration=1432",
		"/api/v2/traces?maxDuration=5",
		"/api/v2/traces?limit=0",
		"/api/v2/traces?lookback=x",
		"/api/v2/traces?endTs=1795175999999",
		"/api/v2/dependencies?endTs=1795179600000&lookback=86400000",
		"/api/v2/dependencies",
		"/api/v2/autocompleteKeys",
		"/api/v2/autocompleteValues?key=http.method",
		"/zipkin/config.json",
		"/zipkin/health",
	} {
		r := httptest.NewRequest("GET", target, nil)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		b.WriteString("GET " + target + "\n" + http.StatusText(w.Code) + " " + w.Header().Get("Content-Type") + " " + w.Header().Get("Cache-Control") + "\n" + w.Body.String() + "\n\n")
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
