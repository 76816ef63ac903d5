package wire_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/wire"
)

func TestRoundTrip(t *testing.T) {
	var w wire.Writer
	uints := []uint64{0, 1, 127, 128, 16383, 16384, math.MaxUint32, math.MaxUint64}
	ints := []int64{0, -1, 1, 63, -64, 64, math.MaxInt64, math.MinInt64}
	w.U8(1)
	w.U16(2)
	w.U32(3)
	w.U64(4)
	for _, v := range uints {
		before := len(w.B)
		w.Uvarint(v)
		if got := len(w.B) - before; got != wire.UvarintLen(v) {
			t.Errorf("UvarintLen(%d) = %d, want %d", v, wire.UvarintLen(v), got)
		}
	}
	for _, v := range ints {
		w.Varint(v)
	}
	w.Bytes([]byte("ab"))
	w.String("")
	w.Raw([]byte("rest"))

	r := wire.NewReader(w.B)
	check := func(name string, got, want any) {
		t.Helper()
		if got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	check("U8", r.U8(), uint8(1))
	check("U16", r.U16(), uint16(2))
	check("U32", r.U32(), uint32(3))
	check("U64", r.U64(), uint64(4))
	for _, v := range uints {
		check("Uvarint", r.Uvarint(), v)
	}
	for _, v := range ints {
		check("Varint", r.Varint(), v)
	}
	check("Bytes", string(r.Bytes(2)), "ab")
	check("String", r.String(0), "")
	check("Len", r.Len(), 4)
	check("Offset", r.Offset(), len(w.B)-4)
	check("Rest", string(r.Rest()), "rest")
	check("Done", r.Done(), nil)
}

func TestRefusals(t *testing.T) {
	refused := func(name string, b []byte, read func(r *wire.Reader) any, want string) {
		t.Helper()
		r := wire.NewReader(b)
		got := read(r)
		switch v := got.(type) {
		case []byte:
			if v != nil {
				t.Errorf("%s: returned %v, want nothing", name, v)
			}
		case uint64:
			if v != 0 {
				t.Errorf("%s: returned %v, want 0", name, v)
			}
		case int:
			if v != 0 {
				t.Errorf("%s: returned %v, want 0", name, v)
			}
		}
		if err := r.Err(); !fault.Is(err, fault.Corrupt) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want corrupt with %q", name, err, want)
		}
	}
	uvarint := func(r *wire.Reader) any { return r.Uvarint() }
	refused("no varint", nil, uvarint, "cut short")
	refused("half a varint", []byte{0x80}, uvarint, "cut short")
	refused("long varint", []byte{0x80, 0}, uvarint, "longer than it must be")
	refused("longer varint", []byte{0x81, 0x80, 0}, uvarint, "longer than it must be")
	refused("65 bits", bytes.Repeat([]byte{0xff}, 11), uvarint, "64 bits")
	refused("u16", []byte{1}, func(r *wire.Reader) any { return uint64(r.U16()) }, "2 bytes wanted, 1 left")
	refused("u32", []byte{1}, func(r *wire.Reader) any { return uint64(r.U32()) }, "4 bytes wanted")
	refused("u64", []byte{1}, func(r *wire.Reader) any { return r.U64() }, "8 bytes wanted")
	refused("u8", nil, func(r *wire.Reader) any { return uint64(r.U8()) }, "1 bytes wanted")
	refused("raw", []byte{1}, func(r *wire.Reader) any { return r.Raw(2) }, "2 bytes wanted, 1 left")
	refused("negative raw", []byte{1}, func(r *wire.Reader) any { return r.Raw(-1) }, "-1 bytes wanted")
	refused("limit", []byte{3, 1, 2, 3}, func(r *wire.Reader) any { return r.Bytes(2) }, "more than 2")
	refused("lying length", []byte{9, 1, 2, 3}, func(r *wire.Reader) any { return r.Bytes(100) }, "9 bytes wanted, 3 left")
	huge := binary.AppendUvarint(nil, math.MaxUint64)
	refused("huge length", huge, func(r *wire.Reader) any { return r.Bytes(math.MaxInt) }, "more than")
	refused("huge count", huge, func(r *wire.Reader) any { return r.Count(math.MaxInt, 1) }, "elements")
	refused("count of more than is left", []byte{2, 0, 0, 0}, func(r *wire.Reader) any { return r.Count(9, 2) }, "elements")
	refused("count over the limit", []byte{3, 0, 0, 0}, func(r *wire.Reader) any { return r.Count(2, 1) }, "elements")
	refused("max", []byte{3}, func(r *wire.Reader) any { return r.Max(2) }, "3 is more than 2")
	refused("bytes too many", []byte{1, 2}, func(r *wire.Reader) any { r.U8(); return r.Done() }, "1 bytes too many")
}

func TestFirstErrorSticks(t *testing.T) {
	r := wire.NewReader([]byte{1, 2, 3})
	r.U8()
	r.Fail("bad %s", "thing")
	first := r.Err()
	if r.Fail("another"); r.U8() != 0 || r.Uvarint() != 0 || r.Bytes(9) != nil || r.Count(9, 1) != 0 || r.Len() != 0 {
		t.Error("a failed Reader returns something")
	}
	if r.Err() != first || r.Done() != first || !strings.Contains(first.Error(), "at byte 1: bad thing") {
		t.Errorf("error %v, then %v", first, r.Err())
	}
	if r.Reset([]byte{7}); r.U8() != 7 || r.Done() != nil {
		t.Error("Reset keeps the error")
	}
}

func TestAllocations(t *testing.T) {
	w := wire.Writer{B: make([]byte, 0, 64)}
	var r wire.Reader
	n := testing.AllocsPerRun(100, func() {
		w.B = w.B[:0]
		w.Uvarint(300)
		w.Varint(-5)
		w.String("hello")
		r.Reset(w.B)
		r.Uvarint()
		r.Varint()
		r.Bytes(10)
		if r.Done() != nil {
			t.Fatal(r.Err())
		}
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// FuzzReader reads noise with a random program of operations: nothing may panic,
// and a Reader may only go forwards.
func FuzzReader(f *testing.F) {
	f.Add([]byte{1, 2, 3, 0x80, 0x80, 1, 4, 'a', 'b', 'c', 'd'}, []byte{0, 1, 4, 5, 6, 7})
	f.Add(bytes.Repeat([]byte{0xff}, 20), []byte{4, 4})
	f.Fuzz(func(t *testing.T, data, program []byte) {
		r := wire.NewReader(data)
		last := 0
		for _, op := range program {
			switch op % 9 {
			case 0:
				r.U8()
			case 1:
				r.U16()
			case 2:
				r.U32()
			case 3:
				r.U64()
			case 4:
				before := r.Offset()
				if v := r.Uvarint(); r.Err() == nil && wire.UvarintLen(v) != r.Offset()-before {
					t.Fatalf("%d read from %d bytes, which is not its shortest form", v, r.Offset()-before)
				}
			case 5:
				r.Varint()
			case 6:
				if p := r.Bytes(int(op)); len(p) > int(op) {
					t.Fatalf("%d bytes, limit %d", len(p), op)
				}
			case 7:
				if n := r.Count(int(op), 2); n > int(op) || n*2 > r.Len() {
					t.Fatalf("count %d, limit %d, %d bytes left", n, op, r.Len())
				}
			case 8:
				r.Raw(int(op) / 9)
			}
			if r.Offset() < last || r.Offset() > len(data) {
				t.Fatalf("offset went from %d to %d of %d", last, r.Offset(), len(data))
			}
			last = r.Offset()
		}
	})
}

func BenchmarkUvarint(b *testing.B) {
	var w wire.Writer
	for i := range 1000 {
		w.Uvarint(uint64(i))
	}
	b.SetBytes(int64(len(w.B)))
	var r wire.Reader
	for b.Loop() {
		r.Reset(w.B)
		for range 1000 {
			r.Uvarint()
		}
		if r.Done() != nil {
			b.Fatal(r.Err())
		}
	}
}
