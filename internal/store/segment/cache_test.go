package segment

import (
	"sync"
	"testing"
)

func key(n int) cacheKey { return cacheKey{ID{byte(n), byte(n >> 8)}, chunkBody, int32(n), 1} }

// TestCacheKeepsWhatIsUsed asks for a few items again and again while a scan goes
// over many more than fit.
func TestCacheKeepsWhatIsUsed(t *testing.T) {
	c := NewCache(100 * (1000 + itemSize))
	for n := range 20 {
		c.put(key(n), n, 1000)
	}
	for n := range 5000 {
		c.put(key(100+n), n, 1000)
		if used := c.Used(); used > c.limit {
			t.Fatalf("%d bytes are held, limit %d", used, c.limit)
		}
		for k := range 20 {
			c.get(key(k))
		}
	}
	kept := 0
	for n := range 20 {
		if c.get(key(n)) == n {
			kept++
		}
	}
	if kept < 18 {
		t.Errorf("of 20 items in use %d were kept", kept)
	}
}

func TestCacheRefusesWhatIsTooLarge(t *testing.T) {
	c := NewCache(10_000)
	c.put(key(1), 1, 2501)
	if c.get(key(1)) != nil || c.Used() != 0 {
		t.Errorf("an item of a quarter is kept: %d bytes", c.Used())
	}
	off := NewCache(0)
	off.put(key(1), 1, 0)
	if off.get(key(1)) != nil {
		t.Error("a cache of no bytes keeps something")
	}
}

func TestCacheDrops(t *testing.T) {
	c := NewCache(1 << 20)
	id := ID{7, 7, 7}
	for n := range 40 {
		c.put(cacheKey{id, chunkBody, int32(n), 0}, n, 100)
		c.put(key(n), n, 100)
	}
	before := c.Used()
	c.Drop(id)
	for n := range 40 {
		if c.get(cacheKey{id, chunkBody, int32(n), 0}) != nil {
			t.Fatalf("item %d of a dropped segment is there", n)
		}
		if c.get(key(n)) != n {
			t.Fatalf("item %d of another segment is gone", n)
		}
	}
	if c.Used() != before/2 {
		t.Errorf("%d bytes are held, %d before", c.Used(), before)
	}
}

func TestCacheIsSafeForMany(t *testing.T) {
	c := NewCache(50 * (100 + itemSize))
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for n := range 3000 {
				k := (n*7 + w*13) % 200
				if v := c.get(key(k)); v != nil && v != k {
					t.Errorf("item %d is %v", k, v)
				}
				c.put(key(k), k, 100)
				if n%500 == 0 {
					c.Drop(key(k).id)
				}
			}
		})
	}
	all.Wait()
	sum := int64(0)
	for i := range c.shards {
		for at, it := range c.shards[i].ring {
			if it.at != at || c.shards[i].items[it.key] != it {
				t.Fatal("ring and map disagree")
			}
			sum += it.size
		}
	}
	if sum != c.Used() || sum > c.limit {
		t.Errorf("%d bytes are in the rings, %d counted, limit %d", sum, c.Used(), c.limit)
	}
}

func BenchmarkCacheGet(b *testing.B) {
	c := NewCache(1 << 20)
	for n := range 100 {
		c.put(key(n), n, 1000)
	}
	b.RunParallel(func(pb *testing.PB) {
		for n := 0; pb.Next(); n++ {
			c.get(key(n % 100))
		}
	})
}

func TestCacheGetDoesNotAllocate(t *testing.T) {
	c := NewCache(1 << 20)
	c.put(key(1), c, 1000)
	if n := testing.AllocsPerRun(100, func() { c.get(key(1)) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
