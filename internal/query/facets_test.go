package query_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/query/querytest"
	"github.com/meshtrail/meshtrail/internal/record"
)

func spanOf(queries ...string) query.Span {
	return query.Span{From: base.UnixNano(), To: base.Add(time.Hour).UnixNano(), Queries: queries}
}

func TestFacets(t *testing.T) {
	e := engine(t, some(t, 10))
	f := func(req query.FacetsRequest, want string) {
		t.Helper()
		got, err := e.Facets(t.Context(), scopeOf(t), req)
		if err != nil {
			t.Errorf("%+v: %v", req, err)
			return
		}
		text := fmt.Sprint(got.Records)
		for _, x := range got.Facets {
			text += fmt.Sprintf(" %s %d %v +%d", x.Field, x.Records, x.Values, x.More)
			if s := x.Stats; s != nil {
				text += fmt.Sprintf(" %d %t %d %g..%g %g %g", s.Distinct, s.Exact, s.Numbers, s.Min, s.Max, s.Sum, s.Mean)
			}
		}
		if text != want {
			t.Errorf("%+v\n got %s\nwant %s", req, text, want)
		}
	}
	f(query.FacetsRequest{Span: spanOf(), Fields: []string{"service", "absent"}},
		`10 service 10 [{s0 4} {s1 3} {s2 3}] +0 absent 0 [] +0`)
	f(query.FacetsRequest{Span: spanOf(`{service="s1"}`), Fields: []string{"n"}, Limit: 2, Stats: true},
		`3 n 3 [{1 1} {4 1}] +1 3 true 3 1..7 12 4`)
	f(query.FacetsRequest{Span: spanOf(), Fields: []string{"service"}, Limit: -1, Stats: true},
		`10 service 10 [] +3 3 true 0 0..0 0 0`)
	f(query.FacetsRequest{Span: spanOf(`{} | pattern "record <num>"`), Fields: []string{"num", "service"}, Limit: 1},
		`10 num 10 [{0 1}] +9 service 10 [{s0 4}] +2`)
	search := spanOf("service:s2")
	search.Language = query.Search
	f(query.FacetsRequest{Span: search, Fields: []string{"class"}}, `3 class 3 [{app 3}] +0`)
	for _, bad := range []query.FacetsRequest{
		{Span: spanOf()},
		{Span: spanOf(), Fields: make([]string, 33)},
		{Span: spanOf(), Fields: []string{"a"}, Limit: 1001},
		{Span: spanOf(`{} | json | line_format "x"`), Fields: []string{"a"}, Stats: true},
	} {
		if _, err := e.Facets(t.Context(), scopeOf(t), bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// TestPipedCounts holds histogram and values behind a stage against those that
// the store makes by itself.
func TestPipedCounts(t *testing.T) {
	e := engine(t, some(t, 100))
	for _, by := range []string{"", "service"} {
		var texts []string
		for _, q := range []string{`{}`, `{} | line_format "x"`} {
			h, err := e.Histogram(t.Context(), scopeOf(t), query.HistogramRequest{Span: spanOf(q), Step: 7e9, By: by})
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, fmt.Sprint(h.Groups, h.Rest))
		}
		if texts[0] != texts[1] {
			t.Errorf("by %q: %s\npiped: %s", by, texts[0], texts[1])
		}
	}
	one, _, err := e.Values(t.Context(), scopeOf(t), query.ValuesRequest{Span: spanOf(`{}`), Field: "service"})
	two, _, err2 := e.Values(t.Context(), scopeOf(t), query.ValuesRequest{Span: spanOf(`{} | label_format x="y"`), Field: "service"})
	if err != nil || err2 != nil || fmt.Sprint(one) != fmt.Sprint(two) || len(one) != 3 {
		t.Errorf("%v %v, piped %v %v", one, err, two, err2)
	}
}

// contextStore appends batches of two streams whose records cross in time.
func contextStore(t *testing.T) *querytest.Store {
	t.Helper()
	s := &querytest.Store{}
	for i := range 10 {
		b := &record.Batch{Tenant: "acme"}
		for j := range 4 {
			// The times run backwards within a batch, and one batch is late.
			at := base.Add(time.Duration(10*i-j) * time.Second)
			if i == 5 {
				at = at.Add(2 * time.Hour)
			}
			b.Begin(at.UnixNano(), []record.Class{"app", "debug"}[j/2])
			b.Str("service", []string{"cart", "pay"}[j%2])
			b.Str("zone", "z")
			if j%2 == 1 {
				b.Str(record.Labels, "zone")
			}
			b.Int("n", int64(4*i+j))
			b.End()
		}
		if err := s.Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestContext(t *testing.T) {
	e := engine(t, contextStore(t))
	at := func(n int) query.ContextRequest {
		r := query.ContextRequest{Time: base.Add(time.Duration(10*(n/4)-n%4) * time.Second).UnixNano(), Ord: uint64(n/4+1)<<20 + uint64(n%4)}
		if n/4 == 5 {
			r.Time += int64(2 * time.Hour)
		}
		return r
	}
	f := func(n, before, after int, want string) {
		t.Helper()
		req := at(n)
		req.Before, req.After = before, after
		c, err := e.Context(t.Context(), scopeOf(t), req)
		if err != nil {
			t.Errorf("around %d: %v", n, err)
			return
		}
		var got []int64
		for i := range c.Records {
			v, _ := c.Records[i].Get("n")
			got = append(got, v.Int)
		}
		if fmt.Sprint(got) != want || got[c.At] != int64(n) {
			t.Errorf("around %d: %v at %d, want %s", n, got, c.At, want)
		}
	}
	f(8, 2, 3, `[4 6 8 10 12 14]`)
	f(9, 1, 1, `[7 9 11]`)
	f(8, 0, 0, `[8]`)
	f(0, 5, 1, `[0 2]`)
	f(39, 2, 9, `[35 37 39]`)
	f(20, 1, 1, `[18 20 22]`) // two hours from the one before it
	f(8, 40, 40, `[0 2 4 6 8 10 12 14 16 18 20 22 24 26 28 30 32 34 36 38]`)
	near := at(16)
	near.Before, near.After, near.Window = 1, 9, int64(20*time.Second)
	if c, err := e.Context(t.Context(), scopeOf(t), near); err != nil || len(c.Records) != 5 || c.Window != int64(20*time.Second) {
		t.Errorf("within 20 s: %+v, %v", c, err)
	}
	gone := at(8)
	gone.Time++
	if _, err := e.Context(t.Context(), scopeOf(t), gone); !fault.Is(err, fault.NotFound) {
		t.Errorf("no such record: %v", err)
	}
	audit := at(8)
	audit.Audit = true
	if _, err := e.Context(t.Context(), scopeOf(t), audit); !fault.Is(err, fault.Denied) {
		t.Errorf("audit without permission: %v", err)
	}
	for _, bad := range []query.ContextRequest{{Time: 1}, {Time: 1, Ord: 1, Before: -1}, {Time: 1, Ord: 1, After: 1001}, {Time: 1<<63 - 1, Ord: 1}} {
		if _, err := e.Context(t.Context(), scopeOf(t), bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestExplainRun(t *testing.T) {
	e := engine(t, some(t, 10))
	x, err := e.Explain(t.Context(), scopeOf(t), query.ExplainRequest{Query: "service:s1 OR  Record", Language: query.Search, From: spanOf().From, To: spanOf().To, Run: true})
	if err != nil || x.Query != "service:s1 OR Record" || len(x.Readings) != 1 || x.Readings[0].Stats.RowsMatched != 10 {
		t.Fatalf("%+v, %v", x, err)
	}
	if want := `((service = "s1" or iword(__any__, "Record")) and not __class__ = "audit")`; x.Readings[0].Where != want {
		t.Errorf("where %s, want %s", x.Readings[0].Where, want)
	}
	x, err = e.Explain(t.Context(), scopeOf(t), query.ExplainRequest{Query: `rate({service="s1"}[5s] offset 1s) / rate({} | json | x="" [1m])`, From: base.UnixNano() + 9e9, To: base.UnixNano() + 1e10, Run: true})
	if err != nil || len(x.Readings) != 2 || x.Readings[0].From != base.UnixNano()+3e9+1 || x.Readings[0].Stats.RowsMatched != 2 || x.Reads[1].Stages == nil {
		t.Fatalf("%+v, %v", x, err)
	}
	if _, err := e.Explain(context.Background(), scopeOf(t), query.ExplainRequest{Query: "x", Language: query.Compiled, To: 1}); !fault.Is(err, fault.Invalid) {
		t.Errorf("compiled: %v", err)
	}
}

func TestLintAndFormat(t *testing.T) {
	if f, err := query.Lint(query.Search, "a (b"); err != nil || len(f) != 1 || f[0].Col != 3 || f[0].Severity != "error" {
		t.Errorf("%v, %v", f, err)
	}
	if f, err := query.Lint(query.Search, "a b"); err != nil || len(f) != 0 {
		t.Errorf("%v, %v", f, err)
	}
	if f, err := query.Lint(query.LogQL, "{"); err != nil || len(f) != 1 {
		t.Errorf("%v, %v", f, err)
	}
	if s, err := query.Format(query.Search, "a  and b", false); err != nil || s != "a AND b" {
		t.Errorf("%s, %v", s, err)
	}
	if s, err := query.Format(query.LogQL, `{ a = "b" }`, false); err != nil || s != `{a="b"}` {
		t.Errorf("%s, %v", s, err)
	}
}
