package elastic

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Times outside of this range are cut to it: the engine asks for no others.
const (
	minTime = -1 << 62
	maxTime = 1 << 62
)

// A dateReader reads dates as Elasticsearch writes them.
type dateReader struct {
	now    time.Time
	zone   *time.Location
	format string // "": strict_date_optional_time||epoch_millis
}

// A moment is the span of time that a date names: "2026-11" is a month, and a
// rounded "now/d" is a day. An exact date spans a millisecond or a nanosecond.
type moment struct{ from, to int64 }

// layouts of dates, and how long what they name is.
var layouts = []struct {
	layout string
	end    func(time.Time) time.Time
}{
	{"2006", func(t time.Time) time.Time { return t.AddDate(1, 0, 0) }},
	{"2006-01", func(t time.Time) time.Time { return t.AddDate(0, 1, 0) }},
	{"2006-01-02", func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }},
	{"2006-01-02T15", func(t time.Time) time.Time { return t.Add(time.Hour) }},
	{"2006-01-02T15:04", func(t time.Time) time.Time { return t.Add(time.Minute) }},
	{"2006-01-02T15:04:05", func(t time.Time) time.Time { return t.Add(time.Second) }},
}

// read reads a date or an expression of date math: "now-1h/d",
// "2026-11-20||+1M/M", 1700000000000, "2026-11-20T12:00:00.5+01:00".
func (d *dateReader) read(s string) (moment, error) {
	s = strings.TrimSpace(s)
	if len(s) > 100 {
		return moment{}, badf("parse_exception", "failed to parse date field [%s]", short(s))
	}
	if rest, ok := strings.CutPrefix(s, "now"); ok {
		return d.math(d.now, rest, s)
	}
	if date, rest, ok := strings.Cut(s, "||"); ok {
		m, err := d.plain(date)
		if err != nil {
			return m, err
		}
		if rest == "" {
			return m, nil
		}
		return d.math(time.Unix(0, m.from), rest, s)
	}
	return d.plain(s)
}

func (d *dateReader) bad(s string) error {
	format := d.format
	if format == "" {
		format = "strict_date_optional_time||epoch_millis"
	}
	return badf("parse_exception", "failed to parse date field [%s] with format [%s]", short(s), short(format))
}

// plain reads a date without arithmetic.
func (d *dateReader) plain(s string) (moment, error) {
	seconds := strings.Contains(d.format, "epoch_second")
	epoch := seconds || d.format == "" || strings.Contains(d.format, "epoch_millis")
	if f, err := strconv.ParseFloat(s, 64); err == nil && epoch && !math.IsNaN(f) && (len(s) != 4 || strings.HasPrefix(d.format, "epoch")) {
		unit := int64(time.Millisecond)
		if seconds {
			unit = int64(time.Second)
		}
		if n, err := strconv.ParseInt(s, 10, 64); err == nil && n > minTime/unit && n < maxTime/unit {
			return moment{n * unit, n*unit + unit}, nil
		}
		ns := math.Floor(f * float64(unit))
		if ns < minTime || ns > maxTime {
			return moment{}, d.bad(s)
		}
		return moment{int64(ns), int64(ns) + 1}, nil
	}
	zone := d.zone
	if zone == nil {
		zone = time.UTC
	}
	text := strings.Replace(s, " ", "T", 1)
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return d.instant(t, text)
	}
	if n := len(text); n > 5 && (text[n-5] == '+' || text[n-5] == '-') && strings.Contains(text, "T") {
		if t, err := time.Parse("2006-01-02T15:04:05.999999999Z0700", text); err == nil {
			return d.instant(t, text)
		}
	}
	text = strings.TrimSuffix(text, "Z")
	if len(text) < len(s) && !strings.Contains(text, "T") {
		return moment{}, d.bad(s)
	}
	if strings.HasSuffix(s, "Z") {
		zone = time.UTC
	}
	for _, l := range layouts {
		if t, err := time.ParseInLocation(l.layout, text, zone); err == nil {
			if strings.Contains(text, ".") { // a layout without a fraction reads one as well
				return d.instant(t, text)
			}
			return d.bounded(t, l.end(t), s)
		}
	}
	return moment{}, d.bad(s)
}

// instant is a date with seconds, and perhaps a fraction: one of up to three
// digits names a millisecond, a longer one a nanosecond.
func (d *dateReader) instant(t time.Time, s string) (moment, error) {
	_, fraction, ok := strings.Cut(s, ".")
	digits := 0
	for digits < len(fraction) && fraction[digits] >= '0' && fraction[digits] <= '9' {
		digits++
	}
	switch {
	case !ok:
		return d.bounded(t, t.Add(time.Second), s)
	case digits <= 3:
		return d.bounded(t, t.Add(time.Millisecond), s)
	}
	return d.bounded(t, t.Add(1), s)
}

func (d *dateReader) bounded(from, to time.Time, s string) (moment, error) {
	if from.Year() < 1824 || to.Year() > 2115 { // within minTime and maxTime
		return moment{}, d.bad(s)
	}
	return moment{from.UnixNano(), to.UnixNano()}, nil
}

// math applies "+1d-2h/d" to t.
func (d *dateReader) math(t time.Time, ops, all string) (moment, error) {
	zone := d.zone
	if zone == nil {
		zone = time.UTC
	}
	t = t.In(zone)
	end := t.Add(1)
	for n := 0; ops != ""; n++ {
		if n == 20 {
			return moment{}, d.bad(all)
		}
		op := ops[0]
		ops = ops[1:]
		i := 0
		for i < len(ops) && ops[i] >= '0' && ops[i] <= '9' {
			i++
		}
		count, err := 1, error(nil)
		if i > 0 {
			count, err = strconv.Atoi(ops[:i])
		}
		if err != nil || count > 1e9 || i == len(ops) || op == '/' && i > 0 {
			return moment{}, d.bad(all)
		}
		unit := ops[i]
		ops = ops[i+1:]
		var ok bool
		switch op {
		case '+':
			t, ok = shift(t, count, unit)
			end = t.Add(1)
		case '-':
			t, ok = shift(t, -count, unit)
			end = t.Add(1)
		case '/':
			t, ok = floor(t, unit)
			end, _ = shift(t, 1, unit)
		}
		if !ok {
			return moment{}, d.bad(all)
		}
	}
	return d.bounded(t, end, all)
}

// shift moves t by n units: y M w d h H m s.
func shift(t time.Time, n int, unit byte) (time.Time, bool) {
	days := 200 * 366
	switch unit {
	case 'y':
		return t.AddDate(clamp(n, 300), 0, 0), true
	case 'M':
		return t.AddDate(0, clamp(n, 3600), 0), true
	case 'w':
		return t.AddDate(0, 0, 7*clamp(n, days/7)), true
	case 'd':
		return t.AddDate(0, 0, clamp(n, days)), true
	case 'h', 'H':
		return t.Add(time.Duration(clamp(n, days*24)) * time.Hour), true
	case 'm':
		return t.Add(time.Duration(clamp(n, days*24*60)) * time.Minute), true
	case 's':
		return t.Add(time.Duration(n) * time.Second), true
	}
	return t, false
}

func clamp(n, most int) int { return max(-most, min(most, n)) }

// floor rounds t down to the begin of its unit, in t's zone. Weeks begin on
// Monday.
func floor(t time.Time, unit byte) (time.Time, bool) {
	y, mo, d := t.Date()
	_, mi, s := t.Clock()
	switch unit {
	case 'y':
		return time.Date(y, 1, 1, 0, 0, 0, 0, t.Location()), true
	case 'q':
		return time.Date(y, mo-(mo-1)%3, 1, 0, 0, 0, 0, t.Location()), true
	case 'M':
		return time.Date(y, mo, 1, 0, 0, 0, 0, t.Location()), true
	case 'w':
		back := (int(t.Weekday()) + 6) % 7
		return time.Date(y, mo, d-back, 0, 0, 0, 0, t.Location()), true
	case 'd':
		return time.Date(y, mo, d, 0, 0, 0, 0, t.Location()), true
	case 'h', 'H':
		// Not by the clock: an hour that comes twice is two.
		return t.Add(-time.Duration(mi)*time.Minute - time.Duration(s)*time.Second - time.Duration(t.Nanosecond())), true
	case 'm':
		return t.Add(-time.Duration(s)*time.Second - time.Duration(t.Nanosecond())), true
	case 's':
		return t.Add(-time.Duration(t.Nanosecond())), true
	}
	return t, false
}

// zoneOf reads a time zone: "UTC", "+01:00", "Europe/Berlin".
func zoneOf(v any) (*time.Location, error) {
	s, _ := v.(string)
	switch s {
	case "", "Z", "UTC", "utc":
		return time.UTC, nil
	}
	if s[0] == '+' || s[0] == '-' {
		for _, layout := range []string{"-07:00", "-0700", "-07"} {
			if t, err := time.Parse(layout, s); err == nil {
				_, off := t.Zone()
				return time.FixedZone(s, off), nil
			}
		}
		return nil, badf("illegal_argument_exception", "time_zone [%s] is unknown", short(s))
	}
	if len(s) > 64 || s == "Local" || strings.Contains(s, "..") {
		return nil, badf("illegal_argument_exception", "time_zone [%s] is unknown", short(s))
	}
	z, err := time.LoadLocation(s)
	if err != nil {
		return nil, badf("illegal_argument_exception", "time_zone [%s] is unknown", short(s))
	}
	return z, nil
}

// formatDate writes a time as a format asks: epoch_millis, epoch_second,
// strict_date_optional_time_nanos, date_time and others as ISO 8601.
func formatDate(ns int64, format string, zone *time.Location) string {
	if zone == nil {
		zone = time.UTC
	}
	t := time.Unix(0, ns).In(zone)
	format, _, _ = strings.Cut(format, "||")
	switch format {
	case "epoch_millis":
		return strconv.FormatInt(floorDiv(ns, int64(time.Millisecond)), 10)
	case "epoch_second":
		return strconv.FormatInt(floorDiv(ns, int64(time.Second)), 10)
	case "strict_date_optional_time_nanos", "date_optional_time_nanos":
		return t.Format("2006-01-02T15:04:05.000000000Z07:00")
	case "date", "strict_date", "yyyy-MM-dd":
		return t.Format("2006-01-02")
	case "date_time_no_millis", "strict_date_time_no_millis":
		return t.Format("2006-01-02T15:04:05Z07:00")
	case "", "date_time", "strict_date_time", "strict_date_optional_time", "date_optional_time", "iso8601":
		return t.Format("2006-01-02T15:04:05.000Z07:00")
	}
	return t.Format(layoutOf(format))
}

// layoutOf turns a pattern of Java's DateTimeFormatter into one of Go's, as far
// as logs use them.
var javaLayout = strings.NewReplacer("yyyy", "2006", "uuuu", "2006", "YYYY", "2006", "MM", "01", "dd", "02", "HH", "15", "mm", "04", "ss", "05",
	"SSSSSSSSS", "000000000", "SSS", "000", "XXX", "Z07:00", "'T'", "T", "'Z'", "Z", "yy", "06")

func layoutOf(pattern string) string { return javaLayout.Replace(pattern) }

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}
