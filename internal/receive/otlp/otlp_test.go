package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
	"github.com/meshtrail/meshtrail/internal/record"
)

func newHandler(t testing.TB, in pipeline.Intake) (*Receiver, http.Handler) {
	t.Helper()
	o, err := New(Config{}, receive.Shared{Intake: in})
	if err != nil {
		t.Fatal(err)
	}
	return o, receivetest.Handler(o.Routes())
}

func show(raws []record.Raw) string {
	var b strings.Builder
	for _, r := range raws {
		fmt.Fprintf(&b, "%d %q", r.Time, r.Payload)
		if r.JSON {
			b.WriteString(" JSON")
		}
		for _, a := range r.Attrs {
			fmt.Fprintf(&b, " %s=%d:%q", a.Name, a.Value.Kind, a.Value.Text())
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func str(s string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: s}}
}

func kv(k string, v *common.AnyValue) *common.KeyValue { return &common.KeyValue{Key: k, Value: v} }

func integer(n int64) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: n}}
}

func double(f float64) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: f}}
}

func list(vs ...*common.AnyValue) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: vs}}}
}

func kvlist(kvs ...*common.KeyValue) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_KvlistValue{KvlistValue: &common.KeyValueList{Values: kvs}}}
}

func request(records ...*logs.LogRecord) *collogs.ExportLogsServiceRequest {
	return &collogs.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{
		Resource:  &resource.Resource{Attributes: []*common.KeyValue{kv("service.name", str("cart"))}},
		ScopeLogs: []*logs.ScopeLogs{{Scope: &common.InstrumentationScope{Name: "lib", Version: "1"}, LogRecords: records}},
	}}}
}

func full() *collogs.ExportLogsServiceRequest {
	return request(
		&logs.LogRecord{
			TimeUnixNano: 5, ObservedTimeUnixNano: 9, SeverityNumber: 9, SeverityText: "INFO", Body: str("hel\"lo\n"),
			Attributes: []*common.KeyValue{
				kv("n", integer(-7)), kv("f", double(1.5)), kv("b", &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: true}}),
				kv("bytes", &common.AnyValue{Value: &common.AnyValue_BytesValue{BytesValue: []byte{0xff, 0}}}),
				kv("list", list(integer(1), str("x"), list(), kvlist(kv("k", double(math.Inf(1)))))), kv("none", nil), kv("empty", str("")),
			},
			DroppedAttributesCount: 3, Flags: 1, TraceId: []byte("0123456789abcdef"), SpanId: []byte("01234567"), EventName: "ev",
		},
		&logs.LogRecord{ObservedTimeUnixNano: 9, Body: kvlist(kv("msg", str("m")), kv("n", integer(1))), TraceId: make([]byte, 16)},
		&logs.LogRecord{Body: list(integer(1))},
		&logs.LogRecord{Body: integer(42)},
		&logs.LogRecord{},
	)
}

const fullWant = `5 "hel\"lo\n" service.name=1:"cart" otel.scope.name=1:"lib" otel.scope.version=1:"1" n=2:"-7" f=3:"1.5" b=4:"true" bytes=1:"/wA=" list=1:"[1,\"x\",[],{\"k\":\"+Inf\"}]" empty=1:"" severity_text=1:"INFO" severity_number=2:"9" trace_id=1:"30313233343536373839616263646566" span_id=1:"3031323334353637" trace_flags=2:"1" event_name=1:"ev" otel.dropped_attributes_count=2:"3"
9 "{\"msg\":\"m\",\"n\":1}" JSON service.name=1:"cart" otel.scope.name=1:"lib" otel.scope.version=1:"1"
0 "[1]" service.name=1:"cart" otel.scope.name=1:"lib" otel.scope.version=1:"1"
0 "42" service.name=1:"cart" otel.scope.name=1:"lib" otel.scope.version=1:"1"
0 "" service.name=1:"cart" otel.scope.name=1:"lib" otel.scope.version=1:"1"
`

// otlpJSON renders a request as OTLP's JSON: protojson, but with ids in hex.
func otlpJSON(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := protojson.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	s := strings.NewReplacer(`"MDEyMzQ1Njc4OWFiY2RlZg=="`, `"30313233343536373839616263646566"`, `"MDEyMzQ1Njc="`, `"3031323334353637"`,
		`"AAAAAAAAAAAAAAAAAAAAAA=="`, `"00000000000000000000000000000000"`, `"SEVERITY_NUMBER_INFO"`, `9`).Replace(string(b))
	return []byte(s)
}

func TestBothFormsReadTheSame(t *testing.T) {
	pb, err := proto.Marshal(full())
	if err != nil {
		t.Fatal(err)
	}
	f := func(kind string, body []byte) {
		t.Helper()
		in := &receivetest.Intake{}
		_, h := newHandler(t, in)
		resp, got := receivetest.Call(h, "POST", "/v1/logs", body, "Content-Type: "+kind)
		want := ""
		if kind == typeJSON {
			want = "{}"
		}
		if resp.StatusCode != 200 || got != want || resp.Header.Get("Content-Type") != kind {
			t.Errorf("%s: %d %q %q", kind, resp.StatusCode, resp.Header.Get("Content-Type"), got)
		}
		if got := show(in.Raws()); got != fullWant {
			t.Errorf("%s: records\n got %s\nwant %s", kind, got, fullWant)
		}
	}
	f(typeProto, pb)
	f(typeJSON, otlpJSON(t, full()))
}

func TestJSONShapes(t *testing.T) {
	f := func(name, body string, code int, answer, want string) {
		t.Helper()
		in := &receivetest.Intake{}
		_, h := newHandler(t, in)
		resp, got := receivetest.Call(h, "POST", "/v1/logs", []byte(body), "Content-Type: application/json; charset=utf-8")
		if resp.StatusCode != code || got != answer {
			t.Errorf("%s: %d %q, want %d %q", name, resp.StatusCode, got, code, answer)
		}
		if got := show(in.Raws()); got != want {
			t.Errorf("%s: records\n got %s\nwant %s", name, got, want)
		}
	}
	wrap := func(records string) string {
		return `{"resourceLogs":[{"scopeLogs":[{"logRecords":[` + records + `],"schemaUrl":"x"}],"resource":{"attributes":[{"value":{"stringValue":"c\u0061rt"},"key":"s"}],"x":{}}}],"extra":null}`
	}
	f("any order, unknown members, null", wrap(`{"new":[{}],"timeUnixNano":5,"body":{"intValue":"12"},"severityText":null,"traceId":"ABCDEF0123456789ABCDEF0123456789"}`), 200, "{}",
		`5 "12" s=1:"cart" trace_id=1:"abcdef0123456789abcdef0123456789"`+"\n")
	f("empty", `{}`, 200, "{}", "")
	f("bad records keep the others", wrap(`{"timeUnixNano":"x"},{"body":{"stringValue":"good"}},{"traceId":"zz"},{"body":[]}`), 200,
		`{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"JSON at byte 65: expected an unsigned integer"}}`, "0 \"good\" s=1:\"cart\"\n")
	f("deep record keeps the others", wrap(`{"body":`+strings.Repeat(`{"arrayValue":{"values":[`, 5000)+strings.Repeat(`]}}`, 5000)+`},{"body":{"stringValue":"good"}}`), 200,
		`{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"JSON at byte 528: nested deeper than 64"}}`, "0 \"good\" s=1:\"cart\"\n")
	f("torn", `{"resourceLogs":[{"scopeLogs":[`, 400, `{"code":3,"message":"JSON at byte 31: container without an end"}`, "")
	f("not JSON", `hello`, 400, `{"code":3,"message":"JSON at byte 0: expected an object"}`, "")
}

// TestLevelOfTheNumber names the severity of a record that has only its number.
func TestLevelOfTheNumber(t *testing.T) {
	for number, want := range map[int64]string{-1: "", 0: "", 1: "trace", 8: "debug", 9: "info", 13: "warn", 17: "error", 20: "error", 24: "fatal", 25: ""} {
		for text, level := range map[string]string{"": want, "Oops": ""} {
			in := &receivetest.Intake{}
			_, h := newHandler(t, in)
			body := fmt.Sprintf(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":%d,"severityText":%q}]}]}]}`, number, text)
			resp, answer := receivetest.Call(h, "POST", "/v1/logs", []byte(body), "Content-Type: application/json")
			if raws := in.Raws(); resp.StatusCode != 200 || len(raws) != 1 || raws[0].Level != level {
				t.Errorf("%d %q: %d %s, %v, want level %q", number, text, resp.StatusCode, answer, raws, level)
			}
		}
	}
}

func TestProtoRejections(t *testing.T) {
	deep := str("x")
	for range 100 {
		deep = list(deep)
	}
	body, _ := proto.Marshal(request(&logs.LogRecord{Body: str("one")}, &logs.LogRecord{Body: deep}, &logs.LogRecord{Body: str("two")}))
	in := &receivetest.Intake{Refuse: func(r *record.Raw) (string, string) {
		if string(r.Payload) == "two" {
			return "too_large", "big"
		}
		return "", ""
	}}
	_, h := newHandler(t, in)
	resp, got := receivetest.Call(h, "POST", "/v1/logs", body, "Content-Type: application/x-protobuf")
	var out collogs.ExportLogsServiceResponse
	if err := proto.Unmarshal([]byte(got), &out); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%d %v", resp.StatusCode, err)
	}
	if p := out.PartialSuccess; p.GetRejectedLogRecords() != 2 || p.GetErrorMessage() != "a value is nested deeper than 64" {
		t.Errorf("partial success %v", p)
	}
	if n := len(in.Raws()); n != 2 {
		t.Errorf("%d records handed in, want 2", n)
	}
	if c := in.Requests()[0].Rejected; len(c) != 1 || c[0] != (record.Count{Name: "too_deep", N: 1}) {
		t.Errorf("rejected %v", c)
	}
}

func TestFailures(t *testing.T) {
	body, _ := proto.Marshal(full())
	f := func(name string, ingest error, kind string, code int, retry, answer string) {
		t.Helper()
		in := &receivetest.Intake{Before: func(context.Context, *pipeline.Request) error { return ingest }}
		_, h := newHandler(t, in)
		b := body
		if kind == typeJSON {
			b = otlpJSON(t, full())
		}
		resp, got := receivetest.Call(h, "POST", "/v1/logs", b, "Content-Type: "+kind)
		if resp.StatusCode != code || resp.Header.Get("Retry-After") != retry || got != answer {
			t.Errorf("%s: %d retry %q %q", name, resp.StatusCode, resp.Header.Get("Retry-After"), got)
		}
	}
	f("overload", fault.Errorf(fault.Overload, "full"), typeProto, 503, "1", "\x08\x0e\x12\x04full")
	f("overload", fault.Errorf(fault.Overload, "full"), typeJSON, 503, "1", `{"code":14,"message":"full"}`)
	f("bug", errors.New("secret"), typeJSON, 503, "5", `{"code":14,"message":"the request could not be kept (internal); send it again later"}`)
	f("content type", nil, "text/plain", 415, "", "\b\x03\x12Pcontent type \"text/plain\" is neither application/x-protobuf nor application/json")
}

func TestEncodingsAndBadBodies(t *testing.T) {
	pb, _ := proto.Marshal(full())
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	w.Write(pb)
	w.Close()
	enc, _ := zstd.NewWriter(nil)
	o, h := newHandler(t, &receivetest.Intake{})
	f := func(name string, body []byte, encoding string, code int) {
		t.Helper()
		resp, got := receivetest.Call(h, "POST", "/v1/logs", body, "Content-Encoding: "+encoding, "Content-Type: application/x-protobuf")
		if resp.StatusCode != code || o.inlet.Bodies.Held() != 0 {
			t.Errorf("%s: %d %q, %d bytes held", name, resp.StatusCode, got, o.inlet.Bodies.Held())
		}
	}
	f("gzip", gz.Bytes(), "gzip", 200)
	f("zstd", enc.EncodeAll(pb, nil), "zstd", 200)
	f("empty", nil, "", 200)
	f("torn", pb[:len(pb)-3], "", 400)
	f("text", []byte("hello"), "", 400)
	bomb := enc.EncodeAll(make([]byte, 70<<20), nil)
	f("zstd bomb", bomb, "zstd", 413)
	f("attribute bomb", attributeBomb(3, 1<<17), "", 200) // each record refused for itself
	f("attribute bomb of many records", attributeBomb(700, 4000), "", 413)
}

// attributeBomb is records with attributes of nine bytes.
func attributeBomb(records, attributes int) []byte {
	m := func(num protowire.Number, b []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), b)
	}
	attr := m(6, append(m(1, []byte("a")), m(2, []byte{2 << 3, 1})...))
	return m(1, m(2, bytes.Repeat(m(2, bytes.Repeat(attr, attributes)), records)))
}

func BenchmarkProto(b *testing.B) {
	records := make([]*logs.LogRecord, 2000)
	for i := range records {
		records[i] = &logs.LogRecord{
			TimeUnixNano: uint64(i), SeverityNumber: 9, SeverityText: "INFO", Body: str(strings.Repeat("m", 300)), TraceId: []byte("0123456789abcdef"), SpanId: []byte("01234567"),
			Attributes: []*common.KeyValue{kv("http.response.status_code", integer(200)), kv("url.path", str("/api/v1/items")), kv("http.request.method", str("GET")), kv("mesh_duration_ns", integer(12))},
		}
	}
	body, _ := proto.Marshal(request(records...))
	lim := receive.Limits{}.WithDefaults()
	receivetest.Decodes(b, len(body), len(records), func(set *receive.Set) error {
		d := decoder{set: set, lim: lim}
		return d.proto(body)
	})
}

func TestAllocations(t *testing.T) {
	records := make([]*logs.LogRecord, 1000)
	for i := range records {
		records[i] = &logs.LogRecord{Body: str("line"), TraceId: []byte("0123456789abcdef"), Attributes: []*common.KeyValue{kv("a", integer(200)), kv("b", kvlist(kv("c", str("d"))))}}
	}
	body, _ := proto.Marshal(request(records...))
	lim := receive.Limits{}.WithDefaults()
	receivetest.Allocates(t, 12, len(records), func(set *receive.Set) error {
		d := decoder{set: set, lim: lim}
		return d.proto(body)
	})
}

func FuzzProto(f *testing.F) {
	b, _ := proto.Marshal(full())
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		set := receive.NewSet()
		defer set.Release()
		d := decoder{set: set, lim: receive.Limits{}.WithDefaults()}
		if d.proto(b) == nil {
			show(set.Raws)
		}
		// Whatever the official decoder takes, ours takes.
		var m collogs.ExportLogsServiceRequest
		if proto.Unmarshal(b, &m) == nil {
			n := 0
			for _, r := range m.ResourceLogs {
				for _, s := range r.ScopeLogs {
					n += len(s.LogRecords)
				}
			}
			if n != set.Total() {
				t.Fatalf("%d records, want %d", set.Total(), n)
			}
		}
	})
}

func FuzzJSON(f *testing.F) {
	f.Add(otlpJSON(f, full()))
	f.Add([]byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"kvlistValue":{"values":[{"value":{"arrayValue":{}},"key":"\u00e9"}]}}}]}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		set := receive.NewSet()
		defer set.Release()
		d := decoder{set: set, lim: receive.Limits{}.WithDefaults()}
		if d.json(b) == nil {
			show(set.Raws)
		}
	})
}
