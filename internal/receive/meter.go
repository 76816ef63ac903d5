package receive

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/telemetry"
)

// A Meter counts what one receiver takes in, and logs what it cannot keep.
type Meter struct {
	receiver string
	log      *slog.Logger
	requests *prometheus.CounterVec
	records  prometheus.Counter
	wire     prometheus.Counter
	decoded  prometheus.Counter
	refused  *prometheus.CounterVec
}

// NewMeter returns the meter of a receiver. m and log may be nil.
func NewMeter(m *telemetry.Metrics, log *slog.Logger, receiver string) *Meter {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	bytes := m.Counter("meshtrail_receive_bytes_total", "Bytes of request bodies that were taken in, as received (wire) and decoded.", "receiver", "form")
	return &Meter{
		receiver: receiver,
		log:      log.With("receiver", receiver),
		requests: m.Counter("meshtrail_receive_requests_total", "Intake requests by outcome: ok, partial, or the kind of failure.", "receiver", "outcome"),
		records:  m.Counter("meshtrail_receive_records_total", "Records that receivers handed in and that were answered as durable, refused or dropped.", "receiver").WithLabelValues(receiver),
		wire:     bytes.WithLabelValues(receiver, "wire"),
		decoded:  bytes.WithLabelValues(receiver, "decoded"),
		refused:  m.Counter("meshtrail_receive_refused_total", "Records refused for good, by reason.", "receiver", "reason"),
	}
}

// ingest hands the request in and counts it, with the bytes it was read from.
func (m *Meter) ingest(ctx context.Context, in pipeline.Intake, req *pipeline.Request, wire, decoded int64) (pipeline.Outcome, error) {
	out, err := in.Ingest(ctx, req)
	if err != nil {
		return out, err
	}
	n, outcome := len(req.Raws), "ok"
	for _, c := range req.Rejected {
		n += int(c.N)
		m.refused.WithLabelValues(m.receiver, c.Name).Add(float64(c.N))
	}
	for _, r := range out.Refused {
		m.refused.WithLabelValues(m.receiver, r.Reason).Inc()
	}
	if len(out.Refused) > 0 || len(req.Rejected) > 0 {
		outcome = "partial"
	}
	m.took(n, wire, decoded, outcome)
	return out, nil
}

// Took counts a request of n records that was taken in as it is.
func (m *Meter) Took(n int, body *Body) { m.took(n, body.Wire, int64(len(body.Bytes)), "ok") }

func (m *Meter) took(n int, wire, decoded int64, outcome string) {
	m.records.Add(float64(n))
	m.wire.Add(float64(wire))
	m.decoded.Add(float64(decoded))
	m.requests.WithLabelValues(m.receiver, outcome).Inc()
}

// Failed counts a request that failed as a whole. Our own faults are logged
// here, because the sender is not told what they are.
func (m *Meter) Failed(err error) {
	k := fault.KindOf(err)
	m.requests.WithLabelValues(m.receiver, k.String()).Inc()
	switch k {
	case fault.Internal, fault.Corrupt, fault.Tampered:
		m.log.Error("keep request", "err", err, "hint", fault.HintOf(err))
	default:
		m.log.Debug("refuse request", "err", err)
	}
}
