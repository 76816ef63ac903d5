package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// parts are what -only chooses from, in the order in which they run.
var parts = []string{"main", "batch", "streams", "wide", "late", "heavy", "kill", inWays}

// A scenario is one load of one store, and what is measured of it.
type scenario struct {
	part string
	work *workload
	// table asks all queries, and reopens the store afterwards; without it only
	// the completeness is checked.
	table bool
	list  []query
	want  []answer
	raw   int64
	// targets, if not nil, says what is measured instead of the stores.
	targets func(stores []target, only string) []target
	run     func(ctx context.Context, b *bench, t target, s *scenario, dir string) (*result, error)
}

// scenarios are the loads of the chosen parts. All but the main one are of a
// quarter of its size, and of a quarter of a million at most.
func (b *bench) scenarios() []*scenario {
	o := &b.o
	quarter := min(max(o.n/4, 1000), 250_000)
	base := func(n, streams, batch int) *workload { return newWorkload(n, o.seed, streams, batch, o.day) }
	var list []*scenario
	add := func(part, name string, w *workload, run func(context.Context, *bench, target, *scenario, string) (*result, error)) *scenario {
		s := &scenario{part: name, work: w, run: run, list: []query{everything()}}
		if o.chosen(part) {
			list = append(list, s)
		}
		return s
	}
	whole := add("main", "main", base(o.n, o.pods, o.batch), plain)
	whole.table, whole.list = true, whole.work.queries()
	add("batch", "batches of 100", base(quarter, o.pods, 100), plain)
	add("batch", "batches of 2000", base(quarter, o.pods, 2000), plain)
	for _, streams := range []int{10, 1000, 20_000} {
		add("streams", fmt.Sprintf("%d streams", streams), base(quarter, streams, o.batch), plain)
	}
	wide := base(max(quarter/10, 1000), o.pods, min(o.batch, 500))
	wide.wide = 175
	s := add("wide", "200 fields", wide, plain)
	s.list = append(s.list, wideQuery())
	late := base(quarter, o.pods, o.batch)
	late.late = 10
	add("late", "10 % out of order", late, plain)
	s = add("heavy", "10 heavy queries", base(min(max(o.n, 4000), 1_000_000), o.pods, o.batch), busy)
	s.list = append(s.list, heavy(s.work.queries())...)
	add("kill", "kill -9", base(quarter, o.pods, min(o.batch, 500)), killed)
	s = add(inWays, inWays, base(quarter, o.pods, o.batch), plain)
	s.targets = inAllWays
	return list
}

// expect answers the questions of s by brute force.
func (s *scenario) expect(p *progress) {
	whole := span{s.work, 0, s.work.n}
	s.want = bruteForce(whole, s.list, p)
	s.raw = rawBytes(whole)
}

// plain loads, lets the store settle, and asks.
func plain(ctx context.Context, b *bench, t target, s *scenario, dir string) (*result, error) {
	c, err := t.start(ctx, dir, true)
	if err != nil {
		return nil, err
	}
	defer func() { c.stop() }()
	r := &result{Records: s.work.n, Raw: s.raw}
	before := c.usage()
	if r.Load, err = load(ctx, t, c, span{s.work, 0, s.work.n}, b.o.conns, b.p, nil); err != nil {
		return nil, err
	}
	if err := b.settle(ctx, t, c); err != nil {
		return nil, err
	}
	u := c.usage()
	r.CPU, r.Peak, r.RSS, r.Written, r.Disk = u.cpu-before.cpu, u.peak, u.rss, u.written-before.written, diskUse(dir)
	r.Queries = b.ask(ctx, t, c, s)
	if !s.table {
		return r, ctx.Err()
	}
	r.QueryPeak, r.QueryRSS = c.usage().peak, c.usage().rss
	c.stop()
	if c, err = t.start(ctx, dir, false); err != nil {
		return nil, fmt.Errorf("reopen: %w", err)
	}
	r.Reopen = &reopened{Ready: c.ready.Seconds() * 1000, RSS: c.usage().rss}
	if why := b.check(ctx, t, s); why != "" {
		r.Reopen.Wrong = why
	}
	return r, ctx.Err()
}

// settle brings everything to disk and waits until the store rests.
func (b *bench) settle(ctx context.Context, t target, c *child) error {
	b.p.note("%s: settling", t.name())
	if err := t.flush(ctx); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	quiet := b.o.quiet
	if _, rival := t.(interface{ rival() }); rival { // they flush by the clock, some seconds later
		quiet = max(quiet, 10*time.Second)
	}
	return c.idle(ctx, quiet)
}

// check asks only whether everything is there; "" if so. A store that shows
// records late is given half a minute.
func (b *bench) check(ctx context.Context, t target, s *scenario) string {
	q, want := everything(), s.want[0]
	for i := range s.list {
		if s.list[i].name == q.name {
			want = s.want[i]
		}
	}
	for began := time.Now(); ; {
		a, err := t.ask(ctx, &q, s.work)
		why := a.differs(want)
		if err != nil {
			why = err.Error()
		}
		if why == "" || ctx.Err() != nil || time.Since(began) > 30*time.Second {
			return why
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// ask asks each question up to six times, for four seconds at most.
func (b *bench) ask(ctx context.Context, t target, c *child, s *scenario) []queried {
	var out []queried
	for i := range s.list {
		q, r := &s.list[i], queried{Name: s.list[i].name}
		before, began := c.usage(), time.Now()
		var warm []float64
		for n := 0; n < 6 && (n == 0 || time.Since(began) < 4*time.Second) && r.Wrong == ""; n++ {
			start := time.Now()
			a, err := t.ask(ctx, q, s.work)
			ms := time.Since(start).Seconds() * 1000
			r.Records, r.Asked = a.total(), r.Asked+1
			if r.Wrong = a.differs(s.want[i]); err != nil {
				r.Wrong = err.Error()
			}
			if n == 0 {
				r.First = ms
				continue
			}
			warm = append(warm, ms)
		}
		if len(warm) == 0 {
			warm = []float64{r.First}
		}
		r.Median, r.Worst = quantile(warm, 0.5), quantile(warm, 1)
		r.CPU = (c.usage().cpu - before.cpu) * 1000 / float64(r.Asked)
		b.p.report("%s: %s", t.name(), q.name)
		out = append(out, r)
	}
	return out
}

// busy loads a half, then a quarter alone, then the last quarter while ten
// clients ask heavy queries without pause.
func busy(ctx context.Context, b *bench, t target, s *scenario, dir string) (*result, error) {
	c, err := t.start(ctx, dir, true)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	r := &result{Records: s.work.n, Raw: s.raw, Heavy: &underQueries{}}
	n := s.work.n
	if _, err := load(ctx, t, c, span{s.work, 0, n / 2}, b.o.conns, b.p, nil); err != nil {
		return nil, err
	}
	if err := b.settle(ctx, t, c); err != nil {
		return nil, err
	}
	if r.Heavy.Alone, err = load(ctx, t, c, span{s.work, n / 2, n / 4 * 3}, b.o.conns, b.p, nil); err != nil {
		return nil, err
	}
	if err := b.settle(ctx, t, c); err != nil {
		return nil, err
	}
	list := heavy(s.list)
	asking, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var took []float64
	var failed atomic.Int64
	for g := range 10 {
		wg.Go(func() {
			for i := g; asking.Err() == nil; i++ {
				began := time.Now()
				_, err := t.ask(asking, &list[i%len(list)], s.work)
				switch {
				case err == nil:
					mu.Lock()
					took = append(took, time.Since(began).Seconds()*1000)
					mu.Unlock()
				case asking.Err() == nil:
					failed.Add(1)
				}
			}
		})
	}
	r.Heavy.Beside, err = load(ctx, t, c, span{s.work, n / 4 * 3, n}, b.o.conns, b.p, nil)
	stop()
	wg.Wait()
	if err != nil {
		return nil, err
	}
	r.Heavy.Answered, r.Heavy.Failed = len(took), int(failed.Load())
	r.Heavy.QueryMedian, r.Heavy.Query99 = quantile(took, 0.5), quantile(took, 0.99)
	r.Peak = c.usage().peak
	if err := b.settle(ctx, t, c); err != nil {
		return nil, err
	}
	r.Queries = b.ask(ctx, t, c, s)
	return r, ctx.Err()
}

// killed kills the server in the middle of a load and counts what is left of
// what it had acknowledged. What was in flight may be there or not.
func killed(ctx context.Context, b *bench, t target, s *scenario, dir string) (*result, error) {
	c, err := t.start(ctx, dir, true)
	if err != nil {
		return nil, err
	}
	defer func() { c.stop() }()
	r := &result{Records: s.work.n, Raw: s.raw, Kill: &afterKill{}}
	var once sync.Once
	l, err := load(ctx, t, c, span{s.work, 0, s.work.n}, b.o.conns, b.p, func(acked int) bool {
		if acked < s.work.n/2 {
			return false
		}
		once.Do(c.kill)
		return true
	})
	if err != nil {
		return nil, err
	}
	if c, err = t.start(ctx, dir, false); err != nil {
		return nil, fmt.Errorf("reopen after kill: %w", err)
	}
	q := everything()
	a, err := t.ask(ctx, &q, s.work)
	if err != nil {
		return nil, err
	}
	r.Kill.Acknowledged, r.Kill.Found, r.Kill.Ready = l.Records, a.total(), c.ready.Seconds()*1000
	r.Kill.Lost = max(l.Records-a.total(), 0)
	return r, ctx.Err()
}

// folder makes a data folder below the run's own, and removes it afterwards.
func (b *bench) folder(name string, f func(dir string) error) error {
	dir, err := os.MkdirTemp(b.dir, name)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	return f(dir)
}
