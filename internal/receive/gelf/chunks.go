package gelf

import (
	"net/netip"
	"time"
)

// A chunk of a message that is too large for one datagram:
//
//	| 1e 0f | message id 8B | number u8, from 0 | count u8, at most 128 | data |
const (
	chunkHeader = 12
	maxChunks   = 128
)

// Bounds of the messages whose chunks have not all come yet, of one port. All
// chunks must come within chunkTime of the first (GELF's own limit).
const (
	chunkTime    = 5 * time.Second
	maxPending   = 1024
	pendingBytes = 16 << 20
)

// isChunk reports whether b begins as a chunk does.
func isChunk(b []byte) bool { return len(b) >= 2 && b[0] == 0x1e && b[1] == 0x0f }

// pendingKey tells messages apart: senders choose their ids for themselves.
type pendingKey struct {
	from netip.Addr
	id   [8]byte
}

type pending struct {
	key   pendingKey
	since time.Time
	parts [][]byte // nil: has not come
	left  int      // parts that have not come
	size  int
}

// chunks puts messages together. It copies what it keeps.
type chunks struct {
	byKey map[pendingKey]*pending
	order []*pending // by since; those that are done or gone are left out lazily
	size  int        // bytes held

	lost uint64 // messages given up since take
}

// add takes a chunk and returns the message that it completes, or nil. ok is
// false for what is no chunk.
func (c *chunks) add(from netip.Addr, b []byte, now time.Time) (msg []byte, ok bool) {
	c.expire(now)
	if len(b) < chunkHeader {
		return nil, false
	}
	number, count := int(b[10]), int(b[11])
	if count == 0 || count > maxChunks || number >= count {
		return nil, false
	}
	key := pendingKey{from: from, id: [8]byte(b[2:10])}
	p := c.byKey[key]
	if p != nil && len(p.parts) != count {
		return nil, false
	}
	if p == nil {
		for len(c.byKey) >= maxPending {
			c.giveUp()
		}
		p = &pending{key: key, since: now, parts: make([][]byte, count), left: count}
		if c.byKey == nil {
			c.byKey = map[pendingKey]*pending{}
		}
		c.byKey[key] = p
		c.order = append(c.order, p)
	}
	if p.parts[number] != nil {
		return nil, true // sent twice
	}
	data := b[chunkHeader:]
	part := make([]byte, len(data))
	copy(part, data)
	p.parts[number] = part
	p.left--
	p.size += len(data)
	c.size += len(data)
	if p.left > 0 {
		for c.size > pendingBytes {
			c.giveUp()
		}
		return nil, true
	}
	msg = make([]byte, 0, p.size)
	for _, part := range p.parts {
		msg = append(msg, part...)
	}
	c.forget(p)
	return msg, true
}

func (c *chunks) forget(p *pending) {
	delete(c.byKey, p.key)
	c.size -= p.size
	p.parts = nil
	for len(c.order) > 0 && c.order[0].parts == nil {
		c.order[0] = nil
		c.order = c.order[1:]
	}
	if len(c.order) > 4*maxPending { // many are done behind one that is not
		kept := c.order[:0]
		for _, o := range c.order {
			if o.parts != nil {
				kept = append(kept, o)
			}
		}
		clear(c.order[len(kept):])
		c.order = kept
	}
}

// giveUp drops the oldest message.
func (c *chunks) giveUp() {
	c.lost++
	c.forget(c.order[0])
}

// expire drops what has waited too long.
func (c *chunks) expire(now time.Time) {
	for len(c.order) > 0 && now.Sub(c.order[0].since) > chunkTime {
		c.giveUp()
	}
}

// take returns how many messages were given up since it was last called.
func (c *chunks) take() uint64 {
	n := c.lost
	c.lost = 0
	return n
}
