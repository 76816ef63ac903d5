package block

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
)

// golden is what testdata/v1.block holds, written by the last writer of version 1:
// the number of parts, then header and bodies, each with its length in front.
func golden() *Input {
	in := &Input{Raw: 12345}
	x := uint64(1)
	next := func(n uint64) uint64 { // a generator that stays the same for ever
		x = x*6364136223846793005 + 1442695040888963407
		return x >> 33 % n
	}
	cols := map[string]*record.Column{}
	put := func(row int, name string, kind record.Kind) *record.Column {
		c := cols[name]
		if c == nil {
			c = &record.Column{Name: name, Kind: kind}
			cols[name], in.Columns = c, append(in.Columns, c)
		}
		c.Rows = append(c.Rows, uint32(row))
		return c
	}
	str := func(row int, name, v string) {
		c := put(row, name, record.String)
		c.Data = append(c.Data, v...)
		c.Ends = append(c.Ends, uint32(len(c.Data)))
	}
	num := func(row int, name string, kind record.Kind, v uint64) {
		c := put(row, name, kind)
		c.Nums = append(c.Nums, v)
	}
	for i := range 700 {
		in.Times = append(in.Times, int64(1e18)+int64(i)*1000+int64(next(900)))
		in.Ords = append(in.Ords, uint64(3+i/100)<<OrdShift|uint64(i%100))
		in.Ingests = append(in.Ingests, int64(2e18)+int64(i/100))
		str(i, "const", "always")
		str(i, "dict", fmt.Sprint("pod-", next(9)))
		str(i, "large", fmt.Sprintf("a-rather-long-value-to-fill-the-table-%x", next(300)*0x9e3779b97f4a7c15))
		str(i, "text", fmt.Sprintf("took %d ms for %x", next(1000), next(1<<20)))
		str(i, "hex", fmt.Sprintf("%016x%016x", x, x*x))
		str(i, "uuid", fmt.Sprintf("%08x-%04x-4000-8000-%012x", uint32(x), next(1<<16), x>>16))
		str(i, "decimal", fmt.Sprint(next(1e6)))
		num(i, "status", record.Int, 200+next(4))
		num(i, "port", record.Int, next(65536))
		num(i, "float", record.Float, math.Float64bits(float64(next(1e6))/1000))
		num(i, "odd", record.Float, math.Float64bits(math.Sqrt(float64(next(1e6)))))
		if next(3) == 0 {
			str(i, "some", fmt.Sprint("v", next(5)))
			num(i, "bool", record.Bool, next(2))
		}
		if next(60) == 0 {
			num(i, "few", record.Int, next(7))
		}
	}
	return in
}

// TestVersion1 reads a block of version 1.
func TestVersion1(t *testing.T) {
	b, err := os.ReadFile("testdata/v1.block")
	if err != nil {
		t.Fatal(err)
	}
	c := cursor{b: b}
	e := &Encoded{MinTime: 1e18, MaxTime: 1e18}
	n := c.count(100, "parts")
	e.Header = c.bytes(MaxBody, "header")
	for range n - 1 {
		e.Bodies = append(e.Bodies, c.bytes(MaxBody, "body"))
	}
	if err := c.end("the file"); err != nil {
		t.Fatal(err)
	}
	if e.Header[0] != 1 {
		t.Fatalf("the file is of version %d", e.Header[0])
	}
	in := golden()
	e.MinTime, e.MaxTime = in.Times[0], in.Times[len(in.Times)-1]
	check(t, in, e)
	h, _ := DecodeHeader(e.Header)
	for i := range h.Columns {
		if c := &h.Columns[i]; c.Counts() != nil {
			t.Errorf("column %s of version 1 counts %v", c.Name, c.Counts())
		}
	}
}

func TestCounts(t *testing.T) {
	in := golden()
	e := Encode(in)
	h, err := DecodeHeader(e.Header)
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	for i, c := range in.Columns {
		col := &h.Columns[i]
		if (col.Head() == nil) != (col.Counts() == nil) {
			t.Errorf("column %s has head %v and counts %v", c.Name, col.Head() != nil, col.Counts())
		}
		if col.Head() == nil {
			continue
		}
		told++
		want := map[string]uint32{}
		for k := range c.Rows {
			want[text(c.Kind, c.Bytes, c.Nums, k)]++
		}
		for k, n := range col.Counts() {
			v := col.Head()
			if s := text(c.Kind, v.Bytes, v.Nums, k); n != want[s] {
				t.Errorf("column %s has %q %d times, want %d", c.Name, s, n, want[s])
			}
		}
	}
	if told < 5 {
		t.Errorf("only %d columns tell counts", told)
	}
}

func text(kind record.Kind, str func(int) []byte, nums []uint64, i int) string {
	if kind == record.String {
		return string(str(i))
	}
	return fmt.Sprint(nums[i])
}

func TestCountsMustAgree(t *testing.T) {
	for _, counts := range [][]uint64{{1, 1}, {3, 1}, {4, 0}, {1 << 40, 1}, {3}, {1, 1, 1}} {
		h := &Header{Rows: 9, version: 2, parts: make([]parts, 1)}
		col := Column{Kind: record.Int, Values: 3, rows: 9, codec: codecDict, of: h}
		head := appendInts(binary.AppendUvarint(nil, 2), []uint64{7, 8})
		for _, n := range counts {
			head = binary.AppendUvarint(head, n)
		}
		h.plain = head
		err := col.readHead(head, len(head))
		if err == nil {
			err = h.entriesOf(&col).err
		}
		if fault.KindOf(err) != fault.Corrupt {
			t.Errorf("counts %v of 3 values: %v", counts, err)
		}
	}
}
