package elastic

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/record"
)

// The naive reader: a query is a JSON text and a function that says the same of a
// record, both made by hand from one random choice.
type asked struct {
	json  string
	holds func(*record.Record) bool
}

var (
	services = []string{"cart", "checkout", "front-end", "Cart"}
	wordList = []string{"timeout", "Timeout", "dial", "upstream", "reset", "by", "peer", "retry_3", "GET", "/api/v1"}
	indexes  = []string{"web-1", "web-2", "db"}
)

func randomRecords(rng *rand.Rand, n int) []record.Record {
	var out []record.Record
	for range n {
		// Many share a millisecond, and some a nanosecond.
		r := rec(time.Duration(rng.IntN(300))*20*time.Second + time.Duration(rng.IntN(3))*400*time.Microsecond)
		put := func(name string, v record.Value) { r.Fields = append(r.Fields, record.Field{Name: name, Value: v}) }
		if rng.IntN(10) > 0 {
			put("svc", record.StringValue(services[rng.IntN(len(services))]))
		}
		if rng.IntN(4) > 0 {
			put("code", record.IntValue(int64(200+rng.IntN(4)*100)))
		}
		if rng.IntN(3) > 0 {
			put("took", record.FloatValue(float64(rng.IntN(80))/4))
		}
		if rng.IntN(2) > 0 {
			put("good", record.BoolValue(rng.IntN(2) > 0))
		}
		if rng.IntN(5) > 0 {
			var w []string
			for range 1 + rng.IntN(5) {
				w = append(w, wordList[rng.IntN(len(wordList))])
			}
			put("body", record.StringValue(strings.Join(w, []string{" ", ", ", "-"}[rng.IntN(3)])))
		}
		if rng.IntN(3) > 0 {
			put("elastic.index", record.StringValue(indexes[rng.IntN(len(indexes))]))
		}
		out = append(out, r)
	}
	return out
}

func get(r *record.Record, name string) (record.Value, bool) { return r.Get(name) }

func text(r *record.Record, name string) string {
	v, _ := r.Get(name)
	return v.Text()
}

// naiveWords splits a text at what is no letter, digit or underscore.
func naiveWords(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(c rune) bool {
		return !(c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z')
	})
}

func randomLeaf(rng *rand.Rand, all []record.Record) asked {
	one := &all[rng.IntN(len(all))]
	ms := one.Time / 1e6
	switch rng.IntN(15) {
	case 0:
		s := services[rng.IntN(len(services))]
		return asked{fmt.Sprintf(`{"term":{"svc":%q}}`, s), func(r *record.Record) bool { return text(r, "svc") == s }}
	case 1:
		n := 200 + rng.IntN(5)*100
		return asked{fmt.Sprintf(`{"term":{"code":{"value":%d}}}`, n), func(r *record.Record) bool { v, ok := get(r, "code"); return ok && v.Int == int64(n) }}
	case 2:
		return asked{`{"terms":{"code":[200,"300"],"boost":2}}`, func(r *record.Record) bool { return text(r, "code") == "200" || text(r, "code") == "300" }}
	case 3:
		n := float64(rng.IntN(20))
		return asked{fmt.Sprintf(`{"range":{"took":{"gte":%v,"lt":%v}}}`, n, n+7.5), func(r *record.Record) bool {
			v, ok := get(r, "took")
			return ok && v.Flt >= n && v.Flt < n+7.5
		}}
	case 4:
		f := []string{"svc", "took", "good", "body"}[rng.IntN(4)]
		name := map[string]string{"body": "message"}[f]
		return asked{fmt.Sprintf(`{"exists":{"field":%q}}`, cmp.Or(name, f)), func(r *record.Record) bool { return text(r, f) != "" }}
	case 5:
		return asked{`{"prefix":{"svc.keyword":"c"}}`, func(r *record.Record) bool { return strings.HasPrefix(text(r, "svc"), "c") }}
	case 6:
		return asked{`{"wildcard":{"svc":{"value":"*e?k*","case_insensitive":true}}}`, func(r *record.Record) bool { return text(r, "svc") == "checkout" }}
	case 7:
		w := strings.ToUpper(wordList[rng.IntN(6)])
		return asked{fmt.Sprintf(`{"match":{"message":%q}}`, w), func(r *record.Record) bool {
			return slices.Contains(naiveWords(text(r, "body")), strings.ToLower(w))
		}}
	case 8:
		a, b := wordList[rng.IntN(6)], wordList[rng.IntN(6)]
		return asked{fmt.Sprintf(`{"match_phrase":{"message":"%s %s"}}`, a, b), func(r *record.Record) bool {
			w := naiveWords(text(r, "body"))
			for i := range w[:max(0, len(w)-1)] {
				if w[i] == strings.ToLower(a) && w[i+1] == strings.ToLower(b) {
					return true
				}
			}
			return false
		}}
	case 9:
		a, b := wordList[rng.IntN(6)], wordList[rng.IntN(6)]
		return asked{fmt.Sprintf(`{"match":{"message":{"query":"%s, %s","operator":"and"}}}`, a, b), func(r *record.Record) bool {
			w := naiveWords(text(r, "body"))
			return slices.Contains(w, strings.ToLower(a)) && slices.Contains(w, strings.ToLower(b))
		}}
	case 10, 11:
		low, high := []string{"gte", "gt"}[rng.IntN(2)], []string{"lte", "lt"}[rng.IntN(2)]
		to := ms + int64(rng.IntN(4_000_000))
		return asked{fmt.Sprintf(`{"range":{"@timestamp":{%q:%d,%q:%d,"format":"epoch_millis"}}}`, low, ms, high, to), func(r *record.Record) bool {
			t := r.Time / 1e6 // dates are kept in milliseconds
			return (t > ms || low == "gte" && t == ms) && (t < to || high == "lte" && t == to)
		}}
	case 12:
		other := &all[rng.IntN(len(all))]
		id, id2 := identity{one.Time, one.Ord}.String(), identity{other.Time, other.Ord}.String()
		return asked{fmt.Sprintf(`{"ids":{"values":[%q,%q]}}`, id, id2), func(r *record.Record) bool { return r.Ord == one.Ord || r.Ord == other.Ord }}
	case 13:
		return asked{`{"query_string":{"query":"svc:cart AND NOT code:200","analyze_wildcard":true}}`, func(r *record.Record) bool {
			return text(r, "svc") == "cart" && text(r, "code") != "200"
		}}
	}
	i := indexes[rng.IntN(len(indexes))]
	return asked{fmt.Sprintf(`{"term":{"_index":%q}}`, i), func(r *record.Record) bool { return text(r, "elastic.index") == i }}
}

func randomQuery(rng *rand.Rand, all []record.Record, depth int) asked {
	if depth == 0 || rng.IntN(4) == 0 {
		return randomLeaf(rng, all)
	}
	var parts [4][]asked
	names := []string{"must", "filter", "should", "must_not"}
	var members []string
	for i := range parts {
		for range rng.IntN(3) {
			parts[i] = append(parts[i], randomQuery(rng, all, depth-1))
		}
		if len(parts[i]) == 0 {
			continue
		}
		var texts []string
		for _, p := range parts[i] {
			texts = append(texts, p.json)
		}
		body := "[" + strings.Join(texts, ",") + "]"
		if len(texts) == 1 && rng.IntN(2) == 0 {
			body = texts[0]
		}
		members = append(members, fmt.Sprintf("%q:%s", names[i], body))
	}
	least := 1
	if len(parts[0])+len(parts[1]) > 0 {
		least = 0
	}
	if len(parts[2]) > 0 && rng.IntN(3) == 0 {
		least = rng.IntN(3)
		members = append(members, fmt.Sprintf(`"minimum_should_match":%d`, least))
	}
	return asked{`{"bool":{` + strings.Join(members, ",") + `}}`, func(r *record.Record) bool {
		n := 0
		for i := range parts {
			for _, p := range parts[i] {
				switch h := p.holds(r); i {
				case 0, 1:
					if !h {
						return false
					}
				case 2:
					if h {
						n++
					}
				case 3:
					if h {
						return false
					}
				}
			}
		}
		return len(parts[2]) == 0 || n >= least
	}}
}

// stored returns the records as the store has numbered them.
func numbered(rs []record.Record) []record.Record {
	for i := range rs {
		rs[i].Ord = 1<<20 + uint64(i)
	}
	return rs
}

func TestQueriesAgreeWithTheNaiveReader(t *testing.T) {
	cases, found := 0, 0
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t)
		all := numbered(randomRecords(rng, 120))
		w.add(all...)
		for range 300 {
			q := randomQuery(rng, all, 3)
			var want []string
			for i := range all {
				if q.holds(&all[i]) {
					want = append(want, identity{all[i].Time, all[i].Ord}.String())
				}
			}
			out := w.ok("POST", "/_search", `{"size":1000,"track_total_hits":true,"_source":false,"query":`+q.json+`}`)
			var got []string
			for _, h := range at(out, "hits", "hits").([]any) {
				got = append(got, at(h, "_id").(string))
			}
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(want, got) {
				t.Fatalf("seed %d, query %s:\n%d records, want %d", seed, q.json, len(got), len(want))
			}
			if n := at(out, "hits", "total", "value"); n != float64(len(want)) {
				t.Fatalf("seed %d, query %s: total %v, want %d", seed, q.json, n, len(want))
			}
			if n := at(w.ok("POST", "/_count", `{"query":`+q.json+`}`), "count"); n != float64(len(want)) {
				t.Fatalf("seed %d, query %s: count %v, want %d", seed, q.json, n, len(want))
			}
			cases++
			if len(want) > 0 && len(want) < len(all) {
				found++
			}
		}
	}
	if cases < 2000 || found < cases/3 {
		t.Errorf("of %d cases only %d found some records and not all", cases, found)
	}
}

// TestPagesAgreeWithTheNaiveReader pages through random orders in every way.
func TestPagesAgreeWithTheNaiveReader(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 2))
		w := newWorld(t)
		all := numbered(randomRecords(rng, 90))
		w.add(all...)
		q := randomQuery(rng, all, 1)
		desc := rng.IntN(2) > 0
		dir := map[bool]string{true: "desc", false: "asc"}[desc]
		first := []string{"@timestamp", "took", "svc", "_doc"}[rng.IntN(4)]
		sortBy := fmt.Sprintf(`[{%q:{"order":%q,"unmapped_type":"boolean"}},{"_doc":%q}]`, first, dir, dir)
		var want []*record.Record
		for i := range all {
			if q.holds(&all[i]) {
				want = append(want, &all[i])
			}
		}
		slices.SortFunc(want, func(a, b *record.Record) int {
			c := 0
			switch first {
			case "@timestamp":
				c = cmp.Compare(a.Time/1e6, b.Time/1e6)
			case "took", "svc":
				va, oka := a.Get(first)
				vb, okb := b.Get(first)
				if oka != okb { // last, in both directions
					return map[bool]int{true: -1, false: 1}[oka]
				}
				c = cmp.Or(cmp.Compare(va.Flt, vb.Flt), cmp.Compare(va.Str, vb.Str))
			}
			c = cmp.Or(c, cmp.Compare(a.Time, b.Time), cmp.Compare(a.Ord, b.Ord))
			if desc {
				return -c
			}
			return c
		})
		var ids []string
		for _, r := range want {
			ids = append(ids, identity{r.Time, r.Ord}.String())
		}
		size := 1 + rng.IntN(20)
		body := func(more string) string {
			return fmt.Sprintf(`{"size":%d,"query":%s,"sort":%s%s}`, size, q.json, sortBy, more)
		}
		check := func(way string, got []string) {
			t.Helper()
			if !slices.Equal(ids, got) {
				t.Fatalf("seed %d, %s of %d by %s, query %s:\ngot  %v\nwant %v", seed, way, size, sortBy, q.json, got, ids)
			}
		}
		add := func(got []string, out map[string]any) ([]string, []any) {
			hits := at(out, "hits", "hits").([]any)
			for _, h := range hits {
				got = append(got, at(h, "_id").(string))
			}
			return got, hits
		}
		var got []string
		for from := 0; ; from += size {
			var hits []any
			if got, hits = add(got, w.ok("POST", "/_search", body(`,"from":`+strconv.Itoa(from)))); len(hits) == 0 {
				break
			}
		}
		check("from", got)

		got = nil
		for after := ""; ; {
			var hits []any
			if got, hits = add(got, w.ok("POST", "/_search", body(after))); len(hits) == 0 {
				break
			}
			after = `,"search_after":` + js(at(hits[len(hits)-1], "sort"))
		}
		check("search_after", got)

		pit := at(w.ok("POST", "/_all/_pit?keep_alive=1m", ""), "id").(string)
		out := w.ok("POST", "/_search?scroll=1m", body(""))
		w.add(all...) // what is written now is not seen
		got = nil
		for after := ""; ; {
			var hits []any
			if got, hits = add(got, w.ok("POST", "/_search", body(`,"pit":{"id":"`+pit+`"}`+after))); len(hits) == 0 {
				break
			}
			after = `,"search_after":` + js(at(hits[len(hits)-1], "sort"))
		}
		check("point in time", got)

		got = nil
		for {
			var hits []any
			if got, hits = add(got, out); len(hits) == 0 {
				break
			}
			out = w.ok("POST", "/_search/scroll", fmt.Sprintf(`{"scroll":"1m","scroll_id":%q}`, at(out, "_scroll_id")))
		}
		check("scroll", got)
	}
}
