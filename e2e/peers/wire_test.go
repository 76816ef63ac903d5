package peers

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// A wire is what lies between a shipper and one port of the server. It passes on
// what comes; mute, it passes nothing back, as if answers were lost on the way; cut,
// nobody listens at its near end.
//
// Protocols in which both sides greet each other first would send no record over a
// mute wire: what is said to a client that has not yet said greeting bytes passes.
type wire struct {
	t    *testing.T
	near string // host:port, where the shipper connects
	far  string // where the server listens

	mu       sync.Mutex
	mute     bool
	lost     int // bytes of answers
	listener net.Listener
	conns    map[net.Conn]bool
}

// greeting is more than the longest handshake takes (forward's, two digests in
// hexadecimal), and less than records do.
const greeting = 600

// newWire returns a wire that is not joined yet.
func newWire(t *testing.T) *wire {
	w := &wire{t: t, near: freeAddr(t), far: freeAddr(t), conns: map[net.Conn]bool{}}
	t.Cleanup(w.cut)
	return w
}

// join makes the wire pass bytes in both directions.
func (w *wire) join() {
	l, err := net.Listen("tcp", w.near)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	w.listener, w.mute = l, false
	w.mu.Unlock()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.carry(c)
		}
	}()
}

// carry joins one connection with the server.
func (w *wire) carry(client net.Conn) {
	server, err := net.Dial("tcp", w.far)
	if err != nil {
		client.Close()
		return
	}
	w.mu.Lock()
	w.conns[client], w.conns[server] = true, true
	w.mu.Unlock()
	end := func() {
		client.Close()
		server.Close()
		w.mu.Lock()
		delete(w.conns, client)
		delete(w.conns, server)
		w.mu.Unlock()
	}
	var said atomic.Int64
	go func() {
		defer end()
		io.Copy(server, io.TeeReader(client, counter{&said}))
	}()
	defer end()
	b := make([]byte, 64<<10)
	for {
		n, err := server.Read(b)
		w.mu.Lock()
		mute := w.mute && said.Load() > greeting
		if mute {
			w.lost += n
		}
		w.mu.Unlock()
		if n > 0 && !mute {
			if _, err := client.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// counter counts the bytes that are written to it.
type counter struct{ n *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

// lose lets answers get lost from now on.
func (w *wire) lose() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mute = true
}

// losses returns how many bytes of answers were lost.
func (w *wire) losses() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

// cut ends all connections and refuses new ones.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listener != nil {
		w.listener.Close()
		w.listener = nil
	}
	for c := range w.conns {
		c.Close()
	}
}

// freeAddr returns an address on loopback that nobody listens on. It lies below
// the ports that the system gives to who connects: a client that knocks again and
// again while the server is down could otherwise meet itself.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(10_000))
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}
