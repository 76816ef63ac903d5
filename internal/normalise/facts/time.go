package facts

import (
	"math"
	"time"
)

// Times outside these years are mistakes of the sender or of the reader.
var (
	earliest = time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	latest   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
)

// Plausible reports whether ns may be a record's time.
func Plausible(ns int64) bool { return ns >= earliest && ns < latest }

// Epoch reads a number of seconds, milliseconds, microseconds or nanoseconds
// since the Unix epoch, told apart by size.
func Epoch(n int64) (ns int64, ok bool) {
	switch {
	case n < 1e8:
		return 0, false
	case n < 1e11:
		n *= 1e9
	case n < 1e14:
		n *= 1e6
	case n < 1e17:
		n *= 1e3
	}
	return n, Plausible(n)
}

// EpochFloat is Epoch for a number with a fraction.
func EpochFloat(f float64) (ns int64, ok bool) {
	if math.IsNaN(f) || f < 1e8 || f > 1e19 {
		return 0, false
	}
	mul := 1.0
	switch {
	case f < 1e11:
		mul = 1e9
	case f < 1e14:
		mul = 1e6
	case f < 1e17:
		mul = 1e3
	}
	whole, frac := math.Modf(f)
	if whole*mul >= math.MaxInt64 {
		return 0, false
	}
	n := int64(whole)*int64(mul) + int64(math.Round(frac*mul))
	return n, Plausible(n)
}

// Time reads RFC 3339 (a space or T, any fraction, a zone, or none: UTC) or an
// epoch number as text.
func Time(b []byte) (ns int64, ok bool) {
	if ns, n := Stamp(b); n > 0 {
		if n == len(b) {
			return ns, Plausible(ns)
		}
		seconds, ok := zoneBehind(b[n:])
		ns -= seconds * 1e9
		return ns, ok && Plausible(ns)
	}
	return epochText(b)
}

func epochText(b []byte) (int64, bool) {
	if len(b) < 9 || len(b) > 30 {
		return 0, false
	}
	var whole int64
	i := 0
	for i < len(b) && b[i]-'0' < 10 && i < 19 {
		whole = whole*10 + int64(b[i]-'0')
		i++
	}
	if i == len(b) {
		return Epoch(whole)
	}
	if b[i] != '.' || whole < 1e8 || whole >= 1e11 {
		return 0, false
	}
	var frac, scale int64 = 0, 1e9
	for i++; i < len(b); i++ {
		if b[i]-'0' >= 10 {
			return 0, false
		}
		if scale > 1 {
			scale /= 10
			frac += int64(b[i]-'0') * scale
		}
	}
	ns := whole*1e9 + frac
	return ns, Plausible(ns)
}

// Stamp reads an RFC 3339 time at the start of b and returns how many bytes it
// took; 0 means that there is none. A time without a zone is UTC.
func Stamp(b []byte) (ns int64, n int) {
	if len(b) < 19 || b[4] != '-' || b[7] != '-' || b[10] != 'T' && b[10] != ' ' && b[10] != 't' || b[13] != ':' || b[16] != ':' {
		return 0, 0
	}
	// bad is negative as soon as one of the fourteen is no digit.
	cc, bad0 := pair(b[0], b[1])
	yy, bad1 := pair(b[2], b[3])
	mo, bad2 := pair(b[5], b[6])
	d, bad3 := pair(b[8], b[9])
	h, bad4 := pair(b[11], b[12])
	mi, bad5 := pair(b[14], b[15])
	s, bad6 := pair(b[17], b[18])
	y, bad := cc*100+yy, bad0|bad1|bad2|bad3|bad4|bad5|bad6
	if bad < 0 || mo < 1 || mo > 12 || d < 1 || d > daysIn(y, mo) || h > 23 || mi > 59 || s > 60 || y < 1678 || y > 2261 {
		return 0, 0
	}
	n = 19
	var frac int64
	if n+1 < len(b) && (b[n] == '.' || b[n] == ',') && b[n+1]-'0' < 10 {
		digits := 0
		for n++; n < len(b) && b[n]-'0' < 10; n++ {
			if digits < 9 {
				frac = frac*10 + int64(b[n]-'0')
				digits++
			}
		}
		frac *= scales[digits]
	}
	zone, n := zone(b, n)
	sec := days(y, mo, d)*86400 + int64(h*3600+mi*60+s) - zone
	return sec*1e9 + frac, n
}

// scales turn a fraction of so many digits into nanoseconds.
var scales = [...]int64{1e9, 1e8, 1e7, 1e6, 1e5, 1e4, 1e3, 1e2, 1e1, 1}

// zoneBehind reads all of what stands behind a time and a space: UTC, +0200,
// +02:00, and +0200 CEST as Go's time.Time prints it.
func zoneBehind(b []byte) (seconds int64, ok bool) {
	if len(b) < 2 || b[0] != ' ' {
		return 0, false
	}
	b = b[1:]
	if string(b) == "UTC" || string(b) == "GMT" || string(b) == "Z" {
		return 0, true
	}
	seconds, n := zone(b, 0)
	if n < 5 {
		return 0, false
	}
	for i, c := range b[n:] {
		if i == 0 && c != ' ' || i > 0 && c-'A' >= 26 && c-'0' >= 10 && c != '+' && c != '-' || i > 6 {
			return 0, false
		}
	}
	return seconds, true
}

// zone reads Z, ±hh:mm or ±hhmm at n; without one the time is UTC.
func zone(b []byte, n int) (seconds int64, end int) {
	if n >= len(b) {
		return 0, n
	}
	switch b[n] {
	case 'Z', 'z':
		return 0, n + 1
	case '+', '-':
		h, ok := two(b, n+1)
		m, end := n+3, 0
		if m < len(b) && b[m] == ':' {
			m++
		}
		mm, ok2 := two(b, m)
		end = m + 2
		if !ok || !ok2 || h > 23 || mm > 59 {
			return 0, n
		}
		seconds = int64(h*3600 + mm*60)
		if b[n] == '-' {
			seconds = -seconds
		}
		return seconds, end
	}
	return 0, n
}

// pair reads two digits; bad is negative when one of them is none.
func pair(tens, ones byte) (n, bad int) {
	a, b := int(tens)-'0', int(ones)-'0'
	return a*10 + b, a | b | (9 - a) | (9 - b)
}

func two(b []byte, i int) (int, bool) {
	if i+2 > len(b) || b[i]-'0' > 9 || b[i+1]-'0' > 9 {
		return 0, false
	}
	return int(b[i]-'0')*10 + int(b[i+1]-'0'), true
}

func daysIn(y, m int) int {
	switch m {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// days counts days since 1970-01-01 in the proleptic Gregorian calendar
// (Hinnant, chrono-compatible low-level date algorithms).
func days(y, m, d int) int64 {
	if m <= 2 {
		y--
	}
	era := y / 400
	yoe := y - era*400
	mp := (m + 9) % 12
	doy := (153*mp+2)/5 + d - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return int64(era)*146097 + int64(doe) - 719468
}

// Span reads a duration in Go's notation, "12ms" or "1m3.5s", without a sign. A
// number without a unit is none, but 0.
func Span(b []byte) (ns int64, ok bool) {
	if string(b) == "0" {
		return 0, true
	}
	for len(b) > 0 {
		var whole, frac, scale int64 = 0, 0, 1
		i, digits := 0, 0
		for ; i < len(b) && b[i]-'0' < 10; i++ {
			if digits++; digits > 15 {
				return 0, false
			}
			whole = whole*10 + int64(b[i]-'0')
		}
		if i < len(b) && b[i] == '.' {
			for i++; i < len(b) && b[i]-'0' < 10; i++ {
				digits++
				if scale < 1e9 {
					frac, scale = frac*10+int64(b[i]-'0'), scale*10
				}
			}
		}
		unit, n := spanUnit(b[i:])
		if digits == 0 || n == 0 || whole > math.MaxInt64/unit/2 {
			return 0, false
		}
		part := whole*unit + int64(float64(frac)*(float64(unit)/float64(scale)))
		if ns += part; ns < 0 {
			return 0, false
		}
		b = b[i+n:]
		ok = true
	}
	return ns, ok
}

func spanUnit(b []byte) (ns int64, n int) {
	two := func(s string) bool { return len(b) >= len(s) && string(b[:len(s)]) == s }
	switch {
	case two("ns"):
		return 1, 2
	case two("us"):
		return 1e3, 2
	case two("µs"), two("μs"):
		return 1e3, 3
	case two("ms"):
		return 1e6, 2
	case two("s"):
		return 1e9, 1
	case two("m"):
		return 60e9, 1
	case two("h"):
		return 3600e9, 1
	}
	return 0, 0
}

// MonthStamp reads the time of RFC 3164, "Jan  2 15:04:05" with an optional
// fraction, at the start of b, and returns how many bytes it took; 0 means that
// there is none. It names no year and no zone: the year is the latest in which
// the time is at most a day after now, the zone UTC.
func MonthStamp(b []byte, now int64) (ns int64, n int) {
	n = 15
	if len(b) >= 14 && b[5] == ' ' { // a day of one digit, and nothing before it
		n = 14
	}
	if len(b) < n || b[3] != ' ' || b[n-9] != ' ' || b[n-6] != ':' || b[n-3] != ':' {
		return 0, 0
	}
	mo := Month(b[:3])
	d, ok := two(b, 4)
	if b[4] == ' ' || n == 14 {
		d, ok = int(b[n-10])-'0', b[n-10]-'0' < 10
	}
	h, ok1 := two(b, n-8)
	mi, ok2 := two(b, n-5)
	s, ok3 := two(b, n-2)
	if mo == 0 || !ok || !ok1 || !ok2 || !ok3 || d < 1 || d > 31 || h > 23 || mi > 59 || s > 60 {
		return 0, 0
	}
	frac, scale := int64(0), int64(1e9)
	if n+1 < len(b) && b[n] == '.' && b[n+1]-'0' < 10 {
		for n++; n < len(b) && b[n]-'0' < 10; n++ {
			if scale > 1 {
				scale /= 10
				frac += int64(b[n]-'0') * scale
			}
		}
	}
	const day = int64(24 * time.Hour)
	for year := time.Unix(0, now+day).UTC().Year(); ; year-- {
		if d > daysIn(year, mo) { // the 29th of February
			if year < 1970 {
				return 0, 0
			}
			continue
		}
		ns = (days(year, mo, d)*86400+int64(h*3600+mi*60+s))*1e9 + frac
		if ns <= now+day || year < 1970 {
			return ns, n
		}
	}
}

// Month returns the month of its first three letters in English, 1 to 12, or 0.
func Month(b []byte) int {
	if len(b) < 3 {
		return 0
	}
	switch string(b[:3]) {
	case "Jan":
		return 1
	case "Feb":
		return 2
	case "Mar":
		return 3
	case "Apr":
		return 4
	case "May":
		return 5
	case "Jun":
		return 6
	case "Jul":
		return 7
	case "Aug":
		return 8
	case "Sep":
		return 9
	case "Oct":
		return 10
	case "Nov":
		return 11
	case "Dec":
		return 12
	}
	return 0
}

// ClockStamp reads the time of Apache's common log format, "02/Jan/2006:15:04:05
// -0700" with an optional fraction (HAProxy) and an optional zone, UTC without
// one, at the start of b, and returns how many bytes it took; 0 means none.
func ClockStamp(b []byte) (ns int64, n int) {
	if len(b) < 20 || b[2] != '/' || b[6] != '/' || b[11] != ':' || b[14] != ':' || b[17] != ':' {
		return 0, 0
	}
	d, ok0 := two(b, 0)
	cc, ok1 := two(b, 7)
	yy, ok2 := two(b, 9)
	h, ok3 := two(b, 12)
	mi, ok4 := two(b, 15)
	s, ok5 := two(b, 18)
	y, mo := cc*100+yy, Month(b[3:6])
	if !ok0 || !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || mo == 0 || y < 1970 || y > 2261 || d < 1 || d > daysIn(y, mo) || h > 23 || mi > 59 || s > 60 {
		return 0, 0
	}
	n = 20
	frac, scale := int64(0), int64(1e9)
	if n+1 < len(b) && b[n] == '.' && b[n+1]-'0' < 10 {
		for n++; n < len(b) && b[n]-'0' < 10; n++ {
			if scale > 1 {
				scale /= 10
				frac += int64(b[n]-'0') * scale
			}
		}
	}
	off := int64(0)
	if n+1 < len(b) && b[n] == ' ' && (b[n+1] == '+' || b[n+1] == '-') {
		if sec, end := zone(b, n+1); end > n+1 {
			off, n = sec, end
		}
	}
	return (days(y, mo, d)*86400+int64(h*3600+mi*60+s)-off)*1e9 + frac, n
}
