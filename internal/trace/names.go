package trace

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store"
)

// lookback returns the times that names are looked for at.
func (r *Reader) lookback(d time.Duration) (from, to int64) {
	if d <= 0 {
		d = DefaultLookback
	}
	if m := r.engine.Limits().MaxRange; m > 0 {
		d = min(d, m)
	}
	to = r.engine.Now().UnixNano() + 1
	return to - int64(d), to
}

// Services returns the names of the services that have spans, sorted.
func (r *Reader) Services(ctx context.Context, who Asker) ([]string, error) {
	return r.Values(ctx, who, schema.ServiceName, nil)
}

// Values returns the values that a field has in spans, sorted; of the spans of
// one of the services, if there are any.
func (r *Reader) Values(ctx context.Context, who Asker, field string, services []string) ([]string, error) {
	where := spansOf(services)
	from, to := r.lookback(0)
	var names []string
	err := r.engine.Ask(ctx, who.Scope, query.Question{
		Text: "values of " + field + " in spans", Where: []match.Predicate{where}, Remote: who.Remote,
	}, func(ctx context.Context, q *query.Asking) error {
		counts, err := q.Values(ctx, store.ValuesRequest{From: from, To: to, Where: where, Field: field, Limit: maxNames})
		for _, c := range counts {
			if c.Name != "" {
				names = append(names, c.Name)
			}
		}
		return err
	})
	slices.Sort(names)
	return names, err
}

func spansOf(services []string) match.Predicate {
	if len(services) == 0 {
		return isSpan
	}
	return match.And{isSpan, match.In{Field: schema.ServiceName, Values: services}}
}

// An Operation is a name that spans of a service have, with their kind.
type Operation struct{ Name, Kind string }

// Operations returns what a service does, sorted, or what all do for "". kind is
// one of schema.SpanKind's values, "" for any.
func (r *Reader) Operations(ctx context.Context, who Asker, service, kind string) ([]Operation, error) {
	and := match.And{isSpan}
	if service != "" {
		and = append(and, match.Eq{Field: schema.ServiceName, Value: service})
	}
	if kind != "" {
		and = append(and, match.Eq{Field: schema.SpanKind, Value: kind})
	}
	from, to := r.lookback(0)
	var ops []Operation
	err := r.engine.Ask(ctx, who.Scope, query.Question{
		Text: "operations of " + service, Where: []match.Predicate{and}, Remote: who.Remote,
	}, func(ctx context.Context, q *query.Asking) error {
		groups, err := q.Count(ctx, store.CountRequest{From: from, To: to, Where: and, By: []string{schema.SpanName, schema.SpanKind}})
		for _, g := range groups {
			ops = append(ops, Operation{g.Values[0], g.Values[1]})
		}
		return err
	})
	slices.SortFunc(ops, func(a, b Operation) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Kind, b.Kind))
	})
	return ops[:min(len(ops), maxNames)], err
}

// Fold returns those of names that are equal to one in letters of either case.
func Fold(names []string, one string) (out []string) {
	for _, n := range names {
		if strings.EqualFold(n, one) {
			out = append(out, n)
		}
	}
	return out
}
