package query_test

import (
	"encoding/json"
	"fmt"
	mrand "math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

func withCache(o *query.Options) { o.Limits.ResultCacheBytes = 32 << 20 }

// TestCachedAnswers asks an engine that keeps answers, and one that does not, the
// same few queries again and again while records arrive and are sealed.
func TestCachedAnswers(t *testing.T) {
	rnd := mrand.New(mrand.NewPCG(11, uint64(*seed)))
	s := openStore(t)
	cached, plain := engine(t, s, withCache), engine(t, s)
	scopes := []access.Scope{scopeOf(t), scopeOf(t, access.AuditRead)}
	var queries []string
	for len(queries) < 24 {
		queries = append(queries, randomMetric(rnd))
	}
	for _, f := range []string{"sum", "avg", "max", "first", "stddev"} {
		queries = append(queries, f+`_over_time({service=~".*"} | unwrap mesh_duration_ns [30s]) by (service)`)
	}
	hits := 0
	for i, b := range sampleBatches(rnd, 8000) {
		appendAll(t, s, func(int) bool { return rnd.IntN(6) == 0 }, []*record.Batch{b})
		at := b.Times()[b.Len()-1]
		for range 6 {
			step := []int64{1e9, 5e9, 30e9}[rnd.IntN(3)]
			end := (at/step + 1) * step
			req := query.Request{Query: queries[rnd.IntN(len(queries))], Start: end - 100*step, End: end, Step: step}
			scope := scopes[rnd.IntN(2)]
			got, err := cached.Query(t.Context(), scope, req)
			want, wantErr := plain.Query(t.Context(), scope, req)
			if (err == nil) != (wantErr == nil) {
				t.Fatalf("%s: %v, want %v", req.Query, err, wantErr)
			}
			if err != nil {
				continue
			}
			hits += got.Stats.ResultCache.Hits
			if fmt.Sprint(want.Stats.ResultCache) != "{0 0}" {
				t.Fatal("an engine without a cache has used one")
			}
			if g, w := seriesText(t, got), seriesText(t, want); g != w {
				t.Fatalf("batch %d, %s from %d, step %s:\n%s\nwant\n%s", i, req.Query, req.Start, time.Duration(step), g, w)
			}
		}
		h := query.HistogramRequest{Span: query.Span{From: base.UnixNano(), To: at + 1}, Step: 10e9, By: "service"}
		got, err := cached.Histogram(t.Context(), scopes[0], h)
		want, wantErr := plain.Histogram(t.Context(), scopes[0], h)
		if err != nil || wantErr != nil || !reflect.DeepEqual(got.Groups, want.Groups) || !slices.Equal(got.Rest, want.Rest) {
			t.Fatalf("batch %d: histogram %+v, %v, want %+v, %v", i, got, err, want, wantErr)
		}
		hits += got.Stats.ResultCache.Hits
	}
	if hits < 5000 {
		t.Errorf("only %d parts were kept: this proves little", hits)
	}
}

// seriesText writes an answer, but for the last digits: squares of differences are
// summed up in any order. As text, because NaN is not equal to itself.
func seriesText(t *testing.T, r *query.Result) string {
	t.Helper()
	out := ""
	for _, s := range r.Series {
		out += fmt.Sprintf("%v %v %.11g\n", s.Labels, s.Has, s.Vals)
	}
	return out
}

// TestCacheKeepsScopesApart: what one may see is not shown to another who asks the
// same, and of another tenant nothing is.
func TestCacheKeepsScopesApart(t *testing.T) {
	s := openStore(t)
	for i, tenant := range []record.TenantID{"acme", "zenith"} {
		b := &record.Batch{Tenant: tenant, Source: "test", Ingest: base.UnixNano()}
		for j := range 100 {
			b.Begin(base.Add(time.Duration(j)*time.Second).UnixNano(), []record.Class{"app", "audit"}[(i+j)%2])
			b.Str("service", string(tenant))
			b.End()
		}
		appendAll(t, s, func(int) bool { return true }, []*record.Batch{b})
	}
	e := engine(t, s, withCache)
	zenith, err := access.ReadScope(&access.Principal{Name: "bob", Tenant: "zenith", Grants: []access.Permission{access.LogsRead, access.AuditRead}})
	if err != nil {
		t.Fatal(err)
	}
	req := query.Request{Query: `sum by (service, class) (count_over_time({class=~".+"}[10s]))`, Start: base.UnixNano(), End: base.Add(100 * time.Second).UnixNano(), Step: 10e9}
	for round := range 4 {
		for i, scope := range []access.Scope{scopeOf(t, access.AuditRead), scopeOf(t), zenith} {
			res, err := e.Query(t.Context(), scope, req)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range res.Series {
				got = append(got, s.Labels.String())
			}
			want := [][]string{
				{`{class="app", service="acme"}`, `{class="audit", service="acme"}`}, {`{class="app", service="acme"}`},
				{`{class="app", service="zenith"}`, `{class="audit", service="zenith"}`},
			}[i]
			if !slices.Equal(got, want) {
				t.Fatalf("asker %d is shown %v, want %v", i, got, want)
			}
			if use := res.Stats.ResultCache; (use.Hits > 0) != (round > 1) || use.Hits > 0 && use.Misses > 0 {
				t.Errorf("round %d, asker %d: %+v", round, i, use)
			}
		}
	}
	x, err := e.Explain(t.Context(), scopeOf(t), query.ExplainRequest{Query: req.Query, From: req.Start, To: req.End, Run: true})
	if err != nil || x.Readings[0].Stats.RowsMatched != 50 {
		t.Errorf("explain counts %+v, %v", x.Readings[0].Stats, err)
	}
	text, _ := json.Marshal(store.Stats{ResultCache: store.CacheUse{Hits: 2, Misses: 1}})
	var stats struct{ ResultCache map[string]int }
	if err := json.Unmarshal(text, &stats); err != nil || stats.ResultCache["hits"] != 2 || stats.ResultCache["misses"] != 1 {
		t.Errorf("%s", text)
	}
}
