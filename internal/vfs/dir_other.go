//go:build !linux

package vfs

import (
	"errors"
	"os"
	"syscall"
)

const openFlags = 0

// syncFile is the strongest sync that package os knows here (F_FULLFSYNC on
// macOS, FlushFileBuffers on Windows).
func syncFile(f *os.File) error { return f.Sync() }

// syncFolder does nothing where the file system cannot sync folders: there it
// writes names in its own time, and nobody can do better.
func syncFolder(f *os.File) error {
	err := f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

func preallocate(f *os.File, size int64) error { return extend(f, size) }

func freeBytes(*os.File) int64 { return -1 }
