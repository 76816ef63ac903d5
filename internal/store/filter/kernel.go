package filter

import (
	"bytes"
	"math"
	"unsafe"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
)

// entry evaluates the leaf on entry e of a vector.
func (l *leaf) entry(v *block.Vector, e int, numbers *match.Interval, buf *[]byte) bool {
	if v.Kind == record.String {
		return l.text(view(v.Bytes(e)), numbers)
	}
	if _, ok := l.p.(match.Range); ok {
		switch v.Kind {
		case record.Int:
			return numbers.HasInt(int64(v.Nums[e]))
		case record.Float:
			return numbers.HasFloat(math.Float64frombits(v.Nums[e]))
		}
		return false
	}
	*buf = appendNumber((*buf)[:0], v, e)
	return match.HoldsText(l.p, view(*buf))
}

// appendNumber appends the text form of a numeric entry.
func appendNumber(dst []byte, v *block.Vector, e int) []byte { return ValueOf(v, e).AppendText(dst) }

// ValueOf returns entry e of a vector. A string aliases the vector.
func ValueOf(v *block.Vector, e int) record.Value {
	switch v.Kind {
	case record.String:
		return record.Value{Kind: record.String, Str: view(v.Bytes(e))}
	case record.Int:
		return record.IntValue(int64(v.Nums[e]))
	case record.Float:
		return record.FloatValue(math.Float64frombits(v.Nums[e]))
	}
	return record.BoolValue(v.Nums[e] != 0)
}

// view reads bytes as a string for the length of a call.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// vector sets in out the rows of want whose value in v the leaf holds for.
func (e *Evaluator) vector(l *leaf, v *block.Vector, mul float64, want, out Bitmap) {
	numbers := l.numbers(mul)
	switch {
	case v.Form == block.Const:
		if l.entry(v, 0, &numbers, &e.buf) {
			e.present(v, want, out)
		}
	case v.Form == block.Dict:
		e.dict(l, v, &numbers, want, out)
	case v.Kind == record.Bool:
		e.bools(l, v, &numbers, want, out)
	case v.Kind == record.String:
		e.strings(l, v, &numbers, want, out)
	case v.Kind == record.Int:
		e.ints(l, v, &numbers, want, out)
	default:
		for i := range v.N {
			if row := v.Row(i); want.Has(row) && l.entry(v, i, &numbers, &e.buf) {
				out.Set(row)
			}
		}
	}
}

// present sets in out the rows of want that have a value.
func (e *Evaluator) present(v *block.Vector, want, out Bitmap) {
	if v.Rows == nil {
		out.Or(want)
		return
	}
	for _, r := range v.Rows {
		if want.Has(int(r)) {
			out.Set(int(r))
		}
	}
}

// dict evaluates each entry once.
func (e *Evaluator) dict(l *leaf, v *block.Vector, numbers *match.Interval, want, out Bitmap) {
	n := v.Entries()
	if cap(e.table) < n {
		e.table = make([]bool, n)
	}
	e.table = e.table[:n]
	hits := 0
	for i := range e.table {
		e.table[i] = l.entry(v, i, numbers, &e.buf)
		if e.table[i] {
			hits++
		}
	}
	switch {
	case hits == 0:
	case hits == n:
		e.present(v, want, out)
	case v.Rows == nil:
		for w := range out {
			var word uint64
			base := w * 64
			for i, c := range v.Codes[base:min(base+64, v.N)] {
				if e.table[c] {
					word |= 1 << i
				}
			}
			out[w] |= word & want[w]
		}
	default:
		for i, c := range v.Codes {
			if e.table[c] && want.Has(int(v.Rows[i])) {
				out.Set(int(v.Rows[i]))
			}
		}
	}
}

func (e *Evaluator) bools(l *leaf, v *block.Vector, numbers *match.Interval, want, out Bitmap) {
	two := block.Vector{Kind: record.Bool, Nums: []uint64{0, 1}}
	no, yes := l.entry(&two, 0, numbers, &e.buf), l.entry(&two, 1, numbers, &e.buf)
	for i, b := range v.Nums {
		if hit := b != 0 && yes || b == 0 && no; hit && want.Has(v.Row(i)) {
			out.Set(v.Row(i))
		}
	}
}

func (e *Evaluator) ints(l *leaf, v *block.Vector, numbers *match.Interval, want, out Bitmap) {
	lo, hi := int64(math.MinInt64), int64(math.MaxInt64)
	switch p := l.p.(type) {
	case match.Range:
		var ok bool
		if lo, hi, ok = intBounds(numbers); !ok {
			return
		}
	case match.Eq:
		n, ok := intText(p.Value)
		if !ok {
			return
		}
		lo, hi = n, n
	case match.Exists:
	default:
		for i := range v.N {
			if row := v.Row(i); want.Has(row) && l.entry(v, i, numbers, &e.buf) {
				out.Set(row)
			}
		}
		return
	}
	if v.Rows != nil {
		for i, x := range v.Nums {
			if n := int64(x); n >= lo && n <= hi && want.Has(int(v.Rows[i])) {
				out.Set(int(v.Rows[i]))
			}
		}
		return
	}
	for w := range out {
		var word uint64
		base := w * 64
		for i, x := range v.Nums[base:min(base+64, v.N)] {
			if n := int64(x); n >= lo && n <= hi {
				word |= 1 << i
			}
		}
		out[w] |= word & want[w]
	}
}

// intBounds returns the integers of an interval as [lo, hi].
func intBounds(v *match.Interval) (lo, hi int64, ok bool) {
	lo, hi = math.MinInt64, math.MaxInt64
	if v.Empty() {
		return 0, 0, false
	}
	if v.Min.Set {
		f := math.Ceil(v.Min.Float)
		switch {
		case v.Min.IsInt:
			lo = v.Min.Int
		case f >= 1<<63:
			return 0, 0, false
		case f > -(1 << 63):
			lo = int64(f)
		}
		if !(match.Interval{Min: v.Min}).HasInt(lo) {
			if lo == math.MaxInt64 {
				return 0, 0, false
			}
			lo++
		}
	}
	if v.Max.Set {
		f := math.Floor(v.Max.Float)
		switch {
		case v.Max.IsInt:
			hi = v.Max.Int
		case f < -(1 << 63):
			return 0, 0, false
		case f < 1<<63:
			hi = int64(f)
		}
		if !(match.Interval{Max: v.Max}).HasInt(hi) {
			if hi == math.MinInt64 {
				return 0, 0, false
			}
			hi--
		}
	}
	return lo, hi, lo <= hi
}

func (e *Evaluator) strings(l *leaf, v *block.Vector, numbers *match.Interval, want, out Bitmap) {
	switch p := l.p.(type) {
	case match.Eq:
		start := uint32(0)
		for i, end := range v.Ends {
			if int(end-start) == len(p.Value) && view(v.Data[start:end]) == p.Value {
				if row := v.Row(i); want.Has(row) {
					out.Set(row)
				}
			}
			start = end
		}
		return
	case match.Contains:
		if !p.Fold && p.Value != "" {
			e.holding(v, p.Value, func(i int) {
				if row := v.Row(i); want.Has(row) {
					out.Set(row)
				}
			})
			return
		}
	case match.Regex, match.Word:
		if l.needle != "" {
			e.holding(v, l.needle, func(i int) {
				if row := v.Row(i); want.Has(row) && l.text(view(v.Bytes(i)), numbers) {
					out.Set(row)
				}
			})
			return
		}
	}
	for i := range v.Ends {
		if row := v.Row(i); want.Has(row) && l.text(view(v.Bytes(i)), numbers) {
			out.Set(row)
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
