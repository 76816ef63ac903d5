package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/e2e/harness"
)

// follower is a running meshtrail tail and what it showed so far.
type follower struct {
	t     *testing.T
	lines chan string
	err   bytes.Buffer
	done  chan error
}

// follow starts a tail of cart's records that ends after limit of them.
func follow(t *testing.T, s *harness.Server, limit int, flags ...string) *follower {
	t.Helper()
	f := &follower{t: t, lines: make(chan string, limit+1), done: make(chan error, 1)}
	args := append([]string{"tail", `{service="cart"}`, "--server", s.Base, "--token-file", s.Data + "/admin.token", "-o", "jsonl", "--limit", fmt.Sprint(limit)}, flags...)
	cmd := exec.Command(harness.Binary, args...)
	cmd.Stderr = &f.err
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	go func() {
		sc := bufio.NewScanner(out)
		sc.Buffer(nil, 1<<20)
		for sc.Scan() {
			f.lines <- sc.Text()
		}
		close(f.lines)
		f.done <- cmd.Wait()
	}()
	f.connected(s)
	return f
}

// connected waits until the server has a tail.
func (f *follower) connected(s *harness.Server) {
	f.t.Helper()
	open := regexp.MustCompile(`(?m)^meshtrail_tail_subscribers 1$`)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 3000 {
		if open.Match(s.Must("GET", "/metrics", nil, nil)) {
			return
		}
		<-tick.C
	}
	f.t.Fatalf("no tail after 30 s\n%s", f.err.String())
}

// want reads the records from number first on, each once and in order.
func (f *follower) want(first, n int) {
	f.t.Helper()
	timeout := time.After(60 * time.Second)
	for i := first; i < first+n; i++ {
		select {
		case line, more := <-f.lines:
			var r struct{ Fields struct{ N int } }
			if err := json.Unmarshal([]byte(line), &r); !more || err != nil || r.Fields.N != i {
				f.t.Fatalf("got record %d, want %d (%v, %v)\n%s\n%s", r.Fields.N, i, more, err, line, f.err.String())
			}
		case <-timeout:
			f.t.Fatalf("record %d did not come in time\n%s", i, f.err.String())
		}
	}
}

// numbered makes records of cart, and as many of another service between them.
func numbered(first, n int) (docs []string) {
	for i := first; i < first+n; i++ {
		docs = append(docs,
			fmt.Sprintf(`{"message":"order","service":{"name":"cart"},"n":%d}`, i),
			fmt.Sprintf(`{"message":"other","service":{"name":"web"},"n":%d}`, i))
	}
	return docs
}

// TestTailOutlivesKills kills the server again and again during a tail, also
// before the first record: no record is missing and none is shown twice.
func TestTailOutlivesKills(t *testing.T) {
	data := harness.Init(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listen := l.Addr().String()
	l.Close()
	const rounds, each = 4, 30
	s := harness.Serve(t, data, "--listen", listen)
	f := follow(t, s, rounds*2*each)
	for i := range rounds {
		// These come while the tail is away.
		s.Kill()
		s = harness.Serve(t, data, "--listen", listen)
		s.Bulk(numbered(i*2*each, each)...)
		// And these when it is there again, cut off in the middle.
		f.connected(s)
		for n := range each {
			s.Bulk(numbered(i*2*each+each+n, 1)...)
		}
		if i%2 == 0 {
			f.want(i*2*each, 2*each) // else the next kill comes before they are read
			continue
		}
		s.Kill()
		s = harness.Serve(t, data, "--listen", listen)
		f.want(i*2*each, 2*each)
	}
	if err := <-f.done; err != nil {
		t.Errorf("the tail ended with %v\n%s", err, f.err.String())
	}
	if !strings.Contains(f.err.String(), "connection lost") {
		t.Errorf("the tail was never cut off:\n%s", f.err.String())
	}
}

// TestTailBeginsWithThePast: what is there already and what comes live meet
// without a gap and without a record twice.
func TestTailBeginsWithThePast(t *testing.T) {
	s := harness.Serve(t, harness.Init(t))
	s.Bulk(numbered(0, 50)...)
	f := follow(t, s, 80, "--since", "1h")
	s.Bulk(numbered(50, 30)...)
	f.want(0, 80)
	last := follow(t, s, 12, "--lines", "7")
	s.Bulk(numbered(80, 5)...)
	last.want(73, 12)
}
