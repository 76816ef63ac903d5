package splunk

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
	"github.com/meshtrail/meshtrail/internal/record"
)

const channel = "X-Splunk-Request-Channel: 0aeeac95-ac74-4aa9-b30d-6c4c0ac581ba"

func newReceiver(t testing.TB, in pipeline.Intake) (*Receiver, http.Handler) {
	t.Helper()
	s, err := New(Config{}, receive.Shared{Intake: in})
	if err != nil {
		t.Fatal(err)
	}
	return s, receivetest.Handler(s.Routes())
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
		s += fmt.Sprintf(" %s=%s", a.Name, a.Value.Text())
	}
	return s
}

func TestEvents(t *testing.T) {
	f := func(name, target, body string, code int, answer string, want ...string) {
		t.Helper()
		in := &receivetest.Intake{}
		_, h := newReceiver(t, in)
		resp, got := receivetest.Call(h, "POST", target, []byte(body))
		if resp.StatusCode != code || got != answer {
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
	const ok, at = `{"text":"Success","code":0}`, "/services/collector"
	f("text", at, `{"event":"Hello, \"world\"!","sourcetype":"manual"}`, 200, ok, `Hello, "world"! com.splunk.sourcetype=manual`)
	f("in a row", at+"/event", `{"event":"a"}{"event":"b"} {"event":"c"}`+"\n"+`{"event":"d"}`, 200, ok, "a", "b", "c", "d")
	f("an array, and commas", at+"/event/1.0", `[{"event":"a"},{"event":"b"}],{"event":"c"}`, 200, ok, "a", "b", "c")
	f("all of it", at, `{"time":1426279439.123,"host":"h","source":"s","sourcetype":"t","index":"main","event":{"a":1},"fields":{"k":"v","n":5,"f":1.5,"b":true,"x":null,"l":["1","2"]}}`, 200, ok,
		`json {"a":1} @1426279439123000000 host.name=h com.splunk.source=s com.splunk.sourcetype=t com.splunk.index=main k=v n=5 f=1.5 b=true l=["1","2"]`)
	f("time as text", at, `{"time":"1426279439.5","event":"a"}{"time":"1.426279439E9","event":5}{"time":null,"event":[1]}`, 200, ok,
		"a @1426279439500000000", "5 @1426279439000000000", "[1]")
	f("no event", at, `{"event":"a"}{"evnt":"b"}{"event":"c"}`, 400, `{"text":"Event field is required","code":12,"invalid-event-number":1}`, "a", "c")
	f("null event", at, `{"event":null}`, 400, `{"text":"Event field is required","code":12,"invalid-event-number":0}`)
	f("blank event", at, `{"event":""}{"event":"b"}`, 400, `{"text":"Event field cannot be blank","code":13,"invalid-event-number":0}`, "b")
	f("fields that are none", at, `{"event":"a"}{"event":"b","fields":"x"}`, 400, `{"text":"Error in handling indexed fields","code":15,"invalid-event-number":1}`, "a")
	f("broken, but it ends", at, `{"event":"a"}{"event":}{"event":"c"}`, 400, `{"text":"Invalid data format","code":6,"invalid-event-number":1}`, "a", "c")
	f("torn, and a line after it", at, `{"event":"a"}`+"\n"+`{"event":"b`+"\n"+`{"event":"c"}`, 400, `{"text":"Invalid data format","code":6,"invalid-event-number":1}`, "a", "c")
	f("not JSON", at, `hello`, 400, `{"text":"Invalid data format","code":6,"invalid-event-number":0}`)
	f("nothing", at, ` `, 400, `{"text":"No data","code":5}`)
	f("raw", at+"/raw?host=h&sourcetype=t&source=s&index=i&time=1426279439", "one\r\n\ntwo", 200, ok,
		"one @1426279439000000000 host.name=h com.splunk.source=s com.splunk.sourcetype=t com.splunk.index=i",
		"two @1426279439000000000 host.name=h com.splunk.source=s com.splunk.sourcetype=t com.splunk.index=i")
	f("raw, nothing", at+"/raw/1.0", "\n", 400, `{"text":"No data","code":5}`)
	f("channel that is none", at+"?channel=x", `{"event":"a"}`, 400, `{"text":"Invalid data channel","code":11}`)
}

func TestAnswers(t *testing.T) {
	f := func(err error, want int, text string, headers ...string) {
		t.Helper()
		_, h := newReceiver(t, &receivetest.Intake{Before: func(context.Context, *pipeline.Request) error { return err }})
		resp, body := receivetest.Call(h, "POST", "/services/collector", []byte(`{"event":"a"}`), headers...)
		if resp.StatusCode != want || body != text {
			t.Errorf("%v: %d %s", err, resp.StatusCode, body)
		}
		if (resp.Header.Get("Retry-After") != "") != (want == 503) {
			t.Errorf("%v: Retry-After %q", err, resp.Header.Get("Retry-After"))
		}
	}
	no := fault.Errorf(fault.Unauthenticated, "no")
	f(no, 401, `{"text":"Token is required","code":2}`)
	f(no, 401, `{"text":"Invalid authorization","code":3}`, "Authorization: Digest x")
	f(no, 403, `{"text":"Invalid token","code":4}`, "Authorization: Splunk x")
	f(fault.Errorf(fault.Denied, "no"), 403, `{"text":"Invalid token","code":4}`)
	f(fault.Errorf(fault.Overload, "full"), 503, `{"text":"Server is busy","code":9}`)
	f(fault.Errorf(fault.Unavailable, "disk"), 503, `{"text":"Server is busy","code":9}`)
	f(fmt.Errorf("bug"), 503, `{"text":"Server is busy","code":9}`)
	_, h := newReceiver(t, &receivetest.Intake{})
	for _, path := range []string{"/services/collector/health", "/services/collector/health/1.0"} {
		if resp, body := receivetest.Call(h, "GET", path, nil); resp.StatusCode != 200 || body != `{"text":"HEC is healthy","code":17}` {
			t.Errorf("health: %d %s", resp.StatusCode, body)
		}
	}
	_, h = newReceiver(t, &receivetest.Intake{Refuse: func(r *record.Raw) (string, string) {
		if r.JSON && !json.Valid(r.Payload) {
			return "malformed_json", "x"
		}
		return "", ""
	}})
	if resp, body := receivetest.Call(h, "POST", "/services/collector", []byte(`{"event":"a"}{"event":{"a" 1}}`)); resp.StatusCode != 400 || body != `{"text":"Invalid data format","code":6,"invalid-event-number":1}` {
		t.Errorf("event that the pipeline refuses: %d %s", resp.StatusCode, body)
	}
}

func TestAcknowledgement(t *testing.T) {
	in := &receivetest.Intake{}
	s, h := newReceiver(t, in)
	send := func(h http.Handler, headers ...string) (int64, string) {
		resp, body := receivetest.Call(h, "POST", "/services/collector/raw", []byte("x"), headers...)
		var got struct {
			Code  int
			AckID *int64 `json:"ackId"`
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil || resp.StatusCode != 200 || got.Code != 0 || got.AckID == nil {
			t.Fatalf("%d %s %v", resp.StatusCode, body, err)
		}
		return *got.AckID, body
	}
	ask := func(h http.Handler, want string, target string, body string, headers ...string) {
		t.Helper()
		if _, got := receivetest.Call(h, "POST", target, []byte(body), headers...); got != want {
			t.Errorf("ask %s: %s, want %s", body, got, want)
		}
	}
	const at = "/services/collector/ack"
	a, _ := send(h, channel)
	b, _ := send(h, strings.ToUpper(channel[:len("X-Splunk-Request-Channel: ")])+strings.ToUpper(channel[len("X-Splunk-Request-Channel: "):]))
	if a == b || a <= 0 || b >= 1<<53 {
		t.Errorf("ids %d, %d", a, b)
	}
	ask(h, fmt.Sprintf(`{"acks":{"%d":true,"%d":true,"0":false,"%d":false}}`, a, b, b+1<<8), at, fmt.Sprintf(`{"acks":[%d,%d,0,%d]}`, a, b, b+1<<8), channel)
	ask(h, fmt.Sprintf(`{"acks":{"%d":true}}`, a), at+"?channel=0aeeac95-ac74-4aa9-b30d-6c4c0ac581ba", fmt.Sprintf(`{"acks":[%d]}`, a))
	ask(h, `{"text":"Data channel is missing","code":10}`, at, `{"acks":[0]}`)
	ask(h, `{"text":"Invalid data format","code":6}`, at, `{"acks":["x"]}`, channel)
	ask(h, `{"text":"Invalid data format","code":6}`, at, ``, channel)
	ask(h, `{"acks":{}}`, at, `{"acks":[]}`, channel)
	// Ids of one channel are not those of another.
	wrong := 0
	from := receive.Sender{Tenant: "acme", Name: "tester"}
	for range 1000 {
		if s.acks.durable(s.acks.issue(from, "a"), from, "b") {
			wrong++
		}
	}
	if wrong > 30 {
		t.Errorf("%d of 1,000 ids are acknowledged on another channel", wrong)
	}
	// A later process knows what was issued before, and issues greater ones.
	s2 := &Receiver{s.inlet, newAcks(time.Now().Add(2 * time.Second))}
	h2 := receivetest.Handler(s2.Routes())
	ask(h2, fmt.Sprintf(`{"acks":{"%d":true}}`, a), at, fmt.Sprintf(`{"acks":[%d]}`, a), channel)
	if c, _ := send(h2, channel); c <= b {
		t.Errorf("a later process issued %d after %d", c, b)
	}
	// Without durability there is no id.
	in.Before = func(context.Context, *pipeline.Request) error { return fault.Errorf(fault.Unavailable, "disk") }
	next := s.acks.next.Load()
	if resp, _ := receivetest.Call(h, "POST", "/services/collector", []byte(`{"event":"a"}`), channel); resp.StatusCode != 503 || s.acks.next.Load() != next {
		t.Error("an id was issued for what is not durable")
	}
}

func TestIdempotencyKey(t *testing.T) {
	in := &receivetest.Intake{}
	_, h := newReceiver(t, in)
	for range 2 {
		receivetest.Call(h, "POST", "/services/collector", []byte(`{"event":"a"}`), channel, "Idempotency-Key: 1")
	}
	if r := in.Requests(); len(r) != 2 || r[0].ID.IsZero() || r[0].ID != r[1].ID {
		t.Errorf("%v", r)
	}
}

func TestLimits(t *testing.T) {
	s, err := New(Config{}, receive.Shared{Intake: receivetest.Discard{}, Bodies: receive.NewBodies(receive.Limits{Items: 3, Depth: 8})})
	if err != nil {
		t.Fatal(err)
	}
	h := receivetest.Handler(s.Routes())
	var bomb bytes.Buffer
	z, _ := gzip.NewWriterLevel(&bomb, 9)
	for range 100 {
		z.Write(make([]byte, 1<<20))
	}
	z.Close()
	f := func(name, path string, body []byte, encoding string, want int) {
		t.Helper()
		resp, text := receivetest.Call(h, "POST", "/services/collector"+path, body, "Content-Encoding: "+encoding, channel)
		if resp.StatusCode != want {
			t.Errorf("%s: %d %.200s, want %d", name, resp.StatusCode, text, want)
		}
		if held := s.inlet.Bodies.Held(); held != 0 {
			t.Errorf("%s: %d bytes still held", name, held)
		}
	}
	f("too many", "", []byte(strings.Repeat(`{"event":"a"}`, 4)), "", 413)
	f("too many lines", "/raw", []byte("1\n2\n3\n4\n"), "", 413)
	f("bomb", "", bomb.Bytes(), "gzip", 413)
	f("unknown encoding", "", []byte("x"), "br", 415)
	f("deep", "", []byte(`{"event":`+strings.Repeat("[", 1000)), "", 400)
	f("torn again and again", "", []byte(strings.Repeat("{\"event\":\"\n", 1<<20)), "", 400)
	f("many ids", "/ack", []byte(`{"acks":[`+strings.Repeat("1,", maxAsked)+`1]}`), "", 413)
}

func body(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `{"time":1426279439.%03d,"host":"node-1","source":"/var/log/x","sourcetype":"_json","index":"main","event":{"level":"info","msg":"request %d","path":"/api/v1/items/%d?x=y","text":"%s"},"fields":{"namespace":"shop","pod":"cart-7d9f%d"}}`, i%1000, i, i, strings.Repeat("m", 500), i%10)
	}
	return b.Bytes()
}

func TestAllocations(t *testing.T) {
	data, lim := body(1000), receive.Limits{}.WithDefaults()
	receivetest.Allocates(t, 8, 1000, func(set *receive.Set) error {
		d := decoder{set: set, lim: lim}
		return d.events(data)
	})
}

func BenchmarkEvents(b *testing.B) {
	data, lim := body(2000), receive.Limits{}.WithDefaults()
	receivetest.Decodes(b, len(data), 2000, func(set *receive.Set) error {
		d := decoder{set: set, lim: lim}
		return d.events(data)
	})
}

func FuzzEvents(f *testing.F) {
	f.Add([]byte(`{"event":"a","fields":{"k":1}}{"event":{"a":1},"time":1426279439.1}`))
	f.Add([]byte("[{\"event\":\"a\"},{\"evnt\":1}]\n{\"event\":\"x\n{\"event\":[\"\\u00e9\"]}"))
	lim := receive.Limits{Items: 1000}.WithDefaults()
	f.Fuzz(func(t *testing.T, body []byte) {
		set := receive.NewSet()
		defer set.Release()
		d := decoder{set: set, lim: lim}
		if d.events(body) == nil && d.n != set.Total() {
			t.Fatalf("%d events, %d records", d.n, set.Total())
		}
		asked(body, 8, set)
	})
}
