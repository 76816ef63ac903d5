package vfs

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

const openFlags = unix.O_NONBLOCK | unix.O_NOCTTY

// control runs f on the file's descriptor, again for as long as a signal
// interrupts it, and holds off a concurrent Close meanwhile.
func control(file *os.File, f func(fd int) error) error {
	c, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var opErr error
	if c.Control(func(fd uintptr) {
		for {
			if opErr = f(int(fd)); !errors.Is(opErr, unix.EINTR) {
				return
			}
		}
	}) != nil {
		return fs.ErrClosed // the only reason that Control knows
	}
	return opErr
}

// syncFile is fdatasync(2): the content, and of the metadata what is needed to
// read it back (size and extents), but not the times.
func syncFile(f *os.File) error {
	if err := control(f, unix.Fdatasync); err != nil {
		return &fs.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}

func syncFolder(f *os.File) error { return f.Sync() }

func preallocate(f *os.File, size int64) error {
	if size == 0 {
		return nil // fallocate(2) refuses a length of 0
	}
	err := control(f, func(fd int) error { return unix.Fallocate(fd, 0, 0, size) })
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return extend(f, size)
	}
	return err
}

func freeBytes(f *os.File) int64 {
	var st unix.Statfs_t
	if err := control(f, func(fd int) error { return unix.Fstatfs(fd, &st) }); err != nil {
		return -1
	}
	return int64(st.Bavail) * st.Bsize
}
