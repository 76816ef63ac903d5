package store

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	mrand "math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/mod/sumdb/note"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/memtable"
	"github.com/meshtrail/meshtrail/internal/vfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testKeys derives every key from one, so that a crash loses none.
type testKeys struct{ root *crypt.Key }

func (k testKeys) JournalKey() *crypt.Key { return k.root.Derive("journal") }

func (k testKeys) DataKey(tenant, class, day string) (string, *crypt.Key, bool, error) {
	id := tenant + "/" + class + "/" + day
	return id, k.root.Derive(id), false, nil
}

func (k testKeys) MakeDataKeys(_, _ string, _ []string) error { return nil }

func (k testKeys) OpenDataKey(id string) (*crypt.Key, error) { return k.root.Derive(id), nil }

func (k testKeys) Destroy(string) error { return nil }

var (
	rootKey, _ = crypt.KeyFromBytes(bytes.Repeat([]byte{3}, crypt.KeySize))

	signKey, verifyKey, _ = note.GenerateKey(rand.Reader, "test.example/log")
)

func signer(t testing.TB) (note.Signer, note.Verifier) {
	t.Helper()
	s, err := note.NewSigner(signKey)
	if err != nil {
		t.Fatal(err)
	}
	v, err := note.NewVerifier(verifyKey)
	if err != nil {
		t.Fatal(err)
	}
	return s, v
}

// createWorld makes the folder of a store that has nothing in it.
func createWorld(t testing.TB, f vfs.FS) {
	t.Helper()
	s, _ := signer(t)
	if err := ledger.Create(vfs.Sub(f, "ledger"), s, "test.example/log", time.Unix(1e9, 0), "test"); err != nil {
		t.Fatal(err)
	}
	if err := f.SyncDir("."); err != nil {
		t.Fatal(err)
	}
	if err := Create(f, testKeys{rootKey}); err != nil {
		t.Fatal(err)
	}
}

// manual are limits under which nothing is sealed by itself.
func manual() Limits { return Limits{SealAge: -1, CacheBytes: 1 << 20, JournalFile: 1 << 20} }

func tryOpen(t testing.TB, f vfs.FS, l Limits) (*Store, *ledger.Ledger, error) {
	t.Helper()
	s, v := signer(t)
	lg, err := ledger.Open(ledger.Options{FS: vfs.Sub(f, "ledger"), Signer: s, Verifier: v})
	if err != nil {
		return nil, nil, err
	}
	st, err := Open(context.Background(), Options{FS: f, Keyring: testKeys{rootKey}, Ledger: lg, Limits: l})
	if err != nil {
		lg.Close()
		return nil, nil, err
	}
	return st, lg, nil
}

// openWorld opens the store in f; it is closed at the end of the test.
func openWorld(t testing.TB, f vfs.FS, l Limits) *Store {
	t.Helper()
	s, lg, err := tryOpen(t, f, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		lg.Close()
	})
	return s
}

func newWorld(t testing.TB, l Limits) (*Store, *memfs.FS) {
	t.Helper()
	f := memfs.New()
	createWorld(t, f)
	return openWorld(t, f, l), f
}

const noon = 1_763_640_000_000_000_000

// drawRecord makes a record with names, kinds and values that collide on
// purpose: several kinds of one name, aliases, bodies or none, escapes.
func drawRecord(r *mrand.Rand, at int64) record.Record {
	rec := record.Record{Time: at, Class: []record.Class{"app", "ops"}[r.IntN(2)]}
	add := func(name string, v record.Value) {
		rec.Fields = append(rec.Fields, record.Field{Name: name, Value: v})
	}
	pick := func(v ...string) record.Value { return record.StringValue(v[r.IntN(len(v))]) }
	if r.IntN(3) > 0 {
		add("service.name", pick("cart", "checkout", "users"))
	}
	switch r.IntN(4) {
	case 0:
		add("http.response.status_code", record.IntValue(int64([]int{200, 404, 500, 503}[r.IntN(4)])))
	case 1:
		add("http.response.status_code", pick("200", "503", "weird"))
	case 2:
		add("status", record.IntValue(int64(r.IntN(600))))
	}
	if r.IntN(2) == 0 {
		add("mesh.duration_ns", record.IntValue(r.Int64N(2e9)))
	}
	if r.IntN(4) == 0 {
		add("took", pick("250ms", "1.5s", "12", "-3.25", "5KB", "none"))
	}
	if r.IntN(2) == 0 {
		add("url.path", record.StringValue(fmt.Sprintf("/api/v1/cart/%d", r.IntN(50))))
	}
	if r.IntN(3) == 0 {
		add("client", pick("10.0.0.1:8080", "10.0.0.17", "[fe80::1]:443", "192.168.1.9", "nobody"))
	}
	if r.IntN(3) == 0 {
		add("note", pick("one\ntwo", "say \"hi\"", `back\slash`, "", "Ünïcode", "bad\xffbyte", "plain Words", "a,b:c{d}"))
	}
	if r.IntN(5) == 0 {
		add("ratio", record.FloatValue([]float64{0.5, 200, -1e300, 3}[r.IntN(4)]))
	}
	if r.IntN(5) == 0 {
		add("retried", record.BoolValue(r.IntN(2) == 0))
	}
	if r.IntN(2) == 0 {
		add("trace_id", record.StringValue(fmt.Sprintf("%016x", r.IntN(100))))
	}
	if r.IntN(2) == 0 {
		add(record.Body, pick("upstream reset after 3 attempts", "Cache miss for 10.0.0.1:8080", "", "status 503 from cart", fmt.Sprint("id=", r.IntN(1000))))
	}
	if r.IntN(8) == 0 {
		add(record.Labels, pick("service.name", "cart"))
	}
	if r.IntN(8) == 0 {
		add("parse.status", pick("ok", "cart 503", "one\ntwo"))
	}
	if r.IntN(20) == 0 { // maybe beside a text
		add(record.Body, record.IntValue(int64(500+r.IntN(9))))
	}
	drawForms(r, add)
	return rec
}

// drawForms adds values of the forms that blocks keep in ways of their own: ids,
// addresses, numbers that follow from others, texts of one template, and fields
// that few records have.
func drawForms(r *mrand.Rand, add func(name string, v record.Value)) {
	if r.IntN(3) == 0 {
		add("request_id", record.StringValue(fmt.Sprintf("%08x-0000-4000-8000-%012x", r.Uint32N(300)*0x10001, r.IntN(3))))
	}
	if r.IntN(3) == 0 {
		add("peer", record.StringValue(fmt.Sprintf("10.0.%d.%d:%d", r.IntN(3), r.IntN(256), 8080+r.IntN(2))))
	}
	if r.IntN(5) == 0 {
		add("peer6", record.StringValue(fmt.Sprintf("fe80::%x", r.IntN(1<<16))))
	}
	if n := r.IntN(3000); n < 1000 {
		add("took_ms", record.IntValue(int64(n)))
		add("upstream_ms", record.StringValue(fmt.Sprint(max(n-1, 0))))
	}
	if r.IntN(3) == 0 {
		add("event", record.StringValue(fmt.Sprintf("order %d of customer c-%05d left for zone-%d", r.IntN(1000), r.IntN(100), r.IntN(4))))
	}
	if r.IntN(4) == 0 {
		add("price", record.StringValue(fmt.Sprintf("%d.%02d", r.IntN(90), r.IntN(100))))
	}
	if r.IntN(30) == 0 {
		for range 1 + r.IntN(12) {
			add(fmt.Sprintf("x.%d", r.IntN(1000)), record.StringValue(fmt.Sprint("value ", r.IntN(5))))
		}
	}
}

// drawPredicate makes a predicate of any shape about such records.
func drawPredicate(r *mrand.Rand, depth int) match.Predicate {
	if depth > 0 && r.IntN(2) == 0 {
		n := r.IntN(3) + 1
		parts := make([]match.Predicate, n)
		for i := range parts {
			parts[i] = drawPredicate(r, depth-1)
		}
		switch r.IntN(3) {
		case 0:
			return match.And(parts)
		case 1:
			return match.Or(parts)
		}
		return match.Not{P: parts[0]}
	}
	fields := []string{
		"service.name", "service_name", "service", "http.response.status_code", "response_code", "status", "duration",
		"mesh.duration_ns", "mesh_duration_ns", "took", "url.path", "path", "client", "note", "ratio", "retried", "trace_id",
		"body", "absent", match.Line, match.Line, match.Line, match.Class, match.AnyField, match.AnyField, match.AnyField,
	}
	texts := []string{
		"cart", "checkout", "200", "503", "weird", "/api/v1/cart/7", "/api/v1", "cart/1", "10.0.0.1", "10.0.0.1:8080", "nobody",
		"two", "ntwo", "hi", "slash", "Words", "words", "upstream reset", "reset after", "Cache miss", "id=7", "true", "0.5", "-3.25",
		"", "c", "a,b:c", `"note":"`, `{"`, "bad", "\ufffd", "nïco", "0000000000000011", "app", "ops", "status", "service", ":", "503 from",
		"service.name\":\"cart", "e300", "pstream reset after", "ache mis", "art", "0.0.1", "n two", "lash", "eset af",
	}
	f, v := fields[r.IntN(len(fields))], texts[r.IntN(len(texts))]
	bound := func() match.Bound {
		switch r.IntN(4) {
		case 0:
			return match.Bound{}
		case 1:
			return match.FloatBound(r.Float64()*1000, r.IntN(2) == 0)
		}
		return match.IntBound(int64([]int{0, 3, 200, 250, 503, 1e6, 1e9}[r.IntN(7)]), r.IntN(2) == 0)
	}
	switch r.IntN(10) {
	case 0:
		return match.Exists{Field: f}
	case 1:
		return match.Eq{Field: f, Value: v}
	case 2:
		return match.In{Field: f, Values: []string{v, texts[r.IntN(len(texts))]}}
	case 3:
		return match.Prefix{Field: f, Value: v}
	case 4, 5:
		return match.Contains{Field: f, Value: v, Fold: r.IntN(3) == 0}
	case 6:
		return match.Word{Field: f, Value: v}
	case 7:
		exprs := []string{"cart", "^cart$", "(?i)CACHE", "50[0-9]", "reset.*attempts", "a|b", "^/api/v1/cart/[0-9]+$", "", `\bmiss\b`, "upstream (reset|miss)", "(foo|cart)", `"note":"[a-z]`, `one.ntwo`}
		re, err := match.CompileRegexp(exprs[r.IntN(len(exprs))])
		if err != nil {
			panic(err)
		}
		return match.Regex{Field: f, Re: re}
	case 8:
		return match.Range{Field: f, Min: bound(), Max: bound(), Unit: match.Unit(r.IntN(3))}
	}
	return match.CIDR{Field: f, Net: mustPrefix([]string{"10.0.0.0/24", "fe80::/10", "192.168.0.0/16"}[r.IntN(3)])}
}

// oracle is a plain slice that must agree with the store.
type oracle struct {
	recs    []record.Record
	tenants []record.TenantID // of recs
}

// add notes what a batch must look like when it is read, once Append gave it
// its Ord.
func (o *oracle) add(b *record.Batch) {
	for i := range b.Len() {
		r := b.Record(i)
		if r.Time < 0 || r.Time >= memtable.MaxTime { // a fault of the sender's clock
			r.Fields = slices.DeleteFunc(r.Fields, func(f record.Field) bool { return f.Name == "time.original" && f.Value.Kind == record.Int })
			r.Fields = append(r.Fields, record.Field{Name: "time.original", Value: record.IntValue(r.Time)})
			r.Time = r.Ingest
		}
		slices.SortStableFunc(r.Fields, func(a, b record.Field) int {
			return match.CompareFields(a.Name, a.Value.Kind, b.Name, b.Value.Kind)
		})
		o.recs, o.tenants = append(o.recs, r), append(o.tenants, b.Tenant)
	}
}

// ask returns what a scan must visit; no tenant stands for all.
func (o *oracle) ask(q ScanRequest) []record.Record {
	var out []record.Record
	for i, r := range o.recs {
		if (q.Tenant == "" || q.Tenant == o.tenants[i]) && r.Time >= q.From && r.Time < q.To &&
			(q.Classes == nil || slices.Contains(q.Classes, r.Class)) && match.Eval(q.Where, &r) {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b record.Record) int {
		switch q.Order {
		case AsStored:
			return cmp.Compare(a.Ord, b.Ord)
		case Newest:
			a, b = b, a
		}
		return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Ord, b.Ord))
	})
	out = slices.DeleteFunc(out, func(r record.Record) bool {
		return r.Ord <= q.AfterOrd || q.UpToOrd > 0 && r.Ord > q.UpToOrd
	})
	if q.After != nil {
		n := slices.IndexFunc(out, func(r record.Record) bool {
			newer := r.Time > q.After.Time || r.Time == q.After.Time && r.Ord > q.After.Ord
			older := r.Time < q.After.Time || r.Time == q.After.Time && r.Ord < q.After.Ord
			return q.Order == Newest && older || q.Order == Oldest && newer
		})
		if n < 0 {
			n = len(out)
		}
		out = out[n:]
	}
	if q.Limit > 0 {
		out = out[:min(len(out), q.Limit)]
	}
	return out
}

func text(r *record.Record) string {
	s := fmt.Sprint(r.Time, " ", r.Ingest, " ", r.Ord>>20, "+", r.Ord&(1<<20-1), " ", r.Class)
	for _, f := range r.Fields {
		s += fmt.Sprintf(" %s/%d=%q", f.Name, f.Value.Kind, f.Value.Text())
	}
	return s
}

func scanAll(t testing.TB, s *Store, q ScanRequest) []record.Record {
	t.Helper()
	var out []record.Record
	stats, err := s.Scan(context.Background(), q, func(recs []record.Record) error {
		for _, r := range recs {
			r.Fields = slices.Clone(r.Fields)
			out = append(out, r)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("scan %v: %v", q.Where, err)
	}
	if len(stats.Damaged) > 0 {
		t.Fatalf("scan found damage: %v", stats.Damaged)
	}
	return out
}

// compare holds the records of a scan against those it must visit.
func compare(t testing.TB, what string, got, want []record.Record) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Fatalf("%s: record %d of %d is missing: %s", what, i, len(want), text(&want[i]))
		case i >= len(want):
			t.Fatalf("%s: record %d is too many, want %d: %s", what, i, len(want), text(&got[i]))
		case text(&got[i]) != text(&want[i]):
			t.Fatalf("%s: record %d is\n%s\nwant\n%s", what, i, text(&got[i]), text(&want[i]))
		}
	}
}
