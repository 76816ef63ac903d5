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
			switch r.IntN(3) {
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
