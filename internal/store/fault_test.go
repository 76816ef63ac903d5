package store

import (
	"context"
	"errors"
	mrand "math/rand/v2"
	"syscall"
	"testing"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/vfs"
	"github.com/meshtrail/meshtrail/internal/vfs/faultfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

// TestEveryFault fails each file operation of a short life, in each way. What
// was acknowledged is there afterwards, once: in the store if it still serves,
// and in one opened anew.
func TestEveryFault(t *testing.T) {
	life := func(f *faultfs.FS, w *witness) (err error) {
		s, lg, err := tryOpen(t, f, manual())
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, s.Close(), lg.Close()) }()
		next := uint64(1)
		for i := range 6 {
			w.note(&w.sent, next, 5)
			e := s.Append(context.Background(), retried(next, 5))
			if e == nil {
				w.note(&w.acked, next, 5)
			}
			err = errors.Join(err, e)
			if i%2 == 1 {
				err = errors.Join(err, s.Seal(context.Background()))
			}
			next += 5
		}
		acked := w.copy(&w.acked)
		if e := inspect(s, acked, w.copy(&w.sent)); e != nil && s.Status().Failed == nil {
			t.Errorf("the store that met the fault: %v", e)
		}
		return err
	}
	quiet := faultfs.Wrap(newDisk(t))
	if err := life(quiet, newWitness()); err != nil {
		t.Fatal(err)
	}
	r := mrand.New(mrand.NewPCG(1, 1))
	for _, op := range faultfs.Ops() {
		if op == faultfs.Read || op == faultfs.Open {
			continue // a segment that can not be read is damage, not loss: see TestDamagedSegment
		}
		for _, mode := range []faultfs.Mode{faultfs.NotDone, faultfs.DoneButFailed, faultfs.Half} {
			for n := 1; n <= quiet.Count(op); n++ {
				if long(0, 1) == 0 && r.IntN(6) > 0 {
					continue
				}
				disk := newDisk(t)
				f := faultfs.Wrap(disk)
				f.Arm(n, op, mode, syscall.EIO)
				w := newWitness()
				life(f, w)
				c := &clone{fs: disk, acked: w.copy(&w.acked), sent: w.copy(&w.sent)}
				if mode == faultfs.NotDone && n%2 == 0 {
					c.fs = disk.CrashClone(r)
				}
				if err := c.revive(t); err != nil {
					t.Errorf("%s %d failed in mode %d: %v", op, n, mode, err)
				}
			}
		}
	}
}

func newDisk(t testing.TB) *memfs.FS {
	t.Helper()
	f := memfs.New()
	createWorld(t, f)
	return f
}

// TestDiskFull fills the disk: Append fails with Unavailable, everything that
// was acknowledged is read, and writing goes on when there is space again.
func TestDiskFull(t *testing.T) {
	f := newDisk(t)
	s := openWorld(t, f, manual())
	w := newWitness()
	next, full := uint64(1), 0
	send := func(n int) error {
		w.note(&w.sent, next, n)
		err := s.Append(context.Background(), numbered(next, n))
		if err == nil {
			w.note(&w.acked, next, n)
		}
		next += uint64(n)
		return err
	}
	for range 20 {
		if err := send(20); err != nil {
			t.Fatal(err)
		}
	}
	f.Limit(f.Used() + 2000)
	for i := 0; i < 5000 && full < 10; i++ {
		if err := send(200); err != nil {
			if full++; !fault.Is(err, fault.Unavailable) {
				t.Fatalf("append to a full disk: %v of kind %v", err, fault.KindOf(err))
			}
		}
	}
	if full == 0 {
		t.Fatal("the disk was never full")
	}
	if err := s.Seal(context.Background()); err == nil {
		t.Error("seal succeeded on a full disk")
	} else if !fault.Is(err, fault.Unavailable) {
		t.Logf("seal on a full disk: %v of kind %v", err, fault.KindOf(err))
	}
	if err := inspect(s, w.acked, w.sent); err != nil {
		t.Errorf("while the disk is full: %v", err)
	}
	f.Limit(-1)
	for range 5 {
		if err := send(20); err != nil {
			t.Fatalf("append after space returned: %v", err)
		}
	}
	if err := s.Seal(context.Background()); err != nil {
		t.Fatalf("seal after space returned: %v", err)
	}
	if err := inspect(s, w.acked, w.sent); err != nil {
		t.Errorf("after space returned: %v", err)
	}
	if err := leftovers(f, segmentsDir); err != nil {
		t.Error(err)
	}
}

// TestReserve: when the disk fills up, records are refused while there still is
// room for audit records, and with them for answers and a seal.
func TestReserve(t *testing.T) {
	f := newDisk(t)
	l := manual()
	l.Reserve, l.JournalFile = 1<<20, 64<<10
	s := openWorld(t, f, l)
	audit := func() error {
		b := &record.Batch{Tenant: "t1", Source: "audit", Ingest: 1}
		b.Account.Received = 1
		b.Begin(1, "audit")
		b.Str(record.Body, "asked")
		b.End()
		return s.Append(context.Background(), b)
	}
	f.Limit(f.Used() + l.Reserve + 64<<10)
	var full error
	for seq := uint64(1); full == nil && seq < 1e6; seq += 100 {
		full = s.Append(context.Background(), numbered(seq, 100))
	}
	if !fault.Is(full, fault.Unavailable) || f.Free() > l.Reserve {
		t.Fatalf("records were refused with %v and %d bytes free", full, f.Free())
	}
	for i := range 50 {
		if err := audit(); err != nil {
			t.Fatalf("audit record %d: %v", i, err)
		}
	}
	if err := s.Seal(context.Background()); err != nil {
		t.Errorf("seal within the reserve: %v", err)
	}
	f.Limit(-1)
	if err := s.Append(context.Background(), numbered(2e6, 100)); err != nil {
		t.Errorf("append after space returned: %v", err)
	}
}

// TestDamagedSegment flips bytes of sealed files: the answer says that it is
// partial, other segments answer, the ledger hears of it once, nothing panics.
func TestDamagedSegment(t *testing.T) {
	for seed := range uint64(20) {
		f := newDisk(t)
		s := openWorld(t, f, manual())
		for i := range uint64(3) {
			if err := s.Append(context.Background(), numbered(1+i*100, 100)); err != nil {
				t.Fatal(err)
			}
			if err := s.Seal(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		victim := s.Segments()[0]
		file, err := f.OpenRW(victim.Path)
		if err != nil {
			t.Fatal(err)
		}
		r := mrand.New(mrand.NewPCG(seed, 1))
		noise := make([]byte, victim.Size/2)
		for i := range noise {
			noise[i] = byte(r.Uint32())
		}
		if _, err := file.WriteAt(noise, victim.Size/2*int64(seed%2)); err != nil {
			t.Fatal(err)
		}
		file.Close()
		for range 2 {
			seen := uint64(0)
			stats, err := s.Scan(context.Background(), ScanRequest{Tenant: "acme", To: 1 << 62}, func(recs []record.Record) error {
				seen += uint64(len(recs))
				return nil
			})
			if err != nil || len(stats.Damaged) != 1 || stats.Damaged[0] != victim.ID || seen < 300-victim.Records {
				t.Fatalf("scan: %d records, %+v, %v", seen, stats, err)
			}
		}
		if n := leaves[ledger.Damage](t, s.o.Ledger); len(n) != 1 || n[0].File != victim.Path {
			t.Errorf("damage leaves: %+v", n)
		}
		if len(s.Status().Damaged) != 1 {
			t.Errorf("status: %v", s.Status().Damaged)
		}
	}
}

// TestSegmentThatCanNotBeReadNow fails reads for once: the answer is partial,
// the next one is whole, and the ledger hears of no damage.
func TestSegmentThatCanNotBeReadNow(t *testing.T) {
	ff := faultfs.Wrap(newDisk(t))
	l := manual()
	l.CacheBytes = -1
	s := openWorld(t, ff, l)
	mustAppend(t, s, numbered(1, 100))
	mustSeal(t, s)
	for _, op := range []faultfs.Op{faultfs.Open, faultfs.Read} {
		ff.Arm(1, op, faultfs.NotDone, syscall.EMFILE)
		stats, err := s.Scan(context.Background(), everything(), func([]record.Record) error { return nil })
		if err != nil || len(stats.Damaged) != 1 {
			t.Errorf("scan while %s fails: %+v %v", op, stats, err)
		}
		if got := scanAll(t, s, everything()); len(got) != 100 {
			t.Errorf("%d records after %s failed once", len(got), op)
		}
	}
	if n := leaves[ledger.Damage](t, s.o.Ledger); len(n) != 0 {
		t.Errorf("damage leaves: %+v", n)
	}
}

func leaves[L any](t testing.TB, lg *ledger.Ledger) (out []L) {
	t.Helper()
	err := lg.Entries(0, lg.Checkpoint().Size, func(_ int64, data []byte) error {
		leaf, err := ledger.Decode(data)
		if v, ok := leaf.Value.(L); ok {
			out = append(out, v)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestMissingSegment removes a sealed file: the store opens, says so, and the
// rest answers.
func TestMissingSegment(t *testing.T) {
	f := newDisk(t)
	s := openWorld(t, f, manual())
	for i := range uint64(2) {
		if err := s.Append(context.Background(), numbered(1+i*5, 5)); err != nil {
			t.Fatal(err)
		}
		if err := s.Seal(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	gone := s.Segments()[0]
	errors.Join(s.Close(), s.o.Ledger.Close())
	if err := f.Remove(gone.Path); err != nil {
		t.Fatal(err)
	}
	s = openWorld(t, f, manual())
	if d := s.Status().Damaged; len(d) != 1 || d[gone.Path] == "" {
		t.Errorf("status: %v", d)
	}
	stats, err := s.Scan(context.Background(), ScanRequest{Tenant: "acme", To: 1 << 62}, func([]record.Record) error { return nil })
	if err != nil || len(stats.Damaged) != 1 || stats.RowsMatched == 0 {
		t.Errorf("scan: %+v %v", stats, err)
	}
}

// TestWrongRootKey opens the folder with another key.
func TestWrongRootKey(t *testing.T) {
	f := newDisk(t)
	s := openWorld(t, f, manual())
	if err := s.Append(context.Background(), numbered(1, 5)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := Open(context.Background(), Options{FS: f, Keyring: testKeys{crypt.NewKey()}, Ledger: s.o.Ledger, Limits: manual()})
	if !fault.Is(err, fault.Tampered) {
		t.Errorf("open with another root key: %v", err)
	}
}

// TestPoisonedJournal fails a sync of the journal: the store says so once and
// accepts nothing more, and still answers.
func TestPoisonedJournal(t *testing.T) {
	ff := faultfs.Wrap(newDisk(t))
	sign, verify := signer(t)
	lg, err := ledger.Open(ledger.Options{FS: vfs.Sub(ff, "ledger"), Signer: sign, Verifier: verify})
	if err != nil {
		t.Fatal(err)
	}
	var fatal []error
	s, err := Open(context.Background(), Options{
		FS: ff, Keyring: testKeys{rootKey}, Ledger: lg, Limits: manual(),
		Fatal: func(err error) { fatal = append(fatal, err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Append(context.Background(), numbered(1, 5)); err != nil {
		t.Fatal(err)
	}
	ff.Arm(1, faultfs.Sync, faultfs.NotDone, syscall.EIO)
	for i := range uint64(3) {
		if err := s.Append(context.Background(), numbered(6+i, 1)); !fault.Is(err, fault.Unavailable) {
			t.Errorf("append %d after a failed sync: %v", i, err)
		}
	}
	if got := scanAll(t, s, ScanRequest{Tenant: "acme", To: 1 << 62}); len(got) != 5 {
		t.Errorf("%d records are read, want 5", len(got))
	}
	s.Close()
	lg.Close()
	if len(fatal) != 1 || s.Status().Failed == nil {
		t.Errorf("fatal was told %d times: %v", len(fatal), fatal)
	}
}
