package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"sort"
	"strings"
	"time"
)

// sample is what brute force needs of a generated record.
type sample struct {
	Service, Mesh, Path string
	Msg                 string `json:"msg"`
	RequestID           string `json:"request_id"`
	TraceID             string `json:"trace_id"`
	Code                int    `json:"response_code"`
	Details             string `json:"response_code_details"`
	Duration            int
}

// query is one question; want says which records brute force counts.
type query struct {
	name    string
	logql   string
	instant bool // a metric query: the answer is the sum of its samples
	limit   int  // records asked for; the wanted count is capped to it
	want    func(*sample) bool
}

func queries(requestID, traceID string) []query {
	path := regexp.MustCompile(`^/api/v1/cart/1234[0-9]+$`)
	const all = `{cluster=~".+"}`
	return []query{
		{name: "needle_request_id", limit: 100, logql: all + ` | request_id="` + requestID + `"`, want: func(r *sample) bool { return r.RequestID == requestID }},
		{name: "needle_trace", limit: 100, logql: all + ` | trace_id="` + traceID + `"`, want: func(r *sample) bool { return r.TraceID == traceID }},
		{name: "phrase_count", instant: true, logql: `sum(count_over_time(` + all + ` |= "leader elected" [25h]))`, want: func(r *sample) bool { return strings.Contains(r.Msg, "leader elected") }},
		{name: "errors_by_service", instant: true, logql: `sum by (service) (count_over_time(` + all + ` | response_code >= 500 [25h]))`, want: func(r *sample) bool { return r.Code >= 500 }},
		{name: "count_by_code", instant: true, logql: `sum by (response_code) (count_over_time(` + all + ` | response_code != "" [25h]))`, want: func(r *sample) bool { return r.Code != 0 }},
		{name: "count_by_mesh", instant: true, logql: `sum by (mesh) (count_over_time(` + all + ` [25h]))`, want: func(*sample) bool { return true }},
		{name: "latest_100_of_service", limit: 100, logql: `{service="checkout"}`, want: func(r *sample) bool { return r.Service == "checkout" }},
		{name: "regex_path_count", instant: true, logql: `sum(count_over_time(` + all + ` | path =~ "/api/v1/cart/1234[0-9]+" [25h]))`, want: func(r *sample) bool { return path.MatchString(r.Path) }},
		{name: "slow_rare", instant: true, logql: `sum(count_over_time(` + all + ` | duration > 15030 [25h]))`, want: func(r *sample) bool { return r.Duration > 15030 }},
		{name: "rbac_denied", instant: true, logql: `sum by (service) (count_over_time(` + all + ` | response_code_details =~ "rbac_access_denied.*" [25h]))`, want: func(r *sample) bool { return strings.HasPrefix(r.Details, "rbac_access_denied") }},
	}
}

func readSamples(file string) ([]sample, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []sample
	sc := bufio.NewScanner(f)
	sc.Buffer(make([]byte, 1<<20), 1<<20)
	for sc.Scan() {
		var s sample
		if err := json.Unmarshal(sc.Bytes(), &s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, sc.Err()
}

// runQueries asks every query five times, prints the median and worst latency
// and fails when an answer differs from brute force.
func runQueries(base, token, file string, pid int) error {
	samples, err := readSamples(file)
	if err != nil {
		return err
	}
	var needle sample
	for i := len(samples) * 37 / 100; needle.RequestID == "" && i < len(samples); i++ {
		needle = samples[i]
	}
	wrong := 0
	for _, q := range queries(needle.RequestID, needle.TraceID) {
		want := 0
		for i := range samples {
			if q.want(&samples[i]) {
				want++
			}
		}
		if q.limit > 0 {
			want = min(want, q.limit)
		}
		before := usage(pid)
		var ms []float64
		got := 0
		for range 5 {
			start := time.Now()
			if got, err = ask(base, token, q); err != nil {
				return fmt.Errorf("ask %s: %w", q.name, err)
			}
			ms = append(ms, float64(time.Since(start).Microseconds())/1000)
		}
		sort.Float64s(ms)
		verdict := "ok"
		if got != want {
			verdict = "WRONG"
			wrong++
		}
		fmt.Printf("query %-22s median_ms=%-8.1f max_ms=%-8.1f cpu_ms=%-6.0f got=%d want=%d %s\n",
			q.name, ms[2], ms[4], (usage(pid).cpu-before.cpu)*1000/5, got, want, verdict)
	}
	if wrong > 0 {
		return fmt.Errorf("%d queries gave a wrong answer", wrong)
	}
	return nil
}

func ask(base, token string, q query) (int, error) {
	v := url.Values{"query": {q.logql}}
	path := "/loki/api/v1/query_range"
	end := dayStart.Add(24*time.Hour + 10*time.Second)
	if q.instant {
		path = "/loki/api/v1/query"
		v.Set("time", fmt.Sprint(end.UnixNano()))
	} else {
		v.Set("start", fmt.Sprint(dayStart.UnixNano()))
		v.Set("end", fmt.Sprint(end.UnixNano()))
		v.Set("limit", fmt.Sprint(q.limit))
	}
	req, err := http.NewRequest("GET", base+path+"?"+v.Encode(), nil)
	if err != nil {
		return 0, err
	}
	body, err := do(req, token)
	if err != nil {
		return 0, err
	}
	var r struct {
		Data struct {
			Result []struct {
				Value  []any
				Values [][]any
			}
		}
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return 0, err
	}
	n := 0
	for _, s := range r.Data.Result {
		n += len(s.Values)
		if len(s.Value) == 2 {
			c := 0.0
			fmt.Sscan(fmt.Sprint(s.Value[1]), &c)
			n += int(c)
		}
	}
	return n, nil
}
