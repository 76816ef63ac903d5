package pipe

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
)

// Nets reads what stands in ip("…"): an address, a network, or a range of
// addresses low-high. Together the networks hold exactly what is meant; a range
// becomes at most 254 of them.
func Nets(s string) ([]netip.Prefix, error) {
	s = strings.TrimSpace(s)
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return []netip.Prefix{netip.PrefixFrom(a, a.BitLen())}, nil
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		return []netip.Prefix{p.Masked()}, nil
	}
	if low, high, ok := strings.Cut(s, "-"); ok {
		a, err1 := netip.ParseAddr(strings.TrimSpace(low))
		b, err2 := netip.ParseAddr(strings.TrimSpace(high))
		if err1 == nil && err2 == nil && a.Zone() == "" && b.Zone() == "" && a.BitLen() == b.BitLen() && a.Compare(b) <= 0 {
			return cover(a, b), nil
		}
	}
	return nil, fault.WithHint(fault.Errorf(fault.Invalid, "ip(%q) is no address, network or range of addresses", clip(s)),
		`write ip("10.0.0.1"), ip("10.0.0.0/8") or ip("10.0.0.1-10.0.0.9")`)
}

// cover returns the fewest networks that hold the addresses from a to b.
func cover(a, b netip.Addr) []netip.Prefix {
	var out []netip.Prefix
	for {
		// The largest network that begins at a and does not pass b.
		bits := a.BitLen()
		for bits > 0 {
			p := netip.PrefixFrom(a, bits-1)
			if p.Masked().Addr() != a || last(p).Compare(b) > 0 {
				break
			}
			bits--
		}
		p := netip.PrefixFrom(a, bits)
		out = append(out, p)
		end := last(p)
		if end.Compare(b) >= 0 {
			return out
		}
		a = end.Next()
	}
}

// last returns the last address of a network.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// hasAddress reports whether an address in the line is in one of nets. An
// address is as many digits, letters a to f, colons and dots as stand together;
// a port or a full stop after it does not matter.
func hasAddress(line string, nets []netip.Prefix) bool {
	for i := 0; i < len(line); {
		if !addressByte(line[i]) {
			i++
			continue
		}
		start, marks := i, 0
		for ; i < len(line) && addressByte(line[i]); i++ {
			if line[i] == '.' || line[i] == ':' {
				marks++
			}
		}
		if marks >= 2 && i-start <= 64 && within(line[start:i], nets) {
			return true
		}
	}
	return false
}

func addressByte(c byte) bool {
	return c >= '0' && c <= '9' || c == '.' || c == ':' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func within(s string, nets []netip.Prefix) bool {
	in := func(s string) (known, ok bool) {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return false, false
		}
		return true, slices.ContainsFunc(nets, func(n netip.Prefix) bool { return n.Contains(a) || n.Contains(a.Unmap()) })
	}
	if known, ok := in(s); known {
		return ok
	}
	s = strings.TrimRight(s, ".:")
	if known, ok := in(s); known {
		return ok
	}
	// Text may touch the address: "addr:10.0.0.1", "10.0.0.1:443".
	for part := range strings.SplitSeq(s, ":") {
		if strings.Count(part, ".") == 3 {
			if known, ok := in(part); known && ok {
				return true
			}
		}
	}
	return false
}

// Literal returns a text that every line must hold in which an address of nets
// stands, or "": the leading whole numbers of the one IPv4 network.
func Literal(nets []netip.Prefix) string {
	if len(nets) != 1 || !nets[0].Addr().Is4() {
		return ""
	}
	octets := nets[0].Bits() / 8
	parts := strings.SplitN(nets[0].Addr().String(), ".", 4)
	lit := strings.Join(parts[:octets], ".")
	if octets > 0 && octets < 4 {
		lit += "."
	}
	return lit
}
