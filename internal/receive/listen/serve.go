package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/meshtrail/meshtrail/internal/audit"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/identity"
)

// Limits that no configuration changes.
const (
	handshakeTimeout = 10 * time.Second
	stopMessage      = time.Second      // for a message that is on its way when the server stops
	stopGrace        = 10 * time.Second // for what was handed in by then
	memoryWait       = 2 * time.Second  // for room in the common memory
)

// now is the clock of deadlines.
var now = time.Now

// pause lets a fault that repeats itself pass.
func pause(d time.Duration) { <-time.After(d) }

// Listen opens the port. After it, connections queue until Run accepts them.
func (l *Listener) Listen() error {
	var err error
	network, addr := "tcp", l.cfg.Listen
	path := l.cfg.unix()
	if l.packets != nil {
		network = "udp"
	}
	if path != "" {
		network, addr = "unix", path
		if l.packets != nil {
			network = "unixgram"
		}
		if err := removeStale(path, network); err != nil {
			return err
		}
	}
	if l.packets != nil {
		l.packet, err = net.ListenPacket(network, addr)
	} else {
		l.listener, err = net.Listen(network, addr)
	}
	if err != nil {
		return fault.WithHint(fault.Errorf(fault.Conflict, "receiver %s: listen on %s: %w", l.name, l.cfg.Listen, err),
			"another program may hold the port, or the port needs a privilege: below 1024 grant CAP_NET_BIND_SERVICE")
	}
	if c, ok := l.packet.(*net.UDPConn); ok {
		c.SetReadBuffer(kernelBuffer)
		countOverflow(c)
	}
	if path != "" {
		if err := os.Chmod(path, os.FileMode(l.cfg.Mode)); err != nil {
			return errors.Join(fault.Errorf(fault.Unavailable, "set the mode of %s: %w", path, err), l.Close())
		}
	}
	l.log.Info("listening", "source", l.Name(), "address", l.Addr().String(), "tls", l.tls != nil, "lossy", l.lossy())
	return nil
}

// removeStale removes a socket that nobody listens on any more. Anything else at
// that path stays, and Listen fails.
func removeStale(path, network string) error {
	st, err := os.Lstat(path)
	if err != nil || st.Mode().Type() != os.ModeSocket {
		return nil
	}
	if c, err := net.DialTimeout(network, path, time.Second); err == nil {
		c.Close()
		return fault.WithHint(fault.Errorf(fault.Conflict, "listen on %s: a program listens there", path), "stop it first, or choose another path")
	}
	if err := os.Remove(path); err != nil {
		return fault.Errorf(fault.Conflict, "remove the stale socket %s: %w", path, err)
	}
	return nil
}

// Close closes the port of a listener that does not run.
func (l *Listener) Close() error {
	var err error
	if l.listener != nil {
		err = l.listener.Close()
	}
	if l.packet != nil {
		err = l.packet.Close()
	}
	return err
}

// Run takes connections, or datagrams, until ctx ends. Then it closes the port
// and lets connections end what they have handed in, at most ten seconds. It
// returns nil at this regular end.
func (l *Listener) Run(ctx context.Context) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if l.packets != nil {
		return l.runPackets(ctx, work, cancel)
	}
	failed := make(chan error, 1)
	go func() { failed <- l.accept(work) }()
	if l.cfg.ClientCA != "" {
		l.wg.Go(func() { l.recheck(ctx) })
	}
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
		l.listener.Close()
		<-failed
	}
	l.listener.Close()
	stop()
	l.drain(cancel)
	return err
}

// accept takes connections until the port is closed.
func (l *Listener) accept(ctx context.Context) error {
	for again := time.Millisecond; ; {
		nc, err := l.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			// Out of descriptors, mostly: those who are here must end first.
			l.count.refused("accept")
			if l.refusal.Allow("accept") {
				l.log.Error("accept a connection", "error", err)
			}
			pause(again)
			again = min(2*again, time.Second)
			continue
		}
		again = time.Millisecond
		if reason := l.admit(nc); reason != "" {
			l.refuse(ctx, nc.RemoteAddr(), reason, nil)
			httpd.Refuse(nc)
			continue
		}
		l.wg.Go(func() {
			defer l.leave(nc)
			l.serve(ctx, nc)
		})
	}
}

// admit takes a place for a connection, or says why it gets none.
func (l *Listener) admit(nc net.Conn) string {
	if l.cfg.unix() == "" && !l.allow.allows(remote(nc.RemoteAddr()).Addr(), l.cfg.ClientCA != "") {
		return "not_allowed"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= l.cfg.Connections {
		return "connections"
	}
	who, shares := sharer(nc)
	if shares && l.from[who] >= l.cfg.ConnectionsPerAddress {
		return "address"
	}
	if !l.shared.Places.Take() {
		return "files"
	}
	if shares {
		l.from[who]++
	}
	l.open++
	l.count.connections.Set(float64(l.open))
	return ""
}

// sharer returns whom a connection counts for: its address, of IPv6 the network of
// 64 bits, which one machine has by itself. Unix sockets have none.
func sharer(nc net.Conn) (who netip.Addr, shares bool) {
	a := remote(nc.RemoteAddr()).Addr().Unmap().WithZone("")
	if a.Is6() {
		a = netip.PrefixFrom(a, 64).Masked().Addr()
	}
	return a, a.IsValid()
}

func (l *Listener) leave(nc net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if who, shares := sharer(nc); shares {
		if l.from[who]--; l.from[who] == 0 {
			delete(l.from, who)
		}
	}
	l.open--
	l.shared.Places.Leave()
	l.count.connections.Set(float64(l.open))
}

// remote returns the address of a peer; the zero one for a unix socket.
func remote(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.AddrPort()
	case *net.UDPAddr:
		return a.AddrPort()
	}
	return netip.AddrPort{}
}

// refuse counts a refused connection, and puts it on record within the bounds of
// the limiter.
func (l *Listener) refuse(ctx context.Context, from net.Addr, reason string, err error) {
	l.count.refused(reason)
	addr := remote(from)
	if !l.refusal.Allow(addr.Addr().String()) {
		return
	}
	l.log.Warn("connection refused", "remote", addr.String(), "reason", reason, "error", err)
	if l.shared.Audit == nil || reason == "connections" || reason == "address" || reason == "files" {
		return
	}
	act := audit.Act{
		Principal: "unauthenticated", Tenant: string(l.cfg.tenant()), Action: "connect", Outcome: audit.Denied, Remote: addr.String(),
		Detail: map[string]string{"receiver": l.name, "listen": l.cfg.Listen, "reason": reason},
	}
	// Not in the way of those who may connect.
	l.wg.Go(func() {
		if err := l.shared.Audit.Record(ctx, act); err != nil {
			l.log.Warn("a refusal is not on record", "error", err, "remote", addr.String())
		}
	})
}

// serve speaks to one connection until it ends.
func (l *Listener) serve(ctx context.Context, nc net.Conn) {
	defer nc.Close()
	l.count.accepted.Inc()
	from := l.sender("")
	addr := nc.RemoteAddr()
	var proof *proof
	if l.tls != nil {
		by := l.tls.Clients() // before the handshake: a Reload within it is seen by recheck
		tc := tls.Server(nc, l.tls.Config())
		hs, cancel := context.WithTimeout(ctx, handshakeTimeout)
		err := tc.HandshakeContext(hs)
		cancel()
		if errors.Is(err, io.EOF) { // it says nothing: a balancer, or a heartbeat
			l.count.closed("end")
			return
		}
		if err != nil {
			l.refuse(ctx, addr, "handshake", err)
			return
		}
		nc = tc
		if l.cfg.ClientCA != "" {
			name := ""
			if certs := tc.ConnectionState().PeerCertificates; len(certs) > 0 {
				name = identity.CertificateName(certs[0])
			}
			if name == "" || len(l.cfg.Clients) > 0 && !slices.Contains(l.cfg.Clients, name) {
				l.refuse(ctx, addr, "certificate", fault.Errorf(fault.Denied, "the certificate's name %q is not among clients", name))
				return
			}
			from = l.sender(name)
			proof = proofOf(tc.ConnectionState(), by)
		}
	}
	c := &Conn{
		Conn: nc, From: from, Remote: remote(addr), bodies: l.shared.Bodies, bucket: l.bucket,
		idle: l.cfg.Idle, message: l.cfg.Message, max: l.max, bytes: l.count.bytes, quit: make(chan struct{}),
		proof: proof,
	}
	defer c.Release()
	l.mu.Lock()
	if l.conns == nil { // stopping
		l.mu.Unlock()
		return
	}
	l.conns[c] = struct{}{}
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.conns, c)
		l.mu.Unlock()
	}()
	err := l.speak(ctx, c)
	if reason := c.withdrawn(); reason != nil {
		err = reason
	}
	l.ended(c, err)
}

// speak calls the receiver. A panic there ends this connection and no other.
func (l *Listener) speak(ctx context.Context, c *Conn) (err error) {
	defer func() {
		if p := recover(); p != nil {
			l.log.Error("panic in a receiver", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = refuse("panic", fault.Errorf(fault.Internal, "panic"))
		}
	}()
	return l.stream(ctx, c)
}

// ended counts why a connection ended.
func (l *Listener) ended(c *Conn, err error) {
	if err == nil || errors.Is(err, io.EOF) {
		l.count.closed("end")
		return
	}
	reason := reasonOf(err)
	l.count.closed(reason)
	switch {
	case fault.KindOf(err) == fault.Internal || fault.KindOf(err) == fault.Corrupt:
		l.log.Error("connection closed", "remote", c.Remote.String(), "sender", c.From.Name, "reason", reason, "error", err)
	case reason == "idle" || reason == "broken" || reason == "cut_off":
		l.log.Debug("connection closed", "remote", c.Remote.String(), "sender", c.From.Name, "reason", reason, "error", err)
	case l.refusal.Allow(c.Remote.Addr().String()):
		l.log.Warn("connection closed", "remote", c.Remote.String(), "sender", c.From.Name, "reason", reason, "error", err, "hint", fault.HintOf(err))
	}
}

// drain ends every connection: who waits for a message at once, who is within one
// after a moment, and who does not end then without being asked.
func (l *Listener) drain(cancel context.CancelFunc) {
	l.mu.Lock()
	conns := l.conns
	l.conns = nil
	until := now().Add(stopMessage)
	open := make([]*Conn, 0, len(conns))
	for c := range conns {
		open = append(open, c)
	}
	l.mu.Unlock()
	for _, c := range open {
		c.stop(until)
	}
	done := make(chan struct{})
	go func() { l.wg.Wait(); close(done) }()
	select {
	case <-done:
		return
	case <-time.After(stopGrace):
	}
	l.log.Warn("connections did not end in time and are cut", "grace", stopGrace)
	cancel()
	for _, c := range open {
		c.Conn.Close()
	}
	<-done
}

// refusal is an error with the word under which it is counted.
type refusal struct {
	reason string
	err    error
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

func refuse(reason string, err error) error { return &refusal{reason, err} }

// reasonOf returns the word under which an error is counted: its own, or the
// kind of fault.
func reasonOf(err error) string {
	var r *refusal
	if errors.As(err, &r) {
		return r.reason
	}
	return fault.KindOf(err).String()
}
