package app

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/meshtrail/meshtrail/internal/config"
)

var update = flag.Bool("update", false, "write the table of metrics in docs/operate.md anew")

// What stands between these lines of the document is made from the registry.
const (
	operate   = "../../docs/operate.md"
	tableHead = "<!-- metrics: go test ./internal/app -run TestOperateNamesEveryMetric -update -->\n"
	tableTail = "<!-- end of metrics -->\n"
)

// described takes a description apart; the library offers no other way.
var described = regexp.MustCompile(`fqName: ("(?:[^"\\]|\\.)*"), help: ("(?:[^"\\]|\\.)*"),.* constLabels: \{.*\}, variableLabels: \{([^}]*)\}`)

// TestOperateNamesEveryMetric holds the table of the document against the
// registry of a started server that has ports of its own.
func TestOperateNamesEveryMetric(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if _, err := Init(t.Context(), dir, "test"); err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Receivers.Syslog.UDP.Listen = "127.0.0.1:0"
	s := configured(t, dir, cfg)
	descs := make(chan *prometheus.Desc)
	go func() {
		s.metrics.Describe(descs)
		close(descs)
	}()
	var rows []string
	for d := range descs {
		m := described.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("%s is not understood", d)
		}
		var name, help string
		fmt.Sscanf(m[1], "%q", &name)
		fmt.Sscanf(m[2], "%q", &help)
		if !strings.HasPrefix(name, "meshtrail_") {
			continue // of the Go runtime and the process
		}
		labels := ""
		if m[3] != "" {
			labels = "`" + strings.ReplaceAll(m[3], ",", "`, `") + "`"
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |\n", name, labels, help))
	}
	slices.Sort(rows)
	want := "| metric | labels | what |\n|---|---|---|\n" + strings.Join(rows, "")

	data, err := os.ReadFile(operate)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := bytes.Cut(data, []byte(tableHead))
	got, after, end := bytes.Cut(rest, []byte(tableTail))
	if !ok || !end {
		t.Fatalf("%s has no place for the table", operate)
	}
	if string(got) == want {
		return
	}
	if !*update {
		t.Fatalf("the table of metrics in %s is not that of the registry; run with -update\n%s", operate, want)
	}
	if err := os.WriteFile(operate, slices.Concat(before, []byte(tableHead+want+tableTail), after), 0o644); err != nil {
		t.Fatal(err)
	}
}
