package login

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/record"
)

func FuzzLine(f *testing.F) {
	files, _ := filepath.Glob("../testdata/*login*.log")
	if len(files) == 0 {
		f.Fatal("no seeds")
	}
	for _, name := range files {
		in, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, line := range bytes.Split(in, []byte("\n")) {
			if tag, message, ok := bytes.Cut(line, []byte("]: ")); ok {
				_, program, _ := bytes.Cut(tag[max(0, len(tag)-40):], []byte(" "))
				program, _, _ = bytes.Cut(program, []byte("["))
				f.Add(message, string(facts.Last(program, ' ')))
			}
		}
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
