package elastic

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the answers of the golden files anew")

var took = regexp.MustCompile(`"took":[0-9]+,"(timed_out|responses)"`)

// TestGrafanasRequests answers what Grafana's data source asks. A file holds the
// request, and behind a line of dashes the answer.
func TestGrafanasRequests(t *testing.T) {
	files, err := filepath.Glob("testdata/grafana/*.txt")
	if err != nil || len(files) < 8 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		request, want, _ := strings.Cut(string(raw), "----\n")
		_, text, _ := strings.Cut(request, "\n") // the comment
		line, body, _ := strings.Cut(text, "\n")
		method, path, _ := strings.Cut(line, " ")
		w := newWorld(t)
		some(w)
		r := w.raw(method, path, body)
		if r.Code != 200 {
			t.Errorf("%s: %d %s", file, r.Code, r.Body)
		}
		var v any
		if err := json.Unmarshal(took.ReplaceAll(r.Body.Bytes(), []byte(`"took":0,"$1"`)), &v); err != nil {
			t.Fatal(err)
		}
		pretty, _ := json.MarshalIndent(v, "", " ") // it was just read
		got := string(pretty) + "\n"
		if *update {
			if err := os.WriteFile(file, []byte(request+"----\n"+got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if got != want {
			t.Errorf("%s:\n%s\nwant\n%s", file, got, want)
		}
	}
}

// TestSendersTimestamp keeps the event time the only @timestamp of a document,
// whatever the sender called so: Grafana's check of a data source wants a date.
func TestSendersTimestamp(t *testing.T) {
	w := newWorld(t)
	w.add(rec(0, "body", "GET /cart", "@timestamp", "yesterday"))
	if got := at(w.ok("GET", "/_field_caps?fields=@timestamp", ""), "fields", "@timestamp", "date", "type"); got != "date" {
		t.Errorf("_field_caps: %v", got)
	}
	if got := at(w.ok("GET", "/meshtrail/_mapping", ""), "meshtrail", "mappings", "properties", "@timestamp", "type"); got != "date" {
		t.Errorf("_mapping: %v", got)
	}
	body := w.raw("POST", "/_search", `{"fields":["*"],"_source":true}`).Body.String()
	if strings.Count(body, `"@timestamp":`) != 2 || strings.Contains(body, "yesterday") {
		t.Errorf("_search: %s", body)
	}
}
