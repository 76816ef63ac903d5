package block

import (
	"encoding/binary"
	"math"
)

// A cursor reads bytes that may be damaged. After the first error every read
// returns zero, and err says what was wrong.
type cursor struct {
	b   []byte
	err error

	// Memory for the next section of numbers or codes, if it is large enough.
	nums    []uint64
	codes16 []uint16
}

// numbers returns room for n numbers.
func (c *cursor) numbers(n int) []uint64 {
	out := c.nums
	c.nums = nil
	if cap(out) < n {
		return make([]uint64, n)
	}
	return out[:n]
}

func (c *cursor) fail(format string, args ...any) {
	if c.err == nil {
		c.err = corrupt(format, args...)
	}
	c.b = nil
}

func (c *cursor) u8() byte {
	if len(c.b) < 1 {
		c.fail("a byte is missing")
		return 0
	}
	v := c.b[0]
	c.b = c.b[1:]
	return v
}

func (c *cursor) u64() uint64 {
	if len(c.b) < 8 {
		c.fail("eight bytes are missing")
		return 0
	}
	v := binary.LittleEndian.Uint64(c.b)
	c.b = c.b[8:]
	return v
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
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.fail("a number is cut short or too long")
		return 0
	}
	c.b = c.b[n:]
	return v
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

// take returns the next n bytes, aliasing the input.
func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.fail("%d bytes wanted, %d are left", n, len(c.b))
		return nil
	}
	v := c.b[:n:n]
	c.b = c.b[n:]
	return v
}

// bytes reads a length and that many bytes, aliasing the input.
func (c *cursor) bytes(limit int, what string) []byte { return c.take(c.count(limit, what)) }

// end fails unless everything was read.
func (c *cursor) end(what string) error {
	if c.err == nil && len(c.b) > 0 {
		c.fail("%d bytes follow %s", len(c.b), what)
	}
	return c.err
}

func appendBytes[T string | []byte](dst []byte, b T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func appendFloat(dst []byte, bits uint64) []byte { return binary.LittleEndian.AppendUint64(dst, bits) }

func float(bits uint64) float64 { return math.Float64frombits(bits) }
