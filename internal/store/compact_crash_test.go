package store

import (
	"context"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/ledger/verify"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/vfs/faultfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

// doomedDay says that class ops of the day of noon may be destroyed an hour after
// noon, and nothing else ever.
func doomedDay(_, class, day string, _ time.Time) (time.Time, string, bool) {
	return time.Unix(0, noon).Add(time.Hour), "ops 1h", class == "ops" && day == "2025-11-20"
}

// doomedKeys are the records of numbered batches that doomedDay is about.
func doomedKeys(sent map[uint64]int) map[string]bool {
	out := map[string]bool{}
	for seq, n := range sent {
		b := numbered(seq, n)
		for i := range b.Len() {
			r := b.Record(i)
			if v, _ := r.Get("key"); r.Class == "ops" && time.Unix(0, r.Time).UTC().Format(time.DateOnly) == "2025-11-20" {
				out[v.Str] = true
			}
		}
	}
	return out
}

// allOrNone checks that every record is there once, but for the doomed ones,
// which are there once, all of them, or not at all. It returns which.
func allOrNone(s *Store, sent map[uint64]int, doomed map[string]bool) (destroyed bool, err error) {
	seen := map[string]int{}
	stats, err := s.Scan(context.Background(), ScanRequest{Tenant: "acme", To: 1 << 62, Order: AsStored}, func(recs []record.Record) error {
		for i := range recs {
			v, _ := recs[i].Get("key")
			seen[v.Str]++
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	if len(stats.Damaged) > 0 || len(s.Status().Damaged) > 0 {
		return false, fmt.Errorf("damage: %v %v", stats.Damaged, s.Status().Damaged)
	}
	left, total := 0, 0
	for seq, n := range sent {
		for i := range n {
			key := fmt.Sprint(seq + uint64(i))
			total++
			switch {
			case !doomed[key] && seen[key] != 1 || seen[key] > 1:
				return false, fmt.Errorf("record %s is there %d times", key, seen[key])
			case doomed[key]:
				left += seen[key]
			}
		}
	}
	if left != 0 && left != len(doomed) {
		return false, fmt.Errorf("%d of %d records of the destroyed day are left", left, len(doomed))
	}
	if len(seen) != total-len(doomed)+left {
		return false, fmt.Errorf("%d records, want %d", len(seen), total-len(doomed)+left)
	}
	return left == 0, nil
}

// sealedVault makes a vault with several sealed segments of each part.
func sealedVault(t testing.TB, r *mrand.Rand) (*vault, *memfs.FS, map[uint64]int) {
	disk := memfs.New()
	v := newVault(t, disk)
	v.limits.BlockRows, v.limits.JournalFile = []int{4, 64}[r.IntN(2)], 8<<10
	v.keep = doomedDay
	v.must(v.open())
	sent, seq := map[uint64]int{}, uint64(1)
	for range 9 {
		for range 2 {
			n := 4 + r.IntN(12)
			sent[seq] = n
			v.must(v.s.Append(context.Background(), numbered(seq, n)))
			seq += uint64(n)
		}
		v.must(v.s.Seal(context.Background()))
	}
	v.must(v.close())
	return v, disk, sent
}

// life is what the tests interrupt: merge, seal on, close the days, destroy one.
func (v *vault) life() error {
	ctx := context.Background()
	_, err := v.s.Compact(ctx)
	v.pass(2 * time.Hour)
	_, e := v.s.Expire(ctx, time.Unix(0, v.now.Load()))
	v.pass(72 * time.Hour)
	_, e2 := v.s.Compact(ctx)
	return errors.Join(err, e, e2)
}

// revived opens a vault after a crash or a fault: everything is there or rightly
// destroyed; then it finishes what was to be done, and everything verifies.
func (v *vault) revived(sent map[uint64]int, doomed map[string]bool) (err error) {
	if err := v.open(); err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer func() { err = errors.Join(err, v.close()) }()
	if _, err := allOrNone(v.s, sent, doomed); err != nil {
		return err
	}
	if err := v.verified(); err != nil {
		return fmt.Errorf("after opening: %w", err)
	}
	if err := v.life(); err != nil {
		return err
	}
	if gone, err := allOrNone(v.s, sent, doomed); err != nil || !gone {
		return fmt.Errorf("after doing it again: destroyed %v: %w", gone, err)
	}
	for _, l := range v.s.Segments() {
		if l.Class == "ops" && l.Day == "2025-11-20" {
			return fmt.Errorf("segment %s is left", l.ID)
		}
	}
	if err := v.close(); err != nil {
		return err
	}
	if err := v.open(); err != nil {
		return fmt.Errorf("open again: %w", err)
	}
	if gone, err := allOrNone(v.s, sent, doomed); err != nil || !gone {
		return fmt.Errorf("after opening again: destroyed %v: %w", gone, err)
	}
	return errors.Join(v.verified(), leftovers(v.fs, segmentsDir))
}

// TestCompactionCrashes loses power at random moments of compaction, day close
// and destruction: inputs or output are there, never both, never neither, and a
// destruction is not begun or comes to its end.
func TestCompactionCrashes(t *testing.T) {
	want, got, failed := long(200, 1000), 0, 0
	for seed := uint64(0); got < want; seed++ {
		r := mrand.New(mrand.NewPCG(seed, 11))
		v, disk, sent := sealedVault(t, r)
		doomed := doomedKeys(sent)
		ff := faultfs.Wrap(disk)
		type clone struct {
			v  *vault
			op string
		}
		var clones []clone
		life := v.on(ff)
		wait := r.IntN(4)
		life.must(life.open())
		ff.Watch(func(op faultfs.Op, name string) {
			if op == faultfs.Read || op == faultfs.Open {
				return
			}
			if wait--; wait < 0 && got+len(clones) < want {
				wait = r.IntN(8)
				clones = append(clones, clone{life.on(disk.CrashClone(r)), fmt.Sprint(op, " ", name)})
			}
		})
		life.must(life.life())
		ff.Watch(nil)
		if gone, err := allOrNone(life.s, sent, doomed); err != nil || !gone {
			t.Fatalf("seed %d: destroyed %v: %v", seed, gone, err)
		}
		life.must(life.close())
		got += len(clones)
		for i, c := range clones {
			if err := c.v.revived(sent, doomed); err != nil {
				if failed++; failed < 5 {
					t.Errorf("clone %d of seed %d, before %s: %v", i, seed, c.op, err)
				}
			}
		}
	}
	if failed > 0 {
		t.Errorf("%d of %d clones failed", failed, got)
	}
}

// TestCompactionFaults fails each file operation of compaction and destruction,
// in each way. The store goes on or says that it can not, and one opened anew has
// everything.
func TestCompactionFaults(t *testing.T) {
	r := mrand.New(mrand.NewPCG(1, 12))
	origin, disk, sent := sealedVault(t, r)
	doomed := doomedKeys(sent)
	quiet := faultfs.Wrap(disk.CrashClone(r))
	v := origin.on(quiet)
	v.must(v.open())
	before := map[faultfs.Op]int{}
	for _, op := range faultfs.Ops() {
		before[op] = quiet.Count(op)
	}
	v.must(v.life())
	after := map[faultfs.Op]int{}
	for _, op := range faultfs.Ops() {
		after[op] = quiet.Count(op)
	}
	v.must(v.close())
	for _, op := range faultfs.Ops() {
		for _, mode := range []faultfs.Mode{faultfs.NotDone, faultfs.DoneButFailed, faultfs.Half} {
			for n := 1; n <= after[op]-before[op]; n++ {
				if long(0, 1) == 0 && r.IntN(8) > 0 || op == faultfs.Read && r.IntN(20) > 0 {
					continue
				}
				copied := disk.CrashClone(r)
				ff := faultfs.Wrap(copied)
				v := origin.on(ff)
				v.must(v.open())
				ff.Arm(n, op, mode, syscall.EIO)
				lifeErr := v.life()
				ff.Disarm()
				if v.s.Status().Failed == nil {
					if _, err := allOrNone(v.s, sent, doomed); err != nil && op != faultfs.Read && op != faultfs.Open {
						t.Errorf("%v %d, mode %v: the store that met the fault: %v (%v)", op, n, mode, err, lifeErr)
					}
				}
				v.close()
				if op == faultfs.Read || op == faultfs.Open {
					continue // a segment that can not be read is damage: see TestDamagedInput
				}
				if err := v.on(copied).revived(sent, doomed); err != nil {
					t.Errorf("%v %d, mode %v: %v (%v)", op, n, mode, err, lifeErr)
				}
			}
		}
	}
}

// TestVerifyWhileCompacting verifies the folder of a store that seals, compacts
// and destroys all the while: nothing that it does is taken for tampering.
func TestVerifyWhileCompacting(t *testing.T) {
	v := newVault(t, memfs.New())
	v.keep = doomedDay
	s := v.opened()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for seq, i := uint64(1), 0; i < 300; i++ { // each verification takes longer than the last
			select {
			case <-stop:
				return
			default:
			}
			err := s.Append(context.Background(), numbered(seq, 20))
			err = errors.Join(err, s.Seal(context.Background()))
			if seq += 20; i%5 == 4 {
				_, e := s.Compact(context.Background())
				err = errors.Join(err, e)
			}
			if i == 10 {
				v.pass(2 * time.Hour)
			}
			if i%15 == 14 {
				_, e := s.Expire(context.Background(), time.Unix(0, v.now.Load()))
				err = errors.Join(err, e)
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	}()
	verdicts := map[verify.Verdict]int{}
	for n := 0; n < long(60, 300) || n < 20_000 && s.Status().DestroyedSegments < 2; n++ {
		rep, err := verify.Folder(context.Background(), v.fs, verify.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if verdicts[rep.Verdict]++; rep.Verdict == verify.Tampered {
			t.Errorf("%+v", rep.Findings)
			break
		}
	}
	close(stop)
	<-done
	if verdicts[verify.Verified] == 0 {
		t.Errorf("no verification came to its end: %v", verdicts)
	}
	st := s.Status()
	if st.Compactions == 0 || st.DestroyedSegments == 0 {
		t.Errorf("nothing happened meanwhile: %+v", st)
	}
	v.must(v.close())
	v.must(v.verified())
}
