package main

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// newest is how many records a query for records asks for.
const newest = 100

// A query is one question in each language. Either it asks for records, newest
// first, or it counts them by the values of a field.
type query struct {
	name  string
	match func(*entry) bool
	// group is the value of the field that by names; nil: a query for records.
	group func(*entry) string
	by    string
	step  time.Duration // a count over time, in windows of this length
	// metric, if not nil, is what is computed instead of a count.
	metric *metric

	meshtrail, loki, victoria string
}

// answer is what a store or brute force found.
type answer struct {
	groups map[string]int
	times  []int64 // event times of records, newest first
	// numbers are by group, and with a step by window; slack is the query's.
	numbers map[string]float64
	slack   float64
}

// normal puts a in the form in which answers are compared.
func (a answer) normal() answer {
	maps.DeleteFunc(a.groups, func(_ string, n int) bool { return n == 0 })
	slices.SortFunc(a.times, func(x, y int64) int { return cmp.Compare(y, x) })
	a.times = a.times[:min(len(a.times), newest)]
	return a
}

func (a answer) total() (n int) {
	for _, c := range a.groups {
		n += c
	}
	return n + len(a.times) + len(a.numbers)
}

// differs says how a differs from want; "" if it does not.
func (a answer) differs(want answer) string {
	switch {
	case !slices.Equal(a.times, want.times):
		return fmt.Sprintf("%d records, want %d, or other ones", len(a.times), len(want.times))
	case !maps.Equal(a.groups, want.groups):
		for _, k := range slices.Sorted(maps.Keys(want.groups)) {
			if a.groups[k] != want.groups[k] {
				return fmt.Sprintf("%d records of %q, want %d", a.groups[k], k, want.groups[k])
			}
		}
		return fmt.Sprintf("%d groups, want %d", len(a.groups), len(want.groups))
	}
	return differ(a.numbers, want.numbers, want.slack)
}

func all(*entry) string { return "" }

// everything counts all records by mesh: is anything missing?
func everything() query {
	return query{
		name: "count_by_mesh", by: "mesh", match: func(*entry) bool { return true }, group: func(e *entry) string { return e.pod.mesh },
		meshtrail: `sum by (mesh) (count_over_time({cluster=~".+"} [25h]))`,
		loki:      `sum by (mesh) (count_over_time({cluster=~".+"} [25h]))`,
		victoria:  `* | stats by (mesh) count() n`,
	}
}

// wideQuery counts by an added field of wide records.
func wideQuery() query {
	return query{
		name: "count_by_wide_field", by: "x_060", match: func(e *entry) bool { return true }, group: func(e *entry) string { return extraText(60, e.extra[60]) },
		meshtrail: `sum by (x_060) (count_over_time({cluster=~".+"} [25h]))`,
		loki:      `sum by (x_060) (count_over_time({cluster=~".+"} | json [25h]))`,
		victoria:  `* | stats by (x_060) count() n`,
	}
}

// needles picks the ids that are looked for: those of the first access record
// after the 37th part of a hundred, and paths of products.
func (w *workload) needles() (requestID, traceID string, paths []string) {
	d := w.drawer()
	for i := w.n * 37 / 100; i < w.n && len(paths) < 50; i++ {
		e := d.draw(i)
		if requestID == "" && e.requestID != "" {
			requestID, traceID = e.requestID, e.traceID
		}
		if strings.HasPrefix(e.path, "/api/v1/products/") {
			paths = append(paths, e.path)
		}
	}
	return requestID, traceID, paths
}

// queries is the table. The counts of LogQL look back 25 hours from the end.
func (w *workload) queries() []query {
	id, trace, paths := w.needles()
	absent := strings.Repeat("0", 31) + "1"
	path := regexp.MustCompile(`^/api/v1/cart/1234[0-9]+$`)
	const stream = `{cluster=~".+"}`
	count := func(q query, filter, lokiFilter, victoria string) query {
		form := `sum(count_over_time(` + stream + `%s [25h]))`
		pipe := ` | stats count() n`
		if q.by != "" {
			form = `sum by (` + q.by + `) (count_over_time(` + stream + `%s [25h]))`
			pipe = ` | stats by (` + q.by + `) count() n`
		}
		q.meshtrail, q.loki, q.victoria = fmt.Sprintf(form, filter), fmt.Sprintf(form, lokiFilter), victoria+pipe
		return q
	}
	service := func(e *entry) string { return e.pod.service }
	return append([]query{
		{name: "needle_request_id", match: func(e *entry) bool { return e.requestID == id },
			meshtrail: stream + ` | request_id="` + id + `"`, loki: stream + ` |= "` + id + `" | json | request_id="` + id + `"`, victoria: `request_id:="` + id + `"`},
		{name: "needle_trace", match: func(e *entry) bool { return e.traceID == trace },
			meshtrail: stream + ` | trace_id="` + trace + `"`, loki: stream + ` |= "` + trace + `"`, victoria: `trace_id:="` + trace + `"`},
		{name: "absent_trace", match: func(e *entry) bool { return e.traceID == absent },
			meshtrail: stream + ` | trace_id="` + absent + `"`, loki: stream + ` |= "` + absent + `"`, victoria: `trace_id:="` + absent + `"`},
		count(query{name: "phrase_count", match: func(e *entry) bool { return strings.Contains(e.msg, "leader elected") }, group: all},
			` |= "leader elected"`, ` |= "leader elected"`, `_msg:"leader elected"`),
		count(query{name: "phrase_any_case", match: func(e *entry) bool { return strings.Contains(e.msg, "leader elected") }, group: all},
			` |~ "(?i)Leader Elected"`, ` |~ "(?i)Leader Elected"`, `_msg:i("Leader Elected")`),
		count(query{name: "errors_by_service", by: "service", match: func(e *entry) bool { return e.code >= 500 }, group: service},
			` | response_code >= 500`, ` | json | response_code >= 500`, `response_code:>=500`),
		count(query{name: "count_by_code", by: "response_code", match: func(e *entry) bool { return e.code != 0 }, group: func(e *entry) string { return strconv.Itoa(e.code) }},
			` | response_code != ""`, ` | json | response_code != ""`, `response_code:*`),
		everything(),
		{name: "latest_100_of_service", match: func(e *entry) bool { return e.pod.service == "checkout" },
			meshtrail: `{service="checkout"}`, loki: `{service="checkout"}`, victoria: `{service="checkout"} | sort by (_time desc) limit 100`},
		count(query{name: "regex_path_count", match: func(e *entry) bool { return path.MatchString(e.path) }, group: all},
			` | path =~ "/api/v1/cart/1234[0-9]+"`, ` | json | path =~ "/api/v1/cart/1234[0-9]+"`, `path:~"^/api/v1/cart/1234[0-9]+$"`),
		count(query{name: "paths_in_50", match: func(e *entry) bool { return slices.Contains(paths, e.path) }, group: all},
			` | path =~ "`+strings.Join(paths, "|")+`"`, ` | json | path =~ "`+strings.Join(paths, "|")+`"`, `path:in("`+strings.Join(paths, `","`)+`")`),
		count(query{name: "slow_rare", match: func(e *entry) bool { return e.duration > 15_030 }, group: all},
			` | duration > 15030`, ` | json | duration > 15030`, `duration:>15030`),
		count(query{name: "rbac_denied", by: "service", match: func(e *entry) bool { return strings.HasPrefix(e.details, "rbac_access_denied") }, group: service},
			` | response_code_details =~ "rbac_access_denied.*"`, ` | json | response_code_details =~ "rbac_access_denied.*"`, `response_code_details:"rbac_access_denied_matched_policy"`),
		{name: "service_by_hour", by: "service", step: time.Hour, match: func(*entry) bool { return true }, group: service,
			meshtrail: `sum by (service) (count_over_time(` + stream + ` [1h]))`, loki: `sum by (service) (count_over_time(` + stream + ` [1h]))`, victoria: `* | stats by (service, _time:1h) count() n`},
	}, metricQueries()...)
}

// heavy are those queries that go through every record.
func heavy(list []query) []query {
	names := []string{"phrase_count", "phrase_any_case", "count_by_code", "regex_path_count", "service_by_hour"}
	return slices.DeleteFunc(slices.Clone(list), func(q query) bool { return !slices.Contains(names, q.name) })
}

// bruteForce answers questions by looking at each record of s.
func bruteForce(s span, list []query, p *progress) []answer {
	out := make([]answer, len(list))
	pools := make([]map[string]*pool, len(list))
	for i := range out {
		out[i].groups, pools[i] = map[string]int{}, map[string]*pool{}
	}
	d := s.drawer()
	for i := s.from; i < s.to; i++ {
		e := d.draw(i)
		for k := range list {
			q := &list[k]
			switch {
			case !q.match(e):
			case q.group == nil:
				out[k].times = append(out[k].times, e.at.UnixNano())
			case q.metric != nil:
				key := q.group(e)
				if q.step > 0 {
					key += q.window(s.day, e.at)
				}
				if pools[k][key] == nil {
					pools[k][key] = new(pool)
				}
				q.metric.add(pools[k][key], e)
			default:
				out[k].groups[q.group(e)]++
			}
		}
		if i%50_000 == 0 {
			p.report("brute force: %d of %d records", i-s.from, s.to-s.from)
		}
	}
	for i := range out {
		if m := list[i].metric; m != nil {
			out[i].numbers, out[i].slack = list[i].result(pools[i]), m.slack
		}
		out[i] = out[i].normal()
	}
	return out
}
