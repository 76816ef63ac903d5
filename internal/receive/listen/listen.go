// Package listen is the frame of receivers whose protocol is not HTTP: it opens
// their ports, says who sends, and bounds what a connection may cost. A receiver
// adds a function that speaks its protocol on one connection, or takes one
// datagram.
//
// Who sends: these protocols carry no credential that names a tenant (forward's
// shared key only proves that the sender may speak at all). So the listener is
// the credential: an operator opens a port for one tenant and names the networks
// that may use it, and with client_ca each sender must prove itself with a
// certificate, whose SPIFFE ID (or common name) is then the sender's name. A
// listener that nothing restricts does not start beyond loopback, and neither
// does one without TLS, unless the configuration says plaintext in so many words.
//
// Bounds: connections at once, bytes in memory (receive.Bodies), how long a
// connection may stand idle, and how long one message may take to arrive. A
// connection over a bound is closed and counted under its reason; the others are
// unharmed. Overload is met by not reading: TCP then tells the sender.
//
// At shutdown listeners close first, then connections get a moment to end what
// they have handed in. Nothing here survives a crash.
package listen

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Config of one listener. Receivers embed it in theirs, inline.
type Config struct {
	// Listen is host:port; "" is off.
	Listen string `yaml:"listen"`
	// TLSCert and TLSKey are PEM files. SIGHUP reads them again.
	TLSCert string `yaml:"tls_cert"`
	TLSKey  string `yaml:"tls_key"`
	// ClientCA is a PEM file: who connects must show a certificate that it signed.
	ClientCA string `yaml:"client_ca"`
	// Clients are the SPIFFE IDs or common names that are let in; without any,
	// every certificate of ClientCA is.
	Clients []string `yaml:"clients"`
	// Allow are the networks that may send (CIDR or address); loopback if empty.
	Allow []string `yaml:"allow"`
	// Plaintext lets a listener beyond loopback run without TLS.
	Plaintext bool `yaml:"plaintext"`
	// Tenant owns what comes in here ("default" if empty).
	Tenant string `yaml:"tenant"`
	// Source names the listener in counts and in log.source (the receiver's name
	// if empty).
	Source string `yaml:"source"`
	// Platform declares what the records are ("" detects it).
	Platform string `yaml:"platform"`
	// Class is the retention class where no rule gives another.
	Class string `yaml:"class"`
	// Connections is how many may be open at once (default 10,000).
	Connections int `yaml:"connections"`
	// Idle is how long a connection may stand without a byte (default 10m).
	Idle time.Duration `yaml:"idle"`
	// Message is how long one message may take to arrive once it began (default 1m).
	Message time.Duration `yaml:"message"`
	// BytesPerSecond bounds what is read of all connections together; 0 is no bound.
	BytesPerSecond int64 `yaml:"bytes_per_second"`
}

// A Conn is one connection of a sender who may send.
type Conn struct {
	net.Conn
	From   receive.Sender
	Remote netip.AddrPort
}

// A Stream speaks a protocol on one connection until it ends. It returns nil at
// a regular end; an error is counted by its kind and logged, and closes the
// connection. ctx ends at shutdown. The connection's deadlines are the frame's
// business: a Stream calls Await before each message.
type Stream func(ctx context.Context, c *Conn) error

// A Datagram takes one datagram. data is lent until it returns.
type Datagram func(ctx context.Context, from receive.Sender, remote netip.AddrPort, data []byte)

// Class returns the class of a Config in the house's type.
func (c Config) class() record.Class { return record.Class(c.Class) }
