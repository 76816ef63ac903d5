// Package syslog receives syslog: RFC 5424 and RFC 3164 with all that is sent
// under their names, over UDP, unix datagrams, TCP and TLS (RFC 5425), framed as
// RFC 6587 describes, each message by its own first byte.
//
// It reads the header and leaves the message to the pipeline: what nginx, HAProxy
// or an application wrote is recognised there. Nothing of a message is lost: what
// does not fit a header stays in the text, and a message that fits nothing is
// text as a whole, with the priority user.notice (RFC 3164 section 4.3.3).
//
// Names are those of OpenTelemetry's logs data model, appendix A: HOSTNAME is
// host.name, APP-NAME is the service of a record that names none (and always
// syslog.appname), PROCID and MSGID are syslog.procid and syslog.msgid, a
// parameter of structured data is syslog.sd.ID.NAME.
//
// Syslog has no acknowledgement. A connection's messages are handed in as they
// come, many at once and without waiting for more; while that does not succeed
// the connection is not read, so TCP holds the sender back. What a sender had
// written when the server was killed, and what a queue of datagrams has no room
// for, is lost, and nobody is told: the receiver is labelled lossy.
//
// Raw records alias the connection's buffer until Ingest returns. Nothing here
// survives a crash.
package syslog

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/listen"
)

// Name is the receiver's name in sources and metrics.
const Name = "syslog"

// Config of the receiver. The zero Config is off.
type Config struct {
	// UDP takes one message a datagram.
	UDP listen.Config `yaml:"udp"`
	// TCP is plain.
	TCP listen.Config `yaml:"tcp"`
	// TLS needs tls_cert and tls_key.
	TLS listen.Config `yaml:"tls"`
	// Unix takes datagrams at unix:PATH, as /dev/log does.
	Unix listen.Config `yaml:"unix"`
	// TimeZone is where the clocks of senders stand that write no zone (RFC 3164):
	// a name of the IANA database, or Local; UTC if empty.
	TimeZone string `yaml:"time_zone"`
	// Message is the size of one message in bytes (default 1 MiB, which is also
	// the size of the largest record).
	Message int `yaml:"message_bytes"`
}

// idle is the default of how long a connection may stand without a message. It is
// long because a sender that does not notice a closed connection loses the next
// message; TCP's own probes find the peers that are gone.
const idle = 24 * time.Hour

// maxMessage is the default of Config.Message.
const maxMessage = 1 << 20

// Validate reports what would keep the receiver from starting.
func (c Config) Validate() error {
	errs := slices.Concat(
		receive.Part("udp", c.UDP.ValidateDatagrams()), receive.Part("tcp", c.TCP.Validate()),
		receive.Part("tls", c.TLS.Validate()), receive.Part("unix", c.Unix.ValidateDatagrams()),
	)
	if c.TLS.On() && c.TLS.TLSCert == "" {
		errs = append(errs, fault.WithHint(fault.Errorf(fault.Invalid, "tls.tls_cert: is missing"), "give tls_cert and tls_key, or use tcp"))
	}
	if _, err := c.location(); err != nil {
		errs = append(errs, err)
	}
	if c.Message != 0 && (c.Message < 1<<10 || c.Message > 16<<20) {
		errs = append(errs, fault.Errorf(fault.Invalid, "message_bytes: %d is not within 1KiB and 16MiB", c.Message))
	}
	return errors.Join(errs...)
}

func (c Config) location() (*time.Location, error) {
	if c.TimeZone == "" {
		return time.UTC, nil
	}
	loc, err := time.LoadLocation(c.TimeZone)
	if err != nil {
		return nil, fault.WithHint(fault.Errorf(fault.Invalid, "time_zone: %w", err), "write a name as Europe/Berlin; the system's zoneinfo must be installed")
	}
	return loc, nil
}

// Info says what the receiver is.
func Info() receive.Info {
	return receive.Info{
		Name: Name, Protocol: "syslog", Versions: "RFC 5424, RFC 3164; framing of RFC 6587, TLS of RFC 5425",
		Over:       "UDP, TCP, TLS, unix datagrams",
		Lossy:      true,
		Credential: "the listener: its networks (allow), or client certificates",
		Limits:     "1 MiB a message; 256 parameters of structured data (more stay text)",
		Tested: []string{
			"rsyslog 8.2302 (omfwd: LF, octet-counted, UDP, TLS)", "syslog-ng 3.38 (network, syslog, UDP)",
			"util-linux logger 2.38", "nginx 1.22", "HAProxy 2.6 (UDP, TCP ring)", "Fluent Bit 5.1.1 (TCP)",
		},
	}
}

// A Receiver takes syslog on the listeners of its configuration.
type Receiver struct {
	inlet     *receive.Inlet
	loc       *time.Location
	max       int
	now       func() time.Time
	listeners []*listen.Listener
}

// New returns a receiver. It opens no port: its Listeners do.
func New(cfg Config, s receive.Shared) (*Receiver, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	loc, err := cfg.location()
	if err != nil {
		return nil, err
	}
	r := &Receiver{inlet: receive.NewInlet(Name, s), loc: loc, max: cfg.Message, now: time.Now}
	if r.max == 0 {
		r.max = maxMessage
	}
	add := func(c listen.Config, opts ...listen.Option) error {
		if !c.On() {
			return nil
		}
		if c.Idle == 0 {
			c.Idle = idle
		}
		l, err := listen.New(Name, c, s, append(opts, listen.MaxMessage(r.max+maxDigits+1))...)
		r.listeners = append(r.listeners, l)
		return err
	}
	return r, errors.Join(
		add(cfg.UDP, listen.Datagrams(r.datagrams())), add(cfg.Unix, listen.Datagrams(r.datagrams())),
		add(cfg.TCP, listen.Streams(r.stream)), add(cfg.TLS, listen.Streams(r.stream)),
	)
}

// Listeners returns the ports.
func (r *Receiver) Listeners() []*listen.Listener { return r.listeners }

// A lane hands in the messages of one connection, or of one socket, in order.
type lane struct {
	r   *Receiver
	dec decoder
}

func (r *Receiver) lane() *lane {
	return &lane{r: r, dec: decoder{walls: walls{loc: r.loc}}}
}

// maxBatch bounds the records of one Ingest: two bytes can make one.
const maxBatch = 8192

// begin takes a set for the messages that follow.
func (l *lane) begin() {
	l.dec.set = receive.NewSet()
	l.dec.at(l.r.now())
}

// hand hands in what was decoded from size bytes.
func (l *lane) hand(ctx context.Context, from receive.Sender, size int) error {
	set := l.dec.set
	l.dec.set = nil
	defer set.Release()
	if _, err := l.r.inlet.IngestLossy(ctx, from, set, size); err != nil {
		return fault.Errorf(fault.KindOf(err), "%d records were read and are not kept: %w", set.Total(), err)
	}
	return nil
}

func (l *lane) tooLarge() {
	l.dec.set.Reject("too_large", "message is larger than "+strconv.Itoa(l.r.max)+" bytes", 1)
}

// stream speaks on one connection.
func (r *Receiver) stream(ctx context.Context, c *listen.Conn) error {
	l, f := r.lane(), framing{max: r.max}
	l.dec.peer(c.Remote)
	for {
		if err := c.Await(); err != nil {
			return err
		}
		for {
			b := c.Buffered()
			n := l.messages(&f, b)
			if err := l.hand(ctx, c.From, n); err != nil {
				return err
			}
			c.Discard(n)
			if n > 0 {
				break
			}
			if err := c.More(); err != nil {
				return errors.Join(r.last(ctx, l, &f, c), ending(err))
			}
		}
	}
}

// ending returns nil for the end of a connection, be it within a line: not every
// sender ends its last one.
func ending(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// messages decodes the whole messages at the start of b into a new set and
// returns how many bytes they take.
func (l *lane) messages(f *framing, b []byte) (taken int) {
	l.begin()
	for len(l.dec.set.Raws) < maxBatch && !l.dec.set.Full() {
		msg, n, large := f.next(b[taken:])
		if n == 0 {
			break
		}
		taken += n
		if large {
			l.tooLarge()
		} else {
			l.dec.decode(msg)
		}
	}
	return taken
}

// last keeps a message that the end of the connection cut off.
func (r *Receiver) last(ctx context.Context, l *lane, f *framing, c *listen.Conn) error {
	b := c.Buffered()
	l.begin()
	l.dec.decode(f.rest(b))
	c.Discard(len(b))
	return l.hand(ctx, c.From, len(b))
}

// datagrams returns a function that takes one message a datagram.
func (r *Receiver) datagrams() listen.Packets {
	l := r.lane()
	return func(ctx context.Context, from receive.Sender, batch []listen.Packet) error {
		for len(batch) > 0 {
			l.begin()
			n, size := 0, 0
			for ; n < len(batch) && n < maxBatch; n++ {
				p := &batch[n]
				size += len(p.Data)
				if len(p.Data) > r.max {
					l.tooLarge()
					continue
				}
				l.dec.peer(p.Remote)
				l.dec.decode(p.Data)
			}
			if err := l.hand(ctx, from, size); err != nil {
				return err
			}
			batch = batch[n:]
		}
		return nil
	}
}
