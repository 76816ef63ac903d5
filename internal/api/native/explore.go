package native

import (
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query"
	words "github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store"
)

// HistogramAnswer is counts over time. Bucket i holds the records from
// From + i × StepMs milliseconds on.
type HistogramAnswer struct {
	From   string           `json:"from"` // RFC 3339
	To     string           `json:"to"`
	StepMs float64          `json:"stepMs"`
	By     string           `json:"by,omitempty"`
	Total  uint64           `json:"total"`
	Groups []HistogramGroup `json:"groups"`         // largest first
	Rest   []uint64         `json:"rest,omitempty"` // of all groups beyond those
	Stats  store.Stats      `json:"stats"`
}

// HistogramGroup is the counts of one value of the field By; "" is the records
// that have none.
type HistogramGroup struct {
	Value  string   `json:"value"`
	Total  uint64   `json:"total"`
	Counts []uint64 `json:"counts"`
}

// defaultBuckets is how many bars a histogram has when none are asked for.
const defaultBuckets = 60

func (a reading) histogram(w http.ResponseWriter, r *http.Request) error {
	scope, err := access.ReadScope(httpd.PrincipalFrom(r.Context()))
	if err != nil {
		return err
	}
	f := a.form(r)
	req := query.HistogramRequest{Span: f.span(), By: r.Form.Get("by"), Groups: f.number("groups", 20)}
	if s := r.Form.Get("step"); s != "" {
		ns, ok := match.ParseDuration(s)
		if !ok || ns <= 0 {
			return fault.WithHint(fault.Errorf(fault.Invalid, "parameter step: %q is no duration", s), "write 30s, 5m or 1h")
		}
		req.Step = ns
	} else if n := int64(f.number("buckets", defaultBuckets)); n > 0 && req.To > req.From {
		req.Step = max(1, (req.To-req.From+n-1)/n)
	}
	if f.err != nil {
		return f.err
	}
	h, err := a.o.Engine.Histogram(r.Context(), scope, req)
	if err != nil {
		return err
	}
	out := HistogramAnswer{
		From: string(appendTime(nil, h.From)), To: string(appendTime(nil, h.To)), StepMs: float64(h.Step) / 1e6,
		By: req.By, Groups: []HistogramGroup{}, Rest: h.Rest, Stats: h.Stats,
	}
	for _, g := range h.Groups {
		out.Groups = append(out.Groups, HistogramGroup(g))
		out.Total += g.Total
	}
	for _, n := range h.Rest {
		out.Total += n
	}
	return writeJSON(w, out)
}

// FieldsAnswer lists the fields of a time range, in the order of the schema.
type FieldsAnswer struct {
	Fields []Field `json:"fields"`
	// More is how many fields that few records have are not listed, at most.
	More uint64 `json:"more,omitempty"`
}

// Field is one field of a time range.
type Field struct {
	Name    string `json:"name"`
	Type    string `json:"type"`              // string, int, float, bool
	Records uint64 `json:"records"`           // at most
	Query   string `json:"query"`             // how LogQL writes the name
	Meaning string `json:"meaning,omitempty"` // of a field that the schema knows
}

var kinds = map[words.Kind]string{words.String: "string", words.Int: "int", words.Float: "float", words.Bool: "bool"}

func (a reading) fields(w http.ResponseWriter, r *http.Request) error {
	scope, err := access.ReadScope(httpd.PrincipalFrom(r.Context()))
	if err != nil {
		return err
	}
	f := a.form(r)
	span := f.span()
	if f.err != nil {
		return f.err
	}
	list, more, err := a.o.Engine.Fields(r.Context(), scope, span)
	if err != nil {
		return err
	}
	out := FieldsAnswer{Fields: []Field{}, More: more}
	for _, i := range list {
		n := Field{Name: i.Name, Type: kinds[i.Kind], Records: i.Records, Query: schema.Identifier(i.Name)}
		if known, ok := schema.Lookup(i.Name); ok {
			n.Meaning = known.Meaning
		}
		out.Fields = append(out.Fields, n)
	}
	return writeJSON(w, out)
}

// ValuesAnswer lists the values of a field, most frequent first.
type ValuesAnswer struct {
	Field     string        `json:"field"`
	Values    []words.Count `json:"values"`
	Truncated bool          `json:"truncated"` // there are more
}

func (a reading) values(w http.ResponseWriter, r *http.Request) error {
	scope, err := access.ReadScope(httpd.PrincipalFrom(r.Context()))
	if err != nil {
		return err
	}
	f := a.form(r)
	req := query.ValuesRequest{Span: f.span(), Field: r.Form.Get("field"), Limit: f.number("limit", 100)}
	if req.Field == "" && f.err == nil {
		f.err = fault.Errorf(fault.Invalid, "parameter field is missing")
	}
	if f.err != nil {
		return f.err
	}
	values, truncated, err := a.o.Engine.Values(r.Context(), scope, req)
	if err != nil {
		return err
	}
	if values == nil {
		values = []words.Count{}
	}
	return writeJSON(w, ValuesAnswer{Field: req.Field, Values: values, Truncated: truncated})
}

// appendJSON appends v, a type of ours that always encodes.
func appendJSON(dst []byte, v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return append(dst, "null"...)
	}
	return append(dst, b...)
}

// ParseTime reads a time: "now", a duration before now ("-1h", "now-90m"),
// RFC 3339, a date, or Unix time in seconds, or in milli-, micro- or nanoseconds
// when it has 13, 16 or 19 digits.
func ParseTime(s string, now time.Time) (int64, error) {
	bad := func() (int64, error) {
		return 0, fault.WithHint(fault.Errorf(fault.Invalid, "%q is no time", s),
			"write now, -1h, 2026-11-20T15:04:05Z or Unix seconds")
	}
	rest := strings.TrimPrefix(s, "now")
	if rest == "" {
		return now.UnixNano(), nil
	}
	if ns, ok := match.ParseDuration(rest); ok && (rest[0] == '-' || rest[0] == '+') {
		return now.UnixNano() + ns, nil
	}
	if rest != s {
		return bad()
	}
	if i, f, isInt, ok := match.ParseNumber(s); ok {
		digits := len(strings.TrimLeft(s, "+-"))
		switch {
		case isInt && digits <= 10:
			return i * 1e9, nil
		case isInt && digits == 13:
			return i * 1e6, nil
		case isInt && digits == 16:
			return i * 1e3, nil
		case isInt && digits == 19:
			return i, nil
		case !isInt && math.Abs(f) < 9e9:
			whole, frac := math.Modf(f)
			return int64(whole)*1e9 + int64(math.Round(frac*1e9)), nil
		}
		return bad()
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			if y := t.Year(); y < 1700 || y > 2250 {
				break
			}
			return t.UnixNano(), nil
		}
	}
	return bad()
}
