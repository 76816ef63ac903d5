package jsontext

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
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
		set := receive.NewSet()
		j := NewReader([]byte(text), 8, set)
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
		j := NewReader([]byte(bad), 8, receive.NewSet())
		if j.String(); j.Err() == nil {
			t.Errorf("%s is a string", bad)
		}
		j = NewReader([]byte(bad), 8, receive.NewSet())
		if j.Raw(); j.Err() == nil {
			t.Errorf("%s is a value", bad)
		}
	}
}

// value reads any JSON with the puller, as encoding/json would show it.
func value(j *Reader) any {
	switch j.Peek() {
	case '{':
		m := map[string]any{}
		j.Begin('{')
		for {
			k, ok := j.Field()
			if !ok {
				return m
			}
			m[string(k)] = value(j)
		}
	case '[':
		a := []any{}
		j.Begin('[')
		for j.Elem() {
			a = append(a, value(j))
		}
		return a
	case '"':
		return string(j.String())
	}
	return string(j.Scalar())
}

// FuzzJSON holds the puller against encoding/json: what that takes, it reads the
// same. It may take more.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,-2.5e3,true,null,"x\u00e9\ud83d\ude00\n\/"],"b":{}}`, `[]`, ` "\ud800" `, `{"a":1,}`, `[[[[]]]]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		set := receive.NewSet()
		defer set.Release()
		j := NewReader(b, 100, set)
		got := value(&j)
		j.End()
		var want any
		dec := json.NewDecoder(bytes.NewReader(b))
		dec.UseNumber()
		if !json.Valid(b) || dec.Decode(&want) != nil {
			return
		}
		if bytes.ContainsRune(b, 0xfffd) || !bytes.Equal(bytes.ToValidUTF8(b, nil), b) {
			return // encoding/json replaces what is not UTF-8
		}
		if j.Err() != nil {
			if fault.Is(j.Err(), fault.TooLarge) {
				return
			}
			t.Fatalf("%q: %v", b, j.Err())
		}
		if g, w := fmt.Sprint(got), fmt.Sprint(strip(want)); g != w {
			t.Fatalf("%q: %s, want %s", b, g, w)
		}
		raw := NewReader(b, 1, set)
		if string(bytes.TrimSpace(b)) != string(raw.Raw()) || raw.Err() != nil {
			t.Fatalf("raw of %q: %v", b, raw.Err())
		}
	})
}

// strip turns scalars into their text.
func strip(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = strip(v[k])
		}
	case []any:
		for i := range v {
			v[i] = strip(v[i])
		}
	case nil:
		return "null"
	case bool, json.Number:
		return fmt.Sprint(v)
	}
	return v
}

func FuzzAppendString(f *testing.F) {
	f.Add([]byte("a\"\\\n\x00\xffé"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s string
		out := AppendString(nil, b)
		if err := json.Unmarshal(out, &s); err != nil || s != strings.ToValidUTF8(string(b), "\ufffd") && len(b) == len(bytes.ToValidUTF8(b, nil)) {
			t.Fatalf("%q: %q %v", b, out, err)
		}
	})
}
