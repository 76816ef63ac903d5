package cache_test

import (
	"context"
	"fmt"
	mrand "math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/cache"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

// raced appends records one by one while several ask, and while what there is is
// sealed and compacted. It returns an answer that was right at no moment between
// its start and its end, and how many parts were kept.
func raced(t *testing.T, appends int, reader func(w *world) store.Reader) (hits int64, err error) {
	w := newWorld(t, 9)
	c := cache.New(reader(w), 32<<20, nil)
	const buckets = 60
	rnd := mrand.New(mrand.NewPCG(3, 4))
	at := make([]int64, appends) // bucket of each record: the newer ones more often, and all in no order
	for i := range at {
		at[i] = max(0, min(buckets-1, int64(i*buckets/appends)-rnd.Int64N(3)))
		if rnd.IntN(10) == 0 {
			at[i] = rnd.Int64N(buckets)
		}
	}
	var begun, acked atomic.Int64
	var kept atomic.Int64
	var first atomic.Pointer[error]
	var done sync.WaitGroup
	over := make(chan struct{})
	fail := func(err error) { first.CompareAndSwap(nil, &err) }
	done.Go(func() {
		defer close(over)
		for i := range at {
			b := &record.Batch{Tenant: "acme", Source: "test", Ingest: start}
			b.Begin(start+at[i]*minute+int64(i), "app")
			b.Int("n", 1)
			b.End()
			begun.Store(int64(i + 1))
			if err := w.s.Append(context.Background(), b); err != nil {
				fail(err)
				return
			}
			acked.Store(int64(i + 1))
			if i%200 == 199 {
				if err := w.s.Seal(context.Background()); err != nil {
					fail(err)
				}
				if _, err := w.s.Compact(context.Background()); err != nil {
					fail(err)
				}
			}
		}
	})
	for k := range 4 {
		done.Go(func() {
			for n := 0; first.Load() == nil; n++ {
				select {
				case <-over:
					return
				default:
				}
				from := int64(0)
				if k%2 == 1 {
					from = int64(n % 20)
				}
				low := acked.Load()
				got, hits, err := counts(c, from, buckets, k < 2)
				high := begun.Load()
				kept.Add(int64(hits))
				if err == nil {
					err = sometime(at, from, got, low, high)
				}
				if err != nil {
					fail(err)
					return
				}
			}
		})
	}
	done.Wait()
	if p := first.Load(); p != nil {
		err = *p
	}
	return kept.Load(), err
}

// counts asks for the records of each minute from one on.
func counts(c store.Reader, from, to int64, measured bool) (out []uint64, hits int, err error) {
	out = make([]uint64, to-from)
	if measured {
		groups, stats, err := c.Measure(context.Background(), store.MeasureRequest{
			Tenant: "acme", From: start + from*minute, To: start + to*minute, Step: minute, Of: []store.MeasureField{{Name: "n", Want: store.WantSums}},
		})
		for _, g := range groups {
			for _, cell := range g.Cells {
				out[cell.Bucket] += uint64(cell.Of[0].Sum)
			}
		}
		return out, stats.ResultCache.Hits, err
	}
	groups, stats, err := c.Count(context.Background(), store.CountRequest{Tenant: "acme", From: start + from*minute, To: start + to*minute, Step: minute})
	for _, g := range groups {
		for i, n := range g.Counts {
			out[i] += n
		}
	}
	return out, stats.ResultCache.Hits, err
}

// sometime reports an answer that is that of no state after low to high records.
func sometime(at []int64, from int64, got []uint64, low, high int64) error {
	state := make([]uint64, len(got))
	for i := range high {
		if i >= low && slices.Equal(state, got) {
			return nil
		}
		if b := at[i] - from; b >= 0 {
			state[b]++
		}
	}
	if slices.Equal(state, got) {
		return nil
	}
	return fmt.Errorf("between %d and %d records, an answer from %d on was never right:\n%v\nin the end it is\n%v", low, high, from, got, state)
}

// TestRace: an answer is right at one moment between its start and its end, and has
// all that was acknowledged before.
func TestRace(t *testing.T) {
	hits, err := raced(t, long(3000, 20_000), real)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d parts were kept", hits)
	if hits < 1000 {
		t.Errorf("only %d parts were kept: this proves little", hits)
	}
}

// TestRaceBites: a store that is late to tell of new records is found out.
func TestRaceBites(t *testing.T) {
	_, err := raced(t, 3000, func(w *world) store.Reader {
		now := uint64(0)
		return lying{w.s, func() uint64 { return now }}
	})
	if err == nil {
		t.Error("nobody sees that new records are kept secret")
	}
}

// slow is a store that waits in Count until it may go on, but for what is old.
type slow struct {
	store.Reader
	asked chan struct{}
	goOn  chan struct{}
	n     atomic.Int64
}

func (s *slow) Count(ctx context.Context, req store.CountRequest) ([]store.Group, store.Stats, error) {
	if req.To < start-5000*minute {
		return s.Reader.Count(ctx, req)
	}
	s.n.Add(1)
	s.asked <- struct{}{}
	select {
	case <-s.goOn:
	case <-ctx.Done():
		return nil, store.Stats{}, ctx.Err()
	}
	return s.Reader.Count(ctx, req)
}

// TestShared: of equal requests at a time one is read; when its asker goes away,
// another one reads.
func TestShared(t *testing.T) {
	w := newWorld(t, 1)
	for range 200 {
		w.write()
	}
	for _, leave := range []bool{false, true} {
		s := &slow{Reader: w.s, asked: make(chan struct{}, 10), goOn: make(chan struct{})}
		c := cache.New(s, 32<<20, nil)
		req := store.CountRequest{Tenant: "acme", From: start - 100*minute, To: start + 100*minute, Step: minute, Where: match.True{}}
		old := req // nothing is kept of what is asked for the first time
		old.From, old.To = req.From-10_000*minute, req.To-10_000*minute
		if _, _, err := c.Count(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		var done sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		ask := func(ctx context.Context, ok bool) {
			done.Go(func() {
				if _, _, err := c.Count(ctx, req); (err == nil) != ok {
					t.Errorf("asker that left %v: %v", !ok, err)
				}
			})
		}
		ask(ctx, !leave)
		<-s.asked
		for range 3 {
			ask(t.Context(), true)
		}
		if leave {
			cancel()
			select {
			case <-s.asked:
			case <-time.After(10 * time.Second):
				t.Fatal("nobody reads in place of the one that left")
			}
		}
		close(s.goOn)
		done.Wait()
		cancel()
		if n := s.n.Load(); !leave && n != 1 {
			t.Errorf("%d requests to the store for four equal ones", n)
		}
	}
}
