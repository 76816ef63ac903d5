package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/policy"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/telemetry"
)

// kept is an Appender that keeps everything, deduplicates by ID and can be told
// to fail, before or after it has kept the batch.
type kept struct {
	mu      sync.Mutex
	batches []batch
	seen    map[record.BatchID]bool
	fail    func(n int, b *record.Batch) (keep bool, err error)
	calls   int
}

type batch struct {
	id      record.BatchID
	tenant  record.TenantID
	source  string
	account record.Account
	records []record.Record
}

func (k *kept) Append(_ context.Context, b *record.Batch) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls++
	if k.fail != nil {
		if keep, err := k.fail(k.calls, b); err != nil {
			if keep {
				k.keep(b)
			}
			return err
		}
	}
	k.keep(b)
	return nil
}

func (k *kept) keep(b *record.Batch) {
	if k.seen == nil {
		k.seen = map[record.BatchID]bool{}
	}
	if !b.ID.IsZero() && k.seen[b.ID] {
		b.Account.Deduplicated = uint64(b.Len())
		return
	}
	k.seen[b.ID] = true
	c := batch{id: b.ID, tenant: b.Tenant, source: b.Source, account: record.Account{
		Received: b.Account.Received, Deduplicated: b.Account.Deduplicated,
		Rejected: append([]record.Count(nil), b.Account.Rejected...), Dropped: append([]record.Count(nil), b.Account.Dropped...)}}
	for i := range b.Len() {
		c.records = append(c.records, b.Record(i))
	}
	k.batches = append(k.batches, c)
}

// whole checks that received = stored + rejected + dropped + deduplicated in
// every batch, and returns the totals by source.
func (k *kept) whole(t *testing.T) map[string][4]uint64 {
	t.Helper()
	out := map[string][4]uint64{}
	for i, b := range k.batches {
		sum := [4]uint64{b.account.Received, uint64(len(b.records))}
		for _, c := range b.account.Rejected {
			sum[2] += c.N
		}
		for _, c := range b.account.Dropped {
			sum[3] += c.N
		}
		if sum[0] != sum[1]+sum[2]+sum[3]+b.account.Deduplicated {
			t.Errorf("batch %d of %s: received %d, stored %d, rejected %d, dropped %d", i, b.source, sum[0], sum[1], sum[2], sum[3])
		}
		total := out[b.source]
		for j := range sum {
			total[j] += sum[j]
		}
		out[b.source] = total
	}
	return out
}

func (k *kept) records(source string) []record.Record {
	var out []record.Record
	for _, b := range k.batches {
		if b.source == source {
			out = append(out, b.records...)
		}
	}
	return out
}

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, k *kept, c policy.Config, l Limits) (*Pipeline, *telemetry.Metrics) {
	t.Helper()
	pol, err := policy.New(c)
	if err != nil {
		t.Fatal(err)
	}
	m := telemetry.New()
	p, err := New(Options{Appender: k, Policy: pol, Limits: l, Now: func() time.Time { return now }, Metrics: m})
	if err != nil {
		t.Fatal(err)
	}
	return p, m
}

func request(json bool, payloads ...string) *Request {
	r := &Request{Tenant: "main", Source: "elastic/admin"}
	for _, p := range payloads {
		r.Raws = append(r.Raws, record.Raw{Payload: []byte(p), JSON: json})
	}
	return r
}

func text(r record.Record, name string) string {
	v, _ := r.Get(name)
	return v.Text()
}

func TestGoodAndBadOfOneRequest(t *testing.T) {
	k := &kept{}
	p, m := open(t, k, policy.Config{Rules: []policy.Rule{
		{ID: "probes", When: []policy.Condition{{Field: "path", Is: "/healthz"}}, Drop: true},
		{ID: "canary", Redact: &policy.Redact{Literal: "xyzzy"}},
	}}, Limits{})
	req := request(true,
		`{"msg":"good xyzzy","time":"2026-03-01T10:00:00Z"}`,
		`{"msg":"broken xyzzy"`,
		strings.Repeat(`{"a":`, 10_000)+`1`+strings.Repeat(`}`, 10_000),
		`{"path":"/healthz"}`,
		`{"big":"`+strings.Repeat("x", 2<<20)+`"}`,
		"{\"msg\":\"nul \\u0000 and \xff\"}",
		`{"msg":"no time"}`,
	)
	req.Rejected = []record.Count{{Name: "bad_line", N: 2}}
	out, err := p.Ingest(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if out.Stored != 3 || out.Dropped != 1 || out.Deduplicated != 0 {
		t.Errorf("outcome %+v", out)
	}
	var refused []string
	for _, r := range out.Refused {
		refused = append(refused, fmt.Sprint(r.Index, r.Reason))
		if r.Detail == "" {
			t.Errorf("refusal %d says nothing", r.Index)
		}
	}
	if fmt.Sprint(refused) != "[1malformed_json 2too_deep 4too_large]" {
		t.Errorf("refused %v", refused)
	}
	totals := k.whole(t)
	if totals["elastic/admin"] != [4]uint64{9, 3, 5, 1} || totals[DeadLetters] != [4]uint64{3, 3, 0, 0} {
		t.Errorf("totals %v", totals)
	}
	good := k.records("elastic/admin")
	if text(good[0], "body") != "good [redacted:canary]" || good[0].Time != time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC).UnixNano() || good[0].Class != "app" {
		t.Errorf("first record %+v", good[0])
	}
	if text(good[1], "body") != "nul \x00 and \\xff" || text(good[1], "parse.escaped") != "true" {
		t.Errorf("second record %+v", good[1])
	}
	if good[2].Time != now.UnixNano() || text(good[2], "log.source") != "elastic/admin" {
		t.Errorf("third record %+v", good[2])
	}
	for i, r := range k.records(DeadLetters) {
		body := text(r, "body")
		if r.Class != DeadLetterClass || strings.Contains(body, "xyzzy") || len(body) == 0 || len(body) > 64<<10 || !utf8.ValidString(body) ||
			text(r, "deadletter.source") != "elastic/admin" || text(r, "deadletter.reason") != out.Refused[i].Reason {
			t.Errorf("dead letter %d: %.200v", i, r)
		}
	}
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`meshtrail_records_received_total{source="elastic/admin"} 9`,
		`meshtrail_records_stored_total{source="elastic/admin"} 3`,
		`meshtrail_records_rejected_total{reason="malformed_json",source="elastic/admin"} 1`,
		`meshtrail_records_rejected_total{reason="bad_line",source="elastic/admin"} 2`,
		`meshtrail_records_dropped_total{rule="probes"} 1`,
		`meshtrail_redactions_total{rule="canary"} 2`,
		`meshtrail_records_stored_total{source="meshtrail.deadletter"} 3`,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("the metrics do not say %s", want)
		}
	}
}

func TestAllDroppedOrRefusedIsStillAccounted(t *testing.T) {
	k := &kept{}
	p, _ := open(t, k, policy.Config{Rules: []policy.Rule{{ID: "all", Drop: true}}}, Limits{})
	if _, err := p.Ingest(t.Context(), request(true, `{"a":1}`, `{"a":2}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Ingest(t.Context(), request(true, `nope`)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Ingest(t.Context(), &Request{Tenant: "main", Source: "elastic/admin", Rejected: []record.Count{{Name: "x", N: 4}}}); err != nil {
		t.Fatal(err)
	}
	if got := k.whole(t); got["elastic/admin"] != [4]uint64{7, 0, 5, 2} || got[DeadLetters] != [4]uint64{1, 1, 0, 0} {
		t.Errorf("totals %v", got)
	}
	n := k.calls
	if _, err := p.Ingest(t.Context(), &Request{Tenant: "main", Source: "s"}); err != nil || k.calls != n {
		t.Errorf("an empty request is appended: %v", err)
	}
}

func TestSplitsAtLimits(t *testing.T) {
	for _, l := range []Limits{{Rows: 10}, {Bytes: 200}, {Columns: 40}, {Rows: 1}} {
		k := &kept{}
		p, _ := open(t, k, policy.Config{}, l)
		req := &Request{Tenant: "main", Source: "s", ID: record.BatchID{Origin: "agent", Epoch: 3, Seq: 1000}}
		for i := range 95 {
			payload := fmt.Sprintf(`{"n":%d,"k%d":1}`, i, i)
			if i%10 == 3 {
				payload = "broken"
			}
			req.Raws = append(req.Raws, record.Raw{Payload: []byte(payload), JSON: true})
		}
		for range 2 { // a retry makes the same batches
			out, err := p.Ingest(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			if out.Stored+out.Deduplicated != 85 || len(out.Refused) != 10 {
				t.Fatalf("%+v: outcome %+v", l, out)
			}
		}
		if got := k.whole(t); got["s"] != [4]uint64{95, 85, 10, 0} || got[DeadLetters] != [4]uint64{10, 10, 0, 0} {
			t.Errorf("%+v: totals %v", l, got)
		}
		next := 0
		for _, r := range k.records("s") {
			for next%10 == 3 {
				next++
			}
			if text(r, "n") != fmt.Sprint(next) {
				t.Fatalf("%+v: record %s, want %d", l, text(r, "n"), next)
			}
			next++
		}
		ids := map[record.BatchID]bool{}
		for _, b := range k.batches {
			if ids[b.id] || b.id.Epoch != 3 || b.id.Seq < 1000 || b.id.Seq >= 1095 {
				t.Errorf("%+v: id %v", l, b.id)
			}
			ids[b.id] = true
			if l.Rows > 0 && len(b.records) > l.Rows {
				t.Errorf("%+v: %d records in a batch", l, len(b.records))
			}
		}
	}
}

// TestRetryAfterEveryFailure fails each Append in turn, kept and not kept, and
// retries with the same ID: nothing is lost, nothing is there twice.
func TestRetryAfterEveryFailure(t *testing.T) {
	want := fault.Errorf(fault.Unavailable, "disk full")
	for fail := 1; fail <= 6; fail++ {
		for _, keep := range []bool{false, true} {
			k := &kept{fail: func(n int, _ *record.Batch) (bool, error) {
				if n == fail {
					return keep, want
				}
				return false, nil
			}}
			p, _ := open(t, k, policy.Config{}, Limits{Rows: 3})
			req := request(true, `{"n":1}`, `bad`, `{"n":2}`, `{"n":3}`, `bad`, `{"n":4}`, `{"n":5}`)
			req.ID = record.BatchID{Origin: "a", Epoch: 1, Seq: 1}
			_, err := p.Ingest(t.Context(), req)
			if err != nil {
				if !errors.Is(err, want) || !fault.Is(err, fault.Unavailable) {
					t.Fatalf("error %v", err)
				}
				if _, err = p.Ingest(t.Context(), req); err != nil {
					t.Fatal(err)
				}
			}
			if got := k.whole(t); got["elastic/admin"] != [4]uint64{7, 5, 2, 0} || got[DeadLetters] != [4]uint64{2, 2, 0, 0} {
				t.Errorf("append %d failed, kept %v: totals %v", fail, keep, got)
			}
		}
	}
}

func TestRequestIsChecked(t *testing.T) {
	p, _ := open(t, &kept{}, policy.Config{}, Limits{})
	f := func(req *Request, want fault.Kind) {
		t.Helper()
		req.Raws = []record.Raw{{Payload: []byte("x")}}
		if _, err := p.Ingest(t.Context(), req); !fault.Is(err, want) {
			t.Errorf("%+v: %v", req, err)
		}
	}
	f(&Request{Source: "s"}, fault.Internal)
	f(&Request{Tenant: "../x", Source: "s"}, fault.Internal)
	f(&Request{Tenant: "main"}, fault.Internal)
	f(&Request{Tenant: "main", Source: strings.Repeat("s", 129)}, fault.Internal)
	f(&Request{Tenant: "main", Source: "s", Platform: "nope"}, fault.Invalid)
	if _, err := New(Options{}); err == nil {
		t.Error("a pipeline without an appender is opened")
	}
}

func TestConcurrentRequests(t *testing.T) {
	k := &kept{}
	p, _ := open(t, k, policy.Config{}, Limits{Rows: 16})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 20 {
				req := request(true, fmt.Sprintf(`{"g":%d,"i":%d}`, g, i), `bad`, `{"msg":"x"}`)
				if _, err := p.Ingest(t.Context(), req); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := k.whole(t); got["elastic/admin"] != [4]uint64{480, 320, 160, 0} {
		t.Errorf("totals %v", got)
	}
}

// TestNoSenderSaysWhatARecordIs: only receivers of spans and of evidence may.
func TestNoSenderSaysWhatARecordIs(t *testing.T) {
	attr := []record.Field{{Name: "record.kind", Value: record.StringValue("evidence")}}
	member := []byte(`{"record.kind":"evidence","event.name":"mesh.counters","msg":"all is well"}`)
	for kind, believed := range map[string]string{"": "", "span": "", "evidence": "evidence"} {
		k := &kept{}
		p, _ := open(t, k, policy.Config{}, Limits{})
		req := &Request{Tenant: "main", Source: "s", Kind: kind, Raws: []record.Raw{
			{Payload: member, JSON: true},
			{Payload: member},
			{Payload: []byte("text"), Attrs: attr},
			{Payload: []byte(`{"log":"{\"record.kind\":\"evidence\"}"}`), JSON: true},
		}}
		if _, err := p.Ingest(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		for i, r := range k.records("s") {
			want, other := "", "evidence"
			if i == 2 && believed != "" {
				want, other = believed, ""
			}
			if got := text(r, "record.kind"); got != want || text(r, "record.kind_extracted") != other {
				t.Errorf("%q, record %d: record.kind %q: %+v", kind, i, got, r.Fields)
			}
		}
	}
}

func TestAttributesOfARefusedRecordAreKept(t *testing.T) {
	k := &kept{}
	p, _ := open(t, k, policy.Config{}, Limits{Record: 1000})
	many := make([]record.Field, 3000)
	for i := range many {
		many[i] = record.Field{Name: fmt.Sprint("a", i), Value: record.IntValue(int64(i))}
	}
	req := &Request{Tenant: "main", Source: "s", Raws: []record.Raw{
		{Payload: []byte(`bad`), JSON: true, Time: 77, Attrs: []record.Field{{Name: "pod", Value: record.StringValue("p")}}},
		{Payload: []byte(`x`), Attrs: []record.Field{{Name: "pod", Value: record.StringValue(strings.Repeat("p", 2000))}}},
		{Payload: []byte(`y`), Attrs: []record.Field{{Name: "log.source", Value: record.StringValue("forged")}, {Name: record.Labels, Value: record.StringValue("pod")}}},
	}}
	p.limits.Record = 1000
	if _, err := p.Ingest(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	dead := k.records(DeadLetters)
	if len(dead) != 2 || text(dead[0], "deadletter.attribute.pod") != "p" || dead[0].Time != 77 || text(dead[1], "deadletter.reason") != "too_large" {
		t.Errorf("dead letters %+v", dead)
	}
	good := k.records("s")
	if len(good) != 1 || text(good[0], "log.source") != "s" || text(good[0], "log.source_extracted") != "forged" || text(good[0], record.Labels) != "pod" {
		t.Errorf("records %+v", good)
	}
	p.limits.Record = 1 << 20
	if _, err := p.Ingest(t.Context(), &Request{Tenant: "main", Source: "many", Raws: []record.Raw{{Payload: []byte("z"), Attrs: many}}}); err != nil {
		t.Fatal(err)
	}
	if r := k.records("many")[0]; len(r.Fields) > 2010 || !strings.Contains(text(r, "overflow.attributes"), `"a2999":2999`) {
		t.Errorf("%d fields", len(r.Fields))
	}
}

func FuzzIngest(f *testing.F) {
	f.Add([]byte(`{"msg":"x"}`), true)
	f.Add([]byte(`[2026-03-01T10:00:00.001Z] "GET / HTTP/1.1" 200 - 0 1 2 3 "-" "ua" "id" "a" "u"`), false)
	f.Add([]byte("\xff\x00{"), true)
	k := &kept{}
	pol, err := policy.New(policy.Config{})
	if err != nil {
		f.Fatal(err)
	}
	p, err := New(Options{Appender: k, Policy: pol})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, payload []byte, json bool) {
		k.batches = nil
		out, err := p.Ingest(t.Context(), &Request{Tenant: "main", Source: "s", Raws: []record.Raw{{Payload: payload, JSON: json}}})
		if err != nil {
			t.Fatal(err)
		}
		if got := k.whole(t); got["s"][0] != 1 || out.Stored+len(out.Refused) != 1 || !json && out.Stored != 1 {
			t.Fatalf("%q: %v %+v", payload, got, out)
		}
		for _, b := range k.batches {
			for _, r := range b.records {
				for _, f := range r.Fields {
					if !utf8.ValidString(f.Value.Str) || !utf8.ValidString(f.Name) {
						t.Fatalf("%q: field %q is no UTF-8: %q", payload, f.Name, f.Value.Str)
					}
				}
			}
		}
	})
}

// TestTimesThatAreNotBelieved: a record of the far past or future is kept as of
// its receipt, and what it said of its time beside it.
func TestTimesThatAreNotBelieved(t *testing.T) {
	k := &kept{}
	p, m := open(t, k, policy.Config{}, Limits{})
	times := []time.Time{now.AddDate(-9, 0, 0), now.AddDate(-11, 0, 0), now.Add(23 * time.Hour), now.Add(25 * time.Hour), time.Unix(1, 0), now}
	req := &Request{Tenant: "main", Source: "s"}
	for i, at := range times {
		req.Raws = append(req.Raws, record.Raw{Payload: fmt.Appendf(nil, `{"n":%d}`, i), JSON: true, Time: at.UnixNano()})
	}
	if out, err := p.Ingest(t.Context(), req); err != nil || out.Stored != len(times) {
		t.Fatal(out, err)
	}
	for i, r := range k.records("s") {
		want, said := times[i], ""
		if i == 1 || i == 3 || i == 4 {
			want, said = now, times[i].UTC().Format(time.RFC3339Nano)
		}
		if r.Time != want.UnixNano() || text(r, OriginalTime) != said {
			t.Errorf("record of %v: time %v, original %q, want %v, %q", times[i], time.Unix(0, r.Time), text(r, OriginalTime), want, said)
		}
	}
	got := httptest.NewRecorder()
	m.Handler().ServeHTTP(got, httptest.NewRequest("GET", "/metrics", nil))
	if line := "meshtrail_event_times_replaced_total 3"; !strings.Contains(got.Body.String(), line) {
		t.Errorf("the metrics lack %s", line)
	}
}
