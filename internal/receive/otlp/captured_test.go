package otlp

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
	"github.com/meshtrail/meshtrail/internal/record"
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
	golden(t, "otel-otlp.proto", in.Raws())
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
