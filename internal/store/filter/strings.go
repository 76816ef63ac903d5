package filter

import (
	"bytes"
	"math/bits"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

// sparse is the part of a column's values, one of so many, below which they are
// looked at one by one instead of the whole column at once.
const sparse = 16

// strings evaluates the leaf on a column of strings without a dictionary.
func (e *Evaluator) strings(l *leaf, v *block.Vector, numbers *match.Interval, want, out Bitmap) {
	if want.Count()*sparse < v.N {
		e.few(l, v, numbers, want, out)
		return
	}
	switch p := l.p.(type) {
	case match.Eq:
		start := uint32(0)
		for i, end := range v.Ends {
			if int(end-start) == len(p.Value) && view(v.Data[start:end]) == p.Value {
				e.hit(v, i, want, out)
			}
			start = end
		}
		return
	case match.Prefix:
		start := uint32(0)
		n := uint32(len(p.Value))
		for i, end := range v.Ends {
			if end-start >= n && view(v.Data[start:start+n]) == p.Value {
				e.hit(v, i, want, out)
			}
			start = end
		}
		return
	case match.Exists:
		start := uint32(0)
		for i, end := range v.Ends {
			if end > start {
				e.hit(v, i, want, out)
			}
			start = end
		}
		return
	case match.Contains:
		if p.Value != "" {
			hit := func(i int) { e.hit(v, i, want, out) }
			if p.Fold {
				holdingFold(v, p.Value, hit)
			} else {
				e.holding(v, p.Value, hit)
			}
			return
		}
	case match.Word:
		if p.Fold && p.Value != "" {
			holdingFold(v, p.Value, func(i int) {
				if row := v.Row(i); want.Has(row) && !out.Has(row) && e.text(l, view(v.Bytes(i)), numbers) {
					out.Set(row)
				}
			})
			return
		}
	}
	if len(l.needles) == 0 {
		for i := range v.Ends {
			if row := v.Row(i); want.Has(row) && e.text(l, view(v.Bytes(i)), numbers) {
				out.Set(row)
			}
		}
		return
	}
	for _, needle := range l.needles {
		e.holding(v, needle, func(i int) {
			if row := v.Row(i); want.Has(row) && !out.Has(row) && e.text(l, view(v.Bytes(i)), numbers) {
				out.Set(row)
			}
		})
	}
}

// hit sets the row of value i in out if it is in want.
func (e *Evaluator) hit(v *block.Vector, i int, want, out Bitmap) {
	row := v.Row(i)
	out[row/64] |= want[row/64] & (1 << (row % 64))
}

// few looks at the values of the rows of want alone.
func (e *Evaluator) few(l *leaf, v *block.Vector, numbers *match.Interval, want, out Bitmap) {
	for w, word := range want {
		for ; word != 0; word &= word - 1 {
			row := w*64 + bits.TrailingZeros64(word)
			if i, ok := v.Find(row); ok && e.text(l, view(v.Bytes(i)), numbers) {
				out.Set(row)
			}
		}
	}
}

// holding calls f for each value of a plain string vector that contains text,
// by one search over all values' bytes.
func (e *Evaluator) holding(v *block.Vector, text string, f func(i int)) {
	needle := []byte(text)
	at, i := 0, 0
	for {
		n := bytes.Index(v.Data[at:], needle)
		if n < 0 {
			return
		}
		at += n
		i = gallop(v.Ends, i, uint32(at))
		if at+len(needle) <= int(v.Ends[i]) {
			f(i)
			at = int(v.Ends[i])
		} else {
			at++ // over the end of a value
		}
	}
}

// sampled is how much of a column is looked at to find which byte of a text is the
// rarest in it.
const sampled = 2048

// holdingFold is holding that takes ASCII letters of either case as equal. It goes
// from one place of the text's rarest byte, in either case, to the next.
func holdingFold(v *block.Vector, text string, f func(i int)) {
	k := rarest(v.Data[:min(len(v.Data), sampled)], text)
	cases := [2]byte{text[k], otherCase(text[k])}
	next := [2]int{-1, -1} // where each of them is, from at on
	if cases[0] == cases[1] {
		next[1] = len(v.Data)
	}
	for at, i := k, 0; ; at++ {
		for c := range next {
			if next[c] >= at {
				continue
			}
			if next[c] = len(v.Data); at < len(v.Data) {
				if n := bytes.IndexByte(v.Data[at:], cases[c]); n >= 0 {
					next[c] = at + n
				}
			}
		}
		at = min(next[0], next[1])
		start := at - k
		if start+len(text) > len(v.Data) {
			return
		}
		if !equalFold(v.Data[start:start+len(text)], text) {
			continue
		}
		if i = gallop(v.Ends, i, uint32(start)); start+len(text) <= int(v.Ends[i]) {
			f(i)
			at = int(v.Ends[i]) + k - 1
		}
	}
}

// rarest returns at which place of text the byte stands that data has the fewest
// of, in either case.
func rarest(data []byte, text string) (k int) {
	var counts [256]uint16
	for _, b := range data {
		counts[b]++
	}
	least := 1 << 30
	for i := range len(text) {
		n := int(counts[text[i]])
		if o := otherCase(text[i]); o != text[i] {
			n += int(counts[o]) + 1 // two to look for
		}
		if n < least {
			k, least = i, n
		}
	}
	return k
}

// equalFold compares texts of one length, ASCII letters of either case as equal.
func equalFold(b []byte, text string) bool {
	for i, c := range b {
		if c != text[i] && c != otherCase(text[i]) {
			return false
		}
	}
	return true
}

// gallop returns the first index from i on with ends[index] > at.
func gallop(ends []uint32, i int, at uint32) int {
	step := 1
	for i+step < len(ends) && ends[i+step-1] <= at {
		i += step
		step *= 2
	}
	lo, hi := i, min(i+step, len(ends))
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if ends[m] <= at {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}
