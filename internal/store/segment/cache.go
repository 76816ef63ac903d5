package segment

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
)

// A Cache keeps decoded headers, columns, digests and index chunks within a
// number of bytes. It is safe for concurrent use. What it holds is immutable and
// may be in use after it was evicted.
//
// It is a CLOCK in shards: an item that was asked for again since the hand last
// passed stays, so that one scan over everything does not push out what many
// requests need. Who asks takes the lock of one shard, for as long as a look into
// a map takes.
type Cache struct {
	limit  int64
	used   atomic.Int64
	turn   atomic.Uint32 // the shard that gives up an item next
	shards [cacheShards]cacheShard
}

const (
	cacheShards = 16
	itemSize    = 160 // about what an item takes beside what it holds
	maxUses     = 3   // rounds of the hand that an item in use stays for
)

type cacheShard struct {
	mu    sync.Mutex
	items map[cacheKey]*cacheItem
	ring  []*cacheItem
	hand  int
}

type cacheKey struct {
	id     ID
	kind   byte
	block  int32
	number int32
}

func (k *cacheKey) shard() int {
	h := binary.LittleEndian.Uint64(k.id[:]) ^ uint64(k.block)<<32 ^ uint64(uint32(k.number))<<8 ^ uint64(k.kind)
	return int(h * 0x9e3779b97f4a7c15 >> 60)
}

type cacheItem struct {
	key  cacheKey
	v    any
	size int64
	at   int   // in the ring
	uses uint8 // since the hand passed, at most maxUses
}

// NewCache returns a cache of at most limit bytes; 0 keeps nothing.
func NewCache(limit int64) *Cache {
	c := &Cache{limit: limit}
	for i := range c.shards {
		c.shards[i].items = make(map[cacheKey]*cacheItem)
	}
	return c
}

func (c *Cache) get(k cacheKey) any {
	s := &c.shards[k.shard()]
	s.mu.Lock()
	defer s.mu.Unlock()
	it, ok := s.items[k]
	if !ok {
		return nil
	}
	it.uses = min(it.uses+1, maxUses)
	return it.v
}

func (c *Cache) put(k cacheKey, v any, size int64) {
	size += itemSize
	if size > c.limit/4 {
		return
	}
	s := &c.shards[k.shard()]
	s.mu.Lock()
	if _, ok := s.items[k]; ok {
		s.mu.Unlock()
		return
	}
	it := &cacheItem{key: k, v: v, size: size, at: len(s.ring)}
	s.items[k] = it
	s.ring = append(s.ring, it)
	s.mu.Unlock()
	c.add(size)
}

// grow notes that v, if it is kept under k, takes more bytes now.
func (c *Cache) grow(k cacheKey, v any, bytes int64) {
	s := &c.shards[k.shard()]
	s.mu.Lock()
	it, ok := s.items[k]
	if ok = ok && it.v == v; ok {
		it.size += bytes
	}
	s.mu.Unlock()
	if ok {
		c.add(bytes)
	}
}

// add counts bytes, and gives up items until the limit is kept.
func (c *Cache) add(bytes int64) {
	for used := c.used.Add(bytes); used > c.limit; used = c.used.Load() {
		c.shards[c.turn.Add(1)%cacheShards].evict(c)
	}
}

// evict gives up one item, unless all were used since the hand came round.
func (s *cacheShard) evict(c *Cache) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range len(s.ring) {
		if s.hand >= len(s.ring) {
			s.hand = 0
		}
		it := s.ring[s.hand]
		if it.uses == 0 {
			s.remove(c, it)
			return
		}
		it.uses--
		s.hand++
	}
}

func (s *cacheShard) remove(c *Cache, it *cacheItem) {
	last := len(s.ring) - 1
	s.ring[it.at] = s.ring[last]
	s.ring[it.at].at = it.at
	s.ring[last] = nil
	s.ring = s.ring[:last]
	delete(s.items, it.key)
	c.used.Add(-it.size)
}

// Drop forgets everything of a segment whose records are destroyed.
func (c *Cache) Drop(id ID) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for k, it := range s.items {
			if k.id == id {
				s.remove(c, it)
			}
		}
		s.mu.Unlock()
	}
}

// Used returns the bytes held.
func (c *Cache) Used() int64 { return c.used.Load() }
