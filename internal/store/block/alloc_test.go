package block

import (
	"math/rand/v2"
	"testing"
)

// TestAllocations: what encoding and decoding allocate depends on the number of
// columns, not on that of values.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates on its own")
	}
	in := gen(rand.New(rand.NewPCG(11, 1)), 6000)
	in.Columns = append(in.Columns, messages(6000))
	perColumn := testing.AllocsPerRun(3, func() { Encode(in) }) / float64(len(in.Columns))
	if perColumn > 24 {
		t.Errorf("%.1f allocations to encode a column of 6,000 values", perColumn)
	}
	e := Encode(in)
	h, err := DecodeHeader(e.Header)
	if err != nil {
		t.Fatal(err)
	}
	bodies := map[*Column][]byte{}
	left := e.Bodies
	for _, c := range append([]*Column{h.Time, h.Origin}, pointersTo(h.Columns)...) {
		if bodies[c] = c.Inline(); c.Body > 0 {
			bodies[c], left = left[0], left[1:]
		}
	}
	seen := map[codec]bool{}
	for c, body := range bodies {
		var base *Vector
		if k := c.Base(); k >= 0 {
			if base, err = h.Columns[k].Decode(bodies[&h.Columns[k]], nil); err != nil {
				t.Fatal(err)
			}
		}
		seen[c.codec] = true
		limit := 24.0
		if c.codec == codecSplit {
			limit = 400 // of each slot some
		}
		if n := testing.AllocsPerRun(3, func() {
			if _, err := c.Decode(body, base); err != nil {
				t.Fatal(err)
			}
		}); n > limit {
			t.Errorf("%v allocations to decode column %q of codec %d", n, c.Name, c.codec)
		}
	}
	for c := codecConst; c <= codecFraction; c++ {
		if !seen[c] {
			t.Errorf("no column has codec %d", c)
		}
	}
}
