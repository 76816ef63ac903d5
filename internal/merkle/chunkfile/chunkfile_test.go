package chunkfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/merkle"
	"github.com/meshtrail/meshtrail/internal/merkle/chunkfile"
)

var head = chunkfile.Header{Version: 3, ID: [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}}

// layout is a built file and where its parts are.
type layout struct {
	data    []byte
	sum     chunkfile.Summary
	offs    []int64 // of the chunks, then of the footer, table and trailer
	lengths []int
}

func build(tb testing.TB, lengths []int, footer int) layout {
	tb.Helper()
	rng := rand.New(rand.NewPCG(1, uint64(len(lengths))))
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	var buf bytes.Buffer
	w, err := chunkfile.NewWriter(&buf, head)
	if err != nil {
		tb.Fatal(err)
	}
	l := layout{lengths: lengths}
	for _, n := range lengths {
		off, err := w.Add(noise(n))
		if err != nil {
			tb.Fatal(err)
		}
		if off != int64(buf.Len()-n) {
			tb.Fatalf("chunk at %d, Add said %d", buf.Len()-n, off)
		}
		l.offs = append(l.offs, off)
	}
	at := int64(buf.Len())
	if l.sum, err = w.Finish(noise(footer)); err != nil {
		tb.Fatal(err)
	}
	l.data = buf.Bytes()
	table := at + int64(footer)
	l.offs = append(l.offs, at, table, int64(len(l.data)-chunkfile.TrailerSize))
	if l.sum.Size != int64(len(l.data)) || l.sum.Chunks != len(lengths) {
		tb.Fatalf("summary %+v of %d bytes and %d chunks", l.sum, len(l.data), len(lengths))
	}
	return l
}

func verify(tb testing.TB, data []byte, want merkle.Hash) []chunkfile.Damage {
	tb.Helper()
	d, err := chunkfile.Verify(bytes.NewReader(data), int64(len(data)), want)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// partOf returns what a byte of the file belongs to.
func (l layout) partOf(at int) (part string, index int) {
	n := len(l.lengths)
	switch off := int64(at); {
	case off < chunkfile.HeaderSize:
		return chunkfile.PartHeader, -1
	case off >= l.offs[n+2]:
		return chunkfile.PartTrailer, -1
	case off >= l.offs[n+1]:
		return chunkfile.PartTable, int(off-l.offs[n+1]) / chunkfile.EntrySize
	case off >= l.offs[n]:
		return chunkfile.PartFooter, -1
	default:
		i, found := slices.BinarySearch(l.offs[:n], off)
		if !found {
			i--
		}
		return chunkfile.PartChunk, i
	}
}

func TestRoundTrip(t *testing.T) {
	for _, lengths := range [][]int{nil, {1}, {5, 1, 70000}, {100, 100, 100, 100, 100, 100, 100}} {
		for _, footer := range []int{1, 50, 200_000} {
			l := build(t, lengths, footer)
			r := &countingReader{r: bytes.NewReader(l.data)}
			f, err := chunkfile.Open(r, int64(len(l.data)))
			if err != nil {
				t.Fatal(err)
			}
			at := l.offs[len(lengths)]
			if f.Header() != head || f.Root() != l.sum.Root || f.Chunks() != len(lengths) ||
				!bytes.Equal(f.FooterChunk(), l.data[at:at+int64(footer)]) {
				t.Fatalf("%v, footer %d: opened as %+v", lengths, footer, f)
			}
			want := 1
			if footer > 64<<10 {
				want = 2
			}
			if r.reads != want {
				t.Errorf("footer of %d: %d reads, want %d", footer, r.reads, want)
			}
			if d := verify(t, l.data, l.sum.Root); d != nil {
				t.Fatalf("whole file: %v", d)
			}
		}
	}
}

type countingReader struct {
	r     io.ReaderAt
	reads int
}

func (c *countingReader) ReadAt(p []byte, off int64) (int, error) {
	c.reads++
	return c.r.ReadAt(p, off)
}

func TestWriterRefuses(t *testing.T) {
	w, err := chunkfile.NewWriter(io.Discard, head)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Add(nil); !fault.Is(err, fault.Invalid) {
		t.Errorf("empty chunk: got %v, want invalid", err)
	}
	if _, err := w.Finish(nil); !fault.Is(err, fault.Invalid) {
		t.Errorf("empty footer: got %v, want invalid", err)
	}
	if _, err := w.Finish([]byte("f")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Add([]byte("x")); err == nil {
		t.Error("Add after Finish: no error")
	}
	full := errors.New("full")
	fw := &failingWriter{left: 1, err: full}
	if w, err = chunkfile.NewWriter(fw, head); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Add([]byte("x")); !errors.Is(err, full) {
		t.Errorf("failed write: got %v, want %v", err, full)
	}
	fw.left = 10
	if _, err := w.Finish([]byte("x")); !errors.Is(err, full) {
		t.Errorf("a failed writer: got %v, want %v", err, full)
	}
}

type failingWriter struct {
	left int
	err  error
}

func (f *failingWriter) Write(p []byte) (int, error) {
	if f.left--; f.left < 0 {
		return 0, f.err
	}
	return len(p), nil
}

// Every byte of a 64 KiB file: flipped, it must be found, and by its part, and
// nothing else may be blamed.
func TestFlipEveryByte(t *testing.T) {
	l := build(t, []int{1, 4096, 10000, 300, 2, 20000, 28000, 700, 7, 1}, 1000)
	flips := []byte{0x01, 0x80, 0xff}
	for at := range l.data {
		flip := flips[at%len(flips)]
		l.data[at] ^= flip
		l.checkOneFlip(t, at)
		l.data[at] ^= flip
	}
}

func (l layout) checkOneFlip(t *testing.T, at int) {
	t.Helper()
	d := verify(t, l.data, l.sum.Root)
	part, index := l.partOf(at)
	if len(d) != 1 || d[0].Part != part || d[0].Index != index ||
		d[0].Offset > int64(at) || d[0].Offset+d[0].Length <= int64(at) {
		t.Fatalf("byte %d of %s %d flipped: %v", at, part, index, d)
	}
	switch part {
	case chunkfile.PartHeader, chunkfile.PartTrailer:
		if d[0].Length != 1 {
			t.Fatalf("byte %d of %s flipped: %v, want a range of 1", at, part, d)
		}
	case chunkfile.PartTable:
		if d[0].Length > merkle.Size {
			t.Fatalf("byte %d of %s flipped: %v, want less than a row", at, part, d)
		}
	}
}

// Every bit of a small file, where lengths are more easily mistaken.
func TestFlipEveryBit(t *testing.T) {
	l := build(t, []int{1, 2, 3, 40}, 5)
	for at := range l.data {
		for bit := range 8 {
			l.data[at] ^= 1 << bit
			l.checkOneFlip(t, at)
			l.data[at] ^= 1 << bit
		}
	}
}

func TestTruncationAtEveryLength(t *testing.T) {
	l := build(t, []int{100, 1000, 3, 500}, 60)
	for n := range l.data {
		d := verify(t, l.data[:n], l.sum.Root)
		if len(d) == 0 {
			t.Fatalf("cut to %d of %d: no damage", n, len(l.data))
		}
		last := d[len(d)-1]
		if end := last.Offset + last.Length; n > 0 && end != int64(n) {
			t.Fatalf("cut to %d of %d: damage does not reach the end: %v", n, len(l.data), d)
		}
		if f, err := chunkfile.Open(bytes.NewReader(l.data[:n]), int64(n)); err == nil {
			t.Fatalf("cut to %d of %d: opened as %+v", n, len(l.data), f)
		} else if !fault.Is(err, fault.Corrupt) {
			t.Fatalf("cut to %d of %d: %v, want corrupt", n, len(l.data), err)
		}
		// With the whole table left, the data is still vouched for.
		if int64(n) >= l.offs[6] && (len(d) != 1 || d[0].Part != chunkfile.PartTrailer || d[0].Offset != l.offs[6]) {
			t.Fatalf("cut to %d, within the trailer: %v", n, d)
		}
	}
}

func TestInsertions(t *testing.T) {
	l := build(t, []int{100, 1000, 3, 500}, 60)
	for _, junk := range [][]byte{{0}, bytes.Repeat([]byte{7}, 36), bytes.Repeat([]byte{9}, 64), make([]byte, 5000)} {
		for at := range len(l.data) + 1 {
			bad := slices.Concat(l.data[:at], junk, l.data[at:])
			d := verify(t, bad, l.sum.Root)
			if len(d) == 0 {
				t.Fatalf("%d bytes inserted at %d: no damage", len(junk), at)
			}
			// Junk equal to its neighbours may as well have been inserted
			// elsewhere, from the first to the last place that gives this file.
			first, last := at, at
			for first > 0 && bad[first-1] == bad[first-1+len(junk)] {
				first--
			}
			for last < len(l.data) && bad[last] == bad[last+len(junk)] {
				last++
			}
			if !slices.ContainsFunc(d, func(d chunkfile.Damage) bool {
				return d.Offset <= int64(last+len(junk)) && d.Offset+d.Length >= int64(first)
			}) {
				t.Fatalf("%d bytes inserted at %d: named %v", len(junk), at, d)
			}
			if at == len(l.data) && (len(d) != 1 || d[0].Part != chunkfile.PartTail ||
				d[0].Offset != int64(at) || d[0].Length != int64(len(junk))) {
				t.Fatalf("%d bytes appended: %v", len(junk), d)
			}
		}
	}
}

func TestRemovals(t *testing.T) {
	l := build(t, []int{100, 1000, 3, 500}, 60)
	for at := 64; int64(at) < l.offs[4]; at++ { // one byte of a chunk
		d := verify(t, slices.Concat(l.data[:at], l.data[at+1:]), l.sum.Root)
		part, index := l.partOf(at)
		if len(d) != 1 || d[0].Part != part || d[0].Index != index ||
			d[0].Offset != l.offs[index] || !strings.Contains(d[0].Detail, "missing") {
			t.Fatalf("byte %d of %s %d removed: %v", at, part, index, d)
		}
	}
	for i, off := range l.offs[:4] { // a whole chunk
		d := verify(t, slices.Concat(l.data[:off], l.data[off+int64(l.lengths[i]):]), l.sum.Root)
		if len(d) != 1 || d[0].Index != i || d[0].Offset != off || d[0].Length != 0 {
			t.Fatalf("chunk %d removed: %v", i, d)
		}
	}
}

func TestSwappedChunks(t *testing.T) {
	l := build(t, []int{500, 100, 500, 200}, 60)
	chunk := func(i int) []byte { return l.data[l.offs[i] : l.offs[i]+int64(l.lengths[i])] }
	swapped := slices.Concat(l.data[:64], chunk(2), chunk(1), chunk(0), l.data[l.offs[3]:])
	d := verify(t, swapped, l.sum.Root)
	if len(d) != 2 || d[0].Index != 0 || d[1].Index != 2 ||
		d[0].Detail != "the bytes are those of chunk 2" || d[1].Detail != "the bytes are those of chunk 0" {
		t.Errorf("chunks of one length swapped: %v", d)
	}
	swapped = slices.Concat(l.data[:64], chunk(1), chunk(0), l.data[l.offs[2]:])
	if d = verify(t, swapped, l.sum.Root); len(d) != 2 || d[0].Index != 0 || d[1].Index != 1 {
		t.Errorf("chunks of different lengths swapped: %v", d)
	}
}

func TestAnotherFile(t *testing.T) {
	l, other := build(t, []int{500, 100}, 60), build(t, []int{500, 100, 1}, 60)
	d := verify(t, l.data, other.sum.Root)
	if len(d) != 1 || d[0].Part != chunkfile.PartFile || d[0].Length != int64(len(l.data)) {
		t.Errorf("wrong root: %v", d)
	}
	if d = verify(t, make([]byte, 5000), l.sum.Root); len(d) != 2 || d[0].Offset != 0 || d[1].Offset+d[1].Length != 5000 {
		t.Errorf("zeros: %v", d)
	}
	if d = verify(t, nil, l.sum.Root); len(d) != 1 || d[0].Part != chunkfile.PartFile {
		t.Errorf("empty file: %v", d)
	}
}

func TestManyDamages(t *testing.T) {
	lengths := make([]int, 3000)
	for i := range lengths {
		lengths[i] = 4
	}
	l := build(t, lengths, 9)
	for _, off := range l.offs[:3000] {
		l.data[off] ^= 1
	}
	if d := verify(t, l.data, l.sum.Root); len(d) != 1001 {
		t.Errorf("%d damages listed, want 1000 and a last word", len(d))
	}
	// A few in different parts are each named.
	l = build(t, []int{50, 60, 70, 80}, 9)
	l.data[l.offs[1]] ^= 1
	l.data[l.offs[3]+79] ^= 1
	l.data[l.offs[6]+2] ^= 1
	d := verify(t, l.data, l.sum.Root)
	if len(d) != 3 || d[0].Index != 1 || d[1].Index != 3 || d[2].Part != chunkfile.PartTrailer {
		t.Errorf("chunks 1 and 3 and the trailer: %v", d)
	}
}

func TestReadErrorIsNotDamage(t *testing.T) {
	l := build(t, []int{500}, 60)
	broken := errors.New("input/output error")
	r := readerFunc(func(p []byte, off int64) (int, error) {
		if off == 64 {
			return 0, broken
		}
		return bytes.NewReader(l.data).ReadAt(p, off)
	})
	if d, err := chunkfile.Verify(r, int64(len(l.data)), l.sum.Root); !errors.Is(err, broken) || d != nil {
		t.Errorf("got %v, %v; want the reader's error", d, err)
	}
}

type readerFunc func(p []byte, off int64) (int, error)

func (f readerFunc) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }

// golden builds the file that spec/chunkfile.md draws.
func golden(tb testing.TB) layout {
	tb.Helper()
	var buf bytes.Buffer
	w, err := chunkfile.NewWriter(&buf, head)
	if err != nil {
		tb.Fatal(err)
	}
	for i := range 3 {
		if _, err := w.Add([]byte(strings.Repeat(fmt.Sprintf("chunk %d. ", i), i+1))); err != nil {
			tb.Fatal(err)
		}
	}
	sum, err := w.Finish([]byte("footer"))
	if err != nil {
		tb.Fatal(err)
	}
	return layout{data: buf.Bytes(), sum: sum}
}

func TestGolden(t *testing.T) {
	l := golden(t)
	path := filepath.Join("..", "..", "..", "spec", "vectors", "chunkfile-1.bin")
	if os.Getenv("MESHTRAIL_UPDATE") != "" {
		if err := os.WriteFile(path, l.data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(l.data, want) {
		t.Fatalf("the writer no longer writes %s", path)
	}
	const root = "ff3889c687cfb312f9f3ad257aaebc1ac8da6589fa31eabcffea0110237e7cd8"
	if l.sum.Root.String() != root {
		t.Errorf("root %s, want %s", l.sum.Root, root)
	}
	if d := verify(t, want, l.sum.Root); d != nil {
		t.Errorf("golden file: %v", d)
	}
}

func FuzzVerify(f *testing.F) {
	l := golden(f)
	f.Add(l.data, 0, byte(0))
	f.Add(l.data, 100, byte(3))
	f.Add(l.data[:len(l.data)-1], 1, byte(0))
	f.Add(make([]byte, 300), 299, byte('M'))
	f.Fuzz(func(t *testing.T, data []byte, at int, flip byte) {
		data = bytes.Clone(data)
		if at >= 0 && at < len(data) {
			data[at] ^= flip
		}
		d, err := chunkfile.Verify(bytes.NewReader(data), int64(len(data)), l.sum.Root)
		if err != nil {
			t.Fatal(err)
		}
		if (len(d) == 0) != bytes.Equal(data, l.data) {
			t.Fatalf("damage %v, and the file is whole: %v", d, bytes.Equal(data, l.data))
		}
		for _, d := range d {
			if d.Offset < 0 || d.Length < 0 || d.Offset+d.Length > int64(len(data)) {
				t.Fatalf("%v is not within the file of %d bytes", d, len(data))
			}
		}
		// Open must not panic, nor read more than there is.
		if r, err := chunkfile.Open(bytes.NewReader(data), int64(len(data))); err == nil && len(r.FooterChunk()) > len(data) {
			t.Fatal("footer larger than the file")
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	lengths := make([]int, 200)
	for i := range lengths {
		lengths[i] = 40_000
	}
	l := build(b, lengths, 2000)
	b.SetBytes(int64(len(l.data)))
	b.ReportAllocs()
	for b.Loop() {
		if d := verify(b, l.data, l.sum.Root); d != nil {
			b.Fatal(d)
		}
	}
}
