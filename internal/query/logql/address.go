package logql

import (
	"net/netip"
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// Addresses is what ip("…") names: every address from From to To, both included
// and of one family, without zone. An address that is written as IPv6 but means
// IPv4 (::ffff:10.0.0.1) is the IPv4 address.
type Addresses struct{ From, To netip.Addr }

// ParseAddresses reads an address, a network or a range: 10.1.2.3, 10.0.0.0/8,
// 10.0.0.1-10.0.0.9. Errors are fault.Invalid.
func ParseAddresses(s string) (Addresses, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = plainAddr(a)
		return Addresses{a, a}, nil
	}
	if n, err := netip.ParsePrefix(s); err == nil {
		n = n.Masked()
		if a := n.Addr(); a.Is4In6() && n.Bits() >= 96 {
			n = netip.PrefixFrom(a.Unmap(), n.Bits()-96)
		}
		return Addresses{n.Addr(), lastOf(n)}, nil
	}
	if from, to, ok := strings.Cut(s, "-"); ok {
		a, err1 := netip.ParseAddr(strings.TrimSpace(from))
		b, err2 := netip.ParseAddr(strings.TrimSpace(to))
		if err1 == nil && err2 == nil {
			r := Addresses{plainAddr(a), plainAddr(b)}
			switch {
			case r.From.BitLen() != r.To.BitLen():
				return Addresses{}, fault.Errorf(fault.Invalid, "a range joins addresses of one family")
			case r.To.Less(r.From):
				return Addresses{}, fault.Errorf(fault.Invalid, "a range starts with its lower address")
			}
			return r, nil
		}
	}
	return Addresses{}, fault.Errorf(fault.Invalid, "not an address, a network or a range")
}

func plainAddr(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// lastOf returns the highest address of a masked network.
func lastOf(n netip.Prefix) netip.Addr {
	b := n.Addr().AsSlice()
	for i := n.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// Contains reports whether the range has the address.
func (r Addresses) Contains(a netip.Addr) bool {
	a = plainAddr(a)
	return a.BitLen() == r.From.BitLen() && !a.Less(r.From) && !r.To.Less(a)
}

// Prefixes returns the fewest networks that together are the range, in order;
// there are at most 254.
func (r Addresses) Prefixes() []netip.Prefix {
	var out []netip.Prefix
	for at := r.From; at.IsValid() && !r.To.Less(at); {
		// The largest network that starts here and does not end beyond To.
		bits := at.BitLen()
		for bits > 0 {
			n := netip.PrefixFrom(at, bits-1)
			if n.Masked().Addr() != at || r.To.Less(lastOf(n)) {
				break
			}
			bits--
		}
		n := netip.PrefixFrom(at, bits)
		out = append(out, n)
		at = lastOf(n).Next()
	}
	return out
}

// Addresses returns what the condition names; it was checked when it was parsed.
func (c *IPCond) Addresses() (Addresses, error) { return ParseAddresses(c.Net) }

// Addresses returns what a value with IP set names; it was checked when it was
// parsed.
func (v LineValue) Addresses() (Addresses, error) { return ParseAddresses(v.Text) }
