package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// prepared is how many bytes of requests are made before the clock starts;
// what is beyond is made during the load, on the same cores.
const prepared = 1 << 30

type request struct {
	body    []byte
	records int
}

// A feed makes the requests of a span ahead of those who send them.
type feed struct {
	requests chan request
	filled   chan struct{} // closed when prepared bytes, or all, are made
	pending  atomic.Int64  // bytes made and not yet taken
	stopped  chan struct{}
}

func newFeed(t target, s span) *feed {
	f := &feed{requests: make(chan request, (s.to-s.from)/s.batch+1), filled: make(chan struct{}), stopped: make(chan struct{})}
	go func() {
		defer close(f.requests)
		full := sync.OnceFunc(func() { close(f.filled) })
		defer full()
		d := s.drawer()
		for i := s.from; i < s.to; i += s.batch {
			for f.pending.Load() > prepared {
				full()
				select {
				case <-f.stopped:
					return
				case <-time.After(time.Millisecond):
				}
			}
			n := min(s.batch, s.to-i)
			body := t.body(d, i, i+n)
			f.pending.Add(int64(len(body)))
			f.requests <- request{body, n}
		}
	}()
	return f
}

// stop lets the maker of requests end before all are taken.
func (f *feed) stop() {
	close(f.stopped)
	for range f.requests { // drained, so that it ends
	}
}

// rawBytes is what the records of s take as JSON lines, whoever stores them.
func rawBytes(s span) (n int64) {
	d := s.drawer()
	var b []byte
	for i := s.from; i < s.to; i++ {
		b = d.draw(i).appendJSON(b[:0])
		n += int64(len(b)) + 1
	}
	return n
}

// loaded says how a load went.
type loaded struct {
	Records   int     `json:"records"` // acknowledged
	Seconds   float64 `json:"seconds"`
	CPU       float64 `json:"cpuSeconds"` // of the server, until the last acknowledgement
	AckMedian float64 `json:"ackMedianMs"`
	Ack99     float64 `json:"ack99Ms"`
	AckWorst  float64 `json:"ackWorstMs"`
	Retries   int     `json:"retries"`
}

// load sends s over conns connections. A refused request is sent again, as a
// shipper does; its time runs on. enough, if not nil, ends the load early, once
// it returns true of the number of acknowledged records.
func load(ctx context.Context, t target, c *child, s span, conns int, p *progress, enough func(acked int) bool) (loaded, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f := newFeed(t, s)
	defer f.stop()
	select {
	case <-f.filled:
	case <-ctx.Done():
		return loaded{}, ctx.Err()
	}
	l := &loader{t: t, feed: f, p: p, enough: enough, stop: cancel}
	before, began := c.usage(), time.Now()
	var wg sync.WaitGroup
	for range conns {
		wg.Go(func() { l.send(ctx) })
	}
	wg.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for int(l.acked.Load()) < s.to-s.from && ctx.Err() == nil {
			p.report("%s: %d of %d records", t.name(), l.acked.Load(), s.to-s.from)
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	})
	wg.Wait()
	out := loaded{Records: int(l.acked.Load()), Seconds: time.Since(began).Seconds(), CPU: c.usage().cpu - before.cpu, Retries: int(l.retries.Load())}
	if len(l.took) > 0 {
		out.AckMedian, out.Ack99, out.AckWorst = quantile(l.took, 0.5), quantile(l.took, 0.99), quantile(l.took, 1)
	}
	if l.err == nil && enough == nil && out.Records < s.to-s.from {
		l.err = fmt.Errorf("%d of %d records acknowledged: %w", out.Records, s.to-s.from, ctx.Err())
	}
	return out, l.err
}

type loader struct {
	t      target
	feed   *feed
	p      *progress
	enough func(acked int) bool
	stop   context.CancelFunc

	acked, retries atomic.Int64

	mu   sync.Mutex
	took []float64 // ms until acknowledged
	err  error
}

func (l *loader) send(ctx context.Context) {
	deliver, hangUp, err := l.line(ctx)
	if err != nil {
		l.failed(ctx, err)
		return
	}
	defer hangUp()
	for r := range l.feed.requests {
		l.feed.pending.Add(-int64(len(r.body)))
		if ctx.Err() != nil {
			return
		}
		began := time.Now()
		if err := deliver(r.body); err != nil {
			l.failed(ctx, err)
			return
		}
		l.mu.Lock()
		l.took = append(l.took, time.Since(began).Seconds()*1000)
		l.mu.Unlock()
		if n := l.acked.Add(int64(r.records)); l.enough != nil && l.enough(int(n)) {
			l.stop()
		}
	}
}

// line returns what delivers a request, over a connection of its own where the
// protocol is not HTTP, and what ends it.
func (l *loader) line(ctx context.Context) (deliver func(body []byte) error, hangUp func(), err error) {
	if s, ok := l.t.(*spoken); ok && s.p.speak != nil {
		w, err := s.dial(ctx)
		if err != nil {
			return nil, nil, err
		}
		return func(body []byte) error { return s.p.speak(w, body) }, w.hangUp, nil
	}
	path, contentType := l.t.post()
	return func(body []byte) error { return l.deliver(ctx, path, contentType, body) }, func() {}, nil
}

// failed ends the load.
func (l *loader) failed(ctx context.Context, err error) {
	if ctx.Err() == nil {
		l.mu.Lock()
		l.err = err
		l.mu.Unlock()
	}
	l.stop()
}

// deliver tries for a minute.
func (l *loader) deliver(ctx context.Context, path, contentType string, body []byte) error {
	for wait, began := 20*time.Millisecond, time.Now(); ; wait = min(2*wait, time.Second) {
		b, err := l.t.do(ctx, "POST", path, contentType, bytes.NewReader(body))
		if err == nil {
			if why := l.t.refused(b); why != "" {
				return fmt.Errorf("%s refused records: %s", l.t.name(), why)
			}
			return nil
		}
		var a *answered
		if ctx.Err() != nil || time.Since(began) > time.Minute || errors.As(err, &a) && a.final() {
			return err
		}
		if l.retries.Add(1) == 1 {
			l.p.note("%s: a request is sent again: %v", l.t.name(), err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// quantile of a list that it sorts.
func quantile(list []float64, q float64) float64 {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[min(int(float64(len(list))*q), len(list)-1)]
}
