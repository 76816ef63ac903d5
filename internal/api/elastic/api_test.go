package elastic

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query"
)

// some is a few records of two indices and of none.
func some(w *world) {
	w.add(
		rec(0, "body", "GET /cart timed out, Timeout", "svc", "cart", "code", 503, "took", 12.5, "ok", false, "elastic.index", "web-1", "elastic.id", "mine"),
		rec(time.Minute, "body", "GET /checkout", "svc", "checkout", "code", 200, "took", 2.5, "ok", true, "elastic.index", "web-2"),
		rec(2*time.Minute, "body", "dial timeout", "svc", "cart", "level", "error"),
	)
}

func TestIndices(t *testing.T) {
	w := newWorld(t)
	some(w)
	f := func(path string, want any) {
		t.Helper()
		code, out := w.do("GET", path+"/_count", "")
		got := at(out, "count")
		if code != 200 {
			got = at(out, "error", "type")
		}
		if got != want {
			t.Errorf("%s: %v, want %v (%v)", path, got, want, out)
		}
	}
	f("", 3.0)
	f("/_all", 3.0)
	f("/*", 3.0)
	f("/meshtrail", 3.0)
	f("/mesh*", 3.0)
	f("/app", 3.0) // a class
	f("/web-1", 1.0)
	f("/web-1,web-2", 2.0)
	f("/web-*", 2.0)
	f("/web-*,-web-1", 1.0)
	f("/web-%3F", 2.0)
	f("/cluster:web-1", 1.0)
	f("/a*", 3.0)
	f("/zzz*", 0.0)
	f("/%3Cweb-%7Bnow%2Fd%7D%3E", "index_not_found_exception")
	f("/nope", "index_not_found_exception")
	f("/nope,web-1", "index_not_found_exception")
	if n := at(w.ok("GET", "/nope,web-1/_count?ignore_unavailable=true", ""), "count"); n != 1.0 {
		t.Errorf("ignore_unavailable: %v", n)
	}
	if code, out := w.do("GET", "/zzz*/_count?allow_no_indices=false", ""); code != 404 {
		t.Errorf("allow_no_indices=false: %d %v", code, out)
	}
	w.add(rec(0, "elastic.index", "fresh")) // the catalogue is looked up again for a name it lacks
	f("/fresh", 1.0)
	if got := dateMathName("<logs-{now/M{yyyy.MM}}-x>", base); got != "logs-2026.11-x" {
		t.Errorf("date math: %s", got)
	}
}

func TestAuditRecordsAreNotForEveryone(t *testing.T) {
	w := newWorld(t)
	some(w)
	secret := rec(0, "body", "who asked")
	secret.Class = access.AuditClass
	w.add(secret)
	for _, path := range []string{"/_all", "/*", "/meshtrail", "/a*", ""} {
		if n := at(w.ok("GET", path+"/_count", ""), "count"); n != 3.0 {
			t.Errorf("%s sees %v", path, n)
		}
	}
	code, out := w.do("GET", "/audit/_count", "")
	if code != 403 || at(out, "error", "type") != "security_exception" || w.audit.last().Outcome != "denied" {
		t.Errorf("audit: %d %v, on record as %s", code, out, w.audit.last().Outcome)
	}
	if code, _ := w.do("POST", "/_search", `{"query":{"term":{"class":"audit"}}}`); code != 403 {
		t.Errorf("by a query: %d", code)
	}
	if code, _ := w.do("POST", "/_search", `{"size":0,"aggs":{"a":{"filter":{"term":{"class":"audit"}}}}}`); code != 403 || w.audit.last().Outcome != "denied" {
		t.Errorf("by an aggregation: %d", code)
	}
	out = w.ok("POST", "/_search", `{"size":0,"aggs":{"a":{"filters":{"filters":{"x":{"bool":{"must_not":{"term":{"class":"app"}}}}}}}}}`)
	if n := at(out, "aggregations", "a", "buckets", "x", "doc_count"); n != 0.0 {
		t.Errorf("an aggregation counts %v audit records", n)
	}
	w.grants = append(w.grants, access.AuditRead)
	if n := at(w.ok("GET", "/audit/_count", ""), "count"); n != 1.0 {
		t.Errorf("with the permission: %v", n)
	}
	w.grants = []access.Permission{access.LogsWrite}
	if code, _ := w.do("GET", "/_search", ""); code != 403 {
		t.Errorf("a writer reads: %d", code)
	}
}

func TestNothingIsAnsweredThatIsNotOnRecord(t *testing.T) {
	w := newWorld(t)
	some(w)
	w.ok("POST", "/web-1/_search", `{"query":{"match_all":{}}}`)
	act := w.audit.last()
	if act.Principal != "alice" || act.Detail["query"] != `{"query":{"match_all":{}}}` || act.Detail["index"] != "web-1" {
		t.Errorf("on record: %+v", act)
	}
	w.audit.err = fault.Errorf(fault.Unavailable, "disk full")
	for _, path := range []string{"/_search", "/_count", "/_mapping", "/web-1/_doc/mine", "/_field_caps?fields=*", "/_cat/indices", "/web-1"} {
		if code, out := w.do("GET", path, ""); code != 503 || at(out, "hits") != nil {
			t.Errorf("%s: %d %v", path, code, out)
		}
	}
}

func TestSourceFieldsAndSort(t *testing.T) {
	w := newWorld(t)
	some(w)
	hit := func(body string) obj {
		t.Helper()
		return at(w.ok("POST", "/web-1/_search", body), "hits", "hits", 0).(obj)
	}
	f := func(body, part, want string) {
		t.Helper()
		if got := js(hit(body)[part]); got != want {
			t.Errorf("%s: %s is\n%s, want\n%s", body, part, got, want)
		}
	}
	f(`{}`, "_source", `{"@timestamp":"2026-11-20T12:00:00.000000000Z","class":"app","code":503,"elastic.id":"mine","message":"GET /cart timed out, Timeout","ok":false,"svc":"cart","took":12.5}`)
	f(`{"_source":false}`, "_source", `null`)
	f(`{"_source":["co*","svc"]}`, "_source", `{"code":503,"svc":"cart"}`)
	f(`{"_source":{"includes":["*"],"excludes":["elastic","m*","@*","class","ok"]}}`, "_source", `{"code":503,"svc":"cart","took":12.5}`)
	f(`{"fields":[{"field":"@timestamp","format":"strict_date_optional_time_nanos"},"co*","message"]}`, "fields", `{"@timestamp":["2026-11-20T12:00:00.000000000Z"],"code":[503],"message":["GET /cart timed out, Timeout"]}`)
	f(`{"docvalue_fields":["@timestamp",{"field":"svc.keyword"}]}`, "fields", `{"@timestamp":["2026-11-20T12:00:00.000Z"],"svc.keyword":["cart"]}`)
	f(`{"query":{"match":{"message":"timeout cart"}},"highlight":{"fields":{"*":{}},"number_of_fragments":0,"pre_tags":["<"],"post_tags":[">"]}}`, "highlight", `{"message":["GET /<cart> timed out, <Timeout>"]}`)
	f(`{"query":{"query_string":{"query":"Cart AND 503 NOT 504"}},"highlight":{"fields":{"*":{}},"number_of_fragments":0}}`, "highlight", `{"message":["GET /<em>cart</em> timed out, Timeout"],"svc":["<em>cart</em>"]}`)
	f(`{"query":{"query_string":{"query":"timed AND 503","default_field":"*"}}}`, "_score", "1")
	f(`{"query":{"multi_match":{"query":"timed 503","operator":"and"}}}`, "_score", "1")
	f(`{"sort":["@timestamp"]}`, "sort", fmt.Sprintf("[%d]", base.UnixMilli()))
	f(`{"sort":[{"@timestamp":{"order":"desc","format":"strict_date_optional_time"}},{"nope":"asc"}]}`, "sort", `["2026-11-20T12:00:00.000Z",null]`)
	f(`{}`, "_score", "1")
	f(`{"sort":["took"]}`, "_score", "null")
	f(`{"version":true}`, "_version", "1")
}

// TestKeysHaveTheTypeOfTheField, also of one that came after the catalogue was
// read.
func TestKeysHaveTheTypeOfTheField(t *testing.T) {
	w := newWorld(t)
	some(w)
	w.ok("GET", "/_mapping", "")
	w.add(rec(0, "late", 7, "mixed", 1, "s", "7"), rec(0, "late", 7, "mixed", 1.5, "s", "8"))
	f := func(field, want string) {
		t.Helper()
		out := w.ok("POST", "/_search", `{"size":0,"aggs":{"a":{"terms":{"field":"`+field+`","order":{"_key":"asc"}}}}}`)
		var keys []string
		for _, b := range at(out, "aggregations", "a", "buckets").([]any) {
			keys = append(keys, js(at(b, "key"))+js(at(b, "key_as_string")))
		}
		if got := strings.Join(keys, " "); got != want {
			t.Errorf("%s: %s, want %s", field, got, want)
		}
	}
	f("late", "7null")
	f("mixed", "1null 1.5null")
	f("s", `"7"null "8"null`)
	f("ok", `0"false" 1"true"`)
	f("_index", `"meshtrail"null "web-1"null "web-2"null`)
	f("class", `"app"null`)
}

func TestTotals(t *testing.T) {
	w := newWorld(t)
	some(w)
	f := func(params, body, want string) {
		t.Helper()
		out := w.ok("POST", "/_search"+params, body)
		if got := js(at(out, "hits", "total")) + " " + fmt.Sprint(len(at(out, "hits", "hits").([]any))) + " " + js(out["terminated_early"]); got != want {
			t.Errorf("%s %s: %s, want %s", params, body, got, want)
		}
	}
	f("", "", `{"relation":"eq","value":3} 3 null`)
	f("?size=1", "", `{"relation":"eq","value":3} 1 null`)
	f("?from=2", "", `{"relation":"eq","value":3} 1 null`)
	f("?rest_total_hits_as_int=true", "", `3 3 null`)
	f("", `{"track_total_hits":2}`, `{"relation":"gte","value":2} 3 null`)
	f("", `{"track_total_hits":false}`, `null 3 null`)
	f("?terminate_after=1", "", `{"relation":"eq","value":1} 1 true`)
	f("?q=svc:cart", "", `{"relation":"eq","value":2} 2 null`)
	f("?q=timeout+checkout&default_operator=AND", "", `{"relation":"eq","value":0} 0 null`)
	f("", `{"post_filter":{"term":{"svc":"cart"}},"aggs":{"n":{"value_count":{"field":"svc"}}}}`, `{"relation":"eq","value":2} 2 null`)
	if n := at(w.ok("POST", "/_search", `{"post_filter":{"term":{"svc":"cart"}},"aggs":{"n":{"value_count":{"field":"svc"}}}}`), "aggregations", "n", "value"); n != 3.0 {
		t.Errorf("a post_filter limits aggregations: %v", n)
	}
}

func TestHeadersAndForms(t *testing.T) {
	w := newWorld(t)
	some(w)
	accept := "application/vnd.elasticsearch+json;compatible-with=8"
	r := w.raw("GET", "/_search", "", "Accept", accept, "Accept-Encoding", "gzip")
	if h := r.Header(); h.Get("X-Elastic-Product") != "Elasticsearch" || h.Get("Content-Type") != accept {
		t.Errorf("headers: %v", h)
	}
	z, err := gzip.NewReader(w.raw("GET", "/_mapping", "", "Accept-Encoding", "gzip").Body)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(z); err != nil || !json.Valid(b) {
		t.Errorf("gzip: %v %s", err, b)
	}
	if r := w.raw("GET", "/nope/_search", ""); r.Code != 404 || r.Header().Get("X-Elastic-Product") == "" {
		t.Errorf("an error without its header: %d %v", r.Code, r.Header())
	}
	for _, path := range []string{"/foo/bar/baz", "/a/b/c/d"} {
		if r := w.raw("GET", path, ""); r.Code != 404 || !strings.Contains(r.Body.String(), `"requestId"`) {
			t.Errorf("%s: %d %s", path, r.Code, r.Body)
		}
	}
	if r := w.raw("HEAD", "/web-1", ""); r.Code != 200 || r.Body.Len() > 0 {
		t.Errorf("HEAD: %d %s", r.Code, r.Body)
	}
	f := func(path, want string) {
		t.Helper()
		if r := w.raw("GET", path, ""); r.Code != 200 || strings.TrimSpace(r.Body.String()) != want {
			t.Errorf("%s: %d\n%s, want\n%s", path, r.Code, r.Body, want)
		}
	}
	f("/_search?filter_path=hits.hits._source.svc,hits.total&sort=@timestamp:asc", `{"hits":{"total":{"value":3,"relation":"eq"},"hits":[{"_source":{"svc":"cart"}},{"_source":{"svc":"checkout"}},{"_source":{"svc":"cart"}}]}}`)
	f("/web-1/_search?filter_path=-took,-hits.hits,-_shards", `{"timed_out":false,"hits":{"total":{"value":1,"relation":"eq"},"max_score":1.0}}`)
	f("/web-1/_search?filter_path=**._id&size=0", `{}`)
	f("/_cat/indices?h=index,docs.count&s=index", "app       3\nmeshtrail 3\nweb-1     1\nweb-2     1")
	f("/_cat/indices/web-1?h=index&format=json", `[{"index":"web-1"}]`)
	f("/_cat/count?h=count", "3")
	f("/_cluster/settings", `{"persistent":{},"transient":{}}`)
	f("/_field_caps?fields=response_code,nope", `{"indices":["app","meshtrail","web-1","web-2"],"fields":{}}`)
	f("/web-1/_mapping/field/co*", `{"web-1":{"mappings":{"code":{"full_name":"code","mapping":{"code":{"type":"long"}}}}}}`)
	f("/web-1/_source/mine?_source=svc", `{"svc":"cart"}`)
	f("/_alias", `{"app":{"aliases":{}},"meshtrail":{"aliases":{}},"web-1":{"aliases":{}},"web-2":{"aliases":{}}}`)
	f("/web-1/_validate/query?q=svc:cart", `{"_shards":{"total":1,"successful":1,"failed":0},"valid":true}`)
	if out := w.ok("POST", "/_async_search", `{"size":0}`); at(out, "response", "hits", "total", "value") != 3.0 || out["is_running"] != false {
		t.Errorf("async: %v", out)
	}
}

func TestBudgetsAndDamage(t *testing.T) {
	w := newWorld(t)
	some(w)
	w.store.MaxRows = 2
	code, out := w.do("POST", "/_search", `{"size":0,"aggs":{"a":{"terms":{"field":"svc"}}}}`)
	if code != 429 || at(out, "error", "type") != "circuit_breaking_exception" {
		t.Errorf("an aggregation beyond its budget: %d %v", code, out)
	}
	code, out = w.do("POST", "/_search", `{"size":1,"track_total_hits":true}`)
	if code != 200 || out["timed_out"] != true || at(out, "hits", "total", "relation") != "gte" || at(out, "_shards", "failures", 0, "reason", "type") != "circuit_breaking_exception" {
		t.Errorf("hits beyond the budget: %d %v", code, out)
	}
	big := newLimited(t, query.Limits{MaxRange: time.Hour})
	some(big)
	if code, _ := big.do("POST", "/_search", ""); code != 400 {
		t.Errorf("an unbounded range where it is bounded: %d", code)
	}
	big.ok("POST", "/_search", `{"query":{"range":{"@timestamp":{"gte":"now-1h","lt":"now"}}}}`)
}

func TestDates(t *testing.T) {
	d := dateReader{now: time.Date(2026, 11, 18, 15, 4, 5, 6e6, time.UTC)}
	stamp := func(ns int64) string { return time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05.999999999") }
	f := func(s, want string) {
		t.Helper()
		m, err := d.read(s)
		got := stamp(m.from) + " " + stamp(m.to)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", s, got, want)
		}
	}
	f("2026", "2026-01-01T00:00:00 2027-01-01T00:00:00")
	f("2026-02", "2026-02-01T00:00:00 2026-03-01T00:00:00")
	f("2026-02-03", "2026-02-03T00:00:00 2026-02-04T00:00:00")
	f("2026-02-03T04:05", "2026-02-03T04:05:00 2026-02-03T04:06:00")
	f("2026-02-03T04:05:06Z", "2026-02-03T04:05:06 2026-02-03T04:05:07")
	f("2026-02-03 04:05:06.5", "2026-02-03T04:05:06.5 2026-02-03T04:05:06.501")
	f("2026-02-03T04:05:06.123456789+01:00", "2026-02-03T03:05:06.123456789 2026-02-03T03:05:06.12345679")
	f("1700000000000", "2023-11-14T22:13:20 2023-11-14T22:13:20.001")
	f("now", "2026-11-18T15:04:05.006 2026-11-18T15:04:05.006000001")
	f("now-1h/h", "2026-11-18T14:00:00 2026-11-18T15:00:00")
	f("now/w", "2026-11-16T00:00:00 2026-11-23T00:00:00")
	f("now+1M/M", "2026-12-01T00:00:00 2027-01-01T00:00:00")
	f("2026-11-20||-1d/d", "2026-11-19T00:00:00 2026-11-20T00:00:00")
	for _, bad := range []string{"", "x", "now-", "now-1", "now*2", "now/2d", "2026-13-01", "now-1x", "99999999999999999999", "now+999999999y", "NaN", "-", "nowhere", strings.Repeat("9", 1000)} {
		f(bad, "error")
	}
	d.format = "epoch_second"
	f("1700000000", "2023-11-14T22:13:20 2023-11-14T22:13:21")
	d = dateReader{zone: time.FixedZone("", -3600)}
	f("2026-02-03", "2026-02-03T01:00:00 2026-02-04T01:00:00")
}

func TestPipelines(t *testing.T) {
	w := newWorld(t)
	for i, n := range []int{1, 4, 0, 9} {
		for k := range n {
			w.add(rec(time.Duration(i)*time.Minute+time.Duration(k)*time.Second, "n", 10*(i+1)))
		}
	}
	f := func(kind, want string) {
		t.Helper()
		out := w.ok("POST", "/_search", `{"size":0,"aggs":{"h":{"date_histogram":{"field":"@timestamp","fixed_interval":"1m"},"aggs":{"s":{"sum":{"field":"n"}},"p":`+kind+`}}}}`)
		var got []string
		for _, b := range at(out, "aggregations", "h", "buckets").([]any) {
			got = append(got, js(at(b, "p", "value")))
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: %s, want %s", kind, s, want)
		}
	}
	f(`{"cumulative_sum":{"buckets_path":"_count"}}`, "1 5 5 14")
	f(`{"derivative":{"buckets_path":"_count"}}`, "null 3 -4 9")
	f(`{"derivative":{"buckets_path":"s"}}`, "null 70 null 280")
	f(`{"derivative":{"buckets_path":"s","gap_policy":"insert_zeros"}}`, "null 70 -80 360")
	f(`{"serial_diff":{"buckets_path":"_count","lag":2}}`, "null null -1 5")
	f(`{"moving_fn":{"buckets_path":"_count","window":2,"script":"MovingFunctions.max(values)"}}`, "null 1 4 4")
	f(`{"moving_avg":{"buckets_path":"_count","window":2}}`, "1 2.5 2 4.5")
	f(`{"bucket_script":{"buckets_path":{"a":"_count","b":"s"},"script":"params.b / params.a * (1 + 1) - Math.abs(-1)"}}`, "19 39 null 79")
	out := w.ok("POST", "/_search", `{"size":0,"aggs":{"h":{"date_histogram":{"field":"@timestamp","fixed_interval":"1m"},"aggs":{"keep":{"bucket_selector":{"buckets_path":{"n":"_count"},"script":"params.n > 3"}}}},"most":{"max_bucket":{"buckets_path":"h>_count"}},"mean":{"avg_bucket":{"buckets_path":"h>_count"}}}}`)
	if n := len(at(out, "aggregations", "h", "buckets").([]any)); n != 2 || at(out, "aggregations", "most", "value") != 9.0 || at(out, "aggregations", "mean", "value") != 6.5 {
		t.Errorf("siblings: %v", out)
	}
	out = w.ok("POST", "/_search", `{"size":0,"query":{"match_none":{}},"aggs":{"h":{"date_histogram":{"field":"@timestamp","fixed_interval":"1m","min_doc_count":0,"extended_bounds":{"min":`+fmt.Sprint(base.UnixMilli())+`,"max":`+fmt.Sprint(base.Add(3*time.Minute).UnixMilli())+`}}}}}`)
	if n := len(at(out, "aggregations", "h", "buckets").([]any)); n != 4 {
		t.Errorf("extended bounds make %d buckets", n)
	}
}

func TestIdentityIsStable(t *testing.T) {
	d := identity{base.UnixNano(), 1<<40 + 7}
	back, ok := parseIdentity(d.String())
	if !ok || back != d || len(d.String()) != 22 {
		t.Errorf("%v became %v", d, back)
	}
	for _, bad := range []string{"", "mine", strings.Repeat("/", 22), strings.Repeat("_", 22)} {
		if _, ok := parseIdentity(bad); ok {
			t.Errorf("%q is an identity", bad)
		}
	}
	spans, err := planSpans(allOf{during{10, 20}, noneOf{during{12, 14}}, leaf{match.Eq{Field: "a", Value: "b"}}})
	if err != nil || len(spans) != 2 || spans[0].from != 10 || spans[0].to != 12 || spans[1].from != 14 || spans[1].to != 20 {
		t.Errorf("spans: %+v, %v", spans, err)
	}
}

func TestMethodsThatAreNotThere(t *testing.T) {
	w := newWorld(t)
	for _, r := range [][2]string{{"PUT", "/x/_search"}, {"DELETE", "/x"}, {"POST", "/_delete_by_query"}} {
		if got := w.raw(r[0], r[1], ""); got.Code != http.StatusMethodNotAllowed && got.Code != http.StatusNotFound {
			t.Errorf("%s %s: %d", r[0], r[1], got.Code)
		}
	}
}
