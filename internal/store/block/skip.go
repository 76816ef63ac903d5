package block

import "encoding/binary"

// What is skipped is found, not read: a section whose values nobody has asked for
// yet costs no more than a look at its lengths. What is wrong inside shows when
// it is read.

// section returns the bytes that f moves over.
func (c *cursor) section(f func(*cursor)) []byte {
	b := c.b
	f(c)
	if c.err != nil {
		return nil
	}
	n := len(b) - len(c.b)
	return b[:n:n]
}

func (c *cursor) skipBlob() {
	form := c.u8()
	size := c.count(MaxBody, "size of a blob")
	switch form {
	case blobRaw:
		c.take(size)
	case blobZstd:
		if n := c.take(4); c.err == nil {
			c.take(int(binary.LittleEndian.Uint32(n)))
		}
	default:
		c.fail("form %d of a blob is unknown", form)
	}
}

// skipInts moves over a section of n values.
func (c *cursor) skipInts(n int) {
	form := c.u8()
	if form == intsScaled {
		c.varint()
		c.uvarint()
		form = c.u8()
	}
	if form != intsVarDel {
		c.varint()
	}
	switch form {
	case intsConst:
	case intsFrame:
		c.skipPacked(n)
	case intsDelta:
		c.varint()
		c.skipPacked(n - 1)
	case intsDelta2:
		c.varint()
		c.varint()
		c.skipPacked(n - 2)
	case intsVar, intsVarDel:
		c.skipBlob()
	case intsPatched:
		c.skipPatched(n)
	case intsPatchedDelta:
		c.varint()
		c.skipPatched(n - 1)
	default:
		c.fail("form %d of an integer section is unknown", form)
	}
}

func (c *cursor) skipPacked(n int) {
	w := uint(c.u8())
	if w > 64 || n < 0 {
		c.fail("%d packed values of width %d", n, w)
		return
	}
	c.take(packedSize(n, w))
}

func (c *cursor) skipPatched(n int) {
	c.skipPacked(n)
	if k := c.count(max(n, 0), "exceptions of a patched section"); k > 0 {
		c.skipInts(k)
		c.skipInts(k)
	}
}

func (c *cursor) skipStrings(n int) {
	c.skipInts(n)
	c.skipBlob()
}

func (c *cursor) skipCodes(n int) {
	switch form := c.u8(); form {
	case codesPacked:
		c.skipPacked(n)
	case codesBytes, codesWords:
		c.skipBlob()
	default:
		c.fail("form %d of dictionary codes is unknown", form)
	}
}
