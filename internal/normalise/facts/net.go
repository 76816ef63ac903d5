package facts

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// Absent reports whether a value is one of the ways to write that there is none.
func Absent(b []byte) bool { return len(b) == 0 || len(b) == 1 && b[0] == '-' }

// Uint reads a decimal number of at most 18 digits.
func Uint(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if c-'0' > 9 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// An Address is a host, and a port or 0.
type Address struct {
	Host []byte
	Port int64
}

// SplitAddress reads host, host:port, [v6]:port, v6, and each of them behind a
// scheme (tcp://10.0.0.1:80) or an internal listener's name
// (envoy://listener/10.0.0.1:80). ok is false when there is no host.
func SplitAddress(b []byte) (a Address, ok bool) {
	i := bytes.IndexByte(b, ':')
	if i <= 0 || b[0] == '[' || len(b)-i > 6 {
		return splitAny(b)
	}
	for _, c := range b[i+1:] { // host:port, as nearly all are
		if c -= '0'; c > 9 {
			return splitAny(b)
		}
		a.Port = a.Port*10 + int64(c)
	}
	if a.Port > 65535 {
		return Address{}, false
	}
	a.Host = b[:i]
	return a, true
}

// splitAny is SplitAddress for every form.
func splitAny(b []byte) (a Address, ok bool) {
	if Absent(b) {
		return a, false
	}
	if i := scheme(b); i > 0 {
		internal := string(b[:i]) == "envoy"
		b = b[i+3:]
		if j := bytes.IndexByte(b, '/'); j >= 0 {
			if internal {
				b = b[j+1:]
			} else {
				b = b[:j]
			}
		}
	}
	if Absent(b) {
		return a, false
	}
	host, port := b, []byte(nil)
	if b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 {
			return a, false
		}
		host = b[1:end]
		if end+1 < len(b) && b[end+1] == ':' {
			port = b[end+2:]
		}
	} else if i := bytes.IndexByte(b, ':'); i >= 0 && bytes.IndexByte(b[i+1:], ':') < 0 {
		host, port = b[:i], b[i+1:]
	}
	if len(port) > 0 {
		n, good := Uint(port)
		if !good || n > 65535 {
			return a, false
		}
		a.Port = n
	}
	a.Host = host
	return a, len(host) > 0
}

// scheme returns where :// stands, or -1. Addresses and paths, which begin with
// no letter, are told at once.
func scheme(b []byte) int {
	if len(b) < 4 || b[0]|0x20 < 'a' || b[0]|0x20 > 'z' {
		return -1
	}
	i := bytes.IndexByte(b, ':')
	if i < 0 || i+2 >= len(b) || b[i+1] != '/' || b[i+2] != '/' {
		return -1
	}
	return i
}

// First returns the first element of a comma-separated list, without white
// space around it.
func First(b []byte) []byte {
	if i := bytes.IndexByte(b, ','); i >= 0 {
		b = b[:i]
	}
	return bytes.TrimSpace(b)
}

// A URL is the parts of one, or of a path alone.
type URL struct{ Scheme, Host, Path, Query []byte }

// SplitURL splits an absolute URL, or a path, at its first question mark.
func SplitURL(b []byte) URL {
	var u URL
	if i := scheme(b); i > 0 && i < 12 {
		u.Scheme, b = b[:i], b[i+3:]
		end := bytes.IndexAny(b, "/?")
		if end < 0 {
			end = len(b)
		}
		u.Host, b = b[:end], b[end:]
	}
	if i := bytes.IndexByte(b, '?'); i >= 0 {
		b, u.Query = b[:i], b[i+1:]
	}
	u.Path = b
	return u
}

// Protocol writes network.protocol.name and .version: HTTP/1.1, HTTP/2.0, HTTP2
// and HTTP11 are http and 1.1, 2, 2 and 1.1.
func (o *Out) Protocol(b []byte) {
	if Absent(b) {
		return
	}
	version, ok := bytes.CutPrefix(b, []byte("HTTP"))
	if !ok {
		o.DeriveLower(field.NetworkProtocolName, b)
		return
	}
	o.Derive(field.NetworkProtocolName, "http")
	version = bytes.TrimPrefix(version, []byte("/"))
	switch string(version) {
	case "1.1", "11", "1":
		o.Derive(field.NetworkProtocolVersion, "1.1")
	case "2", "2.0":
		o.Derive(field.NetworkProtocolVersion, "2")
	case "3", "3.0":
		o.Derive(field.NetworkProtocolVersion, "3")
	case "1.0", "10":
		o.Derive(field.NetworkProtocolVersion, "1.0")
	default:
		o.DeriveBytes(field.NetworkProtocolVersion, version)
	}
}

// DeriveLower is DeriveBytes in lower case.
func (o *Out) DeriveLower(f field.ID, v []byte) {
	var few [64]byte
	low := append(few[:0], v...)
	for i, c := range low {
		if c >= 'A' && c <= 'Z' {
			low[i] = c | 0x20
		}
	}
	o.DeriveBytes(f, low)
}

// Method writes http.request.method. A method that no RFC knows becomes _OTHER
// beside http.request.method_original, so that attackers cannot make values.
func (o *Out) Method(b []byte) {
	switch string(b) {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY":
		o.Str(field.HTTPRequestMethod, b)
	case "", "-":
	default:
		o.Derive(field.HTTPRequestMethod, "_OTHER")
		o.Str(field.HTTPRequestMethodOriginal, b)
	}
}

// URL writes url.path and url.query, and of an absolute URL scheme and host too.
func (o *Out) URL(b []byte) {
	if Absent(b) {
		return
	}
	u := SplitURL(b)
	o.DeriveBytes(field.URLScheme, u.Scheme)
	if len(u.Path) > 0 {
		o.Str(field.URLPath, u.Path)
	}
	if len(u.Query) > 0 {
		o.Str(field.URLQuery, u.Query)
	}
}

// The names, as ECS has them, of what stands before the host of an authority. By
// the second one policy knows that its value is a password: within
// server.address nothing would say so.
var urlUsername, urlPassword = []byte("url.username"), []byte("url.password")

// Server writes server.address and server.port of an authority, and who is named
// before an @ in it, with the password.
func (o *Out) Server(b []byte) {
	if Absent(b) {
		return
	}
	if i := bytes.LastIndexByte(b, '@'); i >= 0 {
		user, password, has := bytes.Cut(b[:i], []byte(":"))
		if len(user) > 0 {
			o.OwnText(urlUsername, user)
		}
		if has && len(password) > 0 {
			o.OwnText(urlPassword, password)
		}
		if b = b[i+1:]; Absent(b) {
			return
		}
	}
	a, ok := SplitAddress(b)
	if !ok {
		o.Str(field.ServerAddress, b)
		return
	}
	o.Str(field.ServerAddress, a.Host)
	if a.Port > 0 {
		o.Int(field.ServerPort, a.Port)
	}
}
