package pipe

import (
	"fmt"
	"strconv"
	"text/template"
	"time"
)

// addTime adds the functions on times. Without a zone, times are in UTC.
func (e *env) addTime(m template.FuncMap) {
	m["__timestamp__"] = func() stamp { return stamp{time.Unix(0, e.row.rec.Time).UTC(), e} }
	m["now"] = func() stamp { return stamp{time.Now().UTC(), e} }
	m["date"] = func(layout string, v any) (string, error) { return e.at(v).Format(layout) }
	m["toDate"] = func(layout, s string) (stamp, error) { return e.toDate(layout, "UTC", s) }
	m["toDateInZone"] = e.toDate
	m["unixEpoch"] = func(t stamp) string { return strconv.FormatInt(t.Unix(), 10) }
	m["unixEpochMillis"] = func(t stamp) string { return strconv.FormatInt(t.UnixMilli(), 10) }
	m["unixEpochNanos"] = func(t stamp) string { return strconv.FormatInt(t.UnixNano(), 10) }
	m["unixToTime"] = e.unixToTime
}

// A stamp is a time in a template: time.Time with fewer methods, and those that
// make texts bounded.
type stamp struct {
	t time.Time
	e *env
}

// Format returns the time in a layout of package time.
func (s stamp) Format(layout string) (string, error) {
	if err := s.e.room(10*len(layout) + 64); err != nil {
		return "", err
	}
	return s.t.Format(layout), nil
}

// String returns the time as package time prints it.
func (s stamp) String() string { return s.t.String() }

// Unix returns the seconds since 1970.
func (s stamp) Unix() int64 { return s.t.Unix() }

// UnixMilli returns the milliseconds since 1970.
func (s stamp) UnixMilli() int64 { return s.t.UnixMilli() }

// UnixNano returns the nanoseconds since 1970.
func (s stamp) UnixNano() int64 { return s.t.UnixNano() }

// UTC returns the same time in UTC.
func (s stamp) UTC() stamp { return stamp{s.t.UTC(), s.e} }

// Year returns the year.
func (s stamp) Year() int { return s.t.Year() }

// Month returns the month.
func (s stamp) Month() time.Month { return s.t.Month() }

// Day returns the day of the month.
func (s stamp) Day() int { return s.t.Day() }

// Hour returns the hour of the day.
func (s stamp) Hour() int { return s.t.Hour() }

// Minute returns the minute of the hour.
func (s stamp) Minute() int { return s.t.Minute() }

// Second returns the second of the minute.
func (s stamp) Second() int { return s.t.Second() }

// Weekday returns the day of the week.
func (s stamp) Weekday() time.Weekday { return s.t.Weekday() }

// at takes a template's value for a time: a time, or seconds since 1970.
func (e *env) at(v any) stamp {
	if s, ok := v.(stamp); ok {
		return s
	}
	return stamp{time.Unix(intOf(v), 0).UTC(), e}
}

// toDate reads a time. What is none is the zero time, as in Loki.
func (e *env) toDate(layout, zone, s string) (stamp, error) {
	if err := e.room(len(layout) + len(s)); err != nil {
		return stamp{}, err
	}
	t, _ := time.ParseInLocation(layout, s, e.zone(zone))
	return stamp{t, e}, nil
}

// maxZones bounds the time zones that a Run's templates remember.
const maxZones = 64

// zone finds a time zone of the IANA database; one that is not known is UTC.
func (e *env) zone(name string) *time.Location {
	z, ok := e.zones[name]
	if ok {
		return z
	}
	z = time.UTC
	if len(e.zones) < maxZones && len(name) < 64 && name != "Local" {
		if found, err := time.LoadLocation(name); err == nil {
			z = found
		}
		e.zones[name] = z
	}
	return z
}

// unixToTime reads the time since 1970 in days, seconds, milli-, micro- or
// nanoseconds: 5, 10, 13, 16 or 19 digits.
func (e *env) unixToTime(s string) (stamp, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return stamp{}, fmt.Errorf("%q is no time", clip(s))
	}
	var t time.Time
	switch len(s) {
	case 5:
		t = time.Unix(n*86400, 0)
	case 10:
		t = time.Unix(n, 0)
	case 13:
		t = time.UnixMilli(n)
	case 16:
		t = time.UnixMicro(n)
	case 19:
		t = time.Unix(0, n)
	default:
		return stamp{}, fmt.Errorf("%q is no time in days, seconds, milli-, micro- or nanoseconds", clip(s))
	}
	return stamp{t.UTC(), e}, nil
}
