package fluent

import (
	"bytes"
	"strconv"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/record"
)

// A jsonFrame finds the end of one JSON value while its bytes arrive; the values
// of this protocol are containers.
type jsonFrame struct {
	pos    int
	depth  int
	quoted bool
	escape bool
}

// scan goes on reading data, which begins with the value, and reports whether it
// is whole.
func (f *jsonFrame) scan(data []byte) (done bool, err error) {
	for f.pos < len(data) {
		c := data[f.pos]
		f.pos++
		switch {
		case f.escape:
			f.escape = false
		case f.quoted && c == '\\':
			f.escape = true
		case c == '"':
			f.quoted = !f.quoted
		case f.quoted:
		case c == '[' || c == '{':
			f.depth++
		case c == ']' || c == '}':
			if f.depth--; f.depth <= 0 {
				return true, nil
			}
		case f.depth == 0:
			return false, fault.Errorf(fault.Invalid, "JSON: a message begins with %q", c)
		}
	}
	return false, nil
}

// skipSpace returns how many bytes of white space data begins with.
func skipSpace(data []byte) int { return len(data) - len(bytes.TrimLeft(data, " \t\r\n")) }

// parseJSON reads the outline of a message in JSON: the same arrays, without the
// packed modes, which JSON cannot carry. The body of the result is JSON.
func parseJSON(data []byte, depth int, set *receive.Set) (message, error) {
	var m message
	j := jsontext.NewReader(data, depth, set)
	n := 0
	if !j.Begin('[') {
		return m, fault.WithHint(j.Err(), "a message is [tag, time, record] or [tag, [[time, record], …]]")
	}
	start := 0
	for ; j.Elem(); n++ {
		switch {
		case n == 0:
			m.tag = j.String()
		case n == 1:
			start = j.Pos()
			if m.mode = modeMessage; j.Peek() == '[' {
				m.mode = modeForward
			}
			j.Raw()
			m.body = data[start:j.Pos()]
		case n == 2 && m.mode == modeMessage:
			j.Raw()
			m.body = data[start:j.Pos()]
		case j.Peek() == '{':
			m.jsonOption(&j)
		default:
			j.Raw()
		}
	}
	if j.End(); j.Err() != nil {
		return m, j.Err()
	}
	if n < 2 || n < 3 && m.mode == modeMessage {
		return m, fault.Errorf(fault.Invalid, "JSON: a message of %d elements has no record", n)
	}
	if len(m.chunk) > maxChunk {
		return m, fault.Errorf(fault.TooLarge, "the chunk of a message has %d bytes, more than %d", len(m.chunk), maxChunk)
	}
	return m, nil
}

func (o *option) jsonOption(j *jsontext.Reader) {
	if !j.Begin('{') {
		return
	}
	for {
		key, ok := j.Field()
		if !ok {
			return
		}
		if string(key) == "chunk" && j.Peek() == '"' {
			o.chunk = j.String()
		} else {
			j.Raw()
		}
	}
}

// jsonEntries reads the records of a message in JSON. Their objects are handed on
// as they are.
func (d *decoder) jsonEntries(m *message, depth int) error {
	j := jsontext.NewReader(m.body, depth, d.set)
	if m.mode == modeMessage {
		at := j.Scalar()
		if j.Peek() == ',' {
			rest := m.body[j.Pos()+1:]
			j = jsontext.NewReader(rest, depth, d.set)
		}
		d.jsonRecord(&j, at)
		return nil
	}
	j.Begin('[')
	for j.Elem() {
		if err := d.full(); err != nil {
			return err
		}
		at, one := j.Pos(), j.Raw()
		if j.Err() != nil {
			break
		}
		e := jsontext.NewReader(one, depth, d.set)
		if e.Peek() == '[' && e.Begin('[') && e.Elem() {
			when := e.Scalar()
			if e.Elem() {
				d.jsonRecord(&e, when)
				continue
			}
		}
		d.set.Reject("malformed_entry", "JSON at byte "+strconv.Itoa(at)+": an entry is no array of time and record", 1)
	}
	return j.Err()
}

func (d *decoder) jsonRecord(j *jsontext.Reader, at []byte) {
	if j.Peek() != '{' {
		d.set.Reject("malformed_record", "JSON: a record is not an object", 1)
		return
	}
	object := j.Raw()
	if j.Err() != nil {
		d.set.Reject("malformed_record", j.Err().Error(), 1)
		return
	}
	raw := record.Raw{Payload: object, JSON: true, Attrs: d.attrs}
	if sec, err := strconv.ParseFloat(receive.Str(at), 64); err != nil && string(at) != "null" {
		d.set.Reject("malformed_time", "JSON: the time of an entry is no number", 1)
		return
	} else if sec > 0 && sec < float64(maxSeconds) {
		whole := int64(sec)
		raw.Time = whole*1e9 + int64((sec-float64(whole))*1e9)
	}
	d.set.Raws = append(d.set.Raws, raw)
	d.text += len(object)
}
