package ledger

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/telemetry"
)

// metrics are what the ledger tells about itself.
type metrics struct {
	now      func() time.Time
	leaves   prometheus.Gauge
	signed   prometheus.Gauge
	appends  prometheus.Counter
	failures *prometheus.CounterVec
}

func newMetrics(m *telemetry.Metrics, now func() time.Time) metrics {
	if now == nil {
		now = time.Now
	}
	return metrics{
		now:      now,
		leaves:   m.Gauge("meshtrail_ledger_leaves", "Leaves under the newest checkpoint.").WithLabelValues(),
		signed:   m.Gauge("meshtrail_ledger_checkpoint_time_seconds", "Unix time when this process signed its newest checkpoint; what was written since is unanchored.").WithLabelValues(),
		appends:  m.Counter("meshtrail_ledger_appended_leaves_total", "Leaves appended by this process.").WithLabelValues(),
		failures: m.Counter("meshtrail_ledger_append_failures_total", "Appends that failed, by kind.", "kind"),
	}
}

func (m metrics) opened(cp Checkpoint) {
	m.leaves.Set(float64(cp.Size))
}

func (m metrics) appended(cp Checkpoint, leaves int) {
	m.leaves.Set(float64(cp.Size))
	m.signed.Set(float64(m.now().UnixNano()) / 1e9)
	m.appends.Add(float64(leaves))
}

func (m metrics) failed(k fault.Kind) {
	m.failures.WithLabelValues(k.String()).Inc()
}
