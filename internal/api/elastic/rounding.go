package elastic

import (
	"math"
	"time"
)

// A rounding cuts time into the buckets of a date_histogram.
type rounding struct {
	fixed  int64 // ns; 0: by the calendar
	unit   byte  // y q M w d h m s, see floor
	zone   *time.Location
	offset int64 // ns
}

var calendarUnits = map[string]byte{
	"second": 's', "1s": 's', "minute": 'm', "1m": 'm', "hour": 'h', "1h": 'h', "day": 'd', "1d": 'd',
	"week": 'w', "1w": 'w', "month": 'M', "1M": 'M', "quarter": 'q', "1q": 'q', "year": 'y', "1y": 'y',
}

func (r *rounding) calendar(v any) error {
	s, _ := v.(string)
	unit, ok := calendarUnits[s]
	if !ok {
		return badf("illegal_argument_exception", "The supplied interval [%s] could not be parsed as a calendar interval.", short(s))
	}
	r.unit = unit
	return nil
}

func (r *rounding) fixedly(v any) error {
	s, _ := textOf(v)
	d, err := durationOf("fixed_interval", v)
	if err != nil || d <= 0 {
		return badf("illegal_argument_exception", "failed to parse setting [fixed_interval] with value [%s] as a time value", short(s))
	}
	r.fixed = int64(d)
	return nil
}

// floor returns the begin of the bucket that t is in.
func (r *rounding) floor(t int64) int64 {
	t -= r.offset
	switch {
	case r.fixed > 0 && r.zone == time.UTC:
		t = floorDiv(t, r.fixed) * r.fixed
	case r.fixed > 0:
		// By the clock of the zone, as it goes at t.
		_, off := time.Unix(0, t).In(r.zone).Zone()
		shift := int64(off) * int64(time.Second)
		t = floorDiv(t+shift, r.fixed)*r.fixed - shift
	default:
		at, _ := floor(time.Unix(0, t).In(r.zone), r.unit)
		t = at.UnixNano()
	}
	return t + r.offset
}

// next returns the begin of the bucket behind the one that begins at start.
func (r *rounding) next(start int64) int64 {
	if r.fixed > 0 && r.zone == time.UTC {
		return start + r.fixed
	}
	if r.fixed > 0 {
		// Where the clock is put back, a bucket lasts longer; forward, shorter.
		for _, at := range []int64{start + r.fixed, start + r.fixed + int64(time.Hour), start + 2*r.fixed} {
			if n := r.floor(at); n > start {
				return n
			}
		}
		return start + r.fixed
	}
	t := time.Unix(0, start-r.offset).In(r.zone)
	n := t
	switch r.unit {
	case 'q':
		n = t.AddDate(0, 3, 0)
	default:
		n, _ = shift(t, 1, r.unit)
	}
	return n.UnixNano() + r.offset
}

// quarterHour divides the offsets of all zones since 1972.
const (
	quarterHour = int64(15 * time.Minute)
	zonesAlign  = int64(2*365*24) * int64(time.Hour)
)

// grain returns a length of time that divides every bucket, counted from the
// epoch, so that buckets can be put together of pieces; 0 if there is none.
func (r *rounding) grain(from int64) int64 {
	g := r.fixed
	if g == 0 {
		g = map[byte]int64{'s': int64(time.Second), 'm': int64(time.Minute), 'h': int64(time.Hour)}[r.unit]
		if g == 0 {
			g = 24 * int64(time.Hour)
		}
	}
	if r.zone != time.UTC {
		if from < zonesAlign {
			return 0
		}
		g = gcd(g, quarterHour)
	}
	return gcd(g, r.offset)
}

func gcd(a, b int64) int64 {
	if b < 0 {
		b = -b
	}
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// millis is a time as aggregations keep bounds: a float64 holds the milliseconds
// of all times that there are, but not their nanoseconds.
func millis(ns int64) float64 { return float64(floorDiv(ns, int64(time.Millisecond))) }

// clampTime turns such a bound into a time again.
func clampTime(ms float64) int64 {
	return int64(math.Max(minTime/1e6, math.Min(maxTime/1e6, ms))) * int64(time.Millisecond)
}
