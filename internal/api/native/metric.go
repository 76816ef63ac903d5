package native

import (
	"net/http"
	"strconv"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/store"
)

// MetricAnswer is the answer to a metric query. Values are texts, because JSON has
// no NaN and no infinity.
type MetricAnswer struct {
	Kind     string         `json:"kind"` // matrix; of an instant vector or scalar
	Series   []MetricSeries `json:"series"`
	Partial  bool           `json:"partial"`
	Warnings []string       `json:"warnings,omitempty"`
	Stats    store.Stats    `json:"stats"`
}

// MetricSeries is the points of one set of labels, by time. A step without a
// value has no point. A scalar is one series without labels.
type MetricSeries struct {
	Labels map[string]string `json:"labels"`
	Points []MetricPoint     `json:"points"`
}

// MetricPoint is a value at a time.
type MetricPoint struct {
	Time  string `json:"time"` // RFC 3339
	Value string `json:"value"`
}

// metric answers a LogQL metric query: at the parameter time, or from from to to
// in steps.
func (a reading) metric(w http.ResponseWriter, r *http.Request) error {
	scope, err := access.ReadScope(httpd.PrincipalFrom(r.Context()))
	if err != nil {
		return err
	}
	f := a.form(r)
	span := f.span()
	req := query.Request{Query: r.Form.Get("query"), Language: span.Language, Start: span.From, End: span.To, Remote: r.RemoteAddr}
	if r.Form.Get("time") != "" {
		req.Instant, req.End = true, f.time("time", 0)
		if f.err == nil && (r.Form.Get("from") != "" || r.Form.Get("to") != "" || r.Form.Get("step") != "") {
			f.err = fault.Errorf(fault.Invalid, "time asks for one point: it goes with neither from, to nor step")
		}
	}
	req.Step = f.duration("step", max(1e9, (req.End-req.Start)/defaultBuckets/1e9*1e9))
	if f.err == nil && req.Language != query.LogQL {
		f.err = fault.WithHint(fault.Errorf(fault.Invalid, "metric queries are written in LogQL"), "leave lang out")
	}
	if f.err == nil && req.Query == "" {
		f.err = fault.Errorf(fault.Invalid, "parameter query is missing")
	}
	if f.err != nil {
		return f.err
	}
	if err := query.CheckMetric(req.Query); err != nil {
		return err
	}
	res, err := a.o.Engine.Query(r.Context(), scope, req)
	if err != nil {
		return err
	}
	return writeMetric(w, r, res)
}

// writeMetric writes a MetricAnswer, a series at a time: all of them as texts would
// take many times the memory of their numbers.
func writeMetric(w http.ResponseWriter, r *http.Request, res *query.Result) error {
	w.Header().Set("Content-Type", "application/json")
	watch := fault.NewWatch(r.Context())
	b := append(appendJSON([]byte(`{"kind":`), res.Kind), `,"series":[`...)
	series := res.Series
	if res.Kind == query.Scalar {
		series = []*query.Series{{Vals: []float64{res.Scalar}, Has: []bool{true}}}
	}
	for i, s := range series {
		if err := watch.Step(1 + len(s.Vals)/8); err != nil {
			return err
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = appendSeries(b, s, res.Steps)
		if len(b) < flushBytes {
			continue
		}
		if _, err := w.Write(b); err != nil {
			return fault.Errorf(fault.Canceled, "write answer: %w", err)
		}
		b = b[:0]
	}
	rest := appendJSON(nil, struct {
		Partial  bool        `json:"partial"`
		Warnings []string    `json:"warnings,omitempty"`
		Stats    store.Stats `json:"stats"`
	}{res.Partial, res.Warnings, res.Stats})
	b = append(append(b, "],"...), rest[1:]...)
	_, err := w.Write(append(b, '\n'))
	return err
}

// appendSeries appends a MetricSeries.
func appendSeries(b []byte, s *query.Series, steps query.Steps) []byte {
	b = appendJSON(append(b, `{"labels":`...), s.Labels.Map())
	b = append(b, `,"points":[`...)
	first := true
	for i, v := range s.Vals {
		if !s.Has[i] {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, `{"time":"`...)
		b = appendTime(b, steps.At(i))
		b = append(b, `","value":"`...)
		b = strconv.AppendFloat(b, v, 'f', -1, 64)
		b = append(b, `"}`...)
	}
	return append(b, "]}"...)
}
