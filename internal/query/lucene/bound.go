package lucene

import (
	"math/bits"
	"net/netip"

	"github.com/meshtrail/meshtrail/internal/match"
)

// bound reads a number, a duration or a size.
func bound(s string, inclusive bool) (match.Bound, match.Unit, bool) {
	if i, f, isInt, ok := match.ParseNumber(s); ok {
		if isInt {
			return match.IntBound(i, inclusive), match.NoUnit, true
		}
		return match.FloatBound(f, inclusive), match.NoUnit, true
	}
	if ns, ok := match.ParseDuration(s); ok {
		return match.IntBound(ns, inclusive), match.Duration, true
	}
	if n, ok := match.ParseBytes(s); ok {
		return match.IntBound(n, inclusive), match.Bytes, true
	}
	return match.Bound{}, match.NoUnit, false
}

// interval plans a range of numbers or of addresses.
func (c *compiler) interval(t *term, name string) (match.Predicate, error) {
	r := match.Range{Field: name}
	if from, ok := address(t.lo); ok {
		if to, ok := address(t.hi); ok && from.Is4() == to.Is4() {
			any := networks(name, from, to, t.lo.inclusive, t.hi.inclusive)
			if c.p.terms += len(any); c.p.terms > maxTerms {
				return nil, c.p.errorAt(t.at, "", "the query's ranges of addresses are more than %d networks", maxTerms)
			}
			return any, nil
		}
	}
	units := 0
	for i, e := range []end{t.lo, t.hi} {
		if !e.set {
			continue
		}
		b, unit, ok := bound(e.text, e.inclusive)
		if !ok {
			return nil, c.notNumber(name, e)
		}
		if units > 0 && unit != r.Unit {
			return nil, c.p.errorAt(e.at, "write both ends in one unit", "the ends of the range have different units")
		}
		units++
		if r.Unit = unit; i == 0 {
			r.Min = b
		} else {
			r.Max = b
		}
	}
	return r, nil
}

// notNumber explains what can be compared.
func (c *compiler) notNumber(name string, e end) error {
	switch name {
	case "@timestamp", "timestamp", "time", "_time", "ts":
		return c.p.errorAt(e.at, "time is chosen beside the query: from and to, or the time picker", "a query does not compare the time of records")
	}
	return c.p.errorAt(e.at, "what is compared is a number, a duration (250ms), a size (5KB), or a range of addresses", "%q is nothing that can be compared", clip(e.text))
}

func address(e end) (netip.Addr, bool) {
	a, err := netip.ParseAddr(e.text)
	return a, e.set && err == nil && a.Zone() == ""
}

// networks covers a range of addresses by networks: at most two for each bit.
func networks(name string, from, to netip.Addr, fromIn, toIn bool) (any match.Or) {
	if !fromIn {
		from = from.Next()
	}
	if !toIn {
		to = to.Prev()
	}
	for from.IsValid() && from.Compare(to) <= 0 {
		// The largest network that begins here and ends in time.
		n := from.BitLen() - trailingZeros(from)
		for ; n < from.BitLen(); n++ {
			if last(netip.PrefixFrom(from, n)).Compare(to) <= 0 {
				break
			}
		}
		net := netip.PrefixFrom(from, n)
		any = append(any, match.CIDR{Field: name, Net: net})
		from = last(net).Next()
	}
	return any
}

func trailingZeros(a netip.Addr) int {
	b := a.AsSlice()
	n := 0
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] != 0 {
			return n + bits.TrailingZeros8(b[i])
		}
		n += 8
	}
	return n
}

// last returns the last address of a network.
func last(net netip.Prefix) netip.Addr {
	b := net.Addr().AsSlice()
	for i := net.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
