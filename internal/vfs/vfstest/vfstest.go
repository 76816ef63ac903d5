// Package vfstest is the contract of vfs.FS as a test suite, run on every
// implementation. It is used by tests only, keeps nothing and outlives nothing.
package vfstest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// Run tests the FS that open returns: a new and empty one for each call.
func Run(t *testing.T, open func(t *testing.T) vfs.FS) {
	for name, test := range map[string]func(*testing.T, vfs.FS){
		"Files":       files,
		"Offsets":     offsets,
		"Missing":     missing,
		"Existing":    existing,
		"Names":       names,
		"Folders":     folders,
		"Rename":      rename,
		"OpenHandles": openHandles,
		"Sizes":       sizes,
		"ReadOnly":    readOnly,
		"Closed":      closed,
		"Locks":       locks,
		"WriteFile":   writeFile,
		"Sub":         sub,
		"Concurrent":  concurrent,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// create makes a file with this content and returns it open.
func create(t *testing.T, f vfs.FS, name, content string) vfs.File {
	t.Helper()
	file, err := f.Create(name)
	must(t, err)
	t.Cleanup(func() { file.Close() })
	n, err := file.Write([]byte(content))
	must(t, err)
	if n != len(content) {
		t.Fatalf("wrote %d bytes of %d", n, len(content))
	}
	return file
}

func wantContent(t *testing.T, f vfs.FS, name, want string) {
	t.Helper()
	got, err := vfs.ReadFile(f, name)
	must(t, err)
	if string(got) != want {
		t.Fatalf("%s holds %.60q, want %.60q", name, got, want)
	}
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

func wantKind(t *testing.T, what string, err error, want fault.Kind) {
	t.Helper()
	if !fault.Is(err, want) {
		t.Errorf("%s: got %v, want kind %v", what, err, want)
	}
}

func files(t *testing.T, f vfs.FS) {
	file := create(t, f, "a", "hello")
	if file.Name() != "a" {
		t.Errorf("Name() = %q", file.Name())
	}
	must(t, file.Sync())
	must(t, f.SyncDir("."))
	st, err := file.Stat()
	must(t, err)
	if st.Size() != 5 || st.IsDir() || st.Mode().Perm() != 0o600 {
		t.Errorf("size %d, mode %v", st.Size(), st.Mode())
	}
	must(t, file.Close())
	wantContent(t, f, "a", "hello")
	st, err = f.Stat("a")
	must(t, err)
	if st.Name() != "a" || st.Size() != 5 {
		t.Errorf("described as %s of %d bytes", st.Name(), st.Size())
	}
	must(t, f.Remove("a"))
	_, err = f.Open("a")
	wantErr(t, "open after remove", err, fs.ErrNotExist)
	if free := f.Free(); free < -1 {
		t.Errorf("Free() = %d", free)
	}
}

func offsets(t *testing.T, f vfs.FS) {
	file := create(t, f, "a", "0123456789")
	p := make([]byte, 4)
	n, err := file.ReadAt(p, 8)
	if n != 2 || err != io.EOF || string(p[:2]) != "89" {
		t.Errorf("read across the end: %d, %v, %q", n, err, p[:n])
	}
	if n, err = file.ReadAt(p, 10); n != 0 || err != io.EOF {
		t.Errorf("read at the end: %d, %v", n, err)
	}
	if n, err = file.ReadAt(p, 6); n != 4 || err != nil && err != io.EOF {
		t.Errorf("read up to the end: %d, %v", n, err)
	}
	_, err = file.ReadAt(p, -1)
	if err == nil {
		t.Error("read at -1: no error")
	}
	_, err = file.WriteAt([]byte("x"), -1)
	if err == nil {
		t.Error("write at -1: no error")
	}
	_, err = file.WriteAt([]byte("AB"), 9) // moves no cursor
	must(t, err)
	_, err = file.Write([]byte("!"))
	must(t, err)
	wantContent(t, f, "a", "012345678A!")
	_, err = file.WriteAt([]byte("far"), 10_000)
	must(t, err)
	wantContent(t, f, "a", "012345678A!"+strings.Repeat("\x00", 10_000-11)+"far")

	r, err := f.Open("a")
	must(t, err)
	defer r.Close()
	head := make([]byte, 3)
	for _, want := range []string{"012", "345"} {
		_, err = io.ReadFull(r, head)
		must(t, err)
		if string(head) != want {
			t.Errorf("read %q, want %q", head, want)
		}
	}
}

func missing(t *testing.T, f vfs.FS) {
	_, err := f.Open("no")
	wantErr(t, "open", err, fs.ErrNotExist)
	wantKind(t, "open", err, fault.NotFound)
	_, err = f.OpenRW("no")
	wantErr(t, "open for writing", err, fs.ErrNotExist)
	_, err = f.Stat("no")
	wantErr(t, "stat", err, fs.ErrNotExist)
	_, err = f.ReadDir("no")
	wantErr(t, "readdir", err, fs.ErrNotExist)
	_, err = f.Create("no/a")
	wantErr(t, "create in no folder", err, fs.ErrNotExist)
	wantErr(t, "remove", f.Remove("no"), fs.ErrNotExist)
	wantErr(t, "rename", f.Rename("no", "b"), fs.ErrNotExist)
	wantErr(t, "syncdir", f.SyncDir("no"), fs.ErrNotExist)
	_, err = vfs.ReadFile(f, "no")
	wantErr(t, "readfile", err, fs.ErrNotExist)
	ok, err := vfs.Exists(f, "no")
	if ok || err != nil {
		t.Errorf("Exists = %v, %v", ok, err)
	}
	create(t, f, "a", "")
	wantErr(t, "rename into no folder", f.Rename("a", "no/a"), fs.ErrNotExist)
	wantContent(t, f, "a", "")
}

func existing(t *testing.T, f vfs.FS) {
	create(t, f, "a", "x")
	_, err := f.Create("a")
	wantErr(t, "create again", err, fs.ErrExist)
	wantKind(t, "create again", err, fault.Conflict)
	must(t, f.MkdirAll("d"))
	_, err = f.Create("d")
	wantErr(t, "create a file over a folder", err, fs.ErrExist)
	if f.MkdirAll("a") == nil || f.MkdirAll("a/b") == nil {
		t.Error("made a folder over a file")
	}
	if _, err = f.Open("d"); err == nil {
		t.Error("opened a folder")
	}
	if _, err = f.OpenRW("d"); err == nil {
		t.Error("opened a folder for writing")
	}
	wantContent(t, f, "a", "x")
}

// Names that lead out of the FS, or could be read in two ways, reach nothing.
func names(t *testing.T, f vfs.FS) {
	for _, name := range []string{"", "/", "/a", "..", "../a", "a/..", "a/../b", "./a", "a/", "a//b", "a/./b"} {
		check := func(op string, err error) {
			t.Helper()
			wantKind(t, op+" "+name, err, fault.Invalid)
		}
		_, err := f.Open(name)
		check("open", err)
		_, err = f.Create(name)
		check("create", err)
		_, err = f.OpenRW(name)
		check("openrw", err)
		_, err = f.Stat(name)
		check("stat", err)
		_, err = f.ReadDir(name)
		check("readdir", err)
		_, err = f.Lock(name)
		check("lock", err)
		check("remove", f.Remove(name))
		check("mkdir", f.MkdirAll(name))
		check("syncdir", f.SyncDir(name))
		check("rename from", f.Rename(name, "x"))
		check("rename to", f.Rename("x", name))
	}
}

func folders(t *testing.T, f vfs.FS) {
	must(t, f.MkdirAll("."))
	must(t, f.MkdirAll("b/c"))
	must(t, f.MkdirAll("b/c", "b", "many/1", "many/2/3"))
	must(t, f.MkdirAll())
	create(t, f, "b/x", "12")
	create(t, f, "a", "")
	wantKind(t, "a name that is none", f.MkdirAll("c", "../d"), fault.Invalid)
	for _, dir := range []string{"many/1", "many/2/3", "many/2", "many"} {
		must(t, f.Remove(dir))
	}
	list := func(dir string) (out []string) {
		t.Helper()
		entries, err := f.ReadDir(dir)
		must(t, err)
		for _, e := range entries {
			name := e.Name()
			if e.IsDir() {
				name += "/"
			}
			if info, err := e.Info(); err != nil || info.Name() != e.Name() {
				t.Errorf("info of %s: %v", name, err)
			}
			out = append(out, name)
		}
		return out
	}
	if got := list("."); !slices.Equal(got, []string{"a", "b/"}) {
		t.Errorf("root lists %v", got)
	}
	if got := list("b"); !slices.Equal(got, []string{"c/", "x"}) {
		t.Errorf("b lists %v", got)
	}
	if st, err := f.Stat("b/c"); err != nil || !st.IsDir() || st.Mode().Perm() != 0o700 {
		t.Errorf("b/c is %v, %v", st, err)
	}
	if f.Remove("b") == nil {
		t.Error("removed a folder that holds something")
	}
	must(t, f.Remove("b/c"))
	must(t, f.Remove("b/x"))
	must(t, f.Remove("b"))
	if got := list("."); !slices.Equal(got, []string{"a"}) {
		t.Errorf("root lists %v", got)
	}
	must(t, f.SyncDir("."))
}

func rename(t *testing.T, f vfs.FS) {
	must(t, f.MkdirAll("d"))
	create(t, f, "a", "A")
	create(t, f, "b", "B")
	must(t, f.Rename("a", "b")) // replaces
	wantContent(t, f, "b", "A")
	_, err := f.Stat("a")
	wantErr(t, "the old name", err, fs.ErrNotExist)
	must(t, f.Rename("b", "d/c")) // moves
	wantContent(t, f, "d/c", "A")
	must(t, f.Rename("d/c", "d/c"))
	wantContent(t, f, "d/c", "A")
}

// As in POSIX, a handle is to the file and not to its name.
func openHandles(t *testing.T, f vfs.FS) {
	a := create(t, f, "a", "A")
	b := create(t, f, "b", "B")
	must(t, f.Rename("a", "b"))
	_, err := a.Write([]byte("2"))
	must(t, err)
	wantContent(t, f, "b", "A2")
	p := make([]byte, 1)
	if _, err = b.ReadAt(p, 0); err != nil || p[0] != 'B' {
		t.Errorf("the replaced file reads %q, %v", p, err)
	}
	must(t, f.Remove("b"))
	_, err = a.WriteAt([]byte("C"), 0)
	must(t, err)
	must(t, a.Sync())
	got := make([]byte, 2)
	if _, err = a.ReadAt(got, 0); err != nil && err != io.EOF || string(got) != "C2" {
		t.Errorf("the removed file reads %q, %v", got, err)
	}
	create(t, f, "b", "new")
	wantContent(t, f, "b", "new")
}

func sizes(t *testing.T, f vfs.FS) {
	file := create(t, f, "a", "hello")
	size := func(want int64) {
		t.Helper()
		st, err := file.Stat()
		must(t, err)
		if st.Size() != want {
			t.Errorf("size %d, want %d", st.Size(), want)
		}
	}
	must(t, file.Preallocate(0))
	must(t, file.Preallocate(3)) // never cuts
	size(5)
	must(t, file.Preallocate(10_000))
	size(10_000)
	wantContent(t, f, "a", "hello"+strings.Repeat("\x00", 9995))
	must(t, file.Truncate(2))
	size(2)
	must(t, file.Truncate(6)) // what was cut does not come back
	wantContent(t, f, "a", "he\x00\x00\x00\x00")
	must(t, file.Truncate(0))
	size(0)
	wantKind(t, "preallocate -1", file.Preallocate(-1), fault.Invalid)
	if file.Truncate(-1) == nil {
		t.Error("truncate -1: no error")
	}
	must(t, file.Sync())
}

func readOnly(t *testing.T, f vfs.FS) {
	create(t, f, "a", "x")
	r, err := f.Open("a")
	must(t, err)
	defer r.Close()
	if _, err = r.Write([]byte("y")); err == nil {
		t.Error("wrote through a read-only handle")
	}
	if _, err = r.WriteAt([]byte("y"), 0); err == nil {
		t.Error("wrote at an offset through a read-only handle")
	}
	if r.Truncate(0) == nil {
		t.Error("truncated through a read-only handle")
	}
	w, err := f.OpenRW("a")
	must(t, err)
	defer w.Close()
	_, err = w.WriteAt([]byte("z"), 0)
	must(t, err)
	wantContent(t, f, "a", "z")
}

func closed(t *testing.T, f vfs.FS) {
	file := create(t, f, "a", "x")
	must(t, file.Close())
	_, err := file.Write([]byte("y"))
	wantErr(t, "write", err, fs.ErrClosed)
	_, err = file.ReadAt(make([]byte, 1), 0)
	wantErr(t, "read", err, fs.ErrClosed)
	wantErr(t, "sync", file.Sync(), fs.ErrClosed)
	wantErr(t, "close again", file.Close(), fs.ErrClosed)
}

func locks(t *testing.T, f vfs.FS) {
	l, err := f.Lock("lock")
	must(t, err)
	_, err = f.Lock("lock")
	wantKind(t, "second lock", err, fault.Conflict)
	other, err := f.Lock("other")
	must(t, err)
	must(t, other.Close())
	must(t, l.Close())
	l, err = f.Lock("lock") // the file stays
	must(t, err)
	must(t, l.Close())
}

func writeFile(t *testing.T, f vfs.FS) {
	must(t, f.MkdirAll("d"))
	for _, content := range []string{"", "one", strings.Repeat("two", 5000), "three"} {
		must(t, vfs.WriteFile(f, "d/x", []byte(content)))
		wantContent(t, f, "d/x", content)
	}
	create(t, f, "d/x.tmp", "left by a crash")
	must(t, vfs.WriteFile(f, "d/x", []byte("four")))
	wantContent(t, f, "d/x", "four")
	list, err := f.ReadDir("d")
	must(t, err)
	if len(list) != 1 {
		t.Errorf("%d files left, want 1", len(list))
	}
	wantErr(t, "in no folder", vfs.WriteFile(f, "no/x", nil), fs.ErrNotExist)
	must(t, vfs.WriteFiles(f, []vfs.Content{{Name: "d/y", Data: []byte("y")}, {Name: "d/x", Data: []byte("five")}, {Name: "z", Data: nil}}))
	wantContent(t, f, "d/x", "five")
	wantContent(t, f, "d/y", "y")
	wantContent(t, f, "z", "")
	wantErr(t, "one in no folder", vfs.WriteFiles(f, []vfs.Content{{Name: "no/x"}, {Name: "z"}}), fs.ErrNotExist)
}

func sub(t *testing.T, f vfs.FS) {
	must(t, f.MkdirAll("a/b"))
	s := vfs.Sub(vfs.Sub(vfs.Sub(f, "."), "a"), "b")
	file := create(t, s, "x", "1")
	if file.Name() != "x" {
		t.Errorf("Name() = %q", file.Name())
	}
	wantContent(t, f, "a/b/x", "1")
	must(t, s.Rename("x", "y"))
	must(t, s.MkdirAll("c"))
	must(t, s.SyncDir("."))
	list, err := s.ReadDir(".")
	must(t, err)
	if len(list) != 2 || list[0].Name() != "c" || list[1].Name() != "y" {
		t.Errorf("lists %v", list)
	}
	l, err := s.Lock("l")
	must(t, err)
	_, err = f.Lock("a/b/l")
	wantKind(t, "lock from outside", err, fault.Conflict)
	must(t, l.Close())
	must(t, s.Remove("y"))
	_, err = f.Stat("a/b/y")
	wantErr(t, "removed file", err, fs.ErrNotExist)
}

func concurrent(t *testing.T, f vfs.FS) {
	const workers, size = 8, 10_000
	file := create(t, f, "shared", "")
	var wg sync.WaitGroup
	errs := make(chan error, 4*workers)
	for w := range workers {
		wg.Go(func() {
			block := bytes.Repeat([]byte{byte('a' + w)}, size)
			_, err := file.WriteAt(block, int64(w*size))
			errs <- err
			got := make([]byte, size)
			if _, err := file.ReadAt(got, int64(w*size)); err != nil && err != io.EOF || !bytes.Equal(got, block) {
				errs <- errors.New("read something else than was written")
			}
			errs <- vfs.WriteFile(f, string(rune('a'+w)), block)
			errs <- f.MkdirAll("x/y/z")
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		must(t, err)
	}
}
