//go:build unix

package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/record"
)

// spent is the processor time of this process: of what a request does, it counts
// the work of all its goroutines, and it stands still while others have the
// machine.
func spent(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// manyUsers keeps n records of a user each, sealed.
func manyUsers(t *testing.T, s *server, n int, now time.Time) {
	t.Helper()
	for i := 0; i < n; {
		b := &record.Batch{Tenant: "acme", Source: "test", Account: record.Account{Received: 5000}}
		for range 5000 {
			b.Begin(now.Add(-time.Duration(n-i)*10*time.Millisecond).UnixNano(), "app")
			b.Str("service.name", fmt.Sprintf("svc-%d", i%16))
			b.Str("user", fmt.Sprintf("user-%07d", i*7919%n))
			b.Str("path", fmt.Sprintf("/api/v1/cart/%d/item/%d", i%1000, i*31%7777))
			b.Int("took", int64(i*7919%100_000))
			b.Str("body", fmt.Sprintf("request %d of user-%07d took %d", i, i*7919%n, i%977))
			b.End()
			i++
		}
		if err := s.store.Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.store.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// gone is a reader that has left: nothing can be written to it.
type gone struct {
	*httptest.ResponseRecorder
	ctx context.Context
}

func (g gone) Write(p []byte) (int, error) {
	if g.ctx.Err() != nil {
		return 0, errors.New("connection reset")
	}
	return len(p), nil
}

func (g gone) FlushError() error { return g.ctx.Err() }

// TestWorkEndsWithItsReader: within 100 ms of work after the reader of an answer
// went away, nobody works for it any more, wherever the work was.
func TestWorkEndsWithItsReader(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector multiplies the work")
	}
	const bound = 100 * time.Millisecond
	s := opened(t)
	now := time.Now()
	manyUsers(t, s, 60_000, now)
	p := &access.Principal{Name: "alice", Tenant: "acme", Grants: []access.Permission{access.LogsRead}}
	h := s.as(p)
	from, to := fmt.Sprint(now.Add(-time.Hour).UnixNano()), fmt.Sprint(now.Add(time.Minute).UnixNano())
	terms := `{"size":0,"aggs":{"u":{"terms":{"field":"user","size":10000,"order":{"m":"desc"}},"aggs":{"m":{"max":{"field":"took"}}}}}}`
	wildcards := make([]string, 1000)
	for i := range wildcards {
		wildcards[i] = fmt.Sprintf(`{"wildcard":{"body":"*%dx*user*%d"}}`, i, i)
	}
	loki := func(path, query string) string {
		return path + "?" + url.Values{"query": {query}, "start": {from}, "end": {to}, "time": {to}, "step": {"60"}}.Encode()
	}
	msearch := "{}\n" + `{"size":0,"aggs":{"u":{"composite":{"size":5000,"sources":[{"u":{"terms":{"field":"user"}}}]}}}}` + "\n" +
		"{}\n" + `{"size":5000,"sort":[{"took":"desc"}]}` + "\n"
	for _, c := range []struct{ name, method, target, body string }{
		{"terms", "POST", "/_search", terms},
		{"msearch", "POST", "/_msearch", msearch},
		{"wildcards", "POST", "/_search", `{"size":0,"track_total_hits":true,"query":{"bool":{"should":[` + strings.Join(wildcards, ",") + `]}}}`},
		{"parquet", "GET", "/api/v1/export?" + url.Values{"format": {"parquet"}, "from": {from}, "to": {to}}.Encode(), ""},
		{"csv", "GET", "/api/v1/export?" + url.Values{"format": {"csv"}, "from": {from}, "to": {to}}.Encode(), ""},
		{"many groups", "GET", loki("/loki/api/v1/query", `topk(10, sum by (user) (count_over_time({service_name=~".+"}[1h])))`), ""},
		{"many measures", "GET", loki("/loki/api/v1/query", `topk(10, max by (user) (max_over_time({service_name=~".+"} | unwrap took [1h])))`), ""},
		{"many series", "GET", loki("/loki/api/v1/query_range", `sum by (path) (rate({service_name=~".+"} | path=~".*/cart/.?.?/item.*" [5m]))`), ""},
		{"facets", "GET", "/api/v1/facets?" + url.Values{"fields": {"user,path,took,body"}, "from": {from}, "to": {to}}.Encode(), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ask := func(ctx context.Context) (int, time.Duration) {
				r := httptest.NewRequestWithContext(ctx, c.method, c.target, strings.NewReader(c.body))
				r.Header.Set("Content-Type", "application/x-ndjson")
				w := gone{httptest.NewRecorder(), ctx}
				before := spent(t)
				h.ServeHTTP(w, r)
				return w.Code, spent(t) - before
			}
			points, whole := 3, 300*time.Millisecond
			if c.name != "wildcards" { // which take seconds
				code := 0
				if code, whole = ask(t.Context()); code != http.StatusOK {
					t.Fatalf("answer %d", code)
				}
			}
			var after []time.Duration
			for i := range points {
				after = append(after, leftAfter(t, ask, whole*time.Duration(i+1)/time.Duration(points+1)))
			}
			slices.Sort(after)
			t.Logf("of %v of work, after its reader left: %v at most, %v in the middle", whole.Round(time.Millisecond), after[points-1].Round(time.Millisecond), after[points/2].Round(time.Millisecond))
			if after[points-1] > bound {
				t.Errorf("%v of work after the reader left, of %v: want %v at most: %v", after[points-1], whole, bound, after)
			}
		})
	}
}

// leftAfter asks, leaves when a part of the work is done, and returns the work
// done after that.
func leftAfter(t *testing.T, ask func(context.Context) (int, time.Duration), part time.Duration) time.Duration {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	over := make(chan struct{})
	start, left := spent(t), make(chan time.Duration, 1)
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-over:
				left <- 0
				return
			case <-tick.C:
			}
			if at := spent(t); at-start >= part {
				cancel()
				left <- at
				return
			}
		}
	}()
	ask(ctx)
	end := spent(t)
	close(over)
	if at := <-left; at > 0 {
		return end - at
	}
	return 0
}
