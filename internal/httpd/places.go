package httpd

import (
	"net"
	"sync"
	"sync/atomic"
)

// Places are how many connections may be open on some ports together. Each needs
// a descriptor, and so does every file: without a bound, who opens connections
// takes the store its files, and every other port its senders. nil bounds nothing.
// It is safe for concurrent use.
type Places struct {
	most int64
	n    atomic.Int64
	all  *Places // of which these are some; nil if they are by themselves
}

// NewPlaces returns so many places.
func NewPlaces(most int) *Places { return &Places{most: int64(most)} }

// Some returns at most so many of the places, which are taken of p's. What some
// cannot take is left to others.
func (p *Places) Some(most int) *Places { return &Places{most: int64(most), all: p} }

// Most returns how many places there are; 0 is no bound.
func (p *Places) Most() int {
	if p == nil {
		return 0
	}
	return int(p.most)
}

// Take takes a place, and reports whether there was one. Whoever got one gives it
// back with Leave.
func (p *Places) Take() bool {
	if p == nil {
		return true
	}
	if p.n.Add(1) > p.most || !p.all.Take() {
		p.n.Add(-1)
		return false
	}
	return true
}

// Leave gives a place back.
func (p *Places) Leave() {
	if p != nil {
		p.n.Add(-1)
		p.all.Leave()
	}
}

// Refuse closes a connection without a farewell, so that it costs nothing more.
func Refuse(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.Close()
}

// placed is a listener that closes the connections for which there is no place.
type placed struct {
	net.Listener
	places  *Places
	refused func()
}

// Accept implements net.Listener.
func (l *placed) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.places.Take() {
			return &placedConn{Conn: c, leave: sync.OnceFunc(l.places.Leave)}, nil
		}
		l.refused()
		Refuse(c)
	}
}

type placedConn struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (c *placedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
