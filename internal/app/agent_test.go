package app

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestAgentCarriesLinesToTheServer runs an agent against a server that is away
// now and then, restarts both, and counts what the server keeps.
func TestAgentCarriesLinesToTheServer(t *testing.T) {
	s := opened(t)
	var down atomic.Bool
	var requests atomic.Int64
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case down.Load():
			w.WriteHeader(http.StatusBadGateway)
		case requests.Add(1)%3 == 0: // kept, and the answer lost on its way
			s.http.Handler().ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		default:
			s.http.Handler().ServeHTTP(w, r)
		}
	}))
	defer front.Close()
	dir := t.TempDir()
	logs := filepath.Join(dir, "pods", "shop_cart-1_0ab1", "app")
	if err := os.MkdirAll(logs, 0o700); err != nil {
		t.Fatal(err)
	}
	file := func(name, text string) string {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	cfg := file("agent.yaml", fmt.Sprintf(`
name: node-7
data: %s
forward:
  url: %s
  token_file: %s
  min_backoff: 5ms
  max_backoff: 20ms
inputs:
  files:
    - name: pods
      paths: [%s]
      poll: 5ms
      flush: 50ms
`, filepath.Join(dir, "agent"), front.URL, file("token", s.token), filepath.Join(dir, "pods/*/*/*.log")))

	run := func() (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		done, ready := make(chan error, 1), make(chan struct{})
		go func() {
			done <- Agent(ctx, AgentOptions{Config: cfg, Version: "test", Err: new(bytes.Buffer), Ready: func() { close(ready) }})
		}()
		select {
		case <-ready:
		case err := <-done:
			t.Fatalf("agent: %v", err)
		}
		return func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("agent: %v", err)
			}
		}
	}
	n := 0
	write := func(lines int) {
		t.Helper()
		f, err := os.OpenFile(filepath.Join(logs, "0.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for range lines {
			n++
			fmt.Fprintf(f, "2026-01-02T03:04:05.%09dZ stdout F {\"msg\":\"line %d\"}\n", n, n)
		}
	}
	stored := func() (total uint64, sources string) {
		for _, src := range s.store.Sources() {
			if strings.HasPrefix(src.Source, "relay/") {
				total += src.Stored
				sources += src.Source + " "
				if src.Received != src.Stored+src.Deduplicated {
					t.Errorf("account of %s: %+v", src.Source, src)
				}
			}
		}
		return total, sources
	}
	for i := range 4 {
		write(500)
		stop := run()
		write(500)
		down.Store(i%2 == 0)
		write(100)
		if i%2 == 1 {
			wait(t, func() bool { n, _ := stored(); return n > 0 })
		}
		stop()
		down.Store(false)
	}
	stop := run()
	wait(t, func() bool { got, _ := stored(); return got >= uint64(n) })
	stop()
	if got, sources := stored(); got != uint64(n) || !strings.HasSuffix(strings.TrimSpace(sources), "/file/pods") {
		t.Errorf("the server keeps %d records of %d lines, from %s", got, n, sources)
	}
}

// wait polls until cond holds.
func wait(t *testing.T, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("it never happened")
		}
	}
}

func TestAgentRefusesToStart(t *testing.T) {
	dir := t.TempDir()
	f := func(name, doc string, wants ...string) {
		t.Helper()
		cfg := filepath.Join(dir, "agent.yaml")
		if err := os.WriteFile(cfg, []byte(doc), 0o600); err != nil {
			t.Fatal(err)
		}
		err := Agent(t.Context(), AgentOptions{Config: cfg, Err: new(bytes.Buffer)})
		for _, want := range wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
	}
	f("empty", "", "forward.token_file is missing", "the agent has nothing to read", "forward url")
	f("http beyond loopback", "forward: {url: 'http://logs.example:7420'}", "in the clear")
	f("bad input", "inputs: {files: [{paths: [relative]}, {paths: ['/x']}]}", "not absolute", "a second input")
	f("unknown key", "forwards: {}", "forwards")
	f("no token", fmt.Sprintf("{data: %s, forward: {url: 'http://127.0.0.1:1', token_file: /nonexistent}, inputs: {files: [{paths: ['/x']}]}}", filepath.Join(dir, "a")), "token_file")
}
