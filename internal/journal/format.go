package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"github.com/meshtrail/meshtrail/internal/crypt"
)

// The layout of spec/journal.md.
const (
	fileMagic  = "MTJOURNL"
	frameMagic = "MTJF"
	version    = 1

	headerSize      = 176
	headerSealed    = 112 // bytes under the header's seal
	headerHashed    = 144 // bytes under the header's hash
	frameHeaderSize = 56
	frameHashed     = 24 // bytes of the frame header under the chain value

	flagGap = 1 << 0

	suffix    = ".wal"
	tmpSuffix = ".tmp"
)

// MaxPayload is the largest payload of one frame, in bytes.
const MaxPayload = 64 << 20

const maxSealed = MaxPayload + crypt.Overhead

// Position is a place in the chain: a frame and the chain value after it. The
// zero Position is the place before the first frame.
type Position struct {
	Seq  uint64
	Hash [32]byte
}

// String shows the seq and the first bytes of the chain value.
func (p Position) String() string { return fmt.Sprintf("%d/%x", p.Seq, p.Hash[:4]) }

type journalID [16]byte

func (id journalID) String() string { return hex.EncodeToString(id[:]) }

func fileName(first uint64) string { return fmt.Sprintf("%016x%s", first, suffix) }

// parseFileName returns the first seq that a file name states.
func parseFileName(name string) (uint64, bool) {
	hexa, ok := strings.CutSuffix(name, suffix)
	if !ok || len(hexa) != 16 || strings.ToLower(hexa) != hexa {
		return 0, false
	}
	n, err := strconv.ParseUint(hexa, 16, 64)
	return n, err == nil && n > 0
}

// header is the first 176 bytes of a file.
type header struct {
	gap        bool
	id         journalID
	first      uint64
	prev       Position // the frame before the first one
	commitment [32]byte
	fields     []byte // the bytes under the seal
	seal       []byte
}

func (h *header) encode(s *crypt.Sealer) ([]byte, error) {
	b := make([]byte, headerSize)
	copy(b, fileMagic)
	binary.LittleEndian.PutUint32(b[8:], version)
	if h.gap {
		binary.LittleEndian.PutUint32(b[12:], flagGap)
	}
	copy(b[16:], h.id[:])
	binary.LittleEndian.PutUint64(b[32:], h.first)
	binary.LittleEndian.PutUint64(b[40:], h.prev.Seq)
	copy(b[48:], h.prev.Hash[:])
	copy(b[80:], h.commitment[:])
	seal, err := s.Seal(nil, nil, b[:headerSealed])
	if err != nil {
		return nil, err
	}
	copy(b[headerSealed:], seal)
	sum := sha256.Sum256(b[:headerHashed])
	copy(b[headerHashed:], sum[:])
	return b, nil
}

// decodeHeader returns the header, or what is wrong with it.
func decodeHeader(b []byte) (header, string) {
	var h header
	if len(b) < headerSize {
		return h, fmt.Sprintf("file has %d bytes, less than its header of %d", len(b), headerSize)
	}
	b = b[:headerSize]
	if string(b[:8]) != fileMagic {
		return h, "file header has no journal magic"
	}
	if sum := sha256.Sum256(b[:headerHashed]); !bytes.Equal(sum[:], b[headerHashed:]) {
		return h, "file header does not match its hash"
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != version {
		return h, fmt.Sprintf("file has format version %d, this program reads %d", v, version)
	}
	flags := binary.LittleEndian.Uint32(b[12:])
	if flags&^flagGap != 0 {
		return h, fmt.Sprintf("file header has unknown flags %#x", flags)
	}
	h.gap = flags&flagGap != 0
	copy(h.id[:], b[16:])
	h.first = binary.LittleEndian.Uint64(b[32:])
	h.prev.Seq = binary.LittleEndian.Uint64(b[40:])
	copy(h.prev.Hash[:], b[48:])
	copy(h.commitment[:], b[80:])
	h.fields = bytes.Clone(b[:headerSealed])
	h.seal = bytes.Clone(b[headerSealed : headerSealed+crypt.Overhead])
	switch {
	case h.first <= h.prev.Seq, !h.gap && h.first != h.prev.Seq+1:
		return h, fmt.Sprintf("file header starts at seq %d after %d", h.first, h.prev.Seq)
	case h.prev.Seq == 0 && h.prev.Hash != [32]byte{}:
		return h, "file header continues seq 0 with a chain value"
	}
	return h, ""
}

// genuine reports whether the header was written by a holder of the key.
func (h *header) genuine(s *crypt.Sealer) bool {
	_, err := s.Open(nil, h.seal, h.fields)
	return err == nil
}

// frame is one frame as it was read. sealed aliases the reader's buffer.
type frame struct {
	off    int64
	seq    uint64
	group  uint64
	hash   [32]byte
	head   []byte // the hashed bytes of the frame header
	sealed []byte
}

func (f *frame) end() int64 { return f.off + frameHeaderSize + int64(len(f.sealed)) }

// frameLen returns the whole size of the frame that b starts with, or what is
// wrong with its header.
func frameLen(b []byte) (int, string) {
	if len(b) < frameHeaderSize {
		return 0, "frame header is cut"
	}
	if string(b[:4]) != frameMagic {
		return 0, "frame has no magic"
	}
	n := binary.LittleEndian.Uint32(b[4:])
	if n < crypt.Overhead || n > maxSealed {
		return 0, fmt.Sprintf("frame states a payload of %d sealed bytes", n)
	}
	return frameHeaderSize + int(n), ""
}

// decodeFrame decodes b, which is exactly as long as frameLen said. It checks
// nothing against the chain.
func decodeFrame(b []byte, off int64) frame {
	f := frame{
		off:    off,
		seq:    binary.LittleEndian.Uint64(b[8:]),
		group:  binary.LittleEndian.Uint64(b[16:]),
		head:   b[:frameHashed],
		sealed: b[frameHeaderSize:],
	}
	copy(f.hash[:], b[24:])
	return f
}

// appendFrameHeader appends a frame header whose size and chain value are still
// to be filled in by finishFrame.
func appendFrameHeader(dst []byte, seq, group uint64) []byte {
	dst = append(dst, frameMagic...)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, seq)
	dst = binary.LittleEndian.AppendUint64(dst, group)
	return append(dst, make([]byte, 32)...)
}

// chain computes chain values. It is not safe for concurrent use and allocates
// only when made.
type chain struct {
	id  journalID
	h   hash.Hash
	sum []byte
}

func newChain(id journalID) *chain {
	return &chain{id: id, h: sha256.New(), sum: make([]byte, 0, 32)}
}

// next returns the chain value of the frame with these bytes after prev.
func (c *chain) next(prev *[32]byte, head, sealed []byte) [32]byte {
	c.h.Reset()
	c.h.Write(prev[:])
	c.h.Write(c.id[:])
	c.h.Write(head)
	c.h.Write(sealed)
	c.sum = c.h.Sum(c.sum[:0])
	return [32]byte(c.sum)
}

// finishFrame fills in the size and the chain value of the frame b, which ends
// with its sealed payload, and returns the chain value.
func (c *chain) finishFrame(b []byte, prev *[32]byte) [32]byte {
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-frameHeaderSize))
	sum := c.next(prev, b[:frameHashed], b[frameHeaderSize:])
	copy(b[24:], sum[:])
	return sum
}

// appendAAD appends the additional data that binds a payload to its place.
func appendAAD(dst []byte, id *journalID, seq uint64) []byte {
	dst = append(dst, id[:]...)
	return binary.LittleEndian.AppendUint64(dst, seq)
}

// cipher seals and opens payloads in place of a journal. Not safe for
// concurrent use: the additional data is kept between calls.
type cipher struct {
	sealer *crypt.Sealer
	id     journalID
	aad    []byte
	plain  []byte
}

func newCipher(s *crypt.Sealer, id journalID) *cipher {
	return &cipher{sealer: s, id: id, aad: make([]byte, 0, 24)}
}

func (c *cipher) seal(dst, payload []byte, seq uint64) ([]byte, error) {
	c.aad = appendAAD(c.aad[:0], &c.id, seq)
	return c.sealer.Seal(dst, payload, c.aad)
}

// open returns the payload, lent until the next call.
func (c *cipher) open(seq uint64, sealed []byte) ([]byte, error) {
	c.aad = appendAAD(c.aad[:0], &c.id, seq)
	out, err := c.sealer.Open(c.plain[:0], sealed, c.aad)
	c.plain = out[:0]
	return out, err
}
