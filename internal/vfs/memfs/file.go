package memfs

import (
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
)

const (
	pageSize   = 4096
	sectorSize = 512
)

type page [pageSize]byte

// An inode is the content of a file, in pages; a nil page is zeros. A page that
// cur and disk share is never written: Sync shares pages, and the next write
// copies. That makes clones of large preallocated files cheap. Bytes of the
// last page beyond the size are zero. All fields are guarded by FS.mu.
type inode struct {
	cur      []*page
	size     int64
	disk     []*page
	diskSize int64
	dirty    map[int]struct{} // pages in which cur and disk may differ
	refs     int              // names and handles
	modified time.Time
}

func (n *inode) page(i int) *page {
	if i < len(n.cur) {
		return n.cur[i]
	}
	return nil
}

func (n *inode) diskPage(i int) *page {
	if i < len(n.disk) {
		return n.disk[i]
	}
	return nil
}

// writable returns page i of cur for writing.
func (n *inode) writable(i int) *page {
	p := n.cur[i]
	if p == nil || p == n.diskPage(i) {
		q := new(page)
		if p != nil {
			*q = *p
		}
		n.cur[i], p = q, q
	}
	if n.dirty == nil {
		n.dirty = map[int]struct{}{}
	}
	n.dirty[i] = struct{}{}
	return p
}

func (n *inode) resize(size int64) {
	if size < n.size {
		for i := pages(size); i < len(n.cur); i++ {
			if n.dirty == nil {
				n.dirty = map[int]struct{}{}
			}
			n.dirty[i] = struct{}{}
		}
		if in := size % pageSize; in != 0 && n.cur[size/pageSize] != nil {
			clear(n.writable(int(size / pageSize))[in:])
		}
		n.cur = n.cur[:pages(size)]
	}
	for len(n.cur) < pages(size) {
		n.cur = append(n.cur, nil)
	}
	n.size = size
}

func pages(size int64) int { return int((size + pageSize - 1) / pageSize) }

func (n *inode) readAt(p []byte, off int64) int {
	if off >= n.size {
		return 0
	}
	p = p[:min(int64(len(p)), n.size-off)]
	for done := 0; done < len(p); {
		i, in := int((off+int64(done))/pageSize), int((off+int64(done))%pageSize)
		part := p[done:min(len(p), done+pageSize-in)]
		if pg := n.page(i); pg != nil {
			copy(part, pg[in:])
		} else {
			clear(part)
		}
		done += len(part)
	}
	return len(p)
}

// writeAt writes within the size.
func (n *inode) writeAt(p []byte, off int64) {
	for len(p) > 0 {
		pg := n.writable(int(off / pageSize))
		c := copy(pg[off%pageSize:], p)
		p, off = p[c:], off+int64(c)
	}
}

func (n *inode) sync() {
	for len(n.disk) < len(n.cur) {
		n.disk = append(n.disk, nil)
	}
	n.disk = n.disk[:len(n.cur)]
	for i := range n.dirty {
		if i < len(n.cur) {
			n.disk[i] = n.cur[i]
		}
	}
	n.diskSize, n.dirty = n.size, nil
}

func (n *inode) info(name string) fs.FileInfo {
	return info{name: path.Base(name), size: n.size, mode: 0o600, modified: n.modified}
}

// dirtyPages returns the pages in which the two states may differ, ascending,
// so that a seeded choice among them is repeatable.
func (n *inode) dirtyPages() []int { return slices.Sorted(maps.Keys(n.dirty)) }

type info struct {
	name     string
	size     int64
	mode     fs.FileMode
	modified time.Time
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return i.modified }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }

func formatSize(n int64) string { return strconv.FormatInt(n, 10) }

// file is a handle. Its fields but off and closed never change; those two are
// guarded by FS.mu.
type file struct {
	fs     *FS
	ino    *inode
	name   string
	write  bool
	off    int64
	closed bool
}

func (f *file) Name() string { return f.name }

// use locks the FS for an operation on the handle and returns the unlock.
func (f *file) use(op string, write bool) (func(), error) {
	f.fs.mu.Lock()
	switch {
	case f.closed:
		f.fs.mu.Unlock()
		return nil, pathError(op, f.name, fs.ErrClosed)
	case write && !f.write:
		f.fs.mu.Unlock()
		return nil, pathError(op, f.name, syscall.EBADF)
	}
	return f.fs.mu.Unlock, nil
}

func (f *file) Read(p []byte) (int, error) {
	unlock, err := f.use("read", false)
	if err != nil {
		return 0, err
	}
	defer unlock()
	n := f.ino.readAt(p, f.off)
	f.off += int64(n)
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	unlock, err := f.use("read", false)
	if err != nil {
		return 0, err
	}
	defer unlock()
	if off < 0 {
		return 0, pathError("read", f.name, syscall.EINVAL)
	}
	n := f.ino.readAt(p, off)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) Write(p []byte) (int, error) {
	unlock, err := f.use("write", true)
	if err != nil {
		return 0, err
	}
	defer unlock()
	n, err := f.put(p, f.off)
	f.off += int64(n)
	return n, err
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	unlock, err := f.use("write", true)
	if err != nil {
		return 0, err
	}
	defer unlock()
	if off < 0 {
		return 0, pathError("write", f.name, syscall.EINVAL)
	}
	return f.put(p, off)
}

// put writes what fits: a full disk takes a part of the last write, as a real
// one does.
func (f *file) put(p []byte, off int64) (int, error) {
	var full error
	if end := off + int64(len(p)); end > f.ino.size && len(p) > 0 {
		fits := f.fs.fits(f.ino, end)
		if fits < end {
			full = pathError("write", f.name, syscall.ENOSPC)
			p = p[:max(0, fits-off)]
			end = off + int64(len(p))
		}
		if len(p) > 0 && end > f.ino.size {
			f.fs.used += end - f.ino.size
			f.ino.resize(end)
		}
	}
	f.ino.writeAt(p, off)
	f.ino.modified = time.Now()
	return len(p), full
}

// fits returns the size up to which ino may grow, at most want. m.mu is held.
func (m *FS) fits(ino *inode, want int64) int64 {
	if m.limit < 0 {
		return want
	}
	return min(want, ino.size+max(0, m.limit-m.used))
}

func (f *file) Sync() error {
	unlock, err := f.use("sync", false)
	if err != nil {
		return err
	}
	defer unlock()
	f.ino.sync()
	return nil
}

func (f *file) Truncate(size int64) error { return f.resize("truncate", size, false) }

func (f *file) Preallocate(size int64) error { return f.resize("preallocate", size, true) }

func (f *file) resize(op string, size int64, growOnly bool) error {
	unlock, err := f.use(op, true)
	if err != nil {
		return err
	}
	defer unlock()
	if size < 0 {
		return fault.Wrap(fault.Invalid, pathError(op, f.name, syscall.EINVAL))
	}
	if growOnly && size <= f.ino.size {
		return nil
	}
	if size > f.ino.size && f.fs.fits(f.ino, size) < size {
		return pathError(op, f.name, syscall.ENOSPC)
	}
	f.fs.used += size - f.ino.size
	f.ino.resize(size)
	f.ino.modified = time.Now()
	return nil
}

func (f *file) Stat() (fs.FileInfo, error) {
	unlock, err := f.use("stat", false)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return f.ino.info(f.name), nil
}

func (f *file) Close() error {
	unlock, err := f.use("close", false)
	if err != nil {
		return err
	}
	defer unlock()
	f.closed = true
	f.fs.unref(f.ino)
	return nil
}
