package filetail

import (
	"bytes"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/meshtrail/meshtrail/internal/record"
)

// Sizes of fingerprints.
const (
	headSize = 1024
	winSize  = 128
)

// file is one open log.
type file struct {
	key    string
	id     ident
	f      *os.File
	lane   int
	labels labels

	// Owned by the fileSet.
	path    string
	queued  bool // the lane has it: everything below is the lane's
	rotated bool // no glob finds it any more
	polled  int64
	changed time.Time // when polled changed

	off  atomic.Int64
	head print
	win  []byte // the bytes right before off
	// size is the size at the last look, since when it has not changed: grown.
	size  int64
	grown time.Time
	// stuck is since when nothing could be taken at stuckOff.
	stuck    time.Time
	stuckOff int64
}

// state is what is to be remembered, given the time of the last whole scan.
func (f *file) state(scan int64) fileState {
	return fileState{Key: f.key, Path: f.path, ident: f.id, Off: f.off.Load(), Head: f.head,
		Win: print{len(f.win), xxh3.Hash(f.win)}, At: scan}
}

// fingerprint returns the print of n bytes at off, or ok=false if they can not
// be read.
func (f *file) fingerprint(off int64, n int) (print, []byte, bool) {
	if off < 0 || n < 0 || n > headSize {
		return print{}, nil, false
	}
	b := make([]byte, n)
	if _, err := f.f.ReadAt(b, off); err != nil && n > 0 {
		return print{}, nil, false
	}
	return print{n, xxh3.Hash(b)}, b, true
}

// resume makes f go on where st ended, if it is that file and nothing of what
// was read has changed.
func (f *file) resume(st *fileState, size int64) bool {
	if !f.id.sameAs(st.ident) || size < st.Off {
		return false
	}
	head, _, ok := f.fingerprint(0, st.Head.N)
	if !ok || st.Head.N > 0 && head != st.Head {
		return false
	}
	win, b, ok := f.fingerprint(st.Off-int64(st.Win.N), st.Win.N)
	if !ok || st.Win.N > 0 && win != st.Win {
		return false
	}
	f.key, f.head, f.win = st.Key, st.Head, b
	f.off.Store(st.Off)
	return true
}

// advance moves the offset past data, which ends there.
func (f *file) advance(to int64, data []byte) {
	if len(data) >= winSize {
		f.win = append(f.win[:0], data[len(data)-winSize:]...)
	} else {
		f.win = append(f.win, data...)
		if over := len(f.win) - winSize; over > 0 {
			f.win = f.win[:copy(f.win, f.win[over:])]
		}
	}
	f.off.Store(to)
	if f.head.N < headSize && int64(f.head.N) < to {
		if p, _, ok := f.fingerprint(0, int(min(to, headSize))); ok {
			f.head = p
		}
	}
}

// restart makes f begin again.
func (f *file) restart() {
	f.off.Store(0)
	f.win, f.head = f.win[:0], print{}
}

// truncatedError says that the bytes before the offset are not those that were read.
type truncatedError struct{}

func (truncatedError) Error() string { return "file was truncated or overwritten" }

// read appends up to n bytes at the offset to buf, within its capacity. It
// checks that the bytes right before are still those that were read.
func (f *file) read(buf []byte, n int) ([]byte, error) {
	w := len(f.win)
	start := len(buf)
	off := f.off.Load() - int64(w)
	n = min(n, cap(buf)-start-w)
	if n <= 0 {
		return buf, nil
	}
	part := buf[start : start+w+n]
	got, err := f.f.ReadAt(part, off)
	if err != nil && err != io.EOF {
		return buf, err
	}
	if got < w || !bytes.Equal(part[:w], f.win) {
		return buf, truncatedError{}
	}
	copy(part, part[w:got])
	return buf[:start+got-w], nil
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// makeLabels returns a file's fields: its path, what a Kubernetes path tells,
// and the input's own.
func makeLabels(path string, attributes map[string]string) labels {
	fs := []record.Field{{Name: fieldPath, Value: record.StringValue(path)}}
	fs = append(fs, kubernetes(path)...)
	for _, k := range sortedKeys(attributes) {
		fs = append(fs, record.Field{Name: k, Value: record.StringValue(attributes[k])})
	}
	var l labels
	l[noStream] = fs[:len(fs):len(fs)]
	l[stdout] = append(fs[:len(fs):len(fs)], record.Field{Name: fieldStream, Value: record.StringValue("stdout")})
	l[stderr] = append(fs[:len(fs):len(fs)], record.Field{Name: fieldStream, Value: record.StringValue("stderr")})
	return l
}

// kubernetes reads a kubelet's path, /var/log/pods/NS_POD_UID/CONTAINER/N.log,
// or a link to one, /var/log/containers/POD_NS_CONTAINER-ID.log. The names are
// those of OpenTelemetry. Nothing is asked of any API, so nothing waits for it.
func kubernetes(path string) []record.Field {
	field := func(k, v string) record.Field { return record.Field{Name: k, Value: record.StringValue(v)} }
	parts := strings.Split(filepath.ToSlash(path), "/")
	n := len(parts)
	if n >= 4 && parts[n-4] == "pods" {
		pod := strings.Split(parts[n-3], "_")
		restart, _, ok := strings.Cut(parts[n-1], ".log")
		if len(pod) != 3 || !ok {
			return nil
		}
		return []record.Field{field("k8s.namespace.name", pod[0]), field("k8s.pod.name", pod[1]), field("k8s.pod.uid", pod[2]),
			field("k8s.container.name", parts[n-2]), field("k8s.container.restart_count", restart)}
	}
	if n >= 2 && parts[n-2] == "containers" {
		name := strings.Split(strings.TrimSuffix(parts[n-1], ".log"), "_")
		if len(name) != 3 {
			return nil
		}
		dash := strings.LastIndexByte(name[2], '-')
		if dash < 0 {
			return nil
		}
		return []record.Field{field("k8s.pod.name", name[0]), field("k8s.namespace.name", name[1]),
			field("k8s.container.name", name[2][:dash]), field("container.id", name[2][dash+1:])}
	}
	return nil
}
