package normalise

import (
	"bytes"
	"time"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// syslogFormat is the layout of a line that syslog wrote to a file, when what
// stands behind its header is of no known layout.
var syslogFormat = facts.Format{Name: "syslog-text", Platform: "syslog", Kind: facts.Host, Of: "a file of syslog: RFC 3164 as rsyslog and syslog-ng write it, or RFC 5424"}

// header is what syslog puts before a message.
type header struct {
	time     int64 // ns, 0 when it names none
	yearless bool  // it names no year and no zone
	priority int64 // -1 when it names none
	host     []byte
	program  []byte
	pid      []byte
	id       []byte // MSGID of RFC 5424
	rest     []byte // the message
}

// headerOf reads the header of a line that syslog wrote to a file:
//
//	[<PRI>]Mmm dd hh:mm:ss [HOST] PROGRAM[PID]: …          RFC 3164, no year and no zone
//	[<PRI>]RFC3339 HOST PROGRAM[PID]: …                    rsyslog's and syslog-ng's newer files
//	<PRI>1 RFC3339 HOST PROGRAM PID MSGID -|[SD] …         RFC 5424
//
// now, in ns, is when the line was received: the year is the one in which the time
// is not more than a day ahead of it. Without a zone a time is UTC.
func headerOf(p []byte, now int64) (h header, ok bool) {
	h.priority = -1
	if len(p) < 16 {
		return h, false
	}
	if p[0] == '<' {
		end := bytes.IndexByte(p[:6], '>')
		n, good := facts.Uint(p[1:max(end, 1)])
		if !good || n > 191 {
			return h, false
		}
		h.priority, p = n, p[end+1:]
		if len(p) > 2 && p[0] == '1' && p[1] == ' ' {
			return h, h.rfc5424(p[2:])
		}
	}
	ns, n := facts.MonthStamp(p, now)
	month := n > 0
	if n == 0 {
		if ns, n = facts.Stamp(p); n == 0 || p[10] != 'T' {
			return h, false
		}
	}
	if n+1 >= len(p) || p[n] != ' ' {
		return h, false
	}
	h.time, h.yearless = ns, month
	return h, h.tag(p[n+1:], month)
}

// tag reads HOST PROGRAM[PID]: and the white space behind it. A local one may lack
// the host.
func (h *header) tag(p []byte, local bool) bool {
	host, rest, found := bytes.Cut(p, []byte(" "))
	switch {
	case !found:
		return false
	case local && len(host) > 1 && host[len(host)-1] == ':' && !facts.IsLevel(host[:len(host)-1]):
		host = nil // what programs send to a socket of their own machine names none
	case !plainWord(host) || facts.IsLevel(host):
		return false
	default:
		p = rest
	}
	end := 0
	for end < len(p) && end < 64 && p[end] != ':' && p[end] != '[' && p[end] > ' ' {
		end++
	}
	if end == 0 || end >= len(p) || p[end] <= ' ' {
		return false
	}
	h.host, h.program, p = host, p[:end], p[end:]
	if p[0] == '[' {
		close := bytes.IndexByte(p, ']')
		if close < 2 || close > 16 || close+1 >= len(p) || p[close+1] != ':' {
			return false
		}
		h.pid, p = p[1:close], p[close+1:]
	}
	h.rest = bytes.TrimLeft(p[1:], " ")
	return p[0] == ':'
}

func plainWord(b []byte) bool {
	for _, c := range b {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' && c != ':' {
			return false
		}
	}
	return len(b) > 0 && len(b) < 256
}

// rfc5424 reads what follows the version. Structured data stays in the body.
func (h *header) rfc5424(p []byte) bool {
	var part [5][]byte
	for i := range part {
		var found bool
		if part[i], p, found = bytes.Cut(p, []byte(" ")); !found || len(part[i]) == 0 {
			return false
		}
	}
	ns, n := facts.Stamp(part[0])
	if n != len(part[0]) && string(part[0]) != "-" {
		return false
	}
	h.time, h.host, h.program, h.pid, h.id = ns, known(part[1]), known(part[2]), known(part[3]), known(part[4])
	switch {
	case len(p) > 0 && p[0] == '-':
		p = p[1:]
	case len(p) > 0 && p[0] == '[':
		end := structured(p)
		if end < 0 {
			return false
		}
		p = p[end:]
	default:
		return false
	}
	h.rest = bytes.TrimPrefix(bytes.TrimPrefix(p, []byte(" ")), []byte("\ufeff"))
	return true
}

func known(b []byte) []byte {
	if facts.Absent(b) {
		return nil
	}
	return b
}

// structured returns where the structured data that p begins with ends, or -1.
func structured(p []byte) int {
	quoted := false
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && c == ']' && (i+1 == len(p) || p[i+1] != '['):
			return i + 1
		}
	}
	return -1
}

// write writes the header's fields.
func (h *header) write(o *facts.Out) {
	o.DeriveBytes(field.HostName, h.host)
	o.DeriveBytes(field.SyslogAppname, h.program)
	o.DeriveBytes(field.SyslogProcid, h.pid)
	o.DeriveBytes(field.SyslogMsgid, h.id)
	if h.priority >= 0 {
		o.Int(field.SyslogPriority, h.priority)
	}
	if len(h.program) > 0 {
		o.Program = h.program
	}
}

// tell gives the record the header's time if it has none.
func (h *header) tell(o *facts.Out) {
	if h.time != 0 && o.Time == 0 && !o.Fixed && facts.Plausible(h.time) {
		o.Time = h.time
	}
}

// syslogged reads a line that syslog wrote to a file: its header, and what stands
// behind it. It reports false, with nothing written, when there is no header.
func (n *Normaliser) syslogged(line []byte) bool {
	h, ok := headerOf(line, n.out.Now)
	if !ok {
		return false
	}
	n.out.Format, n.out.Status = syslogFormat.Name, facts.OK
	inner := h.rest
	h.write(&n.out)
	if h.yearless { // a time in the message says more
		defer h.tell(&n.out)
	} else {
		h.tell(&n.out)
	}
	if len(inner) > 1 && inner[0] == '{' && n.outer.Scan(inner, n.names) == nil {
		n.object(&n.outer, n.out.Declared)
		return true
	}
	if len(inner) == 0 || !n.lines.read(inner, &n.out) && !n.any.Text(numbered(inner), &n.out) {
		n.out.Format, n.out.Status = syslogFormat.Name, facts.OK
	}
	return true
}

// numbered cuts [N-M] off, by which PostgreSQL numbers what it cuts for syslog.
func numbered(b []byte) []byte {
	if len(b) > 6 && b[0] == '[' && b[1]-'0' < 10 {
		end := bytes.IndexByte(b[:min(len(b)-1, 24)], ']')
		if end > 3 && b[end+1] == ' ' && bytes.IndexByte(b[:end], '-') > 1 && len(bytes.Trim(b[1:end], "0123456789-")) == 0 {
			return b[end+2:]
		}
	}
	return b
}

// nowOf returns the time by which times are understood that name no year.
func nowOf(opt *Options) int64 {
	switch {
	case opt.Clock != 0:
		return opt.Clock
	case opt.Now != 0:
		return opt.Now
	}
	return time.Now().UnixNano()
}
