package e2e

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openzipkin/zipkin-go"
	"github.com/openzipkin/zipkin-go/model"
	"github.com/openzipkin/zipkin-go/proto/zipkin_proto3"
	"github.com/openzipkin/zipkin-go/reporter"
	zhttp "github.com/openzipkin/zipkin-go/reporter/http"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/meshtrail/meshtrail/e2e/harness"
)

// traceJourney kills the server twice while send sends spans 0 to travellers-1,
// named "span N" and of the service "journey"; send says with at how far it is,
// and returns when all are sent. It returns how many spans are there twice.
func traceJourney(t *testing.T, send func(listen, token string, at func(n int)) error) {
	t.Helper()
	t.Parallel()
	data := harness.Init(t)
	s := harness.Serve(t, data)
	listen, token := strings.TrimPrefix(s.Base, "http://"), s.Token
	var sent atomic.Int64
	done := make(chan error, 1)
	go func() { done <- send(listen, token, func(n int) { sent.Store(int64(n)) }) }()
	for _, at := range []int64{travellers / 4, travellers * 3 / 5} {
		for end := time.Now().Add(60 * time.Second); sent.Load() < at; <-time.After(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("only %d spans were sent\n%s", sent.Load(), s.Log)
			}
		}
		s.Kill()
		s = harness.Serve(t, data, "--listen", listen)
	}
	if err := <-done; err != nil {
		t.Fatalf("%v\n%s", err, s.Log)
	}
	seen := map[string]int{}
	for _, f := range s.Ask(`{service="journey", record_kind="span"}`) {
		name, _ := f.Fields["span.name"].(string)
		seen[strings.ToLower(name)]++
	}
	lost, twice := 0, 0
	for i := range travellers {
		switch n := seen[fmt.Sprintf("span %d", i)]; {
		case n == 0:
			lost++
		case n > 1:
			twice++
		}
	}
	if lost > 0 || len(seen) != travellers {
		t.Errorf("of %d spans %d are lost; %d were found", travellers, lost, len(seen))
	}
	s.Stop()
	harness.Run(t, 0, "verify", data)
	t.Logf("%d spans, %d lost, %d there twice", travellers, lost, twice)
}

// sdk sends with OpenTelemetry's SDK and an exporter of it.
func sdk(e sdktrace.SpanExporter, at func(n int)) error {
	const size = 250
	ctx := context.Background()
	p := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(e, sdktrace.WithMaxExportBatchSize(size), sdktrace.WithMaxQueueSize(2*size), sdktrace.WithExportTimeout(2*time.Minute), sdktrace.WithBlocking()),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "journey"))),
	)
	tracer := p.Tracer("e2e")
	for i := 0; i < travellers; i += size {
		up, root := tracer.Start(ctx, fmt.Sprintf("span %d", i))
		for k := 1; k < size; k++ {
			_, s := tracer.Start(up, fmt.Sprintf("span %d", i+k))
			s.SetAttributes(attribute.Int("n", i+k))
			s.End()
		}
		root.End()
		if err := p.ForceFlush(ctx); err != nil {
			return err
		}
		at(i + size)
	}
	return p.Shutdown(ctx)
}

// TestSpansOverGRPC sends 10,000 spans with the SDK's own exporter.
func TestSpansOverGRPC(t *testing.T) {
	traceJourney(t, func(listen, token string, at func(n int)) error {
		e, err := otlptracegrpc.New(context.Background(), otlptracegrpc.WithEndpoint(listen), otlptracegrpc.WithInsecure(),
			otlptracegrpc.WithHeaders(map[string]string{"authorization": "Bearer " + token}), otlptracegrpc.WithCompressor("gzip"), otlptracegrpc.WithTimeout(2*time.Minute),
			otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{Enabled: true, InitialInterval: 20 * time.Millisecond, MaxInterval: 200 * time.Millisecond, MaxElapsedTime: 2 * time.Minute}))
		if err != nil {
			return err
		}
		return sdk(e, at)
	})
}

// insistent tries again what nobody listened to: the SDK's exporter over HTTP
// gives that up at once, and so does the client of Zipkin when a status is not 2xx.
type insistent struct{ token string }

func (c insistent) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set("Authorization", "Bearer "+c.token)
	for {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err == nil && resp.StatusCode != http.StatusServiceUnavailable || r.Context().Err() != nil || r.GetBody == nil {
			return resp, err
		}
		if err == nil {
			resp.Body.Close()
		}
		<-time.After(20 * time.Millisecond)
		if r.Body, err = r.GetBody(); err != nil {
			return nil, err
		}
	}
}

// TestSpansOverHTTP sends 10,000 spans with the SDK's own exporter.
func TestSpansOverHTTP(t *testing.T) {
	traceJourney(t, func(listen, token string, at func(n int)) error {
		e, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpoint(listen), otlptracehttp.WithInsecure(), otlptracehttp.WithCompression(otlptracehttp.GzipCompression),
			otlptracehttp.WithHTTPClient(&http.Client{Transport: insistent{token}, Timeout: 2 * time.Minute}))
		if err != nil {
			return err
		}
		return sdk(e, at)
	})
}

// TestSpansOfZipkin sends 10,000 spans with Zipkin's own library, which keeps what
// it could not send.
func TestSpansOfZipkin(t *testing.T) {
	for name, serializer := range map[string]reporter.SpanSerializer{"json": reporter.JSONSerializer{}, "proto": zipkin_proto3.SpanSerializer{}} {
		t.Run(name, func(t *testing.T) {
			traceJourney(t, func(listen, token string, at func(n int)) error {
				var arrived atomic.Int64 // requests that were answered
				rep := zhttp.NewReporter("http://"+listen+"/api/v2/spans", zhttp.BatchSize(200), zhttp.MaxBacklog(2*travellers), zhttp.BatchInterval(50*time.Millisecond),
					zhttp.Serializer(serializer), zhttp.Logger(log.New(io.Discard, "", 0)), zhttp.RequestCallback(func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }),
					zhttp.Client(counting{&arrived}))
				ep, err := zipkin.NewEndpoint("journey", "10.0.0.1:8080")
				if err != nil {
					return err
				}
				tracer, err := zipkin.NewTracer(rep, zipkin.WithLocalEndpoint(ep), zipkin.WithTraceID128Bit(true))
				if err != nil {
					return err
				}
				for i := 0; i < travellers; i += 200 {
					was := arrived.Load()
					for k := range 200 {
						s := tracer.StartSpan(fmt.Sprintf("Span %d", i+k), zipkin.Kind(model.Server))
						s.Tag("n", fmt.Sprint(i+k))
						s.Finish()
					}
					for arrived.Load() == was { // no faster than the server answers
						<-time.After(time.Millisecond)
					}
					at(i + 200)
				}
				return rep.Close()
			})
		})
	}
}

// counting counts the requests that were answered well.
type counting struct{ n *atomic.Int64 }

func (c counting) Do(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultClient.Do(r)
	if err == nil && resp.StatusCode/100 == 2 {
		c.n.Add(1)
	}
	return resp, err
}
