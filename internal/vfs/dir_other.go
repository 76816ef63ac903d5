//go:build !linux

package vfs

import "os"

const openFlags = 0

// syncFile is the strongest sync that package os knows here (F_FULLFSYNC on
// macOS, FlushFileBuffers on Windows).
func syncFile(f *os.File) error { return f.Sync() }

// syncFolder does nothing where folders cannot be synced: see folder sync in
// the file system's own manual.
func syncFolder(f *os.File) error { return ignoreUnsupported(f.Sync()) }

func preallocate(f *os.File, size int64) error { return extend(f, size) }

func freeBytes(*os.File) int64 { return -1 }
