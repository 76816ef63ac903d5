package kubeaudit

import (
	"bytes"
	"strconv"

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

// An event is what is read of one. Its slices alias the body or the set.
type event struct {
	id, stage, verb, uri, agent, user  []byte
	client, code                       []byte
	resource, subresource, name, space []byte
	decision                           []byte
	time, received                     int64
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
	d.named = d.named && len(d.ev.id) > 0
	t := d.ev.time
	if t == 0 {
		t = d.ev.received
	}
	d.set.Raws = append(d.set.Raws, record.Raw{Payload: text, JSON: true, Time: t, Attrs: d.fields(), Service: "kube-apiserver"})
	return nil
}

func (d *decoder) read(j *jsontext.Reader) {
	e := &d.ev
	object(j, func(key string) {
		switch key {
		case "auditID":
			e.id = text(j)
		case "stage":
			e.stage = text(j)
		case "verb":
			e.verb = text(j)
		case "requestURI":
			e.uri = text(j)
		case "userAgent":
			e.agent = text(j)
		case "stageTimestamp":
			e.time = receive.When(text(j))
		case "requestReceivedTimestamp":
			e.received = receive.When(text(j))
		case "user":
			object(j, func(key string) { pick(j, key, "username", &e.user) })
		case "sourceIPs":
			first(j, &e.client)
		case "responseStatus":
			object(j, func(key string) { pick(j, key, "code", &e.code) })
		case "annotations":
			object(j, func(key string) { pick(j, key, "authorization.k8s.io/decision", &e.decision) })
		case "objectRef":
			object(j, func(key string) {
				switch key {
				case "resource":
					e.resource = text(j)
				case "subresource":
					e.subresource = text(j)
				case "name":
					e.name = text(j)
				case "namespace":
					e.space = text(j)
				default:
					j.Raw()
				}
			})
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

func pick(j *jsontext.Reader, key, want string, into *[]byte) {
	if key == want {
		*into = text(j)
	} else {
		j.Raw()
	}
}

// first reads the first text of an array.
func first(j *jsontext.Reader, into *[]byte) {
	if j.Peek() != '[' {
		j.Raw()
		return
	}
	if !j.Begin('[') {
		return
	}
	for j.Elem() {
		if v := text(j); *into == nil {
			*into = v
		}
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

// fields says in words that other records use what the event says.
func (d *decoder) fields() []record.Field {
	e := &d.ev
	d.set.Open()
	put := func(name string, v []byte) {
		if len(v) > 0 {
			d.set.Field(name, receive.Str(v))
		}
	}
	put("user.name", e.user)
	put("client.address", e.client)
	put("user_agent.original", e.agent)
	path, query, _ := bytes.Cut(e.uri, []byte("?"))
	put("url.path", path)
	put("url.query", query)
	put("k8s.namespace.name", e.space)
	put("k8s.audit.verb", e.verb)
	put("k8s.audit.resource", e.kind(d.set))
	put("k8s.audit.object", e.name)
	put("k8s.audit.decision", e.decision)
	if len(e.id) > 0 { // the stages of one request share the auditID
		uid := append(append(append(d.set.Text(len(e.id)+1+len(e.stage)), e.id...), '/'), e.stage...)
		d.set.Field("log.record.uid", receive.Str(d.set.Keep(uid)))
	}
	severity := "info"
	if n, err := strconv.Atoi(receive.Str(e.code)); len(e.code) > 0 && err == nil {
		d.set.Value("http.response.status_code", record.IntValue(int64(n)))
		if n >= 500 {
			severity = "error"
		} else if n >= 400 {
			severity = "warn"
		}
	}
	if severity == "info" && string(e.decision) == "forbid" {
		severity = "warn"
	}
	// The event's own level says how much it tells, not how bad it is.
	d.set.Field("severity_text", severity)
	return d.set.Close()
}

// kind returns the resource, with its subresource: pods/exec.
func (e *event) kind(set *receive.Set) []byte {
	if len(e.subresource) == 0 || len(e.resource) == 0 {
		return e.resource
	}
	out := set.Text(len(e.resource) + 1 + len(e.subresource))
	return set.Keep(append(append(append(out, e.resource...), '/'), e.subresource...))
}
