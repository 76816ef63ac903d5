package trace

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

const (
	requestID   = "http.request.header.x-request-id"
	maxLogs     = 10_000 // of a trace
	maxRequests = 100    // ids of requests that are followed
)

// requestIDs are the names under which spans have the id of a request: proxies'
// tags (Envoy: guid:x-request-id) and OpenTelemetry's attribute.
var requestIDs = []string{requestID, "guid:x-request-id", "http.request.header.x_request_id", "x-request-id"}

var isRequestID = regexp.MustCompile(`^[0-9A-Za-z._:/+=-]{8,128}$`)

// A Story is everything that is stored of one request.
type Story struct {
	ID    string // of the trace, "" when there is none
	Spans []Span
	Logs  []record.Record // not spans, in the order of their time
	// Requests are the ids of requests (x-request-id) that spans and logs name.
	Requests []string
}

// Story returns the spans and the log records of a trace, and those of the
// requests that they name. id is a trace id, or the id of a request, by which
// meshes without tracing tie their records together. From and to are as Get's.
func (r *Reader) Story(ctx context.Context, who Asker, id string, from, to int64) (Story, Answer, error) {
	var answer Answer
	st := Story{Logs: []record.Record{}, Spans: []Span{}}
	trace, err := ParseID(id)
	var where match.Predicate
	switch {
	case err == nil:
		where = match.Or{match.Eq{Field: "trace_id", Value: trace}, match.Eq{Field: requestID, Value: id}}
		if short := strings.TrimLeft(trace, "0"); len(short) <= 16 && short != "" { // as loggers with 64-bit ids write it
			where = append(where.(match.Or), match.Eq{Field: "trace_id", Value: trace[16:]})
		}
	case isRequestID.MatchString(id):
		where = match.Eq{Field: requestID, Value: id}
		for _, name := range requestIDs[1:] {
			where = match.Or{where, match.Eq{Field: name, Value: id}}
		}
	default:
		return st, answer, fault.Errorf(fault.Invalid, "%.60q is neither a trace id nor the id of a request", id)
	}
	from, to = r.window(from, to)
	err = r.engine.Ask(ctx, who.Scope, query.Question{
		Text: "trace " + id + " with logs", Where: []match.Predicate{where}, Remote: who.Remote,
	}, func(ctx context.Context, q *query.Asking) error {
		defer func() { answer.finish(q) }()
		t := teller{q: q, st: &st, answer: &answer, seen: map[uint64]bool{}, from: from, to: to}
		if err := t.read(ctx, where); err != nil {
			return err
		}
		if len(st.Requests) == 0 && len(t.traces) == 0 {
			return nil
		}
		more := match.Or{match.In{Field: requestID, Values: st.Requests}}
		if len(t.traces) > 0 { // a request led to its traces
			more = append(more, match.In{Field: "trace_id", Values: t.traces})
		}
		return t.read(ctx, more)
	})
	return st, answer, err
}

// A teller collects a Story.
type teller struct {
	q        *query.Asking
	st       *Story
	answer   *Answer
	seen     map[uint64]bool // by Ord
	traces   []string
	from, to int64
}

func (t *teller) read(ctx context.Context, where match.Predicate) error {
	err := t.q.Scan(ctx, store.ScanRequest{From: t.from, To: t.to, Where: where, Order: store.Oldest}, func(rs []record.Record) error {
		for i := range rs {
			if err := t.take(&rs[i]); err != nil {
				return err
			}
		}
		return nil
	})
	slices.SortStableFunc(t.st.Logs, func(a, b record.Record) int { return compareInt(a.Time, b.Time) })
	return t.answer.note(err, len(t.seen) > 0)
}

func compareInt(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (t *teller) take(r *record.Record) error {
	if t.seen[r.Ord] {
		return nil
	}
	t.seen[r.Ord] = true
	for _, name := range requestIDs {
		v, ok := r.Get(name)
		if ok && v.Str != "" && len(t.st.Requests) < maxRequests && !slices.Contains(t.st.Requests, v.Str) {
			t.st.Requests = append(t.st.Requests, v.Str)
		}
	}
	if v, ok := r.Get("trace_id"); ok && v.Str != "" && len(t.traces) < maxRequests && !slices.Contains(t.traces, v.Str) {
		t.traces = append(t.traces, v.Str)
	}
	if s, ok := Decode(r); ok {
		if len(t.st.Spans) >= maxSpans {
			return fault.Errorf(fault.Overload, "the trace has more than %d spans", maxSpans)
		}
		if t.st.ID == "" {
			t.st.ID = s.TraceID
		}
		t.st.Spans = append(t.st.Spans, s)
		return nil
	}
	if len(t.st.Logs) >= maxLogs {
		return fault.Errorf(fault.Overload, "the trace has more than %d log records", maxLogs)
	}
	t.st.Logs = append(t.st.Logs, *r)
	return nil
}
