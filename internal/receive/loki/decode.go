package loki

import (
	"math"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/record"
)

// A decoder turns one push request into raw records.
type decoder struct {
	set     *receive.Set
	lim     receive.Limits
	streams int
	bad     int            // lines that were refused
	shared  []record.Field // of the stream being read
	service string         // what its labels say of its service
}

// add appends one line with the stream's labels and, when meta is open in the
// set, the line's own fields.
func (d *decoder) add(ts int64, line []byte, meta []record.Field) error {
	if len(d.set.Raws)+d.bad >= d.lim.Items {
		return d.tooMany("lines", d.lim.Items)
	}
	if err := d.room(); err != nil {
		return err
	}
	attrs := d.shared
	if meta != nil {
		attrs = meta
	}
	d.set.Raws = append(d.set.Raws, record.Raw{Payload: line, Time: ts, Attrs: attrs, Service: d.service})
	return nil
}

// tooMany refuses a push. What it holds is counted because a few bytes of a body can
// make many of them, streams without a line too: 16 MiB were eight million.
func (d *decoder) tooMany(what string, most int) error {
	return fault.Errorf(fault.TooLarge, "push request has more than %d %s", most, what)
}

// another counts a stream.
func (d *decoder) another() error {
	if d.streams++; d.streams > d.lim.Items {
		return d.tooMany("streams", d.lim.Items)
	}
	return d.room()
}

// room refuses a push with more labels and fields than may be in memory.
func (d *decoder) room() error {
	if d.set.Full() {
		return fault.Errorf(fault.TooLarge, "push request has too many labels and fields")
	}
	return nil
}

// refuse counts a line that is wrong in itself, or of a stream that is.
func (d *decoder) refuse(reason string, bad error) error {
	if d.bad++; len(d.set.Raws)+d.bad > d.lim.Items {
		return d.tooMany("lines", d.lim.Items)
	}
	d.set.Reject(reason, bad.Error(), 1)
	return nil
}

// The protobuf form (loki/pkg/push/push.proto):
//
//	PushRequest { repeated Stream streams = 1 }
//	Stream      { string labels = 1; repeated Entry entries = 2; uint64 hash = 3 }
//	Entry       { Timestamp timestamp = 1; string line = 2; repeated LabelPair structuredMetadata = 3 }
//	LabelPair   { string name = 1; string value = 2 }
//	Timestamp   { int64 seconds = 1; int32 nanos = 2 }
//
// field returns one field of a message. For a length-delimited field v is its
// content; for a varint n is its value and num is negative. Fields of any other
// type come with number 0: a push has none.
func field(b []byte) (num protowire.Number, v []byte, n uint64, rest []byte, err error) {
	num, typ, size := protowire.ConsumeTag(b)
	if size < 0 {
		return 0, nil, 0, nil, errProto
	}
	b = b[size:]
	switch typ {
	case protowire.BytesType:
		v, size = protowire.ConsumeBytes(b)
	case protowire.VarintType:
		n, size = protowire.ConsumeVarint(b)
		num = -num
	default:
		size = protowire.ConsumeFieldValue(num, typ, b)
		num = 0
	}
	if size < 0 {
		return 0, nil, 0, nil, errProto
	}
	return num, v, n, b[size:], nil
}

var errProto = fault.Errorf(fault.Invalid, "push request is not a protobuf message")

func (d *decoder) proto(b []byte) error {
	for len(b) > 0 {
		num, v, _, rest, err := field(b)
		if err != nil {
			return err
		}
		b = rest
		if num != 1 {
			continue
		}
		if err := d.another(); err != nil {
			return err
		}
		if err := d.stream(v); err != nil {
			return err
		}
	}
	return nil
}

// stream reads the labels first, wherever they stand, then the lines.
func (d *decoder) stream(b []byte) error {
	var labels []byte
	for p := b; len(p) > 0; {
		num, v, _, rest, err := field(p)
		if err != nil {
			return err
		}
		if p = rest; num == 1 {
			labels = v
			break // senders write it once, before the entries
		}
	}
	shared, bad := d.labels(labels)
	d.shared, d.service = shared, serviceOf(shared)
	for len(b) > 0 {
		num, v, _, rest, err := field(b)
		if err != nil {
			return err
		}
		if b = rest; num != 2 {
			continue
		}
		if bad != nil {
			err = d.refuse("bad_labels", bad)
		} else {
			err = d.entry(v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) entry(b []byte) error {
	var line []byte
	var ts int64
	meta := false
	for len(b) > 0 {
		num, v, _, rest, err := field(b)
		if err != nil {
			return err
		}
		b = rest
		switch num {
		case 1:
			if ts, err = timestamp(v); err != nil {
				return err
			}
		case 2:
			line = v
		case 3:
			if !meta {
				meta = true
				d.set.Open()
				d.set.Fields(d.shared)
			}
			if err := d.pair(v); err != nil {
				return err
			}
		}
	}
	if !meta {
		return d.add(ts, line, nil)
	}
	return d.add(ts, line, d.set.Close())
}

func (d *decoder) pair(b []byte) error {
	var name, value []byte
	for len(b) > 0 {
		num, v, _, rest, err := field(b)
		if err != nil {
			return err
		}
		b = rest
		switch num {
		case 1:
			name = v
		case 2:
			value = v
		}
	}
	if len(name) == 0 {
		return nil
	}
	d.set.Field(receive.Str(name), receive.Str(value))
	return d.room()
}

func timestamp(b []byte) (int64, error) {
	var sec, nanos int64
	for len(b) > 0 {
		num, _, n, rest, err := field(b)
		if err != nil {
			return 0, err
		}
		b = rest
		switch num {
		case -1:
			sec = int64(n)
		case -2:
			nanos = int64(int32(n))
		}
	}
	if sec > math.MaxInt64/int64(time.Second)-1 || sec < math.MinInt64/int64(time.Second)+1 {
		return 0, nil // beyond what nanoseconds can say: as if it had none
	}
	return sec*int64(time.Second) + nanos, nil
}

// The JSON form:
//
//	{"streams":[{"stream":{"a":"b"},"values":[["<ns>","line",{"k":"v"}]]}]}
//
// and that of Loki before 1.0:
//
//	{"streams":[{"labels":"{a=\"b\"}","entries":[{"ts":"<RFC 3339>","line":"…"}]}]}
func (d *decoder) json(b []byte) error {
	j := jsontext.NewReader(b, d.lim.Depth, d.set)
	if !j.Begin('{') {
		return j.Err()
	}
	for {
		key, ok := j.Field()
		if !ok {
			break
		}
		if string(key) != "streams" {
			j.Raw()
			continue
		}
		if !j.Begin('[') {
			break
		}
		for j.Elem() {
			if err := d.another(); err != nil {
				return err
			}
			if err := d.jsonStream(&j); err != nil {
				return err
			}
		}
	}
	j.End()
	return j.Err()
}

// jsonStream reads one stream. Members come in any order: lines that stand before
// the labels are read when these are known.
func (d *decoder) jsonStream(j *jsontext.Reader) error {
	if !j.Begin('{') {
		return j.Err()
	}
	d.shared, d.service = nil, ""
	bad, known, values := error(nil), false, -1
	for {
		key, ok := j.Field()
		if !ok {
			break
		}
		switch string(key) {
		case "stream", "labels":
			if string(key) == "stream" {
				d.shared, bad = d.jsonLabels(j)
			} else {
				d.shared, bad = d.labels(j.String())
			}
			d.service, known = serviceOf(d.shared), true
		case "values", "entries":
			if known {
				if err := d.jsonEntries(j, bad); err != nil {
					return err
				}
				continue
			}
			values = j.Pos()
			j.Raw()
		default:
			j.Raw()
		}
	}
	if j.Err() != nil || values < 0 {
		return j.Err()
	}
	in := j.At(values)
	return d.jsonEntries(&in, bad)
}

// jsonEntries reads the lines of a stream whose labels are known, or bad. A bad
// line spoils no other.
func (d *decoder) jsonEntries(j *jsontext.Reader, bad error) error {
	if !j.Begin('[') {
		return j.Err()
	}
	for j.Elem() {
		if bad != nil {
			if j.Raw() == nil {
				continue
			}
			if err := d.refuse("bad_labels", bad); err != nil {
				return err
			}
			continue
		}
		line := j.At(j.Pos())
		if err := d.jsonEntry(&line); err != nil {
			return err
		}
		if line.Err() != nil {
			j.Raw()
		} else {
			j.Past(&line)
		}
	}
	return j.Err()
}

var errLabels = fault.Errorf(fault.Invalid, "stream has a bad label name or more than %d labels", maxLabels)

func (d *decoder) jsonLabels(j *jsontext.Reader) ([]record.Field, error) {
	d.set.Open()
	if !j.Begin('{') {
		return nil, j.Err()
	}
	bad, n := error(nil), 0
	for {
		key, ok := j.Field()
		if !ok {
			break
		}
		value := j.String()
		if n++; n > maxLabels || !goodName(receive.Str(key)) {
			bad = errLabels
			continue
		}
		d.set.Field(receive.Str(key), receive.Str(value))
	}
	if bad == nil {
		bad = j.Err()
	}
	if bad != nil || n == 0 {
		d.set.Undo()
		return nil, bad
	}
	return d.finishLabels()
}

// jsonEntry reads one line in either form. A line that is wrong in itself is
// rejected; the error is for the whole request.
func (d *decoder) jsonEntry(j *jsontext.Reader) error {
	var ts int64
	var line []byte
	var meta []record.Field
	if j.Peek() == '{' {
		ts, line = d.oldEntry(j)
	} else {
		ts, line, meta = d.newEntry(j)
	}
	if err := d.room(); err != nil {
		return err
	}
	if err := j.Err(); err != nil {
		reason := "malformed_line"
		if fault.Is(err, fault.TooLarge) {
			reason = "too_deep"
		}
		return d.refuse(reason, err)
	}
	return d.add(ts, line, meta)
}

func (d *decoder) newEntry(j *jsontext.Reader) (ts int64, line []byte, meta []record.Field) {
	if !j.Begin('[') || !j.Elem() {
		j.Fail("a line is [\"<nanoseconds>\", \"<text>\"]")
		return
	}
	ts, err := strconv.ParseInt(receive.Str(j.String()), 10, 64)
	if err != nil {
		j.Fail("the time of a line is a string of nanoseconds")
	}
	if !j.Elem() {
		j.Fail("a line has no text")
		return
	}
	line = j.String()
	if !j.Elem() {
		return ts, line, nil
	}
	d.set.Open()
	d.set.Fields(d.shared)
	if j.Begin('{') {
		for {
			key, ok := j.Field()
			if !ok {
				break
			}
			if d.set.Field(receive.Str(key), receive.Str(j.String())); d.set.Full() {
				return
			}
		}
	}
	if j.Elem() {
		j.Fail("a line has more than three elements")
	}
	if j.Err() != nil {
		d.set.Undo()
		return
	}
	return ts, line, d.set.Close()
}

func (d *decoder) oldEntry(j *jsontext.Reader) (ts int64, line []byte) {
	j.Begin('{')
	for {
		key, ok := j.Field()
		if !ok {
			return ts, line
		}
		switch string(key) {
		case "ts", "timestamp":
			t, err := time.Parse(time.RFC3339Nano, string(j.String()))
			if err != nil {
				j.Fail("the time of a line is RFC 3339")
			}
			ts = t.UnixNano()
		case "line":
			line = j.String()
		default:
			j.Raw()
		}
	}
}
