package query_test

import (
	"fmt"
	mrand "math/rand/v2"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/query/querytest"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

var searches = []string{
	``, `cart`, `CART`, `car`, `car*`, `*eader`, `t?meout`, `"cart timeout"`, `cart timeout`, `cart OR timeout`, `cart -timeout`,
	`error`, `é`, `x=1`, `/api/v1/cart`, `"/api/v1/cart/1"`, `a\"b`, `/cart (timeout|retry)/`, `/[0-9]+$/`,
	`service:cart`, `service:(cart OR pay) NOT status:200`, `service:c*`, `service:/c.*/`, `service:?ay`, `-service:*`, `_exists_:mesh`,
	`status:503`, `status:>=404`, `status:[404 TO 503}`, `status:(>200 AND <503)`, `status:n/a`, `http_response_status_code:503`,
	`duration:>250ms`, `duration:<100`, `duration:[100 TO 250]`, `mesh_duration_ns:<100ms`,
	`path:\/api\/v1\/cart\/1*`, `path:*cart*`, `client.address:10.1.0.0/16`, `client_ip:[10.0.0.3 TO 10.1.0.5]`, `client.address:10.1.0.3`,
	`body:timeout`, `message:time*`, `class:ops`, `class:app service:cart`, `NOT class:app`, `class:*`, `absent:""`,
	`pay`, `Pay -503`, `503 -pay -body:cart`, `10.1.0.3`, `cart 404`, `che* OR pa?`, `/^(pay|cart)$/`, `-"10.1.0.3" pay`,
	`(cart OR leader) AND NOT (timeout OR status:200) service:*`,
}

// two is the same records in the naive reader and in a real store, of which part
// is sealed, in several segments, and part is not.
func two(t *testing.T, n int) (naive *querytest.Store, real *store.Store) {
	t.Helper()
	batches := func() []*record.Batch { return sampleBatches(mrand.New(mrand.NewPCG(7, 7)), n) }
	naive, real = &querytest.Store{}, openStore(t)
	for _, b := range batches() {
		if err := naive.Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	all := batches()
	appendAll(t, real, func(i int) bool { return i%4 == 3 && i < len(all)-4 }, all)
	return naive, real
}

func TestSearchOnTheRealStore(t *testing.T) {
	naive, real := two(t, 4000)
	a, b := engine(t, naive), engine(t, real)
	found := 0
	for _, q := range searches {
		ask := func(e *query.Engine) (lines string, rows int) {
			sum, err := e.Stream(t.Context(), scopeOf(t), query.StreamRequest{
				Query: q, Language: query.Search, From: base.UnixNano(), To: base.Add(time.Hour).UnixNano(), Order: store.Oldest,
			}, func(rs []record.Record) error {
				for i := range rs {
					lines += fmt.Sprintln(rs[i].Time, rs[i].Class, len(rs[i].Fields))
				}
				return nil
			})
			if err != nil {
				t.Errorf("%s: %v", q, err)
			}
			return lines, sum.Rows
		}
		want, rows := ask(a)
		got, n := ask(b)
		if rows != n || len(got) != len(want) {
			t.Errorf("%s: %d records, want %d", q, n, rows)
		}
		if rows > 0 && rows < 4000 {
			found++
		}
	}
	if found < len(searches)*2/3 {
		t.Errorf("only %d of %d searches select some and not all", found, len(searches))
	}
}

func TestContextOnTheRealStore(t *testing.T) {
	naive, real := two(t, 3000)
	for name, r := range map[string]store.Reader{"naive": naive, "real": real} {
		e := engine(t, r)
		// Every 97th record of the stream service=pay, body and all, in order of ord.
		var stream []record.Record
		if _, err := e.Stream(t.Context(), scopeOf(t), query.StreamRequest{
			Query: `{service="pay"}`, From: base.UnixNano(), To: base.Add(time.Hour).UnixNano(), Order: store.AsStored,
		}, func(rs []record.Record) error {
			stream = append(stream, rs...)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(stream); i += 97 {
			c, err := e.Context(t.Context(), scopeOf(t), query.ContextRequest{Time: stream[i].Time, Ord: stream[i].Ord, Before: 7, After: 5})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if c.Records[c.At].Ord != stream[i].Ord || len(c.Records[c.At].Fields) != len(stream[i].Fields) {
				t.Fatalf("%s: not around record %d", name, i)
			}
			before, after := 0, 0
			for j := range stream {
				if same := streamOf(&stream[j]) == streamOf(&stream[i]); same && stream[j].Ord < stream[i].Ord {
					before++
				} else if same && stream[j].Ord > stream[i].Ord {
					after++
				}
			}
			if c.At != min(7, before) || len(c.Records)-1-c.At != min(5, after) {
				t.Errorf("%s: record %d has %d and %d around it, want %d and %d", name, i, c.At, len(c.Records)-1-c.At, min(7, before), min(5, after))
			}
			for j := 1; j < len(c.Records); j++ {
				if c.Records[j].Ord <= c.Records[j-1].Ord {
					t.Fatalf("%s: out of order", name)
				}
			}
		}
		if len(stream) < 300 {
			t.Errorf("%s: the stream has only %d records", name, len(stream))
		}
	}
}

// streamOf names the stream of a record.
func streamOf(r *record.Record) string {
	key := ""
	for _, name := range []string{"cluster", "namespace", "service", "app", "pod", "container", "node", "mesh", "source", record.Labels} {
		if v, ok := match.Value(name, r); ok {
			key += name + "=" + v.Text() + " "
		}
	}
	return key
}

func TestFacetsOnTheRealStore(t *testing.T) {
	naive, real := two(t, 3000)
	for _, q := range []string{`{}`, `{service="cart"}`, `{} |= "timeout"`, `{} | status >= 404`} {
		var texts []string
		for _, r := range []store.Reader{naive, real} {
			f, err := engine(t, r).Facets(t.Context(), scopeOf(t), query.FacetsRequest{Span: spanOf(q), Fields: []string{"service", "status", "duration", "class", "absent", "path"}, Stats: true})
			if err != nil {
				t.Fatal(err)
			}
			text := fmt.Sprintln(f.Records)
			for _, x := range f.Facets {
				s := x.Stats
				text += fmt.Sprintf("%s %d %v +%d %d %t %d %g %g %.6g\n", x.Field, x.Records, x.Values, x.More, s.Distinct, s.Exact, s.Numbers, s.Min, s.Max, s.Mean)
			}
			texts = append(texts, text)
		}
		if texts[0] != texts[1] {
			t.Errorf("%s: naive\n%sreal\n%s", q, texts[0], texts[1])
		}
	}
}
