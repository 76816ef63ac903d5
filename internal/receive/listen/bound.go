package listen

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshtrail/meshtrail/internal/telemetry"
)

// A bucket bounds the bytes per second of all connections of a listener together.
// nil bounds nothing. It is safe for concurrent use.
type bucket struct {
	rate float64 // bytes a second

	mu   sync.Mutex
	debt float64 // bytes taken beyond what time has given
	last time.Time
}

func newBucket(rate int64) *bucket {
	if rate <= 0 {
		return nil
	}
	return &bucket{rate: float64(rate)}
}

// take takes n bytes that were read, and returns how long the reader shall wait
// before it reads again. A tenth of a second may be taken ahead.
func (b *bucket) take(n int) time.Duration {
	if b == nil {
		return 0
	}
	t := now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.last.IsZero() {
		b.debt = max(0, b.debt-t.Sub(b.last).Seconds()*b.rate)
	}
	b.last = t
	b.debt += float64(n)
	return max(0, time.Duration(b.debt/b.rate*float64(time.Second))-100*time.Millisecond)
}

// counters are a listener's metrics, labelled by the source it takes for, which
// the configuration bounds, and by reasons, which are few words of ours.
type counters struct {
	source      string
	connections prometheus.Gauge
	accepted    prometheus.Counter
	bytes       prometheus.Counter
	datagrams   prometheus.Counter
	refusals    *prometheus.CounterVec
	ends        *prometheus.CounterVec
	drops       *prometheus.CounterVec
}

func newCounters(m *telemetry.Metrics, source string) *counters {
	return &counters{
		source:      source,
		connections: m.Gauge("meshtrail_listen_connections", "Connections that are open, by listener.", "listener").WithLabelValues(source),
		accepted:    m.Counter("meshtrail_listen_accepted_total", "Connections that were let in, by listener.", "listener").WithLabelValues(source),
		bytes:       m.Counter("meshtrail_listen_bytes_total", "Bytes read from connections and in datagrams, by listener.", "listener").WithLabelValues(source),
		datagrams:   m.Counter("meshtrail_listen_datagrams_total", "Datagrams that were taken in, by listener.", "listener").WithLabelValues(source),
		refusals:    m.Counter("meshtrail_listen_refused_total", "Connections that were not let in, by listener and reason.", "listener", "reason"),
		ends:        m.Counter("meshtrail_listen_closed_total", "Connections that ended, by listener and reason; end is a regular one.", "listener", "reason"),
		drops:       m.Counter("meshtrail_listen_dropped_total", "Datagrams that were dropped, by listener and reason. Their senders are not told.", "listener", "reason"),
	}
}

func (c *counters) refused(reason string) { c.refusals.WithLabelValues(c.source, reason).Inc() }
func (c *counters) closed(reason string)  { c.ends.WithLabelValues(c.source, reason).Inc() }
func (c *counters) dropped(reason string, n int) {
	c.drops.WithLabelValues(c.source, reason).Add(float64(n))
}
