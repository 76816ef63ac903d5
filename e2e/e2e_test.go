// Package e2e tests the real binary from outside: it is built once, started as
// a process, spoken to over HTTP and its command line, killed, and its folder
// is tampered with. Nothing here reaches into the product's packages.
package e2e

import (
	"os"
	"testing"

	"github.com/meshtrail/meshtrail/e2e/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m, "../cmd/meshtrail")) }
