package block

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
)

func textColumn(n int, f func(i int) string) *record.Column {
	c := &record.Column{Name: "text", Kind: record.String}
	for i := range n {
		c.Rows = append(c.Rows, uint32(i))
		c.Data = append(c.Data, f(i)...)
		c.Ends = append(c.Ends, uint32(len(c.Data)))
	}
	return c
}

// messages draws lines of a service.
func messages(n int) *record.Column {
	r := rand.New(rand.NewPCG(4, 2))
	word := func() string { return strings.Fields("retry budget cache miss queue token")[r.IntN(6)] }
	return textColumn(n, func(int) string {
		switch r.IntN(6) {
		case 0:
			return fmt.Sprintf("processed order %d for customer c-%06d in %dms", r.IntN(1e7), r.IntN(2e5), r.IntN(900))
		case 1:
			return fmt.Sprintf("%s %s %s after %d attempts: %s", word(), word(), word(), r.IntN(9), word())
		case 2:
			return fmt.Sprintf("cache miss key=%s:%012x ttl=%ds", word(), r.Uint64()>>16, r.IntN(3600))
		case 3:
			return fmt.Sprintf("user u-%05d from 10.%d.%d.%d trace %016x%016x", r.IntN(9e4), r.IntN(256), r.IntN(256), r.IntN(256), r.Uint64(), r.Uint64())
		case 4:
			return "/api/v1/cart/" + fmt.Sprint(r.IntN(1e6)) + "/items?q=item" + fmt.Sprint(r.IntN(100)) + "&ratio=0.0" + fmt.Sprint(r.IntN(50))
		}
		return []string{"", "ready", "déjà vu 1 fois", "\x00\xff1\xfe", strings.Repeat("a1 ", maxTokens+2)}[r.IntN(5)]
	})
}

func splitBack(t *testing.T, c *record.Column) int {
	t.Helper()
	before := SplitFallbacks()
	b, ok := appendSplit([]byte("in front"), c)
	if SplitFallbacks() != before {
		t.Fatalf("%d values did not come back", len(c.Ends))
	}
	if !ok {
		if string(b) != "in front" {
			t.Fatalf("%d bytes of a column that is not split", len(b))
		}
		return 0
	}
	in := cursor{b: b[len("in front"):]}
	var v Vector
	in.templates(&v, len(c.Ends))
	if err := in.end("it"); err != nil {
		t.Fatal(err)
	}
	for i := range c.Ends {
		if !bytes.Equal(v.Bytes(i), c.Bytes(i)) {
			t.Fatalf("value %d is %q, want %q", i, v.Bytes(i), c.Bytes(i))
		}
	}
	return len(b) - len("in front")
}

func TestMessagesAreSplit(t *testing.T) {
	c := messages(6000)
	size := splitBack(t, c)
	plain := len(appendStrings(nil, c.Ends, c.Data))
	if size == 0 || size > plain*3/5 {
		t.Errorf("%d bytes as templates, %d compressed", size, plain)
	}
	in := &Input{Times: make([]int64, 6000), Ords: make([]uint64, 6000), Ingests: make([]int64, 6000), Columns: []*record.Column{c}}
	e := Encode(in)
	check(t, in, e)
	if h, _ := DecodeHeader(e.Header); h.Columns[0].codec != codecSplit {
		t.Errorf("messages have codec %d", h.Columns[0].codec)
	}
}

func TestNoiseIsNotSplit(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 2))
	c := textColumn(3000, func(int) string {
		var b []byte
		for range 20 + r.IntN(20) {
			b = append(b, " .,;abcdefghijkl0123"[r.IntN(20)])
		}
		return string(b)
	})
	if size := splitBack(t, c); size > 0 {
		t.Errorf("noise was split into %d bytes", size)
	}
}

// TestLargeDictionaryIsSplit: half of the paths are there twice, and yet their
// numbers take less than codes and entries.
func TestLargeDictionaryIsSplit(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 2))
	c := textColumn(6000, func(int) string { return fmt.Sprintf("/api/v1/products/%d/reviews", r.IntN(1500)) })
	in := &Input{Times: make([]int64, 6000), Ords: make([]uint64, 6000), Ingests: make([]int64, 6000), Columns: []*record.Column{c}}
	e := Encode(in)
	check(t, in, e)
	h, _ := DecodeHeader(e.Header)
	if h.Columns[0].codec != codecSplit {
		t.Errorf("paths have codec %d", h.Columns[0].codec)
	}
	if got := len(e.Distinct(0)); got == 0 || got > 1500 {
		t.Errorf("%d values are said to be distinct", got)
	}
}

// TestEqualHashesAreChecked puts values into templates that are not theirs.
func TestEqualHashesAreChecked(t *testing.T) {
	c := textColumn(200, func(i int) string {
		if i%2 == 0 {
			return fmt.Sprintf("aaaaaaaaXXbbbbbbbb number %d", i) // differs where a hash does not look
		}
		return fmt.Sprintf("aaaaaaaaYYbbbbbbbb number %d", i)
	})
	if size := splitBack(t, c); size == 0 {
		t.Error("the column is not split")
	}
}

func TestSplitAllocatesNothingPerValue(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates on its own")
	}
	c := messages(6000)
	dst := make([]byte, 0, 1<<20)
	if n := testing.AllocsPerRun(5, func() { appendSplit(dst, c) }); n > 400 {
		t.Errorf("%v allocations to split 6,000 values", n)
	}
	b, _ := appendSplit(nil, c)
	if n := testing.AllocsPerRun(5, func() {
		in := cursor{b: b}
		var v Vector
		in.templates(&v, len(c.Ends))
	}); n > 200 {
		t.Errorf("%v allocations to put 6,000 values together", n)
	}
}

func FuzzSplit(f *testing.F) {
	f.Add([]byte("GET /cart/17 took 5ms\nGET /cart/0018 took 77ms\nx-1a2b"), uint16(300))
	f.Add([]byte("a1b c 00ff 0.125\n\n9"), uint16(80))
	f.Fuzz(func(t *testing.T, data []byte, n uint16) {
		lines := bytes.Split(data, []byte("\n"))
		r := rand.New(rand.NewPCG(uint64(n), 3))
		splitBack(t, textColumn(minSplit+int(n%1000), func(int) string {
			line := bytes.Clone(lines[r.IntN(len(lines))])
			for k, b := range line { // other digits
				if b >= '0' && b <= '9' && r.IntN(2) == 0 {
					line[k] = byte('0' + r.IntN(10))
				}
			}
			return string(line)
		}))
	})
}

// FuzzTemplates feeds damaged bytes: an error, or values that can be read.
func FuzzTemplates(f *testing.F) {
	b, _ := appendSplit(nil, messages(300))
	f.Add(b, 300, 0, byte(0))
	for i := 0; i < len(b); i += 97 {
		f.Add(b, 300, i, byte(1+i))
	}
	f.Fuzz(func(t *testing.T, b []byte, n, at int, x byte) {
		if n < 1 || n > 5000 {
			return
		}
		if at >= 0 && at < len(b) {
			b = bytes.Clone(b)
			b[at] ^= x
		}
		in := cursor{b: b}
		var v Vector
		in.templates(&v, n)
		if in.err != nil {
			if !fault.Is(in.err, fault.Corrupt) {
				t.Fatalf("error %v is of kind %v", in.err, fault.KindOf(in.err))
			}
			return
		}
		for i := range n {
			_ = v.Bytes(i)
		}
	})
}
