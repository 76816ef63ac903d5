package faultfs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/meshtrail/meshtrail/internal/vfs"
	"github.com/meshtrail/meshtrail/internal/vfs/faultfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

var errBroken = errors.New("input/output error")

// Each operation, in each mode: what it does to the FS below, and that only the
// n-th one fails.
func TestEveryOperationBothWays(t *testing.T) {
	exists := func(f vfs.FS, name string) bool {
		ok, err := vfs.Exists(f, name)
		return ok && err == nil
	}
	size := func(f vfs.FS) int64 {
		st, err := f.Stat("a")
		if err != nil {
			return -1
		}
		return st.Size()
	}
	ops := []struct {
		op   faultfs.Op
		run  func(f vfs.FS, file vfs.File) error
		done func(inner *memfs.FS) bool // whether the FS below saw it; nil if that cannot be seen
	}{
		{faultfs.Open, func(f vfs.FS, _ vfs.File) error { _, err := f.Open("a"); return err }, nil},
		{faultfs.OpenRW, func(f vfs.FS, _ vfs.File) error { _, err := f.OpenRW("a"); return err }, nil},
		{faultfs.Create, func(f vfs.FS, _ vfs.File) error { _, err := f.Create("new"); return err },
			func(f *memfs.FS) bool { return exists(f, "new") }},
		{faultfs.Write, func(_ vfs.FS, file vfs.File) error { _, err := file.Write([]byte("12345678")); return err },
			func(f *memfs.FS) bool { return size(f) == 8 }},
		{faultfs.Write, func(_ vfs.FS, file vfs.File) error { _, err := file.WriteAt([]byte("12"), 20); return err },
			func(f *memfs.FS) bool { return size(f) == 22 }},
		{faultfs.Read, func(_ vfs.FS, file vfs.File) error { _, err := file.ReadAt(make([]byte, 1), 0); return err }, nil},
		{faultfs.Read, func(_ vfs.FS, file vfs.File) error { _, err := file.Read(make([]byte, 1)); return err }, nil},
		{faultfs.Sync, func(_ vfs.FS, file vfs.File) error { return file.Sync() }, nil},
		{faultfs.Truncate, func(_ vfs.FS, file vfs.File) error { return file.Truncate(0) },
			func(f *memfs.FS) bool { return size(f) == 0 }},
		{faultfs.Preallocate, func(_ vfs.FS, file vfs.File) error { return file.Preallocate(100) },
			func(f *memfs.FS) bool { return size(f) == 100 }},
		{faultfs.Rename, func(f vfs.FS, _ vfs.File) error { return f.Rename("a", "b") },
			func(f *memfs.FS) bool { return exists(f, "b") }},
		{faultfs.Remove, func(f vfs.FS, _ vfs.File) error { return f.Remove("a") },
			func(f *memfs.FS) bool { return !exists(f, "a") }},
		{faultfs.SyncDir, func(f vfs.FS, _ vfs.File) error { return f.SyncDir(".") }, nil},
	}
	for i, o := range ops {
		for _, mode := range []faultfs.Mode{faultfs.NotDone, faultfs.DoneButFailed} {
			t.Run(fmt.Sprint(i, o.op, mode), func(t *testing.T) {
				inner := memfs.New()
				f := faultfs.Wrap(inner)
				file, err := f.Create("a")
				if err != nil {
					t.Fatal(err)
				}
				if _, err = file.WriteAt([]byte("abc"), 0); err != nil {
					t.Fatal(err)
				}
				before := f.Count(o.op)
				f.Arm(1, o.op, mode, errBroken)
				if err := o.run(f, file); !errors.Is(err, errBroken) {
					t.Fatalf("error %v, want the armed one", err)
				}
				if o.done != nil && o.done(inner) != (mode == faultfs.DoneButFailed) {
					t.Errorf("the FS below: %s", inner)
				}
				if got := f.Count(o.op); got != before+1 {
					t.Errorf("counted %d, want %d", got, before+1)
				}
				if mode == faultfs.NotDone {
					if err := o.run(f, file); err != nil {
						t.Errorf("the operation after: %v", err)
					}
				}
			})
		}
	}
}

func TestArmCountsMatchingOperations(t *testing.T) {
	f := faultfs.Wrap(memfs.New())
	file, err := f.Create("a")
	if err != nil {
		t.Fatal(err)
	}
	f.Arm(3, faultfs.Write, faultfs.NotDone, errBroken)
	f.Arm(2, faultfs.Any, faultfs.NotDone, fs.ErrPermission)
	write := func() error { _, err := file.Write([]byte("x")); return err }
	for i, want := range []error{nil, fs.ErrPermission, errBroken, nil} {
		if err := write(); !errors.Is(err, want) {
			t.Errorf("write %d: %v, want %v", i+1, err, want)
		}
	}
	f.Arm(1, faultfs.Write, faultfs.NotDone, errBroken)
	f.Disarm()
	if err := write(); err != nil {
		t.Errorf("after Disarm: %v", err)
	}
	if got := f.Count(faultfs.Any); got != 6 {
		t.Errorf("counted %d operations, want 6", got)
	}
}

func TestHalfAWrite(t *testing.T) {
	f := faultfs.Wrap(memfs.New())
	file, err := f.Create("a")
	if err != nil {
		t.Fatal(err)
	}
	f.Arm(1, faultfs.Write, faultfs.Half, errBroken)
	if n, err := file.Write([]byte("12345678")); n != 4 || !errors.Is(err, errBroken) {
		t.Errorf("wrote %d, %v", n, err)
	}
	if got, err := vfs.ReadFile(f, "a"); err != nil || string(got) != "1234" {
		t.Errorf("content %q, %v", got, err)
	}
}

func TestWatch(t *testing.T) {
	f := faultfs.Wrap(memfs.New())
	var seen []string
	f.Watch(func(op faultfs.Op, name string) { seen = append(seen, op.String()+" "+name) })
	if err := vfs.WriteFile(f, "x", []byte("1")); err != nil {
		t.Fatal(err)
	}
	f.Watch(nil)
	if err := f.SyncDir("."); err != nil {
		t.Fatal(err)
	}
	want := "[remove x.tmp create x.tmp write x.tmp sync x.tmp rename x.tmp syncdir .]"
	if got := fmt.Sprint(seen); got != want {
		t.Errorf("saw %s, want %s", got, want)
	}
}
