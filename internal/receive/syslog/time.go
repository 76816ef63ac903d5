package syslog

import (
	"time"
)

// stamp reads what begins as YYYY-MM-DD, T or a space, hh:mm:ss, a fraction of up
// to nine digits (more are not looked at), and a zone: Z, ±hh:mm, ±hhmm or none.
// n is the length of what was read, 0 if it is no time. zoned is false when no
// zone was there: ns is then what the clock on the wall shows, as if in UTC.
func stamp(b []byte) (ns int64, n int, zoned bool) {
	if len(b) < 19 || b[4] != '-' || b[7] != '-' || b[10] != 'T' && b[10] != ' ' {
		return 0, 0, false
	}
	year, a := digits(b[0:4])
	month, c := digits(b[5:7])
	day, d := digits(b[8:10])
	of, e := clock(b[11:19])
	if !a || !c || !d || !e || year < 1678 || year > 2261 || month < 1 || day < 1 || day > monthDays(year, month) {
		return 0, 0, false
	}
	frac, m := fraction(b[19:])
	n = 19 + m
	offset, z := zone(b[n:])
	ns = (days(year, month, day)*86400+of-offset)*1e9 + frac
	return ns, n + z, z > 0
}

// clock reads hh:mm:ss, a leap second included, as seconds of the day.
func clock(b []byte) (int64, bool) {
	if len(b) < 8 || b[2] != ':' || b[5] != ':' {
		return 0, false
	}
	h, ok1 := digits(b[0:2])
	m, ok2 := digits(b[3:5])
	s, ok3 := digits(b[6:8])
	if !ok1 || !ok2 || !ok3 || h > 23 || m > 59 || s > 60 {
		return 0, false
	}
	return h*3600 + m*60 + s, true
}

// fraction reads a point or comma and digits as nanoseconds.
func fraction(b []byte) (ns int64, n int) {
	if len(b) < 2 || b[0] != '.' && b[0] != ',' || b[1] < '0' || b[1] > '9' {
		return 0, 0
	}
	scale := int64(1e8)
	for n = 1; n < len(b) && b[n] >= '0' && b[n] <= '9'; n++ {
		ns += int64(b[n]-'0') * scale
		scale /= 10
	}
	return ns, n
}

// zone reads Z or an offset as seconds east of UTC.
func zone(b []byte) (offset int64, n int) {
	if len(b) == 0 {
		return 0, 0
	}
	if b[0] == 'Z' || b[0] == 'z' {
		return 0, 1
	}
	if b[0] != '+' && b[0] != '-' || len(b) < 5 {
		return 0, 0
	}
	h, ok := digits(b[1:3])
	at := 3
	if b[3] == ':' {
		at = 4
	}
	if !ok || h > 23 || len(b) < at+2 {
		return 0, 0
	}
	m, ok := digits(b[at : at+2])
	if !ok || m > 59 {
		return 0, 0
	}
	offset = h*3600 + m*60
	if b[0] == '-' {
		offset = -offset
	}
	return offset, at + 2
}

func digits(b []byte) (n int64, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, len(b) > 0
}

// days returns the days since 1970-01-01 of a date of the Gregorian calendar
// (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
func days(y, m, d int64) int64 {
	if m <= 2 {
		y--
		m += 12
	}
	era := y / 400
	yoe := y - era*400
	doy := (153*(m-3)+2)/5 + d - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return era*146097 + doe - 719468
}

var lengths = [...]int64{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

func monthDays(y, m int64) int64 {
	if m < 1 || m > 12 {
		return 0
	}
	if m == 2 && y%4 == 0 && (y%100 != 0 || y%400 == 0) {
		return 29
	}
	return lengths[m-1]
}

// month reads the three letters of a month's English name.
func month(b []byte) int64 {
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

// walls turns what clocks on the wall show into times. It remembers the last
// minute it was asked for: senders write one after the other.
type walls struct {
	loc *time.Location
	now time.Time // when the batch was read

	minute int64 // the wall's minute, in minutes since 1970 as if in UTC
	base   int64 // that minute, in seconds since 1970
	valid  bool
}

// at returns the time at which clocks in the zone show wall (nanoseconds, as if
// in UTC).
func (w *walls) at(wall int64) int64 {
	sec, frac := wall/1e9, wall%1e9
	if frac < 0 {
		sec, frac = sec-1, frac+1e9
	}
	minute := sec / 60
	if sec < 0 {
		minute = (sec - 59) / 60
	}
	if !w.valid || minute != w.minute {
		t := time.Unix(minute*60, 0).UTC()
		local := time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), 0, 0, w.loc)
		w.minute, w.base, w.valid = minute, local.Unix(), true
	}
	return (w.base+sec-minute*60)*1e9 + frac
}

// ahead is how far the clock of a sender may be ahead of ours, its time zone
// included, before a date without a year is taken to be of the year before.
const ahead = 2 * 86400

// year returns the year of a date that came without one: the latest in which it is
// not in the future. So a record of December that arrives in January is of the
// last year, and a clock that is ahead at the end of December writes of the next.
// 0 if there is none, for 30 February.
func (w *walls) year(m, d, of int64) int64 {
	now := w.now.Unix() + ahead
	for y := int64(w.now.Year()) + 1; y > int64(w.now.Year())-9; y-- {
		if d <= monthDays(y, m) && days(y, m, d)*86400+of <= now {
			return y
		}
	}
	return 0
}

// bsd reads the time of RFC 3164, Mmm dd hh:mm:ss with the day padded by a space
// or a zero, and what devices make of it: a year before the month, after the day
// or after the time, a fraction, and the name of a zone. n is 0 if it is no time.
func (w *walls) bsd(b []byte) (ns int64, n int) {
	p := b
	var year int64
	if len(p) > 5 && p[4] == ' ' && month(p[5:]) > 0 {
		if year, _ = digits(p[:4]); year == 0 {
			return 0, 0
		}
		p = p[5:]
	}
	m := month(p)
	if m == 0 || len(p) < 14 || p[3] != ' ' {
		return 0, 0
	}
	p = p[4:]
	if p[0] == ' ' {
		p = p[1:]
	}
	day := int64(0)
	for len(p) > 0 && p[0] >= '0' && p[0] <= '9' && day < 10 {
		day, p = day*10+int64(p[0]-'0'), p[1:]
	}
	if day < 1 || day > 31 || len(p) < 9 || p[0] != ' ' {
		return 0, 0
	}
	p = p[1:]
	if year == 0 && len(p) > 5 && p[4] == ' ' {
		if y, ok := digits(p[:4]); ok {
			year, p = y, p[5:]
		}
	}
	of, ok := clock(p)
	if !ok {
		return 0, 0
	}
	frac, f := fraction(p[8:])
	p = p[8+f:]
	if year == 0 && len(p) >= 6 && p[0] == ' ' && p[1] == '2' && p[2] == '0' && (p[5] == ' ' || p[5] == ':') {
		if y, ok := digits(p[1:5]); ok {
			year, p = y, p[5:]
		}
	}
	if year == 0 {
		year = w.year(m, day, of)
	}
	if year < 1678 || year > 2261 || day > monthDays(year, m) {
		return 0, 0
	}
	wall := (days(year, m, day)*86400+of)*1e9 + frac
	utc, z := zoneName(p)
	if utc {
		return wall, len(b) - len(p) + z
	}
	return w.at(wall), len(b) - len(p) + z
}

// zoneName reads a space and two to five capital letters before a colon, as
// Cisco's devices write the zone. Only the names of UTC say what time it is: the
// others mean different zones in different countries, so they are left to the
// configuration.
func zoneName(p []byte) (utc bool, n int) {
	if len(p) < 4 || p[0] != ' ' {
		return false, 0
	}
	i := 1
	for i < len(p) && p[i] >= 'A' && p[i] <= 'Z' {
		i++
	}
	if i < 3 || i > 6 || i == len(p) || p[i] != ':' {
		return false, 0
	}
	switch string(p[1:i]) {
	case "UTC", "GMT":
		return true, i
	}
	return false, i
}
