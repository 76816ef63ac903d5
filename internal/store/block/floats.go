package block

import (
	"math"
	"math/bits"
)

// maxDecimals is the largest number of decimals tried for floats.
const maxDecimals = 9

var powers = [maxDecimals + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}

// scaled returns the floats as integers of d decimals when every one of them
// comes back bit for bit.
func scaled(raw []uint64) (vals []uint64, d int, ok bool) {
	for _, b := range raw {
		for d <= maxDecimals {
			if _, ok := scale(b, d); ok {
				break
			}
			d++
		}
		if d > maxDecimals {
			return nil, 0, false
		}
	}
	vals = make([]uint64, len(raw))
	for i, b := range raw {
		n, ok := scale(b, d) // again: d may have grown
		if !ok {
			return nil, 0, false
		}
		vals[i] = uint64(n)
	}
	return vals, d, true
}

func scale(b uint64, d int) (int64, bool) {
	f := math.Round(float(b) * powers[d])
	if !(math.Abs(f) < 1<<53) { // NaN too
		return 0, false
	}
	n := int64(f)
	return n, unscale(n, d) == b
}

func unscale(n int64, d int) uint64 { return math.Float64bits(float64(n) / powers[d]) }

// appendFloats appends | decimals u8 | ints |, or | 255 | blob of 8 bytes each |.
func appendFloats(dst []byte, bits []uint64) []byte {
	if vals, d, ok := scaled(bits); ok {
		return appendInts(append(dst, byte(d)), vals)
	}
	raw := make([]byte, 0, 8*len(bits))
	for shift := 0; shift < 64; shift += 8 { // byte planes: like bytes lie together
		for _, b := range bits {
			raw = append(raw, byte(b>>shift))
		}
	}
	return appendBlob(append(dst, 255), raw)
}

func (c *cursor) floats(n int) []uint64 {
	d := int(c.u8())
	if d <= maxDecimals {
		out := c.ints(n)
		for i, v := range out {
			out[i] = unscale(int64(v), d)
		}
		return out
	}
	if d != 255 {
		c.fail("%d decimals of a float", d)
		return nil
	}
	raw := c.blob(8*n, false)
	if c.err != nil || len(raw) != 8*n {
		c.fail("%d bytes of %d floats", len(raw), n)
		return nil
	}
	out := make([]uint64, n)
	for p := range 8 {
		for i, b := range raw[p*n : (p+1)*n] {
			out[i] |= uint64(b) << (8 * p)
		}
	}
	return out
}

// appendBits appends one bit a value, least significant first.
func appendBits(dst []byte, vals []uint64) []byte {
	out := make([]byte, (len(vals)+7)/8)
	for i, v := range vals {
		if v != 0 {
			out[i/8] |= 1 << (i % 8)
		}
	}
	return appendBlob(dst, out)
}

func (c *cursor) bits(n int) []uint64 {
	b := c.blob((n+7)/8, false)
	if c.err != nil || len(b) != (n+7)/8 {
		c.fail("%d bytes of %d booleans", len(b), n)
		return nil
	}
	out := make([]uint64, n)
	for i := range out {
		out[i] = uint64(b[i/8]>>(i%8)) & 1
	}
	return out
}

// Forms of presence.
const (
	presentAll    = 0 // every row has a value
	presentBitmap = 1 // | blob of a bit per row |
	presentRows   = 2 // | ints of rows |
	presentBase   = 3 // as the column it derives from; of derived maps only
)

func appendPresence(dst []byte, rows []uint32, n int) []byte {
	if len(rows) == n {
		return append(dst, presentAll)
	}
	if len(rows) < n/32 {
		vals := make([]uint64, len(rows))
		for i, r := range rows {
			vals[i] = uint64(r)
		}
		return appendInts(append(dst, presentRows), vals)
	}
	b := make([]byte, (n+7)/8)
	for _, r := range rows {
		b[r/8] |= 1 << (r % 8)
	}
	return appendBlob(append(dst, presentBitmap), b)
}

// presence reads which of n rows the values have; nil means all.
func (c *cursor) presence(values, n int) []uint32 {
	form := c.u8()
	if c.err != nil || form == presentAll {
		if values != n {
			c.fail("%d values of %d rows without gaps", values, n)
		}
		return nil
	}
	out := make([]uint32, 0, values)
	switch form {
	case presentBitmap:
		b := c.blob((n+7)/8, false)
		for i, x := range b {
			for ; x != 0; x &= x - 1 {
				out = append(out, uint32(i*8+bits.TrailingZeros8(x)))
			}
		}
	case presentRows:
		for _, v := range c.ints(values) {
			if v >= uint64(n) || len(out) > 0 && uint32(v) <= out[len(out)-1] {
				c.fail("row %d is out of order", v)
				return nil
			}
			out = append(out, uint32(v))
		}
	default:
		c.fail("form %d of presence is unknown", form)
		return nil
	}
	if len(out) != values || values > 0 && int(out[values-1]) >= n {
		c.fail("%d of %d values are present in %d rows", len(out), values, n)
		return nil
	}
	return out
}
