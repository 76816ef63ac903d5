package hubble

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/record"
)

func FuzzText(f *testing.F) {
	lines, err := os.ReadFile("../testdata/own-hubble-compact.log")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(lines)) {
		f.Add([]byte(strings.TrimSuffix(line, "\n")))
	}
	var text Text
	f.Fuzz(func(t *testing.T, line []byte) {
		if len(line) == 0 {
			return
		}
		var b record.Batch
		var cols facts.Columns
		cols.Bind(&b)
		b.Begin(1, "flow")
		o := facts.Out{B: &b, Cols: &cols, Now: 1}
		if text.Text(line, &o) != (o.Format != "") {
			t.Fatalf("%q: format %q", line, o.Format)
		}
	})
}

// TestTimesWithoutYear reads the time as hubble observe prints it, and with the
// space that copies lose.
func TestTimesWithoutYear(t *testing.T) {
	now := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for _, line := range []string{
		"Mar  1 10:00:00.196: default/a:1 (ID:5) -> default/b:2 (ID:6) to-endpoint FORWARDED (UDP)",
		"Mar 1 10:00:00.196: default/a:1 -> default/b:2 to-endpoint FORWARDED (UDP)",
		"Mar  1 10:00:00.196   default/a:1   default/b:2   to-endpoint   FORWARDED   UDP",
	} {
		var b record.Batch
		var cols facts.Columns
		cols.Bind(&b)
		b.Begin(1, "flow")
		o := facts.Out{B: &b, Cols: &cols, Now: now.UnixNano()}
		var text Text
		if !text.Text([]byte(line), &o) {
			t.Errorf("%q is not read", line)
			continue
		}
		if got := time.Unix(0, o.Time).UTC().Format(time.RFC3339Nano); got != "2026-03-01T10:00:00.196Z" {
			t.Errorf("%q: %s", line, got)
		}
	}
}
