// Package auditd reads what Linux's audit reports (github.com/linux-audit), one
// line of an event at a time:
//
//	[node=NODE ]type=TYPE msg=audit(SECONDS.MILLIS:SERIAL): k=v …[0x1D K=V …]   auditd's files and plug-ins
//	audit: type=NUMBER audit(SECONDS.MILLIS:SERIAL): k=v …                       the kernel's own log
//	TYPE k=v …                                                                   systemd's journal, program audit; AppArmor's of any
//	{"ID":"SECONDS.MILLIS:SERIAL","SYSCALL":{…},…}                               laurel (github.com/threathunters-io/laurel)
//
// An event is often several lines (SYSCALL, EXECVE, CWD, PATH, PROCTITLE). Nothing
// waits for the others: auditd.event.id joins them.
//
// What a field says is kept decoded: auditd writes values that hold spaces, quotes
// or control characters in hexadecimal, and command lines with NUL between words.
// Keys without a canonical name are auditd.KEY, but for pointers, capabilities and
// the many identities of a process, which stay in the body. Numbers of system calls are named
// for x86-64, 64-bit ARM and RISC-V.
//
// It never panics on bytes from outside and keeps nothing beyond a call.
package auditd

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// The names of the formats.
const (
	Text   = "auditd"
	Kernel = "auditd-kernel"
	Laurel = "auditd-laurel"
)

// Formats are the text layouts that this package reads.
var Formats = []facts.Format{
	{Name: Text, Platform: "auditd", Kind: facts.Audit, Of: "auditd's files and plug-ins"},
	{Name: Kernel, Platform: "auditd", Kind: facts.Audit, Of: "Linux's audit in the log of the kernel and in systemd's journal"},
}

// A Line reads lines of audit. The zero Line is ready to use.
type Line struct {
	pairs pairs
	made  []byte
	key   []byte
	acct  []byte
}

// Text implements facts.Line.
func (l *Line) Text(line []byte, o *facts.Out) bool {
	node, b := []byte(nil), line
	if rest, ok := bytes.CutPrefix(b, []byte("node=")); ok {
		if node, b, ok = bytes.Cut(rest, []byte(" ")); !ok || len(node) == 0 {
			return false
		}
	}
	if rest, ok := bytes.CutPrefix(b, []byte("type=")); ok {
		return l.typed(node, rest, o)
	}
	switch {
	case node != nil:
		return false
	case string(o.Program) == "audit", bytes.HasPrefix(b, []byte("AVC apparmor=")):
		return l.journal(b, o)
	}
	return l.kernel(b, o)
}

// typed reads TYPE msg=audit(…): …, and NUMBER audit(…): ….
func (l *Line) typed(node, b []byte, o *facts.Out) bool {
	kind, rest, ok := bytes.Cut(b, []byte(" "))
	if !ok || !isType(kind) {
		return false
	}
	format := Text
	if after, ok := bytes.CutPrefix(rest, []byte("msg=")); ok {
		rest = after
	} else if format = Kernel; kind[0] > '9' {
		return false
	}
	id, ns, rest, ok := stamp(rest)
	if !ok {
		// What auparse says of a type that it does not know.
		if !bytes.HasPrefix(kind, []byte("UNKNOWN[")) || format != Text {
			return false
		}
		o.Format, o.Status = Text, facts.Partial
		o.DeriveBytes(field.HostName, node)
		o.DeriveBytes(field.EventName, kind)
		return true
	}
	o.Format, o.Status = format, facts.OK
	if !o.Fixed {
		o.Time = ns
	}
	o.DeriveBytes(field.HostName, node)
	o.DeriveBytes(field.AuditdEventID, id)
	l.write(typeName(kind), rest, o)
	return true
}

// kernel reads [SECONDS] audit: type=NUMBER audit(…): …, as the kernel logs when no
// daemon takes its reports.
func (l *Line) kernel(b []byte, o *facts.Out) bool {
	if b[0] == '[' {
		end := bytes.IndexByte(b[:min(len(b), 24)], ']')
		if end < 0 {
			return false
		}
		b = bytes.TrimLeft(b[end+1:], " ")
	}
	b, ok := bytes.CutPrefix(b, []byte("audit: type="))
	return ok && len(b) > 0 && b[0] <= '9' && l.typed(nil, b, o)
}

// journal reads TYPE k=v …, as systemd writes reports to its journal: without the
// id, under the program audit.
func (l *Line) journal(b []byte, o *facts.Out) bool {
	kind, rest, ok := bytes.Cut(b, []byte(" "))
	if !ok || !isType(kind) || kind[0] <= '9' || bytes.IndexByte(rest, '=') < 0 {
		return false
	}
	o.Format, o.Status = Kernel, facts.OK
	l.write(kind, rest, o)
	return true
}

// isType reports whether b may be a type: USER_LOGIN, 1400, UNKNOWN[1329].
func isType(b []byte) bool {
	for _, c := range b {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '[' && c != ']' {
			return false
		}
	}
	return len(b) > 1 && len(b) < 40
}

// stamp reads audit(SECONDS.MILLIS:SERIAL) and the colon behind it, which two types
// of old daemons lack.
func stamp(b []byte) (id []byte, ns int64, rest []byte, ok bool) {
	b, ok = bytes.CutPrefix(b, []byte("audit("))
	end := bytes.IndexByte(b[:min(len(b), 48)], ')')
	if !ok || end < 0 {
		return nil, 0, nil, false
	}
	id, rest = b[:end], bytes.TrimPrefix(b[end+1:], []byte(":"))
	ns, ok = timeOf(id)
	return id, ns, rest, ok
}

// timeOf reads the time of SECONDS.MILLIS:SERIAL.
func timeOf(id []byte) (ns int64, ok bool) {
	when, serial, ok := bytes.Cut(id, []byte(":"))
	if _, good := facts.Uint(serial); !ok || !good {
		return 0, false
	}
	seconds, millis, _ := bytes.Cut(when, []byte("."))
	s, good := facts.Uint(seconds)
	ms, fine := facts.Uint(millis)
	if !good || !fine || len(millis) != 3 || s > 1<<33 {
		return 0, false
	}
	return s*1e9 + ms*1e6, true
}
