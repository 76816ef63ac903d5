package msgpack

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

// samples are values of every first byte that has its own form, and what they
// are as JSON.
var samples = []struct{ in, want string }{
	{"\x00", "0"}, {"\x7f", "127"}, {"\xe0", "-32"}, {"\xff", "-1"},
	{"\xc0", "null"}, {"\xc2", "false"}, {"\xc3", "true"},
	{"\xcc\xff", "255"}, {"\xcd\xff\xff", "65535"}, {"\xce\xff\xff\xff\xff", "4294967295"},
	{"\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", "9223372036854775807"}, {"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615"},
	{"\xd0\x80", "-128"}, {"\xd1\x80\x00", "-32768"}, {"\xd2\x80\x00\x00\x00", "-2147483648"}, {"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", "-9223372036854775808"},
	{"\xca\x3f\xc0\x00\x00", "1.5"}, {"\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00", "1.5"},
	{"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00", `"+Inf"`}, {"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x01", `"NaN"`},
	{"\xa0", `""`}, {"\xa3a\"b", `"a\"b"`}, {"\xd9\x01\\", `"\\"`}, {"\xda\x00\x01\n", `"\n"`}, {"\xdb\x00\x00\x00\x02\x01\xff", "\"\\u0001\xff\""},
	{"\xc4\x02ab", `"ab"`}, {"\xc5\x00\x00", `""`}, {"\xc6\x00\x00\x00\x01x", `"x"`},
	{"\xd4\x01a", `"YQ=="`}, {"\xd5\x01ab", `"YWI="`}, {"\xd6\x01abcd", `"YWJjZA=="`}, {"\xc7\x00\x01", `""`}, {"\xc8\x00\x01\x01a", `"YQ=="`}, {"\xc9\x00\x00\x00\x01\x01a", `"YQ=="`},
	{"\xd7\x00\x65\x53\xf1\x00\x00\x00\x00\x05", `"2023-11-14T22:13:20.000000005Z"`}, {"\xc7\x08\x00\x65\x53\xf1\x00\x00\x00\x00\x05", `"2023-11-14T22:13:20.000000005Z"`},
	{"\xd8\x05abcdefghijklmnop", `"YWJjZGVmZ2hpamtsbW5vcA=="`},
	{"\x90", "[]"}, {"\x92\x01\xa1a", `[1,"a"]`}, {"\xdc\x00\x01\xc0", "[null]"}, {"\xdd\x00\x00\x00\x01\x90", "[[]]"},
	{"\x80", "{}"}, {"\x82\xa1a\x01\xc4\x01b\x81\xa1c\xc3", `{"a":1,"b":{"c":true}}`}, {"\xde\x00\x01\x05\x06", `{"5":6}`}, {"\xdf\x00\x00\x00\x01\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00\x01", `{"+Inf":1}`},
	{"\x81\xa3" + "key" + "\xd9\x28" + strings.Repeat("0123456789", 4), `{"key":"` + strings.Repeat("0123456789", 4) + `"}`},
}

func TestEveryForm(t *testing.T) {
	for _, s := range samples {
		r := NewReader([]byte(s.in))
		if got := string(r.AppendJSON(nil, 8)); got != s.want || r.Err() != nil || r.More() {
			t.Errorf("%q: %s, %v, want %s", s.in, got, r.Err(), s.want)
		}
		r = NewReader([]byte(s.in))
		if r.Skip(); r.Err() != nil || r.Pos() != len(s.in) {
			t.Errorf("%q: skipped %d of %d, %v", s.in, r.Pos(), len(s.in), r.Err())
		}
		for n := range len(s.in) { // every beginning is short, for all three
			r := NewReader([]byte(s.in[:n]))
			if got := r.AppendJSON([]byte("x"), 8); string(got) != "x" || !errors.Is(r.Err(), ErrShort) {
				t.Errorf("%q: %s, %v", s.in[:n], got, r.Err())
			}
			var f Scanner
			if done, err := f.Scan([]byte(s.in[:n])); done || err != nil {
				t.Errorf("%q: scanner done %v, %v", s.in[:n], done, err)
			}
			if done, err := f.Scan([]byte(s.in + "more")); !done || err != nil || f.End() != len(s.in) {
				t.Errorf("%q after %d: scanner %v of %d, %v", s.in, n, done, f.End(), err)
			}
		}
	}
}

func TestWhatIsWrong(t *testing.T) {
	f := func(name, in string, want error) {
		t.Helper()
		r := NewReader([]byte(in))
		if got := r.AppendJSON(nil, 8); len(got) != 0 || !errors.Is(r.Err(), want) {
			t.Errorf("%s: %s, %v, want %v", name, got, r.Err(), want)
		}
		if tok := r.Next(); tok.Kind != None || r.More() {
			t.Errorf("%s: a token after the error", name)
		}
	}
	f("no such byte", "\xc1", errByte)
	f("array longer than the data", "\xdd\xff\xff\xff\xff\x01\x02", ErrShort)
	f("map longer than the data", "\xdf\x7f\xff\xff\xff\x01\x02", ErrShort)
	f("string longer than the data", "\xdb\xff\xff\xff\xffx", ErrShort)
	f("extension longer than the data", "\xc9\xff\xff\xff\xff\x00x", ErrShort)
	f("a map as a key", "\x81\x80\x01", errKey)
	f("deep", strings.Repeat("\x91", 9)+"\x01", ErrDeep)
	f("deep maps", strings.Repeat("\x81\xa1a", 9)+"\x01", ErrDeep)
	r := NewReader([]byte(strings.Repeat("\x91", 100_000) + "\x01"))
	if r.Skip(); r.Err() != nil || r.More() {
		t.Errorf("skip what is deep: %v", r.Err())
	}
	r = NewReader(bytes.Repeat([]byte("\xdd\x00\xff\xff\xff"), 1000))
	if r.Skip(); !errors.Is(r.Err(), ErrShort) {
		t.Errorf("arrays of arrays that lie: %v", r.Err())
	}
	var fr Scanner
	if _, err := fr.Scan([]byte("\x92\x01\xc1")); err == nil {
		t.Error("scanner takes a byte that begins nothing")
	}
	fr = Scanner{}
	if done, err := fr.Scan([]byte("\xdb\xff\xff\xff\xff")); done || err != nil || fr.Least() < math.MaxUint32 {
		t.Errorf("scanner of a string that lies: %v, %v, %d", done, err, fr.Least())
	}
}

// TestTop tells where the elements of a message begin, however it arrives.
func TestTop(t *testing.T) {
	in := []byte("\x94\xa3tag\x92\x92\x01\x80\x92\x02\x81\xa1a\x90\xc4\x02\x91\x92\x81\xa1k\x91\x91\x01\x05")
	for _, step := range []int{1, 3, len(in)} {
		var f Scanner
		for n := step; ; n += step {
			if done, err := f.Scan(in[:min(n, len(in))]); err != nil {
				t.Fatal(err)
			} else if done {
				break
			}
		}
		if want := []int{1, 5, 15, 19}; f.Tops != 4 || !reflect.DeepEqual(f.Top[:4], want) || f.End() != len(in)-1 {
			t.Errorf("step %d: %v of %d, end %d of %d", step, f.Top, f.Tops, f.End(), len(in))
		}
	}
}

func TestWritten(t *testing.T) {
	var b []byte
	b = AppendArray(b, 7)
	b = AppendStr(b, "HELO")
	b = AppendStr(b, strings.Repeat("x", 128))
	b = AppendStr(b, strings.Repeat("y", 70_000))
	b = AppendBin(AppendBin(b, []byte{0xff}), make([]byte, 300))
	b = AppendMap(b, 2)
	b = AppendBool(AppendStr(b, "keepalive"), true)
	b = AppendInt(AppendStr(b, "n"), -5)
	b = AppendEventTime(b, 1_700_000_000_000_000_005)
	r := NewReader(b)
	if tok := r.Next(); tok.Kind != Array || tok.N != 7 {
		t.Fatal(tok)
	}
	for _, n := range []int{4, 128, 70_000} {
		if tok := r.Next(); tok.Kind != Str || len(tok.Bytes) != n {
			t.Errorf("%s of %d bytes, want a string of %d", tok.Kind, len(tok.Bytes), n)
		}
	}
	for _, n := range []int{1, 300} {
		if tok := r.Next(); tok.Kind != Bin || len(tok.Bytes) != n {
			t.Errorf("%s of %d bytes, want binary of %d", tok.Kind, len(tok.Bytes), n)
		}
	}
	if got := string(r.AppendJSON(nil, 2)); got != `{"keepalive":true,"n":-5}` {
		t.Error(got)
	}
	if tok := r.Next(); tok.Kind != Ext || r.More() || r.Err() != nil {
		t.Error(tok.Kind, r.Err())
	} else if ns, ok := tok.EventTime(); !ok || ns != 1_700_000_000_000_000_005 {
		t.Error(ns, ok)
	}
}

// record is what Fluent Bit sends of a container's line.
var record = func() []byte {
	b := AppendMap(nil, 4)
	b = AppendStr(AppendStr(b, "stream"), "stdout")
	b = AppendStr(AppendStr(b, "_p"), "F")
	b = AppendStr(AppendStr(b, "log"), `[2026-03-01T10:00:00.001Z] "GET /a HTTP/1.1" 200 - 0 12 3 2 "-" "ua" "id" "host:80" "10.0.0.1:80"`)
	b = AppendMap(AppendStr(b, "kubernetes"), 3)
	b = AppendStr(AppendStr(b, "pod_name"), "cart-0a1b2c3d-00001")
	b = AppendStr(AppendStr(b, "namespace_name"), "shop")
	b = AppendMap(AppendStr(b, "labels"), 1)
	return AppendStr(AppendStr(b, "app"), "cart")
}()

func TestAllocatesNothing(t *testing.T) {
	dst := make([]byte, 0, 4096)
	n := testing.AllocsPerRun(100, func() {
		r := NewReader(record)
		dst = r.AppendJSON(dst[:0], 8)
		r = NewReader(record)
		r.Skip()
		var f Scanner
		f.Scan(record)
	})
	if n != 0 || !json.Valid(dst) {
		t.Errorf("%v allocations for %s", n, dst)
	}
}

func BenchmarkJSON(b *testing.B) {
	b.SetBytes(int64(len(record)))
	dst := make([]byte, 0, 4096)
	for b.Loop() {
		r := NewReader(record)
		dst = r.AppendJSON(dst[:0], 8)
	}
}

func BenchmarkFrame(b *testing.B) {
	b.SetBytes(int64(len(record)))
	for b.Loop() {
		var f Scanner
		f.Scan(record)
	}
}

// FuzzReader holds the three ways over a value against each other: what one
// finds whole, all do, and of the same size; and the JSON is JSON.
func FuzzReader(f *testing.F) {
	for _, s := range samples {
		f.Add([]byte(s.in))
	}
	f.Add(record)
	f.Fuzz(func(t *testing.T, in []byte) {
		r := NewReader(in)
		r.Skip()
		var fr Scanner
		done, err := fr.Scan(in)
		if len(in) > 0 && done != (r.Err() == nil) || done && (err != nil || fr.End() != r.Pos()) {
			t.Fatalf("skip: %d, %v; scanner: %v, %d, %v", r.Pos(), r.Err(), done, fr.End(), err)
		}
		var slow Scanner
		for n := range in {
			if ok, _ := slow.Scan(in[:n]); ok && n < fr.End() {
				t.Fatalf("a scanner of %d bytes is whole after %d", fr.End(), n)
			}
		}
		if ok, _ := slow.Scan(in); ok != done || slow.Top != fr.Top {
			t.Fatalf("in pieces: %v, %v; at once: %v, %v", ok, slow.Top, done, fr.Top)
		}
		j := NewReader(in)
		out := j.AppendJSON(nil, 64)
		if j.Err() == nil && len(in) > 0 {
			if !done || j.Pos() != fr.End() {
				t.Fatalf("JSON of %d bytes, scanner %v of %d", j.Pos(), done, fr.End())
			}
			if !json.Valid(bytes.ToValidUTF8(out, []byte("?"))) {
				t.Fatalf("not JSON: %q", out)
			}
		}
	})
}
