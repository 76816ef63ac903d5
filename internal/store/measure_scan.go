package store

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
)

// Measure implements Reader.
func (s *Store) Measure(ctx context.Context, req MeasureRequest) ([]MeasureGroup, Stats, error) {
	if err := req.Check(); err != nil {
		return nil, Stats{}, err
	}
	groups := map[string]map[int]*MeasureCell{}
	values := map[string][]string{}
	cells := 0
	stats, err := s.Scan(ctx, ScanRequest{
		Tenant: req.Tenant, Classes: req.Classes, From: req.From, To: req.To, Where: req.Where, Order: AsStored, Budget: req.Budget,
	}, func(recs []record.Record) error {
		for i := range recs {
			r := &recs[i]
			v := make([]string, len(req.By))
			for j := range req.By {
				v[j] = keyText(&req.By[j], r)
			}
			key := strings.Join(v, "\x00")
			if groups[key] == nil {
				groups[key], values[key] = map[int]*MeasureCell{}, v
			}
			bucket := 0
			if req.Step > 0 {
				bucket = int((r.Time - req.zero()) / req.Step)
			}
			c := groups[key][bucket]
			if c == nil {
				if cells++; cells > maxCells/16 {
					return fault.Errorf(fault.Overload, "measure: more than %d groups times buckets", maxCells/16)
				}
				c = &MeasureCell{Bucket: bucket, Of: make([]Measure, len(req.Of))}
				groups[key][bucket] = c
			}
			c.Records++
			for j := range req.Of {
				measureRecord(&c.Of[j], &req.Of[j], r)
			}
		}
		return nil
	})
	var out []MeasureGroup
	for key, byBucket := range groups {
		g := MeasureGroup{Values: values[key]}
		for _, c := range byBucket {
			for j := range c.Of {
				c.Of[j].Sort()
			}
			g.Cells = append(g.Cells, *c)
		}
		slices.SortFunc(g.Cells, func(a, b MeasureCell) int { return cmp.Compare(a.Bucket, b.Bucket) })
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b MeasureGroup) int { return slices.Compare(a.Values, b.Values) })
	return out, stats, err
}

func valueOf(name string, r *record.Record) (res schema.Resolution, v record.Value, mul float64, ok bool) {
	res = schema.Resolve(name)
	if name == TimeName {
		return res, record.IntValue(r.Time), 1, true
	}
	v, mul, ok = match.Lookup(&res, r)
	return res, v, mul, ok
}

func keyText(k *GroupKey, r *record.Record) string {
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

func measureRecord(m *Measure, f *MeasureField, r *record.Record) {
	res, v, mul, ok := valueOf(f.Name, r)
	if f.Want&WantDistinct != 0 {
		if m.Distinct == nil {
			m.Distinct = new(Distinct)
		}
		m.Distinct.Add([]byte(v.Text()))
	}
	if !ok {
		m.Absent++
		return
	}
	if f.Want&numeric == 0 {
		return
	}
	x, ok := f.Unit.Number(v, &res, mul)
	if !ok {
		m.NotNumbers++
		return
	}
	m.Add(f.Want, Sample{Time: r.Time, Ord: r.Ord, Value: x})
}
