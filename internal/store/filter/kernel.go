package filter

import (
	"math"
	"math/bits"
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
	switch l.entries(v, *numbers, e.table, &e.buf) {
	case 0:
	case n:
		e.present(v, want, out)
	default:
		e.coded(v, e.table, want, out)
	}
}

// coded sets in out the rows of want whose entry is in table.
func (e *Evaluator) coded(v *block.Vector, table []bool, want, out Bitmap) {
	if cap(e.bits) < len(table) {
		e.bits = make([]uint8, len(table))
	}
	bit := e.bits[:len(table)]
	for i, ok := range table {
		bit[i] = 0
		if ok {
			bit[i] = 1
		}
	}
	if v.Rows == nil {
		for w := range out {
			if want[w] == 0 {
				continue
			}
			var word uint64
			base := w * 64
			for i, c := range v.Codes[base:min(base+64, v.N)] {
				word |= uint64(bit[c]) << i
			}
			out[w] |= word & want[w]
		}
		return
	}
	rows := v.Rows
	for i, c := range v.Codes[:len(rows)] {
		r := rows[i]
		out[r/64] |= uint64(bit[c]) << (r % 64) & want[r/64]
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
	span := uint64(hi) - uint64(lo)
	if v.Rows != nil {
		rows := v.Rows
		for i, x := range v.Nums[:len(rows)] {
			_, beyond := bits.Sub64(span, x-uint64(lo), 0)
			r := rows[i]
			out[r/64] |= (beyond ^ 1) << (r % 64) & want[r/64]
		}
		return
	}
	for w := range out {
		var word uint64
		base := w * 64
		if want[w] == 0 {
			continue
		}
		for i, x := range v.Nums[base:min(base+64, v.N)] {
			_, beyond := bits.Sub64(span, x-uint64(lo), 0)
			word |= (beyond ^ 1) << i
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
