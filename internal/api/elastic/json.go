package elastic

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"strconv"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
)

// An object is a JSON object whose members keep their order: a sort that is
// written as an object means the order in which it was written. Values are
// object, []any, string, json.Number (read), int64, uint64, float64, double
// (written), bool and nil.
type object []member

type member struct {
	key string
	val any
}

// double is a number that is always written with a fraction, as Elasticsearch
// writes what it computes.
type double float64

func (o object) get(key string) any {
	for i := range o {
		if o[i].key == key {
			return o[i].val
		}
	}
	return nil
}

func (o object) has(key string) bool {
	for i := range o {
		if o[i].key == key {
			return true
		}
	}
	return false
}

func (o *object) put(key string, val any) { *o = append(*o, member{key, val}) }

// Limits of a body.
const (
	maxDepth  = 100     // nesting of objects and arrays
	maxValues = 200_000 // values of one body
)

// A reader reads one JSON value with bounded depth and size.
type reader struct {
	dec  *json.Decoder
	left int
}

// parse reads a body that is one JSON object. An empty body is an empty object.
func parse(body []byte) (object, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, nil
	}
	r := reader{dec: json.NewDecoder(bytes.NewReader(body)), left: maxValues}
	r.dec.UseNumber()
	v, err := r.value(0)
	if err != nil {
		return nil, err
	}
	o, ok := v.(object)
	if !ok {
		return nil, badf("parsing_exception", "Expected [START_OBJECT] but the body is no object")
	}
	if _, err := r.dec.Token(); err != io.EOF {
		return nil, badf("parsing_exception", "unexpected text behind the body")
	}
	return o, nil
}

func (r *reader) token() (json.Token, error) {
	t, err := r.dec.Token()
	if err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil, badf("x_content_e_o_f_exception", "Unexpected end-of-input at byte %d", r.dec.InputOffset())
		}
		return nil, badf("x_content_parse_exception", "body is no JSON: %v at byte %d", err, r.dec.InputOffset())
	}
	return t, nil
}

func (r *reader) value(depth int) (any, error) {
	t, err := r.token()
	if err != nil {
		return nil, err
	}
	return r.after(t, depth)
}

// after reads the value that begins with t.
func (r *reader) after(t json.Token, depth int) (any, error) {
	if r.left--; r.left < 0 {
		return nil, badf("x_content_parse_exception", "the body has more than %d values", maxValues)
	}
	d, ok := t.(json.Delim)
	if !ok {
		return t, nil
	}
	if depth >= maxDepth {
		return nil, badf("x_content_parse_exception", "the body nests deeper than %d levels", maxDepth)
	}
	if d == '[' {
		list := []any{}
		for {
			t, err := r.token()
			if err != nil {
				return nil, err
			}
			if t == json.Delim(']') {
				return list, nil
			}
			v, err := r.after(t, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
	}
	return r.members(depth)
}

func (r *reader) members(depth int) (any, error) {
	o := object{}
	seen := map[string]bool{}
	for {
		t, err := r.token()
		if err != nil {
			return nil, err
		}
		if t == json.Delim('}') {
			return o, nil
		}
		key, _ := t.(string)
		if seen[key] {
			return nil, badf("x_content_parse_exception", "Duplicate field '%s'", short(key))
		}
		seen[key] = true
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		o = append(o, member{key, v})
	}
}

// short bounds what an error repeats of a request.
func short(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}

// write appends v as JSON.
func write(b []byte, v any) []byte { return writeWatched(nil, b, v) }

// writeWatched is write, until w ends: what it returns then is no JSON.
func writeWatched(w *fault.Watch, b []byte, v any) []byte {
	if w.Step(1) != nil {
		return b
	}
	switch v := v.(type) {
	case object:
		b = append(b, '{')
		for i := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = match.AppendQuoted(b, v[i].key)
			b = append(b, ':')
			b = writeWatched(w, b, v[i].val)
		}
		return append(b, '}')
	case []any:
		b = append(b, '[')
		for i := range v {
			if w.Err() != nil {
				return b
			}
			if i > 0 {
				b = append(b, ',')
			}
			b = writeWatched(w, b, v[i])
		}
		return append(b, ']')
	case string:
		_ = w.Step(len(v) / 256) // Err says so at the end
		return match.AppendQuoted(b, v)
	case bool:
		return strconv.AppendBool(b, v)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case uint64:
		return strconv.AppendUint(b, v, 10)
	case json.Number:
		return append(b, v...)
	case double:
		return appendDouble(b, float64(v), true)
	case float64:
		return appendDouble(b, v, false)
	}
	return append(b, "null"...)
}

// appendDouble appends a float; what is no number is a string, as Elasticsearch
// writes it.
func appendDouble(b []byte, f float64, fraction bool) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(b, `"-Infinity"`...)
	}
	if fraction && f == math.Trunc(f) && math.Abs(f) < 1e15 {
		return append(strconv.AppendFloat(b, f, 'f', -1, 64), ".0"...)
	}
	return strconv.AppendFloat(b, f, 'g', -1, 64)
}

// textOf returns the text form of a scalar.
func textOf(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// list returns v as a list: itself, or a list of the one value.
func list(v any) []any {
	switch v := v.(type) {
	case []any:
		return v
	case nil:
		return nil
	}
	return []any{v}
}
