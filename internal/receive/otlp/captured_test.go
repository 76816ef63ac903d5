package otlp

import (
	"flag"
	"os"
	"testing"

	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden")

// TestCapturedTraces holds what is made of what OpenTelemetry's Go SDK sent.
func TestCapturedTraces(t *testing.T) {
	body, err := os.ReadFile("testdata/otel-otlp.proto")
	if err != nil {
		t.Fatal(err)
	}
	var in receivetest.Intake
	_, h := newHandler(t, &in)
	if resp, text := receivetest.Call(h, "POST", "/v1/traces", body, "Content-Type: application/x-protobuf"); resp.StatusCode != 200 || text != "" {
		t.Fatalf("%d %q", resp.StatusCode, text)
	}
	if diff, err := receivetest.Golden("testdata/otel-otlp.proto.golden", *update, in.Raws()); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}
