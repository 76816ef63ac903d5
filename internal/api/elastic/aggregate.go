package elastic

import (
	"context"
	"math"
	"slices"
	"strconv"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store"
)

// fieldTypes says which type a field is shown to have.
type fieldTypes map[string]string

// maxPieces bounds the time buckets of one request to the store.
const maxPieces = 1 << 19

// aggregate answers the aggregations of a search.
//
// Those that only group and measure are answered by the store in one request for
// all of them together: it groups by every field that one of them needs and by
// time, and the collectors put the pieces together. A filter at the top is a
// request of its own. What needs the records themselves (top_hits, a filter
// within buckets, a point in time) is answered record by record.
func (r *runner) aggregate(ctx context.Context) (object, error) {
	w := fault.NewWatch(ctx)
	t := &tally{room: r.room, watch: w}
	cs := newCollectors(r.aggs, t)
	if err := r.gather(ctx, cs, r.full, 0); err != nil {
		return nil, err
	}
	f := &finisher{watch: w, types: r.types, typed: r.aggQuery, left: maxBuckets, search: r.search}
	outs, err := f.all(cs)
	if err == nil {
		err = w.Err()
	}
	if err != nil {
		return nil, err
	}
	if err := r.room.take((maxBuckets - f.left) * sizeOfBucket); err != nil {
		return nil, err
	}
	return f.object(object{}, outs), nil
}

// maxPasses bounds the requests that the filters of one search become.
const maxPasses = 1000

// gather fills collectors with the records of a cond.
func (r *runner) gather(ctx context.Context, cs []*collector, c cond, depth int) error {
	var plain []*collector
	for _, x := range cs {
		switch x.a.kind {
		case "filter", "filters", "missing", "date_range":
			if err := r.gatherEach(ctx, x, c, depth); err != nil {
				return err
			}
		case "global":
			if err := r.gatherInto(ctx, x.list[0], leaf{r.indices.where}, depth); err != nil {
				return err
			}
		default:
			plain = append(plain, x)
		}
	}
	if len(plain) == 0 {
		return nil
	}
	l := &layout{}
	for _, x := range plain {
		l.place([]*agg{x.a})
	}
	spans, err := planSpans(c)
	if err != nil {
		return err
	}
	return r.feed(ctx, l, spans, newTest(c), func(x *cell) error { return takeAll(plain, x) })
}

// gatherEach gives each bucket of a filter a pass of its own.
func (r *runner) gatherEach(ctx context.Context, x *collector, c cond, depth int) error {
	for i, b := range x.list {
		var narrow cond
		if x.a.kind == "date_range" {
			narrow = during{clampOpen(x.a.ranges[i].from, minTime), clampOpen(x.a.ranges[i].to, maxTime)}
		} else {
			narrow = x.a.filters[i].c
		}
		if err := r.gatherInto(ctx, b, allOf{c, narrow}, depth); err != nil {
			return err
		}
	}
	return nil
}

func clampOpen(f float64, open int64) int64 {
	if math.IsInf(f, 0) {
		return open
	}
	return clampTime(f)
}

// gatherInto counts the records of a bucket and fills what is in it.
func (r *runner) gatherInto(ctx context.Context, b *bucket, c cond, depth int) error {
	if r.passes++; r.passes > maxPasses {
		return tooMany("circuit_breaking_exception", "the filters of the aggregations are more than %d requests", maxPasses)
	}
	spans, err := planSpans(c)
	if err != nil {
		return err
	}
	t := newTest(c)
	for i := range spans {
		n, err := r.countSpan(ctx, &spans[i], t, exactTotal)
		if err != nil {
			return err
		}
		b.records += uint64(n)
	}
	if b.records == 0 || len(b.subs) == 0 {
		return nil
	}
	return r.gather(ctx, b.subs, c, depth+1)
}

// feed hands the records of spans to take, in pieces that are as large as the
// layout lets them be.
func (r *runner) feed(ctx context.Context, l *layout, spans []span, t *test, take func(*cell) error) error {
	for i := range spans {
		sp := spans[i]
		exact := sp.exact && r.upTo == 0 && !l.records
		step := int64(0)
		if exact {
			var err error
			if sp, step, err = r.grainOf(ctx, l, sp); err != nil {
				return err
			}
			exact = step >= 0
		}
		var err error
		switch {
		case sp.from >= sp.to:
		case exact:
			err = r.feedPieces(ctx, l, &sp, step, take)
		default:
			err = r.feedRecords(ctx, l, &sp, t, take)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// grainOf returns the length of the pieces of time that the layout needs, 0 for
// one piece, -1 if there are too many. A span without an end is cut to the times
// that there are.
func (r *runner) grainOf(ctx context.Context, l *layout, sp span) (span, int64, error) {
	if len(l.rounds) == 0 {
		return sp, 0, nil
	}
	if sp.from <= minTime || sp.to >= maxTime {
		first, ok, err := r.edge(ctx, &sp, store.Oldest)
		if err != nil || !ok {
			sp.to = sp.from
			return sp, 0, err
		}
		last, _, err := r.edge(ctx, &sp, store.Newest)
		if err != nil {
			return sp, 0, err
		}
		sp.from, sp.to = max(sp.from, first), min(sp.to, last+1)
	}
	step := int64(0)
	for _, x := range l.rounds {
		g := x.grain(sp.from)
		if g == 0 {
			return sp, -1, nil
		}
		step = gcd(g, step)
	}
	if (sp.to-sp.from)/step >= maxPieces {
		return sp, -1, nil
	}
	return sp, step, nil
}

// edge returns the first time in an order.
func (r *runner) edge(ctx context.Context, sp *span, o store.Order) (at int64, ok bool, err error) {
	err = r.a.Scan(ctx, store.ScanRequest{From: sp.from, To: sp.to, Where: sp.where, Order: o, Limit: 1, Fields: []string{timeField}}, func(recs []record.Record) error {
		at, ok = recs[0].Time, true
		return nil
	})
	return at, ok, err
}

// feedPieces lets the store group and measure.
func (r *runner) feedPieces(ctx context.Context, l *layout, sp *span, step int64, take func(*cell) error) error {
	req := store.MeasureRequest{From: sp.from, To: sp.to, Where: sp.where, By: l.keys, Of: l.of, Step: step}
	if step > 0 {
		if req.Zero = floorDiv(sp.from, step) * step; req.Zero == 0 {
			req.Zero = -step // 0 would mean From
		}
	}
	groups, err := r.a.Measure(ctx, req)
	if err != nil {
		return err
	}
	x := cell{}
	for i := range groups {
		x.keys = groups[i].Values
		for k := range groups[i].Cells {
			c := &groups[i].Cells[k]
			x.time, x.records, x.of = req.Zero+int64(c.Bucket)*step, c.Records, c.Of
			if err := take(&x); err != nil {
				return err
			}
		}
	}
	return nil
}

// feedRecords makes a piece of every record.
func (r *runner) feedRecords(ctx context.Context, l *layout, sp *span, t *test, take func(*cell) error) error {
	keys := make([]schema.Resolution, len(l.keys))
	for i := range l.keys {
		keys[i] = schema.Resolve(l.keys[i].Name)
	}
	of := make([]schema.Resolution, len(l.of))
	for i := range l.of {
		of[i] = schema.Resolve(l.of[i].Name)
	}
	x := cell{records: 1, keys: make([]string, len(keys)), of: make([]store.Measure, len(of))}
	req := store.ScanRequest{From: sp.from, To: sp.to, Where: sp.where, Order: store.AsStored, UpToOrd: r.upTo}
	return r.a.Scan(ctx, req, func(recs []record.Record) error {
		for n := range recs {
			rec := &recs[n]
			if !r.wants(sp, t, rec) {
				continue
			}
			x.time, x.rec = rec.Time, rec
			for i := range keys {
				x.keys[i] = keyOf(&l.keys[i], &keys[i], rec)
			}
			for i := range of {
				x.of[i] = store.Measure{}
				measure(&x.of[i], &l.of[i], &of[i], rec)
			}
			if err := take(&x); err != nil {
				return err
			}
		}
		return nil
	})
}

func valueFor(name string, res *schema.Resolution, rec *record.Record) (record.Value, float64, bool) {
	if name == store.TimeName {
		return record.IntValue(rec.Time), 1, true
	}
	return match.Lookup(res, rec)
}

// keyOf returns the value of a key as store.Measure does.
func keyOf(k *store.GroupKey, res *schema.Resolution, rec *record.Record) string {
	v, mul, ok := valueFor(k.Name, res, rec)
	if !ok {
		return ""
	}
	if k.Edges == nil && k.Interval == 0 {
		return v.Text()
	}
	f, ok := k.Unit.Number(v, res, mul)
	switch {
	case !ok:
		return ""
	case k.Edges != nil:
		n, _ := slices.BinarySearchFunc(k.Edges, f, func(edge, f float64) int {
			if edge <= f {
				return -1
			}
			return 1
		})
		return strconv.Itoa(n)
	}
	return strconv.FormatFloat(math.Floor((f-k.Offset)/k.Interval)*k.Interval+k.Offset, 'g', -1, 64)
}

// measure adds one record as store.Measure does.
func measure(m *store.Measure, f *store.MeasureField, res *schema.Resolution, rec *record.Record) {
	v, mul, ok := valueFor(f.Name, res, rec)
	if !ok {
		m.Absent++
	}
	if f.Want&store.WantDistinct != 0 {
		m.Distinct = new(store.Distinct)
		if ok {
			m.Distinct.Add([]byte(v.Text()))
		}
	}
	if !ok || f.Want == store.WantDistinct {
		return
	}
	n, isNumber := f.Unit.Number(v, res, mul)
	if !isNumber {
		m.NotNumbers++
		return
	}
	m.Add(f.Want, store.Sample{Time: rec.Time, Ord: rec.Ord, Value: n})
}
