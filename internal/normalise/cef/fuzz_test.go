package cef

import (
	"bytes"
	"os"
	"testing"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/record"
)

func FuzzLine(f *testing.F) {
	in, err := os.ReadFile("../testdata/own-cef.log")
	if err != nil {
		f.Fatal(err)
	}
	for _, line := range bytes.Split(in, []byte("\n")) {
		f.Add(line, "")
		f.Add(bytes.TrimPrefix(line, []byte("CEF:")), "CEF")
	}
	var l Line
	f.Fuzz(func(t *testing.T, line []byte, program string) {
		if len(line) == 0 {
			return
		}
		var b record.Batch
		var cols facts.Columns
		cols.Bind(&b)
		b.Begin(1, "app")
		o := facts.Out{B: &b, Cols: &cols, Now: 1, Program: []byte(program)}
		if l.Text(line, &o) != (o.Format != "") {
			t.Fatalf("%q: format %q", line, o.Format)
		}
	})
}
