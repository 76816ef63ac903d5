package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/meshtrail/meshtrail/e2e/harness"
)

// TestCountersBecomeEvidence lets a proxy count and asks what grew.
func TestCountersBecomeEvidence(t *testing.T) {
	var requests atomic.Int64
	requests.Store(100)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "istio_requests_total{reporter=\"source\",response_code=\"200\"} %d\nother 1\n", requests.Add(7))
	}))
	defer proxy.Close()
	data := harness.Init(t)
	conf := fmt.Sprintf("receivers:\n  scrape:\n    targets:\n      - {name: web, url: %q, interval: 1s}\n", proxy.URL)
	if err := os.WriteFile(filepath.Join(data, "meshtrail.yaml"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	s := harness.Serve(t, data)
	until(t, func() bool { return len(s.Ask(`{event_name="mesh.counter"} | counter_increase="7"`)) >= 2 })
	for _, f := range s.Ask(`{record_kind="evidence", event_name="mesh.counter"}`) {
		if f.Fields["counter.label.response_code"] != "200" || f.Fields["counter.name"] != "istio_requests_total" || f.Fields["log.source"] != "scrape/web" {
			t.Errorf("%v", f.Fields)
		}
	}
	s.Stop()
}
