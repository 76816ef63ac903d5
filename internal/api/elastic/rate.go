package elastic

import (
	"time"

	"github.com/meshtrail/meshtrail/internal/store"
)

// Lengths of the units of a rate: in nanoseconds, or in months.
var (
	unitNanos  = map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	unitMonths = map[byte]int{'M': 1, 'q': 3, 'y': 12}
)

// readRate reads {"unit": …, "field": …, "mode": …}: records, values or their sum
// in each unit of time.
func (a *agg) readRate(def object) error {
	a.want = 0
	mode, _ := def.get("mode").(string)
	switch {
	case a.field == "" && mode != "":
		return badf("illegal_argument_exception", "The mode parameter is only supported with field or script")
	case a.field == "":
	case mode == "" || mode == "sum" || mode == "value_count":
		a.want, a.counts = store.WantSums, mode == "value_count"
	default:
		return badf("illegal_argument_exception", "Unsupported value [%s] for field mode", short(mode))
	}
	if !def.has("unit") {
		return nil
	}
	unit, _ := def.get("unit").(string)
	var ok bool
	if a.unit, ok = calendarUnits[unit]; !ok {
		return badf("illegal_argument_exception", "Unsupported unit %s", short(unit))
	}
	return nil
}

// units returns how many of a unit the bucket that begins at start lasts. Days
// and weeks have their usual length, whatever a clock did on them.
func (r *rounding) units(start int64, unit byte) (float64, error) {
	months, monthly := unitMonths[unit]
	own := unitMonths[r.unit] // 0: its length is known in nanoseconds
	switch {
	case unit == 0:
		return 1, nil
	case monthly && own > 0:
		return float64(own) / float64(months), nil
	case monthly:
		return 0, badf("illegal_argument_exception", "Cannot use month-based rate unit [%c] with non-month based histogram, only week, day, hour, minute and second are supported for this histogram", unit)
	case own > 0:
		return float64(r.next(start)-start) / float64(unitNanos[unit]), nil
	case r.fixed > 0:
		return float64(r.fixed) / float64(unitNanos[unit]), nil
	}
	return float64(unitNanos[r.unit]) / float64(unitNanos[unit]), nil
}

// rate answers for the bucket of dates that is being finished.
func (f *finisher) rate(c *collector) (object, error) {
	if f.within == nil {
		return nil, badf("illegal_argument_exception", "The rate aggregation can only be used inside a date histogram aggregation")
	}
	units, err := f.within.units(f.start, c.a.unit)
	n := float64(c.docs)
	switch {
	case c.a.counts && c.a.missing == nil:
		n = float64(c.docs - min(c.docs, c.m.Absent))
	case c.a.counts:
	case c.a.field != "":
		n = c.scaledSum()
	}
	return object{{"value", double(n / units)}}, err
}
