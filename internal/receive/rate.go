package receive

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/record"
)

const (
	rateAhead    = time.Second      // may be sent ahead of the rate
	ratePatience = 2 * time.Second  // that a request is held back before it is refused: less than clients wait
	rateLater    = 30 * time.Second // is the longest that a refused sender is asked to wait
)

// Rates holds credentials to the bytes and records a second that they may send,
// over all receivers together. What was sent is counted once it is durable, and
// the next request waits for it: so no request is too large for a rate. It is
// safe for concurrent use.
type Rates struct {
	mu sync.Mutex
	by map[rateKey]*rate // of credentials with a bound, which the configuration counts
}

type rateKey struct {
	tenant record.TenantID
	name   string
}

// A rate is that of one credential. nil bounds nothing.
type rate struct {
	bytes, records float64 // a second; 0 is no bound

	mu   sync.Mutex
	free time.Time // when all that was sent is paid for
}

// of returns the rate of a principal.
func (r *Rates) of(p *access.Principal) *rate {
	s := p.Sends
	if r == nil || s.BytesPerSecond <= 0 && s.RecordsPerSecond <= 0 {
		return nil
	}
	key := rateKey{p.Tenant, p.Name}
	r.mu.Lock()
	defer r.mu.Unlock()
	x := r.by[key]
	if x == nil {
		x = &rate{bytes: float64(s.BytesPerSecond), records: float64(s.RecordsPerSecond)}
		if r.by == nil {
			r.by = map[rateKey]*rate{}
		}
		r.by[key] = x
	}
	return x
}

// took counts what has come in: it costs as long as the tighter bound gives it.
func (x *rate) took(bytes, records int64) {
	if x == nil {
		return
	}
	cost := 0.0
	if x.bytes > 0 {
		cost = float64(bytes) / x.bytes
	}
	if x.records > 0 {
		cost = max(cost, float64(records)/x.records)
	}
	now := time.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.free.Before(now) {
		x.free = now
	}
	x.free = x.free.Add(time.Duration(min(cost, 3600) * float64(time.Second)))
}

// due returns how long the sender shall wait.
func (x *rate) due() time.Duration {
	x.mu.Lock()
	defer x.mu.Unlock()
	return time.Until(x.free.Add(-rateAhead))
}

// wait waits until the sender may send, or, unless patience is 0, fails at once
// with fault.Overload when that takes longer.
func (x *rate) wait(ctx context.Context, patience time.Duration) error {
	if x == nil {
		return nil
	}
	for {
		d := x.due()
		if d <= 0 {
			return nil
		}
		if patience > 0 && d > patience {
			return Later(d, fault.WithHint(fault.Errorf(fault.Overload, "more than this credential may send"), "send it again later; the rate is bytes_per_second and records_per_second of the credential"))
		}
		t := time.NewTimer(d)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return fault.Errorf(fault.Canceled, "wait for the rate of the credential: %w", ctx.Err())
		}
	}
}

// later is an error after which the sender is asked to come again at a time.
type later struct {
	error
	after time.Duration
}

func (e *later) Unwrap() error { return e.error }

// RetryAfter is asked by answers: SetRetry, and those of gRPC.
func (e *later) RetryAfter() time.Duration { return e.after }

// Later makes the answer to err ask the sender to come again after d, rounded up
// to a second and at most half a minute.
func Later(d time.Duration, err error) error {
	d = min(max(d+time.Second-1, time.Second), rateLater)
	return &later{err, d.Truncate(time.Second)}
}

// Identify returns the sender of an authenticated request. One that has sent more
// than it may is held back a moment, and then refused with fault.Overload.
func (in *Inlet) Identify(r *http.Request) (Sender, error) { return in.identify(r, ratePatience) }

// IdentifyStream is Identify for requests that last: they are held back however
// long it takes, as Hold does from then on.
func (in *Inlet) IdentifyStream(r *http.Request) (Sender, error) { return in.identify(r, 0) }

func (in *Inlet) identify(r *http.Request, patience time.Duration) (Sender, error) {
	p := httpd.PrincipalFrom(r.Context())
	from, err := sender(p, in.Name)
	if err != nil {
		return from, err
	}
	from.rate = in.rates.of(p)
	return from, from.rate.wait(r.Context(), patience)
}

// Hold waits until the sender may send more, however long that takes: for
// protocols over streams, where not to read holds the sender back.
func (f *Inlet) Hold(ctx context.Context, from Sender) error { return from.rate.wait(ctx, 0) }

// Count counts what was taken in beside Ingest against the sender's rate.
func (f *Inlet) Count(from Sender, bytes, records int64) { from.rate.took(bytes, records) }
