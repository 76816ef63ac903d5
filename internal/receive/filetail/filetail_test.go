package filetail

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/vfs"
	"github.com/meshtrail/meshtrail/internal/vfs/memfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// oracle keeps what is handed in, once for each identity, as a store does. fail
// may break an Ingest before it keeps (kept false) or after.
type oracle struct {
	mu    sync.Mutex
	ids   map[record.BatchID]string
	lines []string
	raws  []record.Raw
	twice int // batches that came again
	fail  func() (err error, kept bool)
}

func newOracle() *oracle { return &oracle{ids: map[record.BatchID]string{}} }

func (o *oracle) Ingest(ctx context.Context, req *pipeline.Request) (pipeline.Outcome, error) {
	var in receivetest.Intake
	in.Ingest(ctx, req)
	raws := in.Raws()
	text := fmt.Sprint(raws)
	o.mu.Lock()
	defer o.mu.Unlock()
	var err error
	kept := true
	if o.fail != nil {
		err, kept = o.fail()
	}
	if !kept {
		return pipeline.Outcome{}, err
	}
	if old, ok := o.ids[req.ID]; ok {
		o.twice++
		if old != text {
			return pipeline.Outcome{}, fault.Errorf(fault.Internal, "batch %v came again with other records:\n%s\n%s", req.ID, old, text)
		}
		return pipeline.Outcome{Deduplicated: len(raws)}, err
	}
	o.ids[req.ID] = text
	for _, r := range raws {
		o.lines = append(o.lines, string(r.Payload))
		o.raws = append(o.raws, r)
	}
	return pipeline.Outcome{Stored: len(raws)}, err
}

func (o *oracle) got() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.lines...)
}

// eventually polls until cond holds.
func eventually(t *testing.T, what string, cond func() bool, why ...func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			for _, f := range why {
				f()
			}
			t.Fatalf("it never happened: %s", what)
		}
	}
}

// long reports whether to test for minutes rather than seconds.
func long() bool { return os.Getenv("MESHTRAIL_LONG") != "" }

func quick(dir string) Config {
	return Config{Paths: []string{filepath.Join(dir, "*.log")}, Poll: 5 * time.Millisecond, Rescan: 50 * time.Millisecond, Flush: 50 * time.Millisecond, CloseAfter: 20 * time.Millisecond}
}

// start runs a tailer until stop is called.
func start(t *testing.T, cfg Config, fsys vfs.FS, to pipeline.Intake) (tl *Tailer, stop func()) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	tl, err := New(Options{Config: cfg, Agent: "a", Tenant: "acme", Intake: to, FS: fsys, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- tl.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return tl, stop
}

func write(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// want waits until exactly these lines have come, in any order.
func want(t *testing.T, o *oracle, lines ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d lines", len(lines)), func() bool { return len(o.got()) >= len(lines) }, func() { compare(t, o, lines) })
	compare(t, o, lines)
}

func compare(t *testing.T, o *oracle, lines []string) {
	t.Helper()
	count := map[string]int{}
	for _, l := range lines {
		count[l]++
	}
	for _, l := range o.got() {
		count[l]--
	}
	for _, l := range slices.Sorted(maps.Keys(count)) {
		if n := count[l]; n != 0 {
			t.Errorf("line %.200q: missing %d", l, n)
		}
	}
}

func TestFollows(t *testing.T) {
	dir, fsys, o := t.TempDir(), memfs.New(), newOracle()
	write(t, filepath.Join(dir, "a.log"), "one\ntwo\n")
	_, stop := start(t, quick(dir), fsys, o)
	want(t, o, "one", "two")
	write(t, filepath.Join(dir, "a.log"), "three\r\n\nfour\n")
	write(t, filepath.Join(dir, "b.log"), "five\n")
	write(t, filepath.Join(dir, "c.gz"), "no\n")
	want(t, o, "one", "two", "three", "four", "five")
	stop()
	write(t, filepath.Join(dir, "a.log"), "six\n") // while away
	write(t, filepath.Join(dir, "d.log"), "seven\n")
	start(t, quick(dir), fsys, o)
	want(t, o, "one", "two", "three", "four", "five", "six", "seven")
	if r := o.raws[0]; len(r.Attrs) != 1 || r.Attrs[0] != (record.Field{Name: "log.file.path", Value: record.StringValue(filepath.Join(dir, "a.log"))}) {
		t.Errorf("fields %v", r.Attrs)
	}
}

func TestStartAtEnd(t *testing.T) {
	dir, fsys, o := t.TempDir(), memfs.New(), newOracle()
	write(t, filepath.Join(dir, "old.log"), "old\n")
	cfg := quick(dir)
	cfg.Start = "end"
	tl, stop := start(t, cfg, fsys, o)
	eventually(t, "old.log is open", func() bool { tl.set.mu.Lock(); defer tl.set.mu.Unlock(); return len(tl.set.byID) == 1 })
	write(t, filepath.Join(dir, "old.log"), "more\n")
	write(t, filepath.Join(dir, "new.log"), "new\n")
	want(t, o, "more", "new")
	stop()
	write(t, filepath.Join(dir, "later.log"), "later\n")
	start(t, cfg, fsys, o)
	want(t, o, "more", "new", "later")
}

// writer writes numbered lines and rotates by rename every few of them.
type writer struct {
	t    *testing.T
	path string
	n    int
	f    *os.File
	gen  int
}

func (w *writer) line() {
	w.t.Helper()
	if w.f == nil {
		f, err := os.OpenFile(w.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			w.t.Fatal(err)
		}
		w.f = f
	}
	w.n++
	if _, err := fmt.Fprintf(w.f, "%s %d\n", filepath.Base(w.path), w.n); err != nil {
		w.t.Fatal(err)
	}
}

// rotate renames; the writer writes on to the renamed file for a few lines, as
// one does that was not told yet.
func (w *writer) rotate(late int) {
	w.gen++
	if err := os.Rename(w.path, fmt.Sprintf("%s.%d", w.path, w.gen)); err != nil {
		w.t.Fatal(err)
	}
	for range late {
		w.line()
	}
	w.f.Close()
	w.f = nil
}

func (w *writer) all() (lines []string) {
	for i := range w.n {
		lines = append(lines, fmt.Sprintf("%s %d", filepath.Base(w.path), i+1))
	}
	return lines
}

func TestRenameRotationUnderLoad(t *testing.T) {
	dir, fsys, o := t.TempDir(), memfs.New(), newOracle()
	rng := rand.New(rand.NewPCG(1, 2))
	o.fail = func() (error, bool) {
		switch rng.IntN(6) {
		case 0:
			return fault.Errorf(fault.Unavailable, "not kept"), false
		case 1:
			return fault.Errorf(fault.Unavailable, "kept, and reported failed"), true
		}
		return nil, true
	}
	start(t, quick(dir), fsys, o)
	pace := time.NewTicker(2 * time.Millisecond)
	defer pace.Stop()
	w := &writer{t: t, path: filepath.Join(dir, "app.log")}
	v := &writer{t: t, path: filepath.Join(dir, "web.log")}
	var lines []string
	turns := 120
	if long() {
		turns = 2000
	}
	for i := range turns {
		for range 1 + i%17 {
			w.line()
			v.line()
		}
		if i%2 == 1 {
			w.rotate(i % 3)
		}
		if i%5 == 1 {
			v.rotate(0)
		}
		<-pace.C
	}
	w.line()
	v.line()
	lines = append(w.all(), v.all()...)
	want(t, o, lines...)
	if o.twice == 0 {
		t.Error("no batch came again: the test tests nothing")
	}
}

func TestRestartsLoseAndDoubleNothing(t *testing.T) {
	seeds := uint64(2)
	if long() {
		seeds = 20
	}
	for seed := range seeds {
		dir, fsys, o := t.TempDir(), memfs.New(), newOracle()
		rng, luck := rand.New(rand.NewPCG(seed, 7)), rand.New(rand.NewPCG(seed, 8))
		w := &writer{t: t, path: filepath.Join(dir, "app.log")}
		var down bool
		o.fail = func() (error, bool) {
			switch {
			case down || luck.IntN(4) == 0:
				return fault.Errorf(fault.Unavailable, "down"), luck.IntN(2) == 0
			}
			return nil, true
		}
		for range 8 {
			tl, stop := start(t, quick(dir), fsys, o)
			for range rng.IntN(5) {
				for range rng.IntN(400) {
					w.line()
				}
				if w.f != nil && rng.IntN(3) == 0 {
					w.rotate(rng.IntN(3))
				}
			}
			n := len(o.got())
			if w.f != nil && rng.IntN(2) == 0 {
				eventually(t, "some progress", func() bool { return len(o.got()) > n || len(o.got()) == w.n }, func() {
					compare(t, o, w.all())
					entries, _ := os.ReadDir(dir)
					for _, e := range entries {
						i, _ := e.Info()
						t.Log(e.Name(), i.Size(), identify(i), i.ModTime().Format("05.000000"))
					}
					files, _ := tl.point.remembered()
					for _, f := range files {
						t.Logf("%+v", f)
					}
				})
			}
			o.mu.Lock()
			down = true // the agent is killed with a batch of which it knows nothing
			o.mu.Unlock()
			for range rng.IntN(100) {
				w.line()
			}
			stop()
			// Power loss: of what was not synced, a random part is gone.
			fsys = fsys.CrashClone(rng)
			o.mu.Lock()
			down = false
			o.mu.Unlock()
			if w.f != nil && rng.IntN(2) == 0 {
				w.rotate(0) // while away
				for range rng.IntN(50) {
					w.line()
				}
			}
		}
		o.mu.Lock()
		o.fail = nil
		o.mu.Unlock()
		_, stop := start(t, quick(dir), fsys, o)
		w.line()
		want(t, o, w.all()...)
		stop()
	}
}

func TestCopyTruncate(t *testing.T) {
	dir, fsys, o := t.TempDir(), memfs.New(), newOracle()
	path := filepath.Join(dir, "a.log")
	tl, stop := start(t, quick(dir), fsys, o)
	var lines []string
	for i := range 20 {
		text := fmt.Sprintf("generation %d\nsecond %d\n", i, i) + strings.Repeat("x", 3*i) + "\n"
		write(t, path, text)
		lines = append(lines, strings.Fields(strings.ReplaceAll(text, " ", "_"))...)
		n := len(lines)
		eventually(t, "read before the truncation", func() bool { return len(o.got()) >= n })
		// copytruncate: the copy is not to be read.
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+fmt.Sprintf(".%d", i), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
		if i%2 == 1 { // grows beyond the old size at once
			long := fmt.Sprintf("long-%d-%s", i, strings.Repeat("y", 2*len(b)))
			write(t, path, long+"\n")
			lines = append(lines, long)
			n := len(lines)
			eventually(t, "read after the truncation", func() bool { return len(o.got()) >= n })
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop()
	_ = tl
	o.mu.Lock()
	for i := range o.lines {
		o.lines[i] = strings.ReplaceAll(o.lines[i], " ", "_")
	}
	o.mu.Unlock()
	want(t, o, lines...)
}

func TestInodeReuseWithTheSameHead(t *testing.T) {
	dir, fsys, o := t.TempDir(), memfs.New(), newOracle()
	head := strings.Repeat("# the same header\n", 200) // 3.6 KB
	path := filepath.Join(dir, "a.log")
	count := 0
	for i := range 8 {
		_, stop := start(t, quick(dir), fsys, o)
		write(t, path, head+fmt.Sprintf("line %d\n", i))
		count += 201
		eventually(t, "all of the file", func() bool { return len(o.got()) >= count })
		stop()
		if err := os.Remove(path); err != nil { // and the next file gets its inode
			t.Fatal(err)
		}
	}
	lines := map[string]int{}
	for _, l := range o.got() {
		lines[l]++
	}
	if lines["# the same header"] != 8*200 || len(o.got()) != count {
		t.Errorf("%d lines, %d headers", len(o.got()), lines["# the same header"])
	}
}

func TestUnlinkedFileIsReadToItsEndAndClosed(t *testing.T) {
	dir, fsys, o := t.TempDir(), memfs.New(), newOracle()
	path := filepath.Join(dir, "a.log")
	tl, _ := start(t, quick(dir), fsys, o)
	w := &writer{t: t, path: path}
	w.line()
	want(t, o, w.all()...)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	w.line()
	w.line()
	want(t, o, w.all()...)
	w.f.Close()
	eventually(t, "the file is closed", func() bool { tl.set.mu.Lock(); defer tl.set.mu.Unlock(); return len(tl.set.byID) == 0 })
	files, _ := tl.point.remembered()
	if len(files) != 0 {
		t.Errorf("the checkpoint still knows %v", files)
	}
}

func TestLongAndUnfinishedLines(t *testing.T) {
	dir, fsys, o := t.TempDir(), memfs.New(), newOracle()
	cfg := quick(dir)
	cfg.Record, cfg.Batch = 1000, 4000
	path := filepath.Join(dir, "a.log")
	start(t, cfg, fsys, o)
	long := strings.Repeat("é", 10_000) // 20 KB
	write(t, path, "short\n"+long+"\nafter\nunfinished")
	eventually(t, "the unfinished line", func() bool {
		g := o.got()
		return len(g) > 0 && g[len(g)-1] == "unfinished"
	})
	joined, pieces := "", 0
	for i, r := range o.raws {
		if !bytes.ContainsRune(r.Payload, 'é') {
			continue
		}
		joined += string(r.Payload)
		partial := false
		for _, a := range r.Attrs {
			partial = partial || a.Name == fieldPartial
		}
		if partial {
			pieces++
		} else if o.lines[i+1] != "after" {
			t.Errorf("piece %d is not marked", i)
		}
		if len(r.Payload) > 1000 || len(r.Payload)%2 != 0 {
			t.Errorf("piece of %d bytes", len(r.Payload))
		}
	}
	if joined != long || pieces < 19 {
		t.Errorf("%d bytes of 20,000 in %d pieces", len(joined), pieces)
	}
}

func TestSymlinks(t *testing.T) {
	dir, other, fsys, o := t.TempDir(), t.TempDir(), memfs.New(), newOracle()
	write(t, filepath.Join(other, "secret"), "secret\n")
	if err := os.Symlink(filepath.Join(other, "secret"), filepath.Join(dir, "a.log")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "b.log"), "fine\n")
	_, stop := start(t, quick(dir), fsys, o)
	want(t, o, "fine")
	stop()
	cfg := quick(dir)
	cfg.SymlinkRoots = []string{other}
	start(t, cfg, memfs.New(), o)
	eventually(t, "the linked file", func() bool { return strings.Contains(fmt.Sprint(o.got()), "secret") })
}
