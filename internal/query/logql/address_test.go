package logql

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

func TestParseAddresses(t *testing.T) {
	f := func(s, from, to string) {
		t.Helper()
		r, err := ParseAddresses(s)
		if err != nil {
			t.Errorf("%s: %v", s, err)
			return
		}
		if r.From.String() != from || r.To.String() != to {
			t.Errorf("%s is %s to %s, want %s to %s", s, r.From, r.To, from, to)
		}
	}
	f("10.1.2.3", "10.1.2.3", "10.1.2.3")
	f("10.1.2.3/8", "10.0.0.0", "10.255.255.255")
	f("0.0.0.0/0", "0.0.0.0", "255.255.255.255")
	f("10.0.0.1-10.0.0.9", "10.0.0.1", "10.0.0.9")
	f("10.0.0.1 - 10.0.0.9", "10.0.0.1", "10.0.0.9")
	f("2001:db8::/33", "2001:db8::", "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff")
	f("::1-::f", "::1", "::f")
	f("fe80::1%eth0", "fe80::1", "fe80::1")
	f("::ffff:10.0.0.0/104", "10.0.0.0", "10.255.255.255")
	f("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.1")
	for _, s := range []string{"", "x", "10.0.0", "10.0.0.256", "10.0.0.0/33", "10.0.0.9-10.0.0.1", "10.0.0.1-::1", "10.0.0.1-", "-10.0.0.1", "10.0.0.0/8-10.0.0.1"} {
		if r, err := ParseAddresses(s); err == nil {
			t.Errorf("%s is %v", s, r)
		}
	}
}

// TestPrefixes: the networks of a range have the addresses of the range and no
// others, and touch without overlap.
func TestPrefixes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	v4 := func() netip.Addr {
		return netip.AddrFrom4([4]byte{byte(rnd.UintN(3)) * 127, byte(rnd.Uint32()), byte(rnd.Uint32()), byte(1<<rnd.UintN(9) - 1)})
	}
	v6 := func() netip.Addr {
		b := [16]byte{0: 0x20, 1: 1}
		for i := 2; i < 16; i++ {
			b[i] = byte(rnd.Uint32()) * byte(rnd.UintN(2))
		}
		return netip.AddrFrom16(b)
	}
	for i := range 300 {
		a, b := v4(), v4()
		if i%2 == 0 {
			a, b = v6(), v6()
		}
		if b.Less(a) {
			a, b = b, a
		}
		r, err := ParseAddresses(a.String() + "-" + b.String())
		if err != nil {
			t.Fatal(err)
		}
		nets := r.Prefixes()
		if len(nets) == 0 || len(nets) > 254 || nets[0].Addr() != a || lastOf(nets[len(nets)-1]) != b {
			t.Fatalf("%s to %s: %v", a, b, nets)
		}
		for j, n := range nets {
			if n != n.Masked() || j > 0 && lastOf(nets[j-1]).Next() != n.Addr() {
				t.Fatalf("%s to %s: %v does not follow", a, b, n)
			}
		}
		for range 20 {
			x := v4()
			if i%2 == 0 {
				x = v6()
			}
			in := slices.ContainsFunc(nets, func(n netip.Prefix) bool { return n.Contains(x) })
			if in != r.Contains(x) || in != (!x.Less(a) && !b.Less(x)) {
				t.Fatalf("%s in %s to %s: %v", x, a, b, in)
			}
		}
	}
	whole, _ := ParseAddresses("0.0.0.0-255.255.255.255")
	if got := whole.Prefixes(); len(got) != 1 || got[0].String() != "0.0.0.0/0" {
		t.Errorf("everything is %v", got)
	}
	all, _ := ParseAddresses("::/0")
	if got := all.Prefixes(); len(got) != 1 || got[0].String() != "::/0" {
		t.Errorf("everything is %v", got)
	}
	mapped, _ := ParseAddresses("10.0.0.0/8")
	if !mapped.Contains(netip.MustParseAddr("::ffff:10.1.1.1")) || mapped.Contains(netip.MustParseAddr("::10.1.1.1")) {
		t.Error("an IPv4 address as IPv6 counts as itself")
	}
}

func TestParsePattern(t *testing.T) {
	f := func(s string, want ...PatternPart) {
		t.Helper()
		if got := ParsePattern(s); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", s, got, want)
		}
	}
	lit := func(at int, s string) PatternPart { return PatternPart{At: at, Text: s} }
	cap := func(at int, s string) PatternPart { return PatternPart{At: at, Text: s, Capture: true} }
	f("")
	f("<a>", cap(0, "a"))
	f("<a> x <b>y", cap(0, "a"), lit(3, " x "), cap(6, "b"), lit(9, "y"))
	f("<_><a", cap(0, "_"), lit(3, "<a"))
	f("<<a>>", lit(0, "<"), cap(1, "a"), lit(4, ">"))
	f("<>", lit(0, "<>"))
	f("<1>", lit(0, "<1>"))
	f("<a b>", lit(0, "<a b>"))
	f("é<é><a_1>", lit(0, "é<é>"), cap(6, "a_1"))
}

func TestParsePath(t *testing.T) {
	f := func(s string, want ...Step) {
		t.Helper()
		got, err := ParsePath(s)
		if (err != nil) != (want == nil) || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v, want %v", s, got, err, want)
		}
	}
	key := func(s string) Step { return Step{Key: s, Index: -1} }
	f("a", key("a"))
	f("a.b_1.C", key("a"), key("b_1"), key("C"))
	f(`a["b c"][0].d`, key("a"), key("b c"), Step{Index: 0}, key("d"))
	f(`["a.b"]`, key("a.b"))
	f(`[12][3]`, Step{Index: 12}, Step{Index: 3})
	f(" a . b ", key("a"), key("b"))
	f(`[""]`, key(""))
	for _, s := range []string{"", ".", "a.", ".a", "a..b", "a b", "a[", "a[]", "a[x]", "a[-1]", "a[1", `a["b`, `a["b"`, "1a", "a-b", "a[99999999999999999999]", "é", "a[1.5]"} {
		f(s)
	}
}

func TestLogfmtKey(t *testing.T) {
	for s, want := range map[string]string{"a": "a", " a_1 ": "a_1", `"a.b"`: "a.b", `"a b"`: "a b"} {
		if got, err := LogfmtKey(s); err != nil || got != want {
			t.Errorf("%s: %s, %v", s, got, err)
		}
	}
	for _, s := range []string{"", " ", "a.b", "a b", "1", `""`, `"a`, `"a"b"`, "a=b"} {
		if got, err := LogfmtKey(s); err == nil {
			t.Errorf("%s: %s", s, got)
		}
	}
}
