// Package peers runs clients that others wrote against the real binary, to see
// that they need no change. Their programs are not part of this repository: the
// tests look for them in the folder that $PEERS_BIN names, then in $PATH.
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
