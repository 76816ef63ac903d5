package match_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
)

func regex(t testing.TB, s string) *match.Regexp {
	t.Helper()
	re, err := match.CompileRegexp(s)
	if err != nil {
		t.Fatal(err)
	}
	return re
}

func sample() *record.Record {
	return &record.Record{Time: 1, Class: "app", Fields: []record.Field{
		{Name: "body", Value: record.StringValue("GET /cart timed out")},
		{Name: "code", Value: record.IntValue(503)},
		{Name: "text.code", Value: record.StringValue("503")},
		{Name: "big", Value: record.IntValue(1<<53 + 1)},
		{Name: "ratio", Value: record.FloatValue(0.5)},
		{Name: "nan", Value: record.FloatValue(math.NaN())},
		{Name: "ok", Value: record.BoolValue(true)},
		{Name: "empty", Value: record.StringValue("")},
		{Name: "elapsed", Value: record.StringValue("250ms")},
		{Name: "size", Value: record.StringValue("5KB")},
		{Name: "peer", Value: record.StringValue("10.1.2.3:443")},
		{Name: "peer6", Value: record.StringValue("[2001:db8::1%eth0]:443")},
		{Name: "k8s.pod-name", Value: record.StringValue("web-0")},
	}}
}

func TestEval(t *testing.T) {
	f := func(want bool, p match.Predicate) {
		t.Helper()
		r := sample()
		if got := match.Eval(p, r); got != want {
			t.Errorf("Eval(%v) = %v", p, got)
		}
		if got := match.Compile(p).Match(r); got != want {
			t.Errorf("Compile(%v).Match = %v", p, got)
		}
	}
	min := func(field string, b match.Bound, u match.Unit) match.Predicate {
		return match.Range{Field: field, Min: b, Unit: u}
	}
	max := func(field string, b match.Bound, u match.Unit) match.Predicate {
		return match.Range{Field: field, Max: b, Unit: u}
	}
	f(true, match.True{})
	f(false, match.False{})
	f(true, match.And{})
	f(false, match.Or{})
	f(true, match.Eq{Field: "code", Value: "503"})
	f(false, match.Eq{Field: "code", Value: "503.0"})
	f(true, match.Eq{Field: "text_code", Value: "503"})
	f(true, match.Eq{Field: "k8s_pod_name", Value: "web-0"})
	f(true, match.Eq{Field: "ok", Value: "true"})
	f(true, match.Eq{Field: "empty", Value: ""})
	f(false, match.Eq{Field: "absent", Value: ""})
	f(true, match.Not{P: match.Eq{Field: "absent", Value: ""}})
	f(false, match.Exists{Field: "empty"})
	f(true, match.Exists{Field: "nan"})
	f(true, match.In{Field: "code", Values: []string{"500", "503"}})
	f(true, match.Prefix{Field: "body", Value: "GET "})
	f(true, match.Contains{Field: match.Line, Value: "/cart"})
	f(false, match.Contains{Field: match.Line, Value: "/CART"})
	f(true, match.Contains{Field: match.Line, Value: "/CART", Fold: true})
	f(true, match.Word{Field: "body", Value: "timed out"})
	f(false, match.Word{Field: "body", Value: "timed ou"})
	f(false, match.Word{Field: "body", Value: "Timed Out"})
	f(true, match.Word{Field: "body", Value: "Timed Out", Fold: true})
	f(true, match.Word{Field: "body", Value: "get", Fold: true})
	f(true, match.Word{Field: "body", Value: "/CART", Fold: true})
	f(false, match.Word{Field: "body", Value: "CAR", Fold: true})
	f(false, match.Word{Field: "body", Value: "ed", Fold: true})
	f(true, match.Regex{Field: "body", Re: regex(t, `tim.d`)})
	f(false, match.Regex{Field: "body", Re: regex(t, `^tim.d`)})
	f(true, min("code", match.IntBound(503, true), 0))
	f(false, min("code", match.IntBound(503, false), 0))
	f(true, min("code", match.FloatBound(502.5, false), 0))
	f(true, max("code", match.FloatBound(503.5, false), 0))
	f(true, min("text_code", match.IntBound(500, true), 0))
	f(true, min("big", match.FloatBound(1<<53, false), 0))
	f(false, max("big", match.FloatBound(1<<53, true), 0))
	f(true, max("ratio", match.IntBound(1, false), 0))
	f(false, match.Range{Field: "nan"})
	f(true, match.Range{Field: "ratio"})
	f(false, match.Range{Field: "ok"})
	f(false, match.Range{Field: "body"})
	f(false, min("elapsed", match.IntBound(1, true), 0))
	f(true, min("elapsed", match.IntBound(250e6, true), match.Duration))
	f(false, min("elapsed", match.IntBound(250e6, false), match.Duration))
	f(true, min("size", match.IntBound(5000, true), match.Bytes))
	f(false, min("size", match.IntBound(5001, true), match.Bytes))
	f(true, match.CIDR{Field: "peer", Net: netip.MustParsePrefix("10.1.0.0/16")})
	f(false, match.CIDR{Field: "peer", Net: netip.MustParsePrefix("10.2.0.0/16")})
	f(true, match.CIDR{Field: "peer6", Net: netip.MustParsePrefix("2001:db8::/32")})
	f(false, match.CIDR{Field: "body", Net: netip.MustParsePrefix("0.0.0.0/0")})
	f(true, match.Word{Field: match.AnyField, Value: "WEB", Fold: true})
	f(true, match.Word{Field: match.AnyField, Value: "cart"})
	f(true, match.Eq{Field: match.AnyField, Value: "web-0"})
	f(true, match.Eq{Field: match.AnyField, Value: "GET /cart timed out"})
	f(false, match.Eq{Field: match.AnyField, Value: "GET /cart"})
	f(true, match.Contains{Field: match.AnyField, Value: "007199254740993"})
	f(true, match.Prefix{Field: match.AnyField, Value: "10.1."})
	f(true, match.Regex{Field: match.AnyField, Re: regex(t, `^web-\d$`)})
	f(true, match.CIDR{Field: match.AnyField, Net: netip.MustParsePrefix("10.1.0.0/16")})
	f(true, match.Exists{Field: match.AnyField})
	f(true, min(match.AnyField, match.IntBound(503, true), 0))
	f(false, max(match.AnyField, match.IntBound(0, true), 0))
	f(false, match.Word{Field: match.AnyField, Value: "k8s"}) // a name is in no line but JSON
	f(false, match.Not{P: match.Word{Field: match.AnyField, Value: "cart"}})
	f(true, match.Eq{Field: match.Class, Value: "app"})
	f(false, match.Eq{Field: "__class", Value: "app"})
}

// randomPredicate draws leaves over few names and values, so that they hit.
func randomPredicate(r *rand.Rand, depth int) match.Predicate {
	if depth > 0 && r.IntN(2) == 0 {
		var parts []match.Predicate
		for range r.IntN(4) {
			parts = append(parts, randomPredicate(r, depth-1))
		}
		switch r.IntN(3) {
		case 0:
			return match.And(parts)
		case 1:
			return match.Or(parts)
		}
		return match.Not{P: randomPredicate(r, depth-1)}
	}
	name := []string{"a", "a.b", "a_b", "a-b", "body", match.Line, match.Class, "absent", match.AnyField, match.AnyField}[r.IntN(10)]
	text := fmt.Sprint(r.IntN(5))
	switch r.IntN(8) {
	case 0:
		return match.Exists{Field: name}
	case 1:
		return match.In{Field: name, Values: []string{text, "x1"}}
	case 2:
		return match.Prefix{Field: name, Value: "x"}
	case 3:
		return match.Contains{Field: name, Value: text, Fold: r.IntN(2) == 0}
	case 4:
		return match.Word{Field: name, Value: text}
	case 5:
		return match.Range{Field: name, Min: match.IntBound(r.Int64N(5), r.IntN(2) == 0), Unit: match.Unit(r.IntN(3))}
	case 6:
		return match.Range{Field: name, Max: match.FloatBound(float64(r.IntN(8))/2, r.IntN(2) == 0)}
	}
	return match.Eq{Field: name, Value: text}
}

func randomValue(r *rand.Rand) record.Value {
	switch r.IntN(5) {
	case 0:
		return record.IntValue(r.Int64N(5))
	case 1:
		return record.FloatValue(float64(r.IntN(9)) / 2)
	case 2:
		return record.BoolValue(r.IntN(2) == 0)
	case 3:
		return record.StringValue(fmt.Sprintf("x%d", r.IntN(5)))
	}
	return record.StringValue(fmt.Sprint(r.IntN(5)))
}

// TestMatcherAgrees holds the compiled form, on records and on batches, against
// the definition.
func TestMatcherAgrees(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var b record.Batch
		for i := range 20 {
			b.Begin(int64(i), []record.Class{"app", "0", "x1"}[rnd.IntN(3)])
			for _, name := range []string{"a", "a.b", "a-b", "body", record.Labels, "parse.status"} {
				if rnd.IntN(2) == 0 {
					b.Set(name, randomValue(rnd))
				}
				if rnd.IntN(10) == 0 {
					b.Set(name, randomValue(rnd)) // the same name in two kinds
				}
			}
			b.End()
		}
		for range 10 {
			p := randomPredicate(rnd, 3)
			m := match.Compile(p)
			m.Bind(&b)
			for i := range b.Len() {
				r := b.Record(i)
				want := match.Eval(p, &r)
				if m.Match(&r) != want || m.MatchRow(&b, i) != want {
					t.Fatalf("%v on %v: Eval %v, Match %v, MatchRow %v", p, r, want, m.Match(&r), m.MatchRow(&b, i))
				}
			}
		}
	}
}

// TestAnyField says which texts of a record are sought where no field is named.
func TestAnyField(t *testing.T) {
	str := func(name, v string) record.Field { return record.Field{Name: name, Value: record.StringValue(v)} }
	rec := func(fields ...record.Field) *record.Record { return &record.Record{Class: "app", Fields: fields} }
	f := func(want bool, word string, r *record.Record) {
		t.Helper()
		p := match.Word{Field: match.AnyField, Value: word}
		var b record.Batch
		b.AddRecord(r)
		m := match.Compile(p)
		m.Bind(&b)
		if match.Eval(p, r) != want || m.Match(r) != want || m.MatchRow(&b, 0) != want {
			t.Errorf("%q in %+v: Eval %v, Match %v, MatchRow %v, want %v", word, r.Fields, match.Eval(p, r), m.Match(r), m.MatchRow(&b, 0), want)
		}
	}
	access := rec(str("body", "done"), str("request_id", "r-77"), str(record.Labels, "stream"), str("parse.status", "partial"))
	f(true, "done", access)
	f(true, "r-77", access)
	f(true, "77", access)
	f(false, "stream", access)
	f(false, "partial", access)
	f(false, "request_id", access)
	f(false, "app", access)
	bare := rec(str("request_id", "r-77"), str("note", "one\ntwo"), str(record.Labels, "stream"), str("parse.status", "partial"))
	f(true, "r-77", bare)
	f(true, "request_id", bare) // its line is JSON
	f(true, "partial", bare)
	f(true, "two", bare)  // in the value
	f(true, "ntwo", bare) // in the line, which writes it so
	f(false, "stream", bare)
}

// TestAnyFieldAllocates holds the search of all fields to no allocation for a
// record that has a body.
func TestAnyFieldAllocates(t *testing.T) {
	r := sample()
	var b record.Batch
	b.AddRecord(r)
	m := match.Compile(match.Word{Field: match.AnyField, Value: "nowhere", Fold: true})
	m.Bind(&b)
	if n := testing.AllocsPerRun(100, func() {
		if m.Match(r) || m.MatchRow(&b, 0) {
			t.Error("nowhere is found")
		}
	}); n > 0 {
		t.Errorf("%v allocations for a record", n)
	}
}
