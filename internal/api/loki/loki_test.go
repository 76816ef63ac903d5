package loki

import (
	"context"
	"encoding/json"
	"errors"
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
)

var base = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

type acts struct{ err error }

func (a *acts) Record(context.Context, audit.Act) error { return a.err }

type world struct {
	t       *testing.T
	store   *querytest.Store
	audit   *acts
	handler http.Handler
	grants  []access.Permission
}

// newWorld serves the routes as httpd does, without its listener.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, store: &querytest.Store{}, audit: &acts{}, grants: []access.Permission{access.LogsRead}}
	e, err := query.New(query.Options{Store: w.store, Audit: w.audit, Now: func() time.Time { return base.Add(time.Minute) }})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for _, r := range Routes(Options{Engine: e, Revision: "v1"}) {
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
	if err := w.store.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return w
}

var (
	statsBlock = regexp.MustCompile(`,"stats":\{"summary".*"shardsDuration":0\}\}`)
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

func TestAnswers(t *testing.T) {
	w := newWorld(t)
	f := func(want string, path string, params ...string) {
		t.Helper()
		code, got := w.get(path, params...)
		if code != 200 || got != want {
			t.Errorf("%s %v: %d\n got %s\nwant %s", path, params, code, got, want)
		}
	}
	const api = "/loki/api/v1/"
	f(`{"status":"success","data":{"resultType":"streams","result":[{"stream":{"mesh":"istio","service":"cart"},"values":[["1795176001000000000","second"],["1795176000000000000","a \"quoted\" line"]]}]}}`,
		api+"query_range", "query", `{service="cart"}`)
	f(`{"status":"success","data":{"resultType":"streams","result":[{"stream":{"mesh":"istio","service":"cart"},"values":[["1795176000000000000","a \"quoted\" line"]]}]}}`,
		api+"query_range", "query", `{service="cart"}`, "direction", "FORWARD", "limit", "1")
	f(`{"status":"success","data":{"resultType":"streams","result":[]}}`, api+"query_range", "query", `{service="none"}`)
	// The range includes its start and excludes its end.
	f(`{"status":"success","data":{"resultType":"streams","result":[{"stream":{"mesh":"istio","service":"cart"},"values":[["1795176001000000000","second"]]}]}}`,
		api+"query_range", "query", `{}`, "start", "1795176001000000000", "end", "1795176002")
	f(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[4,"2"]}]}}`,
		api+"query", "query", `vector(1)+vector(1)`, "time", "4")
	f(`{"status":"success","data":{"resultType":"scalar","result":[1795176060,"3"]}}`, api+"query", "query", `1+2`)
	f(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"service":"cart"},"value":[1795176002.225,"2"]}]}}`,
		api+"query", "query", `sum by (service) (count_over_time({service="cart"}[1m]))`, "time", "1795176002.225")
	f(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1795176060,"NaN"]}]}}`, api+"query", "query", `vector(1)/0`)
	f(`{"status":"success","data":{"resultType":"vector","result":[]}}`, api+"query", "query", `count_over_time({service="none"}[1m])`)
	f(`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"job":"batch"},"values":[[1795176002,"1"],[1795176002.5,"1"]]}]}}`,
		api+"query_range", "query", `count_over_time({job="batch"}[1s])`, "start", "1795176000", "end", "1795176004", "step", "500ms")
	f(`{"status":"success","data":["job","mesh","service"]}`, api+"labels")
	f(`{"status":"success","data":["job"]}`, api+"label", "query", `{level="info"}`)
	f(`{"status":"success"}`, api+"labels", "start", "1", "end", "2")
	f(`{"status":"success","data":["cart"]}`, api+"label/service/values")
	f(`{"status":"success","data":["info"]}`, api+"label/level/values")
	f(`{"status":"success","data":["503"]}`, api+"label/response_code/values")
	f(`{"status":"success"}`, api+"label/nothing/values")
	f(`{"status":"success","data":[{"job":"batch"},{"mesh":"istio","service":"cart"}]}`, api+"series")
	f(`{"status":"success","data":[{"job":"batch"}]}`, api+"series", "match[]", `{job="batch"}`, "match[]", `{job="none"}`)
	f(`{"status":"success","data":[]}`, api+"series", "match[]", `{job="none"}`)
	f(`{"streams":1,"chunks":0,"bytes":0,"entries":2}`, api+"index/stats", "query", `{service="cart"}`)
	f(`{"status":"success","data":"{a=\"b\"} |= \"c\""}`, api+"format_query", "query", `{a="b"}|="c"`)
	f(`{"version":"3.0.0","revision":"v1","branch":"","buildUser":"meshtrail","buildDate":"","goVersion":""}`, api+"status/buildinfo")
	f("ready\n", "/ready")
}

func TestCategorizedLabels(t *testing.T) {
	w := newWorld(t)
	r := httptest.NewRequest("GET", "/loki/api/v1/query_range?query="+url.QueryEscape(`{service="cart"}`), nil)
	r.Header.Set("X-Loki-Response-Encoding-Flags", "categorize-labels")
	want := `{"status":"success","data":{"resultType":"streams","encodingFlags":["categorize-labels"],"result":[{"stream":{"mesh":"istio","service":"cart"},"values":[["1795176001000000000","second",{}],["1795176000000000000","a \"quoted\" line",{"structuredMetadata":{"http_response_status_code":"503"}}]]}]}}`
	if code, got := w.do(r); code != 200 || got != want {
		t.Errorf("%d\n got %s\nwant %s", code, got, want)
	}
}

func TestPostForm(t *testing.T) {
	w := newWorld(t)
	r := httptest.NewRequest("POST", "/loki/api/v1/query", strings.NewReader(url.Values{"query": {"vector(7)"}, "time": {"4"}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if code, got := w.do(r); code != 200 || got != `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[4,"7"]}]}}` {
		t.Errorf("%d %s", code, got)
	}
}

func TestErrors(t *testing.T) {
	w := newWorld(t)
	f := func(code int, want string, path string, params ...string) {
		t.Helper()
		gotCode, got := w.get("/loki/api/v1/"+path, params...)
		if gotCode != code || strings.TrimSuffix(got, "\n") != want {
			t.Errorf("%s %v: %d %s, want %d %s", path, params, gotCode, got, code, want)
		}
	}
	f(400, `parse error at line 1, col 9: syntax error: unexpected $end, expecting } or ,`, "query_range", "query", `{app="x"`)
	f(400, "parse error at line 1, col 6: syntax error: unexpected IDENTIFIER, expecting STRING\nhint: values are quoted: app=\"x\"", "query_range", "query", `{app=x}`)
	f(400, `log queries are not supported as an instant query type, please change your query to a range query type`, "query", "query", `{app="x"}`)
	f(400, `end timestamp must not be before or equal to start time`, "query_range", "query", `{}`, "start", "10", "end", "10")
	f(400, `max entries limit per query exceeded, limit > max_entries_limit_per_query (6000 > 5000)`, "query_range", "query", `{}`, "limit", "6000")
	f(400, `exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter`, "query_range", "query", `rate({}[1m])`, "start", "0", "end", "100000", "step", "1")
	f(400, `zero or negative query resolution step widths are not accepted. Try a positive integer`, "query_range", "query", `rate({}[1m])`, "step", "0")
	f(400, `limit must be a positive value`, "query_range", "query", `{}`, "limit", "0")
	f(400, `invalid direction 'up'`, "query_range", "query", `{}`, "direction", "up")
	f(400, `could not parse 'start' parameter: parsing time "soon" as "2006-01-02T15:04:05.999999999Z07:00": cannot parse "soon" as "2006"`, "query_range", "query", `{}`, "start", "soon")
	f(400, `parameter interval is not supported yet`, "query_range", "query", `{}`, "interval", "5s")
	f(400, `{"status":"invalid-query","error":"parse error at line 1, col 2: syntax error: unexpected $end, expecting IDENTIFIER or }"}`, "format_query", "query", `{`)
	f(403, "alice may not read audit records\nhint: the permission is called audit.read", "query_range", "query", `{class="audit"}`)
	w.audit.err = fault.Errorf(fault.Unavailable, "disk is full")
	f(503, "put the query on record: disk is full\nhint: nothing is answered that could not be audited; see the server's log", "query_range", "query", `{}`)
	w.audit.err, w.grants = nil, nil
	f(403, "alice may not read logs", "query_range", "query", `{}`)
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
	f(fault.Errorf(fault.Overload, "budget"), 503)
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
		r.Form = url.Values{"start": {start}, "end": {end}, "step": {step}, "limit": {limit}, "since": {step}}
		p := &params{r: r, now: base}
		a, b := p.span()
		p.step(a, b)
		p.limit()
	})
}
