package tail

import (
	"runtime"
	"sync"

	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

// A feed is the commits that wait to be matched, in commit order.
type feed struct {
	mu      sync.Mutex
	last    uint64                  // Ord of the last record published, or Options.Last
	watched map[record.TenantID]int // subscriptions
	waiting []waiting
	bytes   int64 // of waiting
	working bool  // someone matches
	idle    chan struct{}
	taken   uint64 // commits that were looked at by Publish: work of the commit path
}

// waiting is a commit, or, without bytes, only how far one or several went that
// there was no memory for.
type waiting struct {
	store.Kept
	skipped bool
}

// end returns the Ord of the last record that was published.
func (f *feed) end() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

// watch counts subscriptions of a tenant, and returns the Ord up to which nothing
// was taken over on behalf of a new one.
func (f *feed) watch(tenant record.TenantID, by int) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watched[tenant] += by; f.watched[tenant] <= 0 {
		delete(f.watched, tenant)
	}
	return f.last
}

// Publish takes a commit over for those who watch. It is called in commit order,
// after the batch is durable and visible to scans, and waits for nobody: its work
// depends neither on the records nor on the watchers.
func (h *Hub) Publish(c *store.Commit) {
	n := c.Batch.Len()
	if n == 0 {
		return
	}
	f := &h.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = c.Batch.Ord + uint64(n) - 1
	f.taken++
	if f.watched[c.Batch.Tenant] == 0 {
		return
	}
	k := c.Keep()
	switch last := len(f.waiting) - 1; {
	case f.bytes+k.Size() <= h.opt.Backlog || f.bytes == 0:
		f.waiting = append(f.waiting, waiting{Kept: k})
		f.bytes += k.Size()
	case last >= 0 && f.waiting[last].skipped && f.waiting[last].Tenant == k.Tenant:
		f.waiting[last].Len += k.Len
		f.waiting[last].Ord = k.Ord + uint64(k.Len) - 1
		k.Release()
	default:
		f.waiting = append(f.waiting, waiting{Kept: store.Kept{Tenant: k.Tenant, Ord: f.last, Len: k.Len}, skipped: true})
		k.Release()
	}
	if !f.working {
		f.working = true
		go h.work()
	}
}

// next takes the first commit that waits. Without one it ends the work.
func (f *feed) next() (w waiting, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.waiting) == 0 {
		f.waiting, f.working = nil, false
		if f.idle != nil {
			close(f.idle)
			f.idle = nil
		}
		return w, false
	}
	w = f.waiting[0]
	f.waiting[0] = waiting{}
	f.waiting = f.waiting[1:]
	f.bytes -= w.Size()
	return w, true
}

// work matches commits until none waits.
func (h *Hub) work() {
	var b record.Batch // its memory is used again
	for {
		w, ok := h.feed.next()
		if !ok {
			return
		}
		if w.skipped || w.Decode(&b) != nil { // what cannot be read is not passed over in silence
			h.skip(&w)
			continue
		}
		w.Release()
		h.match(&b)
	}
}

// match holds a commit against every channel of its tenant, and offers what it
// found to their watchers.
func (h *Hub) match(b *record.Batch) {
	last := b.Ord + uint64(b.Len()) - 1
	var finds []*find
	h.mu.Lock()
	if of := h.subs[b.Tenant]; of != nil {
		for _, list := range of.channels {
			for _, c := range list {
				if room, any := c.room(last); any {
					finds = append(finds, &find{channel: c, room: room})
				}
			}
		}
	}
	h.mu.Unlock()
	if len(finds) == 0 {
		return
	}
	d := &detached{b: b}
	inParallel(len(finds), func(i int) { finds[i].find(d) })
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range finds {
		h.tested += uint64(b.Len())
		for s := range f.channel.subs {
			s.offer(f, last)
		}
	}
}

// skip tells every watcher of a tenant of commits that were not looked at.
func (h *Hub) skip(w *waiting) {
	last := w.Ord
	if !w.skipped {
		last += uint64(w.Len) - 1
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	of := h.subs[w.Tenant]
	if of == nil {
		return
	}
	for _, list := range of.channels {
		for _, c := range list {
			for s := range c.subs {
				s.skip(uint64(w.Len), last)
			}
		}
	}
}

// inParallel calls one for 0 to n-1, on a quarter of the processors at most, and on
// one at least.
func inParallel(n int, one func(i int)) {
	hands := min(n, max(1, runtime.GOMAXPROCS(0)/4))
	var done sync.WaitGroup
	for hand := range hands {
		work := func() {
			for i := hand; i < n; i += hands {
				one(i)
			}
		}
		if hand == hands-1 {
			work()
		} else {
			done.Go(work)
		}
	}
	done.Wait()
}
