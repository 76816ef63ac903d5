package apache

import (
	"testing"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/record"
)

// FuzzApacheError holds any line to this: what is matched names a format of the package, what
// is not wrote nothing, and every value is UTF-8.
func FuzzApacheError(f *testing.F) {
	for _, s := range []string{
		"[Sat Nov 21 21:32:31.589867 2026] [core:info] [pid 1:tid 2] [client ::1:53498] AH00129: x, referer: r",
		"[Mon Jan  2 10:00:00 2012] [error] [client 1.2.3.4] x",
		"AH00558: x",
		"[01/Mar/2021:12:00:19 +0000] [proxy:error] [pid 23964] (113)No: AH00957: HTTP",
	} {
		f.Add([]byte(s), "")
		f.Add([]byte(s), "apache")
	}
	known := map[string]bool{}
	for _, format := range Formats {
		known[format.Name] = true
	}
	l := ErrorLog{}
	f.Fuzz(func(t *testing.T, line []byte, platform string) {
		if len(line) == 0 || !utf8.Valid(line) {
			return
		}
		var b record.Batch
		var cols facts.Columns
		cols.Bind(&b)
		b.Begin(1, "app")
		o := facts.Out{B: &b, Cols: &cols, Now: 1, Declared: platform, Program: []byte(platform)}
		matched := l.Text(line, &o)
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
	})
}
