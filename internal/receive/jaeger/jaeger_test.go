package jaeger

import (
	"bytes"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/listen"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
	"github.com/meshtrail/meshtrail/internal/receive/thrift"
	"github.com/meshtrail/meshtrail/internal/record"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden")

func newReceiver(t testing.TB, in *receivetest.Intake) (*Receiver, http.Handler) {
	t.Helper()
	v, err := New(Config{}, receive.Shared{Intake: in})
	if err != nil {
		t.Fatal(err)
	}
	return v, receivetest.Handler(v.Routes())
}

func captured(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// golden holds what was made of a captured body against the file of its name.
func golden(t *testing.T, name string, raws []record.Raw) {
	t.Helper()
	file, got := filepath.Join("testdata", name+".golden"), receivetest.Lines(raws)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(file); err != nil || got != string(want) {
		t.Errorf("%s: %v\ngot  %s\nwant %s", name, err, got, want)
	}
}

// TestCaptured holds what is made of what a real client sent.
func TestCaptured(t *testing.T) {
	var in receivetest.Intake
	v, h := newReceiver(t, &in)
	last := func(name string, n int) {
		t.Helper()
		raws := in.Raws()
		if len(raws) != n {
			t.Fatalf("%s: %d spans", name, len(raws))
		}
		golden(t, name, raws[n-3:])
	}
	name := "jaeger-client-go.http.thrift"
	resp, text := receivetest.Call(h, "POST", "/api/traces?format=jaeger.thrift", captured(t, name), "Content-Type: application/x-thrift")
	if resp.StatusCode != 202 || text != "" {
		t.Fatalf("%d %q", resp.StatusCode, text)
	}
	last(name, 3)
	name = "jaeger-client-go.udp.compact"
	from := receive.Sender{Tenant: "acme", Name: "udp", Source: "jaeger/udp"}
	packets := []listen.Packet{{Data: []byte("noise")}, {Data: captured(t, name)}}
	if err := v.packets(true)(t.Context(), from, packets); err != nil {
		t.Fatal(err)
	}
	last(name, 6)
	if req := in.Requests()[1]; len(req.Rejected) != 1 || req.Rejected[0].Name != "malformed_datagram" || req.Tenant != "acme" {
		t.Errorf("%+v", req.Rejected)
	}
}

func TestAnswers(t *testing.T) {
	body := captured(t, "jaeger-client-go.http.thrift")
	for _, c := range []struct {
		kind string
		body []byte
		code int
		kept int
	}{
		{"application/x-thrift", body, 202, 3},
		{"application/vnd.apache.thrift.binary; charset=utf-8", body, 202, 3},
		{"application/json", body, 400, 0},
		{"application/x-thrift", body[:len(body)/2], 400, 0},
		{"application/x-thrift", []byte("x"), 400, 0},
	} {
		var in receivetest.Intake
		_, h := newReceiver(t, &in)
		resp, text := receivetest.Call(h, "POST", "/jaeger/api/traces", c.body, "Content-Type: "+c.kind)
		if resp.StatusCode != c.code || len(in.Raws()) != c.kept {
			t.Errorf("%s, %d bytes: %d %q, %d kept", c.kind, len(c.body), resp.StatusCode, text, len(in.Raws()))
		}
	}
	_, h := newReceiver(t, &receivetest.Intake{})
	if _, text := receivetest.Call(h, "GET", "/sampling?service=x", nil); text != `{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":1}}` {
		t.Error(text)
	}
}

func field(num protowire.Number, parts ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), bytes.Join(parts, nil))
}

func number(num protowire.Number, n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), n)
}

// protoSpans is a PostSpansRequest with every kind of tag (model.proto).
func protoSpans(n int) []byte {
	trace := append(make([]byte, 15), 7)
	id := func(b byte) []byte { return append(make([]byte, 7), b) }
	str := func(k, v string) []byte { return bytes.Join([][]byte{field(1, []byte(k)), field(3, []byte(v))}, nil) }
	typed := func(k string, kind uint64, v []byte) []byte {
		return bytes.Join([][]byte{field(1, []byte(k)), number(2, kind), v}, nil)
	}
	double := protowire.AppendFixed64(protowire.AppendTag(nil, 6, protowire.Fixed64Type), 0x3fe0000000000000)
	span := field(1,
		field(1, trace), field(2, id(2)), field(3, []byte("get")),
		field(4, field(1, trace), field(2, id(1))), field(4, field(1, trace), field(2, id(9)), number(3, 1)),
		number(5, 1), field(6, number(1, 1_700_000_000), number(2, 5000)), field(7, number(2, 250_000_000)),
		field(8, str("span.kind", "client")), field(8, typed("error", 1, number(4, 1))), field(8, typed("n", 2, number(5, 7))),
		field(8, typed("f", 3, double)), field(8, typed("blob", 4, field(7, []byte{1, 2, 3}))), field(8, str("s", "text")),
		field(9, field(1, number(1, 1_700_000_000)), field(2, str("event", "retry")), field(2, typed("n", 2, number(5, 2))), field(2, typed("b", 4, field(7, []byte{255})))),
	)
	process := field(2, field(1, []byte("web")), field(2, str("zone", "a")))
	return field(1, bytes.Repeat(span, n), process)
}

const protoWant = `blob=AQID f=0.5 mesh.duration_ns=250000000 n=7 parent_span_id=0000000000000001 record.kind=span s=text service.name=web span.binary=blob ` +
	`span.events=[{"time":1700000000000000000,"name":"retry","attributes":{"n":2,"b":{"base64":"/w=="}}}] span.kind=client ` +
	`span.links=[{"traceId":"00000000000000000000000000000007","spanId":"0000000000000009","attributes":{"opentracing.ref_type":"follows_from"}}] ` +
	`span.name=get span.resource=service.name,zone span.status=error span_id=0000000000000002 trace_flags=01 trace_id=00000000000000000000000000000007 zone=a`

func TestProto(t *testing.T) {
	set := receive.NewSet()
	defer set.Release()
	if err := decodeProto(protoSpans(1), set, receive.Limits{}.WithDefaults()); err != nil || len(set.Raws) != 1 {
		t.Fatal(err, len(set.Raws))
	}
	if got := receivetest.Fields(&set.Raws[0]); got != protoWant || set.Raws[0].Time != 1_700_000_000_000_005_000 {
		t.Errorf("got  %s\nwant %s", got, protoWant)
	}
}

func TestAllocations(t *testing.T) {
	lim := receive.Limits{}.WithDefaults()
	body, batch := protoSpans(200), captured(t, "jaeger-client-go.http.thrift")
	t.Run("protobuf", func(t *testing.T) {
		receivetest.Allocates(t, 100, 200, func(set *receive.Set) error { return decodeProto(body, set, lim) })
	})
	t.Run("thrift", func(t *testing.T) {
		receivetest.Allocates(t, 100, 198, func(set *receive.Set) error {
			for range 66 {
				r := thrift.Binary(batch)
				if err := decodeThrift(&r, set, lim); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func FuzzSpans(f *testing.F) {
	f.Add(protoSpans(2), byte(0))
	f.Add(captured(f, "jaeger-client-go.http.thrift"), byte(1))
	f.Add(captured(f, "jaeger-client-go.udp.compact"), byte(2))
	lim := receive.Limits{Items: 100, Depth: 8}.WithDefaults()
	f.Fuzz(func(t *testing.T, b []byte, form byte) {
		set := receive.NewSet()
		defer set.Release()
		var err error
		switch form % 4 {
		case 0:
			err = decodeProto(b, set, lim)
		case 1:
			r := thrift.Binary(b)
			err = decodeThrift(&r, set, lim)
		default:
			err = decodeDatagram(b, form%4 == 2, set, lim)
		}
		if err == nil {
			for i := range set.Raws {
				if !strings.Contains(receivetest.Fields(&set.Raws[i]), "record.kind=span") {
					t.Fatal("a record that is no span")
				}
			}
		}
	})
}

func BenchmarkSpans(b *testing.B) {
	lim := receive.Limits{}.WithDefaults()
	body, batch := protoSpans(1000), captured(b, "jaeger-client-go.http.thrift")
	b.Run("protobuf", func(b *testing.B) {
		receivetest.Decodes(b, len(body), 1000, func(set *receive.Set) error { return decodeProto(body, set, lim) })
	})
	b.Run("thrift", func(b *testing.B) {
		receivetest.Decodes(b, len(batch), 3, func(set *receive.Set) error {
			r := thrift.Binary(batch)
			return decodeThrift(&r, set, lim)
		})
	})
}

// TestUsualTags holds tags that are written as clients write them to what they are
// in any other order of their fields, and cut anywhere.
func TestUsualTags(t *testing.T) {
	key, text, whole := "\x0b\x00\x01\x00\x00\x00\x01k", "\x0b\x00\x03\x00\x00\x00\x02xy", "\x0a\x00\x06\xff\xff\xff\xff\xff\xff\xff\xfe"
	kind := func(n string) string { return "\x08\x00\x02\x00\x00\x00" + n }
	for _, f := range [][2]string{
		{key + kind("\x00") + text, text + kind("\x00") + key}, {key + kind("\x03") + whole, whole + key + kind("\x03")},
		{key + kind("\x00") + whole, whole + key + kind("\x00")}, {key + kind("\x00") + text + whole, whole + text + key + kind("\x00")},
	} {
		read := func(b string) (g tag, pos int, err error) {
			r := thrift.Binary([]byte(b))
			thriftTag(&r, &g)
			return g, r.Pos(), r.Err()
		}
		usual, at, err := read(f[0] + "\x00")
		other, end, err2 := read(f[1] + "\x00")
		if err != nil || err2 != nil || at != end || !reflect.DeepEqual(usual, other) {
			t.Errorf("%q: %+v to %d, want %+v to %d: %v %v", f[0], usual, at, other, end, err, err2)
		}
		for cut := range f[0] {
			if g, _, err := read(f[0][:cut]); err == nil {
				t.Errorf("%q is a tag: %+v", f[0][:cut], g)
			}
		}
	}
}
