package segment

import (
	"fmt"
	"io"
	"sync/atomic"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/merkle"
	"github.com/meshtrail/meshtrail/internal/merkle/chunkfile"
	"github.com/meshtrail/meshtrail/internal/store/block"
	"github.com/meshtrail/meshtrail/internal/wire"
)

// A Cost counts what reading took. Its fields grow only; nil counts nothing.
type Cost struct {
	Read    atomic.Int64 // sealed bytes read from the file
	Decoded atomic.Int64 // bytes after opening and decoding
}

func (c *Cost) add(read, decoded int) {
	if c != nil {
		c.Read.Add(int64(read))
		c.Decoded.Add(int64(decoded))
	}
}

// A Reader reads one segment. It is safe for concurrent use.
type Reader struct {
	*Directory
	ID     ID
	KeyID  string
	root   merkle.Hash
	file   io.ReaderAt
	sealer *crypt.Sealer
	cache  *Cache
	end    int64 // of the chunks
}

// Open reads footer and directory of the segment in file. It asks keys for the
// key that the footer names and refuses one that the footer does not commit to.
// The Reader uses file until the last call; the caller closes it.
func Open(file io.ReaderAt, size int64, keys func(id string) (*crypt.Key, error), cache *Cache) (*Reader, error) {
	cf, err := chunkfile.Open(file, size)
	if err != nil {
		return nil, err
	}
	h := cf.Header()
	if h.Version != Version {
		return nil, corrupt("version %d is not known, only %d", h.Version, Version)
	}
	in := wire.NewReader(cf.FooterChunk())
	version := in.U8()
	keyID := string(in.Raw(int(in.U8())))
	var commitment [32]byte
	copy(commitment[:], in.Raw(len(commitment)))
	if err := in.Err(); err != nil {
		return nil, corrupt("footer: %w", err)
	}
	if version != Version {
		return nil, corrupt("footer of version %d is not known, only %d", version, Version)
	}
	key, err := keys(keyID)
	if err != nil {
		return nil, fmt.Errorf("open segment %s: %w", ID(h.ID), err)
	}
	if Commitment(key, keyID) != commitment {
		return nil, fault.Errorf(fault.Tampered, "open segment %s: the key named %s is not the one it was sealed with", ID(h.ID), keyID)
	}
	r := &Reader{ID: h.ID, KeyID: keyID, root: cf.Root(), file: file, sealer: crypt.NewSealer(key), cache: cache, end: size}
	plain, err := r.sealer.Open(nil, in.Rest(), aad(nil, chunkDirectory, uidOf(r.ID, 0), 0))
	if err == nil {
		r.Directory, err = decodeDirectory(plain)
	}
	if err != nil {
		return nil, fmt.Errorf("open directory of segment %s: %w", r.ID, err)
	}
	return r, nil
}

// Root returns the Merkle root that the file claims; the ledger has the one it
// must be.
func (r *Reader) Root() merkle.Hash { return r.root }

// chunk reads and opens one sealed chunk.
func (r *Reader) chunk(off int64, size int, ad []byte, cost *Cost) ([]byte, error) {
	if off < 0 || size < crypt.Overhead || off > r.end-int64(size) {
		return nil, corrupt("a chunk of %d bytes at %d lies outside of the file", size, off)
	}
	sealed := make([]byte, size)
	if n, err := r.file.ReadAt(sealed, off); n < size {
		if err == nil || err == io.EOF {
			err = fault.Errorf(fault.Corrupt, "the file ends within it")
		}
		return nil, fmt.Errorf("read chunk at %d: %w", off, err)
	}
	plain, err := r.sealer.Open(sealed[12:12], sealed, ad)
	if err != nil {
		return nil, fmt.Errorf("open chunk at %d: %w", off, err)
	}
	cost.add(size, len(plain))
	return plain, nil
}

// header is a decoded header with the place of each body.
type header struct {
	*block.Header
	at []int64 // of the body's chunk by column, times and origins first
	no []int   // number of the body's chunk
}

func (r *Reader) header(b int, cost *Cost) (*header, error) {
	key := cacheKey{r.ID, chunkHeader, int32(b), 0}
	if v, ok := r.cache.get(key).(*header); ok {
		return v, nil
	}
	k := &r.Blocks[b]
	plain, err := r.chunk(k.Offset, k.Header, aad(nil, chunkHeader, k.UID, 0), cost)
	if err != nil {
		return nil, r.wrap(b, err)
	}
	bh, err := block.DecodeHeader(plain)
	if err != nil {
		return nil, r.wrap(b, err)
	}
	if bh.Rows != k.Rows || bh.MinTime != k.MinTime || bh.MaxTime != k.MaxTime {
		return nil, r.wrap(b, corrupt("the header does not agree with the directory"))
	}
	h := &header{Header: bh, at: make([]int64, len(bh.Columns)+2), no: make([]int, len(bh.Columns)+2)}
	at, no := k.Offset+int64(k.Header), 0
	for i := range h.at {
		c := h.col(i - 2)
		h.at[i], h.no[i] = at, no
		if c.Body > 0 {
			at += int64(c.Body) + crypt.Overhead
			no++
		}
	}
	r.cache.put(key, h, int64(2*len(plain)+240*len(h.at)))
	return h, nil
}

// Numbers of the two columns that are no fields.
const (
	TimeColumn   = -2
	OriginColumn = -1
)

func (h *header) col(i int) *block.Column {
	switch i {
	case TimeColumn:
		return h.Time
	case OriginColumn:
		return h.Origin
	}
	return &h.Columns[i]
}

func (r *Reader) wrap(b int, err error) error {
	return fmt.Errorf("read block %d of segment %s: %w", b, r.ID, err)
}

// Header returns the header of block b.
func (r *Reader) Header(b int, cost *Cost) (*block.Header, error) {
	h, err := r.header(b, cost)
	if err != nil {
		return nil, err
	}
	return h.Header, nil
}

// Load returns a column of block b: one of its header's Columns by index,
// TimeColumn or OriginColumn.
func (r *Reader) Load(b, column int, cost *Cost) (*block.Vector, error) {
	key := cacheKey{r.ID, chunkBody, int32(b), int32(column)}
	if v, ok := r.cache.get(key).(*block.Vector); ok {
		return v, nil
	}
	h, err := r.header(b, cost)
	if err != nil {
		return nil, err
	}
	c := h.col(column)
	body := c.Inline()
	if c.Body > 0 {
		ad := aad(nil, chunkBody, r.Blocks[b].UID, h.no[column+2])
		body, err = r.chunk(h.at[column+2], c.Body+crypt.Overhead, ad, cost)
		if err != nil {
			return nil, r.wrap(b, err)
		}
	}
	v, err := c.Decode(body)
	if err != nil {
		return nil, r.wrap(b, err)
	}
	cost.add(0, int(v.Size()))
	r.cache.put(key, v, v.Size())
	return v, nil
}

// Probe clears in blocks the bit of every block that has no value with the
// token of hash h (HashToken). A bit that stays may be a false positive.
func (r *Reader) Probe(h uint64, blocks []uint64, cost *Cost) error {
	row := len(r.Blocks) * partSize
	part := partOf(h, r.parts)
	n := part / r.indexRows
	key := cacheKey{r.ID, chunkIndex, int32(n), 0}
	rows, ok := r.cache.get(key).([]byte)
	if !ok {
		full := r.indexRows * row
		size := min(full, r.parts*row-n*full)
		off := r.indexAt + int64(n)*int64(full+crypt.Overhead)
		var err error
		rows, err = r.chunk(off, size+crypt.Overhead, aad(nil, chunkIndex, uidOf(r.ID, 0), n), cost)
		if err != nil {
			return fmt.Errorf("read token index of segment %s: %w", r.ID, err)
		}
		r.cache.put(key, rows, int64(cap(rows)))
	}
	rows = rows[(part-n*r.indexRows)*row:]
	p := newProbe(h)
	for w, set := range blocks {
		for b := w * 64; set != 0; b, set = b+1, set>>1 {
			if set&1 != 0 && !p.in(rows[b*partSize:]) {
				blocks[w] &^= 1 << (b % 64)
			}
		}
	}
	return nil
}
