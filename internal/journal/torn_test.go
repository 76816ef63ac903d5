package journal

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/vfs/faultfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

func sealerOf(n byte) *crypt.Sealer { return crypt.NewSealer(testKey(n)) }

// watched calls f before each operation that changes the disk.
func watched(m *memfs.FS, f func()) *faultfs.FS {
	fs := faultfs.Wrap(m)
	fs.Watch(func(op faultfs.Op, _ string) {
		if op != faultfs.Read && op != faultfs.Open {
			f()
		}
	})
	return fs
}

// TestTornAtEveryByte cuts the last frame at each byte, with zeros, with noise
// and with nothing behind the cut.
func TestTornAtEveryByte(t *testing.T) {
	good, head := makeFolder(t, 4000, 1<<20)
	name := good.names()[0]
	data := good[name]
	starts := frameStarts(t, data)
	start := starts[len(starts)-1]
	noise := make([]byte, len(data))
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	for cut := start + 1; cut < len(data); cut++ {
		for kind, tail := range [][]byte{nil, make([]byte, 5000), noise[:len(data)-cut]} {
			if kind == 1 && allZero(data[cut:]) {
				continue // nothing is missing
			}
			f := folder{name: append(bytes.Clone(data[:cut]), tail...)}
			if kind == 2 && bytes.Equal(f[name], data) {
				continue
			}
			m := f.write(t)
			rep, err := Verify(m, nil)
			if err != nil || len(rep.Findings) != 1 || rep.Findings[0].Kind != Torn || rep.Findings[0].Offset != int64(start) || rep.Tampered() {
				t.Fatalf("cut %d tail %d: %+v %v", cut, kind, rep, err)
			}
			j, rec := mustOpen(t, Options{FS: m})
			if rec.Torn == nil || rec.Torn.Offset != int64(start) || rec.Damage != nil {
				t.Fatalf("cut %d tail %d: %+v", cut, kind, rec)
			}
			wantNumbers(t, replay(t, j, 0), 0, head.Seq-1)
			appendAll(t, j, head.Seq-1, head.Seq, 30)
			closeJournal(t, j)
			if rep, err := Verify(m, nil); err != nil || len(rep.Findings) > 0 {
				t.Fatalf("cut %d tail %d, after recovery: %+v %v", cut, kind, rep, err)
			}
			// The same bytes, with an anchor: somebody cut what was durable.
			if rep, err := Verify(f.write(t), &head); err != nil || !rep.Tampered() {
				t.Fatalf("cut %d tail %d with an anchor: %+v %v", cut, kind, rep, err)
			}
		}
	}
}

func allZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

// TestHoleInTheLastGroup: power loss may keep the end of a group and lose its
// beginning. That is a torn tail, and a hole in an earlier group is damage.
func TestHoleInTheLastGroup(t *testing.T) {
	c := newCipher(sealerOf(1), journalID{1})
	ch := newChain(journalID{1})
	h := header{id: journalID{1}, first: 1, commitment: commitment(testKey(1))}
	data, err := h.encode(c.sealer)
	if err != nil {
		t.Fatal(err)
	}
	prev := [32]byte{}
	var starts []int
	for seq := uint64(1); seq <= 9; seq++ {
		group := 1 + (seq-1)/3*3 // 1 1 1 4 4 4 7 7 7
		start := len(data)
		starts = append(starts, start)
		data, err = c.seal(appendFrameHeader(data, seq, group), payload(seq-1, 100), seq)
		if err != nil {
			t.Fatal(err)
		}
		prev = ch.finishFrame(data[start:], &prev)
	}
	for i, start := range starts {
		holed := bytes.Clone(data)
		clear(holed[start : start+120])
		m := folder{fileName(1): holed}.write(t)
		j, rec := mustOpen(t, Options{FS: m})
		n := uint64(len(replay(t, j, 0)))
		closeJournal(t, j)
		if n != uint64(i) {
			t.Errorf("hole in frame %d: %d frames are left", i+1, n)
		}
		torn := i >= 6
		if torn != (rec.Torn != nil) || torn == (rec.Damage != nil) {
			t.Errorf("hole in frame %d: %+v", i+1, rec)
		}
		if ambiguous := i == 6 || i == 7; ambiguous != (rec.Torn != nil && rec.Torn.Moved != "") {
			t.Errorf("hole in frame %d: torn %+v", i+1, rec.Torn)
		}
		rep, err := Verify(folder{fileName(1): holed}.write(t), nil)
		// Without the key one more frame behind the hole is needed as a proof.
		if err != nil || rep.Tampered() == torn {
			t.Errorf("hole in frame %d: %+v %v", i+1, rep, err)
		}
	}
}

// TestOpenMakesSurvivorsDurable: a process that died between write and sync
// leaves frames that nobody synced. Once Open has shown them they must stay.
func TestOpenMakesSurvivorsDurable(t *testing.T) {
	for seed := range uint64(20) {
		m := newFolder(t)
		fs := faultfs.Wrap(m)
		j, _ := mustOpen(t, Options{FS: fs, FileSize: 1 << 20})
		appendAll(t, j, 0, 5, 3000)
		fs.Arm(1, faultfs.Sync, faultfs.NotDone, syscall.EIO)
		if _, err := j.Append(t.Context(), payload(5, 3000), nil); !fault.Is(err, fault.Unavailable) {
			t.Fatal(err)
		}
		j.Close()
		j, _ = mustOpen(t, Options{FS: m})
		shown := replay(t, j, 0)
		clone := m.CrashClone(rand.New(rand.NewPCG(seed, 1)))
		closeJournal(t, j)
		j, rec := mustOpen(t, Options{FS: clone})
		if got := replay(t, j, 0); len(got) != len(shown) || rec.Damage != nil {
			t.Fatalf("%d frames were shown, %d are left: %+v", len(shown), len(got), rec)
		}
		closeJournal(t, j)
	}
}

// TestFailedCut: whole frames that could not be cut must not come back behind
// a shorter write.
func TestFailedCut(t *testing.T) {
	m := newFolder(t)
	fs := faultfs.Wrap(m)
	j, _ := mustOpen(t, Options{FS: fs, FileSize: 1 << 20})
	appendAll(t, j, 0, 3, 100)
	fs.Arm(1, faultfs.Write, faultfs.DoneButFailed, syscall.EIO)
	fs.Arm(1, faultfs.Truncate, faultfs.NotDone, syscall.EIO)
	if _, err := j.Append(t.Context(), payload(100, 9000), nil); !fault.Is(err, fault.Unavailable) {
		t.Fatal(err)
	}
	fs.Arm(1, faultfs.Truncate, faultfs.NotDone, syscall.EIO)
	if _, err := j.Append(t.Context(), payload(101, 50), nil); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("append before the cut: %v", err)
	}
	appendAll(t, j, 3, 4, 50)
	head := j.Head()
	if rep, err := Verify(m, &head); err != nil || len(rep.Findings) > 0 {
		t.Fatalf("%+v %v", rep, err)
	}
	closeJournal(t, j)
	j, _ = mustOpen(t, Options{FS: m})
	wantNumbers(t, replay(t, j, 0), 0, 4)
	closeJournal(t, j)
}

// TestRotationThatSucceededButFailed: the new file exists although rename
// reported an error. The old file must not take frames that the new one starts
// with.
func TestRotationThatSucceededButFailed(t *testing.T) {
	for _, op := range []faultfs.Op{faultfs.Rename, faultfs.Create, faultfs.Write, faultfs.Remove} {
		for _, mode := range []faultfs.Mode{faultfs.NotDone, faultfs.DoneButFailed} {
			m := newFolder(t)
			fs := faultfs.Wrap(m)
			j, _ := mustOpen(t, Options{FS: fs, FileSize: 4000})
			n := uint64(0)
			for ; j.Stats().Files == 0 && j.Size() < 3300; n++ {
				appendAll(t, j, n, n+1, 300)
			}
			fs.Arm(1, op, mode, syscall.EIO)
			j.Append(t.Context(), payload(1000, 900), nil) // does not fit: rotates
			appendAll(t, j, n, n+1, 10)                    // would fit into the old file
			n++
			appendAll(t, j, n, n+20, 300)
			head := j.Head()
			closeJournal(t, j)
			what := fmt.Sprintf("%v mode %d", op, mode)
			if rep, err := Verify(m, &head); err != nil || len(rep.Findings) > 0 {
				t.Fatalf("%s: %+v %v", what, rep, err)
			}
			j, rec := mustOpen(t, Options{FS: m, Anchor: &head})
			if rec.Damage != nil || rec.Torn != nil {
				t.Fatalf("%s: %+v", what, rec)
			}
			closeJournal(t, j)
		}
	}
}
