package pipeline

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshtrail/meshtrail/internal/policy"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/telemetry"
)

// meter counts what was durably accounted for, by the batch's own account, so
// that metrics and reports say the same.
type meter struct {
	received, stored, rejected, dropped, deduplicated, stage *prometheus.CounterVec
	kept, classified, labelled, redacted, untokened          *prometheus.CounterVec

	disbelieved, reclassed  prometheus.Counter
	sources, reasons, rules *telemetry.Bounded
}

func newMeter(m *telemetry.Metrics) *meter {
	return &meter{
		received:     m.Counter("meshtrail_records_received_total", "Records handed in, by source.", "source"),
		stored:       m.Counter("meshtrail_records_stored_total", "Records durably kept, by source.", "source"),
		rejected:     m.Counter("meshtrail_records_rejected_total", "Records refused for ever, by source and reason.", "source", "reason"),
		dropped:      m.Counter("meshtrail_records_dropped_total", "Records dropped by policy, by rule.", "rule"),
		deduplicated: m.Counter("meshtrail_records_deduplicated_total", "Records seen before, by source.", "source"),
		kept:         m.Counter("meshtrail_records_kept_total", "Records that a rule which keeps or samples kept, by rule.", "rule"),
		classified:   m.Counter("meshtrail_records_classified_total", "Records that a policy rule gave their class, by rule.", "rule"),
		labelled:     m.Counter("meshtrail_records_labelled_total", "Owners and classifications that a policy rule gave records, by rule.", "rule"),
		redacted:     m.Counter("meshtrail_redactions_total", "Values and field names that a policy rule redacted, masked, hashed or tokenised, by rule.", "rule"),
		untokened:    m.Counter("meshtrail_tokens_refused_total", "Values that were redacted because they are too long for a token or the vault has no room, by rule.", "rule"),
		stage:        m.Counter("meshtrail_pipeline_stage_seconds_total", "Time spent in each stage of intake.", "stage"),
		disbelieved:  m.Counter("meshtrail_event_times_replaced_total", "Records that named a time more than ten years ago or more than a day ahead, and were given that of their receipt.").WithLabelValues(),
		reclassed:    m.Counter("meshtrail_relayed_classes_replaced_total", "Records of agents that named a class which the policy does not, and were given the default class.").WithLabelValues(),
		sources:      telemetry.NewBounded(1000),
		reasons:      telemetry.NewBounded(100),
		rules:        telemetry.NewBounded(1000),
	}
}

func (m *meter) count(b *record.Batch) {
	source, a := m.sources.Value(b.Source), &b.Account
	m.received.WithLabelValues(source).Add(float64(a.Received))
	m.stored.WithLabelValues(source).Add(float64(uint64(b.Len()) - min(uint64(b.Len()), a.Deduplicated)))
	for _, c := range a.Rejected {
		m.rejected.WithLabelValues(source, m.reasons.Value(c.Name)).Add(float64(c.N))
	}
	for _, c := range a.Dropped {
		m.dropped.WithLabelValues(m.rules.Value(c.Name)).Add(float64(c.N))
	}
	if a.Deduplicated > 0 {
		m.deduplicated.WithLabelValues(source).Add(float64(a.Deduplicated))
	}
}

func (m *meter) effects(e policy.Effects) {
	for _, one := range []struct {
		counter *prometheus.CounterVec
		counts  []record.Count
	}{{m.kept, e.Kept}, {m.classified, e.Classified}, {m.labelled, e.Labelled}, {m.redacted, e.Redacted}, {m.untokened, e.Untokened}} {
		for _, c := range one.counts {
			one.counter.WithLabelValues(m.rules.Value(c.Name)).Add(float64(c.N))
		}
	}
}

func (m *meter) stages(normalise, decide, keep time.Duration) {
	m.stage.WithLabelValues("normalise").Add(normalise.Seconds())
	m.stage.WithLabelValues("policy").Add(decide.Seconds())
	m.stage.WithLabelValues("append").Add(keep.Seconds())
}
