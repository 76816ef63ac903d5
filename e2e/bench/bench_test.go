package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"
)

func testWorkload(n int) *workload {
	return newWorkload(n, 3, 30, 100, time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC))
}

// TestDrawing draws a record alone and in a row: the same bytes, of valid JSON,
// within the day; another seed draws others.
func TestDrawing(t *testing.T) {
	w := testWorkload(2000)
	w.wide, w.late = 9, 10
	row, alone, other := w.drawer(), w.drawer(), testWorkload(2000)
	other.seed = 4
	access, same := 0, 0
	for i := range w.n {
		line := row.draw(i).appendJSON(nil)
		var m map[string]any
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatalf("record %d: %v: %s", i, err, line)
		}
		for _, name := range []string{"@timestamp", "cluster", "namespace", "service", "pod", "mesh", "trace_id", "x_000", "x_008"} {
			if m[name] == nil {
				t.Fatalf("record %d has no %s: %s", i, name, line)
			}
		}
		if m["request_id"] != nil {
			access++
		}
		if at := row.e.at; at.Before(w.day) || !at.Before(w.end()) || m["@timestamp"] != at.Format(timeLayout) {
			t.Fatalf("record %d is of %v", i, at)
		}
		if i%97 == 0 && !bytes.Equal(line, alone.draw(i).appendJSON(nil)) {
			t.Fatalf("record %d depends on what was drawn before", i)
		}
		if row.e.traceID == other.drawer().draw(i).traceID {
			same++
		}
	}
	if access < w.n*7/10 || access > w.n*9/10 || same > 0 {
		t.Errorf("%d of %d are access records, %d trace ids are those of another seed", access, w.n, same)
	}
}

// TestBodies reads what each store is sent: every record once, in its stream.
func TestBodies(t *testing.T) {
	w := testWorkload(1000)
	var want []string
	for i := range w.n {
		want = append(want, string(w.drawer().draw(i).appendJSON(nil)))
	}
	slices.Sort(want)
	var got []string
	for line := range bytes.Lines(bulk(w.drawer(), 0, w.n)) {
		if len(line) > 20 {
			got = append(got, string(bytes.TrimSpace(line)))
		}
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Error("the bulk body has other records")
	}
	var push struct {
		Streams []struct {
			Stream map[string]string
			Values [][2]string
		}
	}
	if err := json.Unmarshal((&loki{}).body(w.drawer(), 0, w.n), &push); err != nil {
		t.Fatal(err)
	}
	got = nil
	for _, s := range push.Streams {
		for _, v := range s.Values {
			var m map[string]any
			if err := json.Unmarshal([]byte(v[1]), &m); err != nil || m["pod"] != s.Stream["pod"] {
				t.Fatalf("a line of pod %s: %v: %s", s.Stream["pod"], err, v[1])
			}
			if at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(m["@timestamp"])); err != nil || nanos(at) != v[0] {
				t.Fatalf("a line of %v has the time %s", at, v[0])
			}
			got = append(got, v[1])
		}
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Error("the push body has other records")
	}
}

// TestBruteForce holds the oracle against parsed lines, and answers against it.
func TestBruteForce(t *testing.T) {
	w := testWorkload(5000)
	list := w.queries()
	want := bruteForce(span{w, 0, w.n}, list, &progress{last: time.Now()})
	codes, checkout := map[string]int{}, []int64{}
	for i := range w.n {
		var m struct {
			Time    time.Time `json:"@timestamp"`
			Service string    `json:"service"`
			Code    int       `json:"response_code"`
		}
		if err := json.Unmarshal(w.drawer().draw(i).appendJSON(nil), &m); err != nil {
			t.Fatal(err)
		}
		if m.Code != 0 {
			codes[fmt.Sprint(m.Code)]++
		}
		if m.Service == "checkout" {
			checkout = append(checkout, m.Time.UnixNano())
		}
	}
	slices.Sort(checkout)
	slices.Reverse(checkout)
	for i, q := range list {
		switch q.name {
		case "needle_request_id", "needle_trace":
			if len(want[i].times) != 1 {
				t.Errorf("%s is found %d times", q.name, len(want[i].times))
			}
		case "count_by_code":
			if why := (answer{groups: codes}).normal().differs(want[i]); why != "" {
				t.Errorf("%s: %s", q.name, why)
			}
		case "latest_100_of_service":
			if why := (answer{times: checkout}).normal().differs(want[i]); why != "" {
				t.Errorf("%s: %s", q.name, why)
			}
		}
		if want[i].differs(want[i]) != "" || want[i].total() > 0 && (answer{}).differs(want[i]) == "" {
			t.Errorf("%s: an answer is not told from another", q.name)
		}
	}
	if len(heavy(list)) != 5 {
		t.Errorf("%d heavy queries", len(heavy(list)))
	}
}

func TestDecodeLoki(t *testing.T) {
	f := func(q query, body string, want answer) {
		t.Helper()
		got, err := decodeLoki([]byte(body), &q, time.Time{})
		if why := got.differs(want.normal()); err != nil || why != "" {
			t.Errorf("%s: %v %s", body, err, why)
		}
	}
	f(query{}, `{"data":{"result":[{"values":[["5","x"],["1","y"]]},{"values":[["3","z"]]}]}}`, answer{times: []int64{5, 3, 1}})
	f(query{group: all}, `{"data":{"result":[{"metric":{},"value":[1.5,"7"]}]}}`, answer{groups: map[string]int{"": 7}})
	f(query{group: all, by: "a"}, `{"data":{"result":[{"metric":{"a":"x"},"values":[[1,"2"],[2,"3"]]},{"metric":{"a":"y"},"value":[1,"1"]}]}}`, answer{groups: map[string]int{"x": 5, "y": 1}})
	if _, err := decodeLoki([]byte(`{"data":{"result":[{"values":[["five","x"]]}]}}`), &query{}, time.Time{}); err == nil {
		t.Error("a record without time was taken")
	}
}

func TestQuantile(t *testing.T) {
	list := []float64{5, 1, 4, 2, 3}
	if quantile(list, 0.5) != 3 || quantile(list, 0.99) != 5 || quantile(list, 1) != 5 || quantile(nil, 0.5) != 0 {
		t.Errorf("quantiles of 1 to 5: %v %v %v", quantile(list, 0.5), quantile(list, 0.99), quantile(list, 1))
	}
}
