// Package loki answers the read half of Loki's HTTP API, so that Grafana, Logs
// Drilldown, logcli, loki-canary and everything else that asks Loki can ask
// Meshtrail. (The push half is receive/loki.)
//
// Shapes, codes and error texts are Loki's; where the answers differ it is
// written down in spec/query.md. What was taken for Loki's behaviour comes from
// its documentation of the HTTP API and from watching release 3 answer.
//
// The tenant comes from the credential: X-Scope-OrgID is read by nobody. The
// package knows HTTP and query.Engine, and nothing of how records are kept. It
// keeps nothing between requests.
package loki

import (
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/tail"
)

// Options of the door.
type Options struct {
	Engine *query.Engine
	// Tail is where live tails watch; without it there are none.
	Tail *tail.Hub
	// Revision is our own version, shown beside Loki's.
	Revision string
	// Ready says whether queries can be answered; nil: always.
	Ready func() error
	// TailMax ends a live tail, default 1 hour: clients connect again.
	TailMax time.Duration
	// Stall is how long a live tail waits for a reader that takes nothing,
	// default 1 minute.
	Stall time.Duration
	// Ping is the time between signs of life of a live tail, default 1 s.
	Ping time.Duration
}

// Routes returns the routes of the API.
func Routes(o Options) []httpd.Route {
	def := func(p *time.Duration, v time.Duration) {
		if *p <= 0 {
			*p = v
		}
	}
	def(&o.TailMax, time.Hour)
	def(&o.Stall, time.Minute)
	def(&o.Ping, time.Second)
	d := &door{o}
	var routes []httpd.Route
	add := func(methods, path string, h handler) {
		for m := range strings.FieldsSeq(methods) {
			routes = append(routes, httpd.Route{Pattern: m + " " + path, Need: access.LogsRead, Handle: h, Fail: fail})
		}
	}
	const both = "GET POST"
	for path, h := range map[string]asker{
		"query": d.query, "query_range": d.queryRange, "series": d.series,
		"labels": d.labels, "label": d.labels, "label/{name}/values": d.values,
		"index/stats": d.stats, "index/volume": d.volume, "index/volume_range": d.volumeRange,
		"patterns": d.patterns, "detected_labels": d.detectedLabels,
		"detected_fields": d.detectedFields, "detected_field/{name}/values": d.detectedValues,
	} {
		add(both, api+path, ask(h))
	}
	for path, h := range map[string]asker{
		"query": d.legacyQuery, "label": d.legacyLabels, "label/{name}/values": d.legacyValues, "series": d.series,
	} {
		add(both, legacy+path, ask(h))
	}
	add(both, api+"format_query", d.format)
	add("GET", api+"status/buildinfo", d.buildinfo)
	add("GET", api+"drilldown-limits", d.limits)
	add("GET", api+"delete", noDeletions)
	add("POST PUT DELETE", api+"delete", refuseDeletion)
	for _, rules := range []string{api + "rules", legacy + "rules"} {
		for _, path := range []string{rules, rules + "/{namespace}", rules + "/{namespace}/{group}"} {
			add("GET", path, noRules)
			add("POST DELETE", path, refuseRules)
		}
	}
	add("GET", "/prometheus/api/v1/rules", emptyRules)
	add("GET", "/prometheus/api/v1/alerts", emptyAlerts)
	add("GET", "/ready", d.ready)
	add("GET", "/services", services)
	add("GET", "/config", d.config)
	for _, path := range []string{api + "tail", legacy + "tail"} {
		routes = append(routes, httpd.Route{Pattern: "GET " + path, Need: access.LogsRead, Handle: d.tail, Fail: fail, Stream: true})
	}
	return routes
}

// Where Loki's API is, and where it was before version 1.
const (
	api    = "/loki/api/v1/"
	legacy = "/api/prom/"
)

type door struct{ o Options }

type handler func(http.ResponseWriter, *http.Request) error

// An asker answers a request within a scope, of which the parameters are read.
// It returns the body of the answer.
type asker func(*http.Request, access.Scope, *params) ([]byte, error)

// ask makes a handler of an asker.
func ask(f asker) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		scope, err := access.ReadScope(httpd.PrincipalFrom(r.Context()))
		if err != nil {
			return err
		}
		b, err := f(r, scope, readParams(r))
		if err != nil {
			return err
		}
		return send(w, r, b)
	}
}

// fail answers an error as Loki does: plain text. A hint goes on its own line.
// What a query may not cost is 429, and what takes too long 504: neither is a
// failure of the server.
func fail(w http.ResponseWriter, _ *http.Request, err error) {
	status := fault.KindOf(err).HTTPStatus()
	switch {
	case late(err):
		status = http.StatusGatewayTimeout
	case fault.Is(err, fault.Overload):
		status = http.StatusTooManyRequests
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text(err)+"\n")
}

// text is what a client may read of an error.
func text(err error) string {
	s := httpd.Message(err)
	if hint := fault.HintOf(err); hint != "" {
		s += "\nhint: " + hint
	}
	return s
}
