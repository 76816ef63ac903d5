package store

import (
	"context"
	"io/fs"
	mrand "math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/ledger/verify"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

// after keeps every class for so long after the end of the day.
func after(d time.Duration) Retention {
	return func(_, class, day string, _ time.Time) (time.Time, string, bool) {
		t, err := time.Parse(time.DateOnly, day)
		return t.AddDate(0, 0, 1).Add(d), class + " " + d.String(), err == nil
	}
}

func (v *vault) expire(want int) {
	v.t.Helper()
	n, err := v.s.Expire(context.Background(), time.Unix(0, v.now.Load()))
	if err != nil || n != want {
		v.t.Fatalf("%d days were destroyed, want %d: %v", n, want, err)
	}
}

// one appends and seals a record of a class and event time.
func (v *vault) one(class record.Class, at int64, text string) {
	v.t.Helper()
	b := &record.Batch{Tenant: "acme", Source: "src", Ingest: v.now.Load()}
	b.Begin(at, class)
	b.Str("key", text)
	b.End()
	v.must(v.s.Append(context.Background(), b))
	v.must(v.s.Seal(context.Background()))
}

func (v *vault) keysLeft() string {
	v.t.Helper()
	var out []string
	for _, r := range scanAll(v.t, v.s, ScanRequest{Tenant: "acme", To: 1 << 62, Order: Oldest}) {
		k, _ := r.Get("key")
		out = append(out, k.Str)
	}
	return strings.Join(out, " ")
}

const dayNs = 86400 * int64(1e9)

// TestExpire follows a day from its end to its certificate: nothing goes before
// its time, everything of it goes at once, and nothing else.
func TestExpire(t *testing.T) {
	v := newVault(t, memfs.New())
	v.keep = func(tenant, class, day string, arrived time.Time) (time.Time, string, bool) {
		if class == "audit" {
			return time.Time{}, "", false
		}
		return after(48*time.Hour)(tenant, class, day, arrived)
	}
	s := v.opened()
	v.one("app", noon, "a")
	v.one("app", noon+1, "b")
	v.one("ops", noon, "c")
	v.one("audit", noon, "d")
	v.one("app", noon+dayNs, "e")
	v.one("app", noon-2*dayNs, "f")
	key := s.Segments()[0].KeyID
	v.expire(0)
	v.now.Store(noon/dayNs*dayNs + dayNs - 1) // a nanosecond before the end of what f is kept for
	v.expire(0)
	v.pass(time.Nanosecond)
	v.expire(1)
	if got := v.keysLeft(); got != "a c d b e" {
		t.Errorf("left: %q", got)
	}
	v.pass(48 * time.Hour)
	v.expire(2)
	if got := v.keysLeft(); got != "d e" {
		t.Errorf("left: %q", got)
	}
	v.expire(0)
	v.must(v.verified())
	if _, err := v.keys.OpenDataKey(key); !fault.Is(err, fault.NotFound) {
		t.Errorf("the key of a destroyed day opens: %v", err)
	}
	certs := leaves[ledger.Destruction](t, v.lg)
	if len(certs) != 3 {
		t.Fatalf("%d certificates", len(certs))
	}
	c := certs[1]
	if c.Class != "app" || c.Day != "2025-11-20" || len(c.Segments) != 2 || c.Records != 2 || c.Policy != "app 48h0m0s" || c.By != "retention" || !slices.Equal(c.KeyIDs, []string{key}) || c.End > c.At {
		t.Errorf("certificate %+v", c)
	}
	st := s.Status()
	if st.DestroyedSegments != 4 || st.DestroyedRecords != 4 || st.Records != 2 {
		t.Errorf("status %+v", st)
	}
	v.must(v.close())
	v.must(v.open())
	if st := v.s.Status(); st.DestroyedSegments != 4 || st.DestroyedRecords != 4 || st.Records != 2 || len(st.Damaged) > 0 {
		t.Errorf("status after opening %+v", st)
	}
	rep, err := verify.Folder(context.Background(), v.fs, verify.Options{})
	if err != nil || rep.Segments.Destroyed != 4 || rep.Segments.DestroyedRecords != 4 {
		t.Errorf("%+v %v", rep.Segments, err)
	}
}

// TestLateRecords keeps records that arrive for a destroyed day, under a new key,
// until retention is looked at again.
func TestLateRecords(t *testing.T) {
	v := newVault(t, memfs.New())
	v.keep = after(time.Hour)
	s := v.opened()
	v.one("app", noon, "early")
	old := s.Segments()[0].KeyID
	v.pass(48 * time.Hour)
	v.expire(1)
	v.one("app", noon, "late")
	if got := v.keysLeft(); got != "late" {
		t.Errorf("left: %q", got)
	}
	if id := s.Segments()[0].KeyID; id == old {
		t.Error("late records are under the destroyed key")
	}
	v.must(v.verified())
	v.must(v.close())
	v.must(v.open())
	v.expire(1)
	if got := v.keysLeft(); got != "" {
		t.Errorf("left: %q", got)
	}
	v.must(v.verified())
	if n := v.s.Sources()[0].Stored; n != 2 {
		t.Errorf("the account says that %d records were stored", n)
	}
}

// TestHoldBeatsRetention keeps what is held, across restarts, until the hold is
// released.
func TestHoldBeatsRetention(t *testing.T) {
	ctx := context.Background()
	v := newVault(t, memfs.New())
	v.keep = after(time.Hour)
	v.opened()
	v.one("app", noon, "held")
	v.one("ops", noon, "free")
	v.one("app", noon+dayNs, "next")
	hold := ledger.Hold{ID: "case-7", Tenant: "acme", Class: "app", From: "2025-11-01", To: "2025-11-20", Reason: "litigation"}
	v.must(v.s.SetHolds(ctx, []ledger.Hold{hold}, "configuration"))
	v.must(v.s.SetHolds(ctx, []ledger.Hold{hold}, "configuration")) // changes nothing
	v.pass(96 * time.Hour)
	v.expire(2)
	if got := v.keysLeft(); got != "held" {
		t.Errorf("left: %q", got)
	}
	v.must(v.close())
	v.must(v.open()) // nobody names the hold: the ledger does
	v.expire(0)
	if st := v.s.Status(); st.Holds != 1 {
		t.Errorf("status: %d holds", st.Holds)
	}
	wider := hold
	wider.To = ""
	v.must(v.s.SetHolds(ctx, []ledger.Hold{wider}, "configuration"))
	v.expire(0)
	v.must(v.verified())
	v.must(v.s.SetHolds(ctx, nil, "configuration"))
	v.expire(1)
	if got := v.keysLeft(); got != "" || len(v.s.Holds()) != 0 {
		t.Errorf("left: %q, holds %v", got, v.s.Holds())
	}
	v.must(v.verified())
	var acts []string
	for _, h := range leaves[ledger.Hold](t, v.lg) {
		acts = append(acts, h.Action+" "+h.To+" "+h.By)
	}
	if got := strings.Join(acts, ", "); got != "placed 2025-11-20 configuration, released 2025-11-20 configuration, placed  configuration, released  configuration" {
		t.Errorf("hold leaves: %s", got)
	}
	if err := v.s.SetHolds(ctx, []ledger.Hold{hold, hold}, "x"); !fault.Is(err, fault.Invalid) {
		t.Errorf("one id twice: %v", err)
	}
}

// TestExpireWhileBusy destroys days while records come in, are sealed, compacted
// and asked for.
func TestExpireWhileBusy(t *testing.T) {
	v := newVault(t, memfs.New())
	v.keep = doomedDay
	s := v.opened()
	sent := map[uint64]int{}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				scanAll(t, s, ScanRequest{Tenant: "acme", To: 1 << 62, Where: drawPredicate(mrand.New(mrand.NewPCG(1, 1)), 1)})
			}
		}
	})
	seq := uint64(1)
	for i := range 40 {
		n := 5 + i%7
		sent[seq] = n
		v.must(s.Append(context.Background(), numbered(seq, n)))
		seq += uint64(n)
		if i%2 == 0 {
			v.must(s.Seal(context.Background()))
		}
		if i == 12 {
			v.pass(2 * time.Hour)
		}
		if i%4 == 0 {
			v.compact(-1)
			if _, err := s.Expire(context.Background(), time.Unix(0, v.now.Load())); err != nil {
				t.Error(err)
			}
		}
	}
	close(stop)
	wg.Wait()
	v.must(s.Seal(context.Background()))
	v.expire(1)
	if gone, err := allOrNone(s, sent, doomedKeys(sent)); err != nil || !gone {
		t.Errorf("destroyed %v: %v", gone, err)
	}
	v.must(v.close())
	v.must(v.verified())
	v.must(leftovers(v.fs, segmentsDir))
	if certs := leaves[ledger.Destruction](t, v.lg); len(certs) < 3 {
		t.Errorf("%d certificates", len(certs))
	}
}

// TestDestroyedSecret looks for what is left of a destroyed record: nothing that
// the keys of the folder still open.
func TestDestroyedSecret(t *testing.T) {
	v := newVault(t, memfs.New())
	v.keep = after(time.Hour)
	s := v.opened()
	v.one("app", noon, "secret")
	l := s.Segments()[0]
	v.keysLeft() // decoded columns are in the cache now
	if s.cache.Used() == 0 {
		t.Fatal("nothing was cached")
	}
	v.pass(48 * time.Hour)
	v.expire(1)
	if n := s.cache.Used(); n != 0 {
		t.Errorf("%d decoded bytes of destroyed records are in memory", n)
	}
	if _, err := v.fs.Stat(l.Path); err == nil {
		t.Error("the file is there")
	}
	list, err := v.fs.ReadDir("keys/data/acme")
	v.must(err)
	if !slices.ContainsFunc(list, func(e fs.DirEntry) bool { return strings.HasSuffix(e.Name(), l.KeyID+".destroyed") }) ||
		slices.ContainsFunc(list, func(e fs.DirEntry) bool { return strings.HasSuffix(e.Name(), l.KeyID+".key") }) {
		t.Errorf("keys: %v", list)
	}
}

// TestArrivalIsTold gives retention the arrival of the newest record of a day,
// sealed or compacted.
func TestArrivalIsTold(t *testing.T) {
	v := newVault(t, memfs.New())
	told := map[string]time.Time{}
	v.keep = func(_, class, day string, arrived time.Time) (time.Time, string, bool) {
		told[class+" "+day] = arrived
		return arrived.Add(time.Hour), "an hour from arrival", true
	}
	v.opened()
	for range 5 {
		v.one("app", noon, "app")
		v.one("ops", noon-3*dayNs, "ops")
		v.pass(time.Minute)
	}
	newest := time.Unix(0, v.now.Load()).Add(-time.Minute)
	if _, err := v.s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	v.expire(0)
	for _, day := range []string{"app 2025-11-20", "ops 2025-11-17"} {
		if !told[day].Equal(newest) {
			t.Errorf("%s: arrived %v, want %v", day, told[day], newest)
		}
	}
	v.pass(time.Hour)
	v.expire(2)
	v.must(v.verified())
}
