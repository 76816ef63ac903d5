package record

import (
	"bytes"
	"math"
	"testing"
)

// TestHandlesWriteWhatNamesWrite holds a batch written through handles against
// one written by name, a repeated value and a discarded record included.
func TestHandlesWriteWhatNamesWrite(t *testing.T) {
	build := func(handles bool) []byte {
		b := &Batch{Tenant: "t", Source: "s"}
		for i := range 5 {
			b.Begin(int64(i), "app")
			if handles {
				b.PutBytes(b.Open("a", String), []byte("first"))
				b.PutBytes(b.Open("a", String), []byte{'v', byte('0' + i)})
				b.PutStr(b.Open("b", String), "constant")
				b.PutNum(b.Open("a", Int), uint64(i))
				b.PutNum(b.Open("f", Float), math.Float64bits(1.5))
				b.PutNum(b.Open("t", Bool), 1)
			} else {
				b.Str("a", "first")
				b.StrBytes("a", []byte{'v', byte('0' + i)})
				b.Str("b", "constant")
				b.Int("a", int64(i))
				b.Float("f", 1.5)
				b.Bool("t", true)
			}
			if i == 3 {
				b.Discard()
			} else {
				b.End()
			}
		}
		return b.AppendEncoded(nil)
	}
	if !bytes.Equal(build(true), build(false)) {
		t.Error("handles and names write different batches")
	}
}

// TestLayout holds the promise by which handles are kept.
func TestLayout(t *testing.T) {
	b := &Batch{}
	c := b.Open("a", String)
	before := b.Layout()
	b.Begin(1, "app")
	b.PutStr(c, "x")
	b.End()
	b.Reset()
	if b.Open("a", String) != c || b.Layout() != before {
		t.Error("a Reset lost a column without saying so")
	}
	b.Rename(c, "z")
	if b.Layout() == before {
		t.Error("a renamed column is not told")
	}
	if b.Open("a", String) == c {
		t.Error("a renamed column is still found by its old name")
	}
	before = b.Layout()
	for i := range 600 {
		b.Open(string(rune('0'+i)), Int)
	}
	b.Reset()
	if b.Layout() == before || len(b.Columns()) != 0 {
		t.Error("columns that are gone are not told")
	}
	other := &Batch{}
	if b.Open("a", String); other.Open("a", String) == nil || other.Layout() == b.Layout() {
		t.Error("two batches have one layout")
	}
	empty := &Batch{}
	if before = empty.Layout(); before == other.Layout() {
		t.Error("an empty batch has the layout of another")
	}
	for i := range 600 {
		empty.Open(string(rune('0'+i)), Int)
	}
	if empty.Reset(); empty.Layout() == before {
		t.Error("columns that came and went are not told")
	}
	before = other.Layout()
	*other = Batch{}
	if other.Open("a", String); other.Layout() == before {
		t.Error("a batch that was emptied by assignment is not told")
	}
}

func TestPutAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates on its own")
	}
	b := &Batch{}
	s, n, v := b.Open("s", String), b.Open("n", Int), []byte("value")
	run := func() {
		b.Reset()
		for i := range 100 {
			b.Begin(0, "app")
			b.PutBytes(s, v)
			b.PutNum(n, uint64(i))
			b.End()
		}
	}
	run()
	if a := testing.AllocsPerRun(20, run); a != 0 {
		t.Errorf("%v allocations", a)
	}
}

// TestHashTellsShortTextsApart counts the different hashes of all texts of one
// byte, and of some of two and three.
func TestHashTellsShortTextsApart(t *testing.T) {
	seen := map[uint64]string{}
	for a := range 256 {
		for _, s := range []string{string([]byte{byte(a)}), string([]byte{'x', byte(a)}), string([]byte{byte(a), 'y', 'z'})} {
			h := Hash([]byte(s))
			if other, ok := seen[h]; ok {
				t.Fatalf("%q and %q have one hash", s, other)
			}
			seen[h] = s
		}
	}
}
