package querytest

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// A Sample is one value of a metric query at one time.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// Key is a text that equal labels, and only they, share.
func (s Sample) Key() string { return keyOf(s.Labels) }

func keyOf(labels map[string]string) string {
	out := ""
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		out += name + "=" + strconv.Quote(labels[name]) + ","
	}
	return out
}

// StreamLabels returns the labels of a record's stream.
func StreamLabels(r *record.Record) map[string]string {
	out := map[string]string{}
	for _, l := range schema.StreamLabels() {
		if v, ok := match.Value(l.Label, r); ok && v.Text() != "" {
			out[l.Label] = v.Text()
		}
	}
	declared, _ := r.Get(record.Labels)
	for name := range strings.SplitSeq(declared.Text(), ",") {
		id := schema.Identifier(name)
		if v, ok := match.Value(name, r); ok && v.Text() != "" && name != "" && out[id] == "" {
			out[id] = v.Text()
		}
	}
	return out
}

// Eval computes a metric query at time t over records in order of time. An
// error is what the query fails with at this time.
func Eval(e logql.Expr, records []record.Record, t int64) ([]Sample, error) {
	return eval(e, records, t, nil)
}

func eval(e logql.Expr, records []record.Record, t int64, wanted []string) ([]Sample, error) {
	switch e := e.(type) {
	case *logql.RangeAgg:
		return window(e, records, t, wanted)
	case *logql.VectorAgg:
		if r, ok := e.X.(*logql.RangeAgg); ok && groupsAtOnce(e, r) {
			// Unlike others these may group by the label that they unwrap.
			at := *r
			if at.Grouping = e.Grouping; at.Grouping == nil {
				at.Grouping = &logql.Grouping{}
			}
			return window(&at, records, t, nil)
		}
		if e.Grouping == nil || !e.Grouping.Without {
			if e.Op != "topk" && e.Op != "bottomk" && !strings.HasPrefix(e.Op, "sort") {
				wanted = nil
			}
		}
		if e.Grouping != nil && !e.Grouping.Without {
			wanted = append(slices.Clone(wanted), e.Grouping.Names...)
		}
		in, err := eval(e.X, records, t, wanted)
		return aggregate(e, in), err
	case *logql.Vector:
		return []Sample{{map[string]string{}, e.Value}}, nil
	case *logql.LabelReplace:
		in, err := eval(e.X, records, t, wanted)
		re := regexp.MustCompile("^(?s:" + e.Regex + ")$")
		for i, s := range in {
			if m := re.FindStringSubmatchIndex(s.Labels[e.Src]); m != nil {
				in[i].Labels = maps.Clone(s.Labels)
				put(in[i].Labels, e.Dst, string(re.ExpandString(nil, e.Replacement, s.Labels[e.Src], m)))
			}
		}
		return in, err
	case *logql.Binary:
		return binary(e, records, t, wanted)
	}
	panic(fmt.Sprintf("expression %T", e))
}

// groupsAtOnce reports whether Loki groups the samples of a sum before it sums.
func groupsAtOnce(e *logql.VectorAgg, r *logql.RangeAgg) bool {
	if e.Op != "sum" || r.Grouping != nil || e.Grouping != nil && e.Grouping.Without {
		return false
	}
	switch r.Op {
	case "count_over_time", "rate", "bytes_over_time", "bytes_rate", "sum_over_time":
		return true
	}
	return false
}

func put(labels map[string]string, name, value string) {
	if value == "" {
		delete(labels, name)
	} else {
		labels[name] = value
	}
}

// group is the samples of one series in one window.
type group struct {
	labels map[string]string
	at     []int64
	values []float64
}

func window(e *logql.RangeAgg, records []record.Record, t int64, wanted []string) ([]Sample, error) {
	var in []record.Record
	for _, r := range records {
		if to := t - e.Offset; r.Time > to-e.Range && r.Time <= to {
			in = append(in, r)
		}
	}
	groups := map[string]*group{}
	var order []*group
	for _, l := range Select(e.Log, in) {
		v := 1.0
		switch {
		case e.Unwrap != nil:
			var ok, failed bool
			if v, ok, failed = l.unwrap(e.Unwrap); failed {
				return nil, fmt.Errorf("SampleExtractionErr")
			} else if !ok {
				continue
			}
		case strings.HasPrefix(e.Op, "bytes"):
			v = float64(len(l.Text))
		}
		if kind := l.Made["__error__"]; kind != "" {
			if e.Unwrap != nil && len(e.Unwrap.Filters) > 0 { // the random queries filter on the error alone
				continue
			}
			return nil, fmt.Errorf("%s", kind)
		}
		labels := l.series(e, wanted)
		g := groups[keyOf(labels)]
		if g == nil {
			g = &group{labels: labels}
			groups[keyOf(labels)] = g
			order = append(order, g)
		}
		g.at, g.values = append(g.at, l.Record.Time), append(g.values, v)
	}
	if e.Op == "absent_over_time" {
		if len(order) > 0 {
			return nil, nil
		}
		labels := map[string]string{}
		for i, m := range e.Log.Matchers { // by equality, and by nothing else
			if m.Op == logql.OpEq && !slices.ContainsFunc(slices.Delete(slices.Clone(e.Log.Matchers), i, i+1), func(o logql.Matcher) bool { return o.Name == m.Name }) {
				put(labels, m.Name, m.Value)
			}
		}
		return []Sample{{labels, 1}}, nil
	}
	var out []Sample
	for _, g := range order {
		out = append(out, Sample{g.labels, over(e, g)})
	}
	return out, nil
}

// unwrap takes the sample from a field. It failed when the text is no number
// and no filter speaks of that error.
func (l *Line) unwrap(u *logql.Unwrap) (v float64, ok, failed bool) {
	text, has := l.Get(u.Name)
	if !has || text == "" {
		return 0, false, false
	}
	mul := 1.0
	if _, made := l.Made[u.Name]; !made {
		res := schema.Resolve(u.Name)
		_, mul, _ = match.Lookup(&res, l.Record)
	}
	_, f, _, number := match.ParseNumber(text)
	switch {
	case number && u.Conv == "":
		v = f / mul
	case number && u.Conv == "bytes":
		v = f
	case number:
		return 0, false, true // the random queries convert texts with units alone
	case u.Conv == "bytes":
		n, is := match.ParseBytes(text)
		v, number = float64(n), is
	case u.Conv != "":
		ns, is := match.ParseDuration(text)
		v, number = float64(ns)/1e9, is
	}
	if !number {
		return 0, false, len(u.Filters) == 0
	}
	return v, true, false
}

// series returns the labels of the series that a line belongs to.
func (l *Line) series(e *logql.RangeAgg, wanted []string) map[string]string {
	out := map[string]string{}
	add := func(names []string) {
		for _, n := range names {
			v, _ := l.Get(n)
			put(out, n, v)
		}
	}
	if g := e.Grouping; g != nil && !g.Without {
		add(g.Names)
		return out
	}
	for name, v := range StreamLabels(l.Record) {
		out[name] = v
	}
	for name, v := range l.Made {
		put(out, name, v)
	}
	add(wanted)
	if e.Unwrap != nil {
		delete(out, e.Unwrap.Name)
	}
	if e.Grouping != nil {
		for _, n := range e.Grouping.Names {
			delete(out, n)
		}
	}
	return out
}

func over(e *logql.RangeAgg, g *group) float64 {
	n, seconds := float64(len(g.values)), float64(e.Range)/1e9
	sum := 0.0
	for _, v := range g.values {
		sum += v
	}
	mean := sum / n
	variance := 0.0
	for _, v := range g.values {
		variance += (v - mean) * (v - mean) / n
	}
	switch e.Op {
	case "count_over_time", "bytes_over_time", "sum_over_time":
		return sum
	case "rate", "bytes_rate":
		return sum / seconds
	case "avg_over_time":
		return mean
	case "min_over_time":
		return slices.Min(g.values)
	case "max_over_time":
		return slices.Max(g.values)
	case "first_over_time":
		return g.values[0]
	case "last_over_time":
		return g.values[len(g.values)-1]
	case "stdvar_over_time", "stddev_over_time":
		if math.Abs(variance) <= math.Pow(1e-14*mean, 2) {
			variance = 0 // equal numbers, but for rounding
		}
		if e.Op == "stdvar_over_time" {
			return variance
		}
		return math.Sqrt(variance)
	case "quantile_over_time":
		return quantile(e.Param, g.values)
	}
	panic("function " + e.Op)
}

// quantile interpolates between the two nearest values.
func quantile(q float64, values []float64) float64 {
	switch v := slices.Sorted(slices.Values(values)); {
	case q < 0:
		return math.Inf(-1)
	case q > 1:
		return math.Inf(1)
	default:
		rank := q * float64(len(v)-1)
		low := max(0, math.Floor(rank))
		high := min(float64(len(v)-1), low+1)
		weight := rank - math.Floor(rank)
		return v[int(low)]*(1-weight) + v[int(high)]*weight
	}
}

func aggregate(e *logql.VectorAgg, in []Sample) []Sample {
	if strings.HasPrefix(e.Op, "sort") {
		return in // the order of an answer is not compared
	}
	groups := map[string][]Sample{}
	for _, s := range in {
		k := keyOf(shown(e.Grouping, s.Labels))
		groups[k] = append(groups[k], s)
	}
	var out []Sample
	for _, k := range slices.Sorted(maps.Keys(groups)) {
		g := groups[k]
		if e.Op == "topk" || e.Op == "bottomk" {
			slices.SortFunc(g, func(a, b Sample) int {
				c := cmp.Compare(a.Value, b.Value)
				if e.Op == "topk" {
					c = -c
				}
				return c
			})
			out = append(out, g[:min(int(e.Param), len(g))]...)
			continue
		}
		values := &group{}
		for _, s := range g {
			values.values = append(values.values, s.Value)
		}
		v := 0.0
		switch e.Op {
		case "count":
			v = float64(len(g))
		case "sum", "avg", "min", "max", "stddev", "stdvar":
			v = over(&logql.RangeAgg{Op: e.Op + "_over_time"}, values)
		default:
			panic("aggregation " + e.Op)
		}
		out = append(out, Sample{shown(e.Grouping, g[0].Labels), v})
	}
	return out
}

// shown returns the labels that a grouping keeps.
func shown(g *logql.Grouping, labels map[string]string) map[string]string {
	out := map[string]string{}
	if g == nil {
		return out
	}
	for name, v := range labels {
		if slices.Contains(g.Names, name) != g.Without {
			out[name] = v
		}
	}
	return out
}
