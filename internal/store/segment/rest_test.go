package segment

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"math/rand/v2"

	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

// restInput is a block of usual records with a rest of the groups that names
// list, of every kind.
func restInput(r *rand.Rand, rows int, from uint64, names ...string) *block.Input {
	in := input(r, rows, from)
	slices.Sort(names)
	in.Rest = &block.Rest{}
	for _, name := range names {
		for kind := record.String; kind <= record.Bool; kind++ {
			in.Rest.Begin(name, kind)
			for k := range uint32(1 + r.IntN(3)) {
				if kind == record.String {
					in.Rest.String(k, fmt.Appendf(nil, "Value-%s of 10.0.0.%d", name, k))
				} else {
					in.Rest.Number(k, uint64(k)%2)
				}
			}
		}
	}
	return in
}

// checkRests holds what a reader says of rests against what was written.
func checkRests(t *testing.T, r *Reader, ins ...*block.Input) {
	t.Helper()
	groups, values := 0, 0
	for b, in := range ins {
		got, err := r.LoadRest(b, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got.Len() != in.Rest.Len() || got.Values() != in.Rest.Values() {
			t.Fatalf("block %d has %d fields in its rest, want %d", b, got.Len(), in.Rest.Len())
		}
		groups, values = groups+got.Len(), values+got.Values()
		for i := range got.Len() {
			x, y := got.Vector(i), in.Rest.Vector(i)
			if !slices.Equal(x.Rows, y.Rows) || !slices.Equal(x.Nums, y.Nums) || string(x.Data) != string(y.Data) || !slices.Equal(x.Ends, y.Ends) {
				t.Fatalf("block %d: field %d of the rest is %+v, want %+v", b, i, x, y)
			}
			name, _, _ := got.Name(i)
			for _, asked := range []string{name, ident(name)} {
				if ok, err := r.InRest(b, asked, nil); !ok || err != nil {
					t.Errorf("block %d: %q is not found: %v", b, asked, err)
				}
			}
			if y.Kind == record.String {
				Tokens(string(y.Bytes(0)), WholeEnd, WholeEnd, func(token string) {
					set := []uint64{1 << b}
					if err := r.Probe(RestHash(token), set, nil); err != nil || set[0] == 0 {
						t.Errorf("block %d: token %s of %q is not found: %v", b, token, name, err)
					}
				})
			}
		}
		if ok, err := r.InRest(b, "service.name", nil); ok || err != nil {
			t.Errorf("block %d: a field with a column is found in the rest: %v", b, err)
		}
	}
	rest := r.Rest()
	if groups == 0 {
		if rest != nil {
			t.Errorf("the directory has a rest: %+v", rest)
		}
		return
	}
	if rest == nil || rest.Max != uint64(groups) || rest.Values != uint64(values) || rest.Min != 0 {
		t.Errorf("the directory says of the rest: %+v, want %d fields and %d values", rest, groups, values)
	}
	for b, in := range ins {
		if rest.In(b) != (in.Rest.Len() > 0) {
			t.Errorf("the directory says %v of block %d", rest.In(b), b)
		}
	}
}

// ident is how LogQL writes a name.
func ident(name string) string {
	b := []byte(name)
	for i, c := range b {
		if class[c]&isWord == 0 {
			b[i] = '_'
		}
	}
	return string(b)
}

func restInputs() []*block.Input {
	r := rand.New(rand.NewPCG(21, 1))
	return []*block.Input{
		restInput(r, 40, 1, "user-1", "metrics.2.value", "a"),
		input(r, 40, 2),
		restInput(r, 40, 3, "user-1", "é\x00", "x_y.z"),
	}
}

// TestRestsAreFound reads rests as written, and after their blocks moved.
func TestRestsAreFound(t *testing.T) {
	ins := restInputs()
	for _, cache := range []int64{0, 1 << 20} {
		data, _ := write(t, ins...)
		r := open(t, data, cache)
		checkRests(t, r, ins...)
		w, buf := newTestWriter(t, 9)
		for _, b := range []int{2, 1, 0} {
			if err := w.Relocate(r, b); err != nil {
				t.Fatal(err)
			}
		}
		p, err := w.Prepare(3, ins[0])
		if err == nil {
			err = w.Add(p)
		}
		if err == nil {
			_, err = w.Finish()
		}
		if err != nil {
			t.Fatal(err)
		}
		checkRests(t, open(t, buf.Bytes(), cache), ins[2], ins[1], ins[0], ins[0])
	}
	data, _ := write(t, input(rand.New(rand.NewPCG(1, 1)), 5, 1))
	if r := open(t, data, 0); r.Rest() != nil {
		t.Error("a segment without a rest has one")
	}
}

// TestGoldenRest reads the rests of a segment that an earlier release wrote.
func TestGoldenRest(t *testing.T) {
	const name = "testdata/v2rest.seg"
	if *update && Version == 2 {
		data, _ := write(t, restInputs()...)
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	checkRests(t, open(t, data, 0), restInputs()...)
}
