package elastic

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/record"
)

// An askedAgg is an aggregation and what it must answer for records.
type askedAgg struct {
	json   string
	answer func([]*record.Record) map[string]any
}

type obj = map[string]any

func numbers(rs []*record.Record, name string) []float64 {
	var out []float64
	for _, r := range rs {
		if name == timeField {
			out = append(out, float64(r.Time/1e6))
			continue
		}
		v, ok := r.Get(name)
		switch {
		case !ok || v.Kind == record.String || v.Kind == record.Bool:
		case v.Kind == record.Int:
			out = append(out, float64(v.Int))
		default:
			out = append(out, v.Flt)
		}
	}
	slices.Sort(out)
	return out
}

func orNil(v []float64, f float64) any {
	if len(v) == 0 {
		return nil
	}
	return f
}

func randomMetric(rng *rand.Rand) askedAgg {
	field := []string{"took", "code"}[rng.IntN(2)]
	def := func(kind string) string { return fmt.Sprintf(`{%q:{"field":%q}}`, kind, field) }
	sum := func(v []float64) float64 {
		s := 0.0
		for _, f := range v {
			s += f
		}
		return s
	}
	switch rng.IntN(9) {
	case 0:
		return askedAgg{def("avg"), func(rs []*record.Record) obj {
			v := numbers(rs, field)
			return obj{"value": orNil(v, sum(v)/float64(len(v)))}
		}}
	case 1:
		return askedAgg{def("sum"), func(rs []*record.Record) obj { return obj{"value": sum(numbers(rs, field))} }}
	case 2:
		return askedAgg{def("max"), func(rs []*record.Record) obj {
			v := numbers(rs, field)
			if len(v) == 0 {
				return obj{"value": nil}
			}
			return obj{"value": v[len(v)-1]}
		}}
	case 3:
		return askedAgg{`{"min":{"field":"@timestamp","format":"epoch_millis"}}`, func(rs []*record.Record) obj {
			v := numbers(rs, timeField)
			if len(v) == 0 {
				return obj{"value": nil}
			}
			return obj{"value": v[0], "value_as_string": fmt.Sprintf("%.0f", v[0])}
		}}
	case 4:
		return askedAgg{`{"value_count":{"field":"svc"}}`, func(rs []*record.Record) obj {
			n := 0
			for _, r := range rs {
				if _, ok := r.Get("svc"); ok {
					n++
				}
			}
			return obj{"value": float64(n)}
		}}
	case 5:
		return askedAgg{`{"cardinality":{"field":"svc"}}`, func(rs []*record.Record) obj {
			seen := map[string]bool{}
			for _, r := range rs {
				if s := text(r, "svc"); s != "" {
					seen[s] = true
				}
			}
			return obj{"value": float64(len(seen))}
		}}
	case 6:
		return askedAgg{fmt.Sprintf(`{"percentiles":{"field":%q,"percents":[50,95.5]}}`, field), func(rs []*record.Record) obj {
			v := numbers(rs, field)
			at := func(q float64) any {
				if len(v) == 0 {
					return nil
				}
				k := q * float64(len(v)-1)
				i := int(k)
				if i == len(v)-1 {
					return v[i]
				}
				return v[i]*(1-(k-float64(i))) + v[i+1]*(k-float64(i))
			}
			return obj{"values": obj{"50.0": at(0.5), "95.5": at(0.955)}}
		}}
	case 7:
		return askedAgg{fmt.Sprintf(`{"avg":{"field":%q,"missing":7}}`, field), func(rs []*record.Record) obj {
			v := numbers(rs, field)
			for range len(rs) - len(v) {
				v = append(v, 7)
			}
			return obj{"value": orNil(v, sum(v)/float64(len(v)))}
		}}
	}
	return askedAgg{def("stats"), func(rs []*record.Record) obj {
		v := numbers(rs, field)
		if len(v) == 0 {
			return obj{"count": 0.0, "min": nil, "max": nil, "avg": nil, "sum": 0.0}
		}
		return obj{"count": float64(len(v)), "min": v[0], "max": v[len(v)-1], "avg": sum(v) / float64(len(v)), "sum": sum(v)}
	}}
}

// A grouping says which bucket a record is in, or in several.
type grouping struct {
	json    string // its definition
	keyed   bool
	keys    func(*record.Record) []string
	head    func(key string) obj
	all     []string // buckets that are there even without records, in order
	compare func(a, b string, na, nb int) int
	body    func(total, shown int) obj
}

func randomGrouping(rng *rand.Rand, all []record.Record) grouping {
	num := func(s string) float64 { f, _ := number(s); return f.Float }
	byNumber := func(a, b string, _, _ int) int { return cmp.Compare(num(a), num(b)) }
	other := func(total, shown int) obj {
		return obj{"doc_count_error_upper_bound": 0.0, "sum_other_doc_count": float64(total - shown)}
	}
	switch rng.IntN(8) {
	case 0, 1:
		return grouping{json: `"terms":{"field":"svc.keyword","size":100}`,
			keys: func(r *record.Record) []string {
				return slices.DeleteFunc([]string{text(r, "svc")}, func(s string) bool { return s == "" })
			},
			head: func(k string) obj { return obj{"key": k} }, body: other,
			compare: func(a, b string, na, nb int) int { return cmp.Or(cmp.Compare(nb, na), cmp.Compare(a, b)) }}
	case 2:
		return grouping{json: `"terms":{"field":"code","size":100,"order":{"_key":"desc"},"missing":-1}`,
			keys: func(r *record.Record) []string { return []string{cmp.Or(text(r, "code"), "-1")} },
			head: func(k string) obj { return obj{"key": num(k)} }, body: other,
			compare: func(a, b string, _, _ int) int { return cmp.Compare(num(b), num(a)) }}
	case 3:
		step := []int64{60_000, 7_000, 1_800_000}[rng.IntN(3)]
		return grouping{json: fmt.Sprintf(`"date_histogram":{"field":"@timestamp","fixed_interval":"%dms","format":"epoch_millis","min_doc_count":1}`, step),
			keys:    func(r *record.Record) []string { return []string{fmt.Sprint(r.Time / 1e6 / step * step)} },
			head:    func(k string) obj { return obj{"key": num(k), "key_as_string": k} },
			compare: byNumber, body: func(int, int) obj { return obj{} }}
	case 4:
		zone := time.FixedZone("", 5400)
		return grouping{json: `"date_histogram":{"field":"@timestamp","calendar_interval":"1h","time_zone":"+01:30","format":"epoch_millis","min_doc_count":1}`,
			keys: func(r *record.Record) []string {
				t := time.Unix(0, r.Time).In(zone)
				return []string{fmt.Sprint(time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), 0, 0, 0, zone).UnixMilli())}
			},
			head:    func(k string) obj { return obj{"key": num(k), "key_as_string": k} },
			compare: byNumber, body: func(int, int) obj { return obj{} }}
	case 5:
		return grouping{json: `"histogram":{"field":"took","interval":2.5,"offset":1,"min_doc_count":1}`,
			keys: func(r *record.Record) []string {
				v, ok := r.Get("took")
				if !ok {
					return nil
				}
				return []string{fmt.Sprint(math.Floor((v.Flt-1)/2.5)*2.5 + 1)}
			},
			head:    func(k string) obj { return obj{"key": num(k)} },
			compare: byNumber, body: func(int, int) obj { return obj{} }}
	case 6:
		return grouping{json: `"range":{"field":"took","ranges":[{"to":5},{"from":3,"to":12,"key":"mid"},{"from":12}]}`,
			keys: func(r *record.Record) []string {
				v, ok := r.Get("took")
				var out []string
				if ok && v.Flt < 5 {
					out = append(out, "*-5.0")
				}
				if ok && v.Flt >= 3 && v.Flt < 12 {
					out = append(out, "mid")
				}
				if ok && v.Flt >= 12 {
					out = append(out, "12.0-*")
				}
				return out
			},
			head: func(k string) obj {
				return map[string]obj{"*-5.0": {"key": k, "to": 5.0}, "mid": {"key": k, "from": 3.0, "to": 12.0}, "12.0-*": {"key": k, "from": 12.0}}[k]
			},
			all: []string{"*-5.0", "mid", "12.0-*"}, body: func(int, int) obj { return obj{} }}
	}
	a, b := randomQuery(rng, all, 1), randomQuery(rng, all, 1)
	return grouping{json: fmt.Sprintf(`"filters":{"filters":{"a":%s,"b":%s},"other_bucket_key":"z"}`, a.json, b.json), keyed: true,
		keys: func(r *record.Record) []string {
			var out []string
			if a.holds(r) {
				out = append(out, "a")
			}
			if b.holds(r) {
				out = append(out, "b")
			}
			if out == nil {
				out = []string{"z"}
			}
			return out
		},
		head: func(string) obj { return obj{} }, all: []string{"a", "b", "z"}, body: func(int, int) obj { return obj{} }}
}

func randomAgg(rng *rand.Rand, all []record.Record, depth int) askedAgg {
	if depth == 0 || rng.IntN(4) == 0 {
		return randomMetric(rng)
	}
	g := randomGrouping(rng, all)
	subs := map[string]askedAgg{}
	var texts []string
	for i := range rng.IntN(3) {
		name := fmt.Sprint("n", i)
		subs[name] = randomAgg(rng, all, depth-1)
		texts = append(texts, fmt.Sprintf("%q:%s", name, subs[name].json))
	}
	def := "{" + g.json
	if texts != nil {
		def += `,"aggs":{` + strings.Join(texts, ",") + "}"
	}
	return askedAgg{def + "}", func(rs []*record.Record) obj {
		buckets := map[string][]*record.Record{}
		keys := slices.Clone(g.all)
		total, shown := 0, 0
		for _, r := range rs {
			for _, k := range g.keys(r) {
				if _, ok := buckets[k]; !ok && !slices.Contains(keys, k) {
					keys = append(keys, k)
				}
				buckets[k] = append(buckets[k], r)
				total++
				shown++
			}
		}
		if g.compare != nil {
			slices.SortFunc(keys, func(a, b string) int { return g.compare(a, b, len(buckets[a]), len(buckets[b])) })
		}
		list, named := []any{}, obj{}
		for _, k := range keys {
			b := g.head(k)
			one := obj{"doc_count": float64(len(buckets[k]))}
			for n, v := range b {
				one[n] = v
			}
			for n, s := range subs {
				one[n] = s.answer(buckets[k])
			}
			list = append(list, one)
			named[k] = one
		}
		out := g.body(total, shown)
		out["buckets"] = list
		if g.keyed {
			out["buckets"] = named
		}
		return out
	}}
}

// same compares answers; numbers that were summed in another order may differ in
// their last digits.
func same(a, b any) bool {
	switch x := a.(type) {
	case obj:
		y, ok := b.(obj)
		if !ok || len(x) != len(y) {
			return false
		}
		for k := range x {
			if !same(x[k], y[k]) {
				return false
			}
		}
		return true
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !same(x[i], y[i]) {
				return false
			}
		}
		return true
	case float64:
		y, ok := b.(float64)
		return ok && math.Abs(x-y) <= 1e-9*max(1, math.Abs(x))
	}
	return a == b
}

func TestAggregationsAgreeWithTheNaiveReader(t *testing.T) {
	cases := 0
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 3))
		w := newWorld(t)
		all := numbered(randomRecords(rng, 150))
		w.add(all...)
		pit := at(w.ok("POST", "/meshtrail/_pit?keep_alive=1h", ""), "id").(string)
		for range 150 {
			q, a := randomQuery(rng, all, 1), randomAgg(rng, all, 3)
			var rs []*record.Record
			for i := range all {
				if q.holds(&all[i]) {
					rs = append(rs, &all[i])
				}
			}
			want := a.answer(rs)
			// By the store's measures, and record by record: in a point in time, and
			// because a neighbour needs the records.
			for way, more := range map[string]string{"": "", "point in time": `,"pit":{"id":"` + pit + `"}`} {
				body := fmt.Sprintf(`{"size":0,"query":%s,"aggs":{"x":%s}%s}`, q.json, a.json, more)
				if got := at(w.ok("POST", "/_search", body), "aggregations", "x"); !same(want, got) {
					t.Fatalf("seed %d %s %s:\ngot  %s\nwant %s", seed, way, body, js(got), js(want))
				}
			}
			body := fmt.Sprintf(`{"size":0,"query":%s,"aggs":{"x":{"filter":{"match_all":{}},"aggs":{"y":%s,"z":{"top_hits":{"size":1}}}}}}`, q.json, a.json)
			if got := at(w.ok("POST", "/_search", body), "aggregations", "x", "y"); !same(want, got) && len(rs) > 0 {
				t.Fatalf("seed %d beside top_hits %s:\ngot  %s\nwant %s", seed, body, js(got), js(want))
			}
			cases++
		}
	}
	if cases < 1500 {
		t.Errorf("only %d cases", cases)
	}
}

// TestCompositePages pages through every tuple, and each must come once.
func TestCompositePages(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 4))
		w := newWorld(t)
		all := numbered(randomRecords(rng, 100))
		w.add(all...)
		want := map[string]float64{}
		for i := range all {
			r := &all[i]
			svc, code := text(r, "svc"), text(r, "code")
			if svc == "" {
				continue
			}
			want[js(obj{"s": svc, "c": orNil([]float64{}[:0:0], 0), "h": float64(r.Time / 1e6 / 1_800_000 * 1_800_000)})+code]++
		}
		got := map[string]float64{}
		after, last := "", ""
		for page := 0; ; page++ {
			body := `{"size":0,"aggs":{"c":{"composite":{"size":7,"sources":[{"h":{"date_histogram":{"field":"@timestamp","fixed_interval":"30m","order":"desc"}}},{"c":{"terms":{"field":"code","missing_bucket":true}}},{"s":{"terms":{"field":"svc"}}}]` + after + `}}}}`
			c := at(w.ok("POST", "/_search", body), "aggregations", "c").(obj)
			buckets := c["buckets"].([]any)
			if len(buckets) == 0 {
				break
			}
			for _, b := range buckets {
				key := at(b, "key").(obj)
				code := ""
				if key["c"] != nil {
					code = fmt.Sprint(key["c"])
				}
				got[js(obj{"s": key["s"], "c": nil, "h": key["h"]})+code] += at(b, "doc_count").(float64)
			}
			if len(buckets) > 7 || js(c["after_key"]) == last {
				t.Fatalf("page %d has %d buckets, and ends at %s", page, len(buckets), last)
			}
			last = js(c["after_key"])
			after = `,"after":` + last
		}
		if js(got) != js(want) {
			t.Fatalf("seed %d:\ngot  %s\nwant %s", seed, js(got), js(want))
		}
	}
}
