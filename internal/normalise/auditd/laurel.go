package auditd

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// Tables are the JSON layouts that this package reads.
var Tables = []*table.Table{laurel}

const (
	_ table.Slot = iota
	atID
	atPID
	atAcct
	atAUID
	atUID
	atEUID
	atTarget
	atAUIDName
	atUIDName
	atEUIDName
	atArch
	atSyscall
	atCall
	atResult
	atExit
	atOp
	atExe
	atAddr
	atHost
	atArgs
	atLine
	atTitle
	atTitleLine
)

// laurel is one event of audit, its reports by type and their values decoded.
var laurel = &table.Table{
	Format: facts.Format{Name: Laurel, Platform: "auditd", Kind: facts.Audit, Of: "laurel: events of Linux's audit as JSON"},
	All:    [][]string{{"ID"}, laurelNames()},
	Keys:   laurelRules(),
	Match:  func(s *table.Slots) bool { _, ok := timeOf(s.Text(atID)); return ok },
	Finish: laurelFinish,
}

// laurelNames are the names of which an event has one.
func laurelNames() []string {
	names := []string{"EXECVE.ARGV", "EXECVE.ARGV_STR", "PROCTITLE.ARGV", "PROCTITLE.ARGV_STR", "PATH", "CWD.cwd", "BPF.op", "CONFIG_CHANGE.op", "NETFILTER_CFG.op", "AVC"}
	for _, t := range types {
		if roleOf([]byte(t)) != part {
			names = append(names, t+".pid", t+".auid")
		}
	}
	return names
}

func laurelRules() map[string]table.Rule {
	m := map[string]table.Rule{
		"ID": table.Text(field.AuditdEventID).At(atID), "NODE": table.Text(field.HostName), "CWD.cwd": table.Text(field.ProcessWorkingDirectory),
		"EXECVE.ARGV": table.Own().At(atArgs), "EXECVE.ARGV_STR": table.Own().At(atLine), "PROCTITLE.ARGV": table.Own().At(atTitle), "PROCTITLE.ARGV_STR": table.Own().At(atTitleLine),
	}
	for _, t := range types {
		if roleOf([]byte(t)) == part {
			continue
		}
		for key, r := range map[string]table.Rule{
			"pid": table.Int(field.ProcessPID).At(atPID), "ppid": table.Int(field.ProcessParentPID), "comm": table.Text(field.ProcessExecutableName),
			"exe": table.Text(field.ProcessExecutablePath).At(atExe), "tty": table.Own(), "terminal": table.Own(), "unit": table.Text(field.SystemdUnit), "cwd": table.Text(field.ProcessWorkingDirectory),
			"cmd": table.Text(field.ProcessCommandLine), "auid": table.Own().At(atAUID), "uid": table.Own().At(atUID), "euid": table.Own().At(atEUID), "id": table.Own().At(atTarget),
			"acct": table.Own().At(atAcct), "AUID": table.Own().At(atAUIDName), "UID": table.Own().At(atUIDName), "EUID": table.Own().At(atEUIDName),
			"arch": table.Own().At(atArch), "syscall": table.Own().At(atSyscall), "SYSCALL": table.Own().At(atCall), "success": table.Own().At(atResult), "res": table.Own().At(atResult),
			"exit": table.Own().At(atExit), "op": table.Own().At(atOp), "addr": table.Own().At(atAddr), "hostname": table.Own().At(atHost),
		} {
			m[t+"."+key] = r
		}
	}
	return m
}

func laurelFinish(o *facts.Out, s *table.Slots) {
	if ns, ok := timeOf(s.Text(atID)); ok && !o.Fixed {
		o.Time = ns
	}
	kind := laurelKind(s)
	p := pairs{
		acct: value(s, atAcct), id: value(s, atTarget), auid: value(s, atAUID), uid: value(s, atUID), euid: value(s, atEUID),
		auidName: value(s, atAUIDName), uidName: value(s, atUIDName), arch: value(s, atArch), syscall: value(s, atSyscall), call: value(s, atCall),
		exit: value(s, atExit), result: value(s, atResult), op: value(s, atOp), exe: value(s, atExe), addr: value(s, atAddr), hostname: value(s, atHost),
	}
	if len(p.acct) > 0 && p.acct[0] == '(' {
		p.acct = nil
	}
	r := part
	if kind != "" {
		o.Derive(field.EventName, kind)
		r = roleOfName(kind)
	}
	p.who(o, r)
	p.from(o)
	if kind != "" {
		p.what(o, kindBytes(kind), r)
		p.how(o, kindBytes(kind), nil)
	}
	laurelCommand(o, s)
}

// value returns the value of a slot, nil for those that say that there is none.
func value(s *table.Slots, at table.Slot) []byte {
	v := s.Text(at)
	if absent(v) || string(v) == "unset" || string(v) == "(none)" || string(v) == "(null)" {
		return nil
	}
	return v
}

// laurelKind returns the type of the report that tells who did what.
func laurelKind(s *table.Slots) string {
	for _, at := range [...]table.Slot{atCall, atSyscall, atPID, atAUID, atOp} {
		m := s.Member(at)
		if m == nil {
			continue
		}
		for i := range len(m.Name.Text) {
			if m.Name.Text[i] == '.' {
				return m.Name.Text[:i]
			}
		}
	}
	return ""
}

func roleOfName(kind string) role {
	if r, ok := roles[kind]; ok {
		return r
	}
	return act
}

var kinds = func() map[string][]byte {
	m := make(map[string][]byte, len(types))
	for _, t := range types {
		m[t] = []byte(t)
	}
	return m
}()

func kindBytes(kind string) []byte { return kinds[kind] }

// laurelCommand writes the command line, of which laurel writes the words.
func laurelCommand(o *facts.Out, s *table.Slots) {
	for _, at := range [...]table.Slot{atLine, atTitleLine} {
		if v := s.Text(at); v != nil {
			o.DeriveBytes(field.ProcessCommandLine, v)
			return
		}
	}
	at := atArgs
	if s.Member(at) == nil {
		at = atTitle
	}
	var few [1024]byte
	line := few[:0]
	s.Elements(at, func(m *jsonscan.Member) {
		if len(line) > 0 {
			line = append(line, ' ')
		}
		line = append(line, m.Text...)
	})
	o.DeriveBytes(field.ProcessCommandLine, bytes.TrimRight(line, " "))
}
