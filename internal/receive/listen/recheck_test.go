package listen

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/receive"
)

// TestCertificatesAreAskedForAgain: who was let in by a certificate stays as long
// as that is valid, and no longer.
func TestCertificatesAreAskedForAgain(t *testing.T) {
	defer func(d time.Duration) { recheckEvery = d }(recheckEvery)
	recheckEvery = 20 * time.Millisecond
	ca := newAuthority(t)
	ca.server("server")
	l, addr, _ := run(t, Config{TLSCert: ca.file("server.pem"), TLSKey: ca.file("server.key"), ClientCA: ca.file("ca.pem")}, receive.Shared{}, Streams(upper))
	join := func(cert tls.Certificate) net.Conn {
		t.Helper()
		c := tls.Client(dial(t, "tcp", addr), &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}})
		t.Cleanup(func() { c.Close() })
		say(t, c, "hello")
		return c
	}
	id, _ := url.Parse("spiffe://example.org/brief")
	brief := join(ca.make("brief", &x509.Certificate{URIs: []*url.URL{id}, NotAfter: time.Now().Add(2 * time.Second)}))
	long := join(ca.svid("long", "spiffe://example.org/long"))
	gone(t, brief)
	eventually(t, "its end is not counted", func() bool { return count(l, "closed", "certificate") == 1 })
	if got := say(t, long, "still"); got != "test/spiffe://example.org/long STILL" {
		t.Errorf("%q", got)
	}

	// Another authority beside the first takes nobody away, in its place it does:
	// who waits, who is within a message, and who never ends.
	other := newAuthority(t)
	mine, theirs := read(t, ca.file("ca.pem")), read(t, other.file("ca.pem"))
	write := func(pem []byte) {
		t.Helper()
		if err := os.WriteFile(ca.file("ca.pem"), pem, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := l.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	write(append(bytes.Clone(mine), theirs...))
	within := join(ca.svid("within", "spiffe://example.org/within"))
	fresh := join(other.svid("new", "spiffe://example.org/new"))
	if got := say(t, long, "and still"); got != "test/spiffe://example.org/long AND STILL" {
		t.Errorf("%q", got)
	}
	io.WriteString(within, "half a message")
	write(theirs)
	gone(t, long)
	gone(t, within)
	eventually(t, "their ends are not counted", func() bool { return count(l, "closed", "certificate") == 3 })
	if got := say(t, fresh, "here"); got != "test/spiffe://example.org/new HERE" {
		t.Errorf("%q", got)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestOneAddressHasAShare: one sender, right or wrong in his head, leaves places
// for others.
func TestOneAddressHasAShare(t *testing.T) {
	l, addr, _ := run(t, Config{Connections: 5}, receive.Shared{}, Streams(upper))
	from := func(ip string) (net.Conn, error) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}, Timeout: 5 * time.Second}
		c, err := d.Dial("tcp", addr)
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err = io.WriteString(c, "x\n"); err == nil {
			_, err = io.ReadFull(c, make([]byte, 1))
		}
		return c, err
	}
	var greedy []net.Conn
	for range 3 {
		c, err := from("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		greedy = append(greedy, c)
	}
	if _, err := from("127.0.0.1"); err == nil {
		t.Error("one address has four of five connections")
	}
	if _, err := from("127.0.0.2"); err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			t.Skip("this machine has one address of loopback")
		}
		t.Errorf("another address has none: %v", err)
	}
	eventually(t, "it is not counted", func() bool { return count(l, "refused", "address") == 1 })
	greedy[0].Close()
	eventually(t, "a place is not given back", func() bool { _, err := from("127.0.0.1"); return err == nil })
}

func TestShares(t *testing.T) {
	f := func(c Config, places *httpd.Places, want int) {
		t.Helper()
		c.Listen = "127.0.0.1:0"
		l, err := New("test", c, receive.Shared{Places: places}, Streams(upper))
		if err != nil {
			t.Fatal(err)
		}
		if l.cfg.ConnectionsPerAddress != want {
			t.Errorf("%+v: %d, want %d", c, l.cfg.ConnectionsPerAddress, want)
		}
	}
	f(Config{}, nil, 5000)
	f(Config{Connections: 1}, nil, 1)
	f(Config{}, httpd.NewPlaces(384), 192)
	f(Config{ConnectionsPerAddress: 10_000}, httpd.NewPlaces(384), 10_000)

	for addr, want := range map[string]string{
		"10.1.2.3": "10.1.2.3", "::ffff:10.1.2.3": "10.1.2.3", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "fe80::1": "fe80::",
	} {
		if got, shares := sharer(peer{ip: net.ParseIP(addr)}); !shares || got.String() != want {
			t.Errorf("%s: %v, want %s", addr, got, want)
		}
	}
	if _, shares := sharer(peer{}); shares {
		t.Error("a unix socket has an address")
	}
}

type peer struct {
	net.Conn
	ip net.IP
}

func (p peer) RemoteAddr() net.Addr {
	if p.ip == nil {
		return &net.UnixAddr{}
	}
	return &net.TCPAddr{IP: p.ip}
}
