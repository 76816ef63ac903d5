package app

import (
	"testing"
	"time"
)

// TestClockInDoubt holds destruction back for a day after the clock jumped ahead,
// while the server ran or before it started, and at no other time.
func TestClockInDoubt(t *testing.T) {
	day := 24 * time.Hour
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	type look struct {
		now  time.Time
		up   time.Duration
		want time.Duration
	}
	for name, c := range map[string]struct {
		last  time.Time
		looks []look
	}{
		"first start":       {time.Time{}, []look{{at, 0, 0}, {at.Add(time.Hour), time.Hour, 0}}},
		"restart":           {at.Add(-time.Hour), []look{{at, 0, 0}}},
		"off for long":      {at.Add(-3 * day), []look{{at, 0, day}, {at.Add(time.Hour), time.Hour, day - time.Hour}, {at.Add(day), day, 0}}},
		"slept, not jumped": {at, []look{{at, 0, 0}, {at.Add(9 * day), 9 * day, 0}}},
		"put forward":       {at, []look{{at, 0, 0}, {at.AddDate(1, 0, 0), time.Hour, day}, {at.AddDate(1, 0, 1), time.Hour + day, 0}}},
		"put back":          {at, []look{{at, 0, 0}, {at.AddDate(-1, 0, 0), time.Hour, 0}, {at.Add(2 * time.Hour), 2 * time.Hour, day}}},
	} {
		k := clock{last: c.last}
		for i, l := range c.looks {
			if got := k.doubt(l.now, l.up); got != l.want {
				t.Errorf("%s, look %d: in doubt for %v, want %v", name, i, got, l.want)
			}
		}
	}
}
