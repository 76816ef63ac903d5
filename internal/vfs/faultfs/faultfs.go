// Package faultfs is a vfs.FS that fails on purpose.
//
// Every operation of another FS is counted, and any one of them can be told to
// fail, in both ways that matter: it was not done, or it was done and an error
// is reported all the same (the timeout that succeeded). A caller that is right
// must survive both. The package is for tests.
package faultfs

import (
	"io"
	"io/fs"
	"sync"

	"github.com/meshtrail/meshtrail/internal/vfs"
)

// Op is an operation that can fail.
type Op uint8

// The operations. Any stands for each of them when arming and counting.
const (
	Any Op = iota
	Open
	Create
	OpenRW
	Write // File.Write and File.WriteAt
	Read  // File.Read and File.ReadAt
	Sync
	Truncate
	Preallocate
	Rename
	Remove
	SyncDir
	ops
)

var opNames = [ops]string{"any", "open", "create", "openrw", "write", "read",
	"sync", "truncate", "preallocate", "rename", "remove", "syncdir"}

// String returns the operation's name in lower case.
func (o Op) String() string {
	if o < ops {
		return opNames[o]
	}
	return "unknown"
}

// Ops returns every operation but Any, for tests that go through all of them.
func Ops() []Op {
	var out []Op
	for o := Any + 1; o < ops; o++ {
		out = append(out, o)
	}
	return out
}

// Mode is the way an operation fails.
type Mode uint8

// The ways to fail.
const (
	NotDone       Mode = iota // nothing happened
	DoneButFailed             // it happened, and an error is reported
	Half                      // of a write the first half happened; else NotDone
)

// FS wraps another FS. It is safe for concurrent use.
type FS struct {
	inner vfs.FS

	mu    sync.Mutex
	count [ops]int
	armed []*trap
	watch func(op Op, name string)
}

type trap struct {
	left int // matching operations until it fires; 0 after it fired
	op   Op
	mode Mode
	err  error
}

// Wrap returns an FS that does what inner does until it is armed.
func Wrap(inner vfs.FS) *FS { return &FS{inner: inner} }

// Arm makes the n-th operation from now that matches op fail with err, once.
// n counts from 1. Several traps may be armed; each counts for itself.
func (f *FS) Arm(n int, op Op, mode Mode, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = append(f.armed, &trap{left: n, op: op, mode: mode, err: err})
}

// Disarm forgets every trap.
func (f *FS) Disarm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = nil
}

// Count returns how many operations of this kind were tried so far.
func (f *FS) Count(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if op == Any {
		n := 0
		for _, c := range f.count {
			n += c
		}
		return n
	}
	return f.count[op]
}

// Watch makes f be called before each operation, on the goroutine that does it
// and without a lock: the place to take a memfs.CrashClone. nil stops it.
func (f *FS) Watch(watch func(op Op, name string)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watch = watch
}

// step counts an operation and returns the trap that it springs, if any.
func (f *FS) step(op Op, name string) *trap {
	f.mu.Lock()
	f.count[op]++
	var sprung *trap
	for _, t := range f.armed {
		if t.left > 0 && (t.op == op || t.op == Any) {
			if t.left--; t.left == 0 && sprung == nil {
				sprung = t
			}
		}
	}
	watch := f.watch
	f.mu.Unlock()
	if watch != nil {
		watch(op, name)
	}
	return sprung
}

// do runs an operation that has no result but an error.
func (f *FS) do(op Op, name string, run func() error) error {
	t := f.step(op, name)
	if t == nil {
		return run()
	}
	if t.mode == DoneButFailed {
		if err := run(); err != nil {
			return err
		}
	}
	return t.err
}

func (f *FS) open(op Op, name string, open func(string) (vfs.File, error)) (vfs.File, error) {
	var inner vfs.File
	err := f.do(op, name, func() (err error) {
		inner, err = open(name)
		return err
	})
	if err != nil {
		if inner != nil {
			inner.Close()
		}
		return nil, err
	}
	return &file{File: inner, fs: f}, nil
}

// Open opens an existing file for reading.
func (f *FS) Open(name string) (vfs.File, error) { return f.open(Open, name, f.inner.Open) }

// Create makes a file that does not exist.
func (f *FS) Create(name string) (vfs.File, error) { return f.open(Create, name, f.inner.Create) }

// OpenRW opens an existing file for reading and writing.
func (f *FS) OpenRW(name string) (vfs.File, error) { return f.open(OpenRW, name, f.inner.OpenRW) }

// Rename moves a file.
func (f *FS) Rename(from, to string) error {
	return f.do(Rename, from, func() error { return f.inner.Rename(from, to) })
}

// Remove deletes a file or an empty folder.
func (f *FS) Remove(name string) error {
	return f.do(Remove, name, func() error { return f.inner.Remove(name) })
}

// SyncDir makes the names in a folder durable.
func (f *FS) SyncDir(name string) error {
	return f.do(SyncDir, name, func() error { return f.inner.SyncDir(name) })
}

// MkdirAll never fails on purpose.
func (f *FS) MkdirAll(names ...string) error { return f.inner.MkdirAll(names...) }

// ReadDir never fails on purpose.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) { return f.inner.ReadDir(name) }

// Stat never fails on purpose.
func (f *FS) Stat(name string) (fs.FileInfo, error) { return f.inner.Stat(name) }

// Lock never fails on purpose.
func (f *FS) Lock(name string) (io.Closer, error) { return f.inner.Lock(name) }

// Free returns what the inner FS says.
func (f *FS) Free() int64 { return f.inner.Free() }

type file struct {
	vfs.File
	fs *FS
}

// transfer runs a read or write of p. A read that was done but failed reports
// that nothing was read.
func (f *file) transfer(op Op, p []byte, run func(p []byte) (int, error)) (int, error) {
	t := f.fs.step(op, f.Name())
	if t == nil {
		return run(p)
	}
	switch {
	case t.mode == DoneButFailed:
		if n, err := run(p); err != nil {
			return n, err
		}
	case t.mode == Half && op == Write:
		n, err := run(p[:len(p)/2])
		if err != nil {
			return n, err
		}
		return n, t.err
	}
	return 0, t.err
}

func (f *file) Read(p []byte) (int, error)  { return f.transfer(Read, p, f.File.Read) }
func (f *file) Write(p []byte) (int, error) { return f.transfer(Write, p, f.File.Write) }

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	return f.transfer(Read, p, func(p []byte) (int, error) { return f.File.ReadAt(p, off) })
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	return f.transfer(Write, p, func(p []byte) (int, error) { return f.File.WriteAt(p, off) })
}

func (f *file) Sync() error { return f.fs.do(Sync, f.Name(), f.File.Sync) }

func (f *file) Truncate(size int64) error {
	return f.fs.do(Truncate, f.Name(), func() error { return f.File.Truncate(size) })
}

func (f *file) Preallocate(size int64) error {
	return f.fs.do(Preallocate, f.Name(), func() error { return f.File.Preallocate(size) })
}
