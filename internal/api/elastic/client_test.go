package elastic

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	elasticsearch "github.com/elastic/go-elasticsearch/v8"
	"github.com/elastic/go-elasticsearch/v8/esapi"
)

// TestOfficialClient is a session of the official client. It is of a version
// before the typed API, whose thousands of files take minutes to compile; what it
// sends and what it insists on (the product header) is the same.
func TestOfficialClient(t *testing.T) {
	w := newWorld(t)
	some(w)
	srv := httptest.NewServer(w.handler)
	defer srv.Close()
	for _, prefix := range []string{"", "/elastic"} {
		es, err := elasticsearch.NewClient(elasticsearch.Config{Addresses: []string{srv.URL + prefix}})
		if err != nil {
			t.Fatal(err)
		}
		s := &session{t: t, es: es}
		if prefix == "" { // under the prefix receive/elastic has the place
			s.exists()
		}
		s.search()
		s.catalogue()
		s.pages()
	}
}

type session struct {
	t  *testing.T
	es *elasticsearch.Client
}

// ok takes an answer that must be one.
func (s *session) ok(res *esapi.Response, err error) map[string]any {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.IsError() {
		s.t.Fatal(res.String())
	}
	var out any
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		s.t.Fatal(err)
	}
	o, _ := out.(map[string]any)
	if o == nil {
		o = map[string]any{"list": out}
	}
	return o
}

func (s *session) want(what string, got, want any) {
	s.t.Helper()
	if js(got) != js(want) {
		s.t.Errorf("%s: %s, want %s", what, js(got), js(want))
	}
}

func (s *session) exists() {
	for name, want := range map[string]int{"web-1": 200, "app": 200, "nope": 404} {
		res, err := s.es.Indices.Exists([]string{name})
		if err != nil {
			s.t.Fatal(err)
		}
		s.want("exists "+name, res.StatusCode, want)
	}
}

func (s *session) search() {
	es := s.es
	out := s.ok(es.Search(es.Search.WithIndex("web-*"), es.Search.WithTrackTotalHits(true), es.Search.WithFilterPath("hits", "aggregations"),
		es.Search.WithBody(strings.NewReader(`{"size":1,"query":{"bool":{"filter":{"range":{"@timestamp":{"gte":"now-2h"}}},"must":{"match":{"message":"get"}}}},"sort":[{"@timestamp":"desc"}],"aggs":{"by":{"terms":{"field":"svc.keyword"},"aggs":{"avg":{"avg":{"field":"took"}}}}}}`))))
	s.want("index", at(out, "hits", "hits", 0, "_index"), "web-2")
	s.want("total", at(out, "hits", "total", "value"), 2)
	s.want("average", at(out, "aggregations", "by", "buckets", 0, "avg", "value"), 12.5)
	s.want("filter_path", out["took"], nil)
	s.want("count", s.ok(es.Count(es.Count.WithIndex("app")))["count"], 3)
	multi := s.ok(es.Msearch(strings.NewReader("{\"index\":\"web-1\"}\n{}\n{\"index\":[\"nope\"]}\n{}\n")))
	s.want("first", at(multi, "responses", 0, "hits", "total", "value"), 1)
	s.want("second", at(multi, "responses", 1, "error", "type"), "index_not_found_exception")
	got := s.ok(es.Get("web-1", "mine"))
	s.want("found", got["found"], true)
	res, err := es.Get("web-1", "other")
	if err != nil {
		s.t.Fatal(err)
	}
	s.want("get of nothing", res.StatusCode, 404)
	s.want("mget", at(s.ok(es.Mget(strings.NewReader(`{"ids":["mine","no"]}`), es.Mget.WithIndex("web-1"))), "docs", 1, "found"), false)
	res, err = es.Search(es.Search.WithIndex("nope"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.want("missing index", res.StatusCode, 404)
}

func (s *session) catalogue() {
	es := s.es
	s.want("field caps", at(s.ok(es.FieldCaps(es.FieldCaps.WithFields("@timestamp", "co*"))), "fields", "code", "long", "aggregatable"), true)
	s.want("mapping", at(s.ok(es.Indices.GetMapping(es.Indices.GetMapping.WithIndex("web-1"))), "web-1", "mappings", "properties", "@timestamp", "type"), "date")
	s.want("cat", at(s.ok(es.Cat.Indices(es.Cat.Indices.WithFormat("json"), es.Cat.Indices.WithH("index", "docs.count"))), "list", 2, "docs.count"), "1")
	s.want("resolve", at(s.ok(es.Indices.ResolveIndex([]string{"web*"})), "indices", 1, "name"), "web-2")
	s.want("validate", s.ok(es.Indices.ValidateQuery(es.Indices.ValidateQuery.WithQuery("svc:cart")))["valid"], true)
	s.ok(es.Indices.Refresh())
	s.ok(es.Indices.GetSettings())
	s.ok(es.Indices.GetAlias())
	s.ok(es.Cluster.GetSettings())
}

func (s *session) pages() {
	es := s.es
	pit := s.ok(es.OpenPointInTime([]string{"web-*", "app"}, "1m"))["id"].(string)
	n, after := 0, ""
	for {
		out := s.ok(es.Search(es.Search.WithBody(strings.NewReader(`{"size":2,"pit":{"id":"` + pit + `","keep_alive":"1m"}` + after + `}`))))
		hits := at(out, "hits", "hits").([]any)
		if len(hits) == 0 {
			break
		}
		n += len(hits)
		after = `,"search_after":` + js(at(hits[len(hits)-1], "sort"))
	}
	s.want("point in time", n, 3)
	s.want("freed", s.ok(es.ClosePointInTime(es.ClosePointInTime.WithBody(strings.NewReader(`{"id":"` + pit + `"}`))))["num_freed"], 1)
	res, err := es.Search(es.Search.WithBody(strings.NewReader(`{"pit":{"id":"` + pit + `"}}`)))
	if err != nil {
		s.t.Fatal(err)
	}
	s.want("a closed point in time", res.StatusCode, 404)
	out := s.ok(es.Search(es.Search.WithScroll(60e9), es.Search.WithSize(2)))
	id := out["_scroll_id"].(string)
	s.want("second page", len(at(s.ok(es.Scroll(es.Scroll.WithScrollID(id), es.Scroll.WithScroll(60e9))), "hits", "hits").([]any)), 1)
	s.want("cleared", s.ok(es.ClearScroll(es.ClearScroll.WithScrollID(id)))["num_freed"], 1)
}
