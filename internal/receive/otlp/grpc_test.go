package otlp

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	otellog "go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	rpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
	"github.com/meshtrail/meshtrail/internal/record"
)

// serve runs the receiver on a port of its own, HTTP/1.1 and HTTP/2 without TLS.
func serve(t *testing.T, in pipeline.Intake) (addr string, conn *grpc.ClientConn) {
	t.Helper()
	_, h := newHandler(t, in)
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	addr = s.Listener.Addr().String()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); s.Close() })
	return addr, conn
}

// exporters are those of the OpenTelemetry SDK for Go.
func exporters(t *testing.T, addr string) map[string]sdklog.Exporter {
	t.Helper()
	g, err := otlploggrpc.New(t.Context(), otlploggrpc.WithEndpoint(addr), otlploggrpc.WithInsecure(), otlploggrpc.WithCompressor("gzip"),
		otlploggrpc.WithRetry(otlploggrpc.RetryConfig{Enabled: true, InitialInterval: time.Millisecond, MaxInterval: time.Second, MaxElapsedTime: 20 * time.Second}))
	if err != nil {
		t.Fatal(err)
	}
	h, err := otlploghttp.New(t.Context(), otlploghttp.WithEndpoint(addr), otlploghttp.WithInsecure(), otlploghttp.WithCompression(otlploghttp.GzipCompression),
		otlploghttp.WithRetry(otlploghttp.RetryConfig{Enabled: true, InitialInterval: time.Millisecond, MaxInterval: time.Second, MaxElapsedTime: 20 * time.Second}))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]sdklog.Exporter{"grpc": g, "http": h}
}

// TestTheSDKLosesNothing sends records with the real exporters while every
// second request is refused for now.
func TestTheSDKLosesNothing(t *testing.T) {
	var calls atomic.Int64
	in := &receivetest.Intake{Before: func(context.Context, *pipeline.Request) error {
		if calls.Add(1)%2 == 1 {
			return fault.Errorf(fault.Overload, "full")
		}
		return nil
	}}
	addr, _ := serve(t, in)
	for name, exporter := range exporters(t, addr) {
		before := len(in.Raws())
		p := sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewBatchProcessor(exporter, sdklog.WithExportMaxBatchSize(100), sdklog.WithMaxQueueSize(500))))
		l := p.Logger("scope")
		for i := range 100 {
			var r otellog.Record
			r.SetTimestamp(time.Unix(1_772_000_000, int64(i)))
			r.SetSeverity(otellog.SeverityWarn)
			r.SetBody(attribute.StringValue(fmt.Sprintf("%s %d", name, i)))
			r.AddAttributes(attribute.Int("n", i), attribute.String("k", "v"))
			l.Emit(t.Context(), r)
		}
		if err := p.Shutdown(t.Context()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		seen := map[string]int{}
		for _, r := range in.Raws()[before:] {
			seen[string(r.Payload)]++
			if f := receivetest.Fields(&r); !strings.Contains(f, "k=v") || !strings.Contains(f, "otel.scope.name=scope") || r.Time < 1_772_000_000e9 {
				t.Fatalf("%s: %d %s", name, r.Time, f)
			}
		}
		for i := range 100 {
			if seen[fmt.Sprintf("%s %d", name, i)] != 1 {
				t.Errorf("%s: record %d is there %d times", name, i, seen[fmt.Sprintf("%s %d", name, i)])
			}
		}
	}
}

func numbered(n int) *collogs.ExportLogsServiceRequest {
	sl := &logs.ScopeLogs{}
	for i := range n {
		sl.LogRecords = append(sl.LogRecords, &logs.LogRecord{TimeUnixNano: 1, Body: str(fmt.Sprint(i))})
	}
	return &collogs.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{ScopeLogs: []*logs.ScopeLogs{sl}}}}
}

func TestAnswersOverGRPC(t *testing.T) {
	var fail error
	in := &receivetest.Intake{
		Before: func(context.Context, *pipeline.Request) error { return fail },
		Refuse: func(r *record.Raw) (string, string) {
			if string(r.Payload) == "3" {
				return "bad", "it is three"
			}
			return "", ""
		},
	}
	_, conn := serve(t, in)
	c := collogs.NewLogsServiceClient(conn)
	for _, n := range []int{0, 2} { // an empty request is a success
		got, err := c.Export(t.Context(), numbered(n), grpc.UseCompressor(gzip.Name))
		if err != nil || got.PartialSuccess != nil {
			t.Errorf("%d records: %v, %v", n, got, err)
		}
	}
	got, err := c.Export(t.Context(), numbered(5))
	if err != nil || got.GetPartialSuccess().GetRejectedLogRecords() != 1 || got.GetPartialSuccess().GetErrorMessage() != "bad: it is three" {
		t.Errorf("%v, %v", got, err)
	}
	for _, f := range []struct {
		err  error
		want codes.Code
	}{
		{fault.Errorf(fault.Overload, "x"), codes.Unavailable}, {fault.Errorf(fault.Internal, "x"), codes.Unavailable},
		{fault.Errorf(fault.Corrupt, "x"), codes.Unavailable}, {fault.Errorf(fault.Invalid, "x"), codes.InvalidArgument},
	} {
		fail = f.err
		_, err := c.Export(t.Context(), numbered(1))
		st := rpcstatus.Convert(err)
		retry := len(st.Details()) == 1
		if retry {
			_, retry = st.Details()[0].(*errdetails.RetryInfo)
		}
		if st.Code() != f.want || retry != (f.want == codes.Unavailable) {
			t.Errorf("%v: %v, RetryInfo %v", f.err, err, retry)
		}
	}
	fail = nil
	var raw []byte
	err = conn.Invoke(t.Context(), "/opentelemetry.proto.collector.logs.v1.LogsService/Export", &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: "\xff\xff"[:0] + "junk"}}, &collogs.ExportLogsServiceResponse{})
	if rpcstatus.Code(err) != codes.InvalidArgument {
		t.Errorf("junk: %v, %q", err, raw)
	}
}

func TestMetricsAreRefusedForGood(t *testing.T) {
	addr, conn := serve(t, &receivetest.Intake{})
	point := &metrics.NumberDataPoint{Value: &metrics.NumberDataPoint_AsInt{AsInt: 1}}
	req := &colmetrics.ExportMetricsServiceRequest{ResourceMetrics: []*metrics.ResourceMetrics{{ScopeMetrics: []*metrics.ScopeMetrics{{Metrics: []*metrics.Metric{
		{Name: "a", Data: &metrics.Metric_Gauge{Gauge: &metrics.Gauge{DataPoints: []*metrics.NumberDataPoint{point, point}}}},
		{Name: "b", Data: &metrics.Metric_Sum{Sum: &metrics.Sum{DataPoints: []*metrics.NumberDataPoint{point}}}},
	}}}}}}
	got, err := colmetrics.NewMetricsServiceClient(conn).Export(t.Context(), req)
	if err != nil || got.GetPartialSuccess().GetRejectedDataPoints() != 3 || got.GetPartialSuccess().GetErrorMessage() != noMetrics {
		t.Errorf("%v, %v", got, err)
	}
	b, _ := proto.Marshal(req)
	resp, err := http.Post("http://"+addr+"/v1/metrics", typeProto, strings.NewReader(string(b)))
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", resp, err)
	}
	resp.Body.Close()
}

func TestTracesOverGRPC(t *testing.T) {
	in := &receivetest.Intake{}
	_, conn := serve(t, in)
	id := []byte("0123456789abcdef")
	_, err := coltrace.NewTraceServiceClient(conn).Export(t.Context(), &coltrace.ExportTraceServiceRequest{ResourceSpans: []*trace.ResourceSpans{{
		ScopeSpans: []*trace.ScopeSpans{{Spans: []*trace.Span{{TraceId: id, SpanId: id[:8], Name: "s", StartTimeUnixNano: 1e18, EndTimeUnixNano: 1e18 + 5}}}},
	}}})
	if err != nil || len(in.Raws()) != 1 {
		t.Errorf("%d spans: %v", len(in.Raws()), err)
	}
}

// TestEnvoyAccessLogger reads what Envoy's OTLP access logger sends, as Istio
// configures it (envoyOtelAls): no observed time, the text form as body, the
// trace in the record.
func TestEnvoyAccessLogger(t *testing.T) {
	in := &receivetest.Intake{}
	_, conn := serve(t, in)
	line := `[2026-03-01T10:00:00.001Z] "GET /a HTTP/2" 200 - 0 12 3 2 "-" "curl" "id" "shop" "10.0.0.1:80"` + "\n"
	req := &collogs.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{
		Resource: &resource.Resource{Attributes: []*common.KeyValue{kv("log_name", str("otel_envoy_accesslog")), kv("zone_name", str("")), kv("cluster_name", str("shop.default")), kv("node_name", str("sidecar~10.1.0.9~shop-1.default~default.svc.cluster.local"))}},
		ScopeLogs: []*logs.ScopeLogs{{LogRecords: []*logs.LogRecord{{
			TimeUnixNano: 1_772_359_200_001_000_000, Body: str(line), TraceId: []byte("0123456789abcdef"), SpanId: []byte("01234567"),
			Attributes: []*common.KeyValue{kv("upstream_peer", str("x"))},
		}}}},
	}}}
	if _, err := collogs.NewLogsServiceClient(conn).Export(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	raws := in.Raws()
	if len(raws) != 1 || raws[0].Time != 1_772_359_200_001_000_000 || string(raws[0].Payload) != line {
		t.Fatalf("%+v", raws)
	}
	want := "cluster_name=shop.default log_name=otel_envoy_accesslog node_name=sidecar~10.1.0.9~shop-1.default~default.svc.cluster.local " +
		"span_id=3031323334353637 trace_id=30313233343536373839616263646566 upstream_peer=x zone_name="
	if got := receivetest.Fields(&raws[0]); got != want {
		t.Errorf("%s", got)
	}
}
