// Package harness runs the real binary for tests: it builds it once, starts it
// over a data folder, speaks to it over HTTP and its command line, and kills it.
// It reaches into none of the product's packages.
//
// A package of tests builds the binary in its TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(harness.Main(m, "../cmd/meshtrail")) }
package harness

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
	"sync"
	"syscall"
	"testing"
	"time"
)

// Binary is the path of the program under test, once Main has built it.
var Binary string

// Main builds the program of the package pkg, which is a path relative to the
// tests, and runs the tests. It returns their exit code. $MESHTRAIL_BIN names a
// program that is built already.
func Main(m *testing.M, pkg string) int {
	if Binary = os.Getenv("MESHTRAIL_BIN"); Binary != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "meshtrail-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	Binary = filepath.Join(dir, "meshtrail")
	build := exec.Command("go", "build", "-o", Binary, pkg)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// Long reports whether the long versions of the tests were asked for.
func Long() bool { return os.Getenv("MESHTRAIL_LONG") != "" }

// Init creates a history in a new folder and returns its path.
func Init(t testing.TB) string {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	Run(t, 0, "init", "--data", data)
	return data
}

// Run runs one command line, requires its exit code and returns its output.
func Run(t testing.TB, code int, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, Binary, args...)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("meshtrail %s: exit %d (%v), want %d\nstdout: %.2000s\nstderr: %.2000s", strings.Join(args, " "), got, err, code, out.String(), stderr.String())
	}
	return out.String()
}

// Server is one running process over a data folder. Its methods that send
// requests are safe for concurrent use.
type Server struct {
	Data  string // the folder
	Base  string // http://HOST:PORT
	Token string // the admin's
	Log   *Log   // what the process said on standard error

	t    testing.TB
	cmd  *exec.Cmd
	done chan error
}

// Log is what a process says, readable while it speaks.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns what was said until now.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Serve starts a server over the folder data, on a port of its own unless more
// has another --listen, and waits until it says ready. It is killed when the
// test ends, if it still runs.
func Serve(t testing.TB, data string, more ...string) *Server {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(data, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, Data: data, Token: strings.TrimSpace(string(token)), Log: new(Log), done: make(chan error, 1)}
	s.cmd = exec.Command(Binary, append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0"}, more...)...)
	s.cmd.Stderr = s.Log
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
	t.Cleanup(func() { s.Kill() })
	select {
	case s.Base = <-ready:
	case err := <-s.done:
		s.done <- err
		t.Fatalf("the server ended before it was ready: %v\n%s", err, s.Log)
	case <-time.After(30 * time.Second):
		t.Fatalf("the server was not ready in 30 s\n%s", s.Log)
	}
	return s
}

// Pid is the number of the process.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// Kill ends the process with SIGKILL, as power loss would.
func (s *Server) Kill() {
	s.cmd.Process.Signal(syscall.SIGKILL)
	err := <-s.done
	s.done <- err
}

// Stop ends the process with SIGTERM and requires a clean exit.
func (s *Server) Stop() {
	s.t.Helper()
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-s.done:
		s.done <- err
		if err != nil {
			s.t.Fatalf("stop: %v\n%s", err, s.Log)
		}
	case <-time.After(30 * time.Second):
		s.t.Fatalf("the server did not stop in 30 s\n%s", s.Log)
	}
}

// Request sends one HTTP request with the admin token and returns status and body.
func (s *Server) Request(method, path string, header map[string]string, body []byte) (int, []byte, error) {
	req, err := http.NewRequest(method, s.Base+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.Token)
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

// Must sends a request and requires status 2xx.
func (s *Server) Must(method, path string, header map[string]string, body []byte) []byte {
	s.t.Helper()
	code, b, err := s.Request(method, path, header, body)
	if err != nil || code/100 != 2 {
		s.t.Fatalf("%s %s: %d %v\n%.1000s\n%s", method, path, code, err, b, s.Log)
	}
	return b
}

// Bulk posts documents to _bulk and requires that all were created.
func (s *Server) Bulk(docs ...string) {
	s.t.Helper()
	b := s.Must("POST", "/_bulk", map[string]string{"Content-Type": "application/x-ndjson"}, BulkBody(docs))
	if bytes.Contains(b, []byte(`"errors":true`)) {
		s.t.Fatalf("bulk answered item errors: %.1000s", b)
	}
}

// BulkBody is the body of a _bulk request that creates docs.
func BulkBody(docs []string) []byte {
	var b bytes.Buffer
	for _, d := range docs {
		b.WriteString("{\"create\":{}}\n")
		b.WriteString(d)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// Found is one record of the native answer.
type Found struct {
	Time   string         `json:"time"`
	Line   string         `json:"line"`
	Class  string         `json:"class"`
	Fields map[string]any `json:"fields"`
}

// Ask runs a LogQL query over all time and returns every record. more are names
// and values of further parameters.
func (s *Server) Ask(q string, more ...string) []Found {
	s.t.Helper()
	v := url.Values{"query": {q}, "from": {"2000-01-01T00:00:00Z"}, "to": {"2100-01-01T00:00:00Z"}, "limit": {"0"}}
	for i := 0; i+1 < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	body := s.Must("GET", "/api/v1/query?"+v.Encode(), nil, nil)
	var out []Found
	sawManifest := false
	for line := range bytes.Lines(body) {
		if bytes.HasPrefix(line, []byte(`{"manifest"`)) {
			sawManifest = true
			if bytes.Contains(line, []byte(`"truncated":true`)) || bytes.Contains(line, []byte(`"partial":true`)) {
				s.t.Fatalf("query %s: not the whole answer: %s", q, line)
			}
			continue
		}
		var f Found
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
