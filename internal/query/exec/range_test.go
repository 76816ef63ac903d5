package exec

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	mrand "math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/query/pipe"
	"github.com/meshtrail/meshtrail/internal/query/plan"
	"github.com/meshtrail/meshtrail/internal/query/querytest"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

// rounds of the property test.
const rounds = 2000

// TestWaysAgree computes random range aggregations over random records in every
// way there is, and by a reference that looks at each window by itself.
func TestWaysAgree(t *testing.T) {
	rnd := mrand.New(mrand.NewPCG(3, 14))
	answered, failed := 0, 0
	for round := range rounds {
		all := randomRecords(rnd, 1+rnd.IntN(60))
		s := storeOf(t, all)
		steps := Steps{Start: rnd.Int64N(50), Step: 1 + rnd.Int64N(25), N: 1 + rnd.IntN(12)}
		e, where, accept := randomRange(rnd)
		n, err := planned(e)
		if err != nil {
			t.Fatalf("%s: %v", e, err)
		}
		want, wantErr := reference(e, accept, all, steps)
		if wantErr != nil {
			failed++
		} else if len(want) > 0 {
			answered++
		}
		for name, change := range ways(rnd, where) {
			env := &Env{
				Store: s, Tenant: "acme", Steps: steps, MaxSeries: 1000, MaxBuckets: 1 << 20, MaxRequests: 100,
				Where: func(l *plan.Log) match.Predicate { return l.Where },
			}
			m, l := *n, *n.Log
			m.Log = &l
			l.Where = where
			change(env, &m)
			got, err := overTime(t.Context(), env, &m)
			what := fmt.Sprintf("round %d, %s: %s, steps %+v", round, name, e, steps)
			if (err == nil) != (wantErr == nil) {
				t.Fatalf("%s: error %v, want %v", what, err, wantErr)
			}
			if err != nil {
				if !strings.HasPrefix(err.Error(), "pipeline error: 'SampleExtractionErr' for series: '{") {
					t.Fatalf("%s: %v", what, err)
				}
				continue
			}
			if diff := compareAnswers(got, want, e.Op, steps); diff != "" {
				t.Fatalf("%s\n%s", what, diff)
			}
			if env.held != held(got) || env.points != int64(len(got)*steps.N) {
				t.Fatalf("%s: %d bytes and %d points are held for %d series of %d bytes", what, env.held, env.points, len(got), held(got))
			}
		}
	}
	if answered < rounds/2 || failed < rounds/100 {
		t.Errorf("%d queries have an answer, %d are refused: too few to tell anything", answered, failed)
	}
}

// inBits is a store that scans in small batches.
type inBits struct{ store.Reader }

func (s inBits) Scan(ctx context.Context, req store.ScanRequest, visit func([]record.Record) error) (store.Stats, error) {
	return s.Reader.Scan(ctx, req, func(rs []record.Record) error {
		for bit := range slices.Chunk(rs, 4) {
			if err := visit(bit); err != nil {
				return err
			}
		}
		return nil
	})
}

func held(list []*Series) (n int64) {
	for _, s := range list {
		n += int64(size(s.Labels, len(s.Vals)))
	}
	return n
}

// ways returns the ways to compute, as changes of what is asked.
func ways(rnd *mrand.Rand, where match.Predicate) map[string]func(*Env, *plan.Range) {
	half := match.Eq{Field: "svc", Value: "a"}
	if rnd.IntN(2) == 0 {
		half = match.Eq{Field: "half", Value: "1"}
	}
	few := 1 + rnd.IntN(30)
	return map[string]func(*Env, *plan.Range){
		"by the store":              func(*Env, *plan.Range) {},
		"by the store, few buckets": func(e *Env, _ *plan.Range) { e.MaxBuckets = few },
		"record by record":          func(e *Env, _ *plan.Range) { e.byRecord = true },
		"record by record, by many": func(e *Env, _ *plan.Range) { e.byRecord, e.hands, e.Store = true, 3, inBits{e.Store} },
		"each window by itself":     func(_ *Env, n *plan.Range) { n.Distinct = true },
		"through an empty pipeline": func(_ *Env, n *plan.Range) { n.Log.Pipe = &pipe.Pipeline{} },
		"half by the store": func(_ *Env, n *plan.Range) {
			n.Log.Pipe = &pipe.Pipeline{}
			n.Log.Sure, n.Log.Unsure = match.And{where, half}, match.And{where, match.Not{P: half}}
		},
		"filters after unwrap seen twice": func(e *Env, n *plan.Range) {
			if n.Unwrap != nil && !n.Unwrap.Skip {
				u := *n.Unwrap
				u.Good, u.Bad = &pipe.Pipeline{}, &pipe.Pipeline{}
				n.Unwrap = &u
			}
		},
	}
}

func planned(e *logql.RangeAgg) (*plan.Range, error) {
	n, err := plan.Metric(e)
	if err != nil {
		return nil, err
	}
	return n.(*plan.Range), nil
}

func storeOf(t *testing.T, all []record.Record) *querytest.Store {
	s := &querytest.Store{}
	for chunk := range slices.Chunk(all, 7) {
		b := &record.Batch{Tenant: "acme"}
		for _, r := range chunk {
			b.AddRecord(&r)
		}
		if err := s.Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func randomRecords(rnd *mrand.Rand, n int) []record.Record {
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	out := make([]record.Record, n)
	times := rnd.Perm(4 * n) // no two records of one time: first and last are clear
	strange := rnd.IntN(4) == 0
	for i := range out {
		r := record.Record{Time: int64(times[i]) - 20, Class: record.Class(pick("app", "ops"))}
		add := func(name string, v record.Value) { r.Fields = append(r.Fields, record.Field{Name: name, Value: v}) }
		str := func(name, v string) { add(name, record.StringValue(v)) }
		str("svc", pick("a", "b", "c"))
		str("service", pick("x", "y"))
		str("half", pick("0", "1"))
		if rnd.IntN(3) == 0 {
			str(record.Labels, pick("svc", "svc,half", "none"))
		}
		switch rnd.IntN(5) {
		case 0:
			add("n", record.IntValue(rnd.Int64N(40)-10))
		case 1:
			add("n", record.FloatValue(float64(rnd.IntN(80)-20)/4))
		case 2:
			str("n", strconv.Itoa(rnd.IntN(50)))
		case 3:
			str("n", pick("2.5", "1e1", "", "-3"))
		}
		if strange && rnd.IntN(4) == 0 {
			str("n2", pick("NaN", "Inf", "-Inf", "1", "12"))
		} else {
			add("n2", record.IntValue(rnd.Int64N(9)))
		}
		if strange && rnd.IntN(3) == 0 {
			str("n3", "abc")
		} else {
			add("n3", record.IntValue(rnd.Int64N(5)))
		}
		str("took", pick("250ms", "1s", "0.5s", "2m", "1500ms"))
		str("size", pick("5KB", "2KiB", "700B", "64"))
		add("mesh.duration_ns", record.IntValue(rnd.Int64N(8)*500_000))
		str("body", strings.Repeat("x", rnd.IntN(5)))
		out[i] = r
	}
	return out
}

// randomRange draws a range aggregation, and the predicate that selects its
// records, also as a function.
func randomRange(rnd *mrand.Rand) (e *logql.RangeAgg, where match.Predicate, accept func(*record.Record) bool) {
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	e = &logql.RangeAgg{
		Range: 1 + rnd.Int64N(40), Offset: rnd.Int64N(7) - 3, Log: &logql.Log{},
		Op: pick("count_over_time", "rate", "bytes_over_time", "bytes_rate", "absent_over_time"),
	}
	if rnd.IntN(4) > 0 {
		e.Op = pick("sum_over_time", "avg_over_time", "min_over_time", "max_over_time", "first_over_time", "last_over_time",
			"stddev_over_time", "stdvar_over_time", "quantile_over_time", "rate", "rate_counter", "absent_over_time")
		e.Param = []float64{0, 0.25, 0.5, 0.9, 1, 1.5, -1}[rnd.IntN(7)]
		e.Unwrap = &logql.Unwrap{Name: pick("n", "n2", "n3", "n3", "half", "duration")}
		switch rnd.IntN(6) {
		case 0:
			e.Unwrap.Name, e.Unwrap.Conv = "took", "duration"
		case 1:
			e.Unwrap.Name, e.Unwrap.Conv = "size", "bytes"
		}
		if rnd.IntN(2) == 0 {
			e.Unwrap.Filters = []logql.Cond{&logql.TextCond{Matcher: logql.Matcher{Name: "__error__", Op: logql.OpEq}}}
		}
		if strings.HasSuffix(e.Op, "_over_time") && e.Op != "sum_over_time" && e.Op != "absent_over_time" && rnd.IntN(2) == 0 {
			e.Grouping = &logql.Grouping{Without: rnd.IntN(2) == 0, Names: [][]string{{}, {"svc"}, {"service"}, {"svc", "half"}, {"n"}}[rnd.IntN(5)]}
		}
	}
	if rnd.IntN(2) == 0 {
		return e, match.True{}, func(*record.Record) bool { return true }
	}
	return e, match.Not{P: match.Eq{Field: "svc", Value: "b"}}, func(r *record.Record) bool { return text(r, "svc") != "b" }
}

func text(r *record.Record, name string) string {
	v, _ := match.Value(name, r)
	return v.Text()
}

// reference computes one window at a time, straight from what LogQL says.
func reference(e *logql.RangeAgg, accept func(*record.Record) bool, all []record.Record, steps Steps) ([]map[string]float64, error) {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b record.Record) int { return int(a.Time - b.Time) })
	out := make([]map[string]float64, steps.N)
	for i := range out {
		to := steps.Start + int64(i)*steps.Step - e.Offset
		times, values := map[string][]int64{}, map[string][]float64{}
		for _, r := range all {
			if r.Time <= to-e.Range || r.Time > to || !accept(&r) {
				continue
			}
			v, err := sampleOf(e, &r)
			if errors.Is(err, errNone) {
				continue
			} else if err != nil {
				return nil, err
			}
			k := labelsOf(e, &r)
			times[k], values[k] = append(times[k], r.Time), append(values[k], v)
		}
		out[i] = map[string]float64{}
		if e.Op == "absent_over_time" {
			if len(values) == 0 {
				out[i]["{}"] = 1
			}
			continue
		}
		for k := range values {
			out[i][k] = function(e, times[k], values[k], to)
		}
	}
	return out, nil
}

var errNone = errors.New("no sample")

func sampleOf(e *logql.RangeAgg, r *record.Record) (float64, error) {
	if e.Unwrap == nil {
		if strings.HasPrefix(e.Op, "bytes") {
			return float64(len(text(r, "body"))), nil
		}
		return 1, nil
	}
	s := text(r, e.Unwrap.Name)
	if s == "" {
		return 0, errNone
	}
	var v float64
	var err error
	switch {
	case e.Unwrap.Name == "took":
		d, _ := time.ParseDuration(s)
		v = d.Seconds()
	case e.Unwrap.Name == "size":
		v = map[string]float64{"5KB": 5000, "2KiB": 2048, "700B": 700, "64": 64}[s]
	default:
		v, err = strconv.ParseFloat(s, 64)
	}
	if e.Unwrap.Name == "duration" { // Envoy's, in milliseconds
		v /= 1e6
	}
	if err != nil && len(e.Unwrap.Filters) > 0 {
		err = errNone
	}
	return v, err
}

// labelsOf returns the text of the labels of a record's series.
func labelsOf(e *logql.RangeAgg, r *record.Record) string {
	l := map[string]string{}
	if g := e.Grouping; g != nil && !g.Without {
		for _, n := range g.Names {
			l[n] = text(r, n)
		}
	} else {
		l["service"] = text(r, "service")
		for _, n := range strings.Split(text(r, record.Labels), ",") {
			l[n] = text(r, n)
		}
		if e.Unwrap != nil {
			delete(l, e.Unwrap.Name)
		}
		if g != nil {
			for _, n := range g.Names {
				delete(l, n)
			}
		}
	}
	out := Labels{}
	for _, n := range slices.Sorted(maps.Keys(l)) {
		if l[n] != "" && n != "" {
			out = append(out, Label{n, l[n]})
		}
	}
	return out.String()
}

func function(e *logql.RangeAgg, times []int64, values []float64, end int64) float64 {
	n, seconds := float64(len(values)), float64(e.Range)/1e9
	sum, low, high := 0.0, math.NaN(), math.NaN()
	for _, v := range values {
		sum += v
		if v < low || math.IsNaN(low) {
			low = v
		}
		if v > high || math.IsNaN(high) {
			high = v
		}
	}
	squares := 0.0
	for _, v := range values {
		squares += (v - sum/n) * (v - sum/n)
	}
	switch e.Op {
	case "sum_over_time", "count_over_time", "bytes_over_time":
		return sum
	case "rate", "bytes_rate":
		return sum / seconds
	case "avg_over_time":
		return sum / n
	case "min_over_time":
		return low
	case "max_over_time":
		return high
	case "first_over_time":
		return values[0]
	case "last_over_time":
		return values[len(values)-1]
	case "stdvar_over_time":
		return squares / n
	case "stddev_over_time":
		return math.Sqrt(squares / n)
	case "quantile_over_time":
		if e.Param < 0 || e.Param > 1 {
			return math.Inf(int(e.Param * 10))
		}
		slices.Sort(values)
		at := e.Param * (n - 1)
		i := int(math.Floor(at))
		j := min(i+1, len(values)-1)
		return values[i]*(1-(at-float64(i))) + values[j]*(at-float64(i))
	case "rate_counter":
		if len(values) < 2 {
			return 0
		}
		grown := values[len(values)-1] - values[0]
		for i, v := range values[1:] {
			if v < values[i] {
				grown += values[i]
			}
		}
		first, last := float64(times[0]-(end-e.Range))/1e9, float64(end-times[len(times)-1])/1e9
		sampled := float64(times[len(times)-1]-times[0]) / 1e9
		mean := sampled / (n - 1)
		if first >= mean*1.1 {
			first = mean / 2
		}
		if grown > 0 && values[0] >= 0 && sampled*(values[0]/grown) < first {
			first = sampled * (values[0] / grown)
		}
		if last >= mean*1.1 {
			last = mean / 2
		}
		return grown * ((sampled + first + last) / sampled) / seconds
	}
	panic(e.Op)
}

// compareAnswers reports the first difference. Where sums are of whole numbers
// and quarters all ways must give the same bits.
func compareAnswers(got []*Series, want []map[string]float64, op string, steps Steps) string {
	tolerance := 0.0
	if op == "stddev_over_time" || op == "stdvar_over_time" || op == "rate_counter" || op == "avg_over_time" || op == "quantile_over_time" {
		tolerance = 1e-12
	}
	tolerance = max(tolerance, 1e-15) // seconds are summed up by the reference and nanoseconds by us
	for i := range steps.N {
		n := 0
		for _, s := range got {
			if !s.Has[i] {
				continue
			}
			n++
			w, ok := want[i][s.Labels.String()]
			same := s.Vals[i] == w || math.IsNaN(w) && math.IsNaN(s.Vals[i]) || math.Abs(s.Vals[i]-w) <= tolerance*max(1, math.Abs(w))
			if !ok || !same {
				return fmt.Sprintf("step %d: %s is %v, want %v (%v)", i, s.Labels, s.Vals[i], w, ok)
			}
		}
		if n != len(want[i]) {
			return fmt.Sprintf("step %d: %d series, want %v", i, n, want[i])
		}
	}
	return ""
}
