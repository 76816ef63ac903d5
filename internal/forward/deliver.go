package forward

import (
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/telemetry"
)

// maxAnswer bounds what is read of an answer: a server that was taken over, or
// a proxy, must not fill the agent's memory.
const maxAnswer = 4 << 20

// maxRetryAfter is the longest pause that a server may ask for.
const maxRetryAfter = 5 * time.Minute

type counters struct {
	batches prometheus.Counter
	records prometheus.Counter
	bytes   prometheus.Counter
	retries *prometheus.CounterVec
	refused prometheus.Gauge
}

func newCounters(m *telemetry.Metrics, o *order) *counters {
	m.GaugeFunc("meshtrail_forward_lag_seconds", "Age of the oldest batch that is not yet durable upstream; 0 if there is none.", func() float64 {
		at, _ := o.oldest()
		if at == 0 {
			return 0
		}
		return time.Since(time.Unix(0, at)).Seconds()
	})
	m.GaugeFunc("meshtrail_forward_in_flight_bytes", "Encoded batches taken from the spool and not yet durable upstream.", func() float64 {
		_, n := o.oldest()
		return float64(n)
	})
	return &counters{
		batches: m.Counter("meshtrail_forward_batches_total", "Batches that are durable upstream.").WithLabelValues(),
		records: m.Counter("meshtrail_forward_records_total", "Records that are durable upstream.").WithLabelValues(),
		bytes:   m.Counter("meshtrail_forward_bytes_total", "Bytes of encoded batches that are durable upstream.").WithLabelValues(),
		retries: m.Counter("meshtrail_forward_retries_total", "Requests that must be sent again, by reason: connection, answer, or the status code.", "reason"),
		refused: m.Gauge("meshtrail_forward_refused", "Lanes whose next batch the server refuses for good. It is kept and tried again; a person must look.").WithLabelValues(),
	}
}

// outcome of one try.
type outcome struct {
	acked  int
	reason string // metric label; "" when all was acknowledged
	detail string
	after  time.Duration // the server's wish
	status int
}

// final reports whether no retry is expected to help.
func (o *outcome) final() bool {
	switch o.status {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

// deliver sends items until all are durable upstream.
func (f *Forwarder) deliver(ctx context.Context, items []item) error {
	pause, refused := f.o.MinBackoff, false
	defer func() {
		if refused {
			f.count.refused.Dec()
		}
	}()
	limit := len(items)
	for len(items) > 0 {
		out := f.try(ctx, items[:min(limit, len(items))])
		if out.acked > 0 {
			if err := f.order.done(items[:out.acked]); err != nil {
				return fault.Errorf(fault.KindOf(err), "acknowledge to spool: %w", err)
			}
			for _, it := range items[:out.acked] {
				f.room.Release(it.held)
				f.count.batches.Inc()
				f.count.records.Add(float64(it.rows))
				f.count.bytes.Add(float64(len(it.frame)))
			}
			items = items[out.acked:]
			pause = f.o.MinBackoff
		}
		if out.reason == "" {
			if refused {
				refused = false
				f.count.refused.Dec()
			}
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		f.count.retries.WithLabelValues(out.reason).Inc()
		if out.status == http.StatusRequestEntityTooLarge && limit > 1 {
			limit = max(1, min(limit, len(items))/2)
			continue
		}
		if out.final() && !refused {
			refused = true
			f.count.refused.Inc()
			f.log.Error("server refuses a batch for good; it is kept and tried again", "status", out.status, "detail", out.detail)
		} else {
			f.log.Warn("send batches again", "reason", out.reason, "detail", out.detail, "batches", len(items))
		}
		if out.final() {
			pause = f.o.MaxBackoff
		}
		if err := wait(ctx, max(jitter(pause), out.after)); err != nil {
			return err
		}
		pause = min(2*pause, f.o.MaxBackoff)
	}
	return nil
}

// jitter spreads the tries of many agents: half to all of d.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// try sends items once.
func (f *Forwarder) try(ctx context.Context, items []item) outcome {
	token, err := f.o.Token()
	if err != nil {
		return outcome{reason: "token", detail: err.Error()}
	}
	ctx, cancel := context.WithTimeout(ctx, f.o.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url, nil)
	if err != nil {
		return outcome{reason: "connection", detail: err.Error()}
	}
	req.GetBody = func() (io.ReadCloser, error) { return &frames{items: items}, nil }
	req.Body, _ = req.GetBody()
	for _, it := range items {
		req.ContentLength += int64(len(it.frame))
	}
	req.Header.Set("Content-Type", ContentType)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := f.client.Do(req)
	if err != nil {
		return outcome{reason: "connection", detail: err.Error()}
	}
	defer resp.Body.Close()
	return read(resp, len(items))
}

// read turns an answer into an outcome. Only a 200 that counts every batch, and
// an error that counts the first ones, say that something is durable.
func read(resp *http.Response, sent int) outcome {
	out := outcome{status: resp.StatusCode, reason: strconv.Itoa(resp.StatusCode), after: retryAfter(resp.Header.Get("Retry-After"))}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	var a struct {
		Acked *int `json:"acked"`
		Error struct {
			Kind   string `json:"kind"`
			Reason string `json:"reason"`
		} `json:"error"`
	}
	if err == nil {
		err = json.Unmarshal(body, &a)
	}
	if err != nil || a.Acked == nil || *a.Acked < 0 || *a.Acked > sent || (out.status == http.StatusOK && *a.Acked != sent) {
		if out.status == http.StatusOK {
			out.reason, out.detail = "answer", "a 200 that does not acknowledge what was sent"
		}
		return out
	}
	out.acked, out.detail = *a.Acked, a.Error.Reason
	if out.status == http.StatusOK {
		out.reason = ""
	}
	return out
}

// retryAfter reads Retry-After (RFC 9110 section 10.2.3): seconds or a date.
func retryAfter(s string) time.Duration {
	d := time.Duration(0)
	if n, err := strconv.Atoi(s); err == nil && n > 0 {
		d = time.Duration(min(n, int(maxRetryAfter/time.Second))) * time.Second
	} else if t, err := http.ParseTime(s); err == nil {
		d = time.Until(t)
	}
	return min(max(d, 0), maxRetryAfter)
}

// frames reads the frames of items one after the other. The frames are never
// written again, so a transport may read on after the try has ended.
type frames struct {
	items []item
	off   int
}

func (r *frames) Read(p []byte) (int, error) {
	for len(r.items) > 0 && r.off == len(r.items[0].frame) {
		r.items, r.off = r.items[1:], 0
	}
	if len(r.items) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.items[0].frame[r.off:])
	r.off += n
	return n, nil
}

func (r *frames) Close() error { return nil }
