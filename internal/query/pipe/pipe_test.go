package pipe_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/query/pipe"
	"github.com/meshtrail/meshtrail/internal/record"
)

// compile reads the stages of a query: "| json | line_format …".
func compile(t testing.TB, stages string) *pipe.Pipeline {
	t.Helper()
	l, err := logql.ParseLog("{} " + stages)
	if err != nil {
		t.Fatalf("%s: %v", stages, err)
	}
	p, err := pipe.Compile(l.Stages)
	if err != nil {
		t.Fatalf("%s: %v", stages, err)
	}
	return p
}

// text returns a record with a body that intake did not understand, and fields.
func text(body string, fields ...string) *record.Record {
	r := &record.Record{Time: 1_700_000_000_123_456_789, Class: "app", Fields: []record.Field{
		{Name: "body", Value: record.StringValue(body)},
		{Name: "parse.status", Value: record.StringValue("none")},
	}}
	for i := 0; i < len(fields); i += 2 {
		r.Fields = append(r.Fields, record.Field{Name: fields[i], Value: record.StringValue(fields[i+1])})
	}
	return r
}

// show renders what Do made of a record: its line and its labels, or "-".
func show(run *pipe.Run, r *record.Record) string {
	w, ok := run.Do(r)
	if !ok {
		return "-"
	}
	out := w.Line() + " {"
	for i, l := range w.Labels() {
		if i > 0 {
			out += " "
		}
		out += fmt.Sprintf("%s=%q", l.Name, l.Value)
	}
	return out + "}"
}

type example struct{ stages, line, want string }

func check(t *testing.T, examples []example, fields ...string) {
	t.Helper()
	for _, x := range examples {
		if got := show(compile(t, x.stages).NewRun(), text(x.line, fields...)); got != x.want {
			t.Errorf("%s\non   %s\ngot  %s\nwant %s", x.stages, x.line, got, x.want)
		}
	}
}

func TestJSON(t *testing.T) {
	doc := `{"a":{"b":1.50,"c d":"x"},"list":[{"q":1},"z"],"t":true,"n":null,"0":"zero","e":"","u":"\u00e9\n"}`
	check(t, []example{
		{`| json | keep a_b`, doc, doc + ` {a_b="1.50"}`},
		{`| json | drop e, u, t`, doc, doc + ` {_0="zero" a_b="1.50" a_c_d="x"}`},
		{`| json | drop a_b, a_c_d, _0`, doc, doc + ` {e="" t="true" u="é\n"}`},
		{`| json x="a.b", y="list[0].q", z="list[1]", v="a[\"c d\"]", w="list", o="a", m="none", n`, doc,
			doc + ` {o="{\"b\":1.50,\"c d\":\"x\"}" v="x" w="[{\"q\":1},\"z\"]" x="1.50" y="1" z="z"}`},
		{`| json`, "no json", `no json {__error__="JSONParserErr" __error_details__="the line is no JSON object"}`},
		{`| json | __error__=""`, "no json", `-`},
		{`| json | __error__!=""`, "no json", `no json {__error__="JSONParserErr" __error_details__="the line is no JSON object"}`},
		{`| json | drop __error__`, "no json", `no json {}`},
		{`| json`, `{"a":1,"a":2}`, `{"a":1,"a":2} {a="2"}`},
	})
	// A stored field keeps its name, and what is stored already is not made again.
	check(t, []example{
		{`| json`, `{"app":"other","level":"info"}`, `{"app":"other","level":"info"} {app_extracted="other"}`},
		{`| json | app="stored" | app_extracted="other"`, `{"app":"other"}`, `{"app":"other"} {app_extracted="other"}`},
	}, "app", "stored", "level", "info")
}

func TestJSONOfUnderstoodRecord(t *testing.T) {
	r := text("slow query", "took.ms", "12", "tags", `["a","b"]`, "url.path", "/x")
	r.Fields[1].Value.Str = "ok"
	for stages, want := range map[string]string{
		`| json`: `slow query {}`,
		`| json ms="took.ms", second="tags[1]", p="path", none="a.b"`: `slow query {ms="12" p="/x" second="b"}`,
		`| json | __error__=""`: `slow query {}`,
	} {
		if got := show(compile(t, stages).NewRun(), r); got != want {
			t.Errorf("%s: got %s, want %s", stages, got, want)
		}
	}
}

func TestLogfmt(t *testing.T) {
	line := `at=info msg="two words" empty= alone q="a\"b" bad=a=b 7x=1`
	check(t, []example{
		{`| logfmt`, line, line + ` {_7x="1" at="info" msg="two words" q="a\"b"}`},
		{`| logfmt --keep-empty | keep empty, alone`, line, line + ` {alone="" empty=""}`},
		{`| logfmt --strict`, line, line + ` {__error__="LogfmtParserErr" __error_details__="logfmt syntax error at byte 51: unexpected '='" at="info" msg="two words" q="a\"b"}`},
		{`| logfmt level="at", msg`, line, line + ` {level="info" msg="two words"}`},
		{`| logfmt`, "tick 5 of 9", `tick 5 of 9 {}`},
		{`| logfmt`, `a="open`, `a="open {}`},
		{`| logfmt`, `a=1 a=2`, `a=1 a=2 {a="1"}`},
	}, "kept", "1")
}

func TestRegexpPatternUnpack(t *testing.T) {
	line := `POST /api (200) 1.5s`
	nginx := `0.191.12.2 - - [10/Jun/2021:09:14:29 +0000] "GET /x HTTP/1.1" 200 2 "-" "Go"`
	check(t, []example{
		{"| regexp `(?P<method>\\w+) (?P<path>[\\w|/]+) \\((?P<status>\\d+?)\\) (?P<took>.*)`", line, line + ` {method="POST" path="/api" status="200" took="1.5s"}`},
		{"| regexp `(?P<method>\\d+x)`", line, line + ` {}`},
		{`| pattern "<ip> - - <_> \"<method> <uri> <_>\" <code> <size> <_> \"<agent>\""`, nginx, nginx + ` {agent="Go" code="200" ip="0.191.12.2" method="GET" size="2" uri="/x"}`},
		{`| pattern "POST <path> [<x>]"`, line, line + ` {path="/api (200) 1.5s"}`},
		{`| pattern "GET <path>"`, line, line + ` {}`},
		{`| unpack`, `{"pod":"p1","n":1,"_entry":"the line"}`, `the line {pod="p1"}`},
		{`| unpack`, `{"pod":"p1"}`, `{"pod":"p1"} {}`},
		{`| unpack`, `no`, `no {__error__="JSONParserErr" __error_details__="the line is no JSON object"}`},
		{`| unpack | json`, `{"_entry":"{\"x\":1}"}`, `{"x":1} {x="1"}`},
		{`| decolorize`, "\x1b[31mred\x1b[0m \x1b]0;title\x07end", `red end {}`},
	})
	packed := &record.Record{Fields: []record.Field{{Name: "pod", Value: record.StringValue("p1")}, {Name: "_entry", Value: record.StringValue("the line")}}}
	if got := show(compile(t, `| unpack`).NewRun(), packed); got != `the line {}` {
		t.Errorf("unpack of what intake took apart: %s", got)
	}
}

func TestLineFilters(t *testing.T) {
	keep := func(stages, line string) {
		t.Helper()
		if got := show(compile(t, stages).NewRun(), text(line)); got == "-" {
			t.Errorf("%s lets go of %q", stages, line)
		}
	}
	drop := func(stages, line string) {
		t.Helper()
		if got := show(compile(t, stages).NewRun(), text(line)); got != "-" {
			t.Errorf("%s keeps %q", stages, line)
		}
	}
	keep(`| line_format "x{{.body}}" |= "xa"`, "a")
	drop(`| line_format "x{{.body}}" |= "ax"`, "a")
	drop(`| line_format "x" |= "a"`, "a")
	keep(`| line_format "x" |~ "^x$" !~ "a" or "b" != "c"`, "a")
	keep(`|> "foo <_> bar"`, "foo buzz bar")
	drop(`|> "<_>foo <_> bar"`, "foo buzz bar")
	drop(`|> "<_> bar<_>"`, " bar ")
	keep(`|> "<_>bar<_>"`, " bar ")
	keep(`|> "nope" or "<_>"`, "any")
	drop(`!> "nope" or "<_>"`, "any")
	for _, net := range []string{"10.1.2.3", "10.0.0.0/8", "10.1.2.0-10.1.3.0"} {
		keep(`|= ip("`+net+`")`, "from 10.1.2.3:80, ok")
		keep(`|= ip("`+net+`")`, "addr:10.1.2.3.")
		keep(`!= ip("`+net+`")`, "from 11.1.2.3 110.1.2.3")
		drop(`!= ip("`+net+`")`, "from 11.1.2.3 and 10.1.2.3")
	}
	keep(`|= ip("2001:db8::/32")`, "[2001:db8::1]:80")
	drop(`|= ip("2001:db8::/32")`, "at 12:30:55 dead:beef")
}

func TestLabelFilters(t *testing.T) {
	line := `took=250ms size=5KB n=7 s=abc ip=10.1.2.3`
	for stages, want := range map[string]string{
		`| took > 200ms`: "", `| took > 300ms`: "-", `| size >= 5KB`: "", `| size > 5KB`: "-",
		`| n = 7`: "", `| n != 7`: "-", `| n > 6.5 and n < 8`: "", `| s = "abc"`: "", `| s =~ "a.*"`: "", `| s !~ "a"`: "",
		`| ip = ip("10.1.0.0/16")`: "", `| ip != ip("10.1.0.0-10.1.9.9")`: "-", `| none = ""`: "", `| none > 1`: "-", `| none != 1`: "-",
		`| n > 9 or s = "abc"`: "", `| (n > 9 or n < 3) and s = "abc"`: "-", `| app = "stored"`: "", `| app =~ "x|y"`: "-",
		`| class = "app"`: "", `| class = "x"`: "-",
		`| s > 5`:                                ErrFilter("s", "abc"),
		`| s > 5 | __error__ = ""`:               "-",
		`| s > 5 | drop __error__`:               "",
		`| app > 5`:                              "-", // a stored field that is no number
		`| __error__ > 5`:                        "-",
		`| label_format class="x" | class = "x"`: "",
	} {
		r := text(line, "app", "stored")
		w, ok := compile(t, "| logfmt "+stages).NewRun().Do(r)
		got := "-"
		if ok {
			kind, details := w.Err()
			got = strings.TrimSpace(kind + " " + details)
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", stages, got, want)
		}
	}
}

func ErrFilter(name, value string) string {
	return fmt.Sprintf("%s %s is %q, which cannot be compared with a number of that unit", pipe.ErrFilter, name, value)
}

func TestFormats(t *testing.T) {
	check(t, []example{
		{`| logfmt | line_format "{{.a}}-{{.none}}-{{.app}}"`, "a=1", `1--stored {a="1"}`},
		{`| label_format b=app`, "x", `x {b="stored"}`},
		{`| label_format b=none`, "x", `x {}`},
		{`| logfmt | label_format b=a`, "a=1", `a=1 {b="1"}`},
		{`| logfmt | label_format b="{{.a}}", a="new {{.a}}", c="{{.a}}"`, "a=1", `a=1 {a="new 1" b="1" c="1"}`},
		{`| label_format app="{{.app}}2" | line_format "{{.app}}"`, "x", `stored2 {app="stored2"}`},
		{`| drop app | line_format "[{{.app}}]"`, "x", `[] {}`},
		{`| drop app="no" | line_format "[{{.app}}]"`, "x", `[stored] {}`},
		{"| line_format `{{ div 1 0 }}`", "x", `x {__error__="TemplateFormatErr" __error_details__="template: template:1:3: executing \"template\" at <div 1 0>: error calling div: integer divide by zero"}`},
	}, "app", "stored")
}

func TestRowAfterDrop(t *testing.T) {
	r := text("x", "k8s.namespace.name", "shop", "app", "cart")
	w, _ := compile(t, `| drop namespace | label_format app2=app`).NewRun().Do(r)
	for name, want := range map[string]bool{"namespace": true, "k8s_namespace_name": true, "k8s.namespace.name": true, "app": true, "app2": false, "body": false} {
		if got := w.Dropped(name); got != want {
			t.Errorf("Dropped(%s) = %v", name, got)
		}
	}
	if got := fmt.Sprint(w.Gone()); got != "[k8s.namespace.name app]" {
		t.Error("Gone:", got)
	}
	if _, ok := w.Get("namespace"); ok {
		t.Error("a dropped field is still there")
	}
	if got := fmt.Sprint(w.Fields()); got != "[{body {1 x 0 0}} {parse.status {1 none 0 0}} {app2 {1 cart 0 0}}]" {
		t.Error("Fields:", got)
	}
	if len(r.Fields) != 4 {
		t.Error("the record was changed")
	}
}

func TestDistinct(t *testing.T) {
	run := compile(t, `| logfmt | distinct a, app`).NewRun()
	got := ""
	for _, line := range []string{"a=1", "a=2", "a=1 b=3", "none", "none 2"} {
		if _, ok := run.Do(text(line, "app", "x")); ok {
			got += line + ";"
		}
	}
	if got != "a=1;a=2;none;" {
		t.Error(got)
	}
	for i := range 100_001 {
		run.Do(text("", "app", fmt.Sprint(i)))
	}
	if !fault.Is(run.Err(), fault.Overload) {
		t.Error("distinct remembers without bound:", run.Err())
	}
}

func TestCompileRefuses(t *testing.T) {
	stage := func(s logql.Stage) {
		t.Helper()
		if _, err := pipe.Compile([]logql.Stage{s}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", s, err)
		}
	}
	stage(&logql.Parser{Name: "regexp", Expr: `\w+`})
	stage(&logql.Parser{Name: "regexp", Expr: `(?P<a>x`})
	stage(&logql.Parser{Name: "regexp", Expr: `(?P<a>x)(?P<a>y)`})
	stage(&logql.Parser{Name: "pattern", Expr: `<_> x`})
	stage(&logql.Parser{Name: "pattern", Expr: `<a><b>`})
	stage(&logql.Parser{Name: "pattern", Expr: `<a> <a>`})
	for _, path := range []string{"", ".a", "a..b", "a[x]", "a[-1]", `a["b`, "a]b", "a[0]b"} {
		stage(&logql.Parser{Name: "json", Fields: []logql.Extraction{{Name: "x", Path: path}}})
	}
	stage(&logql.LabelFormat{Sets: []logql.LabelSet{{Name: "a", From: "b", Rename: true}, {Name: "a", Template: "x"}}})
	stage(&logql.LabelFormat{Sets: []logql.LabelSet{{Name: "__error__", Template: "x"}}})
	stage(&logql.LineFormat{Template: "{{"})
	stage(&logql.LineFormat{Template: "{{.a | nofunc}}"})
	stage(&logql.LineFormat{Template: `{{define "x"}}{{template "x"}}{{end}}{{template "x"}}`})
	stage(&logql.LineFilter{Op: logql.OpHas, Values: []logql.LineValue{{Text: "10.0.0", IP: true}}})
	stage(&logql.LineFilter{Op: logql.OpPattern, Values: []logql.LineValue{{Text: "<a> b"}}})
}

func TestFields(t *testing.T) {
	for stages, want := range map[string]string{
		`| app = "x" and (status > 5 or ip = ip("10.0.0.1"))`:         "[app ip status] false",
		`| label_format a=b, c="{{.d}}" | distinct e | drop f, g="x"`: "[b d e g] false",
		`| line_format "{{.a}}" |= "x" | decolorize`:                  "[a] false",
		`| line_format "{{.a | upper}}"`:                              "[] true", // where it fails the line stays
		`| label_format x="{{range .}}{{end}}"`:                       "[] true",
		`| decolorize`:                                                "[] true",
		`| json`:                                                      "[] true",
	} {
		names, all := compile(t, stages).Fields()
		if got := fmt.Sprint(names, all); got != want {
			t.Errorf("%s: %s, want %s", stages, got, want)
		}
	}
}
