// Package keyring holds the keys of a data folder, and nothing else does.
//
//	root key ─┬─ journal key                        derived (HKDF-SHA256)
//	          ├─ ledger signing key                 sealed
//	          ├─ token vault's key                  derived
//	          └─ tenant keys ─┬─ data keys          sealed; one data key for each
//	                          │                     tenant, class and UTC day
//	                          └─ hash, token keys   derived
//
//	keys/root.key                                   one line of 64 hex digits, mode 0600
//	keys/ledger.pub                                 the ledger's verifier key, plain
//	keys/ledger.key                                 a sealed key, below
//	keys/tenants/TENANT.key
//	keys/data/TENANT/CLASS.DAY.ID.key
//	keys/data/TENANT/CLASS.DAY.ID.destroyed         what is left of a destroyed key
//
// A sealed key is one JSON object: version, kind (ledger, tenant, data), id,
// tenant, class, day, and the key as "sealed": nonce, ciphertext and tag of
// AES-256-GCM in base64. Its additional data is
//
//	"meshtrail key 1" 0 kind 0 tenant 0 class 0 day 0 id
//
// so a sealed key opens only as what it was made for. The tenant keys and the
// ledger key are sealed under keys derived from the root, a data key under its
// tenant's key. Data is therefore destroyed by destroying its data key.
//
// Trusted: whoever reads the root key reads everything. The other files need not
// be secret, and a change of them is found when the key is used.
//
// What survives a crash: every key that was handed out. The room MUST NOT know
// what the keys are used for. Keys are shared, and never changed or given back.
package keyring

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb/note"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// The names of files, relative to the keyring's folder.
const (
	rootFile   = "root.key"
	ledgerFile = "ledger.key"
	publicFile = "ledger.pub"
	tenantDir  = "tenants"
	dataDir    = "data"
)

// What the root key is derived for.
const (
	journalLabel = "meshtrail journal"
	ledgerLabel  = "meshtrail ledger"
	tenantLabel  = "meshtrail tenants"
	vaultLabel   = "meshtrail token vault"
)

// Keyring gives keys out. It is safe for concurrent use.
type Keyring struct {
	fs       vfs.FS
	root     *crypt.Key
	signer   note.Signer
	verifier note.Verifier

	mu      sync.Mutex
	tenants map[string]*crypt.Key
	current map[place]*dataKey // the key to use; the others only open old data
	byID    map[string]*dataKey
	unsure  map[string]bool // files that a failed write may have left
}

// Create makes the root key and the ledger's signing key in a folder that has
// neither (else fault.Conflict). The root key comes last: where it is,
// everything is.
func Create(f vfs.FS) error {
	if err := f.MkdirAll("."); err != nil {
		return fmt.Errorf("create keyring: %w", err)
	}
	for _, name := range []string{rootFile, ledgerFile, publicFile} {
		ok, err := vfs.Exists(f, name)
		if err != nil {
			return fmt.Errorf("create keyring: %w", err)
		}
		if ok {
			return fault.WithHint(fault.Errorf(fault.Conflict, "create keyring: %s exists", name),
				"keys are never replaced: without them nothing can be read; if an init was interrupted here, remove the folder")
		}
	}
	var id [8]byte
	rand.Read(id[:])
	secret, public, err := note.GenerateKey(rand.Reader, "meshtrail/"+hex.EncodeToString(id[:]))
	if err != nil {
		return fault.Errorf(fault.Internal, "create keyring: make ledger key: %w", err)
	}
	root := crypt.NewKey()
	// Both halves are sealed, so that a replaced ledger.pub is found.
	sealed, err := seal(root.Derive(ledgerLabel), sealedKey{Kind: kindLedger}, []byte(secret+"\n"+public))
	if err != nil {
		return fmt.Errorf("create keyring: %w", err)
	}
	for _, file := range []struct {
		name string
		data []byte
	}{
		{ledgerFile, sealed},
		{publicFile, []byte(public + "\n")},
		{rootFile, []byte(hex.EncodeToString(root.Bytes()) + "\n")},
	} {
		if err := vfs.WriteFile(f, file.name, file.data); err != nil {
			return fmt.Errorf("create keyring: %w", err)
		}
	}
	return nil
}

// Open opens a keyring that exists (else fault.NotFound). A root key that is not
// the one the others were sealed under is fault.Tampered, with a hint.
func Open(f vfs.FS) (*Keyring, error) {
	root, err := readRoot(f)
	if err != nil {
		return nil, fmt.Errorf("open keyring: %w", err)
	}
	k := &Keyring{fs: f, root: root, tenants: map[string]*crypt.Key{}, unsure: map[string]bool{}}
	if err := k.openLedger(); err != nil {
		return nil, fmt.Errorf("open keyring: %w", err)
	}
	if err := k.index(); err != nil {
		return nil, fmt.Errorf("open keyring: %w", err)
	}
	return k, nil
}

func readRoot(f vfs.FS) (*crypt.Key, error) {
	st, err := f.Stat(rootFile)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fault.WithHint(fault.Errorf(fault.NotFound, "%s does not exist", rootFile),
				"the root key is made once, by init; without it nothing that was stored can be read")
		}
		return nil, err
	}
	if mode := st.Mode().Perm(); mode&0o077 != 0 {
		return nil, fault.WithHint(fault.Errorf(fault.Denied, "%s has mode %04o: others may read it", rootFile, mode),
			"chmod 600 "+rootFile+", and ask who has read it")
	}
	data, err := readSmall(f, rootFile)
	if err != nil {
		return nil, err
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(data)))
	if err != nil || len(b) != crypt.KeySize {
		// The decoder's own text would show parts of the key.
		return nil, fault.Errorf(fault.Corrupt, "%s is not one line of %d hex digits", rootFile, 2*crypt.KeySize)
	}
	return crypt.KeyFromBytes(b)
}

// openLedger reads the signing key, which also proves the root key.
func (k *Keyring) openLedger() error {
	data, err := readSmall(k.fs, ledgerFile)
	if err != nil {
		return err
	}
	plain, err := open(k.root.Derive(ledgerLabel), sealedKey{Kind: kindLedger}, ledgerFile, data)
	if err != nil {
		return fault.WithHint(err, "is root.key the one that belongs to this data folder?")
	}
	secret, public, _ := strings.Cut(string(plain), "\n")
	if k.signer, err = note.NewSigner(secret); err != nil {
		return fault.Errorf(fault.Corrupt, "%s holds no signing key", ledgerFile)
	}
	if k.verifier, err = note.NewVerifier(public); err != nil {
		return fault.Errorf(fault.Corrupt, "%s holds no verifier key", ledgerFile)
	}
	shown, err := readSmall(k.fs, publicFile)
	if err != nil {
		return err
	}
	if strings.TrimSpace(string(shown)) != public {
		return fault.WithHint(fault.Errorf(fault.Tampered, "%s is not the public half of %s", publicFile, ledgerFile),
			"the true verifier key is "+public)
	}
	return nil
}

// JournalKey returns the key of the journal.
func (k *Keyring) JournalKey() *crypt.Key { return k.root.Derive(journalLabel) }

// VaultKey returns the key of the token vault.
func (k *Keyring) VaultKey() *crypt.Key { return k.root.Derive(vaultLabel) }

// TenantKey returns a tenant's key for one purpose, the same for ever. The first
// call for a tenant makes its key, which is durable before anybody gets one.
func (k *Keyring) TenantKey(tenant, purpose string) (*crypt.Key, error) {
	if !record.ValidName(tenant) || purpose == "" {
		return nil, fault.Errorf(fault.Invalid, "key of tenant %q for %q", tenant, purpose)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	key, err := k.tenantKey(tenant)
	if err != nil {
		return nil, err
	}
	return key.Derive("meshtrail tenant: " + purpose), nil
}

// Signer returns the ledger's signing key.
func (k *Keyring) Signer() (note.Signer, error) { return k.signer, nil }

// Verifier returns the ledger's verifier key, which is public.
func (k *Keyring) Verifier() (note.Verifier, error) { return k.verifier, nil }

// maxFile bounds a key file, in bytes.
const maxFile = 16 << 10

func readSmall(f vfs.FS, name string) ([]byte, error) {
	st, err := f.Stat(name)
	if err != nil {
		return nil, err
	}
	if st.Size() > maxFile {
		return nil, fault.Errorf(fault.Corrupt, "%s has %d bytes, no key file has more than %d", name, st.Size(), maxFile)
	}
	return vfs.ReadFile(f, name)
}
