package hubble

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"log/slog"

	"github.com/meshtrail/meshtrail/internal/vfs"
)

// A window remembers the last flows: at least generation of them, about twice as
// many at most. Each generation is a file, to which the flows of a batch are
// added when the batch is durable: what is lost of it with the power costs
// repetitions, so it is not synced.
//
//	number of the generation u64 | flow u128 | flow …    little-endian
type window struct {
	young, old map[key]struct{}

	fs     vfs.FS // nil: memory only
	name   string
	log    *slog.Logger
	file   vfs.File // of young; nil: it could not be written
	size   int64
	number uint64
	buf    []byte
}

const (
	generation = 1 << 16
	keySize    = 16
	headSize   = 8
)

func (w *window) path(number uint64) string { return w.name + ".seen" + string(rune('0'+number%2)) }

// open reads what a process before this one remembered.
func (w *window) open(f vfs.FS, name string, log *slog.Logger) error {
	w.fs, w.name, w.log = f, name, log
	var found [2]uint64
	for i := range found {
		number, keys, err := w.read(w.path(uint64(i)))
		if err != nil {
			return err
		}
		if found[i] = number; number > w.number {
			w.number, w.young, w.old = number, keys, w.young
		} else {
			w.old = keys
		}
	}
	if w.number == 0 {
		w.begin()
		return nil
	}
	file, err := f.OpenRW(w.path(w.number))
	if err != nil {
		return err
	}
	st, err := file.Stat()
	if err != nil {
		file.Close()
		return err
	}
	w.file, w.size = file, headSize+(st.Size()-headSize)/keySize*keySize
	return nil
}

// read returns a generation; one that is not there has the number 0.
func (w *window) read(path string) (number uint64, keys map[key]struct{}, err error) {
	b, err := vfs.ReadFile(w.fs, path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(b) < headSize {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	number, b = binary.LittleEndian.Uint64(b), b[headSize:]
	keys = make(map[key]struct{}, generation)
	for ; len(b) >= keySize && len(keys) < 2*generation; b = b[keySize:] {
		keys[key{Lo: binary.LittleEndian.Uint64(b), Hi: binary.LittleEndian.Uint64(b[8:])}] = struct{}{}
	}
	return number, keys, nil
}

// begin makes the file of a new generation.
func (w *window) begin() {
	w.close()
	w.number++
	if w.fs == nil {
		return
	}
	path := w.path(w.number)
	err := w.fs.Remove(path)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		if w.file, err = w.fs.Create(path); err == nil {
			w.size = 0
			w.buf = binary.LittleEndian.AppendUint64(w.buf[:0], w.number)
			w.write()
			return
		}
	}
	w.file = nil
	w.log.Warn("flows are not remembered over a restart", "relay", w.name, "error", err)
}

// write adds buf to the file.
func (w *window) write() {
	if w.file == nil {
		return
	}
	if _, err := w.file.WriteAt(w.buf, w.size); err != nil {
		w.log.Warn("flows are not remembered over a restart", "relay", w.name, "error", err)
		w.close()
		return
	}
	w.size += int64(len(w.buf))
}

func (w *window) close() {
	if w.file != nil {
		w.file.Close()
		w.file = nil
	}
}

// rotate begins a new generation when the young one is full.
func (w *window) rotate() {
	if len(w.young) < generation {
		return
	}
	w.young, w.old = w.old, w.young
	clear(w.young)
	w.begin()
}

// keep puts flows that are durable, and were added, into the file.
func (w *window) keep(keys []key) {
	w.buf = w.buf[:0]
	for _, k := range keys {
		w.buf = binary.LittleEndian.AppendUint64(w.buf, k.Lo)
		w.buf = binary.LittleEndian.AppendUint64(w.buf, k.Hi)
	}
	w.write()
}

func (w *window) has(k key) bool {
	if _, ok := w.young[k]; ok {
		return true
	}
	_, ok := w.old[k]
	return ok
}

func (w *window) add(k key) {
	if w.young == nil {
		w.young = make(map[key]struct{}, generation)
	}
	w.young[k] = struct{}{}
}

func (w *window) forget(k key) {
	delete(w.young, k)
	delete(w.old, k)
}
