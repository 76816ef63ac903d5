package exec

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/meshtrail/meshtrail/internal/record"
)

const (
	// alone is how many batches of a scan are not worth waking others.
	alone = 4
	// maxHands bounds the goroutines of one reading.
	maxHands = 8
	// waiting batches of each.
	waiting = 2
)

// A crew reads the records of one scan with several hands. Batches are dealt in
// turn and the tallies of the hands put together in turn, so that an answer does
// not depend on who was faster.
type crew struct {
	first  *reading // takes the first batches, and puts all together
	start  func() *reading
	most   int // hands
	alone  int
	dealt  int
	hands  []*hand
	failed atomic.Bool
	done   sync.WaitGroup
}

type hand struct {
	d   *reading
	in  chan batch
	at  int // the batch that err is of
	err error
}

type batch struct {
	number  int
	records []record.Record
}

// errHand ends a scan because a hand failed.
var errHand = errors.New("a hand failed")

func newCrew(first *reading, start func() *reading) *crew {
	c := &crew{first: first, start: start, most: min(runtime.GOMAXPROCS(0), maxHands), alone: alone}
	if n := first.env.hands; n > 0 {
		c.most, c.alone = n, 0
	}
	if first.n.Distinct {
		c.most = 1 // what came before matters
	}
	return c
}

// take deals a batch, which is lent for the call.
func (c *crew) take(records []record.Record) error {
	c.dealt++
	if c.most < 2 || c.dealt <= c.alone {
		return c.first.all(records)
	}
	if c.hands == nil {
		c.hire()
	}
	if c.failed.Load() {
		return errHand
	}
	h := c.hands[c.dealt%len(c.hands)]
	select {
	case h.in <- batch{c.dealt, slices.Clone(records)}:
		return nil
	case <-c.first.ctx.Done():
		return c.first.ctx.Err()
	}
}

// hire starts the hands. Each may hold its part of the memory that is left.
func (c *crew) hire() {
	share := (c.first.env.limit() - c.first.env.held) / int64(c.most)
	for range c.most {
		h := &hand{d: c.start(), in: make(chan batch, waiting)}
		h.d.env.most = max(share, 1)
		c.hands = append(c.hands, h)
		c.done.Go(func() {
			for b := range h.in {
				if c.failed.Load() {
					continue
				}
				if err := h.d.all(b.records); err != nil {
					h.at, h.err = b.number, err
					c.failed.Store(true)
				}
			}
		})
	}
}

// finish waits for the hands and puts their tallies together. The error is that
// of the first batch that had one, or err.
func (c *crew) finish(err error) error {
	for _, h := range c.hands {
		close(h.in)
	}
	c.done.Wait()
	at := 0
	for _, h := range c.hands {
		if h.err != nil && (at == 0 || h.at < at) {
			at, err = h.at, h.err
		}
	}
	for _, h := range c.hands {
		if err == nil {
			err = c.first.ranger.join(h.d.ranger)
		}
	}
	return err
}

// join adds the tallies of another ranger, which is not used any more.
func (r *ranger) join(o *ranger) error {
	for _, from := range o.order {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		into, err := r.tally(from.labels)
		if err != nil {
			return err
		}
		for i, bucket := range from.counts.at {
			n, fresh := into.counts.of(int(bucket))
			*n += from.counts.cells[i]
			if !fresh {
				continue
			}
			if err := r.hold(16); err != nil {
				return err
			}
		}
		for i, bucket := range from.cells.at {
			c, fresh := into.cells.of(int(bucket))
			other := &from.cells.cells[i]
			more := 8*len(other.Values) + sampleSize*len(other.Samples)
			if fresh {
				*c, more = *other, more+cellSize
			} else {
				c.Values = append(c.Values, other.Values...)
				c.Samples = append(c.Samples, other.Samples...)
				c.merge(other)
			}
			if err := r.hold(more); err != nil {
				return err
			}
		}
	}
	return nil
}
