package segment

// A pair is the upper bits of a token's hash, and a block that holds it.
//
//	| hash: 44 bits | block: 20 bits |
type pair = uint64

const blockBits = 20

func pairOf(h uint64, block int) pair { return h>>blockBits<<blockBits | uint64(block) }

// sortPairs sorts pairs by the upper n bits of their hashes; those of one hash
// stay as they are. It returns the sorted ones, which are
// either of the two slices; scratch is as long as pairs.
//
// A radix sort, least significant digit first: digits of nine
// bits at most keep the write positions in the nearest cache. A comparison sort
// takes several times as long.
func sortPairs(pairs, scratch []pair, n uint) []pair {
	const most = 9
	passes := (n + most - 1) / most
	digit := (n + passes - 1) / passes
	for at := 64 - n; at < 64; at += digit {
		var starts [1 << most]uint32
		mask := pair(1)<<digit - 1
		for _, p := range pairs {
			starts[p>>at&mask&(1<<most-1)]++
		}
		sum := uint32(0)
		for i, c := range &starts {
			starts[i], sum = sum, sum+c
		}
		for _, p := range pairs {
			d := &starts[p>>at&mask&(1<<most-1)]
			scratch[*d] = p
			*d++
		}
		pairs, scratch = scratch, pairs
	}
	return pairs
}
