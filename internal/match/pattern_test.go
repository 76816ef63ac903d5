package match_test

import (
	"math/rand/v2"
	"regexp"
	"testing"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
)

func TestAnchored(t *testing.T) {
	f := func(src, want string) {
		t.Helper()
		p, err := match.Anchored("f", src)
		if err != nil {
			t.Fatal(err)
		}
		if p.String() != want {
			t.Errorf("Anchored(%s) = %s, want %s", src, p, want)
		}
	}
	f(`abc`, `f = "abc"`)
	f(`a|b|cd`, `f in ("a", "b", "cd")`)
	f(`foo|far`, `f in ("foo", "far")`)
	f(`a(b|c)?`, `f in ("ab", "ac", "a")`)
	f(`.*`, `true`)
	f(`.+`, `exists(f)`)
	f(`a.*`, `prefix(f, "a")`)
	f(`.*a.*`, `contains(f, "a")`)
	f(`(?i)abc`, `f ~ "^(?s:(?i)abc)$"`)
	f(`/cart/1234[0-9]+`, `(prefix(f, "/cart/1234") and f ~ "^(?s:/cart/1234[0-9]+)$")`)
	f(`.*timeout[0-9]`, `(contains(f, "timeout") and f ~ "^(?s:.*timeout[0-9])$")`)
	f(``, `f = ""`)
}

func TestUnanchored(t *testing.T) {
	f := func(src, want string) {
		t.Helper()
		p, err := match.Unanchored("f", src)
		if err != nil {
			t.Fatal(err)
		}
		if p.String() != want {
			t.Errorf("Unanchored(%s) = %s, want %s", src, p, want)
		}
	}
	f(`abc`, `contains(f, "abc")`)
	f(`.*abc.*`, `contains(f, "abc")`)
	f(`abc|xyz`, `(contains(f, "abc") or contains(f, "xyz"))`)
	f(`(?i)error`, `icontains(f, "ERROR")`)
	f(`(?i)disk`, `f ~ "(?i)disk"`)
	f(`took \d+ms`, `(contains(f, "took ") and f ~ "took \\d+ms")`)
	f(`^abc`, `(contains(f, "abc") and f ~ "^abc")`)
}

// checkPattern holds both forms against package regexp on one text.
func checkPattern(t *testing.T, src, text string) {
	t.Helper()
	re, err := regexp.Compile("^(?s:" + src + ")$")
	if err != nil {
		return
	}
	if _, err := regexp.Compile(src); err != nil {
		return
	}
	r := &record.Record{Fields: []record.Field{{Name: "f", Value: record.StringValue(text)}}}
	if p, err := match.Anchored("f", src); err == nil {
		if got, want := match.Eval(p, r), re.MatchString(text); got != want {
			t.Fatalf("Anchored(%q) = %v on %q: %v, want %v", src, p, text, got, want)
		}
	}
	if p, err := match.Unanchored("f", src); err == nil {
		if got, want := match.Eval(p, r), regexp.MustCompile(src).MatchString(text); got != want {
			t.Fatalf("Unanchored(%q) = %v on %q: %v, want %v", src, p, text, got, want)
		}
	}
}

func TestPatternsAgree(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	pieces := []string{"a", "b", "ab", "abc", "K", "s", "(a|b)", "[ab]", ".", ".*", ".+", "a?", "b*", "^", "$", "(?i:a)", "(?i:ks)", "|", "\n", "é", "\ufffd"}
	texts := []string{"a", "b", "ab", "abc", "abcab", "B", "A", "k", "\n", "é", "\xff", "\ufffd", "\u212a", "\u017f", ""}
	for range 20000 {
		src, text := "", ""
		for range rnd.IntN(5) {
			src += pieces[rnd.IntN(len(pieces))]
		}
		for range rnd.IntN(4) {
			text += texts[rnd.IntN(len(texts))]
		}
		checkPattern(t, src, text)
	}
}

func FuzzPatterns(f *testing.F) {
	f.Add("a|b", "a")
	f.Add(".*x(?i)y", "xY")
	f.Fuzz(func(t *testing.T, src, text string) {
		if len(src) < 200 && len(text) < 1000 {
			checkPattern(t, src, text)
		}
	})
}

// TestSimplifyAgrees: a simplified predicate holds for the same records.
func TestSimplifyAgrees(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for range 3000 {
		p := randomPredicate(rnd, 4)
		q := match.Simplify(p)
		for range 5 {
			r := &record.Record{Class: "app"}
			for _, name := range []string{"a", "a.b", "body"} {
				if rnd.IntN(2) == 0 {
					r.Fields = append(r.Fields, record.Field{Name: name, Value: randomValue(rnd)})
				}
			}
			if match.Eval(p, r) != match.Eval(q, r) {
				t.Fatalf("%v simplified to %v differs on %v", p, q, r)
			}
		}
	}
}
