// Package normalisetest holds parsers of text to their contract (facts.Line), in
// tests and fuzz targets alone: the product MUST NOT import it. It knows no
// platform; the lines that it is given are the caller's.
package normalisetest

import (
	"testing"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Fuzz fuzzes parsers with lines, and with a word that is both the declared
// platform and the program: what is matched names one of the formats, what is not
// wrote nothing, and every value is UTF-8. seeds are lines, each tried without a
// word and with one.
func Fuzz(f *testing.F, formats []facts.Format, word string, seeds []string, parsers ...facts.Line) {
	for _, s := range seeds {
		f.Add([]byte(s), "")
		f.Add([]byte(s), word)
	}
	known := map[string]bool{}
	for _, format := range formats {
		known[format.Name] = true
	}
	f.Fuzz(func(t *testing.T, line []byte, word string) {
		if len(line) == 0 || !utf8.Valid(line) {
			return
		}
		for _, p := range parsers {
			hold(t, p, known, line, word)
		}
	})
}

func hold(t *testing.T, p facts.Line, known map[string]bool, line []byte, word string) {
	var b record.Batch
	var cols facts.Columns
	cols.Bind(&b)
	b.Begin(1, "app")
	o := facts.Out{B: &b, Cols: &cols, Now: 1, Declared: word, Program: []byte(word)}
	matched := p.Text(line, &o)
	b.End()
	r := b.Record(0)
	if matched && !known[o.Format] || !matched && len(r.Fields) > 0 {
		t.Fatalf("%q: %v, format %q, %v", line, matched, o.Format, r.Fields)
	}
	for _, v := range r.Fields {
		if !utf8.ValidString(v.Value.Str) {
			t.Fatalf("%q: %s is %q", line, v.Name, v.Value.Str)
		}
	}
}
