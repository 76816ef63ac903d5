// Package jaeger answers what Jaeger's query service answers, so that Grafana's
// Jaeger data source, Jaeger's own UI and its clients can ask Meshtrail: the HTTP
// API of version 1 and 3, the gRPC API of version 2 and 3, and the remote storage
// API of version 2, by which a Jaeger of one's own reads from here. A trace by its id is
// answered in Tempo's form too.
//
// Shapes and codes are Jaeger's (jaegertracing/jaeger 2.20, jaeger-idl); where the
// answers differ docs/traces.md says so. All paths stand below /jaeger as well,
// those of Tempo below /tempo. The package knows HTTP, gRPC and package trace; it
// keeps nothing between requests.
package jaeger

import (
	"encoding/json"
	"math"
	"net/http"
	"net/url"
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

// Routes returns the routes of the APIs.
func Routes(o Options) []httpd.Route {
	d := &door{o.Reader}
	var routes []httpd.Route
	add := func(method, path string, h func(http.ResponseWriter, *http.Request) error, fail func(http.ResponseWriter, *http.Request, error)) {
		for _, prefix := range []string{"", "/jaeger"} {
			routes = append(routes, httpd.Route{Pattern: method + " " + prefix + path, Need: access.LogsRead, Handle: h, Fail: fail})
		}
	}
	add("GET", "/api/services", d.servicesV1, failV1)
	add("GET", "/api/services/{service}/operations", d.operationNamesV1, failV1)
	add("GET", "/api/operations", d.operationsV1, failV1)
	add("GET", "/api/traces", d.tracesV1, failV1)
	add("GET", "/api/traces/{id}", d.traceV1, failV1)
	add("GET", "/api/dependencies", d.dependenciesV1, failV1)
	add("GET", "/api/metrics/{name}", notHere, failV1)
	add("POST", "/api/archive/{id}", notHere, failV1)
	add("POST", "/api/transform", notHere, failV1)
	add("GET", "/api/v3/services", d.servicesV3, failV3)
	add("GET", "/api/v3/operations", d.operationsV3, failV3)
	add("GET", "/api/v3/traces", d.tracesV3, failV3)
	add("GET", "/api/v3/traces/{id}", d.traceV3, failV3)
	add("GET", "/api/v3/trace-summaries", d.summariesV3, failV3)
	add("GET", "/api/v3/dependencies", d.dependenciesV3, failV3)
	tempo := func(path string, h func(http.ResponseWriter, *http.Request) error) {
		routes = append(routes, httpd.Route{Pattern: "GET " + path, Need: access.LogsRead, Handle: h, Fail: failText})
	}
	tempo("/tempo/api/traces/{id}", d.tempo)
	tempo("/tempo/api/v2/traces/{id}", d.tempoV2)
	tempo("/api/v2/traces/{id}", d.tempoV2)
	tempo("/tempo/api/echo", echo)
	return append(routes, d.calls()...)
}

// notHere answers what Jaeger may be configured to have and we have not.
func notHere(http.ResponseWriter, *http.Request) error {
	return fault.Errorf(fault.NotFound, "not available: it is not configured")
}

func asker(r *http.Request) (trace.Asker, error) {
	scope, err := access.ReadScope(httpd.PrincipalFrom(r.Context()))
	return trace.Asker{Scope: scope, Remote: r.RemoteAddr}, err
}

func answer(w http.ResponseWriter, code int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return send(w, code, "application/json", b)
}

func send(w http.ResponseWriter, code int, kind string, b []byte) error {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(code)
	_, err := w.Write(b)
	return err
}

// reason returns the text of an error for a caller: what is not its doing is told
// by kind only.
func reason(err error) string {
	switch k := fault.KindOf(err); k {
	case fault.Internal, fault.Corrupt, fault.Tampered:
		return "the request failed (" + k.String() + "); see the server's log"
	}
	return err.Error()
}

func failText(w http.ResponseWriter, r *http.Request, err error) {
	authenticate(w, err)
	send(w, fault.KindOf(err).HTTPStatus(), "text/plain; charset=utf-8", []byte(reason(err)+"\n"))
}

func authenticate(w http.ResponseWriter, err error) {
	if fault.Is(err, fault.Unauthenticated) {
		w.Header().Set("WWW-Authenticate", `Basic realm="meshtrail"`)
	}
}

// A form reads parameters; its first error sticks.
type form struct {
	q   url.Values
	err error
}

// get returns the first of the names that is given: older clients write them
// otherwise.
func (f *form) get(names ...string) (value, name string) {
	for _, n := range names {
		if v := f.q.Get(n); v != "" {
			return v, n
		}
	}
	return "", names[0]
}

func (f *form) bad(name string, err error) {
	if f.err == nil {
		f.err = fault.Errorf(fault.Invalid, "malformed parameter %s: %v", name, err)
	}
}

// number returns a whole number, times scale.
func (f *form) number(def, scale int64, names ...string) int64 {
	v, name := f.get(names...)
	if v == "" {
		return def
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err == nil && (n < 0 || scale > 0 && n > (1<<62)/scale) {
		err = strconv.ErrRange
	}
	if err != nil {
		f.bad(name, err)
		return def
	}
	return n * scale
}

// duration returns a duration as Go writes them, in ns.
func (f *form) duration(names ...string) int64 {
	v, name := f.get(names...)
	if v == "" {
		return 0
	}
	d, err := time.ParseDuration(v)
	if err == nil && d < 0 {
		err = strconv.ErrRange
	}
	if err != nil {
		f.bad(name, err)
	}
	return int64(d)
}

// stamp returns an RFC 3339 time in ns, 0 if there is none.
func (f *form) stamp(names ...string) int64 {
	v, name := f.get(names...)
	if v == "" {
		return 0
	}
	// Grafana writes the plus of a zone as it is, and that is a space.
	t, err := time.Parse(time.RFC3339Nano, strings.ReplaceAll(v, " ", "+"))
	if err != nil {
		f.bad(name, err)
		return 0
	}
	return t.UnixNano()
}

// hint returns when a trace is said to be, µs, in ns. Grafana's data source gives
// ms: what would be the first weeks of 1970 is taken for that.
func (f *form) hint(name string) int64 {
	const year2200 = 7_300_000_000_000 // in ms
	n := f.number(0, 1, name)
	switch {
	case n < year2200:
		return n * 1e6
	case n > math.MaxInt64/1000:
		f.bad(name, strconv.ErrRange)
		return 0
	}
	return n * 1000
}

func (f *form) truth(names ...string) bool {
	v, name := f.get(names...)
	if v == "" {
		return false
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		f.bad(name, err)
	}
	return b
}

// attributes reads a JSON object of texts.
func (f *form) attributes(names ...string) (out []trace.Attribute) {
	v, name := f.get(names...)
	if v == "" {
		return nil
	}
	var m map[string]string
	if err := json.Unmarshal([]byte(v), &m); err != nil {
		f.bad(name, err)
	}
	for k, v := range m {
		out = append(out, trace.Attribute{Key: k, Value: v})
	}
	return out
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// kindOf reads the kind of a span in letters of either case.
func kindOf(s string) string { return strings.ToLower(strings.TrimPrefix(s, "SPAN_KIND_")) }
