// Package login reads what programs of Unix log of people who come, go and become
// somebody else, as syslog and systemd's journal carry it:
//
//	sshd          OpenSSH's daemon (auth.c, packet.c, sshd-session since 9.8)
//	pam           modules of PAM, in the log of any program (pam_unix and those that write alike)
//	sudo, su      sudo, sudo-rs, doas, pkexec; su of util-linux, of shadow and of BSD
//	login         login of util-linux, systemd-logind
//	shadow-utils  useradd, usermod, userdel, groupadd, gpasswd, passwd, chage and their kin
//	cron          cron, cronie, crontab
//
// Which of them a line is of is told by the program that wrote it (facts.Out.Program),
// or by what the sender declares: nothing else tells such lines from those of any
// other program. Of a program's other messages the program is all that is known.
//
// It never panics on bytes from outside and keeps nothing beyond a call.
package login

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// The names of the formats.
const (
	SSHD   = "sshd"
	PAM    = "pam"
	Sudo   = "sudo"
	Su     = "su"
	Login  = "login"
	Shadow = "shadow-utils"
	Cron   = "cron"
)

// Formats are the text layouts that this package reads.
var Formats = []facts.Format{
	{Name: SSHD, Platform: "sshd", Kind: facts.Auth, Of: "OpenSSH's daemon"},
	{Name: PAM, Platform: "pam", Kind: facts.Auth, Of: "modules of PAM, in the log of any program"},
	{Name: Sudo, Platform: "sudo", Kind: facts.Auth, Of: "sudo, doas and pkexec"},
	{Name: Su, Platform: "su", Kind: facts.Auth, Of: "su"},
	{Name: Login, Platform: "login", Kind: facts.Auth, Of: "login and systemd-logind"},
	{Name: Shadow, Platform: "shadow-utils", Kind: facts.Audit, Of: "useradd, usermod, passwd and their kin"},
	{Name: Cron, Platform: "cron", Kind: facts.Host, Of: "cron and crontab"},
}

// Platforms may be declared for lines without the name of their program.
var Platforms = []string{"sshd", "pam", "sudo", "su", "login", "shadow-utils", "cron"}

// A Line reads lines of such programs. The zero Line is ready to use.
type Line struct{}

// Text implements facts.Line.
func (l *Line) Text(line []byte, o *facts.Out) bool {
	program := o.Program
	if len(program) == 0 {
		if o.Declared == "" {
			return false
		}
		return l.read(o.Declared, line, o)
	}
	if i := bytes.IndexByte(program, '('); i > 0 { // sshd(pam_unix) of PAM before 0.99
		if bytes.HasPrefix(program[i:], []byte("(pam_")) && program[len(program)-1] == ')' {
			return module(program[i+1:len(program)-1], program[:i], nil, line, o)
		}
		return false
	}
	program = facts.Last(program, '/')
	return l.read(kindOf(program), line, o)
}

// kindOf returns the format of a program's own messages, "" when it is another
// program's: it may still be one of PAM's modules that writes.
func kindOf(program []byte) string {
	switch string(program) {
	case "sshd", "sshd-session", "sshd-auth":
		return SSHD
	case "sudo", "sudo-rs", "doas", "pkexec":
		return Sudo
	case "su", "su-l", "runuser":
		return Su
	case "login", "systemd-logind", "elogind":
		return Login
	case "useradd", "usermod", "userdel", "groupadd", "groupmod", "groupdel", "gpasswd", "passwd", "chpasswd", "chage", "chsh", "chfn", "newusers", "adduser", "groupmems":
		return Shadow
	case "CRON", "cron", "crond", "crontab":
		return Cron
	}
	return ""
}

func (l *Line) read(kind string, line []byte, o *facts.Out) bool {
	count := int64(0)
	if n, inner, ok := repeated(line); ok {
		count, line = n, inner
	}
	ok := pam(line, o)
	if !ok {
		switch kind {
		case SSHD:
			ok = sshd(line, o)
		case Sudo:
			ok = sudo(line, o)
		case Su:
			ok = su(line, o)
		case Login:
			ok = login(line, o)
		case Shadow:
			ok = shadow(line, o)
		case Cron:
			ok = cron(line, o)
		}
	}
	if !ok && kind != "" && kind == kindOf(facts.Last(o.Program, '/')) {
		is(o, kind, "", "") // the program's own, and nothing that is known
		ok = true
	}
	if ok && count > 0 {
		o.DeriveInt(field.EventCount, count)
	}
	return ok
}

// repeated reads message repeated N times: [ … ], as rsyslog writes.
func repeated(b []byte) (n int64, inner []byte, ok bool) {
	b, ok = bytes.CutPrefix(b, []byte("message repeated "))
	if !ok {
		return 0, nil, false
	}
	number, rest := facts.CutByte(b, ' ')
	n, good := facts.Uint(number)
	rest, ok = bytes.CutPrefix(rest, []byte("times: ["))
	end := bytes.LastIndexByte(rest, ']')
	if !good || !ok || end < 0 {
		return 0, nil, false
	}
	return n, bytes.Trim(rest[:end], " "), true
}

// is begins a record of a layout: what was done, and how it ended ("" is not told).
func is(o *facts.Out, format, action, outcome string) {
	o.Format, o.Status = format, facts.OK
	if action != "" {
		o.Derive(field.EventAction, action)
	}
	if outcome != "" {
		o.Derive(field.EventOutcome, outcome)
	}
}

// peer writes who is at the other end: ADDRESS[ port N]. It reports whether it is
// one, and returns what stands behind it.
func peer(b []byte, o *facts.Out) (rest []byte, ok bool) {
	host, rest := facts.CutByte(b, ' ')
	colon := len(host) > 1 && host[len(host)-1] == ':' && !facts.IsAddress(host)
	if colon {
		host = host[:len(host)-1]
	}
	if host = bytes.TrimRight(host, ",."); !address(host) {
		return b, false
	}
	o.DeriveBytes(field.ClientAddress, host)
	o.NetworkType(host)
	number, ok := bytes.CutPrefix(rest, []byte("port "))
	if !ok {
		return rest, true
	}
	end := 0
	for end < len(number) && number[end]-'0' < 10 {
		end++
	}
	if n, ok := facts.Uint(number[:end]); ok && n < 1<<16 {
		o.DeriveInt(field.ClientPort, n)
	}
	return bytes.TrimLeft(number[end:], " "), true
}

// address reports whether a word may be an address or the name of a host.
func address(b []byte) bool {
	zone := bytes.IndexByte(b, '%')
	if zone > 0 {
		b = b[:zone]
	}
	return facts.IsAddress(b) || facts.IsHost(b) || string(b) == "UNKNOWN" || string(b) == "localhost"
}

// reason writes why, without what sshd adds of its stage.
func reason(b []byte, o *facts.Out) {
	b = bytes.TrimSuffix(b, []byte(" [preauth]"))
	o.DeriveBytes(field.EventReason, bytes.TrimSpace(b))
}

// quoted returns what stands between the first pair of ' or of ` and '.
func quoted(b []byte) (inside, rest []byte, ok bool) {
	i := bytes.IndexAny(b, "'`")
	if i < 0 {
		return nil, b, false
	}
	end := bytes.IndexByte(b[i+1:], '\'')
	if end < 0 {
		return nil, b, false
	}
	return b[i+1 : i+1+end], b[i+end+2:], true
}
