package native

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query"
	words "github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store"
	"github.com/meshtrail/meshtrail/internal/tail"
)

// ReadingOptions are what the routes that read records need.
type ReadingOptions struct {
	Engine *query.Engine
	Tail   *tail.Hub
	// Heartbeat is the time between signs of life of a tail that has nothing
	// to say, default 15 s.
	Heartbeat time.Duration
	// Stall is how long a tail waits for a reader that takes nothing, default
	// 30 s.
	Stall time.Duration
	// Done, when closed, ends open tails, so that a server can stop.
	Done <-chan struct{}
}

// Reading returns the routes that read records, and those that tell of queries:
//
//	GET, POST /api/v1/query      records as NDJSON, and a closing manifest
//	GET       /api/v1/tail       records as they are committed, as server-sent events or over a websocket
//	GET, POST /api/v1/export     all records as NDJSON, CSV or Parquet
//	GET       /api/v1/context    the records around one
//	GET       /api/v1/trace/{id} spans and records of one trace or request
//	GET       /api/v1/histogram  counts by time and field
//	GET       /api/v1/facets     the values of several fields, and their statistics
//	GET       /api/v1/fields     fields of a time range
//	GET       /api/v1/values     values of a field
//	GET, POST /api/v1/metric     a metric query
//	GET, POST /api/v1/explain    how a query is answered
//	GET, POST /api/v1/format     a query in its canonical form
//	GET, POST /api/v1/lint       what is wrong with a query
func Reading(o ReadingOptions) []httpd.Route {
	if o.Heartbeat <= 0 {
		o.Heartbeat = 15 * time.Second
	}
	if o.Stall <= 0 {
		o.Stall = 30 * time.Second
	}
	a := reading{o}
	routes := []httpd.Route{
		{Pattern: "GET /api/v1/query", Need: access.LogsRead, Handle: a.query, Stream: true},
		{Pattern: "POST /api/v1/query", Need: access.LogsRead, Handle: a.query, Stream: true},
		{Pattern: "GET /api/v1/tail", Need: access.LogsRead, Handle: a.tail, Stream: true},
		{Pattern: "GET /api/v1/histogram", Need: access.LogsRead, Handle: a.histogram},
		{Pattern: "GET /api/v1/consistency", Need: access.LogsRead, Handle: a.consistency},
		{Pattern: "GET /api/v1/schema", Need: access.LogsRead, Handle: a.schema},
		{Pattern: "GET /api/v1/fields", Need: access.LogsRead, Handle: a.fields},
		{Pattern: "GET /api/v1/values", Need: access.LogsRead, Handle: a.values},
		{Pattern: "GET /api/v1/export", Need: access.LogsRead, Handle: a.export, Stream: true},
		{Pattern: "POST /api/v1/export", Need: access.LogsRead, Handle: a.export, Stream: true},
		{Pattern: "GET /api/v1/context", Need: access.LogsRead, Handle: a.context},
		{Pattern: "GET /api/v1/trace/{id}", Need: access.LogsRead, Handle: a.trace},
		{Pattern: "GET /api/v1/facets", Need: access.LogsRead, Handle: a.facets},
		{Pattern: "GET /api/v1/metric", Need: access.LogsRead, Handle: a.metric},
		{Pattern: "POST /api/v1/metric", Need: access.LogsRead, Handle: a.metric},
		{Pattern: "GET /api/v1/explain", Need: access.LogsRead, Handle: a.explain},
		{Pattern: "POST /api/v1/explain", Need: access.LogsRead, Handle: a.explain},
		{Pattern: "GET /api/v1/format", Need: access.LogsRead, Handle: a.format},
		{Pattern: "POST /api/v1/format", Need: access.LogsRead, Handle: a.format},
		{Pattern: "GET /api/v1/lint", Need: access.LogsRead, Handle: a.lint},
		{Pattern: "POST /api/v1/lint", Need: access.LogsRead, Handle: a.lint},
	}
	for i := range routes {
		routes[i].Fail = fail
	}
	return routes
}

// fail answers as the house does, but that what a question may not cost is 429, as
// in the other APIs: 503 means that the server could not, whatever was asked.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	status := fault.KindOf(err).HTTPStatus()
	if fault.Is(err, fault.Overload) {
		status = http.StatusTooManyRequests
	}
	httpd.WriteErrorAs(w, r, err, status)
}

type reading struct{ o ReadingOptions }

// defaultLimit is how many records an answer has when none is asked for.
const defaultLimit = 1000

// form reads the parameters of a request once; the first bad one is kept.
type form struct {
	r   *http.Request
	now time.Time
	err error
}

func (a reading) form(r *http.Request) *form {
	f := &form{r: r, now: a.o.Engine.Now()}
	if err := r.ParseForm(); err != nil {
		f.err = fault.Errorf(fault.Invalid, "read parameters: %w", err)
	}
	return f
}

func (f *form) time(name string, def int64) int64 {
	s := f.r.Form.Get(name)
	if s == "" {
		return def
	}
	t, err := ParseTime(s, f.now)
	if err != nil && f.err == nil {
		f.err = fault.WithHint(fault.Errorf(fault.Invalid, "parameter %s: %w", name, err), fault.HintOf(err))
	}
	return t
}

func (f *form) number(name string, def int) int {
	s := f.r.Form.Get(name)
	if s == "" {
		return def
	}
	n, err := strconv.Atoi(s)
	if (err != nil || n < 0) && f.err == nil {
		f.err = fault.Errorf(fault.Invalid, "parameter %s: %q is not a number from 0", name, s)
	}
	return n
}

// language reads lang.
func (f *form) language() query.Language {
	l, err := query.ParseLanguage(f.r.Form.Get("lang"))
	if err != nil && f.err == nil {
		f.err = fault.WithHint(fault.Errorf(fault.Invalid, "parameter lang: %w", err), fault.HintOf(err))
	}
	return l
}

// flag reads true or false.
func (f *form) flag(name string) bool {
	s := f.r.Form.Get(name)
	if s != "" && s != "true" && s != "false" && f.err == nil {
		f.err = fault.Errorf(fault.Invalid, "parameter %s: %q is not true or false", name, s)
	}
	return s == "true"
}

// order reads the order of records.
func (f *form) order(def store.Order) store.Order {
	switch s := f.r.Form.Get("order"); s {
	case "":
		return def
	case "newest":
		return store.Newest
	case "oldest":
		return store.Oldest
	case "any":
		return store.AsStored
	default:
		if f.err == nil {
			f.err = fault.Errorf(fault.Invalid, "parameter order: %q is not newest, oldest or any", s)
		}
		return def
	}
}

// stream reads the request for the records of a log query.
func (f *form) stream(order store.Order, limit int) query.StreamRequest {
	span := f.span()
	req := query.StreamRequest{
		Language: span.Language, From: span.From, To: span.To, Limit: limit, Order: f.order(order), Remote: f.r.RemoteAddr,
	}
	if len(span.Queries) > 0 {
		req.Query = span.Queries[0]
	} else if req.Language == query.LogQL {
		req.Query = "{}"
	}
	if names := f.r.Form.Get("fields"); names != "" {
		req.Fields = strings.Split(names, ",")
	}
	return req
}

// span reads query, lang, from and to. The default is everything in the last hour.
func (f *form) span() query.Span {
	s := query.Span{
		From: f.time("from", f.now.Add(-time.Hour).UnixNano()), To: f.time("to", f.now.UnixNano()),
		Language: f.language(), Remote: f.r.RemoteAddr,
	}
	if q := f.r.Form.Get("query"); q != "" {
		s.Queries = []string{q}
	}
	return s
}

// query streams records. Every line is one JSON object, the last one the
// manifest: an answer without it was cut short.
func (a reading) query(w http.ResponseWriter, r *http.Request) error {
	scope, err := access.ReadScope(httpd.PrincipalFrom(r.Context()))
	if err != nil {
		return err
	}
	f := a.form(r)
	req := f.stream(store.Newest, f.number("limit", defaultLimit))
	if f.err != nil {
		return f.err
	}
	out := &lines{w: w, flush: http.NewResponseController(w), last: time.Now()}
	sum, err := a.o.Engine.Stream(r.Context(), scope, req, out.records)
	if err != nil {
		return err
	}
	return out.close(sum)
}

// lines writes NDJSON.
type lines struct {
	w     http.ResponseWriter
	flush *http.ResponseController
	buf   []byte
	begun bool
	last  time.Time // of the last flush
}

// Writes are gathered up to flushBytes, but not for longer than flushEvery.
const (
	flushBytes = 64 << 10
	flushEvery = 250 * time.Millisecond
)

func (l *lines) records(rs []words.Record) error {
	for i := range rs {
		l.buf = AppendRecord(l.buf, &rs[i])
		l.buf = append(l.buf, '\n')
		if len(l.buf) >= flushBytes {
			if err := l.write(); err != nil {
				return err
			}
		}
	}
	if time.Since(l.last) >= flushEvery {
		if err := l.write(); err != nil {
			return err
		}
		l.last = time.Now()
		return l.flush.Flush()
	}
	return nil
}

func (l *lines) write() error {
	if !l.begun {
		l.begun = true
		l.w.Header().Set("Content-Type", "application/x-ndjson")
	}
	_, err := l.w.Write(l.buf)
	l.buf = l.buf[:0]
	if err != nil {
		return fault.Errorf(fault.Canceled, "write answer: %w", err)
	}
	return nil
}

func (l *lines) close(sum query.Summary) error {
	l.buf = append(l.buf, `{"manifest":`...)
	l.buf = appendJSON(l.buf, sum)
	l.buf = append(l.buf, "}\n"...)
	return l.write()
}

// AppendRecord appends a record as one JSON object: its times in RFC 3339, its
// place in the commit order, as text because it exceeds what JavaScript counts
// exactly, its class, its severity by whatever name the sender gave it, its line
// and its fields.
func AppendRecord(dst []byte, r *words.Record) []byte {
	dst = append(dst, `{"time":"`...)
	dst = appendTime(dst, r.Time)
	dst = append(dst, `","ingest":"`...)
	dst = appendTime(dst, r.Ingest)
	dst = append(dst, `","ord":"`...)
	dst = strconv.AppendUint(dst, r.Ord, 10)
	dst = append(dst, `","class":`...)
	dst = match.AppendQuoted(dst, string(r.Class))
	if v, ok := severity(r); ok {
		dst = append(dst, `,"severity":`...)
		dst = match.AppendQuoted(dst, v.Text())
	}
	dst = append(dst, `,"line":`...)
	dst = match.AppendQuoted(dst, string(match.AppendLine(nil, r)))
	dst = append(dst, `,"fields":`...)
	dst = match.AppendJSON(dst, r.Fields)
	return append(dst, '}')
}

// severityName means a record's severity under all of its names.
var severityName = schema.Resolve("severity_text")

// severity finds what a query for severity_text would.
func severity(r *words.Record) (v words.Value, ok bool) {
	best := 0
	for i := range r.Fields {
		if _, rank, match := severityName.Match(r.Fields[i].Name); match && (!ok || rank < best) {
			v, best, ok = r.Fields[i].Value, rank, true
		}
	}
	return v, ok
}

func appendTime(dst []byte, ns int64) []byte {
	return time.Unix(0, ns).UTC().AppendFormat(dst, time.RFC3339Nano)
}
