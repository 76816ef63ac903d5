package policy

import (
	"strconv"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Retention is how long records are kept, in calendar units: 13 months end on
// the same day of the month.
type Retention struct {
	Years, Months, Days int
}

// End returns when records of time t may be destroyed.
func (r Retention) End(t time.Time) time.Time { return t.AddDate(r.Years, r.Months, r.Days) }

// String returns the form that ParseRetention reads.
func (r Retention) String() string {
	switch {
	case r.Years > 0 && r.Months == 0 && r.Days == 0:
		return strconv.Itoa(r.Years) + "y"
	case r.Months > 0 && r.Years == 0 && r.Days == 0:
		return strconv.Itoa(r.Months) + "mo"
	}
	return strconv.Itoa(r.Days) + "d"
}

// ParseRetention reads a number of days, weeks, months or years: 30d, 12w, 13mo,
// 7y. At least a day, at most 100 years.
func ParseRetention(s string) (Retention, error) {
	for _, u := range [...]struct {
		suffix string
		limit  int
		of     func(int) Retention
	}{
		{"mo", 1200, func(n int) Retention { return Retention{Months: n} }},
		{"d", 36_500, func(n int) Retention { return Retention{Days: n} }},
		{"w", 5200, func(n int) Retention { return Retention{Days: 7 * n} }},
		{"y", 100, func(n int) Retention { return Retention{Years: n} }},
	} {
		digits, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.Atoi(digits)
		if err != nil || n < 1 || n > u.limit || digits[0] == '+' {
			break
		}
		return u.of(n), nil
	}
	return Retention{}, fault.WithHint(fault.Errorf(fault.Invalid, "no retention: %q", s), "write it as 30d, 12w, 13mo or 7y")
}

// Default returns the class of records to which nothing else gives one.
func (p *Policy) Default() record.Class { return p.def }

// Names reports whether the policy says how long records of a class are kept.
func (p *Policy) Names(c record.Class) bool {
	_, ok := p.classes[c]
	return ok
}

func defaultClasses() map[record.Class]Retention {
	return map[record.Class]Retention{
		"ops":        {Days: 30},
		"app":        {Days: 90},
		"security":   {Months: 13},
		"audit":      {Years: 7},
		"deadletter": {Days: 30},

		PlatformAudit: {Years: 7},
	}
}
