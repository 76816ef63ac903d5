package match_test

import (
	"net/netip"
	"testing"

	"github.com/meshtrail/meshtrail/internal/match"
)

func TestEqual(t *testing.T) {
	re := func(s string) *match.Regexp {
		r, err := match.CompileRegexp(s)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	// Made twice, so that nothing is shared. The names of some are the text of others.
	all := func() []match.Predicate {
		return []match.Predicate{
			nil, match.True{}, match.False{}, match.And{}, match.Or{}, match.Exists{Field: "a"}, match.Eq{Field: "a", Value: "b"},
			match.Eq{Field: `a = "x" and a`, Value: "b"}, match.And{match.Eq{Field: "a", Value: "x"}, match.Eq{Field: "a", Value: "b"}},
			match.Or{match.Eq{Field: "a", Value: "x"}, match.Eq{Field: "a", Value: "b"}}, match.Prefix{Field: "a", Value: "b"},
			match.And{match.Eq{Field: "a", Value: "b"}, match.Eq{Field: "a", Value: "x"}},
			match.In{Field: "a", Values: []string{"b", "c"}}, match.In{Field: "a", Values: []string{"b", "d"}}, match.In{Field: "a", Values: []string{"b"}},
			match.Contains{Field: "a", Value: "b"}, match.Contains{Field: "a", Value: "b", Fold: true}, match.Word{Field: "a", Value: "b"},
			match.Regex{Field: "a", Re: re("b+")}, match.Regex{Field: "a", Re: re("c+")}, match.Not{P: match.Regex{Field: "a", Re: re("b+")}},
			match.Range{Field: "a", Min: match.IntBound(5, true)}, match.Range{Field: "a", Min: match.IntBound(5, false)}, match.Range{Field: "a", Unit: match.Bytes},
			match.CIDR{Field: "a", Net: netip.MustParsePrefix("10.0.0.0/8")}, match.CIDR{Field: "a", Net: netip.MustParsePrefix("10.0.0.0/9")},
		}
	}
	for i, a := range all() {
		for j, b := range all() {
			if match.Equal(a, b) != (i == j) {
				t.Errorf("%v and %v: equal is %v", a, b, !(i == j))
			}
		}
	}
}
