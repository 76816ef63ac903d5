package block

import (
	"math/rand/v2"
	"testing"
)

// TestUnpack holds both readers of packed values against what was packed, at
// every width and at lengths that end within and after a group of eight.
func TestUnpack(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for w := uint(0); w <= 64; w++ {
		for _, n := range []int{0, 1, 7, 8, 9, 15, 16, 17, 31, 64, 65, 1000} {
			vals := make([]uint64, n)
			for i := range vals {
				if w > 0 {
					vals[i] = r.Uint64() >> (64 - w)
				}
			}
			src := appendPacked(nil, vals, w)
			got := make([]uint64, n)
			unpack(got, src, w)
			for i, v := range vals {
				if got[i] != v {
					t.Fatalf("%d values of %d bits: number %d is %d, want %d", n, w, i, got[i], v)
				}
			}
			if w > 16 {
				continue
			}
			short := make([]uint16, n)
			unpack16(short, src, w)
			for i, v := range vals {
				if uint64(short[i]) != v {
					t.Fatalf("%d values of %d bits, to 16: number %d is %d, want %d", n, w, i, short[i], v)
				}
			}
		}
	}
}

func BenchmarkUnpack16(b *testing.B) {
	src, dst, wide := make([]byte, 1<<17), make([]uint16, 1<<15), make([]uint64, 1<<15)
	b.Run("direct", func(b *testing.B) {
		for b.Loop() {
			unpack16(dst, src, 7)
		}
	})
	b.Run("widened", func(b *testing.B) {
		for b.Loop() {
			unpack(wide, src, 7)
			for i, v := range wide {
				dst[i] = uint16(v)
			}
		}
	})
}
