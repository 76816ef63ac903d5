package auditd

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/kv"
)

// isHex reports whether a value that does not stand in quotes is text that audit
// wrote in hexadecimal: an even number of digits, in capitals.
func isHex(v []byte) bool {
	if len(v) < 2 || len(v)%2 != 0 {
		return false
	}
	for _, c := range v {
		if (c < '0' || c > '9') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

// unhex appends what hexadecimal digits say. Of a command line NUL ends words: it
// becomes a space there, and is left out at the end.
func unhex(dst, v []byte, words bool) []byte {
	from := len(dst)
	for i := 0; i+1 < len(v); i += 2 {
		c := digit(v[i])<<4 | digit(v[i+1])
		if c == 0 && words {
			c = ' '
		}
		dst = append(dst, c)
	}
	if words {
		dst = dst[:from+len(bytes.TrimRight(dst[from:], " "))]
	}
	if !utf8.Valid(dst[from:]) || bytes.IndexByte(dst[from:], 0) >= 0 {
		return append(dst[:from], v...) // as it was written
	}
	return dst
}

func digit(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c - 'A' + 10
}

// decoded returns a pair's value as text; it is valid until the next call.
func (l *Line) decoded(pair *kv.Pair, words bool) []byte {
	if pair.Quoted || !isHex(pair.Value) {
		return pair.Value
	}
	l.made = unhex(l.made[:0], pair.Value, words)
	return l.made
}

// Bounds of a command line that is put together.
const (
	maxArguments = 4096
	maxCommand   = 64 << 10
)

// execve puts the command line of argc=2 a0="cat" a1=2F746D70 together. An argument
// of many bytes is in parts: a1_len=9000 a1[0]=… a1[1]=….
func (l *Line) execve(b []byte, o *facts.Out) {
	l.made = l.made[:0]
	s := kv.Scan(b, kv.Audit)
	for range maxArguments {
		pair, ok := s.Next()
		if !ok {
			break
		}
		key := pair.Key
		if pair.Flag || len(key) < 2 || key[0] != 'a' || key[1] < '0' || key[1] > '9' || bytes.HasSuffix(key, []byte("_len")) {
			continue
		}
		if i := bytes.IndexByte(key, '['); len(l.made) > 0 && (i < 0 || string(key[i:]) == "[0]") {
			l.made = append(l.made, ' ')
		}
		if !pair.Quoted && isHex(pair.Value) {
			l.made = unhex(l.made, pair.Value, false)
		} else {
			l.made = append(l.made, pair.Value...)
		}
		if len(l.made) > maxCommand {
			o.PartialOf("argv")
			break
		}
	}
	o.DeriveBytes(field.ProcessCommandLine, l.made)
}

// address writes the socket address of saddr=: the bytes of a struct sockaddr, whose
// family is in the order of the machine, little endian.
func (l *Line) address(v []byte, o *facts.Out) {
	v, _, _ = bytes.Cut(v, []byte("SADDR=")) // where 0x1D was lost
	if !isHex(v) || len(v) > 512 {
		return
	}
	l.made = l.made[:0]
	for i := 0; i+1 < len(v); i += 2 {
		l.made = append(l.made, digit(v[i])<<4|digit(v[i+1]))
	}
	b := l.made
	if len(b) < 2 {
		return
	}
	var ip netip.Addr
	switch family := binary.LittleEndian.Uint16(b); {
	case family == 1: // AF_UNIX: a path, or a name behind a NUL
		path := bytes.TrimLeft(b[2:], "\x00")
		path, _, _ = bytes.Cut(path, []byte{0})
		if utf8.Valid(path) {
			o.DeriveBytes(field.NetworkPeerAddress, path)
			if len(path) > 0 {
				o.Derive(field.NetworkTransport, "unix")
			}
		}
		return
	case family == 2 && len(b) >= 8:
		ip, _ = netip.AddrFromSlice(b[4:8])
	case family == 10 && len(b) >= 24:
		ip, _ = netip.AddrFromSlice(b[8:24])
	default:
		return
	}
	port := int64(binary.BigEndian.Uint16(b[2:]))
	var few [64]byte
	text := ip.AppendTo(few[:0])
	o.DeriveBytes(field.NetworkPeerAddress, text)
	o.NetworkType(text)
	if port > 0 {
		o.DeriveInt(field.NetworkPeerPort, port)
	}
}

var errnoNames, amd64Names, arm64Names = asBytes(errnos), asBytes(amd64), asBytes(arm64)

func asBytes(list []string) [][]byte {
	out := make([][]byte, len(list))
	for i, s := range list {
		out[i] = []byte(s)
	}
	return out
}

// syscall returns the name of a system call, nil if it is not known. arch is the
// audit architecture (uapi/linux/audit.h) in hexadecimal.
func syscall(arch, number []byte) []byte {
	var list [][]byte
	switch string(bytes.TrimPrefix(arch, []byte("0x"))) {
	case "c000003e":
		list = amd64Names
	case "c00000b7", "c00000f3":
		list = arm64Names
	}
	n, ok := facts.Uint(number)
	if !ok || n >= int64(len(list)) || len(list[n]) < 2 {
		return nil
	}
	return list[n]
}
