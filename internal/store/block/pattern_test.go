package block

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// contradicts says what Match may not say of a pattern: it holds for a value.
func holds(value, text []byte, place Place) bool {
	switch place {
	case Whole:
		return bytes.Equal(value, text)
	case Front:
		return bytes.HasPrefix(value, text)
	}
	return bytes.Contains(value, text)
}

// splitOf splits a column, or returns nil when it is not worth it.
func splitOf(t testing.TB, b []byte, n int) *Split {
	t.Helper()
	in := cursor{b: b}
	s := in.split(n)
	if err := in.end("it"); err != nil {
		t.Fatal(err)
	}
	return s
}

// checkPattern compares what a pattern says of each template with its values, and
// the values put together by template with all of them.
func checkPattern(t testing.TB, s *Split, all *Vector, text []byte, place Place, x *Renderer) (sure int) {
	t.Helper()
	p := NewPattern(string(text), place)
	values := make([][]uint32, s.Templates())
	for i, k := range s.Temps {
		values[k] = append(values[k], uint32(i))
	}
	for k := range s.Templates() {
		can, err := p.Match(s, k)
		if err != nil {
			t.Fatal(err)
		}
		if can != Maybe {
			sure++
		}
		var pick []uint32
		var want [][]byte
		for n, i := range values[k] {
			v := all.Bytes(int(i))
			if ok := holds(v, text, place); ok && can == Never || !ok && can == Always {
				t.Fatalf("%q in %q (place %d): it is %v, the template says %d", text, v, place, ok, can)
			}
			if i%3 != 0 {
				pick, want = append(pick, uint32(n)), append(want, v)
			}
		}
		if err := x.Values(s, k, pick); err != nil {
			t.Fatal(err)
		}
		start := uint32(0)
		for n, end := range x.Ends {
			if got := x.Data[start:end]; !bytes.Equal(got, want[n]) {
				t.Fatalf("value %d of template %d is %q, want %q", pick[n], k, got, want[n])
			}
			start = end
		}
	}
	return sure
}

// needle draws a text that a value may hold: mostly a part of one, changed a bit.
func needle(r *rand.Rand, all *Vector) []byte {
	v := all.Bytes(r.IntN(len(all.Ends)))
	from := r.IntN(len(v) + 1)
	if r.IntN(3) == 0 {
		from = 0
	}
	to := from + r.IntN(len(v)+1-from)
	if r.IntN(3) == 0 {
		to = len(v)
	}
	text := bytes.Clone(v[from:to])
	if len(text) > 0 && r.IntN(2) == 0 {
		text[r.IntN(len(text))] = "0129afzA /:=-_"[r.IntN(14)]
	}
	if r.IntN(8) == 0 {
		text = append(text, all.Bytes(r.IntN(len(all.Ends)))...)
	}
	return text
}

func TestPatternsNeverContradictValues(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 2))
	sure, seen := 0, 0
	var x Renderer
	for range 6 {
		c := messages(500 + r.IntN(2000))
		b, ok := appendSplit(nil, c)
		if !ok {
			t.Fatal("messages are not split")
		}
		s := splitOf(t, b, len(c.Ends))
		all, err := s.Vector()
		if err != nil {
			t.Fatal(err)
		}
		for range 60 {
			for place := Anywhere; place <= Whole; place++ {
				sure += checkPattern(t, s, all, needle(r, all), place, &x)
				seen += s.Templates()
			}
		}
	}
	if sure < seen/2 {
		t.Errorf("of %d templates in %d something is known", seen, sure)
	}
}

// TestPatternsKnow names cases that are decided without a value.
func TestPatternsKnow(t *testing.T) {
	c := textColumn(400, func(i int) string { return "/api/v1/cart/" + string(rune('1'+i%9)) + "234/items" })
	b, ok := appendSplit(nil, c)
	if !ok {
		t.Fatal("paths are not split")
	}
	s := splitOf(t, b, 400)
	if s.Templates() != 1 {
		t.Fatalf("%d templates", s.Templates())
	}
	f := func(text string, place Place, want Can) {
		t.Helper()
		if got, err := NewPattern(text, place).Match(s, 0); err != nil || got != want {
			t.Errorf("%q at %d: %d, %v, want %d", text, place, got, err, want)
		}
	}
	f("/cart/", Anywhere, Always)
	f("/api/v1/cart/", Front, Always)
	f("/api/v1/cart/", Whole, Never)
	f("api", Front, Never)
	f("/cart/12", Anywhere, Maybe)
	f("/cart//", Anywhere, Never)
	f("/cart/x", Anywhere, Never)
	f("/api/v1/cart/1234/items", Whole, Maybe)
	f("/api/v1/cart/1234/item", Whole, Never)
	f("", Anywhere, Maybe)
	f("/api/v1/cart/1234/items-and-more-than-a-word-of-sixty-four-bits-can-follow", Anywhere, Never)
}

func TestPatternsAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates on its own")
	}
	c := messages(6000)
	b, _ := appendSplit(nil, c)
	s := splitOf(t, b, 6000)
	p := NewPattern("budget for customer", Anywhere)
	if n := testing.AllocsPerRun(5, func() {
		for k := range s.Templates() {
			if _, err := p.Match(s, k); err != nil {
				t.Fatal(err)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations to look at %d templates", n, s.Templates())
	}
	var x Renderer
	pick := []uint32{0, 1}
	if n := testing.AllocsPerRun(5, func() {
		if err := x.Values(s, 0, pick); err != nil {
			t.Fatal(err)
		}
	}); n > 3*float64(s.first[1]) {
		t.Errorf("%v allocations to put two values of %d slots together", n, s.first[1])
	}
}

// FuzzPattern looks for any text in any column that is split.
func FuzzPattern(f *testing.F) {
	f.Add([]byte("GET /cart/17 took 5ms\nGET /cart/0018 took 77ms\nx-1a2b"), []byte("cart/1"), uint16(300))
	f.Add([]byte("a1b c 00ff 0.125\n\n9"), []byte("0"), uint16(80))
	f.Fuzz(func(t *testing.T, data, text []byte, n uint16) {
		lines := bytes.Split(data, []byte("\n"))
		r := rand.New(rand.NewPCG(uint64(n), 3))
		c := textColumn(minSplit+int(n%1000), func(int) string {
			line := bytes.Clone(lines[r.IntN(len(lines))])
			for k, b := range line { // other digits
				if b >= '0' && b <= '9' && r.IntN(2) == 0 {
					line[k] = byte('0' + r.IntN(10))
				}
			}
			return string(line)
		})
		b, ok := appendSplit(nil, c)
		if !ok {
			return
		}
		s := splitOf(t, b, len(c.Ends))
		all, err := s.Vector()
		if err != nil {
			t.Fatal(err)
		}
		var x Renderer
		for place := Anywhere; place <= Whole; place++ {
			checkPattern(t, s, all, text, place, &x)
			checkPattern(t, s, all, needle(r, all), place, &x)
		}
	})
}
