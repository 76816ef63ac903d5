package query_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	mrand "math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/mod/sumdb/note"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/query/querytest"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
	"github.com/meshtrail/meshtrail/internal/vfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testKeys derives every key from one.
type testKeys struct{ root *crypt.Key }

func (k testKeys) JournalKey() *crypt.Key { return k.root.Derive("journal") }

func (k testKeys) DataKey(tenant, class, day string) (string, *crypt.Key, bool, error) {
	id := tenant + "/" + class + "/" + day
	return id, k.root.Derive(id), false, nil
}

func (k testKeys) MakeDataKeys(_, _ string, _ []string) error { return nil }

func (k testKeys) OpenDataKey(id string) (*crypt.Key, error) { return k.root.Derive(id), nil }

func (k testKeys) Destroy(string) error { return nil }

// openStore returns a real store in memory.
func openStore(t testing.TB, change ...func(*store.Limits)) *store.Store {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	sk, vk, err := note.GenerateKey(rand.Reader, "test.example/log")
	must(err)
	signer, err := note.NewSigner(sk)
	must(err)
	verifier, err := note.NewVerifier(vk)
	must(err)
	root, err := crypt.KeyFromBytes(make([]byte, crypt.KeySize))
	must(err)
	fs := memfs.New()
	must(ledger.Create(vfs.Sub(fs, "ledger"), signer, "test.example/log", base, "test"))
	keys := testKeys{root}
	must(store.Create(fs, keys))
	l, err := ledger.Open(ledger.Options{FS: vfs.Sub(fs, "ledger"), Signer: signer, Verifier: verifier})
	must(err)
	limits := store.Limits{SealAge: -1, BlockRows: 500, JournalFile: 1 << 20}
	for _, c := range change {
		c(&limits)
	}
	s, err := store.Open(t.Context(), store.Options{
		FS: fs, Keyring: keys, Ledger: l, Now: func() time.Time { return base.Add(time.Hour) }, Limits: limits,
	})
	must(err)
	t.Cleanup(func() { must(s.Close()); must(l.Close()) })
	return s
}

func appendAll(t testing.TB, s *store.Store, sealAfter func(i int) bool, batches []*record.Batch) {
	t.Helper()
	for i, b := range batches {
		if err := s.Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if sealAfter(i) {
			if err := s.Seal(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func realReader(sealAfter func(i int) bool) func(*testing.T, []*record.Batch) store.Reader {
	return func(t *testing.T, batches []*record.Batch) store.Reader {
		s := openStore(t)
		appendAll(t, s, sealAfter, batches)
		return s
	}
}

// sample makes records of several shapes: the same question has its answer in
// columns of different names, kinds and units.
func sampleBatches(rnd *mrand.Rand, n int) []*record.Batch {
	var out []*record.Batch
	words := []string{"cart", "timeout", "retry", "leader", "elected", "Error", "é", "a\"b", "x=1"}
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	for i := 0; i < n; {
		b := &record.Batch{Tenant: "acme", Source: "test", Ingest: base.UnixNano()}
		for range min(n-i, 1+rnd.IntN(300)) {
			at := base.Add(time.Duration(i)*37*time.Millisecond + time.Duration(rnd.IntN(3000))*time.Millisecond).UnixNano()
			b.Begin(at, record.Class(pick("app", "app", "ops", "audit")))
			switch rnd.IntN(4) {
			case 0:
				b.Str("service.name", pick("cart", "pay", "users"))
				b.Str("mesh.type", pick("istio", "linkerd"))
				b.Int("http.response.status_code", int64(200+rnd.IntN(4)*101))
				b.Int("mesh.duration_ns", rnd.Int64N(5e8))
				b.Str("url.path", fmt.Sprintf("/api/v1/cart/%d", rnd.IntN(2000)))
				b.Str("client.address", fmt.Sprintf("10.%d.0.%d", rnd.IntN(3), rnd.IntN(9)))
			case 1:
				b.Str("service", pick("cart", "pay", "batch"))
				b.Str("status", pick("200", "404", "503", "n/a"))
				b.Str("body", pick(words...)+" "+pick(words...)+" "+pick(words...))
			case 2:
				b.Str("body", fmt.Sprintf("%s took %dms", pick(words...), rnd.IntN(900)))
				b.Float("ratio", float64(rnd.IntN(40))/4)
				b.Str("elapsed", fmt.Sprintf("%dms", rnd.IntN(900)))
				b.Str("level", pick("info", "error", ""))
			default:
				b.Str("job", pick("a", "b"))
				b.Str("pod-name", pick("p-0", "p-1"))
				b.Str(record.Labels, pick("job", "job,pod-name"))
				b.Bool("ok", rnd.IntN(2) == 0)
				b.Str("body", pick("", "up", "down"))
			}
			b.End()
			i++
		}
		b.Account.Received = uint64(b.Len())
		out = append(out, b)
	}
	return out
}

// randomSelection draws a log query that is likely to select something.
func randomSelection(rnd *mrand.Rand) string {
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	var parts []string
	for range rnd.IntN(3) {
		parts = append(parts, pick(`service`, `service_name`, `mesh`, `level`, `job`, `ok`, `absent`, `class`, `"pod-name"`)+
			pick(`=`, `!=`, `=~`, `!~`)+pick(`"cart"`, `"pay|batch"`, `"istio"`, `""`, `".*"`, `".+"`, `"a"`, `"true"`, `"app"`, `"c.*t"`, `"info|"`))
	}
	q := "{" + strings.Join(parts, ", ") + "}"
	for range rnd.IntN(3) {
		switch rnd.IntN(4) {
		case 0:
			q += pick(` |= `, ` != `) + pick(`"timeout"`, `"took"`, `"cart"`, `"e"`, `"\""`, `"503"`, `"/api/v1/cart/1"`, `"é"`, `":{"`)
		case 1:
			q += pick(` |~ `, ` !~ `) + pick(`"took [0-9]+ms"`, `"(?i)ERROR"`, `"cart|retry"`, `"^leader"`, `"down$"`)
		default:
			q += " | " + pick(`status`, `http_response_status_code`, `response_code`, `ratio`, `duration`, `elapsed`, `mesh_duration_ns`, `absent`) +
				pick(` > `, ` >= `, ` < `, ` <= `, ` == `, ` != `) + pick(`404`, `200`, `2.5`, `250ms`, `100`, `0`)
			if rnd.IntN(3) == 0 {
				q += pick(` and `, ` or `) + pick(`client_address=ip("10.1.0.0/16")`, `level="error"`, `url_path=~"/api/v1/cart/1[0-9]+"`)
			}
		}
	}
	return q
}

func randomMetric(rnd *mrand.Rand) string {
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	q := pick("count_over_time", "rate", "bytes_over_time") + "(" + randomSelection(rnd) + " [" + pick("1s", "7s", "30s", "5m") + "]"
	if rnd.IntN(4) == 0 {
		q += " offset " + pick("3s", "-2s")
	}
	q += ")"
	if rnd.IntN(4) > 0 {
		op := pick("sum", "sum", "sum", "max", "count", "avg")
		q = op + pick(" ", " by (service) ", " by (mesh, http_response_status_code) ", " without (service) ", " by (class) ") + "(" + q + ")"
	}
	return q
}

// TestDifferential asks the engine the same on the naive reader and on the real
// store, unsealed, sealed, and half and half.
func TestDifferential(t *testing.T) {
	rnd := mrand.New(mrand.NewPCG(7, uint64(*seed)))
	batches := sampleBatches(rnd, 3000)
	naive := engine(t, readers["naive"](t, batches))
	real := map[string]*query.Engine{}
	for name, seal := range map[string]func(int) bool{
		"unsealed": func(int) bool { return false },
		"sealed":   func(i int) bool { return i == len(batches)-1 },
		"mixed":    func(i int) bool { return i%5 == 2 },
	} {
		real[name] = engine(t, realReader(seal)(t, batches))
	}
	scope := scopeOf(t)
	end := base.Add(2 * time.Minute).UnixNano()
	for i := range rounds() {
		req := query.Request{Start: base.Add(time.Duration(rnd.IntN(60)) * time.Second).UnixNano(), End: end, Limit: 1 + rnd.IntN(300), Order: store.Order(rnd.IntN(2))}
		if rnd.IntN(2) == 0 {
			req.Query = randomSelection(rnd)
		} else {
			req.Query = randomMetric(rnd)
			req.Instant = rnd.IntN(2) == 0
			req.Step = []int64{1e9, 3e9, 10e9, 11e9}[rnd.IntN(4)]
		}
		want, wantErr := naive.Query(t.Context(), scope, req)
		for name, e := range real {
			got, err := e.Query(t.Context(), scope, req)
			if (err == nil) != (wantErr == nil) {
				t.Fatalf("round %d, %s: %s: %v, want %v", i, name, req.Query, err, wantErr)
			}
			if err != nil {
				continue
			}
			compare(t, fmt.Sprintf("round %d, %s: %s (limit %d, order %d)", i, name, req.Query, req.Limit, req.Order), got, want)
		}
	}
}

func compare(t *testing.T, what string, got, want *query.Result) {
	t.Helper()
	g, w := flat(got), flat(want)
	if slices.Equal(g, w) {
		return
	}
	for i := range max(len(g), len(w)) {
		a, b := "nothing", "nothing"
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			t.Fatalf("%s: %d answers, want %d; answer %d\n got %s\nwant %s", what, len(g), len(w), i, a, b)
		}
	}
}

func flat(r *query.Result) []string {
	if r.Kind != query.Streams {
		return append([]string{string(r.Kind)}, render("range", r)...)
	}
	var out []string
	for _, s := range r.Streams {
		for _, e := range s.Entries {
			fields := slices.Clone(e.Record.Fields)
			slices.SortFunc(fields, func(a, b record.Field) int { return strings.Compare(a.Name, b.Name) })
			out = append(out, fmt.Sprint(labelText(s.Labels), e.Record.Time, " ", e.Record.Class, " ", e.Line, fields))
		}
	}
	return out
}

// TestExploreDifferential compares labels, values, series, fields, histogram.
func TestExploreDifferential(t *testing.T) {
	rnd := mrand.New(mrand.NewPCG(9, uint64(*seed)))
	batches := sampleBatches(rnd, 2000)
	naive := engine(t, readers["naive"](t, batches))
	real := engine(t, realReader(func(i int) bool { return i%4 == 1 })(t, batches))
	scope := scopeOf(t)
	f := func(what string, ask func(e *query.Engine) (any, error)) {
		t.Helper()
		want, err := ask(naive)
		if err != nil {
			t.Fatal(what, err)
		}
		got, err := ask(real)
		if err != nil {
			t.Fatal(what, err)
		}
		if !reflect.DeepEqual(got, want) {
			g, _ := json.Marshal(got)
			w, _ := json.Marshal(want)
			t.Errorf("%s\n got %s\nwant %s", what, g, w)
		}
	}
	span := query.Span{From: base.UnixNano(), To: base.Add(time.Hour).UnixNano()}
	ctx := context.Background()
	for range 20 {
		span.Queries = nil
		if rnd.IntN(3) > 0 {
			span.Queries = []string{randomSelection(rnd)}
		}
		f(fmt.Sprint("labels ", span.Queries), func(e *query.Engine) (any, error) { return e.LabelNames(ctx, scope, span) })
		f(fmt.Sprint("series ", span.Queries), func(e *query.Engine) (any, error) { return e.Series(ctx, scope, span) })
		for _, field := range []string{"service", "status", "ratio", "ok", "class", "body"} {
			f(fmt.Sprint("values of ", field, span.Queries), func(e *query.Engine) (any, error) {
				v, _, err := e.Values(ctx, scope, query.ValuesRequest{Span: span, Field: field, Limit: 10_000})
				return v, err
			})
			f(fmt.Sprint("histogram by ", field, span.Queries), func(e *query.Engine) (any, error) {
				h, err := e.Histogram(ctx, scope, query.HistogramRequest{Span: span, Step: 7e9, By: field})
				if h != nil {
					h.Stats = store.Stats{}
				}
				return h, err
			})
		}
	}
	names := func(e *query.Engine) (any, error) {
		list, _, err := e.Fields(ctx, scope, span)
		var out []string
		for _, f := range list {
			out = append(out, fmt.Sprint(f.Name, f.Kind))
		}
		return out, err
	}
	f("fields", names)
}

var _ store.Reader = (*querytest.Store)(nil)
