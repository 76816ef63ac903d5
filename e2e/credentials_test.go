package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/e2e/harness"
	"github.com/meshtrail/meshtrail/internal/identity"
)

// TestCredentials: what a token's entry declares and allows, through the real
// binary.
func TestCredentials(t *testing.T) {
	data := harness.Init(t)
	tokens := map[string]string{}
	config := "\ntokens:\n"
	for name, more := range map[string]string{
		"ship": "role: sender, source: edge, class: security, platform: envoy", "slow": "role: sender, records_per_second: 1", "watch": "role: monitor",
	} {
		tokens[name] = identity.NewToken()
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(identity.Hash(tokens[name])), 0o600); err != nil {
			t.Fatal(err)
		}
		config += fmt.Sprintf("  - {name: %s, file: %s, %s}\n", name, file, more)
	}
	if err := os.WriteFile(filepath.Join(data, "meshtrail.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s := harness.Serve(t, data)
	defer s.Stop()
	do := func(who, method, path, body string, want int) (http.Header, string) {
		t.Helper()
		header := map[string]string{"Authorization": "Bearer " + tokens[who], "Content-Type": "application/json"}
		r, err := http.NewRequest(method, s.Base+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range header {
			r.Header.Set(k, v)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var b bytes.Buffer
		if _, err := b.ReadFrom(resp.Body); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != want {
			t.Errorf("%s: %s %s: %d %.300s, want %d", who, method, path, resp.StatusCode, b.String(), want)
		}
		return resp.Header, b.String()
	}
	const ok = 200
	// What Logstash calls as it starts, with lifecycle management (apis of
	// logstash-output-elasticsearch: pool.rb, http_client.rb, ilm.rb), and what it
	// calls when it starts again.
	alias, index, bulk := "/logstash", "/%3Clogstash-%7Bnow%2Fd%7D-000001%3E", "{\"index\":{\"_index\":\"logstash\"}}\n{\"message\":\"m\"}\n"
	for _, prefix := range []string{"", "/elastic"} {
		call := func(method, path, body string, want int) { t.Helper(); do("ship", method, prefix+path, body, want) }
		call("HEAD", "/", "", ok)
		call("GET", "/", "", ok)
		call("GET", "/_license", "", ok)
		call("GET", "/_xpack", "", ok)
		if prefix == "" {
			call("HEAD", "/_index_template/ecs-logstash", "", 404)
			call("HEAD", alias, "", 404)
			call("HEAD", "/_ilm/policy/logstash-policy", "", 404)
		}
		call("PUT", "/_index_template/ecs-logstash", "{}", ok)
		call("GET", "/_ilm/policy/logstash-policy", "", map[string]int{"": 404, "/elastic": ok}[prefix])
		call("PUT", "/_ilm/policy/logstash-policy", `{"policy":{}}`, ok)
		call("PUT", index, `{"aliases":{"logstash":{"is_write_index":true}}}`, ok)
		call("POST", "/_bulk", bulk, ok)
		call("HEAD", "/_index_template/ecs-logstash", "", ok)
		call("HEAD", alias, "", ok)
		call("HEAD", "/_alias/logstash", "", ok)
		call("HEAD", "/other", "", 404)
		// Filebeat's.
		call("GET", "/_license?human=false", "", ok)
		call("PUT", "/_ilm/policy/filebeat", "{}", ok)
		call("PUT", "/_index_template/filebeat-8.17.0", "{}", ok)
		call("HEAD", "/_index_template/filebeat-8.17.0", "", ok)
		call("GET", "/_data_stream/filebeat-8.17.0", "", map[string]int{"": 404, "/elastic": ok}[prefix])
		call("PUT", "/_data_stream/filebeat-8.17.0", "", ok)
		call("HEAD", "/_data_stream/filebeat-8.17.0", "", ok)
		call("GET", "/_nodes/ingest", "", ok)
		call("GET", "/_cat/templates/filebeat-8.17.0", "", ok)
		call("PUT", "/_ingest/pipeline/filebeat-x", "{}", ok)
		// What it may not: to read.
		call("GET", alias, "", 403)
		call("GET", "/logstash/_mapping", "", 403)
		call("GET", "/logstash/_search", "", 403)
		call("HEAD", "/metrics", "", map[string]int{"": 403, "/elastic": 404}[prefix])
	}
	do("watch", "GET", "/metrics", "", ok)
	for _, path := range []string{"/", "/logstash", "/api/v1/sources", "/loki/api/v1/labels"} {
		do("watch", "GET", path, "", 403)
	}
	do("watch", "HEAD", alias, "", 403)
	do("watch", "POST", "/_bulk", bulk, 403)
	do("ship", "GET", "/metrics", "", 403)
	// Who may read is answered of what is stored.
	if code, _, err := s.Request("HEAD", alias, nil, nil); err != nil || code != ok {
		t.Errorf("a reader: %d %v", code, err)
	}
	out := string(s.Must("GET", "/api/v1/sources", nil, nil))
	if !strings.Contains(out, `"elastic/edge"`) || strings.Contains(out, `"elastic/ship"`) {
		t.Errorf("sources: %s", out)
	}

	// Over the rate: told when to come again.
	do("slow", "POST", "/api/v1/ingest", strings.Repeat("{\"message\":\"m\"}\n", 30), ok)
	header, _ := do("slow", "POST", "/loki/api/v1/push", `{"streams":[{"stream":{"a":"b"},"values":[["1763724000000000000","x"]]}]}`, 503)
	if after := header.Get("Retry-After"); len(after) != 2 { // about 29 s
		t.Errorf("Retry-After %q", after)
	}
}
