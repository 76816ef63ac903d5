package vfs

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// MaxReadFile is the largest file that ReadFile reads, in bytes.
const MaxReadFile = 256 << 20

// CheckName returns a fault.Invalid unless name is a slash-separated relative
// path without "." or ".." elements (fs.ValidPath). "." alone is the root.
func CheckName(name string) error {
	if !fs.ValidPath(name) {
		return fault.Errorf(fault.Invalid, "file name %q: it must be relative, slash-separated and without ..", name)
	}
	return nil
}

// ReadFile returns the whole content of a file of at most MaxReadFile bytes.
func ReadFile(f FS, name string) ([]byte, error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() > MaxReadFile {
		return nil, fault.Errorf(fault.TooLarge, "read file %s: %d bytes, more than %d", name, st.Size(), MaxReadFile)
	}
	// One byte more than the size, so that a file which grew is read on.
	data := make([]byte, 0, st.Size()+1)
	for {
		n, err := file.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case err == io.EOF:
			return data, nil
		case err != nil:
			return nil, err
		case len(data) > MaxReadFile:
			return nil, fault.Errorf(fault.TooLarge, "read file %s: more than %d bytes", name, MaxReadFile)
		case len(data) == cap(data):
			data = append(data, 0)[:len(data)]
		}
	}
}

// WriteFile replaces the content of a file atomically and durably: a temporary
// file (name + ".tmp") is written, synced, renamed and its folder synced. After
// nil the new content survives power loss; after an error or a crash the file
// holds the old content or the new, never a mixture. At most one caller may
// write one name at a time.
func WriteFile(f FS, name string, data []byte) error {
	if err := replace(f, name, data); err != nil {
		return err
	}
	return f.SyncDir(path.Dir(name))
}

// Content is what WriteFiles makes of a file.
type Content struct {
	Name string
	Data []byte
}

// SyncsAtOnce is how many files are worth syncing at the same time: a file system
// with a journal, and a disk with a cache, make them durable together.
const SyncsAtOnce = 8

// WriteFiles is WriteFile for many files, a few at the same time, each folder
// synced once. After an error each of them holds its old content or its new.
func WriteFiles(f FS, files []Content) error {
	var dirs []string
	seen := make(map[string]bool)
	var g errgroup.Group
	g.SetLimit(SyncsAtOnce)
	for _, c := range files {
		if dir := path.Dir(c.Name); !seen[dir] {
			seen[dir] = true
			dirs = append(dirs, dir)
		}
		g.Go(func() error { return replace(f, c.Name, c.Data) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := f.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// replace is WriteFile but for the sync of the folder.
func replace(f FS, name string, data []byte) error {
	tmp := name + ".tmp"
	if err := f.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.Errorf(fault.KindOf(err), "remove stale %s: %w", tmp, err)
	}
	file, err := f.Create(tmp)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if e := file.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = f.Rename(tmp, name)
	}
	if err != nil {
		f.Remove(tmp) // what it cost is at most a stale file, removed next time
		if IsFull(err) {
			err = fault.Wrap(fault.Unavailable, err)
		}
		return fault.Errorf(fault.KindOf(err), "write file %s: %w", name, err)
	}
	return nil
}

// Exists reports whether a file or folder of this name exists.
func Exists(f FS, name string) (bool, error) {
	_, err := f.Stat(name)
	if err == nil {
		return true, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return false, err
}

// IsFull reports whether err says that no space is left (ENOSPC or EDQUOT).
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// sub is a folder of another FS.
type sub struct {
	inner FS
	dir   string
}

// Sub returns the FS of a folder of f. The folder need not exist yet. It
// panics if dir is not a valid name: it is the caller's constant, not input.
func Sub(f FS, dir string) FS {
	if err := CheckName(dir); err != nil {
		panic("vfs: Sub of an invalid folder name " + dir)
	}
	if dir == "." {
		return f
	}
	if s, ok := f.(*sub); ok {
		return &sub{inner: s.inner, dir: path.Join(s.dir, dir)}
	}
	return &sub{inner: f, dir: dir}
}

func (s *sub) path(name string) (string, error) {
	if err := CheckName(name); err != nil {
		return "", err
	}
	return path.Join(s.dir, name), nil
}

// subFile answers with the name it was opened by, not with the inner one.
type subFile struct {
	File
	name string
}

func (f *subFile) Name() string { return f.name }

func (s *sub) file(name string, open func(string) (File, error)) (File, error) {
	p, err := s.path(name)
	if err != nil {
		return nil, err
	}
	f, err := open(p)
	if err != nil {
		return nil, err
	}
	return &subFile{File: f, name: name}, nil
}

func (s *sub) Open(name string) (File, error)   { return s.file(name, s.inner.Open) }
func (s *sub) Create(name string) (File, error) { return s.file(name, s.inner.Create) }
func (s *sub) OpenRW(name string) (File, error) { return s.file(name, s.inner.OpenRW) }

func (s *sub) Rename(from, to string) error {
	a, err := s.path(from)
	if err != nil {
		return err
	}
	b, err := s.path(to)
	if err != nil {
		return err
	}
	return s.inner.Rename(a, b)
}

func (s *sub) Remove(name string) error  { return s.with(name, s.inner.Remove) }
func (s *sub) SyncDir(name string) error { return s.with(name, s.inner.SyncDir) }

func (s *sub) MkdirAll(names ...string) error {
	paths := make([]string, len(names))
	for i, name := range names {
		var err error
		if paths[i], err = s.path(name); err != nil {
			return err
		}
	}
	return s.inner.MkdirAll(paths...)
}

func (s *sub) with(name string, f func(string) error) error {
	p, err := s.path(name)
	if err != nil {
		return err
	}
	return f(p)
}

func (s *sub) ReadDir(name string) ([]fs.DirEntry, error) {
	p, err := s.path(name)
	if err != nil {
		return nil, err
	}
	return s.inner.ReadDir(p)
}

func (s *sub) Stat(name string) (fs.FileInfo, error) {
	p, err := s.path(name)
	if err != nil {
		return nil, err
	}
	return s.inner.Stat(p)
}

func (s *sub) Lock(name string) (io.Closer, error) {
	p, err := s.path(name)
	if err != nil {
		return nil, err
	}
	return s.inner.Lock(p)
}

func (s *sub) Free() int64 { return s.inner.Free() }
