package httpjson

import (
	"bytes"
	"math"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/msgpack"
)

var newline = []byte("\n")

// lines takes each line as a record, whatever it holds.
func (d *decoder) lines(body []byte) error {
	for len(body) > 0 {
		line, rest, _ := bytes.Cut(body, newline)
		body = rest
		if line = bytes.TrimRight(line, "\r"); len(line) == 0 {
			continue
		}
		if err := d.add(line, false); err != nil {
			return err
		}
	}
	return nil
}

// msgpack takes what Fluent Bit's http output sends as format msgpack: entries in
// a row, each [time, record] or [[time, metadata], record]. A map alone, or an
// array of maps, as other libraries send them, are records too.
func (d *decoder) msgpack(body []byte) error {
	r := msgpack.NewReader(body)
	for r.More() {
		if err := d.value(&r); err != nil {
			return err
		}
		if err := r.Err(); err != nil {
			if d.set.Total() == 0 {
				return err
			}
			d.set.Reject("malformed_msgpack", err.Error(), 1)
			return nil
		}
	}
	return nil
}

func (d *decoder) value(r *msgpack.Reader) error {
	at := r.Pos()
	head := r.Next()
	switch {
	case r.Err() != nil:
		return nil
	case head.Kind == msgpack.Map:
		return d.record(r, at, 0)
	case head.Kind != msgpack.Array:
		if head.Kind != msgpack.Nil {
			d.set.Reject("malformed_record", "a record is "+head.Kind.String()+", not a map", 1)
		}
		return nil
	}
	if head.N == 2 {
		if when, ok := stampOf(r); ok {
			if at = r.Pos(); when < 0 { // the begin or end of a group of Fluent Bit
				r.Skip()
				return nil
			}
			return d.record(r, at, when)
		}
		r.Seek(at)
		r.Next()
	}
	for range head.N {
		if at = r.Pos(); !r.More() || d.full() {
			break
		}
		if err := d.record(r, at, 0); err != nil || r.Err() != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) full() bool { return len(d.set.Raws) > d.lim.Items }

// stampOf reads the time of an entry, if it is one: seconds, an EventTime, or one
// of them with metadata, which is left out.
func stampOf(r *msgpack.Reader) (ns int64, ok bool) {
	t := r.Next()
	if t.Kind == msgpack.Array && t.N == 2 {
		ns, ok = stamp(r.Next())
		r.Skip()
		return ns, ok && r.Err() == nil
	}
	return stamp(t)
}

func stamp(t msgpack.Token) (ns int64, ok bool) {
	switch t.Kind {
	case msgpack.Int:
		if t.Int < 0 {
			return -1, true
		}
		return receive.Epoch(t.Int), true
	case msgpack.Float:
		if t.Float < 0 || t.Float > math.MaxInt64/1e9 || math.IsNaN(t.Float) {
			return 0, true
		}
		return int64(t.Float*1e6) * 1e3, true
	case msgpack.Ext:
		ns, ok = t.EventTime()
		if ok && len(t.Bytes) == 8 && t.Bytes[0] == 0xff { // -1 and -2: a group
			return -1, true
		}
		return ns, ok
	}
	return 0, false
}

// record writes the map at a place as JSON.
func (d *decoder) record(r *msgpack.Reader, at int, when int64) error {
	r.Seek(at)
	if head := r.Next(); head.Kind != msgpack.Map {
		r.Seek(at)
		if r.Skip(); r.Err() == nil {
			d.set.Reject("malformed_record", "a record is "+head.Kind.String()+", not a map", 1)
		}
		return nil
	}
	r.Seek(at)
	out := r.AppendJSON(d.set.Text(max(1<<10, 2*d.last)), d.lim.Depth)
	if err := r.Err(); err != nil {
		r.Seek(at)
		if r.Skip(); r.Err() != nil {
			return nil
		}
		d.set.Reject("malformed_record", err.Error(), 1)
		return nil
	}
	d.last = len(out)
	if d.size += int64(len(out)); d.size > 2*d.lim.Decoded {
		return fault.Errorf(fault.TooLarge, "the records have more than %d bytes as JSON", 2*d.lim.Decoded)
	}
	return d.at(d.set.Keep(out), true, when)
}
