package listen

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
)

// Sizes of a connection's buffer.
const (
	firstBuffer = 2 << 10        // for connections that say little
	busyBuffer  = 64 << 10       // for those that say more
	wideBuffer  = 4 * busyBuffer // while there is memory in plenty; beyond it only grows for a message that needs it
	growth      = 8              // up to busyBuffer: who stops within a message holds no more than so many times what came
	settle      = time.Second
)

// A Conn is one connection of a sender who may send. One goroutine reads it;
// writing is safe beside that.
type Conn struct {
	net.Conn // closed by the listener
	From     receive.Sender
	Remote   netip.AddrPort
	// Wire counts the bytes read so far, for the Inlet's counters.
	Wire int64

	bodies  *receive.Bodies
	bucket  *bucket
	bytes   prometheus.Counter // may be nil
	idle    time.Duration
	message time.Duration
	max     int

	buf   []byte
	r, w  int   // unread is buf[r:w]
	held  int64 // accounted in bodies: what buf has beyond firstBuffer
	armed bool  // the deadline of this message is set
	full  bool  // the last read filled the buffer: more is waiting

	mu       sync.Mutex
	waiting  bool      // within Await's read
	stopping time.Time // reads end then; zero: not stopping
	quit     chan struct{}

	proof *proof      // nil: without a certificate; the listener's recheck has it
	why   error       // it was withdrawn; guarded by mu
	cut   *time.Timer // ends it then; guarded by mu
}

// NewConn returns a Conn over nc as a listener of cfg would, for the tests of
// receivers. The caller closes nc, and calls Release at the end.
func NewConn(nc net.Conn, from receive.Sender, cfg Config, s receive.Shared) *Conn {
	cfg = cfg.WithDefaults()
	if s.Bodies == nil {
		s.Bodies = receive.NewBodies(receive.Limits{})
	}
	return &Conn{
		Conn: nc, From: from, bodies: s.Bodies, bucket: newBucket(cfg.BytesPerSecond),
		idle: cfg.Idle, message: cfg.Message, max: int(s.Bodies.Limits().Body),
	}
}

// Release gives the buffer's memory back. The listener does it when a Stream ends.
func (c *Conn) Release() {
	c.bodies.Return(c.held)
	c.buf, c.r, c.w, c.held = nil, 0, 0, 0
}

// Await waits for the first byte of the next message, as long as a connection
// may be idle; from then on the message must arrive in its time. At the end of
// the connection between two messages, and when the server stops, it returns
// io.EOF.
func (c *Conn) Await() error {
	c.armed = false
	if c.r < c.w {
		return nil
	}
	c.r, c.w = 0, 0
	c.widen()
	if len(c.buf) > firstBuffer {
		// A sender that sends on keeps its large buffer; one that stops does not.
		if err := c.wait(settle); !errors.Is(err, os.ErrDeadlineExceeded) || c.isStopping() {
			return c.ended(err, true)
		}
		c.bodies.Return(c.held)
		c.buf, c.held, c.full = nil, 0, false
	}
	first := c.Wire == 0
	if err := c.ended(c.wait(c.idle), true); err != nil || !first {
		return err
	}
	return foreign(c.buf[c.r:c.w])
}

// foreign refuses a connection that begins with a handshake of TLS (RFC 8446
// section 5.1), which no protocol here begins with: some would take it for text.
func foreign(b []byte) error {
	const handshake, major = 22, 3
	if len(b) < 2 || b[0] != handshake || b[1] != major {
		return nil
	}
	return refuse("tls", fault.WithHint(fault.Errorf(fault.Invalid, "the sender speaks TLS, and this port does not"),
		"give the listener tls_cert and tls_key, or turn TLS off at the sender"))
}

func (c *Conn) isStopping() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.stopping.IsZero()
}

// wait reads for at most d.
func (c *Conn) wait(d time.Duration) error {
	c.mu.Lock()
	if !c.stopping.IsZero() {
		c.mu.Unlock()
		return io.EOF
	}
	c.waiting = true
	err := c.Conn.SetReadDeadline(now().Add(d))
	c.mu.Unlock()
	if err == nil {
		err = c.read()
	}
	c.mu.Lock()
	c.waiting = false
	c.mu.Unlock()
	return err
}

// stop makes Await end now, and a message that is on its way by until.
func (c *Conn) stop(until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopping.IsZero() && c.quit != nil {
		close(c.quit)
	}
	c.stopping = until
	if c.waiting {
		until = time.Unix(1, 0)
	}
	c.Conn.SetReadDeadline(until)
}

// fill reads more of the message that is on its way.
func (c *Conn) fill() error {
	if !c.armed {
		c.mu.Lock()
		until := now().Add(c.message)
		if !c.stopping.IsZero() && c.stopping.Before(until) {
			until = c.stopping
		}
		err := c.Conn.SetReadDeadline(until)
		c.mu.Unlock()
		if err != nil {
			return c.ended(err, false)
		}
		c.armed = true
	}
	if err := c.room(); err != nil {
		return err
	}
	return c.ended(c.read(), false)
}

// room makes room behind what is unread.
func (c *Conn) room() error {
	if c.w < len(c.buf) {
		return nil
	}
	c.widen()
	if c.w < len(c.buf) {
		return nil
	}
	if c.r > 0 && c.r >= len(c.buf)/2 {
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
		return nil
	}
	if c.w-c.r >= c.max {
		return refuse("too_large", fault.Errorf(fault.TooLarge, "message is larger than %d bytes", c.max))
	}
	want := max(2*len(c.buf), firstBuffer)
	if len(c.buf) >= firstBuffer && want < busyBuffer {
		want = min(growth*len(c.buf), busyBuffer)
	}
	if most := max(c.max, firstBuffer); want > most+firstBuffer {
		want = most + firstBuffer
	}
	return c.grow(want)
}

func (c *Conn) grow(want int) error {
	if want > firstBuffer {
		more := int64(want) - firstBuffer - c.held
		if err := c.bodies.Wait(more, memoryWait); err != nil {
			return refuse("memory", err)
		}
		c.held += more
	}
	b := make([]byte, want)
	c.w = copy(b, c.buf[c.r:c.w])
	c.buf, c.r = b, 0
	return nil
}

// widen gives a sender that sends more than its buffer holds a larger one, if
// there is memory to spare, and the largest as long as most of it is: what one
// read brings becomes one batch, and a batch has its own costs.
func (c *Conn) widen() {
	want := min(growth*max(len(c.buf), firstBuffer), busyBuffer)
	if len(c.buf) >= busyBuffer && c.max >= wideBuffer { // else it would hold a message too large
		want = wideBuffer
	}
	if !c.full || len(c.buf) >= want || want == wideBuffer && c.bodies.Held()+wideBuffer > c.bodies.Limits().Memory/4 {
		return
	}
	more := int64(want) - firstBuffer - c.held
	if c.bodies.Wait(more, 0) != nil {
		return
	}
	c.held += more
	b := make([]byte, want)
	c.w = copy(b, c.buf[c.r:c.w])
	c.buf, c.r = b, 0
}

// read reads once.
func (c *Conn) read() error {
	if len(c.buf) == 0 {
		c.buf = make([]byte, firstBuffer)
	}
	n, err := c.Conn.Read(c.buf[c.w:])
	if n > 0 {
		c.w += n
		c.full = c.w == len(c.buf)
		c.Wire += int64(n)
		if c.bytes != nil {
			c.bytes.Add(float64(n))
		}
		if d := c.bucket.take(n); d > 0 {
			c.pause(d) // not the sender's time: the message's begins anew
			c.armed = false
		}
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// ended says why reading failed. Between two messages an end is io.EOF.
func (c *Conn) ended(err error, between bool) error {
	switch {
	case err == nil:
		return nil
	case c.isStopping():
		return io.EOF
	case errors.Is(err, os.ErrDeadlineExceeded) && between:
		return refuse("idle", fault.Errorf(fault.Canceled, "nothing came in %v", c.idle))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refuse("slow", fault.Errorf(fault.Canceled, "message did not arrive in %v", c.message))
	case errors.Is(err, io.EOF) && between:
		return io.EOF
	case errors.Is(err, io.EOF):
		return refuse("cut_off", fault.Errorf(fault.Canceled, "connection ended within a message: %w", io.ErrUnexpectedEOF))
	}
	return refuse("broken", fault.Errorf(fault.Canceled, "read: %w", err))
}

// pause holds a sender back that sends too fast, until the server stops.
func (c *Conn) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.quit:
	}
}

// Peek returns the next n bytes without taking them, waiting for them as long as
// the message may take. n above the largest message is fault.TooLarge.
func (c *Conn) Peek(n int) ([]byte, error) {
	if n > c.max {
		return nil, refuse("too_large", fault.Errorf(fault.TooLarge, "message of %d bytes is larger than %d", n, c.max))
	}
	for c.w-c.r < n {
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
	return c.buf[c.r : c.r+n : c.r+n], nil
}

// More reads until there is at least one byte more than Buffered has.
func (c *Conn) More() error { return c.fill() }

// Buffered returns what was read and not taken.
func (c *Conn) Buffered() []byte { return c.buf[c.r:c.w:c.w] }

// Discard takes n bytes, which Peek or Buffered has shown. They stay readable
// until the next call that reads.
func (c *Conn) Discard(n int) { c.r += min(n, c.w-c.r) }

// Read implements io.Reader within the message that Await began.
func (c *Conn) Read(p []byte) (int, error) {
	if c.r == c.w && len(p) > 0 {
		c.r, c.w = 0, 0
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.buf[c.r:c.w])
	c.r += n
	return n, nil
}

// Write writes all of p. A sender that does not read its answers within the time
// of a message loses the connection.
func (c *Conn) Write(p []byte) (int, error) {
	c.Conn.SetWriteDeadline(now().Add(c.message))
	n, err := c.Conn.Write(p)
	if err != nil {
		err = refuse("broken", fault.Errorf(fault.Canceled, "write: %w", err))
	}
	return n, err
}
