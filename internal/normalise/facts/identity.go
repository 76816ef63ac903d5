package facts

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// A Service is what a name within a mesh says: a Kubernetes service
// (NAME.NS.svc.…), or a Consul one (NAME.NS.DC.internal.TRUST.consul).
type Service struct {
	Name, Namespace, Cluster []byte
	Consul                   bool
}

// SplitService reads a service's full name. ok is false for any other host.
func SplitService(b []byte) (s Service, ok bool) {
	i := bytes.IndexByte(b, '.')
	if i <= 0 {
		return s, false
	}
	j := bytes.IndexByte(b[i+1:], '.')
	if j <= 0 {
		return s, false
	}
	name, ns, rest := b[:i], b[i+1:i+1+j], b[i+j+2:]
	if len(rest) >= 3 && string(rest[:3]) == "svc" && (len(rest) == 3 || rest[3] == '.') {
		return Service{Name: name, Namespace: ns}, true
	}
	if !bytes.HasSuffix(rest, []byte(".consul")) {
		return s, false
	}
	return consul(name, ns, rest)
}

// consul reads [SUBSET.]NAME.NS.DC.internal|external.TRUST.consul after its
// first two labels.
func consul(name, ns, rest []byte) (s Service, ok bool) {
	dc, rest, found := bytes.Cut(rest, []byte("."))
	if !found {
		return s, false
	}
	kind, _, _ := bytes.Cut(rest, []byte("."))
	if !place(kind) { // a subset stands before the name
		name, ns = ns, dc
		if dc, rest, found = bytes.Cut(rest, []byte(".")); !found {
			return s, false
		}
		if kind, _, _ = bytes.Cut(rest, []byte(".")); !place(kind) {
			return s, false
		}
	}
	return Service{Name: name, Namespace: ns, Cluster: dc, Consul: true}, true
}

func place(b []byte) bool {
	return bytes.HasPrefix(b, []byte("internal")) || bytes.HasPrefix(b, []byte("external"))
}

// A Principal is what a proven identity says of the workload that holds it.
// Workload is the service account or service: the nearest that identities name.
type Principal struct{ Workload, Namespace []byte }

// SplitPrincipal reads spiffe://TRUST/ns/NS/sa/SA (Istio), /ns/NS/dc/DC/svc/SVC
// (Consul), and SA.NS.serviceaccount.identity.… (Linkerd).
func SplitPrincipal(b []byte) (p Principal, ok bool) {
	rest, spiffe := bytes.CutPrefix(b, []byte("spiffe://"))
	if !spiffe {
		sa, rest, _ := bytes.Cut(b, []byte("."))
		ns, rest, found := bytes.Cut(rest, []byte("."))
		if !found || !bytes.HasPrefix(rest, []byte("serviceaccount.identity.")) {
			return p, false
		}
		return Principal{Workload: sa, Namespace: ns}, true
	}
	_, path := CutByte(rest, '/')
	for len(path) > 0 {
		var key, value []byte
		key, path = CutByte(path, '/')
		value, path = CutByte(path, '/')
		switch string(key) {
		case "ns":
			p.Namespace = value
		case "sa", "svc":
			p.Workload = value
		}
	}
	return p, len(p.Namespace) > 0 || len(p.Workload) > 0
}

// CutByte returns what is before the first c and after it: all and nothing when
// there is none.
func CutByte(b []byte, c byte) (before, after []byte) {
	if i := bytes.IndexByte(b, c); i >= 0 {
		return b[:i], b[i+1:]
	}
	return b, nil
}

// SourcePrincipal writes the proven identity of the source and what it implies:
// mutual TLS, the source's workload and namespace.
func (o *Out) SourcePrincipal(b []byte) {
	o.Str(field.MeshSourcePrincipal, b)
	o.Derive(field.MeshMTLS, "mutual")
	if p, ok := SplitPrincipal(b); ok {
		o.DeriveBytes(field.MeshSourceWorkload, p.Workload)
		o.DeriveBytes(field.MeshSourceNamespace, p.Namespace)
	}
}

// Traceparent writes the parts of a W3C traceparent, 00-TRACE-SPAN-FLAGS, and
// reports whether b is one.
func (o *Out) Traceparent(b []byte) bool {
	if len(b) < 55 || b[2] != '-' || b[35] != '-' || b[52] != '-' || !Hex(b[3:35]) || !Hex(b[36:52]) || !Hex(b[53:55]) {
		return false
	}
	o.DeriveBytes(field.TraceID, b[3:35])
	o.DeriveBytes(field.SpanID, b[36:52])
	o.DeriveBytes(field.TraceFlags, b[53:55])
	return true
}

// Hex reports whether b is hexadecimal digits.
func Hex(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	return len(b) > 0
}

// TraceID writes trace_id if b is 16 or 32 hexadecimal digits, padded to 32,
// and reports whether it is.
func (o *Out) TraceID(b []byte) bool {
	if !Hex(b) || len(b) != 16 && len(b) != 32 {
		return false
	}
	if len(b) == 32 {
		o.Str(field.TraceID, b)
		return true
	}
	var full [32]byte
	copy(full[:], "0000000000000000")
	copy(full[16:], b)
	o.Str(field.TraceID, full[:])
	return true
}

// PodWorkload returns the workload whose controller named the pod:
// NAME-REPLICASET-RANDOM, NAME-RANDOM or NAME-ORDINAL. Random parts are of the
// letters and digits that Kubernetes draws from, which hold no vowel. A name of
// another shape is its own workload.
func PodWorkload(pod []byte) []byte {
	i := bytes.LastIndexByte(pod, '-')
	if i <= 0 {
		return pod
	}
	last := pod[i+1:]
	if _, ordinal := Uint(last); ordinal && len(last) < 4 {
		return pod[:i]
	}
	if len(last) != 5 || !random(last) {
		return pod
	}
	name := pod[:i]
	if j := bytes.LastIndexByte(name, '-'); j > 0 {
		if set := name[j+1:]; len(set) >= 6 && len(set) <= 10 && random(set) && digit(set) {
			return name[:j]
		}
	}
	return name
}

// drawn are the bytes of random parts: 1 for letters, 2 for digits.
var drawn = func() (t [256]uint8) {
	for _, c := range []byte("bcdfghjklmnpqrstvwxz") {
		t[c] = 1
	}
	for _, c := range []byte("2456789") {
		t[c] = 2
	}
	return t
}()

func random(b []byte) bool {
	for _, c := range b {
		if drawn[c] == 0 {
			return false
		}
	}
	return true
}

func digit(b []byte) bool {
	for _, c := range b {
		if drawn[c] == 2 {
			return true
		}
	}
	return false
}
