package nginx

import (
	"testing"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/record"
)

// FuzzNGINXError holds any line to this: what is matched names a format of the package, what
// is not wrote nothing, and every value is UTF-8.
func FuzzNGINXError(f *testing.F) {
	for _, s := range []string{
		"2026/11/21 21:09:21 [error] 31#31: *4 connect() failed (111: x) while connecting to upstream, client: ::1, server: s, request: \"GET /x HTTP/1.1\", upstream: \"http://127.0.0.1:1/u\", host: \"h:1\", referrer: \"r\"",
		"2026/11/21 21:09:21 [error] 8#8: *9 ModSecurity: Access denied [id \"1\"] [msg \"m\"], client: 1.2.3.4",
		"2026/11/21 21:09:22 [error] 1#1: *23 limiting requests, excess: 0.978 by zone \"one\"",
	} {
		f.Add([]byte(s), "")
		f.Add([]byte(s), "nginx")
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
