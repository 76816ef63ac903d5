package lumberjack

import (
	"encoding/binary"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// The codes of frames, after the version.
const (
	codeWindow     = 'W'
	codeJSON       = 'J'
	codeData       = 'D'
	codeCompressed = 'C'
	codeAck        = 'A'
)

// maxPairs bounds the pairs of a record of version 1.
const maxPairs = 4096

// A head is what a frame says of itself. body is where its payload begins; size
// is that of the whole frame.
type head struct {
	code byte
	n    uint32 // window: records; record: seq; compressed: bytes
	body int
	size int
}

// readHead reads the head of the frame that b begins with. need is how many bytes
// b must at least have to tell more, 0 if the head is whole.
func readHead(b []byte, version byte, limit int64) (h head, need int, err error) {
	if len(b) < 2 {
		return h, 2, nil
	}
	if b[0] != version {
		return h, 0, fault.WithHint(fault.Errorf(fault.Invalid, "a frame of version %q, after %q", b[0], version), "this port takes lumberjack, the protocol of Beats")
	}
	h.code = b[1]
	switch h.code {
	case codeWindow, codeCompressed:
		h.body = 6
	case codeJSON, codeData:
		h.body = 10
	default:
		return h, 0, fault.Errorf(fault.Invalid, "a frame of the unknown type %q", h.code)
	}
	if len(b) < h.body {
		return h, h.body, nil
	}
	h.n = binary.BigEndian.Uint32(b[2:])
	size := int64(h.body)
	switch h.code {
	case codeJSON:
		size += int64(binary.BigEndian.Uint32(b[6:]))
	case codeCompressed:
		size += int64(h.n)
	case codeData:
		pairs := binary.BigEndian.Uint32(b[6:])
		if pairs > maxPairs {
			return h, 0, fault.Errorf(fault.TooLarge, "a record has %d pairs, more than %d", pairs, maxPairs)
		}
		for range 2 * pairs { // a length before each key and each value
			if size+4 > limit {
				break
			}
			if int64(len(b)) < size+4 {
				return h, int(size) + 4, nil
			}
			size += 4 + int64(binary.BigEndian.Uint32(b[size:]))
		}
	}
	if size > limit {
		return h, 0, fault.WithHint(fault.Errorf(fault.TooLarge, "a frame of %d bytes is larger than %d", size, limit), "raise receive.body_bytes, or send fewer records at once (bulk_max_size)")
	}
	h.size = int(size)
	return h, 0, nil
}

// pairs calls f with the keys and values of a record of version 1, whose frame
// was found to be whole.
func pairs(frame []byte, f func(key, value []byte)) {
	n := binary.BigEndian.Uint32(frame[6:])
	b := frame[10:]
	text := func() []byte {
		size := int(binary.BigEndian.Uint32(b))
		s := b[4 : 4+size : 4+size]
		b = b[4+size:]
		return s
	}
	for range n {
		key := text()
		f(key, text())
	}
}
