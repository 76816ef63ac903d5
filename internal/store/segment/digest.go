package segment

import (
	"encoding/binary"

	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

// A Digest says, for one column of a segment's directory, which values its
// blocks hold and how often each: what a count needs to know of a block without
// reading it. It is small, made once of the blocks' headers, and kept in the
// cache. It never changes.
type Digest struct {
	// Entries has every value of the blocks that are known once.
	Entries *block.Vector

	starts []uint32 // by block: its first pair; one more at the end
	pairs  []Pair
	known  []uint64 // bit b: the pairs of block b are all its values
}

// A Pair says that a block has N values that are Entry.
type Pair struct{ Entry, N uint32 }

// Block returns the values of block b, each entry once, and whether they are
// known. A block without the column has none.
func (d *Digest) Block(b int) ([]Pair, bool) {
	if d.known[b/64]>>(b%64)&1 == 0 {
		return nil, false
	}
	return d.pairs[d.starts[b]:d.starts[b+1]], true
}

// maxDigest is the largest dictionary of a block that a digest takes up.
const maxDigest = 1024

// Digest returns the digest of column c of the directory.
func (r *Reader) Digest(c int, cost *Cost) (*Digest, error) {
	key := cacheKey{r.ID, chunkDigest, 0, int32(c)}
	if d, ok := r.cache.get(key).(*Digest); ok {
		return d, nil
	}
	m := digester{r: r, cost: cost, col: &r.Columns[c], index: make(map[string]uint32)}
	d, err := m.digest()
	if err != nil {
		return nil, err
	}
	r.cache.put(key, d, d.size())
	return d, nil
}

// HasDigest reports whether the digest of column c is at hand.
func (r *Reader) HasDigest(c int) bool {
	return r.cache.get(cacheKey{r.ID, chunkDigest, 0, int32(c)}) != nil
}

func (d *Digest) size() int64 {
	return d.Entries.Size() + int64(4*cap(d.starts)+8*cap(d.pairs)+8*cap(d.known)) + 120
}

// chunkDigest stands in the keys of the cache beside the kinds of chunks.
const chunkDigest = 255

type digester struct {
	r     *Reader
	cost  *Cost
	col   *Column
	d     *Digest
	index map[string]uint32 // value → entry
}

func (m *digester) digest() (*Digest, error) {
	n := len(m.r.Blocks)
	m.d = &Digest{
		Entries: &block.Vector{Kind: m.col.Kind}, starts: make([]uint32, n+1), known: make([]uint64, (n+63)/64),
	}
	for b := range n {
		ok := true
		if m.col.In(b) {
			var err error
			if ok, err = m.block(b); err != nil {
				return nil, err
			}
		}
		if ok {
			m.d.known[b/64] |= 1 << (b % 64)
		}
		m.d.starts[b+1] = uint32(len(m.d.pairs))
	}
	e := m.d.Entries
	e.N = e.Entries()
	return m.d, nil
}

// block adds the values of a block, if it is known how often it has each.
func (m *digester) block(b int) (bool, error) {
	h, err := m.r.header(b, m.cost)
	if err != nil {
		return false, err
	}
	for i := range h.Columns {
		c := &h.Columns[i]
		if c.Name != m.col.Name || c.Kind != m.col.Kind {
			continue
		}
		head := c.Head()
		if head == nil || head.Entries() > maxDigest {
			return false, nil
		}
		counts, err := m.counts(b, i, c)
		if err != nil || counts == nil {
			return false, err
		}
		for e := range head.Entries() {
			m.d.pairs = append(m.d.pairs, Pair{m.entry(head, e), counts[e]})
		}
		return true, nil
	}
	return false, nil // the directory is wrong about it: whoever reads the block finds out
}

// counts returns how many values of a column are each of its entries. The header
// tells; one of version 1 does not.
func (m *digester) counts(b, column int, c *block.Column) ([]uint32, error) {
	if n := c.Counts(); n != nil {
		return n, nil
	}
	if c.Form() == block.Const {
		return []uint32{uint32(c.Values)}, nil
	}
	v, err := m.r.Load(b, column, m.cost)
	if err != nil {
		return nil, err
	}
	counts := make([]uint32, v.Entries())
	for _, code := range v.Codes {
		counts[code]++
	}
	return counts, nil
}

// entry returns the place of a value among the digest's entries.
func (m *digester) entry(v *block.Vector, e int) uint32 {
	var buf [8]byte
	key := buf[:]
	if v.Kind == record.String {
		key = v.Bytes(e)
	} else {
		binary.LittleEndian.PutUint64(key, v.Nums[e])
	}
	at, ok := m.index[string(key)]
	if ok {
		return at
	}
	d := m.d.Entries
	at = uint32(d.Entries())
	m.index[string(key)] = at
	if v.Kind == record.String {
		d.Data = append(d.Data, key...)
		d.Ends = append(d.Ends, uint32(len(d.Data)))
	} else {
		d.Nums = append(d.Nums, v.Nums[e])
	}
	return at
}
