package clf

import (
	"testing"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/record"
)

// FuzzCLF holds any line to this: what is matched names a format of the package, what
// is not wrote nothing, and every value is UTF-8.
func FuzzCLF(f *testing.F) {
	for _, s := range []string{
		"1769936401.586    921 10.0.0.68 TCP_DENIED/403 507 POST http://api.example:8080/s?a=1 - HIER_DIRECT/1.2.3.4 -",
		"10.0.0.5 - alice [02/Jan/2026:10:00:00 +0100] \"GET /a?b HTTP/1.1\" 200 45 \"-\" \"c\\x22\" 512 0.204 [shop-cart-80] [] 10.0.0.1:80, 10.0.0.2:80 0, 1 0.001, 0.002 502, 200 ab",
		"::1 - - [02/Jan/2026:10:00:00 +0100] \"-\" 408 - \"-\" \"-\" 1 \"r\" \"http://h:1\" 2ms",
		"[02/Jan/2026:10:00:00 +0000] - 200 200 - GET https h \"/l\" [Client 1.2.3.4] [Length 1] [Gzip 2.31] [Sent-to s] \"A\" \"r\"",
		"[02/Jan/2026:10:00:00 +0100] h 1.2.3.4 0.002 \"GET / HTTP/1.1\" 401 77 935 - U",
		"1.2.3.4 - - [21/Nov/2026:21:09:29 +0000] \"GET /c HTTP/1.1\" 404 500 \"\" \"\" 59364 103 \"f\" \"b\" \"s\" 0 0 0 1 1 ---- 1 1 0 0 0 0 0 \"\" \"\" \"c\"",
		"v:1 h - - [21/Nov/2026 21:09:29] \"GET / HTTP/1.1\" 200 6 \"-\" \"-\" \"1.2.3.4, ::1\" \"h\" sn=\"s\" rt=0.000 ua=\"-\" cs=-",
	} {
		f.Add([]byte(s), "")
		f.Add([]byte(s), "apache")
	}
	known := map[string]bool{}
	for _, format := range Formats {
		known[format.Name] = true
	}
	readers := []facts.Line{new(Line), Squid{}}
	f.Fuzz(func(t *testing.T, line []byte, platform string) {
		if len(line) == 0 || !utf8.Valid(line) {
			return
		}
		for _, reader := range readers {
			var b record.Batch
			var cols facts.Columns
			cols.Bind(&b)
			b.Begin(1, "app")
			o := facts.Out{B: &b, Cols: &cols, Now: 1, Declared: platform, Program: []byte(platform)}
			matched := reader.Text(line, &o)
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
	})
}
