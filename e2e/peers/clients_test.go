package peers

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/meshtrail/meshtrail/e2e/harness"
)

// TestClients sends through client libraries of JavaScript, from the folder npm of
// $PEERS_BIN into which they were installed.
func TestClients(t *testing.T) {
	script, err := filepath.Abs("clients.mjs")
	if err != nil {
		t.Fatal(err)
	}
	npm := filepath.Join(os.Getenv("PEERS_BIN"), "npm")
	client := func(name, protocol, repeats string) shipper {
		return shipper{
			client: name, protocol: protocol, binary: "node", version: []string{script, "--version", name}, repeats: repeats, makes: true,
			env: []string{"PEERS_NPM=" + npm, "RECORDS=" + strconv.Itoa(shipRecords)},
			setup: func(sc *scene) []string {
				w := sc.wires[""]
				if name == "@fluent-org/logger" {
					w = sc.wires["fluent"]
				}
				host, port, _ := net.SplitHostPort(w.near)
				return []string{script, name, host, port, sc.s.Token}
			},
		}
	}
	for name, sh := range map[string]shipper{
		"elasticsearch": client("@elastic/elasticsearch", "Elasticsearch, with ids", ""),
		"fluent":        forward(client("@fluent-org/logger", "Fluent forward, gzip", "an event that was not acknowledged goes into another chunk, under another id"), ""),
		"loki":          client("winston-loki", "Loki", "it sends what was unanswered together with what came since"),
		"otlp":          client("@opentelemetry/exporter-logs-otlp-proto", "OTLP/HTTP", lostAnswer),
		"zipkin":        forgetful(client("zipkin", "Zipkin", ""), "zipkin-transport-http forgets what it could not send"),
		"splunk":        client("splunk-logging", "Splunk HEC", lostAnswer),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := os.Stat(filepath.Join(npm, "node_modules", filepath.FromSlash(sh.client))); os.Getenv("PEERS_BIN") != "" && err != nil {
				t.Skipf("%s is not installed: %v", sh.client, err)
			}
			if name == "loki" && !harness.Long() {
				t.Skip("winston-loki waits for a minute after each failure: MESHTRAIL_LONG=1 does, too")
			}
			ship(t, sh)
		})
	}
}

// forgetful is a shipper that loses what the server was not there for.
func forgetful(sh shipper, why string) shipper {
	sh.loses = why
	return sh
}
