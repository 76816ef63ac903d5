package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	elasticsearch "github.com/elastic/go-elasticsearch/v8"
	"github.com/elastic/go-elasticsearch/v8/esapi"
	"github.com/meshtrail/meshtrail/e2e/harness"
)

// TestElasticsearchClient lets the official client write and search, through the
// real binary, before and after the records are sealed.
func TestElasticsearchClient(t *testing.T) {
	s := harness.Serve(t, harness.Init(t))
	defer s.Stop()
	for _, prefix := range []string{"", "/elastic"} {
		es, err := elasticsearch.NewClient(elasticsearch.Config{
			Addresses: []string{s.Base + prefix}, Username: "anyone", Password: s.Token,
		})
		if err != nil {
			t.Fatal(err)
		}
		elasticSession(t, s, es, "logs-"+strings.Trim(prefix+"x", "/"))
	}
}

func elasticSession(t *testing.T, s *harness.Server, es *elasticsearch.Client, index string) {
	ok := func(res *esapi.Response, err error) map[string]any {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var out map[string]any
		if res.IsError() {
			t.Fatal(res.String())
		}
		if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	ok(es.Info())
	var body strings.Builder
	for i := range 50 {
		fmt.Fprintf(&body, "{\"create\":{\"_id\":\"id-%d\"}}\n{\"@timestamp\":\"2026-11-20T12:%02d:00.%03dZ\",\"message\":\"request %d timed out\",\"service\":\"s%d\",\"status\":%d}\n", i, i, i, i, i%3, 200+i%2*300)
	}
	if out := ok(es.Bulk(strings.NewReader(body.String()), es.Bulk.WithIndex(index))); out["errors"] != false {
		t.Fatal(out)
	}
	if res, err := es.Indices.Exists([]string{index}); err != nil || res.StatusCode != 200 {
		t.Errorf("exists: %v %v", res, err)
	}
	if res, err := es.Indices.Exists([]string{index + "-not"}); err != nil || res.StatusCode != 404 {
		t.Errorf("exists not: %v %v", res, err)
	}
	look := func() (ids []string, aggregations string) {
		t.Helper()
		out := ok(es.Search(es.Search.WithIndex(index), es.Search.WithSize(100), es.Search.WithBody(strings.NewReader(
			`{"query":{"bool":{"must":{"match":{"message":"TIMED out"}},"filter":{"term":{"status":500}}}},"sort":["@timestamp"],
			"aggs":{"s":{"terms":{"field":"service"},"aggs":{"h":{"date_histogram":{"field":"@timestamp","fixed_interval":"10m"},"aggs":{"m":{"stats":{"field":"status"}}}}}},"p":{"percentiles":{"field":"status"}}}}`))))
		for _, h := range out["hits"].(map[string]any)["hits"].([]any) {
			ids = append(ids, h.(map[string]any)["_id"].(string))
		}
		b, _ := json.Marshal(out["aggregations"]) // it was just read
		return ids, string(b)
	}
	ids, aggregations := look()
	if len(ids) != 25 {
		t.Fatalf("%d hits", len(ids))
	}
	pit := ok(es.OpenPointInTime([]string{index}, "1m"))["id"].(string)
	s.Must("POST", "/api/v1/seal", nil, nil)
	for range 2 { // the second time it is a repetition
		ok(es.Bulk(strings.NewReader(strings.ReplaceAll(body.String(), `"id-`, `"more-`)), es.Bulk.WithIndex(index)))
	}
	out := ok(es.Search(es.Search.WithSize(100), es.Search.WithBody(strings.NewReader(`{"pit":{"id":"`+pit+`"},"aggs":{"n":{"value_count":{"field":"status"}}}}`))))
	if n := len(out["hits"].(map[string]any)["hits"].([]any)); n != 50 {
		t.Errorf("the point in time has %d records", n)
	}
	if got := ok(es.Get(index, ids[7])); got["found"] != true {
		t.Errorf("an _id is gone after the seal: %v", got)
	}
	if got := ok(es.Get(index, "id-7")); got["found"] != true {
		t.Errorf("a given _id is not found: %v", got)
	}
	again, _ := look()
	if n := 0; len(again) != 50 || slices.ContainsFunc(ids, func(id string) bool { n++; return !slices.Contains(again, id) }) {
		t.Errorf("of %d identities some changed; now there are %d", len(ids), len(again))
	}
	if !strings.Contains(aggregations, `"sum_other_doc_count":0`) {
		t.Errorf("aggregations: %s", aggregations)
	}
}
