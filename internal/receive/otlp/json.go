package otlp

import (
	"cmp"
	"math"
	"strconv"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/jsontext"
	"github.com/meshtrail/meshtrail/internal/record"
)

// The JSON form (OTLP specification, "JSON Protobuf Encoding"): names in
// lowerCamelCase, ids in hex, 64-bit integers as strings or numbers, unknown
// members ignored. Members come in any order, so what must be known first is
// looked for first.

// maxRecordText bounds the JSON text of one record. The pipeline refuses
// records of more than 1 MiB; this only bounds the work before it does.
const maxRecordText = 8 << 20

// skip remembers where a value stands and passes it.
func skip(j *jsontext.Reader, at *int) {
	*at = j.Pos()
	j.Raw()
}

func (d *decoder) json(b []byte) error {
	j := jsontext.NewReader(b, d.lim.Depth, d.set)
	var failed error
	j.Object(func(key []byte) {
		if string(key) != "resourceLogs" {
			j.Raw()
			return
		}
		j.Array(func() {
			if failed == nil {
				failed = d.jsonResource(&j)
			} else {
				j.Raw()
			}
		})
	})
	if j.End(); failed != nil {
		return failed
	}
	return j.Err()
}

// jsonResource reads one ResourceLogs. Nearly all senders write the resource
// first; what stands before it is read when it is known.
func (d *decoder) jsonResource(j *jsontext.Reader) error {
	logs, known := -1, false
	var failed error
	d.resource = nil
	j.Object(func(key []byte) {
		switch string(key) {
		case "resource":
			d.set.Open()
			j.Object(func(key []byte) { d.jsonAttributes(j, string(key) == "attributes") })
			d.resource, known = d.set.Close(), true
		case "scopeLogs":
			if known && failed == nil {
				failed = d.jsonScopes(j)
			} else {
				skip(j, &logs)
			}
		default:
			j.Raw()
		}
	})
	if failed != nil {
		return failed
	}
	if j.Err() != nil || logs < 0 {
		return j.Err()
	}
	in := j.At(logs)
	return cmp.Or(d.jsonScopes(&in), in.Err())
}

// jsonScopes reads the list of ScopeLogs of a resource.
func (d *decoder) jsonScopes(j *jsontext.Reader) (failed error) {
	j.Array(func() {
		if failed == nil {
			failed = d.jsonScope(j)
		} else {
			j.Raw()
		}
	})
	return failed
}

// jsonScope reads one ScopeLogs, as jsonResource does.
func (d *decoder) jsonScope(j *jsontext.Reader) error {
	records, known := -1, false
	var failed error
	d.scope = d.resource
	j.Object(func(key []byte) {
		switch string(key) {
		case "scope":
			d.set.Open()
			d.set.Fields(d.resource)
			j.Object(func(key []byte) {
				switch string(key) {
				case "name":
					d.set.Field(fieldScopeName, receive.Str(j.String()))
				case "version":
					d.set.Field(fieldScopeVersion, receive.Str(j.String()))
				default:
					d.jsonAttributes(j, string(key) == "attributes")
				}
			})
			d.scope, known = d.set.Close(), true
		case "logRecords":
			if known && failed == nil {
				failed = d.jsonRecords(j)
			} else {
				skip(j, &records)
			}
		default:
			j.Raw()
		}
	})
	if failed != nil {
		return failed
	}
	if j.Err() != nil || records < 0 {
		return j.Err()
	}
	in := j.At(records)
	return cmp.Or(d.jsonRecords(&in), in.Err())
}

// jsonRecords reads the list of LogRecords of a scope. A bad record spoils no
// other.
func (d *decoder) jsonRecords(j *jsontext.Reader) (failed error) {
	j.Array(func() {
		if failed != nil {
			j.Raw()
			return
		}
		if failed = d.begin(); failed != nil {
			return
		}
		start := j.Pos()
		at := &d.each
		*at = j.At(start)
		var r logRecord
		if d.jsonRecord(at, &r); at.Err() == nil {
			if j.Past(at); j.Pos()-start <= maxRecordText {
				d.end(&r)
				return
			}
			d.reject(fault.Errorf(fault.Invalid, "a record has %d bytes of JSON", j.Pos()-start))
			return
		}
		if j.Raw(); j.Err() != nil { // the request ends here, and says so
			d.set.Undo()
			return
		}
		d.reject(at.Err())
	})
	return failed
}

func (d *decoder) jsonRecord(j *jsontext.Reader, r *logRecord) {
	r.traceHex = true
	j.Object(func(key []byte) {
		switch string(key) {
		case "timeUnixNano":
			r.time = unsigned(j)
		case "observedTimeUnixNano":
			r.observed = unsigned(j)
		case "severityNumber":
			r.severity = signed(j)
		case "severityText":
			r.severityText = j.String()
		case "body":
			d.setBody(r, d.jsonAny(j))
		case "droppedAttributesCount":
			r.dropped = unsigned(j)
		case "flags":
			r.flags = unsigned(j)
		case "traceId":
			r.trace = hexText(j)
		case "spanId":
			r.span = hexText(j)
		case "eventName":
			r.event = j.String()
		default:
			d.jsonAttributes(j, string(key) == "attributes")
		}
	})
}

func hexText(j *jsontext.Reader) []byte {
	s := j.String()
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			j.Fail("an id is not hex")
			return nil
		}
	}
	return s
}

func unsigned(j *jsontext.Reader) uint64 {
	n, err := strconv.ParseUint(receive.Str(j.Text()), 10, 64)
	if err != nil {
		j.Fail("expected an unsigned integer")
	}
	return n
}

func signed(j *jsontext.Reader) int64 {
	n, err := strconv.ParseInt(receive.Str(j.Text()), 10, 64)
	if err != nil {
		j.Fail("expected an integer")
	}
	return n
}

// jsonAttributes adds a list of KeyValues, or passes a value that is none.
func (d *decoder) jsonAttributes(j *jsontext.Reader, attributes bool) {
	if !attributes {
		j.Raw()
		return
	}
	j.Array(func() {
		if d.jsonText(j) {
			return
		}
		key, at := jsonPair(j)
		if at < 0 {
			return
		}
		if d.set.Pending() >= maxAttributes {
			j.Adopt(errAttributes)
			return
		}
		in := j.At(at)
		a := d.jsonAny(&in)
		if err := in.Err(); err != nil {
			j.Adopt(err)
			return
		}
		d.attr(key, a)
	})
}

// jsonText adds an attribute that is a text or an integer, written as exporters
// write it. Of anything else it reads nothing.
func (d *decoder) jsonText(j *jsontext.Reader) bool {
	start := j.Pos()
	if d.set.Pending() >= maxAttributes || !j.Literal(`{"key":"`) {
		return false
	}
	j.Back(start + len(`{"key":`))
	key := j.String()
	switch {
	case j.Literal(`,"value":{"stringValue":`) && j.Peek() == '"':
		if v := j.String(); j.Literal("}}") {
			d.attr(key, textValue(v))
			return true
		}
	case j.Literal(`,"value":{"intValue":"`):
		j.Back(j.Pos() - 1)
		if n, err := strconv.ParseInt(receive.Str(j.String()), 10, 64); err == nil && j.Literal("}}") {
			d.attr(key, anyValue{v: record.IntValue(n)})
			return true
		}
	}
	j.Back(start)
	return false
}

// jsonPair reads a KeyValue and returns where its value stands, -1 if nowhere.
func jsonPair(j *jsontext.Reader) (key []byte, at int) {
	at = -1
	j.Object(func(k []byte) {
		switch string(k) {
		case "key":
			key = j.String()
		case "value":
			skip(j, &at)
		default:
			j.Raw()
		}
	})
	return key, at
}

// jsonAny reads an AnyValue.
func (d *decoder) jsonAny(j *jsontext.Reader) (a anyValue) {
	j.Object(func(key []byte) {
		switch string(key) {
		case "stringValue", "bytesValue":
			a = textValue(j.String())
		case "boolValue":
			a = anyValue{v: record.BoolValue(string(j.Scalar()) == "true")}
		case "intValue":
			a = anyValue{v: record.IntValue(signed(j))}
		case "doubleValue":
			a = anyValue{v: record.FloatValue(float(j))}
		case "arrayValue", "kvlistValue":
			isObject := string(key) == "kvlistValue"
			d.tmp = d.appendJSONContainer(d.tmp[:0], j, isObject)
			a = d.keep(isObject)
		default:
			j.Raw()
		}
	})
	return a
}

func float(j *jsontext.Reader) float64 {
	s := string(j.Text())
	switch s {
	case "Infinity":
		return math.Inf(1)
	case "-Infinity":
		return math.Inf(-1)
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		j.Fail("expected a number")
	}
	return f
}

// appendJSONContainer appends {"values":[…]} as a JSON array or object. The
// reader's own depth limit bounds the recursion.
func (d *decoder) appendJSONContainer(dst []byte, j *jsontext.Reader, isObject bool) []byte {
	brackets := "[]"
	if isObject {
		brackets = "{}"
	}
	dst = append(dst, brackets[0])
	n := 0
	j.Object(func(key []byte) {
		if string(key) != "values" {
			j.Raw()
			return
		}
		j.Array(func() {
			if n++; n > 1 {
				dst = append(dst, ',')
			}
			if !isObject {
				dst = d.appendJSONAny(dst, j)
				return
			}
			key, at := jsonPair(j)
			dst = append(jsontext.AppendString(dst, key), ':')
			if at < 0 {
				dst = append(dst, "null"...)
				return
			}
			in := j.At(at)
			dst = d.appendJSONAny(dst, &in)
			j.Adopt(in.Err())
		})
	})
	return append(dst, brackets[1])
}

func (d *decoder) appendJSONAny(dst []byte, j *jsontext.Reader) []byte {
	start, a, done := len(dst), anyValue{}, false
	j.Object(func(key []byte) {
		switch string(key) {
		case "stringValue", "bytesValue":
			a = textValue(j.String())
		case "boolValue":
			a = anyValue{v: record.BoolValue(string(j.Scalar()) == "true")}
		case "intValue":
			a = anyValue{v: record.IntValue(signed(j))}
		case "doubleValue":
			a = anyValue{v: record.FloatValue(float(j))}
		case "arrayValue", "kvlistValue":
			dst, done = d.appendJSONContainer(dst[:start], j, string(key) == "kvlistValue"), true
		default:
			j.Raw()
		}
	})
	if done {
		return dst
	}
	return appendJSON(dst, a)
}
