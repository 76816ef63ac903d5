package filetail

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshtrail/meshtrail/internal/telemetry"
)

type counters struct {
	files      prometheus.Gauge
	lag        prometheus.Gauge
	bytes      prometheus.Counter
	records    prometheus.Counter
	partial    prometheus.Counter
	rotations  prometheus.Counter
	truncated  prometheus.Counter
	unread     prometheus.Counter
	errors     prometheus.Counter
	redone     prometheus.Counter
	unrepeated prometheus.Counter
}

func newCounters(m *telemetry.Metrics, input string) *counters {
	c := func(name, help string) prometheus.Counter {
		return m.Counter("meshtrail_tail_"+name, help, "input").WithLabelValues(input)
	}
	g := func(name, help string) prometheus.Gauge {
		return m.Gauge("meshtrail_tail_"+name, help, "input").WithLabelValues(input)
	}
	return &counters{
		files:      g("files", "Log files that are open."),
		lag:        g("lag_bytes", "Bytes of open files that are not yet durable downstream."),
		bytes:      c("bytes_total", "Bytes of log files that are durable downstream."),
		records:    c("records_total", "Records that are durable downstream."),
		partial:    c("partial_total", "Pieces of lines: too long, or without an end in time."),
		rotations:  c("rotations_total", "Files that were renamed or unlinked while open."),
		truncated:  c("truncated_total", "Files that became shorter than what was read of them, or were overwritten."),
		unread:     c("unread_bytes_total", "Bytes known to have been truncated or removed before they were read: lost."),
		errors:     c("errors_total", "Failures to open or read a log file. It is tried again."),
		redone:     c("redone_total", "Batches that were handed in again after a restart, under their old identity."),
		unrepeated: c("unrepeated_total", "Batches whose bytes were gone at a restart before it was known whether they are kept."),
	}
}
