package memtable

import (
	"slices"
	"testing"

	"github.com/meshtrail/meshtrail/internal/record"
)

// TestPlanTellsNoHistory plans the same records twice: in a block that is new,
// and in one whose memory held the same fields in another order before. What is
// written must be the same, or two machines would write different segments.
func TestPlanTellsNoHistory(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e"}
	batch := func(names []string) *record.Batch {
		b := &record.Batch{Tenant: "acme", Ingest: 1, Ord: 1 << 20}
		for i := range 40 {
			b.Begin(int64(i+1), "app")
			for _, n := range names {
				b.Int(n, int64(i))
			}
			b.End()
		}
		return b
	}
	columns := func(open *Block) []string {
		table := New()
		at := Part{Tenant: "acme", Class: "app", Day: 0}
		open.few = table.few
		table.parts[at] = &part{at: at, open: open}
		table.Insert(batch([]string{"c", "a", "e", "b", "d"}))
		table.Close()
		p := Cut{100, 1 << 20, MaxColumns}.Plan(table.Views(all))
		var out []string
		for _, c := range p.Block(0, nil).Columns {
			out = append(out, c.Name)
		}
		return out
	}
	fresh := columns(newBlock())
	for _, reversed := range []bool{false, true} {
		used, before := newBlock(), slices.Clone(names)
		if reversed {
			slices.Reverse(before)
		}
		for _, n := range before {
			used.column(-1, n, record.Int, manyValues)
		}
		if !used.reset() {
			t.Fatal("a block of five columns is not used again")
		}
		if again := columns(used); !slices.Equal(fresh, again) {
			t.Errorf("columns %v in a new block, %v in one used before", fresh, again)
		}
	}
	if len(fresh) != len(names) {
		t.Errorf("%d columns, want %d", len(fresh), len(names))
	}
}
