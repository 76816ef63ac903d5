package datadog

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
	"github.com/meshtrail/meshtrail/internal/record"
)

func newReceiver(t testing.TB, in pipeline.Intake) (*Receiver, http.Handler) {
	t.Helper()
	d, err := New(Config{}, receive.Shared{Intake: in})
	if err != nil {
		t.Fatal(err)
	}
	return d, receivetest.Handler(d.Routes())
}

// show writes a record as the tests read it.
func show(r record.Raw) string {
	s := string(r.Payload)
	if r.JSON {
		s = "json " + s
	}
	if r.Time != 0 {
		s += fmt.Sprintf(" @%d", r.Time)
	}
	if r.Level != "" {
		s += " !" + r.Level
	}
	for _, a := range r.Attrs {
		s += " " + a.Name + "=" + a.Value.Text()
	}
	return s
}

func TestLogs(t *testing.T) {
	f := func(name, target, body string, code int, answer string, want ...string) {
		t.Helper()
		in := &receivetest.Intake{}
		_, h := newReceiver(t, in)
		resp, got := receivetest.Call(h, "POST", target, []byte(body), "Content-Type: application/json")
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
	f("the agent's question", "/api/v2/logs", `{}`, 202, "{}")
	f("no logs", "/api/v2/logs", `[]`, 202, "{}")
	// As the agent's processor writes it (pkg/logs/processor/json.go, jsonPayload).
	f("agent", "/api/v2/logs", `[{"message":"hello","status":"info","timestamp":1700000000123,"hostname":"h1","service":"web","ddsource":"nginx","ddtags":"env:prod,team:a,team:b,team:a,filename:x.log,alone"},{"message":"again","status":"error","timestamp":1700000000124,"hostname":"h1","service":"web","ddsource":"nginx","ddtags":"env:prod"}]`,
		202, "{}",
		"hello @1700000000123000000 !info host.name=h1 service=web ddsource=nginx env=prod team=a,b filename=x.log ddtags=alone",
		"again @1700000000124000000 !error host.name=h1 service=web ddsource=nginx env=prod")
	f("one object, ISO time", "/v1/input", `{"message":"m\n\"q\"","timestamp":"2023-11-14T22:13:20Z"}`, 202, "{}", "m\n\"q\" @1700000000000000000")
	f("message is an object", "/api/v2/logs", `[{"message":{"message":"REPORT","lambda":{"arn":"a"}},"ddsource":"lambda"}]`, 202, "{}",
		`json {"message":"REPORT","lambda":{"arn":"a"}} ddsource=lambda`)
	f("other members", "/datadog/api/v2/logs", `{"message":"m","level":"warn","http":{"status":500},"dd":{"trace_id":"1"},"timestamp":"yesterday","status":200}`, 202, "{}",
		`json {"message":"m","level":"warn","http":{"status":500},"dd":{"trace_id":"1"},"timestamp":"yesterday"} !200`)
	f("no message", "/v1/input", `{"a":1,"ddtags":["x:1","y:2"]}`, 202, "{}", `json {"a":1} x=1 y=2`)
	f("another track", "/api/v2/dbmactivity", `[{"host":"h","ddagentversion":"7"}]`, 202, "{}", `json {"host":"h","ddagentversion":"7"} datadog.track=dbmactivity`)
	f("a track of measures", "/api/v2/series", `{"series":[]}`, 404, "")
	f("parameters", "/v1/input?ddsource=fastly&service=edge&ddtags=a:1&hostname=h", `{"message":"m"}`, 202, "{}", "m host.name=h service=edge ddsource=fastly a=1")
	f("a tag that a member says", "/api/v2/logs", `{"message":"m","service":"web","ddtags":"service:web,ddsource:z,service:other"}`, 202, "{}", "m service=web ddsource=z ddtags=service:other")
	f("numbers and nulls", "/api/v2/logs", `{"message":7,"status":null,"service":5,"hostname":true}`, 202, "{}", "7 host.name=true service=5")
	f("no message but null", "/api/v2/logs", `{"message":null,"a":1}`, 202, "{}", `json {"a":1}`)
	f("in a row", "/api/v2/logs", "{\"message\":\"a\"}\n{\"message\":\"b\"}", 202, "{}", "a", "b")
	f("nothing", "/api/v2/logs", "  ", 400, `{"errors":[{"status":"400","title":"Bad Request","detail":"request without a body"}]}`)
	f("not JSON", "/v1/input", "hello", 400, "")
	f("an element of another kind", "/api/v2/logs", `[{"message":"a"},5,["x"],{"message":"b"}]`, 202, "{}", "a", "b")
	f("a broken element", "/api/v2/logs", `[{"message":"a"},{"message":"\q"},{"message":"b"}]`, 202, "{}", "a", "b")
	f("torn", "/api/v2/logs", `[{"message":"a"},{"message":"b`, 202, "{}", "a")
}

func TestText(t *testing.T) {
	in := &receivetest.Intake{}
	_, h := newReceiver(t, in)
	resp, body := receivetest.Call(h, "POST", "/v1/input?ddsource=x", []byte("one\r\n\ntwo"), "Content-Type: text/plain;charset=UTF-8")
	if resp.StatusCode != 202 || body != "{}" {
		t.Fatal(resp.StatusCode, body)
	}
	raws := in.Raws()
	if len(raws) != 2 || show(raws[0]) != "one ddsource=x" || show(raws[1]) != "two ddsource=x" {
		t.Errorf("%v", raws)
	}
}

func TestAnswers(t *testing.T) {
	f := func(err error, want int, retry string) {
		t.Helper()
		_, h := newReceiver(t, &receivetest.Intake{Before: func(context.Context, *pipeline.Request) error { return err }})
		for _, path := range []string{"/api/v2/logs", "/v1/input"} {
			resp, body := receivetest.Call(h, "POST", path, []byte(`{"message":"m"}`))
			if resp.StatusCode != want || resp.Header.Get("Retry-After") != retry || !strings.HasPrefix(body, `{"errors":[`) {
				t.Errorf("%v: %d %q %s", err, resp.StatusCode, resp.Header.Get("Retry-After"), body)
			}
		}
	}
	f(fault.Errorf(fault.Unauthenticated, "unknown credential"), 403, "")
	f(fault.Errorf(fault.Denied, "no"), 403, "")
	f(fault.Errorf(fault.Overload, "full"), 503, "1")
	f(fault.Errorf(fault.Unavailable, "disk"), 503, "5")
	f(fmt.Errorf("bug"), 503, "5")
	_, h := newReceiver(t, &receivetest.Intake{Refuse: func(*record.Raw) (string, string) { return "too_large", "x" }})
	if resp, body := receivetest.Call(h, "POST", "/api/v2/logs", []byte(`[{"message":"m"}]`)); resp.StatusCode != 400 {
		t.Errorf("nothing kept: %d %s", resp.StatusCode, body)
	}
	if resp, body := receivetest.Call(h, "GET", "/api/v1/validate", nil); resp.StatusCode != 200 || body != `{"valid":true}` {
		t.Errorf("validate: %d %s", resp.StatusCode, body)
	}
}

func TestEncodings(t *testing.T) {
	plain := []byte(`[{"message":"a"},{"message":"b"}]`)
	var gz, zl bytes.Buffer
	g := gzip.NewWriter(&gz)
	g.Write(plain)
	g.Close()
	z := zlib.NewWriter(&zl)
	z.Write(plain)
	z.Close()
	enc, _ := zstd.NewWriter(nil)
	for encoding, body := range map[string][]byte{"": plain, "identity": plain, "gzip": gz.Bytes(), "deflate": zl.Bytes(), "zstd": enc.EncodeAll(plain, nil)} {
		in := &receivetest.Intake{}
		_, h := newReceiver(t, in)
		if resp, text := receivetest.Call(h, "POST", "/api/v2/logs", body, "Content-Encoding: "+encoding); resp.StatusCode != 202 || len(in.Raws()) != 2 {
			t.Errorf("%q: %d %s, %d records", encoding, resp.StatusCode, text, len(in.Raws()))
		}
	}
}

func TestLimits(t *testing.T) {
	in := &receivetest.Intake{}
	d, err := New(Config{}, receive.Shared{Intake: in, Bodies: receive.NewBodies(receive.Limits{Items: 3, Depth: 8})})
	if err != nil {
		t.Fatal(err)
	}
	h := receivetest.Handler(d.Routes())
	var bomb bytes.Buffer
	z, _ := gzip.NewWriterLevel(&bomb, 9)
	for range 100 {
		z.Write(make([]byte, 1<<20))
	}
	z.Close()
	f := func(name string, body []byte, encoding string, want int) {
		t.Helper()
		resp, text := receivetest.Call(h, "POST", "/api/v2/logs", body, "Content-Encoding: "+encoding)
		if resp.StatusCode != want {
			t.Errorf("%s: %d %.200s, want %d", name, resp.StatusCode, text, want)
		}
		if held := d.inlet.Bodies.Held(); held != 0 {
			t.Errorf("%s: %d bytes still held", name, held)
		}
	}
	f("too many", []byte(`[{"message":1},{"message":1},{"message":1},{"message":1}]`), "", 413)
	f("bomb", bomb.Bytes(), "gzip", 413)
	f("deep", []byte(strings.Repeat("[", 1000)), "", 400)
	f("deep message", []byte(`{"message":`+strings.Repeat("[", 1000)+strings.Repeat("]", 1000)+`}`), "", 202)
	// Tags must not be made into more than they are.
	var tags strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&tags, "k:%d,", i)
	}
	f("many tags", []byte(`{"message":"m","ddtags":"`+tags.String()+`"}`), "", 202)
	raws := in.Raws()
	size := 0
	for _, a := range raws[len(raws)-1].Attrs {
		size += len(a.Name) + len(a.Value.Str)
	}
	if n := len(raws[len(raws)-1].Attrs); n != 2 || size > tags.Len()+8 {
		t.Errorf("%d fields of %d bytes for %d bytes of tags", n, size, tags.Len())
	}
}

func body(n int) []byte {
	var b bytes.Buffer
	b.WriteByte('[')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"message":"{\"level\":\"info\",\"msg\":\"request %d\",\"path\":\"/api/v1/items/%d?x=y\",\"text\":\"%s\"}","status":"info","timestamp":%d,"hostname":"node-1","service":"cart","ddsource":"go","ddtags":"env:prod,kube_namespace:shop,pod_name:cart-7d9f%d,kube_container_name:cart,image_tag:1.2"}`, i, i, strings.Repeat("m", 500), 1700000000000+i, i%10)
	}
	b.WriteByte(']')
	return b.Bytes()
}

func TestAllocations(t *testing.T) {
	data, lim := body(1000), receive.Limits{}.WithDefaults()
	receivetest.Allocates(t, 10, 1000, func(set *receive.Set) error {
		d := decoder{set: set, lim: lim}
		return d.json(data)
	})
}

func BenchmarkLogs(b *testing.B) {
	data, lim := body(2000), receive.Limits{}.WithDefaults()
	receivetest.Decodes(b, len(data), 2000, func(set *receive.Set) error {
		d := decoder{set: set, lim: lim}
		return d.json(data)
	})
}

func FuzzLogs(f *testing.F) {
	f.Add([]byte(`[{"message":"hello","status":"info","timestamp":1700000000123,"hostname":"h1","ddtags":"env:prod,team:a,team:b"},{}]`))
	f.Add([]byte(`{"message":{"a":1},"x":[1,{"y":"\u00e9"}],"ddtags":["a:b",1]}`))
	f.Add([]byte("{}{\"message\":\"\\q\"}\n[5"))
	lim := receive.Limits{Items: 1000}.WithDefaults()
	f.Fuzz(func(t *testing.T, body []byte) {
		set := receive.NewSet()
		defer set.Release()
		d := decoder{set: set, lim: lim}
		if d.json(body) == nil {
			for _, r := range set.Raws {
				if len(r.Payload) > 6*len(body)+64 {
					t.Fatalf("%d bytes became a payload of %d", len(body), len(r.Payload))
				}
			}
		}
		set.Raws = set.Raws[:0]
		d = decoder{set: set, lim: lim}
		d.text(body)
	})
}
