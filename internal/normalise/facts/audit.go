package facts

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// The outcomes of an act.
const (
	Success = "success"
	Failure = "failure"
	Unknown = "unknown"
)

// Denied derives that an engine refused what was asked. Like of every field the
// last call stays.
func (o *Out) Denied(engine string) {
	o.Derive(field.MeshPolicyDecision, "deny")
	o.Derive(field.MeshPolicyEngine, engine)
}

// Has reports whether the record has a text in the field.
func (o *Out) Has(f field.ID) bool { c := o.Cols.strs[f]; return c != nil && o.B.Holds(c) }

// HasInt is Has for a whole number.
func (o *Out) HasInt(f field.ID) bool { c := o.Cols.ints[f]; return c != nil && o.B.Holds(c) }

// StrOf is Str for a value that may be absent.
func (o *Out) StrOf(f field.ID, v []byte) {
	if !Absent(v) {
		o.Str(f, v)
	}
}

// ServiceAccount derives the workload that a Kubernetes service account's user
// name, system:serviceaccount:NAMESPACE:NAME, stands for.
func (o *Out) ServiceAccount(user []byte) {
	rest, ok := bytes.CutPrefix(user, []byte("system:serviceaccount:"))
	if !ok {
		return
	}
	ns, name := CutByte(rest, ':')
	o.DeriveBytes(field.MeshSourceNamespace, ns)
	o.DeriveBytes(field.MeshSourceWorkload, name)
}

// IsAddress reports whether b looks like an IP address: it tells addresses from
// names, and is no validation.
func IsAddress(b []byte) bool {
	if len(b) < 2 || len(b) > 45 {
		return false
	}
	dots, colons := 0, 0
	for _, c := range b {
		switch {
		case c == '.':
			dots++
		case c == ':':
			colons++
		case c-'0' < 10:
		case colons > 0 && (c|0x20 >= 'a' && c|0x20 <= 'f'), dots == 0 && (c|0x20 >= 'a' && c|0x20 <= 'f'):
		default:
			return false
		}
	}
	return dots == 3 && colons == 0 || colons >= 2
}

// IsHost reports whether b may be a host name or an address: no white space, and
// a dot or colon within.
func IsHost(b []byte) bool {
	if IsAddress(b) {
		return true
	}
	dot := false
	for _, c := range b {
		if c == '.' {
			dot = true
		} else if (c|0x20 < 'a' || c|0x20 > 'z') && c-'0' >= 10 && c != '-' && c != '_' {
			return false
		}
	}
	return dot && len(b) < 254
}

// Transport derives network.transport of an IP protocol's number (IANA).
func (o *Out) Transport(number int64) {
	switch number {
	case 1:
		o.Derive(field.NetworkTransport, "icmp")
	case 6:
		o.Derive(field.NetworkTransport, "tcp")
	case 17:
		o.Derive(field.NetworkTransport, "udp")
	case 58:
		o.Derive(field.NetworkTransport, "icmpv6")
	case 132:
		o.Derive(field.NetworkTransport, "sctp")
	}
}

// NetworkType derives network.type of an address.
func (o *Out) NetworkType(address []byte) {
	if !IsAddress(address) {
		return
	}
	if bytes.IndexByte(address, ':') >= 0 {
		o.Derive(field.NetworkType, "ipv6")
	} else {
		o.Derive(field.NetworkType, "ipv4")
	}
}

// TLSVersion writes tls.protocol.version, "1.2" of TLSv1.2.
func (o *Out) TLSVersion(b []byte) {
	o.DeriveBytes(field.TLSProtocolVersion, bytes.TrimPrefix(b, []byte("TLSv")))
}

// Last returns what stands behind the last c of b: all of it when there is none.
func Last(b []byte, c byte) []byte { return b[bytes.LastIndexByte(b, c)+1:] }

// Region derives cloud.region of a place of Google Cloud, and its zone when it is
// one: europe-west1-b is a zone of europe-west1.
func (o *Out) Region(place []byte) {
	i := bytes.LastIndexByte(place, '-')
	if i > 0 && i == len(place)-2 && bytes.IndexByte(place[:i], '-') > 0 {
		o.DeriveBytes(field.CloudAvailabilityZone, place)
		place = place[:i]
	}
	o.DeriveBytes(field.CloudRegion, place)
}

// DeriveInt is Derive for a whole number.
func (o *Out) DeriveInt(f field.ID, v int64) {
	if !o.taken(f) {
		o.Int(f, v)
	}
}

// TCPFlags derives mesh.flow.tcp_flags of the bits of RFC 9293: "SYN,ACK".
func (o *Out) TCPFlags(bits int64) {
	var few [40]byte
	b := few[:0]
	for i, name := range [...]string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"} {
		if bits&(1<<i) != 0 {
			if len(b) > 0 {
				b = append(b, ',')
			}
			b = append(b, name...)
		}
	}
	o.DeriveBytes(field.MeshFlowTCPFlags, b)
}
