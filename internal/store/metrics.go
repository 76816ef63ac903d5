package store

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/block"
	"github.com/meshtrail/meshtrail/internal/store/memtable"
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
	rest     *prometheus.CounterVec // by reason
	few      atomic.Int64           // the same, for Status
	many     atomic.Int64
	unsplit  *prometheus.CounterVec
	told     atomic.Int64 // of block.SplitFallbacks, to unsplit

	compactions    *prometheus.CounterVec // by outcome
	replaced       *prometheus.CounterVec
	compactedBytes *prometheus.CounterVec
	reencoded      *prometheus.CounterVec
	compactTime    *prometheus.HistogramVec
	destructions   *prometheus.CounterVec // by outcome
	destroyedFiles *prometheus.CounterVec
	destroyedRecs  *prometheus.CounterVec
}

func newCounters(m *telemetry.Metrics) counters {
	return counters{
		records:  m.Counter("meshtrail_store_records_total", "Records handed to the store, by outcome.", "outcome"),
		seals:    m.Counter("meshtrail_store_seals_total", "Seals, by outcome.", "outcome"),
		segments: m.Counter("meshtrail_store_sealed_segments_total", "Segments written."),
		bytes:    m.Counter("meshtrail_store_sealed_bytes_total", "Bytes of segments written."),
		sealTime: m.Histogram("meshtrail_store_seal_seconds", "How long seals took."),
		damaged:  m.Counter("meshtrail_store_damaged_total", "Files found to be damaged, by kind of failure.", "kind"),
		rest:     m.Counter("meshtrail_store_rest_values_total", "Field values sealed without a column of their own, by reason.", "reason"),
		unsplit:  m.Counter("meshtrail_store_split_fallbacks_total", "Columns that did not come back from templates as they were, and were written another way: a mistake of the encoder, without harm."),

		compactions:    m.Counter("meshtrail_store_compactions_total", "Compactions, by outcome.", "outcome"),
		replaced:       m.Counter("meshtrail_store_compacted_segments_total", "Segments that compaction replaced."),
		compactedBytes: m.Counter("meshtrail_store_compacted_bytes_total", "Bytes of segments that compaction wrote."),
		reencoded:      m.Counter("meshtrail_store_reencoded_records_total", "Records that compaction encoded anew; all others it moved as they were."),
		compactTime:    m.Histogram("meshtrail_store_compaction_seconds", "How long compactions took, waiting for ingest included."),
		destructions:   m.Counter("meshtrail_store_destructions_total", "Days of a tenant and class that were to be destroyed, by outcome.", "outcome"),
		destroyedFiles: m.Counter("meshtrail_store_destroyed_segments_total", "Segments destroyed with a certificate."),
		destroyedRecs:  m.Counter("meshtrail_store_destroyed_records_total", "Records destroyed with a certificate."),
	}
}

func (c *counters) applied(stored, repeated uint64) {
	c.records.WithLabelValues("stored").Add(float64(stored))
	c.records.WithLabelValues("deduplicated").Add(float64(repeated))
}

func (c *counters) sealFailed() { c.seals.WithLabelValues("failed").Inc() }

func (c *counters) sealed(took time.Duration, files []*sealedFile) {
	c.seals.WithLabelValues("done").Inc()
	if n := block.SplitFallbacks(); n > 0 {
		c.unsplit.WithLabelValues().Add(float64(n - c.told.Swap(n)))
	}
	c.sealTime.WithLabelValues().Observe(took.Seconds())
	for _, f := range files {
		c.segments.WithLabelValues().Inc()
		c.bytes.WithLabelValues().Add(float64(f.leaf.Size))
	}
}

// spilled counts the values of a seal that went into rests.
func (c *counters) spilled(p *memtable.Plan) {
	few, many := p.Spilled()
	c.rest.WithLabelValues(fewValues).Add(float64(few))
	c.rest.WithLabelValues(manyFields).Add(float64(many))
	c.few.Add(int64(few))
	c.many.Add(int64(many))
}

// Why a field has no column: few records have it, or too many fields have more.
const (
	fewValues  = "few_values"
	manyFields = "many_fields"
)

func (c *counters) restList() (out []record.Count) {
	for _, n := range []record.Count{{Name: fewValues, N: uint64(c.few.Load())}, {Name: manyFields, N: uint64(c.many.Load())}} {
		if n.N > 0 {
			out = append(out, n)
		}
	}
	return out
}

func (c *counters) damage(k fault.Kind) { c.damaged.WithLabelValues(k.String()).Inc() }

func (c *counters) compacted(took time.Duration, done *compaction, out *sealedFile, reencoded uint64) {
	c.compactions.WithLabelValues("done").Inc()
	c.replaced.WithLabelValues().Add(float64(len(done.inputs)))
	c.compactedBytes.WithLabelValues().Add(float64(out.leaf.Size))
	c.reencoded.WithLabelValues().Add(float64(reencoded))
	c.compactTime.WithLabelValues().Observe(took.Seconds())
}

func (c *counters) destroyed(gone []*handle) {
	c.destructions.WithLabelValues("done").Inc()
	c.destroyedFiles.WithLabelValues().Add(float64(len(gone)))
	for _, h := range gone {
		c.destroyedRecs.WithLabelValues().Add(float64(h.leaf.Records))
	}
}
