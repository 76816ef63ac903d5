package normalise

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/record"
)

// TestTextsTellEachOtherApart asks every parser of text for every line of testdata
// and not only those that come before the one that reads it: what two of them
// both take for theirs would depend on their order.
func TestTextsTellEachOtherApart(t *testing.T) {
	files, err := filepath.Glob("testdata/*.log")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	var parsers []facts.Line
	for i := range texts {
		parsers = append(parsers, texts[i].fresh())
	}
	lines := 0
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(data) {
			inner := bytes.TrimRight(unwrap(bytes.TrimRight(line, "\r\n")).rest, "\r\n")
			if len(inner) == 0 || inner[0] == '{' {
				continue
			}
			lines++
			var by []string
			for i, p := range parsers {
				format := taken(p, inner)
				if format == "" {
					continue
				}
				by = append(by, format)
				if !slices.Contains(candidates(inner), uint8(i)) {
					t.Errorf("%s: %s is not asked for\n%.200s", filepath.Base(name), format, inner)
				}
			}
			if len(by) > 1 {
				t.Errorf("%s: %s\n%.200s", filepath.Base(name), strings.Join(by, ", "), inner)
			}
		}
	}
	if lines < 500 {
		t.Errorf("%d lines", lines)
	}
}

// taken returns the format that a parser gives a line, or "".
func taken(p facts.Line, line []byte) string {
	var (
		b    record.Batch
		cols facts.Columns
	)
	cols.Bind(&b)
	b.Begin(0, "")
	o := facts.Out{B: &b, Cols: &cols, Now: 1_790_000_000_000_000_000}
	if !p.Text(line, &o) {
		return ""
	}
	return o.Format
}
