package main

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A metric is what a query computes of the records of a group, and with a step of
// those of each window.
type metric struct {
	// value is what a record adds; nil: only that it is there.
	value func(*entry) float64
	// text is what is told apart, of a distinct count.
	text  func(*entry) string
	fold  func(*pool) float64
	top   int     // only so many groups, the largest
	slack float64 // by which part an answer may differ; 0: by what rounding does
}

// rounding is by which part two sums of the same numbers may differ.
const rounding = 1e-9

// A pool is what brute force knows of the records of one group and window.
type pool struct {
	n, sum, max float64
	values      []float64 // of a quantile only
	texts       map[string]struct{}
}

func sum(p *pool) float64      { return p.sum }
func maximum(p *pool) float64  { return p.max }
func mean(p *pool) float64     { return p.sum / p.n }
func distinct(p *pool) float64 { return float64(len(p.texts)) }

// p99 is the quantile as Prometheus and Loki interpolate it.
func p99(p *pool) float64 {
	slices.Sort(p.values)
	rank := 0.99 * float64(len(p.values)-1)
	low := math.Floor(rank)
	high := min(low+1, float64(len(p.values)-1))
	return p.values[int(low)]*(1-(rank-low)) + p.values[int(high)]*(rank-low)
}

// add adds a record.
func (m *metric) add(p *pool, e *entry) {
	p.n++
	if m.text != nil {
		if p.texts == nil {
			p.texts = map[string]struct{}{}
		}
		p.texts[m.text(e)] = struct{}{}
	}
	if m.value == nil {
		return
	}
	v := m.value(e)
	p.sum += v
	p.max = max(p.max, v)
	if m.slack > 0 {
		p.values = append(p.values, v)
	}
}

// window names the window of a time, as a part of a group's name.
func (q *query) window(day, at time.Time) string {
	return "@" + strconv.FormatInt(int64(at.Sub(day)/q.step), 10)
}

// result is the answer that the pools of a query make.
func (q *query) result(pools map[string]*pool) map[string]float64 {
	out := map[string]float64{}
	for k, p := range pools {
		out[k] = q.metric.fold(p)
	}
	if n := q.metric.top; n > 0 && len(out) > n {
		keys := slices.SortedFunc(maps.Keys(out), func(a, b string) int { return cmp.Compare(out[b], out[a]) })
		for _, k := range keys[n:] {
			delete(out, k)
		}
	}
	return out
}

// differ says how numbers differ from want by more than slack; "" if they do not.
func differ(got, want map[string]float64, slack float64) string {
	for _, k := range slices.Sorted(maps.Keys(want)) {
		g, ok := got[k]
		if w := want[k]; !ok || !(math.Abs(g-w) <= max(slack, rounding)*math.Abs(w)) {
			return fmt.Sprintf("%v for %q, want %v", g, k, w)
		}
	}
	if len(got) != len(want) {
		return fmt.Sprintf("%d numbers, want %d", len(got), len(want))
	}
	return ""
}

// metricQueries compute statistics of fields. In Loki the fields are in the line.
func metricQueries() []query {
	service := func(e *entry) string { return e.pod.service }
	access := func(e *entry) bool { return e.path != "" }
	duration := func(e *entry) float64 { return float64(e.duration) }
	sent := func(e *entry) float64 { return float64(e.sent) }
	const stream = `{cluster=~".+"}`
	// ask writes a query around its pipeline: that of Loki reads the line first.
	ask := func(q query, form, pipe, victoria string) query {
		q.meshtrail, q.loki, q.victoria = fmt.Sprintf(form, pipe), fmt.Sprintf(form, " | json"+pipe), victoria
		return q
	}
	return []query{
		ask(query{name: "rate_by_hour", by: "service", step: time.Hour, match: func(*entry) bool { return true }, group: service,
			metric: &metric{fold: func(p *pool) float64 { return p.n / 3600 }}},
			`sum by (service) (rate(`+stream+`%.0s [1h]))`, "", `* | stats by (service, _time:1h) count() n | math n / 3600 as v`),
		ask(query{name: "duration_mean", by: "service", match: access, group: service, metric: &metric{value: duration, fold: mean}},
			`avg_over_time(`+stream+`%s [25h]) by (service)`, ` | path != "" | unwrap duration`, `path:* | stats by (service) avg(duration) v`),
		ask(query{name: "duration_p99", by: "service", match: access, group: service, metric: &metric{value: duration, fold: p99, slack: 0.1}},
			`quantile_over_time(0.99, `+stream+`%s [25h]) by (service)`, ` | path != "" | unwrap duration`, `path:* | stats by (service) quantile(0.99, duration) v`),
		ask(query{name: "duration_max_by_hour", by: "service", step: time.Hour, match: access, group: service, metric: &metric{value: duration, fold: maximum}},
			`max_over_time(`+stream+`%s [1h]) by (service)`, ` | path != "" | unwrap duration`, `path:* | stats by (service, _time:1h) max(duration) v`),
		ask(query{name: "bytes_of_products", by: "service", match: func(e *entry) bool { return strings.HasPrefix(e.path, "/api/v1/products/") }, group: service,
			metric: &metric{value: sent, fold: sum}},
			`sum by (service) (sum_over_time(`+stream+`%s [25h]))`, ` | path =~ "/api/v1/products/.+" | unwrap bytes_sent`, `path:="/api/v1/products/"* | stats by (service) sum(bytes_sent) v`),
		ask(query{name: "top_5_by_bytes", by: "service", match: access, group: service, metric: &metric{value: sent, fold: sum, top: 5}},
			`topk(5, sum by (service) (sum_over_time(`+stream+`%s [25h])))`, ` | path != "" | unwrap bytes_sent`, `path:* | stats by (service) sum(bytes_sent) v | sort by (v desc) limit 5`),
		ask(query{name: "distinct_pods", by: "service", match: access, group: service, metric: &metric{text: func(e *entry) string { return e.pod.name }, fold: distinct}},
			`count by (service) (count by (service, pod) (count_over_time(`+stream+`%s [25h])))`, ` | path != ""`, `path:* | stats by (service) count_uniq(pod) v`),
	}
}
