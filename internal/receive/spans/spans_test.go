package spans

import (
	"fmt"
	"math"
	"testing"

	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

func fields(r *record.Raw) map[string]string {
	out := map[string]string{}
	for _, f := range r.Attrs {
		if _, twice := out[f.Name]; twice {
			out[f.Name+" twice"] = "!"
		}
		out[f.Name] = f.Value.Text()
	}
	return out
}

// Constants that a body would hold: converted here, they cost the spans nothing.
var (
	text0 = []byte("GET /")
	text1 = []byte("boom")
	text2 = []byte("http.route")
	text3 = []byte("/")
	text4 = []byte("http.response.status_code")
	text5 = []byte("ratio")
	text6 = []byte("blob")
	text7 = []byte("n")
	text8 = []byte("exception")
	blob  = []byte{1, 2, 3}
)

// fill makes s a span as a receiver would.
func fill(s *Span) {
	s.Reset()
	s.TraceID, s.SpanID, s.ParentID = [16]byte{15: 1}, [8]byte{7: 2}, [8]byte{7: 3}
	s.Name, s.Kind, s.Start, s.Duration = text0, Server, 1_700_000_000_000_000_000, 250_000_000
	s.Status, s.Message, s.Flags, s.HasFlags = Error, text1, 0x101, true
	s.Text(text2, text3)
	s.Attr(text4, record.IntValue(500))
	s.Attr(text5, record.FloatValue(0.5))
	s.Bytes(text6, blob)
	var members [128]byte
	m := AppendMember(members[:0], text7, record.IntValue(7))
	s.Event(1_700_000_000_100_000_000, text8, m)
	s.Link([16]byte{15: 9}, [8]byte{7: 9}, nil, nil)
}

func begin(set *receive.Set, s *Span) {
	set.Open()
	set.Field("service.name", "web")
	set.Field("host.name", "h1")
	s.SetResource(set.Close())
	s.SetScope([]byte("lib"), []byte("1.0"), []record.Field{{Name: "x", Value: record.IntValue(1)}})
}

// TestBytesInCommon lists what resource and scope have that is bytes, for as long
// as they are set.
func TestBytesInCommon(t *testing.T) {
	set := receive.NewSet()
	defer set.Release()
	s := New(set)
	defer s.Release()
	binary := func() string {
		fill(s)
		s.Append()
		return fields(&set.Raws[len(set.Raws)-1])["span.binary"]
	}
	begin(set, s)
	s.ResourceBytes([]byte("host.name"))
	s.ScopeBytes([]byte("x"))
	for range 2 {
		if got := binary(); got != "host.name,scope.x,blob" {
			t.Errorf("span.binary is %q", got)
		}
	}
	s.SetScope([]byte("other"), nil, nil)
	if got := binary(); got != "host.name,blob" {
		t.Errorf("with another scope span.binary is %q", got)
	}
	s.SetResource(nil)
	if got := binary(); got != "blob" {
		t.Errorf("with another resource span.binary is %q", got)
	}
}

func TestAppend(t *testing.T) {
	set := receive.NewSet()
	defer set.Release()
	s := New(set)
	defer s.Release()
	begin(set, s)
	fill(s)
	s.Append()
	if len(set.Raws) != 1 || set.Raws[0].Time != 1_700_000_000_000_000_000 || len(set.Raws[0].Payload) != 0 {
		t.Fatalf("raws: %+v", set.Raws)
	}
	want := map[string]string{
		"record.kind": "span", "trace_id": "00000000000000000000000000000001", "span_id": "0000000000000002",
		"parent_span_id": "0000000000000003", "span.name": "GET /", "span.kind": "server", "mesh.duration_ns": "250000000",
		"span.status": "error", "span.status_message": "boom", "trace_flags": "01", "http.route": "/",
		"http.response.status_code": "500", "ratio": "0.5", "blob": "AQID", "span.binary": "blob",
		"otel.scope.name": "lib", "otel.scope.version": "1.0", "scope.x": "1",
		"service.name": "web", "host.name": "h1", "span.resource": "service.name,host.name",
		"span.events": `[{"time":1700000000100000000,"name":"exception","attributes":{"n":7}}]`,
		"span.links":  `[{"traceId":"00000000000000000000000000000009","spanId":"0000000000000009"}]`,
	}
	got := fields(&set.Raws[0])
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s = %q, want %q", k, got[k], v)
		}
	}
	if len(got) != len(want) {
		t.Errorf("fields: %v", got)
	}
}

// TestNames holds what becomes of names that are taken, and of repeated ones.
func TestNames(t *testing.T) {
	set := receive.NewSet()
	defer set.Release()
	s := New(set)
	defer s.Release()
	begin(set, s)
	for more := range 12 { // and ever new ones, so that the table of names starts anew
		s.Reset()
		fill(s)
		s.Text([]byte("service.name"), []byte("other"))
		s.Text([]byte("host.name"), []byte("h2"))
		s.Text([]byte("span.name"), []byte("mine"))
		s.Attr([]byte("twice"), record.IntValue(1))
		s.Text([]byte("twice"), []byte("last"))
		s.Text([]byte("peer.service"), []byte("db"))
		s.Peer = []byte("database")
		for i := range more * 150 {
			s.Attr(fmt.Appendf(nil, "k%d.%d", more, i), record.IntValue(int64(i)))
		}
		s.Append()
		got := fields(&set.Raws[more])
		for k, v := range map[string]string{
			"service.name": "web", "attribute.service.name": "other", "host.name": "h2", "resource.host.name": "h1",
			"span.name": "GET /", "attribute.span.name": "mine", "twice": "last", "twice twice": "",
			"peer.service": "database", "attribute.peer.service": "db", "span.resource": "service.name,resource.host.name",
		} {
			if got[k] != v {
				t.Errorf("round %d: %s = %q, want %q", more, k, got[k], v)
			}
		}
	}
}

func TestRejects(t *testing.T) {
	set := receive.NewSet()
	defer set.Release()
	s := New(set)
	defer s.Release()
	begin(set, s)
	s.Append()
	fill(s)
	for i := range MaxFields {
		s.Attr(fmt.Appendf(nil, "k%d", i), record.IntValue(1))
	}
	s.Append()
	fill(s)
	s.Start, s.Duration = math.MaxUint64, math.MaxUint64
	s.Append()
	if len(set.Raws) != 1 || set.RejectedTotal() != 2 || len(set.Rejected) != 2 {
		t.Errorf("%d records, rejected %v", len(set.Raws), set.Rejected)
	}
}

func TestMembers(t *testing.T) {
	var b []byte
	b = AppendMember(b, []byte("i"), record.IntValue(3))
	b = AppendMember(b, []byte("f"), record.FloatValue(3))
	b = AppendMember(b, []byte("nan"), record.FloatValue(math.NaN()))
	b = AppendMember(b, []byte("b"), record.BoolValue(true))
	b = AppendMember(b, []byte("none"), record.Value{})
	b = AppendBytesMember(b, []byte("x"), []byte{255})
	b = AppendTextMember(b, []byte("s"), []byte("a\"b"))
	b = AppendRawMember(b, []byte("l"), []byte("[1]"))
	if want := `"i":3,"f":3.0,"nan":"NaN","b":true,"x":{"base64":"/w=="},"s":"a\"b","l":[1]`; string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
}

func TestListed(t *testing.T) {
	var list []byte
	names := []string{"a", "b,c", `d\`, `e\,f`}
	for _, n := range names {
		list = schema.AppendListed(list, n)
	}
	var got []string
	schema.Listed(string(list), func(n string) { got = append(got, n) })
	if fmt.Sprint(got) != fmt.Sprint(names) {
		t.Errorf("%s: %q", list, got)
	}
	schema.Listed("", func(string) { t.Error("an empty list has a name") })
}

func TestParseKind(t *testing.T) {
	for name, want := range map[string]Kind{"SERVER": Server, "client": Client, "": Unset, "x": Unset, "Internal": Internal} {
		if got := ParseKind([]byte(name)); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func TestAllocations(t *testing.T) {
	if receivetest.Race {
		t.Skip("the race detector allocates")
	}
	run := func() {
		set := receive.NewSet()
		s := New(set)
		begin(set, s)
		for range 1000 {
			fill(s)
			s.Append()
		}
		s.Release()
		set.Release()
	}
	run()
	if n := testing.AllocsPerRun(10, run); n > 40 {
		t.Errorf("%v allocations for 1000 spans", n)
	}
}

func BenchmarkAppend(b *testing.B) {
	set := receive.NewSet()
	s := New(set)
	begin(set, s)
	b.ReportAllocs()
	for i := range b.N {
		if i%1000 == 999 {
			s.Release()
			set.Release()
			set = receive.NewSet()
			s = New(set)
			begin(set, s)
		}
		fill(s)
		s.Append()
	}
}
