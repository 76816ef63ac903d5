package loki

import (
	"net/http"
	"slices"
	"strings"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/query"
)

// span reads the time range and the selector of a request that explores.
func (d *door) span(r *http.Request, p *params) query.Span {
	s := query.Span{Remote: r.RemoteAddr}
	s.From, s.To = p.span(d.now())
	if q := p.text("query"); q != "" {
		s.Queries = []string{q}
	}
	return s
}

func (d *door) labels(r *http.Request, scope access.Scope, p *params) ([]byte, error) {
	names, err := d.labelNames(r, scope, p)
	if err != nil {
		return nil, err
	}
	return appendNames(names), nil
}

func (d *door) labelNames(r *http.Request, scope access.Scope, p *params) ([]string, error) {
	span := d.span(r, p)
	if p.err != nil {
		return nil, p.err
	}
	return d.o.Engine.LabelNames(r.Context(), scope, span)
}

func (d *door) values(r *http.Request, scope access.Scope, p *params) ([]byte, error) {
	values, err := d.labelValues(r, scope, p)
	if err != nil {
		return nil, err
	}
	return appendNames(values), nil
}

// maxLabelValues bounds one answer; Grafana shows far fewer.
const maxLabelValues = 10_000

func (d *door) labelValues(r *http.Request, scope access.Scope, p *params) ([]string, error) {
	req := query.ValuesRequest{Span: d.span(r, p), Field: r.PathValue("name"), Limit: maxLabelValues}
	if p.err != nil {
		return nil, p.err
	}
	counts, _, err := d.o.Engine.Values(r.Context(), scope, req)
	if err != nil {
		return nil, err
	}
	values := make([]string, len(counts))
	for i, c := range counts {
		values[i] = c.Name
	}
	slices.Sort(values)
	return values, nil
}

// maxMatchers bounds the selectors of a request for series.
const maxMatchers = 100

func (d *door) series(r *http.Request, scope access.Scope, p *params) ([]byte, error) {
	span := d.span(r, p)
	span.Queries = slices.Concat(p.r.Form["match[]"], p.r.Form["match"])
	if len(span.Queries) > maxMatchers {
		p.fail("too many selectors: %d, limit %d", len(span.Queries), maxMatchers)
	}
	if p.err != nil {
		return nil, p.err
	}
	list, err := d.o.Engine.Series(r.Context(), scope, span)
	if err != nil {
		return nil, err
	}
	b := []byte(`{"status":"success","data":[`)
	for i, s := range list {
		b = appendLabels(comma(b, i), s.Labels)
	}
	return append(b, "]}"...), nil
}

// stats answers how much a query would read. A chunk is a block that could not
// be ruled out.
func (d *door) stats(r *http.Request, scope access.Scope, p *params) ([]byte, error) {
	span := d.span(r, p)
	if p.err != nil {
		return nil, p.err
	}
	s, err := d.o.Engine.Extent(r.Context(), scope, span)
	if err != nil {
		return nil, err
	}
	return appendIndexStats(nil, s), nil
}

func (d *door) volume(r *http.Request, scope access.Scope, p *params) ([]byte, error) {
	return d.volumes(r, scope, p, false)
}

func (d *door) volumeRange(r *http.Request, scope access.Scope, p *params) ([]byte, error) {
	return d.volumes(r, scope, p, true)
}

// The series of a volume request.
const (
	defaultVolumes = 100
	maxVolumes     = 5000
	maxTargets     = 50 // labels to tell apart
)

func (d *door) volumes(r *http.Request, scope access.Scope, p *params, steps bool) ([]byte, error) {
	req := query.VolumeRequest{Query: p.text("query"), Remote: r.RemoteAddr, Limit: defaultVolumes}
	req.From, req.To = p.span(d.now())
	if s := p.text("limit"); s != "" && s != "0" {
		req.Limit = min(p.count("limit", defaultVolumes), maxVolumes)
	}
	if s := p.text("targetLabels"); s != "" {
		req.By = strings.Split(s, ",")
	}
	if len(req.By) > maxTargets || slices.Contains(req.By, "") {
		p.fail("targetLabels must be 1 to %d names", maxTargets)
	}
	switch p.text("aggregateBy") {
	case "", "series":
	case "labels":
		req.Names = true
	default:
		p.fail("invalid aggregation option")
	}
	if steps {
		req.Step = p.step(req.From, req.To)
	}
	if p.err == nil && req.To <= req.From {
		p.err = errEndBeforeStart
	}
	if p.err != nil {
		return nil, p.err
	}
	v, err := d.o.Engine.Volume(r.Context(), scope, req)
	if err != nil {
		return nil, err
	}
	return appendVolumes(nil, v), nil
}

func (d *door) patterns(r *http.Request, scope access.Scope, p *params) ([]byte, error) {
	req := query.PatternsRequest{Span: d.span(r, p)}
	req.Step = p.step(req.From, req.To)
	if p.err == nil && (req.To-req.From)/req.Step > maxSteps {
		p.fail("exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter")
	}
	if p.err != nil {
		return nil, p.err
	}
	found, err := d.o.Engine.Patterns(r.Context(), scope, req)
	if err != nil {
		return nil, err
	}
	return appendPatterns(nil, found), nil
}

// maxSteps is Loki's bound of the points of one series.
const maxSteps = 11_000

// keptLabels are shown even when all their values are identifiers.
var keptLabels = []string{"cluster", "namespace", "instance", "pod"}

func (d *door) detectedLabels(r *http.Request, scope access.Scope, p *params) ([]byte, error) {
	span := d.span(r, p)
	if p.err != nil {
		return nil, p.err
	}
	labels, err := d.o.Engine.DetectLabels(r.Context(), scope, span)
	if err != nil {
		return nil, err
	}
	labels = slices.DeleteFunc(labels, func(l query.DetectedLabel) bool { return l.IDs && !slices.Contains(keptLabels, l.Label) })
	return appendDetectedLabels(nil, labels), nil
}

// detect reads the parameters of a request for detected fields.
func (d *door) detect(r *http.Request, p *params) query.DetectRequest {
	req := query.DetectRequest{Query: p.text("query"), Remote: r.RemoteAddr, Lines: p.count("line_limit", defaultLimit)}
	req.From, req.To = p.span(d.now())
	name := "limit"
	if p.text(name) == "" {
		name = "field_limit"
	}
	req.Limit = min(p.count(name, defaultFields), maxLabelValues)
	return req
}

// defaultFields is how many fields, or values of one, are detected.
const defaultFields = 1000

func (d *door) detectedFields(r *http.Request, scope access.Scope, p *params) ([]byte, error) {
	req := d.detect(r, p)
	if p.err != nil {
		return nil, p.err
	}
	found, err := d.o.Engine.DetectFields(r.Context(), scope, req)
	if err != nil {
		return nil, err
	}
	return appendDetectedFields(nil, found.Fields, req.Limit), nil
}

// detectedValues lists the values of a field. Those of a stored field are counted
// over the whole range; those that a stage makes are seen in a sample of lines.
func (d *door) detectedValues(r *http.Request, scope access.Scope, p *params) ([]byte, error) {
	req := d.detect(r, p)
	if req.Name = r.PathValue("name"); req.Name == "" {
		p.fail("a field is missing in the path")
	}
	if p.err != nil {
		return nil, p.err
	}
	span := query.Span{From: req.From, To: req.To, Remote: r.RemoteAddr}
	if req.Query != "" {
		span.Queries = []string{req.Query}
	}
	counts, _, err := d.o.Engine.Values(r.Context(), scope, query.ValuesRequest{Span: span, Field: req.Name, Limit: req.Limit})
	if err != nil {
		return nil, err
	}
	values := make([]string, len(counts))
	for i, c := range counts {
		values[i] = c.Name
	}
	slices.Sort(values)
	if len(values) == 0 {
		found, err := d.o.Engine.DetectFields(r.Context(), scope, req)
		if err != nil {
			return nil, err
		}
		values = found.Values
	}
	return appendDetectedValues(nil, values, req.Limit), nil
}
