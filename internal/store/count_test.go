package store

import (
	"context"
	"fmt"
	mrand "math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/filter"
)

// meshBatch makes n records as a mesh sends them: constants, few values, some
// absent, some of another kind under the same name.
func meshBatch(r *mrand.Rand, at int64, n int) *record.Batch {
	b := &record.Batch{Tenant: "acme", Source: "s", Ingest: noon}
	for i := range n {
		at += r.Int64N(4) * 1e8
		b.Begin(at, []record.Class{"app", "ops"}[i%20/19])
		b.Str("cluster", "prod")
		b.Str("service.name", []string{"cart", "users"}[r.IntN(2)])
		if r.IntN(5) > 0 {
			b.Int("http.response.status_code", int64([]int{200, 404, 503}[r.IntN(3)]))
		}
		if r.IntN(30) == 0 {
			b.Str("http.response.status_code", "none")
		}
		if r.IntN(10) == 0 {
			b.Str("empty", "")
		}
		b.Bool("retried", i%2 == 0)
		b.Float("ratio", []float64{0.5, 1}[r.IntN(2)])
		b.Str("url.path", fmt.Sprint("/api/v1/", r.IntN(5000)))
		b.End()
	}
	return b
}

func drawMeshFilter(r *mrand.Rand) match.Predicate {
	re, err := match.CompileRegexp("ca|^u")
	if err != nil {
		panic(err)
	}
	leaf := func() match.Predicate {
		code := []string{"http.response.status_code", "response_code", "status"}[r.IntN(3)]
		return []match.Predicate{
			match.Exists{Field: "cluster"}, match.Exists{Field: "empty"}, match.Exists{Field: "retried"}, match.Exists{Field: "url.path"},
			match.Eq{Field: "service", Value: "cart"}, match.Eq{Field: "cluster", Value: "prod"}, match.Eq{Field: "empty", Value: ""},
			match.Regex{Field: "service.name", Re: re}, match.Eq{Field: match.Class, Value: "ops"},
			match.Range{Field: code, Min: match.IntBound(404, true)}, match.Eq{Field: code, Value: "200"}, match.Exists{Field: code},
			match.Eq{Field: "retried", Value: "true"}, match.Range{Field: "ratio", Max: match.FloatBound(0.7, true)},
			match.Prefix{Field: "url.path", Value: "/api"}, match.Exists{Field: "nowhere"}, match.True{}, match.False{},
		}[r.IntN(18)]
	}
	switch r.IntN(5) {
	case 0:
		return nil
	case 1:
		return match.And{leaf(), leaf()}
	case 2:
		return match.Or{leaf(), match.Not{P: leaf()}}
	case 3:
		return match.And{match.Exists{Field: "cluster"}, match.Not{P: match.Eq{Field: match.Class, Value: "audit"}}, leaf()}
	}
	return leaf()
}

// TestDigestsCountAsRowsDo asks for counts by the digests of columns and by the
// rows themselves: filters, groups, steps and time ranges are drawn.
func TestDigestsCountAsRowsDo(t *testing.T) {
	for _, rows := range []int{1, 40, 300} {
		r := mrand.New(mrand.NewPCG(uint64(rows), 5))
		l := manual()
		l.BlockRows = rows
		s, _ := newWorld(t, l)
		for i := range 12 {
			mustAppend(t, s, meshBatch(r, noon+r.Int64N(5e10), 50))
			if i%3 == 2 {
				mustSeal(t, s)
			}
		}
		mustAppend(t, s, meshBatch(r, noon, 30)) // not sealed
		told := 0
		for range long(120, 2000) {
			req := CountRequest{Tenant: "acme", To: 1 << 62, Where: drawMeshFilter(r)}
			if r.IntN(2) == 0 {
				req.From = noon + r.Int64N(3e10)
				req.To = req.From + 1 + r.Int64N(8e10)
				if r.IntN(2) == 0 {
					req.Step = 1e8 + r.Int64N(4e10)
				}
			}
			for range r.IntN(4) {
				req.By = append(req.By, []string{"service", "status", "cluster", match.Class, "retried", "empty", "ratio", "path", "nowhere"}[r.IntN(9)])
			}
			got, stats, err := s.count(context.Background(), req, true)
			if err != nil {
				t.Fatal(err)
			}
			want, slow, err := s.count(context.Background(), req, false)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) || stats.RowsMatched != slow.RowsMatched {
				t.Fatalf("count by %v step %d from %d to %d where %v:\n%v\nwant\n%v\n%+v\n%+v", req.By, req.Step, req.From, req.To, req.Where, got, want, stats, slow)
			}
			if stats.RowsScanned < slow.RowsScanned {
				told++
			}
		}
		if told == 0 && rows > 1 { // the header of one record tells as much
			t.Error("no digest ever told anything")
		}
	}
}

// TestCountOfAllReadsNothing counts what the directory knows.
func TestCountOfAllReadsNothing(t *testing.T) {
	s, _ := newWorld(t, manual())
	r := mrand.New(mrand.NewPCG(1, 1))
	mustAppend(t, s, meshBatch(r, noon, 500))
	mustSeal(t, s)
	for _, p := range []match.Predicate{nil, match.Not{P: match.Eq{Field: match.Class, Value: "audit"}}} {
		groups, stats, err := s.Count(context.Background(), CountRequest{Tenant: "acme", To: 1 << 62, Where: p})
		if err != nil {
			t.Fatal(err)
		}
		if len(groups) != 1 || groups[0].Counts[0] != 500 || stats.BytesRead != 0 || stats.BlocksScanned != 0 {
			t.Errorf("%v: %v, %+v", p, groups, stats)
		}
	}
}

// TestGrouperDoesNotAllocate counts one block again and again.
func TestGrouperDoesNotAllocate(t *testing.T) {
	s, _ := newWorld(t, manual())
	r := mrand.New(mrand.NewPCG(1, 1))
	mustAppend(t, s, meshBatch(r, noon, 2000))
	mustSeal(t, s)
	f := filter.New(match.Range{Field: "response_code", Min: match.IntBound(404, true)})
	for _, step := range []int64{0, 1e10} {
		req := CountRequest{Tenant: "acme", From: noon, To: noon + 1e13, Step: step, By: []string{"service", "response_code"}}
		c := newCounter(&req, 1<<30)
		p := s.newPlan("acme", nil, req.From, req.To, f)
		run := p.runner(context.Background(), f, req.From, req.To, Budget{})
		w := &worker{}
		target := slices.MaxFunc(p.targets, func(a, b target) int { return a.rows - b.rows })
		one := func() {
			if err := c.block(run, w, &target); err != nil {
				t.Fatal(err)
			}
		}
		one()
		if n := testing.AllocsPerRun(50, one); n > 8 {
			t.Errorf("step %d: %v allocations for a block", step, n)
		}
		p.close()
	}
}
