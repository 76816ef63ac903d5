package store

import (
	"context"
	"sync/atomic"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// A Memory bounds what all questions that share it hold at a time, in bytes: a
// bound for each of them says little when many ask at once. It is safe for
// concurrent use.
type Memory struct {
	limit int64
	used  atomic.Int64
}

// NewMemory returns a Memory of limit bytes.
func NewMemory(limit int64) *Memory { return &Memory{limit: limit} }

// Used returns how many bytes are held.
func (m *Memory) Used() int64 { return m.used.Load() }

// Lease returns what a question takes its memory from. Release must be called at
// its end.
func (m *Memory) Lease() *Lease { return &Lease{of: m} }

// A Lease is what one question holds of a Memory. It is safe for concurrent use. A
// nil Lease bounds nothing.
type Lease struct {
	of   *Memory
	held atomic.Int64
}

// Take takes n bytes, or none and fails with fault.Overload.
func (l *Lease) Take(n int) error {
	if l == nil || n <= 0 {
		return nil
	}
	if l.of.used.Add(int64(n)) > l.of.limit {
		l.of.used.Add(-int64(n))
		return fault.WithHint(fault.Errorf(fault.Overload, "all questions together hold %d MiB of memory, which is their limit", l.of.limit>>20),
			"try again when others have ended, or ask for less; the limit is query.memory_bytes")
	}
	l.held.Add(int64(n))
	return nil
}

// Give gives n bytes back.
func (l *Lease) Give(n int) {
	if l != nil {
		l.held.Add(-int64(n))
		l.of.used.Add(-int64(n))
	}
}

// Release gives everything back.
func (l *Lease) Release() {
	if l != nil {
		l.of.used.Add(-l.held.Swap(0))
	}
}

type leaseKey struct{}

// WithLease returns a context for the requests of one question: what they hold they
// take from l.
func WithLease(ctx context.Context, l *Lease) context.Context {
	return context.WithValue(ctx, leaseKey{}, l)
}

// LeaseOf returns the lease of a context, or nil.
func LeaseOf(ctx context.Context) *Lease {
	l, _ := ctx.Value(leaseKey{}).(*Lease)
	return l
}
