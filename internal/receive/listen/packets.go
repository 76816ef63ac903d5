package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive/sources"
)

// Bounds of the datagrams that wait for the receiver.
const (
	queuePackets = 16 << 10
	queueBytes   = 8 << 20
	maxDatagram  = 64 << 10
	kernelBuffer = 4 << 20 // asked of the kernel, which may give less
)

// A queue holds datagrams between the reader of the port and the receiver. Two
// slabs of memory are used in turn: one is filled while the other is worked on,
// so a datagram costs a copy and no allocation.
type queue struct {
	mu     sync.Mutex
	filled chan struct{} // holds a token while there may be something to take
	in     slab
	out    slab
}

// A slab is datagrams in one piece of memory.
type slab struct {
	data    []byte
	ends    []int
	remotes []netip.AddrPort
	packets []Packet
}

func newQueue() *queue { return &queue{filled: make(chan struct{}, 1)} }

// put adds a datagram, or reports that there is no room for it.
func (q *queue) put(from netip.AddrPort, data []byte) bool {
	q.mu.Lock()
	s := &q.in
	if len(s.ends) >= queuePackets || len(s.data)+len(data) > queueBytes {
		q.mu.Unlock()
		return false
	}
	s.data = append(s.data, data...)
	s.ends = append(s.ends, len(s.data))
	s.remotes = append(s.remotes, from)
	q.mu.Unlock()
	select {
	case q.filled <- struct{}{}:
	default:
	}
	return true
}

// take returns what came in, lent until the next call; nothing if there is none.
func (q *queue) take() []Packet {
	q.out.data, q.out.ends, q.out.remotes = q.out.data[:0], q.out.ends[:0], q.out.remotes[:0]
	q.mu.Lock()
	q.in, q.out = q.out, q.in
	q.mu.Unlock()
	s, from := &q.out, 0
	s.packets = s.packets[:0]
	for i, end := range s.ends {
		s.packets = append(s.packets, Packet{Remote: s.remotes[i], Data: s.data[from:end:end]})
		from = end
	}
	return s.packets
}

// runPackets reads the port until ctx ends, then hands on what has come in.
func (l *Listener) runPackets(ctx, work context.Context, cancel context.CancelFunc) error {
	if err := l.shared.Bodies.Wait(2*queueBytes, memoryWait); err != nil {
		return errors.Join(err, l.Close())
	}
	defer l.shared.Bodies.Return(2 * queueBytes)
	q := newQueue()
	read, worked := make(chan error, 1), make(chan struct{})
	go func() { read <- l.readPackets(q) }()
	stop := make(chan struct{})
	go func() { defer close(worked); l.handOn(work, q, stop) }()
	var err error
	select {
	case err = <-read:
	case <-ctx.Done():
		l.packet.Close()
		<-read
	}
	l.packet.Close()
	close(stop)
	select {
	case <-worked:
	case <-time.After(stopGrace):
		l.log.Warn("datagrams could not be kept in time and are lost", "grace", stopGrace)
		cancel()
		<-worked
	}
	l.wg.Wait()
	return err
}

// readPackets fills the queue until the port is closed.
func (l *Listener) readPackets(q *queue) error {
	buf, oob, lost := make([]byte, maxDatagram), make([]byte, 128), uint32(0)
	for {
		n, from, dropped, err := l.readPacket(buf, oob)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			l.count.dropped("read", 1)
			if l.refusal.Allow("read") {
				l.log.Error("read a datagram", "error", err)
			}
			pause(time.Millisecond)
			continue
		}
		l.count.bytes.Add(float64(n))
		if dropped != 0 && dropped != lost {
			l.drop("kernel_queue_full", int(dropped-lost))
			lost = dropped
		}
		switch {
		case l.cfg.unix() == "" && !l.allow.allows(from.Addr(), false):
			l.count.dropped("not_allowed", 1)
			if l.refusal.Allow(from.Addr().String()) {
				l.log.Warn("datagram refused", "remote", from.String(), "reason", "not_allowed")
			}
		case l.bucket.take(n) > time.Second:
			l.drop("rate", 1)
		case !q.put(from, buf[:n]):
			l.drop("queue_full", 1)
		default:
			l.count.datagrams.Inc()
		}
	}
}

func (l *Listener) drop(reason string, n int) {
	l.count.dropped(reason, n)
	from := l.sender("")
	l.shared.Sources.Dropped(sources.Sender{Tenant: from.Tenant, Source: from.Source, Receiver: l.name}, reason, n)
	if l.refusal.Allow(reason) {
		l.log.Warn("datagrams are dropped", "reason", reason)
	}
}

// readPacket also returns how many datagrams the kernel has dropped so far; 0 if
// it does not say.
func (l *Listener) readPacket(buf, oob []byte) (n int, from netip.AddrPort, dropped uint32, err error) {
	c, ok := l.packet.(*net.UDPConn)
	if !ok {
		n, _, err = l.packet.ReadFrom(buf)
		return n, from, 0, err
	}
	n, said, _, from, err := c.ReadMsgUDPAddrPort(buf, oob)
	if said > 0 {
		dropped, _ = overflow(oob[:said])
	}
	return n, from, dropped, err
}

// handOn gives the receiver what has come in, until stop is closed and nothing
// is left.
func (l *Listener) handOn(ctx context.Context, q *queue, stop <-chan struct{}) {
	from := l.sender("")
	for {
		last := false
		select {
		case <-q.filled:
		case <-stop:
			last = true
		}
		for batch := q.take(); len(batch) > 0; batch = q.take() {
			if err := l.hand(ctx, func() error { return l.packets(ctx, from, batch) }); err != nil {
				l.drop(reasonOf(err), len(batch))
				if l.refusal.Allow("packets") {
					l.log.Error("datagrams are lost", "datagrams", len(batch), "error", err)
				}
			}
		}
		if last {
			return
		}
	}
}

// hand calls f; a panic there costs these datagrams and no others.
func (l *Listener) hand(_ context.Context, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			l.log.Error("panic in a receiver", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = refuse("panic", fault.Errorf(fault.Internal, "panic"))
		}
	}()
	return f()
}
