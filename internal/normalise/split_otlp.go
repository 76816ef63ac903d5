package normalise

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/meshtrail/meshtrail/internal/record"
)

// The JSON of OTLP's logs data, as its exporters to files write it. Members that are
// not here make a payload no container: nothing is lost.
type (
	otlpLogs struct {
		ResourceLogs []struct {
			Resource  otlpSource   `json:"resource"`
			ScopeLogs []otlpScopes `json:"scopeLogs"`
			SchemaURL string       `json:"schemaUrl"`
		} `json:"resourceLogs"`
	}
	otlpScopes struct {
		Scope     otlpSource   `json:"scope"`
		Records   []otlpRecord `json:"logRecords"`
		SchemaURL string       `json:"schemaUrl"`
	}
	otlpSource struct {
		Name       string     `json:"name"`
		Version    string     `json:"version"`
		Attributes []otlpPair `json:"attributes"`
		Dropped    int64      `json:"droppedAttributesCount"`
	}
	otlpRecord struct {
		Time       json.Number `json:"timeUnixNano"`
		Observed   json.Number `json:"observedTimeUnixNano"`
		Severity   int64       `json:"severityNumber"`
		Level      string      `json:"severityText"`
		Body       otlpValue   `json:"body"`
		Attributes []otlpPair  `json:"attributes"`
		Trace      string      `json:"traceId"`
		Span       string      `json:"spanId"`
		Flags      int64       `json:"flags"`
		Event      string      `json:"eventName"`
		Dropped    int64       `json:"droppedAttributesCount"`
	}
	otlpPair struct {
		Key   string    `json:"key"`
		Value otlpValue `json:"value"`
	}
	otlpValue struct {
		String *string      `json:"stringValue"`
		Bool   *bool        `json:"boolValue"`
		Int    *json.Number `json:"intValue"`
		Double *float64     `json:"doubleValue"`
		Bytes  *string      `json:"bytesValue"`
		Array  *struct {
			Values []otlpValue `json:"values"`
		} `json:"arrayValue"`
		List *struct {
			Values []otlpPair `json:"values"`
		} `json:"kvlistValue"`
	}
)

// otlp appends the log records of one export, under the names that receive/otlp
// gives. It appends nothing when the payload is no export, or holds none.
func otlp(dst []record.Raw, raw *record.Raw) []record.Raw {
	if !utf8.Valid(raw.Payload) { // which the decoder would replace
		return dst
	}
	var logs otlpLogs
	d := json.NewDecoder(bytes.NewReader(raw.Payload))
	d.DisallowUnknownFields()
	if d.Decode(&logs) != nil || d.More() {
		return dst
	}
	from := len(dst)
	for i := range logs.ResourceLogs {
		r := &logs.ResourceLogs[i]
		resource := append(append([]record.Field(nil), raw.Attrs...), otlpFields(r.Resource.Attributes)...)
		for k := range r.ScopeLogs {
			s := &r.ScopeLogs[k]
			scope := resource[:len(resource):len(resource)]
			scope = otlpText(scope, "otel.scope.name", s.Scope.Name)
			scope = otlpText(scope, "otel.scope.version", s.Scope.Version)
			scope = append(scope, otlpFields(s.Scope.Attributes)...)
			for n := range s.Records {
				if len(dst)-from >= MaxElements {
					return dst[:from]
				}
				dst = append(dst, s.Records[n].raw(raw, scope))
			}
		}
	}
	return dst
}

func (l *otlpRecord) raw(whole *record.Raw, scope []record.Field) record.Raw {
	attrs := append(scope[:len(scope):len(scope)], otlpFields(l.Attributes)...)
	attrs = otlpText(attrs, "severity_text", l.Level)
	if l.Severity != 0 {
		attrs = append(attrs, record.Field{Name: "severity_number", Value: record.IntValue(l.Severity)})
	}
	for _, id := range [...]struct{ name, hex string }{{"trace_id", l.Trace}, {"span_id", l.Span}} {
		if strings.Trim(id.hex, "0") != "" && len(id.hex) <= 64 {
			attrs = otlpText(attrs, id.name, strings.ToLower(id.hex))
		}
	}
	if l.Flags != 0 {
		attrs = append(attrs, record.Field{Name: "trace_flags", Value: record.IntValue(l.Flags)})
	}
	attrs = otlpText(attrs, "event_name", l.Event)
	if l.Dropped != 0 {
		attrs = append(attrs, record.Field{Name: "otel.dropped_attributes_count", Value: record.IntValue(l.Dropped)})
	}
	r := record.Raw{Attrs: attrs, Service: whole.Service, Level: whole.Level, JSON: l.Body.List != nil}
	if r.Time, _ = l.Time.Int64(); r.Time <= 0 {
		if r.Time, _ = l.Observed.Int64(); r.Time < 0 {
			r.Time = 0
		}
	}
	if v, ok := l.Body.value(); ok {
		r.Payload = v.AppendText(nil)
	}
	return r
}

func otlpText(to []record.Field, name, v string) []record.Field {
	if v == "" {
		return to
	}
	return append(to, record.Field{Name: name, Value: record.StringValue(v)})
}

func otlpFields(pairs []otlpPair) []record.Field {
	var out []record.Field
	for i := range pairs {
		if v, ok := pairs[i].Value.value(); ok && pairs[i].Key != "" {
			out = append(out, record.Field{Name: pairs[i].Key, Value: v})
		}
	}
	return out
}

// value returns a scalar, or a list or map as JSON. ok is false for an empty one.
func (v *otlpValue) value() (record.Value, bool) {
	switch {
	case v.String != nil:
		return record.StringValue(*v.String), true
	case v.Bool != nil:
		return record.BoolValue(*v.Bool), true
	case v.Int != nil:
		n, err := v.Int.Int64()
		if err != nil {
			return record.StringValue(v.Int.String()), true
		}
		return record.IntValue(n), true
	case v.Double != nil:
		return record.FloatValue(*v.Double), true
	case v.Bytes != nil:
		return record.StringValue(*v.Bytes), true
	case v.Array != nil, v.List != nil:
		return record.StringValue(string(v.json(nil))), true
	}
	return record.Value{}, false
}

// json appends a value as JSON.
func (v *otlpValue) json(dst []byte) []byte {
	switch {
	case v.Array != nil:
		dst = append(dst, '[')
		for i := range v.Array.Values {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = v.Array.Values[i].json(dst)
		}
		return append(dst, ']')
	case v.List != nil:
		dst = append(dst, '{')
		for i := range v.List.Values {
			if i > 0 {
				dst = append(dst, ',')
			}
			name, _ := json.Marshal(v.List.Values[i].Key)
			dst = append(append(dst, name...), ':')
			dst = v.List.Values[i].Value.json(dst)
		}
		return append(dst, '}')
	}
	scalar, ok := v.value()
	switch {
	case !ok:
		return append(dst, "null"...)
	case scalar.Kind == record.String:
		text, _ := json.Marshal(scalar.Str)
		return append(dst, text...)
	}
	return scalar.AppendText(dst)
}
