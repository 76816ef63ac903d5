package store

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A gate bounds how many blocks all requests together evaluate at once, so that
// heavy queries leave the processors to each other in turn, and half of them to
// those who append.
type gate struct {
	limit    int
	appended atomic.Int64 // when records came last, ns

	mu      sync.Mutex
	inside  int
	waiting []chan struct{} // first come, first served
}

// ingesting is for how long after records came the gate expects more.
const ingesting = 50 * time.Millisecond

func newGate() *gate { return &gate{limit: runtime.GOMAXPROCS(0)} }

// came notes that records come in.
func (g *gate) came() { g.appended.Store(time.Now().UnixNano()) }

// room returns how many may be inside now.
func (g *gate) room() int {
	if time.Now().UnixNano()-g.appended.Load() < int64(ingesting) {
		return max(1, g.limit/2)
	}
	return g.limit
}

// enter waits for a place. Every enter needs a leave.
func (g *gate) enter() {
	room := g.room()
	g.mu.Lock()
	if g.inside < room && len(g.waiting) == 0 {
		g.inside++
		g.mu.Unlock()
		return
	}
	turn := make(chan struct{})
	g.waiting = append(g.waiting, turn)
	g.mu.Unlock()
	<-turn
}

// leave gives the place to who waits longest.
func (g *gate) leave() {
	room := g.room()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	for len(g.waiting) > 0 && g.inside < room {
		close(g.waiting[0])
		g.waiting[0] = nil
		g.waiting = g.waiting[1:]
		g.inside++
	}
}
