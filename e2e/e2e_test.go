// Package e2e tests the real binary from outside: it is built once, started as
// a process, spoken to over HTTP and its command line, killed, and its folder
// is tampered with. Nothing here reaches into the product's packages.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// binary is the path of the program under test.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "meshtrail-e2e")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "meshtrail")
		build := exec.Command("go", "build", "-o", binary, "../cmd/meshtrail")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// long reports whether the long versions of the tests were asked for.
func long() bool { return os.Getenv("MESHTRAIL_LONG") != "" }

// server is one running process over a data folder.
type server struct {
	t     *testing.T
	data  string
	base  string
	token string
	cmd   *exec.Cmd
	log   *bytes.Buffer
	done  chan error
}

// initFolder creates a history in a new folder and returns its path.
func initFolder(t *testing.T) string {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	run(t, 0, "init", "--data", data)
	return data
}

// run runs one command line and requires its exit code.
func run(t *testing.T, code int, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("meshtrail %s: exit %d (%v), want %d\nstdout: %.2000s\nstderr: %.2000s", strings.Join(args, " "), got, err, code, out.String(), stderr.String())
	}
	return out.String()
}

// serve starts a server and waits until it says ready.
func serve(t *testing.T, data string, more ...string) *server {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(data, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, data: data, token: strings.TrimSpace(string(token)), log: new(bytes.Buffer), done: make(chan error, 1)}
	s.cmd = exec.Command(binary, append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0"}, more...)...)
	s.cmd.Stderr = s.log
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan string, 1)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		sc := bufio.NewScanner(out)
		for sc.Scan() {
			if i := strings.Index(sc.Text(), "http://"); i >= 0 && strings.Contains(sc.Text(), "ready") {
				select {
				case ready <- strings.Fields(sc.Text()[i:])[0]:
				default:
				}
			}
		}
	}()
	go func() {
		<-drained // Wait closes the pipe: read it to the end first
		s.done <- s.cmd.Wait()
	}()
	t.Cleanup(func() { s.kill() })
	select {
	case s.base = <-ready:
	case err := <-s.done:
		s.done <- err
		t.Fatalf("the server ended before it was ready: %v\n%s", err, s.log)
	case <-time.After(30 * time.Second):
		t.Fatalf("the server was not ready in 30 s\n%s", s.log)
	}
	return s
}

// kill ends the process with SIGKILL, as power loss would.
func (s *server) kill() {
	s.cmd.Process.Signal(syscall.SIGKILL)
	err := <-s.done
	s.done <- err
}

// stop ends the process with SIGTERM and requires a clean exit.
func (s *server) stop() {
	s.t.Helper()
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-s.done:
		s.done <- err
		if err != nil {
			s.t.Fatalf("stop: %v\n%s", err, s.log)
		}
	case <-time.After(30 * time.Second):
		s.t.Fatalf("the server did not stop in 30 s\n%s", s.log)
	}
}

// request sends one HTTP request with the admin token and returns status and body.
func (s *server) request(method, path string, header map[string]string, body []byte) (int, []byte, error) {
	req, err := http.NewRequest(method, s.base+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, b, err
}

var client = &http.Client{Timeout: 60 * time.Second}

// must sends a request and requires status 2xx.
func (s *server) must(method, path string, header map[string]string, body []byte) []byte {
	s.t.Helper()
	code, b, err := s.request(method, path, header, body)
	if err != nil || code/100 != 2 {
		s.t.Fatalf("%s %s: %d %v\n%.1000s\n%s", method, path, code, err, b, s.log)
	}
	return b
}

// bulk posts documents to _bulk and requires that all were created.
func (s *server) bulk(docs ...string) {
	s.t.Helper()
	b := s.must("POST", "/_bulk", map[string]string{"Content-Type": "application/x-ndjson"}, bulkBody(docs))
	if bytes.Contains(b, []byte(`"errors":true`)) {
		s.t.Fatalf("bulk answered item errors: %.1000s", b)
	}
}

func bulkBody(docs []string) []byte {
	var b bytes.Buffer
	for _, d := range docs {
		b.WriteString("{\"create\":{}}\n")
		b.WriteString(d)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// found is one record of the native answer.
type found struct {
	Time   string         `json:"time"`
	Line   string         `json:"line"`
	Class  string         `json:"class"`
	Fields map[string]any `json:"fields"`
}

// ask runs a LogQL query over all time and returns every record.
func (s *server) ask(q string) []found {
	s.t.Helper()
	v := url.Values{"query": {q}, "from": {"2000-01-01T00:00:00Z"}, "to": {"2100-01-01T00:00:00Z"}, "limit": {"0"}}
	body := s.must("GET", "/api/v1/query?"+v.Encode(), nil, nil)
	var out []found
	sawManifest := false
	for line := range bytes.Lines(body) {
		if bytes.HasPrefix(line, []byte(`{"manifest"`)) {
			sawManifest = true
			if bytes.Contains(line, []byte(`"truncated":true`)) || bytes.Contains(line, []byte(`"partial":true`)) {
				s.t.Fatalf("query %s: not the whole answer: %s", q, line)
			}
			continue
		}
		var f found
		if err := json.Unmarshal(line, &f); err != nil {
			s.t.Fatalf("query %s: %v in %.300s", q, err, line)
		}
		out = append(out, f)
	}
	if !sawManifest {
		s.t.Fatalf("query %s: no closing manifest in %.500s", q, body)
	}
	return out
}
