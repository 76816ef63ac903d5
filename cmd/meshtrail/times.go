package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// parseTime reads a point in time: RFC 3339 (also a date alone, UTC), Unix
// seconds (with a fraction), now, or relative to now (-90d, -1h30m, now-1h).
func parseTime(s string, now time.Time) (time.Time, error) {
	rel := strings.TrimPrefix(s, "now")
	if rel == "" && s != "" {
		return now, nil
	}
	if strings.HasPrefix(rel, "-") || rel != s && strings.HasPrefix(rel, "+") {
		if d, err := parseSpan(rel[1:]); err == nil {
			if rel[0] == '-' {
				d = -d
			}
			return now.Add(d), nil
		}
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	if whole, frac, _ := strings.Cut(s, "."); len(whole) <= 11 && len(frac) <= 9 {
		sec, err := strconv.ParseInt(whole, 10, 64)
		nanos, ferr := strconv.ParseUint((frac + "000000000")[:9], 10, 32)
		if err == nil && ferr == nil && sec >= 0 {
			return time.Unix(sec, int64(nanos)), nil
		}
	}
	return time.Time{}, fault.WithHint(fault.Errorf(fault.Invalid, "cannot read the time %q", s),
		"write it as 2026-01-31T12:00:00Z, as Unix seconds, or relative: -1h, -7d, now")
}

// parseSpan reads a length of time; besides Go's units it knows d and w.
func parseSpan(s string) (time.Duration, error) {
	for _, u := range []struct {
		suffix string
		unit   time.Duration
	}{{"d", 24 * time.Hour}, {"w", 7 * 24 * time.Hour}} {
		if digits, ok := strings.CutSuffix(s, u.suffix); ok {
			n, err := strconv.ParseFloat(digits, 64)
			if err != nil || n < 0 || n > 40_000 {
				break
			}
			return time.Duration(n * float64(u.unit)), nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fault.WithHint(fault.Errorf(fault.Invalid, "cannot read the length of time %q", s), "write it as 30s, 15m, 1h, 7d or 2w")
	}
	return d, nil
}
