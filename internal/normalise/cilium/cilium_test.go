package cilium

import (
	"os"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/record"
)

func FuzzLines(f *testing.F) {
	lines, err := os.ReadFile("../testdata/own-cilium.log")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(lines)) {
		f.Add([]byte(strings.TrimSuffix(line, "\n")), "")
	}
	var m MonitorLine
	var l LogLine
	f.Fuzz(func(t *testing.T, line []byte, declared string) {
		if len(line) == 0 {
			return
		}
		for _, parser := range []facts.Line{&m, &l} {
			var b record.Batch
			var cols facts.Columns
			cols.Bind(&b)
			b.Begin(1, "flow")
			o := facts.Out{B: &b, Cols: &cols, Now: 1, Declared: declared}
			if parser.Text(line, &o) != (o.Format != "") {
				t.Fatalf("%q: format %q", line, o.Format)
			}
		}
	})
}
