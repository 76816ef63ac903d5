package firehose

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
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

const id = "ed4acda5-034f-9f42-bba1-f29aea6d7d8f"

func newReceiver(t testing.TB, in pipeline.Intake, lim receive.Limits) (*Receiver, http.Handler) {
	t.Helper()
	f, err := New(Config{}, receive.Shared{Intake: in, Bodies: receive.NewBodies(lim)})
	if err != nil {
		t.Fatal(err)
	}
	f.now = func() time.Time { return time.UnixMilli(1578090903599) }
	return f, receivetest.Handler(f.Routes())
}

func zip(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(s))
	z.Close()
	return b.String()
}

// request writes one as Amazon's specification shows it.
func request(at int, records ...string) []byte {
	var out []string
	for _, r := range records {
		out = append(out, `{"data":"`+base64.StdEncoding.EncodeToString([]byte(r))+`"}`)
	}
	return fmt.Appendf(nil, `{"requestId":"%s","timestamp":%d,"records":[%s]}`, id, at, strings.Join(out, ","))
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

const cloudwatch = `{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"/aws/lambda/cart","logStream":"2026/11/21/[1]ab","subscriptionFilters":["all"],"logEvents":[{"id":"31953106606966983378809025079804211143289615424298221568","timestamp":1432826855000,"message":"START\n"},{"id":"2","timestamp":1432826855001,"message":"{\"level\":\"warn\"}"}]}`

func TestDelivery(t *testing.T) {
	f := func(name string, body []byte, code int, answer string, want ...string) {
		t.Helper()
		in := &receivetest.Intake{}
		_, h := newReceiver(t, in, receive.Limits{})
		resp, got := receivetest.Call(h, "POST", "/aws/firehose", body, "Content-Type: application/json",
			"X-Amz-Firehose-Request-Id: "+id, `X-Amz-Firehose-Common-Attributes: {"commonAttributes":{"env":"prod"}}`)
		if resp.StatusCode != code || got != answer || resp.Header.Get("Content-Type") != "application/json" || resp.ContentLength != int64(len(got)) && resp.Header.Get("Content-Length") != fmt.Sprint(len(got)) {
			t.Errorf("%s: %d %s %v", name, resp.StatusCode, got, resp.Header)
		}
		var raws []string
		for _, r := range in.Raws() {
			raws = append(raws, show(r))
		}
		if fmt.Sprint(raws) != fmt.Sprint(want) {
			t.Errorf("%s: records\n got %q\nwant %q", name, raws, want)
		}
	}
	const ok = `{"requestId":"` + id + `","timestamp":1578090903599}`
	fails := func(message string) string { return ok[:len(ok)-1] + `,"errorMessage":"` + message + `"}` }
	f("texts and JSON", request(1, "hello\nworld\n", `{"a":1}{"b":2}`), 200, ok, "hello env=prod", "world env=prod", `json {"a":1} env=prod`, `json {"b":2} env=prod`)
	f("CloudWatch", request(1, zip(cloudwatch)), 200, ok,
		"START @1432826855000000000 env=prod cloud.account.id=123456789012 aws.log.group.names=/aws/lambda/cart aws.log.stream.names=2026/11/21/[1]ab",
		`{"level":"warn"} @1432826855001000000 env=prod cloud.account.id=123456789012 aws.log.group.names=/aws/lambda/cart aws.log.stream.names=2026/11/21/[1]ab`)
	f("CloudWatch asks", request(1, zip(`{"messageType":"CONTROL_MESSAGE","owner":"CloudwatchLogs","logGroup":"","logStream":"","subscriptionFilters":[],"logEvents":[{"id":"","timestamp":1,"message":"CWL CONTROL MESSAGE: Checking health of destination Firehose."}]}`)), 200, ok)
	f("like CloudWatch, but broken", request(1, `{"messageType":"DATA_MESSAGE","logEvents":[{"timestamp":{}}]}`), 200, ok, `json {"messageType":"DATA_MESSAGE","logEvents":[{"timestamp":{}}]} env=prod`)
	f("bad records cost no others", []byte(`{"requestId":"`+id+`","timestamp":1,"records":[{"data":"!"},{"x":1},{"data":"aGk="},{"data":"`+base64.StdEncoding.EncodeToString([]byte("\x1f\x8bxx"))+`"}]}`), 200, ok, "hi env=prod")
	f("no records", request(1), 200, ok)
	f("none", []byte(`{"requestId":"`+id+`"}`), 400, fails("the request has no records"))
	f("not JSON", []byte("x"), 400, fails("JSON at byte 0: expected an object"))
}

func TestARetryIsSeenOnce(t *testing.T) {
	in := &receivetest.Intake{}
	_, h := newReceiver(t, in, receive.Limits{})
	receivetest.Call(h, "POST", "/aws/firehose", request(1, "a"))
	receivetest.Call(h, "POST", "/aws/firehose", request(2, "a")) // the time of a later attempt
	receivetest.Call(h, "POST", "/aws/firehose", request(1, "b"))
	receivetest.Call(h, "POST", "/aws/firehose", []byte(`{"records":[{"data":"aGk="}]}`))
	r := in.Requests()
	if r[0].ID.IsZero() || r[0].ID != r[1].ID || r[0].ID == r[2].ID || !r[3].ID.IsZero() {
		t.Errorf("%v %v %v %v", r[0].ID, r[1].ID, r[2].ID, r[3].ID)
	}
}

func TestAnswers(t *testing.T) {
	for err, want := range map[error]int{
		fault.Errorf(fault.Overload, "full"): 503, fmt.Errorf("bug"): 503,
		fault.Errorf(fault.Unauthenticated, "no"): 401, fault.Errorf(fault.Denied, "no"): 403,
	} {
		_, h := newReceiver(t, &receivetest.Intake{Before: func(context.Context, *pipeline.Request) error { return err }}, receive.Limits{})
		resp, body := receivetest.Call(h, "POST", "/aws/firehose", request(1, "a"), "X-Amz-Firehose-Request-Id: "+id)
		if resp.StatusCode != want || !strings.HasPrefix(body, `{"requestId":"`+id+`","timestamp":1578090903599,"errorMessage":"`) {
			t.Errorf("%v: %d %s", err, resp.StatusCode, body)
		}
	}
}

func TestLimits(t *testing.T) {
	k, h := newReceiver(t, receivetest.Discard{}, receive.Limits{Items: 3, Depth: 8, Decoded: 10 << 20})
	f := func(name string, body []byte, want int) {
		t.Helper()
		resp, text := receivetest.Call(h, "POST", "/aws/firehose", body)
		if resp.StatusCode != want {
			t.Errorf("%s: %d %.200s, want %d", name, resp.StatusCode, text, want)
		}
		if held := k.inlet.Bodies.Held(); held != 0 {
			t.Errorf("%s: %d bytes still held", name, held)
		}
	}
	f("too many", request(1, "a", "b", "c", "d"), 413)
	f("too many in one", request(1, "a\nb\nc\nd"), 413)
	f("bomb", request(1, zip(strings.Repeat("x", 20<<20))), 200) // rejected by itself
	f("many that are large together", request(1, zip(strings.Repeat("x", 6<<20)), zip(strings.Repeat("x", 6<<20))), 413)
	f("deep", []byte(`{"records":`+strings.Repeat("[", 1000)+`}`), 400)
}

func many(n int) []byte {
	events := make([]string, n)
	for i := range events {
		events[i] = fmt.Sprintf(`{"id":"3195310660696698337880902507980421114328961542429822%04d","timestamp":%d,"message":"{\"level\":\"info\",\"path\":\"/api/v1/items/%d\",\"text\":\"%s\"}"}`, i, 1432826855000+i, i, strings.Repeat("m", 500))
	}
	return request(1, zip(`{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"g","logStream":"s","logEvents":[`+strings.Join(events, ",")+`]}`))
}

func TestAllocations(t *testing.T) {
	body, bodies := many(1000), receive.NewBodies(receive.Limits{})
	receivetest.Allocates(t, 12, 1000, func(set *receive.Set) error {
		d := decoder{set: set, lim: bodies.Limits(), bodies: bodies}
		return d.delivery(body)
	})
}

func BenchmarkCloudWatch(b *testing.B) {
	body, bodies := many(2000), receive.NewBodies(receive.Limits{})
	receivetest.Decodes(b, len(body), 2000, func(set *receive.Set) error {
		d := decoder{set: set, lim: bodies.Limits(), bodies: bodies}
		return d.delivery(body)
	})
}

func FuzzDelivery(f *testing.F) {
	f.Add(request(1, "hello\n{}", zip(cloudwatch)))
	f.Add([]byte(`{"records":[{"data":"!"},{},{"data":"aGk=","x":[1]}]}`))
	bodies := receive.NewBodies(receive.Limits{Items: 1000})
	f.Fuzz(func(t *testing.T, body []byte) {
		set := receive.NewSet()
		defer set.Release()
		d := decoder{set: set, lim: bodies.Limits(), bodies: bodies}
		d.attributes(string(body))
		d.delivery(body)
		d.subscription(body)
		if bodies.Held() != 0 {
			t.Fatal("a body is still held")
		}
	})
}
