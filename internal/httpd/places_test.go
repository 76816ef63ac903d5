package httpd

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/identity"
)

// TestPlaces: a connection more than there are places for is refused at once, and
// each that ends gives its own back, once.
func TestPlaces(t *testing.T) {
	places := NewPlaces(3)
	cfg := DefaultConfig()
	cfg.Listen = "127.0.0.1:0"
	s, err := New(Options{Config: cfg, Keeper: identity.New(nil), Places: places, Routes: []Route{{
		Pattern: "GET /", Need: access.Public, Handle: func(w http.ResponseWriter, _ *http.Request) error { return nil },
	}}})
	if err != nil {
		t.Fatal(err)
	}
	start(t, s)
	addr := s.open[0].Addr().String()
	ask := func() (net.Conn, error) {
		c, err := net.Dial("tcp", addr)
		if err != nil { // refused before the kernel had told
			return nil, err
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		_, err = c.Read(make([]byte, 1))
		return c, err
	}
	var open []net.Conn
	for range 3 {
		c, err := ask()
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	if _, err := ask(); err == nil {
		t.Error("a fourth connection is answered")
	}
	open[0].Close()
	for end := time.Now().Add(10 * time.Second); ; <-time.After(time.Millisecond) {
		if _, err := ask(); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("a place was not given back")
		}
	}
	if n := places.n.Load(); n != 3 {
		t.Errorf("%d places are taken", n)
	}
	var none *Places
	if none.Leave(); !none.Take() {
		t.Error("nil bounds something")
	}
}

// TestSomePlaces: nobody takes all, and what one side leaves the other may have.
func TestSomePlaces(t *testing.T) {
	all := NewPlaces(6)
	a, b := all.Some(5), all.Some(5)
	take := func(p *Places) (n int) {
		for p.Take() {
			n++
		}
		return n
	}
	if n := take(a); n != 5 {
		t.Errorf("one side took %d", n)
	}
	if n := take(b); n != 1 {
		t.Errorf("the other got %d", n)
	}
	for range 3 {
		a.Leave()
	}
	if n := take(b); n != 3 {
		t.Errorf("the other got %d of 3", n)
	}
	if a.n.Load() != 2 || b.n.Load() != 4 || all.n.Load() != 6 {
		t.Errorf("taken: %d, %d of %d", a.n.Load(), b.n.Load(), all.n.Load())
	}
}
