package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// TestWhatIsNotSealedIsBounded appends faster than seals go, from several
// senders, records of shapes that are hard on memory: what waits to be sealed
// never exceeds its limit by more than what the senders had in hand, nobody is
// refused for long, and nothing is lost.
func TestWhatIsNotSealedIsBounded(t *testing.T) {
	const senders, limit = 4, 12 << 20
	for _, shape := range []struct {
		name          string
		batches, rows int
		size          int64 // of a batch, as rawSize counts it, at most
		fill          func(r *rand.Rand, b *record.Batch)
	}{
		{"20,000 streams", 16, 1500, 1 << 20, func(r *rand.Rand, b *record.Batch) {
			pod := r.IntN(20_000)
			b.Str("service.name", fmt.Sprint("service-", pod%16))
			b.Str("k8s.pod.name", fmt.Sprint("service-", pod%16, "-", pod))
			b.Str("server.address", fmt.Sprintf("10.%d.%d.1:8080", pod/250, pod%250))
			b.Str("trace_id", fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64()))
			b.Str("body", strings.Repeat("upstream connect error ", 10))
		}},
		{"1 MiB records", 8, 2, 3 << 20, func(r *rand.Rand, b *record.Batch) {
			b.Str("body", strings.Repeat(fmt.Sprintf("%016x ", r.Uint64()), 1<<20/17))
		}},
		{"200 columns", 8, 200, 2 << 20, func(r *rand.Rand, b *record.Batch) {
			for i := range 200 {
				b.Str(fmt.Sprint("attribute.", i), fmt.Sprint(r.IntN(1e6)))
			}
		}},
	} {
		t.Run(shape.name, func(t *testing.T) {
			f, err := vfs.Dir(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			createWorld(t, f)
			s := openWorld(t, f, Limits{SealAge: time.Hour, SealBytes: limit / 4, Unsealed: limit, AppendWait: time.Minute})
			var wg sync.WaitGroup
			var mu sync.Mutex
			var most int64
			for n := range senders {
				wg.Go(func() {
					r := rand.New(rand.NewPCG(uint64(n), 1))
					var b record.Batch
					for range shape.batches {
						b.Reset()
						b.Tenant, b.Source, b.Ingest = "acme", "bench", noon
						for i := range shape.rows {
							b.Begin(noon+int64(i), "app")
							shape.fill(r, &b)
							b.End()
						}
						if err := s.Append(context.Background(), &b); err != nil {
							t.Error(err)
							return
						}
						mu.Lock()
						most = max(most, s.Status().UnsealedBytes)
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			if bound := int64(limit + senders*shape.size); most > bound || most < limit/4 {
				t.Errorf("%d bytes waited to be sealed, limit %d and at most %d in hand", most, limit, bound-limit)
			}
			if got, want := s.Status().Records, uint64(senders*shape.batches*shape.rows); got != want {
				t.Errorf("%d records, want %d", got, want)
			}
		})
	}
}
