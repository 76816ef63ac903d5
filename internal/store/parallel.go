package store

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// lonely is for how long a request works on the caller's goroutine alone: what
// takes less is not worth waking others.
const lonely = 100 * time.Microsecond

// helpers are the goroutines that work beside the caller's.
type helpers struct {
	sync.WaitGroup
	start  time.Time
	called bool
}

// call starts work on other goroutines, once, when there is left for them to do.
func (h *helpers) call(left int, work func()) {
	if h.called || left < 1 || time.Since(h.start) < lonely {
		return
	}
	h.called = true
	for range min(runtime.GOMAXPROCS(0)-1, left) {
		h.Go(work)
	}
}

// each calls work for 0 to n-1, in no order and in parallel, and done for each
// worker at its end. It ends at the first error.
func (r *runner) each(ctx context.Context, n int, work func(w *worker, i int) error, done func(w *worker)) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	one := func(w *worker) bool {
		i := int(next.Add(1)) - 1
		if i >= n || failed.Load() != nil {
			return false
		}
		err := canceled(ctx)
		if err == nil {
			r.p.s.gate.enter()
			err = work(w, i)
			r.p.s.gate.leave()
		}
		if err == nil {
			err = r.exceeded()
		}
		if err != nil {
			failed.CompareAndSwap(nil, &err)
		}
		return err == nil
	}
	h := helpers{start: time.Now()}
	w := workers.Get().(*worker)
	for one(w) {
		h.call(n-int(next.Load()), func() {
			w := workers.Get().(*worker)
			for one(w) {
			}
			done(w)
			workers.Put(w)
		})
	}
	done(w)
	workers.Put(w)
	h.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// A lookahead hands outcomes over in order. At most len(slots) targets are begun
// and not yet taken.
type lookahead[T any] struct {
	mu      sync.Mutex
	changed sync.Cond // on mu
	n       int       // targets
	next    int       // to begin
	taken   int
	halted  bool
	slots   []slot[T] // of target i at i modulo their number
}

type slot[T any] struct {
	ready bool
	v     T
	err   error
}

func newLookahead[T any](n int) *lookahead[T] {
	w := &lookahead[T]{n: n, slots: make([]slot[T], min(n, 2*runtime.GOMAXPROCS(0)+1))}
	w.changed.L = &w.mu
	return w
}

// begin returns the next target to work on, if one may be begun now. Waiting, it
// returns false only when there will be none.
func (w *lookahead[T]) begin(wait bool) (int, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.halted && w.next < w.n {
		if w.next-w.taken < len(w.slots) {
			w.next++
			return w.next - 1, true
		}
		if !wait {
			break
		}
		w.changed.Wait()
	}
	return 0, false
}

func (w *lookahead[T]) put(i int, v T, err error) {
	w.mu.Lock()
	w.slots[i%len(w.slots)] = slot[T]{true, v, err}
	w.mu.Unlock()
	w.changed.Broadcast()
}

// take returns the outcome of the next target when it is ready. Waiting, it
// returns false only when it is halted.
func (w *lookahead[T]) take(wait bool) (s slot[T], ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := &w.slots[w.taken%len(w.slots)]
	for !at.ready {
		if !wait || w.halted {
			return s, false
		}
		w.changed.Wait()
	}
	s, *at = *at, slot[T]{}
	w.taken++
	w.changed.Broadcast()
	return s, true
}

func (w *lookahead[T]) halt() {
	w.mu.Lock()
	w.halted = true
	w.mu.Unlock()
	w.changed.Broadcast()
}

// run calls work for each target, in parallel and a bounded number ahead, and
// then take with its outcome, in the order of the targets and on the caller's
// goroutine. more, if not nil, is asked before each take whether it is needed;
// others help only from the second target on. A target of a segment that can not
// be read is left out and noted.
func run[T any](ctx context.Context, r *runner, work func(w *worker, t *target) (T, error), more func(t *target) bool, take func(t *target, v T) error) error {
	targets := r.p.targets
	if len(targets) == 0 {
		return nil
	}
	q := newLookahead[T](len(targets))
	do := func(w *worker, i int) {
		r.p.s.gate.enter()
		v, err := work(w, &targets[i])
		r.p.s.gate.leave()
		q.put(i, v, err)
	}
	h := helpers{start: time.Now()}
	defer h.Wait()
	defer q.halt()
	defer context.AfterFunc(ctx, q.halt)()
	own := workers.Get().(*worker)
	defer workers.Put(own)
	for i := range targets {
		t := &targets[i]
		if more != nil && !more(t) {
			return nil
		}
		o, ok := q.take(false)
		for !ok {
			if err := canceled(ctx); err != nil {
				return err
			}
			if j, mine := q.begin(false); mine {
				do(own, j)
				o, ok = q.take(false)
			} else {
				o, ok = q.take(true)
			}
		}
		if o.err != nil {
			if err := r.skip(t, o.err); err != nil {
				return err
			}
			continue
		}
		if err := take(t, o.v); err != nil {
			return err
		}
		if err := r.exceeded(); err != nil {
			return err
		}
		h.call(len(targets)-i-1, func() {
			w := workers.Get().(*worker)
			defer workers.Put(w)
			for j, ok := q.begin(true); ok; j, ok = q.begin(true) {
				do(w, j)
			}
		})
	}
	return nil
}
