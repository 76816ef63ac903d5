package elastic

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
	"github.com/meshtrail/meshtrail/internal/record"
)

// once is an intake that sees a request of one identity once.
type once struct {
	receivetest.Intake
	seen map[record.BatchID]bool
}

func (o *once) Ingest(ctx context.Context, req *pipeline.Request) (pipeline.Outcome, error) {
	if o.seen[req.ID] {
		return pipeline.Outcome{Deduplicated: len(req.Raws)}, nil
	}
	if !req.ID.IsZero() {
		o.seen[req.ID] = true
	}
	return o.Intake.Ingest(ctx, req)
}

func TestDocuments(t *testing.T) {
	in := &once{seen: map[record.BatchID]bool{}}
	in.Refuse = refuse
	_, h := newReceiver(t, Config{}, in)
	f := func(method, target, body string, code int, answer string) {
		t.Helper()
		resp, got := receivetest.Call(h, method, target, []byte(body), "Content-Type: application/json")
		if resp.StatusCode != code || !strings.Contains(got, answer) || !json.Valid([]byte(got)) {
			t.Errorf("%s %s: %d %s, want %d with %s", method, target, resp.StatusCode, got, code, answer)
		}
	}
	const rest = `"_shards":{"total":1,"successful":1,"failed":0},"_seq_no":0,"_primary_term":1}`
	f("PUT", "/logs/_doc/a", `{"n":1}`, 201, `{"_index":"logs","_id":"a","_version":1,"result":"created",`+rest)
	f("PUT", "/logs/_doc/a", " {\"n\":1}\n", 200, `"_version":2,"result":"updated",`+rest)
	f("POST", "/elastic/logs/_create/b", `{"n":2}`, 201, `"result":"created"`)
	f("PUT", "/logs/_create/b", `{"n":2}`, 409, `"type":"version_conflict_engine_exception"`)
	f("PUT", "/logs/_doc/b?op_type=create", `{"n":2}`, 409, `document already exists`)
	f("PUT", "/logs/_create/b", `{"n":3}`, 201, `"result":"created"`) // other content: never lost
	f("POST", "/logs/_update/c", `{"doc":{"n":4},"doc_as_upsert":true}`, 200, `"result":"updated"`)
	f("POST", "/logs/_update/c", `{"script":"x"}`, 400, `scripts are not supported`)
	f("POST", "/logs/_doc", "{\n\"n\":5\n}", 201, `"result":"created"`)
	f("POST", "/logs/_doc", "{\"n\":", 400, `document_parsing_exception`)
	f("POST", "/logs/_doc", "", 400, `request body is required`)
	f("PUT", "/logs/_doc/"+strings.Repeat("x", 513), "{}", 400, `id is too long`)
	f("DELETE", "/logs/_doc/a", "", 400, `append-only`)
	f("DELETE", "/logs", "", 400, `append-only`)
	f("POST", "/logs/_what/a", "{}", 404, `"kind":"not_found"`)
	f("PUT", "/logs/_what/a", "{}", 404, `"kind":"not_found"`)
	f("PUT", "/logs/_what", "{}", 404, `"kind":"not_found"`)
	var texts []string
	for _, r := range in.Raws() {
		texts = append(texts, fmt.Sprintf("%s %s=%s", strings.Join(strings.Fields(string(r.Payload)), ""), r.Attrs[0].Name, r.Attrs[0].Value.Str))
		if id := r.Attrs[1].Value.Str; r.Attrs[1].Name != IDField || len(id) != 1 && !regexp.MustCompile(`^[\w-]{20}$`).MatchString(id) {
			t.Errorf("%s: id %q", r.Payload, id)
		}
	}
	if want := `[{"n":1} elastic.index=logs {"n":2} elastic.index=logs {"n":3} elastic.index=logs {"n":4} elastic.index=logs {"n":5} elastic.index=logs {"n": elastic.index=logs]`; fmt.Sprint(texts) != want {
		t.Errorf("records\n got %s\nwant %s", texts, want)
	}
}

// TestSettlingIn calls what clients call before they write, besides TestHandshake.
func TestSettlingIn(t *testing.T) {
	_, h := newReceiver(t, Config{}, &receivetest.Intake{})
	f := func(method, target, body string, code int, answer string) {
		t.Helper()
		resp, got := receivetest.Call(h, method, target, []byte(body))
		if resp.StatusCode != code || !strings.Contains(got, answer) {
			t.Errorf("%s %s: %d %s, want %d with %s", method, target, resp.StatusCode, got, code, answer)
		}
	}
	const ok = `{"acknowledged":true}`
	f("POST", "/_bulk/?pipeline=p", "{\"create\":{}}\n{}\n", 200, `"errors":false`) // Fluent Bit es.c
	f("HEAD", "/_alias/logstash", "", 404, "")
	f("PUT", "/%3Clogstash-%7Bnow%2Fd%7D-000001%3E", `{"settings":{},"aliases":{"logstash":{"is_write_index":true}}}`, 200, `"shards_acknowledged":true`)
	f("HEAD", "/_alias/logstash", "", 200, "")
	f("GET", "/_alias/logstash", "", 200, `{"logstash":{"aliases":{"logstash":{}}}}`)
	f("PUT", "/i/_alias/other", "", 200, ok)
	f("GET", "/_alias/other", "", 200, `"other"`)
	f("PUT", "/i", "not JSON", 200, `"index":"i"`)
	f("PUT", "/i/_mapping", `{"properties":{}}`, 200, ok)
	f("PUT", "/i/_settings", `{}`, 200, ok)
	f("PUT", "/_cluster/settings", `{"persistent":{}}`, 200, `"acknowledged":true`)
	f("POST", "/_aliases", `{"actions":[]}`, 200, ok)
	f("POST", "/i/_flush", "", 200, `"failed":0`)
	f("GET", "/_ilm/status", "", 200, `"RUNNING"`)
	f("GET", "/_nodes/ingest", "", 200, `"processors":[{"type":"append"}`)
	f("GET", "/_nodes/_all/http", "", 200, `"publish_address"`)
	f("GET", "/_security/_authenticate", "", 200, `"username":"tester"`)
	f("HEAD", "/_cat/health", "", 200, "")
	f("GET", "/_index_template", "", 200, `{"index_templates":[]}`)
	for _, name := range []string{"b", "a"} {
		f("PUT", "/_index_template/"+name, `{"x":1}`, 200, ok)
		f("PUT", "/_ilm/policy/"+name, `{"y":1}`, 200, ok)
	}
	f("GET", "/elastic/_index_template", "", 200, `{"index_templates":[{"name":"a","index_template":{"x":1}},{"name":"b","index_template":{"x":1}}]}`)
	f("GET", "/_ilm/policy", "", 200, `{"a":{"y":1},"b":{"y":1}}`)
	f("GET", "/_ingest/pipeline", "", 200, `{}`)
	f("GET", "/_xpack?filter_path=features.monitoring.enabled", "", 200, `{}`) // Beats' monitoring: not here
}

func TestReplies(t *testing.T) {
	e, h := newReceiver(t, Config{}, &receivetest.Intake{})
	for accept, want := range map[string]string{
		"": "application/json", "*/*": "application/json", "application/json": "application/json",
		"application/vnd.elasticsearch+json; compatible-with=8":                    "application/vnd.elasticsearch+json;compatible-with=8",
		"application/vnd.elasticsearch+json;compatible-with=9,text/plain":          "application/vnd.elasticsearch+json;compatible-with=9",
		"application/vnd.elasticsearch+json":                                       "application/vnd.elasticsearch+json",
		"application/vnd.elasticsearch+json; compatible-with=8\r\nX-Injected: yes": "application/vnd.elasticsearch+json",
	} {
		resp, _ := receivetest.Call(h, "GET", "/_license", nil, "Accept: "+accept)
		if got := resp.Header.Get("Content-Type"); got != want {
			t.Errorf("Accept %q: %q", accept, got)
		}
	}
	root := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { e.Info(w, r) })
	if _, got := receivetest.Call(root, "GET", "/?filter_path=version.number,tag*", nil); got != `{"version":{"number":"8.17.0"},"tagline":"You Know, for Search"}` {
		t.Errorf("filtered: %s", got)
	}
	body := []byte(strings.Repeat("{\"create\":{}}\n{}\n", 100))
	_, plain := receivetest.Call(h, "POST", "/_bulk", body)
	resp, packed := receivetest.Call(h, "POST", "/_bulk", body, "Accept-Encoding: br, gzip;q=1.0")
	z, err := gzip.NewReader(strings.NewReader(packed))
	if err != nil || resp.Header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("%v, %v", err, resp.Header)
	}
	if got, err := io.ReadAll(z); err != nil || string(got) != plain {
		t.Errorf("%v: %s", err, got)
	}
	for _, no := range []string{"gzip;q=0", "br", "gzip; q=0"} {
		if resp, got := receivetest.Call(h, "POST", "/_bulk", body, "Accept-Encoding: "+no); got != plain || resp.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s: %v", no, resp.Header)
		}
	}
}

func TestFilter(t *testing.T) {
	const doc = `{"a":1,"b":{"c":[{"d":1,"e":2},{"e":3}],"f":{}},"g":["x"],"h":null}`
	f := func(path, want string) {
		t.Helper()
		if got := string(filterPath(path).apply([]byte(doc))); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	f("a", `{"a":1}`)
	f("a,b.c.d", `{"a":1,"b":{"c":[{"d":1}]}}`)
	f("b.c", `{"b":{"c":[{"d":1,"e":2},{"e":3}]}}`)
	f("*.c.e", `{"b":{"c":[{"e":2},{"e":3}]}}`)
	f("**.e", `{"b":{"c":[{"e":2},{"e":3}]}}`)
	f("b.**", `{"b":{"c":[{"d":1,"e":2},{"e":3}],"f":{}}}`)
	f("-b,-g", `{"a":1,"h":null}`)
	f("-**.e,-h", `{"a":1,"b":{"c":[{"d":1},{}],"f":{}},"g":["x"]}`)
	f("b,-b.c.d,-b.f", `{"b":{"c":[{"e":2},{"e":3}]}}`)
	f("g,h", `{"g":["x"],"h":null}`)
	f("nothing", `{}`)
	f("", doc)
	f("a.b.c,g.x", `{}`)
}

func FuzzFilter(f *testing.F) {
	f.Add("a,b.*.c,-**.d", `{"a":1,"b":{"x":{"c":[1,{"d":2}]}}}`)
	f.Add("**.**.x", `[{"x":{"x":1}}]`)
	f.Fuzz(func(t *testing.T, path, doc string) {
		out := filterPath(path).apply([]byte(doc))
		if json.Valid([]byte(doc)) && !json.Valid(out) {
			t.Fatalf("%q of %s is %s", path, doc, out)
		}
	})
}
