package native

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/meshtrail/meshtrail/internal/query/querytest"
	words "github.com/meshtrail/meshtrail/internal/record"
)

// putTrace stores a span, a log record of its trace, and one that only names the
// same request.
func putTrace(t *testing.T, s *querytest.Store) {
	t.Helper()
	b := words.Batch{Tenant: "acme", Source: "s"}
	add := func(offset int64, pairs ...string) {
		b.Begin(noon.UnixNano()+offset, "app")
		for i := 0; i < len(pairs); i += 2 {
			b.Str(pairs[i], pairs[i+1])
		}
		if pairs[0] == "record.kind" {
			b.Int("mesh.duration_ns", 250)
		}
		b.End()
	}
	add(0, "record.kind", "span", "trace_id", "0000000000000000000000000000000a", "span_id", "000000000000000b", "span.name", "GET /", "span.kind", "server",
		"span.status", "error", "span.status_message", "boom", "service.name", "web", "span.resource", "service.name", "http.route", "/",
		"span.events", `[{"time":1763640000000000000,"name":"retry","attributes":{"n":2}}]`,
		"span.links", `[{"traceId":"0000000000000000000000000000000c","spanId":"000000000000000d"}]`, "http.request.header.x-request-id", "req-12345")
	add(1, "body", "of the trace", "trace_id", "0000000000000000000000000000000a")
	add(2, "body", "of the request", "http.request.header.x-request-id", "req-12345")
	add(3, "body", "of another", "trace_id", "0000000000000000000000000000000e")
	if err := s.Append(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
}

// trace asks for a trace, which has its id in its path, and holds the answer
// against the document.
func (c *contract) trace(id string, want int) string {
	c.t.Helper()
	const path = "/api/v1/trace/{id}"
	req, err := http.NewRequestWithContext(c.t.Context(), "GET", c.srv.URL+strings.Replace(path, "{id}", id, 1)+"?from=-1h&to=now", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	item := c.doc.Paths.Find(path)
	in := &openapi3filter.RequestValidationInput{
		Request: req, PathParams: map[string]string{"id": id}, Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
		Route: &routers.Route{Spec: c.doc, Path: path, PathItem: item, Method: "GET", Operation: item.Get},
	}
	if err := openapi3filter.ValidateRequest(c.t.Context(), in); err != nil {
		c.t.Errorf("the document says of the request: %v", err)
	}
	res, err := c.srv.Client().Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != want {
		c.t.Fatalf("%s: %d %s, %v", id, res.StatusCode, body, err)
	}
	if err := c.answer(in, res, body); err != nil {
		c.t.Errorf("%s: the document says of the answer: %v\n%s", id, err, body)
	}
	c.seen["GET "+path] = true
	return string(body)
}

// TestTrace asks by a trace id in its forms, and by the id of a request.
func TestTrace(t *testing.T) {
	c, _, s := newContract(t)
	putTrace(t, s)
	for _, id := range []string{"a", "000000000000000A", "0000000000000000000000000000000a", "req-12345"} {
		var got struct {
			TraceID  string `json:"traceId"`
			Spans    []any  `json:"spans"`
			Records  []struct{ Line string }
			Requests []string `json:"requestIds"`
		}
		if err := json.Unmarshal([]byte(c.trace(id, 200)), &got); err != nil {
			t.Fatal(err)
		}
		if got.TraceID != "0000000000000000000000000000000a" || len(got.Spans) != 1 || len(got.Requests) != 1 || len(got.Records) != 2 ||
			got.Records[0].Line != "of the trace" || got.Records[1].Line != "of the request" {
			t.Errorf("%s: %+v", id, got)
		}
	}
	if got := c.trace("ffff", 200); !strings.HasPrefix(got, `{"traceId":"","spans":[],"records":[],"requestIds":[],"partial":false`) {
		t.Error(got)
	}
	c.trace("no%20id", 400)
}
