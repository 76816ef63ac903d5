package query_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

// waiting is a store that holds the first Scan at its end until it may go on.
type waiting struct {
	store.Reader
	inside, goOn chan struct{}
	held         atomic.Bool
}

func (w *waiting) Scan(ctx context.Context, req store.ScanRequest, visit func([]record.Record) error) (store.Stats, error) {
	stats, err := w.Reader.Scan(ctx, req, visit)
	if w.held.CompareAndSwap(false, true) {
		close(w.inside)
		<-w.goOn
	}
	return stats, err
}

// TestMemoryOfAllQueries: what one query holds is missing to the next, of every
// kind, and is there again when it has ended.
func TestMemoryOfAllQueries(t *testing.T) {
	s := openStore(t)
	b := &record.Batch{Tenant: "acme", Source: "test", Ingest: base.UnixNano()}
	for i := range 2000 {
		b.Begin(at(time.Duration(i)*time.Millisecond), "app")
		b.Str("user", fmt.Sprint("user-", i))
		b.Str("body", fmt.Sprintf("%01500d", i))
		b.Int("n", int64(i))
		b.End()
	}
	appendAll(t, s, func(int) bool { return true }, []*record.Batch{b})
	w := &waiting{Reader: s, inside: make(chan struct{}), goOn: make(chan struct{})}
	e := engine(t, w, func(o *query.Options) { o.Limits.MemoryBytes = 3 << 20 })
	logs := query.Request{Query: `{}`, Start: at(0), End: at(time.Minute), Limit: 700}
	first := make(chan error, 1)
	go func() {
		_, err := e.Query(t.Context(), scopeOf(t), logs)
		first <- err
	}()
	<-w.inside
	groups := query.Request{Query: `sum by (user) (count_over_time({}[1m]))`, End: at(time.Minute), Instant: true}
	measures := query.Request{Query: `sum by (user) (sum_over_time({} | unwrap n [1m]))`, End: at(time.Minute), Instant: true}
	facets := func() error {
		_, err := e.Facets(t.Context(), scopeOf(t), query.FacetsRequest{Span: query.Span{From: at(0), To: at(time.Minute)}, Fields: []string{"user"}})
		return err
	}
	ask := func(r query.Request) func() error {
		return func() error { _, err := e.Query(t.Context(), scopeOf(t), r); return err }
	}
	for name, f := range map[string]func() error{"logs": ask(logs), "groups": ask(groups), "measures": ask(measures)} {
		if err := f(); !fault.Is(err, fault.Overload) || fault.HintOf(err) == "" {
			t.Errorf("%s while another query holds the memory: %v", name, err)
		}
	}
	close(w.goOn)
	if err := <-first; err != nil {
		t.Error("the first query:", err)
	}
	for name, f := range map[string]func() error{"logs": ask(logs), "facets": facets, "groups": ask(groups), "measures": ask(measures)} {
		for range 20 { // nothing is lost on the way
			if err := f(); err != nil {
				t.Fatalf("%s after it: %v", name, err)
			}
		}
	}
}
