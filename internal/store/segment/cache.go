package segment

import (
	"container/list"
	"sync"
)

// A Cache keeps decoded headers, columns and index chunks, the most recently
// used ones, within a number of bytes. It is safe for concurrent use. What it
// holds is immutable and may be in use after it was evicted.
type Cache struct {
	mu    sync.Mutex
	limit int64
	used  int64
	items map[cacheKey]*list.Element
	order list.List // front: most recently used
}

type cacheKey struct {
	id     ID
	kind   byte
	block  int32
	number int32
}

type cacheItem struct {
	key  cacheKey
	v    any
	size int64
}

// NewCache returns a cache of at most limit bytes; 0 keeps nothing.
func NewCache(limit int64) *Cache {
	return &Cache{limit: limit, items: make(map[cacheKey]*list.Element)}
}

func (c *Cache) get(k cacheKey) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.items[k]
	if !ok {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*cacheItem).v
}

func (c *Cache) put(k cacheKey, v any, size int64) {
	if size > c.limit/4 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.items[k]; ok {
		return
	}
	c.items[k] = c.order.PushFront(&cacheItem{k, v, size})
	for c.used += size; c.used > c.limit; {
		e := c.order.Back()
		it := c.order.Remove(e).(*cacheItem)
		delete(c.items, it.key)
		c.used -= it.size
	}
}

// Used returns the bytes held.
func (c *Cache) Used() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used
}
