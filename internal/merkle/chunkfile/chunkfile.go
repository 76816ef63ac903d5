// Package chunkfile is the outer form of a segment file: opaque chunks under a
// Merkle root. Whoever has the root can tell which byte range of the file is
// not what was written, without a key and without knowing what a chunk means.
//
//	| header 64 | chunk 0 | … | chunk n-1 | footer chunk | table 36×(n+2) | trailer 64 |
//
//	header:   | "MTSEG" 5 | form u8 = 1 | version u16 | id 16 | zero 40 |
//	table:    | length u32 | leaf hash 32 |  for header, chunks, footer, in order
//	trailer:  | "MTSEG" 5 | form u8 = 1 | version u16 | id 16 | footer length u32 | chunks u32 | root 32 |
//
// Integers are little-endian. The leaves of the tree (package merkle) are those
// of the table and a last one over the first 32 bytes of the trailer, so the
// root commits to every byte but its own. Every offset follows from the file's
// size and the trailer, so there is none that could lie. See spec/chunkfile.md.
//
// The package holds no file open and retains no buffer of its caller. It knows
// nothing of durability: a file exists when its writer says so, elsewhere.
package chunkfile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/merkle"
)

// The sizes of the fixed parts, in bytes, and limits that a file MUST keep.
const (
	HeaderSize  = 64
	TrailerSize = 64
	EntrySize   = 4 + merkle.Size
	MaxChunk    = 1 << 30 // bytes in a chunk or footer
	MaxChunks   = 1 << 22

	// tailRead is what Open reads at the end of a file.
	tailRead = 64 << 10

	form       = 1
	magic      = "MTSEG"
	fieldsSize = TrailerSize - merkle.Size // the part of the trailer under the root
	minSize    = HeaderSize + 1 + 2*EntrySize + TrailerSize
)

// A Header names the file.
type Header struct {
	Version uint16   // of what the chunks mean; the owner's affair
	ID      [16]byte // of the segment
}

func (h Header) appendTo(dst []byte) []byte {
	dst = append(dst, magic...)
	dst = append(dst, form)
	dst = binary.LittleEndian.AppendUint16(dst, h.Version)
	return append(dst, h.ID[:]...)
}

func (h Header) encode() []byte {
	return h.appendTo(make([]byte, 0, HeaderSize))[:HeaderSize]
}

// trailer is the decoded end of a file.
type trailer struct {
	Header
	footer uint32 // length
	chunks uint32
	root   merkle.Hash
}

// fields returns the part of the trailer that is a leaf.
func (t trailer) fields() []byte {
	b := t.appendTo(make([]byte, 0, TrailerSize))
	b = binary.LittleEndian.AppendUint32(b, t.footer)
	return binary.LittleEndian.AppendUint32(b, t.chunks)
}

func (t trailer) encode() []byte { return append(t.fields(), t.root[:]...) }

// tableAt returns where the table starts in a file of this size; negative if
// the file is too small.
func (t trailer) tableAt(size int64) int64 {
	return size - TrailerSize - (int64(t.chunks)+2)*EntrySize
}

// footerAt returns where the footer starts.
func (t trailer) footerAt(size int64) int64 { return t.tableAt(size) - int64(t.footer) }

func decodeTrailer(b []byte, size int64) (trailer, error) {
	var t trailer
	switch {
	case string(b[:5]) != magic:
		return t, fault.Errorf(fault.Corrupt, "the file does not end with a trailer: cut short, overwritten, or not a segment")
	case b[5] != form:
		return t, fault.Errorf(fault.Corrupt, "chunk file form %d, this program reads %d", b[5], form)
	}
	t.Version = binary.LittleEndian.Uint16(b[6:])
	t.ID = [16]byte(b[8:])
	t.footer = binary.LittleEndian.Uint32(b[24:])
	t.chunks = binary.LittleEndian.Uint32(b[28:])
	t.root = merkle.Hash(b[32:])
	// Every chunk has a byte at least.
	if t.chunks > MaxChunks || t.footer == 0 || t.footer > MaxChunk || t.footerAt(size) < HeaderSize+int64(t.chunks) {
		return t, fault.Errorf(fault.Corrupt, "trailer tells of %d chunks and %d bytes of footer, more than %d bytes hold", t.chunks, t.footer, size)
	}
	return t, nil
}

// entry is a row of the table.
type entry struct {
	length uint32
	hash   merkle.Hash
}

func (e entry) appendTo(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, e.length)
	return append(dst, e.hash[:]...)
}

// A Writer writes a file from front to back. After an error it stays failed.
type Writer struct {
	w     io.Writer
	head  Header
	off   int64
	table []entry
	leaf  *merkle.Leaf
	err   error
}

// NewWriter writes the header. The caller buffers w, syncs and closes it.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	cw := &Writer{w: w, head: h, leaf: merkle.NewLeaf()}
	if _, err := cw.add(h.encode()); err != nil {
		return nil, err
	}
	return cw, nil
}

// Add writes a chunk of 1 to MaxChunk bytes and returns its offset in the file.
func (w *Writer) Add(chunk []byte) (off int64, err error) {
	if len(w.table) > MaxChunks {
		return 0, fault.Errorf(fault.TooLarge, "add chunk: more than %d chunks", MaxChunks)
	}
	return w.add(chunk)
}

func (w *Writer) add(chunk []byte) (int64, error) {
	if w.err != nil {
		return 0, w.err
	}
	if len(chunk) == 0 || len(chunk) > MaxChunk {
		return 0, fault.Errorf(fault.Invalid, "add chunk of %d bytes: 1 to %d are allowed", len(chunk), MaxChunk)
	}
	if err := w.write(chunk); err != nil {
		return 0, err
	}
	w.leaf.Reset()
	w.leaf.Write(chunk)
	w.table = append(w.table, entry{uint32(len(chunk)), w.leaf.Sum()})
	off := w.off
	w.off += int64(len(chunk))
	return off, nil
}

func (w *Writer) write(b []byte) error {
	if _, err := w.w.Write(b); err != nil {
		w.err = fmt.Errorf("write chunk file: %w", err)
	}
	return w.err
}

// Summary is what a finished file is known by.
type Summary struct {
	Root   merkle.Hash
	Size   int64 // of the whole file, bytes
	Chunks int   // without header and footer
}

// Finish writes footer (1 to MaxChunk bytes), table and trailer. The Writer is
// of no further use.
func (w *Writer) Finish(footer []byte) (Summary, error) {
	chunks := len(w.table) - 1
	if _, err := w.add(footer); err != nil {
		return Summary{}, err
	}
	t := trailer{Header: w.head, footer: uint32(len(footer)), chunks: uint32(chunks)}
	leaves := make([]merkle.Hash, 0, len(w.table)+1)
	end := make([]byte, 0, len(w.table)*EntrySize+TrailerSize)
	for _, e := range w.table {
		leaves = append(leaves, e.hash)
		end = e.appendTo(end)
	}
	t.root = merkle.Root(append(leaves, merkle.LeafHash(t.fields())))
	end = append(end, t.encode()...)
	if err := w.write(end); err != nil {
		return Summary{}, err
	}
	w.err = fault.Errorf(fault.Internal, "chunk file is finished")
	return Summary{Root: t.root, Size: w.off + int64(len(end)), Chunks: chunks}, nil
}

// A Reader is the description of an open file. It is immutable.
type Reader struct {
	t      trailer
	footer []byte
}

// Open reads the end of a file of size bytes: one read of at most 64 KiB, and a
// second one if the footer is not within. It checks the form, not the
// integrity: the caller compares Root with the one it was promised, and the
// footer with its own seal. Damage is fault.Corrupt.
func Open(r io.ReaderAt, size int64) (*Reader, error) {
	if size < minSize {
		return nil, fault.Errorf(fault.Corrupt, "open chunk file: %d bytes, less than the smallest of %d", size, minSize)
	}
	buf := tails.Get().(*[tailRead]byte)
	defer tails.Put(buf)
	tail := buf[:min(size, tailRead)]
	start := size - int64(len(tail))
	if err := readFull(r, tail, start); err != nil {
		return nil, fmt.Errorf("open chunk file: %w", err)
	}
	t, err := decodeTrailer(tail[len(tail)-TrailerSize:], size)
	if err != nil {
		return nil, fmt.Errorf("open chunk file: %w", err)
	}
	if at := t.footerAt(size); at >= start {
		return &Reader{t: t, footer: bytes.Clone(tail[at-start:][:t.footer])}, nil
	}
	footer := make([]byte, t.footer)
	if err := readFull(r, footer, t.footerAt(size)); err != nil {
		return nil, fmt.Errorf("open chunk file: %w", err)
	}
	return &Reader{t: t, footer: footer}, nil
}

// tails are buffers for the end of a file: a request may open hundreds.
var tails = sync.Pool{New: func() any { return new([tailRead]byte) }}

// readFull reads exactly len(p) bytes. A file that ends early is fault.Corrupt;
// any other error is the reader's own.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case err == io.EOF || err == nil:
		return fault.Errorf(fault.Corrupt, "the file ends at %d, within a read of %d bytes at %d", off+int64(n), len(p), off)
	}
	return err
}

// Header returns the header, as the trailer repeats it.
func (r *Reader) Header() Header { return r.t.Header }

// FooterChunk returns the footer. It belongs to the Reader and MUST NOT be
// changed.
func (r *Reader) FooterChunk() []byte { return r.footer }

// Root returns the root that the file claims.
func (r *Reader) Root() merkle.Hash { return r.t.root }

// Chunks returns the number of chunks, without header and footer.
func (r *Reader) Chunks() int { return int(r.t.chunks) }
