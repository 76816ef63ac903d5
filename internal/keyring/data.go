package keyring

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

const (
	liveSuffix      = ".key"
	destroyedSuffix = ".destroyed"
)

// place is what a data key is for.
type place struct{ tenant, class, day string }

func (p place) check() error {
	_, err := time.Parse(time.DateOnly, p.day)
	if !record.ValidName(p.tenant) || !record.ValidName(p.class) || err != nil {
		return fault.Errorf(fault.Invalid, "data key for tenant %q, class %q, day %q", p.tenant, p.class, p.day)
	}
	return nil
}

// dataKey is one data key. Its fields but key and destroyed never change; those
// are guarded by Keyring.mu.
type dataKey struct {
	id        string
	place     place
	key       *crypt.Key // nil until it is needed
	destroyed bool
}

func (d *dataKey) name(suffix string) string {
	return path.Join(dataDir, d.place.tenant, strings.Join([]string{d.place.class, d.place.day, d.id}, ".")+suffix)
}

// parseDataName is the reverse of name, for a file in the folder of a tenant.
func parseDataName(tenant, file string) (d *dataKey, ok bool) {
	rest, live := strings.CutSuffix(file, liveSuffix)
	if !live {
		if rest, ok = strings.CutSuffix(file, destroyedSuffix); !ok {
			return nil, false
		}
	}
	parts := strings.Split(rest, ".")
	if len(parts) != 3 {
		return nil, false
	}
	d = &dataKey{id: parts[2], place: place{tenant, parts[0], parts[1]}, destroyed: !live}
	return d, d.place.check() == nil && validID(d.id)
}

func validID(id string) bool {
	b, err := hex.DecodeString(id)
	return err == nil && len(b) == 16 && strings.ToLower(id) == id
}

// DataKey returns the key for the records of a tenant, class and UTC day
// (2006-01-02), and its id. The first call makes the key; it is durable before
// anybody gets it. Concurrent calls get the same key, one of them with created.
func (k *Keyring) DataKey(tenant, class, day string) (id string, key *crypt.Key, created bool, err error) {
	p := place{tenant, class, day}
	k.mu.Lock()
	defer k.mu.Unlock()
	made, err := k.findOrMake(tenant, []place{p})
	if err != nil {
		return "", nil, false, fmt.Errorf("make data key for %s/%s/%s: %w", tenant, class, day, err)
	}
	d := k.current[p]
	if err := k.unseal(d); err != nil {
		return "", nil, false, err
	}
	return d.id, d.key, made > 0, nil
}

// MakeDataKeys makes the keys of many days, of those that have none: what DataKey
// does for one, with one sync of their folder. Who asks for other keys waits
// meanwhile; a few hundred at once are right.
func (k *Keyring) MakeDataKeys(tenant, class string, days []string) error {
	places := make([]place, len(days))
	for i, day := range days {
		places[i] = place{tenant, class, day}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, err := k.findOrMake(tenant, places); err != nil {
		return fmt.Errorf("make %d data keys for %s/%s: %w", len(days), tenant, class, err)
	}
	return nil
}

// OpenDataKey returns the data key with an id that DataKey gave out. A key that
// was destroyed, or that this keyring never had, is fault.NotFound.
func (k *Keyring) OpenDataKey(id string) (*crypt.Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	d := k.byID[id]
	switch {
	case d == nil:
		return nil, fault.Errorf(fault.NotFound, "data key %q does not exist in this keyring", id)
	case d.destroyed:
		return nil, fault.WithHint(
			fault.Errorf(fault.NotFound, "data key %s (tenant %s, class %s, day %s) was destroyed", id, d.place.tenant, d.place.class, d.place.day),
			"its records are deleted and cannot be read again")
	}
	if err := k.unseal(d); err != nil {
		return nil, err
	}
	return d.key, nil
}

// Destroy makes a data key, and with it every record under it, unreadable for
// ever. That the key existed stays known. Destroying it again does nothing. The
// caller has checked retention and holds, and writes the ledger leaf.
func (k *Keyring) Destroy(id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	d := k.byID[id]
	if d == nil {
		return fault.Errorf(fault.NotFound, "destroy data key %q: it does not exist in this keyring", id)
	}
	if !d.destroyed {
		// The mark comes first: a crash in the middle is finished by index.
		if err := vfs.WriteFile(k.fs, d.name(destroyedSuffix), nil); err != nil {
			return fmt.Errorf("destroy data key %s: %w", id, err)
		}
		d.destroyed, d.key = true, nil
		if k.current[d.place] == d {
			delete(k.current, d.place)
		}
	}
	if err := k.wipe(d); err != nil {
		return fmt.Errorf("destroy data key %s: %w", id, err)
	}
	return nil
}

// wipe overwrites and removes the file of a destroyed key. On a disk that
// writes elsewhere than it is told, the bytes may linger until they are reused.
func (k *Keyring) wipe(d *dataKey) error {
	name := d.name(liveSuffix)
	file, err := k.fs.OpenRW(name)
	if errors.Is(err, fs.ErrNotExist) {
		return k.fs.SyncDir(path.Dir(name))
	}
	if err != nil {
		return err
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return err
	}
	if _, err := file.WriteAt(make([]byte, min(st.Size(), maxFile)), 0); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := k.fs.Remove(name); err != nil {
		return err
	}
	return k.fs.SyncDir(path.Dir(name))
}

// findOrMake makes the keys of those places of a tenant that have none, unless an
// earlier call made one and did not live to know. k.mu is held.
func (k *Keyring) findOrMake(tenant string, places []place) (made int, err error) {
	lacks := func(p place) bool { return k.current[p] == nil }
	if !slices.ContainsFunc(places, lacks) {
		return 0, nil
	}
	if len(k.unsure) > 0 { // else the folder holds what it held when it was listed
		if err := k.indexTenant(tenant); err != nil {
			return 0, err
		}
	}
	var keys []*dataKey
	var files []vfs.Content
	for _, p := range places {
		if !lacks(p) {
			continue
		}
		if err := p.check(); err != nil {
			return 0, err
		}
		wrap, err := k.tenantKey(tenant)
		if err != nil {
			return 0, err
		}
		var id [16]byte
		rand.Read(id[:])
		d := &dataKey{id: hex.EncodeToString(id[:]), place: p, key: crypt.NewKey()}
		data, err := seal(wrap, d.describe(), d.key.Bytes())
		if err != nil {
			return 0, err
		}
		keys, files = append(keys, d), append(files, vfs.Content{Name: d.name(liveSuffix), Data: data})
	}
	if len(keys) == 0 {
		return 0, nil
	}
	if err := k.fs.MkdirAll(path.Join(dataDir, tenant)); err != nil {
		return 0, err
	}
	if err := k.write(files...); err != nil {
		return 0, err
	}
	for _, d := range keys {
		k.current[d.place], k.byID[d.id] = d, d
	}
	return len(keys), nil
}

func (d *dataKey) describe() sealedKey {
	return sealedKey{Kind: kindData, ID: d.id, Tenant: d.place.tenant, Class: d.place.class, Day: d.place.day}
}

// unseal fills in d.key. k.mu is held.
func (k *Keyring) unseal(d *dataKey) error {
	if d.key != nil {
		return nil
	}
	wrap, err := k.tenantKey(d.place.tenant)
	if err != nil {
		return err
	}
	name := d.name(liveSuffix)
	data, err := k.read(name)
	if err != nil {
		return fmt.Errorf("open data key %s: %w", d.id, err)
	}
	plain, err := open(wrap, d.describe(), name, data)
	if err != nil {
		return fmt.Errorf("open data key %s: %w", d.id, err)
	}
	d.key, err = crypt.KeyFromBytes(plain)
	return err
}

// tenantKey returns a tenant's key and makes it on first use. k.mu is held.
func (k *Keyring) tenantKey(tenant string) (*crypt.Key, error) {
	if key := k.tenants[tenant]; key != nil {
		return key, nil
	}
	name := path.Join(tenantDir, tenant+liveSuffix)
	as, wrap := sealedKey{Kind: kindTenant, Tenant: tenant}, k.root.Derive(tenantLabel)
	data, err := k.read(name)
	var key *crypt.Key
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if key, err = k.makeTenantKey(name, as, wrap); err != nil {
			return nil, fmt.Errorf("make key of tenant %s: %w", tenant, err)
		}
	case err != nil:
		return nil, fmt.Errorf("open key of tenant %s: %w", tenant, err)
	default:
		plain, err := open(wrap, as, name, data)
		if err != nil {
			return nil, fmt.Errorf("open key of tenant %s: %w", tenant, err)
		}
		if key, err = crypt.KeyFromBytes(plain); err != nil {
			return nil, fmt.Errorf("open key of tenant %s: %w", tenant, err)
		}
	}
	k.tenants[tenant] = key
	return key, nil
}

// makeTenantKey makes a tenant's first key. Where data keys of the tenant exist
// already its key was lost, and a new one would only hide that.
func (k *Keyring) makeTenantKey(name string, as sealedKey, wrap *crypt.Key) (*crypt.Key, error) {
	for _, d := range k.byID {
		if d.place.tenant == as.Tenant && !d.destroyed {
			return nil, fault.WithHint(fault.Errorf(fault.Tampered, "%s is gone, but data keys of the tenant exist", name),
				"restore it from a backup: without it the tenant's records cannot be read")
		}
	}
	key := crypt.NewKey()
	data, err := seal(wrap, as, key.Bytes())
	if err != nil {
		return nil, err
	}
	if err := k.fs.MkdirAll(tenantDir); err != nil {
		return nil, err
	}
	return key, k.write(vfs.Content{Name: name, Data: data})
}

// index lists all data keys, without opening them.
func (k *Keyring) index() error {
	k.current, k.byID = map[place]*dataKey{}, map[string]*dataKey{}
	// What a process saw before it was killed need not be on the disk yet.
	if err := k.syncFolder(tenantDir); err != nil {
		return err
	}
	dir, err := k.fs.ReadDir(dataDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range dir {
		if e.IsDir() && record.ValidName(e.Name()) {
			if err := k.syncFolder(path.Join(dataDir, e.Name())); err != nil {
				return err
			}
			if err := k.indexTenant(e.Name()); err != nil {
				return err
			}
		}
	}
	for _, d := range k.byID {
		if d.destroyed { // finish what a crash interrupted
			if err := k.wipe(d); err != nil {
				return err
			}
		}
	}
	return nil
}

// indexTenant lists the data keys of one tenant. Of several live ones for one
// place the lowest id is used, and all can be opened.
func (k *Keyring) indexTenant(tenant string) error {
	dir, err := k.fs.ReadDir(path.Join(dataDir, tenant))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	for _, e := range dir {
		d, ok := parseDataName(tenant, e.Name())
		if !ok {
			continue
		}
		known := k.byID[d.id]
		switch {
		case known == nil:
			k.byID[d.id] = d
		case d.destroyed: // its .key sorts behind its .destroyed
			known.destroyed, known.key = true, nil
		}
	}
	for _, d := range k.byID {
		if d.place.tenant != tenant {
			continue
		}
		switch now := k.current[d.place]; {
		case d.destroyed && now == d:
			delete(k.current, d.place)
		case !d.destroyed && (now == nil || d.id < now.id):
			k.current[d.place] = d
		}
	}
	return nil
}

func (k *Keyring) syncFolder(dir string) error {
	if err := k.fs.SyncDir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// write makes key files durable. If that fails they may be there all the same,
// and not durably so: read sees to that. k.mu is held.
func (k *Keyring) write(files ...vfs.Content) error {
	err := vfs.WriteFiles(k.fs, files)
	for _, f := range files {
		if err != nil {
			k.unsure[f.Name] = true
		} else {
			delete(k.unsure, f.Name)
		}
	}
	return err
}

// read returns a key file, durable for certain. k.mu is held.
func (k *Keyring) read(name string) ([]byte, error) {
	data, err := readSmall(k.fs, name)
	if err != nil || !k.unsure[name] {
		return data, err
	}
	return data, k.write(vfs.Content{Name: name, Data: data})
}
