package querytest

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store"
)

// Measure implements store.Reader.
func (s *Store) Measure(ctx context.Context, req store.MeasureRequest) ([]store.MeasureGroup, store.Stats, error) {
	var st store.Stats
	if err := req.Check(); err != nil {
		return nil, st, err
	}
	all, err := s.matching(req.Tenant, req.Classes, req.From, req.To, req.Where, req.Budget, &st)
	if err = cmp.Or(err, ctx.Err()); err != nil {
		return nil, st, err
	}
	zero := cmp.Or(req.Zero, req.From)
	groups := map[string]*store.MeasureGroup{}
	for i := range all {
		r := &all[i]
		values := make([]string, len(req.By))
		for j, k := range req.By {
			values[j] = groupText(&k, r)
		}
		key := strings.Join(values, "\x00")
		if groups[key] == nil {
			groups[key] = &store.MeasureGroup{Values: values}
		}
		bucket := 0
		if req.Step > 0 {
			bucket = int((r.Time - zero) / req.Step)
		}
		c := cellOf(groups[key], bucket, len(req.Of))
		c.Records++
		for j, f := range req.Of {
			measureRecord(&c.Of[j], &f, r)
		}
	}
	out := make([]store.MeasureGroup, 0, len(groups))
	for _, g := range groups {
		for i := range g.Cells {
			for j := range g.Cells[i].Of {
				g.Cells[i].Of[j].Sort()
			}
		}
		out = append(out, *g)
	}
	slices.SortFunc(out, func(a, b store.MeasureGroup) int { return slices.Compare(a.Values, b.Values) })
	return out, st, nil
}

// cellOf returns the cell of a bucket: the records come by time, so it is the
// last one or a new one.
func cellOf(g *store.MeasureGroup, bucket, fields int) *store.MeasureCell {
	if n := len(g.Cells); n == 0 || g.Cells[n-1].Bucket != bucket {
		g.Cells = append(g.Cells, store.MeasureCell{Bucket: bucket, Of: make([]store.Measure, fields)})
	}
	return &g.Cells[len(g.Cells)-1]
}

func valueOf(name string, r *record.Record) (res schema.Resolution, v record.Value, mul float64, ok bool) {
	res = schema.Resolve(name)
	if name == store.TimeName {
		return res, record.IntValue(r.Time), 1, true
	}
	v, mul, ok = match.Lookup(&res, r)
	return res, v, mul, ok
}

func groupText(k *store.GroupKey, r *record.Record) string {
	res, v, mul, ok := valueOf(k.Name, r)
	if !ok {
		return ""
	}
	if k.Edges == nil && k.Interval == 0 {
		return v.Text()
	}
	x, ok := k.Unit.Number(v, &res, mul)
	if !ok {
		return ""
	}
	if k.Edges != nil {
		n := 0
		for n < len(k.Edges) && x >= k.Edges[n] {
			n++
		}
		return strconv.Itoa(n)
	}
	return strconv.FormatFloat(math.Floor((x-k.Offset)/k.Interval)*k.Interval+k.Offset, 'g', -1, 64)
}

func measureRecord(m *store.Measure, f *store.MeasureField, r *record.Record) {
	res, v, mul, ok := valueOf(f.Name, r)
	if f.Want&store.WantDistinct != 0 {
		if m.Distinct == nil {
			m.Distinct = new(store.Distinct)
		}
		m.Distinct.Add([]byte(v.Text()))
	}
	if !ok {
		m.Absent++
		return
	}
	if f.Want&^store.WantDistinct == 0 {
		return
	}
	x, ok := f.Unit.Number(v, &res, mul)
	if !ok {
		m.NotNumbers++
		return
	}
	m.Add(f.Want, store.Sample{Time: r.Time, Ord: r.Ord, Value: x})
}
