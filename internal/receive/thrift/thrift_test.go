package thrift

import (
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// One structure in both protocols: {1: i64 -2, 2: "ab", 3: true, 5: double 0.5,
// 20: list<i32> [1, 300], 21: {1: i16 7}, 22: map<string, i32> {"k": 1}}, written
// out from the specification.
const (
	inBinary = "\x0a\x00\x01\xff\xff\xff\xff\xff\xff\xff\xfe" + "\x0b\x00\x02\x00\x00\x00\x02ab" + "\x02\x00\x03\x01" +
		"\x04\x00\x05\x3f\xe0\x00\x00\x00\x00\x00\x00" + "\x0f\x00\x14\x08\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x01\x2c" +
		"\x0c\x00\x15\x06\x00\x01\x00\x07\x00" + "\x0d\x00\x16\x0b\x08\x00\x00\x00\x01\x00\x00\x00\x01k\x00\x00\x00\x01" + "\x00"
	inCompact = "\x16\x03" + "\x18\x02ab" + "\x11" + "\x27\x00\x00\x00\x00\x00\x00\xe0\x3f" + "\xf9\x25\x02\xd8\x04" +
		"\x1c\x14\x0e\x00" + "\x1b\x01\x85\x01k\x02" + "\x00"
)

func read(r Reader) (got struct {
	i    int64
	s    string
	b    bool
	f    float64
	list []int32
	sub  int16
	end  int
	err  error
}) {
	r.Fields(func(id int16, t Type) {
		switch {
		case id == 1 && t == I64:
			got.i = r.I64()
		case id == 2 && t == String:
			got.s = string(r.Bytes())
		case id == 3 && t == Bool:
			got.b = r.Bool()
		case id == 5 && t == Double:
			got.f = r.Double()
		case id == 20 && t == List:
			r.Elems(I32, func() { got.list = append(got.list, r.I32()) })
		case id == 21 && t == Struct:
			r.Fields(func(int16, Type) { got.sub = r.I16() })
		default:
			r.Skip(t)
		}
	})
	got.end, got.err = r.Pos(), r.Err()
	return got
}

func TestStruct(t *testing.T) {
	for name, r := range map[string]Reader{"binary": Binary([]byte(inBinary)), "compact": Compact([]byte(inCompact))} {
		got := read(r)
		if got.err != nil || got.i != -2 || got.s != "ab" || !got.b || got.f != 0.5 || len(got.list) != 2 || got.list[1] != 300 || got.sub != 7 {
			t.Errorf("%s: %+v", name, got)
		}
		r.Skip(Struct)
		if r.Err() != nil || r.Pos() != got.end {
			t.Errorf("%s skipped to %d of %d: %v", name, r.Pos(), got.end, r.Err())
		}
	}
}

// TestCut holds that a message that ends early is an error wherever it ends.
func TestCut(t *testing.T) {
	for n := range len(inBinary) - 1 {
		if got := read(Binary([]byte(inBinary[:n]))); !fault.Is(got.err, fault.Invalid) {
			t.Errorf("binary cut at %d: %v", n, got.err)
		}
	}
	for n := range len(inCompact) - 1 {
		if got := read(Compact([]byte(inCompact[:n]))); !fault.Is(got.err, fault.Invalid) {
			t.Errorf("compact cut at %d: %v", n, got.err)
		}
	}
}

func TestLies(t *testing.T) {
	f := func(name string, r Reader, typ Type) {
		t.Helper()
		if r.Skip(typ); !fault.Is(r.Err(), fault.Invalid) {
			t.Errorf("%s: %v", name, r.Err())
		}
	}
	f("a string of 2 GiB", Binary([]byte("\x7f\xff\xff\xff")), String)
	f("a string of -1", Binary([]byte("\xff\xff\xff\xff")), String)
	f("a list of 2 G", Binary([]byte("\x0c\x7f\xff\xff\xff")), List)
	f("a compact list of 2^60", Compact([]byte("\xfc\xff\xff\xff\xff\xff\xff\xff\xff\x0f")), List)
	f("a compact map of 2^60", Compact([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\x0f\x88")), Map)
	f("lists in lists", Compact([]byte(strings.Repeat("\x19", 64))), List)
	f("structures in structures", Compact([]byte(strings.Repeat("\x1c", 64))), Struct)
	f("an unknown type", Binary([]byte("\x01\x00\x01")), Struct)
}

func TestMessage(t *testing.T) {
	for name, r := range map[string]Reader{
		"strict":  Binary([]byte("\x80\x01\x00\x04\x00\x00\x00\x09emitBatch\x00\x00\x00\x01\x00")),
		"old":     Binary([]byte("\x00\x00\x00\x09emitBatch\x04\x00\x00\x00\x01\x00")),
		"compact": Compact([]byte("\x82\x81\x01\x09emitBatch\x00")),
	} {
		method := r.Message()
		r.Skip(Struct)
		if string(method) != "emitBatch" || r.Err() != nil {
			t.Errorf("%s: %q, %v", name, method, r.Err())
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(inBinary), false)
	f.Add([]byte(inCompact), true)
	f.Fuzz(func(t *testing.T, b []byte, compact bool) {
		r := Binary(b)
		if compact {
			r = Compact(b)
		}
		got := read(r)
		if got.err == nil && got.end > len(b) {
			t.Fatal("read beyond the end")
		}
	})
}
