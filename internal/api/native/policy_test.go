package native

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/audit"
	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/policy"
	"github.com/meshtrail/meshtrail/internal/query"
	words "github.com/meshtrail/meshtrail/internal/record"
)

// policyRoutes are those of a server with a vault of one token.
func policyRoutes(e *query.Engine, rec audit.Recorder) PolicyOptions {
	return PolicyOptions{
		Audit: rec, Engine: e, Now: func() time.Time { return noon.Add(time.Minute) },
		Document: func() *policy.Document {
			t, err := policy.NewTrial(policy.Config{Owner: "security"})
			if err != nil {
				panic(err)
			}
			return t.Document(policy.Readers{Logs: []string{"reader"}})
		},
		Parse: func(data []byte) (policy.Config, error) {
			if strings.Contains(string(data), "wrong") {
				return policy.Config{}, fault.Errorf(fault.Invalid, "wrong")
			}
			return policy.Config{Rules: []policy.Rule{
				{ID: "drop", Why: "noise", When: []policy.Condition{{Field: "body", Is: "noise"}}, Drop: true},
				{ID: "mask", Mask: &policy.Mask{Detect: []string{"email"}}},
			}}, nil
		},
		Reveal: func(tenant words.TenantID, token string) (string, error) {
			if tenant == "acme" && token == "tok_known" {
				return "ann@example.org", nil
			}
			return "", fault.Errorf(fault.NotFound, "no such token")
		},
	}
}

// post sends a body of a type and holds request and answer against the document.
func (c *contract) post(path, params, kind, body string, want int) string {
	c.t.Helper()
	item := c.doc.Paths.Find(path)
	newRequest := func() *http.Request {
		req, err := http.NewRequestWithContext(c.t.Context(), "POST", c.srv.URL+path+params, strings.NewReader(body))
		if err != nil {
			c.t.Fatal(err)
		}
		req.Header.Set("Content-Type", kind)
		return req
	}
	in := &openapi3filter.RequestValidationInput{
		Request: newRequest(), Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, SkipSettingDefaults: true, ExcludeRequestBody: kind != "application/json"},
		Route: &routers.Route{Spec: c.doc, Path: path, PathItem: item, Method: "POST", Operation: item.Post},
	}
	if err := openapi3filter.ValidateRequest(c.t.Context(), in); err != nil && want/100 == 2 {
		c.t.Errorf("%s: the document says of the request: %v", path, err)
	}
	res, err := c.srv.Client().Do(newRequest())
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	var b strings.Builder
	if err := res.Write(&b); err != nil {
		c.t.Fatal(err)
	}
	_, answer, _ := strings.Cut(b.String(), "\r\n\r\n")
	if res.StatusCode != want {
		c.t.Errorf("%s %s: %d %s", path, body, res.StatusCode, answer)
	}
	if err := c.answer(in, res, []byte(answer)); err != nil {
		c.t.Errorf("%s: the document says of the answer: %v\n%s", path, err, answer)
	}
	c.seen["POST "+path] = true
	return answer
}

// policy asks the routes of the policy.
func (c *contract) policy() {
	c.t.Helper()
	c.ask("GET", "/api/v1/policy", 200)
	c.ask("GET", "/api/v1/policy", 200, "format", "markdown")
	c.ask("GET", "/api/v1/policy", 400, "format", "pdf")
	c.post("/api/v1/policy/dry-run", "?from=-1h&to=now&limit=10", "application/yaml", "policy:", 200)
	c.post("/api/v1/policy/dry-run", "", "application/yaml", "wrong", 400)
	c.post("/api/v1/policy/dry-run", "?from=-30d", "application/yaml", "policy:", 400)
	c.post("/api/v1/policy/dry-run", "?limit=0", "application/yaml", "policy:", 400)
	c.post("/api/v1/tokens/reveal", "", "application/json", `{"tokens":["tok_known","tok_other"],"reason":"case 7"}`, 200)
	c.post("/api/v1/tokens/reveal", "", "application/json", `{"tokens":["tok_known"]}`, 400)
	c.post("/api/v1/tokens/reveal", "", "application/json", `{"tokens":[],"reason":"x"}`, 400)
	c.post("/api/v1/tokens/reveal", "", "application/json", `{`, 400)
}

// TestDryRun: what is stored is counted and shown, and nothing of it is changed.
func TestDryRun(t *testing.T) {
	c, _, s := newContract(t)
	put(t, s, "noise", "to ann@example.org", "other")
	got := c.post("/api/v1/policy/dry-run", "?from=2026-11-20T11:00:00Z", "application/yaml", "policy:", 200)
	for _, want := range []string{`"records":3`, `"dropped":1`, `"before":"to ann@example.org","after":"to ***************"`, "have been through the policy in force", `"why":"noise"`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
}

type acts struct {
	list []audit.Act
	err  error
}

func (a *acts) Record(_ context.Context, act audit.Act) error {
	a.list = append(a.list, act)
	return a.err
}

// TestRevealOnRecord: each token is an act, which does not hold the value; without
// the record there is no answer.
func TestRevealOnRecord(t *testing.T) {
	rec := &acts{}
	p := policies{o: policyRoutes(nil, rec)}
	ask := func() (string, error) {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(httpd.WithPrincipal(t.Context(), &access.Principal{Name: "keeper", Tenant: "acme", Grants: []access.Permission{access.Reveal}}),
			"POST", "/api/v1/tokens/reveal", strings.NewReader(`{"tokens":["tok_known","tok_other"],"reason":"case 7"}`))
		err := p.reveal(w, r)
		return w.Body.String(), err
	}
	if got, err := ask(); err != nil || !strings.Contains(got, `{"token":"tok_known","found":true,"value":"ann@example.org"},{"token":"tok_other","found":false}`) {
		t.Errorf("%s, %v", got, err)
	}
	if len(rec.list) != 2 || rec.list[0].Action != "tokens.reveal" || rec.list[0].Detail["token"] != "tok_known" || rec.list[0].Detail["reason"] != "case 7" || rec.list[1].Detail["found"] != "false" {
		t.Errorf("on record: %+v", rec.list)
	}
	for _, act := range rec.list {
		for _, v := range act.Detail {
			if strings.Contains(v, "ann@") {
				t.Error("the record holds the value")
			}
		}
	}
	rec.err = fault.Errorf(fault.Unavailable, "the disk is full")
	if got, err := ask(); !fault.Is(err, fault.Unavailable) || got != "" {
		t.Errorf("without a record: %q, %v", got, err)
	}
}
