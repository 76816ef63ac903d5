package identity

import (
	"sync"
	"time"
)

// The limits of a Limiter.
const (
	Burst      = 10              // failures at once
	Refill     = 6 * time.Second // one more failure each
	maxRemotes = 4096            // addresses remembered
)

// A Limiter allows each remote address Burst failures and one more each Refill.
// It remembers at most maxRemotes addresses; when the table is full, addresses
// whose budget is whole again are forgotten, and if there are none the newcomer
// is refused. It is safe for concurrent use.
type Limiter struct {
	now func() time.Time

	mu    sync.Mutex
	spent map[string]time.Time // when the address's budget will be whole again
	swept time.Time            // when the table was last swept
}

// NewLimiter returns an empty Limiter.
func NewLimiter(now func() time.Time) *Limiter {
	return &Limiter{now: now, spent: make(map[string]time.Time)}
}

// Allow takes one failure from the remote's budget and reports whether there
// was one left.
func (l *Limiter) Allow(remote string) bool {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	whole, ok := l.spent[remote]
	if !ok && len(l.spent) >= maxRemotes && !l.sweep(now) {
		return false
	}
	if whole.Before(now) {
		whole = now
	}
	if whole = whole.Add(Refill); whole.Sub(now) > Burst*Refill {
		return false
	}
	l.spent[remote] = whole
	return true
}

// sweep forgets addresses whose budget is whole, at most once a Refill, and
// reports whether there is room.
func (l *Limiter) sweep(now time.Time) bool {
	if now.Sub(l.swept) < Refill {
		return false
	}
	l.swept = now
	for r, whole := range l.spent {
		if !whole.After(now) {
			delete(l.spent, r)
		}
	}
	return len(l.spent) < maxRemotes
}
