package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/e2e/harness"
)

// TestAgent tails a file that is rotated while it is written, through an agent
// that is killed twice and a server that is killed once. Every line arrives
// exactly once.
func TestAgent(t *testing.T) {
	data := harness.Init(t)
	s := harness.Serve(t, data)
	dir := t.TempDir()
	logs := filepath.Join(dir, "logs")
	if err := os.Mkdir(logs, 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(base string) string {
		config := filepath.Join(dir, "agent.yaml")
		text := fmt.Sprintf("data: %q\nforward:\n  url: %s\n  token_file: %q\ninputs:\n  files:\n    - paths: [%q]\n      start: start\n      attributes: {app: agent}\n",
			filepath.Join(dir, "agent"), base, filepath.Join(data, "admin.token"), filepath.Join(logs, "*.log"))
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return config
	}
	start := func() *exec.Cmd {
		cmd := exec.Command(harness.Binary, "agent", "--config", write(s.Base))
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		return cmd
	}
	end := func(cmd *exec.Cmd) {
		cmd.Process.Signal(syscall.SIGKILL)
		cmd.Wait()
	}
	const total = 6000
	n := 0
	lines := func(count int) {
		t.Helper()
		path := filepath.Join(logs, "app.log")
		for range count {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			for range 50 {
				fmt.Fprintf(f, `{"id":"line-%05d","message":"agent line"}`+"\n", n)
				n++
			}
			f.Close()
			if n%500 == 0 {
				if err := os.Rename(path, filepath.Join(logs, fmt.Sprintf("app-%05d.log", n))); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	agent := start()
	lines(30)
	end(agent)
	lines(30)
	agent = start()
	lines(20)
	s.Kill()
	lines(10)
	s = harness.Serve(t, data)
	end(agent)
	agent = start()
	lines(30)
	deadline := time.Now().Add(60 * time.Second)
	seen := map[string]int{}
	for len(seen) < total && time.Now().Before(deadline) {
		clear(seen)
		for _, f := range s.Ask(`{app="agent"}`) {
			id, _ := f.Fields["id"].(string)
			seen[id]++
		}
		<-time.After(200 * time.Millisecond)
	}
	missing, twice := 0, 0
	for i := range total {
		switch c := seen[fmt.Sprintf("line-%05d", i)]; {
		case c == 0:
			missing++
		case c > 1:
			twice++
		}
	}
	if missing > 0 || twice > 0 || n != total {
		t.Errorf("of %d lines %d are missing and %d are shown twice", n, missing, twice)
	}
	end(agent)
}
