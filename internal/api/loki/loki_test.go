package loki

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/audit"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/query/querytest"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
	"github.com/meshtrail/meshtrail/internal/tail"
)

var base = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

type acts struct{ err error }

func (a *acts) Record(context.Context, audit.Act) error { return a.err }

type world struct {
	t       *testing.T
	store   *querytest.Store
	audit   *acts
	hub     *tail.Hub
	options Options
	handler http.Handler
	grants  []access.Permission
}

// newWorld serves the routes as httpd does, without its listener.
func newWorld(t *testing.T, set ...func(*Options)) *world {
	t.Helper()
	w := &world{t: t, store: &querytest.Store{}, audit: &acts{}, grants: []access.Permission{access.LogsRead}}
	for _, f := range set {
		f(&w.options)
	}
	e, err := query.New(query.Options{Store: w.store, Audit: w.audit, Now: func() time.Time { return base.Add(time.Minute) }})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	w.hub = tail.New(tail.Options{Store: w.store})
	w.store.Watch(w.hub.Publish)
	w.options.Engine, w.options.Tail, w.options.Revision = e, w.hub, "v1"
	for _, r := range Routes(w.options) {
		if r.Need == "" || r.Fail == nil {
			t.Errorf("route %s declares no permission or no form of errors", r.Pattern)
		}
		mux.HandleFunc(r.Pattern, func(rw http.ResponseWriter, req *http.Request) {
			req = req.WithContext(httpd.WithPrincipal(req.Context(), &access.Principal{Name: "alice", Tenant: "acme", Grants: w.grants}))
			if err := r.Handle(rw, req); err != nil {
				r.Fail(rw, req, err)
			}
		})
	}
	w.handler = mux
	b := &record.Batch{Tenant: "acme"}
	add := func(at time.Duration, fields ...string) {
		b.Begin(base.Add(at).UnixNano(), "app")
		for i := 0; i < len(fields); i += 2 {
			b.Str(fields[i], fields[i+1])
		}
		b.End()
	}
	add(0, "service.name", "cart", "mesh.type", "istio", "body", "a \"quoted\" line", "http.response.status_code", "503")
	add(time.Second, "service.name", "cart", "mesh.type", "istio", "body", "second")
	add(2*time.Second, "job", "batch", record.Labels, "job", "body", "third", "level", "info")
	add(3*time.Second, "service.name", "pay", "severity_text", "error", "body", `{"took":"5ms","user":{"id":7}}`)
	if err := w.store.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return w
}

var (
	statsBlock = regexp.MustCompile(`,"stats":\{"summary".*"damaged":0\}\}`)
)

// get returns the status and the body without its statistics.
func (w *world) get(path string, params ...string) (int, string) {
	w.t.Helper()
	v := url.Values{}
	for i := 0; i < len(params); i += 2 {
		v.Add(params[i], params[i+1])
	}
	return w.do(httptest.NewRequest("GET", path+"?"+v.Encode(), nil))
}

func (w *world) do(r *http.Request) (int, string) {
	w.t.Helper()
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	body := rec.Body.String()
	if strings.HasPrefix(rec.Header().Get("Content-Type"), "application/json") && !json.Valid([]byte(body)) {
		w.t.Errorf("%s: no JSON: %s", r.URL, body)
	}
	return rec.Code, statsBlock.ReplaceAllString(body, "")
}

// TestUnrecorded: what cannot be put on record is not answered, and who may not
// read is told so.
func TestUnrecorded(t *testing.T) {
	w := newWorld(t)
	f := func(code int, want string) {
		t.Helper()
		for _, path := range []string{"query_range", "labels", "series", "index/stats", "index/volume", "patterns", "detected_labels", "detected_fields"} {
			gotCode, got := w.get("/loki/api/v1/"+path, "query", "{}")
			if gotCode != code || !strings.Contains(got, want) {
				t.Errorf("%s: %d %s, want %d %s", path, gotCode, got, code, want)
			}
		}
	}
	w.audit.err = fault.Errorf(fault.Unavailable, "disk is full")
	f(503, "on record: disk is full\nhint: nothing is answered that could not be audited")
	w.audit.err, w.grants = nil, nil
	f(403, "alice may not read logs")
}

func TestCompression(t *testing.T) {
	w := newWorld(t)
	f := func(accept string, want bool) {
		t.Helper()
		r := httptest.NewRequest("GET", "/loki/api/v1/query_range?query=%7B%7D", nil)
		r.Header.Set("Accept-Encoding", accept)
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		if got := rec.Header().Get("Content-Encoding") == "gzip"; got != want {
			t.Fatalf("Accept-Encoding %q: compressed %v, want %v", accept, got, want)
		}
		body := rec.Body.Bytes()
		if want {
			z, err := gzip.NewReader(rec.Body)
			if err != nil {
				t.Fatal(err)
			}
			if body, err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
		}
		if !json.Valid(body) || !strings.Contains(string(body), "third") {
			t.Errorf("Accept-Encoding %q: %s", accept, body)
		}
	}
	f("gzip", true)
	f("deflate, GZIP;q=0.5", true)
	f("gzip;q=0", false)
	f("identity", false)
	f("", false)
}

// TestStatsBlock: clients read the summary, and logcli expects the rest.
func TestStatsBlock(t *testing.T) {
	s := store.Stats{Segments: 3, Blocks: 10, BlocksPruned: 4, BlocksScanned: 6, PrunedByTime: 5, PrunedByColumns: 1, PrunedByTokens: 3,
		RowsScanned: 100, RowsMatched: 7, BytesRead: 50, BytesDecoded: 500, Elapsed: 2 * time.Second}
	var got map[string]map[string]any
	if err := json.Unmarshal(appendStats(nil, &s, 7), &got); err != nil {
		t.Fatal(err)
	}
	f := func(want float64, path ...string) {
		t.Helper()
		var v any = map[string]any(got[path[0]])
		for _, key := range path[1:] {
			v = v.(map[string]any)[key]
		}
		if v != want {
			t.Errorf("%v is %v, want %v", path, v, want)
		}
	}
	f(500, "summary", "totalBytesProcessed")
	f(250, "summary", "bytesProcessedPerSecond")
	f(50, "summary", "linesProcessedPerSecond")
	f(100, "summary", "totalLinesProcessed")
	f(7, "summary", "totalEntriesReturned")
	f(7, "summary", "totalPostFilterLines")
	f(2, "summary", "execTime")
	f(6, "querier", "store", "totalChunksDownloaded")
	f(50, "querier", "store", "chunk", "compressedBytes")
	f(0, "ingester", "store", "chunk", "decompressedBytes")
	f(15, "index", "totalChunks")
	f(6, "index", "postFilterChunks")
	f(0, "cache", "result", "entriesFound")
	f(3, "meshtrail", "prunedByTokens")
	f(0, "meshtrail", "damaged")
}

func TestFail(t *testing.T) {
	f := func(err error, code int) {
		t.Helper()
		rec := httptest.NewRecorder()
		fail(rec, nil, err)
		if rec.Code != code || rec.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%v: %d, %s", err, rec.Code, rec.Header())
		}
	}
	f(fault.Errorf(fault.Overload, "late: %w", context.DeadlineExceeded), 504)
	f(fault.Errorf(fault.Overload, "budget"), 429)
	f(fault.Errorf(fault.Unavailable, "stopping"), 503)
	f(context.Canceled, 499)
	f(errors.New("bug"), 500)
	f(fault.Errorf(fault.Unauthenticated, "who"), 401)
}

func TestParseTime(t *testing.T) {
	f := func(s string, want int64) {
		t.Helper()
		if got, err := parseTime(s); err != nil || got != want {
			t.Errorf("parseTime(%s) = %d, %v, want %d", s, got, err, want)
		}
	}
	f("4", 4e9)
	f("1795176000", 1795176000e9)
	f("1795176000.225", 1795176000225e6)
	f("1795176000225000001", 1795176000225000001)
	f("2026-11-20T12:00:00Z", 1795176000e9)
	f("2026-11-20T12:00:00.000000001Z", 1795176000000000001)
	for _, s := range []string{"x", "1e30.", "NaN.0", "9999-01-01T00:00:00Z", "1-1"} {
		if got, err := parseTime(s); err == nil {
			t.Errorf("parseTime(%s) = %d", s, got)
		}
	}
}

func FuzzParams(f *testing.F) {
	f.Add("1", "2", "5s", "1")
	f.Add("1e300.0", "-9223372036854775808", "1e300", "-1")
	f.Fuzz(func(t *testing.T, start, end, step, limit string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Form = url.Values{"start": {start}, "end": {end}, "step": {step}, "limit": {limit}, "since": {step},
			"interval": {step}, "delay_for": {limit}, "direction": {step}}
		p := &params{r: r}
		a, b := p.span(base.UnixNano())
		if n := p.step(a, b); n <= 0 {
			t.Errorf("step %d", n)
		}
		if n := p.count("limit", defaultLimit); n <= 0 {
			t.Errorf("limit %d", n)
		}
		p.interval()
		if n := p.delay(); n < 0 || n > maxDelay*time.Second {
			t.Errorf("delay %v", n)
		}
		p.direction()
	})
}

// TestPartial: an answer that is cut short says so, and part of a count is none.
func TestPartial(t *testing.T) {
	w := newWorld(t)
	w.store.MaxRows = 3
	code, got := w.get("/loki/api/v1/query_range", "query", `{}`, "direction", "forward")
	if code != 200 || !strings.HasPrefix(got, `{"status":"success","warnings":["the answer is cut short: `) || !strings.Contains(got, "second") {
		t.Errorf("%d %s", code, got)
	}
	for _, path := range []string{"query", "index/volume", "index/stats"} {
		if code, got := w.get("/loki/api/v1/"+path, "query", map[bool]string{true: `count_over_time({}[1h])`, false: `{}`}[path == "query"]); code != 429 {
			t.Errorf("%s over the budget: %d %s", path, code, got)
		}
	}
}
