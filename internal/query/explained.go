package query

import (
	"context"
	"errors"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/audit"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/query/logql"
	"github.com/meshtrail/meshtrail/internal/query/lucene"
	"github.com/meshtrail/meshtrail/internal/query/plan"
	"github.com/meshtrail/meshtrail/internal/store"
)

// An ExplainRequest asks how a query is answered in a time range.
type ExplainRequest struct {
	Query    string
	Language Language // LogQL or Search
	From, To int64
	// Run counts the records that each reading takes from the store, and says what
	// was skipped and why. Without it no data is touched.
	Run    bool
	Remote string
}

// An Explained is an Explanation for one asker and time range.
type Explained struct {
	Explanation
	Readings []Ranged // as many as there are Reads
}

// A Ranged says what one reading costs.
type Ranged struct {
	From, To int64  // of the records that are read
	Where    string // with the asker's scope
	// Stats, when it was run, are those of counting the records that Where holds
	// for; RowsMatched is how many there are.
	Stats *store.Stats
}

// Explain plans a query as Query would, and with Run lets the store count what it
// selects.
func (e *Engine) Explain(ctx context.Context, scope access.Scope, req ExplainRequest) (*Explained, error) {
	if req.Language == Compiled {
		return nil, fault.Errorf(fault.Invalid, "only search and logql can be explained")
	}
	x, err := Explain(req.Language, req.Query)
	if err != nil {
		return nil, err
	}
	if err := e.checkRange(req.From, req.To); err != nil {
		return nil, err
	}
	out := &Explained{Explanation: *x}
	logs, err := out.plan(&req)
	if err != nil {
		return nil, err
	}
	detail := req.Language.put(map[string]string{"query": req.Query, "start": stamp(req.From), "end": stamp(req.To)})
	for _, l := range logs {
		if refused(scope, l) {
			return nil, e.deny(ctx, scope, "explain", req.Remote, detail)
		}
	}
	c, err := e.begin(ctx, scope, "explain", req.Remote, audit.Allowed, detail)
	if err != nil {
		return nil, err
	}
	ctx, leave, err := e.enter(ctx)
	if err != nil {
		return nil, c.end(err)
	}
	defer leave()
	for i := 0; i < len(logs) && err == nil; i++ {
		r := &out.Readings[i]
		p := where(scope, logs[i])
		r.Where = predicateText(&plan.Log{Where: p})
		if req.Run {
			r.Stats = &store.Stats{}
			_, *r.Stats, err = e.uncached.Count(ctx, store.CountRequest{
				Tenant: scope.Tenant(), From: r.From, To: r.To, Where: p, Budget: e.limits.Budget,
			})
		}
	}
	if err := c.end(late(err, e.limits.Timeout)); err != nil {
		return nil, err
	}
	return out, nil
}

// plan finds what is read of which time.
func (x *Explained) plan(req *ExplainRequest) (logs []*plan.Log, err error) {
	l, tree, err := read(req.Language, req.Query, nil)
	if err != nil {
		return nil, err
	}
	if l != nil {
		x.Readings = []Ranged{{From: req.From, To: req.To}}
		return []*plan.Log{l}, nil
	}
	node, err := plan.Metric(tree)
	if err != nil {
		return nil, err
	}
	err = plan.Ranges(node, func(r *plan.Range) error {
		logs = append(logs, r.Log)
		x.Readings = append(x.Readings, Ranged{From: req.From - r.Range - r.Offset + 1, To: req.To - r.Offset + 1})
		return nil
	})
	return logs, err
}

// A Finding is something that Lint has to say of a query.
type Finding = logql.Finding

// Lint reports what is wrong with a query, and what is likely not meant.
func Lint(lang Language, query string) ([]Finding, error) {
	switch lang {
	case LogQL, "logql":
		return logql.Lint(query), nil
	case Search:
		_, err := lucene.Parse(query, lucene.Options{})
		if err == nil {
			return nil, nil
		}
		f := Finding{Severity: logql.SeverityError, Text: err.Error(), Suggestion: fault.HintOf(err), Line: 1, Col: 1}
		var at *lucene.Error
		if errors.As(err, &at) {
			f.Pos, f.Line, f.Col, f.Text = at.Pos, at.Line, at.Col, at.Msg
		}
		return []Finding{f}, nil
	}
	_, err := ParseLanguage(string(lang))
	return nil, err
}

// Format prints a query in the canonical form of its language; with pretty, one
// in LogQL over several lines.
func Format(lang Language, query string, pretty bool) (string, error) {
	switch lang {
	case LogQL, "logql":
		x, err := logql.Parse(query)
		if err != nil {
			return "", err
		}
		if pretty {
			return logql.Pretty(x), nil
		}
		return x.String(), nil
	case Search:
		q, err := lucene.Parse(query, lucene.Options{})
		if err != nil {
			return "", err
		}
		return q.String(), nil
	}
	_, err := ParseLanguage(string(lang))
	return "", err
}

// CheckMetric reports a LogQL query that is no metric query.
func CheckMetric(text string) error {
	x, err := logql.Parse(text)
	if err != nil {
		return err
	}
	if _, log := x.(*logql.Log); log {
		return fault.WithHint(fault.Errorf(fault.Invalid, "a metric query is wanted here, not a log query"), "count records with count_over_time({…} [5m])")
	}
	return nil
}
