package block

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
)

// drawRest makes groups of every kind, from one value to one for each row.
func drawRest(r *rand.Rand, rows, groups int) *Rest {
	names := map[string]bool{}
	for len(names) < groups {
		names[fmt.Sprintf("%s-%d", []string{"user", "a", "metrics.x", "\xff\x00"}[r.IntN(4)], r.IntN(4*groups))] = true
	}
	var sorted []string
	for n := range names {
		sorted = append(sorted, n)
	}
	slices.Sort(sorted)
	out := &Rest{}
	for _, name := range sorted {
		for kind := record.String; kind <= record.Bool; kind++ {
			if r.IntN(2) == 0 {
				continue
			}
			out.Begin(name, kind)
			n := 0
			for row := range uint32(rows) {
				if share := 1 + r.IntN(9); r.IntN(share) > 0 && (n > 0 || int(row) < rows-1) {
					continue
				}
				n++
				switch kind {
				case record.String:
					out.String(row, []byte([]string{"", "x", "some text", "\xff\xfe"}[r.IntN(4)]))
				case record.Int:
					out.Number(row, r.Uint64()>>r.IntN(64))
				case record.Float:
					out.Number(row, []uint64{math.Float64bits(1.25), math.Float64bits(math.NaN()) + 1, 1 << 63, r.Uint64()}[r.IntN(4)])
				default:
					out.Number(row, uint64(r.IntN(2)))
				}
			}
		}
	}
	return out
}

// sameRest holds a decoded rest against the one it was made of.
func sameRest(t *testing.T, got, want *Rest) {
	t.Helper()
	if got.Len() != want.Len() || got.Values() != want.Values() {
		t.Fatalf("%d groups with %d values, want %d with %d", got.Len(), got.Values(), want.Len(), want.Values())
	}
	for i := range want.Len() {
		name, kind, n := want.Name(i)
		if a, b, c := got.Name(i); a != name || b != kind || c != n {
			t.Fatalf("group %d is %q %d of %d, want %q %d of %d", i, a, b, c, name, kind, n)
		}
		if at, ok := got.Find(name, kind); !ok || at != i {
			t.Fatalf("group %d is found at %d, %v", i, at, ok)
		}
		a, b := got.Vector(i), want.Vector(i)
		if a.Kind != b.Kind || !slices.Equal(a.Rows, b.Rows) || !slices.Equal(a.Nums, b.Nums) || !slices.Equal(a.Ends, b.Ends) || !bytes.Equal(a.Data, b.Data) {
			t.Fatalf("group %q %d is %+v, want %+v", name, kind, a, b)
		}
	}
	sameRows(t, got)
	if _, ok := got.Find("no such name", record.Int); ok {
		t.Fatal("a name that is not there is found")
	}
}

// sameRows holds the values by row against those by group.
func sameRows(t *testing.T, r *Rest) {
	t.Helper()
	byRow := map[int][]string{}
	for i := range r.Len() {
		name, kind, _ := r.Name(i)
		v := r.Vector(i)
		for k := range v.N {
			s := fmt.Sprint(name, kind)
			if kind == record.String {
				s += string(v.Bytes(k))
			} else {
				s = fmt.Sprint(name, kind, v.Nums[k])
			}
			byRow[v.Row(k)] = append(byRow[v.Row(k)], s)
		}
	}
	for row := range 300 {
		var got []string
		for _, i := range r.Row(row) {
			name, kind, n, text := r.Value(i)
			if kind == record.String {
				got = append(got, fmt.Sprint(name, kind)+string(text))
			} else {
				got = append(got, fmt.Sprint(name, kind, n))
			}
		}
		if !slices.Equal(got, byRow[row]) {
			t.Fatalf("row %d has %q, want %q", row, got, byRow[row])
		}
	}
}

func restBlock(rows int, r *Rest) *Encoded {
	in := &Input{Times: make([]int64, rows), Ords: make([]uint64, rows), Ingests: make([]int64, rows), Rest: r}
	in.Columns = []*record.Column{{Name: "n", Kind: record.Int, Rows: []uint32{0}, Nums: []uint64{7}}}
	return Encode(in)
}

// restBody returns the plain body of the rest, the last of the bodies or inline.
func restBody(e *Encoded, c *Column) []byte {
	if c.Body > 0 {
		return e.Bodies[len(e.Bodies)-1]
	}
	return c.Inline()
}

// FuzzRest writes a rest and reads it again, and then reads bytes that are not
// what was written: they are refused or give some rest, whose groups can be read.
func FuzzRest(f *testing.F) {
	for i := range uint64(8) {
		f.Add(i, uint16(3*i*i), uint16(40*i), byte(i))
	}
	f.Fuzz(func(t *testing.T, seed uint64, groups, at uint16, flip byte) {
		r := rand.New(rand.NewPCG(seed, 4))
		rows := 1 + r.IntN(200)
		want := drawRest(r, rows, int(groups%300))
		e := restBlock(rows, want)
		h, err := DecodeHeader(e.Header)
		if err != nil {
			t.Fatal(err)
		}
		if want.Len() == 0 {
			if h.Rest != nil {
				t.Fatal("an empty rest was written")
			}
			return
		}
		if len(h.Columns) != 1 || h.Rest.Groups != want.Len() || h.Rest.Values != want.present(rows) {
			t.Fatalf("header: %d columns, %+v", len(h.Columns), h.Rest)
		}
		body := restBody(e, h.Rest)
		got, err := h.Rest.DecodeRest(body)
		if err != nil {
			t.Fatal(err)
		}
		sameRest(t, got, want)
		if len(body) > 0 && flip > 0 {
			body = slices.Clone(body)
			body[int(at)%len(body)] ^= flip
			got, err := h.Rest.DecodeRest(body)
			if err != nil {
				if fault.KindOf(err) != fault.Corrupt {
					t.Fatal(err)
				}
				return
			}
			for i := range got.Len() {
				v := got.Vector(i)
				for k := range v.N {
					if v.Row(k) >= rows {
						t.Fatalf("row %d of %d", v.Row(k), rows)
					}
					if v.Kind == record.String {
						v.Bytes(k)
					}
				}
			}
		}
	})
}

// TestRestIsRefused gives heads and orders that no writer makes.
func TestRestIsRefused(t *testing.T) {
	two := func(first, second string, rows ...uint32) *Rest {
		r := &Rest{}
		r.Begin(first, record.Int)
		for _, row := range rows {
			r.Number(row, 1)
		}
		r.Begin(second, record.Int)
		r.Number(0, 1)
		return r
	}
	for name, r := range map[string]*Rest{
		"names out of order": two("b", "a", 0),
		"a name twice":       two("a", "a", 0),
		"a name of no bytes": two("", "a", 0),
		"rows out of order":  two("a", "b", 2, 1),
		"a row twice":        two("a", "b", 1, 1),
	} {
		e := restBlock(4, r)
		h, err := DecodeHeader(e.Header)
		if err == nil {
			_, err = h.Rest.DecodeRest(restBody(e, h.Rest))
		}
		if fault.KindOf(err) != fault.Corrupt {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := Column{Kind: RestKind, Values: 1, rows: 4}
	for _, head := range [][]byte{{}, {0, 0}, {2, 1}, {1, 1, 1}, {0xff, 0xff, 0xff, 0xff, 0x0f, 1}, {1, 0xff, 0xff, 0xff, 0xff, 0x0f}} {
		if err := c.restHead(head); fault.KindOf(err) != fault.Corrupt {
			t.Errorf("head %v: %v", head, err)
		}
	}
}
