package trace

import (
	"crypto/rand"
	"fmt"
	mrand "math/rand/v2"
	"syscall"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
	"github.com/meshtrail/meshtrail/internal/vfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

type benchKeys struct{ root *crypt.Key }

func (k benchKeys) JournalKey() *crypt.Key { return k.root.Derive("journal") }

func (k benchKeys) DataKey(tenant, class, day string) (string, *crypt.Key, bool, error) {
	id := tenant + "/" + class + "/" + day
	return id, k.root.Derive(id), false, nil
}

func (k benchKeys) MakeDataKeys(_, _ string, _ []string) error { return nil }

func (k benchKeys) OpenDataKey(id string) (*crypt.Key, error) { return k.root.Derive(id), nil }

func (k benchKeys) Destroy(string) error { return nil }

// realWorld returns a reader over a real store, in memory.
func realWorld(t testing.TB) (*store.Store, *Reader, Asker) {
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
	must(ledger.Create(vfs.Sub(fs, "ledger"), signer, "test.example/log", noon, "test"))
	must(store.Create(fs, benchKeys{root}))
	l, err := ledger.Open(ledger.Options{FS: vfs.Sub(fs, "ledger"), Signer: signer, Verifier: verifier})
	must(err)
	s, err := store.Open(t.Context(), store.Options{
		FS: fs, Keyring: benchKeys{root}, Ledger: l, Now: func() time.Time { return noon.Add(time.Hour) }, Limits: store.Limits{SealAge: -1},
	})
	must(err)
	t.Cleanup(func() { must(s.Close()); must(l.Close()) })
	e, err := query.New(query.Options{Store: s, Audit: &auditor{}, Now: func() time.Time { return noon.Add(time.Hour) }})
	must(err)
	scope, err := access.ReadScope(&access.Principal{Name: "alice", Tenant: "acme", Grants: []access.Permission{access.LogsRead}})
	must(err)
	return s, New(e), Asker{Scope: scope, Remote: "test"}
}

// fill appends n spans of twelve services, ten to a trace, each the parent of the
// next.
func fill(t testing.TB, s *store.Store, n int) {
	t.Helper()
	rnd := mrand.New(mrand.NewPCG(1, 2))
	var trace, parent, id string
	for i := 0; i < n; {
		b := &record.Batch{Tenant: "acme", Source: "bench", Ingest: noon.UnixNano()}
		for ; b.Len() < 1000 && i < n; i++ {
			parent = id
			if i%10 == 0 {
				trace, parent = fmt.Sprintf("%016x%016x", rnd.Uint64(), rnd.Uint64()), ""
			}
			id = fmt.Sprintf("%016x", rnd.Uint64())
			b.Begin(noon.Add(time.Duration(i)*time.Millisecond/2).UnixNano(), "app")
			b.Str("record.kind", "span")
			b.Str("trace_id", trace)
			b.Str("span_id", id)
			if parent != "" {
				b.Str("parent_span_id", parent)
			}
			b.Str("service.name", fmt.Sprintf("svc-%d", i%12))
			b.Str("span.name", fmt.Sprintf("op-%d", i%40))
			b.Str("span.kind", []string{"internal", "server", "client", "producer", "consumer"}[i%5])
			b.Int("mesh.duration_ns", int64(i%1000)*1e6)
			b.Str("host.name", fmt.Sprintf("h%d", i%12))
			b.Str("http.route", fmt.Sprintf("/r/%d", i%100))
			b.Int("http.response.status_code", int64(200+i%5))
			b.Str("user.id", fmt.Sprint(i%5000))
			b.Str("span.resource", "service.name,host.name")
			if i%50 == 0 {
				b.Str("span.status", "error")
				b.Str("span.events", fmt.Sprintf(`[{"time":1,"name":"exception","attributes":{"exception.message":"boom %d"}}]`, i))
			}
			b.End()
		}
		if err := s.Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkTraces asks what Jaeger's UI asks, of 215,000 spans: in memory as they
// came, and sealed.
func BenchmarkTraces(b *testing.B) {
	const spans = 215_000
	s, r, who := realWorld(b)
	fill(b, s, spans)
	from, to := noon.Add(-time.Hour).UnixNano(), noon.Add(time.Hour).UnixNano()
	ask := map[string]func() error{
		"dependencies": func() error {
			links, _, err := r.Dependencies(b.Context(), who, from, to)
			if err == nil && len(links) != 12 {
				b.Fatalf("%d links", len(links))
			}
			return err
		},
		"services":   func() error { _, err := r.Services(b.Context(), who); return err },
		"operations": func() error { _, err := r.Operations(b.Context(), who, "svc-1", ""); return err },
		"find by service": func() error {
			_, _, err := r.Find(b.Context(), who, FindRequest{Services: []string{"svc-1"}, From: from, To: to})
			return err
		},
		"find by attribute": func() error {
			_, _, err := r.Find(b.Context(), who, FindRequest{Attributes: []Attribute{{"user.id", "77"}}, From: from, To: to})
			return err
		},
		"find by event": func() error {
			_, _, err := r.Find(b.Context(), who, FindRequest{Attributes: []Attribute{{"exception.message", "boom 200"}}, From: from, To: to})
			return err
		},
		"find by duration": func() error {
			_, _, err := r.Find(b.Context(), who, FindRequest{MinDuration: 9e8, From: from, To: to})
			return err
		},
	}
	for _, state := range []string{"memory", "sealed"} {
		if state == "sealed" {
			if err := s.Seal(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		for _, name := range []string{"dependencies", "services", "operations", "find by service", "find by attribute", "find by event", "find by duration"} {
			b.Run(state+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				before := cpuTime()
				for b.Loop() {
					if err := ask[name](); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(cpuTime()-before)/float64(b.N)/1e6, "cpu-ms/op")
			})
		}
	}
}
