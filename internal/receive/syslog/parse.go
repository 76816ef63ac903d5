package syslog

import (
	"bytes"
	"net/netip"
	"time"

	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Fields beside those of the schema. Structured data goes below fieldSD.
const (
	fieldSeverity = "severity_number"
	fieldHost     = "host.name"
	fieldFacility = "syslog.facility"
	fieldPriority = "syslog.priority"
	fieldApp      = "syslog.appname"
	fieldProc     = "syslog.procid"
	fieldMsgID    = "syslog.msgid"
	fieldVersion  = "syslog.version"
	fieldSequence = "syslog.sequence"
	fieldSD       = "syslog.sd."
)

// Bounds of what a header may hold. What exceeds them is not lost: it stays in
// the message.
const (
	maxHost   = 255 // RFC 5424 section 6
	maxTag    = 128
	maxParams = 256 // of structured data in one message
)

// defaultPri is user.notice: what a message has that says nothing (RFC 3164
// section 4.3.3).
const defaultPri = 13

// A decoder turns messages into raw records. Their memory is that of the set and
// of the message.
type decoder struct {
	set   *receive.Set
	walls walls
	sd    []record.Field // structured data of the message being read
	from  netip.Addr     // who sends, for messages without a host
}

// peer tells the decoder whose messages follow. A message without a host is then
// of that address, as a relay would say (RFC 3164 section 4.3.2), unless it is
// this machine's own.
func (d *decoder) peer(a netip.AddrPort) {
	d.from = a.Addr().Unmap()
	if d.from.IsLoopback() {
		d.from = netip.Addr{}
	}
}

// A message is what the header of one message says. Slices alias it.
type message struct {
	pri     int
	time    int64
	version int64
	host    []byte
	app     []byte
	proc    []byte
	id      []byte
	seq     int64 // of a Cisco device
	hasSeq  bool
	text    []byte
}

// decode appends one message. A message without a single character is none.
func (d *decoder) decode(b []byte) {
	b = trim(b)
	if len(b) == 0 {
		return
	}
	m := message{pri: defaultPri}
	d.sd = d.sd[:0]
	rest, found := m.readPri(b)
	switch {
	case found && d.rfc5424(&m, rest):
	default:
		d.bsd(&m, rest, found)
	}
	d.put(&m)
}

var bom = []byte("\xef\xbb\xbf")

// trim takes away what transports leave at the ends.
func trim(b []byte) []byte {
	for len(b) > 0 {
		switch b[len(b)-1] {
		case '\n', '\r', 0:
			b = b[:len(b)-1]
			continue
		}
		break
	}
	for len(b) > 0 && (b[0] == '\n' || b[0] == '\r' || b[0] == 0) {
		b = b[1:]
	}
	return bytes.TrimPrefix(b, bom)
}

// readPri reads <0> to <191>.
func (m *message) readPri(b []byte) (rest []byte, found bool) {
	if len(b) < 3 || b[0] != '<' {
		return b, false
	}
	n, i := 0, 1
	for i < len(b) && i < 4 && b[i] >= '0' && b[i] <= '9' {
		n, i = n*10+int(b[i]-'0'), i+1
	}
	if i == 1 || i == len(b) || b[i] != '>' || n > 191 {
		return b, false
	}
	m.pri = n
	return b[i+1:], true
}

// token cuts b at its first space; ok is false when none follows.
func token(b []byte) (t, rest []byte, ok bool) {
	i := bytes.IndexByte(b, ' ')
	if i < 0 {
		return b, nil, false
	}
	return b[:i], b[i+1:], true
}

// unnil returns a header field, nil for the NILVALUE.
func unnil(b []byte) []byte {
	if len(b) == 1 && b[0] == '-' {
		return nil
	}
	return b
}

// rfc5424 reads VERSION SP TIMESTAMP SP HOSTNAME SP APP-NAME SP PROCID SP MSGID
// SP STRUCTURED-DATA [SP MSG], and reports whether b is that. Structured data
// that is malformed stays, from where it begins, in the message.
func (d *decoder) rfc5424(m *message, b []byte) bool {
	version, b, ok := token(b)
	v, number := digits(version)
	if !ok || !number || len(version) > 3 || v == 0 {
		return false
	}
	when, b, ok := token(b)
	if !ok {
		return false
	}
	if unnil(when) != nil {
		ns, n, zoned := stamp(when)
		if n == 0 || n != len(when) {
			return false
		}
		if m.time = ns; !zoned {
			m.time = d.walls.at(ns)
		}
	}
	var head [4][]byte
	for i := range head {
		if head[i], b, ok = token(b); !ok && i < len(head)-1 {
			m.time = 0
			return false
		}
	}
	m.version = v
	m.host, m.app, m.proc, m.id = unnil(head[0]), unnil(head[1]), unnil(head[2]), unnil(head[3])
	m.text = bytes.TrimPrefix(d.structured(b), bom)
	return true
}

// bsd reads [TIMESTAMP SP] [HOSTNAME SP] [TAG] MSG (RFC 3164) and what is sent
// under that name: ISO times, no host (nginx, local sockets), no tag, and Cisco's
// order of things. Without a PRI and a time a message is only its text.
func (d *decoder) bsd(m *message, b []byte, pri bool) {
	m.text = b
	p := m.cisco(b)
	if len(p) > 0 && (p[0] == '*' || p[0] == '.') {
		p = p[1:] // a clock that was never set
	}
	n := 0
	if m.time, n = d.walls.bsd(p); n == 0 {
		var zoned bool
		if m.time, n, zoned = stamp(p); n > 0 && !zoned {
			m.time = d.walls.at(m.time)
		}
	}
	switch {
	case n > 0:
		p = p[n:]
		if len(p) > 0 && p[0] == ':' {
			p = p[1:]
		}
		p = bytes.TrimLeft(p, " ")
		p = bytes.TrimPrefix(m.hostname(p), []byte(": "))
	case pri:
		p, m.host, m.hasSeq = b, nil, false
	default:
		m.host, m.hasSeq = nil, false
		return
	}
	m.text = m.tag(p)
}

// cisco reads the number of the message and the name of the device, which
// precede the time: "45: ", "45: r1: ", ": ".
func (m *message) cisco(b []byte) []byte {
	i := 0
	for i < len(b) && i < 18 && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	if i+1 >= len(b) || b[i] != ':' || b[i+1] != ' ' {
		return b
	}
	if i > 0 {
		m.seq, m.hasSeq = digits(b[:i])
	}
	b = b[i+2:]
	if name, rest, ok := token(b); ok && len(name) > 1 && len(name) <= maxHost && name[len(name)-1] == ':' && name[0] != '%' && name[0] != '*' {
		m.host, b = name[:len(name)-1], rest
	}
	return b
}

// hostname reads a host's name, unless what stands there is a tag.
func (m *message) hostname(p []byte) []byte {
	name, rest, ok := token(p)
	if !ok || len(name) == 0 || len(name) > maxHost || m.host != nil {
		return p
	}
	if last := name[len(name)-1]; last == ':' || last == ']' || name[0] == '%' || name[0] == '{' || name[0] == '[' || bytes.IndexByte(name, '[') >= 0 {
		return p
	}
	m.host = name
	return rest
}

// tag reads NAME: or NAME[PID]: and returns the message behind it. A name without
// either belongs to the message. Of a Cisco mnemonic ("%SYS-5-CONFIG_I: ") the
// name is the kind of message, and stays within it.
func (m *message) tag(p []byte) []byte {
	i := 0
	for i < len(p) && i <= maxTag && p[i] > ' ' && p[i] != ':' && p[i] != '[' && p[i] != '{' && p[i] != '"' && p[i] < 0x7f {
		i++
	}
	if i == 0 || i == len(p) || i > maxTag || p[i] != ':' && p[i] != '[' {
		return p
	}
	name, rest := p[:i], p[i:]
	if rest[0] == '[' {
		end := bytes.IndexByte(rest[:min(len(rest), maxTag)], ']')
		if end < 2 || bytes.IndexByte(rest[:end], ' ') >= 0 || end+1 < len(rest) && rest[end+1] != ':' && rest[end+1] != ' ' {
			return p
		}
		m.proc, rest = rest[1:end], rest[end+1:]
	}
	if len(rest) > 0 && rest[0] == ':' {
		rest = rest[1:]
	}
	if len(rest) > 0 && rest[0] != ' ' && m.proc == nil {
		return p // a URL, a time, an address
	}
	if name[0] == '%' && len(name) > 1 {
		m.id = name[1:]
		return p
	}
	m.app = name
	if len(rest) > 0 && rest[0] == ' ' {
		rest = rest[1:]
	}
	return rest
}

// put appends the record.
func (d *decoder) put(m *message) {
	severity, _ := receive.SyslogSeverity(m.pri & 7)
	s := d.set
	s.Open()
	s.Value(fieldSeverity, record.IntValue(severity.Number))
	s.Field(fieldFacility, receive.SyslogFacility(m.pri>>3))
	s.Value(fieldPriority, record.IntValue(int64(m.pri)))
	switch {
	case len(m.host) > 0:
		s.Field(fieldHost, receive.Str(m.host))
	case d.from.IsValid():
		s.Field(fieldHost, receive.Str(s.Keep(d.from.AppendTo(s.Text(48)))))
	}
	if len(m.app) > 0 {
		s.Field(fieldApp, receive.Str(m.app))
	}
	if len(m.proc) > 0 {
		s.Field(fieldProc, receive.Str(m.proc))
	}
	if len(m.id) > 0 {
		s.Field(fieldMsgID, receive.Str(m.id))
	}
	if m.version > 1 {
		s.Value(fieldVersion, record.IntValue(m.version))
	}
	if m.hasSeq {
		s.Value(fieldSequence, record.IntValue(m.seq))
	}
	s.Fields(d.sd)
	s.Raws = append(s.Raws, record.Raw{
		Payload: payload(m.text), Time: m.time, Attrs: s.Close(),
		Service: receive.Str(m.app), Level: severity.Text,
	})
}

var cee = []byte("@cee:")

// payload takes away what precedes the message itself: a space that rsyslog adds,
// and the cookie that announces JSON (CEE).
func payload(b []byte) []byte {
	if len(b) > 1 && b[0] == ' ' && b[1] != ' ' {
		b = b[1:]
	}
	if bytes.HasPrefix(b, cee) {
		if p := bytes.TrimLeft(b[len(cee):], " "); len(p) > 0 && p[0] == '{' {
			return p
		}
	}
	return b
}

// at tells the decoder what time it is, for dates without a year.
func (d *decoder) at(now time.Time) { d.walls.now = now.In(d.walls.loc) }
