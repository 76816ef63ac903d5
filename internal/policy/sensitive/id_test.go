package sensitive

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// In what isID takes for an id, the reading word by word finds nothing either.
func TestIDs(t *testing.T) {
	all := New(All())
	r := rand.New(rand.NewPCG(1, 2))
	ids := 0
	for range 20_000 {
		v := fmt.Appendf(nil, "%016x%016x", r.Uint64(), r.Uint64())
		if r.IntN(2) == 0 {
			v = fmt.Appendf(nil, "%08x-%04x-%04x-%04x-%012x", r.Uint32(), r.Uint32()>>16, r.Uint32()>>16, r.Uint32()>>16, r.Uint64()>>16)
		}
		if r.IntN(4) == 0 {
			v[r.IntN(len(v))] = byte(r.Uint32())
		}
		if !isID(v) {
			continue
		}
		ids++
		if got := all.Find(nil, "", v); len(got) != 0 {
			t.Fatalf("%q: %v", v, got)
		}
	}
	if ids < 7000 {
		t.Errorf("%d of 20,000 were taken for ids", ids)
	}
	for _, v := range []string{
		"41111111111111111111111111111111", "41111111-1111-1111-1111-111111111111", // no letter: maybe numbers
		"70617373776f72643d68756e74657232", // password=hunter2
		"4BF92F3577B34DA6A3CE929D0E0E4736", "4bf92f35-77b3-4da6_a3ce-929d0e0e4736", "4bf92f3577b34da6a3ce929d0e0e473g",
	} {
		if isID([]byte(v)) {
			t.Errorf("%s is taken for an id", v)
		}
	}
}

// Of a column of one value, one value is looked at.
func TestMayFindIn(t *testing.T) {
	s := New(All())
	for _, c := range []struct {
		data string
		ends []uint32
		want bool
	}{
		{"defaultdefault", []uint32{7, 14}, false},
		{"default1default1", []uint32{8, 16}, true},
		{"defaultdefaul1", []uint32{7, 14}, true},
		{"default", []uint32{7}, false},
		{"", nil, false},
	} {
		if got := s.MayFindIn([]byte(c.data), c.ends); got != c.want {
			t.Errorf("%q: %v", c.data, got)
		}
	}
}
