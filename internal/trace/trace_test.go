package trace

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/audit"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/query/querytest"
	"github.com/meshtrail/meshtrail/internal/record"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// An auditor keeps what was put on record.
type auditor struct{ acts []audit.Act }

func (a *auditor) Record(_ context.Context, act audit.Act) error {
	a.acts = append(a.acts, act)
	return nil
}

// world is a reader over a naive store.
type world struct {
	t       *testing.T
	store   *querytest.Store
	reader  *Reader
	who     Asker
	auditor *auditor
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, store: &querytest.Store{}, auditor: &auditor{}}
	e, err := query.New(query.Options{Store: w.store, Audit: w.auditor, Now: func() time.Time { return noon.Add(time.Hour) }})
	if err != nil {
		t.Fatal(err)
	}
	scope, err := access.ReadScope(&access.Principal{Name: "alice", Tenant: "acme", Grants: []access.Permission{access.LogsRead}})
	if err != nil {
		t.Fatal(err)
	}
	w.reader, w.who = New(e), Asker{Scope: scope, Remote: "test"}
	return w
}

// put stores records, each written "+1ms name=value other=2", with the time after
// noon. Values that are numbers or truths are stored as such.
func (w *world) put(lines ...string) {
	w.t.Helper()
	b := record.Batch{Tenant: "acme", Source: "s"}
	for _, line := range lines {
		at, rest, _ := strings.Cut(line, " ")
		d, err := time.ParseDuration(at)
		if err != nil {
			w.t.Fatal(err)
		}
		b.Begin(noon.Add(d).UnixNano(), "app")
		for pair := range strings.FieldsSeq(rest) {
			k, v, _ := strings.Cut(pair, "=")
			var n int64
			switch _, err := fmt.Sscanf(v, "%d", &n); {
			case err == nil && fmt.Sprint(n) == v:
				b.Int(k, n)
			case v == "true":
				b.Bool(k, true)
			default:
				b.Str(k, strings.ReplaceAll(v, "~", " "))
			}
		}
		b.End()
	}
	if err := w.store.Append(w.t.Context(), &b); err != nil {
		w.t.Fatal(err)
	}
}

func tid(n int) string { return fmt.Sprintf("%032x", n+0xa0000) }
func sid(n int) string { return fmt.Sprintf("%016x", n+0xb0000) }

// span writes a span for put.
func span(at string, trace, id, parent int, service, name string, more ...string) string {
	s := fmt.Sprintf("%s record.kind=span trace_id=%s span_id=%s service.name=%s span.name=%s span.resource=service.name", at, tid(trace), sid(id), service, name)
	if parent > 0 {
		s += " parent_span_id=" + sid(parent)
	}
	return s + " " + strings.Join(more, " ")
}

// shop is two traces of three services, and logs of the first.
func (w *world) shop() {
	w.put(
		span("0s", 1, 1, 0, "front", "checkout", "span.kind=server mesh.duration_ns=300000000 http.method=GET"),
		span("1ms", 1, 2, 1, "front", "call", "span.kind=client mesh.duration_ns=200000000"),
		span("2ms", 1, 3, 2, "back", "charge", `span.kind=server mesh.duration_ns=100000000 span.status=error span.events=[{"time":1,"name":"retry","attributes":{"attempt":2,"why":"late"}}] http.request.header.x-request-id=req-00001`),
		span("3ms", 1, 4, 3, "back", "select", "span.kind=client mesh.duration_ns=1000 peer.service=db zone=a"),
		"4ms body=hello trace_id="+tid(1),
		"5ms body=proxy http.request.header.x-request-id=req-00001",
		span("10s", 2, 5, 0, "front", "browse", "span.kind=server mesh.duration_ns=5000 http.method=POST resource.http.method=PUT"),
		"11s body=other trace_id="+tid(3),
	)
}

func (w *world) find(f FindRequest) string {
	w.t.Helper()
	if f.To == 0 {
		f.From, f.To = noon.Add(-time.Hour).UnixNano(), noon.Add(time.Hour).UnixNano()
	}
	traces, answer, err := w.reader.Find(w.t.Context(), w.who, f)
	if err != nil || answer.Partial {
		w.t.Errorf("%+v: %v, %v", f, err, answer)
	}
	var out []string
	for _, t := range traces {
		out = append(out, strings.TrimLeft(t.ID, "0")[4:]+":"+fmt.Sprint(len(t.Spans)))
	}
	return strings.Join(out, " ")
}

func TestFind(t *testing.T) {
	w := newWorld(t)
	w.shop()
	attr := func(k, v string) []Attribute { return []Attribute{{k, v}} }
	for _, c := range []struct {
		name string
		f    FindRequest
		want string
	}{
		{"all, newest first", FindRequest{}, "2:1 1:4"},
		{"one", FindRequest{Limit: 1}, "2:1"},
		{"a service", FindRequest{Services: []string{"back"}}, "1:4"},
		{"an operation", FindRequest{Services: []string{"front"}, Names: []string{"browse"}}, "2:1"},
		{"a service without the operation", FindRequest{Services: []string{"back"}, Names: []string{"browse"}}, ""},
		{"an attribute of the span", FindRequest{Attributes: attr("http.method", "GET")}, "1:4"},
		{"an attribute of the resource", FindRequest{Attributes: attr("http.method", "PUT")}, "2:1"},
		{"an attribute of an event", FindRequest{Attributes: attr("why", "late")}, "1:4"},
		{"a number of an event", FindRequest{Attributes: attr("attempt", "2")}, "1:4"},
		{"a value of another key", FindRequest{Attributes: attr("attempt", "late")}, ""},
		{"span and event", FindRequest{Attributes: []Attribute{{"why", "late"}, {"error", "true"}}}, "1:4"},
		{"of two spans", FindRequest{Attributes: []Attribute{{"why", "late"}, {"zone", "a"}}}, ""},
		{"no error", FindRequest{Names: []string{"charge"}, Attributes: attr("error", "false")}, ""},
		{"the name of an event", FindRequest{Has: []string{"retry"}}, "1:4"},
		{"a tag", FindRequest{Has: []string{"zone"}}, "1:4"},
		{"a tag that nobody has", FindRequest{Has: []string{"zon"}}, ""},
		{"a kind", FindRequest{Kind: "client"}, "1:4"},
		{"a peer", FindRequest{Peers: []string{"db"}}, "1:4"},
		{"at least", FindRequest{MinDuration: 300_000_000}, "1:4"},
		{"at most", FindRequest{Services: []string{"front"}, MaxDuration: 5000}, "2:1"},
		{"between", FindRequest{MinDuration: 5001, MaxDuration: 99_999_999}, ""},
		{"a time", FindRequest{From: noon.UnixNano(), To: noon.Add(time.Second).UnixNano()}, "1:4"},
	} {
		if got := w.find(c.f); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	for name, f := range map[string]FindRequest{
		"too many traces": {Limit: maxTraces + 1}, "durations": {MinDuration: 2, MaxDuration: 1}, "attributes": {Attributes: make([]Attribute, maxAttributes+1)},
	} {
		f.From, f.To = 0, 1
		if _, _, err := w.reader.Find(t.Context(), w.who, f); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if act := w.auditor.acts[2]; act.Principal != "alice" || act.Detail["service"] != "back" {
		t.Errorf("on record: %+v", act)
	}
}

func TestGet(t *testing.T) {
	w := newWorld(t)
	w.shop()
	w.put(span("0s", 1, 1, 0, "front", "checkout", "mesh.duration_ns=300000000")) // sent again
	traces, _, err := w.reader.Get(t.Context(), w.who, []string{tid(2), tid(9), tid(1)}, 0, 0)
	if err != nil || len(traces) != 2 || traces[0].ID != tid(2) || len(traces[1].Spans) != 5 {
		t.Fatalf("%+v, %v", traces, err)
	}
	if s := traces[1].Spans[3]; s.Name != "charge" || s.Service != "back" || s.Kind != "server" || !s.Failed() || s.Duration != 100_000_000 ||
		s.Parent != sid(2) || len(s.Events) != 1 || s.Events[0].Name != "retry" || s.Events[0].Attributes[0].Value.Int != 2 {
		t.Errorf("%+v", s)
	}
	if traces, _, err := w.reader.Get(t.Context(), w.who, []string{tid(1)}, noon.Add(3*time.Hour).UnixNano(), noon.Add(4*time.Hour).UnixNano()); err != nil || len(traces) != 0 {
		t.Errorf("hours later: %+v, %v", traces, err)
	}
	var none Asker
	if _, _, err := w.reader.Get(t.Context(), none, []string{tid(1)}, 0, 0); err == nil {
		t.Error("nobody reads a trace")
	}
}

// TestLargeTrace holds that a trace of 12,000 spans comes whole.
func TestLargeTrace(t *testing.T) {
	w := newWorld(t)
	var lines []string
	for i := range 12_000 {
		lines = append(lines, span(fmt.Sprintf("%dus", i), 1, i+1, i/2, "s", "n"))
	}
	w.put(lines...)
	traces, answer, err := w.reader.Get(t.Context(), w.who, []string{tid(1)}, 0, 0)
	if err != nil || answer.Partial || len(traces) != 1 || len(traces[0].Spans) != 12_000 {
		t.Errorf("%d traces, %v, %v", len(traces), answer, err)
	}
	w.store.MaxRows = 5000 // a budget that ends: what was read is told to be a part
	traces, answer, err = w.reader.Get(t.Context(), w.who, []string{tid(1)}, 0, 0)
	if err == nil && (!answer.Partial || len(answer.Warnings) == 0) || err != nil && !fault.Is(err, fault.Overload) {
		t.Errorf("%d traces, %v, %v", len(traces), answer, err)
	}
}

func TestNames(t *testing.T) {
	w := newWorld(t)
	w.shop()
	services, err := w.reader.Services(t.Context(), w.who)
	if err != nil || fmt.Sprint(services) != "[back front]" {
		t.Errorf("%v, %v", services, err)
	}
	ops, err := w.reader.Operations(t.Context(), w.who, "front", "")
	if err != nil || fmt.Sprint(ops) != "[{browse server} {call client} {checkout server}]" {
		t.Errorf("%v, %v", ops, err)
	}
	if ops, err = w.reader.Operations(t.Context(), w.who, "front", "client"); err != nil || fmt.Sprint(ops) != "[{call client}]" {
		t.Errorf("%v, %v", ops, err)
	}
	if peers, err := w.reader.Values(t.Context(), w.who, "peer.service", []string{"back"}); err != nil || fmt.Sprint(peers) != "[db]" {
		t.Errorf("%v, %v", peers, err)
	}
}

func (w *world) dependencies() string {
	w.t.Helper()
	links, answer, err := w.reader.Dependencies(w.t.Context(), w.who, noon.Add(-time.Hour).UnixNano(), noon.Add(time.Hour).UnixNano())
	if err != nil || answer.Partial {
		w.t.Fatal(err, answer)
	}
	var out []string
	for _, l := range links {
		s := fmt.Sprintf("%s>%s=%d/%d", l.Parent, l.Child, l.Calls, l.Errors)
		if l.FromLogs {
			s += "log"
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func TestDependencies(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"nothing", []string{"0s body=x"}, ""},
		{"a call, and a side without spans", []string{
			span("0s", 1, 1, 0, "a", "x", "span.kind=client"), span("0s", 1, 2, 1, "b", "x", "span.kind=server span.status=error"),
			span("0s", 1, 3, 2, "b", "y", "span.kind=internal"), span("0s", 1, 4, 3, "b", "z", "span.kind=client peer.service=db")}, "a>b=1/1 b>db=1/0"},
		{"the peer is known better by its own span", []string{
			span("0s", 1, 1, 0, "a", "x", "span.kind=client peer.service=b.default"), span("0s", 1, 2, 1, "b", "x", "span.kind=server peer.service=a")}, "a>b=1/0"},
		{"a shared span", []string{
			span("0s", 1, 1, 0, "a", "x", "span.kind=client"), span("0s", 1, 1, 0, "b", "x", "span.kind=server span.shared=true"),
			span("0s", 1, 2, 1, "b", "y"), span("0s", 1, 3, 1, "c", "y", "span.kind=server")}, "a>b=1/0 b>c=1/0"},
		{"a server that names its client", []string{span("0s", 1, 1, 9, "b", "x", "span.kind=server peer.service=a")}, "a>b=1/0"},
		{"sent twice", []string{
			span("0s", 1, 1, 0, "a", "x"), span("0s", 1, 2, 1, "b", "x"), span("0s", 1, 1, 0, "a", "x"), span("0s", 1, 2, 1, "b", "x")}, "a>b=1/0"},
		{"ids of another trace", []string{span("0s", 1, 1, 0, "a", "x"), span("0s", 2, 2, 1, "b", "x")}, ""},
		{"access logs of both proxies", []string{
			"0s mesh.reporter=source mesh.source.workload=a mesh.destination.service=b http.response.status_code=503",
			"1s mesh.reporter=source mesh.source.workload=a mesh.destination.service=b http.response.status_code=200",
			"0s mesh.reporter=destination mesh.source.workload=a mesh.destination.service=b http.response.status_code=503",
			"0s mesh.source.workload=b mesh.destination.workload=c mesh.flow.is_reply=true"}, "a>b=2/1log"},
		{"spans before logs", []string{
			span("0s", 1, 1, 0, "a", "x"), span("0s", 1, 2, 1, "b", "x"), "0s mesh.source.service=a mesh.destination.service=b"}, "a>b=1/0"},
	} {
		w := newWorld(t)
		w.put(c.lines...)
		if got := w.dependencies(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestStory(t *testing.T) {
	w := newWorld(t)
	w.shop()
	for _, id := range []string{tid(1), "A0001", "req-00001"} {
		st, _, err := w.reader.Story(t.Context(), w.who, id, 0, 0)
		if err != nil || st.ID != tid(1) || len(st.Spans) != 4 || len(st.Logs) != 2 || fmt.Sprint(st.Requests) != "[req-00001]" {
			t.Errorf("%s: %d spans, %d logs, %v, %v", id, len(st.Spans), len(st.Logs), st.Requests, err)
		}
	}
	st, _, err := w.reader.Story(t.Context(), w.who, tid(3), 0, 0)
	if err != nil || st.ID != "" || len(st.Spans) != 0 || len(st.Logs) != 1 {
		t.Errorf("a trace of which there are only logs: %+v, %v", st, err)
	}
	if _, _, err := w.reader.Story(t.Context(), w.who, "x y", 0, 0); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}

func TestParseID(t *testing.T) {
	for in, want := range map[string]string{
		"1": strings.Repeat("0", 31) + "1", "ABCDEF0123456789": strings.Repeat("0", 16) + "abcdef0123456789",
		"11111111-2222-3333-4444-555555555555": "11111111222233334444555555555555",
		"":                                     "", "xyz": "", strings.Repeat("1", 33): "", "-1": "",
	} {
		if got, err := ParseID(in); got != want && !(want == "" && err != nil) {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

func TestSummaryAndUnshare(t *testing.T) {
	tr := Trace{ID: tid(1), Spans: []Span{
		{TraceID: tid(1), SpanID: sid(1), Service: "a", Name: "root", Start: 10, Duration: 5},
		{TraceID: tid(1), SpanID: sid(2), Parent: sid(1), Service: "a", Start: 11, Duration: 90, Status: "error"},
		{TraceID: tid(1), SpanID: sid(2), Parent: sid(1), Service: "b", Start: 12, Shared: true},
		{TraceID: tid(1), SpanID: sid(5), Parent: sid(2), Service: "b", Start: 13},
		{TraceID: tid(1), SpanID: sid(9), Parent: sid(8), Service: "c", Start: 1},
	}}
	m := tr.Summary()
	if got := fmt.Sprint(m.RootService, m.RootName, m.Start, m.End, m.Spans, m.Failed, m.Orphans, m.Services); got != "aroot1 101 5 1 1 [{a 2 1} {b 2 0} {c 1 0}]" {
		t.Error(got)
	}
	tr.Unshare()
	if s := tr.Spans; s[1].SpanID != sid(2) || s[2].SpanID == sid(2) || s[2].Parent != sid(2) || s[3].Parent != s[2].SpanID {
		t.Errorf("%+v", s)
	}
	before := fmt.Sprint(tr)
	if tr.Unshare(); fmt.Sprint(tr) != before {
		t.Error("a trace without shared ids was changed")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(`[{"time":1,"name":"x","attributes":{"a":1,"b":{"base64":"AA=="},"c":[1],"d":null,"e":1.5}}]`, `[{"traceId":"a"}]`, `a,b\,c`)
	f.Fuzz(func(t *testing.T, events, links, resource string) {
		r := record.Record{Fields: []record.Field{
			{Name: "record.kind", Value: record.StringValue("span")}, {Name: "span.events", Value: record.StringValue(events)},
			{Name: "span.links", Value: record.StringValue(links)}, {Name: "span.resource", Value: record.StringValue(resource)},
			{Name: "b,c", Value: record.StringValue("v")},
		}}
		if _, ok := Decode(&r); !ok {
			t.Fatal("a span is none")
		}
	})
}

// TestFindByScopeAndLink finds spans by what their scope and their links have, as
// Jaeger's own tests of storages ask.
func TestFindByScopeAndLink(t *testing.T) {
	w := newWorld(t)
	w.put(
		span("0s", 1, 1, 0, "front", "checkout", "scope.lang=go scope.level=3"),
		span("1s", 2, 2, 0, "front", "checkout", `span.links=[{"traceId":"ff","spanId":"0f","attributes":{"why":"late","attempt":2}}]`),
	)
	for _, c := range []struct {
		attrs []Attribute
		want  string
	}{
		{[]Attribute{{"lang", "go"}, {"level", "3"}}, "1:1"},
		{[]Attribute{{"why", "late"}, {"attempt", "2"}}, "2:1"},
		{[]Attribute{{"why", "late"}, {"attempt", "3"}}, ""},
		{[]Attribute{{"lang", "go"}, {"why", "late"}}, ""},
	} {
		if got := w.find(FindRequest{Attributes: c.attrs}); got != c.want {
			t.Errorf("%v: %q, want %q", c.attrs, got, c.want)
		}
	}
}
