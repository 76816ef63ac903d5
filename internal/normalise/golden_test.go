package normalise_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/pipeline"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// received is when the lines of testdata are read: some name no year.
var received = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

// TestGolden holds what intake makes of each line of testdata against the
// golden file beside it: one JSON object a line.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.log")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			in, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := pipeline.Parse(bytes.NewReader(in), pipeline.ParseOptions{Now: received}, &got); err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(name, ".log") + ".golden"
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			g, w := strings.Split(got.String(), "\n"), strings.Split(string(want), "\n")
			if len(g) != len(w) {
				t.Fatalf("%d records, want %d", len(g), len(w))
			}
			for i := range g {
				if g[i] != w[i] {
					t.Errorf("record %d\n got %s\nwant %s", i+1, g[i], w[i])
				}
				if g[i] != "" && !json.Valid([]byte(g[i])) {
					t.Errorf("record %d is no JSON: %s", i+1, g[i])
				}
			}
		})
	}
}

// TestSourcesAreNamed holds the data files against SOURCE.
func TestSourcesAreNamed(t *testing.T) {
	source, err := os.ReadFile("testdata/SOURCE")
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob("testdata/*.log")
	for _, name := range files {
		base := filepath.Base(name)
		named := strings.Contains(string(source), base) || strings.HasPrefix(base, "own-") ||
			strings.HasPrefix(base, "hubble-") && strings.HasSuffix(base, "-flows.log")
		if !named {
			t.Errorf("%s: SOURCE does not say where it comes from", base)
		}
	}
}
