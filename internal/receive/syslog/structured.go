package syslog

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/record"
)

// structured reads STRUCTURED-DATA (RFC 5424 section 6.3) into d.sd and returns
// the message behind it. If it is malformed, or has more than maxParams
// parameters, d.sd stays empty and all of b is the message.
//
// A parameter becomes the field syslog.sd.ID.NAME. One that is given several
// times becomes one field, its values separated by commas. An element without
// parameters becomes the field syslog.sd.ID with an empty value.
func (d *decoder) structured(b []byte) []byte {
	if len(b) > 0 && b[0] == '-' && (len(b) == 1 || b[1] == ' ') {
		return b[min(len(b), 2):]
	}
	p := b
	for len(p) > 0 && p[0] == '[' {
		rest, ok := d.element(p[1:])
		if !ok {
			d.sd = d.sd[:0]
			return b
		}
		p = rest
	}
	d.sd = receive.Join(d.set, d.sd)
	if len(p) > 0 && p[0] == ' ' {
		return p[1:]
	}
	return p
}

// element reads ID *(SP NAME="VALUE") and the closing bracket.
func (d *decoder) element(p []byte) ([]byte, bool) {
	id, p := name(p)
	if len(id) == 0 || len(p) == 0 {
		return nil, false
	}
	if p[0] == ']' {
		d.param(id, nil, nil)
		return p[1:], len(d.sd) <= maxParams
	}
	for {
		if p[0] == ']' {
			return p[1:], true
		}
		if p[0] != ' ' {
			return nil, false
		}
		var key []byte
		key, p = name(bytes.TrimLeft(p, " "))
		if len(key) == 0 {
			if len(p) > 0 && p[0] == ']' { // a space before the bracket
				return p[1:], true
			}
			return nil, false
		}
		if len(p) < 2 || p[0] != '=' || p[1] != '"' {
			return nil, false
		}
		value, rest, ok := d.quoted(p[2:])
		if !ok || len(rest) == 0 || len(d.sd) >= maxParams {
			return nil, false
		}
		d.param(id, key, value)
		p = rest
	}
}

// name reads an SD-NAME: printable ASCII but for = ] " and space.
func name(p []byte) (n, rest []byte) {
	i := 0
	for i < len(p) && p[i] > ' ' && p[i] < 0x7f && p[i] != '=' && p[i] != ']' && p[i] != '"' {
		i++
	}
	return p[:i], p[i:]
}

// quoted reads a value up to its closing quote. A backslash before anything but
// ", \ and ] stands for itself.
func (d *decoder) quoted(p []byte) (v, rest []byte, ok bool) {
	i := bytes.IndexByte(p, '"')
	if i < 0 {
		return nil, nil, false
	}
	if bytes.IndexByte(p[:i], '\\') < 0 {
		return p[:i], p[i+1:], true
	}
	for i = 0; i < len(p) && p[i] != '"'; i++ {
		if p[i] == '\\' {
			i++
		}
	}
	if i >= len(p) {
		return nil, nil, false
	}
	out := d.set.Text(i)
	for j := 0; j < i; j++ {
		if c := p[j]; c == '\\' && j+1 < i && (p[j+1] == '"' || p[j+1] == '\\' || p[j+1] == ']') {
			j++
		}
		out = append(out, p[j])
	}
	return d.set.Keep(out), p[i+1:], true
}

// param adds one parameter; key is nil for an element without any.
func (d *decoder) param(id, key, value []byte) {
	text := append(d.set.Text(len(fieldSD)+len(id)+1+len(key)), fieldSD...)
	text = append(text, id...)
	if key != nil {
		text = append(append(text, '.'), key...)
	}
	d.sd = append(d.sd, record.Field{Name: receive.Str(d.set.Keep(text)), Value: record.StringValue(receive.Str(value))})
}
