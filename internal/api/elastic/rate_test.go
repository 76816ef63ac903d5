package elastic

import (
	"strings"
	"testing"
	"time"
)

// TestRate holds rates to what Elasticsearch's documentation says of them.
func TestRate(t *testing.T) {
	w := newWorld(t)
	for i, n := range []int{1, 4, 0, 9} {
		for k := range n {
			w.add(rec(time.Duration(i)*time.Minute+time.Duration(k)*time.Second, "n", 10*(i+1)))
		}
	}
	w.add(rec(3*time.Minute, "other", 1))
	f := func(interval, rate, want string) {
		t.Helper()
		code, out := w.do("POST", "/_search", `{"size":0,"aggs":{"h":{"date_histogram":{"field":"@timestamp",`+interval+`},"aggs":{"r":{"rate":`+rate+`}}}}}`)
		var got []string
		if code != 200 {
			reason, _ := at(out, "error", "reason").(string)
			got = append(got, reason)
		} else {
			for _, b := range at(out, "aggregations", "h", "buckets").([]any) {
				got = append(got, js(at(b, "r", "value")))
			}
		}
		if s := strings.Join(got, " "); code == 200 && s != want || code != 200 && !strings.Contains(s, want) {
			t.Errorf("%s %s: %d %s, want %s", interval, rate, code, s, want)
		}
	}
	minute := `"fixed_interval":"1m"`
	f(minute, `{}`, "1 4 0 10")
	f(minute, `{"unit":"minute"}`, "1 4 0 10")
	f(minute, `{"unit":"hour"}`, "60 240 0 600")
	f(minute, `{"unit":"second","field":"n","mode":"sum"}`, js(10.0/60)+" "+js(80.0/60)+" 0 6")
	f(minute, `{"unit":"minute","field":"n","mode":"value_count"}`, "1 4 0 9")
	f(minute, `{"unit":"minute","field":"n","missing":100}`, "10 80 0 460")
	f(`"fixed_interval":"5m","offset":"1m"`, `{"unit":"minute"}`, "0.2 2.8")
	f(`"calendar_interval":"day","time_zone":"Europe/Vienna"`, `{"unit":"hour"}`, "0.625")
	f(`"calendar_interval":"month"`, `{"unit":"day"}`, "0.5")
	f(`"calendar_interval":"quarter"`, `{"unit":"month"}`, "5")
	f(`"calendar_interval":"week"`, `{"unit":"month"}`, "Cannot use month-based rate unit")
	f(minute, `{"unit":"fortnight"}`, "Unsupported unit fortnight")
	f(minute, `{"mode":"sum"}`, "only supported with field")
	f(minute, `{"mode":"most","field":"n"}`, "Unsupported value [most]")
	if code, out := w.do("POST", "/_search", `{"size":0,"aggs":{"r":{"rate":{"unit":"second"}}}}`); code != 400 {
		t.Errorf("without a histogram: %d %v", code, out)
	}
	out := w.ok("POST", "/_search?typed_keys=true", `{"size":0,"aggs":{"h":{"date_histogram":{"field":"@timestamp","fixed_interval":"1h"},"aggs":{"t":{"terms":{"field":"n"},"aggs":{"r":{"rate":{"unit":"minute"}}}},"sum":{"cumulative_sum":{"buckets_path":"all"}},"all":{"rate":{"unit":"minute"}}}}}}`)
	if got := js(at(out, "aggregations", "date_histogram#h", "buckets", 0, "lterms#t", "buckets", 0, "rate#r", "value")); got != "0.15" {
		t.Errorf("under terms: %s of %v", got, out)
	}
	if got := js(at(out, "aggregations", "date_histogram#h", "buckets", 0, "simple_value#sum", "value")); got != "0.25" {
		t.Errorf("summed up: %s", got)
	}
}
