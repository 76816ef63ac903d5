package store

import (
	"context"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/filter"
)

// TestAppendDoesNotWaitForScans appends and seals while scans of every order are
// stuck in their visitors, as those of slow readers are.
func TestAppendDoesNotWaitForScans(t *testing.T) {
	l := manual()
	l.BlockRows = 20
	s, _ := newWorld(t, l)
	r := mrand.New(mrand.NewPCG(1, 1))
	for range 3 {
		mustAppend(t, s, meshBatch(r, noon, 200))
		mustSeal(t, s)
	}
	mustAppend(t, s, meshBatch(r, noon, 100))
	stuck, release := make(chan struct{}), make(chan struct{})
	var scans sync.WaitGroup
	const each = 6
	for i := range 3 * each {
		scans.Go(func() {
			first := true
			req := ScanRequest{Tenant: "acme", To: 1 << 62, Order: Order(i % 3)}
			_, err := s.Scan(context.Background(), req, func([]record.Record) error {
				if first {
					first = false
					stuck <- struct{}{}
					<-release
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	for range 3 * each {
		<-stuck
	}
	mustAppend(t, s, meshBatch(r, noon, 200))
	mustSeal(t, s)
	mustAppend(t, s, meshBatch(r, noon, 1))
	groups, _, err := s.Count(context.Background(), CountRequest{Tenant: "acme", To: 1 << 62})
	if err != nil || len(groups) != 1 || groups[0].Counts[0] != 901 {
		t.Errorf("counted %v beside stuck scans: %v", groups, err)
	}
	close(release)
	scans.Wait()
}

// TestGateIsFairAndMakesRoom fills the gate and looks at who comes in next.
func TestGateIsFairAndMakesRoom(t *testing.T) {
	g := newGate()
	g.limit = 4
	for range 4 {
		g.enter()
	}
	order := make(chan int, 3)
	var turns [3]chan struct{}
	for i := range turns {
		turns[i] = make(chan struct{})
		g.mu.Lock()
		g.waiting = append(g.waiting, turns[i])
		g.mu.Unlock()
		go func() {
			<-turns[i]
			order <- i
		}()
	}
	for i := range turns {
		g.leave()
		if got := <-order; got != i {
			t.Fatalf("%d came in, want %d", got, i)
		}
	}
	for range 4 {
		g.leave()
	}
	if g.inside != 0 {
		t.Fatalf("%d are inside of an empty gate", g.inside)
	}
	if g.room() != 4 {
		t.Errorf("room for %d", g.room())
	}
	g.came()
	if g.room() != 2 {
		t.Errorf("room for %d while records come in", g.room())
	}
	g.appended.Add(-int64(time.Hour))
	if g.room() != 4 {
		t.Errorf("room for %d an hour after", g.room())
	}
}

// TestAfterOrd reads on from every place: nothing before it, nothing left out.
func TestAfterOrd(t *testing.T) {
	s, _ := newWorld(t, manual())
	r := mrand.New(mrand.NewPCG(2, 2))
	var all []record.Record
	for i := range 6 {
		mustAppend(t, s, meshBatch(r, noon, 10))
		if i%2 == 0 {
			mustSeal(t, s)
		}
	}
	for _, o := range []Order{Newest, Oldest, AsStored} {
		all = scanAll(t, s, ScanRequest{Tenant: "acme", To: 1 << 62, Order: o})
		for _, at := range all {
			for _, limit := range []int{0, 3} {
				var want []record.Record
				for _, rec := range all {
					if rec.Ord > at.Ord && (limit == 0 || len(want) < limit) {
						want = append(want, rec)
					}
				}
				req := ScanRequest{Tenant: "acme", To: 1 << 62, Order: o, AfterOrd: at.Ord, Limit: limit}
				compare(t, fmt.Sprint("after ", at.Ord), scanAll(t, s, req), want)
			}
		}
	}
	last := all[0].Ord
	for _, rec := range all {
		last = max(last, rec.Ord)
	}
	stats, err := s.Scan(context.Background(), ScanRequest{Tenant: "acme", To: 1 << 62, AfterOrd: last}, func([]record.Record) error { return nil })
	if err != nil || stats.Segments != 0 || stats.Blocks != 0 {
		t.Errorf("nothing is newer, but: %+v, %v", stats, err)
	}
}

// TestRegexpsAreBounded runs an expression that takes long for each byte.
func TestRegexpsAreBounded(t *testing.T) {
	s, _ := newWorld(t, manual())
	b := &record.Batch{Tenant: "acme", Source: "s", Ingest: noon}
	for i := range 2000 {
		b.Begin(noon+int64(i), "app")
		b.Str("path", fmt.Sprintf("%0200d", i))
		b.End()
	}
	mustAppend(t, s, b)
	re, err := match.CompileRegexp("([0-9]{1,30}x?){1,30}[yz]")
	if err != nil {
		t.Fatal(err)
	}
	req := CountRequest{Tenant: "acme", To: 1 << 62, Where: match.Regex{Field: "path", Re: re}, Budget: Budget{Steps: 1 << 23}}
	if _, _, err := s.Count(context.Background(), req); !fault.Is(err, fault.Overload) || fault.HintOf(err) == "" {
		t.Errorf("beyond its steps: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := filter.New(nil)
	p := s.newPlan("acme", nil, 0, 1<<62, f)
	defer p.close()
	run := p.runner(ctx, f, 0, 1<<62, Budget{})
	if err := run.tick(1); err != nil {
		t.Error(err)
	}
	cancel()
	if err := run.tick(1); !fault.Is(err, fault.Canceled) || !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// BenchmarkAppendBesideQueries appends while heavy queries run.
func BenchmarkAppendBesideQueries(b *testing.B) {
	for _, queries := range []int{0, 10} {
		b.Run(fmt.Sprint(queries), func(b *testing.B) {
			l := manual()
			l.CacheBytes = -1
			s, _ := newWorld(b, l)
			r := mrand.New(mrand.NewPCG(1, 1))
			for range 20 {
				mustAppend(b, s, meshBatch(r, noon, 2000))
			}
			mustSeal(b, s)
			ctx, cancel := context.WithCancel(context.Background())
			var all sync.WaitGroup
			for range queries {
				all.Go(func() {
					for ctx.Err() == nil {
						req := CountRequest{Tenant: "acme", To: 1 << 62, Where: match.Contains{Field: match.Line, Value: "api/v1/49"}}
						if _, _, err := s.Count(ctx, req); err != nil && ctx.Err() == nil {
							b.Error(err)
						}
					}
				})
			}
			batch := meshBatch(r, noon, 2000)
			n := 0
			for b.Loop() {
				mustAppend(b, s, batch)
				if n++; n%100 == 0 { // what is not sealed is bounded
					b.StopTimer()
					mustSeal(b, s)
					b.StartTimer()
				}
			}
			b.StopTimer()
			cancel()
			all.Wait()
		})
	}
}
