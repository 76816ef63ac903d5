package query

import (
	"cmp"
	"context"
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/plan"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

// A FacetsRequest asks what is in some fields of the records of a span.
type FacetsRequest struct {
	Span
	Fields []string // by any name; 1 to 32
	Limit  int      // values of each, 0: 10; none with a negative one
	Stats  bool     // statistics of the fields as well
}

// Limits of a FacetsRequest.
const (
	maxFacets      = 32
	maxFacetValues = 1000
)

// Facets is the answer. Records is how many the span selects.
type Facets struct {
	Records uint64
	Facets  []Facet // in the order asked for
	Stats   store.Stats
}

// A Facet is what is in one field.
type Facet struct {
	Field   string
	Records uint64 // that have it
	// Values are the most frequent ones, More how many others there are. TooMany
	// is set when there are too many to be counted: then Values is empty.
	Values  []record.Count
	More    int
	TooMany bool
	Stats   *FieldStats // when asked for
}

// FieldStats is statistics of one field. Numbers are in the unit of the asked
// name (schema.Resolve).
type FieldStats struct {
	Distinct      uint64
	Exact         bool   // Distinct is no estimate
	Numbers       uint64 // of the records, how many have a number
	Min, Max, Sum float64
	Mean, Stddev  float64 // of a population
}

// Facets counts the values of several fields. One that has too many different
// values says so, and spoils none of the others.
func (e *Engine) Facets(ctx context.Context, scope access.Scope, req FacetsRequest) (*Facets, error) {
	if len(req.Fields) == 0 || len(req.Fields) > maxFacets {
		return nil, fault.Errorf(fault.Invalid, "from 1 to %d fields can be asked for at once", maxFacets)
	}
	if req.Limit > maxFacetValues {
		return nil, fault.Errorf(fault.Invalid, "limit must be at most %d", maxFacetValues)
	}
	if req.Limit == 0 {
		req.Limit = 10
	}
	f := &facets{e: e, req: &req, out: &Facets{Facets: make([]Facet, len(req.Fields))}}
	more := map[string]string{"fields": strings.Join(req.Fields, ",")}
	if req.Stats {
		more["stats"] = "true"
	}
	err := e.explore(ctx, scope, "facets", &req.Span, more, func(ctx context.Context, l *plan.Log) error {
		f.tenant, f.log, f.where = scope.Tenant(), l, where(scope, l)
		if req.Stats && l.Pipe != nil {
			return fault.WithHint(fault.Errorf(fault.Invalid, "statistics are of stored fields: the query makes fields or changes the line"),
				"use a metric query with unwrap")
		}
		if req.Stats {
			if err := f.measure(ctx); err != nil {
				return err
			}
		}
		for i := range req.Fields {
			if err := f.count(ctx, i); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f.out, nil
}

// facets is a request on its way.
type facets struct {
	e      *Engine
	req    *FacetsRequest
	tenant record.TenantID
	log    *plan.Log
	where  match.Predicate
	out    *Facets
}

// column is the name by which the store knows an asked field.
func column(name string) string {
	if name == plan.ClassName {
		return match.Class
	}
	return name
}

// count counts the values of field i: by the digests of its column where those
// tell, without the other columns.
func (f *facets) count(ctx context.Context, i int) error {
	out := &f.out.Facets[i]
	out.Field = f.req.Fields[i]
	groups, stats, err := f.e.count(ctx, f.log, store.CountRequest{
		Tenant: f.tenant, From: f.req.From, To: f.req.To, Where: f.where, By: []string{column(out.Field)},
	})
	sumStats(&f.out.Stats, &stats)
	if fault.Is(err, fault.Overload) && ctx.Err() == nil && len(f.req.Fields) > 1 {
		out.TooMany = true
		return nil
	}
	if err != nil {
		return err
	}
	best, err := mostFrequent(fault.NewWatch(ctx), groups, max(f.req.Limit, 0))
	if err != nil {
		return err
	}
	out.Values, out.More, out.Records = best.values, best.distinct-len(best.values), best.records
	f.out.Records = max(f.out.Records, best.records+best.absent)
	return nil
}

// measure computes the statistics of all fields in one pass.
func (f *facets) measure(ctx context.Context) error {
	req := store.MeasureRequest{
		Tenant: f.tenant, From: f.req.From, To: f.req.To, Where: f.where, Budget: f.e.limits.Budget,
	}
	for _, name := range f.req.Fields {
		req.Of = append(req.Of, store.MeasureField{Name: column(name), Want: store.WantSpread | store.WantDistinct})
	}
	groups, stats, err := f.e.opt.Store.Measure(ctx, req)
	sumStats(&f.out.Stats, &stats)
	if err != nil {
		return err
	}
	for i := range f.req.Fields {
		f.out.Facets[i].Stats = &FieldStats{Exact: true}
	}
	if len(groups) == 0 || len(groups[0].Cells) == 0 {
		return nil
	}
	c := &groups[0].Cells[0]
	f.out.Records = c.Records
	for i := range c.Of {
		m := &c.Of[i]
		s := f.out.Facets[i].Stats
		if m.Distinct != nil {
			s.Distinct, s.Exact = m.Distinct.Len()
		}
		if m.Count > 0 {
			s.Numbers, s.Min, s.Max, s.Sum = m.Count, m.Min, m.Max, m.Sum
			s.Mean, s.Stddev = m.Sum/float64(m.Count), math.Sqrt(max(m.M2, 0)/float64(m.Count))
		}
	}
	return nil
}

// sumStats adds what one request of several cost.
func sumStats(sum, s *store.Stats) {
	sum.Segments = max(sum.Segments, s.Segments)
	sum.Blocks += s.Blocks
	sum.BlocksPruned += s.BlocksPruned
	sum.BlocksScanned += s.BlocksScanned
	sum.PrunedByTime += s.PrunedByTime
	sum.PrunedByColumns += s.PrunedByColumns
	sum.PrunedByTokens += s.PrunedByTokens
	sum.RowsScanned += s.RowsScanned
	sum.RowsMatched += s.RowsMatched
	sum.BytesRead += s.BytesRead
	sum.BytesDecoded += s.BytesDecoded
	sum.ResultCache.Add(s.ResultCache)
	for _, d := range s.Damaged {
		if !slices.Contains(sum.Damaged, d) {
			sum.Damaged = append(sum.Damaged, d)
		}
	}
}

// frequent is what the groups of one field say of its values.
type frequent struct {
	values   []record.Count // the most frequent ones first
	distinct int            // values that there are
	records  uint64         // that have one
	absent   uint64         // that have none
}

// mostFrequent finds the n most frequent values among the groups of one field,
// without sorting the others, unless w ends.
func mostFrequent(w *fault.Watch, groups []store.Group, n int) (out frequent, err error) {
	better := func(a, b record.Count) int { return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Name, b.Name)) }
	cut := func() error {
		if err := fault.Sort(w, out.values, better); err != nil {
			return err
		}
		out.values = out.values[:min(n, len(out.values))]
		return nil
	}
	var worst *record.Count // of n that are better than all that was cut
	for i := range groups {
		if err := w.Step(1); err != nil {
			return out, err
		}
		v := record.Count{Name: groups[i].Values[0], N: groups[i].Counts[0]}
		if v.Name == "" {
			out.absent += v.N
			continue
		}
		out.distinct++
		out.records += v.N
		if n == 0 || worst != nil && better(v, *worst) > 0 {
			continue
		}
		if out.values = append(out.values, v); len(out.values) >= 2*n+64 {
			if err := cut(); err != nil {
				return out, err
			}
			last := out.values[n-1]
			worst = &last
		}
	}
	err = cut()
	out.values = slices.Clone(out.values)
	return out, err
}

// count counts as the store does; where a query has stages that it cannot decide,
// record by record.
func (e *Engine) count(ctx context.Context, l *plan.Log, req store.CountRequest) ([]store.Group, store.Stats, error) {
	req.Budget = e.limits.Budget
	if l.Pipe == nil {
		return e.opt.Store.Count(ctx, req)
	}
	step, buckets := req.Step, 1
	if step <= 0 {
		step = math.MaxInt64
	} else {
		buckets = int((req.To-req.From-1)/step) + 1
	}
	most := max(1, maxBuckets*16/buckets)
	run := l.Pipe.NewRun()
	index := map[string]int{}
	var groups []store.Group
	var key []byte
	stats, err := e.opt.Store.Scan(ctx, store.ScanRequest{
		Tenant: req.Tenant, From: req.From, To: req.To, Where: req.Where, Order: store.Oldest, Budget: req.Budget,
	}, func(rs []record.Record) error {
		for i := range rs {
			row, ok := run.Do(&rs[i])
			if !ok {
				continue
			}
			key = key[:0]
			values := make([]string, len(req.By))
			for j, name := range req.By {
				values[j], _ = row.Get(name)
				key = append(binary.AppendUvarint(key, uint64(len(values[j]))), values[j]...)
			}
			at, known := index[string(key)]
			if !known {
				if len(groups) == most {
					return fault.Errorf(fault.Overload, "the answer has more than %d groups", most)
				}
				at = len(groups)
				index[string(key)] = at
				groups = append(groups, store.Group{Values: values, Counts: make([]uint64, buckets)})
			}
			groups[at].Counts[(rs[i].Time-req.From)/step]++
		}
		return nil
	})
	return groups, stats, err
}
