package record

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestEditAgainstModel makes random edits of a batch and of maps, and compares.
func TestEditAgainstModel(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for round := range 200 {
		var b Batch
		model := make([]map[string]string, 1+r.IntN(12))
		for i := range model {
			model[i] = map[string]string{}
			b.Begin(int64(i), "app")
			for _, name := range []string{"a", "b", "c"} {
				if r.IntN(3) > 0 {
					v := fmt.Sprintf("%s%d", name, r.IntN(1000))
					b.Str(name, v)
					model[i][name] = v
				}
			}
			b.End()
		}
		for range 30 {
			c := b.Columns()[r.IntN(len(b.Columns()))]
			switch r.IntN(4) {
			case 0:
				if len(c.Rows) > 0 {
					i := r.IntN(len(c.Rows))
					delete(model[c.Rows[i]], c.Name)
					c.Remove(i)
				}
			case 1:
				row, name, v := r.IntN(len(model)), string(rune('a'+r.IntN(5))), fmt.Sprint("new", r.IntN(1000))
				b.SetStringAt(row, name, v)
				if _, ok := model[row][name]; !ok {
					model[row][name] = v
				}
			case 3:
				name, of, v := string(rune('a'+r.IntN(5))), r.IntN(3), fmt.Sprint("filled", r.IntN(1000))
				b.FillStrings(name, func(dst []byte, row int) ([]byte, bool) {
					if _, ok := model[row][name]; ok {
						t.Fatalf("asked for record %d, which has %s", row, name)
					}
					if row%3 != of {
						return nil, false
					}
					model[row][name] = v
					return append(dst, v...), true
				})
			case 2:
				old := c.Name
				b.Rename(c, "x")
				for _, m := range model {
					if v, ok := m[old]; ok {
						delete(m, old)
						m[c.Name] = v
					}
				}
			}
		}
		for i, m := range model {
			rec := b.Record(i)
			if len(rec.Fields) != len(m) {
				t.Fatalf("round %d record %d: %v, want %v", round, i, rec.Fields, m)
			}
			for _, f := range rec.Fields {
				if m[f.Name] != f.Value.Str {
					t.Fatalf("round %d record %d: %s is %q, want %q", round, i, f.Name, f.Value.Str, m[f.Name])
				}
			}
		}
	}
}

// TestReclass gives records of as many classes as a batch can have another one.
func TestReclass(t *testing.T) {
	var b Batch
	for i := range 1000 {
		b.Begin(int64(i), Class(fmt.Sprint("c", i%255)))
		b.End()
	}
	asked := 0
	b.Reclass(func(c Class) Class {
		if asked++; c == "c7" || c == "c8" {
			return "eight"
		}
		return c
	})
	for i := range 1000 {
		want := Class(fmt.Sprint("c", i%255))
		if i%255 == 7 || i%255 == 8 {
			want = "eight"
		}
		if got := b.ClassAt(i); got != want {
			t.Fatalf("record %d is of class %s, want %s", i, got, want)
		}
	}
	if asked != 255 {
		t.Errorf("asked %d times", asked)
	}
	var again Batch
	if err := Decode(func() []byte { b.Tenant, b.Source = "t", "s"; b.Account.Received = 1000; return b.AppendEncoded(nil) }(), &again); err != nil || again.ClassAt(7) != "eight" || again.ClassAt(9) != "c9" {
		t.Errorf("decoded: %v", err)
	}
}
