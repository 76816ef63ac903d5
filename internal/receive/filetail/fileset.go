package filetail

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zeebo/xxh3"
)

// inode is how open files are told apart: it can not be reused while they are open.
type inode struct{ dev, ino uint64 }

func (i ident) inode() inode { return inode{i.Dev, i.Ino} }

// fileSet finds files and watches over them. Its goroutine owns everything but
// what mu guards.
type fileSet struct {
	t     *Tailer
	watch *watcher

	states map[string]fileState // remembered, and not yet claimed by a file
	live   map[string]inode     // what a path was at the last look, links resolved
	since  map[string]int64     // by path: when the checkpoint last saw it, ns; at the first scan only
	looked map[string]bool      // paths that the first scan opened
	// ignored are rotated files that were there before us.
	ignored map[string]map[ident]bool
	warned  map[string]bool
	cost    time.Duration // of the last scan
	scanned atomic.Int64  // when the last whole scan began, ns

	mu    sync.Mutex // guards byID and the queued flag of files
	byID  map[inode]*file
	ended bool
}

func newFileSet(t *Tailer) *fileSet {
	s := &fileSet{
		t: t, watch: newWatcher(),
		live: make(map[string]inode), since: make(map[string]int64), looked: make(map[string]bool),
		ignored: make(map[string]map[ident]bool), warned: make(map[string]bool), byID: make(map[inode]*file),
	}
	return s
}

func (s *fileSet) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	s.watch.close()
	for _, f := range s.byID {
		f.f.Close()
	}
	s.byID = nil
}

// run scans and polls until ctx ends.
func (s *fileSet) run(ctx context.Context) error {
	if err := s.scan(ctx, true); err != nil {
		return err
	}
	poll := time.NewTicker(s.t.o.Poll)
	defer poll.Stop()
	rescan := time.NewTicker(s.t.o.Rescan)
	defer rescan.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-poll.C:
			err = s.poll(ctx, false)
		case <-s.watch.ping:
			// Where names change all the time, scanning takes half of it at most.
			pause := time.NewTimer(min(s.cost, s.t.o.Rescan))
			select {
			case <-pause.C:
			case <-ctx.Done():
			}
			pause.Stop()
			err = s.scan(ctx, false)
		case <-rescan.C:
			if err = s.scan(ctx, false); err == nil {
				err = s.poll(ctx, true)
			}
		}
		if err != nil {
			return err
		}
	}
}

// release takes a file back from its lane.
func (s *fileSet) release(f *file) {
	s.mu.Lock()
	f.queued = false
	s.mu.Unlock()
}

// enqueue gives a file to its lane, unless the lane has it.
func (s *fileSet) enqueue(f *file) {
	s.mu.Lock()
	had := f.queued
	f.queued = true
	s.mu.Unlock()
	if !had {
		s.t.lanes[f.lane].push(f)
	}
}

// poll looks at the sizes of the files: all, or those that lately changed.
func (s *fileSet) poll(ctx context.Context, all bool) error {
	now, lag := time.Now(), int64(0)
	var gone []*file
	s.mu.Lock()
	files := make([]*file, 0, len(s.byID))
	for _, f := range s.byID {
		files = append(files, f)
	}
	s.mu.Unlock()
	for _, f := range files {
		if !all && now.Sub(f.changed) > 10*time.Second {
			continue
		}
		st, err := f.f.Stat()
		if err != nil {
			continue
		}
		size, off := st.Size(), f.off.Load()
		if size != f.polled {
			f.polled, f.changed = size, now
		}
		lag += max(size-off, 0)
		if size != off {
			s.enqueue(f)
			continue
		}
		if all && links(st) == 0 && now.Sub(f.changed) >= s.t.o.CloseAfter {
			gone = append(gone, f)
		}
	}
	if all {
		s.t.count.lag.Set(float64(lag))
		s.t.count.files.Set(float64(len(files)))
	}
	return s.forget(ctx, gone)
}

// forget closes files that are read to their end and gone.
func (s *fileSet) forget(ctx context.Context, files []*file) error {
	var keys []string
	s.mu.Lock()
	for _, f := range files {
		if !f.queued {
			f.f.Close()
			delete(s.byID, f.id.inode())
			if s.live[f.path] == f.id.inode() {
				delete(s.live, f.path)
				delete(s.ignored, f.path)
			}
			keys = append(keys, f.key)
		}
	}
	s.mu.Unlock()
	if len(keys) == 0 {
		return nil
	}
	return s.t.write(ctx, false, &change{Gone: keys})
}

// scan expands the globs, opens what is new and follows what was renamed.
func (s *fileSet) scan(ctx context.Context, first bool) error {
	began := time.Now()
	defer func() { s.cost = time.Since(began) }()
	if first {
		s.states, _ = s.t.point.remembered()
		s.scanned.Store(s.t.point.at)
		for _, st := range s.states {
			if st.At >= s.since[st.Path] {
				s.since[st.Path], s.live[st.Path] = st.At, st.inode()
			}
		}
	}
	paths := s.glob()
	seen := make(map[*file]bool, len(paths))
	for _, path := range paths {
		f, err := s.look(ctx, path, first)
		if err != nil {
			return err
		}
		if f != nil {
			seen[f] = true
		}
	}
	if first {
		if err := s.recover(ctx); err != nil {
			return err
		}
		s.states, s.since, s.looked = nil, nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.byID {
		if !f.rotated && !seen[f] {
			s.t.count.rotations.Inc()
		}
		f.rotated = !seen[f]
	}
	s.scanned.Store(began.UnixNano())
	return nil
}

// look opens the file at a path unless it is open.
func (s *fileSet) look(ctx context.Context, path string, first bool) (*file, error) {
	real := s.resolve(path)
	if real == "" {
		return nil, nil
	}
	st, err := os.Lstat(real)
	if err != nil || !st.Mode().IsRegular() {
		return nil, nil
	}
	before, known := s.live[real]
	f := s.byInode(identify(st).inode())
	if f == nil {
		f, err = s.open(ctx, real, real, first)
		if f == nil || err != nil {
			return nil, err
		}
	}
	now := f.id.inode()
	if first {
		s.looked[real] = true
	}
	s.live[real] = now
	after := int64(0)
	switch {
	case first && known && before != now:
		after = s.since[real] - coarse // rotated while we were away
	case first, !known:
		after = s.t.point.at - coarse // what is older was there before us
	case before == now:
		return f, nil
	}
	return f, s.siblings(ctx, real, after)
}

// coarse is how far behind the clock a file's time may be.
const coarse = int64(20 * time.Millisecond)

func (s *fileSet) byInode(i inode) *file {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[i]
}

// siblings opens the rotated files beside a path that were made and renamed
// between two looks: those not known, not there before us, and changed at or
// after a time. It is asked only when the path came to be another file, so that
// a copy made by copytruncate, whose content was read already, is no sibling.
func (s *fileSet) siblings(ctx context.Context, path string, after int64) error {
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	ignored := make(map[ident]bool)
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), base)
		if !ok || rest == "" || !strings.ContainsRune(".-_", rune(rest[0])) || !e.Type().IsRegular() || s.excluded(filepath.Join(dir, e.Name())) {
			continue
		}
		st, err := e.Info()
		if err != nil || s.byInode(identify(st).inode()) != nil {
			continue
		}
		id, ok := identifyPath(filepath.Join(dir, e.Name()))
		if !ok {
			continue
		}
		if s.ignored[path][id] || st.ModTime().UnixNano() < after {
			ignored[id] = true
			continue
		}
		if _, err := s.open(ctx, filepath.Join(dir, e.Name()), path, false); err != nil {
			return err
		}
	}
	s.ignored[path] = ignored
	return nil
}

func identifyPath(path string) (ident, bool) {
	f, err := openLog(path)
	if err != nil {
		return ident{}, false
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return ident{}, false
	}
	id := identify(st)
	id.Born = born(f)
	return id, true
}

// open opens a file at path, known as name, where its state or the
// configuration says. nil: it can not be opened, or is open.
func (s *fileSet) open(ctx context.Context, path, name string, first bool) (*file, error) {
	h, err := openLog(path)
	if err != nil {
		if !os.IsNotExist(err) {
			s.complain(path, "open log file; it is tried again", err)
		}
		return nil, nil
	}
	st, err := h.Stat()
	if err != nil || !st.Mode().IsRegular() {
		h.Close()
		return nil, nil
	}
	f := &file{f: h, path: name, id: identify(st), changed: time.Now()}
	if known := s.byInode(f.id.inode()); known != nil {
		h.Close()
		return known, nil
	}
	f.id.Born = born(h)
	if !s.claim(f, st.Size()) {
		var key [8]byte
		rand.Read(key[:])
		f.key = hex.EncodeToString(key[:])
		if first && s.t.point.first && s.t.o.Start == "end" {
			s.toEnd(f, st.Size())
		}
	}
	return f, s.add(ctx, f)
}

// claim makes f go on from a remembered state, if one is of this file.
func (s *fileSet) claim(f *file, size int64) bool {
	for key, st := range s.states {
		if !f.id.sameAs(st.ident) {
			continue
		}
		delete(s.states, key)
		if f.resume(&st, size) {
			return true
		}
		s.t.count.truncated.Inc()
		s.t.log.Warn("log file is not what it was before the restart; it is read from its start", "file", f.path, "offset", st.Off, "size", size)
		s.t.write(context.Background(), false, &change{Gone: []string{key}})
	}
	return false
}

// toEnd begins a file behind what it holds.
func (s *fileSet) toEnd(f *file, size int64) {
	n := int(min(size, winSize))
	_, b, ok := f.fingerprint(size-int64(n), n)
	if !ok {
		return
	}
	f.win = b
	f.off.Store(size)
	if p, _, ok := f.fingerprint(0, int(min(size, headSize))); ok {
		f.head = p
	}
}

// add makes f one of the set.
func (s *fileSet) add(ctx context.Context, f *file) error {
	f.labels = makeLabels(f.path, s.t.o.Attributes)
	f.lane = int(xxh3.HashString(f.key) % uint64(len(s.t.lanes)))
	s.mu.Lock()
	s.byID[f.id.inode()] = f
	s.mu.Unlock()
	st := f.state(s.scanned.Load())
	if err := s.t.write(ctx, false, &change{File: &st}); err != nil {
		return err
	}
	s.enqueue(f)
	return nil
}

// recover finds the files of states that no glob named: rotated while we were
// away. Those that are gone are forgotten.
func (s *fileSet) recover(ctx context.Context) error {
	var gone []string
	for key, st := range s.states {
		f := openState(st)
		if f == nil {
			gone = append(gone, key)
			s.t.log.Warn("log file is gone since the last run; what it held after the offset was not read", "file", st.Path, "offset", st.Off)
			continue
		}
		info, err := f.f.Stat()
		if err != nil || s.byInode(f.id.inode()) != nil || !f.resume(&st, info.Size()) {
			f.f.Close()
			gone = append(gone, key)
			continue
		}
		f.path, f.changed = st.Path, time.Now()
		if err := s.add(ctx, f); err != nil {
			return err
		}
	}
	for path, at := range s.since {
		if !s.looked[path] { // no file has that name just now: it was rotated
			if err := s.siblings(ctx, path, at-coarse); err != nil {
				return err
			}
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return s.t.write(ctx, false, &change{Gone: gone})
}

// glob returns the paths that the input names, and watches their folders.
func (s *fileSet) glob() []string {
	var out []string
	dirs := make(map[string]bool)
	for _, pattern := range s.t.o.Paths {
		for dir := filepath.Dir(pattern); ; dir = filepath.Dir(dir) {
			found, _ := filepath.Glob(dir)
			for _, d := range found {
				dirs[d] = true
			}
			if !strings.ContainsAny(dir, `*?[`) {
				break
			}
		}
		found, _ := filepath.Glob(pattern)
		for _, p := range found {
			if !s.excluded(p) {
				out = append(out, p)
			}
		}
	}
	if !s.watch.watch(dirs) {
		s.complain("", "the system's limit of watched folders is used up; new files are found by the rescan", nil)
	}
	return out
}

// compressed names what no line can be read of.
var compressed = map[string]bool{".gz": true, ".bz2": true, ".xz": true, ".zst": true, ".zip": true, ".lz4": true, ".tmp": true, ".swp": true}

func (s *fileSet) excluded(path string) bool {
	if compressed[filepath.Ext(path)] {
		return true
	}
	for _, pattern := range s.t.o.Exclude {
		if ok, _ := filepath.Match(pattern, path); ok {
			return true
		}
		if ok, _ := filepath.Match(pattern, filepath.Base(path)); ok {
			return true
		}
	}
	return false
}

// resolve returns the path itself, or where a link leads if that is allowed, or
// nothing.
func (s *fileSet) resolve(path string) string {
	st, err := os.Lstat(path)
	if err != nil {
		return ""
	}
	if st.Mode()&fs.ModeSymlink == 0 {
		return path
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return ""
	}
	for _, root := range s.t.o.SymlinkRoots {
		if rel, err := filepath.Rel(root, real); err == nil && filepath.IsLocal(rel) {
			return real
		}
	}
	s.complain(path, "symbolic link leads out of symlink_roots; it is not followed", nil)
	return ""
}

// complain logs a thing once.
func (s *fileSet) complain(path, what string, err error) {
	if s.warned[path+what] || len(s.warned) > 10000 {
		return
	}
	s.warned[path+what] = true
	s.t.count.errors.Inc()
	s.t.log.Warn(what, "file", path, "err", err)
}
