package policy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/record"
)

// spans makes records of traces; the side names what saw them.
func spans(side string, ids []string) *record.Batch {
	b := &record.Batch{Tenant: "shop"}
	for i, id := range ids {
		b.Begin(int64(i), DefaultClass)
		b.Str("service.name", side)
		b.Str("trace_id", id)
		b.End()
	}
	return b
}

func kept(t *testing.T, p *Policy, b *record.Batch) map[string]bool {
	t.Helper()
	apply(t, p, b)
	out := map[string]bool{}
	for _, id := range texts(b, "trace_id") {
		out[strings.ToLower(id[len(id)-16:])] = true
	}
	return out
}

func sampling(share float64) Config {
	return Config{NoBuiltin: true, Rules: []Rule{{ID: "s", Sample: share}}}
}

func TestSample(t *testing.T) {
	const n = 20_000
	rng := rand.New(rand.NewPCG(1, 2))
	var ids, short []string
	for range n {
		a, b := rng.Uint64(), rng.Uint64()
		ids = append(ids, fmt.Sprintf("%016x%016x", a, b))
		short = append(short, fmt.Sprintf("%016X", b)) // as senders write it who know 64 bits
	}
	tenth := must(t, sampling(0.1))
	client := kept(t, tenth, spans("client", ids))
	server := kept(t, must(t, sampling(0.1)), spans("server", short))
	if len(client) < n/10-n/100 || len(client) > n/10+n/100 {
		t.Errorf("%d of %d stay", len(client), n)
	}
	if len(client) != len(server) {
		t.Errorf("one side keeps %d traces, the other %d", len(client), len(server))
	}
	for id := range client {
		if !server[id] {
			t.Fatalf("trace %s is kept on one side alone", id)
		}
	}
	for id := range kept(t, must(t, sampling(0.01)), spans("x", ids)) {
		if !client[id] {
			t.Fatalf("what 1 %% keeps, 10 %% does not: %s", id)
		}
	}
}

// TestSampleAccount: sampled records are kept or dropped under the rule, and one
// that a rule sampled in is not sampled again.
func TestSampleAccount(t *testing.T) {
	p := must(t, Config{NoBuiltin: true, Rules: []Rule{
		{ID: "errors", When: []Condition{{Field: "response_code", Regex: "^5"}}, Keep: true},
		{ID: "half", Sample: 0.5, Class: "ops"},
		{ID: "never", Sample: 0.000001},
		{ID: "all", Drop: true},
	}})
	var rows []map[string]any
	for i := range 1000 {
		rows = append(rows, map[string]any{"body": fmt.Sprint("line ", i), "response_code": 200 + 300*(i%2)})
	}
	b := batch(rows...)
	e := apply(t, p, b)
	kept, dropped := e.Kept, b.Account.Dropped
	if len(kept) != 2 || kept[0] != (record.Count{Name: "errors", N: 500}) || kept[1].N+dropped[0].N != 500 || dropped[0].Name != "half" || len(dropped) != 1 {
		t.Errorf("kept %v, dropped %v", kept, dropped)
	}
	if n := kept[1].N; n < 200 || n > 300 || b.Len() != 500+int(n) {
		t.Errorf("%d of 500 stay, %d records", n, b.Len())
	}
	if fmt.Sprint(e.Classified) != fmt.Sprintf("[{half %d}]", kept[1].N) {
		t.Errorf("classified %v", e.Classified)
	}
}

func TestSampleKey(t *testing.T) {
	key := func(fields ...string) uint64 {
		b := &record.Batch{}
		b.Begin(7, "app")
		for i := 0; i < len(fields); i += 2 {
			b.Str(fields[i], fields[i+1])
		}
		b.End()
		var s sampler
		s.bind(b)
		return s.key(b, 0)
	}
	same := func(want bool, a, b uint64) {
		t.Helper()
		if (a == b) != want {
			t.Errorf("%x, %x", a, b)
		}
	}
	same(true, key("trace_id", "4BF92F3577B34DA6A3CE929D0E0E4736", "a", "b"), key("trace_id", "a3ce929d-0e0e4736"))
	same(false, key("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"), key("trace_id", "4bf92f3577b34da6a3ce929d0e0e4737"))
	same(true, key("trace_id", "00000000000000000000000000000000", "request_id", "r1"), key("request_id", "r1", "x", "y"))
	same(false, key("request_id", "r1"), key("request_id", "r2"))
	same(true, key("a", "1", "b", "2"), key("b", "2", "a", "1")) // the order of fields is nobody's
	same(false, key("a", "1", "b", "2"), key("a", "2", "b", "1"))
	same(true, key("trace_id", "no hex at all"), key("trace_id", "no hex at all"))
}
