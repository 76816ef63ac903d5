package otlp

import (
	"fmt"
	"strings"
	"testing"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
)

func text(k, v string) *common.KeyValue {
	return &common.KeyValue{Key: k, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: v}}}
}

func testSpans(n int) *coltrace.ExportTraceServiceRequest {
	scope := &trace.ScopeSpans{Scope: &common.InstrumentationScope{Name: "lib", Version: "1.2", Attributes: []*common.KeyValue{text("k", "v")}}}
	for i := range n {
		id := []byte{0, 0, 0, 0, 0, 0, byte(i >> 8), byte(i + 1)}
		scope.Spans = append(scope.Spans, &trace.Span{
			TraceId: append(make([]byte, 8), 1, 2, 3, 4, 5, 6, 7, 8), SpanId: id, ParentSpanId: []byte{0, 0, 0, 0, 0, 0, 9, 9},
			TraceState: "a=b", Name: "GET /", Kind: trace.Span_SPAN_KIND_SERVER, Flags: 0x101,
			StartTimeUnixNano: 1_700_000_000_000_000_000, EndTimeUnixNano: 1_700_000_000_250_000_000,
			Attributes: []*common.KeyValue{
				text("http.route", "/"),
				{Key: "n", Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: 7}}},
				{Key: "f", Value: &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: 0.5}}},
				{Key: "b", Value: &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: true}}},
				{Key: "list", Value: &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: []*common.AnyValue{text("", "x").Value}}}}},
			},
			DroppedAttributesCount: 2,
			Events:                 []*trace.Span_Event{{TimeUnixNano: 1_700_000_000_100_000_000, Name: "exception", Attributes: []*common.KeyValue{text("exception.type", "E"), {Key: "n", Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: 7}}}}}},
			Links:                  []*trace.Span_Link{{TraceId: append(make([]byte, 15), 5), SpanId: id, Attributes: []*common.KeyValue{text("why", "because")}}},
			Status:                 &trace.Status{Code: trace.Status_STATUS_CODE_ERROR, Message: "boom"},
		})
	}
	return &coltrace.ExportTraceServiceRequest{ResourceSpans: []*trace.ResourceSpans{{
		Resource:   &resource.Resource{Attributes: []*common.KeyValue{text("service.name", "web"), text("host.name", "h")}},
		ScopeSpans: []*trace.ScopeSpans{scope},
	}}}
}

const spanWant = `b=true f=0.5 host.name=h http.route=/ list=["x"] mesh.duration_ns=250000000 n=7 otel.dropped_attributes_count=2 ` +
	`otel.scope.name=lib otel.scope.version=1.2 parent_span_id=0000000000000909 record.kind=span scope.k=v service.name=web ` +
	`span.events=[{"time":1700000000100000000,"name":"exception","attributes":{"exception.type":"E","n":7}}] span.kind=server ` +
	`span.links=[{"traceId":"00000000000000000000000000000005","spanId":"0000000000000001","attributes":{"why":"because"}}] ` +
	`span.name=GET / span.resource=service.name,host.name span.status=error span.status_message=boom span.trace_state=a=b ` +
	`span_id=0000000000000001 trace_flags=01 trace_id=00000000000000000102030405060708`

func TestTraces(t *testing.T) {
	req := testSpans(1)
	protoBody, err := proto.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	for kind, body := range map[string][]byte{"application/x-protobuf": protoBody, "application/json": []byte(spansJSON)} {
		var in receivetest.Intake
		_, h := newHandler(t, &in)
		resp, got := receivetest.Call(h, "POST", "/v1/traces", body, "Content-Type: "+kind)
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != kind || kind == typeJSON && got != "{}" {
			t.Fatalf("%s: %d %q", kind, resp.StatusCode, got)
		}
		raws := in.Raws()
		if len(raws) != 1 || raws[0].Time != 1_700_000_000_000_000_000 || len(raws[0].Payload) != 0 {
			t.Fatalf("%s: %+v", kind, raws)
		}
		if got := receivetest.Fields(&raws[0]); got != spanWant {
			t.Errorf("%s:\ngot  %s\nwant %s", kind, got, spanWant)
		}
	}
}

const spansJSON = `{"resourceSpans":[{"scopeSpans":[{"spans":[{"spanId":"0000000000000001","traceId":"00000000000000000102030405060708",
"parentSpanId":"0000000000000909","traceState":"a=b","name":"GET /","kind":2,"flags":257,"startTimeUnixNano":"1700000000000000000",
"endTimeUnixNano":1700000000250000000,"attributes":[{"key":"http.route","value":{"stringValue":"/"}},{"key":"n","value":{"intValue":"7"}},
{"key":"f","value":{"doubleValue":0.5}},{"key":"b","value":{"boolValue":true}},{"key":"list","value":{"arrayValue":{"values":[{"stringValue":"x"}]}}}],
"droppedAttributesCount":2,"unknown":[1,{"a":null}],"events":[{"name":"exception","timeUnixNano":"1700000000100000000",
"attributes":[{"key":"exception.type","value":{"stringValue":"E"}},{"key":"n","value":{"intValue":7}}]}],
"links":[{"traceId":"00000000000000000000000000000005","spanId":"0000000000000001","attributes":[{"key":"why","value":{"stringValue":"because"}}]}],
"status":{"code":2,"message":"boom"}}],"scope":{"name":"lib","version":"1.2","attributes":[{"key":"k","value":{"stringValue":"v"}}]}}],
"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"web"}},{"key":"host.name","value":{"stringValue":"h"}}]}}]}`

// TestTracesPartial holds that a bad span is told of and spoils no other.
func TestTracesPartial(t *testing.T) {
	req := testSpans(3)
	req.ResourceSpans[0].ScopeSpans[0].Spans[1].TraceId = nil
	body, _ := proto.Marshal(req)
	var in receivetest.Intake
	_, h := newHandler(t, &in)
	_, got := receivetest.Call(h, "POST", "/v1/traces", body, "Content-Type: application/x-protobuf")
	var answer coltrace.ExportTraceServiceResponse
	if err := proto.Unmarshal([]byte(got), &answer); err != nil || answer.GetPartialSuccess().GetRejectedSpans() != 1 || len(in.Raws()) != 2 {
		t.Errorf("%v, %v, %d kept", err, &answer, len(in.Raws()))
	}
	_, got = receivetest.Call(h, "POST", "/v1/traces", []byte(strings.Replace(spansJSON, "0000000000000001", "xx", 1)), "Content-Type: application/json")
	if want := `{"partialSuccess":{"rejectedSpans":"1"`; !strings.HasPrefix(got, want) {
		t.Errorf("%s", got)
	}
}

func TestTracesAllocations(t *testing.T) {
	body, _ := proto.Marshal(testSpans(200))
	lim := receive.Limits{}.WithDefaults()
	receivetest.Allocates(t, 30, 200, func(set *receive.Set) error { return decodeTraces(body, false, set, lim) })
}

func FuzzTraces(f *testing.F) {
	body, _ := proto.Marshal(testSpans(2))
	f.Add(body, false)
	f.Add([]byte(spansJSON), true)
	lim := receive.Limits{Items: 100, Depth: 8}.WithDefaults()
	f.Fuzz(func(t *testing.T, b []byte, isJSON bool) {
		set := receive.NewSet()
		defer set.Release()
		if decodeTraces(b, isJSON, set, lim) == nil {
			for i := range set.Raws {
				if fmt.Sprint(set.Raws[i].Attrs[0].Value.Str) != "span" {
					t.Fatal("a record that is no span")
				}
			}
		}
	})
}

func BenchmarkTraces(b *testing.B) {
	body, _ := proto.Marshal(testSpans(1000))
	lim := receive.Limits{}.WithDefaults()
	receivetest.Decodes(b, len(body), 1000, func(set *receive.Set) error { return decodeTraces(body, false, set, lim) })
}
