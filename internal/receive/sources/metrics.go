package sources

import (
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshtrail/meshtrail/internal/telemetry"
)

// maxPublished is how many sources metrics tell apart, those that sent last; the
// others are one source named "other".
const maxPublished = 256

// Publish makes the sources metrics. m may be nil.
func (t *Table) Publish(m *telemetry.Metrics) {
	if m != nil {
		m.MustRegister(&published{t})
	}
}

// published is a Table as metrics.
type published struct{ t *Table }

var (
	sourceLabels  = []string{"tenant", "source"}
	sourceRecords = prometheus.NewDesc("meshtrail_source_records", "Records that a source has handed in since the server started, as far as it is still known.", append(sourceLabels, "lossy"), nil)
	sourceSeen    = prometheus.NewDesc("meshtrail_source_last_seen_timestamp_seconds", "When a source last sent.", sourceLabels, nil)
	sourceLag     = prometheus.NewDesc("meshtrail_source_lag_seconds", "Ingest time less event time: at most in the last minute.", sourceLabels, nil)
	sourceSkew    = prometheus.NewDesc("meshtrail_source_skew_seconds", "How far event times lay in the future: at most in the last minute.", sourceLabels, nil)
	sourceSilent  = prometheus.NewDesc("meshtrail_source_silent", "1 for a source that is expected to send and has not.", sourceLabels, nil)
)

// Describe implements prometheus.Collector.
func (p *published) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{sourceRecords, sourceSeen, sourceLag, sourceSkew, sourceSilent} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (p *published) Collect(out chan<- prometheus.Metric) {
	list := p.t.List()
	slices.SortStableFunc(list, func(a, b Status) int { return b.Last.Compare(a.Last) })
	others := 0.0
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for i, x := range list {
		t, name := string(x.Tenant), x.Source
		if x.Every > 0 {
			silent := 0.0
			if x.Silent {
				silent = 1
			}
			if i < maxPublished || x.Silent {
				gauge(sourceSilent, silent, t, name)
			}
		}
		if i >= maxPublished {
			others += float64(x.Records)
			continue
		}
		gauge(sourceRecords, float64(x.Records), t, name, strconv.FormatBool(x.Lossy))
		if !x.Last.IsZero() {
			gauge(sourceSeen, float64(x.Last.UnixNano())/1e9, t, name)
			gauge(sourceLag, x.MaxLag.Seconds(), t, name)
			gauge(sourceSkew, x.Skew.Seconds(), t, name)
		}
	}
	if others > 0 {
		gauge(sourceRecords, others, "", telemetry.Other, "false")
	}
}
