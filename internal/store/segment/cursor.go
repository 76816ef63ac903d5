package segment

import (
	"encoding/binary"
)

// A cursor reads bytes that may be damaged. After the first error every read
// returns zero, and err says what was wrong.
type cursor struct {
	b   []byte
	err error
}

func (c *cursor) fail(format string, args ...any) {
	if c.err == nil {
		c.err = corrupt(format, args...)
	}
	c.b = nil
}

func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.fail("%d bytes wanted, %d are left", n, len(c.b))
		return nil
	}
	v := c.b[:n:n]
	c.b = c.b[n:]
	return v
}

func (c *cursor) u8() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if b := c.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (c *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.fail("a number is cut short or too long")
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) varint() int64 {
	u := c.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// count reads a number that must not exceed limit.
func (c *cursor) count(limit int, what string) int {
	v := c.uvarint()
	if v > uint64(limit) {
		c.fail("%s is %d, limit %d", what, v, limit)
		return 0
	}
	return int(v)
}

func (c *cursor) text(limit int, what string) string { return string(c.take(c.count(limit, what))) }

// end fails unless everything was read.
func (c *cursor) end(what string) error {
	if c.err == nil && len(c.b) > 0 {
		c.fail("%d bytes follow %s", len(c.b), what)
	}
	return c.err
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}
