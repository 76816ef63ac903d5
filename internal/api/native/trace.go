package native

import (
	"net/http"
	"strconv"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/match"
	words "github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/trace"
)

// trace answers with everything that is stored of one request: spans and log
// records, by a trace id or by the id that proxies give a request.
//
//	{"traceId": "…", "spans": [{…}, …], "records": [{…}, …], "requestIds": ["…"], "partial": false, "stats": {…}}
func (a reading) trace(w http.ResponseWriter, r *http.Request) error {
	scope, err := access.ReadScope(httpd.PrincipalFrom(r.Context()))
	if err != nil {
		return err
	}
	f := a.form(r)
	from, to := f.time("from", 0), f.time("to", 0)
	if f.err != nil {
		return f.err
	}
	st, told, err := trace.New(a.o.Engine).Story(r.Context(), trace.Asker{Scope: scope, Remote: r.RemoteAddr}, r.PathValue("id"), from, to)
	if err != nil {
		return err
	}
	b := append([]byte(nil), `{"traceId":`...)
	b = match.AppendQuoted(b, st.ID)
	b = append(b, `,"spans":[`...)
	for i := range st.Spans {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendSpan(b, &st.Spans[i])
	}
	b = append(b, `],"records":[`...)
	for i := range st.Logs {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendRecord(b, &st.Logs[i])
	}
	if st.Requests == nil {
		st.Requests = []string{}
	}
	b = appendJSON(append(b, `],"requestIds":`...), st.Requests)
	b = strconv.AppendBool(append(b, `,"partial":`...), told.Partial)
	if len(told.Warnings) > 0 {
		b = appendJSON(append(b, `,"warnings":`...), told.Warnings)
	}
	b = appendJSON(append(b, `,"stats":`...), told.Stats)
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(append(b, "}\n"...))
	return err
}

func appendSpan(b []byte, s *trace.Span) []byte {
	text := func(name, v string) {
		if v != "" {
			b = match.AppendQuoted(append(append(append(b, `,"`...), name...), `":`...), v)
		}
	}
	b = append(b, `{"time":"`...)
	b = append(appendTime(b, s.Start), '"')
	text("spanId", s.SpanID)
	text("traceId", s.TraceID)
	text("parentSpanId", s.Parent)
	text("name", s.Name)
	text("service", s.Service)
	text("kind", s.Kind)
	b = strconv.AppendInt(append(b, `,"startNs":"`...), s.Start, 10)
	b = strconv.AppendInt(append(b, `","durationNs":`...), s.Duration, 10)
	text("status", s.Status)
	text("statusMessage", s.Message)
	text("peer", s.Peer)
	b = appendAttrs(append(b, `,"attributes":`...), s.Attributes)
	b = appendAttrs(append(b, `,"resource":`...), s.Resource)
	b = append(b, `,"events":[`...)
	for i := range s.Events {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendTime(append(b, `{"time":"`...), s.Events[i].Time), '"')
		text("name", s.Events[i].Name)
		b = append(appendAttrs(append(b, `,"attributes":`...), s.Events[i].Attributes), '}')
	}
	b = append(b, `],"links":[`...)
	for i := range s.Links {
		if i > 0 {
			b = append(b, ',')
		}
		b = match.AppendQuoted(append(b, `{"traceId":`...), s.Links[i].TraceID)
		text("spanId", s.Links[i].SpanID)
		b = append(appendAttrs(append(b, `,"attributes":`...), s.Links[i].Attributes), '}')
	}
	return append(b, `]}`...)
}

func appendAttrs(b []byte, attrs []trace.Attr) []byte {
	fields := make([]words.Field, 0, len(attrs))
	for _, a := range attrs {
		fields = append(fields, words.Field{Name: a.Key, Value: a.Value})
	}
	return match.AppendJSON(b, fields)
}
