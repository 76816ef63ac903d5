package query

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/audit"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query/exec"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store"
)

// A ContextRequest asks for the records around one: those of its stream, which is
// all records with the same stream labels, in the order in which they were
// committed. That is the order of the file or connection that they came by,
// whatever their times say.
type ContextRequest struct {
	Time          int64 // of the record, ns
	Ord           uint64
	Audit         bool // the record is of class audit
	Before, After int  // records, at most 1,000 each
	// Window is how far from Time the records are sought at most, ns; 0: 7 days.
	// Records that are near in order and further away in time are not found.
	Window int64
	Remote string
}

// Context is the answer.
type Context struct {
	Labels  exec.Labels     // of the stream
	Records []record.Record // by Ord
	At      int             // index of the record asked for
	// Window, ns, is how far from the record's time records were sought. With
	// fewer records than asked for there are no more within it.
	Window int64
	Stats  store.Stats
}

// Bounds of a Context.
const (
	maxContext  = 1000
	firstWindow = int64(time.Minute) // clocks and buffers disagree by less
	lastWindow  = int64(7 * 24 * time.Hour)
)

// Context finds a record and those around it, sealed or not.
func (e *Engine) Context(ctx context.Context, scope access.Scope, req ContextRequest) (*Context, error) {
	if req.Before < 0 || req.After < 0 || req.Before > maxContext || req.After > maxContext {
		return nil, fault.Errorf(fault.Invalid, "before and after must be from 0 to %d", maxContext)
	}
	if req.Window <= 0 {
		req.Window = lastWindow
	}
	if m := int64(e.limits.MaxRange); m > 0 {
		req.Window = min(req.Window, m/2)
	}
	if req.Ord == 0 || req.Time > maxTime-req.Window || req.Time < req.Window-maxTime {
		return nil, fault.Errorf(fault.Invalid, "there is no such record: time and ord are those of an answer")
	}
	detail := map[string]string{
		"time": stamp(req.Time), "ord": strconv.FormatUint(req.Ord, 10),
		"before": strconv.Itoa(req.Before), "after": strconv.Itoa(req.After),
	}
	l := compiled(match.True{})
	if req.Audit {
		detail["class"] = string(access.AuditClass)
		l = compiled(match.Eq{Field: match.Class, Value: string(access.AuditClass)})
	}
	if refused(scope, l) {
		return nil, e.deny(ctx, scope, "context", req.Remote, detail)
	}
	c, err := e.begin(ctx, scope, "context", req.Remote, audit.Allowed, detail)
	if err != nil {
		return nil, err
	}
	ctx, leave, err := e.enter(ctx)
	if err != nil {
		return nil, c.end(err)
	}
	defer leave()
	n := &neighbours{e: e, tenant: scope.Tenant(), where: where(scope, l), req: &req, out: &Context{}}
	if err := c.end(late(n.find(ctx), e.limits.Timeout)); err != nil {
		return nil, err
	}
	return n.out, nil
}

// neighbours is a request for a context on its way.
type neighbours struct {
	e      *Engine
	tenant record.TenantID
	where  match.Predicate
	req    *ContextRequest
	out    *Context
}

func (n *neighbours) scan(ctx context.Context, req store.ScanRequest, visit func([]record.Record)) error {
	req.Tenant, req.Budget = n.tenant, n.e.limits.Budget
	stats, err := n.e.opt.Store.Scan(ctx, req, func(rs []record.Record) error {
		visit(rs)
		return nil
	})
	sumStats(&n.out.Stats, &stats)
	return err
}

func (n *neighbours) find(ctx context.Context) error {
	var anchor *record.Record
	err := n.scan(ctx, store.ScanRequest{
		From: n.req.Time, To: n.req.Time + 1, Where: n.where, Order: store.AsStored, AfterOrd: n.req.Ord - 1, UpToOrd: n.req.Ord,
	}, func(rs []record.Record) {
		for i := range rs {
			if rs[i].Ord == n.req.Ord {
				anchor = &rs[i]
			}
		}
	})
	if err != nil {
		return err
	}
	if anchor == nil {
		return fault.Errorf(fault.NotFound, "there is no record of that time and ord")
	}
	r := *anchor
	n.out.Labels = exec.NewLabeler().Labels(&r)
	n.where = match.Simplify(match.And{n.where, sameStream(&r)})
	var before, after []place
	for w := firstWindow; ; w *= 8 {
		n.out.Window = min(w, n.req.Window)
		if before, after, err = n.nearest(ctx); err != nil {
			return err
		}
		if len(before) == n.req.Before && len(after) == n.req.After || w >= n.req.Window {
			break
		}
	}
	slices.Reverse(before)
	return n.fetch(ctx, r, append(before, after...), len(before))
}

// A place is where a record is found.
type place struct {
	time int64
	ord  uint64
}

// nearest finds the places of the records around the anchor, nearest first,
// within the window: the scan reads times and the labels' columns only.
func (n *neighbours) nearest(ctx context.Context) (before, after []place, err error) {
	err = n.scan(ctx, store.ScanRequest{
		From: n.req.Time - n.out.Window, To: n.req.Time + n.out.Window + 1, Where: n.where, Order: store.AsStored, Fields: []string{},
	}, func(rs []record.Record) {
		for i := range rs {
			p := place{rs[i].Time, rs[i].Ord}
			switch {
			case p.ord < n.req.Ord:
				before = keep(before, p, 2*n.req.Before, false)
			case p.ord > n.req.Ord:
				after = keep(after, p, 2*n.req.After, true)
			}
		}
	})
	before = trim(before, n.req.Before, false)
	return before, trim(after, n.req.After, true), err
}

// keep adds a place to at most about most ones, of which half may be too many.
func keep(list []place, p place, most int, ascending bool) []place {
	if most == 0 {
		return nil
	}
	if list = append(list, p); len(list) > most {
		list = trim(list, most/2, ascending)
	}
	return list
}

func trim(list []place, n int, ascending bool) []place {
	slices.SortFunc(list, func(a, b place) int {
		if ascending {
			return cmp.Compare(a.ord, b.ord)
		}
		return cmp.Compare(b.ord, a.ord)
	})
	return list[:min(len(list), n)]
}

// fetch reads the records at places, which are in order of ord, and puts the
// anchor among them.
func (n *neighbours) fetch(ctx context.Context, anchor record.Record, places []place, at int) error {
	n.out.At = at
	n.out.Records = make([]record.Record, len(places)+1)
	n.out.Records[at] = anchor
	if len(places) == 0 {
		return nil
	}
	index := map[uint64]int{}
	from, to := places[0].time, places[0].time
	for i, p := range places {
		from, to = min(from, p.time), max(to, p.time)
		if i >= at {
			i++
		}
		index[p.ord] = i
	}
	found := 0
	err := n.scan(ctx, store.ScanRequest{
		From: from, To: to + 1, Where: n.where, Order: store.AsStored,
		AfterOrd: places[0].ord - 1, UpToOrd: places[len(places)-1].ord,
	}, func(rs []record.Record) {
		for i := range rs {
			if k, ok := index[rs[i].Ord]; ok {
				n.out.Records[k] = rs[i]
				found++
			}
		}
	})
	if err == nil && found < len(places) { // destroyed or damaged in between
		return fault.Errorf(fault.Unavailable, "records around this one went away while they were read")
	}
	return err
}

// sameStream holds for the records that have the stream labels of r, and no
// others.
func sameStream(r *record.Record) match.Predicate {
	var and match.And
	same := func(name string) {
		if v, ok := match.Value(name, r); ok && v.Text() != "" {
			and = append(and, match.Eq{Field: name, Value: v.Text()})
		} else {
			and = append(and, match.Not{P: match.Exists{Field: name}})
		}
	}
	for _, l := range schema.StreamLabels() {
		same(l.Label)
	}
	same(record.Labels)
	if v, ok := r.Get(record.Labels); ok {
		for name := range strings.SplitSeq(v.Text(), ",") {
			if name != "" {
				same(name)
			}
		}
	}
	return and
}
