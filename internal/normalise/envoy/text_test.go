package envoy

import (
	"bytes"
	"testing"
)

// FuzzQuotes holds the search for columns to package bytes.
func FuzzQuotes(f *testing.F) {
	for _, s := range []string{``, `"`, `" `, ` "`, `"a" "b`, `a" " "c" `, `"" ""`, ` "" "`, `x"y"z `, `a_.b`, `_`, `__.`, `a_b_.c_.d`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, s []byte) {
		if got, want := quoteEnd(s), bytes.Index(s, []byte(`" `)); got != want {
			t.Errorf("quoteEnd(%q) = %d, want %d", s, got, want)
		}
		if got, want := lastQuoted(s), bytes.LastIndex(s, []byte(` "`)); got != want {
			t.Errorf("lastQuoted(%q) = %d, want %d", s, got, want)
		}
		part, rest, ok := cutPart(s)
		before, after, found := bytes.Cut(s, []byte("_."))
		if !bytes.Equal(part, before) || !bytes.Equal(rest, after) || ok != found {
			t.Errorf("cutPart(%q) = %q %q %v, want %q %q %v", s, part, rest, ok, before, after, found)
		}
	})
}
