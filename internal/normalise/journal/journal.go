// Package journal reads records of systemd's journal in files: as JSON, one object
// each (journalctl -o json, Fluent Bit's and Vector's inputs of the journal), and in
// the text of the export format, as far as a payload has a whole record or a field
// of one (systemd.io/JOURNAL_EXPORT_FORMATS).
//
// The names are those that receive/journald gives. The message is read by whoever
// knows what SYSLOG_IDENTIFIER wrote. A message that is no UTF-8 is an array of
// bytes in the journal's JSON: the body is its text, and the array is kept.
//
// It never panics on bytes from outside and keeps nothing beyond a call.
package journal

import (
	"bytes"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// The names of the formats.
const (
	JSON   = "journald-json"
	Export = "journald-export"
)

// Formats are the text layouts that this package reads.
var Formats = []facts.Format{
	{Name: Export, Platform: "journald", Kind: facts.Host, Of: "systemd's journal in the export format, in a file"},
}

// Tables are the JSON layouts that this package reads.
var Tables = []*table.Table{journal}

const (
	_ table.Slot = iota
	atTime
	atSourceTime
	atMessage
	atPriority
	atFacility
	atIdentifier
	atUnit
	atComm
)

var journal = &table.Table{
	Format: facts.Format{Name: JSON, Platform: "journald", Kind: facts.Host, Of: "systemd's journal as JSON (journalctl -o json)"},
	All:    [][]string{{"MESSAGE", "__CURSOR"}, {"__REALTIME_TIMESTAMP", "_SOURCE_REALTIME_TIMESTAMP", "_BOOT_ID", "_MACHINE_ID", "_TRANSPORT"}},
	Keys: map[string]table.Rule{
		"MESSAGE": table.Message().At(atMessage), "__REALTIME_TIMESTAMP": table.Take(atTime), "_SOURCE_REALTIME_TIMESTAMP": table.Own().At(atSourceTime),
		"PRIORITY": table.Take(atPriority), "SYSLOG_FACILITY": table.Take(atFacility), "SYSLOG_IDENTIFIER": table.Text(field.SyslogAppname).At(atIdentifier),
		"SYSLOG_PID": table.Text(field.SyslogProcid), "__CURSOR": table.Text(field.LogRecordUID), "_HOSTNAME": table.Text(field.HostName), "_MACHINE_ID": table.Text(field.HostID),
		"_SYSTEMD_UNIT": table.Text(field.SystemdUnit).At(atUnit), "_PID": table.Int(field.ProcessPID), "_COMM": table.Text(field.ProcessExecutableName).At(atComm),
		"_EXE": table.Text(field.ProcessExecutablePath), "_CMDLINE": table.Text(field.ProcessCommandLine), "TID": table.Int(field.ThreadID),
		"CODE_FILE": table.Text(field.CodeFilePath), "CODE_LINE": table.Int(field.CodeLineNumber), "CODE_FUNC": table.Text(field.CodeFunctionName),
	},
	Finish: finish,
}

// severities are the names of PRIORITY, and their numbers on OpenTelemetry's scale
// (logs data model, appendix B).
var severities = [...]struct {
	name   string
	number int64
}{{"emerg", 21}, {"alert", 19}, {"crit", 18}, {"err", 17}, {"warning", 13}, {"notice", 10}, {"info", 9}, {"debug", 5}}

var facilities = [...]string{"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp", "audit", "alert", "clock",
	"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"}

func finish(o *facts.Out, s *table.Slots) {
	us, ok := s.Int(atTime)
	if ok = ok && when(us, o); !ok {
		if m := s.Member(atTime); m != nil {
			table.Keep(o, m)
		}
		if us, ok := s.Int(atSourceTime); ok && o.Time == 0 {
			when(us, o)
		}
	}
	if n, ok := s.Int(atPriority); !ok || !severity(n, o) {
		leave(o, s, atPriority)
	}
	if n, ok := s.Int(atFacility); !ok || !facility(n, o) {
		leave(o, s, atFacility)
	}
	program(s.Text(atIdentifier), s.Text(atUnit), s.Text(atComm), o)
	if m := s.Member(atMessage); m != nil && m.Kind == jsonscan.JSON {
		var few [2048]byte
		if text, ok := bytesOf(few[:0], m.Text); ok {
			o.Str(field.Body, text)
			o.Status = facts.OK
		}
	}
}

func leave(o *facts.Out, s *table.Slots, at table.Slot) {
	if s.Member(at) != nil {
		s.Leave(o, at)
	}
}

// when sets the time of microseconds since the epoch.
func when(us int64, o *facts.Out) bool {
	if us <= 0 || us > 9_200_000_000_000_000 || o.Fixed {
		return false
	}
	if !facts.Plausible(us * 1000) {
		return false
	}
	o.Time = us * 1000
	return true
}

func severity(n int64, o *facts.Out) bool {
	if n < 0 || n >= int64(len(severities)) {
		return false
	}
	o.Derive(field.SeverityText, severities[n].name)
	o.DeriveInt(field.SeverityNumber, severities[n].number)
	return true
}

func facility(n int64, o *facts.Out) bool {
	if n < 0 || n >= int64(len(facilities)) {
		return false
	}
	o.Derive(field.SyslogFacility, facilities[n])
	return true
}

// program says which program wrote the record, for those who read its message, and
// which service it is of: the identifier, the unit, the program.
func program(identifier, unit, comm []byte, o *facts.Out) {
	if len(o.Program) == 0 {
		o.Program = identifier
	}
	switch {
	case len(identifier) > 0:
		o.Service = identifier
	case len(unit) > 0:
		o.Service = bytes.TrimSuffix(unit, []byte(".service"))
	default:
		o.Service = comm
	}
}

// bytesOf appends the text of [72,101,108,108,111], with what is no UTF-8 escaped.
func bytesOf(dst, array []byte) ([]byte, bool) {
	n, digits := 0, 0
	for _, c := range array[1:] {
		switch {
		case c-'0' < 10 && digits < 3:
			n, digits = n*10+int(c-'0'), digits+1
		case c == ',' || c == ']':
			if digits == 0 || n > 255 {
				return nil, false
			}
			dst = append(dst, byte(n))
			n, digits = 0, 0
		case c == ' ':
		default:
			return nil, false
		}
	}
	if !utf8.Valid(dst) {
		dst = jsonscan.EscapeUTF8(nil, dst, `\x`)
	}
	return dst, len(dst) > 0
}

// A Line reads records of the export format, and single fields of them. The zero
// Line is ready to use.
type Line struct{}

// maxFields bounds the fields of a record.
const maxFields = 1024

// Text implements facts.Line.
func (Line) Text(line []byte, o *facts.Out) bool {
	name, _, ok := bytes.Cut(line[:min(len(line), 80)], []byte("="))
	if !ok || !trusted(name) {
		return false
	}
	o.Format, o.Status = Export, facts.OK
	var identifier, unit, comm []byte
	rest := line
	for range maxFields {
		var one []byte
		one, rest = facts.CutByte(rest, '\n')
		name, v, ok := bytes.Cut(one, []byte("="))
		if !ok || !isName(name) { // a field with its length, or a second record
			if len(rest) > 0 {
				o.PartialOf("export field")
			}
			return true
		}
		switch string(name) {
		case "SYSLOG_IDENTIFIER":
			identifier = v
		case "_SYSTEMD_UNIT":
			unit = v
		case "_COMM":
			comm = v
		}
		write(name, v, o)
		if len(rest) == 0 {
			break
		}
	}
	program(identifier, unit, comm, o)
	return true
}

// trusted reports whether a name is one that the journal itself gives: no other
// program's line begins with it and an equals sign.
func trusted(name []byte) bool {
	switch string(name) {
	case "MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "SYSLOG_FACILITY", "SYSLOG_PID", "MESSAGE_ID", "CODE_FILE", "CODE_FUNC", "CODE_LINE":
		return true
	}
	if len(name) < 3 || name[0] != '_' || !isName(name) {
		return false
	}
	switch string(name) {
	case "__CURSOR", "__REALTIME_TIMESTAMP", "__MONOTONIC_TIMESTAMP", "__SEQNUM", "__SEQNUM_ID", "_PID", "_UID", "_GID", "_COMM", "_EXE", "_CMDLINE", "_HOSTNAME",
		"_MACHINE_ID", "_BOOT_ID", "_TRANSPORT", "_SOURCE_REALTIME_TIMESTAMP", "_CAP_EFFECTIVE", "_STREAM_ID", "_SELINUX_CONTEXT", "_RUNTIME_SCOPE":
		return true
	}
	return bytes.HasPrefix(name, []byte("_SYSTEMD_")) || bytes.HasPrefix(name, []byte("_AUDIT_"))
}

func isName(b []byte) bool {
	for _, c := range b {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return len(b) > 0 && len(b) <= 64
}

func write(name, v []byte, o *facts.Out) {
	n, whole := facts.Uint(v)
	f, ok := field.Body, true
	switch string(name) {
	case "MESSAGE":
		return // the body has it
	case "__REALTIME_TIMESTAMP":
		if whole && when(n, o) {
			return
		}
		ok = false
	case "PRIORITY":
		if whole && severity(n, o) {
			return
		}
		ok = false
	case "SYSLOG_FACILITY":
		if whole && facility(n, o) {
			return
		}
		ok = false
	case "_PID", "TID", "CODE_LINE":
		if whole {
			o.DeriveInt(number(name[0]), n)
			return
		}
		ok = false
	case "__CURSOR":
		f = field.LogRecordUID
	case "_HOSTNAME":
		f = field.HostName
	case "_MACHINE_ID":
		f = field.HostID
	case "_SYSTEMD_UNIT":
		f = field.SystemdUnit
	case "_COMM":
		f = field.ProcessExecutableName
	case "_EXE":
		f = field.ProcessExecutablePath
	case "_CMDLINE":
		f = field.ProcessCommandLine
	case "CODE_FILE":
		f = field.CodeFilePath
	case "CODE_FUNC":
		f = field.CodeFunctionName
	case "SYSLOG_IDENTIFIER":
		f = field.SyslogAppname
	case "SYSLOG_PID":
		f = field.SyslogProcid
	default:
		ok = false
	}
	if ok {
		o.DeriveBytes(f, v)
		return
	}
	o.OwnText(name, v)
}

// number is the field of _PID, TID and CODE_LINE, by its first byte.
func number(first byte) field.ID {
	switch first {
	case '_':
		return field.ProcessPID
	case 'T':
		return field.ThreadID
	}
	return field.CodeLineNumber
}
