package journal

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/vfs/faultfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

// oracle knows what appenders were told.
type oracle struct {
	mu       sync.Mutex
	acked    map[uint64]uint64 // payload number by seq
	tried    map[uint64]bool   // payload numbers
	released uint64
	head     Position // newest head that somebody could have anchored
}

func newOracle() *oracle {
	return &oracle{acked: map[uint64]uint64{}, tried: map[uint64]bool{}}
}

// snapshot is what holds at one moment.
type snapshot struct {
	acked    map[uint64]uint64
	released uint64
	head     Position
}

func (o *oracle) snapshot() snapshot {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := snapshot{map[uint64]uint64{}, o.released, o.head}
	for k, v := range o.acked {
		s.acked[k] = v
	}
	return s
}

// checkSurvivor opens what a crash left and holds it against what was
// acknowledged before: nothing lost, nothing twice, order kept, no damage seen.
func checkSurvivor(t *testing.T, m *memfs.FS, s snapshot, anchored bool) {
	t.Helper()
	o := Options{FS: m, FileSize: 6000}
	if anchored {
		o.Anchor = &s.head
	}
	j, rec := mustOpen(t, o)
	if rec.Damage != nil {
		t.Fatalf("a crash looks like damage: %+v", rec)
	}
	seen := map[uint64]bool{}
	got := map[uint64]uint64{}
	last := uint64(0)
	err := j.Replay(t.Context(), 0, func(seq uint64, p []byte) error {
		n := payloadNumber(t, p)
		if seen[n] {
			t.Fatalf("payload %d is there twice", n)
		}
		if last != 0 && seq != last+1 {
			t.Fatalf("seq %d after %d", seq, last)
		}
		seen[n], got[seq], last = true, n, seq
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for seq, n := range s.acked {
		if g, ok := got[seq]; seq > s.released && (!ok || g != n) {
			t.Fatalf("acknowledged payload %d (seq %d) is lost: found %d, %v; head %v, recovery %+v", n, seq, g, ok, j.Head(), rec)
		}
	}
	// It goes on.
	if _, err := j.Append(t.Context(), payload(1<<40, 30), nil); err != nil {
		t.Fatal(err)
	}
	head := j.Head()
	closeJournal(t, j)
	if rep, err := Verify(m, &head); err != nil || len(rep.Findings) > 0 {
		t.Fatalf("verify after recovery: %+v %v", rep, err)
	}
}

// randomRun appends from several goroutines, releases now and then, and reopens
// once in the middle.
func randomRun(t *testing.T, fs *faultfs.FS, rng *rand.Rand, o *oracle, appends int) {
	var number uint64
	for range 2 {
		j, _ := mustOpen(t, Options{FS: fs, FileSize: 6000, MaxQueued: 4000})
		for round := 0; round < appends/2; {
			burst := 1 + rng.IntN(6)
			var wg sync.WaitGroup
			for range burst {
				n, size := number, 8+rng.IntN(1500)
				number++
				o.mu.Lock()
				o.tried[n] = true
				o.mu.Unlock()
				wg.Go(func() {
					seq, err := j.Append(t.Context(), payload(n, size), nil)
					if err == nil {
						o.mu.Lock()
						o.acked[seq] = n
						o.mu.Unlock()
					}
				})
			}
			wg.Wait()
			round += burst
			o.mu.Lock()
			o.head = j.Head()
			upto := o.head.Seq / 2
			if rng.IntN(8) == 0 {
				o.released = max(o.released, upto)
			}
			upto = o.released
			o.mu.Unlock()
			if err := j.Release(upto); err != nil && !errors.Is(err, syscall.EIO) {
				t.Error(err)
			}
		}
		j.Close()
	}
}

func TestPowerLossAtEverySyncPoint(t *testing.T) {
	want := 200
	if long() {
		want = 1000
	}
	clones := 0
	for seed := uint64(1); clones < want; seed++ {
		rng := rand.New(rand.NewPCG(seed, 2))
		m := newFolder(t)
		fs := faultfs.Wrap(m)
		o := newOracle()
		type crash struct {
			m *memfs.FS
			s snapshot
		}
		var crashes []crash
		var mu sync.Mutex
		cloneRng := rand.New(rand.NewPCG(seed, 3))
		fs.Watch(func(op faultfs.Op, _ string) {
			// Before each change of the disk: whatever came before it may be
			// there or not.
			switch op {
			case faultfs.Sync, faultfs.SyncDir, faultfs.Rename, faultfs.Remove, faultfs.Truncate:
				mu.Lock()
				defer mu.Unlock()
				// The snapshot comes first: what is acknowledged later may not
				// be in the clone.
				s := o.snapshot()
				crashes = append(crashes, crash{m.CrashClone(cloneRng), s})
			}
		})
		randomRun(t, fs, rng, o, 60)
		for i, c := range crashes {
			checkSurvivor(t, c.m, c.s, i%2 == 0)
		}
		clones += len(crashes)
	}
	t.Logf("%d crash clones", clones)
}

// TestEveryFault makes each operation of a trace fail once, in each way. Nothing
// acknowledged may be lost, whatever fails, also across power loss afterwards;
// and after a failed sync nothing may be acknowledged.
func TestEveryFault(t *testing.T) {
	const appends = 130
	run := func(n int, mode faultfs.Mode, cause error) (fired bool) {
		name := fmt.Sprintf("operation %d mode %d %v", n, mode, cause)
		m := newFolder(t)
		fs := faultfs.Wrap(m)
		var poisoned atomic.Int32
		j, _, err := Open(Options{FS: fs, Key: testKey(1), FileSize: 3000, Poisoned: func(error) { poisoned.Add(1) }})
		if err != nil {
			t.Fatal(err)
		}
		fs.Arm(n, faultfs.Any, mode, cause)
		start := fs.Count(faultfs.Any)
		var syncFailed, releasing bool // guarded by the order of Append and Release
		left := n
		fs.Watch(func(op faultfs.Op, _ string) {
			if left--; left == 0 {
				syncFailed = !releasing && (op == faultfs.Sync || op == faultfs.SyncDir)
			}
		})
		o := newOracle()
		for i := range uint64(appends) {
			seq, err := j.Append(t.Context(), payload(i, 120), nil)
			switch {
			case err == nil:
				if syncFailed {
					t.Fatalf("%s: acknowledged after poison", name)
				}
				o.acked[seq] = i
			case !fault.Is(err, fault.Unavailable):
				t.Fatalf("%s: append: %v", name, err)
			}
			o.head = j.Head()
			if i%20 == 19 {
				o.released = max(o.released, i-10)
				releasing = true
				j.Release(o.released) // may fail, and is called again
				releasing = false
			}
		}
		poison := syncFailed
		fired = fs.Count(faultfs.Any)-start >= n
		if fired && !poison && len(o.acked) < appends-1 {
			t.Fatalf("%s: only %d of %d appends succeeded", name, len(o.acked), appends)
		}
		clone := m.CrashClone(rand.New(rand.NewPCG(uint64(n), uint64(mode))))
		err = j.Close()
		if got := poisoned.Load(); poison && got != 1 || !poison && got != 0 {
			t.Fatalf("%s: poisoned %d times, sync failed %v", name, poisoned.Load(), poison)
		}
		if (err != nil) != poison && fs.Count(faultfs.Any)-start < n {
			t.Fatalf("%s: close: %v", name, err)
		}
		fs.Watch(nil)
		checkSurvivor(t, clone, o.snapshot(), true)
		checkSurvivor(t, m, o.snapshot(), true)
		return fired
	}
	ops := 0
	for n := 1; ; n++ {
		fired := run(n, faultfs.NotDone, syscall.EIO)
		run(n, faultfs.DoneButFailed, syscall.EIO)
		run(n, faultfs.Half, syscall.ENOSPC)
		if !fired {
			break
		}
		ops++
	}
	if ops < 300 {
		t.Fatalf("the trace has only %d operations", ops)
	}
	t.Logf("%d operations", ops)
}

// TestFaultsWhileOpening does the same to recovery itself.
func TestFaultsWhileOpening(t *testing.T) {
	for n := 1; ; n++ {
		done := 0
		for _, mode := range []faultfs.Mode{faultfs.NotDone, faultfs.DoneButFailed} {
			m := newFolder(t)
			j, _ := mustOpen(t, Options{FS: m, FileSize: 3000})
			o := newOracle()
			for i := range uint64(40) {
				seq, err := j.Append(t.Context(), payload(i, 120), nil)
				if err != nil {
					t.Fatal(err)
				}
				o.acked[seq] = i
			}
			o.head = j.Head()
			crashed := m.CrashClone(rand.New(rand.NewPCG(1, 1)))
			closeJournal(t, j)

			fs := faultfs.Wrap(crashed)
			fs.Arm(n, faultfs.Any, mode, io.ErrUnexpectedEOF)
			j, rec, err := Open(Options{FS: fs, Key: testKey(1), Anchor: &o.head})
			if fs.Count(faultfs.Any) < n {
				done++
			}
			if err == nil {
				if rec.Damage != nil {
					t.Fatalf("operation %d: %+v", n, rec)
				}
				j.Close()
			}
			clone := crashed.CrashClone(rand.New(rand.NewPCG(uint64(n), 1)))
			checkSurvivor(t, clone, o.snapshot(), true)
			checkSurvivor(t, crashed, o.snapshot(), true)
		}
		if done == 2 {
			break
		}
	}
}
