package keyring

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/vfs"
	"github.com/meshtrail/meshtrail/internal/vfs/faultfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

func newRing(t testing.TB) (*Keyring, *memfs.FS) {
	t.Helper()
	m := memfs.New()
	if err := Create(m); err != nil {
		t.Fatal(err)
	}
	return mustOpen(t, m), m
}

func mustOpen(t testing.TB, f vfs.FS) *Keyring {
	t.Helper()
	k, err := Open(f)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func mustKey(t testing.TB, k *Keyring, tenant, class, day string) (string, *crypt.Key, bool) {
	t.Helper()
	id, key, created, err := k.DataKey(tenant, class, day)
	if err != nil {
		t.Fatal(err)
	}
	return id, key, created
}

// same compares keys, which have no ==.
func same(a, b *crypt.Key) bool { return bytes.Equal(a.Bytes(), b.Bytes()) }

func TestCreateRefusesWhatExists(t *testing.T) {
	if _, err := Open(memfs.New()); !fault.Is(err, fault.NotFound) || fault.HintOf(err) == "" {
		t.Fatalf("open of nothing: %v", err)
	}
	for _, name := range []string{rootFile, ledgerFile, publicFile} {
		m := memfs.New()
		if err := vfs.WriteFile(m, name, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := Create(m); !fault.Is(err, fault.Conflict) || fault.HintOf(err) == "" {
			t.Fatalf("create beside %s: %v", name, err)
		}
	}
}

func TestKeysSurviveReopen(t *testing.T) {
	k, m := newRing(t)
	id, key, created := mustKey(t, k, "default", "app", "2026-11-21")
	if !created || len(id) != 32 {
		t.Fatalf("first key: id %q created %v", id, created)
	}
	again, key2, created := mustKey(t, k, "default", "app", "2026-11-21")
	if again != id || created || !same(key, key2) {
		t.Fatal("the second call gave another key")
	}
	seen := map[string]bool{string(key.Bytes()): true}
	for _, p := range []place{{"default", "app", "2026-11-22"}, {"default", "ops", "2026-11-21"}, {"other", "app", "2026-11-21"}} {
		_, other, _ := mustKey(t, k, p.tenant, p.class, p.day)
		if seen[string(other.Bytes())] {
			t.Fatalf("%v has the key of another place", p)
		}
		seen[string(other.Bytes())] = true
	}
	journal := k.JournalKey()
	k = mustOpen(t, m)
	if got, err := k.OpenDataKey(id); err != nil || !same(got, key) {
		t.Fatalf("open after reopen: %v", err)
	}
	again, key2, created = mustKey(t, k, "default", "app", "2026-11-21")
	if again != id || created || !same(key, key2) {
		t.Fatal("the key changed over a reopen")
	}
	if !same(journal, k.JournalKey()) || same(journal, key) {
		t.Fatal("journal key")
	}
	if _, err := k.OpenDataKey(strings.Repeat("0", 32)); !fault.Is(err, fault.NotFound) {
		t.Fatalf("unknown id: %v", err)
	}
}

func TestPlacesAreChecked(t *testing.T) {
	k, _ := newRing(t)
	f := func(tenant, class, day string) {
		t.Helper()
		if _, _, _, err := k.DataKey(tenant, class, day); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q %q %q: %v", tenant, class, day, err)
		}
	}
	f("", "app", "2026-11-21")
	f("..", "app", "2026-11-21")
	f("a/b", "app", "2026-11-21")
	f("a", "app.x", "2026-11-21")
	f("a", "App", "2026-11-21")
	f("a", "app", "2026-13-21")
	f("a", "app", "2026-11-21.x")
	f("a", "app", "")
}

func TestSigner(t *testing.T) {
	k, m := newRing(t)
	s, _ := k.Signer()
	v, _ := k.Verifier()
	msg, err := note.Sign(&note.Note{Text: "x\n"}, s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := note.Open(msg, note.VerifierList(v)); err != nil {
		t.Fatal(err)
	}
	pub, err := vfs.ReadFile(m, publicFile)
	if err != nil {
		t.Fatal(err)
	}
	pv, err := note.NewVerifier(strings.TrimSpace(string(pub)))
	if err != nil || pv.KeyHash() != v.KeyHash() || pv.Name() != s.Name() {
		t.Fatalf("ledger.pub: %v", err)
	}
	other, _ := newRing(t)
	if o, _ := other.Signer(); o.Name() == s.Name() {
		t.Fatal("two keyrings sign under one name")
	}
	_, foreign, _ := note.GenerateKey(nil0{}, "meshtrail/x")
	if err := vfs.WriteFile(m, publicFile, []byte(foreign+"\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(m); !fault.Is(err, fault.Tampered) {
		t.Fatalf("replaced ledger.pub: %v", err)
	}
}

type nil0 struct{}

func (nil0) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestWrongRootKey(t *testing.T) {
	k, m := newRing(t)
	mustKey(t, k, "default", "app", "2026-11-21")
	f := func(content string, kind fault.Kind) {
		t.Helper()
		if err := vfs.WriteFile(m, rootFile, []byte(content)); err != nil {
			t.Fatal(err)
		}
		_, err := Open(m)
		if !fault.Is(err, kind) || kind == fault.Tampered && fault.HintOf(err) == "" {
			t.Errorf("root key %.8q: %v", content, err)
		}
		if err != nil && len(content) > 8 && strings.Contains(err.Error(), content[:8]) {
			t.Errorf("the error shows the key: %v", err)
		}
	}
	f(hex.EncodeToString(crypt.NewKey().Bytes())+"\n", fault.Tampered)
	f("", fault.Corrupt)
	f("abcdef0123", fault.Corrupt)
	f(strings.Repeat("zy", 32), fault.Corrupt)
	f(strings.Repeat("ab", 33), fault.Corrupt)
	f(strings.Repeat("ab", maxFile), fault.Corrupt)
}

func TestLooseModeIsRefused(t *testing.T) {
	dir := t.TempDir()
	f, err := vfs.Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := Create(f); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, rootFile)
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("root.key: %v %v", st.Mode(), err)
	}
	mustOpen(t, f)
	for _, mode := range []os.FileMode{0o640, 0o604, 0o660, 0o601} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(f); !fault.Is(err, fault.Denied) || !strings.Contains(fault.HintOf(err), "chmod 600") {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}

func TestConcurrentCallsGetOneKey(t *testing.T) {
	k, _ := newRing(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	ids, made := map[string]bool{}, 0
	for range 16 {
		wg.Go(func() {
			id, _, created, err := k.DataKey("default", "app", "2026-11-21")
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			ids[id] = true
			if created {
				made++
			}
		})
	}
	wg.Wait()
	if len(ids) != 1 || made != 1 {
		t.Fatalf("%d keys, made %d times", len(ids), made)
	}
}

func TestDestroy(t *testing.T) {
	k, m := newRing(t)
	id, key, _ := mustKey(t, k, "default", "app", "2026-11-21")
	keep, _, _ := mustKey(t, k, "default", "app", "2026-11-22")
	if err := k.Destroy("nothing"); !fault.Is(err, fault.NotFound) {
		t.Fatalf("destroy of nothing: %v", err)
	}
	for range 2 { // and again: nothing happens
		if err := k.Destroy(id); err != nil {
			t.Fatal(err)
		}
	}
	check := func(k *Keyring) {
		t.Helper()
		_, err := k.OpenDataKey(id)
		if !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "was destroyed") || fault.HintOf(err) == "" {
			t.Fatalf("open of a destroyed key: %v", err)
		}
		if _, err := k.OpenDataKey(keep); err != nil {
			t.Fatal(err)
		}
	}
	check(k)
	check(mustOpen(t, m))
	check(mustOpen(t, m.CrashClone(rand.New(rand.NewPCG(1, 1)))))
	next, other, created := mustKey(t, k, "default", "app", "2026-11-21")
	if next == id || !created || same(key, other) {
		t.Fatal("a destroyed key came back")
	}
	check(k)
	check(mustOpen(t, m))
}

func TestEveryChangedByteOfAKeyFileIsFound(t *testing.T) {
	k, m := newRing(t)
	id, key, _ := mustKey(t, k, "default", "app", "2026-11-21")
	d := k.byID[id]
	for _, name := range []string{ledgerFile, tenantDir + "/default.key", d.name(liveSuffix)} {
		good, err := vfs.ReadFile(m, name)
		if err != nil {
			t.Fatal(err)
		}
		for i := range good {
			for _, flip := range []byte{1, 0x80} {
				b := bytes.Clone(good)
				b[i] ^= flip
				if err := vfs.WriteFile(m, name, b); err != nil {
					t.Fatal(err)
				}
				k, err := Open(m)
				if err == nil {
					var got *crypt.Key
					if got, err = k.OpenDataKey(id); err == nil && !same(got, key) {
						t.Fatalf("%s byte %d: another key came out", name, i)
					}
				}
				// White space around the object and unused base64 bits carry nothing.
				if err == nil && !equivalent(good, b) {
					t.Fatalf("%s byte %d ^ %#x: not found", name, i, flip)
				}
				if err != nil && !fault.Is(err, fault.Tampered) && !fault.Is(err, fault.Corrupt) {
					t.Fatalf("%s byte %d: %v", name, i, err)
				}
			}
		}
		if err := vfs.WriteFile(m, name, good); err != nil {
			t.Fatal(err)
		}
	}
}

func equivalent(a, b []byte) bool {
	x, errX := decodeSealed(a)
	y, errY := decodeSealed(b)
	return errX == nil && errY == nil && fmt.Sprint(x) == fmt.Sprint(y)
}

func TestKeyFilesCannotBeExchanged(t *testing.T) {
	k, m := newRing(t)
	a, _, _ := mustKey(t, k, "default", "app", "2026-11-21")
	b, _, _ := mustKey(t, k, "default", "app", "2026-11-22")
	data, err := vfs.ReadFile(m, k.byID[a].name(liveSuffix))
	if err != nil {
		t.Fatal(err)
	}
	// As it is, and with its description rewritten.
	for _, content := range [][]byte{data, bytes.ReplaceAll(bytes.ReplaceAll(data, []byte("11-21"), []byte("11-22")), []byte(a), []byte(b))} {
		if err := vfs.WriteFile(m, k.byID[b].name(liveSuffix), content); err != nil {
			t.Fatal(err)
		}
		if _, err := mustOpen(t, m).OpenDataKey(b); !fault.Is(err, fault.Tampered) {
			t.Fatalf("exchanged file: %v", err)
		}
	}
}

func TestLostTenantKeyIsNotReplaced(t *testing.T) {
	k, m := newRing(t)
	id, _, _ := mustKey(t, k, "default", "app", "2026-11-21")
	if err := m.Remove(tenantDir + "/default.key"); err != nil {
		t.Fatal(err)
	}
	k = mustOpen(t, m)
	if _, err := k.OpenDataKey(id); !fault.Is(err, fault.Tampered) {
		t.Fatalf("open: %v", err)
	}
	if _, _, _, err := k.DataKey("default", "app", "2026-11-23"); !fault.Is(err, fault.Tampered) || fault.HintOf(err) == "" {
		t.Fatalf("make: %v", err)
	}
}

// TestPowerLoss takes a crash clone at every change of the disk: every key that
// was handed out before it must open.
func TestPowerLoss(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for range 40 {
		m := memfs.New()
		if err := Create(m); err != nil {
			t.Fatal(err)
		}
		fs := faultfs.Wrap(m)
		given := map[string]*crypt.Key{}
		gone := map[string]bool{}
		check := func(c *memfs.FS) {
			t.Helper()
			k := mustOpen(t, c)
			for id, key := range given {
				got, err := k.OpenDataKey(id)
				if gone[id] {
					if !fault.Is(err, fault.NotFound) {
						t.Fatalf("destroyed key %s: %v", id, err)
					}
				} else if err != nil || !same(got, key) {
					t.Fatalf("key %s is lost: %v", id, err)
				}
			}
		}
		destroying := ""
		fs.Watch(func(op faultfs.Op, _ string) {
			if op != faultfs.Read && op != faultfs.Open && destroying == "" {
				check(m.CrashClone(rng))
			}
		})
		k := mustOpen(t, fs)
		for n := range 12 {
			id, key, _, err := k.DataKey(fmt.Sprintf("t%d", n%3), "app", fmt.Sprintf("2026-11-%02d", 1+n/2))
			if err != nil {
				t.Fatal(err)
			}
			given[id] = key
			if n == 7 {
				destroying = id
				if err := k.Destroy(id); err != nil {
					t.Fatal(err)
				}
				gone[id], destroying = true, ""
			}
		}
		check(m.CrashClone(rng))
	}
}

// TestManyKeysAreMadeAtOnce: keys of many days take a sync each and one of their
// folder, and after power loss at any moment every one is whole or not there.
func TestManyKeysAreMadeAtOnce(t *testing.T) {
	var days []string
	for i := range 30 {
		days = append(days, fmt.Sprintf("2026-11-%02d", 1+i))
	}
	for seed := range uint64(40) {
		m := memfs.New()
		if err := Create(m); err != nil {
			t.Fatal(err)
		}
		fs := faultfs.Wrap(m)
		k := mustOpen(t, fs)
		have, _, _ := mustKey(t, k, "acme", "app", days[3])
		var mu sync.Mutex
		rng := rand.New(rand.NewPCG(seed, 9))
		clones := []*memfs.FS{}
		fs.Watch(func(op faultfs.Op, _ string) {
			mu.Lock()
			defer mu.Unlock()
			if rng.IntN(40) == 0 {
				clones = append(clones, m.CrashClone(rng))
			}
		})
		files, folders := fs.Count(faultfs.Sync), fs.Count(faultfs.SyncDir)
		if err := k.MakeDataKeys("acme", "app", days); err != nil {
			t.Fatal(err)
		}
		fs.Watch(nil)
		if files, folders = fs.Count(faultfs.Sync)-files, fs.Count(faultfs.SyncDir)-folders; files != len(days)-1 || folders != 1 {
			t.Fatalf("%d syncs of files and %d of folders", files, folders)
		}
		given := map[string]*crypt.Key{}
		for _, day := range days {
			id, key, created := mustKey(t, k, "acme", "app", day)
			if given[id] = key; created || day == days[3] && id != have {
				t.Fatalf("key of %s: %s, created %v", day, id, created)
			}
		}
		for _, c := range clones {
			again := mustOpen(t, c)
			if id, _, _ := mustKey(t, again, "acme", "app", days[3]); id != have {
				t.Fatal("the key that was there is lost")
			}
			for _, day := range days { // those that are there open, the others are made
				mustKey(t, again, "acme", "app", day)
			}
		}
		last := mustOpen(t, m.CrashClone(rng))
		for id, key := range given {
			if got, err := last.OpenDataKey(id); err != nil || !same(got, key) {
				t.Fatalf("key %s is lost: %v", id, err)
			}
		}
	}
}

// TestManyKeysUnderFaults fails each operation while many keys are made: the
// second try succeeds, with keys that survive.
func TestManyKeysUnderFaults(t *testing.T) {
	days := []string{"2026-11-01", "2026-11-02", "2026-11-03"}
	for _, mode := range []faultfs.Mode{faultfs.NotDone, faultfs.DoneButFailed, faultfs.Half} {
		for n := 1; ; n++ {
			m := memfs.New()
			if err := Create(m); err != nil {
				t.Fatal(err)
			}
			fs := faultfs.Wrap(m)
			k := mustOpen(t, fs)
			before := fs.Count(faultfs.Any)
			fs.Arm(n, faultfs.Any, mode, syscall.EIO)
			if err := k.MakeDataKeys("acme", "app", days); err != nil {
				if !errors.Is(err, syscall.EIO) {
					t.Fatalf("operation %d: %v", n, err)
				}
				if err := k.MakeDataKeys("acme", "app", days); err != nil {
					t.Fatalf("operation %d: again: %v", n, err)
				}
			}
			given := map[string]*crypt.Key{}
			for _, day := range days {
				id, key, _ := mustKey(t, k, "acme", "app", day)
				given[id] = key
			}
			c := mustOpen(t, m.CrashClone(rand.New(rand.NewPCG(uint64(n), uint64(mode)))))
			for id, key := range given {
				if got, err := c.OpenDataKey(id); err != nil || !same(got, key) {
					t.Fatalf("operation %d mode %d: key %s is lost: %v", n, mode, id, err)
				}
			}
			if fs.Count(faultfs.Any)-before < n {
				break
			}
		}
	}
}

// TestEveryFault fails each operation of a run in both ways. The caller tries
// again, and no key that was handed out may be lost by a crash afterwards.
func TestEveryFault(t *testing.T) {
	for n := 1; ; n++ {
		fired := false
		for _, mode := range []faultfs.Mode{faultfs.NotDone, faultfs.DoneButFailed, faultfs.Half} {
			m := memfs.New()
			if err := Create(m); err != nil {
				t.Fatal(err)
			}
			fs := faultfs.Wrap(m)
			fs.Arm(n, faultfs.Any, mode, syscall.EIO)
			k, err := Open(fs)
			if err != nil {
				if k, err = Open(fs); err != nil {
					t.Fatalf("operation %d: open again: %v", n, err)
				}
			}
			given := map[string]*crypt.Key{}
			for i := range 4 {
				day := fmt.Sprintf("2026-11-%02d", 1+i)
				id, key, _, err := k.DataKey("default", "app", day)
				if err != nil {
					if !errors.Is(err, syscall.EIO) {
						t.Fatalf("operation %d: %v", n, err)
					}
					if id, key, _, err = k.DataKey("default", "app", day); err != nil {
						t.Fatalf("operation %d: again: %v", n, err)
					}
				}
				given[id] = key
				c := mustOpen(t, m.CrashClone(rand.New(rand.NewPCG(uint64(n), uint64(i)))))
				for id, key := range given {
					if got, err := c.OpenDataKey(id); err != nil || !same(got, key) {
						t.Fatalf("operation %d mode %d: key %s is lost: %v", n, mode, id, err)
					}
				}
			}
			fired = fired || fs.Count(faultfs.Any) >= n
		}
		if !fired {
			break
		}
	}
}

// TestCreateIsAllOrNothing: a crash during init leaves a keyring that opens, or
// none that could be mistaken for one.
func TestCreateIsAllOrNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for range 100 {
		m := memfs.New()
		fs := faultfs.Wrap(m)
		fs.Watch(func(faultfs.Op, string) {
			c := m.CrashClone(rng)
			if _, err := Open(c); err != nil && !fault.Is(err, fault.NotFound) {
				t.Fatalf("after a crash during create: %v", err)
			}
		})
		if err := Create(fs); err != nil {
			t.Fatal(err)
		}
		mustOpen(t, m.CrashClone(rng))
	}
}

func FuzzDecodeSealed(f *testing.F) {
	f.Add([]byte(`{"version":1,"kind":"data","id":"00","tenant":"t","class":"c","day":"d","sealed":"AAAA"}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`[]`))
	key := crypt.NewKey()
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := decodeSealed(data)
		if err != nil {
			if !fault.Is(err, fault.Corrupt) {
				t.Fatal(err)
			}
			return
		}
		if _, err := open(key, *s, "x", data); err == nil {
			t.Fatal("opened what nobody sealed")
		}
	})
}

func FuzzParseDataName(f *testing.F) {
	f.Add("app.2026-11-21.000102030405060708090a0b0c0d0e0f.key")
	f.Add("app.2026-11-21.000102030405060708090a0b0c0d0e0f.destroyed")
	f.Add("...key")
	f.Fuzz(func(t *testing.T, name string) {
		d, ok := parseDataName("t", name)
		if !ok {
			return
		}
		want := d.name(liveSuffix)
		if d.destroyed {
			want = d.name(destroyedSuffix)
		}
		if want != dataDir+"/t/"+name {
			t.Fatalf("%q parses as %q", name, want)
		}
	})
}

// TestTenantKey gives each tenant and purpose a key of its own, the same after a
// restart.
func TestTenantKey(t *testing.T) {
	fs := memfs.New()
	if err := Create(fs); err != nil {
		t.Fatal(err)
	}
	get := func() (out [4][32]byte) {
		k, err := Open(fs)
		if err != nil {
			t.Fatal(err)
		}
		for i, of := range [3][2]string{{"shop", "hash"}, {"shop", "tokens"}, {"bank", "hash"}} {
			key, err := k.TenantKey(of[0], of[1])
			if err != nil {
				t.Fatal(err)
			}
			out[i] = key.Commitment("test")
		}
		out[3] = k.VaultKey().Commitment("test")
		if _, err := k.TenantKey("../x", "hash"); err == nil {
			t.Error("any name is a tenant")
		}
		return out
	}
	was := get()
	for i := range was {
		for j := range i {
			if was[i] == was[j] {
				t.Error("two keys are one")
			}
		}
	}
	if get() != was {
		t.Error("keys change with a restart")
	}
}
