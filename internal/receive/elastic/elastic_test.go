package elastic

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
	"github.com/meshtrail/meshtrail/internal/record"
)

// refuse is what the pipeline does with documents that are not JSON or too big.
func refuse(r *record.Raw) (string, string) {
	switch {
	case len(r.Payload) > 1<<20:
		return "too_large", "record is larger than 1 MiB"
	case r.JSON && !json.Valid(r.Payload):
		return "malformed_json", "not a JSON object"
	}
	return "", ""
}

func newReceiver(t testing.TB, cfg Config, in pipeline.Intake) (*Receiver, http.Handler) {
	t.Helper()
	e, err := New(cfg, receive.Shared{Intake: in})
	if err != nil {
		t.Fatal(err)
	}
	e.now = func() time.Time { return time.Unix(0, 0) }
	return e, receivetest.Handler(e.Routes())
}

func TestBulkAnswers(t *testing.T) {
	f := func(name, target, body, want string, raws ...string) {
		t.Helper()
		in := &receivetest.Intake{Refuse: refuse}
		_, h := newReceiver(t, Config{}, in)
		resp, got := receivetest.Call(h, "POST", target, []byte(body), "Content-Type: application/x-ndjson")
		if got != want {
			t.Errorf("%s: answer\n got %s\nwant %s", name, got, want)
		}
		if resp.Header.Get("X-Elastic-Product") != "Elasticsearch" {
			t.Errorf("%s: no X-Elastic-Product", name)
		}
		var texts []string
		for _, r := range in.Raws() {
			text := string(r.Payload)
			for _, a := range r.Attrs {
				text += " " + a.Name + "=" + a.Value.Text()
			}
			texts = append(texts, text)
		}
		if fmt.Sprint(texts) != fmt.Sprint(raws) {
			t.Errorf("%s: records\n got %q\nwant %q", name, texts, raws)
		}
	}
	const ok = `{"create":{"_index":"meshtrail","_version":1,"result":"created","status":201}}`
	f("two", "/_bulk", "{\"create\":{}}\n{\"a\":1}\n{\"create\":{}}\n{\"a\":2}\n",
		`{"took":0,"errors":false,"items":[`+ok+`,`+ok+`]}`, `{"a":1}`, `{"a":2}`)
	f("no final newline, CRLF, blank lines", "/_bulk", "\n{\"create\":{}}\r\n{\"a\":1}\r\n\n\n{\"create\":{}}\n{\"a\":2}",
		`{"took":0,"errors":false,"items":[`+ok+`,`+ok+`]}`, `{"a":1}`, `{"a":2}`)
	f("index and id", "/logs-x/_bulk", `{"index":{"_id":"i\"1","_type":"_doc","pipeline":"p"}}`+"\n{}\n"+`{"create":{"_index":"other"}}`+"\n{}\n",
		`{"took":0,"errors":false,"items":[{"index":{"_index":"logs-x","_id":"i\"1","_version":1,"result":"created","status":201}},{"create":{"_index":"other","_version":1,"result":"created","status":201}}]}`,
		`{} elastic.index=logs-x elastic.id=i"1`, `{} elastic.index=other`)
	f("filter_path", "/_bulk?filter_path=errors,items.*.status", "{\"create\":{\"_index\":\"x\"}}\n{\"a\":1}\n",
		`{"errors":false,"items":[{"create":{"status":201}}]}`, `{"a":1} elastic.index=x`)
	f("filter_path with took", "/_bulk?filter_path=took,errors,items.*.error,items.*.status", "{\"create\":{\"_index\":\"x\"}}\n{\"a\":1}\n",
		`{"took":0,"errors":false,"items":[{"create":{"status":201}}]}`, `{"a":1} elastic.index=x`)
	f("filter_path of another kind", "/_bulk?filter_path=items.*._id,items.*.error.type", "{\"create\":{\"_id\":\"1\"}}\n{\"a\":1}\n{\"create\":{}}\n{\"a\":1}\n{\"create\":{}}\n{\"a\":\n",
		`{"items":[{"create":{"_id":"1"}},{"create":{"error":{"type":"document_parsing_exception"}}}]}`, `{"a":1} elastic.id=1`, `{"a":1}`, `{"a":`)
	f("broken document keeps the others", "/_bulk", "{\"create\":{}}\n{\"a\":1}\n{\"create\":{}}\n{\"a\":\n{\"create\":{}}\n{\"a\":3}\n",
		`{"took":0,"errors":true,"items":[`+ok+`,{"create":{"_index":"meshtrail","status":400,"error":{"type":"document_parsing_exception","reason":"malformed_json: not a JSON object"}}},`+ok+`]}`,
		`{"a":1}`, `{"a":`, `{"a":3}`)
	f("delete and update", "/_bulk", "{\"delete\":{\"_id\":\"1\"}}\n{\"update\":{\"_id\":\"2\"}}\n{\"doc\":{\"a\":1},\"doc_as_upsert\":true}\n{\"update\":{\"_id\":\"3\"}}\n{\"script\":\"x\"}\n",
		`{"took":0,"errors":true,"items":[{"delete":{"_index":"meshtrail","_id":"1","status":400,"error":{"type":"illegal_argument_exception","reason":"delete is not supported: records are append-only"}}},{"update":{"_index":"meshtrail","_id":"2","_version":1,"result":"created","status":201}},{"update":{"_index":"meshtrail","_id":"3","status":400,"error":{"type":"document_parsing_exception","reason":"update without a doc object; scripts are not supported"}}}]}`,
		`{"a":1} elastic.id=2`)
	f("broken action keeps the others", "/_bulk", "{\"create\":{}}\n{\"a\":1}\n{\"creat\n{\"a\":2}\n{\"create\":{}}\n{\"a\":3}\nxx\n{\"create\":{}}\n{\"a\":4}\n",
		`{"took":0,"errors":true,"items":[`+ok+`,{"index":{"_index":"meshtrail","status":400,"error":{"type":"illegal_argument_exception","reason":"Malformed action/metadata line"}}},`+ok+`,{"index":{"_index":"meshtrail","status":400,"error":{"type":"illegal_argument_exception","reason":"Malformed action/metadata line"}}},`+ok+`]}`,
		`{"a":1}`, `{"a":3}`, `{"a":4}`)
	f("more members beside the action", "/_bulk", "{\"create\":{},\"attempts\":0}\n{\"a\":1}\n", `{"took":0,"errors":false,"items":[`+ok+`]}`, `{"a":1}`)
	f("action without source", "/_bulk", "{\"create\":{}}\n{\"a\":1}\n{\"create\":{}}\n",
		`{"took":0,"errors":true,"items":[`+ok+`,{"create":{"_index":"meshtrail","status":400,"error":{"type":"action_request_validation_exception","reason":"the action has no source line"}}}]}`, `{"a":1}`)
	f("not a bulk", "/_bulk", "hello\n",
		`{"error":{"root_cause":[{"type":"illegal_argument_exception","reason":"Malformed action/metadata line [1], expected an object with one of index, create, update, delete"}],"type":"illegal_argument_exception","reason":"Malformed action/metadata line [1], expected an object with one of index, create, update, delete"},"status":400}`)
	f("empty", "/_bulk", "\n",
		`{"error":{"root_cause":[{"type":"illegal_argument_exception","reason":"request body is required"}],"type":"illegal_argument_exception","reason":"request body is required"},"status":400}`)
}

func TestBulkStatuses(t *testing.T) {
	f := func(name string, ingest error, want int, retry, kind string) {
		t.Helper()
		in := &receivetest.Intake{Before: func(context.Context, *pipeline.Request) error { return ingest }}
		_, h := newReceiver(t, Config{}, in)
		resp, body := receivetest.Call(h, "POST", "/_bulk", []byte("{\"create\":{}}\n{}\n"))
		if resp.StatusCode != want || resp.Header.Get("Retry-After") != retry || !strings.Contains(body, `"type":"`+kind+`"`) {
			t.Errorf("%s: %d Retry-After %q %s", name, resp.StatusCode, resp.Header.Get("Retry-After"), body)
		}
	}
	f("overload", fault.Errorf(fault.Overload, "queue is full"), 503, "1", "es_rejected_execution_exception")
	f("disk full", fault.Errorf(fault.Unavailable, "disk is full"), 503, "5", "unavailable_shards_exception")
	f("bug", fmt.Errorf("boom"), 503, "5", "unavailable_shards_exception")
	f("canceled", context.Canceled, 503, "5", "unavailable_shards_exception")
	f("denied", fault.Errorf(fault.Denied, "no"), 403, "", "security_exception")
	f("unauthenticated", fault.Errorf(fault.Unauthenticated, "no"), 401, "", "security_exception")
}

func TestBulkEncodings(t *testing.T) {
	plain := []byte(strings.Repeat("{\"create\":{}}\n{\"a\":1}\n", 50))
	gz := func(b []byte) []byte {
		var buf bytes.Buffer
		w := gzip.NewWriter(&buf)
		w.Write(b)
		w.Close()
		return buf.Bytes()
	}
	var zl bytes.Buffer
	zw := zlib.NewWriter(&zl)
	zw.Write(plain)
	zw.Close()
	enc, _ := zstd.NewWriter(nil)
	f := func(encoding string, body []byte, records int) {
		t.Helper()
		in := &receivetest.Intake{}
		_, h := newReceiver(t, Config{}, in)
		for range 2 { // the second time on pooled decoders
			resp, text := receivetest.Call(h, "PUT", "/idx/_bulk", body, "Content-Encoding: "+encoding)
			if resp.StatusCode != 200 {
				t.Errorf("%s: %d %s", encoding, resp.StatusCode, text)
			}
		}
		if n := len(in.Raws()); n != 2*records {
			t.Errorf("%s: %d records, want %d", encoding, n, 2*records)
		}
	}
	f("", plain, 50)
	f("gzip", gz(plain), 50)
	f("gzip", append(gz(plain), gz(plain)...), 100) // several members
	f("deflate", zl.Bytes(), 50)
	f("deflate", zl.Bytes()[2:], 50) // bare
	f("zstd", enc.EncodeAll(plain, nil), 50)
}

func TestIdempotencyKey(t *testing.T) {
	in := &receivetest.Intake{}
	_, h := newReceiver(t, Config{}, in)
	call := func(key, body string) { receivetest.Call(h, "POST", "/_bulk", []byte(body), "Idempotency-Key: "+key) }
	one, two := "{\"create\":{}}\n{\"a\":1}\n", "{\"create\":{}}\n{\"a\":2}\n"
	call("k1", one)
	call("k1", one)
	call("k1", two)
	call("k2", one)
	receivetest.Call(h, "POST", "/_bulk", []byte(one))
	receivetest.Call(h, "POST", "/other/_bulk", []byte(one), "Idempotency-Key: k1")
	reqs := in.Requests()
	if reqs[0].ID.IsZero() || reqs[0].ID != reqs[1].ID {
		t.Errorf("a retry has another id: %v, %v", reqs[0].ID, reqs[1].ID)
	}
	if reqs[2].ID == reqs[0].ID || reqs[3].ID == reqs[0].ID {
		t.Error("other records or another key have the same id")
	}
	if reqs[5].ID == reqs[0].ID {
		t.Error("the same key and body for another index is taken for a retry")
	}
	if !reqs[4].ID.IsZero() {
		t.Error("a request without a key has an id")
	}
	if reqs[0].Tenant != "acme" || reqs[0].Source != "elastic/tester" {
		t.Errorf("tenant %q, source %q", reqs[0].Tenant, reqs[0].Source)
	}
	if resp, _ := receivetest.Call(h, "POST", "/_bulk", []byte(one), "Idempotency-Key: "+strings.Repeat("x", 129)); resp.StatusCode != 400 {
		t.Errorf("a key of 129 bytes: %d", resp.StatusCode)
	}
}

// TestNamedDocuments: where every action names its document, as Fluent Bit's
// Generate_ID does, a request without a key is its own key.
func TestNamedDocuments(t *testing.T) {
	in := &receivetest.Intake{}
	_, h := newReceiver(t, Config{}, in)
	one := "{\"create\":{\"_id\":\"a\"}}\n{\"n\":1}\n{\"create\":{\"_id\":\"b\"}}\n{\"n\":2}\n"
	for _, body := range []string{one, one, strings.Replace(one, ":2}", ":3}", 1), strings.Replace(one, `"_id":"b"`, "", 1)} {
		receivetest.Call(h, "POST", "/_bulk", []byte(body))
	}
	receivetest.Call(h, "POST", "/other/_bulk", []byte(one))
	reqs := in.Requests()
	if reqs[0].ID.IsZero() || reqs[0].ID != reqs[1].ID {
		t.Errorf("a repetition has another id: %v, %v", reqs[0].ID, reqs[1].ID)
	}
	if reqs[2].ID == reqs[0].ID || reqs[4].ID == reqs[0].ID {
		t.Error("another document or index has the same id")
	}
	if !reqs[3].ID.IsZero() {
		t.Error("a document without a name, and the request has an id")
	}
}

func TestHandshake(t *testing.T) {
	_, h := newReceiver(t, Config{}, &receivetest.Intake{})
	f := func(method, target, body string, want int, contains string, headers ...string) {
		t.Helper()
		resp, got := receivetest.Call(h, method, target, []byte(body), headers...)
		if resp.StatusCode != want || !strings.Contains(got, contains) {
			t.Errorf("%s %s: %d %s, want %d with %s", method, target, resp.StatusCode, got, want, contains)
		}
		if resp.Header.Get("X-Elastic-Product") != "Elasticsearch" {
			t.Errorf("%s %s: no X-Elastic-Product", method, target)
		}
		if strings.HasPrefix(got, "{") && !json.Valid([]byte(got)) {
			t.Errorf("%s %s: not JSON: %s", method, target, got)
		}
	}
	f("HEAD", "/", "", 200, "")
	f("GET", "/elastic/", "", 200, `"number":"8.17.0"`)
	f("GET", "/elastic/", "", 200, `"number":"8.11.3"`, "User-Agent: Elastic-Filebeat/8.11.3 (linux; amd64)")
	f("GET", "/elastic/", "", 200, `"number":"9.0.1"`, "User-Agent: Logstash/9.0.1 (OS=Linux)")
	f("GET", "/_license?human=false", "", 200, `"status":"active"`)
	f("GET", "/_xpack", "", 200, `"ilm"`)
	f("GET", "/_cluster/health", "", 200, `"green"`)
	f("GET", "/_nodes/http", "", 200, `"publish_address":"example.com"`)
	f("PUT", "/%3Clogstash-%7Bnow%2Fd%7D-000001%3E", "{}", 200, `"acknowledged":true`)
	for _, path := range []string{"/_ilm/policy/fb", "/_index_template/fb", "/_template/fb", "/_component_template/fb", "/_ingest/pipeline/fb", "/_data_stream/fb"} {
		f("HEAD", path, "", 404, "")
		f("GET", path, "", 404, "resource_not_found_exception")
		f("PUT", path, `{"x":1`, 400, "not JSON")
		f("PUT", path, `{"x":1}`, 200, `{"acknowledged":true}`)
		f("HEAD", path, "", 200, "")
		f("GET", "/elastic"+path, "", 200, "fb")
		f("DELETE", path, "", 200, `"acknowledged":true`)
		f("HEAD", path, "", 404, "")
	}
	for i := range 2 * maxObjects {
		f("PUT", fmt.Sprintf("/_template/t%d", i), `{}`, 200, "")
	}
	f("GET", "/_template/t0", "", 404, "")
	f("GET", fmt.Sprintf("/_template/t%d", 2*maxObjects-1), "", 200, "")
}

func TestHostileBodies(t *testing.T) {
	in := &receivetest.Intake{Refuse: refuse}
	e, h := newReceiver(t, Config{}, in)
	f := func(name string, body []byte, encoding string, want int, contains string) {
		t.Helper()
		resp, got := receivetest.Call(h, "POST", "/_bulk", body, "Content-Encoding: "+encoding)
		if len(got) > 2000 {
			got = got[:2000]
		}
		if resp.StatusCode != want || !strings.Contains(got, contains) {
			t.Errorf("%s: %d %s, want %d with %q", name, resp.StatusCode, got, want, contains)
		}
		if held := e.inlet.Bodies.Held(); held != 0 {
			t.Errorf("%s: %d bytes still held", name, held)
		}
	}
	var bomb bytes.Buffer
	z, _ := gzip.NewWriterLevel(&bomb, 9)
	chunk := make([]byte, 1<<20)
	for range 100 {
		z.Write(chunk)
	}
	z.Close()
	f("gzip bomb", bomb.Bytes(), "gzip", 413, "times larger")
	f("torn gzip", bomb.Bytes()[:1000], "gzip", 400, "")
	f("not gzip", []byte("hello"), "gzip", 400, "")
	f("unknown encoding", []byte("hello"), "br", 415, "content encoding")
	f("long line", append(append([]byte("{\"create\":{}}\n{\"a\":\""), bytes.Repeat([]byte("x"), 20<<20)...), "\"}\n{\"create\":{}}\n{\"a\":1}\n"...), "", 200, `"status":201`)
	f("deep", []byte("{\"create\":{}}\n"+strings.Repeat("[", 10000)+"\n{\"create\":{}}\n{\"a\":1}\n"), "", 200, `"status":201`)
	f("deep action", []byte(strings.Repeat(`{"create":`, 10000)+"\n"), "", 400, "Malformed")
	f("NUL", []byte("{\"create\":{}}\n\x00\n{\"create\":{}}\n{\"a\":1}\n"), "", 200, `"status":201`)
	f("invalid UTF-8", []byte("{\"create\":{\"_id\":\"\xff\"}}\n{\"a\":\"\xff\"}\n"), "", 200, "\ufffd")
}

func bulkBody(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "{\"create\":{}}\n{\"@timestamp\":\"2026-01-01T00:00:00Z\",\"cluster\":\"eu-1\",\"namespace\":\"shop\",\"service\":\"cart\",\"pod\":\"cart-7d9f%d\",\"mesh\":\"istio\",\"response_code\":200,\"path\":\"/api/v1/items/%d?x=y\",\"duration\":12,\"user_agent\":\"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\",\"msg\":\"%s\"}\n", i%10, i, strings.Repeat("m", 600))
	}
	return b.Bytes()
}

func TestDecodeAllocatesNothingPerRecord(t *testing.T) {
	if receivetest.Race {
		t.Skip("the race detector allocates")
	}
	for _, ids := range []bool{false, true} {
		body := bulkBody(1000)
		if ids {
			body = bytes.ReplaceAll(body, []byte(`{"create":{}}`), []byte(`{"create":{"_index":"logs-a","_id":"abc","_type":"_doc"}}`))
			for i, n := 0, 0; ; n++ { // make the ids differ
				at := bytes.Index(body[i:], []byte(`"abc"`))
				if at < 0 {
					break
				}
				copy(body[i+at+1:], fmt.Sprintf("%03d", n%1000))
				i += at + 5
			}
		}
		e, _ := newReceiver(t, Config{}, receivetest.Discard{})
		set, b := receive.NewSet(), e.takeBulk()
		run := func() {
			if err := b.decode(body, "", set, e.inlet.Limits); err != nil {
				t.Fatal(err)
			}
			b.respond(1, nil, len(set.Raws), false)
			set.Release()
			e.giveBulk(b)
			set, b = receive.NewSet(), e.takeBulk()
		}
		run()
		if n := testing.AllocsPerRun(20, run); n > 8 {
			t.Errorf("ids=%v: %v allocations for 1,000 records", ids, n)
		}
	}
}

func BenchmarkBulk(b *testing.B) {
	body := bulkBody(2000)
	e, _ := newReceiver(b, Config{}, receivetest.Discard{})
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		set, st := receive.NewSet(), e.takeBulk()
		if err := st.decode(body, "", set, e.inlet.Limits); err != nil {
			b.Fatal(err)
		}
		st.respond(1, nil, len(set.Raws), false)
		set.Release()
		e.giveBulk(st)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/2000, "ns/record")
}

func FuzzBulk(f *testing.F) {
	f.Add([]byte("{\"create\":{}}\n{\"a\":1}\n"))
	f.Add([]byte("{\"update\":{\"_id\":\"\\u00e9\"}}\n{\"doc\":{}}\n{\"delete\":{}}\nxx\n{\"index\":{}}"))
	f.Add([]byte("{\"index\":{\"_index\":\"a\",\"x\":[{}]}}\r\n{}\r\n\r\n"))
	e, err := New(Config{}, receive.Shared{Intake: receivetest.Discard{}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		set, b := receive.NewSet(), e.takeBulk()
		defer set.Release()
		defer e.giveBulk(b)
		if err := b.decode(body, "", set, e.inlet.Limits); err != nil {
			return
		}
		var refused []pipeline.Refusal
		for i := 0; i < len(set.Raws); i += 3 {
			refused = append(refused, pipeline.Refusal{Index: i, Reason: "r", Detail: string(set.Raws[i].Payload)})
		}
		b.respond(1, refused, len(set.Raws), false)
		var answer struct {
			Errors bool
			Items  []map[string]struct{ Status int }
		}
		if err := json.Unmarshal(b.answer, &answer); err != nil {
			t.Fatalf("answer is not JSON: %v: %s", err, b.answer)
		}
		var one []byte // what was copied from the item before is what it would have been
		for i := range b.items {
			one = append(b.appendItem(one, &b.items[i], refused, false), ',')
		}
		if !bytes.HasSuffix(b.answer, append(one[:len(one)-1], "]}"...)) {
			t.Fatalf("%s\nits items are %s", b.answer, one)
		}
		bad := 0
		for _, it := range answer.Items {
			for _, s := range it {
				if s.Status != 201 {
					bad++
				}
			}
		}
		if len(answer.Items) != len(b.items) || bad != len(b.items)-len(set.Raws)+len(refused) || answer.Errors != (bad > 0) {
			t.Fatalf("%d items for %d actions, %d bad, %d records, %d refused", len(answer.Items), len(b.items), bad, len(set.Raws), len(refused))
		}
	})
}
