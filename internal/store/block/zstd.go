package block

import (
	"encoding/binary"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// Encoders and decoders are costly to make and are reused. They are
// single-threaded: blocks are the unit of parallel work. No checksum is asked
// for, because every chunk is sealed with AES-GCM.
var (
	encoders = sync.Pool{New: func() any {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true), zstd.WithSingleSegment(true))
		if err != nil {
			panic("block: zstd encoder with fixed options: " + err.Error())
		}
		return e
	}}
	decoders = sync.Pool{New: func() any {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxBody),
			zstd.WithDecoderLowmem(true))
		if err != nil {
			panic("block: zstd decoder with fixed options: " + err.Error())
		}
		return d
	}}
)

// Forms of a blob.
const (
	blobRaw  = 0
	blobZstd = 1
)

// minCompress is the size below which compression can not win.
const minCompress = 48

// appendBlob appends data, compressed when that saves a sixteenth of it.
//
//	| form u8 | size uvarint | stored uvarint, when compressed | bytes |
func appendBlob(dst, data []byte) []byte {
	if len(data) >= minCompress && !noise(data) {
		start := len(dst)
		dst = appendZstd(dst, data)
		if len(dst)-start < len(data)-len(data)/16 {
			return dst
		}
		dst = dst[:start]
	}
	dst = append(dst, blobRaw)
	return appendBytes(dst, data)
}

// noise reports whether data looks like what compression does nothing to, judged
// by a part of it: identifiers and numbers drawn at random.
func noise(data []byte) bool {
	const part = 4 << 10
	if len(data) < 4*part {
		return false
	}
	middle := data[len(data)/2:][:part]
	var with [256]uint16
	for _, b := range middle {
		with[b]++
	}
	squares := 0 // 16 for each value when all are as frequent
	for _, n := range with {
		squares += int(n) * int(n)
	}
	if squares > 2*part*part/256 {
		return false
	}
	buf := noisePool.Get().(*[]byte)
	defer noisePool.Put(buf)
	*buf = appendZstd((*buf)[:0], middle)
	return len(*buf) > part-part/32
}

var noisePool = sync.Pool{New: func() any { return new([]byte) }}

func appendZstd(dst, data []byte) []byte {
	e := encoders.Get().(*zstd.Encoder)
	defer encoders.Put(e)
	dst = append(dst, blobZstd)
	dst = binary.AppendUvarint(dst, uint64(len(data)))
	const gap = 4 // the stored size is known only afterwards
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = e.EncodeAll(data, dst)
	binary.LittleEndian.PutUint32(dst[at:], uint32(len(dst)-at-gap))
	return dst
}

// blob reads what appendBlob wrote. The result aliases the input when it was
// stored raw; own makes it a copy in any case.
func (c *cursor) blob(limit int, own bool) []byte {
	form := c.u8()
	size := c.count(limit, "size of a blob")
	switch form {
	case blobRaw:
		b := c.take(size)
		if own {
			return append(make([]byte, 0, len(b)), b...)
		}
		return b
	case blobZstd:
		n := c.take(4)
		if c.err != nil {
			return nil
		}
		stored := c.take(int(binary.LittleEndian.Uint32(n)))
		if c.err != nil {
			return nil
		}
		out, err := inflate(stored, size)
		if err != nil {
			c.fail("%v", err)
			return nil
		}
		return out
	}
	c.fail("form %d of a blob is unknown", form)
	return nil
}

// inflate decompresses exactly size bytes. The frame's own claim is checked
// first, so that a false one costs no memory.
func inflate(stored []byte, size int) ([]byte, error) {
	var h zstd.Header
	if err := h.Decode(stored); err != nil || !h.HasFCS || h.FrameContentSize != uint64(size) {
		return nil, fault.Errorf(fault.Corrupt, "compressed data does not claim the %d bytes it should hold", size)
	}
	d := decoders.Get().(*zstd.Decoder)
	defer decoders.Put(d)
	out, err := d.DecodeAll(stored, make([]byte, 0, size))
	if err != nil || len(out) != size {
		return nil, fault.Errorf(fault.Corrupt, "decompress %d bytes to %d, want %d: %v", len(stored), len(out), size, err)
	}
	return out, nil
}
