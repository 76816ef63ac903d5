package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/query/plan"
)

func metric(t *testing.T, q string) plan.Node {
	t.Helper()
	x, err := logql.Parse(q)
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	n, err := plan.Metric(x)
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return n
}

// ranges describes the range aggregations of a query: by what the store groups.
func ranges(t *testing.T, q string) string {
	t.Helper()
	var out []string
	err := plan.Ranges(metric(t, q), func(r *plan.Range) error {
		s := r.Op + " by " + strings.Join(r.By, ",")
		if r.Stream {
			s += " and stream"
		}
		if len(r.Without) > 0 {
			s += " without " + strings.Join(r.Without, ",")
		}
		out = append(out, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, "; ")
}

func TestWhatTheStoreGroupsBy(t *testing.T) {
	f := func(q, want string) {
		t.Helper()
		if got := ranges(t, q); got != want {
			t.Errorf("%s\n got %s\nwant %s", q, got, want)
		}
	}
	f(`rate({}[1m])`, "rate by  and stream")
	f(`sum by (a) (rate({}[1m]))`, "rate by a")
	f(`sum(rate({}[1m]))`, "rate by ")
	f(`sum without (a) (rate({}[1m]))`, "rate by  and stream")
	f(`max by (a) (rate({}[1m]))`, "rate by a and stream")
	f(`avg by (a) (sum by (a, b) (rate({}[1m])))`, "rate by a,b")
	f(`sum by (a) (topk by (b) (2, rate({}[1m])))`, "rate by a,b and stream")
	f(`sum(max by (a) (rate({}[1m])))`, "rate by a and stream")

	// The largest of largest values is one, the sum of them is not.
	f(`max by (a) (max_over_time({} | unwrap v [1m]))`, "max_over_time by a")
	f(`max by (a, v) (max_over_time({} | unwrap v [1m]))`, "max_over_time by a")
	f(`sum by (a, v) (sum_over_time({} | unwrap v [1m]))`, "sum_over_time by a,v")
	f(`sum by (a) (max_over_time({} | unwrap v [1m]))`, "max_over_time by a and stream without v")
	f(`sum by (a) (max_over_time({} | unwrap v [1m]) by (b))`, "max_over_time by b")
	f(`max_over_time({} | unwrap v [1m]) without (b)`, "max_over_time by  and stream without v,b")

	// Labels that sides meet by, or that one gives to the other, must be there.
	f(`rate({}[1m]) / on (a) rate({}[2m])`, "rate by a and stream; rate by a and stream")
	f(`rate({}[1m]) * on (a) group_left (b) rate({}[2m])`, "rate by a and stream; rate by a,b and stream")
	f(`rate({}[1m]) * on (a) group_right (b) rate({}[2m])`, "rate by a,b and stream; rate by a and stream")
	f(`label_replace(rate({}[1m]), "x", "$1", "a", "(.*)")`, "rate by a and stream")
	f(`sum by (x) (label_replace(rate({}[1m]), "x", "$1", "a", "(.*)"))`, "rate by x,a and stream")
	f(`absent_over_time({a="b"}[1m])`, "absent_over_time by ")
}

func TestAbsentLabels(t *testing.T) {
	f := func(q, want string) {
		t.Helper()
		if got := fmt.Sprint(metric(t, q).(*plan.Range).Absent); got != want {
			t.Errorf("%s: %s, want %s", q, got, want)
		}
	}
	f(`absent_over_time({a="b", c="d"}[1m])`, "[[a b] [c d]]")
	f(`absent_over_time({a="b", c=~"d"}[1m])`, "[[a b]]")
	f(`absent_over_time({a="b", a!="c", d="e"}[1m])`, "[[d e]]")
	f(`absent_over_time({a="b", a="b"}[1m])`, "[]")
	f(`absent_over_time({a=""}[1m])`, "[]")
}

// TestErrorFilters: what filters after an unwrap say of records whose field is no
// number, decided before any is read.
func TestErrorFilters(t *testing.T) {
	f := func(stages, filters, want string) {
		t.Helper()
		q := `sum_over_time({}` + stages + ` | unwrap v` + filters + ` [1m])`
		r := metric(t, q).(*plan.Range)
		got := "fail"
		switch {
		case r.Unwrap.Good != nil:
			got = "look"
		case r.Unwrap.Skip:
			got = "skip"
		}
		if r.Log.Pipe != nil {
			got += ", pipe"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", q, got, want)
		}
	}
	f(``, ``, "fail")
	f(``, ` | a="b"`, "fail")
	f(``, ` | __error__=""`, "skip")
	f(``, ` | __error__="" | a="b"`, "skip")
	f(``, ` | __error__!="SampleExtractionErr"`, "skip")
	f(``, ` | __error__!~"Sample.*"`, "skip")
	f(``, ` | __error_details__=""`, "skip")
	f(``, ` | __error__!="JSONParserErr"`, "fail")
	f(``, ` | __error__="" or a="b"`, "look")
	f(``, ` | __error__="SampleExtractionErr"`, "look")
	f(` | json`, ``, "fail, pipe")
	f(` | json`, ` | __error__=""`, "skip, pipe")
	f(` | json`, ` | a="b"`, "fail, pipe")
	f(` | a > 5`, ` | __error__=""`, "skip")
}

func TestSorts(t *testing.T) {
	for q, want := range map[string]bool{
		`sort(rate({}[1m]))`:                               true,
		`1 + sort_desc(rate({}[1m])) * 2`:                  true,
		`label_replace(sort(rate({}[1m])),"a","b","c","")`: true,
		`topk(2, rate({}[1m]))`:                            false,
		`rate({}[1m])`:                                     false,
	} {
		if got := plan.Sorts(metric(t, q)); got != want {
			t.Errorf("%s: %t", q, got)
		}
	}
}

// TestRefused: trees that no parser makes are refused as well.
func TestRefused(t *testing.T) {
	log := &logql.Log{}
	for _, c := range []struct {
		e    logql.Expr
		want string
	}{
		{log, "a metric query is wanted"},
		{&logql.RangeAgg{Op: "sum_over_time", Log: log, Range: 1}, "invalid aggregation sum_over_time without unwrap"},
		{&logql.RangeAgg{Op: "bytes_rate", Log: log, Range: 1, Unwrap: &logql.Unwrap{Name: "v"}}, "invalid aggregation bytes_rate with unwrap"},
		{&logql.RangeAgg{Op: "rate", Log: log, Range: 1, Grouping: &logql.Grouping{}}, "grouping not allowed for rate aggregation"},
		{&logql.RangeAgg{Op: "mad_over_time", Log: log, Range: 1}, "unsupported range vector aggregation operation: mad_over_time"},
		{&logql.VectorAgg{Op: "approx_topk", Param: 1, Grouping: &logql.Grouping{}, X: &logql.Vector{}}, "grouping not allowed for approx_topk aggregation"},
		{&logql.Binary{Op: "and", L: &logql.Vector{}, R: &logql.Number{Value: 1}}, "unexpected literal for right leg of logical/set binary operation (and): 1.000000"},
		{&logql.LabelReplace{X: &logql.Vector{}, Regex: "("}, "invalid regex in label_replace"},
	} {
		if _, err := plan.Metric(c.e); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.want, err)
		}
	}
}
