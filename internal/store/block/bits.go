package block

import (
	"encoding/binary"
	"math/bits"
)

func width(v uint64) uint { return uint(64 - bits.LeadingZeros64(v)) }

func packedSize(n int, w uint) int { return (n*int(w) + 7) / 8 }

// appendPacked appends the low w bits of each value, least significant first.
func appendPacked(dst []byte, vals []uint64, w uint) []byte {
	if w == 0 {
		return dst
	}
	var acc uint64
	var used uint
	for _, v := range vals {
		acc |= v << used
		used += w
		if used < 64 {
			continue
		}
		dst = binary.LittleEndian.AppendUint64(dst, acc)
		used -= 64
		acc = 0
		if used > 0 {
			acc = v >> (w - used)
		}
	}
	for ; used > 0; used -= min(used, 8) {
		dst = append(dst, byte(acc))
		acc >>= 8
	}
	return dst
}

// unpack reads n values of w bits; src MUST hold packedSize(n, w) bytes.
func unpack(dst []uint64, src []byte, w uint) {
	if w == 0 {
		clear(dst)
		return
	}
	mask := ^uint64(0) >> (64 - w)
	i := 0
	if w <= 56 {
		for bit := 0; i < len(dst); i, bit = i+1, bit+int(w) {
			at := bit >> 3
			if at+8 > len(src) {
				break
			}
			dst[i] = binary.LittleEndian.Uint64(src[at:]) >> (uint(bit) & 7) & mask
		}
	}
	for ; i < len(dst); i++ {
		dst[i] = bitsAt(src, i*int(w), w)
	}
}

// bitsAt reads w bits from a bit on, byte by byte.
func bitsAt(src []byte, bit int, w uint) uint64 {
	var v uint64
	for have := uint(0); have < w; {
		take := 8 - uint(bit)&7
		v |= uint64(src[bit>>3]>>(uint(bit)&7)) << have
		have += take
		bit += int(take)
	}
	return v & (^uint64(0) >> (64 - w))
}

// unpack16 is unpack for values of at most 16 bits. Eight of them take w bytes:
// two loads.
func unpack16(dst []uint16, src []byte, w uint) {
	if w == 0 {
		clear(dst)
		return
	}
	mask := ^uint64(0) >> (64 - w)
	half, odd := w/2, 4*w&7
	i, at := 0, 0
	for ; i+8 <= len(dst) && at+int(half)+8 <= len(src); i, at = i+8, at+int(w) {
		a := binary.LittleEndian.Uint64(src[at:])
		b := binary.LittleEndian.Uint64(src[at+int(half):]) >> odd
		d := dst[i : i+8 : i+8]
		d[0], d[4] = uint16(a&mask), uint16(b&mask)
		a, b = a>>w, b>>w
		d[1], d[5] = uint16(a&mask), uint16(b&mask)
		a, b = a>>w, b>>w
		d[2], d[6] = uint16(a&mask), uint16(b&mask)
		a, b = a>>w, b>>w
		d[3], d[7] = uint16(a&mask), uint16(b&mask)
	}
	for ; i < len(dst); i++ {
		dst[i] = uint16(bitsAt(src, i*int(w), w))
	}
}
