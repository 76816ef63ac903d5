package app

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/access"
	"github.com/meshtrail/meshtrail/internal/httpd"
	"github.com/meshtrail/meshtrail/internal/record"
)

// as returns a handler that answers by the real routes on behalf of a principal.
func (s *server) as(p *access.Principal) http.Handler {
	mux := http.NewServeMux()
	for _, route := range s.routes {
		mux.HandleFunc(route.Pattern, func(w http.ResponseWriter, r *http.Request) {
			if !p.May(route.Need) {
				http.Error(w, "denied", http.StatusForbidden)
				return
			}
			if err := route.Handle(w, r.WithContext(httpd.WithPrincipal(r.Context(), p))); err != nil {
				http.Error(w, err.Error(), http.StatusTeapot)
			}
		})
	}
	return mux
}

// TestNoRouteTellsOfOthers asks every reading route, in many ways, as two tenants
// whose records have nothing in common, one of them with and without the
// permission to read audit records: no answer has a word of the other tenant, nor
// one of an audit record that may not be read.
func TestNoRouteTellsOfOthers(t *testing.T) {
	s := opened(t)
	read := []access.Permission{access.LogsRead}
	alice := &access.Principal{Name: "alice", Tenant: "acme", Grants: read}
	auditor := &access.Principal{Name: "auditor", Tenant: "acme", Grants: append(read, access.AuditRead)}
	mallory := &access.Principal{Name: "mallory", Tenant: "umbrella", Grants: read}
	writer := &access.Principal{Name: "writer", Tenant: "acme", Grants: []access.Permission{access.LogsWrite}}
	now := time.Now()
	for i, p := range []*access.Principal{alice, mallory} {
		b := &record.Batch{Tenant: p.Tenant, Source: "test", Account: record.Account{Received: 20}}
		for k := range 20 {
			b.Begin(now.Add(-time.Duration(k)*time.Second).UnixNano(), "app")
			secret := fmt.Sprintf("%s-secret", p.Tenant)
			b.Str("service", secret)
			b.Str(string(p.Tenant)+"_secret_field", secret)
			b.Str("elastic.index", secret+"-index")
			b.Str("body", fmt.Sprintf("%s body=%s n=%d", secret, secret, i))
			b.End()
		}
		if err := s.store.Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	// An audit record of acme that has a word of its own.
	handlers := map[*access.Principal]http.Handler{}
	for _, p := range []*access.Principal{alice, auditor, mallory, writer} {
		handlers[p] = s.as(p)
	}
	handlers[alice].ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/api/v1/query?query="+url.QueryEscape(`{} |= "audited-secret"`), nil))

	from, to := fmt.Sprint(now.Add(-time.Hour).Unix()), fmt.Sprint(now.Add(time.Hour).Unix())
	common := url.Values{"start": {from}, "end": {to}, "from": {from}, "to": {to}, "time": {fmt.Sprint(now.Unix())}, "step": {"60"},
		"fields": {"*,service,message,class,audit.action,audit.query,umbrella_secret_field,acme_secret_field"}, "field": {"service"}, "limit": {"100"},
		"targetLabels": {"service,class"}, "run": {"true"}, "format": {"json"}, "formulas": {""}, "v": {"true"}, "include_defaults": {"true"}}
	queries := []string{"", "{}", `{class="audit"}`, `{class=~"aud.+"}`, `{class!="app"}`, `{} | class != "x"`, `sum by (service, class, audit_action) (count_over_time({}[1h]))`,
		`sum by (class) (count_over_time({class!="x"}[1h]))`, `{} | json | line_format "{{.class}} {{.audit_query}}"`, `topk(5, rate({} | logfmt [1h]))`}
	bodies := []string{"", `{"size":100}`, `{"query":{"term":{"class":"audit"}}}`, `{"query":{"bool":{"must_not":{"term":{"class":"app"}}}}}`,
		`{"query":{"query_string":{"query":"class:aud* OR class:*"}}}`, `{"size":0,"aggs":{"a":{"terms":{"field":"class"}},"b":{"terms":{"field":"service"}},"c":{"terms":{"field":"_index"}},"g":{"global":{},"aggs":{"x":{"terms":{"field":"audit.query"}}}},"h":{"filters":{"filters":{"x":{"wildcard":{"class":"a*"}}}},"aggs":{"t":{"top_hits":{}}}}}}`,
		`{"docs":[{"_index":"audit","_id":"x"}]}`, "{}\n{\"size\":100}\n{\"index\":\"audit\"}\n{}\n"}
	fill := strings.NewReplacer("{$}", "", "{index}", "*", "{name}", "service", "{fields}", "*", "{id}", "x", "{verb}", "_doc", "{what}", "x", "{namespace}", "x", "{group}", "x", "{metric}", "x")

	asked, told, audited := 0, map[string]bool{}, false
	ask := func(p *access.Principal, method, path string, v url.Values, body string) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if strings.HasSuffix(path, "/tail") {
			cancel() // nothing is committed meanwhile
			ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
		}
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, method, path+"?"+v.Encode(), strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handlers[p].ServeHTTP(w, r)
		asked++
		got := w.Body.String() + fmt.Sprint(w.Header())
		if strings.Contains(got, string(p.Tenant)+"-secret") {
			told[path] = true
		}
		audited = audited || p == auditor && strings.Contains(got, "audited-secret")
		for _, word := range []string{"acme", "umbrella", "audited-secret"} {
			mine := word == string(p.Tenant) || word == "audited-secret" && p == auditor
			if !mine && strings.Contains(strings.ReplaceAll(got, word+"_secret_field", ""), word) || word != string(p.Tenant) && strings.Contains(got, `"`+word+`_secret_field":{`) {
				t.Errorf("%s %s?%s %s tells %s of %s: %.2000s", method, path, v.Encode(), body, p.Name, word, got)
			}
		}
		if p == writer && w.Code == 200 {
			t.Errorf("%s %s is answered to one who may only write: %.200s", method, path, got)
		}
	}
	ask(auditor, "GET", "/loki/api/v1/query_range", url.Values{"query": {`{class="audit"} |= "audited"`}}, "")
	for _, route := range s.routes {
		if route.Need != access.LogsRead {
			continue
		}
		method, path, _ := strings.Cut(route.Pattern, " ")
		if strings.HasPrefix(path, "/elastic/") {
			continue // the same once more
		}
		path = fill.Replace(path)
		ask(writer, method, path, common, "")
		for _, p := range []*access.Principal{alice, mallory, auditor} {
			for _, q := range queries {
				v := url.Values{"query": {q}, "match[]": {q}}
				for k, x := range common {
					v[k] = x
				}
				ask(p, method, path, v, "")
			}
			if strings.HasPrefix(path, "/api/v1/") || strings.HasPrefix(path, "/loki/") || strings.HasPrefix(path, "/api/prom/") {
				continue
			}
			for _, b := range bodies {
				ask(p, method, path, url.Values{}, b)
				ask(p, method, strings.Replace(path, "*", "audit", 1), url.Values{}, b)
			}
		}
	}
	if len(told) < 35 || !audited {
		t.Errorf("of %d requests, only those to %d routes told of the asker's own records; of audit records: %v", asked, len(told), audited)
	}
}
