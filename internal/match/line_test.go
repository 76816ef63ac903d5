package match

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/record"
)

func line(fields ...record.Field) string {
	return string(AppendLine(nil, &record.Record{Fields: fields}))
}

func TestLine(t *testing.T) {
	f := func(want string, fields ...record.Field) {
		t.Helper()
		if got := line(fields...); got != want {
			t.Errorf("line = %s, want %s", got, want)
		}
	}
	s := func(name, v string) record.Field { return record.Field{Name: name, Value: record.StringValue(v)} }
	f(`{}`)
	f(`hello`, s("a", "x"), s("body", "hello"))
	f(``, s("a", "x"), s("body", ""))
	f(`{"a":"x","b":1}`, record.Field{Name: "b", Value: record.IntValue(1)}, s("a", "x"))
	f(`{"a":"x"}`, s("a", "x"), s(record.Labels, "a"))
	f(`{"a":"q\"\\\n\u0001<é"}`, s("a", "q\"\\\n\x01<é"))
	f("{\"a\":\"x\ufffdy\"}", s("a", "x\xffy"))
	f(`{"a":1.5,"b":true}`, record.Field{Name: "a", Value: record.FloatValue(1.5)}, record.Field{Name: "b", Value: record.BoolValue(true)})
}

func TestAppendLineDoesNotAllocate(t *testing.T) {
	r := &record.Record{Fields: []record.Field{
		{Name: "a", Value: record.StringValue("x y z")},
		{Name: "b", Value: record.IntValue(4)},
	}}
	dst := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() { dst = AppendLine(dst[:0], r) }); n != 0 {
		t.Errorf("%v allocations a line", n)
	}
}

// FuzzAppendQuoted holds the writer against encoding/json, and LineText against
// what it promises: a text is in the line exactly when it is in a value or name.
func FuzzAppendQuoted(f *testing.F) {
	f.Add("plain", "a:b")
	f.Add("q\"\\\n\x00\x7f\xff", "nx")
	f.Add("10.0.0.1:80", ":80")
	f.Fuzz(func(t *testing.T, v, lit string) {
		q := AppendQuoted(nil, v)
		var back string
		if err := json.Unmarshal(q, &back); err != nil || back != strings.ToValidUTF8(v, "\ufffd") && !strings.Contains(v, "\xff") && len(strings.ToValidUTF8(v, "")) == len(v) {
			t.Fatalf("AppendQuoted(%q) = %q, read back as %q: %v", v, q, back, err)
		}
		if Escapes(v) == (string(q) == `"`+v+`"`) {
			t.Fatalf("Escapes(%q) = %v, quoted %q", v, Escapes(v), q)
		}
		if !LineText(lit) || Escapes(v) {
			return
		}
		fields := []record.Field{
			{Name: "n", Value: record.IntValue(80)},
			{Name: "v", Value: record.StringValue(v)},
		}
		apart := strings.Contains(v, lit) || strings.Contains("n", lit) || strings.Contains("v", lit) || strings.Contains("80", lit)
		if got := strings.Contains(line(fields...), lit); got != apart {
			t.Fatalf("%q in line %q: %v, apart %v", lit, line(fields...), got, apart)
		}
	})
}
