package query

import (
	"context"
	"strings"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/query/plan"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

// shownLabels returns the stream labels of the records that the stages of a query
// leave, with their values, at most maxValues of each. What the stages make is no
// stream label. Records are read one by one: the store knows of no stage.
func (e *Engine) shownLabels(ctx context.Context, scope access.Scope, l *plan.Log, s *Span) (map[string]map[string]struct{}, error) {
	shaper := newShaper(l)
	out := map[string]map[string]struct{}{}
	scan := store.ScanRequest{
		Tenant: scope.Tenant(), From: s.From, To: s.To, Where: where(scope, l), Order: store.Oldest, Budget: e.limits.Budget,
	}
	shaper.sift(ctx, l, &scan)
	_, err := e.opt.Store.Scan(ctx, scan, func(rs []record.Record) error {
		for i := range rs {
			if err := shaper.goOn(ctx); err != nil {
				return err
			}
			stream, _, ok := shaper.Entry(&rs[i])
			if !ok {
				continue
			}
			for _, label := range stream {
				values := out[label.Name]
				if values == nil {
					values = map[string]struct{}{}
					out[label.Name] = values
				}
				if _, known := values[label.Value]; !known && len(values) < maxValues {
					values[strings.Clone(label.Value)] = struct{}{}
				}
			}
		}
		return shaper.Err()
	})
	return out, err
}
