package memfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/vfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, f vfs.FS, name string, content []byte) vfs.File {
	t.Helper()
	file, err := f.Create(name)
	must(t, err)
	_, err = file.Write(content)
	must(t, err)
	return file
}

// outcomes returns how often each content of a file came out of n crashes; a
// missing file counts as "(none)".
func outcomes(t *testing.T, f *memfs.FS, name string, n int, describe func([]byte) string) map[string]int {
	t.Helper()
	out := map[string]int{}
	for seed := range uint64(n) {
		b, err := vfs.ReadFile(f.CrashClone(rand.New(rand.NewPCG(seed, 5))), name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			out["(none)"]++
		case err != nil:
			t.Fatal(err)
		default:
			out[describe(b)]++
		}
	}
	return out
}

func wantOutcomes(t *testing.T, what string, got map[string]int, want ...string) {
	t.Helper()
	slices.Sort(want)
	if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, want) {
		t.Errorf("%s: outcomes %v, want %v", what, got, want)
	}
}

func text(b []byte) string { return string(b) }

func TestSyncedSurvives(t *testing.T) {
	f := memfs.New()
	must(t, f.MkdirAll("d"))
	must(t, vfs.WriteFile(f, "d/x", []byte("kept")))
	wantOutcomes(t, "written whole", outcomes(t, f, "d/x", 100, text), "kept")
}

func TestNamesMayVanish(t *testing.T) {
	f := memfs.New()
	must(t, create(t, f, "a", []byte("1")).Sync())
	wantOutcomes(t, "created, content synced", outcomes(t, f, "a", 100, text), "(none)", "1")
	must(t, f.SyncDir("."))
	wantOutcomes(t, "name synced", outcomes(t, f, "a", 100, text), "1")
	must(t, f.Remove("a"))
	wantOutcomes(t, "removed", outcomes(t, f, "a", 100, text), "(none)", "1")
	must(t, f.SyncDir("."))
	wantOutcomes(t, "removal synced", outcomes(t, f, "a", 100, text), "(none)")
}

func TestContentMayVanish(t *testing.T) {
	f := memfs.New()
	create(t, f, "a", []byte("12"))
	must(t, f.SyncDir("."))
	got := outcomes(t, f, "a", 400, text)
	for _, want := range []string{"", "12", "\x00\x00", "1"} { // nothing, all, lost page, short size
		if got[want] == 0 {
			t.Errorf("never %q: %v", want, got)
		}
	}
}

// A rename is one change: the file is under the old name or under the new, and
// so is what the new name held before.
func TestRenameIsAtomic(t *testing.T) {
	for _, to := range []string{"b", "d/b"} {
		f := memfs.New()
		must(t, f.MkdirAll("d"))
		must(t, vfs.WriteFile(f, "a", []byte("new")))
		must(t, vfs.WriteFile(f, to, []byte("old")))
		must(t, f.Rename("a", to))
		states := func() map[string]int {
			out := map[string]int{}
			for seed := range uint64(200) {
				c := f.CrashClone(rand.New(rand.NewPCG(seed, 6)))
				a, _ := vfs.ReadFile(c, "a")
				b, _ := vfs.ReadFile(c, to)
				out[string(a)+"|"+string(b)]++
			}
			return out
		}
		wantOutcomes(t, "rename to "+to, states(), "new|old", "|new")
		must(t, f.SyncDir("."))
		if to == "d/b" { // a move is durable when both folders are
			wantOutcomes(t, "one folder synced", states(), "new|old", "|new")
			must(t, f.SyncDir("d"))
		}
		wantOutcomes(t, "synced rename to "+to, states(), "|new")
	}
}

// What was done later on a name is never there without what was done earlier,
// or a synced file could lose both its names.
func TestChangesOfOneNameKeepTheirOrder(t *testing.T) {
	f := memfs.New()
	must(t, vfs.WriteFile(f, "a", []byte("1")))
	must(t, f.Rename("a", "b"))
	must(t, create(t, f, "a", []byte("2")).Sync())
	for seed := range uint64(300) {
		c := f.CrashClone(rand.New(rand.NewPCG(seed, 7)))
		a, _ := vfs.ReadFile(c, "a")
		b, _ := vfs.ReadFile(c, "b")
		if s := string(a) + "|" + string(b); s != "1|" && s != "|1" && s != "2|1" {
			t.Fatalf("seed %d: %s", seed, s)
		}
	}
	// And syncing the later one brings the earlier one with it, in whatever
	// folder that was.
	g := memfs.New()
	must(t, g.MkdirAll("d"))
	must(t, vfs.WriteFile(g, "d/a", []byte("1")))
	must(t, g.Rename("d/a", "b"))
	must(t, create(t, g, "d/a", []byte("2")).Sync())
	must(t, g.SyncDir("d"))
	wantOutcomes(t, "moved file", outcomes(t, g, "b", 100, text), "1")
}

func TestIndependentNamesAreLostIndependently(t *testing.T) {
	f := memfs.New()
	for _, name := range []string{"a", "b", "c"} {
		must(t, create(t, f, name, nil).Sync())
	}
	seen := map[string]int{}
	for seed := range uint64(500) {
		list, err := f.CrashClone(rand.New(rand.NewPCG(seed, 8))).ReadDir(".")
		must(t, err)
		var names string
		for _, e := range list {
			names += e.Name()
		}
		seen[names]++
	}
	if len(seen) != 8 {
		t.Errorf("%d of the 8 sets of survivors seen: %v", len(seen), seen)
	}
}

// Pages are lost and kept one by one, and torn at sectors.
func TestPagesAreLostOneByOne(t *testing.T) {
	const page = 4096
	f := memfs.New()
	file := create(t, f, "a", bytes.Repeat([]byte("o"), 3*page))
	must(t, file.Sync())
	must(t, f.SyncDir("."))
	_, err := file.WriteAt(bytes.Repeat([]byte("n"), 3*page), 0)
	must(t, err)
	got := outcomes(t, f, "a", 1000, func(b []byte) (s string) {
		for p := range 3 {
			switch n := bytes.Count(b[p*page:(p+1)*page], []byte("n")); {
			case n == 0:
				s += "o"
			case n == page:
				s += "n"
			case n%512 == 0 && bytes.HasPrefix(b[p*page:], bytes.Repeat([]byte("n"), n)):
				s += "t"
			default:
				s += "?"
			}
		}
		return s
	})
	for _, want := range []string{"ooo", "nnn", "ono", "non", "oon", "too", "nnt"} {
		if got[want] == 0 {
			t.Errorf("never %s: %v", want, got)
		}
	}
	for s := range got {
		if strings.Contains(s, "?") {
			t.Errorf("a page is neither old, new nor torn: %v", got)
		}
	}
}

func TestPreallocatedFile(t *testing.T) {
	f := memfs.New()
	file := create(t, f, "a", nil)
	must(t, file.Preallocate(1<<26)) // costs no memory to speak of
	must(t, file.Sync())
	must(t, f.SyncDir("."))
	_, err := file.WriteAt([]byte("abc"), 1<<20)
	must(t, err)
	c := f.CrashClone(rand.New(rand.NewPCG(1, 1)))
	st, err := c.Stat("a")
	must(t, err)
	if st.Size() != 1<<26 {
		t.Errorf("size %d after a crash", st.Size())
	}
	must(t, file.Truncate(1<<20+1))
	got := map[int64]int{}
	for seed := range uint64(50) {
		st, err := f.CrashClone(rand.New(rand.NewPCG(seed, 9))).Stat("a")
		must(t, err)
		got[st.Size()]++
	}
	if len(got) != 2 || got[1<<26] == 0 || got[1<<20+1] == 0 {
		t.Errorf("sizes after a cut that was not synced: %v", got)
	}
}

func TestClonesAreIndependent(t *testing.T) {
	f := memfs.New()
	file := create(t, f, "a", []byte("one"))
	must(t, file.Sync())
	must(t, f.SyncDir("."))
	lock, err := f.Lock("lock")
	must(t, err)
	defer lock.Close()
	f.Limit(10)
	c := f.CrashClone(rand.New(rand.NewPCG(1, 1)))
	_, err = file.WriteAt([]byte("two"), 0)
	must(t, err)
	must(t, file.Sync())
	w, err := c.OpenRW("a")
	must(t, err)
	_, err = w.WriteAt([]byte("O"), 0)
	must(t, err)
	if l, err := c.Lock("lock"); err != nil {
		t.Errorf("a lock survived the crash: %v", err)
	} else {
		l.Close()
	}
	if c.Free() != -1 {
		t.Errorf("the clone has %d bytes free, want no limit", c.Free())
	}
	for name, want := range map[string]string{"clone": "One", "original": "two"} {
		g := map[string]*memfs.FS{"clone": c, "original": f}[name]
		if b, err := vfs.ReadFile(g, "a"); err != nil || string(b) != want {
			t.Errorf("%s holds %q, %v; want %q", name, b, err, want)
		}
	}
}

func TestLimit(t *testing.T) {
	f := memfs.New()
	f.Limit(10)
	file := create(t, f, "a", []byte("12345678"))
	n, err := file.Write([]byte("abcd"))
	if n != 2 || !vfs.IsFull(err) {
		t.Errorf("wrote %d, %v; want 2 and no space", n, err)
	}
	if err := file.Preallocate(11); !vfs.IsFull(err) {
		t.Errorf("preallocate: %v", err)
	}
	if err := file.Truncate(11); !vfs.IsFull(err) {
		t.Errorf("truncate: %v", err)
	}
	if _, err := file.WriteAt([]byte("xyz"), 0); err != nil {
		t.Errorf("overwrite on a full disk: %v", err)
	}
	other := create(t, f, "b", nil)
	if _, err := other.Write([]byte("x")); !vfs.IsFull(err) {
		t.Errorf("write to another file: %v", err)
	}
	must(t, f.Remove("a"))
	if f.Used() != 10 {
		t.Errorf("%d bytes used while the removed file is open, want 10", f.Used())
	}
	must(t, file.Close())
	if f.Used() != 0 || f.Free() != 10 {
		t.Errorf("%d used, %d free after the last handle went", f.Used(), f.Free())
	}
	f.Limit(-1)
	if f.Free() != -1 {
		t.Errorf("Free() = %d without a limit", f.Free())
	}
}

// model is a plain history of an append-only file, for the property below.
type model struct {
	synced  []byte // content at the last Sync
	written []byte // content now
	named   bool   // the folder was synced after create
}

// A random program of appends, overwrites, syncs and folder syncs, crashed after
// each step: what was synced is there, and what is there was written.
func TestCrashProperty(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 10))
		f := memfs.New()
		file, err := f.Create("a")
		must(t, err)
		m := model{}
		for step := range 40 {
			switch rng.IntN(4) {
			case 0:
				must(t, file.Sync())
				m.synced = bytes.Clone(m.written)
			case 1:
				must(t, f.SyncDir("."))
				m.named = true
			default:
				p := bytes.Repeat([]byte{byte(step + 1)}, 1+rng.IntN(6000))
				_, err := file.WriteAt(p, int64(len(m.written)))
				must(t, err)
				m.written = append(m.written, p...)
			}
			c := f.CrashClone(rng)
			got, err := vfs.ReadFile(c, "a")
			if errors.Is(err, fs.ErrNotExist) && !m.named {
				continue
			}
			must(t, err)
			m.check(t, fmt.Sprintf("seed %d, step %d", seed, step), got)
			again, err := vfs.ReadFile(c.CrashClone(rng), "a") // nothing is left to lose
			if err != nil || !bytes.Equal(again, got) {
				t.Fatalf("seed %d, step %d: a second crash changed the file: %v", seed, step, err)
			}
		}
	}
}

func (m *model) check(t *testing.T, when string, got []byte) {
	t.Helper()
	if len(got) < len(m.synced) || len(got) > len(m.written) || !bytes.Equal(got[:len(m.synced)], m.synced) {
		t.Fatalf("%s: %d bytes, of %d synced and %d written", when, len(got), len(m.synced), len(m.written))
	}
	for i := len(m.synced); i < len(got); i++ {
		if got[i] != m.written[i] && got[i] != 0 {
			t.Fatalf("%s: byte %d is %d, which was never written there", when, i, got[i])
		}
	}
}

func TestSameSeedSameCrash(t *testing.T) {
	f := memfs.New()
	for i := range 20 {
		create(t, f, fmt.Sprint("f", i), bytes.Repeat([]byte{byte(i)}, i*1000))
	}
	want := ""
	for range 5 {
		got := f.CrashClone(rand.New(rand.NewPCG(3, 3))).String()
		if want == "" {
			want = got
		}
		if got != want {
			t.Fatalf("one seed, two outcomes:\n%s\n\n%s", want, got)
		}
	}
}

func BenchmarkCrashClone(b *testing.B) {
	f := memfs.New()
	file, err := f.Create("journal")
	if err != nil {
		b.Fatal(err)
	}
	if err := file.Preallocate(64 << 20); err != nil {
		b.Fatal(err)
	}
	for i := range int64(100) {
		file.WriteAt(make([]byte, 500), i*500)
	}
	file.Sync()
	rng := rand.New(rand.NewPCG(1, 1))
	for b.Loop() {
		f.CrashClone(rng)
	}
}
