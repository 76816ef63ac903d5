package block

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/meshtrail/meshtrail/internal/record"
)

// numberTexts are columns of one codec each, with how many bits a value may take.
var numberTexts = []struct {
	name  string
	codec codec
	bits  float64
	text  func(r *rand.Rand) string
}{
	{"pods", codecIPv4, 17, func(r *rand.Rand) string { return fmt.Sprintf("10.42.%d.%d", r.IntN(256), r.IntN(256)) }},
	{"clients", codecIPv4, 33, func(r *rand.Rand) string {
		return fmt.Sprintf("%d.%d.%d.%d", r.IntN(256), r.IntN(256), r.IntN(256), r.IntN(256))
	}},
	{"pods6", codecIPv6, 33, func(r *rand.Rand) string {
		return fmt.Sprintf("fd00:10:42::%x:%x", 1+r.IntN(65535), 1+r.IntN(65535))
	}},
	{"clients6", codecIPv6, 129, func(r *rand.Rand) string {
		return fmt.Sprintf("2%03x:%x:%x:%x:%x:%x:%x:%x", r.IntN(4096), 1+r.IntN(65535), 1+r.IntN(65535), 1+r.IntN(65535),
			1+r.IntN(65535), 1+r.IntN(65535), 1+r.IntN(65535), 1+r.IntN(65535))
	}},
	{"ratio", codecFraction, 20.5, func(r *rand.Rand) string { return fmt.Sprintf("%.6f", r.Float64()) }},
	{"seconds", codecFraction, 18, func(r *rand.Rand) string { return fmt.Sprintf("%.3f", r.Float64()*100) }},
	{"offset", codecFraction, 19, func(r *rand.Rand) string { return fmt.Sprintf("%.2f", r.Float64()*3000-1500) }},
}

// TestTextsOfNumbersArePacked: they get the codec of their form, come back, and
// take little.
func TestTextsOfNumbersArePacked(t *testing.T) {
	const rows = 6000
	for _, x := range numberTexts {
		r := rand.New(rand.NewPCG(8, 8))
		c := textColumn(rows, func(int) string { return x.text(r) })
		col := encodeOne(t, c)
		size := col.Body
		split, _ := appendSplit(nil, c)
		plain := len(appendStrings(nil, c.Ends, c.Data))
		if bits := 8 * float64(size) / rows; col.codec != x.codec || bits > x.bits {
			t.Errorf("%s has codec %d and takes %.1f bits a value, want %d and %.1f", x.name, col.codec, bits, x.codec, x.bits)
		}
		if len(split) > 0 && size > len(split) || size > plain {
			t.Errorf("%s takes %d bytes, as templates %d, compressed %d", x.name, size, len(split), plain)
		}
	}
}

// encodeOne encodes a block of one column, checks it, and returns what its header
// says of the column.
func encodeOne(t *testing.T, c *record.Column) *Column {
	t.Helper()
	rows := len(c.Rows)
	in := &Input{Times: make([]int64, rows), Ords: make([]uint64, rows), Ingests: make([]int64, rows), Columns: []*record.Column{c}}
	e := Encode(in)
	check(t, in, e)
	h, _ := DecodeHeader(e.Header)
	return &h.Columns[0]
}

// TestNumbersAreChosenBySize: addresses that templates hold better are split, those
// that repeat stay a dictionary, and those that hardly do are packed all the same.
func TestNumbersAreChosenBySize(t *testing.T) {
	f := func(name string, want codec, text func(r *rand.Rand) string) {
		t.Helper()
		r := rand.New(rand.NewPCG(9, 9))
		if col := encodeOne(t, textColumn(6000, func(int) string { return text(r) })); col.codec != want {
			t.Errorf("%s: codec %d, want %d", name, col.codec, want)
		}
	}
	f("networks far apart", codecSplit, func(r *rand.Rand) string {
		return fmt.Sprintf("%d.7.%d.%d", 10+r.IntN(8)*30, r.IntN(256), r.IntN(256))
	})
	f("few addresses", codecDict, func(r *rand.Rand) string { return fmt.Sprintf("10.0.%d.%d", r.IntN(3), r.IntN(200)) })
	f("many addresses, twice each", codecIPv4, func(r *rand.Rand) string { return fmt.Sprintf("10.0.%d.%d", r.IntN(10), r.IntN(256)) })
}

// TestOtherTextsOfNumbers: a column with one text that its number is not written as
// keeps another codec, and comes back.
func TestOtherTextsOfNumbers(t *testing.T) {
	f := func(form codec, like string, odd ...string) {
		t.Helper()
		for _, o := range odd {
			texts := []string{like, o}
			c := textColumn(2, func(i int) string { return texts[i] })
			if b, ok := appendForm([]byte("in front"), form, c); ok || string(b) != "in front" {
				t.Errorf("%q was packed in form %d", o, form)
			}
			if col := encodeOne(t, c); col.codec == form {
				t.Errorf("%q has codec %d", o, form)
			}
		}
	}
	f(codecIPv4, "10.0.0.1", "", "10.0.0", "10.0.0.", "10.0.0.1.", "10.0.0.01", "10.0.0.256", "010.0.0.1", "10..0.1",
		"1.2.3.4.5", "10.0.0.1 ", "10.0.0.-1", "::1", "10.0.0.99999999999999999999")
	f(codecIPv6, "fd00::1", "", "::1%eth0", "FD00::1", "fd00:0::1", "fd00:0:0:0:0:0:0:1", "fd00::0001", "::ffff:a00:1",
		"10.0.0.1", "fd00::1 ", "[fd00::1]", "1:2:3:4:5:6:7:8:9", "2001:db8:0:0:1::1")
	f(codecFraction, "0.125", "", "0.5", "00.125", "0125", "-0.000", ".125", "1e3.25", "+0.125", "0.12.", "0..12",
		"1234567890123456.125", "NaN", "0,125", "-.125", "1.")
}

// TestAddressesAgreeWithTheLibrary compares with net/netip.
func TestAddressesAgreeWithTheLibrary(t *testing.T) {
	texts := []string{"0.0.0.0", "255.255.255.255", "1.2.3.4", "::", "::1", "1::", "2001:db8::1:0:0:1", "::ffff:1.2.3.4",
		"::1.2.3.4", "fe80::1", "1:0:2:0:3:0:4:0", "10.0.0.1a", "1.2.3", "300.1.1.1", "1.2.3.0004"}
	r := rand.New(rand.NewPCG(10, 10))
	for range 3000 {
		b := []byte("12.0.1.255")[:4+r.IntN(7)]
		for range r.IntN(3) {
			b[r.IntN(len(b))] = "0129.:"[r.IntN(6)]
		}
		texts = append(texts, string(b))
	}
	for _, s := range texts {
		a, err := netip.ParseAddr(s)
		v, ok := parseIPv4([]byte(s))
		if ok != (err == nil && a.Is4()) {
			t.Errorf("%q is an IPv4 address: %v, the library says %v", s, ok, err)
		} else if b := a.As16(); ok && v != uint64(binary.BigEndian.Uint32(b[12:])) {
			t.Errorf("%q is %x", s, v)
		}
		if got, want := isIPv6([]byte(s)), err == nil && a.Is6() && a.String() == s; got != want {
			t.Errorf("%q is an IPv6 address: %v, want %v", s, got, want)
		}
	}
}

// TestNumberTextsAllocateNothingPerValue, neither way.
func TestNumberTextsAllocateNothingPerValue(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates on its own")
	}
	for _, x := range numberTexts {
		r := rand.New(rand.NewPCG(8, 8))
		c := textColumn(6000, func(int) string { return x.text(r) })
		dst := make([]byte, 0, 1<<20)
		if n := testing.AllocsPerRun(5, func() { appendForm(dst, x.codec, c) }); n > 40 { // lists of exceptions grow
			t.Errorf("%s: %v allocations to pack 6,000 values", x.name, n)
		}
		b, _ := appendForm(nil, x.codec, c)
		col := Column{Kind: record.String, codec: x.codec, Values: 6000, rows: 6000}
		b = append([]byte{presentAll}, b...)
		if n := testing.AllocsPerRun(5, func() {
			if _, err := col.Decode(b, nil); err != nil {
				t.Fatal(err)
			}
		}); n > 12 {
			t.Errorf("%s: %v allocations to read 6,000 values", x.name, n)
		}
	}
}

// BenchmarkNumberTexts packs and reads columns of texts that are numbers.
func BenchmarkNumberTexts(b *testing.B) {
	for _, x := range numberTexts {
		r := rand.New(rand.NewPCG(8, 8))
		c := textColumn(6000, func(int) string { return x.text(r) })
		packed, _ := appendForm([]byte{presentAll}, x.codec, c)
		col := Column{Kind: record.String, codec: x.codec, Values: 6000, rows: 6000}
		b.Run("encode/"+x.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.Data)))
			b.ReportAllocs()
			dst := make([]byte, 0, 1<<20)
			for b.Loop() {
				appendForm(dst, x.codec, c)
			}
		})
		b.Run("decode/"+x.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.Data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := col.Decode(packed, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestOddHexadecimalSlots: words of an odd number of digits can not be packed two
// in a byte, and splitting must notice in time.
func TestOddHexadecimalSlots(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 13))
	splitBack(t, textColumn(300, func(int) string { return fmt.Sprintf("span %016x%d done", r.Uint64(), r.IntN(10)) }))
}
