package segment

import (
	"encoding/binary"
	"math/bits"

	"github.com/meshtrail/meshtrail/internal/crypt"
)

// The token index, kind 1, of files of version 1: a split-block Bloom filter per
// block (Putze, Sanders, Singler, "Cache-, Hash- and Space-Efficient Bloom
// Filters", 2007; here eight 64-bit words a part) with one number of parts for
// all blocks of the segment, stored part-major: row p holds part p of every
// block. To probe a token is to read one row of 64 bytes a block. It is read
// only: a Bloom filter can not be merged with one of another size.
//
//	| row 0: part 0 of block 0 … part 0 of block n-1 | row 1 | … |
const partSize = 64 // bytes of one part

var salts = [8]uint32{0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31}

func partOf(h uint64, parts int) int { return int((h >> 32) * uint64(parts) >> 32) }

// A probe is the eight words that a token's part must have.
type probe [8]uint64

func newProbe(h uint64) (p probe) {
	for w, s := range salts {
		bit := uint32(h) * s >> 26
		p[w] = 1 << bit
	}
	return p
}

func (p *probe) in(part []byte) bool {
	_ = part[partSize-1]
	for w, m := range p {
		if binary.LittleEndian.Uint64(part[w*8:])&m == 0 {
			return false
		}
	}
	return true
}

func (r *Reader) lookupBloom(h uint64, blocks []uint64, cost *Cost) (have, of int, err error) {
	x := &r.index
	row := len(r.Blocks) * partSize
	part := partOf(h, x.parts)
	n := part / x.rows
	full := x.rows * row
	size := min(full, x.parts*row-n*full)
	rows, err := r.indexChunk(n, x.at+int64(n)*int64(full+crypt.Overhead), size+crypt.Overhead, cost)
	if err != nil {
		return 0, 0, err
	}
	rows = rows[(part-n*x.rows)*row:]
	p := newProbe(h)
	for w, set := range blocks {
		of += bits.OnesCount64(set)
		for ; set != 0; set &= set - 1 {
			if b := w*64 + bits.TrailingZeros64(set); !p.in(rows[b*partSize:]) {
				blocks[w] &^= 1 << (b % 64)
			}
		}
		have += bits.OnesCount64(blocks[w])
	}
	return have, of, nil
}
