package journal

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshtrail/meshtrail/internal/telemetry"
)

// Stats counts what a journal did since Open.
type Stats struct {
	Frames  int64 // made durable
	Bytes   int64 // of their frames
	Syncs   int64 // of groups
	Refused int64 // frames
	Files   int64 // begun
}

type counters struct {
	frames, bytes, syncs, refusals, files atomic.Int64

	framesTotal, bytesTotal, refusedTotal, poisonedTotal prometheus.Counter
	syncSeconds                                          prometheus.Observer
}

func newCounters(m *telemetry.Metrics) *counters {
	counter := func(name, help string) prometheus.Counter {
		return m.Counter(name, help).WithLabelValues()
	}
	return &counters{
		framesTotal:   counter("meshtrail_journal_frames_total", "Frames made durable."),
		bytesTotal:    counter("meshtrail_journal_bytes_total", "Bytes of frames made durable."),
		refusedTotal:  counter("meshtrail_journal_refused_total", "Frames refused because they could not be written."),
		poisonedTotal: counter("meshtrail_journal_poisoned_total", "Failed syncs; each ends the process."),
		syncSeconds:   m.Histogram("meshtrail_journal_sync_seconds", "Time of one sync of a group.").WithLabelValues(),
	}
}

func (c *counters) synced(d time.Duration, frames, bytes int) {
	c.syncs.Add(1)
	c.frames.Add(int64(frames))
	c.bytes.Add(int64(bytes))
	c.framesTotal.Add(float64(frames))
	c.bytesTotal.Add(float64(bytes))
	c.syncSeconds.Observe(d.Seconds())
}

func (c *counters) refused(frames int) {
	c.refusals.Add(int64(frames))
	c.refusedTotal.Add(float64(frames))
}

func (c *counters) poisoned() { c.poisonedTotal.Inc() }

func (c *counters) rotated() { c.files.Add(1) }

// Stats returns the counts since Open.
func (j *Journal) Stats() Stats {
	c := j.counts
	return Stats{c.frames.Load(), c.bytes.Load(), c.syncs.Load(), c.refusals.Load(), c.files.Load()}
}
