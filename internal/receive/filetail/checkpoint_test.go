package filetail

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"syscall"
	"testing"

	"github.com/meshtrail/meshtrail/internal/vfs"
	"github.com/meshtrail/meshtrail/internal/vfs/faultfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

func opened(t *testing.T, fsys vfs.FS) *checkpoint {
	t.Helper()
	c, err := openCheckpoint(fsys, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// files is the number of files in sample.
const files = 5

// sample writes a checkpoint with changes of every kind, and returns its states.
func sample(t *testing.T, fsys vfs.FS) map[string]fileState {
	t.Helper()
	c := opened(t, fsys)
	for i := range files {
		st := fileState{Key: fmt.Sprint("k", i), Path: "/x", ident: ident{Dev: 1, Ino: uint64(i)}, Off: 10, Head: print{3, 1 << 63}}
		must(t, c.write(false, &change{File: &st}))
		must(t, c.write(true, &change{Intent: &intent{Lane: i % 2, Origin: fmt.Sprint("o", i%2), Epoch: c.epoch, Seq: uint64(i), Regions: []region{{Key: st.Key, From: 10, To: 20, Sum: 7}}}}))
		if i < 4 {
			st.Off = 20
			must(t, c.write(false, &change{Done: &doneInfo{Lane: i % 2, Files: []fileState{st}}}))
		}
	}
	must(t, c.write(false, &change{Gone: []string{"k0"}}))
	states, intents := c.remembered()
	if len(intents) != 1 || intents[0].Seq != 4 || len(states) != files-1 {
		t.Fatalf("%v %v", states, intents)
	}
	must(t, c.close())
	return states
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestCheckpointRemembers(t *testing.T) {
	fsys := memfs.New()
	states := sample(t, fsys)
	c := opened(t, fsys)
	defer c.close()
	got, intents := c.remembered()
	if !reflect.DeepEqual(got, states) || len(intents) != 1 || intents[0].Regions[0].To != 20 || c.first || c.lost {
		t.Errorf("got %v %v", got, intents)
	}
}

func TestEpochAlwaysGrows(t *testing.T) {
	fsys, last, id := memfs.New(), uint64(0), ""
	for range 5 {
		c := opened(t, fsys)
		if c.epoch <= last || id != "" && c.id != id {
			t.Fatalf("epoch %d after %d, id %s after %s", c.epoch, last, c.id, id)
		}
		last, id = c.epoch, c.id
		must(t, c.close())
	}
}

// TestDamagedCheckpointIsNeverAhead flips every byte of the newest checkpoint
// and cuts it at every length: what is read is at most what was true.
func TestDamagedCheckpointIsNeverAhead(t *testing.T) {
	clean := memfs.New()
	states := sample(t, clean)
	gens, err := generations(clean)
	must(t, err)
	newest := name(gens[len(gens)-1])
	content, err := vfs.ReadFile(clean, newest)
	must(t, err)
	try := func(what string, b []byte) {
		t.Helper()
		m := newMemory()
		m.replay(b)
		for key, st := range m.files {
			if truth, ok := states[key]; ok && st.Off > truth.Off {
				t.Errorf("%s: offset %d of %s is ahead of %d", what, st.Off, key, truth.Off)
			}
		}
		fsys := memfs.New()
		must(t, vfs.WriteFile(fsys, newest, b))
		c := opened(t, fsys)
		if c.first || c.lost != !m.ready {
			t.Errorf("%s: first %v, lost %v: a damaged checkpoint was taken for none", what, c.first, c.lost)
		}
		must(t, c.close())
	}
	for i := range content {
		b := bytes.Clone(content)
		b[i] ^= 1 << (i % 8)
		try(fmt.Sprint("flipped ", i), b)
		if i%7 == 0 {
			try(fmt.Sprint("cut ", i), content[:i])
		}
	}
}

func TestOlderGenerationIsTheFallback(t *testing.T) {
	fsys := memfs.New()
	states := sample(t, fsys)
	must(t, opened(t, fsys).close()) // the next generation
	gens, err := generations(fsys)
	must(t, err)
	if len(gens) != 2 {
		t.Fatalf("generations %v", gens)
	}
	must(t, fsys.Remove(name(gens[1])))
	must(t, vfs.WriteFile(fsys, name(gens[1]), []byte("garbage")))
	c := opened(t, fsys)
	defer c.close()
	if got, _ := c.remembered(); !reflect.DeepEqual(got, states) || c.lost {
		t.Errorf("got %v, lost %v", got, c.lost)
	}
}

func TestCheckpointRotatesWhileItGrows(t *testing.T) {
	fsys := memfs.New()
	c := opened(t, fsys)
	st := fileState{Key: "k", Path: "/x"}
	for st.Off < 20_000 {
		st.Off++
		must(t, c.write(false, &change{Done: &doneInfo{Files: []fileState{st}}}))
	}
	if c.gen < 3 || c.size > 2*minCheckpoint {
		t.Errorf("generation %d, %d bytes", c.gen, c.size)
	}
	must(t, c.close())
	c = opened(t, fsys)
	defer c.close()
	if got, _ := c.remembered(); got["k"].Off != 20_000 {
		t.Errorf("offset %d", got["k"].Off)
	}
}

// TestCheckpointFaults fails each operation once, done and not done, while lines
// are read: nothing is lost or doubled.
func TestCheckpointFaults(t *testing.T) {
	for _, op := range []faultfs.Op{faultfs.Write, faultfs.Sync, faultfs.SyncDir, faultfs.Create} {
		for _, mode := range []faultfs.Mode{faultfs.NotDone, faultfs.DoneButFailed, faultfs.Half} {
			for n := 3; n < 9; n += 4 {
				t.Logf("operation %v, mode %v, the %dth", op, mode, n)
				dir, mem, o := t.TempDir(), memfs.New(), newOracle()
				ffs := faultfs.Wrap(mem)
				w := &writer{t: t, path: filepath.Join(dir, "app.log")}
				_, stop := start(t, quick(dir), ffs, o)
				ffs.Arm(n, op, mode, syscall.EIO)
				for range 6 {
					w.line()
					want(t, o, w.all()...)
				}
				stop()
				w.line()
				_, stop = start(t, quick(dir), mem.CrashClone(rand.New(rand.NewPCG(uint64(n), 1))), o)
				want(t, o, w.all()...)
				stop()
			}
		}
	}
}

func FuzzCheckpoint(f *testing.F) {
	f.Add(appendChange(appendChange(nil, &change{Run: &runInfo{ID: "x", Epoch: 3}}), &change{Ready: true}))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := newMemory()
		n := m.replay(b)
		again := newMemory()
		if again.replay(b[:n]) != n || !reflect.DeepEqual(m, again) {
			t.Fatal("the understood part reads differently alone")
		}
	})
}
