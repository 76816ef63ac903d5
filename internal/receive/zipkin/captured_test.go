package zipkin

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
	"github.com/meshtrail/meshtrail/internal/record"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden")

// TestCaptured holds what is made of what real clients sent.
func TestCaptured(t *testing.T) {
	for name, kind := range map[string]string{
		"zipkin-go.json": "application/json", "zipkin-go.proto": "application/x-protobuf", "otel-zipkin.json": "application/json",
	} {
		body, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		var in receivetest.Intake
		resp, text := receivetest.Call(handler(t, &in), "POST", "/api/v2/spans", body, "Content-Type: "+kind)
		if resp.StatusCode != 202 || len(in.Raws()) != 2 {
			t.Fatalf("%s: %d %q, %d spans", name, resp.StatusCode, text, len(in.Raws()))
		}
		golden(t, name, in.Raws())
	}
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
