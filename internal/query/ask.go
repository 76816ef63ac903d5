package query

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/audit"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/lucene"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

// A Question is one act of a door that reads a language of its own, and needs
// more than one request to the store for an answer. It goes on record as one.
type Question struct {
	Text   string            // as the asker wrote it
	Detail map[string]string // more that goes on record
	// Where are the predicates that the answer will read by. A question that asks
	// for audit records without the permission is refused as a whole.
	Where  []match.Predicate
	Remote string
}

// maxAsked bounds the text of a question on record.
const maxAsked = 8 << 10

// An Asking is a question on its way: it reads the store in the asker's scope and
// in no other. It is for the goroutine of the call that it was made for, and must
// not be kept beyond it. Requests that are made of it need no tenant and no
// budget; what their Where says is limited to the scope.
type Asking struct {
	e     *Engine
	scope access.Scope
	lease *store.Lease
	// Stats sum up what was read.
	Stats store.Stats
}

// Ask puts a question on record and lets f answer it. When Ask returns nil the
// record is durable: what f made may leave then, and not before.
func (e *Engine) Ask(ctx context.Context, scope access.Scope, q Question, f func(context.Context, *Asking) error) error {
	text := q.Text
	if len(text) > maxAsked {
		text = text[:maxAsked] + "… (" + strconv.Itoa(len(q.Text)) + " bytes)"
	}
	detail := map[string]string{"query": text}
	maps.Copy(detail, q.Detail)
	detail = Compiled.put(detail)
	for _, p := range q.Where {
		if refused(scope, compiled(p)) {
			return e.deny(ctx, scope, "query", q.Remote, detail)
		}
	}
	c, err := e.begin(ctx, scope, "query", q.Remote, audit.Allowed, detail)
	if err != nil {
		return err
	}
	ctx, leave, err := e.enter(ctx)
	if err != nil {
		return c.end(err)
	}
	defer leave()
	return c.end(late(f(ctx, &Asking{e: e, scope: scope, lease: store.LeaseOf(ctx)}), e.limits.Timeout))
}

// Hold accounts for n bytes that the asker's door keeps for the answer, until Ask
// returns. They are among what all questions together may hold.
func (a *Asking) Hold(n int) error { return a.lease.Take(n) }

// where adds the scope to a predicate.
func (a *Asking) where(p match.Predicate) (match.Predicate, error) {
	l := compiled(p)
	if refused(a.scope, l) {
		return nil, fault.Errorf(fault.Denied, "%s may not read audit records", a.scope.Principal())
	}
	return where(a.scope, l), nil
}

// Limits returns the engine's limits.
func (a *Asking) Limits() Limits { return a.e.limits }

// MayReadAudit reports whether the asker may read records of class audit.
func (a *Asking) MayReadAudit() bool { return a.scope.MayReadAudit() }

// Scan is store.Reader's, in the scope.
func (a *Asking) Scan(ctx context.Context, req store.ScanRequest, visit func([]record.Record) error) error {
	p, err := a.where(req.Where)
	if err != nil {
		return err
	}
	if err := a.e.checkRange(req.From, req.To); err != nil {
		return err
	}
	req.Tenant, req.Where, req.Budget = a.scope.Tenant(), p, a.e.limits.Budget
	stats, err := a.e.opt.Store.Scan(ctx, req, visit)
	a.add(&stats)
	return err
}

// Table is store.Reader's, in the scope.
func (a *Asking) Table(ctx context.Context, req store.TableRequest, visit func(*store.Part) error) error {
	p, err := a.where(req.Where)
	if err != nil {
		return err
	}
	if err := a.e.checkRange(req.From, req.To); err != nil {
		return err
	}
	req.Tenant, req.Where, req.Budget = a.scope.Tenant(), p, a.e.limits.Budget
	stats, err := a.e.opt.Store.Table(ctx, req, visit)
	a.add(&stats)
	return err
}

// Count is store.Reader's, in the scope.
func (a *Asking) Count(ctx context.Context, req store.CountRequest) ([]store.Group, error) {
	p, err := a.where(req.Where)
	if err != nil {
		return nil, err
	}
	if err := a.e.checkRange(req.From, req.To); err != nil {
		return nil, err
	}
	req.Tenant, req.Where, req.Budget = a.scope.Tenant(), p, a.e.limits.Budget
	groups, stats, err := a.e.opt.Store.Count(ctx, req)
	a.add(&stats)
	return groups, err
}

// Measure is store.Reader's, in the scope.
func (a *Asking) Measure(ctx context.Context, req store.MeasureRequest) ([]store.MeasureGroup, error) {
	p, err := a.where(req.Where)
	if err != nil {
		return nil, err
	}
	if err := a.e.checkRange(req.From, req.To); err != nil {
		return nil, err
	}
	req.Tenant, req.Where, req.Budget = a.scope.Tenant(), p, a.e.limits.Budget
	groups, stats, err := a.e.opt.Store.Measure(ctx, req)
	a.add(&stats)
	return groups, err
}

// Values is store.Reader's, in the scope.
func (a *Asking) Values(ctx context.Context, req store.ValuesRequest) ([]record.Count, error) {
	p, err := a.where(req.Where)
	if err != nil {
		return nil, err
	}
	req.Tenant, req.Where = a.scope.Tenant(), p
	values, stats, err := a.e.opt.Store.Values(ctx, req)
	a.add(&stats)
	return values, err
}

// Fields is store.Reader's, for the asker's tenant. Fields of audit records are
// left out unless the asker may read them.
func (a *Asking) Fields(ctx context.Context, from, to int64) ([]store.FieldInfo, error) {
	fields, _, err := a.e.opt.Store.Fields(ctx, a.scope.Tenant(), from, to)
	return slices.DeleteFunc(fields, func(f store.FieldInfo) bool {
		return f.Name == record.Labels || !a.scope.MayReadAudit() && strings.HasPrefix(f.Name, "audit.")
	}), err
}

// SearchText reads a text of the search bar's language as Lucene's query_string
// does: terms without a field are sought in fields, without any in the line and
// in every field; those that stand side by side are alternatives, unless all must
// hold. With lenient, a text that is no query is words.
func SearchText(text string, fields []string, all, lenient bool) (match.Predicate, error) {
	o := lucene.Options{DefaultFields: fields, DefaultOperator: lucene.Or, Lenient: lenient, UpperCase: true}
	if all {
		o.DefaultOperator = lucene.And
	}
	q, err := lucene.Parse(text, o)
	if err != nil {
		return nil, err
	}
	return q.Predicate(), nil
}

func (a *Asking) add(s *store.Stats) {
	t := &a.Stats
	t.Segments += s.Segments
	t.Blocks += s.Blocks
	t.BlocksPruned += s.BlocksPruned
	t.BlocksScanned += s.BlocksScanned
	t.RowsScanned += s.RowsScanned
	t.RowsMatched += s.RowsMatched
	t.BytesRead += s.BytesRead
	t.BytesDecoded += s.BytesDecoded
	t.ResultCache.Add(s.ResultCache)
	for _, d := range s.Damaged {
		known := false
		for _, k := range t.Damaged {
			known = known || k == d
		}
		if !known {
			t.Damaged = append(t.Damaged, d)
		}
	}
}
