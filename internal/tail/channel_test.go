package tail_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
	"github.com/meshtrail/meshtrail/internal/tail"
)

// TestCommitsCostTheSame: the work of a commit depends neither on how many watch,
// nor on what for, nor on how many records it has; and it waits for nobody who
// matches or takes.
func TestCommitsCostTheSame(t *testing.T) {
	publish := func(watchers, records int) float64 {
		h, _ := hub(tail.Options{Backlog: 1 << 40})
		for i := range watchers {
			subscribe(t, h, scopeOf(t), tail.Request{Where: match.Contains{Field: match.Line, Value: strconv.Itoa(i)}})
		}
		b := &record.Batch{Tenant: "acme", Source: "test", Ord: 1}
		for i := range records {
			b.Begin(int64(i), "app")
			b.Str("body", strconv.Itoa(i))
			b.End()
		}
		const runs = 50
		var commits []*store.Commit
		for range runs + 1 {
			commits = append(commits, store.NewCommit(b, b.AppendEncoded(nil))) // as for its journal
		}
		release := h.Hold() // whoever needed the watchers would wait for ever
		defer h.Settle()
		defer release()
		i := 0
		return testing.AllocsPerRun(runs, func() { h.Publish(commits[i]); i++ })
	}
	one := publish(1, 1)
	for _, c := range [][2]int{{190, 1}, {1, 2000}, {190, 2000}} {
		if n := publish(c[0], c[1]); n > one {
			t.Errorf("a commit of %d records with %d watchers allocates %v times, with one of each %v", c[1], c[0], n, one)
		}
	}
}

// TestEqualWatchersShare: those who ask the same in the same scope are matched
// once, and what they are given is encoded once for each form.
func TestEqualWatchersShare(t *testing.T) {
	h, k := hub(tail.Options{Pace: -1})
	calls := 0
	then := func(r *record.Record) (record.Record, bool) { calls++; return *r, true }
	where := func() match.Predicate { // each has its own
		re, err := match.CompileRegexp("x.")
		if err != nil {
			t.Fatal(err)
		}
		return match.And{match.Regex{Field: "body", Re: re}}
	}
	var subs []*tail.Subscription
	for range 150 {
		subs = append(subs, subscribe(t, h, scopeOf(t), tail.Request{Where: where(), Then: then, Shared: "logql q"}))
	}
	subscribe(t, h, scopeOf(t), tail.Request{Where: where(), Then: then, Shared: "logql p"})
	subscribe(t, h, scopeOf(t), tail.Request{Where: where()})
	subscribe(t, h, scopeOf(t, access.AuditRead), tail.Request{Where: where()})
	subscribe(t, h, scopeOf(t), tail.Request{Where: where(), Then: then})
	subscribe(t, h, scopeOf(t), tail.Request{Where: where(), Then: then})
	if n := h.Channels(); n != 6 {
		t.Errorf("%d different things are watched for, want 6", n)
	}
	encoded := 0
	for i := range 10 {
		k.append("acme", "app", "x"+strconv.Itoa(i), "y")
		for _, s := range subs {
			parcels, dropped, err := s.Take(t.Context())
			if err != nil || dropped > 0 || len(parcels) != 1 {
				t.Fatalf("%d parcels, dropped %d, %v", len(parcels), dropped, err)
			}
			text := tail.Form(parcels[0], "text", func(rs []record.Record) string { encoded++; return bodies(rs) })
			if text != "x"+strconv.Itoa(i) {
				t.Fatalf("got %q", text)
			}
			if n := tail.Form(parcels[0], "number", func(rs []record.Record) int { return len(rs) }); n != 1 {
				t.Fatalf("another form: %d", n)
			}
		}
	}
	if _, _, tested := h.Load(); encoded != 10 || calls != 20 || tested != 6*20 {
		t.Errorf("encoded %d times, ran the pipelines %d times, tested %d records: want 10, 20 (of two names) and 120", encoded, calls, tested)
	}
	for _, s := range subs {
		s.Close()
	}
	if n := h.Channels(); n != 5 {
		t.Errorf("%d things are watched for when all but five watchers left", n)
	}
}

// TestBacklogIsBounded: what comes while too much waits to be matched is counted,
// all of it, and can be read; who wants everything gets everything.
func TestBacklogIsBounded(t *testing.T) {
	h, k := hub(tail.Options{Backlog: 4000, Pace: -1})
	k.publish = func(b *record.Batch) { h.Publish(&store.Commit{Batch: b}) }
	some := subscribe(t, h, scopeOf(t), tail.Request{Where: match.Contains{Field: "body", Value: "x"}})
	all := subscribe(t, h, scopeOf(t), tail.Request{Complete: true})
	release := h.Hold()
	var texts []string
	const commits = 100
	for i := range commits {
		texts = append(texts, fmt.Sprintf("%d-%s", i, strings.Repeat("x", 100)))
		k.append("acme", "app", texts[i])
	}
	release()
	h.Settle()
	want(t, all, strings.Join(texts, " "))
	rs, dropped, err := some.Next(t.Context())
	if err != nil || len(rs)+int(dropped) != commits || dropped < commits/2 || len(rs) == 0 {
		t.Fatalf("%d records, dropped %d of %d, %v", len(rs), dropped, commits, err)
	}
	again := subscribe(t, h, scopeOf(t), tail.Request{Resume: true, After: some.Gap()})
	want(t, again, strings.Join(texts[len(rs):], " "))
	k.append("acme", "app", "later")
	h.Settle()
	want(t, all, "later")
}

// TestPace: of many watchers each takes more at a time.
func TestPace(t *testing.T) {
	h, k := hub(tail.Options{Pace: 50 * time.Millisecond})
	var subs []*tail.Subscription
	for range 101 {
		subs = append(subs, subscribe(t, h, scopeOf(t), tail.Request{}))
	}
	s := subs[0]
	k.append("acme", "app", "a")
	want(t, s, "a")
	start := time.Now()
	k.append("acme", "app", "b")
	want(t, s, "b")
	if took := time.Since(start); took < 25*time.Millisecond {
		t.Errorf("took again after %v", took)
	}
}
