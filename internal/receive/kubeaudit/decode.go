package kubeaudit

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/record"
)

// A decoder turns a request into raw records:
//
//	{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{"auditID":…},…]}
//
// or one such event.
type decoder struct {
	set   *receive.Set
	lim   receive.Limits
	named bool // every event had an auditID
	body  []byte
	ev    event
}

// An event is what is read of one.
type event struct {
	named          bool // it has an auditID
	time, received int64
}

func (d *decoder) list(body []byte) error {
	d.body = body
	j := jsontext.NewReader(body, d.lim.Depth, d.set)
	at, items, kind := j, false, ""
	if !j.Begin('{') {
		return j.Err()
	}
	for {
		key, ok := j.Field()
		if !ok {
			break
		}
		switch string(key) {
		case "kind":
			kind = string(j.Text())
		case "apiVersion":
			if v := j.Text(); !bytes.HasPrefix(v, []byte("audit.k8s.io/")) {
				j.Fail("apiVersion is not one of audit.k8s.io")
			}
		case "items":
			items = true
			if j.Peek() != '[' {
				j.Raw() // null
				continue
			}
			j.Begin('[')
			for j.Elem() {
				if err := d.element(&j); err != nil {
					return err
				}
			}
		default:
			j.Raw()
		}
	}
	j.End()
	if !items && j.Err() == nil && kind == "Event" {
		j = at
		if err := d.element(&j); err != nil {
			return err
		}
		items = true
	}
	switch {
	case j.Err() != nil && d.set.Total() == 0:
		return j.Err()
	case j.Err() != nil:
		d.set.Reject("malformed_json", j.Err().Error(), 1)
		d.named = false
	case !items:
		return fault.WithHint(fault.Errorf(fault.Invalid, "the body is no EventList of audit.k8s.io/v1"), "set the API server's --audit-webhook-version to audit.k8s.io/v1")
	}
	return nil
}

// element reads one event. One that is wrong in itself is rejected; the error is
// for the whole request.
func (d *decoder) element(j *jsontext.Reader) error {
	if len(d.set.Raws) >= d.lim.Items || d.set.Full() {
		return fault.Errorf(fault.TooLarge, "request has more than %d audit events", len(d.set.Raws))
	}
	start, at := *j, j.Pos()
	d.ev = event{}
	if d.read(j); j.Err() != nil {
		again := start
		if again.Raw(); again.Err() != nil {
			return nil // list finds the error in j
		}
		d.set.Reject("malformed_event", j.Err().Error(), 1)
		*j = again
		return nil
	}
	text := bytes.TrimRight(d.body[at:j.Pos()], " \t\r\n")
	d.named = d.named && d.ev.named
	t := d.ev.time
	if t == 0 {
		t = d.ev.received
	}
	d.set.Raws = append(d.set.Raws, record.Raw{Payload: text, JSON: true, Time: t, Service: "kube-apiserver"})
	return nil
}

func (d *decoder) read(j *jsontext.Reader) {
	e := &d.ev
	object(j, func(key string) {
		switch key {
		case "auditID":
			e.named = len(text(j)) > 0
		case "stageTimestamp":
			e.time = receive.When(text(j))
		case "requestReceivedTimestamp":
			e.received = receive.When(text(j))
		default:
			j.Raw()
		}
	})
}

// object calls member with the name of every member of an object, before its
// value; it skips what is no object.
func object(j *jsontext.Reader, member func(key string)) {
	if j.Peek() != '{' {
		j.Raw()
		return
	}
	if !j.Begin('{') {
		return
	}
	for {
		key, ok := j.Field()
		if !ok {
			return
		}
		member(receive.Str(key))
	}
}

// text returns a text or number, nil for anything else.
func text(j *jsontext.Reader) []byte {
	switch c := j.Peek(); {
	case c == '"':
		return j.String()
	case c >= '0' && c <= '9':
		return j.Scalar()
	}
	j.Raw()
	return nil
}
