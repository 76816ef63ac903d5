package telemetry

import (
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Prefix starts the name of every metric of ours. Beside them stand go_ and
// process_, which Prometheus's own collectors name.
const Prefix = "meshtrail_"

// Metrics is a set of metrics. Asking twice for one name returns the same
// metric. A nil *Metrics works too: what it counts, nobody can read.
//
// A name without Prefix, or asked for again with other labels or another type,
// is our own mistake and panics when the program starts.
type Metrics struct {
	*prometheus.Registry
}

// New returns a set with the metrics of the Go runtime, of the process, and
// meshtrail_build_info.
func New() *Metrics {
	m := &Metrics{prometheus.NewRegistry()}
	m.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	b := ReadBuild()
	m.Gauge("meshtrail_build_info", "Constant 1, labelled with the build of this binary.",
		"version", "revision", "go").WithLabelValues(b.Version, b.Revision, b.Go).Set(1)
	return m
}

// Counter returns a number that only grows. Its name should end in _total.
func (m *Metrics) Counter(name, help string, labels ...string) *prometheus.CounterVec {
	return register(m, name, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels))
}

// Gauge returns a number that goes up and down.
func (m *Metrics) Gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	return register(m, name, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels))
}

// GaugeFunc makes f's result a gauge without labels. f is called at each scrape
// and MUST be safe for concurrent use.
func (m *Metrics) GaugeFunc(name, help string, f func() float64) {
	register(m, name, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
}

// Histogram returns a distribution. The unit at the end of the name chooses the
// buckets: _seconds from 100 µs to 100 s, _bytes from 256 B to 1 GiB, anything
// else counts from 1 to 1 M.
func (m *Metrics) Histogram(name, help string, labels ...string) *prometheus.HistogramVec {
	return register(m, name, prometheus.NewHistogramVec(
		prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets(name)}, labels))
}

func buckets(name string) []float64 {
	switch {
	case strings.HasSuffix(name, "_seconds"):
		return []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05,
			.1, .25, .5, 1, 2.5, 5, 10, 30, 100}
	case strings.HasSuffix(name, "_bytes"):
		return prometheus.ExponentialBuckets(256, 4, 12)
	}
	return prometheus.ExponentialBuckets(1, 4, 11)
}

func register[C prometheus.Collector](m *Metrics, name string, c C) C {
	if !strings.HasPrefix(name, Prefix) {
		panic("telemetry: metric " + name + " does not start with " + Prefix)
	}
	if m == nil {
		return c
	}
	err := m.Register(c)
	var known prometheus.AlreadyRegisteredError
	if errors.As(err, &known) {
		if same, ok := known.ExistingCollector.(C); ok {
			return same
		}
	}
	if err != nil {
		panic("telemetry: metric " + name + ": " + err.Error())
	}
	return c
}

// Handler serves the metrics in the Prometheus and OpenMetrics text formats.
func (m *Metrics) Handler() http.Handler {
	if m == nil {
		return http.NotFoundHandler()
	}
	return promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// Other is the label value of what Bounded does not tell apart.
const Other = "other"

// MaxLabel is the longest label value that Bounded lets pass, in bytes.
const MaxLabel = 128

// Bounded keeps the values of a label few and well formed: the first limit
// distinct values pass, every later one becomes Other. It is safe for
// concurrent use.
type Bounded struct {
	limit int
	mu    sync.RWMutex
	seen  map[string]string
}

// NewBounded returns a Bounded that tells limit values apart.
func NewBounded(limit int) *Bounded {
	return &Bounded{limit: limit, seen: make(map[string]string)}
}

// Value returns v if it may be a label value, else Other. It allocates only
// for a value seen for the first time, and keeps no reference to v.
func (b *Bounded) Value(v string) string {
	b.mu.RLock()
	s, ok := b.seen[v]
	full := len(b.seen) >= b.limit
	b.mu.RUnlock()
	if ok {
		return s
	}
	if full || len(v) > MaxLabel || !printable(v) {
		return Other
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if s, ok = b.seen[v]; ok {
		return s
	}
	if len(b.seen) >= b.limit {
		return Other
	}
	s = strings.Clone(v)
	b.seen[s] = s
	return s
}

// printable reports whether v is ASCII without control characters. Prometheus
// refuses invalid UTF-8, and a person reading a label should see what it is.
func printable(v string) bool {
	for i := 0; i < len(v); i++ {
		if v[i] < ' ' || v[i] > '~' {
			return false
		}
	}
	return true
}
