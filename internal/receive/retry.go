package receive

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/record"
)

// The pauses between the tries of Retry.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = 5 * time.Second
)

// IngestRetry is Ingest for protocols over connections, whose senders cannot be
// asked to come again: while the failure is one that passes, it tries again, and
// the sender waits because nothing is read and nothing acknowledged. It gives up
// when ctx ends, and, unless patience is 0, after that time; what is returned then
// is the last failure, and nothing may be assumed to be kept. Every failed try is
// counted.
func (in *Inlet) IngestRetry(ctx context.Context, patience time.Duration, from Sender, id record.BatchID, set *Set, body *Body) (pipeline.Outcome, error) {
	var out pipeline.Outcome
	err := in.Retry(ctx, patience, func() (err error) {
		out, err = in.Ingest(ctx, from, id, set, body)
		return err
	})
	return out, err
}

// Retry calls try until it succeeds, fails for good, ctx ends, or, unless it is
// 0, patience does.
func (in *Inlet) Retry(ctx context.Context, patience time.Duration, try func() error) error {
	started := time.Now()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := try()
		if err == nil {
			return nil
		}
		in.Meter.Failed(err)
		if !Passing(err) || patience > 0 && time.Since(started)+pause > patience {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// IngestLossy is IngestRetry for protocols whose senders neither number their
// batches nor can be told to send again: it tries until the set is durable or can
// never be kept, or ctx ends. Meanwhile the connection is not read, so TCP makes
// the sender wait, and of datagrams those are dropped that the queue has no room
// for. The batch is numbered here, so that an attempt which did succeed in spite of its
// error is seen once. size is how many bytes were received, for the counters.
func (in *Inlet) IngestLossy(ctx context.Context, from Sender, set *Set, size int) (pipeline.Outcome, error) {
	if set.Total() == 0 {
		return pipeline.Outcome{}, nil
	}
	from.Lossy = true
	o := in.origins.take(in.Name)
	id := record.BatchID{Origin: o.name, Seq: o.next}
	var out pipeline.Outcome
	err := in.Retry(ctx, 0, func() (err error) {
		out, err = in.ingest(ctx, from, id, set, int64(size), int64(size))
		return err
	})
	if err == nil { // else the number may have been used
		o.next += uint64(len(set.Raws)) + 1
		in.origins.give(o)
	}
	return out, err
}

// An origin numbers the batches that one goroutine after the other hands in.
type origin struct {
	name string
	next uint64
}

// origins are those that nobody uses now: there are never more than were used at
// once, however many connections come and go, because the store remembers them.
type origins struct {
	mu   sync.Mutex
	free []*origin
	run  string // of this process
	made int
}

func (s *origins) take(receiver string) *origin {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.free); n > 0 {
		o := s.free[n-1]
		s.free = s.free[:n-1]
		return o
	}
	if s.run == "" {
		var b [8]byte
		rand.Read(b[:])
		s.run = hex.EncodeToString(b[:])
	}
	s.made++
	return &origin{name: SourceName(fmt.Sprintf("own/%s/%s/%d", receiver, s.run, s.made))}
}

func (s *origins) give(o *origin) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, o)
}
