package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	mrand "math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/meshtrail/meshtrail/internal/journal"
	"github.com/meshtrail/meshtrail/internal/merkle"
	"github.com/meshtrail/meshtrail/internal/merkle/chunkfile"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store/catalog"
	"github.com/meshtrail/meshtrail/internal/vfs"
	"github.com/meshtrail/meshtrail/internal/vfs/faultfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

// witness knows which batches were sent and which were acknowledged.
type witness struct {
	mu    sync.Mutex
	sent  map[uint64]int // first number of the batch → records
	acked map[uint64]int
}

func newWitness() *witness { return &witness{sent: map[uint64]int{}, acked: map[uint64]int{}} }

func (w *witness) note(m *map[uint64]int, seq uint64, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	(*m)[seq] = n
}

func (w *witness) copy(m *map[uint64]int) map[uint64]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(*m)
}

// numbered makes the batch of one origin that begins with record seq.
func numbered(seq uint64, n int) *record.Batch {
	b := &record.Batch{
		ID: record.BatchID{Origin: "agent-1", Epoch: 1, Seq: seq}, Tenant: "acme", Source: "agent", Ingest: noon + int64(seq),
		Account: record.Account{Received: uint64(n) + 2, Rejected: []record.Count{{Name: "bad json", N: 1}}, Dropped: []record.Count{{Name: "sample", N: 1}}},
	}
	for i := range n {
		at := int64(noon) + int64(seq)*1e6
		if (seq+uint64(i))%7 == 0 {
			at += 86400 * 1e9
		}
		b.Begin(at, record.Class([]string{"app", "ops"}[(seq+uint64(i))/5%2]))
		b.Str("key", fmt.Sprint(seq+uint64(i)))
		b.Str("service.name", fmt.Sprint("svc-", i%3))
		b.Int("n", int64(i))
		b.End()
	}
	return b
}

// retried is numbered, of which some are numbered by a key as requests are.
func retried(seq uint64, n int) *record.Batch {
	b := numbered(seq, n)
	if seq%3 == 0 {
		b.ID = record.BatchID{Origin: fmt.Sprint("key:", seq)}
	}
	return b
}

// inspect holds a store against a witness: every acknowledged record is there
// once, nothing is there twice, and the accounts are in balance.
func inspect(s *Store, acked, sent map[uint64]int) error {
	seen := map[string]int{}
	stats, err := s.Scan(context.Background(), ScanRequest{Tenant: "acme", To: 1 << 62, Order: AsStored}, func(recs []record.Record) error {
		for i := range recs {
			v, _ := recs[i].Get("key")
			seen[v.Str]++
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(stats.Damaged) > 0 || len(s.Status().Damaged) > 0 {
		return fmt.Errorf("damage: %v %v", stats.Damaged, s.Status().Damaged)
	}
	known := map[string]bool{}
	for seq, n := range sent {
		for i := range n {
			known[fmt.Sprint(seq+uint64(i))] = true
		}
	}
	for seq, n := range acked {
		for i := range n {
			if key := fmt.Sprint(seq + uint64(i)); seen[key] != 1 {
				return fmt.Errorf("acknowledged record %s is there %d times", key, seen[key])
			}
		}
	}
	for key, n := range seen {
		if n != 1 || !known[key] {
			return fmt.Errorf("record %s is there %d times, sent: %v", key, n, known[key])
		}
	}
	return balance(s, uint64(len(seen)))
}

func balance(s *Store, stored uint64) error {
	var total uint64
	for _, a := range s.Sources() {
		if a.Received != a.Stored+sum(a.Rejected)+sum(a.Dropped)+a.Deduplicated {
			return fmt.Errorf("account of %s is out of balance: %+v", a.Source, a)
		}
		total += a.Stored
	}
	if total != stored {
		return fmt.Errorf("accounts say %d records are stored, there are %d", total, stored)
	}
	return nil
}

// load appends numbered batches, some twice, from several goroutines, and seals
// now and then, until stop says so. It returns when all have ended.
func (w *witness) load(s *Store, seed uint64, next *uint64, rounds int) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	take := func(n int) uint64 {
		mu.Lock()
		defer mu.Unlock()
		seq := *next
		*next += uint64(n)
		return seq
	}
	for g := range 3 {
		wg.Go(func() {
			r := mrand.New(mrand.NewPCG(seed, uint64(g)))
			for range rounds {
				n := 1 + r.IntN(12)
				seq := take(n)
				w.note(&w.sent, seq, n)
				for range 1 + r.IntN(4)/3 {
					if s.Append(context.Background(), retried(seq, n)) == nil {
						w.note(&w.acked, seq, n)
					}
				}
				if r.IntN(12) == 0 {
					s.Seal(context.Background())
				}
				if r.IntN(20) == 0 {
					s.Epoch(context.Background(), "interval")
				}
			}
		})
	}
	wg.Wait()
}

// clone is a machine after power loss with what was known just before.
type clone struct {
	fs          *memfs.FS
	acked, sent map[uint64]int
	op          string
}

// revive opens a clone, inspects it, sends again what was not acknowledged, and
// inspects it again, sealed and reopened.
func (c *clone) revive(t *testing.T) error {
	s, lg, err := tryOpen(t, c.fs, manual())
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer func() {
		s.Close()
		lg.Close()
	}()
	if err := inspect(s, c.acked, c.sent); err != nil {
		return err
	}
	for seq, n := range c.sent {
		if err := s.Append(context.Background(), retried(seq, n)); err != nil {
			return err
		}
	}
	if err := inspect(s, c.sent, c.sent); err != nil {
		return fmt.Errorf("after sending again: %w", err)
	}
	if err := errors.Join(s.Close(), lg.Close()); err != nil {
		return err
	}
	if s, lg, err = tryOpen(t, c.fs, manual()); err != nil {
		return fmt.Errorf("open again: %w", err)
	}
	if err := inspect(s, c.sent, c.sent); err != nil {
		return fmt.Errorf("after opening again: %w", err)
	}
	if err := verified(s); err != nil {
		return fmt.Errorf("after opening again: %w", err)
	}
	return leftovers(c.fs, segmentsDir)
}

// verified checks without a key what the ledger promises: each segment's root,
// and the journal's chain up to the newest epoch.
func verified(s *Store) error {
	for _, l := range s.Segments() {
		f, err := s.o.FS.Open(l.Path)
		if err != nil {
			return err
		}
		var root merkle.Hash
		hex.Decode(root[:], []byte(l.Root))
		damage, err := chunkfile.Verify(f, l.Size, root)
		f.Close()
		if err != nil || len(damage) > 0 {
			return fmt.Errorf("segment %s: %v %w", l.ID, damage, err)
		}
	}
	c, err := catalog.Load(s.o.Ledger)
	if err != nil {
		return err
	}
	anchor := journal.Position{Seq: c.Epoch.JournalSeq}
	hex.Decode(anchor.Hash[:], []byte(c.Epoch.JournalHash))
	rep, err := journal.Verify(vfs.Sub(s.o.FS, journalDir), &anchor)
	if err != nil || len(rep.Findings) > 0 {
		return fmt.Errorf("journal: %+v %w", rep, err)
	}
	return nil
}

// leftovers reports a file that should not outlive a clean end.
func leftovers(f vfs.FS, dir string) error {
	list, err := f.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		if e.IsDir() {
			if err := leftovers(f, dir+"/"+e.Name()); err != nil {
				return err
			}
		} else if !strings.HasSuffix(e.Name(), suffix) {
			return fmt.Errorf("file %s/%s is left", dir, e.Name())
		}
	}
	return nil
}

// lightning takes clones of a disk at random file operations.
type lightning struct {
	w    *witness
	disk *memfs.FS
	want int

	mu     sync.Mutex
	r      *mrand.Rand
	wait   int
	clones []*clone
}

func (l *lightning) strike(op faultfs.Op, name string) {
	if op == faultfs.Read || op == faultfs.Open {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wait--; l.wait > 0 || len(l.clones) >= l.want {
		return
	}
	l.wait = l.r.IntN(6)
	c := &clone{acked: l.w.copy(&l.w.acked), op: fmt.Sprint(op, " ", name)}
	c.fs = l.disk.CrashClone(l.r)
	c.sent = l.w.copy(&l.w.sent)
	l.clones = append(l.clones, c)
}

// TestCrashClones loses power at random moments of a store under load, before
// any file operation: no acknowledged record is lost, none is there twice, and
// every store opens.
func TestCrashClones(t *testing.T) {
	want, got, failed := long(200, 1000), 0, 0
	for seed := uint64(0); got < want; seed++ {
		disk := memfs.New()
		createWorld(t, disk)
		ff := faultfs.Wrap(disk)
		w := newWitness()
		z := &lightning{w: w, disk: disk, want: want - got, r: mrand.New(mrand.NewPCG(seed, 7))}
		ff.Watch(z.strike)
		next := uint64(1)
		for run := range uint64(3) {
			l := manual()
			l.JournalFile = 3 << 10 // many files, so that there is always one to release
			s, lg, err := tryOpen(t, ff, l)
			if err != nil {
				t.Fatal(err)
			}
			w.load(s, 3*seed+run, &next, 12)
			if err := errors.Join(s.Close(), lg.Close()); err != nil {
				t.Fatal(err)
			}
		}
		ff.Watch(nil)
		got += len(z.clones)
		for i, c := range z.clones {
			if err := c.revive(t); err != nil {
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
