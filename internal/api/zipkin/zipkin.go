// Package zipkin answers what Zipkin's server answers to its UI, to Grafana's
// Zipkin data source and to everything else that asks its API version 2. (What
// reporters send is receive/zipkin.)
//
// Shapes, codes and texts are Zipkin's (openzipkin/zipkin, ZipkinQueryApiV2); where
// the answers differ docs/traces.md says so. Names are lower case, as Zipkin keeps
// them, whatever the sender wrote. All paths stand below /zipkin as well. The
// package knows HTTP and package trace; it keeps nothing between requests.
package zipkin

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/trace"
)

// Options of the door.
type Options struct {
	Reader *trace.Reader
}

type door struct{ traces *trace.Reader }

// Routes returns the routes of the API.
func Routes(o Options) []httpd.Route {
	d := &door{o.Reader}
	var routes []httpd.Route
	for _, prefix := range []string{"", "/zipkin"} {
		for path, h := range map[string]func(http.ResponseWriter, *http.Request) error{
			"/api/v2/services": d.services, "/api/v2/spans": d.spanNames, "/api/v2/remoteServices": d.remoteServices,
			"/api/v2/traces": d.find, "/api/v2/trace/{id}": d.trace, "/api/v2/traceMany": d.many,
			"/api/v2/dependencies": d.dependencies, "/api/v2/autocompleteKeys": d.keys, "/api/v2/autocompleteValues": d.values,
		} {
			routes = append(routes, httpd.Route{Pattern: "GET " + prefix + path, Need: access.LogsRead, Handle: h, Fail: fail})
		}
	}
	return append(routes,
		httpd.Route{Pattern: "GET /zipkin/config.json", Need: access.LogsRead, Handle: config, Fail: fail},
		httpd.Route{Pattern: "GET /zipkin/health", Need: access.LogsRead, Handle: health, Fail: fail},
		httpd.Route{Pattern: "GET /zipkin/info", Need: access.LogsRead, Handle: info, Fail: fail})
}

func fail(w http.ResponseWriter, _ *http.Request, err error) {
	if fault.Is(err, fault.Unauthenticated) {
		w.Header().Set("WWW-Authenticate", `Basic realm="meshtrail"`)
	}
	text := err.Error()
	switch k := fault.KindOf(err); k {
	case fault.Internal, fault.Corrupt, fault.Tampered:
		text = "the request failed (" + k.String() + "); see the server's log"
	}
	send(w, fault.KindOf(err).HTTPStatus(), "text/plain; charset=utf-8", []byte(text))
}

func send(w http.ResponseWriter, code int, kind string, b []byte) error {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(code)
	_, err := w.Write(b)
	return err
}

func answer(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return send(w, http.StatusOK, "application/json", b)
}

// names answers a sorted list; one that is worth it may be kept for a while.
func names(w http.ResponseWriter, list []string, keep bool) error {
	if keep {
		w.Header().Set("Cache-Control", "max-age=300, must-revalidate")
	}
	return answer(w, lower(list))
}

// lower returns the names in lower case, each once, sorted.
func lower(list []string) []string {
	out := make([]string, 0, len(list))
	for _, n := range list {
		out = append(out, strings.ToLower(n))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func asker(r *http.Request) (trace.Asker, error) {
	scope, err := access.ReadScope(httpd.PrincipalFrom(r.Context()))
	return trace.Asker{Scope: scope, Remote: r.RemoteAddr}, err
}

func config(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, map[string]any{
		"environment": "", "queryLimit": 10, "defaultLookback": 15 * 60 * 1000, "searchEnabled": true, "logsUrl": nil,
		"supportUrl": nil, "archivePostUrl": nil, "archiveUrl": nil,
		"dependency": map[string]any{"enabled": true, "lowErrorRate": 0.5, "highErrorRate": 0.75},
	})
}

func health(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, map[string]any{"status": "UP", "zipkin": map[string]any{"status": "UP"}})
}

func info(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, map[string]any{"zipkin": map[string]any{"version": "3"}})
}

// A form reads parameters; its first error sticks.
type form struct {
	q   url.Values
	err error
}

func (f *form) number(name string, def int64) int64 {
	v := f.q.Get(name)
	if v == "" {
		return def
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if (err != nil || n < 0 || n > 1<<53) && f.err == nil {
		f.err = fault.Errorf(fault.Invalid, "%s: %.40q is not a number that can be", name, v)
		return def
	}
	return n
}

// times returns endTs and lookback (ms) as a range in ns.
func (f *form) times(end int64) (from, to int64) {
	const most = 9_000_000_000_000 // ms: within ns of 64 bits
	to = min(f.number("endTs", end), most)
	lookback := f.number("lookback", 86_400_000)
	if lookback <= 0 && f.err == nil {
		f.err = fault.Errorf(fault.Invalid, "lookback <= 0")
	}
	return max(to-lookback, 0) * 1e6, (to + 1) * 1e6
}

// services lists what spans name as their own service.
func (d *door) services(w http.ResponseWriter, r *http.Request) error {
	who, err := asker(r)
	if err != nil {
		return err
	}
	list, err := d.traces.Services(r.Context(), who)
	if err != nil {
		return err
	}
	return names(w, list, len(list) > 3)
}

// fold returns the names, as they are stored, that a name in lower case may mean.
// One that is nowhere stands for itself, and finds nothing.
func (d *door) fold(r *http.Request, who trace.Asker, field, name string, services []string) ([]string, error) {
	if name == "" {
		return nil, nil
	}
	list, err := d.traces.Values(r.Context(), who, field, services)
	if err != nil {
		return nil, err
	}
	if same := trace.Fold(list, name); len(same) > 0 {
		return same, nil
	}
	return []string{name}, nil
}

func (d *door) spanNames(w http.ResponseWriter, r *http.Request) error {
	return d.ofService(w, r, "span.name")
}

func (d *door) remoteServices(w http.ResponseWriter, r *http.Request) error {
	return d.ofService(w, r, "peer.service")
}

func (d *door) ofService(w http.ResponseWriter, r *http.Request, field string) error {
	who, err := asker(r)
	if err != nil {
		return err
	}
	if !r.URL.Query().Has("serviceName") {
		return fault.Errorf(fault.Invalid, "serviceName is missing")
	}
	services, err := d.fold(r, who, "service.name", r.URL.Query().Get("serviceName"), nil)
	if err != nil {
		return err
	}
	if len(services) == 0 {
		return names(w, nil, false)
	}
	list, err := d.traces.Values(r.Context(), who, field, services)
	if err != nil {
		return err
	}
	return names(w, list, len(list) > 3)
}

func (d *door) find(w http.ResponseWriter, r *http.Request) error {
	who, err := asker(r)
	if err != nil {
		return err
	}
	f := form{q: r.URL.Query()}
	find := trace.FindRequest{
		MinDuration: f.number("minDuration", 0) * 1000, MaxDuration: f.number("maxDuration", 0) * 1000, Limit: int(f.number("limit", 10)),
	}
	find.From, find.To = f.times(d.traces.Now().UnixMilli())
	switch {
	case f.err != nil:
	case f.q.Has("limit") && find.Limit <= 0:
		f.err = fault.Errorf(fault.Invalid, "limit <= 0")
	case find.MaxDuration > 0 && find.MinDuration == 0:
		f.err = fault.Errorf(fault.Invalid, "maxDuration is only valid with minDuration")
	}
	if f.err != nil {
		return f.err
	}
	if find.Services, err = d.fold(r, who, "service.name", f.q.Get("serviceName"), nil); err != nil {
		return err
	}
	if name := f.q.Get("spanName"); name != "all" {
		if find.Names, err = d.fold(r, who, "span.name", name, find.Services); err != nil {
			return err
		}
	}
	if find.Peers, err = d.fold(r, who, "peer.service", f.q.Get("remoteServiceName"), find.Services); err != nil {
		return err
	}
	for _, part := range strings.Split(f.q.Get("annotationQuery"), " and ") { // "error and http.method=GET"
		key, value, pair := strings.Cut(strings.TrimSpace(part), "=")
		switch {
		case key == "":
		case pair:
			find.Attributes = append(find.Attributes, trace.Attribute{Key: key, Value: value})
		default:
			find.Has = append(find.Has, key)
		}
	}
	traces, _, err := d.traces.Find(r.Context(), who, find)
	if err != nil {
		return err
	}
	return send(w, http.StatusOK, "application/json", appendTraces(nil, traces))
}

func (d *door) trace(w http.ResponseWriter, r *http.Request) error {
	who, err := asker(r)
	if err != nil {
		return err
	}
	id, err := normal(r.PathValue("id"))
	if err != nil {
		return err
	}
	long, err := trace.ParseID(id)
	if err != nil {
		return err
	}
	traces, _, err := d.traces.Get(r.Context(), who, []string{long}, 0, 0)
	if err != nil {
		return err
	}
	if len(traces) == 0 {
		return fault.Errorf(fault.NotFound, "%s not found", id)
	}
	return send(w, http.StatusOK, "application/json", appendTrace(nil, &traces[0]))
}

// normal pads an id to 16 or 32 digits (Span.normalizeTraceId).
func normal(id string) (string, error) {
	id = strings.TrimSpace(id)
	switch n := len(id); {
	case n == 0:
		return "", fault.Errorf(fault.Invalid, "traceId is empty")
	case n > 32:
		return "", fault.Errorf(fault.Invalid, "traceId.length > 32")
	case n <= 16:
		id = strings.Repeat("0", 16-n) + id
	default:
		id = strings.Repeat("0", 32-n) + id
	}
	for _, c := range id {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", fault.Errorf(fault.Invalid, "%s should be lower-hex encoded with no prefix", id)
		}
	}
	return id, nil
}

func (d *door) many(w http.ResponseWriter, r *http.Request) error {
	who, err := asker(r)
	if err != nil {
		return err
	}
	given := r.URL.Query().Get("traceIds")
	if given == "" {
		return fault.Errorf(fault.Invalid, "traceIds parameter is empty")
	}
	var ids []string
	for _, one := range strings.SplitN(given, ",", 1000) {
		id, err := normal(one)
		if err != nil {
			return err
		}
		long, err := trace.ParseID(id)
		if err != nil {
			return err
		}
		if slices.Contains(ids, long) {
			return fault.Errorf(fault.Invalid, "redundant traceId: %s", one)
		}
		ids = append(ids, long)
	}
	if len(ids) == 1 {
		return fault.Errorf(fault.Invalid, "Use /api/v2/trace/{traceId} endpoint to retrieve a single trace")
	}
	traces, _, err := d.traces.Get(r.Context(), who, ids, 0, 0)
	if err != nil {
		return err
	}
	return send(w, http.StatusOK, "application/json", appendTraces(nil, traces))
}

type link struct {
	Parent     string `json:"parent"`
	Child      string `json:"child"`
	CallCount  uint64 `json:"callCount"`
	ErrorCount uint64 `json:"errorCount,omitempty"`
}

func (d *door) dependencies(w http.ResponseWriter, r *http.Request) error {
	who, err := asker(r)
	if err != nil {
		return err
	}
	f := form{q: r.URL.Query()}
	if f.q.Get("endTs") == "" {
		return fault.Errorf(fault.Invalid, "endTs is missing")
	}
	from, to := f.times(0)
	if f.err != nil {
		return f.err
	}
	found, _, err := d.traces.Dependencies(r.Context(), who, from, min(to, d.traces.Now().Add(24*time.Hour).UnixNano()))
	if err != nil {
		return err
	}
	list := []link{}
	for _, l := range found {
		list = append(list, link{strings.ToLower(l.Parent), strings.ToLower(l.Child), l.Calls, l.Errors})
	}
	return answer(w, list)
}

// autocomplete are the tags that are offered: the few that every kind of sender
// has under one name, and that have few values.
var autocomplete = []string{"http.method", "http.request.method", "http.status_code", "k8s.namespace.name", "service.version"}

func (d *door) keys(w http.ResponseWriter, _ *http.Request) error {
	return names(w, autocomplete, true)
}

func (d *door) values(w http.ResponseWriter, r *http.Request) error {
	who, err := asker(r)
	if err != nil {
		return err
	}
	key := r.URL.Query().Get("key")
	if key == "" {
		return fault.Errorf(fault.Invalid, "key is missing")
	}
	list, err := d.traces.Values(r.Context(), who, key, nil)
	if err != nil {
		return err
	}
	slices.Sort(list)
	if list == nil {
		list = []string{}
	}
	if len(list) > 3 {
		w.Header().Set("Cache-Control", "max-age=300, must-revalidate")
	}
	return answer(w, list)
}
