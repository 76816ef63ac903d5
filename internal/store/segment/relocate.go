package segment

import (
	"fmt"
	"io"
	"slices"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

// A donor is a segment that blocks are relocated from.
type donor struct {
	r     *Reader
	table bool    // its token index can be merged
	place []int32 // by block: its number in the output, or -1
}

// Relocate adds block b of another segment of the same key as the next block,
// sealed as it is. Every chunk is opened to see that it is genuine, and none but
// the header is decoded. The tokens come from r's index when Finish merges them,
// so r MUST stay usable until then; only a block of a segment of version 1, whose
// index lists no tokens, is decoded and read for them here.
//
// A table whose hashes are much shorter than those of the others is read anew in
// the same way, by Finish.
//
// The bounds of ingest times and orders of r, which are not known by block, count
// for each of its blocks.
func (w *Writer) Relocate(r *Reader, b int) error {
	if w.err != nil {
		return w.err
	}
	if err := w.relocate(r, b); err != nil {
		return fmt.Errorf("relocate block %d of segment %s: %w", b, r.ID, err)
	}
	return nil
}

func (w *Writer) relocate(r *Reader, b int) error {
	in, err := w.donor(r)
	if err != nil {
		return err
	}
	if in.place[b] >= 0 {
		return fault.Errorf(fault.Internal, "it was relocated before")
	}
	h, err := r.readHeader(b, nil)
	if err != nil {
		return err
	}
	n := len(w.dir.Blocks)
	off, err := w.copyChunks(r, b, h)
	if err != nil {
		return err
	}
	k, d := r.Blocks[b], &w.dir
	k.Offset = off
	d.written(r.MinSchema, r.MaxSchema)
	d.Blocks = append(d.Blocks, k)
	d.Records += uint64(k.Rows)
	d.MinTime, d.MaxTime = min(d.MinTime, k.MinTime), max(d.MaxTime, k.MaxTime)
	d.MinIngest, d.MaxIngest = min(d.MinIngest, r.MinIngest), max(d.MaxIngest, r.MaxIngest)
	d.FirstOrd, d.LastOrd = min(d.FirstOrd, r.FirstOrd), max(d.LastOrd, r.LastOrd)
	d.merge(w.index, columnsOf(h.Header), n)
	in.place[b] = int32(n)
	if in.table {
		return nil
	}
	return w.readTokens(r, b, n)
}

// donor returns what is known of r as a donor.
func (w *Writer) donor(r *Reader) (*donor, error) {
	for _, in := range w.donors {
		if in.r == r {
			return in, nil
		}
	}
	if r.KeyID != w.meta.KeyID || r.commitment != Commitment(w.meta.Key, w.meta.KeyID) {
		return nil, fault.Errorf(fault.Invalid, "its key is %s, that of the output %s", r.KeyID, w.meta.KeyID)
	}
	in := &donor{r: r, table: r.index.kind == indexTable, place: make([]int32, len(r.Blocks))}
	for i := range in.place {
		in.place[i] = -1
	}
	w.donors = append(w.donors, in)
	return in, nil
}

// copyChunks copies the chunks of a block and returns where they start.
func (w *Writer) copyChunks(r *Reader, b int, h *header) (int64, error) {
	k := &r.Blocks[b]
	off, err := w.copyChunk(r, k.Offset, k.Header, chunkHeader, k.UID, 0)
	last := len(h.Columns)
	if h.Rest != nil {
		last++
	}
	for i := TimeColumn; i < last; i++ {
		if c := h.col(i); err == nil && c.Body > 0 {
			at, number := r.place(b, c)
			_, err = w.copyChunk(r, at, c.Body+crypt.Overhead, chunkBody, k.UID, number)
		}
	}
	return off, err
}

func (w *Writer) copyChunk(r *Reader, at int64, size int, kind byte, uid UID, number int) (int64, error) {
	if at < 0 || size < crypt.Overhead || at > r.end-int64(size) {
		return 0, corrupt("a chunk of %d bytes at %d lies outside of the file", size, at)
	}
	if cap(w.sealed) < size {
		w.sealed, w.plain = make([]byte, size), make([]byte, size)
	}
	sealed := w.sealed[:size]
	if n, err := r.file.ReadAt(sealed, at); n < size {
		if err == nil || err == io.EOF {
			err = fault.Errorf(fault.Corrupt, "the file ends within it")
		}
		return 0, fmt.Errorf("read chunk at %d: %w", at, err)
	}
	var ad [64]byte
	if _, err := r.sealer.Open(w.plain[:0], sealed, aad(ad[:0], kind, uid, number)); err != nil {
		return 0, fmt.Errorf("open chunk at %d: %w", at, err)
	}
	return w.add(sealed)
}

// columnsOf lists the columns of a block for the directory.
func columnsOf(h *block.Header) []blockColumn {
	var out []blockColumn
	for i := range h.Columns {
		c := &h.Columns[i]
		out = append(out, blockColumn{c.Name, c.Kind, c.Values, c.Min, c.Max})
	}
	if h.Rest != nil {
		out = append(out, blockColumn{kind: block.RestKind, values: h.Rest.Total(), max: uint64(h.Rest.Groups)})
	}
	return out
}

// tokens returns the distinct tokens of a block, read from its columns.
func (r *Reader) tokens(b int, h *header) ([]uint64, error) {
	s := hashSets.Get().(*hashSet)
	defer hashSets.Put(s)
	s.reset()
	for i := range h.Columns {
		if h.Columns[i].Kind != record.String {
			continue
		}
		v, err := r.decode(b, i, h, nil)
		if err != nil {
			return nil, err
		}
		seed := Seed(h.Columns[i].Name)
		for e := range v.Entries() {
			s.tokens(view(v.Bytes(e)), seed)
		}
	}
	rest, err := r.LoadRest(b, nil)
	if err != nil {
		return nil, err
	}
	s.rest(rest)
	return slices.Clone(s.list), nil
}

// settleDonors returns how many bits a hash gets in the index: as many as the
// number of pairs calls for, but no more than the tables have that hold 7/8 of
// them at least. The others, of small segments, would make it find less: the
// tokens of their blocks are read from the columns.
func (w *Writer) settleDonors() (uint, error) {
	pairs := w.tokens.total
	var byBits [maxBits + 1]uint64
	for _, in := range w.donors {
		if in.table {
			pairs += in.r.index.pairs
			byBits[in.r.index.bits] += in.r.index.pairs
		}
	}
	n, short := uint(minBits), uint64(0) // pairs of tables with fewer bits than n
	for ; n < bitsFor(pairs); n++ {
		if short += byBits[n]; short > pairs/8 {
			break
		}
	}
	for _, in := range w.donors {
		if !in.table || in.r.index.bits >= n {
			continue
		}
		in.table = false
		for b, to := range in.place {
			if to < 0 {
				continue
			}
			if err := w.readTokens(in.r, b, int(to)); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// readTokens adds the tokens of block b of r, which is block n here.
func (w *Writer) readTokens(r *Reader, b, n int) error {
	h, err := r.readHeader(b, nil)
	if err != nil {
		return r.wrap(b, err)
	}
	tokens, err := r.tokens(b, h)
	if err != nil {
		return r.wrap(b, err)
	}
	return w.tokens.add(tokens, n)
}

// entries returns the tokens of the blocks that were relocated, by hashes of n
// bits.
func (in *donor) entries(n uint) entries {
	x := &in.r.index
	return &tableCursor{
		page:  func(i int) (page, error) { return in.r.readPage(i) },
		first: x.first, blocks: len(in.place), cut: x.bits - n, place: in.place,
	}
}
