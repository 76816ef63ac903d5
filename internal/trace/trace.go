// Package trace reads spans: it puts the spans of a trace together, finds traces,
// and says which services there are, what they do, and who calls whom. The doors
// (api/jaeger, api/zipkin, the native API) only give its answers their protocol's
// form.
//
// Every call is one act of query.Engine: within the scope of who asks, on record
// before anything of the answer is released, bounded in time and in what it may
// read. What a budget did not let be read is told: an answer that is not whole is
// Partial and says why. The package keeps nothing between calls; what it returns
// belongs to the caller.
package trace

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/match"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/schema"
	"github.com/meshtrail/meshtrail/internal/store"
)

// Bounds of one answer.
const (
	maxSpans      = 200_000 // of all traces of an answer
	maxTraces     = 1_500
	maxNames      = 10_000
	maxAttributes = 64
	// margin is how far beyond the hinted times a trace is looked for: its other
	// spans began before, or go on after, the one that was found.
	margin = time.Hour
)

// DefaultLookback is how far back services, operations and dependencies are
// looked for when nobody says: what Jaeger's own stores do.
const DefaultLookback = 72 * time.Hour

// A Reader answers questions about traces. It is safe for concurrent use.
type Reader struct{ engine *query.Engine }

// New returns a Reader over an engine.
func New(e *query.Engine) *Reader { return &Reader{e} }

// Now returns the engine's time.
func (r *Reader) Now() time.Time { return r.engine.Now() }

// An Asker is who asks, and from where: it is put on record.
type Asker struct {
	Scope  access.Scope
	Remote string
}

// A Trace is the spans that are stored of one trace, in the order of their start.
// A span that was sent twice is there twice.
type Trace struct {
	ID    string
	Spans []Span
}

// An Answer says how whole an answer is.
type Answer struct {
	Partial  bool
	Warnings []string
	Stats    store.Stats
}

// note takes an error that leaves an answer partial, and returns any other.
func (a *Answer) note(err error, found bool) error {
	switch {
	case err == nil:
	case fault.Is(err, fault.Overload) && found:
		a.Partial = true
		a.Warnings = append(a.Warnings, "the answer is not whole: "+err.Error())
	default:
		return err
	}
	return nil
}

// finish takes over what was read.
func (a *Answer) finish(q *query.Asking) {
	a.Stats = q.Stats
	for _, d := range q.Stats.Damaged {
		a.Partial = true
		a.Warnings = append(a.Warnings, "could not be read: "+d)
	}
}

// errEnough ends a scan that has found what it was for.
var errEnough = errors.New("enough")

// isSpan is the predicate of all spans.
var isSpan = match.Eq{Field: schema.RecordKind, Value: schema.KindSpan}

// ParseID reads a trace id: up to 32 hex digits, which may have lost their leading
// zeros, or a UUID's form of it. It returns 32 lower-case digits.
func ParseID(s string) (string, error) {
	id := strings.ToLower(strings.TrimSpace(s))
	if len(id) == 36 && strings.Count(id, "-") == 4 {
		id = strings.ReplaceAll(id, "-", "")
	}
	if id == "" || len(id) > 32 {
		return "", fault.Errorf(fault.Invalid, "%.60q is not a trace id: want 1 to 32 hexadecimal digits", s)
	}
	id = strings.Repeat("0", 32-len(id)) + id
	if _, err := hex.DecodeString(id); err != nil {
		return "", fault.Errorf(fault.Invalid, "%.60q is not a trace id: want 1 to 32 hexadecimal digits", s)
	}
	return id, nil
}

// window returns the times that a trace is looked for at: everything there is,
// or what the caller hints at and a margin.
func (r *Reader) window(from, to int64) (int64, int64) {
	now := r.engine.Now().UnixNano()
	latest := now + int64(24*time.Hour) // clocks differ
	if from <= 0 {
		from = 0
	} else {
		from = max(from-int64(margin), 0)
	}
	if to <= 0 || to > latest {
		to = latest
	} else {
		to += int64(margin)
	}
	if m := int64(r.engine.Limits().MaxRange); m > 0 && to-from > m {
		from = to - m
	}
	return from, max(to, from+1)
}

// Get returns whole traces by their ids, each of 32 digits, in the order of the
// ids; one that is not there is left out. From and to (ns) hint at when they were,
// 0 is any time.
func (r *Reader) Get(ctx context.Context, who Asker, ids []string, from, to int64) ([]Trace, Answer, error) {
	var traces []Trace
	var answer Answer
	if len(ids) == 0 {
		return nil, answer, nil
	}
	from, to = r.window(from, to)
	where := ofTraces(ids)
	err := r.engine.Ask(ctx, who.Scope, query.Question{
		Text: "trace " + strings.Join(ids, " "), Where: []match.Predicate{where}, Remote: who.Remote,
	}, func(ctx context.Context, q *query.Asking) (err error) {
		traces, err = read(ctx, q, ids, from, to, &answer)
		answer.finish(q)
		return err
	})
	return traces, answer, err
}

func ofTraces(ids []string) match.Predicate {
	if len(ids) == 1 {
		return match.And{isSpan, match.Eq{Field: "trace_id", Value: ids[0]}}
	}
	return match.And{isSpan, match.In{Field: "trace_id", Values: ids}}
}

// read reads traces, as Get returns them.
func read(ctx context.Context, q *query.Asking, ids []string, from, to int64, answer *Answer) ([]Trace, error) {
	byID := make(map[string]*Trace, len(ids))
	n := 0
	err := q.Scan(ctx, store.ScanRequest{From: from, To: to, Where: ofTraces(ids), Order: store.Oldest}, func(rs []record.Record) error {
		for i := range rs {
			s, ok := Decode(&rs[i])
			if !ok {
				continue
			}
			if n++; n > maxSpans {
				return fault.Errorf(fault.Overload, "the traces have more than %d spans", maxSpans)
			}
			t := byID[s.TraceID]
			if t == nil {
				t = &Trace{ID: s.TraceID}
				byID[s.TraceID] = t
			}
			t.Spans = append(t.Spans, s)
		}
		return nil
	})
	if err := answer.note(err, n > 0); err != nil {
		return nil, err
	}
	traces := make([]Trace, 0, len(byID))
	for _, id := range ids {
		if t := byID[id]; t != nil {
			traces = append(traces, *t)
			delete(byID, id)
		}
	}
	return traces, nil
}

// An Attribute that a span must have: as an attribute of its own, of its resource,
// of its scope, or of one of its events or links, by its text form.
type Attribute struct{ Key, Value string }

// A FindRequest asks for traces that have a span which fits all of it.
type FindRequest struct {
	// Services and Names are alternatives; none is any.
	Services, Names []string
	Peers           []string
	Attributes      []Attribute
	// Has are attributes, or names of events, that a span must have at all.
	Has      []string
	Kind     string
	From, To int64 // ns, of the start of the span: From <= t < To
	// MinDuration and MaxDuration are ns; 0 is no bound. Both are included.
	MinDuration, MaxDuration int64
	Limit                    int // traces; 0 is 20
}

func (f *FindRequest) detail() map[string]string {
	d := map[string]string{"start": stamp(f.From), "end": stamp(f.To)}
	put := func(k, v string) {
		if v != "" {
			d[k] = v
		}
	}
	put("service", strings.Join(f.Services, ","))
	put("operation", strings.Join(f.Names, ","))
	put("peer", strings.Join(f.Peers, ","))
	put("kind", f.Kind)
	var attrs []string
	for _, a := range f.Attributes {
		attrs = append(attrs, a.Key+"="+a.Value)
	}
	put("attributes", strings.Join(append(attrs, f.Has...), " "))
	return d
}

func stamp(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }

// check finds what is wrong with a request, and fills in what it left out.
func (f *FindRequest) check() error {
	if f.Limit <= 0 {
		f.Limit = 20
	}
	switch {
	case f.Limit > maxTraces:
		return fault.Errorf(fault.Invalid, "%d traces are more than %d", f.Limit, maxTraces)
	case len(f.Attributes)+len(f.Has) > maxAttributes:
		return fault.Errorf(fault.Invalid, "more than %d attributes", maxAttributes)
	case f.MaxDuration > 0 && f.MinDuration > f.MaxDuration:
		return fault.Errorf(fault.Invalid, "the least duration is more than the largest")
	}
	return nil
}

// Find returns whole traces, the one with the newest span that fits first.
func (r *Reader) Find(ctx context.Context, who Asker, f FindRequest) ([]Trace, Answer, error) {
	var traces []Trace
	answer, err := r.find(ctx, who, &f, func(ctx context.Context, q *query.Asking, ids []string, answer *Answer) (err error) {
		from, to := r.window(f.From, f.To)
		traces, err = read(ctx, q, ids, from, to, answer)
		return err
	})
	return traces, answer, err
}

// FindIDs returns the ids of the traces that Find finds.
func (r *Reader) FindIDs(ctx context.Context, who Asker, f FindRequest) ([]string, Answer, error) {
	var found []string
	answer, err := r.find(ctx, who, &f, func(_ context.Context, _ *query.Asking, ids []string, _ *Answer) error {
		found = ids
		return nil
	})
	return found, answer, err
}

func (r *Reader) find(ctx context.Context, who Asker, f *FindRequest, then func(context.Context, *query.Asking, []string, *Answer) error) (Answer, error) {
	var answer Answer
	if err := f.check(); err != nil {
		return answer, err
	}
	w := newWanted(f)
	err := r.engine.Ask(ctx, who.Scope, query.Question{
		Text: "find traces", Detail: f.detail(), Where: []match.Predicate{w.where}, Remote: who.Remote,
	}, func(ctx context.Context, q *query.Asking) error {
		var ids []string
		seen := map[string]bool{}
		err := q.Scan(ctx, store.ScanRequest{From: f.From, To: f.To, Where: w.where, Fields: w.fields, Order: store.Newest}, func(rs []record.Record) error {
			for i := range rs {
				v, _ := rs[i].Get("trace_id")
				if v.Str == "" || seen[v.Str] || !w.fits(&rs[i]) {
					continue
				}
				seen[v.Str] = true
				if ids = append(ids, v.Str); len(ids) == f.Limit {
					return errEnough
				}
			}
			return nil
		})
		if errors.Is(err, errEnough) {
			err = nil
		}
		if err = answer.note(err, len(ids) > 0); err == nil && len(ids) > 0 {
			err = then(ctx, q, ids, &answer)
		}
		answer.finish(q)
		return err
	})
	return answer, err
}

// wanted is what a span must be to be found.
type wanted struct {
	where  match.Predicate
	fields []string // that must be read; nil: all
	attrs  []fieldTest
}

// A fieldTest is one attribute that a span must have. What fields says of it the
// store knows as well; that an event has it is only seen in the event.
type fieldTest struct {
	fields match.Predicate
	event  func(*Event) bool
	link   func(*Link) bool // nil: links do not count
}

func newWanted(f *FindRequest) *wanted {
	w := &wanted{fields: []string{"trace_id"}}
	and := match.And{isSpan}
	any := func(field string, values []string) {
		if len(values) > 0 {
			and = append(and, match.In{Field: field, Values: values})
		}
	}
	any(schema.ServiceName, f.Services)
	any(schema.SpanName, f.Names)
	any(schema.SpanPeer, f.Peers)
	if f.Kind != "" {
		any(schema.SpanKind, []string{f.Kind})
	}
	if f.MinDuration > 0 || f.MaxDuration > 0 {
		and = append(and, match.Range{
			Field: schema.SpanDuration, Unit: match.Duration, Min: bound(f.MinDuration), Max: bound(f.MaxDuration),
		})
	}
	for _, a := range f.Attributes {
		w.attrs = append(w.attrs, attributeTest(a))
		within := func(field string) match.Predicate {
			return match.And{contained(field, a.Key), contained(field, a.Value)}
		}
		and = append(and, match.Or{attributeTest(a).fields, within(schema.SpanEvents), within(schema.SpanLinks)})
	}
	for _, key := range f.Has {
		w.attrs = append(w.attrs, presence(key))
		and = append(and, match.Or{presence(key).fields, contained(schema.SpanEvents, key)})
	}
	if len(w.attrs) > 0 {
		w.fields = nil
	}
	w.where = match.Simplify(and)
	return w
}

func bound(ns int64) match.Bound {
	return match.Bound{Set: ns > 0, Inclusive: true, IsInt: true, Int: ns, Float: float64(ns)}
}

// contained holds for spans one of whose events or links may hold the text. A text
// that JSON writes otherwise may be in any.
func contained(field, text string) match.Predicate {
	for _, c := range text {
		if c < ' ' || c == '"' || c == '\\' || c == '\uFFFD' {
			return match.Exists{Field: field}
		}
	}
	return match.Contains{Field: field, Value: text}
}

func attributeTest(a Attribute) fieldTest {
	or := match.Or{match.Eq{Field: a.Key, Value: a.Value}}
	for _, prefix := range []string{schema.ResourcePrefix, schema.AttributePrefix, schema.ScopePrefix} {
		or = append(or, match.Eq{Field: prefix + a.Key, Value: a.Value})
	}
	if a.Key == "error" {
		failed := match.Eq{Field: schema.SpanStatus, Value: "error"}
		switch a.Value {
		case "true":
			or = append(or, failed)
		case "false":
			or = append(or, match.Not{P: match.Or{failed, match.Exists{Field: "error"}}})
		}
	}
	if a.Key == "otel.status_code" {
		or = append(or, match.Eq{Field: schema.SpanStatus, Value: strings.ToLower(a.Value)})
	}
	is := func(x Attr) bool { return x.Key == a.Key && x.Value.Text() == a.Value }
	return fieldTest{
		fields: or,
		event: func(e *Event) bool {
			return a.Key == "event" && e.Name == a.Value || slices.ContainsFunc(e.Attributes, is)
		},
		link: func(l *Link) bool { return slices.ContainsFunc(l.Attributes, is) },
	}
}

// presence is what Zipkin asks for by a name alone: a tag of any value, or an
// annotation.
func presence(key string) fieldTest {
	or := match.Or{match.Exists{Field: key}, match.Exists{Field: schema.AttributePrefix + key}}
	if key == "error" {
		or = append(or, match.Eq{Field: schema.SpanStatus, Value: "error"})
	}
	return fieldTest{fields: or, event: func(e *Event) bool { return e.Name == key }}
}

// fits reports whether the attributes fit, which where only says of some.
func (w *wanted) fits(r *record.Record) bool {
	var events []Event
	var links []Link
	decoded := false
	for i := range w.attrs {
		t := &w.attrs[i]
		if match.Eval(t.fields, r) {
			continue
		}
		if !decoded {
			e, _ := r.Get(schema.SpanEvents)
			l, _ := r.Get(schema.SpanLinks)
			events, links, decoded = decodeEvents(e.Text()), decodeLinks(l.Text()), true
		}
		if !slices.ContainsFunc(events, func(e Event) bool { return t.event(&e) }) &&
			(t.link == nil || !slices.ContainsFunc(links, func(l Link) bool { return t.link(&l) })) {
			return false
		}
	}
	return true
}
