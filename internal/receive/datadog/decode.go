package datadog

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/record"
)

// A decoder turns one request into raw records:
//
//	[{"message":"…","status":"info","timestamp":1700000000000,"hostname":"h",
//	  "service":"s","ddsource":"nginx","ddtags":"env:prod,team:web", …}, …]
//
// or one such object. The message is a text, or an object (serverless).
type decoder struct {
	set   *receive.Set
	lim   receive.Limits
	track string
	// What the request says of all logs that say nothing themselves.
	tags, source, service, host []byte

	log    log
	extras []member
	pairs  []tag

	// What the fields of the record before were made of: those of one agent's
	// container are alike.
	last   log
	shared []record.Field
	made   bool
}

// A log is one element. Its slices alias the body or the set.
type log struct {
	message               []byte
	object                bool   // the message is JSON
	raw                   []byte // the message as JSON
	status                []byte
	host, service, source []byte
	tags                  []byte
	time                  int64
}

// A member is one that the protocol does not know.
type member struct{ key, value []byte }

func (d *decoder) json(body []byte) error {
	j := jsontext.NewReader(body, d.lim.Depth, d.set)
	switch j.Peek() {
	case 0:
		if j.Err() == nil {
			return fault.Errorf(fault.Invalid, "request without a body")
		}
		return j.Err()
	case '[':
		j.Begin('[')
		for j.Elem() {
			if err := d.element(&j, body); err != nil {
				return err
			}
		}
	default:
		for j.Peek() == '{' && j.Err() == nil { // one, or several in a row
			if err := d.element(&j, body); err != nil {
				return err
			}
		}
	}
	j.End()
	if err := j.Err(); err != nil {
		if len(d.set.Raws) == 0 {
			return err
		}
		d.set.Reject("malformed_json", err.Error(), 1)
	}
	return nil
}

// element reads one log. One that is wrong in itself is rejected, if it is seen
// where it ends; the error is for the whole request.
func (d *decoder) element(j *jsontext.Reader, body []byte) error {
	if len(d.set.Raws) >= d.lim.Items || d.set.Full() {
		return fault.Errorf(fault.TooLarge, "request has more than %d logs", len(d.set.Raws))
	}
	start := *j
	d.log, d.extras = log{}, d.extras[:0]
	if !d.members(j, body) {
		again := start
		if again.Raw(); again.Err() != nil {
			return nil // json finds the error in j
		}
		d.set.Reject("malformed_log", j.Err().Error(), 1)
		*j = again
		return nil
	}
	d.add()
	return nil
}

func (d *decoder) members(j *jsontext.Reader, body []byte) bool {
	l := &d.log
	if !j.Begin('{') {
		return false
	}
	for {
		key, ok := j.Field()
		if !ok {
			break
		}
		switch string(key) {
		case "message":
			at := j.Pos()
			switch j.Peek() {
			case '"':
				l.message = j.String()
			case '{':
				l.message, l.object = j.Raw(), true
			case 'n':
				j.Scalar() // no message
				continue
			default:
				l.message = j.Raw()
			}
			l.raw = body[at:max(at, j.Pos())]
		case "status":
			l.status = d.scalar(j, key)
		case "hostname":
			l.host = d.scalar(j, key)
		case "service":
			l.service = d.scalar(j, key)
		case "ddsource":
			l.source = d.scalar(j, key)
		case "ddtags":
			if j.Peek() == '[' {
				l.tags = d.list(j)
			} else {
				l.tags = d.scalar(j, key)
			}
		case "timestamp":
			if v := d.scalar(j, key); v != nil {
				if l.time = receive.When(v); l.time == 0 { // not understood: it stays
					d.extras = append(d.extras, member{key, jsontext.AppendString(nil, v)})
				}
			}
		default:
			d.extras = append(d.extras, member{key, j.Raw()})
		}
	}
	return j.Err() == nil
}

// scalar returns the text of a member of the protocol. One that is no text, number
// or truth value is left among those that the protocol does not know.
func (d *decoder) scalar(j *jsontext.Reader, key []byte) []byte {
	switch j.Peek() {
	case '{', '[':
		d.extras = append(d.extras, member{key, j.Raw()})
		return nil
	case '"':
		return j.String()
	}
	v := j.Scalar()
	if string(v) == "null" {
		return nil
	}
	return v
}

// list joins tags that come as an array.
func (d *decoder) list(j *jsontext.Reader) []byte {
	var out []byte
	j.Begin('[')
	for j.Elem() {
		if len(out) > 0 {
			out = append(out, ',')
		}
		out = append(out, j.Text()...)
	}
	return out
}

func or(v, def []byte) []byte {
	if len(v) == 0 {
		return def
	}
	return v
}

// add appends the log that was read. {} is the agent's question whether anyone
// listens.
func (d *decoder) add() {
	l := &d.log
	if l.raw == nil && len(d.extras) == 0 && len(l.status)+len(l.host)+len(l.service)+len(l.source)+len(l.tags) == 0 {
		return
	}
	raw := record.Raw{Payload: l.message, JSON: l.object, Time: l.time}
	if len(d.extras) > 0 {
		raw.Payload, raw.JSON = d.object(), true
	}
	l.host, l.service, l.source, l.tags = or(l.host, d.host), or(l.service, d.service), or(l.source, d.source), or(l.tags, d.tags)
	raw.Attrs = d.fields()
	raw.Level = receive.Str(l.status)
	d.set.Raws = append(d.set.Raws, raw)
}

// object writes the message and what the protocol does not know as one object.
func (d *decoder) object() []byte {
	need := len(d.log.raw) + 16
	for _, m := range d.extras {
		need += 2*len(m.key) + len(m.value) + 8
	}
	out := append(d.set.Text(need), '{')
	if len(d.log.raw) > 0 {
		out = append(append(out, `"message":`...), d.log.raw...)
		out = append(out, ',')
	}
	for _, m := range d.extras {
		out = append(jsontext.AppendString(out, m.key), ':')
		out = append(append(out, m.value...), ',')
	}
	out[len(out)-1] = '}'
	return d.set.Keep(out)
}

// fields returns what is said of the record beside its message.
func (d *decoder) fields() []record.Field {
	l, p := &d.log, &d.last
	if d.made && bytes.Equal(l.tags, p.tags) && bytes.Equal(l.host, p.host) && bytes.Equal(l.service, p.service) && bytes.Equal(l.source, p.source) {
		return d.shared
	}
	d.set.Open()
	put := func(name string, v []byte) {
		if len(v) > 0 {
			d.set.Field(name, receive.Str(v))
		}
	}
	put("host.name", l.host)
	put("service", l.service)
	put("ddsource", l.source)
	if d.track != "" {
		d.set.Field(TrackField, d.track)
	}
	d.tagged(l.tags)
	d.last, d.shared, d.made = *l, d.set.Close(), true
	return d.shared
}

// maxTags bounds the fields that the tags of one record become, as Datadog does;
// further ones stay together in one.
const maxTags = 100

// A tag is k:v. One without a key, or whose key is that of a member, stays whole.
type tag struct {
	whole, key, value []byte
	done              bool
}

// tagged adds a field for each key of the tags, with all its values; what has no
// key of its own stays together in ddtags. All text that it makes is no longer
// than the tags.
func (d *decoder) tagged(text []byte) {
	if len(text) == 0 {
		return
	}
	members := d.set.Pending()
	d.split(text)
	size := 0
	for i := range d.pairs {
		t := &d.pairs[i]
		if t.key != nil && !t.done && d.member(t, members) {
			t.key = nil // of the tags that stay together
		}
		switch {
		case t.done:
		case t.key == nil:
			size += len(t.whole) + 1
		default:
			d.set.Field(receive.Str(t.key), receive.Str(d.values(i)))
		}
	}
	if size == 0 {
		return
	}
	out := d.set.Text(size)
	for i := range d.pairs {
		if t := &d.pairs[i]; t.key == nil && !t.done {
			if len(out) > 0 {
				out = append(out, ',')
			}
			out = append(out, t.whole...)
		}
	}
	d.set.Field("ddtags", receive.Str(d.set.Keep(out)))
}

// split cuts the tags apart.
func (d *decoder) split(text []byte) {
	d.pairs = d.pairs[:0]
	for len(text) > 0 {
		if len(d.pairs) == maxTags {
			d.pairs = append(d.pairs, tag{whole: text})
			return
		}
		t, rest, _ := bytes.Cut(text, comma)
		text = rest
		if t = bytes.TrimSpace(t); len(t) == 0 {
			continue
		}
		p := tag{whole: t}
		if k, v, ok := bytes.Cut(t, colon); ok && len(k) > 0 && len(v) > 0 {
			p.key, p.value = k, v
		}
		d.pairs = append(d.pairs, p)
	}
}

// member reports whether a member has the tag's name. A tag that says the same
// is done with.
func (d *decoder) member(t *tag, members int) bool {
	for _, f := range d.set.Opened()[:members] {
		if f.Name == receive.Str(t.key) {
			t.done = f.Value.Str == receive.Str(t.value)
			return !t.done
		}
	}
	return false
}

// values joins the values of all tags with the key of tag i.
func (d *decoder) values(i int) []byte {
	first := &d.pairs[i]
	size := 0
	for n := i + 1; n < len(d.pairs); n++ {
		if t := &d.pairs[n]; t.key != nil && bytes.Equal(t.key, first.key) {
			if t.done = true; bytes.Equal(t.value, first.value) {
				t.value = nil
			}
			size += len(t.value) + 1
		}
	}
	if size == 0 {
		return first.value
	}
	out := append(d.set.Text(len(first.value)+size), first.value...)
	for n := i + 1; n < len(d.pairs); n++ {
		if t := &d.pairs[n]; t.done && len(t.value) > 0 && bytes.Equal(t.key, first.key) {
			out = append(append(out, ','), t.value...)
		}
	}
	return d.set.Keep(out)
}

var comma, colon = []byte(","), []byte(":")

// text takes a body of text: each line is a log.
func (d *decoder) text(body []byte) error {
	for len(body) > 0 {
		line, rest, _ := bytes.Cut(body, newline)
		body = rest
		if line = bytes.TrimRight(line, "\r"); len(line) == 0 {
			continue
		}
		if len(d.set.Raws) >= d.lim.Items {
			return fault.Errorf(fault.TooLarge, "request has more than %d logs", len(d.set.Raws))
		}
		d.log = log{message: line, raw: line}
		d.add()
	}
	return nil
}

var newline = []byte("\n")
