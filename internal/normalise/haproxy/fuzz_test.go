package haproxy

import (
	"testing"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/record"
)

// FuzzHAProxy holds any line to this: what is matched names a format of the package, what
// is not wrote nothing, and every value is UTF-8.
func FuzzHAProxy(f *testing.F) {
	for _, s := range []string{
		"haproxy[1]: 10.0.1.2:33317 [06/Feb/2009:12:14:14.655] f~ b/s 9/10/7/14/+30 200 +243 - - --NN 3/1/1/1/+2 1/0 {a|#22} {c} \"GET /i#00?a=1 HTTP/1.0\" 0/0/0/0/0 sni/TLSv1.3/C",
		"::1:1 [15/Oct/2003:15:24:28.312] f b/s 0/0/5007 0 cD 0/0/0/0/0 0/0",
		"1.2.3.4:5 [28/Feb/2025:02:43:11.234] f/b: SSL handshake failure",
		"Connect from 1.2.3.4:1 to 1.2.3.4:2 (f/TCP)",
		"[WARNING] 325/210925 (1) : Server a/s is DOWN, reason: x, check",
	} {
		f.Add([]byte(s), "")
		f.Add([]byte(s), "haproxy")
	}
	known := map[string]bool{}
	for _, format := range Formats {
		known[format.Name] = true
	}
	l := new(Line)
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
