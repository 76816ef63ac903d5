package vfs_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/vfs"
	"github.com/meshtrail/meshtrail/internal/vfs/faultfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
	"github.com/meshtrail/meshtrail/internal/vfs/vfstest"
)

func dir(t *testing.T) (vfs.FS, string) {
	t.Helper()
	path := t.TempDir()
	f, err := vfs.Dir(path)
	if err != nil {
		t.Fatal(err)
	}
	return f, path
}

func TestContract(t *testing.T) {
	t.Run("Dir", func(t *testing.T) {
		vfstest.Run(t, func(t *testing.T) vfs.FS { f, _ := dir(t); return f })
	})
	t.Run("Memory", func(t *testing.T) {
		vfstest.Run(t, func(t *testing.T) vfs.FS { return memfs.New() })
	})
	t.Run("Fault", func(t *testing.T) {
		vfstest.Run(t, func(t *testing.T) vfs.FS { return faultfs.Wrap(memfs.New()) })
	})
	t.Run("Sub", func(t *testing.T) {
		vfstest.Run(t, func(t *testing.T) vfs.FS {
			f := memfs.New()
			if err := f.MkdirAll("deep/down"); err != nil {
				t.Fatal(err)
			}
			return vfs.Sub(f, "deep/down")
		})
	})
}

func TestDirMustExist(t *testing.T) {
	if _, err := vfs.Dir(filepath.Join(t.TempDir(), "no")); !fault.Is(err, fault.NotFound) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want not found", err)
	}
}

// A symbolic link that leads out of the folder is not followed.
func TestDirCannotBeLeft(t *testing.T) {
	f, path := dir(t)
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(path, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Dir(outside), filepath.Join(path, "folder")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"link", "folder/secret"} {
		if b, err := vfs.ReadFile(f, name); err == nil {
			t.Errorf("%s reads %q", name, b)
		}
		if _, err := f.OpenRW(name); err == nil {
			t.Errorf("%s opens for writing", name)
		}
	}
	if _, err := f.Create("folder/new"); err == nil {
		t.Error("created a file outside")
	}
}

func TestDirFree(t *testing.T) {
	f, _ := dir(t)
	if n := f.Free(); n <= 0 {
		t.Errorf("Free() = %d", n)
	}
}

// TestErrorsDoNotSayWhereTheFolderIs: such errors reach clients.
func TestErrorsDoNotSayWhereTheFolderIs(t *testing.T) {
	f, path := dir(t)
	if err := vfs.WriteFile(f, "a", []byte("x")); err != nil {
		t.Fatal(err)
	}
	file, err := f.Open("a")
	if err != nil {
		t.Fatal(err)
	}
	_, write := file.Write([]byte("x")) // it is open for reading
	_, writeAt := file.WriteAt([]byte("x"), 0)
	truncate := file.Truncate(9)
	file.Close()
	_, read := file.Read(make([]byte, 1))
	_, readAt := file.ReadAt(make([]byte, 1), 0)
	for name, err := range map[string]error{
		"write": write, "write at": writeAt, "truncate": truncate, "read": read, "read at": readAt, "sync": file.Sync(),
	} {
		if err == nil || strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), " a:") {
			t.Errorf("%s: %v; want the name and not the folder", name, err)
		}
	}
}

func TestReadFileRefusesHugeFiles(t *testing.T) {
	f, _ := dir(t)
	file, err := f.Create("a")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(vfs.MaxReadFile + 1); err != nil {
		t.Fatal(err)
	}
	if _, err := vfs.ReadFile(f, "a"); !fault.Is(err, fault.TooLarge) {
		t.Errorf("got %v, want too large", err)
	}
}

// WriteFile under every single fault, in every mode: an error leaves the old
// content or the new, and success is the new.
func TestWriteFileUnderFaults(t *testing.T) {
	broken := errors.New("input/output error")
	for _, op := range faultfs.Ops() {
		for _, mode := range []faultfs.Mode{faultfs.NotDone, faultfs.DoneButFailed, faultfs.Half} {
			f := faultfs.Wrap(memfs.New())
			if err := vfs.WriteFile(f, "x", []byte("old")); err != nil {
				t.Fatal(err)
			}
			f.Arm(1, op, mode, broken)
			err := vfs.WriteFile(f, "x", []byte("the new one"))
			f.Disarm()
			got, readErr := vfs.ReadFile(f, "x")
			if readErr != nil {
				t.Fatalf("%v %v: %v", op, mode, readErr)
			}
			if s := string(got); s != "the new one" && (err == nil || s != "old") {
				t.Errorf("%v %v: error %v, content %q", op, mode, err, s)
			}
			if err != nil && !errors.Is(err, broken) {
				t.Errorf("%v %v: error %v hides the cause", op, mode, err)
			}
			if err := vfs.WriteFile(f, "x", []byte("later")); err != nil {
				t.Errorf("%v %v: the next write: %v", op, mode, err)
			}
		}
	}
}

func TestWriteFileOnFullDisk(t *testing.T) {
	f := memfs.New()
	if err := vfs.WriteFile(f, "x", []byte("old")); err != nil {
		t.Fatal(err)
	}
	f.Limit(10)
	err := vfs.WriteFile(f, "x", []byte(strings.Repeat("new", 10)))
	if !fault.Is(err, fault.Unavailable) || !vfs.IsFull(err) {
		t.Errorf("got %v, want unavailable because of no space", err)
	}
	if f.Used() != 3 || f.Free() != 7 {
		t.Errorf("%d bytes used and %d free after a refused write, want 3 and 7", f.Used(), f.Free())
	}
	if got, err := vfs.ReadFile(f, "x"); err != nil || string(got) != "old" {
		t.Errorf("content %q, %v", got, err)
	}
}

func TestSubOfAnInvalidNamePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	vfs.Sub(memfs.New(), "../x")
}
