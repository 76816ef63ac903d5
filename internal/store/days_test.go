package store

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/keyring"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/vfs"
	"github.com/meshtrail/meshtrail/internal/vfs/faultfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

// keyedWorld opens a new store on the real keyring, which makes a file for each
// key as a server does.
func keyedWorld(t testing.TB, f vfs.FS) *Store {
	t.Helper()
	if err := keyring.Create(vfs.Sub(f, "keys")); err != nil {
		t.Fatal(err)
	}
	keys, err := keyring.Open(vfs.Sub(f, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	sign, _ := keys.Signer()
	check, _ := keys.Verifier()
	err = errors.Join(ledger.Create(vfs.Sub(f, "ledger"), sign, sign.Name(), time.Unix(1e9, 0), "test"), Create(f, keys))
	if err != nil {
		t.Fatal(err)
	}
	lg, err := ledger.Open(ledger.Options{FS: vfs.Sub(f, "ledger"), Signer: sign, Verifier: check})
	if err != nil {
		t.Fatal(err)
	}
	l := manual()
	l.JournalFile = 0
	s, err := Open(context.Background(), Options{FS: f, Keyring: keys, Ledger: lg, Limits: l})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); lg.Close() })
	return s
}

// ofDays is a batch with one record for each of n days before noon.
func ofDays(n int) *record.Batch {
	b := &record.Batch{Tenant: "acme", Source: "agent", Ingest: noon, Account: record.Account{Received: uint64(n)}}
	for i := range n {
		b.Begin(noon-int64(i)*86400*1e9, "app")
		b.Str(record.Body, "one record of a day")
		b.Int("n", int64(i))
		b.End()
	}
	return b
}

// TestManyDaysAreOneSeal: intake believes the days of ten years, and a load of old
// logs may have a record of each. What waits for the disk is one sync for each
// file and folder, and who asks meanwhile is answered.
func TestManyDaysAreOneSeal(t *testing.T) {
	const days = 3650
	ff := faultfs.Wrap(memfs.New())
	s := keyedWorld(t, ff)
	mustAppend(t, s, ofDays(days))
	var asked, segments atomic.Int64
	ff.Watch(func(op faultfs.Op, name string) {
		if op != faultfs.Sync || !strings.HasSuffix(name, newSuffix) || segments.Add(1)%1000 != 0 {
			return
		}
		if got := len(scanAll(t, s, everything())); got != days {
			t.Errorf("%d of %d records are found while they are sealed", got, days)
		}
		asked.Add(1)
	})
	files, folders := ff.Count(faultfs.Sync), ff.Count(faultfs.SyncDir)
	if err := s.Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	ff.Watch(nil)
	files, folders = ff.Count(faultfs.Sync)-files, ff.Count(faultfs.SyncDir)-folders
	t.Logf("%d days are sealed with %d syncs of files and %d of folders", days, files, folders)
	const others = 100 // the journal, the ledger's tiles, folders of many keys
	if files > 2*days+others || folders > days+others {
		t.Errorf("%d syncs of files and %d of folders for a segment and a key of each of %d days", files, folders, days)
	}
	if n := s.Status().Segments; n != days || asked.Load() == 0 {
		t.Errorf("%d segments of %d days, asked %d times meanwhile", n, days, asked.Load())
	}
	if got := len(scanAll(t, s, everything())); got != days {
		t.Errorf("%d of %d records are sealed", got, days)
	}
}

// BenchmarkSealDays seals one load of the 3,650 days that intake believes.
func BenchmarkSealDays(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		f, err := vfs.Dir(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		s := keyedWorld(b, f)
		mustAppend(b, s, ofDays(3650))
		b.StartTimer()
		if err := s.Seal(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
