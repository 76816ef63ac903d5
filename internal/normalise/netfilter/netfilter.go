// Package netfilter reads what Linux's packet filter logs of packets: the targets
// LOG of iptables and log of nftables in the kernel's log, ufw's and firewalld's
// with them, and ulogd's in the same layout (nf_log_syslog.c, ulogd's LOGEMU):
//
//	[[SECONDS] ]PREFIX IN=eth0 OUT= MAC=… SRC=A DST=B LEN=60 … PROTO=TCP SPT=1 DPT=2 … SYN URGP=0
//
// PREFIX is the administrator's own text and the only word on what became of the
// packet: a decision is derived of ufw's and firewalld's, and where a word of it is
// DROP, REJECT, DENY, BLOCK, ACCEPT or ALLOW.
//
// It never panics on bytes from outside and keeps nothing beyond a call.
package netfilter

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// Formats are the text layouts that this package reads.
var Formats = []facts.Format{
	{Name: "netfilter", Platform: "netfilter", Kind: facts.Flow, Of: "packets that Linux's packet filter logs: iptables, nftables, ufw, firewalld"},
}

// A Line reads lines of the packet filter. The zero Line is ready to use.
type Line struct {
	flags []byte
	key   []byte
}

// maxParts bounds the words of a line.
const maxParts = 64

// Text implements facts.Line.
func (l *Line) Text(line []byte, o *facts.Out) bool {
	at := begin(line)
	if at < 0 || len(o.Program) == 0 && headed(line, o.Now) || !bytes.Contains(line[at:], []byte(" SRC=")) || !bytes.Contains(line[at:], []byte(" DST=")) || !bytes.Contains(line[at:], []byte(" PROTO=")) {
		return false
	}
	o.Format, o.Status = "netfilter", facts.OK
	decide(o, line[:at])
	l.flags = l.flags[:0]
	in, out := []byte(nil), []byte(nil)
	rest := line[at:]
	for range maxParts {
		var word []byte
		word, rest = facts.CutByte(rest, ' ')
		if len(word) > 0 && word[0] == '[' {
			break // the packet that an ICMP error is about
		}
		key, v, pair := bytes.Cut(word, []byte("="))
		switch {
		case !pair:
			l.flag(word)
		case len(v) == 0:
		case string(key) == "IN":
			in = v
		case string(key) == "OUT":
			out = v
		default:
			l.pair(o, key, v)
		}
		if len(rest) == 0 {
			break
		}
	}
	o.DeriveBytes(field.ObserverIngress, in)
	o.DeriveBytes(field.ObserverEgress, out)
	switch {
	case in != nil && out == nil:
		o.Derive(field.MeshDirection, "inbound")
	case in == nil && out != nil:
		o.Derive(field.MeshDirection, "outbound")
	}
	o.DeriveBytes(field.MeshFlowTCPFlags, l.flags)
	return true
}

// headed reports whether syslog's header, which is read before, stands before a line.
func headed(b []byte, now int64) bool {
	if b[0] == '<' {
		return true
	}
	_, n := facts.MonthStamp(b, now)
	if n == 0 {
		_, n = facts.Stamp(b)
	}
	return n > 0
}

// begin returns where IN=… OUT=… begins, or -1.
func begin(b []byte) int {
	for from := 0; ; {
		i := bytes.Index(b[from:], []byte("IN="))
		if i < 0 {
			return -1
		}
		i += from
		// A prefix need not end in a space.
		end := bytes.IndexByte(b[i:], ' ')
		if end > 0 && bytes.HasPrefix(b[i+end+1:], []byte("OUT=")) {
			return i
		}
		from = i + 3
	}
}

// pair writes one KEY=VALUE.
func (l *Line) pair(o *facts.Out, key, v []byte) {
	switch string(key) {
	case "SRC":
		o.DeriveBytes(field.SourceAddress, v)
		o.NetworkType(v)
	case "DST":
		o.DeriveBytes(field.DestinationAddress, v)
	case "SPT":
		number(o, field.SourcePort, v, 1<<16)
	case "DPT":
		number(o, field.DestinationPort, v, 1<<16)
	case "LEN":
		if !o.HasInt(field.NetworkBytes) { // UDP's own comes second
			number(o, field.NetworkBytes, v, 1<<32)
			o.DeriveInt(field.NetworkPackets, 1)
		}
	case "PROTO":
		if n, ok := facts.Uint(v); ok {
			o.Transport(n)
		} else if string(v) == "ICMPv6" {
			o.Derive(field.NetworkTransport, "icmpv6")
		} else {
			o.DeriveLower(field.NetworkTransport, v)
		}
	case "UID":
		o.DeriveBytes(field.UserID, v)
	case "TOS", "PREC", "ID", "WINDOW", "RES", "URGP", "TC", "FLOWLBL", "HOPLIMIT", "OPT":
		// of the packet's headers: the body has them
	default:
		l.key = append(l.key[:0], "netfilter."...)
		for _, c := range key {
			if c >= 'A' && c <= 'Z' {
				c |= 0x20
			}
			l.key = append(l.key, c)
		}
		o.OwnText(l.key, v)
	}
}

func number(o *facts.Out, f field.ID, v []byte, limit int64) {
	if n, ok := facts.Uint(v); ok && n < limit {
		o.DeriveInt(f, n)
	}
}

// flag notes a flag of TCP.
func (l *Line) flag(word []byte) {
	switch string(word) {
	case "SYN", "ACK", "FIN", "RST", "PSH", "URG", "ECE", "CWR":
		if len(l.flags) > 0 {
			l.flags = append(l.flags, ',')
		}
		if len(l.flags) < 64 {
			l.flags = append(l.flags, word...)
		}
	}
}

// decide derives what became of the packet, and which rule says so.
func decide(o *facts.Out, b []byte) {
	if len(b) > 0 && b[0] == '[' { // the time since the machine started
		if end := bytes.IndexByte(b, ']'); end > 0 && end < 24 && bytes.IndexByte(b[:end], '.') > 0 {
			b = b[end+1:]
		}
	}
	b = bytes.Trim(b, " :")
	b = bytes.TrimPrefix(b, []byte("kernel: "))
	if len(b) == 0 || len(b) > 128 {
		return
	}
	o.DeriveBytes(field.MeshPolicyName, bytes.Trim(b, "[]: "))
	verdict := ""
	for word := b; len(word) > 0; {
		n := 0
		for n < len(word) && word[n]|0x20 >= 'a' && word[n]|0x20 <= 'z' {
			n++
		}
		switch string(word[:n]) {
		case "BLOCK", "DROP", "DROPPED", "REJECT", "REJECTED", "DENY", "DENIED":
			verdict = "deny"
		case "ALLOW", "ACCEPT", "ACCEPTED", "PERMIT":
			if verdict == "" {
				verdict = "allow"
			}
		case "AUDIT":
			if verdict == "" {
				verdict = "audit"
			}
		}
		word = word[min(n+1, len(word)):]
	}
	if verdict != "" {
		o.Decision(verdict, "firewall")
	}
	switch verdict {
	case "deny":
		o.Derive(field.EventOutcome, facts.Failure)
	case "allow":
		o.Derive(field.EventOutcome, facts.Success)
	}
}
