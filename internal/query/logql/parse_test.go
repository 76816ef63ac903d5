package logql

import (
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
)

func TestParseString(t *testing.T) {
	f := func(query, want string) {
		t.Helper()
		e, err := Parse(query)
		if err != nil {
			t.Errorf("Parse(%s): %v", query, err)
			return
		}
		if got := e.String(); got != want {
			t.Errorf("Parse(%s) = %s, want %s", query, got, want)
		}
		again, err := Parse(want)
		if err != nil || again.String() != want {
			t.Errorf("%s is no fixed point: %v, %v", want, again, err)
		}
	}
	f(`{}`, `{}`)
	f(`{app="a"}`, `{app="a"}`)
	f(` { app = "a" , b!="c",} `, `{app="a", b!="c"}`)
	f(`{"k8s.pod.name"=~"web-.*"}`, `{k8s.pod.name=~"web-.*"}`)
	f(`{k8s.pod.name="x", "k8s.pod-name"="y", "by"="z"}`, `{k8s.pod.name="x", "k8s.pod-name"="y", "by"="z"}`)
	f("{a=`x\\d`}", "{a=`x\\d`}")
	f(`{a="x\\d"}`, "{a=`x\\d`}")
	f("{a=\"x`\\\"\"}", "{a=\"x`\\\"\"}")
	f(`{a="b"} |= "x" != "y" |~ "z" !~ "w"`, `{a="b"} |= "x" != "y" |~ "z" !~ "w"`)
	f(`{a="b"} |= "x" or "y" or "z"`, `{a="b"} |= "x" or "y" or "z"`)
	f(`{é1="b"} | größe > 5 | label_format x=größe`, `{"é1"="b"} | "größe" > 5 | label_format x=größe`)
	f(`{a="b"} # comment
		|= "x" # more`, `{a="b"} |= "x"`)
	f(`{a="b"} | json | logfmt|level="error"`, `{a="b"} | json | logfmt | level="error"`)
	f(`{a="b"} | json = "x"`, `{a="b"} | json="x"`)
	f(`{a="b"} | json != "x"`, `{a="b"} | json != "x"`)
	f(`{a="b"} | "json" != "x"`, `{a="b"} | "json"!="x"`)
	f(`{a="b"} | code >= 500`, `{a="b"} | code >= 500`)
	f(`{a="b"} | code = 500`, `{a="b"} | code == 500`)
	f(`{a="b"} | code!=500 and x > -1.5e3`, `{a="b"} | code != 500 and x > -1.5e3`)
	f(`{a="b"} | a="1", b="2"`, `{a="b"} | a="1" and b="2"`)
	f(`{a="b"} | a=1 or b=2 and c=3`, `{a="b"} | a == 1 or b == 2 and c == 3`)
	f(`{a="b"} | (a=1 or b=2) and c=3`, `{a="b"} | (a == 1 or b == 2) and c == 3`)
	f(`{a="b"} | (a=1 or (b=2 or (c=3)))`, `{a="b"} | a == 1 or b == 2 or c == 3`)
	f(`{a="b"} | d > 250ms and s <= 5KB and t<1d12h`, `{a="b"} | d > 250ms and s <= 5KB and t < 1d12h`)
	f(`{a="b"} | addr = ip("10.0.0.0/8")`, `{a="b"} | addr=ip("10.0.0.0/8")`)
	f(`({a="b"}) |= "x"`, `{a="b"} |= "x"`)
	f(`rate({a="b"}[5m])`, `rate({a="b"} [5m])`)
	f(`rate({a="b"}[90s] |= "x")`, `rate({a="b"} |= "x" [1m30s])`)
	f(`rate(({a="b"} |= "x")[1h] offset -5m)`, `rate({a="b"} |= "x" [1h] offset -5m)`)
	f(`count_over_time({a="b"} | json | x != "" [1d])`, `count_over_time({a="b"} | json | x!="" [24h])`)
	f(`sum by (a, "b.c") (rate({}[5m]))`, `sum by (a, b.c) (rate({} [5m]))`)
	f(`sum(rate({}[5m])) by (a)`, `sum by (a) (rate({} [5m]))`)
	f(`sum without () (rate({}[5m]))`, `sum without () (rate({} [5m]))`)
	f(`topk(3, rate({}[5m]))`, `topk(3, rate({} [5m]))`)
	f(`vector(1)+vector(1)`, `(vector(1) + vector(1))`)
	f(`1 + 2 * 3 ^ 2 ^ -1`, `(1 + (2 * (3 ^ (2 ^ -1))))`)
	f(`1 - 2 - 3`, `((1 - 2) - 3)`)
	f(`rate({}[1m]) > bool 1`, `(rate({} [1m]) > bool 1)`)
	f(`rate({}[1m]) / on(a) rate({}[2m])`, `(rate({} [1m]) / on (a) rate({} [2m]))`)
	f(`rate({}[1m]) and ignoring(a,b) rate({}[2m]) or vector(0)`, `((rate({} [1m]) and ignoring (a, b) rate({} [2m])) or vector(0))`)
	f(`sum(count_over_time({cluster=~".+"} |= "leader elected" [1d]))`, `sum(count_over_time({cluster=~".+"} |= "leader elected" [24h]))`)
}

func TestParseErrors(t *testing.T) {
	f := func(query, want string) {
		t.Helper()
		e, err := Parse(query)
		if err == nil {
			t.Errorf("Parse(%s) = %s, want error %s", query, e, want)
			return
		}
		if err.Error() != want {
			t.Errorf("Parse(%.100s)\n got %s\nwant %s", query, err, want)
		}
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("Parse(%s): kind %v", query, fault.KindOf(err))
		}
	}
	f(``, `parse error at line 1, col 1: syntax error: unexpected $end, expecting { or ( or NUMBER or a function`)
	f(`{app="x"`, `parse error at line 1, col 9: syntax error: unexpected $end, expecting } or ,`)
	f(`{app=x}`, `parse error at line 1, col 6: syntax error: unexpected IDENTIFIER, expecting STRING`)
	f(`{app='x'}`, `parse error at line 1, col 6: syntax error: strings are not written in single quotes`)
	f(`{app=="x"}`, `parse error at line 1, col 5: syntax error: unexpected ==, expecting = or =~ or != or !~`)
	f(`{app>5}`, `parse error at line 1, col 5: syntax error: unexpected >, expecting = or =~ or != or !~`)
	f(`{app="x}`, `parse error at line 1, col 6: syntax error: string is not terminated`)
	f("{é=\"\",\n  §=\"x\"}", `parse error at line 2, col 3: syntax error: unexpected character '§'`)
	f("{a=\"é\"} | \n x", `parse error at line 2, col 3: syntax error: unexpected $end, expecting = or != or =~ or !~ or > or >= or < or <= or ==`)
	f(`{a="b"} |= x`, `parse error at line 1, col 12: syntax error: unexpected IDENTIFIER, expecting STRING or ip`)
	f(`{a="b"} |~ "("`, "parse error at line 1, col 12: regular expression \"(\": error parsing regexp: missing closing ): `(`")
	f(`{a="b"} | code >= "500"`, `parse error at line 1, col 19: syntax error: unexpected STRING, expecting NUMBER or DURATION or BYTES`)
	f(`{a="b"} | code >= 5x`, `parse error at line 1, col 19: syntax error: 5x is neither a number, a duration nor a size`)
	f(`rate({a="b"})`, `parse error at line 1, col 13: syntax error: unexpected ), expecting [`)
	f(`rate({a="b"}[5])`, `parse error at line 1, col 14: syntax error: unexpected NUMBER, expecting DURATION`)
	f(`rate({a="b"}[0s])`, `parse error at line 1, col 14: the range must be longer than zero`)
	f(`rate({a="b"}[5m]) by (a)`, `parse error at line 1, col 19: grouping not allowed for rate aggregation`)
	f(`sum({a="b"})`, `parse error at line 1, col 5: sum aggregates a metric query, not a log query`)
	f(`sum_over_time({a="b"}[5m])`, `parse error at line 1, col 1: invalid aggregation sum_over_time without unwrap`)
	f(`foo({a="b"})`, `parse error at line 1, col 1: syntax error: unknown function foo`)
	f(`{a="b"} + 1`, `parse error at line 1, col 9: operator + joins metric queries, not log queries`)
	f(`topk(0, rate({}[5m]))`, `parse error at line 1, col 6: the parameter of topk must be a whole number from 1 to 1000000`)
	f(`rate({}[1m]) / group_left rate({}[1m])`, `parse error at line 1, col 16: syntax error: unexpected group_left`)
	f(`{a="b"} | x = ip("nonsense")`, `parse error at line 1, col 18: ip: invalid pattern "nonsense": not an address, a network or a range`)
	f(strings.Repeat("(", 10000), `parse error at line 1, col 257: query is nested deeper than 256 levels`)
	f(`{} | `+strings.Repeat("(", 10000), `parse error at line 1, col 261: query is nested deeper than 256 levels`)
	f(`{}`+strings.Repeat(` |= "x"`, 10000), `parse error at line 1, col 65537: query of 70002 bytes is longer than 65536`)
	f(`{}`+strings.Repeat(`|=""`, 10000), `parse error at line 1, col 4003: query has more than 1000 matchers and filters`)
	f(`1`+strings.Repeat(`+1`, 10000), `parse error at line 1, col 202: query has more than 100 operators and aggregations`)
	f(`{a=~"(a{1000}){1000}"}`, "parse error at line 1, col 5: regular expression \"(a{1000}){1000}\": error parsing regexp: invalid repeat count: `{1000}`")
}

func TestParseHints(t *testing.T) {
	f := func(query, want string) {
		t.Helper()
		_, err := Parse(query)
		if got := fault.HintOf(err); got != want {
			t.Errorf("hint of %s: %s, want %s", query, got, want)
		}
	}
	f(`{app=x}`, `values are quoted: app="x"`)
	f(`{} | code >= "500"`, `numbers are not quoted: code >= 500`)
	f(`{code>500}`, `compare numbers after the braces: {…} | code > 5`)
	f(`rate({})`, `give the window to count over: {…}[5m]`)
}

// TestParserBeforeLineFilter: json stands for the parser before != and !~, as in
// Loki, and for a field of that name before every other operator.
func TestParserBeforeLineFilter(t *testing.T) {
	for _, name := range []string{"json", "logfmt", "unpack", "decolorize"} {
		for rest, stages := range map[string]int{
			` != "x"`: 2, ` !~ "x"`: 2, ` != "x" or "y" | a="b"`: 3, `="x"`: 1, `=~"x"`: 1, ` >= 5`: 1,
		} {
			q := `{} | ` + name + rest
			l, err := ParseLog(q)
			if err != nil || len(l.Stages) != stages {
				t.Errorf("%s: %v, %v, want %d stages", q, l, err, stages)
			}
		}
		for _, op := range []Op{OpNotEq, OpNotRegex} {
			l := &Log{Stages: []Stage{&LabelFilter{&TextCond{Matcher{Name: name, Op: op, Value: "x"}}}}}
			if again, err := ParseLog(l.String()); err != nil || again.String() != l.String() || len(again.Stages) != 1 {
				t.Errorf("%s is read as %v, %v", l, again, err)
			}
		}
	}
}
