package journald

import (
	"bytes"
	"encoding/binary"
)

// Journal Export Format (systemd.io/JOURNAL_EXPORT_FORMATS): a record is fields, then
// an empty line. A field whose value has no control characters is a line, another
// is its name, a line feed, the length, the bytes, and a line feed:
//
//	NAME=text\n
//	NAME\n | length u64 little endian | bytes | \n
//
// A cutter finds where records end, in bytes that come piece by piece. It looks at
// each byte once and holds none.
type cutter struct {
	binary bool   // within the length or the bytes of a field
	left   uint64 // of the bytes and their line feed
	size   [8]byte
	have   int // of size

	line   bool // the line has begun
	equals bool // and has an =
}

// next consumes b up to the end of the record, or all of it.
func (c *cutter) next(b []byte) (n int, ended bool) {
	for n < len(b) {
		switch {
		case c.binary && c.have < len(c.size):
			took := copy(c.size[c.have:], b[n:])
			c.have += took
			n += took
			if c.have == len(c.size) {
				if c.left = binary.LittleEndian.Uint64(c.size[:]); c.left < 1<<63 {
					c.left++ // the line feed
				}
			}
		case c.binary:
			took := min(c.left, uint64(len(b)-n))
			c.left -= took
			n += int(took)
			if c.left == 0 {
				c.binary, c.have = false, 0
			}
		default:
			i := bytes.IndexByte(b[n:], '\n')
			part := b[n:]
			if i >= 0 {
				part = part[:i]
			}
			c.line = c.line || len(part) > 0
			c.equals = c.equals || bytes.IndexByte(part, '=') >= 0
			if n += len(part); i < 0 {
				return n, false
			}
			n++
			line, equals := c.line, c.equals
			c.line, c.equals = false, false
			if !line {
				return n, true
			}
			c.binary = !equals
		}
	}
	return n, false
}

// between reports whether c stands at the beginning of a field or record.
func (c *cutter) between() bool { return !c.binary && !c.line }

// field reads one field of a whole record. ok is false at its end, and for what
// is none.
func field(b []byte) (name, value, rest []byte, ok bool) {
	i := bytes.IndexByte(b, '\n')
	if i <= 0 {
		return nil, nil, nil, false
	}
	line := b[:i]
	if e := bytes.IndexByte(line, '='); e >= 0 {
		return line[:e], line[e+1:], b[i+1:], e > 0
	}
	b = b[i+1:]
	if len(b) < 8 {
		return nil, nil, nil, false
	}
	size := binary.LittleEndian.Uint64(b)
	if b = b[8:]; size >= uint64(len(b)) {
		return nil, nil, nil, false
	}
	return line, b[:size:size], b[size+1:], b[size] == '\n'
}
