package store

import (
	"container/list"
	"context"
	"encoding/hex"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshtrail/meshtrail/internal/crypt"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/store/segment"
	"github.com/meshtrail/meshtrail/internal/vfs"
)

// A handle is a segment that exists, open or not. Requests pin the handles of
// their snapshot: a segment that was compacted or destroyed since keeps its file
// until the last of them is done.
type handle struct {
	leaf  ledger.Segment
	level uint8 // how often its records were compacted

	destroyed atomic.Bool // its records are: who still has it does without them

	// Guarded by openFiles.mu.
	open *openSegment
	pins int
	gone func() // set when the segment is retired; called once nobody pins it
}

// openSegment is an open file with its reader.
type openSegment struct {
	h      *handle
	file   vfs.File
	reader *segment.Reader
	users  int // queries that read it; guarded by openFiles.mu
	at     *list.Element
}

func (s *Store) newHandle(leaf ledger.Segment) *handle { return &handle{leaf: leaf} }

// openFiles keeps segments open, the most recently used ones.
type openFiles struct {
	limit int
	load  func(h *handle) (vfs.File, *segment.Reader, error)

	mu    sync.Mutex
	idle  list.List // of *openSegment without users, front: most recently used
	count int
}

// acquire opens a segment, or finds it open. Every acquire needs a release.
func (o *openFiles) acquire(h *handle) (*openSegment, error) {
	o.mu.Lock()
	if x := h.open; x != nil {
		o.take(x)
		o.mu.Unlock()
		return x, nil
	}
	o.mu.Unlock()
	file, r, err := o.load(h)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if x := h.open; x != nil { // somebody was faster
		file.Close()
		o.take(x)
		return x, nil
	}
	h.open = &openSegment{h: h, file: file, reader: r, users: 1}
	o.count++
	o.shrink()
	return h.open, nil
}

func (o *openFiles) take(x *openSegment) {
	x.users++
	if x.at != nil {
		o.idle.Remove(x.at)
		x.at = nil
	}
}

func (o *openFiles) release(x *openSegment) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if x.users--; x.users == 0 {
		x.at = o.idle.PushFront(x)
		o.shrink()
	}
}

// pin keeps the files of segments from being removed until unpin.
func (o *openFiles) pin(handles []*handle) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, h := range handles {
		h.pins++
	}
}

func (o *openFiles) unpin(handles []*handle) {
	var gone []func()
	o.mu.Lock()
	for _, h := range handles {
		if h.pins--; h.pins == 0 && h.gone != nil {
			gone = append(gone, o.part(h))
		}
	}
	o.mu.Unlock()
	for _, f := range gone {
		f()
	}
}

// retire calls gone when nobody pins a segment any more, maybe at once. No
// snapshot MUST have the handle from now on.
func (o *openFiles) retire(h *handle, gone func()) {
	o.mu.Lock()
	h.gone = gone
	now := h.pins == 0
	if now {
		o.part(h)
	}
	o.mu.Unlock()
	if now {
		gone()
	}
}

// part closes the file of a retired segment and returns what is to be called.
func (o *openFiles) part(h *handle) (gone func()) {
	if x := h.open; x != nil && x.at != nil {
		o.idle.Remove(x.at)
		x.at, h.open = nil, nil
		x.file.Close()
		o.count--
	}
	gone, h.gone = h.gone, nil
	return gone
}

// shrink closes the least recently used segments beyond the limit.
func (o *openFiles) shrink() {
	for o.count > o.limit && o.idle.Len() > 0 {
		x := o.idle.Remove(o.idle.Back()).(*openSegment)
		x.at, x.h.open = nil, nil
		x.file.Close()
		o.count--
	}
}

func (o *openFiles) closeAll() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.limit = 0
	o.shrink()
}

// load opens a segment for queries.
func (s *Store) load(h *handle) (vfs.File, *segment.Reader, error) { return s.loadInto(h, s.cache) }

// loadInto opens a segment and holds it against its leaf.
func (s *Store) loadInto(h *handle, cache *segment.Cache) (vfs.File, *segment.Reader, error) {
	f, err := s.o.FS.Open(h.leaf.Path)
	if err != nil {
		return nil, nil, err
	}
	r, err := segment.Open(f, h.leaf.Size, s.keys.open, cache)
	if err == nil {
		root := r.Root()
		switch {
		case hex.EncodeToString(root[:]) != h.leaf.Root:
			err = fault.Errorf(fault.Tampered, "open segment %s: its root is not the one in the ledger", h.leaf.ID)
		case r.ID.String() != h.leaf.ID || r.Tenant != h.leaf.Tenant || r.Class != h.leaf.Class || r.Day != h.leaf.Day || r.Records != h.leaf.Records:
			err = fault.Errorf(fault.Tampered, "open segment %s: its directory does not agree with the ledger", h.leaf.ID)
		}
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, r, nil
}

// keyCache opens each data key once and knows which have a leaf.
type keyCache struct {
	keys Keys

	mu   sync.Mutex
	byID map[string]*crypt.Key
	leaf map[string]bool
}

func (k *keyCache) open(id string) (*crypt.Key, error) {
	k.mu.Lock()
	key, ok := k.byID[id]
	k.mu.Unlock()
	if ok {
		return key, nil
	}
	key, err := k.keys.OpenDataKey(id)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.byID[id] = key
	return key, nil
}

// first reports whether the ledger does not yet say that the key exists.
func (k *keyCache) first(id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.leaf[id]
}

func (k *keyCache) noted(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.leaf[id] = true
}

// damage notes that a file can not be trusted or read: once in the log, the
// counters and the ledger, and until the end in Status.
func (s *Store) damage(file, moved string, offset int64, err error) {
	s.damageMu.Lock()
	_, known := s.damaged[file]
	s.damaged[file] = err.Error()
	s.damageMu.Unlock()
	s.changedFile(file)
	if known {
		return
	}
	s.counts.damage(fault.KindOf(err))
	s.log.Error("damaged data", "file", file, "offset", offset, "moved", moved, "err", err, "kind", fault.KindOf(err).String())
	leaf := ledger.Damage{At: s.o.Now().UnixNano(), File: file, Moved: moved, Offset: offset, Detail: limitText(err.Error())}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s.ledgerMu.Lock()
	defer s.ledgerMu.Unlock()
	if err := s.commit(ctx, []any{leaf}); err != nil {
		s.log.Error("note damage in the ledger", "file", file, "err", err)
	}
}

func limitText(s string) string {
	if len(s) > 1000 {
		return s[:1000]
	}
	return s
}
