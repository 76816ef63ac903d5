package main

import (
	"encoding/json"
	"math"
	"testing"
	"time"
)

// TestMetricsByBruteForce holds what the pools make against parsed lines.
func TestMetricsByBruteForce(t *testing.T) {
	w := testWorkload(5000)
	list := metricQueries()
	want := bruteForce(span{w, 0, w.n}, list, &progress{last: time.Now()})
	n, sums, pods, most := map[string]float64{}, map[string]float64{}, map[string]bool{}, map[string]float64{}
	for i := range w.n {
		var m struct {
			Time     time.Time `json:"@timestamp"`
			Service  string    `json:"service"`
			Path     string    `json:"path"`
			Pod      string    `json:"pod"`
			Duration float64   `json:"duration"`
		}
		if err := json.Unmarshal(w.drawer().draw(i).appendJSON(nil), &m); err != nil {
			t.Fatal(err)
		}
		if m.Path == "" {
			continue
		}
		n[m.Service]++
		sums[m.Service] += m.Duration
		if m.Service == "checkout" {
			pods[m.Pod] = true
		}
		if m.Service == "checkout" && m.Time.Sub(w.day) < time.Hour {
			most["checkout@0"] = max(most["checkout@0"], m.Duration)
		}
	}
	for i, q := range list {
		switch q.name {
		case "duration_mean":
			for s := range n {
				if got := want[i].numbers[s]; math.Abs(got-sums[s]/n[s]) > 1e-9*got {
					t.Errorf("the mean of %s is %v, want %v", s, got, sums[s]/n[s])
				}
			}
		case "distinct_pods":
			if got := want[i].numbers["checkout"]; got != float64(len(pods)) {
				t.Errorf("%v pods, want %d", got, len(pods))
			}
		case "duration_max_by_hour":
			if got := want[i].numbers["checkout@0"]; got != most["checkout@0"] || got == 0 {
				t.Errorf("the maximum of the first hour is %v, want %v", got, most["checkout@0"])
			}
		case "top_5_by_bytes":
			if len(want[i].numbers) != 5 {
				t.Errorf("%d groups of five", len(want[i].numbers))
			}
		}
		if want[i].differs(want[i]) != "" || (answer{}).differs(want[i]) == "" {
			t.Errorf("%s: an answer is not told from another", q.name)
		}
		for k, v := range want[i].numbers {
			wrong := answer{numbers: map[string]float64{}}
			for k2, v2 := range want[i].numbers {
				wrong.numbers[k2] = v2
			}
			wrong.numbers[k] = v * (1.001 + want[i].slack)
			if wrong.differs(want[i]) == "" {
				t.Errorf("%s: %v passes for %v", q.name, wrong.numbers[k], v)
			}
			break
		}
	}
	if got := p99(&pool{values: []float64{4, 1, 3, 2}}); math.Abs(got-3.97) > 1e-12 {
		t.Errorf("the quantile is %v", got)
	}
}

// TestDecodeNumbers reads numbers by group and window.
func TestDecodeNumbers(t *testing.T) {
	day := time.Unix(86400*20000, 0)
	q := query{by: "a", step: time.Hour, group: all, metric: &metric{fold: sum}}
	got, err := decodeLoki([]byte(`{"data":{"result":[{"metric":{"a":"x"},"values":[[1728003599.999,"2.5"],[1728007199.999,"3"]]}]}}`), &q, day)
	want := answer{numbers: map[string]float64{"x@0": 2.5, "x@1": 3}}
	if why := got.differs(want); err != nil || why != "" {
		t.Errorf("%v %s: %v", err, why, got)
	}
	if (answer{numbers: map[string]float64{"x@0": 2.5, "x@1": 3, "y@0": 1}}).differs(want) == "" {
		t.Error("a group too many passes")
	}
}
