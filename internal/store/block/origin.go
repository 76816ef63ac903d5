package block

import (
	"encoding/binary"
	"slices"
)

// OrdShift is how far a record's Ord is shifted by its journal sequence number;
// the low bits are its index in the batch.
const OrdShift = 20

// appendOrigin writes commit order and ingest times. The ingest time belongs to
// the batch, so it is written once for each sequence number:
//
//	| sequences uvarint | ints of sequences | ints of ingest times | ints of codes | ints of indexes |
func appendOrigin(dst []byte, ords []uint64, ingests []int64) []byte {
	seqs := make([]uint64, len(ords))
	var distinct []uint64
	for i, o := range ords {
		seqs[i] = o >> OrdShift
		if i == 0 || seqs[i] != seqs[i-1] { // the records of a batch stand together, mostly
			distinct = append(distinct, seqs[i])
		}
	}
	slices.Sort(distinct)
	distinct = slices.Compact(distinct)
	times := make([]uint64, len(distinct))
	codes, indexes := make([]uint64, len(ords)), make([]uint64, len(ords))
	last, code := uint64(0), 0
	for i, s := range seqs {
		if i == 0 || s != last {
			code, _ = slices.BinarySearch(distinct, s)
			last = s
		}
		times[code] = uint64(ingests[i])
		codes[i] = uint64(code)
		indexes[i] = ords[i] & (1<<OrdShift - 1)
	}
	dst = binary.AppendUvarint(dst, uint64(len(distinct)))
	dst = appendInts(dst, distinct)
	dst = appendInts(dst, times)
	dst = appendInts(dst, codes)
	return appendInts(dst, indexes)
}

// origin reads orders into v.Nums and, after them, ingest times.
func (c *cursor) origin(v *Vector, rows int) {
	n := c.count(rows, "sequence numbers of a block")
	seqs, times := c.ints(n), c.ints(n)
	codes, indexes := c.ints(rows), c.ints(rows)
	if c.err != nil {
		return
	}
	out := make([]uint64, 2*rows)
	for i, code := range codes {
		if code >= uint64(n) || indexes[i] >= 1<<OrdShift {
			c.fail("code %d or index %d of an origin", code, indexes[i])
			return
		}
		out[i] = seqs[code]<<OrdShift | indexes[i]
		out[rows+i] = times[code]
	}
	v.Nums = out
}

// Origins splits what a column of OriginKind decoded to.
func Origins(v *Vector) (ords, ingests []uint64) {
	n := len(v.Nums) / 2
	return v.Nums[:n], v.Nums[n:]
}
