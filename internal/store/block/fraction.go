package block

import (
	"strconv"

	"github.com/meshtrail/meshtrail/internal/record"
)

// maxFraction is the largest number of digits, all in all, of a decimal fraction:
// any of so many fits an int64.
const maxFraction = 18

// parseFraction reads a decimal number with a point as an integer of so many
// decimals. The text is the one that appendFraction writes.
func parseFraction(b []byte) (v int64, decimals int, ok bool) {
	minus := len(b) > 0 && b[0] == '-'
	if minus {
		b = b[1:]
	}
	if len(b) < 3 || len(b) > maxFraction+1 || b[0] == '0' && b[1] != '.' {
		return 0, 0, false
	}
	point := -1
	for i, c := range b {
		if c == '.' && point < 0 && i > 0 {
			point = i
			continue
		}
		if c < '0' || c > '9' {
			return 0, 0, false
		}
		v = v*10 + int64(c-'0')
	}
	decimals = len(b) - 1 - point
	if point < 0 || decimals == 0 || minus && v == 0 {
		return 0, 0, false
	}
	if minus {
		v = -v
	}
	return v, decimals, true
}

// appendFractions packs numbers with a point, all with as many decimals:
// | decimals u8 | ints |. It reports false when a value is none.
func appendFractions(dst []byte, c *record.Column) ([]byte, bool) {
	sc := intsPool.Get().(*intsScratch)
	defer intsPool.Put(sc)
	sc.vals = sc.vals[:0]
	all := 0
	for i := range c.Ends {
		v, decimals, ok := parseFraction(c.Bytes(i))
		if !ok || i > 0 && decimals != all {
			return dst, false
		}
		all = decimals
		sc.vals = append(sc.vals, uint64(v))
	}
	return appendInts(append(dst, byte(all)), sc.vals), true
}

// appendFraction writes v with a point before its last decimals.
func appendFraction(dst []byte, v int64, decimals int) []byte {
	var buf [24]byte
	if v < 0 {
		dst = append(dst, '-')
		v = -v
	}
	b := strconv.AppendUint(buf[:0], uint64(v), 10)
	if missing := decimals + 1 - len(b); missing > 0 {
		return append(append(dst, "0.00000000000000000"[:missing+1]...), b...)
	}
	dst = append(dst, b[:len(b)-decimals]...)
	return append(append(dst, '.'), b[len(b)-decimals:]...)
}

func (c *cursor) fractions(v *Vector, n int) {
	decimals := int(c.u8())
	vals := c.ints(n)
	if c.err != nil {
		return
	}
	if decimals == 0 || decimals >= maxFraction {
		c.fail("%d decimals of a number", decimals)
		return
	}
	v.Ends = make([]uint32, n)
	sc := intsPool.Get().(*intsScratch)
	defer intsPool.Put(sc)
	sc.buf = sc.buf[:0]
	for i, x := range vals {
		if int64(x) >= 1e18 || int64(x) <= -1e18 {
			c.fail("a number of more than %d digits", maxFraction)
			return
		}
		sc.buf = appendFraction(sc.buf, int64(x), decimals)
		v.Ends[i] = uint32(len(sc.buf))
	}
	v.Data = cut(sc.buf)
}
