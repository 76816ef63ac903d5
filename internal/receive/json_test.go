package receive

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestStrings holds strings of every mixture of runs, quotes and escapes against
// encoding/json, at every offset from the end of the text.
func TestStrings(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 2))
	parts := []string{`a`, `plain run of text`, `\"`, `\\`, `\n`, `\u00e9`, `\ud83d\ude00`, `\ud83d`, `é`, `\/`, `{`, `]`, `,`}
	for range 20_000 {
		var b strings.Builder
		for range r.IntN(12) {
			b.WriteString(parts[r.IntN(len(parts))])
		}
		quoted := `"` + b.String() + `"`
		var want string
		if err := json.Unmarshal([]byte(quoted), &want); err != nil {
			t.Fatal(err)
		}
		text := `[` + quoted + `,1` + strings.Repeat(" ", r.IntN(20)) + `]`
		set := NewSet()
		j := NewJSON([]byte(text), 8, set)
		if !j.Begin('[') || !j.Elem() {
			t.Fatal(j.Err())
		}
		at := j.At(j.Pos())
		if raw := string(j.Raw()); raw != quoted {
			t.Fatalf("raw of %s is %s", text, raw)
		}
		if got := string(at.String()); got != want || at.Err() != nil {
			t.Fatalf("%s is %q, want %q: %v", quoted, got, want, at.Err())
		}
		if !j.Elem() || string(j.Scalar()) != "1" || j.Elem() || j.Err() != nil {
			t.Fatalf("what follows %s is not read: %v", quoted, j.Err())
		}
		set.Release()
	}
	for _, bad := range []string{`"`, `"abc`, `"abc\`, `"abc\"`, `"12345678\`, `"1234567\"`} {
		j := NewJSON([]byte(bad), 8, NewSet())
		if j.String(); j.Err() == nil {
			t.Errorf("%s is a string", bad)
		}
		j = NewJSON([]byte(bad), 8, NewSet())
		if j.Raw(); j.Err() == nil {
			t.Errorf("%s is a value", bad)
		}
	}
}
