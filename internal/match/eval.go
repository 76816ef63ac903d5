package match

import (
	"net/netip"
	"strings"

	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// Class is the field name that stands for the record's retention class. Like
// Line it is no stored column: no record can shadow it.
const Class = "__class__"

// Eval reports whether p holds for r. It is the definition of the algebra,
// written to be read rather than to be fast: the store, tail and policy must
// agree with it on every record.
//
// The value of an asked name is that of the record's field with the lowest rank
// (schema.Resolution.Match); of several with one rank, the one whose name, then
// whose kind, is smallest.
func Eval(p Predicate, r *record.Record) bool {
	switch p := p.(type) {
	case nil, True:
		return true
	case False:
		return false
	case And:
		for _, q := range p {
			if !Eval(q, r) {
				return false
			}
		}
		return true
	case Or:
		for _, q := range p {
			if Eval(q, r) {
				return true
			}
		}
		return false
	case Not:
		return !Eval(p.P, r)
	}
	name := FieldOf(p)
	if name == AnyField {
		return holdsAny(p, r)
	}
	res := schema.Resolve(name)
	v, mul, ok := Lookup(&res, r)
	return ok && holds(p, v, numbersOf(p, &res, mul))
}

// Lookup returns the value that an asked name has in r, and the factor that
// turns a number in the asked name's unit into the value's unit.
func Lookup(res *schema.Resolution, r *record.Record) (v record.Value, mul float64, ok bool) {
	switch res.Asked {
	case Line:
		return record.StringValue(string(AppendLine(nil, r))), 1, true
	case Class:
		return record.StringValue(string(r.Class)), 1, true
	}
	var best *record.Field
	bestRank := 0
	for i := range r.Fields {
		f := &r.Fields[i]
		m, rank, is := res.Match(f.Name)
		if !is {
			continue
		}
		if best == nil || rank < bestRank || rank == bestRank && before(f.Name, f.Value.Kind, best.Name, best.Value.Kind) {
			best, bestRank, mul = f, rank, m
		}
	}
	if best == nil {
		return record.Value{}, 0, false
	}
	return best.Value, mul, true
}

func before(name string, kind record.Kind, name2 string, kind2 record.Kind) bool {
	return name < name2 || name == name2 && kind < kind2
}

// Value returns the value that a name, in any form the asker may use, has in r.
func Value(name string, r *record.Record) (record.Value, bool) {
	res := schema.Resolve(name)
	v, _, ok := Lookup(&res, r)
	return v, ok
}

// FieldOf returns the field that a leaf predicate asks about, and "" for the
// predicates that are not leaves.
func FieldOf(p Predicate) string {
	switch p := p.(type) {
	case Exists:
		return p.Field
	case Eq:
		return p.Field
	case In:
		return p.Field
	case Prefix:
		return p.Field
	case Contains:
		return p.Field
	case Word:
		return p.Field
	case Regex:
		return p.Field
	case Range:
		return p.Field
	case CIDR:
		return p.Field
	}
	return ""
}

func numbersOf(p Predicate, res *schema.Resolution, mul float64) Interval {
	if r, ok := p.(Range); ok {
		return r.Numbers(res, mul)
	}
	return Interval{}
}

// holds reports whether leaf p holds for a present value.
func holds(p Predicate, v record.Value, numbers Interval) bool {
	if r, ok := p.(Range); ok {
		switch v.Kind {
		case record.Int:
			return numbers.HasInt(v.Int)
		case record.Float:
			return numbers.HasFloat(v.Flt)
		case record.String:
			return r.HasText(v.Str, numbers)
		}
		return false
	}
	if v.Kind == record.String {
		return HoldsText(p, v.Str)
	}
	var buf [32]byte
	return HoldsText(p, string(v.AppendText(buf[:0])))
}

// HoldsText reports whether a leaf predicate that speaks of the text form (any
// leaf but Range) holds for a present value with text form s.
func HoldsText(p Predicate, s string) bool {
	switch p := p.(type) {
	case Exists:
		return s != ""
	case Eq:
		return s == p.Value
	case In:
		for _, v := range p.Values {
			if s == v {
				return true
			}
		}
		return false
	case Prefix:
		return strings.HasPrefix(s, p.Value)
	case Contains:
		if p.Fold {
			return containsFold(s, p.Value)
		}
		return strings.Contains(s, p.Value)
	case Word:
		if p.Fold {
			return containsWordFold(s, p.Value)
		}
		return containsWord(s, p.Value)
	case Regex:
		return p.Re.MatchString(s)
	case CIDR:
		return inNet(s, p.Net)
	}
	return false
}

// containsFold is strings.Contains that takes ASCII letters of either case as
// equal, and every other byte as itself.
func containsFold(s, sub string) bool {
	if sub == "" {
		return true
	}
	lo, up := lower(sub[0]), upper(sub[0])
	for i := 0; i+len(sub) <= len(s); i++ {
		if c := s[i]; (c == lo || c == up) && equalFold(s[i:i+len(sub)], sub) {
			return true
		}
	}
	return false
}

// containsWordFold is containsWord that compares as containsFold does.
func containsWordFold(s, word string) bool {
	if word == "" {
		return containsWord(s, word)
	}
	lo, up := lower(word[0]), upper(word[0])
	for i := 0; i+len(word) <= len(s); i++ {
		if c := s[i]; c != lo && c != up || i > 0 && IsWord(s[i-1]) {
			continue
		}
		end := i + len(word)
		if (end == len(s) || !IsWord(s[end])) && equalFold(s[i:end], word) {
			return true
		}
	}
	return false
}

func equalFold(a, b string) bool {
	for i := 0; i < len(a); i++ {
		if a[i] != b[i] && lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func upper(c byte) byte {
	if c >= 'a' && c <= 'z' {
		return c - ('a' - 'A')
	}
	return c
}

// IsWord reports whether c is part of a word: an ASCII letter, digit or
// underscore, or any byte of a multi-byte character.
func IsWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

func containsWord(s, word string) bool {
	for from := 0; ; {
		i := strings.Index(s[from:], word)
		if i < 0 {
			return false
		}
		i += from
		end := i + len(word)
		if (i == 0 || !IsWord(s[i-1])) && (end == len(s) || !IsWord(s[end])) {
			return true
		}
		from = i + 1
		if from > len(s) {
			return false
		}
	}
}

// inNet reports whether s is an address in net; a port after it, and a zone,
// are ignored. An IPv4 address written as IPv6 counts as both.
func inNet(s string, net netip.Prefix) bool {
	a, ok := ParseAddr(s)
	return ok && (net.Contains(a) || net.Contains(a.Unmap()))
}

// ParseAddr reads an IP address: "10.0.0.1", "10.0.0.1:443", "fe80::1%eth0",
// "[fe80::1]:443". Ports and zones are dropped.
func ParseAddr(s string) (netip.Addr, bool) {
	if len(s) < 2 || len(s) > 64 || !(s[0] == '[' || s[0] == ':' || hex(s[0])) {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		ap, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		a = ap.Addr()
	}
	return a.WithZone(""), true
}

func hex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
