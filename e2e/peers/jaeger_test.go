package peers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/e2e/harness"
)

// jaegerConfig lets a Jaeger write and read its spans here: what docs/traces.md
// says, with ports of its own.
const jaegerConfig = `
service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {receivers: [otlp], exporters: [jaeger_storage_exporter]}
  telemetry: {metrics: {level: none}}
extensions:
  jaeger_query:
    storage: {traces: meshtrail}
    http: {endpoint: "%s"}
    grpc: {endpoint: "%s"}
  jaeger_storage:
    backends:
      meshtrail:
        grpc:
          endpoint: %s
          tls: {insecure: true}
          headers: {authorization: "Bearer %s"}
receivers:
  otlp: {protocols: {http: {endpoint: "%s"}}}
exporters:
  jaeger_storage_exporter: {trace_storage: meshtrail}
`

// free returns an address that nobody listens at.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// asks asks Jaeger until the answer has what it must, and returns it.
func asks(t *testing.T, log *harness.Log, address, path string, want ...string) string {
	t.Helper()
	var last string
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); <-time.After(50 * time.Millisecond) {
		resp, err := http.Get("http://" + address + path)
		if err != nil {
			last = err.Error()
			continue
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		last = resp.Status + " " + string(b)
		missing := false
		for _, w := range want {
			missing = missing || !strings.Contains(last, w)
		}
		if !missing {
			return last
		}
	}
	t.Fatalf("%s: no %q in %.2000s\nJaeger said:\n%s", path, want, last, tail(log.String(), 4000))
	return ""
}

// TestJaeger sends spans to a Jaeger whose storage is the server, and asks that
// Jaeger for them.
func TestJaeger(t *testing.T) {
	path := peer(t, "jaeger")
	s := start(t)
	query, otlp := free(t), free(t)
	config := filepath.Join(t.TempDir(), "jaeger.yaml")
	text := fmt.Sprintf(jaegerConfig, query, free(t), strings.TrimPrefix(s.Base, "http://"), s.Token, otlp)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sc := &scene{t: t, dir: t.TempDir()}
	p := sc.run(path, []string{"--config", config}, nil)
	now := time.Now().Truncate(time.Second)
	span := func(id, parent, name string, kind int, took time.Duration, attributes, events string) string {
		return fmt.Sprintf(`{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"%s","parentSpanId":"%s","name":"%s","kind":%d,"startTimeUnixNano":"%d","endTimeUnixNano":"%d","attributes":[%s],"events":[%s]}`,
			id, parent, name, kind, now.UnixNano(), now.Add(took).UnixNano(), attributes, events)
	}
	attr := func(k, v string) string { return fmt.Sprintf(`{"key":"%s","value":{"stringValue":"%s"}}`, k, v) }
	of := func(service, more string, spans ...string) string {
		return fmt.Sprintf(`{"resource":{"attributes":[%s%s]},"scopeSpans":[{"scope":{},"spans":[%s]}]}`, attr("service.name", service), more, strings.Join(spans, ","))
	}
	body := `{"resourceSpans":[` + of("front", ","+attr("zone", "a"), span("b7ad6b7169203331", "", "checkout", 2, 300*time.Millisecond, attr("http.route", "/pay"), "")) + "," +
		of("back", "", span("00f067aa0ba902b7", "b7ad6b7169203331", "charge", 3, 100*time.Millisecond, "", fmt.Sprintf(`{"timeUnixNano":"%d","name":"retry","attributes":[%s]}`, now.UnixNano(), attr("why", "late")))) + `]}`
	for end := time.Now().Add(30 * time.Second); ; <-time.After(50 * time.Millisecond) {
		resp, err := http.Post("http://"+otlp+"/v1/traces", "application/json", bytes.NewReader([]byte(body)))
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Now().After(end) {
			t.Fatalf("Jaeger takes no spans: %v\n%s", err, tail(p.log.String(), 4000))
		}
	}
	const id = "0af7651916cd43dd8448eb211c80319c"
	asks(t, &p.log, query, "/api/v3/services", `"front"`, `"back"`)
	asks(t, &p.log, query, "/api/v3/operations?service=front&span_kind=server", `"checkout"`)
	if got := asks(t, &p.log, query, "/api/v3/operations?service=front&span_kind=client", "200 "); strings.Contains(got, "checkout") {
		t.Errorf("operations of another kind: %s", got)
	}
	asks(t, &p.log, query, "/api/v3/traces/"+id, `"checkout"`, `"charge"`, `"retry"`, `"zone"`)
	asks(t, &p.log, query, "/api/traces/"+id, `"operationName":"charge"`, `"CHILD_OF"`)
	find := func(more ...string) string {
		v := url.Values{"query.start_time_min": {now.Add(-time.Hour).UTC().Format(time.RFC3339Nano)}, "query.start_time_max": {now.Add(time.Hour).UTC().Format(time.RFC3339Nano)}}
		for i := 0; i < len(more); i += 2 {
			v.Set("query."+more[i], more[i+1])
		}
		return v.Encode()
	}
	tags := func(pairs ...string) string {
		m := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		b, _ := json.Marshal(m)
		return string(b)
	}
	for _, there := range [][]string{
		{"service_name", "front"}, {"service_name", "back", "operation_name", "charge"}, {},
		{"service_name", "front", "attributes", tags("http.route", "/pay")}, {"attributes", tags("zone", "a")}, {"attributes", tags("why", "late")},
		{"service_name", "front", "duration_min", "250ms", "duration_max", "350ms"},
	} {
		asks(t, &p.log, query, "/api/v3/traces?"+find(there...), id)
		asks(t, &p.log, query, "/api/v3/trace-summaries?"+find(there...), id, `"spanCount":2`)
	}
	for _, not := range [][]string{{"service_name", "front", "duration_min", "400ms"}, {"attributes", tags("why", "never")}, {"service_name", "nobody"}} {
		if got := asks(t, &p.log, query, "/api/v3/traces?"+find(not...), ""); strings.Contains(got, id) {
			t.Errorf("%v found %s", not, got)
		}
	}
	asks(t, &p.log, query, fmt.Sprintf("/api/dependencies?endTs=%d&lookback=3600000", now.Add(time.Minute).UnixMilli()), `"parent":"front","child":"back","callCount":1`)
}

var ran = regexp.MustCompile(`(?m)^ *--- (PASS|FAIL|SKIP): (\S+)`)

// TestJaegersTests runs the tests that Jaeger has for storages of its own.
func TestJaegersTests(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), peer(t, "jaegersuite"), "-test.run", "^TestMeshtrail$", "-test.v", "-test.timeout", "4m")
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "MESHTRAIL_BIN="+harness.Binary)
	out, err := cmd.Output()
	n := map[string]int{}
	for _, m := range ran.FindAllSubmatch(out, -1) {
		n[string(m[1])]++
		if string(m[1]) != "PASS" {
			t.Logf("%s", m[0])
		}
	}
	if err != nil || n["FAIL"] > 0 || n["PASS"] < 30 {
		t.Errorf("%v: %v\n%s", err, n, tail(string(out), 6000))
	}
	t.Logf("Jaeger's tests of storages: %d passed, %d skipped (it has no writer of dependencies or sampling over the network)", n["PASS"], n["SKIP"])
}
