package loki

import (
	"net/http"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/query"
)

func (d *door) query(r *http.Request, scope access.Scope, p *params) ([]byte, error) {
	req := query.Request{
		Query: p.text("query"), Instant: true, Remote: r.RemoteAddr,
		End: p.time("time", d.now()), Limit: p.count("limit", defaultLimit),
	}
	p.direction()
	if p.err != nil {
		return nil, p.err
	}
	return d.answer(r, scope, req)
}

func (d *door) queryRange(r *http.Request, scope access.Scope, p *params) ([]byte, error) {
	req, err := d.rangeRequest(r, p)
	if err != nil {
		return nil, err
	}
	return d.answer(r, scope, req)
}

// rangeRequest reads the parameters of a range query.
func (d *door) rangeRequest(r *http.Request, p *params) (query.Request, error) {
	req := query.Request{Query: p.text("query"), Remote: r.RemoteAddr, Limit: p.count("limit", defaultLimit), Order: p.direction()}
	req.Start, req.End = p.span(d.now())
	req.Step = p.step(req.Start, req.End)
	req.Interval = p.interval()
	if p.err == nil && req.End <= req.Start {
		p.err = errEndBeforeStart
	}
	return req, p.err
}

var errEndBeforeStart = fault.Errorf(fault.Invalid, "end timestamp must not be before or equal to start time")

func (d *door) answer(r *http.Request, scope access.Scope, req query.Request) ([]byte, error) {
	res, err := d.o.Engine.Query(r.Context(), scope, req)
	if err != nil {
		return nil, err
	}
	w := fault.NewWatch(r.Context())
	b := appendResult(w, nil, res, formOf(r, req.Query))
	return b, w.Err()
}

func (d *door) now() int64 { return d.o.Engine.Now().UnixNano() }
