// Package peers runs clients that others wrote against the real binary, to see
// that they need no change. Their programs are not part of this repository: the
// tests look for them in the folder that $PEERS_BIN names, then in $PATH, and skip
// what is not there: fluent-bit, fluentd (with fluent-plugin-elasticsearch), otelcol
// (with filelog, file_storage, otlp and otlphttp), telemetrygen, promtail, vlagent,
// logcli, loki-canary, rsyslogd, syslog-ng, logger, nginx, haproxy, and in its folder
// npm the client libraries of clients_test.go, what jaeger.sh builds, and chromium. All
// of them take some ten minutes. $PEERS_SHOTS names a folder for pictures of pages.
//
//	PEERS_BIN=/opt/peers go test -v -timeout 30m ./e2e/peers
//
// -v prints a line of a table for each: client, version, protocol, records, kills,
// missing, repeated, out of order.
package peers

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/meshtrail/meshtrail/e2e/harness"
)

func TestMain(m *testing.M) {
	if os.Getenv("PEERS_BIN") == "" {
		os.Exit(m.Run()) // every test says why it skips
	}
	os.Exit(harness.Main(m, "../../cmd/meshtrail"))
}

// peer returns the path of someone else's program, or skips the test.
func peer(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("PEERS_BIN")
	if dir == "" {
		t.Skipf("$PEERS_BIN names no folder with %s", name)
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("there is no %s in %s, nor in $PATH", name, dir)
	}
	return path
}

// start makes a data folder and serves it until the test ends, which requires
// that the server ends well.
func start(t *testing.T) *harness.Server {
	t.Helper()
	s := harness.Serve(t, harness.Init(t))
	t.Cleanup(s.Stop)
	return s
}
