package query

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/audit"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store"
	"github.com/meshtrail/meshtrail/internal/tail"
)

// A StreamRequest asks for the records of a log query, From <= t < To.
type StreamRequest struct {
	Query    string
	Language Language
	Where    match.Predicate // of Compiled
	From, To int64
	Limit    int      // 0: all of them
	Fields   []string // nil: all; by any name
	Order    store.Order
	// Export, if not "", says that the records are taken away, and in what form:
	// the act is an export then.
	Export string
	// Describe, if not nil, is called before the first visit with the fields that
	// are stored in the time range and may be seen.
	Describe func([]store.FieldInfo) error
	Remote   string
}

func (r *StreamRequest) kind() string {
	if r.Export != "" {
		return "export"
	}
	return "query"
}

func (r *StreamRequest) detail() map[string]string {
	d := map[string]string{"query": r.Query, "start": stamp(r.From), "end": stamp(r.To)}
	if r.Export != "" {
		d["format"] = r.Export
	}
	if r.Limit > 0 {
		d["limit"] = strconv.Itoa(r.Limit)
	}
	return r.Language.put(d)
}

// Summary closes a stream.
type Summary struct {
	Rows      int         `json:"rows"`
	Truncated bool        `json:"truncated"` // Limit was reached and there is more
	Partial   bool        `json:"partial"`   // something could not be read, or a budget ran out
	Warnings  []string    `json:"warnings,omitempty"`
	Stats     store.Stats `json:"stats"`
}

// Stream visits the records of a log query in order. The slice is lent for the
// call. An error from visit ends the stream and is returned.
func (e *Engine) Stream(ctx context.Context, scope access.Scope, req StreamRequest, visit func([]record.Record) error) (Summary, error) {
	l, err := readLog(req.Language, req.Query, req.Where)
	if err != nil {
		return Summary{}, err
	}
	if err := e.checkRange(req.From, req.To); err != nil {
		return Summary{}, err
	}
	if refused(scope, l) {
		return Summary{}, e.deny(ctx, scope, req.kind(), req.Remote, req.detail())
	}
	c, err := e.begin(ctx, scope, req.kind(), req.Remote, audit.Allowed, req.detail())
	if err != nil {
		return Summary{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, e.limits.StreamTimeout)
	defer cancel()
	if req.Describe != nil {
		if err := e.describe(ctx, scope, c, l, &req); err != nil {
			return Summary{}, c.end(late(err, e.limits.StreamTimeout))
		}
	}
	v := &visitor{ctx: ctx, call: c, shaper: newShaper(l), limit: req.Limit, visit: visit}
	scan := store.ScanRequest{
		Tenant: scope.Tenant(), From: req.From, To: req.To, Where: where(scope, l), Fields: req.Fields,
		Order: req.Order, Limit: req.Limit, Budget: e.limits.Budget,
	}
	if l.Pipe != nil {
		scan.Fields, scan.Limit = nil, 0
		v.shaper.sift(ctx, l, &scan)
		for _, name := range req.Fields {
			v.fields = append(v.fields, schema.Resolve(name))
		}
	} else if scan.Limit > 0 {
		scan.Limit++ // one more tells whether there is more
	}
	stats, err := e.opt.Store.Scan(ctx, scan, v.records)
	sum := Summary{Rows: v.rows, Truncated: v.truncated, Stats: stats}
	if errors.Is(err, errEnough) {
		err = nil
	}
	sum.Stats.Elapsed = time.Since(c.started)
	if v.err == nil {
		err = e.partial(late(err, e.limits.StreamTimeout), sum.Rows, sum.Stats, &sum.Partial, &sum.Warnings)
	}
	return sum, c.end(err)
}

// A visitor hands the records of a Stream on.
type visitor struct {
	ctx       context.Context // of the scan that it visits for
	call      *call
	shaper    *Shaper
	fields    []schema.Resolution // to be kept of a shaped record; nil: all
	limit     int
	visit     func([]record.Record) error
	rows      int
	truncated bool
	err       error // of the visitor's reader, or of the audit record
	out       []record.Record
}

func (v *visitor) records(rs []record.Record) error {
	if v.err = v.call.join(); v.err != nil {
		return v.err
	}
	for len(rs) > 0 {
		out, n, err := v.shape(rs)
		if v.limit > 0 && v.rows+len(out) > v.limit {
			out, v.truncated = out[:v.limit-v.rows], true
			err = errEnough
		}
		v.rows += len(out)
		if len(out) > 0 {
			if v.err = v.visit(out); v.err != nil {
				return v.err
			}
		}
		if err != nil {
			return err
		}
		rs = rs[n:]
	}
	return nil
}

// shape returns what is left of the first n records: few enough that what a
// pipeline made of them is no burden. On error out goes as far as it came.
func (v *visitor) shape(rs []record.Record) (out []record.Record, n int, err error) {
	if v.shaper.run == nil {
		return rs, len(rs), nil
	}
	v.out = v.out[:0]
	made := 0
	for n < len(rs) && made < maxShaped {
		if err := v.shaper.goOn(v.ctx); err != nil {
			return v.out, n, err
		}
		r, ok := v.shaper.Record(&rs[n])
		n++
		if !ok {
			continue
		}
		if v.fields != nil {
			r.Fields = project(r.Fields, v.fields)
		}
		made += size(&r)
		if v.out = append(v.out, r); v.limit > 0 && v.rows+len(v.out) > v.limit {
			break
		}
	}
	return v.out, n, v.shaper.Err()
}

// A TailRequest asks to watch the records of a log query as they are committed.
type TailRequest struct {
	Query    string
	Language Language
	Where    match.Predicate // of Compiled
	Resume   bool            // first what was committed after the record with Ord After
	After    uint64          // see Resume
	Complete bool            // what comes too fast is read later, not dropped
	Stored   bool            // records as they are stored, for a Shaper of the caller's
	Remote   string
}

// Tail subscribes to a hub. The subscription ends with ctx or with its Close.
func (e *Engine) Tail(ctx context.Context, scope access.Scope, hub *tail.Hub, req TailRequest) (*tail.Subscription, error) {
	l, err := readLog(req.Language, req.Query, req.Where)
	if err != nil {
		return nil, err
	}
	detail := req.Language.put(map[string]string{"query": req.Query})
	if req.Resume {
		detail["after"] = strconv.FormatUint(req.After, 10)
	}
	if refused(scope, l) {
		return nil, e.deny(ctx, scope, "tail", req.Remote, detail)
	}
	c, err := e.begin(ctx, scope, "tail", req.Remote, audit.Allowed, detail)
	if err != nil {
		return nil, err
	}
	if err := c.end(nil); err != nil { // before the hub: a watcher sees nothing that is not on record
		return nil, err
	}
	watch := tail.Request{Where: where(scope, l), Resume: req.Resume, After: req.After, Complete: req.Complete}
	if l.Pipe != nil && !req.Stored {
		shaper := newShaper(l)
		if !l.Pipe.Remembers() {
			watch.Shared = req.Language.String() + "\x00" + req.Query
		}
		watch.Then = func(r *record.Record) (record.Record, bool) {
			if shaper.Err() != nil {
				shaper = newShaper(l) // distinct has no more room: it starts anew
			}
			return shaper.Record(r)
		}
	}
	return hub.Subscribe(ctx, scope, watch)
}
