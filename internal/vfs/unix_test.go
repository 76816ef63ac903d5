//go:build unix

package vfs_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// A pipe in a data folder must not hang whoever reads the folder.
func TestDirRefusesPipes(t *testing.T) {
	f, path := dir(t)
	if err := syscall.Mkfifo(filepath.Join(path, "pipe"), 0o600); err != nil {
		t.Skip(err)
	}
	if _, err := f.Open("pipe"); !fault.Is(err, fault.Invalid) {
		t.Errorf("got %v, want invalid", err)
	}
}

// Preallocated bytes are really reserved, where the file system can do it.
func TestPreallocateReserves(t *testing.T) {
	f, path := dir(t)
	file, err := f.Create("a")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Preallocate(1 << 20); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(filepath.Join(path, "a"))
	if err != nil {
		t.Fatal(err)
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok && sys.Blocks*512 < 1<<20 {
		t.Logf("only %d bytes reserved: this file system cannot", sys.Blocks*512)
	}
	if st.Size() != 1<<20 {
		t.Errorf("size %d", st.Size())
	}
}

// A device in a data folder is no file of ours.
func TestDirRefusesDevices(t *testing.T) {
	f, err := vfs.Dir("/dev")
	if err != nil {
		t.Skip(err)
	}
	if file, err := f.OpenRW("null"); !fault.Is(err, fault.Invalid) {
		t.Errorf("opened %v, %v; want invalid", file, err)
	}
}
