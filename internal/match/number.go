package match

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/schema"
)

// Interval is the span of a Range in the unit of one stored column.
type Interval struct{ Min, Max Bound }

// HasInt reports whether i lies in the interval. The comparison is exact: an
// integer beyond 2^53 is never rounded.
func (v Interval) HasInt(i int64) bool {
	if v.Min.Set {
		c := v.Min.cmpInt(i)
		if c > 0 || c == 0 && !v.Min.Inclusive {
			return false
		}
	}
	if v.Max.Set {
		c := v.Max.cmpInt(i)
		if c < 0 || c == 0 && !v.Max.Inclusive {
			return false
		}
	}
	return true
}

// HasFloat reports whether f lies in the interval. NaN lies in none.
func (v Interval) HasFloat(f float64) bool {
	if math.IsNaN(f) {
		return false
	}
	if v.Min.Set {
		c := v.Min.cmpFloat(f)
		if c > 0 || c == 0 && !v.Min.Inclusive {
			return false
		}
	}
	if v.Max.Set {
		c := v.Max.cmpFloat(f)
		if c < 0 || c == 0 && !v.Max.Inclusive {
			return false
		}
	}
	return true
}

// Empty reports whether no number can lie in the interval (a bound is NaN, or
// Min is above Max).
func (v Interval) Empty() bool {
	if v.Min.Set && math.IsNaN(v.Min.Float) || v.Max.Set && math.IsNaN(v.Max.Float) {
		return true
	}
	if !v.Min.Set || !v.Max.Set {
		return false
	}
	var c int
	if v.Max.IsInt {
		c = v.Min.cmpInt(v.Max.Int)
	} else {
		c = v.Min.cmpFloat(v.Max.Float)
	}
	return c > 0 || c == 0 && !(v.Min.Inclusive && v.Max.Inclusive)
}

// cmpInt compares the bound with i: -1 when the bound is below i. A NaN bound
// is above everything as Min and below everything as Max, by IsNaN in cmp.
func (b Bound) cmpInt(i int64) int {
	if b.IsInt {
		switch {
		case b.Int < i:
			return -1
		case b.Int > i:
			return 1
		}
		return 0
	}
	return -cmpIntFloat(i, b.Float)
}

func (b Bound) cmpFloat(f float64) int {
	if b.IsInt {
		return cmpIntFloat(b.Int, f)
	}
	switch {
	case b.Float < f:
		return -1
	case b.Float > f:
		return 1
	}
	return 0
}

// cmpIntFloat compares i with f exactly; f is not NaN.
func cmpIntFloat(i int64, f float64) int {
	switch {
	case f >= 1<<63:
		return -1
	case f < -(1 << 63):
		return 1
	}
	t := math.Trunc(f)
	n := int64(t)
	switch {
	case i < n:
		return -1
	case i > n:
		return 1
	case f > t:
		return -1
	case f < t:
		return 1
	}
	return 0
}

// IntBound returns an exact bound.
func IntBound(i int64, inclusive bool) Bound {
	return Bound{Set: true, Inclusive: inclusive, IsInt: true, Int: i, Float: float64(i)}
}

// FloatBound returns a bound; a whole number within ±2^53 becomes exact.
func FloatBound(f float64, inclusive bool) Bound {
	if f == math.Trunc(f) && math.Abs(f) <= 1<<53 {
		return IntBound(int64(f), inclusive)
	}
	return Bound{Set: true, Inclusive: inclusive, Float: f}
}

// scaled returns b times num over den, exact where that is a whole number.
func (b Bound) scaled(num, den float64) Bound {
	if !b.Set || num == den {
		return b
	}
	if b.IsInt && num == math.Trunc(num) && den == math.Trunc(den) && den >= 1 && math.Abs(num) < 1<<53 {
		if n, ok := mulInt(b.Int, int64(num)); ok && n%int64(den) == 0 {
			n /= int64(den)
			return Bound{Set: true, Inclusive: b.Inclusive, IsInt: true, Int: n, Float: float64(n)}
		}
	}
	f := b.Float * num / den
	return Bound{Set: true, Inclusive: b.Inclusive, Float: f}
}

func mulInt(a, b int64) (int64, bool) {
	if a == 0 || b == 0 {
		return 0, true
	}
	if a == math.MinInt64 || b == math.MinInt64 {
		return 0, false
	}
	c := a * b
	return c, c/b == a
}

// Numbers returns the interval that a plain number of a column must lie in,
// where mul is what res.Match gave for that column.
//
// A bound without a unit is in the unit of the asked name. A bound with a unit
// is turned into the asked name's unit first; when that is not known, a plain
// number counts as nanoseconds or bytes.
func (p Range) Numbers(res *schema.Resolution, mul float64) Interval {
	num, den := mul, 1.0
	if p.Unit == Duration {
		if n := res.Unit.Nanos(); n > 0 {
			den = n
		}
	}
	return Interval{p.Min.scaled(num, den), p.Max.scaled(num, den)}
}

// HasText reports whether a text value lies in the range: as a plain number
// within numbers (see Numbers), or, when the range has a unit, as a duration
// ("250ms") or a size ("5KB").
func (p Range) HasText(s string, numbers Interval) bool {
	if i, f, isInt, ok := ParseNumber(s); ok {
		if isInt {
			return numbers.HasInt(i)
		}
		return numbers.HasFloat(f)
	}
	switch p.Unit {
	case Duration:
		if ns, ok := ParseDuration(s); ok {
			return Interval{p.Min, p.Max}.HasInt(ns)
		}
	case Bytes:
		if n, ok := ParseBytes(s); ok {
			return Interval{p.Min, p.Max}.HasInt(n)
		}
	}
	return false
}

// maxNumber is the longest text that is read as a number.
const maxNumber = 64

// ParseNumber reads a plain decimal number: sign, digits, fraction, exponent.
// Neither NaN, infinities, hexadecimal nor surrounding space are numbers.
func ParseNumber(s string) (i int64, f float64, isInt, ok bool) {
	if len(s) == 0 || len(s) > maxNumber {
		return 0, 0, false, false
	}
	n := 0
	if s[0] == '-' || s[0] == '+' {
		n = 1
	}
	start := n
	n += digits(s[n:])
	whole := n - start
	if n == len(s) && whole > 0 {
		if i, err := strconv.ParseInt(s, 10, 64); err == nil {
			return i, float64(i), true, true
		}
	}
	frac := 0
	if n < len(s) && s[n] == '.' {
		frac = digits(s[n+1:])
		n += 1 + frac
	}
	if whole+frac == 0 {
		return 0, 0, false, false
	}
	if n < len(s) && (s[n] == 'e' || s[n] == 'E') {
		n++
		if n < len(s) && (s[n] == '-' || s[n] == '+') {
			n++
		}
		d := digits(s[n:])
		if d == 0 {
			return 0, 0, false, false
		}
		n += d
	}
	if n != len(s) {
		return 0, 0, false, false
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(f, 0) {
		return 0, 0, false, false
	}
	return 0, f, false, true
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// ParseDuration reads a duration with units: those of Go ("1h15m", "250ms")
// and d, w, y of 24 hours, 7 days and 365 days. A plain number is none.
func ParseDuration(s string) (ns int64, ok bool) {
	if len(s) < 2 || len(s) > maxNumber {
		return 0, false
	}
	if d, err := time.ParseDuration(s); err == nil {
		return int64(d), s != "+0" && s != "-0"
	}
	neg := false
	if s[0] == '-' || s[0] == '+' {
		neg = s[0] == '-'
		s = s[1:]
	}
	var total int64
	for s != "" {
		n := digits(s)
		if n == 0 || n == len(s) {
			return 0, false
		}
		v, err := strconv.ParseInt(s[:n], 10, 64)
		if err != nil {
			return 0, false
		}
		unit := int64(0)
		switch s[n] {
		case 'y':
			unit = 365 * 24 * int64(time.Hour)
		case 'w':
			unit = 7 * 24 * int64(time.Hour)
		case 'd':
			unit = 24 * int64(time.Hour)
		}
		if unit == 0 { // the rest is Go's
			d, err := time.ParseDuration(s)
			if err != nil || total == 0 {
				return 0, false
			}
			v, unit, n = int64(d), 1, len(s)-1
		}
		p, ok := mulInt(v, unit)
		if !ok || total+p < total {
			return 0, false
		}
		total += p
		s = s[n+1:]
	}
	if neg {
		total = -total
	}
	return total, true
}

var byteUnits = map[string]float64{
	"b": 1, "k": 1e3, "kb": 1e3, "m": 1e6, "mb": 1e6, "g": 1e9, "gb": 1e9, "t": 1e12, "tb": 1e12, "p": 1e15, "pb": 1e15,
	"ki": 1 << 10, "kib": 1 << 10, "mi": 1 << 20, "mib": 1 << 20, "gi": 1 << 30, "gib": 1 << 30,
	"ti": 1 << 40, "tib": 1 << 40, "pi": 1 << 50, "pib": 1 << 50,
}

// ParseBytes reads a size with a unit: "5KB" and "5 kB" are 5,000 bytes,
// "5KiB" 5,120. A plain number is none.
func ParseBytes(s string) (n int64, ok bool) {
	if len(s) < 2 || len(s) > maxNumber {
		return 0, false
	}
	i := len(s)
	for i > 0 && (s[i-1] >= 'a' && s[i-1] <= 'z' || s[i-1] >= 'A' && s[i-1] <= 'Z') {
		i--
	}
	unit, found := byteUnits[strings.ToLower(s[i:])]
	if !found {
		return 0, false
	}
	_, f, _, ok := ParseNumber(strings.TrimSuffix(s[:i], " "))
	if !ok || math.Abs(f*unit) >= 1<<63 {
		return 0, false
	}
	return int64(f * unit), true
}
