package loki

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// TestHostile gives every parameter of every route values that none was made
// for. Whatever comes back is an answer or a refusal: never a failure of ours,
// and never half a JSON document.
func TestHostile(t *testing.T) {
	w := newWorld(t)
	values := []string{
		"", " ", "-1", "0", "NaN", "Inf", "-Inf", "1e309", "1e-309", "0.0000000001", "9223372036854775807", "-9223372036854775808",
		"99999999999999999999", "4294967296", "1795176000", "1795176000.5", "2026-11-20T12:00:00Z", "9999-12-31T23:59:59Z", "1ns", "1y", "-5m", "1h1h",
		"\x00", "é\xff", "<_>", "a,b", ",", "{", "}", "{}", `{a="b"`, `{a=~"("}`, `{a=~".+"}`, "vector(1)", "rate({}[5m])", "rate({}[1ns])", "({})",
		strings.Repeat("(", 5000), strings.Repeat("x", 70_000), `{} | json | line_format "{{.x}}"`, `{} |~ "` + strings.Repeat("(a+)+", 100) + `"`,
	}
	params := []string{"query", "start", "end", "time", "since", "step", "interval", "limit", "direction", "line_limit", "field_limit",
		"targetLabels", "aggregateBy", "match[]", "delay_for", "regexp"}
	usual := url.Values{"query": {`{service="cart"}`}, "start": {"1795176000"}, "end": {"1795176060"}, "step": {"10"}}
	paths := map[string]bool{}
	for _, r := range Routes(w.options) {
		method, path, _ := strings.Cut(r.Pattern, " ")
		if method == "GET" {
			paths[strings.NewReplacer("{name}", "service", "{namespace}", "n", "{group}", "g").Replace(path)] = true
		}
	}
	for path := range paths {
		for _, p := range params {
			for _, v := range values {
				form := url.Values{}
				for k := range usual {
					form.Set(k, usual.Get(k))
				}
				form.Set(p, v)
				rec := httptest.NewRecorder()
				w.handler.ServeHTTP(rec, httptest.NewRequest("GET", path+"?"+form.Encode(), nil))
				if rec.Code >= 500 && rec.Code != 504 {
					t.Errorf("%s with %s=%.60q: %d %.300s", path, p, v, rec.Code, rec.Body)
				}
				if strings.Contains(rec.Header().Get("Content-Type"), "json") && !json.Valid(rec.Body.Bytes()) {
					t.Errorf("%s with %s=%.60q: no JSON: %.300s", path, p, v, rec.Body)
				}
			}
		}
	}
	// A form that is none.
	r := httptest.NewRequest("POST", api+"query_range", strings.NewReader("query=%zz"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if code, body := w.do(r); code != 400 {
		t.Errorf("a form that is none: %d %s", code, body)
	}
	// Names in the path.
	for _, name := range []string{"%00", "%2F", "..%2F", "a%20b", "%FF", strings.Repeat("n", 5000), "__name__", "class"} {
		for _, path := range []string{"label/", "detected_field/"} {
			rec := httptest.NewRecorder()
			w.handler.ServeHTTP(rec, httptest.NewRequest("GET", api+path+name+"/values", nil))
			if rec.Code >= 500 {
				t.Errorf("%s%.20s: %d %.300s", path, name, rec.Code, rec.Body)
			}
		}
	}
}
