package otlp

import (
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

// object calls f for each member whose value is not null.
func object(j *jsontext.Reader, f func(key []byte)) {
	if !j.Begin('{') {
		return
	}
	for {
		key, ok := j.Field()
		if !ok {
			return
		}
		if j.Peek() == 'n' {
			j.Scalar()
			continue
		}
		f(key)
	}
}

// array calls f before each element.
func array(j *jsontext.Reader, f func()) {
	if !j.Begin('[') {
		return
	}
	for j.Elem() {
		f()
	}
}

// skip remembers where a value stands and passes it.
func skip(j *jsontext.Reader, at *int) {
	*at = j.Pos()
	j.Raw()
}

func (d *decoder) json(b []byte) error {
	j := jsontext.NewReader(b, d.lim.Depth, d.set)
	var failed error
	object(&j, func(key []byte) {
		if string(key) != "resourceLogs" {
			j.Raw()
			return
		}
		array(&j, func() {
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

// jsonResource reads one ResourceLogs.
func (d *decoder) jsonResource(j *jsontext.Reader) error {
	logs := -1
	d.resource = nil
	object(j, func(key []byte) {
		switch string(key) {
		case "resource":
			d.set.Open()
			object(j, func(key []byte) { d.jsonAttributes(j, string(key) == "attributes") })
			d.resource = d.set.Close()
		case "scopeLogs":
			skip(j, &logs)
		default:
			j.Raw()
		}
	})
	if j.Err() != nil || logs < 0 {
		return j.Err()
	}
	in := j.At(logs)
	var failed error
	array(&in, func() {
		if failed == nil {
			failed = d.jsonScope(&in)
		} else {
			in.Raw()
		}
	})
	if failed != nil {
		return failed
	}
	return in.Err()
}

// jsonScope reads one ScopeLogs.
func (d *decoder) jsonScope(j *jsontext.Reader) error {
	records := -1
	d.scope = d.resource
	object(j, func(key []byte) {
		switch string(key) {
		case "scope":
			d.set.Open()
			d.set.Fields(d.resource)
			object(j, func(key []byte) {
				switch string(key) {
				case "name":
					d.set.Field(fieldScopeName, receive.Str(j.String()))
				case "version":
					d.set.Field(fieldScopeVersion, receive.Str(j.String()))
				default:
					d.jsonAttributes(j, string(key) == "attributes")
				}
			})
			d.scope = d.set.Close()
		case "logRecords":
			skip(j, &records)
		default:
			j.Raw()
		}
	})
	if j.Err() != nil || records < 0 {
		return j.Err()
	}
	in := j.At(records)
	var failed error
	array(&in, func() {
		at := in.At(in.Pos()) // so that a bad record spoils no other
		text := in.Raw()
		if failed != nil || in.Err() != nil {
			return
		}
		if failed = d.begin(); failed != nil {
			return
		}
		if len(text) > maxRecordText {
			d.reject(fault.Errorf(fault.Invalid, "a record has %d bytes of JSON", len(text)))
			return
		}
		var r logRecord
		d.jsonRecord(&at, &r)
		if err := at.Err(); err != nil {
			d.reject(err)
			return
		}
		d.end(&r)
	})
	if failed != nil {
		return failed
	}
	return in.Err()
}

func (d *decoder) jsonRecord(j *jsontext.Reader, r *logRecord) {
	r.traceHex = true
	object(j, func(key []byte) {
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
	array(j, func() {
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

// jsonPair reads a KeyValue and returns where its value stands, -1 if nowhere.
func jsonPair(j *jsontext.Reader) (key []byte, at int) {
	at = -1
	object(j, func(k []byte) {
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
	object(j, func(key []byte) {
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
	object(j, func(key []byte) {
		if string(key) != "values" {
			j.Raw()
			return
		}
		array(j, func() {
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
	object(j, func(key []byte) {
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
