// Package vfs is the only way the vault reaches files: a small interface with a
// real implementation (Dir), an in-memory one that can lose power (memfs) and
// one that fails on purpose (faultfs).
//
// Names are slash-separated, relative to the FS root, without "..". Nothing is
// durable until Sync (content) and SyncDir (names) have returned nil.
//
// On fsync: after a failed Sync the kernel may have dropped the dirty pages and
// marked them clean, so a second Sync that succeeds proves nothing (Rebello et
// al., "Can Applications Recover from fsync Failures?", ATC 2020). Callers MUST
// treat a failed Sync as fatal for that file.
package vfs

import (
	"io"
	"io/fs"
)

// An FS is a tree of files. Implementations are safe for concurrent use.
// Errors satisfy errors.Is with fs.ErrNotExist and fs.ErrExist, and with
// syscall.ENOSPC when the space is used up.
type FS interface {
	// Open opens an existing file for reading.
	Open(name string) (File, error)
	// Create makes a file that MUST NOT exist (else fs.ErrExist), for reading
	// and writing, mode 0600.
	Create(name string) (File, error)
	// OpenRW opens an existing file for reading and writing.
	OpenRW(name string) (File, error)
	// Rename moves a file atomically, replacing the target. Not durable before
	// SyncDir of the parent folders.
	Rename(from, to string) error
	// Remove deletes one file or one empty folder.
	Remove(name string) error
	// MkdirAll makes folders and their parents, mode 0700, durably: a synced file
	// in a lost folder is a lost file. Unlike other names they need no SyncDir.
	// Thousands in one call cost one sync of each parent.
	MkdirAll(names ...string) error
	// ReadDir lists a folder, sorted by name.
	ReadDir(name string) ([]fs.DirEntry, error)
	// Stat describes a file or folder.
	Stat(name string) (fs.FileInfo, error)
	// SyncDir makes the names in a folder durable.
	SyncDir(name string) error
	// Lock takes an exclusive advisory lock on a file, creating it. It fails
	// with fault.Conflict when another process or caller holds it. Closing the
	// result releases it.
	Lock(name string) (io.Closer, error)
	// Free returns the bytes that can still be written, or -1 if unknown.
	Free() int64
}

// A File is an open file. ReadAt and WriteAt may be called concurrently.
type File interface {
	io.Reader
	io.Writer
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes the content (and size) durable: fdatasync where it exists.
	Sync() error
	// Truncate changes the size.
	Truncate(size int64) error
	// Preallocate reserves space up to size bytes and extends the file to it
	// with zeros, so that later writes below size change no metadata.
	Preallocate(size int64) error
	// Stat describes the file.
	Stat() (fs.FileInfo, error)
	// Name returns the name the file was opened with.
	Name() string
}
