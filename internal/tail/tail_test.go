package tail_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
	"github.com/meshtrail/meshtrail/internal/tail"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// kept is a store that makes a batch visible and then publishes it, as the real
// one does.
type kept struct {
	store.Reader // of which only Scan is asked

	mu      sync.Mutex
	next    uint64
	records []record.Record
	publish func(*record.Batch)
	scanned func() // called in the middle of a scan
}

func (k *kept) append(tenant record.TenantID, class record.Class, bodies ...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	b := &record.Batch{Tenant: tenant, Source: "test"}
	k.next++
	b.Ord = k.next << 20
	for _, s := range bodies {
		b.Begin(int64(1000-k.next), class) // event times against the commit order
		b.Str("body", s)
		b.End()
	}
	if tenant == "acme" {
		for i := range b.Len() {
			k.records = append(k.records, b.Record(i))
		}
	}
	k.publish(b)
}

func (k *kept) Scan(_ context.Context, req store.ScanRequest, visit func([]record.Record) error) (store.Stats, error) {
	k.mu.Lock()
	all := k.records[:len(k.records):len(k.records)]
	k.mu.Unlock()
	if k.scanned != nil {
		k.scanned()
	}
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Ord > req.AfterOrd && all[i].Ord <= req.UpToOrd && match.Eval(req.Where, &all[i]) {
			if err := visit(all[i : i+1]); err != nil {
				return store.Stats{}, err
			}
		}
	}
	return store.Stats{}, nil
}

func scopeOf(t *testing.T, grants ...access.Permission) access.Scope {
	t.Helper()
	s, err := access.ReadScope(&access.Principal{Name: "alice", Tenant: "acme", Grants: append(grants, access.LogsRead)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func hub(o tail.Options) (*tail.Hub, *kept) {
	k := &kept{}
	o.Store = k
	h := tail.New(o)
	k.publish = settled(h)
	return h, k
}

// settled publishes as the store does, and waits until the watchers were offered
// what there is.
func settled(h *tail.Hub) func(*record.Batch) {
	return func(b *record.Batch) {
		h.Publish(&store.Commit{Batch: b})
		h.Settle()
	}
}

func subscribe(t *testing.T, h *tail.Hub, s access.Scope, req tail.Request) *tail.Subscription {
	t.Helper()
	sub, err := h.Subscribe(t.Context(), s, req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sub.Close)
	return sub
}

func bodies(rs []record.Record) string {
	var out []string
	for i := range rs {
		v, _ := rs[i].Get("body")
		out = append(out, v.Str)
	}
	return strings.Join(out, " ")
}

// want waits for records until the bodies are all there.
func want(t *testing.T, s *tail.Subscription, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	var got []record.Record
	for len(got) < len(strings.Fields(text)) {
		rs, dropped, err := s.Next(ctx)
		if err != nil || dropped != 0 {
			t.Fatalf("after %q: dropped %d, %v", bodies(got), dropped, err)
		}
		got = append(got, rs...)
	}
	if bodies(got) != text {
		t.Fatalf("got %q, want %q", bodies(got), text)
	}
}

func TestLive(t *testing.T) {
	h, k := hub(tail.Options{})
	k.append("acme", "app", "before")
	all := subscribe(t, h, scopeOf(t), tail.Request{})
	some := subscribe(t, h, scopeOf(t), tail.Request{Where: match.Contains{Field: match.Line, Value: "x"}})
	auditor := subscribe(t, h, scopeOf(t, access.AuditRead), tail.Request{})
	word := subscribe(t, h, scopeOf(t), tail.Request{Where: match.And{
		match.Word{Field: match.AnyField, Value: "X2", Fold: true}, match.Not{P: match.Word{Field: match.AnyField, Value: "x1"}}}})
	k.append("acme", "app", "a", "x1")
	k.append("other", "app", "b")
	k.append("acme", "audit", "c")
	k.append("acme", "ops", "x2")
	want(t, all, "a x1 x2")
	want(t, some, "x1 x2")
	want(t, word, "x2")
	want(t, auditor, "a x1 c x2")
}

func TestZeroScope(t *testing.T) {
	h, _ := hub(tail.Options{})
	if _, err := h.Subscribe(t.Context(), access.Scope{}, tail.Request{}); !fault.Is(err, fault.Denied) {
		t.Fatalf("zero scope: %v", err)
	}
}

func TestSlowWatcherIsTold(t *testing.T) {
	h, k := hub(tail.Options{Queue: 2})
	s := subscribe(t, h, scopeOf(t), tail.Request{})
	k.append("acme", "app", "a", "b", "c", "d")
	rs, dropped, err := s.Next(t.Context())
	if bodies(rs) != "a b" || dropped != 2 || err != nil {
		t.Fatalf("got %q, dropped %d, %v", bodies(rs), dropped, err)
	}
	k.append("acme", "app", "e")
	want(t, s, "e")
}

func TestTooManyWatchers(t *testing.T) {
	h, _ := hub(tail.Options{MaxSubscribers: 1})
	s := subscribe(t, h, scopeOf(t), tail.Request{})
	if _, err := h.Subscribe(t.Context(), scopeOf(t), tail.Request{}); !fault.Is(err, fault.Overload) {
		t.Fatalf("second of one: %v", err)
	}
	s.Close()
	subscribe(t, h, scopeOf(t), tail.Request{})
}

func TestClose(t *testing.T) {
	h, _ := hub(tail.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	s, err := h.Subscribe(ctx, scopeOf(t), tail.Request{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, _, err := s.Next(context.Background()); !fault.Is(err, fault.Canceled) {
		t.Fatalf("Next after the end: %v", err)
	}
	s.Close()
}

// TestClientGoneBeforeItSubscribed hands in a context that is done already: the
// subscription ends by itself and leaves nothing behind.
func TestClientGoneBeforeItSubscribed(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	h := tail.New(tail.Options{MaxSubscribers: 1})
	for range 200 {
		s, err := h.Subscribe(ctx, scopeOf(t), tail.Request{})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Next(context.Background()); !fault.Is(err, fault.Canceled) {
			t.Fatalf("Next after the end: %v", err)
		}
	}
}

func TestResume(t *testing.T) {
	h, k := hub(tail.Options{})
	k.append("acme", "app", "a")
	k.append("acme", "app", "b", "c")
	s := subscribe(t, h, scopeOf(t), tail.Request{Resume: true, After: 2 << 20}) // after b
	k.append("acme", "app", "d")
	want(t, s, "c d")
	k.append("acme", "app", "e")
	want(t, s, "e")
}

// TestResumeAfterRestart: the hub has published nothing of what the store has.
func TestResumeAfterRestart(t *testing.T) {
	h, k := hub(tail.Options{Last: 2 << 20})
	k.publish = func(*record.Batch) {} // before the restart
	k.append("acme", "app", "a")
	k.append("acme", "app", "b")
	s := subscribe(t, h, scopeOf(t), tail.Request{Resume: true, After: 1 << 20})
	k.publish = settled(h)
	once := false
	k.scanned = func() {
		if !once { // committed during the scan: seen live, not in it
			once = true
			k.append("acme", "app", "d")
		}
	}
	k.append("acme", "app", "c") // live and in the scan
	want(t, s, "b c d")
}

// TestResumeOverflow: a live queue that overflows while the store is read is
// read from the store as well; nothing is dropped.
func TestResumeOverflow(t *testing.T) {
	h, k := hub(tail.Options{Queue: 2})
	k.append("acme", "app", "a")
	s := subscribe(t, h, scopeOf(t), tail.Request{Resume: true, After: 1})
	rounds := 0
	k.scanned = func() {
		if rounds++; rounds <= 2 {
			k.append("acme", "app", fmt.Sprint(rounds, "a"), fmt.Sprint(rounds, "b"), fmt.Sprint(rounds, "c"))
		}
	}
	want(t, s, "a 1a 1b 1c 2a 2b 2c")
}

// TestResumeInPages reads more than a queue holds, in commit order, while more is
// committed.
func TestResumeInPages(t *testing.T) {
	h, k := hub(tail.Options{Queue: 3})
	var all []string
	put := func(n int) {
		var bodies []string
		for range n {
			bodies = append(bodies, fmt.Sprint("r", len(all)+len(bodies)))
		}
		k.append("acme", "app", bodies...)
		all = append(all, bodies...)
	}
	for range 5 {
		put(4)
	}
	s := subscribe(t, h, scopeOf(t), tail.Request{Resume: true})
	rounds := 0
	k.scanned = func() {
		if rounds++; rounds <= 4 {
			put(2)
		}
	}
	want(t, s, strings.Join(append(slices.Clone(all), "r20", "r21", "r22", "r23", "r24", "r25", "r26", "r27"), " "))
	if s.Cursor() < 9<<20 {
		t.Errorf("cursor %d", s.Cursor())
	}
}

// TestCursorBeforeTheFirstRecord: a watcher who saw nothing yet can come back
// without missing what was committed while it was away.
func TestCursorBeforeTheFirstRecord(t *testing.T) {
	h, k := hub(tail.Options{})
	k.append("acme", "app", "old")
	s := subscribe(t, h, scopeOf(t), tail.Request{Where: match.Contains{Field: match.Line, Value: "x"}})
	at := s.Cursor()
	if at != 1<<20 {
		t.Fatalf("cursor %d", at)
	}
	s.Close()
	k.append("acme", "app", "x1", "other")
	again := subscribe(t, h, scopeOf(t), tail.Request{Where: match.Contains{Field: match.Line, Value: "x"}, Resume: true, After: at})
	want(t, again, "x1")
	// What does not match moves the cursor as well, once asked.
	k.append("acme", "app", "y", "z")
	k.append("other", "app", "x of others")
	again.Nudge()
	if rs, dropped, err := again.Next(t.Context()); len(rs) > 0 || dropped > 0 || err != nil || again.Cursor() != 3<<20+1 {
		t.Errorf("%d records, dropped %d, %v, cursor %d", len(rs), dropped, err, again.Cursor())
	}
}

func TestResumeFromAnotherServer(t *testing.T) {
	h, k := hub(tail.Options{})
	k.append("acme", "app", "a")
	if _, err := h.Subscribe(t.Context(), scopeOf(t), tail.Request{Resume: true, After: 9 << 20}); !fault.Is(err, fault.Invalid) {
		t.Fatalf("a place that is not there yet: %v", err)
	}
}

// TestGapCanBeRead: what was reported as dropped is read by resuming from the
// place that is reported with it.
func TestGapCanBeRead(t *testing.T) {
	h, k := hub(tail.Options{Queue: 2})
	s := subscribe(t, h, scopeOf(t), tail.Request{})
	k.append("acme", "app", "a", "b", "c", "d")
	if _, dropped, err := s.Next(t.Context()); dropped != 2 || err != nil || s.Cursor() != 1<<20+3 {
		t.Fatalf("dropped %d, %v, cursor %d", dropped, err, s.Cursor())
	}
	want(t, subscribe(t, h, scopeOf(t), tail.Request{Resume: true, After: s.Gap()}), "c d")
}

// TestComplete: a slow watcher who wants everything gets everything, once.
func TestComplete(t *testing.T) {
	h, k := hub(tail.Options{Queue: 2})
	s := subscribe(t, h, scopeOf(t), tail.Request{Complete: true})
	k.append("acme", "app", "a", "b", "c", "d")
	k.append("acme", "app", "e")
	want(t, s, "a b c d e")
	k.append("acme", "app", "f")
	want(t, s, "f")
}

// TestPipeline: what a pipeline left to do is done for each watcher by itself.
func TestPipeline(t *testing.T) {
	h, k := hub(tail.Options{})
	k.append("acme", "app", "old", "drop-old")
	n := 0
	then := func(r *record.Record) (record.Record, bool) {
		n++
		v, _ := r.Get("body")
		return record.Record{Ord: r.Ord, Fields: []record.Field{{Name: "body", Value: record.StringValue(strings.ToUpper(v.Str))}}}, !strings.HasPrefix(v.Str, "drop")
	}
	s := subscribe(t, h, scopeOf(t), tail.Request{Then: then, Resume: true, After: 1})
	plain := subscribe(t, h, scopeOf(t), tail.Request{})
	k.append("acme", "app", "a", "drop-b", "c")
	want(t, s, "OLD A C")
	want(t, plain, "a drop-b c")
	if n != 5 || s.Cursor() != 2<<20+2 {
		t.Errorf("%d calls, cursor %d", n, s.Cursor())
	}
}

// TestManyWatchers: a watcher who takes nothing costs the commit path nothing
// once it has lost too much, keeps no memory, and is told where to come back.
func TestManyWatchers(t *testing.T) {
	const watchers, stuck, batches = 200, 60, 400
	h, k := hub(tail.Options{Queue: 8, MaxLost: 100, MemoryBytes: 1 << 20, Pace: -1})
	var read, idle []*tail.Subscription
	for i := range watchers {
		s := subscribe(t, h, scopeOf(t), tail.Request{})
		if i < stuck {
			idle = append(idle, s)
		} else {
			read = append(read, s)
		}
	}
	most := int64(0)
	for i := range batches {
		k.append("acme", "app", strconv.Itoa(i))
		_, held, _ := h.Load()
		most = max(most, held)
		for _, s := range read {
			if rs, dropped, err := s.Next(t.Context()); bodies(rs) != strconv.Itoa(i) || dropped > 0 || err != nil {
				t.Fatalf("batch %d: %q, dropped %d, %v", i, bodies(rs), dropped, err)
			}
		}
	}
	open, held, tested := h.Load()
	// All ask the same: each record is looked at once.
	if open != watchers-stuck || held != 0 || tested != batches {
		t.Errorf("%d watchers, %d bytes, %d records tested, want %d", open, held, tested, batches)
	}
	if most > 1<<20 {
		t.Errorf("%d bytes waited, limit %d", most, 1<<20)
	}
	for _, s := range idle {
		if _, _, err := s.Next(t.Context()); !fault.Is(err, fault.Overload) || s.Cursor() != 0 {
			t.Fatalf("a watcher that was too slow: %v, cursor %d", err, s.Cursor())
		}
	}
	// Coming back from there, it has missed nothing.
	again := subscribe(t, h, scopeOf(t), tail.Request{Resume: true, After: idle[0].Cursor()})
	for next := 0; next < batches; {
		rs, _, err := again.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := range rs {
			if v, _ := rs[i].Get("body"); v.Str != strconv.Itoa(next) {
				t.Fatalf("got %s, want %d", v.Str, next)
			}
			next++
		}
	}
}

// TestMemoryIsBounded: queues end at bytes, not only at records.
func TestMemoryIsBounded(t *testing.T) {
	h, k := hub(tail.Options{QueueBytes: 10_000, MemoryBytes: 15_000})
	a := subscribe(t, h, scopeOf(t), tail.Request{})
	b := subscribe(t, h, scopeOf(t), tail.Request{})
	for range 20 {
		k.append("acme", "app", strings.Repeat("x", 1000))
	}
	if _, held, _ := h.Load(); held > 15_000 || held < 10_000 {
		t.Errorf("%d bytes wait", held)
	}
	ra, da, _ := a.Next(t.Context())
	rb, db, _ := b.Next(t.Context())
	if len(ra)+int(da) != 20 || len(rb)+int(db) != 20 || len(ra) > 9 || len(rb) > 9 {
		t.Errorf("%d and %d dropped, %d and %d dropped", len(ra), da, len(rb), db)
	}
	if _, held, _ := h.Load(); held != 0 {
		t.Errorf("%d bytes wait for nobody", held)
	}
}

func TestTenantsHaveLimitsOfTheirOwn(t *testing.T) {
	h, _ := hub(tail.Options{MaxPerTenant: 1, MaxSubscribers: 2})
	of := func(tenant record.TenantID) error {
		s, err := access.ReadScope(&access.Principal{Name: "x", Tenant: tenant, Grants: []access.Permission{access.LogsRead}})
		if err != nil {
			t.Fatal(err)
		}
		sub, err := h.Subscribe(t.Context(), s, tail.Request{})
		if err == nil {
			t.Cleanup(sub.Close)
		}
		return err
	}
	if err := of("acme"); err != nil {
		t.Fatal(err)
	}
	if err := of("acme"); !fault.Is(err, fault.Overload) || !strings.Contains(err.Error(), "acme") {
		t.Errorf("second of one: %v", err)
	}
	if err := of("other"); err != nil {
		t.Errorf("another tenant: %v", err)
	}
	if err := of("third"); !fault.Is(err, fault.Overload) {
		t.Errorf("third of two: %v", err)
	}
}

func TestResumeTooFar(t *testing.T) {
	h, k := hub(tail.Options{MaxReplay: 2})
	k.append("acme", "app", "a", "b", "c")
	s := subscribe(t, h, scopeOf(t), tail.Request{Resume: true, After: 1})
	if _, _, err := s.Next(t.Context()); !fault.Is(err, fault.Overload) {
		t.Fatalf("replay of 3, limit 2: %v", err)
	}
}

// TestNoGapNoDuplicate lets a watcher come back again and again while records
// are committed, and wants every record once and in order.
func TestNoGapNoDuplicate(t *testing.T) {
	h, k := hub(tail.Options{Queue: 50})
	k.publish = func(b *record.Batch) { h.Publish(&store.Commit{Batch: b}) } // and matches meanwhile
	const batches = 300
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range batches {
			k.append("acme", "app", strconv.Itoa(2*i), strconv.Itoa(2*i+1))
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	next, after := 0, uint64(0)
	for next < 2*batches {
		s := subscribe(t, h, scopeOf(t), tail.Request{Resume: true, After: after})
		for range 3 {
			if next == 2*batches {
				break
			}
			rs, dropped, err := s.Next(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for i := range rs {
				if v, _ := rs[i].Get("body"); v.Str != strconv.Itoa(next) {
					t.Fatalf("got %s, want %d", v.Str, next)
				}
				next++
				after = rs[i].Ord
			}
			if dropped > 0 {
				break // come back from where we are
			}
		}
		s.Close()
	}
	<-done
}

func TestPublishWithoutWatchersAllocatesNothing(t *testing.T) {
	h, _ := hub(tail.Options{})
	b := &record.Batch{Tenant: "acme", Source: "test", Ord: 1}
	b.Begin(1, "app")
	b.End()
	c := &store.Commit{Batch: b}
	if n := testing.AllocsPerRun(100, func() { h.Publish(c) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPublish(b *testing.B) {
	h := tail.New(tail.Options{Queue: 1})
	s, err := access.ReadScope(&access.Principal{Name: "a", Tenant: "acme", Grants: []access.Permission{access.LogsRead}})
	if err != nil {
		b.Fatal(err)
	}
	sub, err := h.Subscribe(b.Context(), s, tail.Request{Where: match.Eq{Field: "code", Value: "503"}})
	if err != nil {
		b.Fatal(err)
	}
	defer sub.Close()
	batch := &record.Batch{Tenant: "acme", Source: "test", Ord: 1}
	for i := range 1000 {
		batch.Begin(int64(i), "app")
		batch.Int("code", 200)
		batch.Str("body", "x")
		batch.End()
	}
	b.ReportAllocs()
	for b.Loop() {
		h.Publish(&store.Commit{Batch: batch})
		h.Settle()
	}
}
