// Package peers runs clients that others wrote against the real binary, to see
// that they need no change. Their programs are not part of this repository: the
// tests look for them in the folder that $PEERS_BIN names.
package peers

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
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
		if os.Getenv("PEERS_BIN") == "" {
			return m.Run() // every test says why it skips
		}
		dir, err := os.MkdirTemp("", "meshtrail-peers")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "meshtrail")
		build := exec.Command("go", "build", "-o", binary, "../../cmd/meshtrail")
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

// peer returns the path of someone else's program, or skips the test.
func peer(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("PEERS_BIN")
	if dir == "" {
		t.Skipf("$PEERS_BIN names no folder with %s", name)
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no %s: %v", name, err)
	}
	return path
}

// server is one running process over a folder of its own.
type server struct {
	t     *testing.T
	addr  string // host:port
	token string
}

// start makes a data folder and serves it until the test ends.
func start(t *testing.T) *server {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	if out, err := exec.Command(binary, "init", "--data", data).CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	token, err := os.ReadFile(filepath.Join(data, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "serve", "--data", data, "--listen", "127.0.0.1:0")
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("serve ended with %v\n%s", err, log.String())
		}
	})
	sc := bufio.NewScanner(out)
	for sc.Scan() {
		if _, addr, ok := strings.Cut(sc.Text(), "http://"); ok {
			go io.Copy(io.Discard, out)
			return &server{t: t, addr: strings.Fields(addr)[0], token: strings.TrimSpace(string(token))}
		}
	}
	t.Fatal("the server did not say ready")
	return nil
}

// post sends a body and requires status 2xx.
func (s *server) post(path, kind string, body []byte) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", "http://"+s.addr+path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	req.Header.Set("Content-Type", kind)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if b, _ := io.ReadAll(res.Body); res.StatusCode/100 != 2 {
		s.t.Fatalf("POST %s: %d %s", path, res.StatusCode, b)
	}
}
