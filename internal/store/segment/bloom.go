package segment

import (
	"encoding/binary"
)

// The token index, kind 1: a split-block Bloom filter per block (Putze, Sanders,
// Singler, "Cache-, Hash- and Space-Efficient Bloom Filters", 2007; here eight
// 64-bit words a part) with one number of parts for all blocks of the segment,
// stored part-major: row p holds part p of every block. To probe a token is to
// read one row of 64 bytes a block.
//
//	| row 0: part 0 of block 0 … part 0 of block n-1 | row 1 | … |
const (
	indexBloom   = 1
	partSize     = 64 // bytes of one part
	bitsPerToken = 12 // 0.4 % false positives
	indexChunk   = 64 << 10
)

var salts = [8]uint32{0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31}

func partOf(h uint64, parts int) int { return int((h >> 32) * uint64(parts) >> 32) }

// parts returns how many parts each block of a segment gets. A block with far
// more tokens than the others gets a worse filter rather than all a larger one.
func parts(lists [][]uint64) int {
	total, most := 0, 0
	for _, l := range lists {
		total += len(l)
		most = max(most, len(l))
	}
	tokens := min(most, 2*total/max(len(lists), 1))
	return max(1, (tokens*bitsPerToken+partSize*8-1)/(partSize*8))
}

// buildIndex returns the rows of the index over blocks with these tokens.
func buildIndex(lists [][]uint64) (rows []byte, n int) {
	n = parts(lists)
	rows = make([]byte, n*len(lists)*partSize)
	for b, list := range lists {
		for _, h := range list {
			part := rows[(partOf(h, n)*len(lists)+b)*partSize:]
			for w, s := range salts {
				part[w*8+int(uint32(h)*s>>29)] |= 1 << (uint32(h) * s >> 26 & 7)
			}
		}
	}
	return rows, n
}

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
