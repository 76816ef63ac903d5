package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/e2e/harness"
)

// peakMiB returns the server's peak resident memory, 0 where /proc is missing.
func peakMiB(s *harness.Server) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Pid()))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmHWM:" {
			kb, _ := strconv.Atoi(f[1])
			return kb >> 10
		}
	}
	return 0
}

// TestHostileBulk sends each bad record between two good ones: the good ones
// are kept, the bad one gets its own error, and memory stays bounded.
func TestHostileBulk(t *testing.T) {
	s := harness.Serve(t, harness.Init(t))
	good := func(name string, i int) string {
		return fmt.Sprintf(`{"app":"hostile","case":"%s","n":%d}`, name, i)
	}
	cases := []struct {
		name string
		doc  string
		kept bool // the record is kept; else its item has an error
	}{
		{"broken", `{"app":"hostile","case":"broken",`, false},
		{"not_json", `this is not json`, false},
		{"huge", `{"app":"hostile","case":"huge","v":"` + strings.Repeat("x", 20<<20) + `"}`, false},
		{"deep", strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000), false},
		{"nul", `{"app":"hostile","case":"nul","n":2,"v":"a\u0000b"}`, true},
		{"rawnul", "{\"app\":\"hostile\",\"case\":\"rawnul\",\"n\":2,\"v\":\"a\x00b\"}", true},
		{"utf8", "{\"app\":\"hostile\",\"case\":\"utf8\",\"n\":2,\"v\":\"a\xff\xfeb\"}", true},
		{"wide", wide(50_000), true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			body := harness.BulkBody([]string{good(c.name, 0), c.doc, good(c.name, 1)})
			code, b, err := s.Request("POST", "/_bulk", map[string]string{"Content-Type": "application/x-ndjson"}, body)
			if err != nil || code != 200 {
				t.Fatalf("status %d %v %.300s", code, err, b)
			}
			var r struct {
				Errors bool
				Items  []map[string]struct {
					Status int
					Error  any
				}
			}
			if err := json.Unmarshal(b, &r); err != nil || len(r.Items) != 3 {
				t.Fatalf("answer: %v, %d items, %.300s", err, len(r.Items), b)
			}
			for i, item := range r.Items {
				for _, v := range item {
					bad := i == 1 && !c.kept
					if bad != (v.Status >= 300) {
						t.Errorf("item %d has status %d: %.300s", i, v.Status, b)
					}
				}
			}
			if n := len(s.Ask(`{app="hostile",case="` + c.name + `"} | n <= 1`)); n != 2 {
				t.Errorf("%d of the 2 good records are found", n)
			}
		})
	}
	if n := peakMiB(s); n > 700 {
		t.Errorf("peak memory %d MiB", n)
	}
}

func wide(n int) string {
	var b strings.Builder
	b.WriteString(`{"app":"hostile","case":"wide","n":2`)
	for i := range n {
		fmt.Fprintf(&b, `,"k%d":%d`, i, i)
	}
	return b.String() + "}"
}

// TestHostileBodies sends bodies that must be refused whole, in the protocol's
// own form, without costing memory.
func TestHostileBodies(t *testing.T) {
	s := harness.Serve(t, harness.Init(t))
	bomb := gzipped(t, make([]byte, 512<<20))
	cases := []struct {
		name, path string
		header     map[string]string
		body       []byte
		want       []int
	}{
		{"gzip bomb", "/_bulk", map[string]string{"Content-Encoding": "gzip", "Content-Type": "application/x-ndjson"}, bomb, []int{413}},
		{"gzip bomb", "/loki/api/v1/push", map[string]string{"Content-Encoding": "gzip", "Content-Type": "application/json"}, bomb, []int{413}},
		{"gzip bomb", "/v1/logs", map[string]string{"Content-Encoding": "gzip", "Content-Type": "application/json"}, bomb, []int{413}},
		{"snappy that lies about its length", "/loki/api/v1/push", map[string]string{"Content-Type": "application/x-protobuf"}, []byte{0xff, 0xff, 0xff, 0xff, 0x7f, 1, 2, 3}, []int{400, 413}},
		{"no snappy at all", "/loki/api/v1/push", map[string]string{"Content-Type": "application/x-protobuf"}, []byte("hello"), []int{400}},
		{"truncated gzip", "/_bulk", map[string]string{"Content-Encoding": "gzip"}, gzipped(t, []byte("{}\n"))[:8], []int{400}},
		{"no protobuf", "/v1/logs", map[string]string{"Content-Type": "application/x-protobuf"}, []byte{0xff, 0xff, 0xff}, []int{400}},
	}
	for _, c := range cases {
		code, b, err := s.Request("POST", c.path, c.header, c.body)
		ok := false
		for _, w := range c.want {
			ok = ok || code == w
		}
		if err != nil || !ok || len(b) == 0 {
			t.Errorf("%s to %s: %d %v %.200s, want %v", c.name, c.path, code, err, b, c.want)
		}
	}
	if n := peakMiB(s); n > 500 {
		t.Errorf("peak memory %d MiB", n)
	}
	s.Bulk(`{"app":"after","message":"still alive"}`)
	if n := len(s.Ask(`{app="after"}`)); n != 1 {
		t.Errorf("found %d records after the attacks, want 1", n)
	}
}

func gzipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
