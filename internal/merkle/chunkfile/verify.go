package chunkfile

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/meshtrail/meshtrail/internal/merkle"
)

// The parts of a file that Damage names.
const (
	PartHeader  = "header"
	PartChunk   = "chunk"
	PartFooter  = "footer"
	PartTable   = "table"
	PartTrailer = "trailer"
	PartGap     = "gap"  // bytes that belong to no part
	PartTail    = "tail" // bytes behind the trailer
	PartFile    = "file" // no smaller part could be told
)

// maxDamage bounds what Verify reports of a file that is nothing but damage.
const maxDamage = 1000

// Damage is a byte range that is not what was written. Length is 0 where bytes
// are missing.
type Damage struct {
	Offset int64
	Length int64
	Part   string // one of the Part constants
	Index  int    // of the chunk or the row of the table; -1 for other parts
	Detail string // for people
}

// String describes the damage in one line.
func (d Damage) String() string {
	part := d.Part
	if d.Index >= 0 {
		part = fmt.Sprintf("%s %d", d.Part, d.Index)
	}
	return fmt.Sprintf("%s, %d bytes at offset %d: %s", part, d.Length, d.Offset, d.Detail)
}

// Verify reads a file of size bytes from one end to the other and compares it
// with the root that it was known by when written. It needs no key and bounded
// memory (besides the table, which the file itself must hold). No damage means
// that every byte is the one that was written. The error is that of reading r.
//
// One changed, inserted or removed run of bytes is named exactly: the chunk, or
// the bytes of header, table and trailer. Of several, Verify names what it can,
// and in doubt more than too little.
func Verify(r io.ReaderAt, size int64, want merkle.Hash) ([]Damage, error) {
	v := &verifier{r: r, end: size, want: want, leaf: merkle.NewLeaf()}
	if err := v.run(); err != nil {
		return nil, fmt.Errorf("verify chunk file: %w", err)
	}
	slices.SortStableFunc(v.damage, func(a, b Damage) int { return cmp.Compare(a.Offset, b.Offset) })
	return v.damage, nil
}

type verifier struct {
	r      io.ReaderAt
	end    int64 // of the trailer, as far as known
	want   merkle.Hash
	leaf   *merkle.Leaf
	buf    []byte
	damage []Damage

	header   []byte  // as read
	last     []byte  // the 64 bytes before end, as read
	trailer  trailer // decoded from last, if decoded
	decoded  bool
	tableAt  int64
	table    []entry
	complete bool   // the table has all its rows
	fields   []byte // of the trailer, as they were written; nil if unknown
	shifts   int    // attempts left to explain moved chunks
}

func (v *verifier) report(off, length int64, part string, index int, format string, args ...any) {
	switch {
	case len(v.damage) == maxDamage:
		v.damage = append(v.damage, Damage{off, v.end - off, PartFile, -1, "more damage than is listed"})
	case len(v.damage) < maxDamage:
		v.damage = append(v.damage, Damage{off, length, part, index, fmt.Sprintf(format, args...)})
	}
}

func (v *verifier) run() error {
	if v.end < minSize {
		v.report(0, v.end, PartFile, -1, "%d bytes, less than the smallest file of %d: cut short, or not a segment", v.end, minSize)
		return nil
	}
	v.header = make([]byte, HeaderSize)
	if err := readFull(v.r, v.header, 0); err != nil {
		return err
	}
	if err := v.findEnd(); err != nil {
		return err
	}
	found, err := v.findTable()
	if err != nil {
		return err
	}
	if !found {
		v.report(v.end-TrailerSize, TrailerSize, PartTrailer, -1, "the file does not end with its trailer: cut short, or its end was overwritten")
		v.report(0, v.end-TrailerSize, PartFile, -1, "not checked: the table of chunks was not found")
		return nil
	}
	trusted := v.trust(v.table)
	bad, err := v.walk()
	if err != nil {
		return err
	}
	if !trusted && len(bad) > 0 && v.trust(v.corrected(bad)) {
		for _, m := range bad {
			v.report(v.rowAt(m.row)+4, merkle.Size, PartTable, m.row, "the hash is not that of %s, which is unchanged", v.partName(m.row))
		}
		bad = nil
	}
	v.reportBad(bad)
	return v.checkTrailer(len(bad))
}

// A mismatch is a part whose bytes do not have the hash that the table tells.
type mismatch struct {
	row    int
	off    int64
	length int64
	hash   merkle.Hash // of the bytes found; zero if they are beyond the data
}

// corrected returns the table as it would be if the data, not the table, told
// the truth.
func (v *verifier) corrected(bad []mismatch) []entry {
	t := slices.Clone(v.table)
	for _, m := range bad {
		t[m.row].hash = m.hash
	}
	return t
}

// trust reports whether the hashes of a table lead to the root wanted, under
// the trailer as it is or as header and table say it must have been.
func (v *verifier) trust(table []entry) bool {
	leaves := make([]merkle.Hash, len(table)+1)
	for i, e := range table {
		leaves[i] = e.hash
	}
	should := trailer{Header: Header{
		Version: binary.LittleEndian.Uint16(v.header[6:]),
		ID:      [16]byte(v.header[8:]),
	}, footer: table[len(table)-1].length, chunks: uint32(len(table) - 2)}
	for _, fields := range [][]byte{v.last[:fieldsSize], should.fields()} {
		leaves[len(table)] = merkle.LeafHash(fields)
		if merkle.Root(leaves) == v.want {
			v.fields = fields
			return true
		}
	}
	return false
}

// walk hashes header, chunks and footer and returns those that are not what the
// table says. Where the lengths do not add up it reports what explains it.
func (v *verifier) walk() ([]mismatch, error) {
	delta := v.tableAt
	for _, e := range v.table {
		delta -= int64(e.length)
	}
	v.shifts = 16
	var bad []mismatch
	var off int64
	for i, e := range v.table {
		length := int64(e.length)
		h, err := v.hash(off, length)
		if err != nil {
			return nil, err
		}
		if h != e.hash && delta != 0 && v.shifts > 0 {
			v.shifts--
			used, err := v.explain(i, off, delta, len(bad) == 0)
			if err != nil {
				return nil, err
			}
			if used >= 0 {
				off += used
				delta = 0
				continue
			}
		}
		if h != e.hash {
			at := min(off, v.tableAt)
			bad = append(bad, mismatch{i, at, min(length, v.tableAt-at), h})
		}
		off += length
	}
	switch {
	case delta != 0 && len(bad) > 0:
		v.report(v.tableAt, v.end-v.tableAt, PartTable, -1, "the lengths do not add up to the data, which may be why parts seem changed")
	case off < v.tableAt:
		v.report(off, v.tableAt-off, PartGap, -1, "inserted before the table")
	}
	return bad, nil
}

// explain finds out why row i is not at off although the data is delta bytes
// longer than the table says. It reports the reason and returns how many bytes
// from off on it covers, or -1 if it found none. That the data ends where it
// should is reason enough only if all before was clean.
func (v *verifier) explain(i int, off, delta int64, clean bool) (int64, error) {
	e := v.table[i]
	length := int64(e.length)
	match := func(off, length int64, want merkle.Hash) (bool, error) {
		h, err := v.hash(off, length)
		return h == want, err
	}
	actual := length + delta
	if ok, err := match(off, actual, e.hash); ok || err != nil {
		v.report(v.rowAt(i), 4, PartTable, i, "the length is not that of %s, which is unchanged", v.partName(i))
		return actual, err
	}
	if delta > 0 {
		if ok, err := match(off+delta, length, e.hash); ok || err != nil {
			v.report(off, delta, PartGap, -1, "inserted before %s", v.partName(i))
			return delta + length, err
		}
	}
	if actual < 0 {
		return -1, nil
	}
	ok, err := clean && off+actual == v.tableAt, error(nil)
	if i+1 < len(v.table) {
		next := v.table[i+1]
		ok, err = match(off+actual, int64(next.length), next.hash)
	}
	if !ok || err != nil {
		return -1, err
	}
	part, index := v.part(i)
	if delta > 0 {
		v.report(off, actual, part, index, "%d bytes were inserted", delta)
	} else {
		v.report(off, actual, part, index, "%d bytes of %d are missing", -delta, length)
	}
	return actual, nil
}

// hash returns the leaf hash of a range of the data, or zero if the range is
// not within the data.
func (v *verifier) hash(off, length int64) (merkle.Hash, error) {
	if length <= 0 || off+length > v.tableAt {
		return merkle.Hash{}, nil
	}
	v.leaf.Reset()
	if v.buf == nil {
		v.buf = make([]byte, min(256<<10, v.tableAt))
	}
	for length > 0 {
		p := v.buf[:min(length, int64(len(v.buf)))]
		if err := readFull(v.r, p, off); err != nil {
			return merkle.Hash{}, err
		}
		v.leaf.Write(p)
		off, length = off+int64(len(p)), length-int64(len(p))
	}
	return v.leaf.Sum(), nil
}

// part returns what row i of the table describes.
func (v *verifier) part(i int) (part string, index int) {
	switch {
	case i == 0:
		return PartHeader, -1
	case i == len(v.table)-1 && v.complete:
		return PartFooter, -1
	}
	return PartChunk, i - 1
}

func (v *verifier) partName(i int) string {
	part, index := v.part(i)
	if index >= 0 {
		return fmt.Sprintf("%s %d", part, index)
	}
	return part
}

func (v *verifier) rowAt(i int) int64 { return v.tableAt + int64(i)*EntrySize }

// reportBad reports parts that were changed in place.
func (v *verifier) reportBad(bad []mismatch) {
	owner := map[merkle.Hash]int{}
	if len(bad) > 0 {
		for i, e := range v.table {
			owner[e.hash] = i
		}
	}
	for _, m := range bad {
		part, index := v.part(m.row)
		if m.row == 0 && v.decoded {
			should := v.trailer.Header.encode()
			if first, n := diff(v.header, should); n > 0 && merkle.LeafHash(should) == v.table[0].hash {
				v.report(int64(first), int64(n), part, index, "these bytes were changed")
				continue
			}
		}
		if i, ok := owner[m.hash]; ok && i != m.row {
			v.report(m.off, m.length, part, index, "the bytes are those of %s", v.partName(i))
			continue
		}
		v.report(m.off, m.length, part, index, "the bytes are not those that were written")
	}
}

// diff returns the range in which a and b, of one length, differ.
func diff(a, b []byte) (first, n int) {
	for first < len(a) && a[first] == b[first] {
		first++
	}
	end := len(a)
	for end > first && a[end-1] == b[end-1] {
		end--
	}
	return first, end - first
}

// checkTrailer compares what follows the table with what MUST follow.
func (v *verifier) checkTrailer(bad int) error {
	at := v.end - TrailerSize
	if v.complete {
		at = v.rowAt(len(v.table))
	}
	if v.fields == nil {
		if bad == 0 && len(v.damage) == 0 && v.complete && v.decoded {
			v.report(0, v.end, PartFile, -1, "whole in itself, but another file: its root is %s, not %s", v.trailer.root, v.want)
			return nil
		}
		v.report(v.tableAt, v.end-v.tableAt, PartTable, -1, "table and trailer do not lead to the root %s", v.want)
		return nil
	}
	should := append(bytes.Clone(v.fields), v.want[:]...)
	is := make([]byte, min(TrailerSize, max(0, v.end-at)))
	if err := readFull(v.r, is, at); err != nil {
		return err
	}
	surplus := v.end - at - TrailerSize
	switch {
	case surplus < 0:
		v.report(at, int64(len(is)), PartTrailer, -1, "the file is cut short: %d bytes of %d", len(is), TrailerSize)
	case surplus == 0:
		if first, n := diff(is, should); n > 0 {
			v.report(at+int64(first), int64(n), PartTrailer, -1, "these bytes were changed")
		}
	case bytes.Equal(is, should):
		v.report(at+TrailerSize, surplus, PartTail, -1, "%d bytes were appended", surplus)
	case bytes.Equal(v.last, should):
		v.report(at, surplus, PartGap, -1, "inserted before the trailer")
	default:
		v.report(at, v.end-at, PartTrailer, -1, "neither the trailer nor its place are as written")
	}
	return nil
}
