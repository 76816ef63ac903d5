package facts

import (
	"bytes"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// Decimal reads a number without a sign, with or without a fraction, of units
// that are so many nanoseconds. What is finer than a nanosecond is cut off.
func Decimal(b []byte, unit int64) (ns int64, ok bool) {
	whole, frac, found := bytes.Cut(b, []byte("."))
	n, ok := Uint(whole)
	if !ok || n > (1<<62)/unit {
		return 0, false
	}
	ns = n * unit
	if !found {
		return ns, true
	}
	if len(frac) == 0 || len(frac) > 18 {
		return 0, false
	}
	for _, c := range frac {
		if c -= '0'; c > 9 {
			return 0, false
		}
		unit /= 10
		ns += int64(c) * unit
	}
	return ns, true
}

// Request writes method, URL and protocol of a request line, METHOD TARGET
// [PROTOCOL], and reports whether it is one. The target may hold spaces, which a
// careless client sends. host is that of an absolute target or of CONNECT, if any:
// the caller, who may know the host from elsewhere, writes it.
func (o *Out) Request(line []byte) (host []byte, ok bool) {
	i := bytes.IndexByte(line, ' ')
	if i <= 0 || i > 32 || !Token(line[:i]) {
		return nil, false
	}
	method, target := line[:i], line[i+1:]
	if i = bytes.LastIndexByte(target, ' '); i >= 0 && len(target)-i > 4 && string(target[i+1:i+5]) == "HTTP" {
		o.Protocol(target[i+1:])
		target = target[:i]
	} else {
		o.Derive(field.NetworkProtocolName, "http")
	}
	o.Method(method)
	if string(method) == "CONNECT" {
		return target, true
	}
	o.URL(target)
	return SplitURL(target).Host, true
}

// Token reports whether b may be a method: letters, digits, - and _.
func Token(b []byte) bool {
	for _, c := range b {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return len(b) > 0
}

// IP reports whether b has the form of an address: IPv4, or IPv6 with or without
// a zone.
func IP(b []byte) bool {
	dots, colons, digits := 0, 0, 0
	if i := bytes.IndexByte(b, '%'); i > 0 {
		b = b[:i]
	}
	for _, c := range b {
		switch {
		case c == '.':
			dots++
		case c == ':':
			colons++
		case c-'0' < 10:
			digits++
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			digits += 100
		default:
			return false
		}
	}
	if colons == 0 {
		return dots == 3 && digits >= 4 && digits <= 12
	}
	return colons >= 2 && colons <= 8 && len(b) <= 45
}

// Peer writes the immediate peer of a proxy or server, ADDRESS or ADDRESS:PORT,
// and the client: the left-most address of forwarded, which anyone can write, or
// else the peer. Both may be empty. A host name is the client's only.
func (o *Out) Peer(peer []byte, forwarded []byte) {
	var p Address
	switch {
	case Absent(peer):
	case bytes.HasPrefix(peer, []byte("unix:")):
		o.Str(field.NetworkPeerAddress, peer)
	default:
		if IP(peer) { // bare IPv6 too
			p.Host = peer
		} else if a, ok := SplitAddress(peer); ok {
			p = a
		}
	}
	o.PeerAt(p, forwarded)
}

// PeerAt is Peer for an address that was split.
func (o *Out) PeerAt(p Address, forwarded []byte) {
	if IP(p.Host) {
		o.Str(field.NetworkPeerAddress, p.Host)
		if p.Port > 0 {
			o.Int(field.NetworkPeerPort, p.Port)
		}
	}
	if !Absent(forwarded) {
		o.Str(field.HTTPRequestHeaderXForwardedFor, forwarded)
		if first := First(forwarded); !Absent(first) {
			if a, ok := SplitAddress(first); ok && (IP(a.Host) || IP(first)) {
				if IP(first) {
					a.Host = first
				}
				o.DeriveBytes(field.ClientAddress, a.Host)
				return
			}
		}
	}
	o.DeriveBytes(field.ClientAddress, p.Host)
	if p.Port > 0 {
		o.Int(field.ClientPort, p.Port)
	}
}

// AppendUnescaped appends b with \xHH, \", \\, \/, \t, \n and \r resolved, or as it is
// when the result would not be UTF-8 without control characters.
func AppendUnescaped(dst, b []byte) []byte {
	from := len(dst)
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == '\\' && i+1 < len(b) {
			switch e := b[i+1]; e {
			case '"', '\\', '/', '\'':
				c, i = e, i+1
			case 'x', 'X':
				if i+3 >= len(b) {
					return append(dst[:from], b...)
				}
				h, l := nibble(b[i+2]), nibble(b[i+3])
				if h < 0 || l < 0 {
					return append(dst[:from], b...)
				}
				c, i = byte(h<<4|l), i+3
			}
		}
		if c < ' ' || c == 0x7f {
			return append(dst[:from], b...)
		}
		dst = append(dst, c)
	}
	if !utf8.Valid(dst[from:]) {
		return append(dst[:from], b...)
	}
	return dst
}

func nibble(c byte) int {
	switch {
	case c-'0' < 10:
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
