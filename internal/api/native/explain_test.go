package native

import (
	"fmt"
	"strings"
	"testing"
)

func TestSearchLanguage(t *testing.T) {
	srv, s := readingWorld(t, nil)
	put(t, s, "Timed out", "fine", "timed OUT again")
	for _, path := range []string{"/api/v1/query", "/api/v1/export"} {
		if _, body := fetch(t, srv, path, "lang", "search", "query", `"timed out" -again`); strings.Count(body, `"ord"`) != 1 || !strings.Contains(body, "Timed out") {
			t.Errorf("%s: %s", path, body)
		}
		if _, body := fetch(t, srv, path, "lang", "search"); strings.Count(body, `"ord"`) != 3 {
			t.Errorf("%s: %s", path, body)
		}
	}
	if _, body := fetch(t, srv, "/api/v1/values", "lang", "search", "query", "timed", "field", "n"); !strings.Contains(body, `[{"name":"0","n":2}]`) {
		t.Error(body)
	}
	if _, body := fetch(t, srv, "/api/v1/histogram", "lang", "search", "query", "n:1"); !strings.Contains(body, `"total":1,`) {
		t.Error(body)
	}
	f := func(want, path string, params ...string) {
		t.Helper()
		code, body := fetch(t, srv, path, params...)
		if code != 400 || !strings.Contains(body, want) {
			t.Errorf("%s %v: %d %s", path, params, code, body)
		}
	}
	f("line 1, col 2: this ) closes nothing", "/api/v1/query", "lang", "search", "query", "a)")
	f("language", "/api/v1/query", "lang", "sql")
	f("language", "/api/v1/histogram", "lang", "compiled")
}

func TestContext(t *testing.T) {
	srv, s := readingWorld(t, nil)
	put(t, s, "a", "b", "c", "d", "e")
	code, body := fetch(t, srv, "/api/v1/context", "time", "2026-11-20T12:00:02Z", "ord", fmt.Sprint(1<<20+2), "before", "1", "after", "1")
	if code != 200 || !strings.Contains(body, `"at":1,"windowMs":60000`) || strings.Count(body, `"ord"`) != 3 || !strings.Contains(body, `"line":"b"`) {
		t.Errorf("%d %s", code, body)
	}
	f := func(want int, params ...string) {
		t.Helper()
		if code, body := fetch(t, srv, "/api/v1/context", params...); code != want {
			t.Errorf("%v: %d %s", params, code, body)
		}
	}
	f(404, "time", "2026-11-20T12:00:02Z", "ord", "7")
	f(400, "time", "2026-11-20T12:00:02Z")
	f(400, "ord", "7")
	f(400, "time", "now", "ord", "7", "before", "1001")
	f(400, "time", "now", "ord", "7", "window", "x")
	f(403, "time", "now", "ord", "7", "class", "audit")
}

func TestFacets(t *testing.T) {
	srv, s := readingWorld(t, nil)
	put(t, s, "a", "b", "c")
	code, body := fetch(t, srv, "/api/v1/facets", "fields", "n,body", "fields", "absent", "limit", "1", "stats", "true")
	if i := strings.LastIndex(body, `,"stats"`); i > 0 {
		body = body[:i] + "}"
	}
	const want = `{"records":3,"facets":[` +
		`{"field":"n","records":3,"values":[{"name":"0","n":2}],"more":1,"tooMany":false,"stats":{"distinct":2,"exact":true,"numbers":3,"min":0,"max":1,"sum":1,"avg":0.3333333333333333,"stddev":0.4714045207910317}},` +
		`{"field":"body","records":3,"values":[{"name":"a","n":1}],"more":2,"tooMany":false,"stats":{"distinct":3,"exact":true,"numbers":0}},` +
		`{"field":"absent","records":0,"values":[],"more":0,"tooMany":false,"stats":{"distinct":0,"exact":true,"numbers":0}}]}`
	if code != 200 || body != want {
		t.Errorf("%d\n got %s\nwant %s", code, body, want)
	}
	for _, params := range [][]string{{}, {"fields", "a", "stats", "yes"}, {"fields", "a", "limit", "2000"}} {
		if code, body := fetch(t, srv, "/api/v1/facets", params...); code != 400 {
			t.Errorf("%v: %d %s", params, code, body)
		}
	}
}

func TestMetric(t *testing.T) {
	srv, s := readingWorld(t, nil)
	put(t, s, "a", "b", "c")
	f := func(want string, params ...string) {
		t.Helper()
		code, body := fetch(t, srv, "/api/v1/metric", params...)
		if i := strings.Index(body, `,"partial"`); i > 0 {
			body = body[:i] + "}"
		}
		if code != 200 || strings.TrimSpace(body) != want {
			t.Errorf("%v: %d\n got %s\nwant %s", params, code, body, want)
		}
	}
	f(`{"kind":"vector","series":[{"labels":{"n":"0"},"points":[{"time":"2026-11-20T12:01:00Z","value":"2"}]},{"labels":{"n":"1"},"points":[{"time":"2026-11-20T12:01:00Z","value":"1"}]}]}`,
		"query", `sum by (n) (count_over_time({}[5m]))`, "time", "now")
	f(`{"kind":"matrix","series":[{"labels":{},"points":[{"time":"2026-11-20T12:00:01Z","value":"2"},{"time":"2026-11-20T12:00:02Z","value":"2"}]}]}`,
		"query", `sum(count_over_time({}[2s]))`, "from", "2026-11-20T12:00:01Z", "to", "2026-11-20T12:00:02Z", "step", "1s")
	f(`{"kind":"scalar","series":[{"labels":{},"points":[{"time":"2026-11-20T12:01:00Z","value":"+Inf"}]}]}`, "query", `1e308 * 10`, "time", "now")
	for want, params := range map[string][]string{
		"a metric query is wanted": {"query", `{}`},
		"is missing":               {},
		"written in LogQL":         {"query", "x", "lang", "search"},
		"goes with neither":        {"query", "1", "time", "now", "step", "1s"},
		"parameter step":           {"query", "1", "step", "0"},
	} {
		if code, body := fetch(t, srv, "/api/v1/metric", params...); code != 400 || !strings.Contains(body, want) {
			t.Errorf("%v: %d %s", params, code, body)
		}
	}
}

func TestExplainFormatLint(t *testing.T) {
	srv, s := readingWorld(t, nil)
	put(t, s, "a", "b", "c")
	f := func(want, path string, params ...string) {
		t.Helper()
		code, body := fetch(t, srv, path, params...)
		if code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s %v: %d\n got %s\nwant %s", path, params, code, body, want)
		}
	}
	f(`"where":"(n = \"0\" and not __class__ = \"audit\")"`, "/api/v1/explain", "lang", "search", "query", "n:0")
	f(`"records":2`, "/api/v1/explain", "query", `{n="0"}`, "run", "true")
	f(`"kind":"metric"`, "/api/v1/explain", "query", `rate({n="0"}[1m])`)
	f(`{"query":"a AND NOT b"}`, "/api/v1/format", "lang", "search", "query", "a -b")
	f(`{"query":"{a=\"b\"}"}`, "/api/v1/format", "query", `{ a = "b" }`, "pretty", "false")
	f(`{"findings":[{"line":1,"col":3,"severity":"error"`, "/api/v1/lint", "lang", "search", "query", "a (b")
	f(`{"findings":[]}`, "/api/v1/lint", "lang", "search", "query", "a b")
	f(`"severity":"error"`, "/api/v1/lint", "query", "{")
}
