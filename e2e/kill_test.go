package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/e2e/harness"
)

// TestKillNine kills the server again and again under load. An oracle knows
// which records were acknowledged: after each restart none may be missing and
// none may be shown twice, and the restart takes less than 5 s.
func TestKillNine(t *testing.T) {
	cycles := 50
	if harness.Long() {
		cycles = 200
	}
	if testing.Short() {
		cycles = 5
	}
	o := &oracle{rng: rand.New(rand.NewPCG(7, uint64(cycles))), acked: map[string]bool{}}
	data := harness.Init(t)
	s := harness.Serve(t, data)
	var slowest time.Duration
	for c := range cycles {
		o.cycle = c
		o.load(s)
		start := time.Now()
		s = harness.Serve(t, data)
		took := time.Since(start)
		slowest = max(slowest, took)
		if took > 5*time.Second {
			t.Fatalf("cycle %d: restart took %v", c, took)
		}
		o.resend(t, s)
		o.check(t, s, fmt.Sprintf(`{run="%d"}`, c), fmt.Sprintf("%d-", c))
	}
	o.check(t, s, `{app="kill"}`, "")
	s.Stop()
	harness.Run(t, 0, "verify", data)
	t.Logf("%d cycles, %d records acknowledged, lost 0, shown twice 0, slowest restart %v", cycles, len(o.acked), slowest)
}

const recordsPerBatch = 20

// request is a batch whose fate is unknown: it was sent, and no answer came.
type request struct {
	key string
	ids []string
}

type oracle struct {
	rng   *rand.Rand
	cycle int

	mu      sync.Mutex
	acked   map[string]bool
	pending []request
}

func (r request) body() []byte {
	docs := make([]string, len(r.ids))
	for i, id := range r.ids {
		run, _, _ := strings.Cut(id, "-")
		docs[i] = fmt.Sprintf(`{"@timestamp":"2026-11-20T10:%02d:%02d.%03dZ","app":"kill","run":"%s","id":"%s","message":"record %s of the kill test"}`,
			i%60, (i*7)%60, i, run, id, id)
	}
	return harness.BulkBody(docs)
}

func (r request) send(s *harness.Server) error {
	code, b, err := s.Request("POST", "/_bulk", map[string]string{"Content-Type": "application/x-ndjson", "Idempotency-Key": r.key}, r.body())
	if err == nil && (code != 200 || strings.Contains(string(b), `"errors":true`)) {
		err = fmt.Errorf("status %d: %.200s", code, b)
	}
	return err
}

// load writes over several connections until a random number of batches was
// acknowledged, then kills the server in the middle of the rest. In every third
// cycle a seal is running.
func (o *oracle) load(s *harness.Server) {
	const writers = 4
	target := 5 + o.rng.IntN(40)
	sealing := o.cycle%3 == 1
	reached := make(chan struct{})
	var once sync.Once
	var count int
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := 0; ; n++ {
				r := request{key: fmt.Sprintf("%d-%d-%d", o.cycle, w, n)}
				for i := range recordsPerBatch {
					r.ids = append(r.ids, fmt.Sprintf("%d-%d-%d-%d", o.cycle, w, n, i))
				}
				err := r.send(s)
				o.mu.Lock()
				if err != nil {
					o.pending = append(o.pending, r)
					o.mu.Unlock()
					once.Do(func() { close(reached) })
					return
				}
				o.ack(r)
				if count++; count == target {
					once.Do(func() { close(reached) })
				}
				o.mu.Unlock()
			}
		})
	}
	if sealing {
		wg.Go(func() { s.Request("POST", "/api/v1/seal", nil, nil) })
	}
	<-reached
	s.Kill()
	wg.Wait()
}

func (o *oracle) ack(r request) {
	for _, id := range r.ids {
		o.acked[id] = true
	}
}

// resend repeats what got no answer, under its old key.
func (o *oracle) resend(t *testing.T, s *harness.Server) {
	t.Helper()
	for _, r := range o.pending {
		if err := r.send(s); err != nil {
			t.Fatalf("cycle %d: resend %s: %v\n%s", o.cycle, r.key, err, s.Log)
		}
		o.ack(r)
	}
	o.pending = nil
}

func (o *oracle) check(t *testing.T, s *harness.Server, query, prefix string) {
	t.Helper()
	seen := map[string]int{}
	for _, f := range s.Ask(query) {
		id, _ := f.Fields["id"].(string)
		seen[id]++
	}
	lost, twice, want := 0, 0, 0
	for id := range o.acked {
		if !strings.HasPrefix(id, prefix) {
			continue
		}
		want++
		if seen[id] == 0 {
			lost++
		}
	}
	for id, n := range seen {
		if n > 1 {
			twice++
		}
		if !o.acked[id] {
			t.Errorf("cycle %d: %q was never sent", o.cycle, id)
		}
	}
	if lost > 0 || twice > 0 {
		t.Fatalf("cycle %d: of %d acknowledged records %d are lost and %d are shown twice\n%s", o.cycle, want, lost, twice, s.Log)
	}
}
