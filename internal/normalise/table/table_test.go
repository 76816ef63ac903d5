package table_test

import (
	"testing"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
	. "github.com/meshtrail/meshtrail/internal/normalise/table"
)

// TestIndex finds tables by the names of a shape, nulls included.
func TestIndex(t *testing.T) {
	a := &Table{Format: facts.Format{Name: "a"}, All: [][]string{{"who"}, {"what", "which"}}, None: []string{"never"}, Keys: map[string]Rule{"who": Text(field.URLPath)}}
	b := &Table{Format: facts.Format{Name: "b"}, All: [][]string{{"who"}}}
	x := NewIndex(a, b)
	names := jsonscan.NewNames(func(name string) (uint64, uint64, any) { return 0, 0, x.Meanings(name) })
	for in, want := range map[string]string{
		`{"who":1,"which":2}`:            "ab",
		`{"who":1,"what":null}`:          "ab",
		`{"who":1}`:                      "b",
		`{"who":1,"what":1,"never":1}`:   "b",
		`{"what":1}`:                     "",
		`{"x":{"who":1,"what":{"y":1}}}`: "",
	} {
		var o jsonscan.Object
		if err := o.Scan([]byte(in), names); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, f := range x.Find(nil, &o) {
			got += f.Format.Name
			if r := x.Rule(f, o.Members[0].Name); (r != nil) != (f == a) {
				t.Errorf("%s: rule of %s", in, f.Format.Name)
			}
		}
		if got != want {
			t.Errorf("%s: tables %q, want %q", in, got, want)
		}
	}
}

func TestSpan(t *testing.T) {
	for _, c := range []struct {
		m    jsonscan.Member
		unit int64
		want int64
	}{
		{jsonscan.Member{Kind: jsonscan.Int, Int: 12}, 1e6, 12e6},
		{jsonscan.Member{Kind: jsonscan.Float, Float: 0.0005}, 1e9, 500_000},
		{jsonscan.Member{Kind: jsonscan.String, Text: []byte("0.25")}, 1e9, 250e6},
		{jsonscan.Member{Kind: jsonscan.String, Text: []byte("17")}, 1, 17},
		{jsonscan.Member{Kind: jsonscan.String, Text: []byte("1m3.5s")}, 1, 63_500_000_000},
		{jsonscan.Member{Kind: jsonscan.String, Text: []byte("12ms")}, 1, 12_000_000},
		{jsonscan.Member{Kind: jsonscan.Int, Int: -1}, 1, -1},
		{jsonscan.Member{Kind: jsonscan.Int, Int: 1 << 62}, 1e9, -1},
		{jsonscan.Member{Kind: jsonscan.String, Text: []byte("soon")}, 1, -1},
	} {
		ns, ok := Span(&c.m, c.unit)
		if ok != (c.want >= 0) || ok && ns != c.want {
			t.Errorf("%+v: %d %v, want %d", c.m, ns, ok, c.want)
		}
	}
}
