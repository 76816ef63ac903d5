package vfs_test

import (
	"math/rand/v2"
	"testing"

	"github.com/meshtrail/meshtrail/internal/vfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

func TestSmoke(t *testing.T) {
	d, err := vfs.Dir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []vfs.FS{d, memfs.New(), vfs.Sub(memfs.New(), ".")} {
		if err := f.MkdirAll("a/b"); err != nil {
			t.Fatal(err)
		}
		s := vfs.Sub(f, "a")
		if err := vfs.WriteFile(s, "b/x", []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if m, ok := f.(*memfs.FS); ok {
			for i := range uint64(100) {
				c := m.CrashClone(rand.New(rand.NewPCG(i, 0)))
				if b, err := vfs.ReadFile(c, "a/b/x"); err != nil || string(b) != "hello" {
					t.Fatal(string(b), err)
				}
			}
		}
		b, err := vfs.ReadFile(f, "a/b/x")
		if err != nil || string(b) != "hello" {
			t.Fatal(string(b), err)
		}
		w, _ := f.OpenRW("a/b/x")
		if err := w.Preallocate(100000); err != nil {
			t.Fatal(err)
		}
		if err := w.Sync(); err != nil {
			t.Fatal(err)
		}
		st, _ := w.Stat()
		if st.Size() != 100000 {
			t.Fatal(st.Size())
		}
		l, err := f.Lock("lock")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Lock("lock"); err == nil {
			t.Fatal("locked twice")
		}
		l.Close()
		if ok, err := vfs.Exists(f, "zzz"); ok || err != nil {
			t.Fatal(ok, err)
		}
	}
}
