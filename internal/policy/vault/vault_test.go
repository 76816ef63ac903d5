package vault

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/journal"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/vfs"
	"github.com/meshtrail/meshtrail/internal/vfs/faultfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

// ring is the keys of a vault: the same for every opening.
type ring struct {
	key     *crypt.Key
	mu      sync.Mutex
	tenants map[record.TenantID]*crypt.Key
}

func newRing() *ring { return &ring{key: crypt.NewKey(), tenants: map[record.TenantID]*crypt.Key{}} }

func (r *ring) of(name record.TenantID) (*crypt.Key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tenants[name] == nil {
		r.tenants[name] = crypt.NewKey()
	}
	return r.tenants[name], nil
}

func (r *ring) open(t testing.TB, f vfs.FS) *Vault {
	t.Helper()
	v, err := Open(Options{FS: f, Key: r.key, TenantKey: r.of})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

// token draws and commits.
func token(v *Vault, tenant record.TenantID, value string) (string, error) {
	t, err := v.Of(tenant)
	if err != nil {
		return "", err
	}
	k, flight, err := t.Token(t.Hash(), []byte(value))
	if err != nil {
		return "", err
	}
	if flight != nil {
		if err := flight.Commit(); err != nil {
			return "", err
		}
	}
	return string(k.AppendText(nil)), nil
}

func must(t testing.TB, v *Vault, tenant record.TenantID, value string) string {
	t.Helper()
	s, err := token(v, tenant, value)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func reveal(v *Vault, tenant record.TenantID, s string) (string, error) {
	k, err := ParseToken(s)
	if err != nil {
		return "", err
	}
	t, err := v.Of(tenant)
	if err != nil {
		return "", err
	}
	return t.Reveal(k)
}

func TestTokens(t *testing.T) {
	r, fs := newRing(), memfs.New()
	v := r.open(t, fs)
	ann := must(t, v, "shop", "ann@example.org")
	if len(ann) != len(Prefix)+24 || !strings.HasPrefix(ann, Prefix) {
		t.Errorf("a token is %q", ann)
	}
	if again := must(t, v, "shop", "ann@example.org"); again != ann {
		t.Errorf("the same value has %s and %s", ann, again)
	}
	bob := must(t, v, "shop", "bob@example.org")
	other := must(t, v, "bank", "ann@example.org")
	if bob == ann || other == ann {
		t.Error("two values, or two tenants, have one token")
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	v = r.open(t, fs)
	if again := must(t, v, "shop", "ann@example.org"); again != ann {
		t.Errorf("after a restart the value has %s, had %s", again, ann)
	}
	for _, c := range []struct {
		tenant       record.TenantID
		token, value string
	}{{"shop", ann, "ann@example.org"}, {"shop", bob, "bob@example.org"}, {"bank", other, "ann@example.org"}} {
		if got, err := reveal(v, c.tenant, c.token); got != c.value || err != nil {
			t.Errorf("%s of %s is %q, %v", c.token, c.tenant, got, err)
		}
	}
	if _, err := reveal(v, "bank", ann); !fault.Is(err, fault.NotFound) {
		t.Errorf("another tenant's token: %v", err)
	}
	if n := v.Len(); n != 3 {
		t.Errorf("%d tokens", n)
	}
}

func TestParseToken(t *testing.T) {
	for _, s := range []string{"", "tok_", "tok_aaaaaaaaaaaaaaaaaaaaaaa", "tok_aaaaaaaaaaaaaaaaaaaaaaa1", "tok_AAAAAAAAAAAAAAAAAAAAAAAA", "x" + strings.Repeat("a", 27)} {
		if _, err := ParseToken(s); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestLimits(t *testing.T) {
	r := newRing()
	v, err := Open(Options{FS: memfs.New(), Key: r.key, TenantKey: r.of, MaxTokens: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	a := must(t, v, "shop", "a")
	must(t, v, "shop", "b")
	if _, err := token(v, "shop", "c"); !fault.Is(err, fault.Overload) {
		t.Errorf("a third token: %v", err)
	}
	if must(t, v, "shop", "a") != a {
		t.Error("a full vault forgot what it has")
	}
	must(t, v, "bank", "c") // the limit is of a tenant
	if _, err := token(v, "shop", strings.Repeat("x", MaxValue+1)); !fault.Is(err, fault.TooLarge) {
		t.Errorf("a long value: %v", err)
	}
	if _, err := v.Of("../shop"); err == nil {
		t.Error("any name is a tenant")
	}
}

// TestOneTokenForOneValue has many draw the same values at once: whoever commits
// first, all get the same token, and it is durable when their commit returns.
func TestOneTokenForOneValue(t *testing.T) {
	r, fs := newRing(), memfs.New()
	v := r.open(t, fs)
	const values, workers = 40, 8
	got := make([][values]string, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range values {
				s, err := token(v, "shop", fmt.Sprint("value ", i))
				if err != nil {
					t.Error(err)
				}
				got[w][i] = s
			}
		})
	}
	wg.Wait()
	for w := range workers {
		if got[w] != got[0] {
			t.Fatal("two workers have different tokens for one value")
		}
	}
	after := r.open(t, fs.CrashClone(rand.New(rand.NewPCG(1, 2))))
	for i, s := range got[0] {
		if value, err := reveal(after, "shop", s); value != fmt.Sprint("value ", i) || err != nil {
			t.Errorf("after power loss %s is %q, %v", s, value, err)
		}
	}
}

// TestBeginsOnce refuses to begin a vault anew where the ledger knows of one.
func TestBeginsOnce(t *testing.T) {
	r := newRing()
	_, err := Open(Options{FS: memfs.New(), Key: r.key, TenantKey: r.of, Anchor: &journal.Position{Seq: 7}})
	if !fault.Is(err, fault.NotFound) || fault.HintOf(err) == "" {
		t.Errorf("a lost vault: %v", err)
	}
}

func TestWrongKeys(t *testing.T) {
	r, fs := newRing(), memfs.New()
	v := r.open(t, fs)
	must(t, v, "shop", "ann@example.org")
	v.Close()
	if _, err := Open(Options{FS: fs, Key: crypt.NewKey(), TenantKey: r.of}); !fault.Is(err, fault.Tampered) {
		t.Errorf("another vault key: %v", err)
	}
	r.tenants["shop"] = crypt.NewKey()
	if _, err := Open(Options{FS: fs, Key: r.key, TenantKey: r.of}); !fault.Is(err, fault.Tampered) {
		t.Errorf("another tenant key: %v", err)
	}
}

// TestPlainNowhere looks for values in every byte of the files.
func TestPlainNowhere(t *testing.T) {
	dir := t.TempDir()
	fs, err := vfs.Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	v := newRing().open(t, fs)
	must(t, v, "shop", "CANARY-ann@example.org")
	list, err := fs.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		data, err := vfs.ReadFile(fs, e.Name())
		if err != nil || strings.Contains(string(data), "CANARY") || len(data) > 0 && e.IsDir() {
			t.Errorf("%s: %v, or it holds the value", e.Name(), err)
		}
	}
}

// TestEveryFault fails each operation of the disk in turn, once without effect
// and once with it. Whatever was committed is there after power loss, a token is
// never of two values, and a value whose commit failed may be tried again.
func TestEveryFault(t *testing.T) {
	run := func(fs vfs.FS, r *ring) map[string]string {
		done := map[string]string{}
		v, err := Open(Options{FS: fs, Key: r.key, TenantKey: r.of})
		if err != nil {
			return done
		}
		defer v.Close()
		for i := range 6 {
			value := fmt.Sprint("value ", i%4)
			if s, err := token(v, "shop", value); err == nil {
				if was := done[value]; was != "" && was != s {
					t.Errorf("%s has the tokens %s and %s", value, was, s)
				}
				done[value] = s
			}
		}
		return done
	}
	all := faultfs.Wrap(memfs.New())
	run(all, newRing())
	for _, kept := range []faultfs.Mode{faultfs.NotDone, faultfs.DoneButFailed, faultfs.Half} {
		for n := 1; n <= all.Count(faultfs.Any); n++ {
			mem, r := memfs.New(), newRing()
			f := faultfs.Wrap(mem)
			f.Arm(n, faultfs.Any, kept, errors.New("the disk failed"))
			done := run(f, r)
			v, err := Open(Options{FS: mem.CrashClone(rand.New(rand.NewPCG(uint64(n), 1))), Key: r.key, TenantKey: r.of})
			if err != nil {
				t.Fatalf("operation %d (mode %v): open after power loss: %v", n, kept, err)
			}
			for value, s := range done {
				if got, err := reveal(v, "shop", s); got != value || err != nil {
					t.Errorf("operation %d (mode %v): %s is %q, %v; want %q", n, kept, s, got, err, value)
				}
				if again := must(t, v, "shop", value); again != s {
					t.Errorf("operation %d (mode %v): %s had %s, has %s", n, kept, value, s, again)
				}
			}
			if err := v.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestFailedCommit(t *testing.T) {
	r, fs := newRing(), memfs.New()
	v := r.open(t, fs)
	tenant, _ := v.Of("shop")
	_, a, _ := tenant.Token(tenant.Hash(), []byte("a"))
	_, b, _ := tenant.Token(tenant.Hash(), []byte("a"))
	if a == nil || a != b {
		t.Fatal("one pending value has two flights")
	}
	v.Close()
	if err1, err2 := a.Commit(), b.Commit(); err1 == nil || !errors.Is(err2, err1) || !fault.Is(err1, fault.Unavailable) {
		t.Errorf("%v, %v", err1, err2)
	}
	if n := len(tenant.pending); n != 0 {
		t.Errorf("%d tokens wait for ever", n)
	}
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte{1, 4, 's', 'h', 'o', 'p', 1, 2, 3})
	f.Add(appendEntry(nil, index{1}, Token{2}, []byte("value")))
	f.Add(appendEntry(appendEntry(nil, index{}, Token{}, nil), index{1}, Token{2}, []byte("value")))
	f.Fuzz(func(t *testing.T, p []byte) {
		if name, sealed, err := split(p); err == nil && (!record.ValidName(string(name)) || len(sealed) > len(p)) {
			t.Errorf("tenant %q", name)
		}
		var again []byte
		err := each(p, func(i index, k Token, v []byte) error {
			again = appendEntry(again, i, k, v)
			return nil
		})
		if err == nil && len(again) > len(p) {
			t.Errorf("%d bytes became %d", len(p), len(again))
		}
	})
}

func BenchmarkKnownToken(b *testing.B) {
	v := newRing().open(b, memfs.New())
	must(b, v, "shop", "ann@example.org")
	t, _ := v.Of("shop")
	h, value := t.Hash(), []byte("ann@example.org")
	b.ReportAllocs()
	for b.Loop() {
		t.Token(h, value)
	}
}
