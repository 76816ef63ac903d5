package query_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/audit"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/query/querytest"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
	"github.com/meshtrail/meshtrail/internal/tail"
)

// some returns a reader with n records, one a second.
func some(t testing.TB, n int) *querytest.Store {
	t.Helper()
	s := &querytest.Store{}
	b := &record.Batch{Tenant: "acme"}
	for i := range n {
		b.Begin(base.Add(time.Duration(i)*time.Second).UnixNano(), "app")
		b.Str("service", fmt.Sprint("s", i%3))
		b.Int("n", int64(i))
		b.Str("body", fmt.Sprint("record ", i))
		b.End()
	}
	if err := s.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return s
}

func day(q string) query.Request {
	return query.Request{Query: q, Start: base.UnixNano(), End: base.Add(24 * time.Hour).UnixNano(), Step: int64(time.Hour)}
}

// entries are all the ways into the engine.
func entries(t *testing.T, e *query.Engine, h *tail.Hub) map[string]func(context.Context, access.Scope) error {
	span := query.Span{From: base.UnixNano(), To: base.Add(time.Hour).UnixNano(), Queries: []string{`{service="s1"}`}, Remote: "10.0.0.1:5"}
	return map[string]func(context.Context, access.Scope) error{
		"query": func(ctx context.Context, s access.Scope) error {
			_, err := e.Query(ctx, s, query.Request{Query: `{service="s1"}`, Start: span.From, End: span.To, Remote: span.Remote})
			return err
		},
		"query metric": func(ctx context.Context, s access.Scope) error {
			_, err := e.Query(ctx, s, query.Request{Query: `sum(rate({service="s1"}[1m]))`, End: span.To, Instant: true, Remote: span.Remote})
			return err
		},
		"query stream": func(ctx context.Context, s access.Scope) error {
			_, err := e.Stream(ctx, s, query.StreamRequest{Query: `{service="s1"}`, From: span.From, To: span.To, Remote: span.Remote}, func([]record.Record) error { return nil })
			return err
		},
		"labels": func(ctx context.Context, s access.Scope) error { _, err := e.LabelNames(ctx, s, span); return err },
		"values": func(ctx context.Context, s access.Scope) error {
			_, _, err := e.Values(ctx, s, query.ValuesRequest{Span: span, Field: "service"})
			return err
		},
		"series": func(ctx context.Context, s access.Scope) error { _, err := e.Series(ctx, s, span); return err },
		"fields": func(ctx context.Context, s access.Scope) error { _, _, err := e.Fields(ctx, s, span); return err },
		"histogram": func(ctx context.Context, s access.Scope) error {
			_, err := e.Histogram(ctx, s, query.HistogramRequest{Span: span, Step: 1e9})
			return err
		},
		"labels detected": func(ctx context.Context, s access.Scope) error { _, err := e.DetectLabels(ctx, s, span); return err },
		"patterns": func(ctx context.Context, s access.Scope) error {
			_, err := e.Patterns(ctx, s, query.PatternsRequest{Span: span, Step: 1e9})
			return err
		},
		"stats": func(ctx context.Context, s access.Scope) error { _, err := e.Extent(ctx, s, span); return err },
		"query volume": func(ctx context.Context, s access.Scope) error {
			_, err := e.Volume(ctx, s, query.VolumeRequest{Query: span.Queries[0], From: span.From, To: span.To, Remote: span.Remote})
			return err
		},
		"query fields": func(ctx context.Context, s access.Scope) error {
			_, err := e.DetectFields(ctx, s, query.DetectRequest{Query: span.Queries[0], From: span.From, To: span.To, Remote: span.Remote})
			return err
		},
		"export": func(ctx context.Context, s access.Scope) error {
			_, err := e.Stream(ctx, s, query.StreamRequest{Query: `{service="s1"}`, From: span.From, To: span.To, Export: "csv", Remote: span.Remote, Describe: func([]store.FieldInfo) error { return nil }}, func([]record.Record) error { return nil })
			return err
		},
		"context": func(ctx context.Context, s access.Scope) error {
			_, err := e.Context(ctx, s, query.ContextRequest{Time: base.UnixNano(), Ord: 1 << 20, Before: 1, After: 1, Remote: span.Remote})
			return err
		},
		"facets": func(ctx context.Context, s access.Scope) error {
			_, err := e.Facets(ctx, s, query.FacetsRequest{Span: span, Fields: []string{"n"}, Stats: true})
			return err
		},
		"explain": func(ctx context.Context, s access.Scope) error {
			_, err := e.Explain(ctx, s, query.ExplainRequest{Query: `{service="s1"}`, From: span.From, To: span.To, Run: true, Remote: span.Remote})
			return err
		},
		"tail": func(ctx context.Context, s access.Scope) error {
			sub, err := e.Tail(ctx, s, h, query.TailRequest{Query: `{service="s1"}`, Remote: span.Remote})
			if err == nil {
				sub.Close()
			}
			return err
		},
	}
}

func TestEveryEntryRefusesZeroScope(t *testing.T) {
	rec := &recorder{}
	e := engine(t, some(t, 10), func(o *query.Options) { o.Audit = rec })
	for name, ask := range entries(t, e, tail.New(tail.Options{})) {
		if err := ask(t.Context(), access.Scope{}); !fault.Is(err, fault.Denied) {
			t.Errorf("%s without a scope: %v", name, err)
		}
	}
}

// TestEveryEntryIsAudited: one act each, with who, what and from where; and
// when it cannot be kept, no answer.
func TestEveryEntryIsAudited(t *testing.T) {
	rec := &recorder{}
	e := engine(t, some(t, 10), func(o *query.Options) { o.Audit = rec })
	for name, ask := range entries(t, e, tail.New(tail.Options{})) {
		rec.acts, rec.err = nil, nil
		if err := ask(t.Context(), scopeOf(t)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(rec.acts) != 1 {
			t.Fatalf("%s: %d acts", name, len(rec.acts))
		}
		kind, _, _ := strings.Cut(name, " ")
		a := rec.acts[0]
		if a.Principal != "alice" || a.Tenant != "acme" || a.Action != kind || a.Outcome != audit.Allowed || a.Remote != "10.0.0.1:5" {
			t.Errorf("%s: act %+v", name, a)
		}
		if kind != "fields" && kind != "context" && !strings.Contains(a.Detail["query"], `{service="s1"}`) {
			t.Errorf("%s: detail %v", name, a.Detail)
		}
		rec.err = errors.New("disk is full")
		if err := ask(t.Context(), scopeOf(t)); !fault.Is(err, fault.Unavailable) || !errors.Is(err, rec.err) {
			t.Errorf("%s without an audit record: %v", name, err)
		}
	}
}

// TestNothingLeavesBeforeTheAudit: a stream's first record waits for the act to
// be durable, however fast the store is.
func TestNothingLeavesBeforeTheAudit(t *testing.T) {
	rec := &recorder{gate: make(chan struct{})}
	scanned := make(chan struct{})
	e := engine(t, watched{some(t, 10), scanned}, func(o *query.Options) { o.Audit = rec })
	visited := make(chan struct{})
	done := make(chan error)
	go func() {
		_, err := e.Stream(t.Context(), scopeOf(t), query.StreamRequest{Query: "{}", From: 0, To: base.Add(time.Hour).UnixNano()},
			func([]record.Record) error { close(visited); return nil })
		done <- err
	}()
	<-scanned // the work goes on beside the audit
	select {
	case <-visited:
		t.Fatal("a record left before the act was kept")
	default:
	}
	close(rec.gate)
	<-visited
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// watched says when a scan begins.
type watched struct {
	store.Reader
	scanned chan struct{}
}

func (w watched) Scan(ctx context.Context, req store.ScanRequest, visit func([]record.Record) error) (store.Stats, error) {
	close(w.scanned)
	return w.Reader.Scan(ctx, req, visit)
}

func TestAskingForAuditRecordsIsDeniedAndAudited(t *testing.T) {
	rec := &recorder{}
	e := engine(t, some(t, 10), func(o *query.Options) { o.Audit = rec })
	for _, q := range []string{`{class="audit"}`, `{} | class="audit"`, `{class="audit"}[x]`[:15]} {
		rec.acts = nil
		_, err := e.Query(t.Context(), scopeOf(t), day(q))
		if !fault.Is(err, fault.Denied) || len(rec.acts) != 1 || rec.acts[0].Outcome != audit.Denied {
			t.Errorf("%s: %v, acts %+v", q, err, rec.acts)
		}
	}
}

func TestStream(t *testing.T) {
	e := engine(t, some(t, 500))
	ask := func(req query.StreamRequest) (rows int, sum query.Summary) {
		t.Helper()
		req.From, req.To = base.UnixNano(), base.Add(time.Hour).UnixNano()
		sum, err := e.Stream(t.Context(), scopeOf(t), req, func(rs []record.Record) error { rows += len(rs); return nil })
		if err != nil {
			t.Fatal(err)
		}
		return rows, sum
	}
	if n, sum := ask(query.StreamRequest{Query: "{}"}); n != 500 || sum.Rows != 500 || sum.Truncated || sum.Partial {
		t.Errorf("all: %d, %+v", n, sum)
	}
	if n, sum := ask(query.StreamRequest{Query: "{}", Limit: 250}); n != 250 || sum.Rows != 250 || !sum.Truncated {
		t.Errorf("some: %d, %+v", n, sum)
	}
	if n, sum := ask(query.StreamRequest{Query: `{service="s0"}`, Limit: 167}); n != 167 || sum.Truncated {
		t.Errorf("exactly all: %d, %+v", n, sum)
	}
	stop := errors.New("reader went away")
	_, err := e.Stream(t.Context(), scopeOf(t), query.StreamRequest{Query: "{}", From: 0, To: base.Add(time.Hour).UnixNano()}, func([]record.Record) error { return stop })
	if !errors.Is(err, stop) {
		t.Errorf("visit failed: %v", err)
	}
}

func TestBudgetMakesPartialOrAnError(t *testing.T) {
	s := some(t, 500)
	s.MaxRows = 200
	e := engine(t, s)
	res, err := e.Query(t.Context(), scopeOf(t), day("{}"))
	if err != nil || !res.Partial || len(res.Warnings) != 1 {
		t.Errorf("log query: %v, %+v", err, res)
	}
	// A count of a part would pass for the whole.
	if _, err := e.Query(t.Context(), scopeOf(t), day("sum(rate({}[1h]))")); !fault.Is(err, fault.Overload) {
		t.Errorf("metric query: %v", err)
	}
	sum, err := e.Stream(t.Context(), scopeOf(t), query.StreamRequest{Query: "{}", From: 0, To: base.Add(time.Hour).UnixNano()}, func([]record.Record) error { return nil })
	if err != nil || !sum.Partial || sum.Rows == 0 {
		t.Errorf("stream: %v, %+v", err, sum)
	}
}

func TestLimits(t *testing.T) {
	e := engine(t, some(t, 10), func(o *query.Options) { o.Limits.MaxRange = 48 * time.Hour; o.Limits.MaxSeries = 2 })
	f := func(req query.Request, kind fault.Kind, text string) {
		t.Helper()
		_, err := e.Query(t.Context(), scopeOf(t), req)
		if !fault.Is(err, kind) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", req.Query, err)
		}
	}
	req := day("{}")
	req.Limit = 6000
	f(req, fault.Invalid, "max entries limit per query exceeded, limit > max_entries_limit_per_query (6000 > 5000)")
	req = day("{}")
	req.End = req.Start
	f(req, fault.Invalid, "end timestamp must not be before or equal to start time")
	req = day("{}")
	req.End += int64(48 * time.Hour)
	f(req, fault.Invalid, "the query time range exceeds the limit (query length: 72h0m0s, limit: 48h0m0s)")
	f(day("rate({}[72h])"), fault.Invalid, "exceeds the limit")
	f(day("sum by (service) (rate({}[1h]))"), fault.Overload, "maximum number of series (2) reached for a single query")
	req = day("rate({}[1m])")
	req.Start, req.End = -1<<62, 1<<62
	f(req, fault.Invalid, "")
	req.Start, req.End = -1<<63, 1<<63-1
	f(req, fault.Invalid, "")
	req = day("rate({}[1m])")
	req.Step = 0
	f(req, fault.Invalid, "zero or negative query resolution step")
	req.Step = 1
	f(req, fault.Invalid, "exceeded maximum resolution of 11,000 points per time series")
}

// TestHostile: queries made to cost are refused at once, or end in time.
func TestHostile(t *testing.T) {
	e := engine(t, some(t, 1000), func(o *query.Options) { o.Limits.Timeout = 5 * time.Second })
	year := query.Request{Start: base.Add(-365 * 24 * time.Hour).UnixNano(), End: base.UnixNano(), Step: int64(time.Hour)}
	ms := year
	ms.Step = int64(time.Millisecond)
	odd := year
	odd.Step = int64(time.Hour) + 1 // shares no divisor with the range: three requests
	f := func(what string, req query.Request, q string, kind fault.Kind) {
		t.Helper()
		req.Query = q
		start := time.Now()
		_, err := e.Query(t.Context(), scopeOf(t), req)
		if !fault.Is(err, kind) {
			t.Errorf("%s: %v", what, err)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%s took %s", what, d)
		}
	}
	f("step of 1 ms over a year", ms, `rate({}[1m])`, fault.Invalid)
	odd.Query = `rate({}[1h])`
	if _, err := e.Query(t.Context(), scopeOf(t), odd); err != nil {
		t.Errorf("points that share no bucket: %v", err)
	}
	f("repetition", year, `{} |~ "((a{100}){100}){100}"`, fault.Invalid)
	f("deep", year, `{} | `+strings.Repeat("(", 10_000)+`a=1`+strings.Repeat(")", 10_000), fault.Invalid)
	f("deep sum", year, strings.Repeat("sum(", 5_000)+`rate({}[1m])`+strings.Repeat(")", 5_000), fault.Invalid)
	f("many terms", year, `{} `+strings.Repeat(`|="a"`, 10_000), fault.Invalid)
	f("many labels", year, `sum by (`+strings.Repeat("a,", 1000)+`b) (rate({}[1m]))`, fault.Invalid)
	f("long", year, `{a="`+strings.Repeat("x", 1<<20)+`"}`, fault.Invalid)
	f("many counts", year, `rate({}[1m])`+strings.Repeat(`+rate({}[1m])`, 200), fault.Invalid)
	for _, q := range []string{
		`{a=~"` + strings.Repeat("(a|b)*", 50) + `c"}`,
		`{} |~ "(x+x+)+y"`,
		`{a=~"(` + strings.Repeat(`\\pL`, 2000) + `)*"}`,
		`{a=~"(a|aa)+"} |~ "(.*.*.*)*z"`,
	} {
		req := day(q)
		if _, err := e.Query(t.Context(), scopeOf(t), req); err != nil {
			t.Errorf("%.40s: %v", q, err)
		}
	}
}

// TestManyPoints: series times points are bounded, and steps that share only a
// small divisor with the range are still exact.
func TestManyPoints(t *testing.T) {
	s := &querytest.Store{}
	b := &record.Batch{Tenant: "acme"}
	for i := range 1000 {
		b.Begin(base.Add(time.Duration(i)*time.Second).UnixNano(), "app")
		b.Int("id", int64(i))
		b.End()
	}
	if err := s.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	e := engine(t, s)
	req := query.Request{Query: `sum by (id) (count_over_time({}[1h]))`, Start: base.UnixNano(), End: base.Add(10_000 * time.Second).UnixNano(), Step: 1e9}
	if _, err := e.Query(t.Context(), scopeOf(t), req); !fault.Is(err, fault.Overload) {
		t.Errorf("1,000 series of 10,000 points: %v", err)
	}
	req.Query, req.Step = `sum(count_over_time({}[101s]))`, 7e9
	res, err := e.Query(t.Context(), scopeOf(t), req)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range res.Series[0].Vals {
		t1 := int64(i) * 7 // records at 0…999; (t1-101, t1]
		want := max(0, min(t1, 999)-max(t1-101, -1))
		if n != float64(want) {
			t.Fatalf("at %d s: %v, want %d", t1, n, want)
		}
	}
}

func TestTimeout(t *testing.T) {
	e := engine(t, stuck{some(t, 1)}, func(o *query.Options) { o.Limits.Timeout = 10 * time.Millisecond })
	_, err := e.Query(t.Context(), scopeOf(t), day("{}"))
	if !fault.Is(err, fault.Overload) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stuck store: %v", err)
	}
}

// stuck waits until its caller has enough.
type stuck struct{ store.Reader }

func (stuck) Scan(ctx context.Context, _ store.ScanRequest, _ func([]record.Record) error) (store.Stats, error) {
	<-ctx.Done()
	return store.Stats{}, ctx.Err()
}

// TestDamageIsSaid: an answer that could not read a segment says so.
func TestDamageIsSaid(t *testing.T) {
	e := engine(t, damaged{some(t, 1)})
	res, err := e.Query(t.Context(), scopeOf(t), day("{}"))
	if err != nil || !res.Partial || !strings.Contains(strings.Join(res.Warnings, ""), "seg-1") {
		t.Errorf("%v, %+v", err, res)
	}
}

type damaged struct{ store.Reader }

func (d damaged) Scan(ctx context.Context, req store.ScanRequest, visit func([]record.Record) error) (store.Stats, error) {
	st, err := d.Reader.Scan(ctx, req, visit)
	st.Damaged = []string{"seg-1"}
	return st, err
}

func TestHistogramRest(t *testing.T) {
	e := engine(t, some(t, 9))
	h, err := e.Histogram(t.Context(), scopeOf(t), query.HistogramRequest{
		Span: query.Span{From: base.UnixNano(), To: base.Add(10 * time.Second).UnixNano()}, Step: 5e9, By: "service", Groups: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(h.Groups, h.Rest); got != "[{s0 3 [2 1]}] [3 3]" {
		t.Error(got)
	}
}
