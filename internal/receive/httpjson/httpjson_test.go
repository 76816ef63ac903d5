package httpjson

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/receive/msgpack"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
	"github.com/meshtrail/meshtrail/internal/record"
)

func newReceiver(t testing.TB, in pipeline.Intake, lim receive.Limits) (*Receiver, http.Handler) {
	t.Helper()
	r, err := New(Config{}, receive.Shared{Intake: in, Bodies: receive.NewBodies(lim)})
	if err != nil {
		t.Fatal(err)
	}
	return r, receivetest.Handler(r.Routes())
}

func show(r record.Raw) string {
	s := string(r.Payload)
	if r.JSON {
		s = "json " + s
	}
	if r.Time != 0 {
		s += fmt.Sprintf(" @%d", r.Time)
	}
	for _, a := range r.Attrs {
		s += " " + a.Name + "=" + a.Value.Text()
	}
	return s
}

func TestBodies(t *testing.T) {
	f := func(name, method, target, kind, body string, code int, answer string, want ...string) {
		t.Helper()
		in := &receivetest.Intake{}
		_, h := newReceiver(t, in, receive.Limits{})
		resp, got := receivetest.Call(h, method, target, []byte(body), "Content-Type: "+kind)
		if resp.StatusCode != code || answer != "" && got != answer {
			t.Errorf("%s: %d %s", name, resp.StatusCode, got)
		}
		var raws []string
		for _, r := range in.Raws() {
			raws = append(raws, show(r))
		}
		if fmt.Sprint(raws) != fmt.Sprint(want) {
			t.Errorf("%s: records\n got %q\nwant %q", name, raws, want)
		}
	}
	const at = "/api/v1/ingest"
	// Fluentd's out_http with its default format (lib/fluent/plugin/out_http.rb).
	f("Fluentd", "POST", at, "application/x-ndjson", "{\"message\":\"a\"}\n{\"message\":\"b\"}\n", 200, `{"accepted":2,"refused":0}`, `json {"message":"a"}`, `json {"message":"b"}`)
	f("Fluentd, an array", "POST", at, "application/json", `[{"message":"a"},{"message":"b"}]`, 200, "", `json {"message":"a"}`, `json {"message":"b"}`)
	// Fluent Bit's formats json, json_lines and json_stream (plugins/out_http/http.c).
	f("json", "POST", at, "application/json", `[{"date":1700000000.5,"log":"a"}]`, 200, "", `json {"date":1700000000.5,"log":"a"}`)
	f("json_stream", "POST", at, "application/json", `{"date":1,"log":"a"}{"date":2,"log":"b"}`, 200, "", `json {"date":1,"log":"a"}`, `json {"date":2,"log":"b"}`)
	f("Logstash", "PUT", at, "application/json", `{"@version":"1","message":"m"}`, 200, "", `json {"@version":"1","message":"m"}`)
	f("curl", "POST", at+"?service=cart&env=prod", "application/x-www-form-urlencoded", "one line\n", 200, "", "one line env=prod service=cart")
	f("text", "POST", at, "text/plain; charset=utf-8", "[x\r\n\n{\"a\":1}\n", 200, `{"accepted":2,"refused":0}`, "[x", `{"a":1}`)
	f("nothing", "POST", at, "", "", 200, `{"accepted":0,"refused":0}`)
	f("parameters", "POST", at+"?"+strings.Repeat("a&", 3)+"x=1", "", "l", 200, "", "l a=,, x=1")
}

func TestMsgpack(t *testing.T) {
	entry := func(when func([]byte) []byte, log string) []byte {
		b := when(msgpack.AppendArray(nil, 2))
		return msgpack.AppendStr(msgpack.AppendStr(msgpack.AppendMap(b, 1), "log"), log)
	}
	seconds := func(b []byte) []byte { return msgpack.AppendInt(b, 1700000000) }
	event := func(b []byte) []byte { return msgpack.AppendEventTime(b, 1700000000000000005) }
	v2 := func(b []byte) []byte { return msgpack.AppendMap(event(msgpack.AppendArray(b, 2)), 0) }
	group := func(b []byte) []byte { return msgpack.AppendMap(msgpack.AppendInt(msgpack.AppendArray(b, 2), -1), 0) }
	var body []byte
	body = append(body, entry(seconds, "a")...)
	body = append(body, entry(event, "b")...)
	body = append(body, entry(group, "no record")...)
	body = append(body, entry(v2, "c")...)
	body = append(body, msgpack.AppendStr(msgpack.AppendStr(msgpack.AppendMap(nil, 1), "log"), "d")...)
	two := msgpack.AppendArray(nil, 2)
	for _, s := range []string{"e", "f"} {
		two = msgpack.AppendStr(msgpack.AppendStr(msgpack.AppendMap(two, 1), "log"), s)
	}
	body = append(body, two...)
	body = append(body, 5, 0xc0) // no records
	in := &receivetest.Intake{}
	_, h := newReceiver(t, in, receive.Limits{})
	resp, got := receivetest.Call(h, "POST", "/api/v1/ingest", body, "Content-Type: application/msgpack")
	if resp.StatusCode != 200 || got != `{"accepted":6,"refused":1,"first":"a record is an integer, not a map"}` {
		t.Errorf("%d %s", resp.StatusCode, got)
	}
	var raws []string
	for _, r := range in.Raws() {
		raws = append(raws, show(r))
	}
	want := []string{`json {"log":"a"} @1700000000000000000`, `json {"log":"b"} @1700000000000000005`, `json {"log":"c"} @1700000000000000005`, `json {"log":"d"}`, `json {"log":"e"}`, `json {"log":"f"}`}
	if fmt.Sprint(raws) != fmt.Sprint(want) {
		t.Errorf("records\n got %q\nwant %q", raws, want)
	}
	for _, torn := range [][]byte{body[:len(body)-10], {0xc1}, {0x92}} {
		if resp, text := receivetest.Call(h, "POST", "/api/v1/ingest", torn, "Content-Type: application/msgpack"); len(torn) < 5 && resp.StatusCode != 400 || len(torn) > 5 && resp.StatusCode != 200 {
			t.Errorf("torn: %d %s", resp.StatusCode, text)
		}
	}
}

func TestAnswers(t *testing.T) {
	for err, want := range map[error]int{
		fault.Errorf(fault.Overload, "full"): 503, fault.Errorf(fault.Unavailable, "disk"): 503, fmt.Errorf("bug"): 503,
		fault.Errorf(fault.Unauthenticated, "no"): 401, fault.Errorf(fault.Denied, "no"): 403,
	} {
		_, h := newReceiver(t, &receivetest.Intake{Before: func(context.Context, *pipeline.Request) error { return err }}, receive.Limits{})
		resp, body := receivetest.Call(h, "POST", "/api/v1/ingest", []byte("x"))
		if resp.StatusCode != want || (resp.Header.Get("Retry-After") != "") != (want == 503) {
			t.Errorf("%v: %d %s", err, resp.StatusCode, body)
		}
	}
	odd := &receivetest.Intake{Refuse: func(r *record.Raw) (string, string) {
		if r.JSON && !bytes.HasSuffix(r.Payload, []byte("}")) {
			return "malformed_json", "no end"
		}
		return "", ""
	}}
	_, h := newReceiver(t, odd, receive.Limits{})
	for body, want := range map[string]string{
		"{\"a\":1}\n{\"b\"\n": `200 {"accepted":1,"refused":1,"first":"malformed_json: no end"}`,
		"{\"b\"\n":            `400 {"error":{"kind":"invalid","message":"none of 1 records was kept; first: malformed_json: no end","requestId":""}}`,
	} {
		if resp, got := receivetest.Call(h, "POST", "/api/v1/ingest", []byte(body)); fmt.Sprintf("%d %s", resp.StatusCode, got) != want {
			t.Errorf("%q: %d %s", body, resp.StatusCode, got)
		}
	}
}

func TestLimits(t *testing.T) {
	r, h := newReceiver(t, receivetest.Discard{}, receive.Limits{Items: 3, Depth: 8})
	var bomb bytes.Buffer
	z, _ := gzip.NewWriterLevel(&bomb, 9)
	for range 100 {
		z.Write(make([]byte, 1<<20))
	}
	z.Close()
	deep := bytes.Repeat([]byte{0x91}, 1000)
	f := func(name, query string, body []byte, want int, headers ...string) {
		t.Helper()
		resp, text := receivetest.Call(h, "POST", "/api/v1/ingest"+query, body, headers...)
		if resp.StatusCode != want {
			t.Errorf("%s: %d %.200s, want %d", name, resp.StatusCode, text, want)
		}
		if held := r.inlet.Bodies.Held(); held != 0 {
			t.Errorf("%s: %d bytes still held", name, held)
		}
	}
	f("too many", "", []byte("{}{}{}{}"), 413)
	f("too many lines", "", []byte("1\n2\n3\n4"), 413, "Content-Type: text/plain")
	f("too many entries", "", []byte{0x80, 0x80, 0x80, 0x80}, 413, "Content-Type: application/msgpack")
	f("bomb", "", bomb.Bytes(), 413, "Content-Encoding: gzip")
	f("deep", "", []byte(strings.Repeat("[", 1000)), 200)
	f("deep msgpack", "", append(deep, 0xc0), 400, "Content-Type: application/msgpack")
	f("many parameters", "?"+strings.Repeat("a", 1)+"=1&"+func() (s string) {
		for i := range maxParameters {
			s += fmt.Sprintf("p%d=1&", i)
		}
		return s
	}(), []byte("x"), 400)
}

func body(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "{\"date\":1700000000.%03d,\"level\":\"info\",\"msg\":\"request %d\",\"path\":\"/api/v1/items/%d?x=y\",\"kubernetes\":{\"namespace_name\":\"shop\",\"pod_name\":\"cart-%d\"},\"text\":\"%s\"}\n", i%1000, i, i, i%10, strings.Repeat("m", 600))
	}
	return b.Bytes()
}

func packed(n int) (b []byte) {
	for i := range n {
		b = msgpack.AppendEventTime(msgpack.AppendArray(b, 2), 1700000000000000000+int64(i))
		b = msgpack.AppendMap(b, 4)
		for _, kv := range [][2]string{{"level", "info"}, {"msg", fmt.Sprint("request ", i)}, {"path", "/api/v1/items?x=y"}, {"text", strings.Repeat("m", 600)}} {
			b = msgpack.AppendStr(msgpack.AppendStr(b, kv[0]), kv[1])
		}
	}
	return b
}

// run decodes a body as the receiver does.
func run(b []byte, pack bool) int {
	set := receive.NewSet()
	defer set.Release()
	d := decoder{set: set, lim: receive.Limits{}.WithDefaults()}
	if pack {
		d.msgpack(b)
	} else {
		jsontext.Split(b, d.lim.Depth, set, d.add)
	}
	return len(set.Raws)
}

func TestDecodeAllocatesNothingPerRecord(t *testing.T) {
	if receivetest.Race {
		t.Skip("the race detector allocates")
	}
	for pack, b := range map[bool][]byte{false: body(1000), true: packed(1000)} {
		if n := run(b, pack); n != 1000 {
			t.Fatalf("%d records", n)
		}
		if n := testing.AllocsPerRun(20, func() { run(b, pack) }); n > 8 {
			t.Errorf("msgpack %v: %v allocations for 1,000 records", pack, n)
		}
	}
}

func BenchmarkIngest(b *testing.B) {
	for name, data := range map[string][]byte{"ndjson": body(2000), "msgpack": packed(2000)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				run(data, name == "msgpack")
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/2000, "ns/record")
		})
	}
}

func FuzzMsgpack(f *testing.F) {
	f.Add(packed(2))
	f.Add([]byte{0x92, 0x92, 1, 0x80, 0x81, 0xa1, 'a', 1, 0x92, 0x80, 0x80})
	f.Fuzz(func(t *testing.T, body []byte) {
		set := receive.NewSet()
		defer set.Release()
		d := decoder{set: set, lim: receive.Limits{Items: 1000}.WithDefaults()}
		d.msgpack(body)
		for _, r := range set.Raws {
			if !r.JSON || len(r.Payload) < 2 || r.Payload[0] != '{' {
				t.Fatalf("%q", r.Payload)
			}
		}
	})
}
