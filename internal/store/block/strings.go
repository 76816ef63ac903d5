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

// maxHex is the most digits of a hexadecimal value.
const maxHex = 128

// uuidLen is the length of a UUID's text (RFC 9562, section 4).
const uuidLen = 36

// packedForm says whether the first values of a string column are lower-case
// hexadecimal of one even length, UUIDs, decimal numbers or addresses.
func packedForm(c *record.Column) codec {
	n := len(c.Ends)
	if n == 0 {
		return codecString
	}
	first := c.Bytes(0)
	form := codecString
	switch {
	case len(first) == uuidLen && isUUID(first):
		form = codecUUID
		if len(c.Data) != n*uuidLen {
			return codecString
		}
	case len(first) >= 16 && len(first) <= maxHex && len(first)%2 == 0 && isHex(first):
		form = codecHex
		if len(c.Data) != n*len(first) {
			return codecString
		}
	case isDecimal(first):
		form = codecDecimal
	case isIPv6(first):
		form = codecIPv6
	default:
		if _, ok := parseIPv4(first); ok {
			form = codecIPv4
		} else if _, _, ok := parseFraction(first); ok {
			form = codecFraction
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
// It reports false when one is of another size or not hexadecimal, or when that
// size is odd or more than readers take.
func appendHex(dst []byte, c *record.Column) ([]byte, bool) {
	size := len(c.Bytes(0))
	if size%2 != 0 || size > maxHex {
		return dst, false
	}
	for i, end := range c.Ends {
		if int(end) != (i+1)*size {
			return dst, false
		}
	}
	out, bad := appendNibbles(make([]byte, 0, len(c.Data)/2+1), c.Data, 0)
	if bad > 15 {
		return dst, false
	}
	dst = binary.AppendUvarint(dst, uint64(size))
	return appendBlob(dst, out), true
}

// appendUUIDs packs UUIDs: | 16 bytes each |. It reports false when one is none.
func appendUUIDs(dst []byte, c *record.Column) ([]byte, bool) {
	out := make([]byte, 0, 16*len(c.Ends))
	bad := byte(0)
	for i, end := range c.Ends {
		if int(end) != (i+1)*uuidLen {
			return dst, false
		}
		v := c.Data[i*uuidLen : end]
		if v[8] != '-' || v[13] != '-' || v[18] != '-' || v[23] != '-' {
			return dst, false
		}
		out, bad = appendNibbles(out, v[:8], bad)
		out, bad = appendNibbles(out, v[9:13], bad)
		out, bad = appendNibbles(out, v[14:18], bad)
		out, bad = appendNibbles(out, v[19:23], bad)
		out, bad = appendNibbles(out, v[24:], bad)
	}
	if bad > 15 {
		return dst, false
	}
	return appendBlob(dst, out), true
}

// appendNibbles packs an even number of lower-case digits. What it returns in
// bad is above 15 when a byte was none, or bad was.
func appendNibbles(dst, src []byte, bad byte) ([]byte, byte) {
	for i := 0; i+1 < len(src); i += 2 {
		hi, lo := digits[src[i]], digits[src[i+1]]
		bad |= hi | lo
		dst = append(dst, hi<<4|lo)
	}
	return dst, bad
}

// appendDecimals packs decimal texts as integers. It reports false when a value
// is none.
func appendDecimals(dst []byte, c *record.Column) ([]byte, bool) {
	vals := make([]uint64, len(c.Ends))
	for i := range vals {
		v := c.Bytes(i)
		if !isDecimal(v) {
			return dst, false
		}
		for _, d := range v {
			vals[i] = vals[i]*10 + uint64(d-'0')
		}
	}
	return appendInts(dst, vals), true
}

func (c *cursor) hex(v *Vector, n int) {
	size := c.count(maxHex, "length of a hexadecimal value")
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
