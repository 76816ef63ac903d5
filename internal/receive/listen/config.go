package listen

import (
	"errors"
	"net"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/identity"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Config of one listener. Receivers embed it in theirs, inline.
type Config struct {
	// Listen is host:port, or unix:PATH; "" is off.
	Listen string `yaml:"listen"`
	// TLSCert and TLSKey are PEM files. SIGHUP reads them again.
	TLSCert string `yaml:"tls_cert"`
	TLSKey  string `yaml:"tls_key"`
	// ClientCA is a PEM file: who connects must show a certificate that it signed.
	ClientCA string `yaml:"client_ca"`
	// Clients are the SPIFFE IDs or common names that are let in; without any,
	// every certificate of ClientCA is.
	Clients []string `yaml:"clients"`
	// Allow are the networks that may send (CIDR or address); loopback if empty,
	// or, with ClientCA, everyone who has a certificate.
	Allow []string `yaml:"allow"`
	// Plaintext lets a listener beyond loopback run without TLS.
	Plaintext bool `yaml:"plaintext"`
	// Tenant owns what comes in here ("default" if empty).
	Tenant string `yaml:"tenant"`
	// Source names the listener in counts and in log.source, after the receiver's
	// name: syslog/edge. If it is empty the transport does: syslog/udp.
	Source string `yaml:"source"`
	// Platform declares what the records are ("" detects it).
	Platform string `yaml:"platform"`
	// Class is the retention class where no rule gives another.
	Class string `yaml:"class"`
	// Connections is how many may be open at once (default 10,000).
	Connections int `yaml:"connections"`
	// ConnectionsPerAddress is how many of them may come from one address, or one
	// IPv6 network of 64 bits (default: half of those that may be open).
	ConnectionsPerAddress int `yaml:"connections_per_address"`
	// Mode is the file mode of a unix socket, in octal: 0660 if it is not given, 0666
	// for one that every program of the machine may send to, as to /dev/log.
	Mode Mode `yaml:"mode"`
	// Idle is how long a connection may stand without a byte (default 10m).
	Idle time.Duration `yaml:"idle"`
	// Message is how long one message may take to arrive once it began (default 1m).
	Message time.Duration `yaml:"message"`
	// BytesPerSecond bounds what is read of all connections together; 0 is no bound.
	BytesPerSecond int64 `yaml:"bytes_per_second"`
}

// A Mode is a file mode that is written in octal.
type Mode uint32

// UnmarshalText reads 0660, 660 or 0o660.
func (m *Mode) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(strings.TrimPrefix(string(text), "0o"), 8, 32)
	if err != nil || n == 0 || n > 0o777 {
		return fault.Errorf(fault.Invalid, "want a file mode in octal, as 0660")
	}
	*m = Mode(n)
	return nil
}

// On reports whether there is something to listen on.
func (c Config) On() bool { return c.Listen != "" }

// WithDefaults returns c with its zero bounds filled in.
func (c Config) WithDefaults() Config {
	if c.Connections == 0 {
		c.Connections = 10_000
	}
	if c.ConnectionsPerAddress == 0 {
		c.ConnectionsPerAddress = (c.Connections + 1) / 2
	}
	if c.Mode == 0 {
		c.Mode = 0o660
	}
	if c.Idle == 0 {
		c.Idle = 10 * time.Minute
	}
	if c.Message == 0 {
		c.Message = time.Minute
	}
	return c
}

func (c Config) tenant() record.TenantID {
	if c.Tenant == "" {
		return identity.DefaultTenant
	}
	return record.TenantID(c.Tenant)
}

func (c Config) class() record.Class { return record.Class(c.Class) }

// unix returns the path of a unix socket, or "".
func (c Config) unix() string {
	path, _ := strings.CutPrefix(c.Listen, "unix:")
	if path == c.Listen {
		return ""
	}
	return path
}

// Validate reports what would keep a listener of connections from starting. A
// Config that is off is valid only when nothing else of it is set.
func (c Config) Validate() error { return c.validate(false) }

// ValidateDatagrams does the same for one that takes datagrams.
func (c Config) ValidateDatagrams() error { return c.validate(true) }

func (c Config) validate(datagrams bool) error {
	if !c.On() {
		if !reflect.ValueOf(c).IsZero() {
			return fault.WithHint(fault.Errorf(fault.Invalid, "listen: is missing"), "name the address, or remove the other keys of this listener")
		}
		return nil
	}
	var errs []error
	bad := func(hint, format string, args ...any) {
		errs = append(errs, fault.WithHint(fault.Errorf(fault.Invalid, format, args...), hint))
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		bad("give both files, or neither", "tls_cert and tls_key belong together: only one is set")
	}
	if c.ClientCA != "" && c.TLSCert == "" {
		bad("give tls_cert and tls_key", "client_ca: there are no client certificates without TLS")
	}
	if len(c.Clients) > 0 && c.ClientCA == "" {
		bad("name the authority that signed their certificates", "clients: need client_ca")
	}
	if datagrams && c.TLSCert != "" {
		bad("remove tls_cert; over UDP say plaintext: true, or use TCP", "tls_cert: there is no TLS over datagrams here")
	}
	if _, err := parseAllow(c.Allow); err != nil {
		errs = append(errs, err)
	}
	if err := c.checkAddress(datagrams); err != nil {
		errs = append(errs, err)
	}
	if c.Tenant != "" && !record.ValidName(c.Tenant) {
		bad("", "tenant: %q is no name of a tenant", c.Tenant)
	}
	if c.Class != "" && !record.ValidName(c.Class) {
		bad("", "class: %q is no name of a class", c.Class)
	}
	if c.Source != "" && !record.ValidName(c.Source) {
		bad("", "source: %q is no name", c.Source)
	}
	if !pipeline.KnownPlatform(c.Platform) {
		bad("leave it out to detect by shape", "platform: unknown platform %q", c.Platform)
	}
	d := c.WithDefaults()
	if d.Connections < 1 || d.Connections > 1_000_000 {
		bad("", "connections: %d is not within 1 and 1000000", d.Connections)
	}
	if n := d.ConnectionsPerAddress; n < 1 || n > max(d.Connections, 1) {
		bad("behind a balancer that hides the senders, say as many as connections", "connections_per_address: %d is not within 1 and connections, %d", n, d.Connections)
	}
	if c.Mode != 0 && c.unix() == "" {
		bad("remove it; allow: names who may send to a port", "mode: only a unix socket has a file mode")
	}
	if d.Idle < time.Second || d.Message < time.Second {
		bad("", "idle and message: both must be at least 1s")
	}
	if d.BytesPerSecond != 0 && d.BytesPerSecond < 1024 {
		bad("0 is no bound", "bytes_per_second: %d is less than 1KiB", d.BytesPerSecond)
	}
	return errors.Join(errs...)
}

// checkAddress refuses what nobody may start by mistake: a port beyond loopback
// that anybody may send to, or read on its way.
func (c Config) checkAddress(datagrams bool) error {
	if path := c.unix(); path != "" {
		if !strings.HasPrefix(path, "/") || len(path) > 100 {
			return fault.Errorf(fault.Invalid, "listen: the path of a unix socket begins with / and has at most 100 bytes")
		}
		return nil // the folder's permissions say who may send
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fault.WithHint(fault.Errorf(fault.Invalid, "listen: address %q: %w", c.Listen, err), "write it as HOST:PORT, or unix:/PATH")
	}
	if httpd.Loopback(host) {
		return nil
	}
	if c.TLSCert == "" && !c.Plaintext {
		hint := "give tls_cert and tls_key, or say plaintext: true if the network may read and forge these records"
		if datagrams {
			hint = "say plaintext: true and name the networks that may send (allow: [10.0.0.0/8]) if the network may read and forge these records; or use TCP with TLS"
		}
		return fault.WithHint(fault.Errorf(fault.Invalid, "listen: refuse to listen on %s without TLS: it is not a loopback address", c.Listen), hint)
	}
	if c.ClientCA == "" && len(c.Allow) == 0 {
		return fault.WithHint(fault.Errorf(fault.Invalid, "listen: refuse to listen on %s for everyone: the listener is the only credential of this protocol", c.Listen),
			"name the networks that may send (allow: [10.0.0.0/8]), or the authority of their certificates (client_ca)")
	}
	return nil
}

// An allowList says which addresses may send. nil allows loopback alone.
type allowList []netip.Prefix

func parseAllow(list []string) (allowList, error) {
	var out allowList
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, err := netip.ParseAddr(s)
			if err != nil {
				return nil, fault.WithHint(fault.Errorf(fault.Invalid, "allow: %q is neither a network nor an address", s), "write it as 10.0.0.0/8 or 10.1.2.3")
			}
			a = a.Unmap()
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if p.Addr().Is4In6() {
			return nil, fault.Errorf(fault.Invalid, "allow: write %q as an IPv4 network", s)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// allows reports whether addr may send to a listener. certificates says that it
// must show one besides.
func (l allowList) allows(addr netip.Addr, certificates bool) bool {
	addr = addr.Unmap().WithZone("")
	if len(l) == 0 {
		return certificates || addr.IsLoopback()
	}
	for _, p := range l {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
