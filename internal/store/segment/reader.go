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
	ID         ID
	KeyID      string
	root       merkle.Hash
	commitment [32]byte // of the key
	file       io.ReaderAt
	sealer     *crypt.Sealer
	cache      *Cache
	end        int64 // of the chunks
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
	if h.Version < 1 || h.Version > Version {
		return nil, corrupt("version %d is not known, only 1 to %d", h.Version, Version)
	}
	in := wire.NewReader(cf.FooterChunk())
	version := in.U8()
	keyID := string(in.Raw(int(in.U8())))
	var commitment [32]byte
	copy(commitment[:], in.Raw(len(commitment)))
	if err := in.Err(); err != nil {
		return nil, corrupt("footer: %w", err)
	}
	if uint16(version) != h.Version {
		return nil, corrupt("a footer of version %d in a file of version %d", version, h.Version)
	}
	key, err := keys(keyID)
	if err != nil {
		return nil, fmt.Errorf("open segment %s: %w", ID(h.ID), err)
	}
	if Commitment(key, keyID) != commitment {
		return nil, fault.Errorf(fault.Tampered, "open segment %s: the key named %s is not the one it was sealed with", ID(h.ID), keyID)
	}
	r := &Reader{ID: h.ID, KeyID: keyID, root: cf.Root(), commitment: commitment, file: file, sealer: crypt.NewSealer(key), cache: cache, end: size}
	plain, err := r.sealer.Open(nil, in.Rest(), aad(nil, chunkDirectory, uidOf(r.ID, 0), 0))
	if err == nil {
		r.Directory, err = decodeDirectory(plain, int(version))
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

// header is a decoded header.
type header struct {
	*block.Header
}

func (r *Reader) header(b int, cost *Cost) (*header, error) {
	key := cacheKey{r.ID, chunkHeader, int32(b), 0}
	if v, ok := r.cache.get(key).(*header); ok {
		return v, nil
	}
	h, err := r.readHeader(b, cost)
	if err != nil {
		return nil, r.wrap(b, err)
	}
	h.Watch(func(bytes int64) { r.cache.grow(key, h, bytes) })
	r.cache.put(key, h, h.Size())
	return h, nil
}

// readHeader reads the header of block b.
func (r *Reader) readHeader(b int, cost *Cost) (*header, error) {
	k := &r.Blocks[b]
	plain, err := r.chunk(k.Offset, k.Header, aad(nil, chunkHeader, k.UID, 0), cost)
	if err != nil {
		return nil, err
	}
	h, err := block.DecodeNamed(plain, r.name)
	if err != nil {
		return nil, err
	}
	if h.Rows != k.Rows || h.MinTime != k.MinTime || h.MaxTime != k.MaxTime {
		return nil, corrupt("the header does not agree with the directory")
	}
	return &header{h}, nil
}

// name returns the name of a column, the directory's own if it is there: headers
// share it.
func (r *Reader) name(b []byte) string {
	cols := r.Columns
	lo, hi := 0, len(cols)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if cols[m].Name < string(b) {
			lo = m + 1
		} else {
			hi = m
		}
	}
	if lo < len(cols) && cols[lo].Name == string(b) {
		return cols[lo].Name
	}
	return string(b)
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
	case len(h.Columns):
		return h.Rest
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
	v, err := r.decode(b, column, h, cost)
	if err != nil {
		return nil, r.wrap(b, err)
	}
	r.cache.put(key, v, v.Size())
	return v, nil
}

// body returns the plain body of a column of block b.
func (r *Reader) body(b, column int, h *header, cost *Cost) ([]byte, error) {
	c := h.col(column)
	if c.Body == 0 {
		return c.Inline(), nil
	}
	at, number := r.place(b, c)
	return r.chunk(at, c.Body+crypt.Overhead, aad(nil, chunkBody, r.Blocks[b].UID, number), cost)
}

// place returns where the chunk of a column of block b is, and its number.
func (r *Reader) place(b int, c *block.Column) (at int64, number int) {
	k, p := &r.Blocks[b], c.Chunk()
	return k.Offset + int64(k.Header) + p.Before + int64(p.Number)*crypt.Overhead, p.Number
}

// decode reads a column of block b.
func (r *Reader) decode(b, column int, h *header, cost *Cost) (*block.Vector, error) {
	c := h.col(column)
	if c.IsSplit() {
		s, err := r.split(b, column, c, h, cost)
		if err != nil {
			return nil, err
		}
		v, err := s.Vector()
		if err == nil {
			cost.add(0, int(v.Size()))
		}
		return v, err
	}
	body, err := r.body(b, column, h, cost)
	if err != nil {
		return nil, err
	}
	var base *block.Vector
	if k := c.Base(); k >= 0 {
		if base, err = r.Load(b, k, cost); err != nil {
			return nil, err
		}
	}
	v, err := c.Decode(body, base)
	if err != nil {
		return nil, err
	}
	cost.add(0, int(v.Size()))
	return v, nil
}
