package segment

import (
	"bytes"
	"math/bits"
)

// maxPairs is how many pairs a pairSet holds as they are, or little more: 24
// bytes each, with what it takes to sort them. Beyond, it makes a table of them,
// in memory, which takes about an eighth of that.
const maxPairs = 2 << 20

// runBits is how much of a hash such a table keeps: more than any that is made
// of it, for a segment of less than 2^33 pairs.
const runBits = 40

// A pairSet gathers the tokens of a segment's blocks.
type pairSet struct {
	lists  []tokenList
	held   int // pairs of lists
	runs   []*tokenRun
	blocks int    // one more than the greatest
	total  uint64 // pairs of all blocks
}

// A tokenList is the tokens of one block.
type tokenList struct {
	tokens []uint64
	block  int
}

// add adds the tokens of a block, each once, and keeps the slice.
func (s *pairSet) add(tokens []uint64, block int) error {
	s.lists = append(s.lists, tokenList{tokens, block})
	s.held += len(tokens)
	s.total += uint64(len(tokens))
	s.blocks = max(s.blocks, block+1)
	if s.held < maxPairs {
		return nil
	}
	return s.spill()
}

// sorted takes the pairs by the upper n bits of their hashes.
func (s *pairSet) sorted(n uint) *sortedPairs {
	pairs := make([]pair, 0, s.held)
	for i := range s.lists {
		l := &s.lists[i]
		for _, h := range l.tokens {
			pairs = append(pairs, pairOf(h, l.block))
		}
		l.tokens = nil
	}
	s.lists, s.held = s.lists[:0], 0
	return &sortedPairs{pairs: sortPairs(pairs, make([]pair, len(pairs)), n), cut: 64 - n}
}

// A tokenRun is a table in memory.
type tokenRun struct {
	first  []uint64
	pages  [][]byte
	blocks int
}

func (s *pairSet) spill() error {
	run := &tokenRun{blocks: s.blocks}
	t := newTable(run.blocks, runBits, uint64(s.held), func(page []byte, _ bool) error {
		run.pages = append(run.pages, bytes.Clone(page))
		return nil
	})
	if err := t.merge([]entries{s.sorted(runBits)}); err != nil {
		return err
	}
	run.first = t.index.first
	s.runs = append(s.runs, run)
	return nil
}

// sources returns the entries of the set with hashes of n bits.
func (s *pairSet) sources(n uint) []entries {
	var out []entries
	for _, run := range s.runs {
		out = append(out, &tableCursor{
			page:  func(i int) (page, error) { return decodePage(run.pages[i]) },
			first: run.first, blocks: run.blocks, cut: runBits - n,
		})
	}
	if s.held > 0 {
		out = append(out, s.sorted(n))
	}
	return out
}

// bitsFor returns how many bits a hash gets in a table of this many pairs.
func bitsFor(pairs uint64) uint {
	return min(runBits, max(minBits, uint(bits.Len64(pairs))+spareBits))
}
