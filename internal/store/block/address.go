package block

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"github.com/meshtrail/meshtrail/internal/record"
)

// Addresses are numbers: those of one network differ in their low bits only, which
// is what an ints section packs. A text is packed if it is the one that its number
// is written as, so that nothing but the number is kept.

// maxIPv6 is the length of the longest text.
const maxIPv6 = len("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")

// parseIPv4 reads a dotted address without leading zeros.
func parseIPv4(b []byte) (addr uint64, ok bool) {
	for part := 0; len(b) > 0; part++ {
		v, n := uint64(b[0]-'0'), 1
		for n < 3 && n < len(b) && b[n]-'0' <= 9 {
			v = v*10 + uint64(b[n]-'0')
			n++
		}
		if b[0]-'0' > 9 || b[0] == '0' && n > 1 || v > 255 {
			return 0, false
		}
		addr = addr<<8 | v
		if b = b[n:]; part == 3 {
			return addr, len(b) == 0
		}
		if len(b) == 0 || b[0] != '.' {
			return 0, false
		}
		b = b[1:]
	}
	return 0, false
}

// appendIPv4s packs addresses: | ints |. It reports false when a value is none.
func appendIPv4s(dst []byte, c *record.Column) ([]byte, bool) {
	sc := intsPool.Get().(*intsScratch)
	defer intsPool.Put(sc)
	sc.vals = sc.vals[:0]
	for i := range c.Ends {
		v, ok := parseIPv4(c.Bytes(i))
		if !ok {
			return dst, false
		}
		sc.vals = append(sc.vals, v)
	}
	return appendInts(dst, sc.vals), true
}

// An octet is a byte in decimal, with a dot behind it.
type octet struct {
	text [4]byte
	size uint8 // with the dot
}

var octets = func() (t [256]octet) {
	for i := range t {
		o := &t[i]
		put := func(c int) { o.text[o.size] = byte(c); o.size++ }
		if i >= 100 {
			put('0' + i/100)
		}
		if i >= 10 {
			put('0' + i/10%10)
		}
		put('0' + i%10)
		put('.')
	}
	return t
}()

func (c *cursor) ipv4s(v *Vector, n int) {
	vals := c.ints(n)
	if c.err != nil {
		return
	}
	v.Ends = make([]uint32, n)
	total := uint32(0)
	for i, x := range vals {
		if x >= 1<<32 {
			c.fail("an IPv4 address of more than 32 bits")
			return
		}
		total += uint32(octets[x>>24].size) + uint32(octets[x>>16&255].size) +
			uint32(octets[x>>8&255].size) + uint32(octets[x&255].size) - 1
		v.Ends[i] = total
	}
	const slack = 4 // each octet is written as four bytes
	data := make([]byte, int(total)+slack)
	at := 0
	for _, x := range vals {
		for shift := 24; shift >= 0; shift -= 8 {
			o := &octets[x>>shift&255]
			copy(data[at:at+4], o.text[:])
			at += int(o.size)
		}
		at-- // no dot behind the last
	}
	v.Data = data[:total]
}

// isIPv6 reports whether b is an IPv6 address as appendIPv6 writes it.
func isIPv6(b []byte) bool {
	if len(b) > maxIPv6 || bytes.Count(b, []byte{':'}) < 2 {
		return false
	}
	a, err := netip.ParseAddr(string(b))
	if err != nil {
		return false
	}
	var buf [64]byte
	return bytes.Equal(appendIPv6(buf[:0], a.As16()), b)
}

// appendIPv6 writes an address as RFC 5952 has it, with the low 32 bits of an IPv4
// address in IPv6 as a dotted one.
func appendIPv6(dst []byte, a [16]byte) []byte { return netip.AddrFrom16(a).AppendTo(dst) }

// appendIPv6s packs addresses: | ints: upper halves | ints: lower halves |. It
// reports false when a value is none.
func appendIPv6s(dst []byte, c *record.Column) ([]byte, bool) {
	text := string(c.Data) // once, for the library reads strings only
	high, low := make([]uint64, len(c.Ends)), make([]uint64, len(c.Ends))
	var buf [64]byte
	from := uint32(0)
	for i, to := range c.Ends {
		if to-from > uint32(maxIPv6) {
			return dst, false
		}
		a, err := netip.ParseAddr(text[from:to])
		if err != nil {
			return dst, false
		}
		b := a.As16()
		if string(appendIPv6(buf[:0], b)) != text[from:to] {
			return dst, false
		}
		high[i], low[i] = binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
		from = to
	}
	return appendInts(appendInts(dst, high), low), true
}

func (c *cursor) ipv6s(v *Vector, n int) {
	high, low := c.ints(n), c.ints(n)
	if c.err != nil {
		return
	}
	v.Ends = make([]uint32, n)
	sc := intsPool.Get().(*intsScratch)
	defer intsPool.Put(sc)
	sc.buf = sc.buf[:0]
	for i, h := range high {
		var b [16]byte
		binary.BigEndian.PutUint64(b[:8], h)
		binary.BigEndian.PutUint64(b[8:], low[i])
		sc.buf = appendIPv6(sc.buf, b)
		v.Ends[i] = uint32(len(sc.buf))
	}
	v.Data = cut(sc.buf)
}
