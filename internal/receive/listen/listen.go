// Package listen serves receivers whose protocol is not HTTP: it opens their ports,
// says who sends, and bounds what a connection may cost. A receiver adds a function
// that speaks its protocol on one connection (Streams), or takes what came in
// datagrams (Datagrams).
//
//	l, err := listen.New(Name, cfg.Config, shared, listen.Streams(r.serve), listen.MaxMessage(1<<20))
//
//	func (r *Receiver) serve(ctx context.Context, c *listen.Conn) error {
//		for {
//			if err := c.Await(); err != nil { // io.EOF: the end
//				return err
//			}
//			head, err := c.Peek(6)
//			…
//			c.Discard(n)
//		}
//	}
//
// Who sends: these protocols carry no credential that names a tenant (forward's
// shared key only proves that the sender may speak at all). So the listener is
// the credential: an operator opens a port for one tenant and names the networks
// that may use it, and with client_ca each sender must prove itself with a
// certificate, whose SPIFFE ID (or common name) is then the sender's name. A
// listener that nothing restricts does not start beyond loopback, and neither
// does one without TLS, unless the configuration says plaintext in so many words.
//
// A certificate is not only asked for once: a connection whose certificate expires,
// or is of an authority that a Reload took away, ends within a minute.
//
// Bounds: connections at once and of them those of one address, bytes in memory (receive.Bodies), how long a
// connection may stand idle, and how long one message may take to arrive. A
// connection over a bound is closed and counted under its reason; the others are
// unharmed. Overload is met by not reading: TCP then tells the sender. Datagrams
// cannot be told: what the queue has no room for is dropped and counted.
//
// Memory: a connection owns one buffer, small until a message needs more, and
// accounted in receive.Bodies beyond that. What Peek and Buffered return is lent
// until the next call that reads.
//
// At shutdown listeners close first, then connections get a moment to end what
// they have handed in. Nothing here survives a crash.
package listen

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/identity"
	"github.com/meshtrail/meshtrail/internal/receive"
)

// A Stream speaks a protocol on one connection until it ends. It returns nil or
// io.EOF at a regular end; another error is counted by its kind and logged, and
// closes the connection. ctx ends when the grace of a shutdown is over; before
// that Await reports io.EOF. The connection's deadlines are the listener's business:
// a Stream calls Await before each message.
type Stream func(ctx context.Context, c *Conn) error

// A Packet is one datagram. Data is lent until the Packets function returns.
type Packet struct {
	Remote netip.AddrPort
	Data   []byte
}

// A Packets function takes the datagrams that have come in since it was last
// called, oldest first. One goroutine at a time calls it, so it may keep state
// between calls. There is nobody to tell of an error: it is counted and logged.
type Packets func(ctx context.Context, from receive.Sender, batch []Packet) error

// A Listener is one port, or unix socket, of a receiver.
type Listener struct {
	name    string // of the receiver
	cfg     Config
	shared  receive.Shared
	stream  Stream
	packets Packets
	max     int // bytes of a message

	allow   allowList
	tls     *httpd.TLS // nil: plaintext
	bucket  *bucket
	log     *slog.Logger
	count   *counters
	refusal *identity.Limiter

	listener net.Listener
	packet   net.PacketConn

	mu    sync.Mutex
	conns map[*Conn]struct{}
	open  int                // connections, those in their handshake too
	from  map[netip.Addr]int // the same, by sharer
	wg    sync.WaitGroup

	changed chan struct{} // Reload was called
}

// An Option of a Listener.
type Option func(*Listener)

// Streams makes f speak on each connection.
func Streams(f Stream) Option { return func(l *Listener) { l.stream = f } }

// Datagrams makes f take what comes in by UDP (or in unix datagrams).
func Datagrams(f Packets) Option { return func(l *Listener) { l.packets = f } }

// MaxMessage bounds one message of a stream, in bytes as received; the default
// is Limits.Body of the shared Bodies.
func MaxMessage(n int) Option { return func(l *Listener) { l.max = n } }

// New checks the configuration and returns a listener of the receiver of this
// name, with exactly one of Streams and Datagrams. It opens nothing but
// certificates.
func New(name string, cfg Config, s receive.Shared, opts ...Option) (*Listener, error) {
	if s.Bodies == nil {
		s.Bodies = receive.NewBodies(receive.Limits{})
	}
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Listener{name: name, shared: s, max: int(s.Bodies.Limits().Body), conns: map[*Conn]struct{}{}, from: map[netip.Addr]int{}, changed: make(chan struct{}, 1)}
	for _, o := range opts {
		o(l)
	}
	if (l.stream == nil) == (l.packets == nil) {
		return nil, fault.Errorf(fault.Internal, "listener %s: want one of Streams and Datagrams", name)
	}
	var err error
	if l.packets != nil {
		err = cfg.ValidateDatagrams()
	} else {
		err = cfg.Validate()
	}
	if err != nil {
		return nil, err
	}
	if !cfg.On() {
		return nil, fault.Errorf(fault.Internal, "listener %s without an address", name)
	}
	l.cfg = cfg.WithDefaults()
	if most := s.Places.Most(); most > 0 && cfg.ConnectionsPerAddress == 0 {
		l.cfg.ConnectionsPerAddress = min(l.cfg.ConnectionsPerAddress, (most+1)/2)
	}
	if l.allow, err = parseAllow(cfg.Allow); err != nil {
		return nil, err
	}
	if cfg.TLSCert != "" {
		if l.tls, err = httpd.NewTLS(cfg.TLSCert, cfg.TLSKey, cfg.ClientCA, true); err != nil {
			return nil, err
		}
	}
	l.log = s.Logger.With("receiver", name, "listen", cfg.Listen)
	l.bucket = newBucket(cfg.BytesPerSecond)
	l.count = newCounters(s.Metrics, l.sender("").Source)
	l.refusal = identity.NewLimiter(now)
	return l, nil
}

// Name returns the name of the source without that of a single sender.
func (l *Listener) Name() string { return l.sender("").Source }

// lossy reports whether nobody is told of records that are lost on their way here.
func (l *Listener) lossy() bool { return l.packets != nil || l.shared.Lossy }

// sender returns who sends: the listener itself, or, with a certificate, the
// certificate's name.
func (l *Listener) sender(certificate string) receive.Sender {
	s := receive.Sender{Tenant: l.cfg.tenant(), Name: l.name, Platform: l.cfg.Platform, Class: l.cfg.class(), Lossy: l.lossy()}
	source := l.name
	switch {
	case l.cfg.Source != "":
		source += "/" + l.cfg.Source
	case certificate == "":
		source += "/" + l.transport()
	}
	s.Name = source
	if certificate != "" {
		s.Name = certificate
		source += "/" + certificate
	}
	s.Source = receive.SourceName(source)
	return s
}

// transport is udp, tcp, tls or unix.
func (l *Listener) transport() string {
	switch {
	case l.cfg.unix() != "":
		return "unix"
	case l.packets != nil:
		return "udp"
	case l.cfg.TLSCert != "":
		return "tls"
	}
	return "tcp"
}

// Addr returns the address, after Listen.
func (l *Listener) Addr() net.Addr {
	if l.packet != nil {
		return l.packet.LocalAddr()
	}
	return l.listener.Addr()
}

// Reload reads the certificates again. On error the old ones stay in use. Who was
// let in by an authority that is gone is let out.
func (l *Listener) Reload() error {
	if l.tls == nil {
		return nil
	}
	err := l.tls.Reload()
	select {
	case l.changed <- struct{}{}:
	default:
	}
	return err
}
