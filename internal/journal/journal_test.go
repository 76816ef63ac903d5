package journal

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/telemetry"
	"github.com/meshtrail/meshtrail/internal/vfs"
	"github.com/meshtrail/meshtrail/internal/vfs/faultfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// long reports whether the long versions of the tests run (make check).
func long() bool { return os.Getenv("MESHTRAIL_LONG") != "" }

func testKey(n byte) *crypt.Key {
	k, err := crypt.KeyFromBytes(bytes.Repeat([]byte{n}, crypt.KeySize))
	if err != nil {
		panic(err)
	}
	return k
}

// newFolder returns a memfs with an empty journal.
func newFolder(t testing.TB) *memfs.FS {
	t.Helper()
	m := memfs.New()
	if err := Create(m, testKey(1)); err != nil {
		t.Fatal(err)
	}
	return m
}

func mustOpen(t testing.TB, o Options) (*Journal, Recovery) {
	t.Helper()
	if o.Key == nil {
		o.Key = testKey(1)
	}
	if o.FileSize == 0 {
		o.FileSize = 16 << 10 // preallocating more costs the memory FS time
	}
	j, rec, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return j, rec
}

// payload is what frame-independent number n looks like: its number, then bytes
// that follow from it.
func payload(n uint64, size int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, n)
	r := rand.New(rand.NewPCG(n, 1))
	for len(b) < size {
		b = append(b, byte(r.Uint32()))
	}
	return b
}

func payloadNumber(t testing.TB, b []byte) uint64 {
	t.Helper()
	n := binary.LittleEndian.Uint64(b)
	if !bytes.Equal(b, payload(n, len(b))) {
		t.Fatalf("payload %d came back changed", n)
	}
	return n
}

// replay returns the numbers of the payloads behind after, and checks that seqs
// ascend by one.
func replay(t testing.TB, j *Journal, after uint64) []uint64 {
	t.Helper()
	var out []uint64
	last, gaps := uint64(0), j.Gaps()
	err := j.Replay(t.Context(), after, func(seq uint64, p []byte) error {
		if last != 0 && seq != last+1 && !slices.Contains(gaps, seq) || seq <= after {
			t.Fatalf("seq %d after %d (asked behind %d)", seq, last, after)
		}
		last = seq
		out = append(out, payloadNumber(t, p))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func closeJournal(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// appendAll appends payloads of the numbers [from, to) one by one.
func appendAll(t testing.TB, j *Journal, from, to uint64, size int) {
	t.Helper()
	for n := from; n < to; n++ {
		if _, err := j.Append(t.Context(), payload(n, size), nil); err != nil {
			t.Fatal(err)
		}
	}
}

func wantNumbers(t testing.TB, got []uint64, from, to uint64) {
	t.Helper()
	if uint64(len(got)) != to-from {
		t.Fatalf("replayed %d payloads, want %d", len(got), to-from)
	}
	for i, n := range got {
		if n != from+uint64(i) {
			t.Fatalf("payload %d at place %d, want %d", n, i, from+uint64(i))
		}
	}
}

func TestAppendAndReplay(t *testing.T) {
	m := newFolder(t)
	var committed []uint64
	j, rec := mustOpen(t, Options{FS: m, FileSize: 4000, Metrics: telemetry.New(), Committed: func(seq uint64, token any) {
		committed = append(committed, seq)
		if token.(uint64) != seq-1 {
			t.Errorf("token %v with seq %d", token, seq)
		}
	}})
	if rec.Frames != 0 || rec.Torn != nil || rec.Damage != nil {
		t.Fatalf("recovery of a new journal: %+v", rec)
	}
	for n := range uint64(100) {
		seq, err := j.Append(t.Context(), payload(n, 100), n)
		if err != nil || seq != n+1 {
			t.Fatalf("append %d: seq %d, %v", n, seq, err)
		}
	}
	head := j.Head()
	if head.Seq != 100 {
		t.Fatalf("head %v", head)
	}
	closeJournal(t, j)
	closeJournal(t, j) // idempotent
	if len(committed) != 100 || committed[0] != 1 || committed[99] != 100 {
		t.Fatalf("committed %v", committed)
	}
	if _, err := j.Append(t.Context(), nil, nil); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("append to a closed journal: %v", err)
	}

	rep, err := Verify(m, &head)
	if err != nil || len(rep.Findings) > 0 || rep.Frames != 100 || rep.Head != head || !rep.Anchored || rep.Files < 4 {
		t.Fatalf("verify: %+v, %v", rep, err)
	}
	j, rec = mustOpen(t, Options{FS: m, FileSize: 4000, Anchor: &head})
	defer closeJournal(t, j)
	if rec.Frames != 100 || rec.Torn != nil || rec.Damage != nil || j.Head() != head {
		t.Fatalf("recovery after a clean close: %+v", rec)
	}
	wantNumbers(t, replay(t, j, 0), 0, 100)
	wantNumbers(t, replay(t, j, 57), 57, 100)
	wantNumbers(t, replay(t, j, 100), 0, 0)
	appendAll(t, j, 100, 101, 100)
	if err := j.Replay(t.Context(), 0, nil); err == nil {
		t.Fatal("replay after an append was allowed")
	}
}

func TestEmptyAndLargePayloads(t *testing.T) {
	m := newFolder(t)
	j, _ := mustOpen(t, Options{FS: m, FileSize: 1 << 12, MaxQueued: 1 << 10})
	sizes := []int{0, 1, 100, 5000, 0, 700_000, 3}
	for _, n := range sizes {
		if _, err := j.Append(t.Context(), bytes.Repeat([]byte{7}, n), nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := j.Append(t.Context(), make([]byte, MaxPayload+1), nil); !fault.Is(err, fault.TooLarge) {
		t.Fatalf("a payload beyond the limit: %v", err)
	}
	closeJournal(t, j)
	j, _ = mustOpen(t, Options{FS: m})
	defer closeJournal(t, j)
	i := 0
	err := j.Replay(t.Context(), 0, func(seq uint64, p []byte) error {
		if len(p) != sizes[i] {
			t.Fatalf("frame %d has %d bytes, want %d", seq, len(p), sizes[i])
		}
		i++
		return nil
	})
	if err != nil || i != len(sizes) {
		t.Fatalf("%d frames, %v", i, err)
	}
}

func TestCreateAndOpenAreDifferentActs(t *testing.T) {
	m := memfs.New()
	if _, _, err := Open(Options{FS: m, Key: testKey(1)}); !fault.Is(err, fault.NotFound) || fault.HintOf(err) == "" {
		t.Fatalf("open of nothing: %v", err)
	}
	if err := Create(m, testKey(1)); err != nil {
		t.Fatal(err)
	}
	if err := Create(m, testKey(1)); !fault.Is(err, fault.Conflict) {
		t.Fatalf("create over a journal: %v", err)
	}
	j, _ := mustOpen(t, Options{FS: m})
	if _, _, err := Open(Options{FS: m, Key: testKey(1)}); !fault.Is(err, fault.Conflict) {
		t.Fatalf("open twice: %v", err)
	}
	closeJournal(t, j)
}

func TestConcurrentAppendsKeepOrderAndShareSyncs(t *testing.T) {
	m := newFolder(t)
	fs := faultfs.Wrap(m)
	const appenders, each = 16, 200
	var order []uint64
	j, _ := mustOpen(t, Options{FS: fs, FileSize: 64 << 10, MaxQueued: 8 << 10, Committed: func(seq uint64, _ any) { order = append(order, seq) }})
	var wg sync.WaitGroup
	seqs := make([][]uint64, appenders)
	for a := range appenders {
		wg.Go(func() {
			for i := range each {
				seq, err := j.Append(t.Context(), payload(uint64(a*each+i), 50+i), nil)
				if err != nil {
					t.Error(err)
					return
				}
				seqs[a] = append(seqs[a], seq)
			}
		})
	}
	wg.Wait()
	st := j.Stats()
	closeJournal(t, j)
	if st.Frames != appenders*each || st.Syncs > st.Frames {
		t.Fatalf("stats %+v", st)
	}
	for i, s := range order {
		if s != uint64(i+1) {
			t.Fatalf("committed %d at place %d", s, i)
		}
	}
	j, _ = mustOpen(t, Options{FS: m})
	defer closeJournal(t, j)
	got := replay(t, j, 0)
	if len(got) != appenders*each {
		t.Fatalf("replayed %d", len(got))
	}
	for a := range appenders {
		for i, s := range seqs[a] {
			if got[s-1] != uint64(a*each+i) {
				t.Fatalf("seq %d holds payload %d, want %d", s, got[s-1], a*each+i)
			}
		}
	}
}

func TestBackPressureEndsWithTheContext(t *testing.T) {
	m := newFolder(t)
	fs := faultfs.Wrap(m)
	inSync, release := make(chan struct{}), make(chan struct{})
	j, _ := mustOpen(t, Options{FS: fs, MaxQueued: 1000})
	var once sync.Once
	fs.Watch(func(op faultfs.Op, _ string) {
		if op == faultfs.Sync {
			once.Do(func() { close(inSync); <-release })
		}
	})
	done := make(chan error, 1)
	go func() {
		_, err := j.Append(t.Context(), make([]byte, 900), nil)
		done <- err
	}()
	<-inSync
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := j.Append(ctx, make([]byte, 900), nil); !fault.Is(err, fault.Canceled) {
		t.Fatalf("append to a full queue: %v", err)
	}
	blocked := make(chan error, 1)
	go func() {
		_, err := j.Append(t.Context(), make([]byte, 900), nil)
		blocked <- err
	}()
	close(release)
	if err := errors.Join(<-done, <-blocked); err != nil {
		t.Fatal(err)
	}
	closeJournal(t, j)
}

func TestReleaseKeepsTheChainCheckable(t *testing.T) {
	m := newFolder(t)
	j, _ := mustOpen(t, Options{FS: m, FileSize: 2000})
	appendAll(t, j, 0, 100, 100)
	anchors := []Position{j.Head()}
	files := len(j.files)
	third := j.files[2].first
	if err := j.Release(third - 2); err != nil { // one short of the end of file two
		t.Fatal(err)
	}
	if got := len(j.files); got != files-1 {
		t.Fatalf("%d files, want %d", got, files-1)
	}
	if err := j.Release(1 << 40); err != nil {
		t.Fatal(err)
	}
	if len(j.files) != 1 {
		t.Fatalf("%d files are left", len(j.files))
	}
	appendAll(t, j, 100, 103, 100)
	anchors = append(anchors, j.Head(), Position{Seq: 7, Hash: [32]byte{1}})
	closeJournal(t, j)
	for _, a := range anchors {
		rep, err := Verify(m, &a)
		if err != nil || len(rep.Findings) > 0 {
			t.Fatalf("verify with anchor %v: %+v %v", a, rep, err)
		}
	}
	j, rec := mustOpen(t, Options{FS: m, Anchor: &anchors[1]})
	defer closeJournal(t, j)
	if rec.Damage != nil || j.Head().Seq != 103 {
		t.Fatalf("recovery %+v", rec)
	}
	got := replay(t, j, 99)
	wantNumbers(t, got, 99, 103)
}

func TestReaderFollows(t *testing.T) {
	m := newFolder(t)
	j, _ := mustOpen(t, Options{FS: m, FileSize: 3000})
	const frames = 300
	got := make(chan uint64, frames)
	failed := make(chan error, 1)
	go func() {
		r := j.Reader(10)
		defer r.Close()
		for {
			seq, p, err := r.Next(t.Context())
			if err != nil {
				failed <- err
				return
			}
			if payloadNumber(t, p) != seq-1 {
				t.Errorf("payload %d in frame %d", payloadNumber(t, p), seq)
			}
			got <- seq
		}
	}()
	appendAll(t, j, 0, frames, 60)
	for want := uint64(11); want <= frames; want++ {
		if seq := <-got; seq != want {
			t.Fatalf("read %d, want %d", seq, want)
		}
	}
	r := j.Reader(frames)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := r.Next(ctx); !fault.Is(err, fault.Canceled) {
		t.Fatalf("canceled read: %v", err)
	}
	closeJournal(t, j)
	if err := <-failed; !errors.Is(err, io.EOF) {
		t.Fatalf("reader of a closed journal: %v", err)
	}
}

func TestWrongKeyTouchesNothing(t *testing.T) {
	m := newFolder(t)
	j, _ := mustOpen(t, Options{FS: m})
	appendAll(t, j, 0, 3, 10)
	closeJournal(t, j)
	before := dump(t, m)
	_, _, err := Open(Options{FS: m, Key: testKey(2)})
	if !fault.Is(err, fault.Tampered) || fault.HintOf(err) == "" {
		t.Fatalf("open with a wrong key: %v", err)
	}
	if got := dump(t, m); fmt.Sprint(got) != fmt.Sprint(before) {
		t.Fatal("a wrong key changed the folder")
	}
}

// dump returns the content of every file.
func dump(t testing.TB, f vfs.FS) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	names, err := list(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		b, err := vfs.ReadFile(f, n)
		if err != nil {
			t.Fatal(err)
		}
		out[n] = b
	}
	return out
}

func TestDiskFullRefusesAndResumes(t *testing.T) {
	m := newFolder(t)
	j, _ := mustOpen(t, Options{FS: m, FileSize: 8000})
	appendAll(t, j, 0, 20, 200)
	refused := 0
	n := uint64(20)
	for range 3 {
		m.Limit(m.Used())
		for {
			if _, err := j.Append(t.Context(), payload(n, 200), nil); err != nil {
				if !fault.Is(err, fault.Unavailable) || !errors.Is(err, syscall.ENOSPC) {
					t.Fatalf("full disk: %v", err)
				}
				refused++
				break
			}
			n++
		}
		if rep, err := Verify(m, new(j.Head())); err != nil || len(rep.Findings) > 0 {
			t.Fatalf("verify a full disk: %+v %v", rep, err)
		}
		m.Limit(-1)
		appendAll(t, j, n, n+30, 200)
		n += 30
	}
	if refused != 3 {
		t.Fatalf("refused %d times", refused)
	}
	m.Limit(m.Used()) // a full disk must not keep anyone from opening
	closeJournal(t, j)
	j, rec := mustOpen(t, Options{FS: m, FileSize: 8000})
	defer closeJournal(t, j)
	if rec.Damage != nil || rec.Torn != nil {
		t.Fatalf("recovery %+v", rec)
	}
	wantNumbers(t, replay(t, j, 0), 0, n)
}

// TestReleaseOfEverythingReturnsTheSpace fills a file beyond what is worth
// keeping, releases all of it, and requires that a small file goes on.
func TestReleaseOfEverythingReturnsTheSpace(t *testing.T) {
	m := newFolder(t)
	j, _ := mustOpen(t, Options{FS: m, FileSize: 8 << 20})
	for range 30 {
		if _, err := j.Append(context.Background(), make([]byte, 64<<10), nil); err != nil {
			t.Fatal(err)
		}
	}
	head := j.Head()
	if err := j.Release(head.Seq - 1); err != nil { // one frame is still needed
		t.Fatal(err)
	}
	if size := m.Used(); size < 30*64<<10 {
		t.Fatalf("%d bytes are left although a frame is needed", size)
	}
	if err := j.Release(head.Seq); err != nil {
		t.Fatal(err)
	}
	if size := m.Used(); size > minPreallocate || len(j.files) != 1 {
		t.Fatalf("%d bytes in %d files are left after everything was released", size, len(j.files))
	}
	appendAll(t, j, 0, 3, 100)
	closeJournal(t, j)
	if rep, err := Verify(m, &head); err != nil || len(rep.Findings) > 0 {
		t.Fatalf("verify: %+v %v", rep, err)
	}
	j, rec := mustOpen(t, Options{FS: m, Anchor: &head})
	defer closeJournal(t, j)
	if rec.Damage != nil || j.Head().Seq != head.Seq+3 {
		t.Fatalf("recovery %+v, head %d", rec, j.Head().Seq)
	}
}
