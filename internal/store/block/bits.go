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
		bit := i * int(w)
		var v uint64
		for have := uint(0); have < w; {
			take := 8 - uint(bit)&7
			v |= uint64(src[bit>>3]>>(uint(bit)&7)) << have
			have += take
			bit += int(take)
		}
		dst[i] = v & mask
	}
}
