package facts

import (
	"testing"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/record"
)

func TestDecimal(t *testing.T) {
	for in, want := range map[string]int64{"0.123": 123_000_000, "12": 12_000_000_000, "0": 0, "1.000000001": 1_000_000_001, "0.0000000019": 1,
		"": -1, "-": -1, "-1": -1, "1.": -1, ".5": -1, "1.2.3": -1, "1e3": -1, "9999999999999": -1} {
		ns, ok := Decimal([]byte(in), 1_000_000_000)
		if ok != (want >= 0) || ok && ns != want {
			t.Errorf("%q is %d (%v), want %d", in, ns, ok, want)
		}
	}
}

func TestIP(t *testing.T) {
	for in, want := range map[string]bool{"10.0.0.1": true, "::1": true, "2001:db8::7": true, "fe80::1%eth0": true, "::ffff:10.0.0.1": true,
		"": false, "-": false, "10.0.0": false, "1.2.3.4.5": false, "a.b.c.d": false, "web": false, "10.0.0.1:80": false, "[::1]": false, "12:30:01x": false} {
		if IP([]byte(in)) != want {
			t.Errorf("%q: %v", in, !want)
		}
	}
}

func TestAppendUnescaped(t *testing.T) {
	for in, want := range map[string]string{
		`a\x22b\"c\\d`: `a"b"c\d`, `caf\xC3\xA9`: "café", `plain`: `plain`, `end\`: `end\`, `\n`: `\n`,
		`\xFF`: `\xFF`, `a\x00b`: `a\x00b`, `\x2`: `\x2`, `\xZZ`: `\xZZ`,
	} {
		if got := string(AppendUnescaped(nil, []byte(in))); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// TestPeer holds who is the peer and who the client.
func TestPeer(t *testing.T) {
	for _, c := range []struct{ peer, forwarded, address, client string }{
		{"10.0.0.1", "", "10.0.0.1", "10.0.0.1"},
		{"10.0.0.1:80", "-", "10.0.0.1", "10.0.0.1"},
		{"10.0.0.1", "203.0.113.7, 10.0.0.9", "10.0.0.1", "203.0.113.7"},
		{"[::1]:80", "[2001:db8::7]:1", "::1", "2001:db8::7"},
		{"10.0.0.1", "unknown, 10.0.0.9", "10.0.0.1", "10.0.0.1"},
		{"web-1", "", "", "web-1"},
		{"unix:", "", "unix:", ""},
		{"-", "", "", ""},
	} {
		var b record.Batch
		var cols Columns
		cols.Bind(&b)
		b.Begin(1, "app")
		o := Out{B: &b, Cols: &cols}
		o.Peer([]byte(c.peer), []byte(c.forwarded))
		b.End()
		r := b.Record(0)
		address, _ := r.Get("network.peer.address")
		client, _ := r.Get("client.address")
		if address.Str != c.address || client.Str != c.client {
			t.Errorf("%q, %q: peer %q, client %q", c.peer, c.forwarded, address.Str, client.Str)
		}
	}
}

func FuzzAppendUnescaped(f *testing.F) {
	f.Add([]byte(`a\x22\"\\`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if !utf8.Valid(b) {
			return
		}
		if out := AppendUnescaped(nil, b); !utf8.Valid(out) || len(out) > len(b) {
			t.Fatalf("%q becomes %q", b, out)
		}
	})
}
