package elastic

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/record"
)

// TestHostileBodies: whatever a client sends is answered, soon, with an error of
// the client's or with hits, and never with a fault of ours.
func TestHostileBodies(t *testing.T) {
	w := newWorld(t)
	some(w)
	repeat := func(s string, n int) string { return strings.Repeat(s, n) }
	terms := make([]string, 10_000)
	clauses := make([]string, 10_000)
	aggs := make([]string, 300)
	for i := range terms {
		terms[i] = fmt.Sprintf(`"term-%d"`, i)
		clauses[i] = fmt.Sprintf(`{"range":{"@timestamp":{"gte":%d,"lt":%d}}}`, i, i+1)
	}
	for i := range aggs {
		aggs[i] = fmt.Sprintf(`"a%d":{"terms":{"field":"svc"}}`, i)
	}
	f := func(name, body string, want int) {
		t.Helper()
		start := time.Now()
		code, out := w.do("POST", "/_search", body)
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s took %v", name, took)
		}
		if code != want || code == 400 && at(out, "error", "root_cause", 0, "type") == nil {
			t.Errorf("%s: %d, want %d: %.300s", name, code, want, js(out))
		}
	}
	f("deep bool", repeat(`{"query":{"bool":{"must":`, 1)+repeat(`{"bool":{"must":`, 10_000)+`{"match_all":{}}`+repeat("}}", 10_000)+"}}}", 400)
	f("deep arrays", `{"query":`+repeat("[", 10_000)+repeat("]", 10_000)+"}", 400)
	f("deep aggregations", repeat(`{"aggs":{"a":{"terms":{"field":"x"},`, 1)+repeat(`"aggs":{"a":{"terms":{"field":"x"},`, 20)+`"meta":{}`+repeat("}}", 21)+"}", 400)
	f("10,000 terms", `{"query":{"terms":{"svc":[`+strings.Join(terms, ",")+`]}}}`, 200)
	f("10,000 clauses", `{"query":{"bool":{"should":[`+strings.Join(clauses, ",")+`]}}}`, 400)
	f("2,000 clauses of time", `{"query":{"bool":{"should":[`+strings.Join(clauses[:2000], ",")+`]}}}`, 200)
	f("300 aggregations", `{"aggs":{`+strings.Join(aggs, ",")+`}}`, 400)
	f("huge size", `{"size":2147483647}`, 400)
	f("huge number", `{"size":1e400}`, 400)
	f("negative from", `{"from":-1}`, 400)
	f("a window too far", `{"from":9999,"size":2}`, 400)
	f("a million buckets", `{"size":0,"aggs":{"a":{"date_histogram":{"field":"@timestamp","fixed_interval":"1ms","min_doc_count":0}}}}`, 400)
	f("far bounds", `{"size":0,"aggs":{"a":{"histogram":{"field":"took","interval":1e-300,"extended_bounds":{"min":0,"max":1e300},"min_doc_count":0}}}}`, 400)
	f("far dates", `{"size":0,"aggs":{"a":{"date_histogram":{"field":"@timestamp","calendar_interval":"minute","extended_bounds":{"min":"1900","max":"2100"}}}}}`, 400)
	f("a tiny interval", `{"size":0,"aggs":{"a":{"date_histogram":{"field":"@timestamp","fixed_interval":"1nanos"}}}}`, 400)
	f("a regular expression that explodes", `{"query":{"regexp":{"svc":"((a{100}){100}){100}"}}}`, 400)
	f("a long pattern", `{"query":{"wildcard":{"svc":"`+repeat("*a", 1000)+`"}}}`, 400)
	f("many combinations", `{"query":{"bool":{"should":[`+repeat(`{"term":{"a":1}},`, 60)+`{"term":{"a":1}}],"minimum_should_match":30}}}`, 400)
	f("no JSON", `{"query":`, 400)
	f("two bodies", `{} {}`, 400)
	f("a duplicate", `{"size":1,"size":2}`, 400)
	f("a list", `[]`, 400)
	f("an unknown key", `{"nope":1}`, 400)
	f("an unknown query", `{"query":{"nope":{}}}`, 400)
	f("a script", `{"query":{"script":{"script":"1"}}}`, 400)
	f("a field that is an object", `{"query":{"term":{"a":{"b":{}}}}}`, 400)
	f("a zone from elsewhere", `{"query":{"range":{"@timestamp":{"gte":"now/d","time_zone":"../../etc/passwd"}}}}`, 400)
	f("a name of NUL", `{"query":{"term":{"\u0000":"\u0000"}},"sort":["\u0000"],"aggs":{"\u0000":{"terms":{"field":"\u0000"}}}}`, 200)
	if code, _ := w.do("POST", "/_msearch", repeat("{}\n{}\n", 1001)); code != 400 {
		t.Errorf("1,001 searches: %d", code)
	}
	if r := w.raw("POST", "/_search", repeat(" ", maxBody+1)); r.Code != 413 {
		t.Errorf("a body beyond its limit: %d", r.Code)
	}
	if r := w.raw("GET", "/"+repeat("a,", 2000)+"b/_search", ""); r.Code != 400 {
		t.Errorf("2,001 indices: %d", r.Code)
	}
	if r := w.raw("GET", "/_search?filter_path="+repeat("**.", 40)+"a", ""); r.Code != 400 {
		t.Errorf("a filter_path that explodes: %d", r.Code)
	}
	if r := w.raw("POST", "/_search", "\x1f\x8b", "Content-Encoding", "gzip"); r.Code != 400 {
		t.Errorf("half a gzip: %d", r.Code)
	}
}

func TestOpenContextsAreBounded(t *testing.T) {
	w := newWorld(t)
	some(w)
	for i := range maxContexts {
		if code, out := w.do("POST", "/_all/_pit?keep_alive=1m", ""); code != 200 {
			t.Fatalf("point %d: %d %v", i, code, out)
		}
	}
	if code, out := w.do("POST", "/_all/_pit?keep_alive=1m", ""); code != 429 || at(out, "error", "type") != "rejected_execution_exception" {
		t.Errorf("one too many: %d %v", code, out)
	}
	w.clock = w.clock.Add(2 * time.Minute)
	if code, _ := w.do("POST", "/_all/_pit?keep_alive=1m", ""); code != 200 {
		t.Errorf("after the others ended: %d", code)
	}
	if code, _ := w.do("POST", "/_all/_pit?keep_alive=48h", ""); code != 400 {
		t.Errorf("two days: %d", code)
	}
}

// FuzzSearch: no body makes the decoder, the planner or the collectors fail.
func FuzzSearch(f *testing.F) {
	for _, s := range []string{
		`{"query":{"bool":{"must":[{"match":{"message":"timeout"}}],"should":{"range":{"@timestamp":{"gte":"now-1h/d","time_zone":"+01:00"}}},"minimum_should_match":"75%"}}}`,
		`{"size":0,"aggs":{"a":{"terms":{"field":"svc","order":{"b.max":"desc"}},"aggs":{"b":{"extended_stats":{"field":"took"}}}}}}`,
		`{"aggs":{"a":{"date_histogram":{"field":"@timestamp","fixed_interval":"90m","time_zone":"Europe/Berlin","offset":"-1h"},"aggs":{"p":{"derivative":{"buckets_path":"_count","unit":"1s"}},"s":{"bucket_script":{"buckets_path":{"x":"_count"},"script":"params.x*(2+-1)"}}}}}}`,
		`{"aggs":{"a":{"composite":{"sources":[{"s":{"terms":{"field":"svc"}}}],"after":{"s":"cart"}}}}}`,
		`{"aggs":{"a":{"range":{"field":"took","ranges":[{"to":5},{"from":1}]}},"b":{"histogram":{"field":"took","interval":0.5}},"c":{"top_hits":{"sort":["took"]}}}}`,
		`{"sort":[{"@timestamp":"desc"},"_doc"],"search_after":[1795176000000,"GOoUTHCdcAAAAAAAABAAAg"]}`,
		`{"query":{"query_string":{"query":"svc:(cart OR x*) AND NOT \"a b\""}},"highlight":{"fields":{"*":{}},"fragment_size":10}}`,
		`{"query":{"ids":{"values":["mine","GOoUTHCdcAAAAAAAABAAAg"]}},"_source":{"includes":"a*"},"fields":["*"],"post_filter":{"exists":{"field":"svc"}}}`,
	} {
		f.Add(s)
	}
	w := newWorld(f)
	some(w)
	f.Fuzz(func(t *testing.T, body string) {
		w.t = t
		var before runtime.MemStats
		runtime.ReadMemStats(&before)
		r := w.raw("POST", "/_search", body)
		if r.Code >= 500 {
			t.Fatalf("%d %s", r.Code, r.Body)
		}
		var after runtime.MemStats
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<30 {
			t.Fatalf("%d bytes for a body of %d", grown, len(body))
		}
	})
}

// TestManyFieldsShown: the cost of showing fields grows with their number, not
// with its square, and a pattern that is repeated costs nothing.
func TestManyFieldsShown(t *testing.T) {
	r := &record.Record{}
	for i := range 20_000 {
		r.Fields = append(r.Fields, record.Field{Name: fmt.Sprintf("f%05d", i), Value: record.IntValue(int64(i))})
	}
	asked := make([]any, maxPatterns)
	for i := range asked {
		asked[i] = "*"
	}
	specs, err := readFields(asked)
	if err != nil || len(specs) != 1 {
		t.Fatalf("%d patterns, %v, want one", len(specs), err)
	}
	doc, err := readFields([]any{"f0*", object{{"field", "f00007"}, {"format", "epoch_millis"}}})
	if err != nil {
		t.Fatal(err)
	}
	shown := over(fieldsOf(r, doc), fieldsOf(r, specs))
	if len(shown) != 20_001 { // and @timestamp
		t.Fatalf("%d fields shown", len(shown))
	}
	if v := shown.get("f00007").([]any)[0]; v != any(int64(7)) {
		t.Errorf("fields do not win over docvalue_fields: %v (%T)", v, v)
	}
}
