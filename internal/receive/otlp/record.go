package otlp

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math"
	"strconv"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/record"
)

// Fields beside attributes. Resource, scope and log attributes keep their names.
const (
	fieldScopeName    = "otel.scope.name"
	fieldScopeVersion = "otel.scope.version"
	fieldSeverityText = "severity_text"
	fieldSeverity     = "severity_number"
	fieldTraceID      = "trace_id"
	fieldSpanID       = "span_id"
	fieldTraceFlags   = "trace_flags"
	fieldEventName    = "event_name"
	fieldDropped      = "otel.dropped_attributes_count"
)

// A decoder turns one export request into raw records.
type decoder struct {
	set      *receive.Set
	lim      receive.Limits
	resource []record.Field
	scope    []record.Field  // with the resource's
	tmp      []byte          // JSON text being written
	each     jsontext.Reader // of the record being read
	untimed  bool            // a record had no time
	fine     bool            // a record had a time that is finer than a millisecond
}

// logRecord is what a record says besides its attributes, which go to the set
// while it is read. Slices alias the body.
type logRecord struct {
	time, observed uint64
	severity       int64
	severityText   []byte
	body           []byte
	json           bool // body is an object
	trace, span    []byte
	traceHex       bool // trace and span are hex already (JSON)
	flags          uint64
	dropped        uint64
	event          []byte
}

// maxAttributes bounds one record's fields, its resource's and scope's included.
const maxAttributes = 4096

// begin opens a record in the set.
func (d *decoder) begin() error {
	if len(d.set.Raws) >= d.lim.Items || d.set.Full() {
		return fault.Errorf(fault.TooLarge, "export request has more than %d records, or too many attributes", d.lim.Items)
	}
	d.set.Open()
	d.set.Fields(d.scope)
	return nil
}

// reject closes a record that is wrong in itself.
func (d *decoder) reject(err error) {
	d.set.Undo()
	reason := "malformed_record"
	switch {
	case errors.Is(err, errAttributes):
		reason = "too_many_attributes"
	case fault.Is(err, fault.TooLarge):
		reason = "too_deep"
	}
	d.set.Reject(reason, err.Error(), 1)
}

// end closes the record and appends it.
func (d *decoder) end(r *logRecord) {
	level := ""
	if len(r.severityText) > 0 {
		d.set.Field(fieldSeverityText, receive.Str(r.severityText))
	} else {
		level = levelOf(r.severity)
	}
	if r.severity != 0 {
		d.set.Value(fieldSeverity, record.IntValue(r.severity))
	}
	d.id(fieldTraceID, r.trace, r.traceHex)
	d.id(fieldSpanID, r.span, r.traceHex)
	if r.flags != 0 {
		d.set.Value(fieldTraceFlags, record.IntValue(int64(r.flags)))
	}
	if len(r.event) > 0 {
		d.set.Field(fieldEventName, receive.Str(r.event))
	}
	if r.dropped != 0 {
		d.set.Value(fieldDropped, record.IntValue(int64(r.dropped)))
	}
	at := r.time
	if at == 0 {
		at = r.observed
	}
	if at > math.MaxInt64 {
		at = 0
	}
	// Two exports of one record each, made in the same tick of a coarse clock, may be
	// alike; of a fine one they cannot.
	d.untimed = d.untimed || at == 0
	d.fine = d.fine || r.time%1e6 != 0 || r.observed%1e6 != 0
	d.set.Once = d.fine && !d.untimed
	d.set.Raws = append(d.set.Raws, record.Raw{Payload: r.body, JSON: r.json, Time: int64(at), Attrs: d.set.Close(), Level: level})
}

var levels = [...]string{"trace", "debug", "info", "warn", "error", "fatal"}

// levelOf names a severity number (OpenTelemetry's logs data model), or returns
// "" for one that means nothing.
func levelOf(severity int64) string {
	if severity < 1 || severity > 24 {
		return ""
	}
	return levels[(severity-1)/4]
}

// id adds a trace or span id in lower-case hex. All zero means there is none.
func (d *decoder) id(name string, v []byte, isHex bool) {
	none := true
	for _, c := range v {
		none = none && (c == 0 || isHex && c == '0')
	}
	if none || len(v) > 64 {
		return
	}
	out := d.set.Text(2 * len(v))
	if isHex {
		for _, c := range v {
			if c >= 'A' && c <= 'F' {
				c += 'a' - 'A'
			}
			out = append(out, c)
		}
	} else {
		out = hex.AppendEncode(out, v)
	}
	d.set.Field(name, receive.Str(d.set.Keep(out)))
}

// An anyValue is a decoded AnyValue: a scalar, or JSON text for a list or a map.
// Bytes become base64.
type anyValue struct {
	v      record.Value // Kind 0: empty. Kind String: see text
	text   []byte
	object bool // text is a JSON object
}

func textValue(b []byte) anyValue { return anyValue{v: record.Value{Kind: record.String}, text: b} }

// keep copies JSON text from tmp to the set.
func (d *decoder) keep(object bool) anyValue {
	v := textValue(d.set.Keep(append(d.set.Text(len(d.tmp)), d.tmp...)))
	v.object = object
	return v
}

var errAttributes = fault.Errorf(fault.TooLarge, "a record has more than %d attributes", maxAttributes)

// attr adds an attribute. An empty value is not kept: there is no null.
func (d *decoder) attr(key []byte, a anyValue) {
	switch {
	case len(key) == 0 || a.v.Kind == 0:
	case a.v.Kind == record.String:
		d.set.Field(receive.Str(key), receive.Str(a.text))
	default:
		d.set.Value(receive.Str(key), a.v)
	}
}

// setBody makes a the body of r.
func (d *decoder) setBody(r *logRecord, a anyValue) {
	r.json = a.object
	if r.body = a.text; a.v.Kind != record.String {
		r.body = d.set.Keep(a.v.AppendText(d.set.Text(32)))
	}
}

// appendJSON appends a scalar as JSON. Infinity and NaN, which JSON has not,
// become strings, as in OTLP's own JSON form.
func appendJSON(dst []byte, a anyValue) []byte {
	switch a.v.Kind {
	case 0:
		return append(dst, "null"...)
	case record.String:
		return jsontext.AppendString(dst, a.text)
	case record.Float:
		if math.IsNaN(a.v.Flt) || math.IsInf(a.v.Flt, 0) {
			dst = append(dst, '"')
			dst = strconv.AppendFloat(dst, a.v.Flt, 'g', -1, 64)
			return append(dst, '"')
		}
	}
	return a.v.AppendText(dst)
}

func appendBase64(dst, v []byte) []byte { return base64.StdEncoding.AppendEncode(dst, v) }
