package receive

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"sync"

	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Persist is Keep for protocols whose senders neither number their batches nor
// can be told to send again: it tries until the set is durable or can never be
// kept, or ctx ends. Meanwhile the connection is not read, so TCP makes the sender
// wait, and of datagrams those are dropped that the queue has no room for. The
// batch is numbered here, so that an attempt which did succeed in spite of its
// error is seen once. data is what was received, for the counters.
func (f *Frame) Persist(ctx context.Context, from Sender, set *Set, data []byte) (pipeline.Outcome, error) {
	if set.Total() == 0 {
		return pipeline.Outcome{}, nil
	}
	from.Lossy = true
	o := f.origins.take(f.Name)
	id := record.BatchID{Origin: o.name, Seq: o.next}
	out, err := f.Keep(ctx, 0, from, id, set, &Body{Bytes: data, Wire: int64(len(data))})
	if err == nil { // else the number may have been used
		o.next += uint64(len(set.Raws)) + 1
		f.origins.give(o)
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
