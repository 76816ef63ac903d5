package segment

import (
	"slices"
	"testing"
)

func tokensOf(v string, left, right End) []string {
	var out []string
	Tokens(v, left, right, func(t string) { out = append(out, t) })
	return out
}

func TestTokens(t *testing.T) {
	f := func(v string, left, right End, want ...string) {
		t.Helper()
		if got := tokensOf(v, left, right); !slices.Equal(got, want) {
			t.Errorf("tokens of %q = %q, want %q", v, got, want)
		}
	}
	f("", WholeEnd, WholeEnd)
	f("a b_c", WholeEnd, WholeEnd, "a", "b_c")
	f("a b c", AnyEnd, AnyEnd, "b")
	f("abc", AnyEnd, WholeEnd)
	f("10.0.0.17:80", WholeEnd, WholeEnd, "10", "0", "0", "17", "80", "10.0.0.17:80")
	f("10.0.0.17:80", AnyEnd, AnyEnd, "0", "0", "17")
	f(" 10.0.0.17:80 ", AnyEnd, AnyEnd, "10", "0", "0", "17", "80", "10.0.0.17:80")
	f("10.0.0.17", WordEnd, WordEnd, "10", "0", "0", "17")
	f("GET /a/1.5/b", WordEnd, AnyEnd, "GET", "a", "1", "5")
	f("/healthz/live", WholeEnd, WholeEnd, "healthz", "live")
	f("/api/v1/cart/7", WholeEnd, WholeEnd, "api", "v1", "cart", "7", "/api/v1/cart/7")
	f("é1é", WholeEnd, WholeEnd, "1")
	f("...", WholeEnd, WholeEnd)
}

// FuzzTokenisersAgree holds the writer's scan against the reader's: what was put
// in is found.
func FuzzTokenisersAgree(f *testing.F) {
	f.Add("GET /api/v1/Cart/42 from 10.0.0.1:8080", "é_X-9 ")
	f.Fuzz(func(t *testing.T, v, around string) {
		var s hashSet
		s.reset()
		s.tokens(around+" "+v+" "+around, 7)
		Tokens(v, AnyEnd, AnyEnd, func(tok string) {
			h := HashToken(tok, 7)
			if !slices.Contains(s.list, h) {
				t.Fatalf("token %q of %q is not indexed", tok, v)
			}
		})
		Tokens(v, WholeEnd, WholeEnd, func(tok string) {
			if !slices.Contains(s.list, HashToken(tok, 7)) && class[tok[0]]&isCompound != 0 && len(tokensOf(tok, WholeEnd, WholeEnd)) == 1 {
				t.Fatalf("token %q of %q is not indexed", tok, v)
			}
		})
	})
}
