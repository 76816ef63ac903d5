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
	return writeJSON(w, metricAnswer(res))
}

func metricAnswer(res *query.Result) MetricAnswer {
	out := MetricAnswer{Kind: string(res.Kind), Series: []MetricSeries{}, Partial: res.Partial, Warnings: res.Warnings, Stats: res.Stats}
	point := func(i int, v float64) MetricPoint {
		at := res.Steps.Start + int64(i)*res.Steps.Step
		return MetricPoint{Time: string(appendTime(nil, at)), Value: strconv.FormatFloat(v, 'f', -1, 64)}
	}
	if res.Kind == query.Scalar {
		out.Series = append(out.Series, MetricSeries{Labels: map[string]string{}, Points: []MetricPoint{point(0, res.Scalar)}})
	}
	for _, s := range res.Series {
		m := MetricSeries{Labels: s.Labels.Map(), Points: []MetricPoint{}}
		for i, v := range s.Vals {
			if s.Has[i] {
				m.Points = append(m.Points, point(i, v))
			}
		}
		out.Series = append(out.Series, m)
	}
	return out
}
