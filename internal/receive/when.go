package receive

import (
	"math"
	"time"
)

// Bounds of what is taken for a time: numbers below are counters, above they are
// beyond what nanoseconds can say.
const (
	minEpoch = 1e8 // 1973, in seconds
	maxEpoch = 9.2e18
)

// Epoch returns the nanoseconds of a time since 1970 whose unit its size tells:
// seconds below 1e11, then milli-, micro- and nanoseconds. It returns 0 for what
// cannot be a time.
func Epoch(n int64) int64 {
	if n < minEpoch {
		return 0
	}
	unit := unitOf(n)
	if n > math.MaxInt64/unit {
		return 0
	}
	return n * unit
}

// unitOf returns the nanoseconds of the unit that the size of a time tells.
func unitOf(n int64) int64 {
	switch {
	case n < 1e11:
		return 1e9
	case n < 1e14:
		return 1e6
	case n < 1e17:
		return 1e3
	}
	return 1
}

// When returns the nanoseconds of a time in text: a number as Epoch takes it,
// with a fraction that keeps its digits, or RFC 3339 with or without a zone. It
// returns 0 for anything else, and allocates nothing for what it understands.
func When(b []byte) int64 {
	if len(b) == 0 || len(b) > 64 {
		return 0
	}
	if c := b[0]; (c < '0' || c > '9') && c != '-' && c != '+' {
		return 0
	}
	if len(b) > 5 && b[4] == '-' {
		return stamp(b)
	}
	return number(b)
}

// number reads 1426279439, 1426279439.123 or 1.426279439e9.
func number(b []byte) int64 {
	var whole int64
	i := 0
	for ; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		if i == 19 {
			return 0
		}
		d := int64(b[i] - '0')
		if whole > (math.MaxInt64-d)/10 {
			return 0
		}
		whole = whole*10 + d
	}
	if i == len(b) {
		return Epoch(whole)
	}
	if b[i] == 'e' || b[i] == 'E' || b[i] == '.' && i+1 < len(b) {
		return fraction(b, i, whole)
	}
	return 0
}

// fraction adds what follows the whole part at i, whose unit is that of whole.
func fraction(b []byte, i int, whole int64) int64 {
	ns, unit := Epoch(whole), unitOf(whole)
	if b[i] == '.' {
		for i++; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
			unit /= 10
			ns += int64(b[i]-'0') * unit
		}
	}
	if i == len(b) {
		if Epoch(whole) == 0 || ns < 0 {
			return 0
		}
		return ns
	}
	return exponent(b, i)
}

// exponent reads a number that some libraries write for a float: 1.426279439E9.
func exponent(b []byte, i int) int64 {
	if b[i] != 'e' && b[i] != 'E' {
		return 0
	}
	mantissa, scale, dot := 0.0, 1.0, false
	for _, c := range b[:i] {
		switch {
		case c == '.':
			dot = true
		case dot:
			scale /= 10
			mantissa += float64(c-'0') * scale
		default:
			mantissa = mantissa*10 + float64(c-'0')
		}
	}
	exp := 0
	for i++; i < len(b); i++ {
		switch c := b[i]; {
		case c == '+':
		case c < '0' || c > '9' || exp > 18:
			return 0
		default:
			exp = exp*10 + int(c-'0')
		}
	}
	f := mantissa * math.Pow10(exp)
	switch {
	case f < minEpoch || f > maxEpoch || f > maxEpoch/1e9 && f < 1e11:
		return 0
	case f < 1e11: // seconds: keep the milliseconds that a float can say
		return int64(math.Round(f*1e3)) * 1e6
	}
	return Epoch(int64(f))
}

func stamp(b []byte) int64 {
	s := Str(b)
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999Z0700"} {
		if len(b) > 10 && b[10] != layout[10] {
			continue
		}
		t, err := time.Parse(layout, s)
		if err == nil {
			if y := t.Year(); y < 1973 || y > 2261 {
				return 0
			}
			return t.UnixNano()
		}
	}
	return 0
}
