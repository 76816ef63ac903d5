package segment

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/wire"
)

// Kinds of token index. Segments of version 1 have the first, those of version
// 2 the second.
const (
	indexBloom = 1 // a Bloom filter for each block: bloom.go
	indexTable = 2 // one table of hashes for the segment: tokentable.go
)

// A tokenIndex is what the directory says of the token index.
type tokenIndex struct {
	kind byte
	at   int64 // offset of its first chunk

	// Of kind 1.
	parts int
	rows  int // of a chunk, the last may have fewer

	// Of kind 2.
	bits   uint   // of a hash
	tokens uint64 // different hashes
	pairs  uint64 // of hash and block
	page   int    // sealed size of a page
	last   int    // sealed size of the last page
	first  []uint64
}

func (x *tokenIndex) append(b []byte) []byte {
	b = append(b, x.kind)
	if x.kind == indexBloom {
		b = binary.AppendUvarint(b, uint64(x.parts))
		b = binary.AppendUvarint(b, uint64(x.at))
		return binary.AppendUvarint(b, uint64(x.rows))
	}
	b = append(b, byte(x.bits))
	for _, v := range []uint64{x.tokens, x.pairs, uint64(x.at), uint64(x.page), uint64(x.last), uint64(len(x.first))} {
		b = binary.AppendUvarint(b, v)
	}
	prev := uint64(0)
	for _, h := range x.first {
		b = binary.AppendUvarint(b, h-prev)
		prev = h
	}
	return b
}

// decode reads the index of a segment of this many blocks.
func (x *tokenIndex) decode(in *wire.Reader, blocks int) {
	switch x.kind = in.U8(); x.kind {
	case indexBloom:
		x.parts = int(in.Max(1 << 30))
		x.at = int64(in.Uvarint())
		x.rows = int(in.Max(1 << 30))
		if x.parts == 0 || x.rows == 0 {
			in.Fail("token index of %d parts, %d in a chunk", x.parts, x.rows)
		}
		return
	case indexTable:
	default:
		in.Fail("token index of kind %d is not known", x.kind)
		return
	}
	x.bits = uint(in.U8())
	x.tokens, x.pairs, x.at = in.Uvarint(), in.Uvarint(), int64(in.Uvarint())
	x.page, x.last = int(in.Max(maxPage)), int(in.Max(maxPage))
	x.first = make([]uint64, in.Count(1<<30, 1))
	h := uint64(0)
	for i := range x.first {
		gap := in.Uvarint()
		if i > 0 && gap == 0 || h+gap < h {
			in.Fail("the pages of the token index are out of order")
		}
		h += gap
		x.first[i] = h
	}
	if in.Err() == nil && (x.bits < minBits || x.bits > maxBits || h>>x.bits != 0 || x.page < pageSize || x.last > x.page || x.at < 0) {
		in.Fail("token index of %d bits with pages of %d bytes", x.bits, x.page)
	}
}

// Probe clears in blocks the bit of every block that has no value with the
// token of hash h (HashToken). A bit that stays may be a false positive.
func (r *Reader) Probe(h uint64, blocks []uint64, cost *Cost) error {
	_, _, err := r.Lookup(h, blocks, cost)
	return err
}

// Lookup is Probe, and returns how many blocks have the token and of how many:
// all of the segment's, or, of version 1, those of blocks.
func (r *Reader) Lookup(h uint64, blocks []uint64, cost *Cost) (have, of int, err error) {
	if r.index.kind == indexBloom {
		have, of, err = r.lookupBloom(h, blocks, cost)
	} else {
		of = len(r.Blocks)
		have, err = r.lookupTable(h>>(64-r.index.bits), blocks, cost)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("read token index of segment %s: %w", r.ID, err)
	}
	return have, of, nil
}

// indexChunk returns chunk n of the token index.
func (r *Reader) indexChunk(n int, off int64, size int, cost *Cost) ([]byte, error) {
	key := cacheKey{r.ID, chunkIndex, int32(n), 0}
	if b, ok := r.cache.get(key).([]byte); ok {
		return b, nil
	}
	var ad [64]byte
	b, err := r.chunk(off, size, aad(ad[:0], chunkIndex, uidOf(r.ID, 0), n), cost)
	if err != nil {
		return nil, err
	}
	r.cache.put(key, b, int64(size)+itemSize)
	return b, nil
}

// place returns where page n of the table is.
func (x *tokenIndex) place(n int) (off int64, size int) {
	size = x.page
	if n == len(x.first)-1 {
		size = x.last
	}
	return x.at + int64(n)*int64(x.page), size
}

// page returns page n of the table.
func (r *Reader) page(n int, cost *Cost) (page, error) {
	off, size := r.index.place(n)
	b, err := r.indexChunk(n, off, size, cost)
	if err != nil {
		return page{}, err
	}
	return decodePage(b)
}

// readPage is page past the cache, for who reads all of them.
func (r *Reader) readPage(n int) (page, error) {
	off, size := r.index.place(n)
	b, err := r.chunk(off, size, aad(nil, chunkIndex, uidOf(r.ID, 0), n), nil)
	if err != nil {
		return page{}, err
	}
	return decodePage(b)
}

func (r *Reader) lookupTable(h uint64, blocks []uint64, cost *Cost) (int, error) {
	x := &r.index
	n, found := slices.BinarySearch(x.first, h)
	if !found {
		n--
	}
	if n < 0 {
		clear(blocks)
		return 0, nil
	}
	p, err := r.page(n, cost)
	if err != nil {
		return 0, err
	}
	i, err := p.find(x.first[n], h)
	if err != nil {
		return 0, err
	}
	if i < 0 {
		clear(blocks)
		return 0, nil
	}
	var buf [256]uint32
	ids, err := p.blocks(i, len(r.Blocks), buf[:0])
	if err != nil {
		return 0, err
	}
	at := 0
	for w := range blocks {
		word := uint64(0)
		for ; at < len(ids) && int(ids[at])>>6 == w; at++ {
			word |= 1 << (ids[at] & 63)
		}
		blocks[w] &= word
	}
	return len(ids), nil
}

// pageOf returns the sealed size of a page: one that holds any list of blocks.
func pageOf(blocks int) int {
	const least = crypt.Overhead + pageHead + 16
	return max(pageSize, (blocks/8+least+pageSize-1)/pageSize*pageSize)
}

const (
	pageSize = 4 << 10
	maxPage  = 1 << 20
	minBits  = 8
	maxBits  = 44
	// spareBits is what a hash has more than it takes to number all pairs: an
	// absent token is found, falsely, in one block of 2^spareBits segments.
	spareBits = 5
)
