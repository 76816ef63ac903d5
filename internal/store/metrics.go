package store

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/telemetry"
)

// counters are the store's metrics.
type counters struct {
	records  *prometheus.CounterVec // by outcome
	seals    *prometheus.CounterVec // by outcome
	segments *prometheus.CounterVec
	bytes    *prometheus.CounterVec
	sealTime *prometheus.HistogramVec
	damaged  *prometheus.CounterVec // by kind
}

func newCounters(m *telemetry.Metrics) counters {
	return counters{
		records:  m.Counter("meshtrail_store_records_total", "Records handed to the store, by outcome.", "outcome"),
		seals:    m.Counter("meshtrail_store_seals_total", "Seals, by outcome.", "outcome"),
		segments: m.Counter("meshtrail_store_sealed_segments_total", "Segments written."),
		bytes:    m.Counter("meshtrail_store_sealed_bytes_total", "Bytes of segments written."),
		sealTime: m.Histogram("meshtrail_store_seal_seconds", "How long seals took."),
		damaged:  m.Counter("meshtrail_store_damaged_total", "Files found to be damaged, by kind of failure.", "kind"),
	}
}

func (c *counters) applied(stored, repeated uint64) {
	c.records.WithLabelValues("stored").Add(float64(stored))
	c.records.WithLabelValues("deduplicated").Add(float64(repeated))
}

func (c *counters) sealFailed() { c.seals.WithLabelValues("failed").Inc() }

func (c *counters) sealed(took time.Duration, files []*sealedFile) {
	c.seals.WithLabelValues("done").Inc()
	c.sealTime.WithLabelValues().Observe(took.Seconds())
	for _, f := range files {
		c.segments.WithLabelValues().Inc()
		c.bytes.WithLabelValues().Add(float64(f.leaf.Size))
	}
}

func (c *counters) damage(k fault.Kind) { c.damaged.WithLabelValues(k.String()).Inc() }
