package app

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/config"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/identity"
	"github.com/meshtrail/meshtrail/internal/keyring"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/store"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// Names below the data folder.
const (
	keysDir   = "keys"
	ledgerDir = "ledger"
	lockFile  = "lock"
)

// history lists what a folder holds that has a history, or the beginning of one.
var history = []string{keysDir, ledgerDir, "journal", "segments", identity.TokenFile, config.FileName}

// Made is what Init made.
type Made struct {
	LogKey string // the verifier key of the new ledger
	Token  string
	Listen string // the address that serve will use
}

// Init begins a history in dir, which it creates. It refuses a folder that
// holds one with fault.Conflict and changes nothing there. The ledger is made
// last: a folder with a ledger is a whole one.
func Init(ctx context.Context, dir, version string) (*Made, error) {
	if dir == "" {
		return nil, fault.Errorf(fault.Invalid, "the data folder has no name")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.Errorf(fault.Invalid, "create data folder: %w", err)
	}
	f, err := vfs.Dir(dir)
	if err != nil {
		return nil, fault.Errorf(fault.KindOf(err), "open data folder %s: %w", dir, err)
	}
	for _, name := range history {
		_, err := f.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fault.Errorf(fault.KindOf(err), "look for %s: %w", name, err)
		}
		return nil, fault.WithHint(fault.Errorf(fault.Conflict, "%s holds a history already (%s exists)", dir, name),
			"serve it with meshtrail serve --data "+dir+", or choose an empty folder; a folder left by an interrupted init has no ledger/ and may be deleted")
	}
	return create(f, version)
}

// create makes what a history begins with. The ledger comes last.
func create(f vfs.FS, version string) (*Made, error) {
	keys := vfs.Sub(f, keysDir)
	if err := f.MkdirAll(keysDir); err != nil {
		return nil, fault.Errorf(fault.KindOf(err), "create %s: %w", keysDir, err)
	}
	if err := keyring.Create(keys); err != nil {
		return nil, err
	}
	ring, err := keyring.Open(keys)
	if err != nil {
		return nil, err
	}
	signer, err := ring.Signer()
	if err != nil {
		return nil, err
	}
	logKey, err := vfs.ReadFile(keys, "ledger.pub")
	if err != nil {
		return nil, fault.Errorf(fault.KindOf(err), "read the log key: %w", err)
	}
	if err := store.Create(f, ring); err != nil {
		return nil, err
	}
	token, err := identity.Create(f)
	if err != nil {
		return nil, err
	}
	if err := vfs.WriteFile(f, config.FileName, config.Example()); err != nil {
		return nil, fault.Errorf(fault.KindOf(err), "write %s: %w", config.FileName, err)
	}
	if err := ledger.Create(vfs.Sub(f, ledgerDir), signer, signer.Name(), time.Now(), version); err != nil {
		return nil, err
	}
	return &Made{LogKey: strings.TrimSpace(string(logKey)), Token: token, Listen: httpd.DefaultListen}, nil
}
