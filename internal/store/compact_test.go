package store

import (
	"context"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/keyring"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/ledger/verify"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/vfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

// vault is a whole data folder, with a keyring, whose clock stands still.
type vault struct {
	t      testing.TB
	fs     vfs.FS
	now    atomic.Int64
	limits Limits
	keep   Retention

	s    *Store
	lg   *ledger.Ledger
	keys *keyring.Keyring
}

func newVault(t testing.TB, f vfs.FS) *vault {
	t.Helper()
	v := &vault{t: t, fs: f, limits: manual()}
	v.limits.CompactFiles, v.limits.CompactAfter = 4, -1
	v.now.Store(noon)
	if err := keyring.Create(vfs.Sub(f, "keys")); err != nil {
		t.Fatal(err)
	}
	keys, err := keyring.Open(vfs.Sub(f, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	sign, _ := keys.Signer()
	if err := errors.Join(f.SyncDir("."), ledger.Create(vfs.Sub(f, "ledger"), sign, sign.Name(), time.Unix(1e9, 0), "test"), f.SyncDir("."), Create(f, keys)); err != nil {
		t.Fatal(err)
	}
	return v
}

// on is the same vault on another disk.
func (v *vault) on(f vfs.FS) *vault {
	w := &vault{t: v.t, fs: f, limits: v.limits, keep: v.keep}
	w.now.Store(v.now.Load())
	return w
}

func (v *vault) open() error {
	keys, err := keyring.Open(vfs.Sub(v.fs, "keys"))
	if err != nil {
		return err
	}
	v.keys = keys
	sign, _ := keys.Signer()
	check, _ := keys.Verifier()
	if v.lg, err = ledger.Open(ledger.Options{FS: vfs.Sub(v.fs, "ledger"), Signer: sign, Verifier: check}); err != nil {
		return err
	}
	now := func() time.Time { return time.Unix(0, v.now.Load()) }
	v.s, err = Open(context.Background(), Options{FS: v.fs, Keyring: keys, Ledger: v.lg, Limits: v.limits, Now: now, Retention: v.keep})
	if err != nil {
		v.lg.Close()
		v.s = nil
	}
	return err
}

func (v *vault) close() error {
	if v.s == nil {
		return nil
	}
	err := errors.Join(v.s.Close(), v.lg.Close())
	v.s = nil
	return err
}

// opened opens the vault until the end of the test.
func (v *vault) opened() *Store {
	v.t.Helper()
	if err := v.open(); err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { v.close() })
	return v.s
}

func (v *vault) pass(d time.Duration) { v.now.Add(int64(d)) }

func (v *vault) compact(want int) {
	v.t.Helper()
	n, err := v.s.Compact(context.Background())
	if err != nil || want >= 0 && n != want {
		v.t.Fatalf("%d compactions, want %d: %v", n, want, err)
	}
}

// verified asks the offline verifier.
func (v *vault) verified() error {
	rep, err := verify.Folder(context.Background(), v.fs, verify.Options{})
	if err != nil {
		return err
	}
	if rep.Verdict != verify.Verified {
		return fmt.Errorf("%s: %+v", rep.Verdict, rep.Findings)
	}
	return nil
}

func (v *vault) must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

// seals appends and seals n times.
func (v *vault) seals(r *mrand.Rand, o *oracle, n, size int) {
	v.t.Helper()
	for range n {
		fill(v.t, r, v.s, o, 2, size)
		v.must(v.s.Seal(context.Background()))
		v.pass(2 * time.Minute)
	}
}

// TestCompaction holds a store against a plain slice while its segments are
// merged, its days closed, and itself opened again, with small and large blocks.
func TestCompaction(t *testing.T) {
	for seed := range uint64(long(4, 40)) {
		r := mrand.New(mrand.NewPCG(seed, 3))
		v := newVault(t, memfs.New())
		v.limits.BlockRows = []int{3, 16, 100, 16384}[seed%4]
		v.limits.CompactBytes = []int64{256 << 20, 60_000}[r.IntN(2)]
		v.limits.CacheBytes = []int64{-1, 10_000, 1 << 20}[r.IntN(3)]
		v.limits.OpenSegments = 1 + r.IntN(5)
		o := &oracle{}
		v.opened()
		for round := range 4 {
			v.seals(r, o, 5, 30)
			v.compact(-1)
			ask(t, r, v.s, o, 8)
			if round == 2 {
				v.pass(48 * time.Hour)
				v.compact(-1)
				ask(t, r, v.s, o, 8)
			}
			if round%2 == 1 {
				v.must(v.close())
				v.must(v.open())
				ask(t, r, v.s, o, 8)
			}
			v.must(v.verified())
		}
		st := v.s.Status()
		if st.Compactions == 0 || st.CompactedBytes == 0 {
			t.Errorf("seed %d: nothing was compacted: %+v", seed, st)
		}
		if sum := st.SealedBytes + st.CompactedBytes; sum > 2*st.SealedBytes {
			t.Errorf("seed %d: %d bytes were written for %d sealed", seed, sum, st.SealedBytes)
		}
		v.must(v.close())
		v.must(leftovers(v.fs, segmentsDir))
	}
}

// TestCompactionWhileAsking compacts, seals and asks at once: no answer changes,
// and no file is removed that somebody reads.
func TestCompactionWhileAsking(t *testing.T) {
	r := mrand.New(mrand.NewPCG(5, 5))
	v := newVault(t, memfs.New())
	v.limits.BlockRows, v.limits.OpenSegments, v.limits.CacheBytes = 16, 2, -1
	o := &oracle{}
	v.opened()
	v.seals(r, o, 12, 30)
	want := text(&o.ask(ScanRequest{To: 1 << 62})[0])
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for g := range 3 {
		wg.Go(func() {
			r := mrand.New(mrand.NewPCG(6, uint64(g)))
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				q := drawScan(r)
				q.To = min(q.To, noon+1e14) // what is appended meanwhile is of later days
				got, recs := scanAll(t, v.s, q), o.ask(q)
				if q.Order == AsStored {
					slices.SortFunc(got, func(a, b record.Record) int { return int(int64(a.Ord - b.Ord)) })
				}
				compare(t, fmt.Sprintf("while compacting: %v", q.Where), got, recs)
			}
		})
	}
	later := 0
	for range long(12, 60) {
		for range 4 {
			later++
			b := &record.Batch{Tenant: "acme", Source: "later", Ingest: noon}
			b.Begin(noon+int64(1e15), "app")
			b.Str("body", "later")
			b.End()
			v.must(v.s.Append(context.Background(), b))
			v.must(v.s.Seal(context.Background()))
		}
		v.compact(-1)
		if later == 24 {
			v.pass(48 * time.Hour)
		}
	}
	close(stop)
	wg.Wait()
	if t.Failed() {
		return
	}
	if got := scanAll(t, v.s, ScanRequest{Tenant: "acme", From: noon + 1e15, To: 1 << 62}); len(got) != later {
		t.Errorf("%d later records, want %d", len(got), later)
	}
	if got := scanAll(t, v.s, ScanRequest{Tenant: "acme", To: 1 << 62}); text(&got[0]) == want && len(got) != later+len(o.recs) {
		t.Errorf("%d records, want %d", len(got), later+len(o.recs))
	}
	v.must(v.close())
	v.must(errors.Join(v.verified(), leftovers(v.fs, segmentsDir)))
}

// TestPinnedFiles keeps a file that a query reads, and removes it when that is
// done.
func TestPinnedFiles(t *testing.T) {
	v := newVault(t, memfs.New())
	o := &oracle{}
	s := v.opened()
	v.seals(mrand.New(mrand.NewPCG(1, 1)), o, 5, 20)
	old := s.Segments()
	exist := func() (n int) {
		for _, l := range old {
			if ok, _ := vfs.Exists(v.fs, l.Path); ok {
				n++
			}
		}
		return n
	}
	seen := 0
	_, err := s.Scan(context.Background(), ScanRequest{Tenant: "acme", To: 1 << 62, Order: AsStored}, func(recs []record.Record) error {
		if seen == 0 {
			v.compact(-1)
			if exist() != len(old) {
				t.Errorf("%d of %d files are there while they are read", exist(), len(old))
			}
		}
		seen += len(recs)
		return nil
	})
	if err != nil || seen != len(o.recs) {
		t.Fatalf("%d records, want %d: %v", seen, len(o.recs), err)
	}
	if n := exist(); n > len(old)/3 {
		t.Errorf("%d of %d files are still there", n, len(old))
	}
}

// TestCompactionPolicy pins what is compacted when.
func TestCompactionPolicy(t *testing.T) {
	v := newVault(t, memfs.New())
	v.limits.CompactAfter, v.limits.CloseAfter = 10*time.Minute, 6*time.Hour
	s := v.opened()
	seals := func(n int) {
		for range n {
			b := &record.Batch{Tenant: "acme", Source: "src", Ingest: noon}
			for i := range 50 {
				b.Begin(noon, "app")
				b.Int("n", int64(i))
				b.End()
			}
			v.must(s.Append(context.Background(), b))
			v.must(s.Seal(context.Background()))
		}
	}
	levels := func() string {
		s.mu.RLock()
		defer s.mu.RUnlock()
		out := ""
		for _, h := range s.segments {
			out += fmt.Sprint(h.level)
		}
		return out
	}
	step := func(what, want string) {
		t.Helper()
		v.compact(-1)
		if got := levels(); got != want {
			t.Errorf("%s: levels %q, want %q", what, got, want)
		}
	}
	seals(4)
	step("four fresh segments", "0000")
	v.pass(11 * time.Minute)
	step("four old ones", "1")
	seals(3)
	v.pass(11 * time.Minute)
	step("three old ones", "1000")
	seals(14)
	step("seventeen, of which many are fresh", "11")
	v.pass(14 * time.Hour) // noon and 14 hours: two hours after the end of the day
	seals(2)
	v.pass(3 * time.Hour)
	step("day is over, but not for long", "1100")
	v.pass(2 * time.Hour)
	step("day is over", "2")
	seals(1)
	v.pass(24 * time.Hour)
	step("one late segment", "20")
	seals(1)
	step("something arrives", "200")
	v.pass(2 * time.Hour)
	step("nothing arrives", "22")
	if n := len(scanAll(t, s, everything())); n != 50*25 {
		t.Errorf("%d records", n)
	}
}

// TestReencodedOnce counts how often records are encoded: those of small blocks
// once more, and never again, however often they are moved.
func TestReencodedOnce(t *testing.T) {
	v := newVault(t, memfs.New())
	v.limits.BlockRows, v.limits.CompactBytes = 1000, 200_000
	s := v.opened()
	r := mrand.New(mrand.NewPCG(1, 1))
	seal := func(class record.Class, n int) {
		b := &record.Batch{Tenant: "acme", Source: "src", Ingest: noon}
		for i := range n {
			b.Begin(noon+int64(i), class)
			b.Int("n", r.Int64())
			b.Str("service.name", "cart")
			b.End()
		}
		v.must(s.Append(context.Background(), b))
		v.must(s.Seal(context.Background()))
	}
	reencoded := func() (n uint64) {
		for _, c := range leaves[ledger.Compact](t, v.lg) {
			n += c.Reencoded
		}
		return n
	}
	seal("ops", 50_000) // too large to be merged: what it does not cost, others may
	for round := range uint64(2) {
		for range 4 {
			seal("app", 600) // a block of its own
			seal("app", 20)  // too little for one, and so are four of them
		}
		v.compact(1)
		if n := reencoded(); n != 80*(round+1) {
			t.Errorf("%d records were encoded anew, want those of the small blocks", n)
		}
	}
	v.pass(48 * time.Hour)
	v.compact(1)
	if n := reencoded(); n != 160 {
		t.Errorf("%d records were encoded anew when the day was closed", n)
	}
	for _, h := range s.segments {
		if h.leaf.Class != "app" {
			continue
		}
		x, err := s.files.acquire(h)
		v.must(err)
		if n := len(x.reader.Blocks); n != 10 || h.level != 2 {
			t.Errorf("%d blocks on level %d, want the eight full ones and two of small ones", n, h.level)
		}
		s.files.release(x)
	}
}

// TestDamagedInput never moves a block of a file that is not the one in the
// ledger, even if the key opens all of it: its segment is left where it is, named,
// and the others of its part are compacted without it.
func TestDamagedInput(t *testing.T) {
	for name, at := range map[string]func(size int64) int64{
		"a chunk":        func(int64) int64 { return 100 },
		"a hash of them": func(size int64) int64 { return size - 80 },
	} {
		v := newVault(t, memfs.New())
		o := &oracle{}
		s := v.opened()
		v.seals(mrand.New(mrand.NewPCG(2, 2)), o, 12, 30)
		bad := s.Segments()[8]
		f, err := v.fs.OpenRW(bad.Path)
		v.must(err)
		var b [1]byte
		f.ReadAt(b[:], at(bad.Size))
		b[0] ^= 4
		f.WriteAt(b[:], at(bad.Size))
		f.Close()
		if _, err := s.Compact(context.Background()); err == nil || !strings.Contains(err.Error(), bad.ID) {
			t.Errorf("%s: compact: %v", name, err)
		}
		if s.Status().Damaged[bad.Path] == "" {
			t.Errorf("%s: damage is not named: %v", name, s.Status().Damaged)
		}
		v.pass(time.Hour)
		v.compact(-1)
		live := s.Segments()
		if !slices.ContainsFunc(live, func(l ledger.Segment) bool { return l.ID == bad.ID }) || len(live) > 12 {
			t.Errorf("%s: %d segments", name, len(live))
		}
		if n := len(leaves[ledger.Compact](t, v.lg)); n == 0 {
			t.Errorf("%s: nothing was compacted beside it", name)
		}
		v.must(leftovers(v.fs, segmentsDir))
		if err := v.verified(); err == nil || !strings.Contains(err.Error(), bad.Path) {
			t.Errorf("%s: verify: %v", name, err)
		}
	}
}

// TestNoRoom does not begin a compaction that the disk has no room for.
func TestNoRoom(t *testing.T) {
	disk := memfs.New()
	v := newVault(t, disk)
	o := &oracle{}
	s := v.opened()
	v.seals(mrand.New(mrand.NewPCG(2, 2)), o, 5, 30)
	disk.Limit(1)
	v.compact(0)
	disk.Limit(-1)
	v.compact(-1)
	if s.Status().Compactions == 0 {
		t.Error("nothing was compacted when there was room")
	}
}

// TestWriteAmplification runs a day of seals every two minutes, with tenants of
// very different sizes: every byte is written twice at most, over all, and each
// day ends as few files.
func TestWriteAmplification(t *testing.T) {
	counted := &countingFS{FS: memfs.New()}
	v := newVault(t, counted)
	v.limits.CompactFiles, v.limits.CompactAfter, v.limits.BlockRows, v.limits.JournalFile = 0, 0, 128, 0 // the defaults
	v.now.Store(noon / (86400 * 1e9) * 86400 * 1e9)
	s := v.opened()
	r := mrand.New(mrand.NewPCG(1, 1))
	most, records := 0, 0
	day := v.now.Load()
	for step := range 720 {
		for tenant, n := range map[record.TenantID]int{"large": 300, "middle": 25, "small": 2} {
			if tenant == "small" && step%5 > 0 {
				continue
			}
			b := &record.Batch{Tenant: tenant, Source: "src", Ingest: v.now.Load()}
			for i := range n {
				b.Begin(min(v.now.Load()+int64(i), day+86400*1e9-1), "app")
				b.Str("service.name", fmt.Sprint("svc-", i%7))
				b.Str("trace_id", fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64()))
				b.Int("n", r.Int64N(1e6))
				b.End()
			}
			records += n
			v.must(s.Append(context.Background(), b))
		}
		v.must(s.Seal(context.Background()))
		v.pass(2 * time.Minute)
		v.compact(-1)
		most = max(most, len(s.Segments()))
	}
	v.pass(8 * time.Hour)
	v.compact(-1)
	st := s.Status()
	written := counted.bytes.Load()
	amplification := float64(written) / float64(st.SealedBytes)
	t.Logf("%d records: %d bytes sealed, %d written, amplification %.2f, at most %d segments, %d at the end of %d bytes",
		records, st.SealedBytes, written, amplification, most, st.Segments, st.SegmentBytes)
	if amplification > 2 || written != st.SealedBytes+st.CompactedBytes {
		t.Errorf("amplification %.2f: %d bytes written to segment files, %+v", amplification, written, st)
	}
	if most > 300 || st.Segments > 100 || st.Records != uint64(records) {
		t.Errorf("%d segments during the day, %d at its end, %d of %d records", most, st.Segments, st.Records, records)
	}
	v.must(v.close())
	v.must(v.verified())
}

// countingFS counts the bytes that are written to segment files.
type countingFS struct {
	vfs.FS
	bytes atomic.Int64
}

func (c *countingFS) Create(name string) (vfs.File, error) {
	f, err := c.FS.Create(name)
	if err == nil && strings.HasSuffix(name, newSuffix) {
		f = &countingFile{f, c}
	}
	return f, err
}

type countingFile struct {
	vfs.File
	c *countingFS
}

func (f *countingFile) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	f.c.bytes.Add(int64(n))
	return n, err
}
