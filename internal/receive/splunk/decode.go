package splunk

import (
	"bytes"
	"net/http"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Fields that keep what the envelope says of an event; host is host.name.
const (
	HostField       = "host.name"
	SourceField     = "com.splunk.source"
	SourceTypeField = "com.splunk.sourcetype"
	IndexField      = "com.splunk.index"
)

// A decoder turns one request into raw records:
//
//	{"time":1426279439.123,"host":"h","source":"s","sourcetype":"t","index":"i",
//	 "event":"text" or any JSON,"fields":{"k":"v"}}{"event":…}
type decoder struct {
	set *receive.Set
	lim receive.Limits

	n     int    // events that were read, good or bad
	bad   *reply // of the first bad event, nil if there is none
	badAt int

	ev event

	// What the fields of the event before were made of: a sender's are alike.
	last   event
	shared []record.Field
	made   bool
}

// An event is one of the request. Its slices alias the body or the set.
type event struct {
	time                            int64
	host, source, sourcetype, index []byte
	payload                         []byte
	json, seen                      bool
	fields                          []byte // the object, whole
}

// maxTorn bounds how often the next event is looked for behind one without an
// end, since each time the whole rest is read.
const maxTorn = 16

// events reads events that follow each other with or without space, commas or
// the brackets of an array between them: senders differ. A bad event is refused
// and the others are kept; behind one that does not end, the next is looked for
// at the beginning of a line.
func (d *decoder) events(body []byte) error {
	for torn := 0; ; {
		body = bytes.TrimLeft(body, " \t\r\n,[]")
		if len(body) == 0 {
			break
		}
		if len(d.set.Raws) >= d.lim.Items || d.set.Full() {
			return fault.Errorf(fault.TooLarge, "request has more than %d events", len(d.set.Raws))
		}
		j := jsontext.NewReader(body, d.lim.Depth, d.set)
		d.ev = event{}
		if bad, detail := d.read(&j); bad != nil {
			if j.Err() != nil {
				detail = j.Err().Error()
				j = jsontext.NewReader(body, d.lim.Depth, d.set)
				j.Raw()
			}
			d.refuse(bad, "malformed_event", detail)
		} else {
			d.add()
		}
		if j.Err() == nil && body[0] == '{' {
			body = body[j.Pos():]
			continue
		}
		next := bytes.Index(body, nextLine)
		if torn++; torn > maxTorn || next < 0 {
			break
		}
		body = body[next+1:]
	}
	if d.n == 0 {
		return noData.fail()
	}
	return nil
}

var nextLine = []byte("\n{")

// read reads one event; what is wrong with it is nil if nothing is.
func (d *decoder) read(j *jsontext.Reader) (bad *reply, detail string) {
	e := &d.ev
	if !j.Begin('{') {
		return &badData, ""
	}
	for {
		key, ok := j.Field()
		if !ok {
			break
		}
		switch string(key) {
		case "time":
			e.time = receive.When(j.Text())
		case "host":
			e.host = j.Text()
		case "source":
			e.source = j.Text()
		case "sourcetype":
			e.sourcetype = j.Text()
		case "index":
			e.index = j.Text()
		case "fields":
			e.fields = j.Raw()
		case "event":
			e.seen = true
			switch j.Peek() {
			case '"':
				e.payload = j.String()
			case '{':
				e.payload, e.json = j.Raw(), true
			case 'n':
				j.Scalar()
				e.seen = false
			default:
				e.payload = j.Raw()
			}
		default:
			j.Raw()
		}
	}
	switch {
	case j.Err() != nil:
		return &badData, ""
	case !e.seen:
		return &noEvent, noEvent.text
	case len(e.payload) == 0:
		return &blankEvent, blankEvent.text
	case len(e.fields) > 0 && e.fields[0] != '{' && string(e.fields) != "null":
		return &badFields, badFields.text
	}
	return nil, ""
}

// refuse rejects the event that was read.
func (d *decoder) refuse(p *reply, reason, detail string) {
	if d.bad == nil {
		d.bad, d.badAt = p, d.n
	}
	d.set.Reject(reason, detail, 1)
	d.n++
}

// add appends the event that was read.
func (d *decoder) add() {
	e := &d.ev
	d.n++
	d.set.Raws = append(d.set.Raws, record.Raw{Payload: e.payload, JSON: e.json, Time: e.time, Attrs: d.attrs()})
}

// attrs returns what the envelope says of the event.
func (d *decoder) attrs() []record.Field {
	e, p := &d.ev, &d.last
	if d.made && bytes.Equal(e.host, p.host) && bytes.Equal(e.source, p.source) && bytes.Equal(e.sourcetype, p.sourcetype) &&
		bytes.Equal(e.index, p.index) && bytes.Equal(e.fields, p.fields) {
		return d.shared
	}
	d.set.Open()
	put := func(name string, v []byte) {
		if len(v) > 0 && string(v) != "null" {
			d.set.Field(name, receive.Str(v))
		}
	}
	put(HostField, e.host)
	put(SourceField, e.source)
	put(SourceTypeField, e.sourcetype)
	put(IndexField, e.index)
	if len(e.fields) > 0 && e.fields[0] == '{' {
		d.indexed(e.fields)
	}
	d.last, d.shared, d.made = *e, d.set.Close(), true
	return d.shared
}

// indexed adds the indexed fields, typed as they are written. Of those behind a
// place that cannot be read nothing is known; the object is kept as it is.
func (d *decoder) indexed(object []byte) {
	j := jsontext.NewReader(object, d.lim.Depth, d.set)
	j.Begin('{')
	for {
		key, ok := j.Field()
		if !ok {
			break
		}
		name := receive.Str(key)
		switch j.Peek() {
		case '"':
			d.set.Field(name, receive.Str(j.String()))
		case '{', '[':
			d.set.Field(name, receive.Str(j.Raw()))
		case 'n':
			j.Scalar()
		default:
			d.set.Value(name, jsontext.Number(j.Scalar()))
		}
	}
	if j.Err() != nil {
		d.set.Field("com.splunk.fields", receive.Str(object))
	}
}

// lines takes a body of raw text: each line is a record. What the request says of
// all of them stands in its parameters.
func (d *decoder) lines(r *http.Request, body []byte) error {
	q := r.URL.Query()
	d.set.Open()
	for _, p := range [...]struct{ param, field string }{{"host", HostField}, {"source", SourceField}, {"sourcetype", SourceTypeField}, {"index", IndexField}} {
		if v := q.Get(p.param); v != "" {
			d.set.Field(p.field, v)
		}
	}
	attrs, when := d.set.Close(), receive.When([]byte(q.Get("time")))
	for len(body) > 0 {
		line, rest, _ := bytes.Cut(body, newline)
		body = rest
		if line = bytes.TrimRight(line, "\r"); len(line) == 0 {
			continue
		}
		if len(d.set.Raws) >= d.lim.Items {
			return fault.Errorf(fault.TooLarge, "request has more than %d lines", len(d.set.Raws))
		}
		d.set.Raws = append(d.set.Raws, record.Raw{Payload: line, Time: when, Attrs: attrs})
	}
	if len(d.set.Raws) == 0 {
		return noData.fail()
	}
	return nil
}

var newline = []byte("\n")
