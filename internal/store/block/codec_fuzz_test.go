package block

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
)

// fuzzed is a codec as its fuzzer sees it.
type fuzzed struct {
	kind record.Kind
	// shape makes of any values what the codec is called with, or is nil.
	shape  func(c *record.Column)
	encode func(c *record.Column) ([]byte, bool)
	decode func(in *cursor, v *Vector, n int)
}

// fuzz holds a codec to two promises. A column is refused or comes back as it was;
// and what the codec wrote, damaged, as well as any other bytes, are an error of
// kind Corrupt or values that can be read. Strings are the lines of data, numbers
// eight bytes each.
func (x *fuzzed) fuzz(f *testing.F, seeds ...string) {
	for i, s := range seeds {
		f.Add([]byte(s), uint16(len(s)), uint16(i), byte(0x41))
	}
	f.Fuzz(func(t *testing.T, data []byte, n, at uint16, flip byte) {
		x.read(t, data, 1+int(n%3000))
		c := x.column(data)
		if n = uint16(len(c.Ends) + len(c.Nums)); n == 0 {
			return
		}
		b, ok := x.encode(c)
		if !ok {
			return
		}
		v := x.read(t, b, int(n))
		if v == nil {
			t.Fatalf("%d values do not come back", n)
		}
		for i := range int(n) {
			e := v.Entry(i)
			if x.kind == record.String && !bytes.Equal(v.Bytes(e), c.Bytes(i)) {
				t.Fatalf("value %d is %q, want %q", i, v.Bytes(e), c.Bytes(i))
			} else if x.kind != record.String && v.Nums[e] != c.Nums[i] {
				t.Fatalf("value %d is %x, want %x", i, v.Nums[e], c.Nums[i])
			}
		}
		b[int(at)%len(b)] ^= flip
		x.read(t, b, int(n))
	})
}

func (x *fuzzed) column(data []byte) *record.Column {
	c := &record.Column{Kind: x.kind}
	if x.kind == record.String {
		for _, line := range bytes.Split(data, []byte("\n")) {
			c.Data = append(c.Data, line...)
			c.Ends = append(c.Ends, uint32(len(c.Data)))
		}
	} else {
		for len(data) > 0 {
			var b [8]byte
			data = data[copy(b[:], data):]
			c.Nums = append(c.Nums, binary.LittleEndian.Uint64(b[:]))
		}
	}
	if x.shape != nil {
		x.shape(c)
	}
	return c
}

// read decodes n values and reads each; it returns nil when there is damage.
func (x *fuzzed) read(t *testing.T, b []byte, n int) *Vector {
	in := cursor{b: bytes.Clone(b)}
	v := &Vector{Kind: x.kind, N: n}
	x.decode(&in, v, n)
	if err := in.end("the values"); err != nil {
		if !fault.Is(err, fault.Corrupt) {
			t.Fatalf("error %v is of kind %v", err, fault.KindOf(err))
		}
		return nil
	}
	for i := range n {
		if e := v.Entry(i); x.kind == record.String {
			_ = v.Bytes(e)
		} else {
			_ = v.Nums[e]
		}
	}
	return v
}

// packed is the fuzzer of a packed form of strings.
func packed(form codec, decode func(in *cursor, v *Vector, n int)) *fuzzed {
	return &fuzzed{
		kind:   record.String,
		encode: func(c *record.Column) ([]byte, bool) { return appendForm(nil, form, c) },
		decode: decode,
	}
}

func FuzzHex(f *testing.F) {
	packed(codecHex, (*cursor).hex).fuzz(f, "00ff\n12ab", "0123456789abcdef", "", "\n", "0", "AB")
}

func FuzzUUID(f *testing.F) {
	packed(codecUUID, (*cursor).uuids).fuzz(f, "729c62c9-112f-839f-ced4-2aa3aa84184d\n00000000-0000-0000-0000-000000000000", "-")
}

func FuzzDecimal(f *testing.F) {
	packed(codecDecimal, (*cursor).decimals).fuzz(f, "0\n17\n999999999999999999", "007", "1\n\n2")
}

func FuzzIPv4(f *testing.F) {
	packed(codecIPv4, (*cursor).ipv4s).fuzz(f, "10.0.0.1\n10.0.3.255\n255.255.255.255", "0.0.0.0", "1.2.3.04")
}

func FuzzIPv6(f *testing.F) {
	packed(codecIPv6, (*cursor).ipv6s).fuzz(f, "::\nfd00::1\n2001:db8::1:0:0:1\n::ffff:1.2.3.4", "::1%a", "0::1")
}

func FuzzFraction(f *testing.F) {
	packed(codecFraction, (*cursor).fractions).fuzz(f, "0.125\n-17.000\n9.999", "0.00000000000000001", "-0.0", "1.2\n1.23")
}

func FuzzConst(f *testing.F) {
	x := fuzzed{kind: record.String}
	x.encode = func(c *record.Column) ([]byte, bool) { return appendEntries(nil, c, []uint32{0}), constant(c) }
	x.decode = func(in *cursor, v *Vector, n int) {
		e := in.entries(record.String, 1)
		v.Form, v.Ends, v.Data = Const, e.Ends, e.Data
	}
	x.fuzz(f, "same\nsame\nsame", "\n\n", "one")
}

func FuzzDict(f *testing.F) {
	x := fuzzed{kind: record.String}
	x.encode = func(c *record.Column) ([]byte, bool) {
		var d dictBuilder
		if !d.build(c) {
			return nil, false
		}
		b := binary.AppendUvarint(nil, uint64(len(d.first)))
		return appendCodes(appendEntries(b, c, d.first), d.codes, len(d.first)), true
	}
	x.decode = func(in *cursor, v *Vector, n int) {
		table := in.tableOf(&Column{Kind: record.String, rows: n})
		v.Form, v.Ends, v.Data = Dict, table.Ends, table.Data
		v.Codes = in.codes(n, v.Entries())
	}
	x.fuzz(f, "a\nb\na\nb\nb", "a\na", "\n\n\n\nx")
}

// words are n numbers as the fuzzers of numbers take them.
func words(n int, next func(r *rand.Rand) uint64) string {
	r := rand.New(rand.NewPCG(12, 12))
	var b []byte
	for range n {
		b = binary.LittleEndian.AppendUint64(b, next(r))
	}
	return string(b)
}

func FuzzFloats(f *testing.F) {
	x := fuzzed{
		kind:   record.Float,
		encode: func(c *record.Column) ([]byte, bool) { return appendFloats(nil, c.Nums), true },
		decode: func(in *cursor, v *Vector, n int) { v.Nums = in.floats(n) },
	}
	x.fuzz(f, words(40, func(r *rand.Rand) uint64 { return unscale(r.Int64N(1e6), 3) }), words(40, (*rand.Rand).Uint64),
		words(3, func(*rand.Rand) uint64 { return 1 << 63 }))
}

func FuzzBits(f *testing.F) {
	x := fuzzed{
		kind: record.Bool,
		shape: func(c *record.Column) {
			for i := range c.Nums {
				c.Nums[i] &= 1
			}
		},
		encode: func(c *record.Column) ([]byte, bool) { return appendBits(nil, c.Nums), true },
		decode: func(in *cursor, v *Vector, n int) { v.Nums = in.bits(n) },
	}
	x.fuzz(f, words(70, (*rand.Rand).Uint64), words(600, func(*rand.Rand) uint64 { return 1 }))
}

// FuzzOrigin: the values are orders and, after them, as many ingest times, one for
// each sequence number.
func FuzzOrigin(f *testing.F) {
	x := fuzzed{
		kind: OriginKind,
		shape: func(c *record.Column) {
			for _, o := range c.Nums {
				c.Nums = append(c.Nums, (o>>OrdShift)*0x9e3779b97f4a7c15)
			}
		},
		encode: func(c *record.Column) ([]byte, bool) {
			rows := len(c.Nums) / 2
			ingests := make([]int64, rows)
			for i, v := range c.Nums[rows:] {
				ingests[i] = int64(v)
			}
			return appendOrigin(nil, c.Nums[:rows], ingests), true
		},
		decode: func(in *cursor, v *Vector, n int) {
			if n%2 != 0 {
				in.fail("an odd number of orders and times")
				return
			}
			in.origin(v, n/2)
		},
	}
	x.fuzz(f, words(90, func(r *rand.Rand) uint64 { return 7<<OrdShift + r.Uint64N(1<<22) }), words(9, (*rand.Rand).Uint64))
}

// FuzzPresence: the values are rows, ascending, of presenceRows.
func FuzzPresence(f *testing.F) {
	const presenceRows = 300
	x := fuzzed{
		kind: record.Int,
		shape: func(c *record.Column) {
			for i := range c.Nums {
				c.Nums[i] %= presenceRows
			}
			slices.Sort(c.Nums)
			c.Nums = slices.Compact(c.Nums)
		},
		encode: func(c *record.Column) ([]byte, bool) {
			rows := make([]uint32, len(c.Nums))
			for i, v := range c.Nums {
				rows[i] = uint32(v)
			}
			return appendPresence(nil, rows, presenceRows), true
		},
		decode: func(in *cursor, v *Vector, n int) {
			v.Rows = in.presence(n, presenceRows)
			for i := 0; i < n && in.err == nil; i++ {
				row := v.Row(i)
				if row >= presenceRows || i > 0 && row <= v.Row(i-1) {
					in.err = errors.New("rows are out of order, and nobody noticed")
				}
				v.Nums = append(v.Nums, uint64(row))
			}
		},
	}
	row := uint64(0)
	all := words(presenceRows, func(*rand.Rand) uint64 { row++; return row })
	x.fuzz(f, all, words(5, (*rand.Rand).Uint64), words(100, (*rand.Rand).Uint64))
}
