package exec

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/query/plan"
	"github.com/meshtrail/meshtrail/internal/query/querytest"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

// many returns a store with n records a second apart from 0 on, of as many ids.
func many(t testing.TB, n int) *querytest.Store {
	s := &querytest.Store{}
	b := &record.Batch{Tenant: "acme"}
	for i := range n {
		b.Begin(int64(i)*1e9, "app")
		b.Str("id", fmt.Sprint("id-", i))
		b.Str("half", fmt.Sprint(i%2))
		b.Int("v", int64(i))
		b.Str("body", fmt.Sprintf("n=%d", i))
		b.End()
	}
	if err := s.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return s
}

func ask(ctx context.Context, t testing.TB, r store.Reader, q string, steps Steps) (Value, *Env, error) {
	t.Helper()
	x, err := logql.Parse(q)
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	n, err := plan.Metric(x)
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	env := &Env{
		Store: r, Tenant: "acme", Steps: steps, Instant: steps.N == 1, MaxSeries: 10_000, MaxBuckets: 1 << 20, MaxRequests: 1000,
		Where: func(l *plan.Log) match.Predicate { return l.Where },
	}
	v, err := Run(ctx, env, n)
	return v, env, err
}

// TestHostile: what is made to cost is refused with a word on what to do, or is
// answered, and in either case with bounded memory.
func TestHostile(t *testing.T) {
	s := many(t, 12_000)
	year := time.Hour * 24 * 365
	fine := Steps{Start: int64(year), Step: int64(time.Millisecond), N: 11_000}
	wide := Steps{Start: 0, Step: 1e9, N: 11_000}
	now := Steps{Start: 12_000e9, N: 1}
	for _, c := range []struct {
		what, q string
		steps   Steps
		refused string // "": answered
	}{
		{"a year, 1 ms apart", `sum(rate({}[1y]))`, fine, ""},
		{"a year of values", `sum(sum_over_time({} | unwrap v [1y]))`, fine, ""},
		{"a year of quantiles", `quantile_over_time(0.9, {} | unwrap v [1y]) by (half)`, fine, ""},
		{"a year record by record", `sum by (n) (count_over_time({} | logfmt | n < 3 [1y]))`, fine, ""},
		{"a year of counters", `max(rate_counter({} | unwrap v [1y]))`, fine, ""},
		{"no common measure", `sum(max_over_time({} | unwrap v [59m59s]))`, Steps{Step: 1e9 + 7, N: 11_000}, ""},
		{"12,000 series", `sum by (id) (count_over_time({}[5h]))`, now, "maximum number of series (10000) reached"},
		{"12,000 measured series", `max_over_time({} | unwrap v [5h]) by (id)`, now, "maximum number of series (10000) reached"},
		{"12,000 series record by record", `sum by (n) (count_over_time({} | logfmt [5h]))`, now, "maximum number of series (10000) reached"},
		{"many points", `sum by (id) (count_over_time({half="0"}[1m]))`, wide, "points of series"},
		{"many points record by record", `sum by (n) (count_over_time({half="0"} | logfmt [1m]))`, wide, "points of series"},
		{"approx_topk(1e6)", `approx_topk(1000000, sum by (id) (count_over_time({}[5h])))`, now, "maximum number of series (10000) reached"},
		{"topk(1e6)", `topk(1000000, sum by (id) (count_over_time({half="0"}[5h])))`, now, ""},
		{"all join all", `sum by (id) (count_over_time({half="0"}[5h])) * on () group_left sum by (id) (count_over_time({half="0"}[5h]))`, now, "many-to-many matching not allowed"},
		{"all join one", `sum by (id) (count_over_time({half="0"}[5h])) * on () group_left (half) sum by (half) (count_over_time({half="0"}[5h]))`, now, ""},
		{"two large sides", `sum by (id) (count_over_time({half="0"}[5h])) or sum by (id) (count_over_time({half="1"}[5h]))`, now, "maximum number of series (10000) reached"},
		{"a label that grows", `label_replace(sum by (id) (count_over_time({half="0"}[5h])), "x", "` + strings.Repeat("$0", 30_000) + `", "id", ".*")`, now, "label_replace may make a label"},
		{"labels that grow", `label_replace(sum by (id) (count_over_time({half="0"}[5h])), "x", "` + strings.Repeat("x", 60_000) + `", "id", ".*")`, now, "MiB of series and samples"},
		{"each window by itself", `sum(count_over_time({} | distinct half [1m]))`, wide, "requests to the store"},
	} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		start := time.Now()
		v, env, err := ask(t.Context(), t, s, c.q, c.steps)
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		switch {
		case c.refused == "" && err != nil:
			t.Errorf("%s: %v", c.what, err)
		case c.refused == "" && len(v.Series) == 0:
			t.Errorf("%s: no answer", c.what)
		case c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused) || fault.HintOf(err) == ""):
			t.Errorf("%s: %v (hint %q), want %q", c.what, err, fault.HintOf(err), c.refused)
		case c.refused != "" && !fault.Is(err, fault.Overload) && !fault.Is(err, fault.Invalid):
			t.Errorf("%s: kind %s", c.what, fault.KindOf(err))
		}
		if took > 10*time.Second {
			t.Errorf("%s took %s", c.what, took)
		}
		if heap := int64(after.HeapAlloc) - int64(before.HeapAlloc); heap > 1<<30 {
			t.Errorf("%s: the heap grew by %d MiB", c.what, heap>>20)
		}
		if env.held > maxHeld+(64<<20) {
			t.Errorf("%s: %d MiB are held", c.what, env.held>>20)
		}
		t.Logf("%-32s %8s %s", c.what, took.Round(time.Millisecond), brief(err))
	}
}

func brief(err error) string {
	if err == nil {
		return "answered"
	}
	return fmt.Sprintf("%.60s", err)
}

// canceling is a context that is canceled at the n-th look, and counts them.
type canceling struct {
	context.Context
	looks atomic.Int64
	at    int64
}

func (c *canceling) Err() error {
	if c.looks.Add(1) > c.at {
		return context.Canceled
	}
	return nil
}

// TestCancel: whenever someone goes away, the query notices and says so, and does
// little after that.
func TestCancel(t *testing.T) {
	s := many(t, 3000)
	steps := Steps{Start: 1000e9, Step: 1e9, N: 1000}
	for _, q := range []string{
		`sum by (half) (count_over_time({}[1m]))`,
		`quantile_over_time(0.5, {} | unwrap v [10m]) by (half)`,
		`stddev_over_time({} | unwrap v [10m]) by (half)`,
		`rate_counter({} | unwrap v [10m])`,
		`sum by (n) (count_over_time({} | logfmt | n > 2000 [1m]))`,
		`topk(3, sum by (half) (rate({}[1m]))) / on (half) group_left sum by (half) (rate({}[1m])) or vector(1)`,
		`label_replace(sort(sum by (half) (rate({}[1m]))), "a", "b", "half", ".*")`,
	} {
		free := &canceling{Context: t.Context(), at: 1 << 30}
		if _, _, err := ask(free, t, s, q, steps); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		looks := free.looks.Load()
		for _, at := range []int64{0, 1, looks / 2, looks - 1} {
			ctx := &canceling{Context: t.Context(), at: at}
			if _, _, err := ask(ctx, t, s, q, steps); fault.KindOf(err) != fault.Canceled {
				t.Errorf("%s, canceled at look %d of %d: %v", q, at, looks, err)
			}
			if more := ctx.looks.Load() - at; more > 20 {
				t.Errorf("%s, canceled at look %d: went on for %d more", q, at, more)
			}
		}
	}
}
