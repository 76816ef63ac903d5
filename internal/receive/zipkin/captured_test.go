package zipkin

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
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
		if diff, err := receivetest.Golden(filepath.Join("testdata", name+".golden"), *update, in.Raws()); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}
