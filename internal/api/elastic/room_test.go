package elastic

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestHitsAreBounded: a search that would hold more than there is room for is
// refused whatever its order, and pages of what fits find everything.
func TestHitsAreBounded(t *testing.T) {
	w := newWorld(t)
	const n = 200
	large := strings.Repeat("x", 1<<19)
	for i := range n {
		w.add(rec(time.Duration(i)*time.Second, "n", i, "svc", fmt.Sprint("s", i%50), "body", large))
	}
	tooLarge := func(what string, code int, v any) {
		t.Helper()
		if code != 429 || at(v, "error", "type") != "circuit_breaking_exception" {
			t.Errorf("%s: %d %.200s", what, code, js(v))
		}
	}
	for _, sort := range []string{`"_doc"`, `{"@timestamp":"desc"}`, `{"n":"desc"}`, `"svc"`} {
		code, out := w.do("POST", "/_search", `{"size":200,"sort":[`+sort+`]}`)
		tooLarge(sort, code, out)
		if out := w.ok("POST", "/_search", `{"size":20,"sort":[`+sort+`]}`); len(at(out, "hits", "hits").([]any)) != 20 {
			t.Errorf("20 by %s: %.200s", sort, js(out))
		}
	}
	code, out := w.do("POST", "/_search", `{"size":0,"aggs":{"a":{"terms":{"field":"n","size":1000},"aggs":{"t":{"top_hits":{"size":1}}}}}}`)
	tooLarge("top_hits", code, out)
	out = w.ok("POST", "/_msearch", strings.Repeat("{}\n{\"size\":40}\n", 5))
	if at(out, "responses", 0, "status") != 200.0 || at(out, "responses", 4, "status") != 429.0 {
		t.Errorf("searches of one request: %v, %v", at(out, "responses", 0, "status"), at(out, "responses", 4, "status"))
	}
	buckets := `{"size":0,"aggs":{"a":{"histogram":{"field":"n","interval":0.00390625,"min_doc_count":0}}}}` // 51,000 of them
	out = w.ok("POST", "/_msearch", strings.Repeat("{}\n"+buckets+"\n", 4))
	if at(out, "responses", 0, "status") != 200.0 || at(out, "responses", 3, "status") != 429.0 {
		t.Errorf("buckets of one request: %v, %v", at(out, "responses", 0, "status"), at(out, "responses", 3, "status"))
	}
	seen, after := 0, ""
	for range n {
		out := w.ok("POST", "/_search", `{"size":7,"_source":["n"],"sort":[{"@timestamp":"asc"}]`+after+`}`)
		hits := at(out, "hits", "hits").([]any)
		for _, h := range hits {
			if got := at(h, "_source", "n"); got != float64(seen) {
				t.Fatalf("record %v comes where %d is due", got, seen)
			}
			seen++
		}
		if len(hits) == 0 {
			break
		}
		after = `,"search_after":` + js(at(hits[len(hits)-1], "sort"))
	}
	if seen != n {
		t.Errorf("%d of %d records on pages", seen, n)
	}
}
