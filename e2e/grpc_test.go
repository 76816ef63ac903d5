package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	otellog "go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/meshtrail/meshtrail/e2e/harness"
)

// bare sends messages as they are.
type bare struct{}

func (bare) Name() string                    { return "proto" }
func (bare) Marshal(v any) ([]byte, error)   { return v.([]byte), nil }
func (bare) Unmarshal(b []byte, v any) error { *v.(*[]byte) = bytes.Clone(b); return nil }

func dial(t *testing.T, s *harness.Server) (*grpc.ClientConn, context.Context) {
	t.Helper()
	conn, err := grpc.NewClient(strings.TrimPrefix(s.Base, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+s.Token)
}

// TestTheSDKThroughKills sends 10,000 records with OpenTelemetry's own exporter
// while the server is killed twice.
func TestTheSDKThroughKills(t *testing.T) {
	const records, size = 10_000, 250
	data := harness.Init(t)
	s := harness.Serve(t, data)
	listen := strings.TrimPrefix(s.Base, "http://")
	exporter, err := otlploggrpc.New(t.Context(), otlploggrpc.WithEndpoint(listen), otlploggrpc.WithInsecure(),
		otlploggrpc.WithHeaders(map[string]string{"authorization": "Bearer " + s.Token}), otlploggrpc.WithCompressor("gzip"), otlploggrpc.WithTimeout(2*time.Minute),
		otlploggrpc.WithRetry(otlploggrpc.RetryConfig{Enabled: true, InitialInterval: 20 * time.Millisecond, MaxInterval: 200 * time.Millisecond, MaxElapsedTime: 2 * time.Minute}))
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan int)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p := sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewBatchProcessor(exporter, sdklog.WithExportMaxBatchSize(size), sdklog.WithMaxQueueSize(2*size), sdklog.WithExportTimeout(2*time.Minute))))
		l := p.Logger("e2e")
		for i := range records {
			var r otellog.Record
			r.SetTimestamp(time.Now())
			r.SetBody(attribute.StringValue(fmt.Sprintf("record %d", i)))
			r.AddAttributes(attribute.String("run", "sdk"), attribute.Int("n", i))
			l.Emit(context.Background(), r)
			if (i+1)%size == 0 {
				if err := p.ForceFlush(context.Background()); err != nil {
					t.Errorf("flush: %v", err)
				}
				select {
				case sent <- i + 1:
				default:
				}
			}
		}
		if err := p.Shutdown(context.Background()); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	}()
	for range 2 {
		<-sent
		s.Kill()
		s = harness.Serve(t, data, "--listen", listen)
	}
	<-done
	seen := map[string]int{}
	for _, f := range s.Ask(`{run="sdk"}`) {
		seen[f.Line]++
	}
	twice := 0
	for i := range records {
		switch n := seen[fmt.Sprintf("record %d", i)]; {
		case n == 0:
			t.Errorf("record %d is missing", i)
		case n > 1:
			twice++
		}
	}
	s.Stop()
	harness.Run(t, 0, "verify", data)
	if twice > 0 {
		t.Errorf("%d records are there twice: a retry is the same bytes", twice)
	}
}

// TestAccessLogStream sends what a sidecar does, and the same record as text:
// what the text says, the stream's record says too.
func TestAccessLogStream(t *testing.T) {
	s := harness.Serve(t, harness.Init(t))
	conn, ctx := dial(t, s)
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs", grpc.ForceCodec(bare{}))
	if err != nil {
		t.Fatal(err)
	}
	m, err := os.ReadFile("../internal/receive/als/testdata/istio.binpb")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(m); err != nil {
		t.Fatal(err)
	}
	stream.CloseSend()
	var answer []byte
	if err := stream.RecvMsg(&answer); err != nil {
		t.Fatal(err)
	}
	const id = "11111111-2222-4333-8444-000000000000"
	line := `[2026-03-01T10:00:00.123Z] \"GET /productpage?u=normal HTTP/1.1\" 200 - via_upstream - \"-\" 0 5183 4 4 \"-\" \"curl/8.7.1\" \"` + id +
		`\" \"productpage:9080\" \"10.244.0.24:9080\" inbound|9080|| 127.0.0.6:42461 10.244.0.24:9080 10.244.0.31:45078 outbound_.9080_._.productpage.bookinfo.svc.cluster.local default`
	s.Bulk(`{"message":"` + line + `"}`)
	var text, grpc map[string]any
	for _, f := range s.Ask(`{http_request_header_x_request_id="` + id + `"}`) {
		if f.Fields["parse.format"] == "istio-text" {
			text = f.Fields
		} else {
			grpc = f.Fields
		}
	}
	if grpc["parse.format"] != "istio-json" || grpc["parse.status"] != "ok" || len(text) < 20 {
		t.Fatalf("%v\n%v", grpc, text)
	}
	for name, v := range text {
		switch {
		case strings.HasPrefix(name, "parse.") || name == "body" || name == "log.source" || name == "mesh.duration_ns": // text has whole milliseconds
		case fmt.Sprint(grpc[name]) != fmt.Sprint(v):
			t.Errorf("%s: %v in the text, %v from the stream", name, v, grpc[name])
		}
	}
	for name, want := range map[string]any{
		"mesh.source.principal": "spiffe://cluster.local/ns/bookinfo/sa/bookinfo-reviews", "mesh.mtls": "mutual", "mesh.source.workload": "reviews-v2", "mesh.source.namespace": "bookinfo",
		"trace_id": "0123456789abcdef0123456789abcdef", "tls.protocol.version": "TLSv1.3", "k8s.pod.name": "productpage-v1-6b746f74dc-9stvs", "mesh.duration_ns": 4.4e6,
		"log.source": "als/admin",
	} {
		if fmt.Sprint(grpc[name]) != fmt.Sprint(want) {
			t.Errorf("%s is %v, not %v", name, grpc[name], want)
		}
	}
}

// TestGRPCAtTheGate asks without a credential, for what is not there, and for
// the health of services.
func TestGRPCAtTheGate(t *testing.T) {
	s := harness.Serve(t, harness.Init(t))
	conn, ctx := dial(t, s)
	const logs = "opentelemetry.proto.collector.logs.v1.LogsService"
	for _, c := range []struct {
		ctx    context.Context
		method string
		want   codes.Code
	}{
		{ctx, "/" + logs + "/Export", codes.OK},
		{t.Context(), "/" + logs + "/Export", codes.Unauthenticated},
		{ctx, "/no.such.Service/Do", codes.Unimplemented},
		{t.Context(), "/no.such.Service/Do", codes.Unauthenticated},
	} {
		if err := conn.Invoke(c.ctx, c.method, &emptypb.Empty{}, &emptypb.Empty{}); status.Code(err) != c.want {
			t.Errorf("%s: %v, not %v", c.method, err, c.want)
		}
	}
	for _, name := range []string{"", logs, "envoy.service.accesslog.v3.AccessLogService"} {
		got, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: name})
		if err != nil || got.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("health of %q: %v, %v", name, got, err)
		}
	}
}

// A ring is a Hubble relay that remembers all its flows.
type ring struct {
	base int64 // time of the first flow, ns; one each millisecond
	mu   sync.Mutex
	all  int // how many there are
	more chan struct{}
}

func (r *ring) handle(_ any, s grpc.ServerStream) error {
	var b []byte
	if err := s.RecvMsg(&b); err != nil {
		return err
	}
	for n := 0; ; {
		r.mu.Lock()
		all, more := r.all, r.more
		r.mu.Unlock()
		for ; n < all; n++ {
			at := r.base + int64(n)*int64(time.Millisecond)
			if at < since(b) {
				continue
			}
			if err := s.SendMsg(flow(at, n)); err != nil {
				return err
			}
		}
		select {
		case <-more:
		case <-s.Context().Done():
			return s.Context().Err()
		}
	}
}

func (r *ring) grow(all int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.more)
	r.all, r.more = all, make(chan struct{})
}

// since reads GetFlowsRequest { Timestamp since = 7 }.
func since(b []byte) (ns int64) {
	for len(b) > 0 {
		n, typ, size := protowire.ConsumeTag(b)
		b = b[size:]
		if n != 7 {
			b = b[protowire.ConsumeFieldValue(n, typ, b):]
			continue
		}
		at, size := protowire.ConsumeBytes(b)
		b = b[size:]
		for len(at) > 0 {
			n, _, size := protowire.ConsumeTag(at)
			v, more := protowire.ConsumeVarint(at[size:])
			at = at[size+more:]
			if n == 1 {
				ns += int64(v) * 1_000_000_000
			} else {
				ns += int64(v)
			}
		}
	}
	return ns
}

func flow(at int64, n int) []byte {
	when := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(at/1_000_000_000))
	when = protowire.AppendVarint(protowire.AppendTag(when, 2, protowire.VarintType), uint64(at%1_000_000_000))
	f := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), when)
	f = protowire.AppendVarint(protowire.AppendTag(f, 2, protowire.VarintType), 2)
	f = protowire.AppendString(protowire.AppendTag(f, 11, protowire.BytesType), "node-1")
	f = protowire.AppendString(protowire.AppendTag(f, 34, protowire.BytesType), "uuid-"+strconv.Itoa(n))
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), f)
}

// TestHubbleThroughKills follows a relay while the server is killed twice.
func TestHubbleThroughKills(t *testing.T) {
	const flows = 30_000
	r := &ring{base: time.Now().Add(-time.Minute).UnixNano(), more: make(chan struct{})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	relay := grpc.NewServer(grpc.ForceServerCodec(bare{}), grpc.UnknownServiceHandler(r.handle))
	go relay.Serve(l)
	defer relay.Stop()
	data := harness.Init(t)
	conf := fmt.Sprintf("receivers:\n  hubble:\n    relays:\n      - name: east\n        address: %s\n        lookback: 1h\n", l.Addr())
	if err := os.WriteFile(filepath.Join(data, "meshtrail.yaml"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	s := harness.Serve(t, data)
	for kill := range 2 {
		r.grow((kill + 1) * flows / 3)
		until(t, func() bool { return len(s.Ask(`{mesh_type="cilium"}`)) > kill*flows/3 })
		s.Kill()
		s = harness.Serve(t, data)
	}
	r.grow(flows)
	last := fmt.Sprintf(`{log_record_uid="uuid-%d"}`, flows-1)
	until(t, func() bool { return len(s.Ask(last)) > 0 })
	s.Stop()
	s = harness.Serve(t, data)
	seen := map[string]int{}
	for _, f := range s.Ask(`{mesh_verdict="DROPPED"}`) {
		seen[fmt.Sprint(f.Fields["log.record.uid"])]++
	}
	twice := 0
	for n := range flows {
		switch got := seen["uuid-"+strconv.Itoa(n)]; {
		case got == 0:
			t.Fatalf("flow %d is missing", n)
		case got > 1:
			twice++
		}
	}
	if len(s.Ask(`{event_name="hubble.connected"}`)) < 3 {
		t.Error("there is no record of following the relay")
	}
	s.Stop()
	harness.Run(t, 0, "verify", data)
	t.Logf("%d flows, 0 missing, %d there twice after two kills", flows, twice)
}

// until asks again and again: what it waits for happens in another process.
func until(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); {
		if time.Now().After(end) {
			t.Fatal("too late")
		}
	}
}
