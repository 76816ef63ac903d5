package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/e2e/harness"
)

// TestHostileQueries asks for what is made to cost, while records go on to
// arrive: each question is answered or refused in time and with a word on why,
// the server's memory stays bounded, and no bulk request fails.
func TestHostileQueries(t *testing.T) {
	s := harness.Serve(t, harness.Init(t))
	at := time.Now().Add(-time.Hour).UTC().Truncate(time.Hour)
	for i := range 20 {
		docs := make([]string, 500)
		for k := range docs {
			n := 500*i + k
			docs[k] = fmt.Sprintf(`{"@timestamp":"%s","app":"hostile","trace_id":"%032x","path":"/a/%d/aaaaaaaaaaaaaaaaaaaa","duration":%d,"message":"request %d took %d ms"}`,
				at.Add(time.Duration(n)*100*time.Millisecond).Format(time.RFC3339Nano), n, n, n%997, n, n%997)
		}
		s.Bulk(docs...)
	}
	large := strings.Repeat("lorem ipsum ", 40<<10)
	for range 20 {
		docs := make([]string, 30)
		for k := range docs {
			docs[k] = fmt.Sprintf(`{"@timestamp":"%s","app":"large","k":%d,"message":"%s"}`, at.Format(time.RFC3339), k, large)
		}
		s.Bulk(docs...)
	}

	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var acks, failed atomic.Int64
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			code, b, err := s.Request("POST", "/_bulk", map[string]string{"Content-Type": "application/x-ndjson"}, harness.BulkBody([]string{fmt.Sprintf(`{"app":"beside","n":%d}`, i)}))
			if err != nil || code != 200 || strings.Contains(string(b), `"errors":true`) {
				failed.Add(1)
			}
			acks.Add(1)
		}
	})
	span := url.Values{"start": {at.Format(time.RFC3339)}, "end": {at.Add(time.Hour).Format(time.RFC3339)}, "step": {"10"}, "limit": {"5000"}}
	loki := func(query string, change ...string) (string, string, string) {
		v := url.Values{"query": {query}}
		for k, x := range span {
			v[k] = x
		}
		for i := 0; i+1 < len(change); i += 2 {
			v.Set(change[i], change[i+1])
		}
		return "/loki/api/v1/query_range", "application/x-www-form-urlencoded", v.Encode()
	}
	es := func(body string) (string, string, string) { return "/_search", "application/json", body }
	repeat := strings.Repeat
	ask := func(what, want string, path, kind, body string) {
		t.Helper()
		start := time.Now()
		code, b, err := s.Request("POST", path, map[string]string{"Content-Type": kind}, []byte(body))
		took := time.Since(start)
		switch {
		case err != nil || took > 40*time.Second:
			t.Errorf("%s: %v after %s", what, err, took)
		case want == "" && code != 200 || want != "" && (code != 400 && code != 429 || !strings.Contains(string(b), want)):
			t.Errorf("%s: %d %.300s, want %q", what, code, b, want)
		}
		t.Logf("%-34s %3d %6s, peak %d MiB", what, code, took.Round(time.Millisecond), peakMiB(s))
	}
	q := func(what, want, query string, change ...string) {
		t.Helper()
		path, kind, body := loki(query, change...)
		ask(what, want, path, kind, body)
	}
	e := func(what, want, body string) {
		t.Helper()
		path, kind, body := es(body)
		ask(what, want, path, kind, body)
	}
	q("lines made large", "exceed 64 MiB", "{} | line_format `{{ repeat 900000 \"x\" }}`")
	q("large records", "exceed 64 MiB", `{app="large"}`)
	q("a regular expression", "", `{} |~ "(a.*){20}z$"`)
	q("10,000 alternatives", "longer than 65536", `{} |= "a"`+repeat(` or "zzz"`, 10_000))
	q("10,000 levels", "nested deeper", repeat("(", 10_000)+"1"+repeat(")", 10_000))
	q("a step of 1 ms", "maximum resolution", `sum(rate({}[1y]))`, "step", "0.001")
	q("10,000 series", "", `count(sum by (trace_id) (count_over_time({app="hostile"}[1h])))`, "step", "600")
	q("a join of everything", "many-to-many", `sum by (path) (count_over_time({app="hostile",path=~".*7/.*"}[1h])) * on () group_left sum by (trace_id) (count_over_time({app="hostile",path=~".*7/.*"}[1h]))`, "step", "600")
	q("quantiles of everything", "", `quantile_over_time(0.99, {} | unwrap duration [1h]) by (app)`)
	q("groups of large texts", "", `sum(count_over_time({app="large"} | distinct message [1h]))`, "step", "3600")
	e("hits that are large", "64 MiB", `{"size":10000,"query":{"term":{"app":"large"}},"sort":["k"]}`)
	e("65,537 buckets", "too_many_buckets", `{"size":0,"aggs":{"a":{"date_histogram":{"field":"@timestamp","fixed_interval":"1ms","min_doc_count":0}}}}`)
	e("100 levels of aggregations", "deep", `{"size":0,"aggs":{"a":`+repeat(`{"terms":{"field":"app"},"aggs":{"a":`, 100)+`{"terms":{"field":"app"}}`+repeat("}}", 100)+`}}`)
	e("a wildcard", "", `{"query":{"wildcard":{"path":"*a*a*a*a*a*a*b"}}}`)
	e("10,000 clauses", "", `{"query":{"terms":{"path":["x"`+repeat(`,"y"`, 10_000)+`]}}}`)
	ask("100 searches of one request", "", "/_msearch", "application/json", repeat("{}\n"+`{"size":0,"aggs":{"a":{"terms":{"field":"trace_id","size":10000}}}}`+"\n", 100))

	// Who goes away is not waited for, and the server can be asked at once.
	for range 8 {
		gone, leave := context.WithTimeout(t.Context(), 50*time.Millisecond)
		path, kind, body := loki("sum(count_over_time({} | line_format `{{ repeat 100000 \"ab\" }}` |= \"zz\" [1h]))")
		r, err := http.NewRequestWithContext(gone, "POST", s.Base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+s.Token)
		r.Header.Set("Content-Type", kind)
		if resp, err := http.DefaultClient.Do(r); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		leave()
	}
	q("a question after all that", "", `{app="hostile"} |= "request 4711 took"`)

	cancel()
	wg.Wait()
	if failed.Load() > 0 || acks.Load() < 20 {
		t.Errorf("%d of %d bulk requests failed beside the questions", failed.Load(), acks.Load())
	}
	if n := peakMiB(s); n > 1000 {
		t.Errorf("peak memory %d MiB", n)
	}
	var count struct{ Count int64 }
	if err := json.Unmarshal(s.Must("POST", "/_count", map[string]string{"Content-Type": "application/json"}, []byte(`{"query":{"term":{"app":"beside"}}}`)), &count); err != nil || count.Count != acks.Load() {
		t.Errorf("%d records are there of %d, %v", count.Count, acks.Load(), err)
	}
}
