// Package demo shows Meshtrail at work: it simulates service meshes, an ingress
// controller, the audit logs of a cluster and a cloud and a node's log-in daemon,
// and posts what they would log to a running server, through the same door
// as every shipper (the Elasticsearch bulk API over HTTP), so that what is shown
// is what intake really does.
//
// It knows a server's address and token and nothing of its rooms. The same seed
// makes the same traffic. Two stories repeat: payments loses all its endpoints
// (503 UH), and a workload without an identity knocks at every door (403 RBAC in
// Istio, DROPPED in Cilium).
package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// Backfill is how much of the past a demonstration begins with.
const Backfill = 15 * time.Minute

// Limits of the simulation.
const (
	MaxRate    = 20_000 // records per second
	backRate   = 40     // records per second of the past, at most
	bulkSize   = 2_000  // records per request
	tickLength = 100 * time.Millisecond
)

// Options of a simulation.
type Options struct {
	URL    string // of the server
	Token  string
	Rate   int // records per second
	Seed   uint64
	Now    func() time.Time // nil: time.Now
	Client *http.Client     // nil: http.DefaultClient
	Logger *slog.Logger     // nil: discard
}

// Run posts the past and then the present until ctx ends; then it returns nil.
// It calls ready once the first records are kept, with the number of records
// that the past will have.
func Run(ctx context.Context, o Options, ready func(past int)) error {
	if o.Rate < 1 || o.Rate > MaxRate {
		return fault.WithHint(fault.Errorf(fault.Invalid, "rate %d is not between 1 and %d records per second", o.Rate, MaxRate), "choose another with --rate")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Client == nil {
		o.Client = http.DefaultClient
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &simulation{o: o, w: newWorld(o.Seed), start: o.Now()}
	err := s.past(ctx, ready)
	if err == nil {
		err = s.present(ctx)
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

type simulation struct {
	o     Options
	w     *world
	start time.Time
}

// story returns what is wrong at a time. The past holds both stories; from the
// start they come again, the first after one minute, each every ten.
func (s *simulation) story(t time.Time) incident {
	since := t.Sub(s.start)
	if since < 0 {
		switch ago := -since; {
		case ago > 9*time.Minute && ago < 11*time.Minute:
			return outage
		case ago > 4*time.Minute && ago < 5*time.Minute:
			return denied
		}
		return calm
	}
	switch phase := since % (10 * time.Minute); {
	case phase > time.Minute && phase < 105*time.Second:
		return outage
	case phase > 3*time.Minute && phase < 210*time.Second:
		return denied
	}
	return calm
}

// past posts the records of the Backfill, the newest request first so that the
// page has something to show at once.
func (s *simulation) past(ctx context.Context, ready func(int)) error {
	step := time.Second / time.Duration(min(s.o.Rate, backRate))
	var requests [][]doc
	var docs []doc
	total := 0
	for t := s.start.Add(-Backfill); t.Before(s.start); t = t.Add(step) {
		what := s.story(t)
		docs = append(docs, s.w.at(t.Add(time.Duration(s.w.r.Int64N(int64(step)))), what)...)
		if what != calm { // trouble is loud
			docs = append(docs, s.w.at(t, what)...)
		}
		if len(docs) >= bulkSize {
			requests, docs = append(requests, docs), nil
			total += len(requests[len(requests)-1])
		}
	}
	requests = append(requests, docs)
	total += len(docs)
	for i := len(requests) - 1; i >= 0; i-- {
		if err := s.post(ctx, requests[i]); err != nil {
			return err
		}
		if i == len(requests)-1 {
			ready(total)
		}
	}
	return nil
}

// present posts records as their time comes.
func (s *simulation) present(ctx context.Context) error {
	tick := time.NewTicker(tickLength)
	defer tick.Stop()
	made := 0.0
	last := s.start
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		now := s.o.Now()
		if now.Sub(last) > 5*time.Second {
			last = now.Add(-5 * time.Second) // the machine slept: do not make up for it
		}
		what := s.story(now)
		rate := float64(s.o.Rate)
		if what != calm {
			rate *= 2
		}
		made += rate * now.Sub(last).Seconds()
		n := int(made)
		made -= float64(n)
		if err := s.moment(ctx, last, now, n, what); err != nil {
			if ctx.Err() != nil || !fault.KindOf(err).Retryable() {
				return err
			}
			s.o.Logger.Warn("the server is busy", "error", err)
		}
		last = now
	}
}

// moment posts n records of the time between two ticks.
func (s *simulation) moment(ctx context.Context, from, to time.Time, n int, what incident) error {
	for done := 0; done < n; {
		size := min(bulkSize, n-done)
		docs := make([]doc, 0, size)
		for i := range size {
			at := from.Add(to.Sub(from) * time.Duration(done+i) / time.Duration(n))
			docs = append(docs, s.w.at(at, what)...)
		}
		if err := s.post(ctx, docs); err != nil {
			return err
		}
		done += size
	}
	return nil
}

// post sends documents in one bulk request and reads what became of them.
func (s *simulation) post(ctx context.Context, docs []doc) error {
	if len(docs) == 0 {
		return nil
	}
	body, err := encode(docs)
	if err != nil {
		return fault.Errorf(fault.Internal, "encode simulated records: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.o.URL+"/_bulk", bytes.NewReader(body))
	if err != nil {
		return fault.Errorf(fault.Invalid, "post to %s: %w", s.o.URL, err)
	}
	r.Header.Set("Content-Type", "application/x-ndjson")
	r.Header.Set("Authorization", "Bearer "+s.o.Token)
	resp, err := s.o.Client.Do(r)
	if err != nil {
		return fault.Errorf(fault.Unavailable, "post simulated records: %w", err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return fault.Errorf(fault.Unavailable, "read the answer to simulated records: %w", err)
	}
	if resp.StatusCode == http.StatusServiceUnavailable {
		return fault.Errorf(fault.Unavailable, "post simulated records: the server answered %s", resp.Status)
	}
	var answer struct {
		Errors bool `json:"errors"`
	}
	if resp.StatusCode != http.StatusOK || json.Unmarshal(data, &answer) != nil || answer.Errors {
		return fault.Errorf(fault.Internal, "post simulated records: the server answered %s: %.300s", resp.Status, data)
	}
	return nil
}
