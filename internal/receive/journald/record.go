package journald

import (
	"bytes"
	"strconv"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/record"
)

// maxFields of one record is journald's own limit.
const maxFields = 1024

// kind says what becomes of a field's value.
type kind uint8

const (
	text kind = iota
	whole
)

// names are the fields that have a name of OpenTelemetry's, or of syslog's; all
// others keep theirs.
var names = map[string]struct {
	name string
	kind kind
}{
	"__CURSOR":          {"log.record.uid", text},
	"_HOSTNAME":         {"host.name", text},
	"_MACHINE_ID":       {"host.id", text},
	"_SYSTEMD_UNIT":     {"systemd.unit", text},
	"_PID":              {"process.pid", whole},
	"_COMM":             {"process.executable.name", text},
	"_EXE":              {"process.executable.path", text},
	"_CMDLINE":          {"process.command_line", text},
	"TID":               {"thread.id", whole},
	"CODE_FILE":         {"code.file.path", text},
	"CODE_LINE":         {"code.line.number", whole},
	"CODE_FUNC":         {"code.function.name", text},
	"SYSLOG_IDENTIFIER": {"syslog.appname", text},
	"SYSLOG_PID":        {"syslog.procid", text},
}

// A decoder turns records of the export format into raw records, which alias
// them.
type decoder struct {
	set     *receive.Set
	fields  []record.Field // of the record being read
	cursors int            // records that had one
}

// entry is what one record says besides its fields.
type entry struct {
	time             int64
	message          []byte
	severity         receive.Severity
	app, unit, comm  []byte
	severe, messaged bool
}

// decode appends the record b, which ends with an empty line or without one, or
// rejects it. A record without a field is none.
func (d *decoder) decode(b []byte) {
	d.fields = d.fields[:0]
	var e entry
	for len(b) > 0 && b[0] != '\n' {
		name, value, rest, ok := field(b)
		if !ok {
			d.set.Reject("malformed_record", "journal record has a field that is malformed", 1)
			return
		}
		b = rest
		if err := d.field(&e, name, value); err != nil {
			d.set.Reject("too_many_fields", err.Error(), 1)
			return
		}
	}
	if len(d.fields) == 0 && !e.messaged && e.time == 0 {
		return
	}
	r := record.Raw{Payload: e.message, Time: e.time}
	if e.severe {
		d.fields = append(d.fields, record.Field{Name: "severity_number", Value: record.IntValue(e.severity.Number)})
		r.Level = e.severity.Text
	}
	r.Service = receive.Str(service(&e))
	d.set.Open()
	d.set.Fields(receive.Join(d.set, d.fields)) // the journal may have a field several times
	r.Attrs = d.set.Close()
	d.set.Raws = append(d.set.Raws, r)
}

// service is what the record is of: the identifier, as syslog has it, so that a
// machine's records are of the same service whichever way they come; then the
// unit, then the program.
func service(e *entry) []byte {
	switch {
	case len(e.app) > 0:
		return e.app
	case len(e.unit) > 0:
		return bytes.TrimSuffix(e.unit, []byte(".service"))
	}
	return e.comm
}

func (d *decoder) field(e *entry, name, value []byte) error {
	switch string(name) {
	case "MESSAGE":
		if !e.messaged {
			e.message, e.messaged = value, true
			return nil
		}
	case "__REALTIME_TIMESTAMP":
		if us, err := strconv.ParseInt(receive.Str(value), 10, 64); err == nil && us > 0 && us < 9_200_000_000_000_000 {
			e.time = us * 1000
			return nil
		}
	case "__MONOTONIC_TIMESTAMP":
		return nil // the cursor has it, with its boot
	case "PRIORITY":
		if n, err := strconv.Atoi(receive.Str(value)); err == nil && !e.severe {
			if e.severity, e.severe = receive.SyslogSeverity(n); e.severe {
				return nil
			}
		}
	case "SYSLOG_FACILITY":
		if n, err := strconv.Atoi(receive.Str(value)); err == nil {
			if f := receive.SyslogFacility(n); f != "" {
				return d.add("syslog.facility", record.StringValue(f))
			}
		}
	case "SYSLOG_IDENTIFIER":
		e.app = value
	case "_SYSTEMD_UNIT":
		e.unit = value
	case "_COMM":
		e.comm = value
	case "__CURSOR":
		d.cursors++
	}
	known, ok := names[receive.Str(name)]
	switch {
	case !ok:
		return d.add(receive.Str(name), record.StringValue(receive.Str(value)))
	case known.kind == whole:
		if n, err := strconv.ParseInt(receive.Str(value), 10, 64); err == nil {
			return d.add(known.name, record.IntValue(n))
		}
		return d.add(receive.Str(name), record.StringValue(receive.Str(value)))
	}
	return d.add(known.name, record.StringValue(receive.Str(value)))
}

func (d *decoder) add(name string, v record.Value) error {
	if len(d.fields) >= maxFields {
		return fault.Errorf(fault.TooLarge, "journal record has more than %d fields", maxFields)
	}
	d.fields = append(d.fields, record.Field{Name: name, Value: v})
	return nil
}
