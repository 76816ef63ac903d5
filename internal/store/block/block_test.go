package block

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
)

// gen draws columns of every codec from r.
func gen(r *rand.Rand, rows int) *Input {
	in := &Input{Raw: int64(rows * 100)}
	t, seq := int64(1e18), uint64(7)
	for i := range rows {
		t += r.Int64N(1e6) - 1e3
		if r.IntN(50) == 0 {
			seq++
		}
		in.Times = append(in.Times, t)
		in.Ords = append(in.Ords, seq<<OrdShift|uint64(i&1023))
		in.Ingests = append(in.Ingests, int64(seq)*1e9)
	}
	const hex = "0123456789abcdef"
	hexes := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = hex[r.IntN(16)]
		}
		return string(b)
	}
	strs := map[string]func() string{
		"const":   func() string { return "always" },
		"empty":   func() string { return "" },
		"dict":    func() string { return fmt.Sprintf("pod-%d", r.IntN(40)) },
		"bigdict": func() string { return fmt.Sprintf("a-rather-long-value-to-fill-the-table-%d", r.IntN(max(rows/3, 1))) },
		"text":    func() string { return fmt.Sprintf("took %d ms for %s", r.IntN(1000), hexes(r.IntN(9))) },
		"hex":     func() string { return hexes(32) },
		"uuid": func() string {
			h := hexes(32)
			return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
		},
		"decimal":  func() string { return fmt.Sprint(r.IntN(1e6)) },
		"fraction": func() string { return fmt.Sprintf("%.3f", r.NormFloat64()*1e4) },
		"ipv4":     func() string { return fmt.Sprintf("10.%d.%d.%d", r.IntN(4), r.IntN(256), r.IntN(256)) },
		"ipv6":     func() string { return fmt.Sprintf("2001:db8::%x:%x", 1+r.IntN(4), 1+r.IntN(65535)) },
		"bytes":    func() string { return string([]byte{byte(r.Uint32()), byte(r.Uint32()), 0xff}) },
	}
	nums := map[string]struct {
		kind record.Kind
		f    func() uint64
	}{
		"status": {record.Int, func() uint64 { return uint64(200 + r.IntN(5)) }},
		"port":   {record.Int, func() uint64 { return uint64(r.IntN(65536)) }},
		"neg":    {record.Int, func() uint64 { return uint64(-r.Int64N(1000)) }},
		"wild":   {record.Int, r.Uint64},
		"exp":    {record.Int, func() uint64 { return uint64(r.ExpFloat64() * 14) }},
		"grow":   {record.Int, func() uint64 { t += 3; return uint64(t) }},
		"float":  {record.Float, func() uint64 { return math.Float64bits(r.NormFloat64()) }},
		"scaled": {record.Float, func() uint64 { return math.Float64bits(float64(r.IntN(1e6)) / 1000) }},
		"zero":   {record.Float, func() uint64 { return math.Float64bits(math.Copysign(0, -1)) }},
		"nan":    {record.Float, func() uint64 { return math.Float64bits(math.NaN()) + uint64(r.IntN(3)) }},
		"bool":   {record.Bool, func() uint64 { return uint64(r.IntN(2)) }},
	}
	add := func(name string, kind record.Kind, put func(c *record.Column)) {
		for _, share := range []int{1, 2, 100} {
			c := &record.Column{Name: fmt.Sprintf("%s/%d", name, share), Kind: kind}
			for i := range rows {
				if r.IntN(share) == 0 {
					c.Rows = append(c.Rows, uint32(i))
					put(c)
				}
			}
			in.Columns = append(in.Columns, c)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(strs)) {
		f := strs[name]
		add(name, record.String, func(c *record.Column) {
			c.Data = append(c.Data, f()...)
			c.Ends = append(c.Ends, uint32(len(c.Data)))
		})
	}
	for _, name := range slices.Sorted(maps.Keys(nums)) {
		n := nums[name]
		add(name, n.kind, func(c *record.Column) { c.Nums = append(c.Nums, n.f()) })
	}
	in.Columns = append(in.Columns, related(r, rows)...)
	return in
}

// related draws columns that follow from each other.
func related(r *rand.Rand, rows int) []*record.Column {
	names := []string{"host", "zone", "some zone", "host again", "port", "port again", "less", "text", "text again", "odd zone"}
	out := make([]*record.Column, len(names))
	for i, name := range names {
		out[i] = &record.Column{Name: name, Kind: record.String}
		if i >= 4 && i <= 6 {
			out[i].Kind = record.Int
		}
	}
	str := func(i, row int, v string) {
		c := out[i]
		c.Rows, c.Data = append(c.Rows, uint32(row)), append(c.Data, v...)
		c.Ends = append(c.Ends, uint32(len(c.Data)))
	}
	num := func(i, row int, v uint64) {
		out[i].Rows, out[i].Nums = append(out[i].Rows, uint32(row)), append(out[i].Nums, v)
	}
	for row := range rows {
		if r.IntN(10) == 0 {
			continue
		}
		host, port := r.IntN(30), r.Uint64N(50000)
		str(0, row, fmt.Sprint("host-", host))
		str(1, row, fmt.Sprint("zone-", host%7))
		if r.IntN(3) > 0 {
			str(2, row, fmt.Sprint("zone-", host%7))
		}
		str(3, row, fmt.Sprint("host-", host))
		num(4, row, port)
		num(5, row, port)
		num(6, row, port-r.Uint64N(3))
		str(7, row, fmt.Sprint("text ", port, " and ", host))
		str(8, row, fmt.Sprint("text ", port, " and ", host))
		zone := host % 7
		if r.IntN(100) == 0 {
			zone = r.IntN(7)
		}
		str(9, row, fmt.Sprint("zone-", zone))
	}
	return out
}

// check decodes e and holds it against what it was built from.
func check(t *testing.T, in *Input, e *Encoded) {
	t.Helper()
	h, err := DecodeHeader(e.Header)
	if err != nil {
		t.Fatal(err)
	}
	if h.Rows != len(in.Times) || h.Raw != in.Raw || h.MinTime != e.MinTime || h.MaxTime != e.MaxTime {
		t.Fatalf("header %+v of %d rows", h, len(in.Times))
	}
	bodies := e.Bodies
	body := func(c *Column) []byte {
		if c.Body == 0 {
			return c.Inline()
		}
		b := bodies[0]
		if bodies = bodies[1:]; len(b) != c.Body {
			t.Fatalf("column %s: body of %d bytes, header says %d", c.Name, len(b), c.Body)
		}
		return b
	}
	bodyOf := map[*Column][]byte{h.Time: body(h.Time), h.Origin: body(h.Origin)}
	for i := range h.Columns {
		bodyOf[&h.Columns[i]] = body(&h.Columns[i])
	}
	var decode func(c *Column) *Vector
	decode = func(c *Column) *Vector {
		var base *Vector
		if k := c.Base(); k >= 0 {
			base = decode(&h.Columns[k])
		}
		v, err := c.Decode(bodyOf[c], base)
		if err != nil {
			t.Fatalf("column %s codec %d: %v", c.Name, c.codec, err)
		}
		return v
	}
	times := decode(h.Time)
	ords, ingests := Origins(decode(h.Origin))
	for i := range in.Times {
		if int64(times.Nums[i]) != in.Times[i] || ords[i] != in.Ords[i] || int64(ingests[i]) != in.Ingests[i] {
			t.Fatalf("row %d: time %d ord %d ingest %d, want %d %d %d", i, times.Nums[i], ords[i], ingests[i], in.Times[i], in.Ords[i], in.Ingests[i])
		}
	}
	next := 0
	for _, c := range in.Columns {
		if len(c.Rows) == 0 {
			continue
		}
		sameColumn(t, c, &h.Columns[next], decode(&h.Columns[next]))
		next++
	}
	if next != len(h.Columns) || len(bodies) > 0 {
		t.Fatalf("%d columns of %d read, %d bodies left", next, len(h.Columns), len(bodies))
	}
}

func sameColumn(t *testing.T, c *record.Column, col *Column, v *Vector) {
	t.Helper()
	if col.Name != c.Name || col.Kind != c.Kind || v.N != len(c.Rows) {
		t.Fatalf("column %s/%d of %d values, want %s/%d of %d", col.Name, col.Kind, v.N, c.Name, c.Kind, len(c.Rows))
	}
	for i, row := range c.Rows {
		if v.Row(i) != int(row) {
			t.Fatalf("column %s value %d in row %d, want %d", c.Name, i, v.Row(i), row)
		}
		if j, ok := v.Find(int(row)); !ok || j != i {
			t.Fatalf("column %s: row %d has value %d %v, want %d", c.Name, row, j, ok, i)
		}
		e := v.Entry(i)
		if c.Kind == record.String {
			if !bytes.Equal(v.Bytes(e), c.Bytes(i)) {
				t.Fatalf("column %s value %d = %q, want %q", c.Name, i, v.Bytes(e), c.Bytes(i))
			}
		} else if v.Nums[e] != c.Nums[i] {
			t.Fatalf("column %s value %d = %x, want %x", c.Name, i, v.Nums[e], c.Nums[i])
		}
	}
}

func TestBlockRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	seen := map[codec]bool{}
	for _, rows := range []int{1, 2, 3, 9, 100, 300, 1500, 5000} {
		in := gen(r, rows)
		e := Encode(in)
		check(t, in, e)
		h, _ := DecodeHeader(e.Header)
		for _, c := range h.Columns {
			seen[c.codec] = true
		}
	}
	for c := codecConst; c <= codecFraction; c++ {
		if !seen[c] && c != codecOrigin && (c.fits(record.String) || c.fits(record.Int)) {
			t.Errorf("no column used codec %d", c)
		}
	}
}

func TestBlockIsDeterministic(t *testing.T) {
	in := gen(rand.New(rand.NewPCG(3, 4)), 2000)
	in.Columns = append(in.Columns, messages(2000))
	a := Encode(in)
	Encode(gen(rand.New(rand.NewPCG(9, 4)), 700)) // leaves something else in what is used again
	b := Encode(in)
	if !bytes.Equal(a.Header, b.Header) {
		t.Error("two headers of one input differ")
	}
	for i := range a.Bodies {
		if !bytes.Equal(a.Bodies[i], b.Bodies[i]) {
			t.Errorf("body %d of one input differs", i)
		}
	}
}

func TestExtremesOfColumns(t *testing.T) {
	in := &Input{Times: []int64{1, 2}, Ords: []uint64{1, 2}, Ingests: []int64{1, 1}, Columns: []*record.Column{
		{Name: "i", Kind: record.Int, Rows: []uint32{0, 1}, Nums: []uint64{uint64(math.MaxInt64), 1 << 63}},
		{Name: "f", Kind: record.Float, Rows: []uint32{0, 1}, Nums: []uint64{math.Float64bits(math.NaN()), math.Float64bits(2)}},
	}}
	e := Encode(in)
	check(t, in, e)
	h, _ := DecodeHeader(e.Header)
	if c := h.Columns[0]; int64(c.Min) != math.MinInt64 || int64(c.Max) != math.MaxInt64 {
		t.Errorf("int column spans %d to %d", int64(c.Min), int64(c.Max))
	}
	if c := h.Columns[1]; float(c.Min) != 2 || float(c.Max) != 2 {
		t.Errorf("float column spans %v to %v", float(c.Min), float(c.Max))
	}
}

func FuzzInts(f *testing.F) {
	f.Add([]byte{1, 2, 3}, uint8(3))
	f.Add(bytes.Repeat([]byte{9, 0, 0, 0, 1, 0, 0, 0, 0x80}, 400), uint8(0))
	f.Add(append(bytes.Repeat([]byte{9, 1, 5, 77, 3}, 99), 0xff, 0xff), uint8(128+8))
	f.Add(append(bytes.Repeat([]byte{9, 1, 5, 77, 3, 200}, 99), 0xff, 0xff, 0xff, 0xff), uint8(3))
	f.Fuzz(func(t *testing.T, data []byte, shape uint8) {
		var vals []uint64
		var sum uint64
		for len(data) > 0 {
			var b [8]byte
			n := copy(b[:1+shape%8], data)
			data = data[n:]
			v := binary.LittleEndian.Uint64(b[:])
			switch shape / 8 % 4 {
			case 1:
				sum += v
				v = sum
			case 2:
				v = -v
			case 3:
				v = uint64(int64(v<<32) >> 20)
			}
			if shape >= 128 {
				v = v*1000 + 7
			}
			vals = append(vals, v)
		}
		enc := appendInts(nil, vals)
		c := cursor{b: enc}
		got := c.ints(len(vals))
		if err := c.end("it"); err != nil {
			t.Fatalf("%v of %v", err, vals)
		}
		for i := range vals {
			if got[i] != vals[i] {
				t.Fatalf("value %d = %d, want %d (form %d)", i, got[i], vals[i], enc[0])
			}
		}
	})
}

func FuzzBlockRoundTrip(f *testing.F) {
	f.Add(uint64(1), uint16(10))
	f.Add(uint64(2), uint16(700))
	f.Fuzz(func(t *testing.T, seed uint64, rows uint16) {
		in := gen(rand.New(rand.NewPCG(seed, 0)), 1+int(rows%3000))
		check(t, in, Encode(in))
	})
}

// FuzzDecode feeds damaged bytes to every decoder: an error of kind Corrupt or
// a vector that can be read, never a panic.
func FuzzDecode(f *testing.F) {
	e := Encode(gen(rand.New(rand.NewPCG(5, 6)), 300))
	f.Add(e.Header, e.Bodies[0], -1, byte(0))
	for i, b := range e.Bodies {
		f.Add(e.Header, b, i, byte(1))
	}
	f.Fuzz(func(t *testing.T, header, body []byte, at int, x byte) {
		if at >= 0 && at < len(body) {
			body = bytes.Clone(body)
			body[at] ^= x
		}
		h, err := DecodeHeader(header)
		if err != nil {
			if !fault.Is(err, fault.Corrupt) {
				t.Fatalf("error %v is of kind %v", err, fault.KindOf(err))
			}
			h, _ = DecodeHeader(e.Header)
		}
		for i := range h.Columns {
			c := &h.Columns[i]
			if n, counts := c.Head(), c.Counts(); counts != nil && len(counts) != n.Entries() {
				t.Fatalf("%d counts of %d entries", len(counts), n.Entries())
			}
			_ = h.Alphabet(i)
			var base *Vector
			if k := c.Base(); k >= 0 {
				if base, err = h.Columns[k].Decode(body, nil); err != nil {
					continue
				}
			}
			v, err := c.Decode(body, base)
			if err != nil {
				if !fault.Is(err, fault.Corrupt) {
					t.Fatalf("error %v is of kind %v", err, fault.KindOf(err))
				}
				continue
			}
			for i := range v.N {
				if e := v.Entry(i); v.Kind == record.String {
					_ = v.Bytes(e)
				} else {
					_ = v.Nums[e]
				}
				if v.Row(i) >= h.Rows {
					t.Fatalf("row %d of %d", v.Row(i), h.Rows)
				}
			}
		}
	})
}
