package balancer

import (
	"testing"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/record"
)

// FuzzAmazon holds any line to this: what is matched names a format of the package, what
// is not wrote nothing, and every value is UTF-8.
func FuzzAmazon(f *testing.F) {
	for _, s := range []string{
		"h2 2026-02-01T09:00:01.186641Z app/s/5 1.2.3.4:1 10.0.0.6:9 0.001 0.027 0.002 502 - 5 257 \"GET https://h:443/c?i HTTP/2.0\" \"o \\\"x\\\"\" C TLSv1.3 arn:aws:e:r:1:t \"Root=1-58337327-72bd00b0343d75b906739c42\" \"d\" \"c\" 1 2026-02-01T09:00:01.150000Z \"waf\"",
		"2015-05-13T23:39:43.945958Z lb 1.2.3.4:1 - -1 -1 -1 503 0 0 0 \"- - - \"",
		"tls 2.0 2020-04-01T08:51:42 n l [::1]:1 1.2.3.4:2 5 2 98 246 - a - C tlsv12 - d h2 h2 \"h2\"",
		"2019-12-04\t21:02:31\tL\t392\t1.2.3.4\tGET\td\t/i\t200\tr%20\tM%C3%A9%00\ta\t-\tHit\tS\th\thttps\t23\t0.001\t-",
	} {
		f.Add([]byte(s), "")
		f.Add([]byte(s), "balancer")
	}
	known := map[string]bool{}
	for _, format := range Formats {
		known[format.Name] = true
	}
	l := new(Amazon)
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
