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
	now time.Time
	err error
}

func (d *door) params(r *http.Request) *params {
	p := &params{r: r, now: d.o.Engine.Now()}
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

func (p *params) time(name string, def int64) int64 {
	s := p.r.Form.Get(name)
	if s == "" {
		return def
	}
	t, err := parseTime(s)
	if err != nil {
		p.fail("could not parse '%s' parameter: %w", name, err)
	}
	return t
}

// parseTime reads a time as Loki does (pkg/loghttp/params.go): with a point,
// seconds; an integer of up to 10 digits, seconds; a longer one, nanoseconds;
// else RFC 3339.
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
func (p *params) span() (start, end int64) {
	end = p.time("end", p.now.UnixNano())
	since := int64(time.Hour)
	if s := p.r.Form.Get("since"); s != "" {
		var ok bool
		if since, ok = seconds(s); !ok {
			p.fail("could not parse 'since' parameter: %q is no duration", s)
		}
	}
	// As in Loki, an end in the future counts from now.
	return p.time("start", min(end, p.now.UnixNano())-since), end
}

// step reads the step; without one an answer has some 250 points.
func (p *params) step(start, end int64) int64 {
	s := p.r.Form.Get("step")
	if s == "" {
		return max(1, (end-start)/int64(time.Second)/250) * int64(time.Second)
	}
	n, ok := seconds(s)
	if !ok {
		p.fail("cannot parse %q to a valid duration", s)
		return 0
	}
	if n <= 0 {
		p.fail("zero or negative query resolution step widths are not accepted. Try a positive integer")
	}
	return n
}

// defaultLimit is Loki's.
const defaultLimit = 100

func (p *params) limit() int {
	s := p.r.Form.Get("limit")
	if s == "" {
		return defaultLimit
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		p.fail("strconv.Atoi: parsing %q: invalid syntax", s)
	} else if n <= 0 {
		p.fail("limit must be a positive value")
	}
	return n
}

func (p *params) direction() store.Order {
	switch s := p.r.Form.Get("direction"); strings.ToLower(s) {
	case "", "backward":
	case "forward":
		return store.Oldest
	default:
		p.fail("invalid direction '%s'", s)
	}
	return store.Newest
}

// explore reads the time range and the selector of labels, values and stats.
func (p *params) explore() query.Span {
	s := query.Span{Remote: p.r.RemoteAddr}
	s.From, s.To = p.span()
	if q := p.r.Form.Get("query"); q != "" {
		s.Queries = []string{q}
	}
	return s
}

// categorized reports whether the client wants fields beside stream labels kept
// apart from them.
func categorized(r *http.Request) bool {
	for _, flag := range strings.Split(r.Header.Get("X-Loki-Response-Encoding-Flags"), ",") {
		if strings.TrimSpace(flag) == "categorize-labels" {
			return true
		}
	}
	return false
}

func late(err error) bool { return errors.Is(err, context.DeadlineExceeded) }
