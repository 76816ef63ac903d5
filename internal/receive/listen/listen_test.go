package listen

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/audit"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/telemetry"
)

// upper answers each line in capitals, after the sender's source.
func upper(_ context.Context, c *Conn) error {
	for {
		if err := c.Await(); err != nil {
			return err
		}
		for {
			if i := bytes.IndexByte(c.Buffered(), '\n'); i >= 0 {
				fmt.Fprintf(c, "%s %s", c.From.Source, bytes.ToUpper(c.Buffered()[:i+1]))
				c.Discard(i + 1)
				break
			}
			if err := c.More(); err != nil {
				return err
			}
		}
	}
}

type acts struct {
	mu   sync.Mutex
	list []audit.Act
}

func (a *acts) Record(_ context.Context, act audit.Act) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, act)
	return nil
}

// run starts a listener and returns its address and what ends it.
func run(t *testing.T, cfg Config, s receive.Shared, opts ...Option) (l *Listener, addr string, stop func()) {
	t.Helper()
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if s.Metrics == nil {
		s.Metrics = telemetry.New()
	}
	l, err := New("test", cfg, s, opts...)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		if n := l.shared.Bodies.Held(); n != 0 {
			t.Errorf("%d bytes are held after the end", n)
		}
	})
	t.Cleanup(stop)
	return l, l.Addr().String(), stop
}

func dial(t *testing.T, network, addr string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout(network, addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// say sends a line and returns the answer.
func say(t *testing.T, c net.Conn, line string) string {
	t.Helper()
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Fatalf("%q: %v", answer, err)
	}
	return strings.TrimSuffix(answer, "\n")
}

// gone waits until the other side has closed c.
func gone(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection is open after %d bytes: %v", n, err)
	}
}

// count returns a counter of the listener: refused, closed or dropped, by reason.
func count(l *Listener, counter, reason string) (n float64) {
	families, err := l.shared.Metrics.Gather()
	if err != nil {
		panic(err)
	}
	for _, f := range families {
		if f.GetName() != "meshtrail_listen_"+counter+"_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, label := range m.GetLabel() {
				if label.GetName() == "reason" && label.GetValue() == reason {
					n += m.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}

// eventually waits for what other goroutines do.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.After(10 * time.Second); !ok(); {
		select {
		case <-end:
			t.Fatal(what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestStream(t *testing.T) {
	l, addr, stop := run(t, Config{}, receive.Shared{}, Streams(upper))
	c := dial(t, "tcp", addr)
	if got := say(t, c, "hello"); got != "test/tcp HELLO" {
		t.Errorf("%q", got)
	}
	long := strings.Repeat("x", 1<<20) // beyond every size at which the buffer grows
	if got := say(t, c, long); got != "test/tcp "+strings.ToUpper(long) {
		t.Errorf("%d bytes come back of %d", len(got), len(long))
	}
	c.Close()
	eventually(t, "the end is not counted", func() bool { return count(l, "closed", "end") == 1 })
	idle := dial(t, "tcp", addr)
	say(t, idle, "a")
	stop()
	gone(t, idle)
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("the port is open after the end")
	}
}

func TestBusySendersGetAndGiveBackMemory(t *testing.T) {
	bodies := receive.NewBodies(receive.Limits{})
	_, addr, _ := run(t, Config{}, receive.Shared{Bodies: bodies}, Streams(upper))
	c := dial(t, "tcp", addr)
	say(t, c, strings.Repeat("x", 100<<10))
	if bodies.Held() == 0 {
		t.Error("a large message is not accounted")
	}
	eventually(t, "an idle connection keeps its memory", func() bool { return bodies.Held() == 0 })
	if got := say(t, c, "more"); got != "test/tcp MORE" {
		t.Errorf("after it: %q", got)
	}
}

func TestWhoIsNotLetIn(t *testing.T) {
	rec := &acts{}
	l, addr, _ := run(t, Config{Allow: []string{"10.0.0.0/8"}}, receive.Shared{Audit: rec}, Streams(upper))
	for range 30 {
		if c, err := net.Dial("tcp", addr); err == nil { // else it was refused already
			c.SetDeadline(time.Now().Add(10 * time.Second))
			gone(t, c)
			c.Close()
		}
	}
	eventually(t, "30 refusals are not counted", func() bool { return count(l, "refused", "not_allowed") == 30 })
	eventually(t, "no refusal is on record", func() bool { rec.mu.Lock(); defer rec.mu.Unlock(); return len(rec.list) > 0 })
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if n := len(rec.list); n > 12 || rec.list[0].Outcome != audit.Denied || rec.list[0].Detail["reason"] != "not_allowed" {
		t.Errorf("%d records of 30 refusals, the first is %+v", n, rec.list[0])
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	l, addr, _ := run(t, Config{Connections: 2, ConnectionsPerAddress: 2}, receive.Shared{}, Streams(upper))
	a, b := dial(t, "tcp", addr), dial(t, "tcp", addr)
	say(t, a, "a")
	say(t, b, "b")
	if c, err := net.Dial("tcp", addr); err == nil { // else it was refused already
		c.SetDeadline(time.Now().Add(10 * time.Second))
		gone(t, c)
		c.Close()
	}
	eventually(t, "it is not counted", func() bool { return count(l, "refused", "connections") == 1 })
	if got := say(t, a, "still"); got != "test/tcp STILL" {
		t.Errorf("%q", got)
	}
	a.Close()
	eventually(t, "no place becomes free", func() bool {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return false
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Second))
		io.WriteString(c, "c\n")
		n, _ := c.Read(make([]byte, 10))
		return n > 0
	})
}

func TestTimeLimits(t *testing.T) {
	l, addr, _ := run(t, Config{Idle: time.Second, Message: time.Second}, receive.Shared{}, Streams(upper), MaxMessage(64<<10))
	idle, slow, cut := dial(t, "tcp", addr), dial(t, "tcp", addr), dial(t, "tcp", addr)
	say(t, idle, "a")
	io.WriteString(slow, "no end")
	io.WriteString(cut, "no end")
	cut.(*net.TCPConn).CloseWrite()
	large := dial(t, "tcp", addr)
	large.Write(make([]byte, 100<<10))
	gone(t, large)
	gone(t, cut)
	gone(t, idle)
	gone(t, slow)
	for _, reason := range []string{"idle", "slow", "cut_off", "too_large"} {
		eventually(t, reason+" is not counted", func() bool { return count(l, "closed", reason) == 1 })
	}
}

// TestTLSOnAPlainPort: the sender is let go with a word in the log, and no receiver
// sees its handshake.
func TestTLSOnAPlainPort(t *testing.T) {
	var log bytes.Buffer
	l, addr, stop := run(t, Config{}, receive.Shared{Logger: slog.New(slog.NewTextHandler(&log, nil))}, Streams(func(_ context.Context, c *Conn) error {
		if err := c.Await(); err != nil {
			return err
		}
		t.Errorf("a receiver was given %q", c.Buffered())
		return nil
	}))
	c := dial(t, "tcp", addr)
	if err := tls.Client(c, &tls.Config{InsecureSkipVerify: true}).Handshake(); err == nil {
		t.Error("a handshake with a plain port succeeded")
	}
	stop()
	if n := count(l, "closed", "tls"); n != 1 {
		t.Errorf("%v connections are counted", n)
	}
	if s := log.String(); !strings.Contains(s, "turn TLS off at the sender") {
		t.Errorf("the log says %s", s)
	}
}

func TestReadAndPeek(t *testing.T) {
	a, b := net.Pipe()
	c := NewConn(b, receive.Sender{}, Config{}, receive.Shared{})
	defer c.Release()
	go func() {
		io.WriteString(a, "abc")
		io.WriteString(a, "defgh")
		a.Close()
	}()
	if err := c.Await(); err != nil {
		t.Fatal(err)
	}
	head, err := c.Peek(5)
	if err != nil || string(head) != "abcde" {
		t.Fatalf("%q, %v", head, err)
	}
	c.Discard(2)
	rest, err := io.ReadAll(io.LimitReader(c, 6))
	if err != nil || string(rest) != "cdefgh" {
		t.Fatalf("%q, %v", rest, err)
	}
	if err := c.Await(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if _, err := c.Peek(1 << 30); !fault.Is(err, fault.TooLarge) {
		t.Errorf("beyond the largest message: %v", err)
	}
	if c.Wire != 8 {
		t.Errorf("%d bytes are counted", c.Wire)
	}
}

func TestAPanicEndsOneConnection(t *testing.T) {
	l, addr, _ := run(t, Config{}, receive.Shared{}, Streams(func(ctx context.Context, c *Conn) error {
		if err := c.Await(); err != nil {
			return err
		}
		if c.Buffered()[0] == '!' {
			panic("bug")
		}
		return upper(ctx, c)
	}))
	bad, good := dial(t, "tcp", addr), dial(t, "tcp", addr)
	io.WriteString(bad, "!\n")
	gone(t, bad)
	if got := say(t, good, "x"); got != "test/tcp X" {
		t.Errorf("%q", got)
	}
	if count(l, "closed", "panic") != 1 {
		t.Error("it is not counted")
	}
}

// TestDrain stops a listener while one connection is within a message that goes
// on to arrive and another waits: the first is ended regularly.
func TestDrain(t *testing.T) {
	begun, release := make(chan bool), make(chan bool)
	var served error
	_, addr, stop := run(t, Config{}, receive.Shared{}, Streams(func(ctx context.Context, c *Conn) error {
		if err := c.Await(); err != nil {
			return err
		}
		begun <- true
		<-release // as an Ingest that takes its time
		if served = ctx.Err(); served == nil {
			_, served = io.WriteString(c, "ok\n")
		}
		return c.Await()
	}))
	c := dial(t, "tcp", addr)
	io.WriteString(c, "x\n")
	<-begun
	stopped := make(chan bool)
	go func() { stop(); close(stopped) }()
	eventually(t, "the port stays open", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(release)
	if answer, err := bufio.NewReader(c).ReadString('\n'); err != nil || answer != "ok\n" {
		t.Errorf("%q, %v", answer, err)
	}
	<-stopped
	if served != nil {
		t.Error(served)
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	_, _, stop := run(t, Config{Listen: "unix:" + path}, receive.Shared{}, Streams(upper))
	if got := say(t, dial(t, "unix", path), "x"); got != "test/unix X" {
		t.Errorf("%q", got)
	}
	mode := func(want os.FileMode) {
		t.Helper()
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != want {
			t.Errorf("the socket has the mode %v, %v; want %v", st.Mode(), err, want)
		}
	}
	mode(0o660)
	second, err := New("test", Config{Listen: "unix:" + path}, receive.Shared{}, Streams(upper))
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Listen(); !fault.Is(err, fault.Conflict) {
		t.Errorf("beside one that listens: %v", err)
	}
	stop()
	// What a crash leaves behind is no obstacle.
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close()
	run(t, Config{Listen: "unix:" + path, Mode: 0o666}, receive.Shared{}, Streams(upper))
	mode(0o666)
	// Anything else at the path stays.
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	third, err := New("test", Config{Listen: "unix:" + file}, receive.Shared{}, Streams(upper))
	if err != nil {
		t.Fatal(err)
	}
	if err := third.Listen(); err == nil {
		t.Error("a file was replaced")
	}
}

// authority makes certificates in a folder.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	n    int64
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.make("ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, Subject: pkix.Name{CommonName: "authority"}})
	return a
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) make(name string, c *x509.Certificate) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.n++
	c.SerialNumber, c.NotBefore = big.NewInt(a.n), time.Now().Add(-time.Hour)
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(time.Hour)
	}
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	if a.cert == nil {
		a.cert, a.key = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	k, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k})
	os.WriteFile(a.file(name+".pem"), certPEM, 0o600)
	os.WriteFile(a.file(name+".key"), keyPEM, 0o600)
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		a.t.Fatal(err)
	}
	return pair
}

func (a *authority) server(name string) tls.Certificate {
	return a.make(name, &x509.Certificate{Subject: pkix.Name{CommonName: "server " + name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
}

func (a *authority) svid(name, id string) tls.Certificate {
	u, err := url.Parse(id)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.make(name, &x509.Certificate{URIs: []*url.URL{u}})
}

func TestMutualTLS(t *testing.T) {
	ca := newAuthority(t)
	ca.server("server")
	l, addr, _ := run(t, Config{
		TLSCert: ca.file("server.pem"), TLSKey: ca.file("server.key"), ClientCA: ca.file("ca.pem"),
		Clients: []string{"spiffe://example.org/ns/a/sa/shipper", "relay-7"}, Source: "edge",
	}, receive.Shared{}, Streams(upper))
	roots := x509.NewCertPool()
	roots.AddCert(mustParse(t, ca.file("ca.pem")))
	try := func(certs []tls.Certificate, most uint16) (string, error) {
		c, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", addr, &tls.Config{RootCAs: roots, Certificates: certs, MinVersion: tls.VersionTLS10, MaxVersion: most})
		if err != nil {
			return "", err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		io.WriteString(c, "x\n")
		return bufio.NewReader(c).ReadString('\n')
	}
	good := []tls.Certificate{ca.svid("good", "spiffe://example.org/ns/a/sa/shipper")}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		if got, err := try(good, version); err != nil || got != "test/edge/spiffe://example.org/ns/a/sa/shipper X\n" {
			t.Errorf("%q, %v", got, err)
		}
	}
	if got, err := try([]tls.Certificate{ca.make("cn", &x509.Certificate{Subject: pkix.Name{CommonName: "relay-7"}})}, 0); err != nil || got != "test/edge/relay-7 X\n" {
		t.Errorf("common name: %q, %v", got, err)
	}
	stranger := newAuthority(t)
	two := ca.make("two", &x509.Certificate{URIs: []*url.URL{{Scheme: "spiffe", Host: "example.org", Path: "/ns/a/sa/shipper"}, {Scheme: "spiffe", Host: "example.org", Path: "/x"}}})
	for name, certs := range map[string][]tls.Certificate{
		"no certificate":     nil,
		"not among clients":  {ca.svid("other", "spiffe://example.org/ns/a/sa/other")},
		"two SPIFFE IDs":     {two},
		"a claim in the CN":  {ca.make("claim", &x509.Certificate{Subject: pkix.Name{CommonName: "spiffe://example.org/ns/a/sa/shipper"}})},
		"another authority":  {stranger.svid("good", "spiffe://example.org/ns/a/sa/shipper")},
		"no name whatsoever": {ca.make("none", &x509.Certificate{})},
	} {
		if got, err := try(certs, 0); err == nil {
			t.Errorf("%s is let in: %q", name, got)
		}
	}
	if _, err := try(good, tls.VersionTLS11); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	eventually(t, "the refusals are not counted: 3 handshakes and 4 certificates", func() bool {
		return count(l, "refused", "handshake") == 3 && count(l, "refused", "certificate") == 4
	})
	// One that connects and says nothing is a balancer, or a heartbeat.
	ended := count(l, "closed", "end")
	dial(t, "tcp", addr).Close()
	eventually(t, "a connection that says nothing is no refusal", func() bool {
		return count(l, "closed", "end") > ended && count(l, "refused", "handshake") == 3
	})
	// A plaintext sender is refused, not taken for TLS.
	plain := dial(t, "tcp", addr)
	io.WriteString(plain, "<13>plain\n")
	gone(t, plain)
}

func mustParse(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestReload(t *testing.T) {
	ca := newAuthority(t)
	ca.server("server")
	l, addr, _ := run(t, Config{TLSCert: ca.file("server.pem"), TLSKey: ca.file("server.key")}, receive.Shared{}, Streams(upper))
	serial := func() int64 {
		c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	before := serial()
	ca.server("server")
	if err := l.Reload(); err != nil {
		t.Fatal(err)
	}
	after := serial()
	if after == before {
		t.Error("the old certificate is shown")
	}
	os.WriteFile(ca.file("server.key"), []byte("junk"), 0o600)
	if err := l.Reload(); !fault.Is(err, fault.Invalid) {
		t.Errorf("a broken key: %v", err)
	}
	if serial() != after {
		t.Error("a broken key changed what is shown")
	}
}

func TestRate(t *testing.T) {
	_, addr, _ := run(t, Config{BytesPerSecond: 256 << 10}, receive.Shared{}, Streams(upper))
	c := dial(t, "tcp", addr)
	started := time.Now()
	say(t, c, strings.Repeat("x", 320<<10))
	if d := time.Since(started); d < 900*time.Millisecond || d > 10*time.Second {
		t.Errorf("320 KiB at 256 KiB a second took %v", d)
	}
}

// TestStopDoesNotWaitForARate stops a listener while a sender is held back for
// minutes.
func TestStopDoesNotWaitForARate(t *testing.T) {
	l, addr, stop := run(t, Config{BytesPerSecond: 1024}, receive.Shared{}, Streams(upper))
	c := dial(t, "tcp", addr)
	c.Write(make([]byte, 1<<20))
	eventually(t, "nothing is held back", func() bool { return l.bucket.owes() > 10*1024 })
	started := time.Now()
	stop()
	if d := time.Since(started); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
}

func (b *bucket) owes() float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.debt
}
