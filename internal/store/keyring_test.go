package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/keyring"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/vfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

// TestWithKeyring runs a store on the real keyring, as init and serve do: twice
// opened, and unreadable with the keyring of another folder.
func TestWithKeyring(t *testing.T) {
	f, other := memfs.New(), memfs.New()
	for _, f := range []*memfs.FS{f, other} {
		if err := keyring.Create(vfs.Sub(f, "keys")); err != nil {
			t.Fatal(err)
		}
	}
	var s *Store
	open := func() error {
		t.Helper()
		keys, err := keyring.Open(vfs.Sub(f, "keys"))
		if err != nil {
			t.Fatal(err)
		}
		sign, _ := keys.Signer()
		check, _ := keys.Verifier()
		if s == nil {
			err = errors.Join(ledger.Create(vfs.Sub(f, "ledger"), sign, sign.Name(), time.Unix(1e9, 0), "test"), Create(f, keys))
			if err != nil {
				t.Fatal(err)
			}
		}
		lg, err := ledger.Open(ledger.Options{FS: vfs.Sub(f, "ledger"), Signer: sign, Verifier: check})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { lg.Close() })
		s, err = Open(context.Background(), Options{FS: f, Keyring: keys, Ledger: lg, Limits: manual()})
		return err
	}
	for i := range uint64(3) {
		if err := open(); err != nil {
			t.Fatal(err)
		}
		mustAppend(t, s, numbered(1+100*i, 50))
		if got := scanAll(t, s, everything()); len(got) != int(50*(i+1)) {
			t.Errorf("%d records at opening %d", len(got), i)
		}
		if err := errors.Join(s.Close(), s.o.Ledger.Close()); err != nil {
			t.Fatal(err)
		}
	}
	strange, err := keyring.Open(vfs.Sub(other, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(context.Background(), Options{FS: f, Keyring: strange, Ledger: s.o.Ledger, Limits: manual()}); !fault.Is(err, fault.Tampered) {
		t.Errorf("open with another keyring: %v", err)
	}
}
