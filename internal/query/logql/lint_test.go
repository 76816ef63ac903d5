package logql

import (
	"fmt"
	"strings"
	"testing"
)

func TestLint(t *testing.T) {
	f := func(query string, want ...string) {
		t.Helper()
		var got []string
		for _, found := range Lint(query) {
			got = append(got, fmt.Sprintf("%d:%d %s: %s -> %s", found.Line, found.Col, found.Severity, found.Text, found.Suggestion))
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s\n got %s\nwant %s", query, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
		}
	}
	// Nothing to say.
	f(`{a="b"}`)
	f(`{a=~"b|c"} |= "x" | json | status >= 500`)
	f(`{a=~"web-.*", b!~"(?i)x"} |~ "^x" !~ "x+"`)
	f(`sum by (status) (rate({a="b"} | json [5m]))`)
	f(`sum by (a) (label_replace(rate({a="b"} | json [5m]), "a", "$1", "status", "(.).."))`)
	f(`rate({a="b"} | json [5m]) / on (pod) rate({a="b"}[5m])`)
	f(`sum(bytes_rate({a="b"} | line_format "{{.x}}" [5m]))`)
	f(`count_over_time({a="b"} | line_format "{{.x}}" |= "y" [5m])`)
	f(`{a="b"} | unpack |= "x"`)
	f(`{a="b"} | json | line_format "{{.x}}" |= "x"`)
	f(`avg_over_time({a="b"} | json | unwrap x [5m]) by (y)`)
	f(`max_over_time({a="b"} | json | unwrap x [5m])`)
	f(`{a="b"} | json | drop c`)
	f(`sort(sum by (a) (rate({a="b"}[5m])))`)
	f(`topk(5, topk by (a) (3, rate({a="b"}[5m])))`)
	f(`rate({}[5m])`)

	// What cannot be read.
	f(`{a="b"} | jsn`, `1:11 error: syntax error: unexpected IDENTIFIER -> did you mean | json?`)
	f("{a=\"é\"}\n| x", `2:4 error: syntax error: unexpected $end, expecting = or != or =~ or !~ or > or >= or < or <= or == -> after | stands a condition such as status >= 500, or one of json, logfmt, regexp, pattern, unpack, line_format, label_format, decolorize, drop, keep, distinct, unwrap`)
	f(strings.Repeat("x", maxLength+1), fmt.Sprintf(`1:%d error: query of 65537 bytes is longer than 65536 -> `, maxLength+1))

	// Expressions.
	f(`{a=~"foo"}`, `1:2 warning: the expression "foo" is one plain text -> a="foo"`)
	f(`{a!~"foo\\.go"}`, "1:2 warning: the expression `foo\\.go` is one plain text -> a!=\"foo.go\"")
	f(`{a="b"} | "x y"=~"(foo)"`, `1:11 warning: the expression "(foo)" is one plain text -> "x y"="foo"`)
	f(`{a=~""}`, `1:2 warning: the expression "" is one plain text -> a=""`)
	f(`{a=~".*", b="c"}`, `1:2 warning: a=~".*" holds for every record -> leave it out`)
	f(`{a!~".*"}`, `1:2 warning: a!~".*" holds for no record -> a=""`)
	f(`{a=~".+"}`, `1:2 info: the expression ".+" asks whether there is a value -> a!=""`)
	f(`{a!~".+", b="c"}`, `1:2 info: the expression ".+" asks whether there is a value -> a=""`)
	f(`{a="b"} |~ "foo"`, `1:9 warning: the expression "foo" is plain text: looking for that is faster -> |= "foo"`)
	f(`{a="b"} !~ "a|b" or "c"`, `1:9 warning: the expression "a|b" is plain text: looking for that is faster -> != "a" or "b" or "c"`)
	f(`{a="b"} |~ ".*foo.*"`, `1:9 warning: the expression ".*foo.*" is plain text: looking for that is faster -> |= "foo"`)
	f(`{a="b"} |~ ".*foo|bar"`)
	f(`{a="b"} |~ "(a|b)"`)
	f(`{a="b"} |~ "a|"`)
	f(`{a="b"} |= ""`, `1:9 warning: the empty text is in every line: the filter holds for every record -> leave it out`)
	f(`{a="b"} != ""`, `1:9 warning: the empty text is in every line: the filter holds for no record -> leave it out`)

	// Selectors.
	f(`rate({}[1h])`, `1:6 warning: the selector names nothing, so every record of 1h is read at every point -> name what is wanted: {service="cart"}`)
	f(`rate({a!="b", c=""} |= "x" [2h])`, `1:6 warning: the selector names nothing, so every record of 2h is read at every point -> name what is wanted: {service="cart"}`)
	f(`rate({a!="b", c=~"d.*"}[2h])`)
	f(`rate({a!=""}[2h])`)
	f(`{a="b", a="c.d"}`, "1:9 warning: a is to be two texts at once: nothing is selected -> a=~`b|c\\.d`")

	// Order.
	f(`{a="b"} | json |= "x" | c="d"`, `1:16 warning: a line filter after | json makes the parser read lines that are then dropped -> move |= "x" before | json`)
	f(`{a="b"} | json | c > 5 != "x"`, `1:24 warning: a line filter after | json makes the parser read lines that are then dropped -> move != "x" before | json`)
	f(`sum(sort(rate({a="b"}[5m])))`, `1:5 warning: sort has no effect inside another function: what is around it orders anew -> sort last, or leave it out`)
	f(`sort_desc(rate({a="b"}[5m])) > 5`, `1:1 warning: sort_desc has no effect inside another function: what is around it orders anew -> sort last, or leave it out`)
	f(`topk(5, topk(3, rate({a="b"}[5m])))`, `1:9 warning: topk of topk takes the smaller of both numbers -> topk(3, …)`)

	// Parsers without use.
	f(`{a="b"} | json`, `1:11 info: the fields of a record are parsed when it arrives: | json without a stage that uses them only shows them -> leave | json out`)
	f(`sum(rate({a="b"} | json [5m]))`, `1:20 warning: nothing uses the fields that | json makes: the sum around it drops them all -> leave | json out`)
	f(`topk(3, sum by () (rate({a="b"} | logfmt [5m])))`, `1:35 warning: nothing uses the fields that | logfmt makes: the sum around it drops them all -> leave | logfmt out`)
	f(`topk(3, rate({a="b"} | logfmt [5m]))`, `1:24 warning: every field that | logfmt makes parts the series once more, and none is asked for -> leave | logfmt out, or sum by (…) the fields that are wanted`)
	f(`sum(rate({a="b"} | line_format "x" [5m]))`, `1:20 warning: nothing reads the line that | line_format makes -> leave it out`)

	// Numbers.
	f(`{a="b"} | json | status="500"`, `1:18 info: status="500" compares texts: 1.0 is not 1 -> status == 500`)
	f(`{a="b"} | took!="5s" or x=5`, `1:11 info: took!="5s" compares texts: 1000ms is not 1s -> took != 5s`)
	f(`{a="b"} | status=~"5.."`, `1:11 info: an expression over the digits of a number -> status >= 500 and status <= 599`)
	f(`{a="b"} | status!~"4[0-9]{2}"`, `1:11 info: an expression over the digits of a number -> status < 400 or status > 499`)
	f(`{status="500"}`)
	f(`quantile_over_time(99, {a="b"} | unwrap x [5m])`, `1:1 warning: the quantile 99 is not between 0 and 1 -> 0.99 is the 99th percentile`)
	f(`label_replace(rate({a="b"}[5m]), "x", "$1-${2}", "y", "(.*)")`, `1:1 warning: the replacement uses $2, and the expression has 1 groups -> `)

	// Commas.
	f(`{a="b"} | c=1, d=2 or e=3`, `1:14 info: a comma takes all that follows it, or included: a, b or c is a and (b or c) -> write and, and parentheses`)
	f(`{a="b"} | c=1 or d=2, e=3`)

	// More than one, in the order of the text.
	f("sum(rate({}\n|~ \"é\"\n| json [1d]))",
		`1:10 warning: the selector names nothing, so every record of 24h is read at every point -> name what is wanted: {service="cart"}`,
		`2:1 warning: the expression "é" is plain text: looking for that is faster -> |= "é"`,
		`3:3 warning: nothing uses the fields that | json makes: the sum around it drops them all -> leave | json out`)
}

// TestLintSuggestions: what lint suggests is nothing to it.
func TestLintSuggestions(t *testing.T) {
	for _, q := range []string{`{a=~"foo"}`, `{a="b"} |~ "a|b"`, `{a=~".+"}`, `{a="b"} | status=~"5.."`, `{a="b"} | took!="5s"`, `{a="b", a="c"}`} {
		found := Lint(q)
		if len(found) != 1 {
			t.Fatalf("%s: %v", q, found)
		}
		pos, s := found[0].Pos, found[0].Suggestion
		fixed := q[:pos] + s
		if strings.HasPrefix(q[pos:], "a") {
			fixed = "{" + s + "}"
		}
		if again := Lint(fixed); len(again) != 0 {
			t.Errorf("%s becomes %s: %v", q, fixed, again)
		}
	}
}

func TestPretty(t *testing.T) {
	f := func(query, want string) {
		t.Helper()
		e, err := Parse(query)
		if err != nil {
			t.Fatal(err)
		}
		if got := Pretty(e); got != strings.TrimPrefix(want, "\n") {
			t.Errorf("got\n%s\nwant%s", got, want)
		}
		checkPrint(t, query, e)
	}
	f(`{a="b"}|json`, `{a="b"} | json`)
	f(`rate({a="b"}[5m])/rate({a="b"}[10m])+1`, `(rate({a="b"} [5m]) / rate({a="b"} [10m])) + 1`)
	f(`{cluster="prod-eu-west-1", namespace=~"loki-.*"} |= "metrics.go" | logfmt | duration > 10s and throughput_mb < 500`, `
{cluster="prod-eu-west-1", namespace=~"loki-.*"}
  |= "metrics.go"
  | logfmt
  | duration > 10s and throughput_mb < 500`)
	f(`{cluster="prod-eu-west-1", namespace=~"loki-.*", container="query-frontend", pod!~"canary-.*", level="error"}`, `
{
  cluster="prod-eu-west-1",
  namespace=~"loki-.*",
  container="query-frontend",
  pod!~"canary-.*",
  level="error"
}`)
	f(`{a="b"} |= "one text that is long enough" or "another text that is long enough" or "a third" | json aaaaaaaaaaaaaaaa="b.c", dddddddddddddddddd="e[0]", ffffffffffffffffff="g.h.i" | label_format aaaaaaaaaaaaaaaaaaaa=bbbbbbbbbbbbbbbbbbbbbb, cccccccccccccccccccc="{{.dddddddddddddddd}}"`, `
{a="b"}
  |= "one text that is long enough"
    or "another text that is long enough"
    or "a third"
  | json
    aaaaaaaaaaaaaaaa="b.c",
    dddddddddddddddddd="e[0]",
    ffffffffffffffffff="g.h.i"
  | label_format
    aaaaaaaaaaaaaaaaaaaa=bbbbbbbbbbbbbbbbbbbbbb,
    cccccccccccccccccccc="{{.dddddddddddddddd}}"`)
	f(`topk(10, sum by (namespace) (quantile_over_time(0.99, {cluster="prod", namespace=~"loki-.*"} | logfmt | unwrap duration(latency) | __error__="" [5m] offset 1h) by (namespace, pod)))`, `
topk(
  10,
  sum by (namespace) (
    quantile_over_time(
      0.99,
      {cluster="prod", namespace=~"loki-.*"}
        | logfmt
        | unwrap duration(latency)
        | __error__="" [5m] offset 1h
    ) by (namespace, pod)
  )
)`)
	f(`label_replace(sum by (cluster, namespace) (rate({cluster="prod", namespace=~"loki-.*"}[5m])), "tenant", "$1", "namespace", "loki-(.*)") > bool on (cluster) group_left (zone) (vector(1) + 2)`, `
label_replace(
  sum by (cluster, namespace) (
    rate({cluster="prod", namespace=~"loki-.*"} [5m])
  ),
  "tenant",
  "$1",
  "namespace",
  "loki-(.*)"
)
> bool on (cluster) group_left (zone)
(vector(1) + 2)`)
	f(`sum(rate({cluster="prod", namespace=~"loki-.*"}[5m])) * (sum(rate({cluster="prod"}[5m])) - sum(rate({namespace=~"loki-.*"} |= "a rather long text" [5m])))`, `
sum(rate({cluster="prod", namespace=~"loki-.*"} [5m]))
*
(
  sum(rate({cluster="prod"} [5m]))
  -
  sum(rate({namespace=~"loki-.*"} |= "a rather long text" [5m]))
)`)
}
