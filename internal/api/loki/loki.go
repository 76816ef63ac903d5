// Package loki answers the read half of Loki's HTTP API, so that Grafana, logcli
// and everything else that asks Loki can ask Meshtrail. (The push half is
// receive/loki.)
//
// Shapes, codes and error texts are Loki's; where the answers differ it is
// written down in spec/query.md. The package knows HTTP and query.Engine, and
// nothing of how records are kept. It keeps nothing between requests.
package loki

import (
	"io"
	"net/http"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query"
)

// Options of the door.
type Options struct {
	Engine *query.Engine
	// Revision is our own version, shown beside Loki's.
	Revision string
	// Ready says whether queries can be answered; nil: always.
	Ready func() error
}

// Routes returns the routes of the API.
func Routes(o Options) []httpd.Route {
	d := &door{o}
	var routes []httpd.Route
	add := func(path string, h func(http.ResponseWriter, *http.Request) error, methods ...string) {
		for _, m := range methods {
			routes = append(routes, httpd.Route{Pattern: m + " " + path, Need: access.LogsRead, Handle: h, Fail: fail})
		}
	}
	const api = "/loki/api/v1/"
	add(api+"query", d.query, "GET", "POST")
	add(api+"query_range", d.queryRange, "GET", "POST")
	add(api+"labels", d.labels, "GET", "POST")
	add(api+"label", d.labels, "GET", "POST")
	add(api+"label/{name}/values", d.values, "GET", "POST")
	add(api+"series", d.series, "GET", "POST")
	add(api+"index/stats", d.stats, "GET", "POST")
	add(api+"format_query", d.format, "GET", "POST")
	add(api+"status/buildinfo", d.buildinfo, "GET")
	add("/ready", d.ready, "GET")
	return routes
}

type door struct{ o Options }

// fail answers an error as Loki does: plain text. A hint goes on its own line.
func fail(w http.ResponseWriter, _ *http.Request, err error) {
	status := fault.KindOf(err).HTTPStatus()
	if late(err) {
		status = http.StatusGatewayTimeout
	}
	text := httpd.Message(err)
	if hint := fault.HintOf(err); hint != "" {
		text += "\nhint: " + hint
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
}

func (d *door) ready(w http.ResponseWriter, _ *http.Request) error {
	if d.o.Ready != nil {
		if err := d.o.Ready(); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, "ready\n")
	return err
}

// apiLevel is the version of Loki whose API this is: clients decide by it what
// they may ask.
const apiLevel = "3.0.0"

func (d *door) buildinfo(w http.ResponseWriter, _ *http.Request) error {
	b := append([]byte(nil), `{"version":"`+apiLevel+`","revision":`...)
	b = match.AppendQuoted(b, d.o.Revision)
	b = append(b, `,"branch":"","buildUser":"meshtrail","buildDate":"","goVersion":""}`...)
	return send(w, b)
}

func (d *door) format(w http.ResponseWriter, r *http.Request) error {
	p := d.params(r)
	text, err := d.o.Engine.Format(p.r.Form.Get("query"))
	if err != nil {
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		w.WriteHeader(http.StatusBadRequest)
		b := append([]byte(nil), `{"status":"invalid-query","error":`...)
		_, err := w.Write(append(match.AppendQuoted(b, err.Error()), '}'))
		return err
	}
	b := match.AppendQuoted([]byte(`{"status":"success","data":`), text)
	return send(w, append(b, '}'))
}

func (d *door) query(w http.ResponseWriter, r *http.Request) error {
	scope, err := access.ReadScope(httpd.PrincipalFrom(r.Context()))
	if err != nil {
		return err
	}
	p := d.params(r)
	req := query.Request{
		Query: p.r.Form.Get("query"), Instant: true, Remote: r.RemoteAddr,
		End: p.time("time", p.now.UnixNano()), Limit: p.limit(),
	}
	if p.err != nil {
		return p.err
	}
	return d.answer(w, r, scope, req)
}

func (d *door) queryRange(w http.ResponseWriter, r *http.Request) error {
	scope, err := access.ReadScope(httpd.PrincipalFrom(r.Context()))
	if err != nil {
		return err
	}
	p := d.params(r)
	req := query.Request{Query: p.r.Form.Get("query"), Remote: r.RemoteAddr, Limit: p.limit(), Order: p.direction()}
	req.Start, req.End = p.span()
	req.Step = p.step(req.Start, req.End)
	if s := p.r.Form.Get("interval"); s != "" && p.err == nil {
		if n, ok := seconds(s); !ok || n > 0 {
			p.err = fault.Errorf(fault.Invalid, "parameter interval is not supported yet")
		}
	}
	if p.err == nil && req.End <= req.Start {
		p.err = fault.Errorf(fault.Invalid, "end timestamp must not be before or equal to start time")
	}
	if p.err != nil {
		return p.err
	}
	return d.answer(w, r, scope, req)
}

func (d *door) answer(w http.ResponseWriter, r *http.Request, scope access.Scope, req query.Request) error {
	res, err := d.o.Engine.Query(r.Context(), scope, req)
	if err != nil {
		return err
	}
	return send(w, appendResult(nil, res, categorized(r)))
}

func (d *door) labels(w http.ResponseWriter, r *http.Request) error {
	scope, err := access.ReadScope(httpd.PrincipalFrom(r.Context()))
	if err != nil {
		return err
	}
	p := d.params(r)
	span := p.explore()
	if p.err != nil {
		return p.err
	}
	names, err := d.o.Engine.LabelNames(r.Context(), scope, span)
	if err != nil {
		return err
	}
	return send(w, appendNames(names))
}

func (d *door) values(w http.ResponseWriter, r *http.Request) error {
	scope, err := access.ReadScope(httpd.PrincipalFrom(r.Context()))
	if err != nil {
		return err
	}
	p := d.params(r)
	req := query.ValuesRequest{Span: p.explore(), Field: r.PathValue("name"), Limit: maxLabelValues}
	if p.err != nil {
		return p.err
	}
	counts, _, err := d.o.Engine.Values(r.Context(), scope, req)
	if err != nil {
		return err
	}
	names := make([]string, len(counts))
	for i, c := range counts {
		names[i] = c.Name
	}
	return send(w, appendSorted(names))
}

// maxLabelValues bounds one answer; Grafana shows far fewer.
const maxLabelValues = 10_000

func (d *door) series(w http.ResponseWriter, r *http.Request) error {
	scope, err := access.ReadScope(httpd.PrincipalFrom(r.Context()))
	if err != nil {
		return err
	}
	p := d.params(r)
	span := p.explore()
	span.Queries = append(append([]string(nil), p.r.Form["match[]"]...), p.r.Form["match"]...)
	if p.err != nil {
		return p.err
	}
	list, err := d.o.Engine.Series(r.Context(), scope, span)
	if err != nil {
		return err
	}
	b := []byte(`{"status":"success","data":[`)
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendLabels(b, s.Labels)
	}
	return send(w, append(b, "]}"...))
}

// stats answers how much a query would read. Chunks and bytes are Loki's own
// notions and stay 0; streams and records are counted.
func (d *door) stats(w http.ResponseWriter, r *http.Request) error {
	scope, err := access.ReadScope(httpd.PrincipalFrom(r.Context()))
	if err != nil {
		return err
	}
	p := d.params(r)
	span := p.explore()
	if p.err != nil {
		return p.err
	}
	list, err := d.o.Engine.Series(r.Context(), scope, span)
	if err != nil {
		return err
	}
	var records uint64
	for _, s := range list {
		records += s.Records
	}
	return send(w, appendIndexStats(len(list), records))
}
