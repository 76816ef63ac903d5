package segment

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/meshtrail/meshtrail/internal/crypt"
)

// The token index, kind 2: one table for the segment of every token's hash, cut
// to a few bits more than it takes to tell its tokens apart, in ascending order,
// and of the blocks that hold it, in pages (tokenpage.go). A table is written
// from sorted entries and read back as such, so that two are merged without a
// look at any record, whatever number of bits each has: to cut hashes further
// keeps their order, and makes two tokens one at worst, which is then in the
// blocks of both.

// entries yields the entries of a table by ascending hash.
type entries interface {
	// next returns a hash and the blocks, ascending, lent until the next call. A
	// hash may come again. It is not ok at the end.
	next() (h uint64, ids []uint32, ok bool, err error)
}

// sortedPairs are entries of pairs.
type sortedPairs struct {
	pairs []pair
	cut   uint // bits that are no part of the hash
	ids   []uint32
}

func (s *sortedPairs) next() (uint64, []uint32, bool, error) {
	if len(s.pairs) == 0 {
		return 0, nil, false, nil
	}
	h := s.pairs[0] >> s.cut
	s.ids = append(s.ids[:0], uint32(s.pairs[0]&(1<<blockBits-1)))
	n, sorted := 1, true
	for ; n < len(s.pairs) && s.pairs[n]>>s.cut == h; n++ {
		id := uint32(s.pairs[n] & (1<<blockBits - 1))
		if last := s.ids[len(s.ids)-1]; last != id {
			sorted = sorted && last < id
			s.ids = append(s.ids, id)
		}
	}
	if !sorted {
		slices.Sort(s.ids)
		s.ids = slices.Compact(s.ids)
	}
	s.pairs = s.pairs[n:]
	return h, s.ids, true, nil
}

// tableCursor is the entries of a table that was written before.
type tableCursor struct {
	page   func(n int) (page, error)
	first  []uint64
	blocks int
	cut    uint    // bits that its hashes have too many
	place  []int32 // by block: its new number, negative when it is gone

	n     int // of the next page
	left  int // entries of the page
	h     uint64
	rice  uint
	gaps  bitReader
	lists listReader
	ids   []uint32
}

func (c *tableCursor) next() (uint64, []uint32, bool, error) {
	for {
		if c.left == 0 {
			if c.n == len(c.first) {
				return 0, nil, false, nil
			}
			p, err := c.page(c.n)
			if err != nil {
				return 0, nil, false, err
			}
			c.h, c.left, c.rice = c.first[c.n], p.n, p.rice
			c.gaps, c.lists = bitReader{b: p.gaps}, listReader{bits: bitReader{b: p.lists}, blocks: c.blocks}
			c.n++
		} else {
			c.h += c.gaps.rice(c.rice) + 1
		}
		c.left--
		if c.ids = c.lists.next(c.ids[:0]); c.gaps.bad || c.lists.bits.bad {
			return 0, nil, false, corrupt("page %d of the token index ends within its entries", c.n-1)
		}
		if c.place != nil {
			c.remap()
		}
		if len(c.ids) > 0 {
			return c.h >> c.cut, c.ids, true, nil
		}
	}
}

// remap gives the blocks their new numbers.
func (c *tableCursor) remap() {
	kept, sorted := c.ids[:0], true
	for _, id := range c.ids {
		if to := c.place[id]; to >= 0 {
			sorted = sorted && (len(kept) == 0 || kept[len(kept)-1] < uint32(to))
			kept = append(kept, uint32(to))
		}
	}
	if !sorted {
		slices.Sort(kept)
	}
	c.ids = kept
}

// A tableWriter writes a table from entries.
type tableWriter struct {
	index  tokenIndex // of which at and last are the sink's
	blocks int
	sink   func(page []byte, last bool) error

	page  pageWriter
	guess uint64 // of the entries, before there are any
}

// newTable starts a table over this many blocks, of hashes of n bits. Guess is
// about how many there will be.
func newTable(blocks int, n uint, guess uint64, sink func([]byte, bool) error) *tableWriter {
	t := &tableWriter{blocks: blocks, sink: sink, guess: guess}
	t.index = tokenIndex{kind: indexTable, bits: n, page: pageOf(blocks)}
	t.page = pageWriter{size: t.index.page - crypt.Overhead, blocks: blocks}
	t.page.begin(t.rice())
	return t
}

// rice returns the Rice parameter that fits the gaps: the bits of their mean.
func (t *tableWriter) rice() uint {
	mean := uint64(1) << t.index.bits / max(t.guess, 1)
	if t.index.tokens > 1<<10 {
		mean = t.page.last / t.index.tokens
	}
	return uint(bits.Len64(max(mean, 1))) - 1
}

func (t *tableWriter) add(h uint64, ids []uint32) error {
	if !t.page.add(h, ids) {
		if err := t.flush(false); err != nil {
			return err
		}
		t.page.begin(t.rice())
		t.page.add(h, ids)
	}
	t.index.tokens++
	t.index.pairs += uint64(len(ids))
	return nil
}

func (t *tableWriter) flush(last bool) error {
	t.index.first = append(t.index.first, t.page.first)
	return t.sink(t.page.finish(last), last)
}

// finish writes the last page. A table without entries has none.
func (t *tableWriter) finish() error {
	if t.page.n == 0 {
		return nil
	}
	return t.flush(true)
}

// A head is the entry that a source is at.
type head struct {
	h   uint64
	ids []uint32
	src entries
}

// merge writes the entries of all sources.
func (t *tableWriter) merge(sources []entries) error {
	if len(sources) == 1 {
		if s, ok := sources[0].(*sortedPairs); ok { // whose hashes come once
			return t.addAll(s)
		}
	}
	m := merger{}
	for _, src := range sources {
		if err := m.push(src); err != nil {
			return err
		}
	}
	var ids []uint32
	for len(m.heads) > 0 {
		top := &m.heads[0]
		h := top.h
		ids = append(ids[:0], top.ids...)
		parts := 1
		for {
			if err := m.advance(); err != nil {
				return err
			}
			if len(m.heads) == 0 || m.heads[0].h != h {
				break
			}
			ids = append(ids, m.heads[0].ids...)
			parts++
		}
		if parts > 1 {
			slices.Sort(ids)
			ids = slices.Compact(ids)
		}
		if err := t.add(h, ids); err != nil {
			return err
		}
	}
	return t.finish()
}

// addAll writes the entries of a source whose hashes come once each.
func (t *tableWriter) addAll(s *sortedPairs) error {
	for {
		h, ids, ok, err := s.next()
		if err != nil {
			return err
		}
		if !ok {
			return t.finish()
		}
		if err := t.add(h, ids); err != nil {
			return err
		}
	}
}

// merger is a heap of sources by the hash they are at.
type merger struct{ heads []head }

func (m *merger) push(src entries) error {
	h, ids, ok, err := src.next()
	if err != nil || !ok {
		return err
	}
	m.heads = append(m.heads, head{h, ids, src})
	for i := len(m.heads) - 1; i > 0; {
		up := (i - 1) / 2
		if m.heads[up].h <= m.heads[i].h {
			break
		}
		m.heads[up], m.heads[i] = m.heads[i], m.heads[up]
		i = up
	}
	return nil
}

// advance moves the least source on by an entry.
func (m *merger) advance() error {
	top := &m.heads[0]
	h, ids, ok, err := top.src.next()
	switch {
	case err != nil:
		return err
	case ok && h < top.h:
		return fmt.Errorf("merge token tables: %w", corrupt("the hashes are out of order"))
	case ok:
		top.h, top.ids = h, ids
	default:
		end := len(m.heads) - 1
		m.heads[0] = m.heads[end]
		m.heads = m.heads[:end]
	}
	for i := 0; ; {
		least := 2*i + 1
		if least >= len(m.heads) {
			return nil
		}
		if r := least + 1; r < len(m.heads) && m.heads[r].h < m.heads[least].h {
			least = r
		}
		if m.heads[i].h <= m.heads[least].h {
			return nil
		}
		m.heads[i], m.heads[least] = m.heads[least], m.heads[i]
		i = least
	}
}
