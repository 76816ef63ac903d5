package plan_test

import (
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/query/plan"
)

// Bodies that json and bodies that logfmt look into.
const (
	braces = `prefix(body, "{") or prefix(body, " ") or prefix(body, "\t") or prefix(body, "\r") or prefix(body, "\n")`
	paired = `contains(body, "=")`
	failed = `(parse.status = "none" and exists(body))`
)

// TestSelect shows what the store is asked. A query without sure has records
// that cannot be told apart; one without pipe is the store's alone.
func TestSelect(t *testing.T) {
	type want struct {
		where        string
		pipe         bool
		sure, unsure string
	}
	for query, want := range map[string]want{
		// The store decides filters that stand before everything else, and errors
		// that nobody can have made.
		`{app="a"} |= "x" or "y" | status > 5 | __error__="" |> "a<_>"`: {
			where: `app = "a" and (contains(__line__, "x") or contains(__line__, "y")) and status > 5 and __line__ ~ "^(?s:a.+?)$"`},
		// Most records have no body that json would look into: for those it still
		// decides, also that one line or another is no JSON.
		`{app="a"} | json | status > 5`: {
			where: `app = "a" and (status > 5 or BRACES)`, pipe: true,
			sure:   `app = "a" and not BRACED and not FAILED and status > 5`,
			unsure: `app = "a" and (BRACES or (not BRACED and parse.status = "none" and exists(body) and status > 5))`},
		`{} | json | __error__=""`: {
			where: `true`, pipe: true,
			sure:   `not BRACED and not FAILED`,
			unsure: `BRACED`},
		`{} | logfmt | a="b" |= "x"`: {
			where: `(a = "b" and contains(__line__, "x")) or (PAIRED and contains(__line__, "x"))`, pipe: true,
			sure:   `not PAIRED and a = "b" and contains(__line__, "x")`,
			unsure: `PAIRED and contains(__line__, "x")`},
		// Elsewhere a filter is pushed unless a stage may have made, dropped or
		// changed what it compares.
		`{} | regexp "(?P<a>x)" | a="1" | b="2" |= "x"`:                {where: `b = "2" and contains(__line__, "x")`, pipe: true},
		`{} | pattern "<a> <_>" | a="1" | b="2"`:                       {where: `b = "2"`, pipe: true},
		`{} | json x="a.b" | x="1" | x_extracted="1" | y="2"`:          {where: `y = "2"`, pipe: true},
		`{} | line_format "x" | b="2" |= "x"`:                          {where: `b = "2"`, pipe: true},
		`{} | label_format a=b | a="1" | b="2" | c="3"`:                {where: `c = "3"`, pipe: true},
		`{} | drop namespace | k8s_namespace_name="x" | y="2"`:         {where: `y = "2"`, pipe: true},
		`{} | keep a | a="1"`:                                          {where: `true`, pipe: true},
		`{} | unpack | a="1" |= "x"`:                                   {where: `true`, pipe: true},
		`{} | json | line_format "x" | y="2"`:                          {where: `y = "2" or BRACES`, pipe: true},
		`{} | json | line_format "x" | y!="2"`:                         {where: `not (y = "2" and not BRACED)`, pipe: true},
		`{} | line_format "x" | json | y="2"`:                          {where: `true`, pipe: true},
		`{a="1"} | distinct a | y="2"`:                                 {where: `a = "1"`, pipe: true},
		`{} |= ip("10.1.0.0/16") | y="2"`:                              {where: `contains(__line__, "10.1.") and y = "2"`, pipe: true},
		`{} |= ip("10.1.2.0-10.1.3.9") != ip("10.0.0.0/8") | y="2"`:    {where: `y = "2"`, pipe: true},
		`{} | x=ip("10.1.2.4-10.1.2.7") or y="2" and (z > 1 or z < 0)`: {where: `x in 10.1.2.4/30 or (y = "2" and (z > 1 or z < 0))`},
	} {
		l, err := logql.ParseLog(query)
		if err != nil {
			t.Fatal(err)
		}
		p, err := plan.Select(l)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range []struct {
			what string
			got  match.Predicate
			want string
		}{{"where", p.Where, want.where}, {"sure", p.Sure, want.sure}, {"unsure", p.Unsure, want.unsure}} {
			got := ""
			if x.got != nil {
				got = x.got.String()
			}
			w := strings.NewReplacer("BRACES", braces, "BRACED", "("+braces+")", "PAIRED", paired, "FAILED", failed).Replace(x.want)
			if strings.HasPrefix(got, "(") && got == "("+w+")" {
				got = w
			}
			if got != w {
				t.Errorf("%s: %s\ngot  %s\nwant %s", query, x.what, got, w)
			}
		}
		if (p.Pipe != nil) != want.pipe {
			t.Errorf("%s: pipe %v", query, p.Pipe != nil)
		}
	}
}

// TestSelectClass: who speaks of audit records by name is found wherever the
// name stands, so that package query can refuse.
func TestSelectClass(t *testing.T) {
	for query, want := range map[string]bool{
		`{class="audit"}`: true, `{__class__="audit"}`: true, `{} | class="audit"`: true, `{} | json | a="1" or (b="2" and class="audit")`: true,
		`{} | line_format "x" | class="audit"`: true, `{class!="audit"}`: false, `{app="audit"}`: false,
	} {
		l, err := logql.ParseLog(query)
		if err != nil {
			t.Fatal(err)
		}
		p, err := plan.Select(l)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(p.WantsClass) == 1 && p.WantsClass[0] == "audit"; got != want || !p.NamesClass && strings.Contains(query, "class") {
			t.Errorf("%s: wants %v, names %v", query, p.WantsClass, p.NamesClass)
		}
	}
}
