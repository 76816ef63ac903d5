package kubeaudit

import (
	"bytes"
	"compress/gzip"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
)

//go:embed testdata/eventlist.json
var sample []byte

func newReceiver(t testing.TB, in pipeline.Intake, lim receive.Limits) (*Receiver, http.Handler) {
	t.Helper()
	k, err := New(Config{}, receive.Shared{Intake: in, Bodies: receive.NewBodies(lim)})
	if err != nil {
		t.Fatal(err)
	}
	return k, receivetest.Handler(k.Routes())
}

func TestEventList(t *testing.T) {
	in := &receivetest.Intake{}
	_, h := newReceiver(t, in, receive.Limits{})
	resp, body := receivetest.Call(h, "POST", "/kubernetes/audit?timeout=30s", sample, "Content-Type: application/json")
	if resp.StatusCode != 200 || body != "" {
		t.Fatal(resp.StatusCode, body)
	}
	raws := in.Raws()
	if len(raws) != 2 {
		t.Fatalf("%d records", len(raws))
	}
	times := []int64{1795255201654321e3, 1795255202000900e3}
	var list struct{ Items []json.RawMessage }
	if err := json.Unmarshal(sample, &list); err != nil {
		t.Fatal(err)
	}
	for i, r := range raws {
		if r.Time != times[i] || r.Service != "kube-apiserver" || len(r.Attrs) > 0 {
			t.Errorf("%d: time %d, service %q, %v", i, r.Time, r.Service, r.Attrs)
		}
		if !r.JSON || !bytes.Equal(r.Payload, list.Items[i]) {
			t.Errorf("%d: the event is not kept as it is: %s", i, r.Payload)
		}
	}
}

func TestARepetitionIsSeenOnce(t *testing.T) {
	in := &receivetest.Intake{}
	_, h := newReceiver(t, in, receive.Limits{})
	receivetest.Call(h, "POST", "/kubernetes/audit", sample)
	receivetest.Call(h, "POST", "/kubernetes/audit", sample)
	receivetest.Call(h, "POST", "/kubernetes/audit", bytes.Replace(sample, []byte("f3a3b8a6"), []byte("f3a3b8a7"), 1))
	nameless := []byte(`{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{"verb":"get"}]}`)
	receivetest.Call(h, "POST", "/kubernetes/audit", nameless)
	r := in.Requests()
	if r[0].ID.IsZero() || r[0].ID != r[1].ID || r[2].ID == r[0].ID {
		t.Errorf("%v, %v, %v", r[0].ID, r[1].ID, r[2].ID)
	}
	if !r[3].ID.IsZero() {
		t.Error("events without an auditID have an identity")
	}
}

func TestAnswers(t *testing.T) {
	f := func(name, body string, code, records int, contains string) {
		t.Helper()
		in := &receivetest.Intake{}
		_, h := newReceiver(t, in, receive.Limits{Items: 4, Depth: 16})
		resp, got := receivetest.Call(h, "POST", "/kubernetes/audit", []byte(body))
		if resp.StatusCode != code || !strings.Contains(got, contains) || len(in.Raws()) != records {
			t.Errorf("%s: %d %s, %d records", name, resp.StatusCode, got, len(in.Raws()))
		}
		if got != "" && !json.Valid([]byte(got)) {
			t.Errorf("%s: not JSON: %s", name, got)
		}
	}
	const head = `{"kind":"EventList","apiVersion":"audit.k8s.io/v1",`
	f("no events", head+`"items":[]}`, 200, 0, "")
	f("null", head+`"items":null}`, 200, 0, "")
	f("one event", `{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"1","verb":"get"}`, 200, 1, "")
	f("odd events", head+`"items":[5,{"user":"x","sourceIPs":7,"objectRef":null,"responseStatus":[],"stageTimestamp":5,"auditID":{}},{"auditID":"a","sourceIPs":[]}]}`, 200, 3, "")
	f("torn", head+`"items":[{"auditID":"a"},{"auditID":"b`, 200, 1, "")
	f("another kind", `{"kind":"Pod","apiVersion":"v1"}`, 400, 0, `"reason":"BadRequest"`)
	f("no list", `{"a":1}`, 400, 0, "EventList")
	f("nothing", ``, 400, 0, "Failure")
	f("too many", head+`"items":[{},{},{},{},{}]}`, 413, 0, "RequestEntityTooLarge")
	f("deep", head+`"items":[{"user":`+strings.Repeat(`{"username":`, 100)+`1`+strings.Repeat("}", 100)+`}]}`, 200, 1, "")
	for err, want := range map[error]int{
		fault.Errorf(fault.Overload, "full"): 503, fault.Errorf(fault.Unavailable, "disk"): 503, fmt.Errorf("bug"): 503,
		fault.Errorf(fault.Unauthenticated, "no"): 401, fault.Errorf(fault.Denied, "no"): 403,
	} {
		_, h := newReceiver(t, &receivetest.Intake{Before: func(context.Context, *pipeline.Request) error { return err }}, receive.Limits{})
		resp, body := receivetest.Call(h, "POST", "/kubernetes/audit", sample)
		if resp.StatusCode != want || (resp.Header.Get("Retry-After") != "") != (want == 503) || !json.Valid([]byte(body)) {
			t.Errorf("%v: %d %v %s", err, resp.StatusCode, resp.Header, body)
		}
	}
	var bomb bytes.Buffer
	z, _ := gzip.NewWriterLevel(&bomb, 9)
	for range 100 {
		z.Write(make([]byte, 1<<20))
	}
	z.Close()
	k, h := newReceiver(t, receivetest.Discard{}, receive.Limits{})
	if resp, _ := receivetest.Call(h, "POST", "/kubernetes/audit", bomb.Bytes(), "Content-Encoding: gzip"); resp.StatusCode != 413 || k.inlet.Bodies.Held() != 0 {
		t.Errorf("bomb: %d, %d bytes still held", resp.StatusCode, k.inlet.Bodies.Held())
	}
}

func many(n int) []byte {
	var list struct{ Items []json.RawMessage }
	if err := json.Unmarshal(sample, &list); err != nil {
		panic(err)
	}
	out := []byte(`{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[`)
	for i := range n {
		out = append(append(out, list.Items[i%2]...), ',')
	}
	return append(out[:len(out)-1], "]}"...)
}

func TestAllocations(t *testing.T) {
	data, lim := many(1000), receive.Limits{}.WithDefaults()
	receivetest.Allocates(t, 8, 1000, func(set *receive.Set) error {
		d := decoder{set: set, lim: lim, named: true}
		if err := d.list(data); err != nil || d.named {
			return err
		}
		return errors.New("records without names")
	})
}

func BenchmarkList(b *testing.B) {
	data, lim := many(2000), receive.Limits{}.WithDefaults()
	receivetest.Decodes(b, len(data), 2000, func(set *receive.Set) error {
		d := decoder{set: set, lim: lim}
		return d.list(data)
	})
}

func FuzzList(f *testing.F) {
	f.Add(sample)
	f.Add([]byte(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"1"}`))
	f.Add([]byte(`{"items":[{"objectRef":{"resource":"a","subresource":"\u00e9"},"sourceIPs":[1,"x"]},5]}`))
	lim := receive.Limits{Items: 1000}.WithDefaults()
	f.Fuzz(func(t *testing.T, body []byte) {
		set := receive.NewSet()
		defer set.Release()
		d := decoder{set: set, lim: lim, named: true}
		d.list(body)
	})
}
