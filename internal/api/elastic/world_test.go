package elastic

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/audit"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/query/querytest"
	"github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
)

var base = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

type acts struct {
	mu  sync.Mutex
	err error
	all []audit.Act
}

func (a *acts) Record(_ context.Context, act audit.Act) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, act)
	return a.err
}

func (a *acts) last() audit.Act {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all[len(a.all)-1]
}

// A world serves the routes as httpd does, without its listener.
type world struct {
	t       testing.TB
	store   *querytest.Store
	audit   *acts
	handler http.Handler
	grants  []access.Permission
	ord     uint64
	clock   time.Time
}

func newWorld(t testing.TB) *world { return newLimited(t, query.Limits{}) }

func newLimited(t testing.TB, limits query.Limits) *world {
	t.Helper()
	w := &world{t: t, store: &querytest.Store{}, audit: &acts{}, grants: []access.Permission{access.LogsRead}, clock: base.Add(time.Hour)}
	w.store.Watch(func(c *store.Commit) { w.ord = c.Batch.Ord + uint64(c.Batch.Len()) })
	e, err := query.New(query.Options{Store: w.store, Audit: w.audit, Limits: limits, Now: func() time.Time { return w.clock }})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for _, r := range New(Options{Engine: e, Horizon: func() uint64 { return w.ord }}).Routes() {
		if r.Need != access.LogsRead || r.Fail == nil {
			t.Errorf("route %s needs %q, or has no form of errors", r.Pattern, r.Need)
		}
		mux.HandleFunc(r.Pattern, func(rw http.ResponseWriter, req *http.Request) {
			req = req.WithContext(httpd.WithPrincipal(req.Context(), &access.Principal{Name: "alice", Tenant: "acme", Grants: w.grants}))
			if err := r.Handle(rw, req); err != nil {
				r.Fail(rw, req, err)
			}
		})
	}
	mux.HandleFunc("GET /{$}", func(rw http.ResponseWriter, _ *http.Request) { // of receive/elastic
		rw.Header().Set("X-Elastic-Product", "Elasticsearch")
		rw.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(rw, `{"name":"meshtrail","cluster_name":"meshtrail","version":{"number":"8.17.0","build_flavor":"default"},"tagline":"You Know, for Search"}`)
	})
	w.handler = mux
	return w
}

// add keeps records: each a time, a class and fields.
func (w *world) add(records ...record.Record) {
	w.t.Helper()
	b := &record.Batch{Tenant: "acme"}
	for _, r := range records {
		b.Begin(r.Time, r.Class)
		for _, f := range r.Fields {
			switch f.Value.Kind {
			case record.Int:
				b.Int(f.Name, f.Value.Int)
			case record.Float:
				b.Float(f.Name, f.Value.Flt)
			case record.Bool:
				b.Bool(f.Name, f.Value.Int != 0)
			default:
				b.Str(f.Name, f.Value.Str)
			}
		}
		b.End()
	}
	if err := w.store.Append(context.Background(), b); err != nil {
		w.t.Fatal(err)
	}
}

// rec makes a record at base+at.
func rec(at time.Duration, fields ...any) record.Record {
	r := record.Record{Time: base.Add(at).UnixNano(), Class: "app"}
	for i := 0; i < len(fields); i += 2 {
		var v record.Value
		switch x := fields[i+1].(type) {
		case int:
			v = record.IntValue(int64(x))
		case float64:
			v = record.FloatValue(x)
		case bool:
			v = record.BoolValue(x)
		case string:
			v = record.StringValue(x)
		}
		r.Fields = append(r.Fields, record.Field{Name: fields[i].(string), Value: v})
	}
	return r
}

// raw asks and returns the whole answer.
func (w *world) raw(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return rec
}

// do asks and returns the status and the answer, whose took is 0.
func (w *world) do(method, path, body string) (int, map[string]any) {
	w.t.Helper()
	rec := w.raw(method, path, body)
	var out map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
		w.t.Fatalf("%s %s: %d, no JSON: %v\n%s", method, path, rec.Code, err, rec.Body)
	}
	delete(out, "took")
	return rec.Code, out
}

// ok asks for what must be answered with 200.
func (w *world) ok(method, path, body string) map[string]any {
	w.t.Helper()
	code, out := w.do(method, path, body)
	if code != 200 {
		w.t.Fatalf("%s %s %s: %d %v", method, path, body, code, out)
	}
	return out
}

// at finds a value in an answer by its keys and indices.
func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			o, _ := v.(map[string]any)
			v = o[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

func js(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
	return strings.TrimSpace(b.String())
}
