package query

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/audit"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/exec"
	"github.com/meshtrail/meshtrail/internal/query/plan"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store"
)

// A Span is the common part of the requests that explore: a time range,
// From <= t < To, and log queries any of which a record must satisfy.
type Span struct {
	From, To int64
	Queries  []string        // none: every record
	Language Language        // of all of them
	Where    match.Predicate // of Compiled
	Remote   string
}

func (s *Span) detail() map[string]string {
	return s.Language.put(map[string]string{"query": strings.Join(s.Queries, " or "), "start": stamp(s.From), "end": stamp(s.To)})
}

// plan joins the queries of a span.
func (e *Engine) plan(s *Span) (*plan.Log, error) {
	if err := e.checkRange(s.From, s.To); err != nil {
		return nil, err
	}
	if s.Language == Compiled {
		return compiled(s.Where), nil
	}
	if len(s.Queries) == 0 {
		return &plan.Log{Where: match.True{}}, nil
	}
	out := &plan.Log{NamesClass: true}
	var any match.Or
	for _, q := range s.Queries {
		l, err := readLog(s.Language, q, nil)
		if err != nil {
			return nil, err
		}
		if len(s.Queries) == 1 {
			return l, nil
		}
		if l.Pipe != nil {
			return nil, fault.Errorf(fault.Invalid, "of several queries none can have stages that make fields or change the line")
		}
		any = append(any, l.Where)
		out.NamesClass = out.NamesClass && l.NamesClass
		out.WantsClass = append(out.WantsClass, l.WantsClass...)
	}
	out.Where = match.Simplify(any)
	return out, nil
}

// explore runs f on the records of a span, audited as kind.
func (e *Engine) explore(ctx context.Context, scope access.Scope, kind string, s *Span, more map[string]string, f func(context.Context, *plan.Log) error) error {
	l, err := e.plan(s)
	if err != nil {
		return err
	}
	detail := s.detail()
	for k, v := range more {
		detail[k] = v
	}
	if refused(scope, l) {
		return e.deny(ctx, scope, kind, s.Remote, detail)
	}
	c, err := e.begin(ctx, scope, kind, s.Remote, audit.Allowed, detail)
	if err != nil {
		return err
	}
	ctx, leave, err := e.enter(ctx)
	if err != nil {
		return c.end(err)
	}
	defer leave()
	return c.end(late(f(ctx, l), e.limits.Timeout))
}

// LabelNames lists the stream labels that records of the span have: the
// schema's, and those that senders declared.
func (e *Engine) LabelNames(ctx context.Context, scope access.Scope, s Span) ([]string, error) {
	var names []string
	err := e.explore(ctx, scope, "labels", &s, nil, func(ctx context.Context, l *plan.Log) error {
		if l.Pipe != nil {
			shown, err := e.shownLabels(ctx, scope, l, &s)
			names = slices.Sorted(maps.Keys(shown))
			return err
		}
		req := store.ValuesRequest{Tenant: scope.Tenant(), From: s.From, To: s.To, Where: where(scope, l), Limit: 1}
		for _, label := range schema.StreamLabels() {
			req.Field = label.Label
			values, _, err := e.opt.Store.Values(ctx, req)
			if err != nil {
				return err
			}
			if len(values) > 0 {
				names = append(names, label.Label)
			}
		}
		declared, err := exec.DeclaredLabels(ctx, e.opt.Store, req, &store.Stats{})
		for _, d := range declared {
			names = append(names, schema.Identifier(d))
		}
		slices.Sort(names)
		names = slices.Compact(names)
		return err
	})
	return names, err
}

// ValuesRequest asks for the values of one field.
type ValuesRequest struct {
	Span
	Field string // by any name
	Limit int    // 0: 1,000
}

// maxValues bounds the values of one answer.
const maxValues = 10_000

// Values lists the values of a field, most frequent first.
func (e *Engine) Values(ctx context.Context, scope access.Scope, req ValuesRequest) (values []record.Count, truncated bool, err error) {
	if req.Limit < 0 || req.Limit > maxValues {
		return nil, false, fault.Errorf(fault.Invalid, "limit must be from 1 to %d", maxValues)
	}
	if req.Limit == 0 {
		req.Limit = 1000
	}
	field := column(req.Field)
	err = e.explore(ctx, scope, "values", &req.Span, map[string]string{"field": req.Field}, func(ctx context.Context, l *plan.Log) (err error) {
		if l.Pipe == nil {
			values, _, err = e.opt.Store.Values(ctx, store.ValuesRequest{
				Tenant: scope.Tenant(), From: req.From, To: req.To, Where: where(scope, l), Field: field, Limit: req.Limit + 1,
			})
			return err
		}
		groups, _, err := e.count(ctx, l, store.CountRequest{
			Tenant: scope.Tenant(), From: req.From, To: req.To, Where: where(scope, l), By: []string{field},
		})
		if err != nil {
			return err
		}
		best, err := mostFrequent(fault.NewWatch(ctx), groups, req.Limit+1)
		values = best.values
		return err
	})
	if len(values) > req.Limit {
		values, truncated = values[:req.Limit], true
	}
	return values, truncated, err
}

// A StreamCount is one set of stream labels and how many records have it.
type StreamCount struct {
	Labels  Labels
	Records uint64
}

// Series lists the sets of stream labels of the span.
func (e *Engine) Series(ctx context.Context, scope access.Scope, s Span) ([]StreamCount, error) {
	var out []StreamCount
	err := e.explore(ctx, scope, "series", &s, nil, func(ctx context.Context, l *plan.Log) error {
		env := &exec.Env{
			Store: e.opt.Store, Tenant: scope.Tenant(), Budget: e.limits.Budget,
			Where:     func(l *plan.Log) match.Predicate { return where(scope, l) },
			MaxSeries: e.limits.MaxSeries, MaxBuckets: maxBuckets, MaxRequests: maxRequests,
		}
		labels, counts, err := exec.Streams(ctx, env, l, s.From, s.To)
		for i := range labels {
			out = append(out, StreamCount{labels[i], counts[i]})
		}
		return err
	})
	slices.SortFunc(out, func(a, b StreamCount) int { return compareLabels(a.Labels, b.Labels) })
	return out, err
}

// Fields lists the fields stored in a time range, in the order in which the
// schema shows fields. Of those that few records have it lists some: there are
// more at most.
func (e *Engine) Fields(ctx context.Context, scope access.Scope, s Span) (fields []store.FieldInfo, more uint64, err error) {
	s.Queries = nil
	err = e.explore(ctx, scope, "fields", &s, nil, func(ctx context.Context, _ *plan.Log) (err error) {
		fields, more, err = e.opt.Store.Fields(ctx, scope.Tenant(), s.From, s.To)
		return err
	})
	return visible(fields, scope), more, err
}

// visible leaves out the fields that the asker is not shown, and sorts the others
// as the schema shows fields.
func visible(fields []store.FieldInfo, scope access.Scope) []store.FieldInfo {
	fields = slices.DeleteFunc(fields, func(f store.FieldInfo) bool {
		return f.Name == record.Labels || !scope.MayReadAudit() && strings.HasPrefix(f.Name, "audit.")
	})
	slices.SortStableFunc(fields, func(a, b store.FieldInfo) int {
		return cmp.Or(cmp.Compare(schema.Order(a.Name), schema.Order(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	return fields
}

// describe tells the reader of a stream which fields there are: those of audit
// records only if it can meet any.
func (e *Engine) describe(ctx context.Context, scope access.Scope, c *call, l *plan.Log, req *StreamRequest) error {
	if err := c.join(); err != nil {
		return err
	}
	fields, _, err := e.opt.Store.Fields(ctx, scope.Tenant(), req.From, req.To)
	if err != nil {
		return err
	}
	fields = visible(fields, scope)
	if !l.NamesClass {
		fields = slices.DeleteFunc(fields, func(f store.FieldInfo) bool { return strings.HasPrefix(f.Name, "audit.") })
	}
	return req.Describe(fields)
}

// A HistogramRequest asks how many records of the span there are over time.
type HistogramRequest struct {
	Span
	Step int64  // ns
	By   string // field whose values are told apart; "": none
	// Groups bounds the values that are told apart, default 20; the rest is
	// summed up.
	Groups int
}

// Histogram is counts by time bucket: bucket i starts at From+i*Step.
type Histogram struct {
	From, To, Step int64
	Groups         []HistogramGroup // largest first
	Rest           []uint64         // of all other groups; nil if there are none
	Stats          store.Stats
}

// A HistogramGroup is the counts of one value of the By field.
type HistogramGroup struct {
	Value  string // "" for records without the field
	Total  uint64
	Counts []uint64
}

// Histogram counts the records of a log query by time.
func (e *Engine) Histogram(ctx context.Context, scope access.Scope, req HistogramRequest) (*Histogram, error) {
	if req.Step <= 0 || req.To > req.From && (req.To-req.From)/req.Step >= int64(e.limits.MaxPoints) {
		return nil, fault.Errorf(fault.Invalid, "step must give 1 to %d buckets", e.limits.MaxPoints)
	}
	if req.Groups <= 0 {
		req.Groups = 20
	}
	h := &Histogram{From: req.From, To: req.To, Step: req.Step, Groups: []HistogramGroup{}}
	more := map[string]string{"step": time.Duration(req.Step).String()}
	var by []string
	if req.By != "" {
		by = []string{column(req.By)}
		more["by"], more["groups"] = req.By, strconv.Itoa(req.Groups)
	}
	err := e.explore(ctx, scope, "histogram", &req.Span, more, func(ctx context.Context, l *plan.Log) error {
		groups, stats, err := e.count(ctx, l, store.CountRequest{
			Tenant: scope.Tenant(), From: req.From, To: req.To, Where: where(scope, l), By: by, Step: req.Step,
		})
		h.Stats = stats
		if err == nil && len(groups) > e.limits.MaxSeries {
			err = fault.Errorf(fault.Overload, "field %s has %d values, limit %d", req.By, len(groups), e.limits.MaxSeries)
		}
		if err == nil {
			h.fill(groups, req.Groups)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

func (h *Histogram) fill(groups []store.Group, most int) {
	buckets := int((h.To - h.From + h.Step - 1) / h.Step)
	for _, g := range groups {
		n := HistogramGroup{Counts: make([]uint64, buckets)}
		if len(g.Values) > 0 {
			n.Value = g.Values[0]
		}
		for i, c := range g.Counts[:min(buckets, len(g.Counts))] {
			n.Counts[i] = c
			n.Total += c
		}
		if n.Total > 0 {
			h.Groups = append(h.Groups, n)
		}
	}
	slices.SortFunc(h.Groups, func(a, b HistogramGroup) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Value, b.Value))
	})
	if len(h.Groups) > most {
		h.Rest = make([]uint64, buckets)
		for _, g := range h.Groups[most:] {
			for i, c := range g.Counts {
				h.Rest[i] += c
			}
		}
		h.Groups = h.Groups[:most]
	}
}
