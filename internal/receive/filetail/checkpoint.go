package filetail

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// The checkpoint is an append-only file of text lines:
//
//	| CRC-32C of the rest, 8 hex digits | space | one JSON object | \n |
//
// It begins with a snapshot, {"run":…}, then {"file":…} and {"intent":…} for all
// that is known, then {"ready":true}; after it come changes:
//
//	{"file":F}                 a file was found, or one was truncated
//	{"intent":I}               synced before its batch is handed in
//	{"done":{lane,files}}      the lane's batch is durable, with the new offsets
//	{"gone":[key]}             files were read to their end and removed
//
// Files are named checkpoint.N. Every start, and every growth beyond eight times
// the snapshot, begins the next one; the one before it is kept. A checkpoint that
// is damaged before "ready" does not count, and the one before it is used. One
// that is damaged after it counts up to the damage. Either way offsets can only
// be older than the truth, never newer.

// ident says which file it is, as long as it exists.
type ident struct {
	Dev  uint64 `json:"dev"`
	Ino  uint64 `json:"ino"`
	Born int64  `json:"born,omitempty"` // ns; 0: not known
}

// sameAs compares, where both know their birth that too.
func (a ident) sameAs(b ident) bool {
	return a.Dev == b.Dev && a.Ino == b.Ino && (a.Born == b.Born || a.Born == 0 || b.Born == 0)
}

// print is a fingerprint of N bytes.
type print struct {
	N   int    `json:"n"`
	Sum uint64 `json:"sum,string"`
}

// fileState is what is remembered of a file.
type fileState struct {
	Key  string `json:"key"` // unique within the checkpoint, for ever
	Path string `json:"path"`
	ident
	Off  int64 `json:"off"`  // everything before it is durable
	Head print `json:"head"` // of the first bytes
	Win  print `json:"win"`  // of the bytes right before Off
	// At is when the last scan began that was whole before this was written, ns:
	// a file that was made and rotated before it is known to the checkpoint.
	At int64 `json:"at"`
}

// region is a range of a file.
type region struct {
	Key  string `json:"key"`
	From int64  `json:"from"`
	To   int64  `json:"to"`
	Sum  uint64 `json:"sum,string"` // xxh3 of its bytes
}

// intent is a batch that is about to be handed in.
type intent struct {
	Lane    int      `json:"lane"`
	Origin  string   `json:"origin"`
	Epoch   uint64   `json:"epoch"`
	Seq     uint64   `json:"seq"`
	Regions []region `json:"regions"`
}

type runInfo struct {
	ID    string `json:"id"` // of this checkpoint's history, random
	Epoch uint64 `json:"epoch"`
	At    int64  `json:"at"` // when the input ran for the first time, or its last whole scan began, ns
}

type doneInfo struct {
	Lane  int         `json:"lane"`
	Files []fileState `json:"files"`
}

// change is one line. Exactly one member is set.
type change struct {
	Run    *runInfo   `json:"run,omitempty"`
	File   *fileState `json:"file,omitempty"`
	Intent *intent    `json:"intent,omitempty"`
	Ready  bool       `json:"ready,omitempty"`
	Done   *doneInfo  `json:"done,omitempty"`
	Gone   []string   `json:"gone,omitempty"`
}

// memory is what a checkpoint says.
type memory struct {
	run     runInfo
	files   map[string]fileState
	intents map[string]intent // by origin
	ready   bool
}

func newMemory() *memory {
	return &memory{files: make(map[string]fileState), intents: make(map[string]intent)}
}

func (m *memory) apply(c *change) {
	switch {
	case c.Run != nil:
		m.run = *c.Run
	case c.File != nil:
		m.files[c.File.Key] = *c.File
	case c.Intent != nil:
		m.intents[c.Intent.Origin] = *c.Intent
	case c.Ready:
		m.ready = true
	case c.Done != nil:
		for _, f := range c.Done.Files {
			m.files[f.Key] = f
		}
		for origin, in := range m.intents {
			if in.Lane == c.Done.Lane {
				delete(m.intents, origin)
			}
		}
	}
	for _, key := range c.Gone {
		delete(m.files, key)
	}
}

// replay applies the lines of b up to the first damaged one, and returns how
// many bytes it understood.
func (m *memory) replay(b []byte) (read int) {
	for {
		n := bytes.IndexByte(b[read:], '\n')
		if n < 0 {
			return read
		}
		line := b[read : read+n]
		var c change
		if len(line) < 10 || line[8] != ' ' {
			return read
		}
		sum, err := strconv.ParseUint(string(line[:8]), 16, 32)
		if err != nil || uint32(sum) != crc32.Checksum(line[9:], castagnoli) || json.Unmarshal(line[9:], &c) != nil {
			return read
		}
		m.apply(&c)
		read += n + 1
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func appendChange(dst []byte, c *change) []byte {
	b, err := json.Marshal(c)
	if err != nil {
		panic("filetail: a change of the checkpoint is not JSON: " + err.Error()) // plain structs
	}
	dst = fmt.Appendf(dst, "%08x ", crc32.Checksum(b, castagnoli))
	return append(append(dst, b...), '\n')
}

// checkpoint is the open checkpoint. It is safe for concurrent use.
type checkpoint struct {
	fs  vfs.FS
	log *slog.Logger
	// first is set when there was no checkpoint at all: only then may a file be
	// begun at its end. lost is set when there was one and none could be read.
	first, lost bool
	epoch       uint64
	id          string
	at          int64 // when the last whole scan before this run began, ns

	mu       sync.Mutex
	mem      *memory
	f        vfs.File
	gen      int
	size     int64
	snapshot int64
	buf      []byte
	closed   bool
}

const checkpointPrefix = "checkpoint."

// minCheckpoint is the size below which no new generation is begun.
const minCheckpoint = 1 << 20

func openCheckpoint(fsys vfs.FS, log *slog.Logger) (*checkpoint, error) {
	c := &checkpoint{fs: fsys, log: log}
	gens, err := generations(fsys)
	if err != nil {
		return nil, err
	}
	c.mem, c.first = newMemory(), len(gens) == 0
	for i := len(gens) - 1; i >= 0 && !c.mem.ready; i-- {
		b, err := vfs.ReadFile(fsys, name(gens[i]))
		m := newMemory()
		if err == nil {
			if n := m.replay(b); n < len(b) {
				log.Warn("checkpoint ends in bytes that are not whole; offsets before them are used", "file", name(gens[i]), "offset", n, "size", len(b))
			}
		}
		if err != nil || !m.ready {
			log.Error("checkpoint is damaged; the one before it is used, and lines since then are read again", "file", name(gens[i]), "err", err)
			continue
		}
		c.mem = m
	}
	if len(gens) > 0 {
		c.gen = gens[len(gens)-1]
		c.lost = !c.mem.ready
	}
	if c.id = c.mem.run.ID; c.id == "" {
		var b [6]byte
		rand.Read(b[:])
		c.id = hex.EncodeToString(b[:])
	}
	c.epoch = max(c.mem.run.Epoch+1, uint64(time.Now().Unix()))
	if c.at = c.mem.run.At; !c.mem.ready {
		c.at = time.Now().UnixNano()
	}
	for _, st := range c.mem.files {
		c.at = max(c.at, st.At)
	}
	c.mem.run = runInfo{ID: c.id, Epoch: c.epoch, At: c.at}
	return c, c.rotate()
}

func name(gen int) string { return checkpointPrefix + strconv.Itoa(gen) }

// generations lists the numbers of the checkpoints, ascending.
func generations(fsys vfs.FS) ([]int, error) {
	entries, err := fsys.ReadDir(".")
	if err != nil {
		return nil, fault.Errorf(fault.Unavailable, "list checkpoints: %w", err)
	}
	var gens []int
	for _, e := range entries {
		if num, ok := strings.CutPrefix(e.Name(), checkpointPrefix); ok {
			if n, err := strconv.Atoi(num); err == nil && n > 0 && name(n) == e.Name() {
				gens = append(gens, n)
			}
		}
	}
	for i := range gens { // by number, not by name
		for j := i; j > 0 && gens[j] < gens[j-1]; j-- {
			gens[j], gens[j-1] = gens[j-1], gens[j]
		}
	}
	return gens, nil
}

// rotate begins the next generation with a snapshot, durably, and removes the
// ones before the last.
func (c *checkpoint) rotate() error {
	next := c.gen + 1
	f, err := c.fs.Create(name(next))
	if errors.Is(err, fs.ErrExist) { // of a start that went no further
		if err = c.fs.Remove(name(next)); err == nil {
			f, err = c.fs.Create(name(next))
		}
	}
	if err != nil {
		return fault.Errorf(fault.Unavailable, "create checkpoint: %w", err)
	}
	b := appendChange(nil, &change{Run: &c.mem.run})
	for _, st := range c.mem.files {
		b = appendChange(b, &change{File: &st})
	}
	for _, in := range c.mem.intents {
		b = appendChange(b, &change{Intent: &in})
	}
	b = appendChange(b, &change{Ready: true})
	if _, err = f.WriteAt(b, 0); err == nil {
		if err = f.Sync(); err == nil {
			err = c.fs.SyncDir(".")
		}
	}
	if err != nil {
		f.Close()
		return fault.Errorf(fault.Unavailable, "write checkpoint: %w", err)
	}
	if c.f != nil {
		c.f.Close()
	}
	old := c.gen
	c.f, c.gen, c.size, c.snapshot = f, next, int64(len(b)), int64(len(b))
	gens, err := generations(c.fs)
	for _, g := range gens {
		if g < old {
			c.fs.Remove(name(g)) // if it stays, it is old news
		}
	}
	return err
}

// write appends changes; with sync they are durable when it returns nil.
func (c *checkpoint) write(sync bool, changes ...*change) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return fault.Errorf(fault.Unavailable, "checkpoint is closed")
	}
	c.buf = c.buf[:0]
	for _, ch := range changes {
		c.buf = appendChange(c.buf, ch)
	}
	if _, err := c.f.WriteAt(c.buf, c.size); err != nil {
		return fault.Errorf(fault.Unavailable, "write checkpoint: %w", err)
	}
	c.size += int64(len(c.buf))
	for _, ch := range changes {
		c.mem.apply(ch)
	}
	if c.size > minCheckpoint && c.size > 8*c.snapshot {
		return c.rotate() // which syncs
	}
	if !sync {
		return nil
	}
	if err := c.f.Sync(); err != nil {
		// What the kernel did with the bytes is not known: begin a new file.
		if err := c.rotate(); err != nil {
			return err
		}
	}
	return nil
}

// remembered returns a copy of what was known when the checkpoint was opened,
// or has become known since.
func (c *checkpoint) remembered() (map[string]fileState, []intent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var in []intent
	for _, i := range c.mem.intents {
		in = append(in, i)
	}
	return maps.Clone(c.mem.files), in
}

func (c *checkpoint) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	err := c.f.Sync()
	return errors.Join(err, c.f.Close())
}
