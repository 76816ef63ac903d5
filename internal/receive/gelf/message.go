package gelf

import (
	"bytes"
	"strconv"

	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Fields beside the schema's. Additional fields keep their names, without the
// underscore before them.
const (
	fieldHost     = "host.name"
	fieldSeverity = "severity_number"
	fieldFull     = "full_message"
)

// A decoder turns GELF messages into raw records that alias the message and the
// set.
type decoder struct {
	set   *receive.Set
	depth int
	json  jsontext.Reader // of the message being read
	msg   message
}

// A message is one GELF message beside its additional fields, which go to the set
// while it is read.
type message struct {
	time        int64
	short, full []byte
	level       int
	hasLevel    bool
}

// decode appends the message b, or rejects it. It reports whether it was kept.
func (d *decoder) decode(b []byte) bool {
	d.json, d.msg = jsontext.NewReader(b, d.depth, d.set), message{}
	j := &d.json
	d.set.Open()
	if j.Begin('{') {
		for {
			key, ok := j.Field()
			if !ok {
				break
			}
			d.member(j, &d.msg, key)
		}
	}
	j.End()
	if err := j.Err(); err != nil {
		d.set.Undo()
		d.set.Reject("malformed_json", "GELF message: "+err.Error(), 1)
		return false
	}
	d.put(&d.msg)
	return true
}

// member reads one member. The protocol's own have fixed types (GELF 1.1); one of
// another type is kept like an additional field.
func (d *decoder) member(j *jsontext.Reader, m *message, key []byte) {
	c := j.Peek()
	text := c == '"'
	switch string(key) {
	case "version":
		j.Raw()
		return
	case "host":
		if text {
			if host := j.String(); len(host) > 0 {
				d.set.Field(fieldHost, receive.Str(host))
			}
			return
		}
	case "short_message":
		if text {
			m.short = j.String()
			return
		}
	case "full_message":
		if text {
			m.full = j.String()
			return
		}
	case "timestamp":
		was := *j
		if t := j.Text(); j.Err() == nil {
			if m.time = seconds(t); m.time != 0 {
				return
			}
			*j = was
		}
	case "level":
		if c >= '0' && c <= '9' || text {
			was := *j
			n, err := strconv.Atoi(receive.Str(j.Text()))
			if _, known := receive.SyslogSeverity(n); err == nil && known {
				m.level, m.hasLevel = n, true
				return
			}
			*j = was
		}
	}
	if len(key) > 1 && key[0] == '_' {
		key = key[1:]
	}
	d.value(j, receive.Str(key))
}

// value adds a field. GELF has strings and numbers; what else is sent keeps its
// JSON.
func (d *decoder) value(j *jsontext.Reader, name string) {
	switch c := j.Peek(); c {
	case '"':
		d.set.Field(name, receive.Str(j.String()))
	case 'n':
		j.Scalar()
	case 't', 'f':
		b := j.Scalar()
		d.set.Value(name, record.BoolValue(len(b) == 4))
	case '{', '[':
		d.set.Field(name, receive.Str(j.Raw()))
	default:
		d.number(name, j.Scalar())
	}
}

func (d *decoder) number(name string, b []byte) {
	s := receive.Str(b)
	if !bytes.ContainsAny(b, ".eE") { // an error would cost an allocation
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			d.set.Value(name, record.IntValue(n))
			return
		}
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		d.set.Value(name, record.FloatValue(f))
		return
	}
	d.set.Field(name, s)
}

// put appends the record. Its body is the short message; a full one that says
// more stays beside it. Without a short one the full one is the body.
func (d *decoder) put(m *message) {
	r := record.Raw{Time: m.time, Payload: m.short}
	switch {
	case len(m.short) == 0:
		r.Payload = m.full
	case len(m.full) > 0 && !bytes.Equal(m.full, m.short):
		d.set.Field(fieldFull, receive.Str(m.full))
	}
	if m.hasLevel {
		s, _ := receive.SyslogSeverity(m.level)
		d.set.Value(fieldSeverity, record.IntValue(s.Number))
		r.Level = s.Text
	}
	r.Attrs = d.set.Close()
	d.set.Raws = append(d.set.Raws, r)
}

// seconds reads a decimal number of seconds since 1970 as nanoseconds, exactly;
// 0 if it is none, or beyond what nanoseconds can say.
func seconds(b []byte) int64 {
	sec, i := int64(0), 0
	for i < len(b) && i < 11 && b[i] >= '0' && b[i] <= '9' {
		sec, i = sec*10+int64(b[i]-'0'), i+1
	}
	if i == 0 || sec > 9_200_000_000 {
		return 0
	}
	ns := sec * 1e9
	if i < len(b) && b[i] == '.' {
		i++
		for scale := int64(1e8); i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
			ns += int64(b[i]-'0') * scale
			scale /= 10
		}
	}
	if i == len(b) {
		return ns
	}
	f, err := strconv.ParseFloat(receive.Str(b), 64) // 1.7e9
	if err != nil || f <= 0 || f > 9.2e9 {
		return 0
	}
	return int64(f * 1e9)
}
