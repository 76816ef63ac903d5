package loki

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/store"
)

// params reads the parameters of a request, from the URL and a form; the first
// bad one is kept in err.
type params struct {
	r   *http.Request
	err error
}

func readParams(r *http.Request) *params {
	p := &params{r: r}
	if err := r.ParseForm(); err != nil {
		p.err = fault.Errorf(fault.Invalid, "read parameters: %w", err)
	}
	return p
}

func (p *params) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fault.Errorf(fault.Invalid, format, args...)
	}
}

func (p *params) text(name string) string { return p.r.Form.Get(name) }

func (p *params) time(name string, def int64) int64 {
	s := p.text(name)
	if s == "" {
		return def
	}
	t, err := parseTime(s)
	if err != nil {
		p.fail("could not parse '%s' parameter: %w", name, err)
	}
	return t
}

// parseTime reads a time as Loki does: with a point, seconds; an integer of up
// to 10 digits, seconds; a longer one, nanoseconds; else RFC 3339.
func parseTime(s string) (int64, error) {
	if strings.Contains(s, ".") {
		if t, err := strconv.ParseFloat(s, 64); err == nil {
			if math.IsNaN(t) || math.Abs(t) > 9e9 {
				return 0, fault.Errorf(fault.Invalid, "%q is out of range", s)
			}
			whole, frac := math.Modf(t)
			return int64(whole)*1e9 + int64(math.Round(frac*1000)/1000*1e9), nil
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return 0, err
		}
		if y := t.Year(); y < 1700 || y > 2250 {
			return 0, fault.Errorf(fault.Invalid, "%q is out of range", s)
		}
		return t.UnixNano(), nil
	}
	if len(s) <= 10 {
		return n * 1e9, nil
	}
	return n, nil
}

// seconds reads a duration written as a number of seconds or with units, ns.
func seconds(s string) (int64, bool) {
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		if math.IsNaN(f) || math.Abs(f) > 9e9 {
			return 0, false
		}
		return int64(math.Round(f * 1e9)), true
	}
	return match.ParseDuration(s)
}

// span reads start, end and since: the last hour when there are none.
func (p *params) span(now int64) (start, end int64) {
	end = p.time("end", now)
	since := int64(time.Hour)
	if s := p.text("since"); s != "" {
		var ok bool
		if since, ok = seconds(s); !ok {
			p.fail("could not parse 'since' parameter: %q is no duration", s)
		}
	}
	// As in Loki, an end in the future counts from now.
	return p.time("start", min(end, now)-since), end
}

// step reads the step; without one an answer has some 250 points.
func (p *params) step(start, end int64) int64 {
	s := p.text("step")
	if s == "" {
		return max(1, (end-start)/int64(time.Second)/250) * int64(time.Second)
	}
	n, ok := seconds(s)
	if !ok {
		p.fail("cannot parse %q to a valid duration", s)
		return 1
	}
	if n <= 0 {
		p.fail("zero or negative query resolution step widths are not accepted. Try a positive integer")
		return 1
	}
	return n
}

// interval reads the least time between two records of an answer; 0 is none.
func (p *params) interval() int64 {
	s := p.text("interval")
	if s == "" {
		return 0
	}
	n, ok := seconds(s)
	switch {
	case !ok:
		p.fail("cannot parse %q to a valid duration", s)
	case n < 0:
		p.fail("interval must be >= 0")
	}
	return n
}

// defaultLimit is Loki's.
const defaultLimit = 100

// count reads a number of things, which is never none.
func (p *params) count(name string, def int) int {
	s := p.text(name)
	if s == "" {
		return def
	}
	n, err := strconv.ParseInt(s, 10, 32)
	switch {
	case errors.Is(err, strconv.ErrRange):
		p.fail("%s value %s is out of range", name, s)
	case err != nil:
		p.fail("strconv.Atoi: parsing %q: invalid syntax", s)
	case n <= 0:
		p.fail("limit must be a positive value")
	default:
		return int(n)
	}
	return def
}

// maxDelay is how long a live tail may hold records back, s.
const maxDelay = 5

// delay reads how long a live tail waits for records that come late.
func (p *params) delay() time.Duration {
	s := p.text("delay_for")
	if s == "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 32)
	switch {
	case err != nil || n < 0:
		p.fail("delay_for value %q is no number of seconds", s)
	case n > maxDelay:
		p.fail("delay_for can't be greater than %d", maxDelay)
	default:
		return time.Duration(n) * time.Second
	}
	return 0
}

func (p *params) direction() store.Order {
	switch s := p.text("direction"); strings.ToLower(s) {
	case "", "backward":
	case "forward":
		return store.Oldest
	default:
		p.fail("invalid direction '%s'", s)
	}
	return store.Newest
}

// A form is how records are shown.
type form struct {
	// apart keeps the fields beside stream labels apart from them
	// (X-Loki-Response-Encoding-Flags: categorize-labels).
	apart bool
	// all, without apart, shows every field of a record as a label.
	all bool
}

// formOf reads the form that the client wants. Fields are parsed at intake here:
// who parses in the query wants to see them.
func formOf(r *http.Request, text string) form {
	for list := range strings.SplitSeq(r.Header.Get("X-Loki-Response-Encoding-Flags"), ",") {
		if strings.TrimSpace(list) == "categorize-labels" {
			return form{apart: true}
		}
	}
	return form{all: query.Parses(text)}
}

func late(err error) bool { return errors.Is(err, context.DeadlineExceeded) }
