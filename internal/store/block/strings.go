package block

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"sync"

	"github.com/meshtrail/meshtrail/internal/record"
)

var lengths = sync.Pool{New: func() any { return new([]uint64) }}

// appendStrings appends n values as | ints of lengths | blob |.
func appendStrings(dst []byte, ends []uint32, data []byte) []byte {
	l := lengths.Get().(*[]uint64)
	lens := (*l)[:0]
	start := uint32(0)
	for _, e := range ends {
		lens = append(lens, uint64(e-start))
		start = e
	}
	dst = appendInts(dst, lens)
	*l = lens
	lengths.Put(l)
	return appendBlob(dst, data)
}

// strings reads n values into v, which owns them afterwards.
func (c *cursor) strings(v *Vector, n int) {
	lens := c.ints(n)
	if c.err != nil {
		return
	}
	ends := make([]uint32, n)
	total := uint64(0)
	for i, l := range lens {
		if l > MaxBody || total+l > MaxBody {
			c.fail("strings of more than %d bytes", MaxBody)
			return
		}
		total += l
		ends[i] = uint32(total)
	}
	data := c.blob(int(total), true)
	if c.err == nil && uint64(len(data)) != total {
		c.fail("%d bytes of strings, want %d", len(data), total)
		return
	}
	v.Ends, v.Data = ends, data
}

// uuidLen is the length of a UUID's text (RFC 9562, section 4).
const uuidLen = 36

// packedForm says whether every value of a string column is lower-case
// hexadecimal of one even length, a UUID, or a plain decimal number.
func packedForm(c *record.Column) codec {
	n := len(c.Ends)
	if n == 0 {
		return codecString
	}
	size := len(c.Bytes(0))
	form := codecString
	switch first := c.Bytes(0); {
	case size == uuidLen && isUUID(first):
		form = codecUUID
	case size >= 16 && size <= 128 && size%2 == 0 && isHex(first):
		form = codecHex
	case isDecimal(first):
		form = codecDecimal
	default:
		return codecString
	}
	for i := 1; i < n; i++ {
		v := c.Bytes(i)
		var ok bool
		switch form {
		case codecUUID:
			ok = len(v) == uuidLen && isUUID(v)
		case codecHex:
			ok = len(v) == size && isHex(v)
		case codecDecimal:
			ok = isDecimal(v)
		}
		if !ok {
			return codecString
		}
	}
	return form
}

// digits has the value of each lower-case hexadecimal digit, and 255 else.
var digits = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	for i, c := range []byte("0123456789abcdef") {
		t[c] = byte(i)
	}
	return t
}()

func isHex(b []byte) bool {
	var bad byte
	for _, c := range b {
		bad |= digits[c]
	}
	return bad < 16
}

func isUUID(b []byte) bool {
	return b[8] == '-' && b[13] == '-' && b[18] == '-' && b[23] == '-' &&
		isHex(b[:8]) && isHex(b[9:13]) && isHex(b[14:18]) && isHex(b[19:23]) && isHex(b[24:uuidLen])
}

// isDecimal reports whether b is a number that is written back the same way.
func isDecimal(b []byte) bool {
	if len(b) == 0 || len(b) > 18 || b[0] == '0' && len(b) > 1 {
		return false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// appendHex packs hexadecimal values, two digits a byte: | size uvarint | bytes |.
func appendHex(dst []byte, c *record.Column) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(c.Bytes(0))))
	return appendBlob(dst, appendNibbles(make([]byte, 0, len(c.Data)/2+1), c.Data))
}

// appendUUIDs packs UUIDs: | 16 bytes each |.
func appendUUIDs(dst []byte, c *record.Column) []byte {
	out := make([]byte, 0, 16*len(c.Ends))
	for i := range c.Ends {
		v := c.Bytes(i)
		out = appendNibbles(out, v[:8])
		out = appendNibbles(out, v[9:13])
		out = appendNibbles(out, v[14:18])
		out = appendNibbles(out, v[19:23])
		out = appendNibbles(out, v[24:])
	}
	return appendBlob(dst, out)
}

// appendNibbles packs an even number of lower-case digits.
func appendNibbles(dst, src []byte) []byte {
	for i := 0; i+1 < len(src); i += 2 {
		dst = append(dst, digits[src[i]]<<4|digits[src[i+1]])
	}
	return dst
}

// appendDecimals packs decimal texts as integers.
func appendDecimals(dst []byte, c *record.Column) []byte {
	vals := make([]uint64, len(c.Ends))
	for i := range vals {
		for _, d := range c.Bytes(i) {
			vals[i] = vals[i]*10 + uint64(d-'0')
		}
	}
	return appendInts(dst, vals)
}

func (c *cursor) hex(v *Vector, n int) {
	size := c.count(128, "length of a hexadecimal value")
	packed := c.blob(n*size/2, false)
	if c.err != nil || size%2 != 0 || len(packed) != n*size/2 {
		c.fail("%d bytes of %d hexadecimal values of length %d", len(packed), n, size)
		return
	}
	v.Data = make([]byte, n*size)
	hex.Encode(v.Data, packed)
	v.Ends = evenEnds(n, size)
}

func evenEnds(n, size int) []uint32 {
	ends := make([]uint32, n)
	for i := range ends {
		ends[i] = uint32((i + 1) * size)
	}
	return ends
}

func (c *cursor) uuids(v *Vector, n int) {
	packed := c.blob(n*16, false)
	if c.err != nil || len(packed) != n*16 {
		c.fail("%d bytes of %d UUIDs", len(packed), n)
		return
	}
	v.Data = make([]byte, n*uuidLen)
	for i := range n {
		d, s := v.Data[i*uuidLen:(i+1)*uuidLen], packed[i*16:(i+1)*16]
		hex.Encode(d[0:], s[0:4])
		hex.Encode(d[9:], s[4:6])
		hex.Encode(d[14:], s[6:8])
		hex.Encode(d[19:], s[8:10])
		hex.Encode(d[24:], s[10:16])
		d[8], d[13], d[18], d[23] = '-', '-', '-', '-'
	}
	v.Ends = evenEnds(n, uuidLen)
}

func (c *cursor) decimals(v *Vector, n int) {
	vals := c.ints(n)
	if c.err != nil {
		return
	}
	v.Ends = make([]uint32, n)
	v.Data = make([]byte, 0, 4*n)
	for i, x := range vals {
		v.Data = strconv.AppendUint(v.Data, x, 10)
		v.Ends[i] = uint32(len(v.Data))
	}
}
