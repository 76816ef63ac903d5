package exec

import (
	"fmt"
	mrand "math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/query/plan"
	"github.com/meshtrail/meshtrail/internal/record"
)

// TestShortWaysAgree holds counts of combinations and rankings against the same
// query by its series, which are made record by record.
func TestShortWaysAgree(t *testing.T) {
	rnd := mrand.New(mrand.NewPCG(6, 28))
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	answered := 0
	for round := range 1500 {
		all := randomRecords(rnd, 1+rnd.IntN(60))
		s := storeOf(t, all)
		inner := pick("count_over_time", "rate", "bytes_over_time", "bytes_rate") + "(" + pick(`{}`, `{svc!="b"}`, `{svc="nobody"}`) + "[1s])"
		names := []string{"svc", "service", "half", "n", "n2", "class", "nothing", "took"}
		some := func(most int) string {
			rnd.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
			return " by (" + strings.Join(names[:rnd.IntN(most+1)], ", ") + ") "
		}
		in := func() string {
			return pick("sum", "count", "max", "min", "avg", "stddev") + some(4) + "(" + inner + ")"
		}
		q := ""
		switch rnd.IntN(4) {
		case 0:
			q = "count" + pick("", some(2)) + "(" + in() + ")"
		case 1:
			q = "count" + pick("", some(2)) + "(" + pick("sum", "count", "min") + some(4) + "(" + in() + "))"
		case 2:
			q = pick("topk", "bottomk") + pick("", some(2), " without (svc, n)") + "(" + pick("1", "2", "5") + ", " + in() + ")"
		default:
			q = pick("topk", "bottomk") + "(" + pick("1", "3") + ", sum" + some(3) + "(" + inner + "))"
		}
		steps := Steps{Start: rnd.Int64N(50), Step: 1 + rnd.Int64N(25), N: 1 + rnd.IntN(12)}
		what := fmt.Sprintf("round %d: %s, steps %+v", round, q, steps)
		x, err := logql.Parse(q)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		n, err := plan.Metric(x)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		window, offset := 1+rnd.Int64N(40), rnd.Int64N(7)-3
		_ = plan.Ranges(n, func(r *plan.Range) error { r.Range, r.Offset = window, offset; return nil })
		what += fmt.Sprintf(", window %d, offset %d", window, offset)
		run := func(byRecord bool, buckets int) map[string]float64 {
			env := &Env{
				Store: s, Tenant: "acme", Steps: steps, Instant: steps.N == 1, MaxSeries: 1000, MaxBuckets: buckets, MaxRequests: 100,
				Where: func(l *plan.Log) match.Predicate { return l.Where }, byRecord: byRecord,
			}
			v, err := Run(t.Context(), env, n)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if env.held != held(v.Series) || env.points != int64(len(v.Series)*steps.N) {
				t.Fatalf("%s: %d bytes and %d points are held for %d series of %d bytes", what, env.held, env.points, len(v.Series), held(v.Series))
			}
			out := map[string]float64{}
			for _, s := range v.Series {
				for i, has := range s.Has {
					if has {
						out[fmt.Sprint(i, " ", s.Labels)] = s.Vals[i]
					}
				}
			}
			return out
		}
		want := run(true, 1<<20)
		answered += min(len(want), 1)
		for _, buckets := range []int{1 << 20, 1 + rnd.IntN(30)} {
			if got := run(false, buckets); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("%s, %d buckets\n%v, want\n%v", what, buckets, got, want)
			}
		}
	}
	if answered < 700 {
		t.Errorf("%d queries have an answer: too few to tell anything", answered)
	}
}

// TestManyCombinations: more values than a query may have series are counted and
// ranked, and too many to be counted exactly are refused.
func TestManyCombinations(t *testing.T) {
	s := many(t, 12_000)
	now := Steps{Start: 12_000e9, N: 1}
	last := Steps{Start: 11_000e9, Step: 500e9, N: 3}
	f := func(q string, steps Steps, want string) {
		t.Helper()
		v, _, err := ask(t.Context(), t, s, q, steps)
		if err != nil {
			t.Errorf("%s: %v", q, err)
			return
		}
		var got []string
		for _, s := range v.Series {
			got = append(got, s.Labels.String()+fmt.Sprint(s.Vals))
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %s, want %s", q, strings.Join(got, " "), want)
		}
	}
	f(`count(count by (id) (count_over_time({}[5h])))`, now, `{}[12000]`)
	f(`count(sum by (id, half) (rate({}[5h])))`, now, `{}[12000]`)
	f(`count by (half) (max by (half, id) (count_over_time({}[5h])))`, now, `{half="0"}[6000] {half="1"}[6000]`)
	f(`count(count by (half) (sum by (id, half) (rate({}[5h]))))`, now, `{}[2]`)
	f(`count(count by (id) (count_over_time({}[2h])))`, last, `{}[7200 7200 7199]`)
	f(`count by (half) (count by (id, half) (count_over_time({}[500s])))`, last, `{half="0"}[250 250 249] {half="1"}[250 250 250]`)
	f(`topk(1, sum by (id) (bytes_over_time({}[5h])))`, now, `{id="id-10000"}[7]`)
	f(`bottomk(2, sum by (id) (count_over_time({}[2h])))`, last, `{id="id-10000"}[1 1 1] {id="id-10001"}[1 1 1]`)
	f(`topk(2, max by (id) (max_over_time({} | unwrap v [5h])))`, now, `{id="id-11998"}[11998] {id="id-11999"}[11999]`)

	var b record.Batch
	b.Tenant = "acme"
	for i := range 70_000 {
		b.Begin(12_000e9, "app")
		b.Str("id", fmt.Sprint("more-", i))
		b.End()
	}
	if err := s.Append(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	_, _, err := ask(t.Context(), t, s, `count(count by (id) (count_over_time({}[5h])))`, now)
	if !fault.Is(err, fault.Overload) || !strings.Contains(err.Error(), "too many to count exactly") || fault.HintOf(err) == "" {
		t.Errorf("82,000 values: %v", err)
	}
}
