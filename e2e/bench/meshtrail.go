package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// meshtrail is the binary under test, as init makes it: every batch is synced
// before it is acknowledged, everything is encrypted and hashed.
type meshtrail struct {
	peer
	bin string
}

func (m *meshtrail) name() string { return "meshtrail" }

func (m *meshtrail) start(ctx context.Context, dir string, fresh bool) (*child, error) {
	return m.startWith(ctx, dir, fresh)
}

// startWith starts it with further arguments.
func (m *meshtrail) startWith(ctx context.Context, dir string, fresh bool, args ...string) (*child, error) {
	data := filepath.Join(dir, "data")
	if fresh {
		if out, err := exec.CommandContext(ctx, m.bin, "init", "--data", data).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("init: %w\n%s", err, out)
		}
	}
	token, err := os.ReadFile(filepath.Join(data, "admin.token"))
	if err != nil {
		return nil, err
	}
	m.header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	return startChild(ctx, dir, m.bin, append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0"}, args...), func(line string) bool {
		i := strings.Index(line, "http://")
		if i < 0 || !strings.Contains(line, "ready") {
			return false
		}
		m.base = strings.Fields(line[i:])[0]
		return true
	})
}

func (m *meshtrail) body(d *drawer, from, to int) []byte { return bulk(d, from, to) }

func (m *meshtrail) post() (path, contentType string) { return "/_bulk", "application/x-ndjson" }

func (m *meshtrail) refused(answer []byte) string {
	if bytes.Contains(answer, []byte(`"errors":true`)) {
		return string(answer[:min(len(answer), 300)])
	}
	return ""
}

func (m *meshtrail) flush(ctx context.Context) error {
	_, err := m.do(ctx, "POST", "/api/v1/seal", "", nil)
	return err
}

func (m *meshtrail) ask(ctx context.Context, q *query, w *workload) (answer, error) {
	return askLoki(ctx, &m.peer, q.meshtrail, q, w)
}
