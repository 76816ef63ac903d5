package block

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/meshtrail/meshtrail/internal/record"
)

// TestHeadersTellAlphabets: of no string column a reader needs the body to know
// which bytes it is made of.
func TestHeadersTellAlphabets(t *testing.T) {
	in := golden()
	r := rand.New(rand.NewPCG(1, 5))
	var ids []string
	for range 200 {
		ids = append(ids, fmt.Sprintf("%016x%016x%016x%016x", r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()))
	}
	large := textColumn(len(in.Times), func(int) string { return ids[r.IntN(len(ids))] })
	in.Columns = append(in.Columns, messages(len(in.Times)), large)
	h, err := DecodeHeader(Encode(in).Header)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[codec]bool{}
	for i, c := range in.Columns {
		if c.Kind != record.String {
			continue
		}
		col := &h.Columns[i]
		seen[col.codec] = true
		got, want := h.Alphabet(i), BytesOf(c.Data)
		if got == nil {
			t.Errorf("the alphabet of %s, codec %d, is not known", c.Name, col.codec)
			continue
		}
		for b := range 256 {
			if want.Has(byte(b)) && !got.Has(byte(b)) {
				t.Errorf("column %s has byte %#x and its alphabet not", c.Name, b)
			}
		}
		if col.entries == 0 && col.head.size > 0 && *got != *want {
			t.Errorf("the alphabet of %s is too large", c.Name)
		}
	}
	for _, c := range []codec{codecConst, codecDict, codecString, codecSplit, codecHex, codecUUID, codecDecimal} {
		if !seen[c] && c != codecString {
			t.Errorf("no column has codec %d", c)
		}
	}
	if c := &h.Columns[len(h.Columns)-1]; c.Head() != nil || c.Form() != Dict || c.head.size == 0 {
		t.Errorf("the large dictionary has form %d, head %v, alphabet %v", c.Form(), c.Head() != nil, c.head.size > 0)
	}
}
