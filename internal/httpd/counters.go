package httpd

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/telemetry"
)

// counters are the server's own metrics, labelled by route pattern, never by
// path: a path is the client's choice and unbounded. A nil *counters counts
// nothing.
type counters struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	refusals *prometheus.CounterVec
	panics   *prometheus.CounterVec
}

func newCounters(m *telemetry.Metrics) *counters {
	if m == nil {
		return nil
	}
	return &counters{
		requests: m.Counter("meshtrail_http_requests_total", "Requests answered, by route and status code.", "route", "code"),
		seconds:  m.Histogram("meshtrail_http_request_seconds", "Time from the request's headers to the end of its answer.", "route"),
		refusals: m.Counter("meshtrail_http_refused_total", "Callers refused before their request was handled, by kind.", "kind"),
		panics:   m.Counter("meshtrail_http_panics_total", "Panics in handlers. Each is a bug."),
	}
}

func (c *counters) request(route string, code int, elapsed time.Duration) {
	if c != nil {
		c.requests.WithLabelValues(route, strconv.Itoa(code)).Inc()
		c.seconds.WithLabelValues(route).Observe(elapsed.Seconds())
	}
}

func (c *counters) refused(kind fault.Kind) {
	if c != nil {
		c.refusals.WithLabelValues(kind.String()).Inc()
	}
}

func (c *counters) crowded() {
	if c != nil {
		c.refusals.WithLabelValues("connections").Inc()
	}
}

func (c *counters) panicked() {
	if c != nil {
		c.panics.WithLabelValues().Inc()
	}
}
