package elastic

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

// A runner answers one search within one question.
type runner struct {
	*search
	a     *query.Asking
	watch *fault.Watch // of who asks; of an aggregation, its own
	types fieldTypes

	full  cond // indices and query
	spans []span

	total      int64
	atLeast    bool // there are more than total
	stopped    bool // terminate_after was reached
	timedOut   bool
	hits       []hit
	results    object // of aggregations
	passes     int    // requests for filters of aggregations
	unfinished error  // why the answer is not whole
}

// errEnough ends a scan that has seen what it wants.
var errEnough = errors.New("enough")

// within joins the query with the indices.
func (s *search) whole(c cond) cond {
	return allOf{leaf{s.indices.where}, c}
}

// predicates are those that the search will read by, for the check of who may.
func (s *search) predicates() []match.Predicate {
	var out []match.Predicate
	walk := func(c cond) {
		spans, err := planSpans(c)
		if err != nil {
			return
		}
		for _, sp := range spans {
			out = append(out, sp.where)
		}
	}
	full := s.whole(s.cond)
	walk(full)
	if s.post != nil {
		walk(allOf{full, s.post})
	}
	var filters func(aggs []*agg)
	filters = func(aggs []*agg) {
		for _, a := range aggs {
			for i := range a.filters {
				walk(allOf{full, a.filters[i].c})
			}
			filters(a.subs)
		}
	}
	filters(s.aggs)
	return out
}

// answer runs a search in a scope.
func (d *door) answer(ctx context.Context, scope access.Scope, s *search, remote string) (*runner, error) {
	if s.room == nil {
		s.room = &room{}
	}
	r := &runner{search: s, watch: fault.NewWatch(ctx), full: s.whole(s.cond)}
	var err error
	if r.spans, err = planSpans(r.full); err != nil {
		return nil, err
	}
	q := query.Question{Text: s.text, Where: s.predicates(), Remote: remote,
		Detail: map[string]string{"index": strings.Join(s.indices.items, ",")}}
	err = d.o.Engine.Ask(ctx, scope, q, func(ctx context.Context, a *query.Asking) error {
		r.a = a
		s.room.hold = a.Hold
		defer func() { s.room.hold = nil }()
		if err := d.checkIndices(ctx, scope, a, s.indices); err != nil {
			return err
		}
		if len(s.aggs) > 0 {
			l, err := d.listing(ctx, scope, a)
			if err != nil {
				return err
			}
			if r.types = typesOf(l.fields); !r.types.know(s.aggs) { // it may have come a moment ago
				if l, err = d.list(ctx, scope, a); err != nil {
					return err
				}
				r.types = typesOf(l.fields)
			}
		}
		return r.run(ctx)
	})
	return r, err
}

// run finds the hits, counts, and aggregates.
func (r *runner) run(ctx context.Context) error {
	limited := ctx
	if r.timeout > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, r.timeout)
		defer cancel()
	}
	hitSpans, exactly := r.spans, r.full
	if r.post != nil {
		exactly = allOf{r.full, r.post}
		var err error
		if hitSpans, err = planSpans(exactly); err != nil {
			return err
		}
	}
	steps := []func() error{
		func() error { return r.find(limited, hitSpans, newTest(exactly)) },
		func() error { return r.count(limited, hitSpans, newTest(exactly)) },
		func() error {
			if len(r.aggs) == 0 {
				return nil
			}
			var err error
			r.results, err = r.aggregate(limited)
			return err
		},
	}
	for _, step := range steps {
		err := step()
		if err == nil {
			continue
		}
		if limited.Err() != nil && ctx.Err() == nil { // the asker's own limit
			r.timedOut = true
			return nil
		}
		// What was found is an answer; a sum over part of the records is none.
		if fault.Is(err, fault.Overload) && len(r.hits) > 0 && len(r.aggs) == 0 {
			r.timedOut, r.unfinished, r.atLeast = true, err, true
			r.total = max(r.total, int64(len(r.hits)))
			return nil
		}
		return err
	}
	return nil
}

// find fills hits with those of the window.
func (r *runner) find(ctx context.Context, spans []span, t *test) error {
	need := r.from + r.size
	if r.stopAfter > 0 {
		need = int(min(int64(need), r.stopAfter))
	}
	if r.size == 0 || need <= r.from {
		return nil
	}
	top := &topList{order: &r.order, limit: need, room: r.room}
	var err error
	switch r.order.keys[0].kind {
	case byPlace:
		err = r.byPlace(ctx, spans, t, top)
	case byTime:
		err = r.byTime(ctx, spans, t, top)
	default:
		err = r.byOther(ctx, spans, t, top)
	}
	top.settle()
	r.hits = top.hits[min(r.from, len(top.hits)):]
	return err
}

// wants reports whether a record is one that is asked for.
func (r *runner) wants(sp *span, t *test, rec *record.Record) bool {
	return sp.exact || t.holds(rec)
}

// byOther orders by something that is not time: every matching record is looked
// at, and the first ones are kept.
func (r *runner) byOther(ctx context.Context, spans []span, t *test, top *topList) error {
	for i := range spans {
		err := r.a.Scan(ctx, store.ScanRequest{From: spans[i].from, To: spans[i].to, Where: spans[i].where, Order: store.AsStored, UpToOrd: r.upTo}, func(recs []record.Record) error {
			for k := range recs {
				if r.wants(&spans[i], t, &recs[k]) {
					if err := top.offer(&recs[k], r.after); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// offer takes a record if it is behind after and may be among the first.
func (t *topList) offer(rec *record.Record, after []sortValue) error {
	h := t.order.hit(rec)
	if after != nil && !t.order.behind(&h, after) {
		return nil
	}
	if len(t.hits) >= t.limit+t.limit/2+4 {
		t.settle()
	}
	if t.full && len(t.hits) >= t.limit && t.order.compare(&h, &t.hits[t.limit-1]) > 0 {
		return nil
	}
	return t.add(h)
}

// byPlace orders by identity, which is an order of the store's.
func (r *runner) byPlace(ctx context.Context, spans []span, t *test, top *topList) error {
	scan := store.ScanRequest{Order: store.Oldest, UpToOrd: r.upTo}
	spans = slices.Clone(spans)
	if r.order.keys[0].desc {
		slices.Reverse(spans)
		scan.Order = store.Newest
	}
	if r.after != nil {
		scan.After = &store.Place{Time: r.after[0].at.time, Ord: r.after[0].at.ord}
	}
	for i := range spans {
		sp := &spans[i]
		for more := true; more && len(top.hits) < top.limit; {
			scan.From, scan.To, scan.Where, scan.Limit = sp.from, sp.to, sp.where, top.limit-len(top.hits)
			if !sp.exact {
				scan.Limit = max(scan.Limit, pageRows)
			}
			n := 0
			err := r.a.Scan(ctx, scan, func(recs []record.Record) error {
				n += len(recs)
				for k := range recs {
					if len(top.hits) < top.limit && r.wants(sp, t, &recs[k]) {
						if err := top.add(r.order.hit(&recs[k])); err != nil {
							return err
						}
					}
				}
				scan.After = &store.Place{Time: recs[len(recs)-1].Time, Ord: recs[len(recs)-1].Ord}
				return nil
			})
			if err != nil {
				return err
			}
			more = n == scan.Limit
		}
	}
	return nil
}

// pageRows is the least that is asked for at once when records must be held
// against more than the store knows.
const pageRows = 1000

// byTime orders by time first. It asks the store for the first records in order,
// which is cheap, and completes the last millisecond: within one, other keys
// decide.
func (r *runner) byTime(ctx context.Context, spans []span, t *test, top *topList) error {
	desc := r.order.keys[0].desc
	spans = r.behindTime(spans)
	if desc {
		slices.Reverse(spans)
	}
	scan := store.ScanRequest{Order: store.Oldest, UpToOrd: r.upTo}
	if desc {
		scan.Order = store.Newest
	}
	for i := range spans {
		sp := spans[i]
		for sp.from < sp.to && len(top.hits) < top.limit {
			limit := top.limit - len(top.hits)
			if !sp.exact || r.after != nil {
				limit = max(limit, pageRows)
			}
			scan.From, scan.To, scan.Where, scan.Limit = sp.from, sp.to, sp.where, limit
			var last int64
			n := 0
			page := &topList{order: top.order, limit: top.limit - len(top.hits), room: r.room}
			err := r.a.Scan(ctx, scan, func(recs []record.Record) error {
				for k := range recs {
					n++
					last = recs[k].Time
					if h := r.order.hit(&recs[k]); r.wants(&sp, t, &recs[k]) && (r.after == nil || r.order.behind(&h, r.after)) {
						if err := page.add(h); err != nil {
							return err
						}
					}
				}
				return nil
			})
			if err != nil && !(fault.Is(err, fault.Overload) && n > 0) {
				return err
			}
			if err != nil || n < limit {
				top.hits = append(top.hits, page.hits...)
				if err != nil {
					return err
				}
				break
			}
			// There is more. Leave out the last millisecond, and take all of it.
			from := floorDiv(last, int64(time.Millisecond)) * int64(time.Millisecond)
			to := from + int64(time.Millisecond)
			for i := range page.hits {
				if h := &page.hits[i]; h.rec.Time < from || h.rec.Time >= to {
					top.hits = append(top.hits, *h)
				} else {
					r.room.leave(page.hits[i : i+1])
				}
			}
			edge := &topList{order: top.order, limit: top.limit, room: r.room}
			cut := span{from: max(from, sp.from), to: min(to, sp.to), where: sp.where, exact: sp.exact}
			if err := r.byOther(ctx, []span{cut}, t, edge); err != nil {
				return err
			}
			edge.settle()
			top.hits = append(top.hits, edge.hits...)
			if desc {
				sp.to = from
			} else {
				sp.from = to
			}
		}
		if len(top.hits) >= top.limit {
			return nil
		}
	}
	return nil
}

// behindTime cuts spans to the times that can be behind search_after.
func (r *runner) behindTime(spans []span) []span {
	if r.after == nil {
		return slices.Clone(spans)
	}
	from, to := int64(minTime), int64(maxTime)
	if r.after[0].i > maxTime/int64(time.Millisecond) || r.after[0].i < minTime/int64(time.Millisecond) {
		return slices.Clone(spans)
	}
	at := r.after[0].i * int64(time.Millisecond)
	if r.order.keys[0].desc {
		to = at + int64(time.Millisecond)
	} else {
		from = at
	}
	return within(spans, from, to)
}

// count counts what was asked to be counted.
func (r *runner) count(ctx context.Context, spans []span, t *test) error {
	if r.track < 0 {
		return nil
	}
	limit := int64(exactTotal)
	if r.track < exactTotal {
		limit = r.track
	}
	if r.stopAfter > 0 {
		limit = min(limit, r.stopAfter)
	}
	n := int64(0)
	for i := range spans {
		if n > limit {
			break
		}
		k, err := r.countSpan(ctx, &spans[i], t, limit-n)
		n += k
		if err != nil {
			return err
		}
	}
	r.total = n
	switch {
	case r.stopAfter > 0 && n > r.stopAfter:
		r.total, r.stopped = r.stopAfter, true
	case r.track < exactTotal && n > r.track:
		r.total, r.atLeast = r.track, true
	}
	return nil
}

// countSpan counts the records of a span. Record by record it stops behind limit.
func (r *runner) countSpan(ctx context.Context, sp *span, t *test, limit int64) (int64, error) {
	if sp.exact && r.upTo == 0 {
		groups, err := r.a.Count(ctx, store.CountRequest{From: sp.from, To: sp.to, Where: sp.where})
		if err != nil || len(groups) == 0 {
			return 0, err
		}
		return int64(groups[0].Counts[0]), nil
	}
	n := int64(0)
	req := store.ScanRequest{From: sp.from, To: sp.to, Where: sp.where, Order: store.AsStored, UpToOrd: r.upTo}
	if sp.exact {
		req.Fields = []string{timeField} // none: they are only counted
	}
	err := r.a.Scan(ctx, req, func(recs []record.Record) error {
		for i := range recs {
			if r.wants(sp, t, &recs[i]) {
				n++
			}
		}
		if n > limit {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return n, err
}
