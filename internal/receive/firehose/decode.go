package firehose

import (
	"bytes"
	"encoding/base64"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/record"
)

// A decoder turns one request into raw records.
type decoder struct {
	set    *receive.Set
	lim    receive.Limits
	bodies *receive.Bodies

	id      []byte // that the sender gave the request
	records []byte // what of the request does not change when it is sent again
	shared  []record.Field
	when    int64
	size    int64 // of all records, decoded
}

// attributes reads the header of attributes that an operator gave the stream:
// {"commonAttributes":{"k":"v"}}.
func (d *decoder) attributes(header string) {
	if header == "" {
		return
	}
	j := jsontext.NewReader([]byte(header), 4, d.set)
	if !j.Begin('{') {
		return
	}
	for {
		key, ok := j.Field()
		if !ok {
			break
		}
		if string(key) != "commonAttributes" || j.Peek() != '{' {
			j.Raw()
			continue
		}
		d.texts(&j)
	}
}

// texts makes the members of an object the fields that all records share.
func (d *decoder) texts(j *jsontext.Reader) {
	d.set.Open()
	d.set.Fields(d.shared)
	if j.Begin('{') {
		for {
			key, ok := j.Field()
			if !ok {
				break
			}
			if v := j.Text(); len(key) > 0 && j.Err() == nil {
				d.set.Field(receive.Str(key), receive.Str(v))
			}
		}
	}
	d.shared = d.set.Close()
}

// delivery reads a request of Firehose:
//
//	{"requestId":"…","timestamp":1578090901599,"records":[{"data":"<base64>"},…]}
func (d *decoder) delivery(body []byte) error {
	j := jsontext.NewReader(body, d.lim.Depth, d.set)
	at := -1
	if !j.Begin('{') {
		return j.Err()
	}
	for {
		key, ok := j.Field()
		if !ok {
			break
		}
		switch string(key) {
		case "requestId":
			d.id = j.Text()
		case "records":
			at = j.Pos()
			d.records = j.Raw()
		default:
			j.Raw()
		}
	}
	if j.End(); j.Err() != nil {
		return j.Err()
	}
	if at < 0 {
		return fault.Errorf(fault.Invalid, "the request has no records")
	}
	in := j.At(at)
	in.Begin('[')
	for in.Elem() {
		var data []byte
		found := false
		in.Begin('{')
		for {
			key, ok := in.Field()
			if !ok {
				break
			}
			if string(key) == "data" {
				data, found = in.String(), true
			} else {
				in.Raw()
			}
		}
		if in.Err() != nil {
			break
		}
		if !found {
			d.set.Reject("no_data", "a record has no data", 1)
			continue
		}
		if err := d.record(data); err != nil {
			return err
		}
	}
	return in.Err()
}

// record decodes one record. One that is wrong in itself is rejected; the error
// is for the whole request.
func (d *decoder) record(data []byte) error {
	n := base64.StdEncoding.DecodedLen(len(data))
	if d.size += int64(n); d.size > d.lim.Decoded {
		return fault.Errorf(fault.TooLarge, "the records have more than %d bytes together", d.lim.Decoded)
	}
	out := d.set.Text(n)[:n]
	n, err := base64.StdEncoding.Decode(out, data)
	if err != nil {
		d.set.Reject("bad_base64", err.Error(), 1)
		return nil
	}
	text := d.set.Keep(out[:n])
	if len(text) > 2 && text[0] == 0x1f && text[1] == 0x8b {
		if text, err = d.inflate(text); err != nil || text == nil {
			return err
		}
	}
	if d.subscription(text) {
		return nil
	}
	return jsontext.Split(text, d.lim.Depth, d.set, d.add)
}

// inflate undoes gzip. Nothing is kept of what is no gzip, or larger than the
// limits; that it would not be the next time either.
func (d *decoder) inflate(in []byte) ([]byte, error) {
	body, err := d.bodies.Decode(in, "gzip")
	switch fault.KindOf(err) {
	case fault.Invalid, fault.TooLarge:
		d.set.Reject("bad_gzip", err.Error(), 1)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer body.Release()
	if d.size += int64(len(body.Bytes)); d.size > d.lim.Decoded {
		return nil, fault.Errorf(fault.TooLarge, "the records have more than %d bytes together", d.lim.Decoded)
	}
	return d.set.Keep(append(d.set.Text(len(body.Bytes)), body.Bytes...)), nil
}

func (d *decoder) add(payload []byte, json bool) error {
	if len(d.set.Raws) >= d.lim.Items || d.set.Full() {
		return fault.Errorf(fault.TooLarge, "request has more than %d records", len(d.set.Raws))
	}
	d.set.Raws = append(d.set.Raws, record.Raw{Payload: payload, JSON: json, Time: d.when, Attrs: d.shared})
	return nil
}

// subscription takes a batch of a subscription of CloudWatch Logs:
//
//	{"messageType":"DATA_MESSAGE","owner":"…","logGroup":"…","logStream":"…",
//	 "subscriptionFilters":["…"],"logEvents":[{"id":"…","timestamp":…,"message":"…"},…]}
//
// It reports whether it is one. Of a CONTROL_MESSAGE nothing is kept: by it
// CloudWatch finds out whether the destination answers.
func (d *decoder) subscription(text []byte) bool {
	if !bytes.Contains(text[:min(len(text), 512)], []byte(`"messageType"`)) {
		return false
	}
	var owner, group, stream, kind []byte
	at := -1
	j := jsontext.NewReader(text, d.lim.Depth, d.set)
	if !j.Begin('{') {
		return false
	}
	for {
		key, ok := j.Field()
		if !ok {
			break
		}
		switch string(key) {
		case "messageType":
			kind = j.Text()
		case "owner":
			owner = j.Text()
		case "logGroup":
			group = j.Text()
		case "logStream":
			stream = j.Text()
		case "logEvents":
			at = j.Pos()
			j.Raw()
		default:
			j.Raw()
		}
	}
	j.End()
	if j.Err() != nil || at < 0 || string(kind) != "DATA_MESSAGE" && string(kind) != "CONTROL_MESSAGE" {
		return false
	}
	if string(kind) == "CONTROL_MESSAGE" {
		return true
	}
	d.set.Open()
	d.set.Fields(d.shared)
	for _, p := range [...]struct {
		name  string
		value []byte
	}{{"cloud.account.id", owner}, {"aws.log.group.names", group}, {"aws.log.stream.names", stream}} {
		if len(p.value) > 0 {
			d.set.Field(p.name, receive.Str(p.value))
		}
	}
	in := j.At(at)
	return d.events(&in, d.set.Close(), receive.Str(group))
}

// events takes the log events. A batch that breaks off is kept whole by another
// way, so nothing of it is when it returns false.
func (d *decoder) events(j *jsontext.Reader, shared []record.Field, group string) bool {
	before := len(d.set.Raws)
	j.Begin('[')
	for j.Elem() {
		raw := record.Raw{Attrs: shared, Service: group}
		j.Begin('{')
		for {
			key, ok := j.Field()
			if !ok {
				break
			}
			switch string(key) {
			case "timestamp":
				raw.Time = receive.When(j.Text())
			case "message":
				raw.Payload = bytes.TrimRight(j.Text(), "\r\n")
			default: // the id is long, and of no use beyond the subscription
				j.Raw()
			}
		}
		if j.Err() != nil || len(d.set.Raws) >= d.lim.Items {
			break
		}
		d.set.Raws = append(d.set.Raws, raw)
	}
	if j.Err() != nil || len(d.set.Raws) >= d.lim.Items {
		d.set.Raws = d.set.Raws[:before]
		return false
	}
	return true
}
