package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
	"syscall"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// dirFS is a folder of this machine. Every name goes through os.Root, so
// neither "..", an absolute path nor a symbolic link leads out of it.
type dirFS struct {
	root *os.Root
	// mkdir makes one caller at a time create folders: a second caller that
	// finds a folder MUST NOT return before the first one has synced its name.
	mkdir sync.Mutex
	// unsynced holds the folders in which one was made whose name is not durable
	// yet: whoever comes next tries again. Guarded by mkdir.
	unsynced map[string]bool
}

// Dir returns the FS of an existing folder of this machine. It stays open until
// nobody refers to it any more.
func Dir(path string) (FS, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, classify("open folder", err)
	}
	return &dirFS{root: root, unsynced: make(map[string]bool)}, nil
}

// classify gives the errors of the operating system that a person can act on
// a kind. The text already names the path.
func classify(verb string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.Errorf(fault.NotFound, "%s: %w", verb, err)
	case errors.Is(err, fs.ErrExist):
		return fault.Errorf(fault.Conflict, "%s: %w", verb, err)
	case errors.Is(err, fs.ErrPermission):
		return fault.Errorf(fault.Denied, "%s: %w", verb, err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault.Errorf(fault.Unavailable, "%s: %w", verb, err)
	}
	return fault.Errorf(fault.Internal, "%s: %w", verb, err)
}

func (d *dirFS) Open(name string) (File, error)   { return d.open(name, os.O_RDONLY) }
func (d *dirFS) OpenRW(name string) (File, error) { return d.open(name, os.O_RDWR) }

func (d *dirFS) Create(name string) (File, error) {
	return d.open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

// open refuses everything but regular files: a pipe planted in a data folder
// must not hang the verifier. Hence also the non-blocking open.
func (d *dirFS) open(name string, flag int) (File, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	f, err := d.root.OpenFile(name, flag|openFlags, 0o600)
	if err != nil {
		return nil, classify("open file", err)
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fault.Errorf(fault.Invalid, "open file %s: it is not a regular file", name)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &dirFile{File: f, name: name}, nil
}

func (d *dirFS) Rename(from, to string) error {
	if err := errors.Join(CheckName(from), CheckName(to)); err != nil {
		return err
	}
	if err := d.root.Rename(from, to); err != nil {
		return classify("rename file", err)
	}
	return nil
}

func (d *dirFS) Remove(name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if err := d.root.Remove(name); err != nil {
		return classify("remove", err)
	}
	return nil
}

func (d *dirFS) MkdirAll(names ...string) error {
	for _, name := range names {
		if err := CheckName(name); err != nil {
			return err
		}
	}
	d.mkdir.Lock()
	defer d.mkdir.Unlock()
	for _, name := range names {
		if err := d.mkdirAll(name); err != nil {
			return err
		}
	}
	for dir := range d.unsynced {
		if err := d.SyncDir(dir); err != nil {
			return err
		}
		delete(d.unsynced, dir)
	}
	return nil
}

func (d *dirFS) mkdirAll(name string) error {
	if st, err := d.root.Stat(name); err == nil {
		if !st.IsDir() {
			return classify("make folder", &fs.PathError{Op: "mkdir", Path: name, Err: syscall.ENOTDIR})
		}
		return nil
	}
	if parent := path.Dir(name); parent != "." {
		if err := d.mkdirAll(parent); err != nil {
			return err
		}
	}
	if err := d.root.Mkdir(name, 0o700); err != nil {
		return classify("make folder", err)
	}
	d.unsynced[path.Dir(name)] = true
	return nil
}

func (d *dirFS) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	list, err := fs.ReadDir(d.root.FS(), name)
	if err != nil {
		return nil, classify("read folder", err)
	}
	return list, nil
}

func (d *dirFS) Stat(name string) (fs.FileInfo, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	st, err := d.root.Stat(name)
	if err != nil {
		return nil, classify("describe file", err)
	}
	return st, nil
}

func (d *dirFS) SyncDir(name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	f, err := d.root.Open(name)
	if err != nil {
		return classify("open folder", err)
	}
	defer f.Close()
	if err := syncFolder(f); err != nil {
		return classify("sync folder", err)
	}
	return nil
}

func (d *dirFS) Lock(name string) (io.Closer, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	f, err := d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|openFlags, 0o600)
	if err != nil {
		return nil, classify("open lock file", err)
	}
	release, err := lockFile(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return release, nil
}

func (d *dirFS) Free() int64 {
	f, err := d.root.Open(".")
	if err != nil {
		return -1
	}
	defer f.Close()
	return freeBytes(f)
}

// dirFile is an open file of a dirFS.
type dirFile struct {
	*os.File
	name string
}

func (f *dirFile) Name() string { return f.name }

// inside names the file in an error of package os as callers name it. There it
// has the whole path, and where the folder lies is nobody's business who is told
// that a write did not succeed.
func (f *dirFile) inside(err error) error {
	if p, ok := err.(*fs.PathError); ok {
		p.Path = f.name
	}
	return err
}

func (f *dirFile) Sync() error { return f.inside(syncFile(f.File)) }

func (f *dirFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	return n, f.inside(err)
}

func (f *dirFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	return n, f.inside(err)
}

// Write and its kin give a full disk its kind, as every FS does.
func (f *dirFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	if err != nil {
		err = classify("write file", f.inside(err))
	}
	return n, err
}

func (f *dirFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	if err != nil {
		err = classify("write file", f.inside(err))
	}
	return n, err
}

func (f *dirFile) Truncate(size int64) error {
	if err := f.File.Truncate(size); err != nil {
		return classify("truncate file", f.inside(err))
	}
	return nil
}

func (f *dirFile) Preallocate(size int64) error {
	if size < 0 {
		return fault.Errorf(fault.Invalid, "preallocate %s: size %d is negative", f.name, size)
	}
	if err := preallocate(f.File, size); err != nil {
		return classify("preallocate file", &fs.PathError{Op: "fallocate", Path: f.name, Err: err})
	}
	return nil
}

// extend grows f to size with a hole. It is preallocation without a promise,
// for file systems that can do no better.
func extend(f *os.File, size int64) error {
	st, err := f.Stat()
	if err != nil || st.Size() >= size {
		return err
	}
	return f.Truncate(size)
}
