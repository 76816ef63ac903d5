// Package memfs is a vfs.FS in memory that can lose power.
//
// It keeps two states: what a running process sees, and what the disk holds.
// File.Sync moves a file's content from the first to the second, FS.SyncDir the
// names of a folder. CrashClone returns the FS that a machine might find after
// power loss: everything synced, and of the rest what chance left.
//
// The rules are those of POSIX and not kinder, because a program that is right
// here is right on every journalling file system:
//
//   - Content that was not synced is lost or kept page by page (4 KiB); a page
//     may be torn at a sector (512 bytes). A size that was not synced may be the
//     old one, the new one or one between; pages lost inside it read as zeros.
//   - A name that was not synced (create, rename, remove) may be lost, alone or
//     with all that came later; operations on one name keep their order.
//     Syncing a file does not sync its name.
//   - A rename happens wholly or not at all: the synced content of a file stays
//     reachable under one of its two names.
//   - Folders are durable at once (see vfs.FS.MkdirAll).
//
// Files live until the last name and the last handle are gone, as in POSIX.
// The package is for tests; it never touches the machine it runs on.
package memfs

import (
	"io"
	"io/fs"
	"path"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// FS is a file system in memory. It is safe for concurrent use.
type FS struct {
	mu      sync.Mutex
	names   map[string]*inode // as processes see them
	disk    map[string]*inode // as SyncDir left them
	dirs    map[string]bool
	pending []*nameOp // not yet on disk, in the order they were done
	locks   map[string]bool
	limit   int64 // bytes, or -1
	used    int64
}

// A nameOp is one change of the names that is not on disk yet: from loses its
// name (remove), to gets inode (create), or both (rename).
type nameOp struct {
	from, to string
	file     *inode
	unsynced map[string]bool // folders that MUST be synced before it is durable
}

func (o *nameOp) touches(name string) bool { return name != "" && (o.from == name || o.to == name) }

func (o *nameOp) sharesName(p *nameOp) bool { return o.touches(p.from) || o.touches(p.to) }

func (o *nameOp) apply(names map[string]*inode) {
	if o.from != "" {
		delete(names, o.from)
	}
	if o.to != "" {
		names[o.to] = o.file
	}
}

// New returns an empty FS without a size limit.
func New() *FS {
	return &FS{
		names: map[string]*inode{}, disk: map[string]*inode{},
		dirs: map[string]bool{".": true}, locks: map[string]bool{}, limit: -1,
	}
}

// Limit sets how many bytes all files together may hold; what does not fit
// fails with syscall.ENOSPC. A negative limit is none. A limit below what is
// used already refuses growth and keeps what is there.
func (m *FS) Limit(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.limit = bytes
}

// Used returns the bytes that all files hold.
func (m *FS) Used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
}

// Free returns what Limit leaves, or -1 without a limit.
func (m *FS) Free() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.limit < 0 {
		return -1
	}
	return max(0, m.limit-m.used)
}

func pathError(op, name string, err error) error {
	kind := fault.Internal
	switch err {
	case fs.ErrNotExist:
		kind = fault.NotFound
	case fs.ErrExist:
		kind = fault.Conflict
	case syscall.ENOSPC:
		kind = fault.Unavailable
	case syscall.EISDIR, syscall.ENOTDIR:
		kind = fault.Invalid
	}
	return fault.Wrap(kind, &fs.PathError{Op: op, Path: name, Err: err})
}

// Open opens an existing file for reading.
func (m *FS) Open(name string) (vfs.File, error) { return m.open("open", name, false) }

// OpenRW opens an existing file for reading and writing.
func (m *FS) OpenRW(name string) (vfs.File, error) { return m.open("open", name, true) }

func (m *FS) open(op, name string, write bool) (vfs.File, error) {
	if err := vfs.CheckName(name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dirs[name] {
		return nil, pathError(op, name, syscall.EISDIR)
	}
	ino, ok := m.names[name]
	if !ok {
		return nil, pathError(op, name, fs.ErrNotExist)
	}
	return m.handle(ino, name, write), nil
}

// handle returns an open file. m.mu is held.
func (m *FS) handle(ino *inode, name string, write bool) *file {
	ino.refs++
	return &file{fs: m, ino: ino, name: name, write: write}
}

// Create makes a file that does not exist.
func (m *FS) Create(name string) (vfs.File, error) {
	if err := vfs.CheckName(name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	ino, err := m.create(name)
	if err != nil {
		return nil, err
	}
	return m.handle(ino, name, true), nil
}

func (m *FS) create(name string) (*inode, error) {
	if m.dirs[name] || m.names[name] != nil {
		return nil, pathError("create", name, fs.ErrExist)
	}
	if !m.dirs[path.Dir(name)] {
		return nil, pathError("create", name, fs.ErrNotExist)
	}
	ino := &inode{refs: 1, modified: time.Now()}
	m.log(&nameOp{to: name, file: ino})
	return ino, nil
}

// log does a name operation and remembers that it is not durable.
func (m *FS) log(o *nameOp) {
	o.unsynced = map[string]bool{}
	for _, name := range []string{o.from, o.to} {
		if name != "" {
			o.unsynced[path.Dir(name)] = true
		}
	}
	o.apply(m.names)
	m.pending = append(m.pending, o)
}

// unref drops a name or a handle of ino. m.mu is held.
func (m *FS) unref(ino *inode) {
	if ino.refs--; ino.refs == 0 {
		m.used -= ino.size
	}
}

// Rename moves a file, replacing the target.
func (m *FS) Rename(from, to string) error {
	for _, name := range []string{from, to} {
		if err := vfs.CheckName(name); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	ino := m.names[from]
	switch {
	case m.dirs[from], m.dirs[to]:
		return pathError("rename", from, syscall.EISDIR)
	case ino == nil, !m.dirs[path.Dir(to)]:
		return pathError("rename", from, fs.ErrNotExist)
	case from == to:
		return nil
	}
	if old := m.names[to]; old != nil {
		m.unref(old)
	}
	m.log(&nameOp{from: from, to: to, file: ino})
	return nil
}

// Remove deletes one file or one empty folder.
func (m *FS) Remove(name string) error {
	if err := vfs.CheckName(name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dirs[name] {
		if name == "." || len(m.list(name)) > 0 {
			return pathError("remove", name, syscall.ENOTEMPTY)
		}
		delete(m.dirs, name)
		return nil
	}
	ino := m.names[name]
	if ino == nil {
		return pathError("remove", name, fs.ErrNotExist)
	}
	m.unref(ino)
	m.log(&nameOp{from: name})
	return nil
}

// MkdirAll makes folders and their parents, durably.
func (m *FS) MkdirAll(names ...string) error {
	for _, name := range names {
		if err := vfs.CheckName(name); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range names {
		for p := name; p != "."; p = path.Dir(p) {
			if m.names[p] != nil {
				return pathError("mkdir", p, syscall.ENOTDIR)
			}
		}
		m.mkdirAll(name)
	}
	return nil
}

func (m *FS) mkdirAll(name string) {
	for ; name != "."; name = path.Dir(name) {
		m.dirs[name] = true
	}
}

// SyncDir makes the names in a folder durable. A rename between two folders is
// durable when both are synced, or when a later synced operation needs it.
func (m *FS) SyncDir(name string) error {
	if err := vfs.CheckName(name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.dirs[name] {
		return pathError("sync", name, fs.ErrNotExist)
	}
	durable := make([]bool, len(m.pending))
	for i, o := range m.pending {
		delete(o.unsynced, name)
		durable[i] = len(o.unsynced) == 0
	}
	for i := len(m.pending) - 1; i >= 0; i-- { // what came earlier on the same names
		for j := 0; durable[i] && j < i; j++ {
			durable[j] = durable[j] || m.pending[i].sharesName(m.pending[j])
		}
	}
	var rest []*nameOp
	for i, o := range m.pending {
		if durable[i] {
			o.apply(m.disk)
		} else {
			rest = append(rest, o)
		}
	}
	m.pending = rest
	return nil
}

// Lock takes an exclusive lock on a file, creating it.
func (m *FS) Lock(name string) (io.Closer, error) {
	if err := vfs.CheckName(name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dirs[name] {
		return nil, pathError("lock", name, syscall.EISDIR)
	}
	if m.names[name] == nil {
		if _, err := m.create(name); err != nil {
			return nil, err
		}
	}
	if m.locks[name] {
		return nil, fault.Errorf(fault.Conflict, "lock file %s: another caller holds it", name)
	}
	m.locks[name] = true
	return &lock{fs: m, name: name}, nil
}

type lock struct {
	fs   *FS
	name string
	once sync.Once
}

func (l *lock) Close() error {
	l.once.Do(func() {
		l.fs.mu.Lock()
		defer l.fs.mu.Unlock()
		delete(l.fs.locks, l.name)
	})
	return nil
}

// list returns the base names in a folder, sorted. m.mu is held.
func (m *FS) list(dir string) []string {
	var out []string
	add := func(name string) {
		if name != "." && path.Dir(name) == dir {
			out = append(out, path.Base(name))
		}
	}
	for name := range m.names {
		add(name)
	}
	for name := range m.dirs {
		add(name)
	}
	sort.Strings(out)
	return out
}

// ReadDir lists a folder, sorted by name.
func (m *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := vfs.CheckName(name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.dirs[name] {
		return nil, pathError("readdir", name, fs.ErrNotExist)
	}
	var out []fs.DirEntry
	for _, base := range m.list(name) {
		out = append(out, fs.FileInfoToDirEntry(m.info(path.Join(name, base))))
	}
	return out, nil
}

// Stat describes a file or folder.
func (m *FS) Stat(name string) (fs.FileInfo, error) {
	if err := vfs.CheckName(name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.dirs[name] && m.names[name] == nil {
		return nil, pathError("stat", name, fs.ErrNotExist)
	}
	return m.info(name), nil
}

func (m *FS) info(name string) fs.FileInfo {
	if m.dirs[name] {
		return info{name: path.Base(name), mode: fs.ModeDir | 0o700}
	}
	return m.names[name].info(name)
}

// String lists the names and sizes, for the messages of failing tests.
func (m *FS) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for name, ino := range m.names {
		out = append(out, name+" "+formatSize(ino.size))
	}
	sort.Strings(out)
	return strings.Join(out, "\n")
}
