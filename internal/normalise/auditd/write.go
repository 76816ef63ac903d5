package auditd

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/kv"
)

// pairs are the values of one line that facts are put together from. They alias
// the line.
type pairs struct {
	acct, id, auid, uid, euid []byte
	auidName, uidName         []byte // behind 0x1D: by name
	arch, syscall, call       []byte // call is the system call by name
	exit, result              []byte
	op, operation, message    []byte
	exe                       []byte
	addr, hostname            []byte
	code                      []byte // of SECCOMP
	apparmor, profile         []byte
	permissive                []byte
}

// maxPairs bounds the pairs of a line that become fields: the body has them all.
const maxPairs = 96

// write writes what stands behind the id.
func (l *Line) write(kind, b []byte, o *facts.Out) {
	o.DeriveBytes(field.EventName, kind)
	l.pairs = pairs{}
	p := &l.pairs
	b = bytes.TrimLeft(b, " ")
	b, enriched := split(b)
	switch string(kind) {
	case "EXECVE":
		l.execve(b, o)
	case "PROCTITLE":
		if v, ok := kv.Value(b, "proctitle", kv.Audit); ok {
			o.DeriveBytes(field.ProcessCommandLine, l.decoded(&v, true))
		}
	default:
		l.scan(kind, b, o, false)
	}
	l.names(enriched)
	role := roleOf(kind)
	p.who(o, role)
	p.from(o)
	p.what(o, kind, role)
	p.how(o, kind, b)
}

// split cuts off what stands behind 0x1D, which syslog daemons write as #035.
func split(b []byte) (plain, enriched []byte) {
	if i := bytes.IndexByte(b, 0x1d); i >= 0 {
		return b[:i], b[i+1:]
	}
	if i := bytes.Index(b, []byte("#035")); i >= 0 {
		return b[:i], b[i+4:]
	}
	i := bytes.Index(b, []byte(`UID="`)) // where somebody removed it
	if i <= 0 {
		return b, nil
	}
	for i > 0 && b[i-1] >= 'A' && b[i-1] <= 'Z' {
		i--
	}
	return b[:i], b[i:]
}

// scan reads pairs. inner are those of a message within msg='…'.
func (l *Line) scan(kind, b []byte, o *facts.Out, inner bool) {
	s := kv.Scan(b, kv.Audit)
	for range maxPairs {
		pair, ok := s.Next()
		if !ok {
			return
		}
		if pair.Flag {
			continue
		}
		if !inner && string(pair.Key) == "msg" && pair.Quoted {
			message := pair.Value
			if end := bytes.LastIndexByte(s.Rest(), '\''); end >= 0 { // an apostrophe within
				at := len(b) - len(s.Rest())
				from := at - len(pair.Value) - 1
				message = b[from : at+end]
				s = kv.Scan(b[at+end+1:], kv.Audit)
				b = b[at+end+1:]
			}
			l.pairs.message, _ = kv.Message(message)
			l.scan(kind, message, o, true)
			continue
		}
		if !pair.Quoted { // "(hostname=?, addr=?, res=success)" of old programs
			pair.Key = bytes.TrimLeft(pair.Key, "(")
			pair.Value = bytes.TrimRight(pair.Value, ",)")
			if bytes.HasPrefix(pair.Value, []byte("(none")) || bytes.HasPrefix(pair.Value, []byte("(null")) {
				continue
			}
		}
		if string(pair.Key) == "op" && !pair.Quoted {
			s.Goon(&pair) // "op=change password id=1001"
		}
		if !absent(pair.Value) {
			l.pair(kind, &pair, o)
		}
	}
}

// absent reports whether a value says that there is none.
func absent(v []byte) bool { return len(v) == 0 || len(v) == 1 && v[0] == '?' }

// unset is the audit identity of who never logged in, as audit writes it.
func unset(v []byte) bool {
	return len(v) == 0 || string(v) == "4294967295" || string(v) == "-1" || string(v) == "unset" || string(v) == "n/a"
}

// pair writes one pair, or notes it.
func (l *Line) pair(kind []byte, pair *kv.Pair, o *facts.Out) {
	p, v := &l.pairs, pair.Value
	switch string(pair.Key) {
	case "pid", "ppid", "spid":
		l.process(pair, o)
	case "auid":
		p.auid = v
	case "uid":
		p.uid = v
	case "euid":
		p.euid = v
	case "id":
		p.id = v
	case "acct":
		p.acct = l.account(pair)
	case "exe":
		p.exe = v
		o.DeriveBytes(field.ProcessExecutablePath, l.decoded(pair, false))
	case "comm":
		o.DeriveBytes(field.ProcessExecutableName, l.decoded(pair, false))
	case "cmd":
		o.DeriveBytes(field.ProcessCommandLine, l.decoded(pair, false))
	case "cwd":
		o.DeriveBytes(field.ProcessWorkingDirectory, l.decoded(pair, false))
	case "tty", "terminal":
		o.DeriveBytes(field.ProcessTTY, v)
	case "name", "path":
		l.file(kind, pair, o)
	case "unit":
		o.DeriveBytes(field.SystemdUnit, v)
	case "sig":
		if string(v) != "0" {
			o.DeriveBytes(field.ProcessExitSignal, v)
		}
	case "saddr":
		l.address(v, o)
	case "addr":
		p.addr = v
	case "hostname":
		p.hostname = v
	case "rport":
		port(o, field.ClientPort, v)
	case "SADDR", "saddr_fam", "ARCH": // of saddr, which is written
	case "AUID", "UID", "SYSCALL", "ID": // nothing but a space before them
		l.name(pair)
	case "laddr":
		o.DeriveBytes(field.NetworkLocalAddress, v)
	case "lport":
		port(o, field.NetworkLocalPort, v)
	default:
		p.note(pair)
		l.own(pair, o)
	}
}

// note notes a value that facts are also put together from.
func (p *pairs) note(pair *kv.Pair) {
	v := pair.Value
	switch string(pair.Key) {
	case "arch":
		p.arch = v
	case "syscall":
		p.syscall = v
	case "exit":
		p.exit = v
	case "res", "success", "result":
		p.result = v
	case "op":
		p.op = v
	case "operation":
		p.operation = v
	case "code":
		p.code = v
	case "apparmor":
		p.apparmor = v
	case "profile":
		p.profile = v
	case "permissive":
		p.permissive = v
	}
}

// own writes a pair as auditd.KEY.
func (l *Line) own(pair *kv.Pair, o *facts.Out) {
	switch string(pair.Key) {
	case "res", "success", "result", "op", "operation", "msg":
		return // derived
	case "a0", "a1", "a2", "a3", "items", "item", "suid", "fsuid", "egid", "sgid", "fsgid", "compat", "ip", "rdev", "cap_fp", "cap_fi", "cap_fe", "cap_fver", "cap_frootid":
		return // pointers, and what hardly ever differs: the body has them
	case "arch", "syscall":
		if syscall(l.pairs.arch, l.pairs.syscall) != nil {
			return // named
		}
	case "ses", "old-auid", "old-ses":
		if unset(pair.Value) {
			return
		}
	}
	v := pair.Value
	switch string(pair.Key) {
	case "data", "key", "dir", "file", "ocomm", "watch", "vm", "new-chardev", "old-chardev", "new-disk", "old-disk", "root_dir", "invalid_context":
		v = l.decoded(pair, false)
	}
	l.key = append(append(l.key[:0], "auditd."...), pair.Key...)
	o.OwnText(l.key, v)
}

func (l *Line) process(pair *kv.Pair, o *facts.Out) {
	n, ok := facts.Uint(pair.Value)
	switch {
	case !ok:
		o.Partial()
		l.own(pair, o)
	case string(pair.Key) == "pid":
		o.DeriveInt(field.ProcessPID, n)
	case string(pair.Key) == "ppid":
		o.DeriveInt(field.ProcessParentPID, n)
	default:
		l.own(pair, o)
	}
}

// file writes a name that is one of a file: in AppArmor's reports of the network or
// of signals, and of those of services, it is none.
func (l *Line) file(kind []byte, pair *kv.Pair, o *facts.Out) {
	if string(kind) == "PATH" || string(kind) == "AVC" || string(kind) == "AVC_PATH" || string(pair.Key) == "path" || bytes.HasPrefix(kind, []byte("ANOM_")) || bytes.HasPrefix(kind, []byte("INTEGRITY_")) {
		if l.pairs.apparmor == nil || pair.Value[0] == '/' || !pair.Quoted {
			o.DeriveBytes(field.FilePath, l.decoded(pair, false))
			return
		}
	}
	l.own(pair, o)
}

func port(o *facts.Out, f field.ID, v []byte) {
	if n, ok := facts.Uint(v); ok && n < 1<<16 {
		o.DeriveInt(f, n)
	}
}

// names takes what stands behind 0x1D: the same values by name, in capitals.
func (l *Line) names(b []byte) {
	s := kv.Scan(b, kv.Audit)
	for range maxPairs {
		pair, ok := s.Next()
		if !ok {
			return
		}
		if pair.Flag || absent(pair.Value) || string(pair.Value) == "unset" {
			continue
		}
		l.name(&pair)
	}
}

func (l *Line) name(pair *kv.Pair) {
	switch p := &l.pairs; string(pair.Key) {
	case "AUID":
		p.auidName = pair.Value
	case "UID":
		p.uidName = pair.Value
	case "SYSCALL":
		p.call = pair.Value
	case "ID":
		if p.acct == nil {
			p.acct = pair.Value
		}
	}
}

// account returns the name in acct=. sshd names none for accounts that there are
// not.
func (l *Line) account(pair *kv.Pair) []byte {
	v := pair.Value
	if !pair.Quoted && isHex(v) {
		// Kept apart from l.made, which the next pair overwrites.
		l.acct = unhex(l.acct[:0], v, false)
		v = l.acct
	}
	if len(v) == 0 || v[0] == '(' {
		return nil
	}
	return v
}
