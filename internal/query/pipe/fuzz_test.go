package pipe_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/query/pipe"
	"github.com/meshtrail/meshtrail/internal/record"
)

// FuzzPipeline runs any stages on any line: nothing panics, the record stays as
// it was, and what comes out is bounded.
func FuzzPipeline(f *testing.F) {
	for _, s := range []string{
		`| json | a > 5 | line_format "{{.a}} {{.b}}"`, `| json x="a.b[0][\"c\"]"`, `| logfmt --strict --keep-empty a, b="c" | unpack`,
		"| regexp `(?P<a>.)(?P<b>.*)` | label_format c=a, d=`{{.b | upper}}` | drop a | keep b, c=~\"x.*\"", `| pattern "<a> <_> [<b>]" | decolorize |> "<_>x<_>"`,
		`|= ip("10.0.0.0/8") | distinct a, b | a = ip("::1-::9") or b != "x"`, "| line_format `{{ range $k, $v := . }}{{ $k }}{{ printf \"%5.2s|%q\" $v $v }}{{ end }}`",
		"| line_format `{{ regexReplaceAll \"(.)\" __line__ \"$1$1\" | fromJson }}{{ $x := repeat 9 .a }}{{ $x | indent 3 | b64dec | urldecode }}`",
	} {
		for _, line := range []string{"", `{"a":{"b":[{"c":1}]},"b":"x"}`, `a=1 b="two\n" c=`, "10.1.2.3 \x1b[31mred\x1b[0m [x]", `{"_entry":"{}","a":"1"}`, "\xff\x00{[\""} {
			f.Add(s, line)
		}
	}
	f.Fuzz(func(t *testing.T, stages, line string) {
		if len(stages) > 4096 || len(line) > 1<<16 {
			return
		}
		l, err := logql.ParseLog("{} " + stages)
		if err != nil {
			return
		}
		p, err := pipe.Compile(l.Stages)
		if err != nil {
			return
		}
		p.Fields()
		run := p.NewRun()
		for _, r := range []*record.Record{text(line), text(line, "a", line, "b.c", "2"), {Fields: []record.Field{{Name: "a", Value: record.StringValue(line)}}}} {
			before := slices.Clone(r.Fields)
			w, ok := run.Do(r)
			if !slices.Equal(before, r.Fields) {
				t.Fatal("the record was changed")
			}
			if !ok {
				continue
			}
			if n := len(w.Line()); n > 1<<20 {
				t.Fatalf("the line has %d bytes", n)
			}
			labels := w.Labels()
			if !slices.IsSortedFunc(labels, func(a, b pipe.Label) int { return strings.Compare(a.Name, b.Name) }) {
				t.Fatal("labels are not sorted:", labels)
			}
			for i, x := range labels {
				if i > 0 && labels[i-1].Name == x.Name {
					t.Fatal("a label is there twice:", labels)
				}
				if got, ok := w.Get(x.Name); !ok || got != x.Value {
					t.Fatalf("label %s is %q, asked for it is %q", x.Name, x.Value, got)
				}
				if len(x.Value) > 1<<20 {
					t.Fatalf("label %s has %d bytes", x.Name, len(x.Value))
				}
			}
			w.Fields()
			w.Gone()
			w.Dropped("a")
			w.Value("b_c")
		}
	})
}
