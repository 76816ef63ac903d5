package logql

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzParse: no input panics, what parses is what its prints are read as, and
// every finding has a place in the query.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{a="b", c!~"d.*"} |= "x" or "y" | json | (a>5 or "b.c"<=10ms) and d=ip("10.0.0.0/8")`,
		`sum by (a) (rate({a="b"} | x != "" [5m] offset -1h)) / on(a) topk(2, vector(1.5e3)) > bool 2 ^ -1`,
		"{a=`x`} # c\n |~ \"\\n\"", `{a="\xff"}`, `1e+5`, `.5`, `{} | a > 1d2h3ms`, `{}|"" = 5`, `{by="x"}`, `{} | a.b=5KB`,
		"{a=\"\xff\"}", `{} | line_format "{{-/* ' */}}{{.a}}"`, `{} | a=1, b=2 or c=3 (d=4)`,
	} {
		f.Add(s)
	}
	for _, q := range paragraphs(f, "testdata/queries.txt") {
		f.Add(q)
	}
	for _, c := range paragraphs(f, "testdata/refused.txt") {
		q, _, _ := strings.Cut(c, "\n  at ")
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, q string) {
		for _, found := range Lint(q) {
			if found.Pos < 0 || found.Pos > len(q) || found.Line < 1 || found.Col < 1 || found.Text == "" {
				t.Fatalf("%q: finding %+v", q, found)
			}
			if !utf8.ValidString(found.Text) && utf8.ValidString(q) && !strings.Contains(q, `\x`) && !strings.Contains(q, `\`) {
				t.Fatalf("%q: finding %q is not UTF-8", q, found.Text)
			}
		}
		if e, err := Parse(q); err == nil {
			checkPrint(t, q, e)
		}
	})
}

// TestHostile: what is made to be slow is not. Each input fills the limit; the
// bound is generous, and a quadratic step anywhere goes beyond it.
func TestHostile(t *testing.T) {
	fill := func(before, again, after string) string {
		n := (maxLength - len(before) - len(after)) / len(again)
		return before + strings.Repeat(again, n) + after
	}
	for name, q := range map[string]string{
		"parentheses":        fill("", "(", ""),
		"conditions":         fill("{} | ", "(", ""),
		"condition chain":    fill("{} | a=1", ",a=1", ""),
		"blank chain":        fill("{} | a=1", " a=1", ""),
		"nested or":          fill("{} | a=1", ", a=1 or a=1", ""),
		"or":                 fill("{} | a=1", " or a=1", ""),
		"stages":             fill("{}", "|json", ""),
		"line filters":       fill("{}", `|=""`, ""),
		"line alternatives":  fill(`{}|=""`, ` or ""`, ""),
		"matchers":           fill("{", `a="",`, "}"),
		"names":              fill("sum by (", "a,", "a) (vector(1))"),
		"drops":              fill("{} | drop a", ",a", ""),
		"extractions":        fill("{} | json a", ",a", ""),
		"label formats":      fill("{} | label_format a=b", ",a=b", ""),
		"sums":               fill("", "sum(", ""),
		"ranges":             fill("rate(", "(", ""),
		"operators":          fill("1", "+1", ""),
		"powers":             fill("1", "^1", ""),
		"signs":              fill("", "-", ""),
		"comments":           fill("", "/*", ""),
		"closed comments":    fill("", "/**/", "{}"),
		"hashes":             fill("", "#\n", "{}"),
		"slashes":            fill("", "/", ""),
		"quotes":             fill("", `"`, ""),
		"escapes":            fill(`{} |= "`, `\\`, `"`),
		"bad escape":         fill(`{} |= "`, `\\`, `\q"`),
		"identifier":         fill("", "a", ""),
		"dots":               fill("{", "a.", ""),
		"number":             fill("", "1", ""),
		"exponents":          fill("", "1e+", ""),
		"duration":           fill("rate({}[", "1h", "])"),
		"pattern <":          fill(`{} | pattern "`, "<", `"`),
		"pattern <a":         fill(`{} | pattern "`, "<a", `"`),
		"pattern captures":   fill(`{} | pattern "`, "<a> ", `"`),
		"pattern filter":     fill(`{} |> "`, "<_> ", `"`),
		"path dots":          fill(`{} | json a="a`, ".a", `"`),
		"path brackets":      fill(`{} | json a="`, "[0]", `"`),
		"template actions":   fill(`{} | line_format "`, "{{.a}}", `{{nope}}"`),
		"template open":      fill(`{} | line_format "`, "{{", `"`),
		"template brackets":  fill(`{} | line_format "{{`, "(", `"`),
		"template ifs":       fill(`{} | line_format "`, "{{if 1}}", `"`),
		"template else":      fill(`{} | line_format "{{if 1}}`, "{{else if 1}}", `{{end}}"`),
		"template comments":  fill(`{} | line_format "`, "{{/*", `"`),
		"template pipes":     fill(`{} | line_format "{{.a`, "|.a", `}}"`),
		"template strings":   fill(`{} | line_format "{{`, "`a` ", `}}"`),
		"expression":         fill(`{a=~"`, "(", `"}`),
		"expression stars":   fill(`{a=~"`, "a*", `"}`),
		"expression repeats": fill(`{a=~"`, "a{100}", `"}`),
		"expression bars":    fill(`{} |~ "`, "a|", `a"`),
		"captures":           fill(`{} | regexp "`, "(?P<a>a)", `"`),
		"lint":               fill(`{}`, `|~"a|b"`, ""),
		"lint matchers":      fill(`{`, `a="b",`, `}`),
		"lint formats":       `rate({}` + strings.Repeat(`|line_format "a"`, maxTerms-1) + `[5m])`,
		"pretty":             strings.Repeat("sum(", maxNodes-1) + `rate({a="` + strings.Repeat("x", 60_000) + `"}[5m])` + strings.Repeat(")", maxNodes-1),
	} {
		start := time.Now()
		e, err := Parse(q)
		if err == nil {
			checkPrint(t, name, e)
		}
		Lint(q)
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("%s: %v", name, d)
		} else if d > 100*time.Millisecond {
			t.Logf("%s: %v", name, d)
		}
	}
}
