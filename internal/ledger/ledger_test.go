package ledger

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/vfs"
	"github.com/meshtrail/meshtrail/internal/vfs/faultfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

// long asks for the versions of the tests that take minutes.
var long = os.Getenv("MESHTRAIL_LONG") != ""

const origin = "meshtrail.test/1"

var birth = time.Unix(1_700_000_000, 0)

// testKeys returns the signer and verifier of a fixed seed.
func testKeys(t testing.TB, seed byte) (note.Signer, note.Verifier) {
	t.Helper()
	skey, vkey := generate(t, seed)
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	return signer, verifier
}

func generate(t testing.TB, seed byte) (skey, vkey string) {
	t.Helper()
	skey, vkey, err := note.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{seed}, ed25519.SeedSize)), origin)
	if err != nil {
		t.Fatal(err)
	}
	return skey, vkey
}

func verifierKey(t testing.TB) string {
	_, vkey := generate(t, 1)
	return vkey
}

func create(t testing.TB, fsys vfs.FS) {
	t.Helper()
	signer, _ := testKeys(t, 1)
	if err := Create(fsys, signer, origin, birth, "test"); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, fsys vfs.FS) *Ledger {
	t.Helper()
	l, err := tryOpen(t, fsys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func tryOpen(t testing.TB, fsys vfs.FS) (*Ledger, error) {
	signer, verifier := testKeys(t, 1)
	return Open(Options{FS: fsys, Signer: signer, Verifier: verifier})
}

// epoch is a leaf that is told from others by n.
func epoch(n int) Epoch {
	return Epoch{At: birth.UnixNano() + int64(n), Reason: "interval", JournalSeq: uint64(n), Part: 1, Parts: 1, Sources: []Source{}}
}

// appendN appends n epochs, numbered by their index, in one call.
func appendN(t testing.TB, l *Ledger, n int) Checkpoint {
	t.Helper()
	cp, err := l.Append(context.Background(), epochs(l, n)...)
	if err != nil {
		t.Fatal(err)
	}
	return cp
}

func epochs(l *Ledger, n int) []any {
	var leaves []any
	for i := range n {
		leaves = append(leaves, epoch(int(l.Checkpoint().Size)+i))
	}
	return leaves
}

// check reads every leaf back and compares the head with a tree that package
// tlog builds by itself.
func check(t testing.TB, l *Ledger) {
	t.Helper()
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(idx []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(idx))
		for i, x := range idx {
			out[i] = stored[x]
		}
		return out, nil
	})
	cp := l.Checkpoint()
	n := int64(0)
	err := l.Entries(0, cp.Size, func(i int64, leaf []byte) error {
		if i != n {
			return fmt.Errorf("leaf %d visited as %d", n, i)
		}
		d, err := Decode(leaf)
		if err != nil {
			return err
		}
		if e, ok := d.Value.(Epoch); i > 0 && (!ok || e.JournalSeq != uint64(i)) {
			return fmt.Errorf("leaf %d is %s", i, leaf)
		}
		h, err := tlog.StoredHashes(i, leaf, reader)
		stored = append(stored, h...)
		n++
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	root, err := tlog.TreeHash(cp.Size, reader)
	if err != nil {
		t.Fatal(err)
	}
	if n != cp.Size || root != tlog.Hash(cp.Root) {
		t.Fatalf("%d leaves give %v, checkpoint says %d, %v", n, root, cp.Size, tlog.Hash(cp.Root))
	}
}

func TestGrow(t *testing.T) {
	// 66,000 leaves reach the third level of tiles.
	total := int64(3000)
	if long {
		total = 66_000
	}
	m := memfs.New()
	create(t, m)
	l := open(t, m)
	rng := rand.New(rand.NewPCG(1, 0))
	var cps []Checkpoint
	for l.Checkpoint().Size < total {
		n := 1 + rng.IntN(3)
		if rng.IntN(4) == 0 {
			n = rng.IntN(3000)
		}
		cp := appendN(t, l, n)
		if len(cps) < 40 {
			cps = append(cps, cp)
		}
		if rng.IntN(20) == 0 {
			l.Close()
			l = open(t, m)
			if got := l.Checkpoint(); got.Root != cp.Root || got.Size != cp.Size || got.At != cp.At {
				t.Fatalf("reopened at %+v, want %+v", got, cp)
			}
		}
	}
	check(t, l)
	head := l.Checkpoint()
	for range 200 {
		i := rng.Int64N(head.Size)
		size := i + 1 + rng.Int64N(head.Size-i)
		p, err := l.Prove(i, head.Size)
		if err != nil {
			t.Fatal(err)
		}
		var leaf []byte
		l.Entries(i, i+1, func(_ int64, b []byte) error { leaf = bytes.Clone(b); return nil })
		if err := tlog.CheckRecord(p, head.Size, head.Root, i, tlog.RecordHash(leaf)); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Prove(i, size); err != nil {
			t.Fatalf("prove %d in %d: %v", i, size, err)
		}
	}
	for _, cp := range cps {
		p, err := l.ProveConsistency(cp.Size, head.Size)
		if err != nil {
			t.Fatal(err)
		}
		if err := tlog.CheckTree(p, head.Size, head.Root, cp.Size, cp.Root); err != nil {
			t.Fatal(err)
		}
	}
	files := 0
	walkTiles(m, func(name string, tl tlog.Tile, ok bool) error {
		files++
		if want, in := TileAt(tl.L, tl.N, head.Size); !ok || !in || want != tl {
			t.Errorf("superseded tile %s stays", name)
		}
		return nil
	})
	if files == 0 {
		t.Error("no tiles")
	}
}

func TestBirthIsNotWaking(t *testing.T) {
	m := memfs.New()
	if _, err := tryOpen(t, m); !fault.Is(err, fault.NotFound) || fault.HintOf(err) == "" {
		t.Errorf("open of nothing: %v", err)
	}
	if list, _ := m.ReadDir("."); len(list) != 0 {
		t.Errorf("opening nothing made %v", list)
	}
	create(t, m)
	signer, _ := testKeys(t, 1)
	if err := Create(m, signer, origin, birth, "test"); !fault.Is(err, fault.Conflict) {
		t.Errorf("second create: %v", err)
	}
	l := open(t, m)
	if _, err := tryOpen(t, m); !fault.Is(err, fault.Conflict) {
		t.Errorf("second open: %v", err)
	}
	appendN(t, l, 3)
	l.Close()
	if _, err := l.Append(context.Background(), epoch(4)); !fault.Is(err, fault.Unavailable) {
		t.Errorf("append after close: %v", err)
	}
	// A history that lost its checkpoint is not an empty folder.
	m.Remove(CheckpointFile)
	if err := Create(m, signer, origin, birth, "test"); !fault.Is(err, fault.Conflict) {
		t.Errorf("create over tiles: %v", err)
	}
	for _, bad := range []string{"", " x", "a\nb"} {
		if err := Create(memfs.New(), signer, bad, birth, "test"); !fault.Is(err, fault.Invalid) {
			t.Errorf("origin %q: %v", bad, err)
		}
	}
}

func TestWrongKeys(t *testing.T) {
	m := memfs.New()
	create(t, m)
	signer, _ := testKeys(t, 1)
	otherSigner, otherVerifier := testKeys(t, 2)
	if _, err := Open(Options{FS: m, Signer: otherSigner, Verifier: otherVerifier}); !fault.Is(err, fault.Tampered) {
		t.Errorf("other keys: %v", err)
	}
	if _, err := Open(Options{FS: m, Signer: signer, Verifier: otherVerifier}); !fault.Is(err, fault.Invalid) {
		t.Errorf("mixed keys: %v", err)
	}
	if _, err := Open(Options{FS: m, Signer: signer}); !fault.Is(err, fault.Invalid) {
		t.Errorf("no verifier: %v", err)
	}
}

func TestAppendRefuses(t *testing.T) {
	m := memfs.New()
	create(t, m)
	l := open(t, m)
	head := l.Checkpoint()
	f := func(want fault.Kind, leaf any) {
		t.Helper()
		if _, err := l.Append(context.Background(), epoch(1), leaf); !fault.Is(err, want) {
			t.Errorf("append %T: %v, want %v", leaf, err, want)
		}
	}
	f(fault.Internal, "text")
	f(fault.Internal, nil)
	f(fault.Internal, (*Epoch)(nil))
	f(fault.TooLarge, Damage{Detail: strings.Repeat("x", MaxLeaf)})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := l.Append(ctx, epoch(1)); !fault.Is(err, fault.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if cp, err := l.Append(context.Background()); err != nil || cp.Size != head.Size {
		t.Errorf("append nothing: %v, %v", cp, err)
	}
	check(t, l)
	if l.Checkpoint().Size != 1 {
		t.Error("a refused append grew the ledger")
	}
}

// sizes are the appends of the crash and fault tests: partial, full, and over
// a tile.
var sizes = []int{1, 2, 250, 2, 1, 300, 1}

// TestCrash takes the power away before every file operation of a run.
func TestCrash(t *testing.T) {
	m := memfs.New()
	f := faultfs.Wrap(m)
	rng := rand.New(rand.NewPCG(2, 0))
	durable, trying := int64(0), int64(1)
	clones, perPoint := 0, 2
	if long {
		perPoint = 20
	}
	f.Watch(func(op faultfs.Op, name string) {
		if op == faultfs.Open || op == faultfs.Read {
			return
		}
		for range perPoint {
			clones++
			c := m.CrashClone(rng)
			l, err := tryOpen(t, c)
			if durable == 0 && fault.Is(err, fault.NotFound) {
				create(t, c) // a Create that crashed can be done again
				continue
			}
			if err != nil {
				t.Fatalf("before %v %s, %d durable, trying %d: %v\n%v", op, name, durable, trying, err, c)
			}
			if got := l.Checkpoint().Size; got != durable && got != trying {
				t.Fatalf("before %v %s: %d leaves, want %d or %d", op, name, got, durable, trying)
			}
			appendN(t, l, 1+rng.IntN(4)) // over what the crash left
			l.Close()
			l = open(t, c)
			check(t, l)
			l.Close()
		}
	})
	create(t, f)
	durable = 1
	l := open(t, f)
	for _, n := range sizes {
		trying = durable + int64(n)
		durable = appendN(t, l, n).Size
	}
	f.Watch(nil)
	if clones < 50*perPoint {
		t.Errorf("only %d crash clones", clones)
	}
	t.Logf("%d crash clones", clones)
}

// TestFaults fails each file operation of a run, in every way.
func TestFaults(t *testing.T) {
	ops := []faultfs.Op{faultfs.Create, faultfs.Write, faultfs.Sync, faultfs.Rename, faultfs.Remove, faultfs.SyncDir}
	for _, op := range ops {
		for _, mode := range []faultfs.Mode{faultfs.NotDone, faultfs.DoneButFailed, faultfs.Half} {
			for n := 1; ; n++ {
				if !faultRun(t, op, mode, n) {
					break
				}
			}
		}
	}
}

// faultRun makes the n-th operation fail, and reports whether it was reached.
func faultRun(t *testing.T, op faultfs.Op, mode faultfs.Mode, n int) bool {
	t.Helper()
	where := fmt.Sprintf("%v %d, mode %d", op, n, mode)
	m := memfs.New()
	create(t, m)
	f := faultfs.Wrap(m)
	l := open(t, f)
	before := f.Count(op)
	f.Arm(n, op, mode, syscall.EIO)
	durable := l.Checkpoint().Size
	for _, k := range sizes {
		cp, err := l.Append(context.Background(), epochs(l, k)...)
		if err == nil {
			durable = cp.Size
			continue
		}
		unknown := errors.Is(err, ErrPoisoned)
		if l.Checkpoint().Size != durable {
			t.Fatalf("%s: a failed append is visible", where)
		}
		if _, again := l.Append(context.Background(), epochs(l, k)...); unknown != (again != nil) {
			t.Fatalf("%s: append after %v: %v", where, err, again)
		} else if again == nil {
			durable += int64(k)
			continue
		}
		l.Close()
		l = open(t, f)
		if got := l.Checkpoint().Size; got != durable && got != durable+int64(k) {
			t.Fatalf("%s: reopened with %d leaves, want %d or %d", where, got, durable, durable+int64(k))
		}
		durable = l.Checkpoint().Size
	}
	l.Close()
	c := m.CrashClone(rand.New(rand.NewPCG(3, 0)))
	l = open(t, c)
	if l.Checkpoint().Size != durable {
		t.Fatalf("%s: %d leaves after a crash, want %d", where, l.Checkpoint().Size, durable)
	}
	check(t, l)
	return f.Count(op)-before >= n
}

func TestDiskFull(t *testing.T) {
	m := memfs.New()
	create(t, m)
	l := open(t, m)
	appendN(t, l, 200)
	for room := int64(0); room < 20_000; room += 137 {
		head := l.Checkpoint()
		m.Limit(m.Used() + room)
		_, err := l.Append(context.Background(), epochs(l, 70)...)
		m.Limit(-1)
		if err == nil {
			break
		}
		if !fault.Is(err, fault.Unavailable) || !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrPoisoned) {
			t.Fatalf("with %d bytes of room: %v", room, err)
		}
		if l.Checkpoint().Size != head.Size {
			t.Fatal("a failed append is visible")
		}
	}
	appendN(t, l, 70)
	check(t, l)
	l.Close()
	check(t, open(t, m))
}

// TestOpenNotices flips each byte that Open promises to check.
func TestOpenNotices(t *testing.T) {
	m := memfs.New()
	create(t, m)
	l := open(t, m)
	appendN(t, l, 5)
	l.Close()
	for _, name := range []string{CheckpointFile, "tile/0/000.p/6", "tile/entries/000.p/6"} {
		f, err := m.OpenRW(name)
		if err != nil {
			t.Fatal(err)
		}
		st, _ := f.Stat()
		for off := range st.Size() {
			flip(t, f, off)
			if l, err := tryOpen(t, m); err == nil {
				l.Close()
				t.Errorf("%s: changed byte %d not noticed", name, off)
			} else if !fault.Is(err, fault.Tampered) {
				t.Errorf("%s: byte %d: %v", name, off, err)
			}
			flip(t, f, off)
		}
		f.Truncate(st.Size() - 1)
		if _, err := tryOpen(t, m); !fault.Is(err, fault.Tampered) {
			t.Errorf("cut %s: %v", name, err)
		}
		m.Remove(name)
		if _, err := tryOpen(t, m); !fault.Is(err, fault.Tampered) && name != CheckpointFile {
			t.Errorf("removed %s: %v", name, err)
		}
		m = memfs.New()
		create(t, m)
		l := open(t, m)
		appendN(t, l, 5)
		l.Close()
	}
}

func flip(t testing.TB, f vfs.File, off int64) {
	t.Helper()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x01
	if _, err := f.WriteAt(b[:], off); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkAppend(b *testing.B) {
	fsys, err := vfs.Dir(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	create(b, fsys)
	l := open(b, fsys)
	for b.Loop() {
		appendN(b, l, 2)
	}
}
