package applog

import (
	"time"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
)

// stamp reads the time at the start of b, in the notations that loggers write,
// and returns how many bytes it took; 0 means that there is none. ns is 0 when the
// notation names no day. A zone that is not named is UTC, and a year that is not
// named the latest in which the time is at most a day after now.
//
//	2006-01-02T15:04:05.000Z    ISO 8601, RFC 3339, Python (comma), PostgreSQL (zone by name)
//	2006-01-02  5:04:05         MariaDB, whose hours have no leading zero
//	2006/01/02 15:04:05         Go, nginx
//	06/01/02 15:04:05           log4j's short date (Spark)
//	060102 150405               HDFS
//	060102 15:04:05             MySQL before 5.7, MariaDB, Tornado
//	20060102-15:04:05:000       also with a space or T
//	01-02 15:04:05.000          Android; with a dot Proxifier
//	02/Jan/2006:15:04:05 -0700  common log format
//	02 Jan 2006 15:04:05.000    Redis; with dashes Tomcat, BIND
//	Jan  2 15:04:05             syslog
//	Jan 02, 2006 3:04:05 PM     java.util.logging
//	Mon Jan  2 15:04:05 2006    ctime; Apache, with a fraction before the year
//	1136214245.123              epoch with a fraction
//	15:04:05.000                no day
//
// A zone may stand behind it, as a number or by name (zone).
func stamp(b []byte, now int64) (ns int64, n int) {
	if len(b) < 8 {
		return 0, 0
	}
	if b[0]-'0' >= 10 {
		return letters(b, now)
	}
	if ns, n = facts.Stamp(b); n > 0 {
		return zoned(b, ns, n)
	}
	switch {
	case len(b) > 18 && b[4] == '-' && b[7] == '-' && b[10] == ' ' && b[11] == ' ':
		ns, n = dated(b, number(b[:4]), number(b[5:7]), number(b[8:10]), 10, ' ')
		return ns, n
	case b[2] == ':' && b[5] == ':':
		n = clock(b, &ns)
		return 0, n
	case len(b) < 13:
		return 0, 0
	case b[4] == '/' && b[7] == '/':
		return dated(b, number(b[:4]), number(b[5:7]), number(b[8:10]), 10, ' ')
	case b[2] == '/' && b[5] == '/':
		ns, n = dated(b, 2000+number(b[:2]), number(b[3:5]), number(b[6:8]), 8, ' ')
		if ns > now+int64(24*time.Hour) { // the day or the month stands first
			return 0, 0
		}
		return ns, n
	case (b[2] == '-' || b[2] == '.') && b[5] == ' ':
		return yearless(b, number(b[:2]), number(b[3:5]), 5, now)
	case b[2] == '/':
		return facts.ClockStamp(b)
	case (b[2] == ' ' || b[2] == '-') && len(b) >= 20 && (b[6] == ' ' || b[6] == '-'):
		return dated(b, number(b[7:11]), facts.Month(b[3:6]), number(b[:2]), 11, ' ')
	}
	return digits(b)
}

// digits reads the notations that begin with more digits than a year has.
func digits(b []byte) (ns int64, n int) {
	for n < len(b) && b[n]-'0' < 10 {
		n++
	}
	switch {
	case n == 8 && len(b) > 16 && (b[8] == '-' || b[8] == ' ' || b[8] == 'T'):
		if ns, n = dated(b, number(b[:4]), number(b[4:6]), number(b[6:8]), 8, b[8]); n == 0 {
			return loose(b)
		}
		return ns, n
	case n == 6 && len(b) > 14 && b[6] == ' ' && (b[9] == ':' || b[7] == ' '):
		return dated(b, 2000+number(b[:2]), number(b[2:4]), number(b[4:6]), 6, ' ')
	case n == 6 && len(b) > 13 && b[6] == ' ' && b[13] == ' ' && number(b[7:13]) >= 0:
		t := [8]byte{b[7], b[8], ':', b[9], b[10], ':', b[11], b[12]}
		if of := clock(t[:], &ns); of == 0 {
			return 0, 0
		}
		day, ok := date(2000+number(b[:2]), number(b[2:4]), number(b[4:6]))
		if !ok {
			return 0, 0
		}
		return day + ns, 13
	case n == 10 && n < len(b) && b[10] == '.':
		for n++; n < len(b) && b[n]-'0' < 10; n++ {
		}
		if ns, ok := facts.Time(b[:n]); ok {
			return ns, n
		}
	}
	return 0, 0
}

// letters reads the notations that begin with the name of a month or a day.
func letters(b []byte, now int64) (ns int64, n int) {
	if facts.Month(b) != 0 && b[3] == ' ' {
		if len(b) > 20 && b[6] == ',' {
			return halves(b)
		}
		return facts.MonthStamp(b, now)
	}
	if len(b) < 24 || !weekday(b[:3]) || b[3] != ' ' {
		return 0, 0
	}
	ns, n = facts.MonthStamp(b[4:], now)
	n += 4
	if n == 4 || n+5 > len(b) || b[n] != ' ' || number(b[n+1:n+5]) < 1970 {
		return 0, 0
	}
	t := time.Unix(0, ns).UTC()
	day, ok := date(number(b[n+1:n+5]), int(t.Month()), t.Day())
	if !ok {
		return 0, 0
	}
	return day + ns - t.Truncate(24*time.Hour).UnixNano(), n + 5
}

// halves reads Jan 02, 2006 3:04:05 PM.
func halves(b []byte) (ns int64, n int) {
	if b[7] != ' ' || b[12] != ' ' || len(b) < 23 {
		return 0, 0
	}
	day, ok := date(number(b[8:12]), facts.Month(b), number(b[4:6]))
	t := b[13:]
	var padded [8]byte
	if t[1] == ':' {
		padded[0] = '0'
		copy(padded[1:], t[:7])
		n = 7
	} else {
		copy(padded[:], t)
		n = 8
	}
	half := t[n:]
	if !ok || clock(padded[:], &ns) == 0 || len(half) < 3 || half[0] != ' ' || half[2] != 'M' || half[1] != 'A' && half[1] != 'P' {
		return 0, 0
	}
	switch hour := ns / 3600e9; {
	case hour == 12 && half[1] == 'A':
		ns -= 12 * 3600e9
	case hour < 12 && half[1] == 'P':
		ns += 12 * 3600e9
	case hour > 12:
		return 0, 0
	}
	return day + ns, 13 + n + 3
}

func weekday(b []byte) bool {
	switch string(b) {
	case "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun":
		return true
	}
	return false
}

// number reads digits; -1 when one of them is none.
func number(b []byte) int {
	n := 0
	for _, c := range b {
		if c -= '0'; c > 9 {
			return -1
		}
		n = n*10 + int(c)
	}
	return n
}

func date(y, m, d int) (ns int64, ok bool) {
	if y < 1970 || y > 2261 || m < 1 || m > 12 || d < 1 {
		return 0, false
	}
	t := time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC)
	return t.UnixNano(), t.Day() == d
}

// dated reads a clock after a date that was read up to at and a separator.
func dated(b []byte, y, m, d, at int, sep byte) (ns int64, n int) {
	day, ok := date(y, m, d)
	if !ok || at >= len(b) || b[at] != sep {
		return 0, 0
	}
	if t := b[at+1:]; len(t) > 7 && t[0] == ' ' && t[2] == ':' { // the hour has no leading zero
		padded := [8]byte{'0', t[1], t[2], t[3], t[4], t[5], t[6], t[7]}
		n = clock(padded[:], &ns)
	} else {
		n = clock(t, &ns)
	}
	if n == 0 {
		return 0, 0
	}
	return zoned(b, day+ns, n+at+1)
}

func yearless(b []byte, m, d, at int, now int64) (ns int64, n int) {
	const day = int64(24 * time.Hour)
	of := clock(b[at+1:], &ns)
	year := time.Unix(0, now+day).UTC().Year()
	start, ok := date(year, m, d)
	if ok && start+ns > now+day {
		start, ok = date(year-1, m, d)
	}
	if of == 0 || !ok {
		return 0, 0
	}
	return start + ns, at + 1 + of
}

// clock reads hh:mm:ss with an optional fraction after a dot, a comma or a colon.
func clock(b []byte, ns *int64) (n int) {
	if len(b) < 8 || b[2] != ':' || b[5] != ':' {
		return 0
	}
	h, m, s := number(b[:2]), number(b[3:5]), number(b[6:8])
	if h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 60 {
		return 0
	}
	*ns = int64(h*3600+m*60+s) * 1e9
	n = 8
	if n+1 < len(b) && (b[n] == '.' || b[n] == ',' || b[n] == ':') && b[n+1]-'0' < 10 {
		scale := int64(1e9)
		for n++; n < len(b) && b[n]-'0' < 10; n++ {
			if scale > 1 {
				scale /= 10
				*ns += int64(b[n]-'0') * scale
			}
		}
	}
	return n
}

// loose reads 20060102-15:4:5:6, whose parts after the day have no leading zeros;
// the last is milliseconds.
func loose(b []byte) (ns int64, n int) {
	day, ok := date(number(b[:4]), number(b[4:6]), number(b[6:8]))
	part, at := [4]int64{}, 0
	for n = 9; n < len(b) && at < 4; n++ {
		switch c := b[n]; {
		case c-'0' < 10:
			part[at] = part[at]*10 + int64(c-'0')
		case c == ':' && at < 3:
			at++
			continue
		default:
			if at < 3 {
				return 0, 0
			}
			at++
			n--
		}
		if at < 4 && part[at] > 999 {
			return 0, 0
		}
	}
	if !ok || at < 3 || part[0] > 23 || part[1] > 59 || part[2] > 60 {
		return 0, 0
	}
	return day + (part[0]*3600+part[1]*60+part[2])*1e9 + part[3]*1e6, n
}
