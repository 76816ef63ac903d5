package fluent

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
)

var update = flag.Bool("update", false, "write the .want files of testdata")

// captured returns what real clients sent, by file (testdata/README.md).
func captured(t testing.TB) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob("testdata/*.bin")
	if err != nil || len(names) == 0 {
		t.Fatal("no captured traffic", err)
	}
	out := map[string][]byte{}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(name), ".bin")] = data
	}
	return out
}

// TestCaptured reads what real clients sent as it was written down beside it.
func TestCaptured(t *testing.T) {
	for name, data := range captured(t) {
		store := &receivetest.Intake{}
		talk(t, start(t, Config{}, store, receive.Limits{}), data)
		if *update {
			if err := os.WriteFile(filepath.Join("testdata", name+".want"), []byte(show(store.Raws())), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(filepath.Join("testdata", name+".want"))
		got := show(store.Raws())
		for _, r := range store.Requests() {
			for _, c := range r.Rejected {
				t.Errorf("%s: %d records rejected: %s", name, c.N, c.Name)
			}
		}
		if err != nil || got != string(want) {
			t.Errorf("%s: %v\n got %s\nwant %s", name, err, got, want)
		}
	}
}
