// Package fluent receives Fluentd's forward protocol, version 1, as Fluentd,
// Fluent Bit, Docker's log driver and the fluent-logger libraries speak it over
// TCP, TLS and unix sockets.
//
//	message  [tag, time, record, option?]        forward  [tag, [[time, record], …], option?]
//	packed   [tag, bytes of entries, option?], plain, gzip or zstd
//
// in msgpack, or, when a connection begins with { or [, the first two in JSON.
// Times are seconds, EventTimes, or Fluent Bit's [time, metadata]; its group
// markers give the records between them the attributes of their resource.
//
// A record's map is handed on as a JSON object, so that the pipeline recognises
// platforms in it and in its log or message; the tag is the field fluent.tag. A
// record that is wrong in itself is rejected and counted, and its chunk is still
// acknowledged: to send it again would never help.
//
// An option "chunk" asks for an acknowledgement. It is given once the records are
// durable, byte for byte as the chunk was, and a chunk that is sent again is seen
// once: its batch is numbered by sender, chunk and content. Without it the sender
// has forgotten its records before they are durable: what is on its way when the
// server dies is lost. When records cannot be kept, nothing is read and nothing
// acknowledged.
//
// With a shared key each side proves that it knows it, and with users the client
// its password as well; a user may have a tenant of its own. Without, the
// listener is the credential, as with every receiver of package listen.
//
// Raw records point into the connection's buffer until they were handed in.
// Nothing here survives a crash.
package fluent

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/audit"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/identity"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/listen"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Name is the receiver's name in sources and metrics.
const Name = "fluent"

// Config of the receiver. Without listen it is off.
type Config struct {
	listen.Config `yaml:",inline"`
	// SharedKeyFile holds the secret of all clients. "" asks for none.
	SharedKeyFile string `yaml:"shared_key_file"`
	// Users, if there are any, must log in besides.
	Users []User `yaml:"users"`
	// Hostname is what the server calls itself in the handshake ("meshtrail" if
	// empty). Fluentd refuses a server of its own name.
	Hostname string `yaml:"hostname"`
	// UDPHeartbeat answers heartbeats on the UDP port of the same number, for
	// Fluentd with heartbeat_type udp.
	UDPHeartbeat bool `yaml:"udp_heartbeat"`
}

// A User may send with a password.
type User struct {
	Name         string `yaml:"name"`
	PasswordFile string `yaml:"password_file"`
	// Tenant, Class and Platform replace the listener's for this user's records.
	Tenant   string `yaml:"tenant"`
	Class    string `yaml:"class"`
	Platform string `yaml:"platform"`
}

// Validate reports what would keep the receiver from starting. Half of an
// authentication is refused: what asks for less than was meant lets in everyone
// (CVE-2025-12969).
func (c Config) Validate() error {
	errs := []error{c.Config.Validate()}
	bad := func(hint, format string, args ...any) {
		errs = append(errs, fault.WithHint(fault.Errorf(fault.Invalid, format, args...), hint))
	}
	if !c.On() {
		if c.SharedKeyFile != "" || len(c.Users) > 0 || c.Hostname != "" || c.UDPHeartbeat {
			bad("name the address, or remove the other keys", "listen: is missing")
		}
		return errors.Join(errs...)
	}
	if len(c.Users) > 0 && c.SharedKeyFile == "" {
		bad("give shared_key_file: the protocol asks for a user only after the key", "users: without a shared key nobody would be asked to log in")
	}
	if c.Hostname != "" && c.SharedKeyFile == "" {
		bad("give shared_key_file, or remove hostname", "hostname: there is no handshake without a shared key")
	}
	if len(c.Hostname) > 255 {
		bad("", "hostname: has more than 255 bytes")
	}
	if c.UDPHeartbeat && strings.HasPrefix(c.Listen, "unix:") {
		bad("remove udp_heartbeat", "udp_heartbeat: a unix socket has no UDP port")
	}
	names := map[string]bool{}
	for i, u := range c.Users {
		switch {
		case u.Name == "" || len(u.Name) > 255:
			bad("", "users[%d].name: must have 1 to 255 bytes", i)
		case names[u.Name]:
			bad("", "users[%d].name: %q is there twice", i, u.Name)
		}
		names[u.Name] = true
		if u.PasswordFile == "" {
			bad("a user without a password would be let in by its name alone", "users[%d].password_file: is missing", i)
		}
		if u.Tenant != "" && !record.ValidName(u.Tenant) {
			bad("", "users[%d].tenant: %q is no name of a tenant", i, u.Tenant)
		}
		if u.Class != "" && !record.ValidName(u.Class) {
			bad("", "users[%d].class: %q is no name of a class", i, u.Class)
		}
		if !pipeline.KnownPlatform(u.Platform) {
			bad("leave it out to detect by shape", "users[%d].platform: unknown platform %q", i, u.Platform)
		}
	}
	return errors.Join(errs...)
}

// A Receiver takes forward connections.
type Receiver struct {
	cfg      Config
	inlet    *receive.Inlet
	auth     *auth // nil: none is asked for
	max      int64 // bytes of a message
	listener *listen.Listener
	audit    audit.Recorder    // may be nil
	denials  *identity.Limiter // of what is put on record, by address
}

// New returns the receiver, and reads its secrets. Nothing is opened yet.
func New(cfg Config, s receive.Shared) (*Receiver, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r := &Receiver{cfg: cfg, inlet: receive.NewInlet(Name, s), audit: s.Audit, denials: identity.NewLimiter(time.Now)}
	if !cfg.On() {
		return r, nil
	}
	// A packed chunk is what it decodes to; Fluentd's are up to 256 MiB if its
	// buffer is in files.
	r.max = r.inlet.Limits.Decoded
	var err error
	if r.auth, err = newAuth(&cfg); err != nil {
		return nil, err
	}
	s.Bodies = r.inlet.Bodies
	r.listener, err = listen.New(Name, cfg.Config, s, listen.Streams(r.serve), listen.MaxMessage(int(r.max)))
	return r, err
}

// Info describes the receiver.
func Info() receive.Info {
	return receive.Info{
		Name: Name, Protocol: "Fluent forward (Fluentd, Fluent Bit)", Versions: "1, msgpack and JSON, gzip and zstd",
		Over:       "TCP, TLS, unix socket; usually port 24224",
		Ack:        "the chunk, once durable, to senders that ask (require_ack_response); a chunk sent again is seen once",
		Credential: "the listener (allow, client certificate), shared key, user and password",
		Limits:     "one message receive.decoded_bytes",
		Tested:     []string{"fluent-logger-golang 1.10.2", "@fluent-org/logger 1.0.10: 0 lost, 540 twice (it gives a chunk another id)", "Fluent Bit 5.1.1: 0 lost, 0 twice", "Fluentd 1.16.11: 0 lost, 0 twice"},
	}
}

// Listeners returns the listener, or none if it is off.
func (r *Receiver) Listeners() []*listen.Listener {
	if r.listener == nil {
		return nil
	}
	return []*listen.Listener{r.listener}
}

// Run answers heartbeats over UDP until ctx ends, if that is configured.
func (r *Receiver) Run(ctx context.Context) error {
	if !r.cfg.UDPHeartbeat || !r.cfg.On() {
		<-ctx.Done()
		return nil
	}
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(ctx, "udp", r.cfg.Listen)
	if err != nil {
		return fault.Errorf(fault.Conflict, "listen for heartbeats on udp %s: %w", r.cfg.Listen, err)
	}
	return heartbeats(ctx, pc)
}

// heartbeats answers every datagram with one zero byte until ctx ends, and closes
// pc. An answer is never larger than what it answers.
func heartbeats(ctx context.Context, pc net.PacketConn) error {
	defer context.AfterFunc(ctx, func() { pc.Close() })()
	defer pc.Close()
	var b [1]byte
	for {
		_, from, err := pc.ReadFrom(b[:])
		switch {
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return nil
		case err != nil: // what a peer's host said of an answer; never many at once
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		pc.WriteTo([]byte{0}, from)
	}
}
