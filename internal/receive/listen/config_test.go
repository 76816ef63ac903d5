package listen

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
)

func TestValidate(t *testing.T) {
	f := func(c Config, want string) {
		t.Helper()
		err := c.Validate()
		switch {
		case want == "" && err != nil:
			t.Errorf("%+v: %v", c, err)
		case want != "" && (!fault.Is(err, fault.Invalid) && err == nil || err != nil && !strings.Contains(err.Error(), want) || err == nil):
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
	f(Config{}, "")
	f(Config{Listen: "127.0.0.1:0"}, "")
	f(Config{Listen: "[::1]:0"}, "")
	f(Config{Listen: "localhost:514", Allow: []string{"10.0.0.0/8"}}, "")
	f(Config{Listen: "unix:/run/x.sock"}, "")
	f(Config{Listen: "0.0.0.0:514", Plaintext: true, Allow: []string{"10.0.0.0/8", "192.168.1.7", "fd00::/8"}}, "")
	f(Config{Listen: ":6514", TLSCert: "c", TLSKey: "k", ClientCA: "ca"}, "")
	f(Config{Listen: ":6514", TLSCert: "c", TLSKey: "k", Allow: []string{"0.0.0.0/0"}}, "")

	f(Config{Tenant: "shop"}, "listen: is missing")
	f(Config{Listen: "514"}, "listen: address")
	f(Config{Listen: "unix:run/x.sock"}, "begins with /")
	f(Config{Listen: "unix:/run/x.sock", Mode: 0o666}, "")
	f(Config{Listen: "127.0.0.1:1", Mode: 0o666}, "mode: only a unix socket")
	f(Config{Listen: "0.0.0.0:514", Allow: []string{"10.0.0.0/8"}}, "without TLS")
	f(Config{Listen: ":514", Allow: []string{"10.0.0.0/8"}}, "without TLS")
	f(Config{Listen: "logs.example:514", Allow: []string{"10.0.0.0/8"}}, "without TLS")
	f(Config{Listen: "0.0.0.0:514", Plaintext: true}, "for everyone")
	f(Config{Listen: ":6514", TLSCert: "c", TLSKey: "k"}, "for everyone")
	f(Config{Listen: "127.0.0.1:0", TLSCert: "c"}, "belong together")
	f(Config{Listen: "127.0.0.1:0", ClientCA: "ca"}, "client_ca:")
	f(Config{Listen: "127.0.0.1:0", Clients: []string{"x"}}, "clients:")
	f(Config{Listen: "127.0.0.1:0", Allow: []string{"10.0.0.0/33"}}, "allow:")
	f(Config{Listen: "127.0.0.1:0", Allow: []string{"::ffff:10.0.0.0/104"}}, "IPv4")
	f(Config{Listen: "127.0.0.1:0", Tenant: "a b"}, "tenant:")
	f(Config{Listen: "127.0.0.1:0", Class: "a b"}, "class:")
	f(Config{Listen: "127.0.0.1:0", Source: "a b"}, "source:")
	f(Config{Listen: "127.0.0.1:0", Platform: "vax"}, "platform:")
	f(Config{Listen: "127.0.0.1:0", Connections: -1}, "connections:")
	f(Config{Listen: "127.0.0.1:0", Connections: 9, ConnectionsPerAddress: 9}, "")
	f(Config{Listen: "127.0.0.1:0", Connections: 9, ConnectionsPerAddress: 10}, "connections_per_address:")
	f(Config{Listen: "127.0.0.1:0", ConnectionsPerAddress: -1}, "connections_per_address:")
	f(Config{Listen: "127.0.0.1:0", Idle: time.Millisecond}, "idle and message")
	f(Config{Listen: "127.0.0.1:0", BytesPerSecond: 10}, "bytes_per_second:")
	if err := (Config{Listen: "127.0.0.1:0", TLSCert: "c", TLSKey: "k"}).ValidateDatagrams(); err == nil {
		t.Error("TLS over datagrams is valid")
	}
	if err := (Config{Listen: "0.0.0.0:514", Allow: []string{"10.0.0.0/8"}}).ValidateDatagrams(); err == nil {
		t.Error("datagrams beyond loopback need no plaintext: true")
	}
}

func TestAllow(t *testing.T) {
	list, err := parseAllow([]string{"10.0.0.0/8", "192.168.1.7", "fd00::/8"})
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]bool{
		"10.200.1.1": true, "::ffff:10.1.1.1": true, "192.168.1.7": true, "192.168.1.8": false,
		"fd00::1%eth0": true, "fe80::1": false, "127.0.0.1": false,
	} {
		if got := list.allows(netip.MustParseAddr(addr), false); got != want {
			t.Errorf("%s: %v", addr, got)
		}
		// The list stands beside certificates, it is not replaced by them.
		if got := list.allows(netip.MustParseAddr(addr), true); got != want {
			t.Errorf("%s with a certificate: %v", addr, got)
		}
	}
	var none allowList
	for addr, want := range map[string]bool{"127.0.0.1": true, "::1": true, "::ffff:127.0.0.1": true, "10.0.0.1": false} {
		if got := none.allows(netip.MustParseAddr(addr), false); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
	if none.allows(netip.Addr{}, false) {
		t.Error("no address is allowed")
	}
}

func TestBucket(t *testing.T) {
	at := time.Unix(1000, 0)
	defer func(f func() time.Time) { now = f }(now)
	now = func() time.Time { return at }
	if newBucket(0).take(1<<30) != 0 {
		t.Error("no bound holds somebody back")
	}
	b := newBucket(1000)
	if d := b.take(100); d != 0 {
		t.Errorf("a tenth of a second ahead: %v", d)
	}
	if d := b.take(1000); d != time.Second {
		t.Errorf("a second more: %v", d)
	}
	at = at.Add(10 * time.Second)
	if d := b.take(100); d != 0 {
		t.Errorf("after a rest: %v", d)
	}
	if d := b.take(100); d != 100*time.Millisecond {
		t.Errorf("what was not taken was saved: %v", d)
	}
}
