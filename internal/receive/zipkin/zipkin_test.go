package zipkin

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
)

func handler(t testing.TB, in *receivetest.Intake) http.Handler {
	t.Helper()
	z, err := New(Config{}, receive.Shared{Intake: in})
	if err != nil {
		t.Fatal(err)
	}
	return receivetest.Handler(z.Routes())
}

// spanJSON is the span of Zipkin's API documentation (zipkin2-api.yaml), with
// more of what a span may hold.
const spanJSON = `{"id":"352bff9a74ca9ad2","traceId":"5af7183fb1d4cf5f","parentId":"6b221d5bc9e6496c","name":"get /api",
"timestamp":1556604172355737,"duration":1431,"kind":"SERVER","shared":true,"debug":true,
"localEndpoint":{"serviceName":"backend","ipv4":"192.168.99.1","port":3306},
"remoteEndpoint":{"serviceName":"frontend","ipv4":"172.19.0.2","ipv6":"::1","port":58648},
"annotations":[{"timestamp":1556604172355800,"value":"wr"}],
"tags":{"http.method":"GET","error":"boom","n":7,"http.path":"/api"}}`

const spanWant = `error=boom http.method=GET http.path=/api mesh.duration_ns=1431000 n=7 network.local.address=192.168.99.1 network.local.port=3306 ` +
	`network.peer.address=172.19.0.2 network.peer.port=58648 parent_span_id=6b221d5bc9e6496c peer.service=frontend record.kind=span ` +
	`service.name=backend span.events=[{"time":1556604172355800000,"name":"wr"}] span.kind=server span.name=get /api ` +
	`span.resource=service.name,network.local.address,network.local.port span.shared=true span.status=error span.status_message=boom ` +
	`span_id=352bff9a74ca9ad2 trace_id=00000000000000005af7183fb1d4cf5f zipkin.debug=true zipkin.remote.ipv6=::1`

func field(num protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), v)
}

func number(num protowire.Number, n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), n)
}

func fixed(num protowire.Number, n uint64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(nil, num, protowire.Fixed64Type), n)
}

func joined(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func spanProto() []byte {
	local := joined(field(1, []byte("backend")), field(2, []byte{192, 168, 99, 1}), number(4, 3306))
	remote := joined(field(1, []byte("frontend")), field(2, []byte{172, 19, 0, 2}), field(3, append(make([]byte, 15), 1)), number(4, 58648))
	tag := func(k, v string) []byte { return field(11, joined(field(1, []byte(k)), field(2, []byte(v)))) }
	return field(1, joined(
		field(1, []byte{0x5a, 0xf7, 0x18, 0x3f, 0xb1, 0xd4, 0xcf, 0x5f}), field(2, []byte{0x6b, 0x22, 0x1d, 0x5b, 0xc9, 0xe6, 0x49, 0x6c}),
		field(3, []byte{0x35, 0x2b, 0xff, 0x9a, 0x74, 0xca, 0x9a, 0xd2}), number(4, 2), field(5, []byte("get /api")),
		fixed(6, 1556604172355737), number(7, 1431), field(8, local), field(9, remote),
		field(10, joined(fixed(1, 1556604172355800), field(2, []byte("wr")))),
		tag("http.method", "GET"), tag("error", "boom"), tag("n", "7"), tag("http.path", "/api"), number(12, 1), number(13, 1)))
}

func TestVersion2(t *testing.T) {
	f := func(name, path, kind string, body []byte) {
		t.Helper()
		var in receivetest.Intake
		resp, text := receivetest.Call(handler(t, &in), "POST", path, body, "Content-Type: "+kind)
		if resp.StatusCode != 202 || text != "" {
			t.Fatalf("%s: %d %q", name, resp.StatusCode, text)
		}
		raws := in.Raws()
		if len(raws) != 1 || raws[0].Time != 1556604172355737000 {
			t.Fatalf("%s: %+v", name, raws)
		}
		if got := receivetest.Fields(&raws[0]); got != spanWant {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, spanWant)
		}
	}
	f("JSON", "/api/v2/spans", "application/json", []byte("["+spanJSON+"]"))
	f("no type", "/zipkin/api/v2/spans", "", []byte(" ["+spanJSON+"]"))
	f("protobuf", "/api/v2/spans", "application/x-protobuf", spanProto())
}

// rpcV1 is a span of version 1 that both sides reported.
const rpcV1 = `[{"traceId":"0000000000000001","id":"2","parentId":"1","name":"get","timestamp":1472470996199000,"duration":207000,
"annotations":[
{"timestamp":1472470996199000,"value":"cs","endpoint":{"serviceName":"frontend","ipv4":"127.0.0.1"}},
{"timestamp":1472470996238000,"value":"ws","endpoint":{"serviceName":"frontend","ipv4":"127.0.0.1"}},
{"timestamp":1472470996250000,"value":"sr","endpoint":{"serviceName":"backend","ipv4":"192.168.99.101","port":9000}},
{"timestamp":1472470996350000,"value":"ss","endpoint":{"serviceName":"backend","ipv4":"192.168.99.101","port":9000}},
{"timestamp":1472470996406000,"value":"cr","endpoint":{"serviceName":"frontend","ipv4":"127.0.0.1"}}],
"binaryAnnotations":[
{"key":"http.path","value":"/api","endpoint":{"serviceName":"frontend","ipv4":"127.0.0.1"}},
{"key":"http.status","value":200,"endpoint":{"serviceName":"backend","ipv4":"192.168.99.101","port":9000}},
{"key":"ca","value":true,"endpoint":{"serviceName":"frontend","ipv4":"127.0.0.1"}},
{"key":"sa","value":true,"endpoint":{"serviceName":"backend","ipv4":"192.168.99.101","port":9000}}]}]`

var rpcWant = []string{
	`http.path=/api mesh.duration_ns=207000000 network.local.address=127.0.0.1 network.peer.address=192.168.99.101 network.peer.port=9000 ` +
		`parent_span_id=0000000000000001 peer.service=backend record.kind=span service.name=frontend span.events=[{"time":1472470996238000000,"name":"ws"}] ` +
		`span.kind=client span.name=get span.resource=service.name,network.local.address span_id=0000000000000002 trace_id=00000000000000000000000000000001`,
	`http.status=200 mesh.duration_ns=100000000 network.local.address=192.168.99.101 network.local.port=9000 network.peer.address=127.0.0.1 ` +
		`parent_span_id=0000000000000001 peer.service=frontend record.kind=span service.name=backend ` +
		`span.kind=server span.name=get span.resource=service.name,network.local.address,network.local.port span.shared=true span_id=0000000000000002 ` +
		`trace_id=00000000000000000000000000000001`,
}

func TestVersion1(t *testing.T) {
	for kind, body := range map[string][]byte{"application/json": []byte(rpcV1), "application/x-thrift": rpcThrift()} {
		var in receivetest.Intake
		resp, text := receivetest.Call(handler(t, &in), "POST", "/api/v1/spans", body, "Content-Type: "+kind)
		raws := in.Raws()
		if resp.StatusCode != 202 || len(raws) != 2 {
			t.Fatalf("%s: %d %q, %d spans", kind, resp.StatusCode, text, len(raws))
		}
		for i, want := range rpcWant {
			if got := receivetest.Fields(&raws[i]); got != want {
				t.Errorf("%s, span %d:\ngot  %s\nwant %s", kind, i, got, want)
			}
		}
		if raws[1].Time != 1472470996250000000 {
			t.Errorf("the server's half begins at %d", raws[1].Time)
		}
	}
}

// rpcThrift is rpcV1 in Thrift's binary protocol (zipkinCore.thrift).
func rpcThrift() []byte {
	str := func(id byte, s string) []byte {
		return joined([]byte{11, 0, id}, binary.BigEndian.AppendUint32(nil, uint32(len(s))), []byte(s))
	}
	i64 := func(id byte, n int64) []byte {
		return joined([]byte{10, 0, id}, binary.BigEndian.AppendUint64(nil, uint64(n)))
	}
	list := func(id byte, elems ...[]byte) []byte {
		return joined([]byte{15, 0, id, 12}, binary.BigEndian.AppendUint32(nil, uint32(len(elems))), joined(elems...))
	}
	host := func(id byte, service string, ip [4]byte, port uint16) []byte {
		return joined([]byte{12, 0, id, 8, 0, 1}, ip[:], []byte{6, 0, 2}, binary.BigEndian.AppendUint16(nil, port), str(3, service), []byte{0})
	}
	front := func(id byte) []byte { return host(id, "frontend", [4]byte{127, 0, 0, 1}, 0) }
	back := func(id byte) []byte { return host(id, "backend", [4]byte{192, 168, 99, 101}, 9000) }
	at := func(ts int64, v string, h []byte) []byte { return joined(i64(1, ts), str(2, v), h, []byte{0}) }
	kv := func(k, v string, kind byte, h []byte) []byte {
		return joined(str(1, k), str(2, v), []byte{8, 0, 3, 0, 0, 0, kind}, h, []byte{0})
	}
	span := joined(i64(1, 1), str(3, "get"), i64(4, 2), i64(5, 1),
		list(6, at(1472470996199000, "cs", front(3)), at(1472470996238000, "ws", front(3)), at(1472470996250000, "sr", back(3)),
			at(1472470996350000, "ss", back(3)), at(1472470996406000, "cr", front(3))),
		list(8, kv("http.path", "/api", 6, front(4)), kv("http.status", "\x00\x00\x00\xc8", 3, back(4)), kv("ca", "\x01", 0, front(4)), kv("sa", "\x01", 0, back(4))),
		[]byte{2, 0, 9, 0}, i64(10, 1472470996199000), i64(11, 207000), []byte{0})
	return joined([]byte{12, 0, 0, 0, 1}, span)
}

func TestAnswers(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write([]byte("[" + spanJSON + "]"))
	z.Close()
	v1 := []byte(`[{"traceId":"1","id":"1","name":"x","binaryAnnotations":[]}]`)
	long91 := joined(field(1, []byte{15: 1}), field(3, []byte{7: 2}))
	long91 = field(1, append(long91, field(5, bytes.Repeat([]byte("n"), '['-len(long91)-2))...))
	if string(long91[:2]) != "\n[" {
		t.Fatalf("the list begins with %q", long91[:2])
	}
	for _, c := range []struct {
		name, path, kind, encoding string
		body                       []byte
		code                       int
		text                       string
		kept                       int
	}{
		{"empty", "/api/v2/spans", "application/json", "", nil, 202, "", 0},
		{"an empty list", "/api/v2/spans", "application/json", "", []byte("[]"), 202, "", 0},
		{"gzip", "/api/v2/spans", "application/json", "x-gzip", zipped.Bytes(), 202, "", 1},
		{"not gzip", "/api/v2/spans", "application/json", "gzip", []byte("[]"), 400, "Cannot gunzip spans\n", 0},
		{"not a list", "/api/v2/spans", "application/json", "", []byte(spanJSON), 400, "Expected a JSON_V2 encoded list\n", 0},
		{"v1 as v2", "/api/v2/spans", "application/json", "", v1, 400, "Expected a JSON_V2 encoded list, but received: JSON_V1\n", 0},
		{"v2 as v1", "/api/v1/spans", "application/json", "", []byte("[" + spanJSON + "]"), 400, "Expected a JSON_V1 encoded list, but received: JSON_V2\n", 0},
		{"JSON as protobuf", "/api/v2/spans", "application/x-protobuf", "", []byte("[" + spanJSON + "]"), 400, "Expected a PROTO3 encoded list, but received: JSON_V2\n", 0},
		{"protobuf whose length reads as [", "/api/v2/spans", "application/x-protobuf", "", long91, 202, "", 1},
		{"a bad id", "/api/v2/spans", "application/json", "", []byte(`[{"traceId":"xyz","id":"1"},` + spanJSON + "]"), 202, "", 1},
		{"no id", "/api/v2/spans", "application/json", "", []byte(`[{"traceId":"1"},` + spanJSON + "]"), 202, "", 1},
		{"a bad span", "/api/v2/spans", "application/json", "", []byte(`[{"traceId":7},` + spanJSON + "]"), 202, "", 1},
	} {
		var in receivetest.Intake
		resp, text := receivetest.Call(handler(t, &in), "POST", c.path, c.body, "Content-Type: "+c.kind, "Content-Encoding: "+c.encoding)
		if resp.StatusCode != c.code || text != c.text || len(in.Raws()) != c.kept {
			t.Errorf("%s: %d %q, %d kept", c.name, resp.StatusCode, text, len(in.Raws()))
		}
	}
}

func TestAllocations(t *testing.T) {
	lim := receive.Limits{}.WithDefaults()
	for form, body := range map[format][]byte{
		jsonV2: []byte("[" + strings.Repeat(spanJSON+",", 199) + spanJSON + "]"),
		proto3: bytes.Repeat(spanProto(), 200),
	} {
		t.Run(string(form), func(t *testing.T) {
			receivetest.Allocates(t, 30, 200, func(set *receive.Set) error { return decodeSpans(body, form, set, lim) })
		})
	}
}

func FuzzSpans(f *testing.F) {
	f.Add([]byte("["+spanJSON+"]"), byte(0))
	f.Add(spanProto(), byte(1))
	f.Add([]byte(rpcV1), byte(2))
	f.Add(rpcThrift(), byte(3))
	lim := receive.Limits{Items: 100, Depth: 8}.WithDefaults()
	forms := []format{jsonV2, proto3, jsonV1, thrift}
	f.Fuzz(func(t *testing.T, b []byte, form byte) {
		set := receive.NewSet()
		defer set.Release()
		if decodeSpans(b, forms[int(form)%len(forms)], set, lim) == nil {
			for i := range set.Raws {
				if !strings.Contains(receivetest.Fields(&set.Raws[i]), "record.kind=span") {
					t.Fatal(fmt.Sprint("a record that is no span: ", set.Raws[i]))
				}
			}
		}
	})
}

func BenchmarkSpans(b *testing.B) {
	lim := receive.Limits{}.WithDefaults()
	for form, body := range map[format][]byte{
		jsonV2: []byte("[" + strings.Repeat(spanJSON+",", 999) + spanJSON + "]"),
		proto3: bytes.Repeat(spanProto(), 1000),
	} {
		b.Run(string(form), func(b *testing.B) {
			receivetest.Decodes(b, len(body), 1000, func(set *receive.Set) error { return decodeSpans(body, form, set, lim) })
		})
	}
}
