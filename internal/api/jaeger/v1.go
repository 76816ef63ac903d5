package jaeger

import (
	"net/http"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/trace"
)

// The HTTP API of version 1, as Grafana's data source and older UIs use it. Ids
// are hex, times µs.

type envelope struct {
	Data   any       `json:"data"`
	Total  int       `json:"total"`
	Limit  int       `json:"limit"`
	Offset int       `json:"offset"`
	Errors []errorV1 `json:"errors"`
}

type errorV1 struct {
	Code    int    `json:"code"`
	Msg     string `json:"msg"`
	TraceID string `json:"traceID,omitempty"`
}

type traceV1 struct {
	TraceID   string               `json:"traceID"`
	Spans     []spanV1             `json:"spans"`
	Processes map[string]processV1 `json:"processes"`
	Warnings  []string             `json:"warnings"`
}

type spanV1 struct {
	TraceID    string        `json:"traceID"`
	SpanID     string        `json:"spanID"`
	Flags      uint32        `json:"flags,omitempty"`
	Operation  string        `json:"operationName"`
	References []referenceV1 `json:"references"`
	StartTime  int64         `json:"startTime"`
	Duration   int64         `json:"duration"`
	Tags       []tagV1       `json:"tags"`
	Logs       []logV1       `json:"logs"`
	ProcessID  string        `json:"processID"`
	Warnings   []string      `json:"warnings"`
}

type referenceV1 struct {
	RefType string `json:"refType"`
	TraceID string `json:"traceID"`
	SpanID  string `json:"spanID"`
}

type tagV1 struct {
	Key   string `json:"key"`
	Type  string `json:"type"`
	Value any    `json:"value"`
}

type logV1 struct {
	Timestamp int64   `json:"timestamp"`
	Fields    []tagV1 `json:"fields"`
}

type processV1 struct {
	ServiceName string  `json:"serviceName"`
	Tags        []tagV1 `json:"tags"`
}

func failV1(w http.ResponseWriter, _ *http.Request, err error) {
	authenticate(w, err)
	code := fault.KindOf(err).HTTPStatus()
	answer(w, code, envelope{Errors: []errorV1{{Code: code, Msg: reason(err)}}})
}

// shortID is an id as Jaeger writes it: 16 digits when the rest is zero.
func shortID(id string) string {
	if len(id) == 32 && id[:16] == "0000000000000000" {
		return id[16:]
	}
	return id
}

func toV1(t *trace.Trace, warnings []string) traceV1 {
	out := traceV1{TraceID: shortID(t.ID), Spans: make([]spanV1, 0, len(t.Spans)), Processes: map[string]processV1{}, Warnings: warnings}
	known := map[string]string{}
	for i := range t.Spans {
		s := &t.Spans[i]
		key := resourceKey(s)
		id := known[key]
		if id == "" {
			id = "p" + itoa(len(known)+1)
			known[key] = id
			out.Processes[id] = processOf(s)
		}
		out.Spans = append(out.Spans, spanToV1(s, id))
	}
	return out
}

func processOf(s *trace.Span) processV1 {
	p := processV1{ServiceName: s.Service, Tags: []tagV1{}}
	for i := range s.Resource {
		if s.Resource[i].Key != "service.name" {
			p.Tags = append(p.Tags, tagOf(&s.Resource[i]))
		}
	}
	return p
}

// resourceKey tells resources apart.
func resourceKey(s *trace.Span) string {
	var b strings.Builder
	b.WriteString(s.Service)
	for i := range s.Resource {
		b.WriteString("\x00" + s.Resource[i].Key + "\x01" + s.Resource[i].Value.Text())
	}
	return b.String()
}

func spanToV1(s *trace.Span, process string) spanV1 {
	out := spanV1{
		TraceID: shortID(s.TraceID), SpanID: s.SpanID, Flags: flagsOf(s), Operation: s.Name, References: []referenceV1{},
		StartTime: s.Start / 1000, Duration: s.Duration / 1000, Tags: []tagV1{}, Logs: []logV1{}, ProcessID: process,
	}
	if s.Parent != "" && !follows(s) {
		out.References = append(out.References, referenceV1{"CHILD_OF", shortID(s.TraceID), s.Parent})
	}
	for i := range s.Links {
		kind := "FOLLOWS_FROM"
		if refType(&s.Links[i]) == "child_of" {
			kind = "CHILD_OF"
		}
		out.References = append(out.References, referenceV1{kind, shortID(s.Links[i].TraceID), s.Links[i].SpanID})
	}
	for i := range s.Attributes {
		out.Tags = append(out.Tags, tagOf(&s.Attributes[i]))
	}
	out.Tags = append(out.Tags, ownTags(s)...)
	for i := range s.Events {
		e := &s.Events[i]
		l := logV1{Timestamp: e.Time / 1000, Fields: []tagV1{}}
		if e.Name != "" {
			l.Fields = append(l.Fields, textTag("event", e.Name))
		}
		for j := range e.Attributes {
			l.Fields = append(l.Fields, tagOf(&e.Attributes[j]))
		}
		out.Logs = append(out.Logs, l)
	}
	return out
}

func refType(l *trace.Link) string {
	for _, a := range l.Attributes {
		if a.Key == "opentracing.ref_type" {
			return a.Value.Str
		}
	}
	return ""
}

// follows reports whether a span only follows its parent: the reference that says
// so is among its links.
func follows(s *trace.Span) bool {
	for i := range s.Links {
		if l := &s.Links[i]; l.SpanID == s.Parent && l.TraceID == s.TraceID && refType(l) == "follows_from" {
			return true
		}
	}
	return false
}

func textTag(key, value string) tagV1 { return tagV1{key, "string", value} }

// ownTags are the tags that say what a span has fields for here.
func ownTags(s *trace.Span) (tags []tagV1) {
	text := func(key, value string) {
		if value != "" {
			tags = append(tags, textTag(key, value))
		}
	}
	text("otel.scope.name", s.Scope)
	text("otel.scope.version", s.ScopeVersion)
	for i := range s.ScopeAttributes {
		tags = append(tags, tagOf(&s.ScopeAttributes[i]))
	}
	text("peer.service", s.Peer)
	text("span.kind", s.Kind)
	switch s.Status {
	case "ok":
		text("otel.status_code", "OK")
	case "error":
		if _, has := s.Attr("error"); !has {
			tags = append(tags, tagV1{"error", "bool", true})
		}
		if _, has := s.Attr("otel.status_code"); !has {
			text("otel.status_code", "ERROR")
		}
	}
	text("otel.status_description", s.Message)
	text("w3c.tracestate", s.State)
	return tags
}

func tagOf(a *trace.Attr) tagV1 {
	v := a.Value
	switch {
	case a.Bytes:
		return tagV1{a.Key, "binary", v.Str}
	case v.Kind == record.Int:
		return tagV1{a.Key, "int64", v.Int}
	case v.Kind == record.Float:
		return tagV1{a.Key, "float64", v.Flt}
	case v.Kind == record.Bool:
		return tagV1{a.Key, "bool", v.Int != 0}
	}
	return textTag(a.Key, v.Str)
}

func (d *door) servicesV1(w http.ResponseWriter, r *http.Request) error {
	who, err := asker(r)
	if err != nil {
		return err
	}
	names, err := d.traces.Services(r.Context(), who)
	if err != nil {
		return err
	}
	if names == nil {
		names = []string{}
	}
	return answer(w, http.StatusOK, envelope{Data: names, Total: len(names)})
}

func (d *door) operationNamesV1(w http.ResponseWriter, r *http.Request) error {
	who, err := asker(r)
	if err != nil {
		return err
	}
	ops, err := d.traces.Operations(r.Context(), who, r.PathValue("service"), "")
	if err != nil {
		return err
	}
	names := []string{}
	for _, op := range ops { // sorted: those of one name stand together
		if n := len(names); n == 0 || names[n-1] != op.Name {
			names = append(names, op.Name)
		}
	}
	return answer(w, http.StatusOK, envelope{Data: names, Total: len(names)})
}

type operationV1 struct {
	Name string `json:"name"`
	Kind string `json:"spanKind"`
}

func (d *door) operationsV1(w http.ResponseWriter, r *http.Request) error {
	who, err := asker(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	if q.Get("service") == "" {
		return fault.Errorf(fault.Invalid, "parameter 'service' is required")
	}
	ops, err := d.traces.Operations(r.Context(), who, q.Get("service"), kindOf(q.Get("spanKind")))
	if err != nil {
		return err
	}
	list := []operationV1{}
	for _, op := range ops {
		list = append(list, operationV1(op))
	}
	return answer(w, http.StatusOK, envelope{Data: list, Total: len(list)})
}

// defaultLookback is how far back version 1 looks when nobody says.
const defaultLookback = 2 * 24 * time.Hour

func (d *door) tracesV1(w http.ResponseWriter, r *http.Request) error {
	who, err := asker(r)
	if err != nil {
		return err
	}
	f := form{q: r.URL.Query()}
	now := d.traces.Now()
	find := trace.FindRequest{
		Services: list(f.q.Get("service")), Names: list(f.q.Get("operation")), Attributes: f.attributes("tags"),
		From: f.number(now.Add(-defaultLookback).UnixNano(), 1000, "start"), To: f.number(now.UnixNano(), 1000, "end") + 1,
		MinDuration: f.duration("minDuration"), MaxDuration: f.duration("maxDuration"), Limit: int(f.number(100, 1, "limit")),
	}
	for _, tag := range f.q["tag"] {
		k, v, ok := strings.Cut(tag, ":")
		if !ok {
			return fault.Errorf(fault.Invalid, "malformed 'tag' parameter, expecting key:value, received: %s", tag)
		}
		find.Attributes = append(find.Attributes, trace.Attribute{Key: k, Value: v})
	}
	raw := f.truth("raw")
	if f.err != nil {
		return f.err
	}
	var traces []trace.Trace
	var told trace.Answer
	var missing []errorV1
	if ids := f.q["traceID"]; len(ids) > 0 {
		if traces, told, err = d.some(r, who, ids, find.From, find.To, f.q.Has("start")); err != nil {
			return err
		}
		missing = notFound(ids, traces)
	} else if traces, told, err = d.traces.Find(r.Context(), who, find); err != nil {
		return err
	}
	out := make([]traceV1, 0, len(traces))
	for i := range traces {
		if !raw {
			traces[i].Unshare()
		}
		out = append(out, toV1(&traces[i], told.Warnings))
	}
	return answer(w, http.StatusOK, envelope{Data: out, Total: len(out), Errors: missing})
}

// some reads traces by their ids. Times are hints only where they were given.
func (d *door) some(r *http.Request, who trace.Asker, ids []string, from, to int64, hinted bool) ([]trace.Trace, trace.Answer, error) {
	if !hinted {
		from, to = 0, 0
	}
	parsed := make([]string, len(ids))
	for i, id := range ids {
		var err error
		if parsed[i], err = trace.ParseID(id); err != nil {
			return nil, trace.Answer{}, err
		}
	}
	return d.traces.Get(r.Context(), who, parsed, from, to)
}

func notFound(ids []string, traces []trace.Trace) (missing []errorV1) {
	there := map[string]bool{}
	for i := range traces {
		there[traces[i].ID] = true
	}
	for _, id := range ids {
		if parsed, _ := trace.ParseID(id); !there[parsed] {
			missing = append(missing, errorV1{Code: http.StatusNotFound, Msg: "trace not found", TraceID: shortID(parsed)})
		}
	}
	return missing
}

func (d *door) traceV1(w http.ResponseWriter, r *http.Request) error {
	if accepts(r, "application/protobuf") { // Tempo's clients ask the same path
		return d.tempo(w, r)
	}
	who, err := asker(r)
	if err != nil {
		return err
	}
	f := form{q: r.URL.Query()}
	from, to, raw := f.hint("start"), f.hint("end"), f.truth("raw")
	if f.err != nil {
		return f.err
	}
	traces, told, err := d.some(r, who, []string{r.PathValue("id")}, from, to, true)
	if err != nil {
		return err
	}
	if len(traces) == 0 {
		return fault.Errorf(fault.NotFound, "trace not found")
	}
	if !raw {
		traces[0].Unshare()
	}
	return answer(w, http.StatusOK, envelope{Data: []traceV1{toV1(&traces[0], told.Warnings)}, Total: 1})
}

type dependencyV1 struct {
	Parent    string `json:"parent"`
	Child     string `json:"child"`
	CallCount uint64 `json:"callCount"`
}

func (d *door) dependenciesV1(w http.ResponseWriter, r *http.Request) error {
	who, err := asker(r)
	if err != nil {
		return err
	}
	f := form{q: r.URL.Query()}
	to := f.number(d.traces.Now().UnixNano(), 1e6, "endTs")
	from := to - f.number(int64(24*time.Hour), 1e6, "lookback")
	if f.err != nil {
		return f.err
	}
	links, _, err := d.traces.Dependencies(r.Context(), who, max(from, 0), to+1)
	if err != nil {
		return err
	}
	list := []dependencyV1{}
	for _, l := range links {
		list = append(list, dependencyV1{l.Parent, l.Child, l.Calls})
	}
	return answer(w, http.StatusOK, envelope{Data: list, Total: len(list)})
}
