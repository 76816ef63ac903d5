package scrape

import (
	"context"
	"math"
	"net/http"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// A scraper reads one target.
type scraper struct {
	target Target
	inlet  *receive.Inlet
	from   receive.Sender
	client *http.Client
	now    func() time.Time
	wanted map[string]string // names of counters
	labels map[string]string // names of labels as fields

	last   time.Time          // of the last scrape that succeeded
	before map[series]float64 // what it read
	after  map[series]float64 // what this one does
}

type series = xxh3.Uint128

func (s *scraper) run(ctx context.Context) {
	defer s.client.CloseIdleConnections()
	tick := time.NewTicker(s.target.Interval)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := s.once(ctx); err != nil && ctx.Err() == nil {
			s.inlet.Log.Warn("scrape", "target", s.target.Name, "error", err)
			s.failed(ctx, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// once scrapes and keeps what it read.
func (s *scraper) once(ctx context.Context) error {
	at := s.now()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.target.URL, nil)
	if err != nil {
		return fault.Wrap(fault.Invalid, err)
	}
	req.Header.Set("Accept", "text/plain;version=0.0.4")
	req.Header.Set("Accept-Encoding", "gzip")
	resp, err := s.client.Do(req)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fault.Errorf(fault.Unavailable, "the target answers %s", resp.Status)
	}
	body, err := s.inlet.Bodies.Read(&http.Request{Body: resp.Body, ContentLength: resp.ContentLength}, resp.Header.Get("Content-Encoding"))
	if err != nil {
		return err
	}
	defer body.Release()
	set := receive.NewSet()
	defer set.Release()
	n, err := s.read(set, body.Bytes, at)
	if err != nil {
		return err
	}
	set.Open()
	s.common(set, "mesh.counters")
	set.Value("counter.read", record.IntValue(int64(n)))
	set.Value("counter.moved", record.IntValue(int64(len(set.Raws))))
	s.since(set)
	set.Raws = append(set.Raws, record.Raw{Time: at.UnixNano(), Attrs: set.Close()})
	if _, err := s.inlet.IngestRetry(ctx, s.target.Interval, s.from, s.id(at, "counters"), set, body); err != nil {
		return err // what moved is told by the next scrape, from the same time on
	}
	s.last, s.before, s.after = at, s.after, s.before
	return nil
}

// failed puts on record that there is no evidence for a time.
func (s *scraper) failed(ctx context.Context, why error) {
	set := receive.NewSet()
	defer set.Release()
	set.Open()
	s.common(set, "mesh.counters.failed")
	s.since(set)
	text := receive.Reason(why)
	at := s.now()
	set.Raws = append(set.Raws, record.Raw{Payload: []byte(text), Time: at.UnixNano(), Attrs: set.Close(), Level: "warn"})
	body := receive.Body{Bytes: []byte(text), Wire: int64(len(text))}
	if _, err := s.inlet.IngestRetry(ctx, s.target.Interval, s.from, s.id(at, "failed"), set, &body); err != nil {
		s.inlet.Log.Warn("keep that a scrape failed", "target", s.target.Name, "error", err)
	}
}

// id names a batch over the tries to keep it.
func (s *scraper) id(at time.Time, what string) record.BatchID {
	return receive.KeyID(s.from, Name, []byte(what), at.UTC().AppendFormat(nil, time.RFC3339Nano))
}

// common adds what every record of the target has.
func (s *scraper) common(set *receive.Set, event string) {
	set.Kind = schema.KindEvidence
	set.Field(schema.RecordKind, schema.KindEvidence)
	set.Field("event.name", event)
	set.Field("counter.target", s.target.Name)
}

func (s *scraper) since(set *receive.Set) {
	if !s.last.IsZero() {
		set.Field("counter.since", receive.Str(set.Keep(s.last.UTC().AppendFormat(set.Text(40), time.RFC3339Nano))))
	}
}

// read appends a record for each counter that moved and returns how many there are.
func (s *scraper) read(set *receive.Set, b []byte, at time.Time) (n int, err error) {
	if s.after == nil {
		s.after = make(map[series]float64)
	}
	clear(s.after)
	err = samples(b, func(name, labels []byte, v float64) error {
		counter, ok := s.wanted[string(name)]
		if !ok || math.IsNaN(v) || math.IsInf(v, 0) {
			return nil
		}
		if n++; n > maxSamples {
			return fault.Errorf(fault.TooLarge, "the target has more than %d counters", maxSamples)
		}
		h := xxh3.New()
		h.Write(name)
		h.Write(labels)
		k := h.Sum128()
		s.after[k] = v
		old, known := s.before[k]
		if known && old == v {
			return nil
		}
		set.Open()
		s.common(set, "mesh.counter")
		set.Field("counter.name", counter)
		set.Value("counter.value", number(v))
		if err := s.label(set, labels); err != nil {
			set.Undo()
			return err
		}
		switch {
		case !s.last.IsZero() && !known: // born since the last scrape
			set.Value("counter.increase", number(v))
		case known && v >= old:
			set.Value("counter.increase", number(v-old))
		case known: // the proxy began anew: what it counted before it ended is unknown
			set.Value("counter.increase", number(v))
			set.Value("counter.reset", record.BoolValue(true))
		}
		s.since(set)
		set.Raws = append(set.Raws, record.Raw{Time: at.UnixNano(), Attrs: set.Close()})
		return nil
	})
	return n, err
}

func number(v float64) record.Value {
	if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
		return record.IntValue(int64(v))
	}
	return record.FloatValue(v)
}

// label adds the labels as fields counter.label.NAME.
func (s *scraper) label(set *receive.Set, labels []byte) error {
	n := 0
	for len(labels) > 0 {
		name, value, rest, err := pair(labels, set)
		if err != nil {
			return err
		}
		labels = rest
		if n++; n > maxLabels {
			return fault.Errorf(fault.TooLarge, "a counter has more than %d labels", maxLabels)
		}
		if len(value) == 0 {
			continue
		}
		as, ok := s.labels[string(name)]
		if !ok {
			as = "counter.label." + string(name)
			if len(s.labels) < 1000 {
				s.labels[string(name)] = as
			}
		}
		set.Field(as, receive.Str(value))
	}
	return nil
}
