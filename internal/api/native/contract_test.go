package native

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/comply"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/ledger"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/query/querytest"
	"github.com/meshtrail/meshtrail/internal/receive/sources"
	words "github.com/meshtrail/meshtrail/internal/record"
	"github.com/meshtrail/meshtrail/internal/store"
	"github.com/meshtrail/meshtrail/internal/tail"
)

// elsewhere are the paths of the document that other rooms serve.
var elsewhere = []string{"GET /metrics", "GET /healthz", "GET /readyz", "POST /api/v1/relay", "POST /api/v1/ingest", "PUT /api/v1/ingest"}

// strict closes every object of the document that lists its properties, so that
// one that is not described fails.
func strict(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = strict(v[k])
		}
		if _, lists := v["properties"].(map[string]any); lists && v["type"] == "object" && v["additionalProperties"] == nil {
			v["additionalProperties"] = false
		}
	case []any:
		for i := range v {
			v[i] = strict(v[i])
		}
	}
	return v
}

func document(t *testing.T) *openapi3.T {
	t.Helper()
	var raw any
	if err := json.Unmarshal(openAPI, &raw); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(strict(raw))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(data)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !doc.IsOpenAPI31OrLater() {
		t.Fatal("the document is no OpenAPI 3.1")
	}
	return doc
}

// contract is every route of the package over a naive store, and the document.
type contract struct {
	t    *testing.T
	doc  *openapi3.T
	srv  *httptest.Server
	seen map[string]bool // operations that gave what they promise
}

func newContract(t *testing.T) (*contract, []httpd.Route, *querytest.Store) {
	t.Helper()
	s := &querytest.Store{}
	done := make(chan struct{})
	close(done) // tails end at once
	e, err := query.New(query.Options{Store: s, Audit: noAudit{}, Now: func() time.Time { return noon.Add(time.Minute) }})
	if err != nil {
		t.Fatal(err)
	}
	checkpoint := func() ledger.Checkpoint { return ledger.Checkpoint{Origin: "o", Note: []byte("note")} }
	routes := slices.Concat(OpenAPI(),
		Reading(ReadingOptions{Engine: e, Tail: tail.New(tail.Options{Store: s}), Done: done}),
		Admin(AdminOptions{
			Audit: noAudit{}, Seal: func(context.Context) error { return nil }, Checkpoint: checkpoint,
			Store: func() store.Status { return store.Status{} }, StoreOf: func(words.TenantID) store.Status { return store.Status{} },
			Sources: func() []store.SourceTotals {
				return []store.SourceTotals{{Tenant: "acme", Source: "s", Received: 3, Stored: 2, Dropped: []words.Count{{Name: "r", N: 1}}}}
			},
			Intake: func() []sources.Status {
				return []sources.Status{
					{Tenant: "acme", Source: "s", Receiver: "syslog", Lossy: true, Records: 3, Bytes: 30, Rejected: []words.Count{{Name: "queue_full", N: 1}}, First: noon, Last: noon, Lag: time.Second, MaxLag: time.Minute},
					{Tenant: "acme", Source: "quiet", Every: time.Minute, Silent: true, Since: noon},
					{Tenant: "other", Source: "secret"},
				}
			},
			Unparsed: func(tenant words.TenantID) []pipeline.Shape {
				return []pipeline.Shape{
					{Source: "s", Format: "text", Status: "none", Shape: "took 0ms", Count: 3, Over: 1, First: 1, Last: 2, Example: "took 12ms", Class: "app"},
					{Source: "s", Format: "text", Status: "none", Class: "audit", Example: "not for alice"},
				}
			},
		}),
		Policy(policyRoutes(e, noAudit{})),
		Reports(ReportOptions{Audit: noAudit{}, Now: time.Now, Inputs: func(context.Context, *access.Principal, string, time.Time, time.Time) (comply.Inputs, error) {
			return comply.Inputs{}, fault.Errorf(fault.Unavailable, "no report here")
		}}))
	mux := http.NewServeMux()
	for _, r := range routes {
		mux.HandleFunc(r.Pattern, func(w http.ResponseWriter, req *http.Request) {
			req = req.WithContext(httpd.WithPrincipal(req.Context(), &access.Principal{
				Name: "alice", Tenant: "acme", Grants: []access.Permission{access.LogsRead, access.Admin, access.Evidence},
			}))
			if err := r.Handle(w, req); err != nil {
				httpd.WriteError(w, req, err)
			}
		})
	}
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return &contract{t, document(t), srv, map[string]bool{}}, routes, s
}

// TestDocumentNamesEveryRoute, and no other.
func TestDocumentNamesEveryRoute(t *testing.T) {
	c, routes, _ := newContract(t)
	var served, named []string
	for _, r := range routes {
		served = append(served, r.Pattern)
	}
	for path, item := range c.doc.Paths.Map() {
		for method := range item.Operations() {
			named = append(named, method+" "+path)
		}
	}
	served = append(served, elsewhere...)
	slices.Sort(served)
	slices.Sort(named)
	if !slices.Equal(served, named) {
		t.Errorf("served %v\nnamed  %v", served, named)
	}
}

// ask sends a request that the document must allow, or with bad set refuse or at
// least not contradict, and holds the answer against it.
func (c *contract) ask(method, path string, want int, params ...string) {
	c.t.Helper()
	item := c.doc.Paths.Find(path)
	op := item.GetOperation(method)
	if op == nil {
		c.t.Errorf("%s %s is not in the document", method, path)
		return
	}
	form := url.Values{}
	for i := 0; i < len(params); i += 2 {
		form.Add(params[i], params[i+1])
		if method == "GET" && op.Parameters.GetByInAndName("query", params[i]) == nil {
			c.t.Errorf("%s %s: parameter %s is not in the document", method, path, params[i])
		}
	}
	newRequest := func() *http.Request {
		target, body := c.srv.URL+path, io.Reader(nil)
		if method == "GET" && len(form) > 0 {
			target += "?" + form.Encode()
		} else if op.RequestBody != nil {
			body = strings.NewReader(form.Encode())
		}
		req, err := http.NewRequestWithContext(c.t.Context(), method, target, body)
		if err != nil {
			c.t.Fatal(err)
		}
		if body != nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		return req
	}
	in := &openapi3filter.RequestValidationInput{
		Request: newRequest(), Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, SkipSettingDefaults: true},
		Route: &routers.Route{Spec: c.doc, Path: path, PathItem: item, Method: method, Operation: op},
	}
	if err := openapi3filter.ValidateRequest(c.t.Context(), in); (err != nil) != (want == 400) {
		c.t.Errorf("%s %s %v: the document says of the request: %v", method, path, form, err)
	}
	res, err := c.srv.Client().Do(newRequest())
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != want {
		c.t.Errorf("%s %s %v: %d %s, %v", method, path, form, res.StatusCode, body, err)
		return
	}
	if err := c.answer(in, res, body); err != nil {
		c.t.Errorf("%s %s %v: the document says of the answer: %v\n%s", method, path, form, err, body)
	}
	c.seen[method+" "+path] = true
}

// answer holds an answer against the document; one of many lines line by line.
func (c *contract) answer(in *openapi3filter.RequestValidationInput, res *http.Response, body []byte) error {
	kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: res.StatusCode, Header: res.Header, Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	if kind == "application/json" {
		out.SetBodyBytes(body)
		return openapi3filter.ValidateResponse(c.t.Context(), out)
	}
	described := in.Route.Operation.Responses.Status(res.StatusCode)
	if described == nil || described.Value.Content.Get(kind) == nil {
		return errors.New("content type " + kind + " is not described")
	}
	if kind != "application/x-ndjson" {
		return nil
	}
	for line := range bytes.Lines(body) {
		var v any
		if err := json.Unmarshal(line, &v); err != nil {
			return err
		}
		if err := described.Value.Content.Get(kind).Schema.Value.VisitJSON(v, openapi3.EnableJSONSchema2020()); err != nil {
			return err
		}
	}
	return nil
}

// TestContract asks every route, with every parameter that has a meaning of its
// own, and holds requests and answers against the document.
func TestContract(t *testing.T) {
	c, routes, s := newContract(t)
	odd(t, s)
	put(t, s, "a", "b", "timed out")
	both := func(path string, want int, params ...string) {
		t.Helper()
		c.ask("GET", path, want, params...)
		c.ask("POST", path, want, params...)
	}
	span := []string{"from", "2026-11-20T11:00:00Z", "to", "now", "query", "timed", "lang", "search"}
	with := func(more ...string) []string { return append(more, span...) }
	both("/api/v1/query", 200)
	both("/api/v1/query", 200, with("limit", "1", "order", "any", "fields", "n,body")...)
	both("/api/v1/query", 400, "limit", "-1")
	both("/api/v1/query", 400, "order", "best")
	both("/api/v1/query", 400, "lang", "sql")
	for _, format := range []string{"ndjson", "csv", "parquet"} {
		both("/api/v1/export", 200, with("format", format, "order", "newest", "formulas", "keep", "manifest", "trailer")...)
	}
	both("/api/v1/export", 200, "fields", "time,line,n")
	both("/api/v1/export", 400, "format", "xlsx")
	c.ask("GET", "/api/v1/tail", 200, "query", "{}", "lang", "logql", "rate", "5", "complete", "false")
	at := []string{"time", "2026-11-20T12:00:00.000000001Z", "ord", "1048577"}
	c.ask("GET", "/api/v1/context", 200, append(at, "before", "1", "after", "2", "window", "1h")...)
	c.ask("GET", "/api/v1/context", 200, append(at, "class", "app")...)
	c.ask("GET", "/api/v1/context", 404, "time", "now", "ord", "1")
	c.ask("GET", "/api/v1/context", 400)
	c.ask("GET", "/api/v1/context", 400, append(at, "before", "1001")...)
	c.ask("GET", "/api/v1/histogram", 200, with("by", "n", "groups", "1", "buckets", "3")...)
	c.ask("GET", "/api/v1/histogram", 200, "step", "1m", "by", "body", "groups", "1")
	c.ask("GET", "/api/v1/facets", 200, with("fields", "n,ratio,absent", "limit", "1", "stats", "true")...)
	c.ask("GET", "/api/v1/facets", 200, "fields", "body")
	c.ask("GET", "/api/v1/facets", 400)
	c.ask("GET", "/api/v1/facets", 400, "fields", "n", "limit", "1001")
	c.ask("GET", "/api/v1/fields", 200, "from", "-1h", "to", "now")
	c.ask("GET", "/api/v1/consistency", 200, "from", "-1h", "to", "now")
	c.ask("GET", "/api/v1/schema", 200)
	c.ask("GET", "/api/v1/values", 200, with("field", "n", "limit", "1")...)
	c.ask("GET", "/api/v1/values", 400)
	both("/api/v1/metric", 200, "query", `sum by (n) (rate({}[1m]))`, "from", "-5m", "to", "now", "step", "1m", "lang", "logql")
	both("/api/v1/metric", 200, "query", `sum by (n) (rate({}[1m]))`, "time", "now")
	both("/api/v1/metric", 200, "query", `1`, "time", "now")
	both("/api/v1/metric", 400)
	both("/api/v1/explain", 200, with("run", "true")...)
	both("/api/v1/explain", 200, "query", `rate({} | json | line_format "x" [1m])`)
	both("/api/v1/explain", 400, "query", "x", "lang", "sql")
	both("/api/v1/format", 200, "query", `rate({}[1m])`, "pretty", "true", "lang", "logql")
	both("/api/v1/lint", 200, "query", `{} |~ ".*a.*"`, "lang", "logql")
	both("/api/v1/lint", 200, "query", `{`)
	putTrace(t, s)
	c.trace("a", 200)
	c.policy()
	c.ask("GET", "/api/openapi.json", 200)
	c.ask("GET", "/api/v1/status", 200)
	c.ask("GET", "/api/v1/sources", 200)
	c.ask("GET", "/api/v1/unparsed", 200)
	c.ask("POST", "/api/v1/seal", 200)
	c.ask("GET", "/api/v1/reports/soc2", 503, "format", "json", "from", "-1h", "to", "now")
	for _, r := range routes {
		if !c.seen[r.Pattern] {
			t.Errorf("%s was not asked", r.Pattern)
		}
	}
	t.Log(slices.Sorted(maps.Keys(c.seen)))
}

// TestContractBites: a document that lacks a property of an answer, or a
// parameter, is found out.
func TestContractBites(t *testing.T) {
	c, _, s := newContract(t)
	put(t, s, "a")
	facet := c.doc.Components.Schemas["Facet"].Value
	delete(facet.Properties, "tooMany")
	res, err := c.srv.Client().Get(c.srv.URL + "/api/v1/facets?fields=n")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	item := c.doc.Paths.Find("/api/v1/facets")
	in := &openapi3filter.RequestValidationInput{Request: res.Request, Route: &routers.Route{Spec: c.doc, Path: "/api/v1/facets", PathItem: item, Method: "GET", Operation: item.Get}}
	if err := c.answer(in, res, body); err == nil {
		t.Error("an answer with a property that is not described passes")
	}
}
