package native

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/audit"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/query/querytest"
	words "github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/tail"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

type noAudit struct{}

func (noAudit) Record(context.Context, audit.Act) error { return nil }

// readingWorld serves the reading routes over a naive store.
func readingWorld(t *testing.T, change func(*ReadingOptions)) (*httptest.Server, *querytest.Store) {
	t.Helper()
	s := &querytest.Store{}
	hub := tail.New(tail.Options{Store: s, Queue: 3})
	s.Watch(hub.Publish)
	e, err := query.New(query.Options{Store: s, Audit: noAudit{}, Now: func() time.Time { return noon.Add(time.Minute) }})
	if err != nil {
		t.Fatal(err)
	}
	o := ReadingOptions{Engine: e, Tail: hub}
	if change != nil {
		change(&o)
	}
	mux := http.NewServeMux()
	for _, r := range Reading(o) {
		if r.Need != access.LogsRead {
			t.Errorf("route %s needs %q", r.Pattern, r.Need)
		}
		mux.HandleFunc(r.Pattern, func(w http.ResponseWriter, req *http.Request) {
			req = req.WithContext(httpd.WithPrincipal(req.Context(), &access.Principal{Name: "alice", Tenant: "acme", Grants: []access.Permission{access.LogsRead}}))
			if err := r.Handle(w, req); err != nil {
				httpd.WriteError(w, req, err)
			}
		})
	}
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv, s
}

func put(t *testing.T, s *querytest.Store, bodies ...string) {
	t.Helper()
	b := &words.Batch{Tenant: "acme", Ingest: noon.UnixNano()}
	for i, body := range bodies {
		b.Begin(noon.Add(time.Duration(i)*time.Second).UnixNano(), "app")
		b.Str("body", body)
		b.Int("n", int64(i%2))
		b.End()
	}
	if err := s.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

func fetch(t *testing.T, srv *httptest.Server, path string, params ...string) (int, string) {
	t.Helper()
	v := url.Values{}
	for i := 0; i < len(params); i += 2 {
		v.Add(params[i], params[i+1])
	}
	res, err := srv.Client().Get(srv.URL + path + "?" + v.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestQueryStream(t *testing.T) {
	srv, s := readingWorld(t, nil)
	put(t, s, "one", "two\n\"three\"", "four")
	code, body := fetch(t, srv, "/api/v1/query", "query", "{}", "limit", "2", "order", "oldest")
	lines := strings.Split(strings.TrimSpace(body), "\n")
	if code != 200 || len(lines) != 3 {
		t.Fatalf("%d %s", code, body)
	}
	const first = `{"time":"2026-11-20T12:00:00Z","ingest":"2026-11-20T12:00:00Z","ord":"1048576","class":"app","line":"one","fields":{"body":"one","n":0}}`
	if lines[0] != first {
		t.Errorf("got %s\nwant %s", lines[0], first)
	}
	var m struct{ Manifest query.Summary }
	if err := json.Unmarshal([]byte(lines[2]), &m); err != nil || m.Manifest.Rows != 2 || !m.Manifest.Truncated || m.Manifest.Partial {
		t.Errorf("manifest %s: %v", lines[2], err)
	}
	for _, l := range lines {
		if !json.Valid([]byte(l)) {
			t.Errorf("no JSON: %s", l)
		}
	}
	if _, body := fetch(t, srv, "/api/v1/query"); strings.Count(body, "\n") != 4 || !strings.HasPrefix(body, `{"time":"2026-11-20T12:00:02Z"`) {
		t.Errorf("everything, newest first: %s", body)
	}
	if _, body := fetch(t, srv, "/api/v1/query", "from", "-30s"); strings.Count(body, "\n") != 1 {
		t.Errorf("nothing in the last 30 s: %s", body)
	}
	if _, body := fetch(t, srv, "/api/v1/query", "fields", "n", "query", `{} |= "four"`); !strings.Contains(body, `"fields":{"n":0}`) {
		t.Errorf("one field: %s", body)
	}
}

func TestQueryErrors(t *testing.T) {
	srv, _ := readingWorld(t, nil)
	f := func(text string, path string, params ...string) {
		t.Helper()
		code, body := fetch(t, srv, path, params...)
		var e httpd.ErrorBody
		if err := json.Unmarshal([]byte(body), &e); err != nil || code != 400 || e.Error.Kind != "invalid" || !strings.Contains(e.Error.Message, text) {
			t.Errorf("%s %v: %d %s", path, params, code, body)
		}
	}
	f("parse error at line 1, col 4", "/api/v1/query", "query", `{a=`)
	f("a log query is wanted here", "/api/v1/query", "query", `rate({}[5m])`)
	f("parameter from", "/api/v1/query", "from", "soon")
	f("parameter limit", "/api/v1/query", "limit", "-1")
	f("parameter order", "/api/v1/query", "order", "best")
	f("must not be before", "/api/v1/query", "from", "now", "to", "-1h")
	f("parameter step", "/api/v1/histogram", "step", "x")
	f("step must give", "/api/v1/histogram", "step", "1ns")
	f("step must give", "/api/v1/histogram", "buckets", "1000000")
	f("parameter field is missing", "/api/v1/values")
	f("no point to resume from", "/api/v1/tail", "after", "x")
}

func TestExplore(t *testing.T) {
	srv, s := readingWorld(t, nil)
	put(t, s, "a", "b", "c")
	f := func(want string, path string, params ...string) {
		t.Helper()
		code, body := fetch(t, srv, path, params...)
		if i := strings.Index(body, `,"stats"`); i > 0 {
			body = body[:i] + "}"
		}
		if code != 200 || strings.TrimSpace(body) != want {
			t.Errorf("%s %v: %d\n got %s\nwant %s", path, params, code, body, want)
		}
	}
	f(`{"from":"2026-11-20T12:00:00Z","to":"2026-11-20T12:00:10Z","stepMs":2000,"by":"n","total":3,"groups":[{"value":"0","total":2,"counts":[1,1,0,0,0]},{"value":"1","total":1,"counts":[1,0,0,0,0]}]}`,
		"/api/v1/histogram", "from", "2026-11-20T12:00:00Z", "to", "2026-11-20T12:00:10Z", "step", "2s", "by", "n")
	f(`{"from":"2026-11-20T12:00:00Z","to":"2026-11-20T12:00:10Z","stepMs":5000,"total":1,"groups":[{"value":"","total":1,"counts":[1,0]}]}`,
		"/api/v1/histogram", "from", "2026-11-20T12:00:00Z", "to", "2026-11-20T12:00:10Z", "buckets", "2", "query", `{} |= "b"`)
	f(`{"field":"n","values":[{"name":"0","n":2},{"name":"1","n":1}],"truncated":false}`, "/api/v1/values", "field", "n")
	f(`{"field":"n","values":[{"name":"0","n":2}],"truncated":true}`, "/api/v1/values", "field", "n", "limit", "1")
	f(`{"field":"x","values":[],"truncated":false}`, "/api/v1/values", "field", "x")
	f(`{"fields":[{"name":"body","type":"string","records":3,"query":"body","meaning":"The message. Of a platform's text line, the whole line as it came."},{"name":"n","type":"int","records":3,"query":"n"}]}`, "/api/v1/fields")
}

func TestParseTime(t *testing.T) {
	now := time.Unix(1_000_000_000, 5)
	f := func(s string, want int64) {
		t.Helper()
		if got, err := ParseTime(s, now); err != nil || got != want {
			t.Errorf("ParseTime(%q) = %d, %v, want %d", s, got, err, want)
		}
	}
	f("now", 1_000_000_000_000_000_005)
	f("-1h", 999_996_400_000_000_005)
	f("now-1h30m", 999_994_600_000_000_005)
	f("+1s", 1_000_000_001_000_000_005)
	f("-7d", 999_395_200_000_000_005)
	f("0", 0)
	f("1795176000", 1795176000e9)
	f("1795176000.5", 1795176000.5e9)
	f("1795176000123", 1795176000123e6)
	f("1795176000123456", 1795176000123456e3)
	f("1795176000123456789", 1795176000123456789)
	f("2026-11-20T12:00:00Z", noon.UnixNano())
	f("2026-11-20T14:00:00.5+02:00", noon.UnixNano()+5e8)
	f("2026-11-20", noon.Add(-12*time.Hour).UnixNano())
	f("2026-11-20 12:00:00", noon.UnixNano())
	for _, s := range []string{"", "soon", "1h", "nowish", "now1h", "12345678901", "9999-01-01", "1e400"} {
		if got, err := ParseTime(s, now); s != "" && !fault.Is(err, fault.Invalid) {
			t.Errorf("ParseTime(%q) = %d, %v", s, got, err)
		}
	}
}

func FuzzParseTime(f *testing.F) {
	f.Add("now-1h")
	f.Add("1795176000.5")
	f.Add("-9223372036854775808")
	f.Fuzz(func(t *testing.T, s string) { _, _ = ParseTime(s, noon) })
}

// TestSeverityByAnyName shows what a query for severity_text would find,
// whichever name the sender used.
func TestSeverityByAnyName(t *testing.T) {
	field := func(name, v string) words.Field { return words.Field{Name: name, Value: words.StringValue(v)} }
	for want, fields := range map[string][]words.Field{
		`"severity":"error"`:   {field("app", "x"), field("level", "error")},
		`"severity":"WARN"`:    {field("level", "info"), field("severity_text", "WARN")},
		`"severity":"debug"`:   {field("log.level", "debug")},
		`"class":"app","line"`: {field("app", "x")},
	} {
		if got := string(AppendRecord(nil, &words.Record{Class: "app", Fields: fields})); !strings.Contains(got, want) {
			t.Errorf("%s lacks %s", got, want)
		}
	}
}
