package spool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/telemetry"
	"github.com/meshtrail/meshtrail/internal/vfs"
	"github.com/meshtrail/meshtrail/internal/vfs/faultfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var key = crypt.NewKey()

// fileSize makes spools of a few batches begin new files.
const fileSize = 1500

func mustOpen(t testing.TB, f vfs.FS, max int64) *Spool {
	t.Helper()
	s, err := Open(Options{FS: f, Key: key, MaxBytes: max, Metrics: telemetry.New(), fileSize: fileSize})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closeSpool(t testing.TB, s *Spool) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// batch returns batch number n, of 1 + n%3 records.
func batch(n int) *record.Batch {
	b := &record.Batch{Tenant: "default", Source: "file/x", Ingest: 1}
	for i := range 1 + n%3 {
		b.Begin(int64(n), "app")
		b.Str(record.Body, fmt.Sprintf("batch %d record %d", n, i))
		b.End()
	}
	b.Account.Received = uint64(b.Len())
	return b
}

func appendBatches(t testing.TB, s *Spool, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		if err := s.Append(t.Context(), batch(n)); err != nil {
			t.Fatal(err)
		}
	}
}

// next reads a batch and returns its number, its ID and its seq.
func next(t testing.TB, s *Spool) (int, record.BatchID, uint64) {
	t.Helper()
	b, seq, err := s.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return number(t, b), b.ID, seq
}

func number(t testing.TB, b *record.Batch) int {
	t.Helper()
	n := int(b.Times()[0])
	if b.Len() != 1+n%3 {
		t.Fatalf("batch %d has %d records", n, b.Len())
	}
	return n
}

func TestOrderAndNumbers(t *testing.T) {
	m := memfs.New()
	s := mustOpen(t, m, 0)
	appendBatches(t, s, 0, 30)
	own := batch(30)
	own.ID = record.BatchID{Origin: "tail:1", Epoch: 4, Seq: 99}
	if err := s.Append(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	appendBatches(t, s, 31, 33)
	var want uint64
	var ids []record.BatchID
	var seqs []uint64
	for n := range 33 {
		got, id, seq := next(t, s)
		if got != n {
			t.Fatalf("batch %d at place %d", got, n)
		}
		if n == 30 {
			if id != own.ID {
				t.Fatalf("the batch's own ID became %v", id)
			}
		} else {
			if id.Seq != want || id.Epoch != 1 || !strings.HasPrefix(id.Origin, "spool:") {
				t.Fatalf("batch %d has ID %v, want number %d", n, id, want)
			}
			want += uint64(1 + n%3)
		}
		ids, seqs = append(ids, id), append(seqs, seq)
	}
	if err := s.Ack(seqs[12]); err != nil {
		t.Fatal(err)
	}
	closeSpool(t, s)
	closeSpool(t, s)
	if _, _, err := s.Next(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("next of a closed spool: %v", err)
	}
	if err := s.Append(t.Context(), batch(1)); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("append to a closed spool: %v", err)
	}

	s = mustOpen(t, m, 0) // only what was not acknowledged comes again, under the same IDs
	defer closeSpool(t, s)
	for n := 13; n < 33; n++ {
		got, id, _ := next(t, s)
		if got != n || id != ids[n] {
			t.Fatalf("after a restart batch %d with %v, want %d with %v", got, id, n, ids[n])
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Next(ctx); !fault.Is(err, fault.Canceled) {
		t.Fatalf("next of an empty spool: %v", err)
	}
}

func TestFullSpoolWaits(t *testing.T) {
	s := mustOpen(t, memfs.New(), 1000)
	defer closeSpool(t, s)
	n := 0
	for {
		ctx, cancel := context.WithCancel(t.Context())
		if s.Used() > 700 {
			cancel()
		}
		err := s.Append(ctx, batch(n))
		cancel()
		if err != nil {
			if !fault.Is(err, fault.Canceled) || fault.HintOf(err) == "" {
				t.Fatalf("full spool: %v", err)
			}
			break
		}
		n++
	}
	if s.Used() > 1000 || n == 0 {
		t.Fatalf("%d bytes used after %d batches", s.Used(), n)
	}
	done := make(chan error, 1)
	go func() { done <- s.Append(t.Context(), batch(n)) }()
	for range n {
		_, _, seq := next(t, s)
		if err := s.Ack(seq); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got, _, _ := next(t, s); got != n {
		t.Fatalf("batch %d, want %d", got, n)
	}
}

func TestBadBatchIsRefused(t *testing.T) {
	s := mustOpen(t, memfs.New(), 0)
	defer closeSpool(t, s)
	b := batch(0)
	b.Source = strings.Repeat("x", 1000)
	if err := s.Append(t.Context(), b); err == nil || s.Used() != 0 {
		t.Fatalf("%v, %d bytes used", err, s.Used())
	}
}

func TestDiskFullRefusesAndResumes(t *testing.T) {
	m := memfs.New()
	s := mustOpen(t, m, 0)
	defer closeSpool(t, s)
	appendBatches(t, s, 0, 3)
	m.Limit(m.Used())
	noise := make([]byte, 70<<20)
	rng := rand.NewChaCha8([32]byte{})
	rng.Read(noise)
	n := 3
	for ; ; n++ {
		b := &record.Batch{Tenant: "default", Source: "file/x", Ingest: 1}
		m.Limit(m.Used() + 10<<20)
		b.Begin(int64(n)*3, "app") // of one record
		b.StrBytes(record.Body, noise[:30<<20])
		b.End()
		b.Account.Received = 1
		if err := s.Append(t.Context(), b); err != nil {
			if !fault.Is(err, fault.Unavailable) || !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("full disk: %v", err)
			}
			break
		}
	}
	used := s.Used()
	m.Limit(-1)
	appendBatches(t, s, 3*n, 3*n+1)
	if s.Used() <= used {
		t.Fatal("the account of the spool is wrong")
	}
	for i := range 3 {
		if got, _, _ := next(t, s); got != i {
			t.Fatalf("batch %d, want %d", got, i)
		}
	}
}

// TestPowerLoss crashes a spool at each change of the disk. Nothing that was
// appended and not acknowledged may be missing, and what comes twice has the
// same ID.
func TestPowerLoss(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 1))
		torn := rand.New(rand.NewPCG(seed, 2)) // the watcher's, under mu: the spool's saver changes the disk too
		m := memfs.New()
		fs := faultfs.Wrap(m)
		var mu sync.Mutex
		appended, acked := 0, 0
		ids := map[int]record.BatchID{}
		type crash struct {
			m               *memfs.FS
			appended, acked int
		}
		var crashes []crash
		fs.Watch(func(op faultfs.Op, _ string) {
			if op == faultfs.Read || op == faultfs.Open {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			a := appended // read before the clone: what comes later need not be in it
			crashes = append(crashes, crash{m.CrashClone(torn), a, acked})
		})
		s := mustOpen(t, fs, 4000)
		for n := range 60 {
			if err := s.Append(t.Context(), batch(n)); err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			appended = n + 1
			mu.Unlock()
			if n%2 == 1 {
				for range 2 {
					got, id, seq := next(t, s)
					ids[got] = id
					if rng.IntN(3) > 0 {
						mu.Lock()
						acked = got + 1 // before: the crash may come inside Ack
						mu.Unlock()
						if err := s.Ack(seq); err != nil {
							t.Fatal(err)
						}
					}
				}
				if n%6 == 5 { // as the saver does, but at moments that repeat
					if err := s.savePosition(); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		closeSpool(t, s)
		for i, c := range crashes {
			s := mustOpen(t, c.m, 4000)
			if s.Recovery().Damage != nil {
				t.Fatalf("seed %d crash %d: %+v", seed, i, s.Recovery())
			}
			if err := s.Append(t.Context(), batch(1<<20)); err != nil && s.Used() < 4000 {
				t.Fatal(err)
			}
			want := -1
			for {
				got, id, _ := next(t, s)
				if got == 1<<20 {
					break
				}
				if want < 0 {
					if want = got; got > c.acked {
						t.Fatalf("seed %d crash %d: batch %d was not acknowledged and is gone (first is %d)", seed, i, c.acked, got)
					}
				}
				if got != want {
					t.Fatalf("seed %d crash %d: batch %d, want %d", seed, i, got, want)
				}
				if known, ok := ids[got]; ok && known != id {
					t.Fatalf("seed %d crash %d: batch %d has ID %v, had %v", seed, i, got, id, known)
				}
				want++
			}
			if want >= 0 && want < c.appended || want < 0 && c.acked < c.appended {
				t.Fatalf("seed %d crash %d: %d batches were appended, the last found is %d", seed, i, c.appended, want-1)
			}
			closeSpool(t, s)
		}
	}
}

func TestLostMemoryBeginsAnEpoch(t *testing.T) {
	m := memfs.New()
	s := mustOpen(t, m, 0)
	appendBatches(t, s, 0, 9)
	_, first, _ := next(t, s)
	for range 3 {
		next(t, s)
	}
	closeSpool(t, s)

	// A changed byte: the batches before it are good, the rest is quarantined.
	name := journalDir + "/0000000000000001.wal"
	data, err := vfs.ReadFile(m, name)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)*6/10] ^= 1
	if err := vfs.WriteFile(m, name, data); err != nil {
		t.Fatal(err)
	}
	for range 2 { // also after another restart
		s = mustOpen(t, m, 0)
		if len(s.journal.Gaps()) != 1 {
			t.Fatalf("gaps %v, recovery %+v", s.journal.Gaps(), s.Recovery())
		}
		if err := s.Append(t.Context(), batch(100)); err != nil {
			t.Fatal(err)
		}
		var id record.BatchID
		for n := 0; n != 100; {
			n, id, _ = next(t, s)
			if want := uint64(1); n != 100 && (id.Epoch != want || id.Origin != first.Origin) {
				t.Fatalf("batch %d has ID %v", n, id)
			}
		}
		if want := (record.BatchID{Origin: first.Origin, Epoch: 2}); id != want {
			t.Fatalf("ID after the loss: %v, want %v", id, want)
		}
		closeSpool(t, s)
	}

	// The whole journal gone.
	dir, err := m.ReadDir(journalDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range dir {
		if !e.IsDir() {
			if err := m.Remove(journalDir + "/" + e.Name()); err != nil {
				t.Fatal(err)
			}
		}
	}
	s = mustOpen(t, m, 0)
	appendBatches(t, s, 0, 1)
	if _, id, _ := next(t, s); id.Origin != first.Origin || id.Epoch != 3 || id.Seq != 0 {
		t.Fatalf("ID in a new journal: %v", id)
	}
	closeSpool(t, s)

	// The state gone: a new name, and everything again.
	if err := vfs.WriteFile(m, stateFile, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, m, 0)
	if n, id, _ := next(t, s); n != 0 || id.Origin == first.Origin || id.Epoch != 1 {
		t.Fatalf("ID without a state: %v", id)
	}
	closeSpool(t, s)
}

// TestRolledBackJournal: a journal that is shorter than what was acknowledged
// must not give out numbers that count as acknowledged.
func TestRolledBackJournal(t *testing.T) {
	m := memfs.New()
	s := mustOpen(t, m, 0)
	appendBatches(t, s, 0, 2)
	old, err := vfs.ReadFile(m, journalDir+"/0000000000000001.wal")
	if err != nil {
		t.Fatal(err)
	}
	appendBatches(t, s, 2, 4)
	var seq uint64
	for range 4 {
		_, _, seq = next(t, s)
	}
	if err := s.Ack(seq); err != nil {
		t.Fatal(err)
	}
	closeSpool(t, s)
	if err := vfs.WriteFile(m, journalDir+"/0000000000000001.wal", old); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, m, 0)
	defer closeSpool(t, s)
	if r := s.Recovery(); r.Err() == nil {
		t.Fatal("opened without a word")
	}
	appendBatches(t, s, 5, 6)
	if n, id, _ := next(t, s); n != 5 || id.Epoch != 2 {
		t.Fatalf("batch %d with ID %v", n, id)
	}
}

func FuzzDecodeState(f *testing.F) {
	s := newState()
	good, err := s.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := decodeState(data)
		if err != nil {
			if !fault.Is(err, fault.Corrupt) {
				t.Fatal(err)
			}
			return
		}
		if _, err := s.encode(); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	f, err := vfs.Dir(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	s := mustOpen(b, f, 0)
	defer s.Close()
	in := &record.Batch{Tenant: "default", Source: "file/x", Ingest: 1}
	for n := range 2000 {
		in.Begin(int64(n), "app")
		in.Str(record.Body, fmt.Sprintf("GET /cart/%d HTTP/1.1 200 via_upstream 1%d ms", n, n%97))
		in.End()
	}
	in.Account.Received = uint64(in.Len())
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Append(b.Context(), in); err != nil {
			b.Fatal(err)
		}
		_, seq, err := s.Next(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Ack(seq); err != nil {
			b.Fatal(err)
		}
	}
}
