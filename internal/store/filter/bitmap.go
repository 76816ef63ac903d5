package filter

import "math/bits"

// A Bitmap is a set of rows.
type Bitmap []uint64

// NewBitmap returns an empty set of up to rows.
func NewBitmap(rows int) Bitmap { return make(Bitmap, (rows+63)/64) }

// Has reports whether row is in the set.
func (b Bitmap) Has(row int) bool { return b[row/64]>>(row%64)&1 != 0 }

// Set adds row.
func (b Bitmap) Set(row int) { b[row/64] |= 1 << (row % 64) }

// Fill makes the set hold rows 0 to n-1.
func (b Bitmap) Fill(n int) {
	for i := range b {
		b[i] = ^uint64(0)
	}
	if n%64 != 0 {
		b[len(b)-1] = 1<<(n%64) - 1
	}
}

// Or adds the rows of o.
func (b Bitmap) Or(o Bitmap) {
	for i, w := range o {
		b[i] |= w
	}
}

// AndNot removes the rows of o.
func (b Bitmap) AndNot(o Bitmap) {
	for i, w := range o {
		b[i] &^= w
	}
}

// Empty reports whether the set has no row.
func (b Bitmap) Empty() bool { return empty(b) }

// Count returns the number of rows.
func (b Bitmap) Count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// Each calls f for each row, ascending.
func (b Bitmap) Each(f func(row int)) {
	for i, w := range b {
		for ; w != 0; w &= w - 1 {
			f(i*64 + bits.TrailingZeros64(w))
		}
	}
}
