package fluent

import (
	"encoding/binary"
	"math"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/msgpack"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Fields beside those of the record.
const (
	TagField      = "fluent.tag"
	metadataField = "fluent.metadata" // Fluent Bit's, as JSON
	scopeName     = "otel.scope.name"
	scopeVersion  = "otel.scope.version"
)

// Bounds of what is handed in at once: a large message goes in parts, cut by its
// content alone, so that a repetition is cut at the same places.
const (
	partRecords = 1 << 16
	partText    = 8 << 20
)

// A decoder turns entries into raw records: the map of each becomes a JSON object
// in the set's memory, which is what the pipeline recognises platforms in.
type decoder struct {
	set   *receive.Set
	depth int
	// batch is where parts are handed in when they are full; its set is this one.
	batch *batch

	tag   []byte
	base  []record.Field // of every record of the message
	attrs []record.Field // those, and of Fluent Bit's group
	group []byte         // the opening entry of the group: its map
	meta  []byte         // of a single message
	total int            // entries of the message
	text  int            // bytes of JSON in the set
	last  int            // bytes of the last record's
}

// begin starts a message, or a part of it.
func (d *decoder) begin() {
	d.set.Open()
	d.set.Field(TagField, receive.Str(d.tag))
	if len(d.meta) > 0 {
		d.json(metadataField, d.meta)
	}
	d.base = d.set.Close()
	d.attrs = d.base
	if d.group != nil {
		d.openGroup(d.group)
	}
}

// full hands a part in once it is large enough.
func (d *decoder) full() error {
	if len(d.set.Raws) < partRecords && d.text < partText && !d.set.Full() {
		return nil
	}
	if err := d.batch.hand(); err != nil {
		return err
	}
	d.set, d.text = d.batch.use(), 0
	d.begin()
	return nil
}

// packed reads entries one behind the other. What follows an entry that is not
// msgpack cannot be found: it is rejected with it, as many as the sender counted.
func (d *decoder) packed(entries []byte, size int64) error {
	r := msgpack.NewReader(entries)
	for r.More() {
		if err := d.full(); err != nil {
			return err
		}
		d.entry(&r)
		if r.Err() != nil {
			lost := uint64(1)
			if n := size - int64(d.total); n > 0 && n <= int64(len(entries)) {
				lost = uint64(n)
			}
			d.set.Reject("malformed_entry", r.Err().Error(), lost)
			return nil
		}
		d.total++
	}
	return nil
}

// list reads the array of entries of a message in forward mode. The whole message
// was found to be well-formed.
func (d *decoder) list(array []byte) error {
	r := msgpack.NewReader(array)
	for range r.Next().N {
		if err := d.full(); err != nil {
			return err
		}
		if d.entry(&r); r.Err() != nil {
			return fault.Errorf(fault.Internal, "an entry is not what the scanner found: %w", r.Err())
		}
		d.total++
	}
	return nil
}

// entry reads [time, record]. One that is wrong in itself is rejected and passed
// over: to send it again would never help.
func (d *decoder) entry(r *msgpack.Reader) {
	at := r.Pos()
	head := r.Next()
	if head.Kind != msgpack.Array || head.N < 2 {
		if d.pass(r, at) {
			d.set.Reject("malformed_entry", "an entry is "+head.Kind.String()+", not an array of time and record", 1)
		}
		return
	}
	d.record(r)
	if r.Err() != nil {
		return
	}
	for range head.N - 2 { // what a later protocol may add
		r.Skip()
	}
}

// pass goes on behind the value at an offset.
func (d *decoder) pass(r *msgpack.Reader, at int) bool {
	r.Seek(at)
	r.Skip()
	return r.Err() == nil
}

// A when is the time of an entry.
type when struct {
	ns   int64  // 0: the sender gave none
	mark int    // Fluent Bit: groupBegin or groupEnd, which are no records
	v2   bool   // it was [time, metadata]
	meta []byte // nil: none, or an empty map
	bad  bool
}

// notEmpty returns a map that has members, nil for anything else. Fluent Bit
// writes an empty one in five bytes.
func notEmpty(value []byte) []byte {
	r := msgpack.NewReader(value)
	if head := r.Next(); head.Kind != msgpack.Map || head.N == 0 {
		return nil
	}
	return value
}

// The times that mark a group of Fluent Bit's records (flb_log_event.h).
const (
	groupBegin = -1
	groupEnd   = -2
)

// maxSeconds is the last second of an int64 of nanoseconds.
const maxSeconds = math.MaxInt64 / int64(1e9)

// time reads the time of an entry: seconds, an EventTime, or Fluent Bit's
// [time, metadata].
func (d *decoder) time(r *msgpack.Reader) (w when) {
	at := r.Pos()
	t := r.Next()
	if t.Kind == msgpack.Array && t.N > 0 {
		n := t.N
		at = r.Pos()
		t = r.Next()
		if t.Kind == msgpack.Array || t.Kind == msgpack.Map {
			d.pass(r, at)
			w.bad = true
		}
		for i := range n - 1 {
			if v := r.Skip(); i == 0 {
				w.v2, w.meta = true, notEmpty(v)
			}
		}
	} else if t.Kind == msgpack.Array || t.Kind == msgpack.Map {
		d.pass(r, at)
		w.bad = true
		return w
	}
	switch t.Kind {
	case msgpack.Nil:
	case msgpack.Int:
		switch {
		case t.Int == groupBegin || t.Int == groupEnd:
			w.mark = int(t.Int)
		case t.Int > 0 && t.Int < maxSeconds:
			w.ns = t.Int * 1e9
		}
	case msgpack.Float:
		if t.Float > 0 && t.Float < float64(maxSeconds) {
			sec, frac := math.Modf(t.Float)
			w.ns = int64(sec)*1e9 + int64(frac*1e9)
		}
	case msgpack.Ext:
		ns, ok := t.EventTime()
		if w.ns = ns; !ok {
			w.bad = true
		} else if sec := int32(binary.BigEndian.Uint32(t.Bytes)); w.v2 && (sec == groupBegin || sec == groupEnd) {
			w.ns, w.mark = 0, int(sec)
		}
	default:
		w.bad = true
	}
	return w
}

// record reads a time and a record.
func (d *decoder) record(r *msgpack.Reader) {
	w := d.time(r)
	at := r.Pos()
	head := r.Next()
	switch {
	case r.Err() != nil:
		return
	case head.Kind == msgpack.None:
		d.pass(r, at) // says that the data ends
		return
	case w.mark == groupBegin && head.Kind == msgpack.Map:
		r.Seek(at)
		if d.group = r.Skip(); r.Err() == nil {
			d.openGroup(d.group)
		}
		return
	case w.mark == groupEnd:
		d.group, d.attrs = nil, d.base
		d.pass(r, at)
		return
	case w.mark != 0, w.bad:
		if d.pass(r, at) {
			d.set.Reject("malformed_time", "the time of an entry is neither seconds nor an EventTime", 1)
		}
		return
	case head.Kind != msgpack.Map:
		if d.pass(r, at) {
			d.set.Reject("malformed_record", "a record is "+head.Kind.String()+", not a map", 1)
		}
		return
	}
	attrs := d.attrs
	if w.meta != nil {
		d.set.Open()
		d.set.Fields(d.attrs)
		d.json(metadataField, w.meta)
		attrs = d.set.Close()
	}
	out := append(d.set.Text(max(1<<10, 2*d.last)), '{')
	out = r.AppendMembers(out, head.N, d.depth)
	if err := r.Err(); err != nil {
		if !d.pass(r, at) {
			return
		}
		reason := "malformed_record"
		if fault.Is(err, fault.TooLarge) {
			reason = "too_deep"
		}
		d.set.Reject(reason, err.Error(), 1)
		return
	}
	d.last = len(out)
	d.text += len(out)
	d.set.Raws = append(d.set.Raws, record.Raw{Payload: d.set.Keep(out), JSON: true, Time: w.ns, Attrs: attrs})
}

// json adds a field that holds a value as JSON; one that nests too deep is left
// out.
func (d *decoder) json(name string, value []byte) {
	r := msgpack.NewReader(value)
	out := r.AppendJSON(d.set.Text(2*len(value)+64), d.depth)
	if r.Err() == nil {
		d.text += len(out)
		d.set.Field(name, receive.Str(d.set.Keep(out)))
	}
}

// maxGroup bounds the fields that a group gives each of its records.
const maxGroup = 256

// openGroup makes what Fluent Bit says of the records that follow their fields,
// under the names that they have in OTLP: {"resource": {"attributes": {…}},
// "scope": {"name": …, "version": …}}.
func (d *decoder) openGroup(body []byte) {
	d.set.Open()
	d.set.Fields(d.base)
	r := msgpack.NewReader(body)
	each(&r, func(key []byte, v *msgpack.Token, at int) {
		if v.Kind != msgpack.Map {
			return
		}
		inner := msgpack.NewReader(body[at:])
		switch string(key) {
		case "resource":
			each(&inner, func(key []byte, v *msgpack.Token, at2 int) {
				if string(key) == "attributes" && v.Kind == msgpack.Map {
					attributes := msgpack.NewReader(body[at+at2:])
					each(&attributes, func(key []byte, v *msgpack.Token, at3 int) { d.attribute(key, v, body[at+at2+at3:]) })
				}
			})
		case "scope":
			each(&inner, func(key []byte, v *msgpack.Token, _ int) {
				if v.IsText() && len(v.Bytes) > 0 && string(key) == "name" {
					d.set.Field(scopeName, receive.Str(v.Bytes))
				} else if v.IsText() && len(v.Bytes) > 0 && string(key) == "version" {
					d.set.Field(scopeVersion, receive.Str(v.Bytes))
				}
			})
		}
	})
	d.attrs = d.set.Close()
}

// each calls f with the members of the map that r stands before, and the offset
// of each value.
func each(r *msgpack.Reader, f func(key []byte, v *msgpack.Token, at int)) {
	head := r.Next()
	if head.Kind != msgpack.Map {
		return
	}
	for range head.N {
		key := r.Next()
		at := r.Pos()
		v := r.Next()
		r.Seek(at)
		if r.Skip(); r.Err() != nil || !key.IsText() {
			return
		}
		f(key.Bytes, &v, at)
	}
}

// attribute adds a field of a group. rest begins with its value.
func (d *decoder) attribute(key []byte, v *msgpack.Token, rest []byte) {
	if d.set.Pending() >= maxGroup || len(key) == 0 {
		return
	}
	name := receive.Str(key)
	switch v.Kind {
	case msgpack.Str, msgpack.Bin:
		d.set.Field(name, receive.Str(v.Bytes))
	case msgpack.Int:
		d.set.Value(name, record.IntValue(v.Int))
	case msgpack.Float:
		d.set.Value(name, record.FloatValue(v.Float))
	case msgpack.Bool:
		d.set.Value(name, record.BoolValue(v.Int != 0))
	case msgpack.Array, msgpack.Map:
		r := msgpack.NewReader(rest)
		d.json(name, r.Skip())
	}
}
