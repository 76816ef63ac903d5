package peers

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/e2e/harness"
)

// push pushes lines of one Loki stream, a millisecond apart.
func push(t testing.TB, s *harness.Server, from time.Time, labels string, lines ...string) {
	t.Helper()
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"streams":[{"stream":%s,"values":[`, labels)
	for i, l := range lines {
		if i > 0 {
			b.WriteByte(',')
		}
		text, _ := json.Marshal(l)
		fmt.Fprintf(&b, `["%d",%s]`, from.Add(time.Duration(i)*time.Millisecond).UnixNano(), text)
	}
	b.WriteString("]}]}")
	s.Must("POST", "/loki/api/v1/push", map[string]string{"Content-Type": "application/json"}, b.Bytes())
}

// logcli is Loki's command line, ready to be run against the server.
func logcli(ctx context.Context, path string, s *harness.Server, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, append([]string{"--quiet", "--addr=" + s.Base, "--username=any", "--password=" + s.Token}, args...)...)
	cmd.Env = append(os.Environ(), "TZ=UTC")
	return cmd
}

// TestLogcli runs Loki's own command line through a session.
func TestLogcli(t *testing.T) {
	path := peer(t, "logcli")
	s := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	from := time.Now().Add(-10 * time.Minute).Truncate(time.Second)
	var lines []string
	for i := range 500 {
		lines = append(lines, fmt.Sprintf("line %d level=info", i))
	}
	push(t, s, from, `{"app":"shop","env":"prod"}`, lines...)
	push(t, s, from.Add(time.Minute), `{"app":"shop","env":"test"}`, `{"kind":"json","n":5}`)
	f := func(want string, args ...string) {
		t.Helper()
		var stderr bytes.Buffer
		cmd := logcli(ctx, path, s, args...)
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if got := string(out) + stderr.String(); err != nil || !strings.Contains(got, want) {
			t.Errorf("logcli %s: %v\n got %.2000s\nwant %s", strings.Join(args, " "), err, got, want)
		}
	}
	f(strings.Join(lines, "\n"), "query", `{env="prod"}`, "--forward", "--limit=500", "--batch=37", "-o", "raw")
	f("line 499 level=info\nline 498", "query", `{env="prod"}`, "--limit=500", "--batch=41", "-o", "raw")
	f(`"kind":"json"`, "query", `{app="shop"} |= "json" | json | n=5`)
	f(`"line":"line 7`, "query", `{env="prod"}`, "--forward", "--limit=8", "-o", "jsonl")
	f("app\nenv\n", "labels")
	f("prod\ntest\n", "labels", "env")
	f(`{app="shop", env="prod"`, "series", `{app="shop"}`)
	f(`"500"`, "instant-query", `sum(count_over_time({env="prod"}[1h]))`)
	f(`"values"`, "query", `sum by (env) (rate({app="shop"}[1m]))`, "--since=15m", "--step=60s")
	f("entries: 501", "stats", `{app="shop"}`)
	f(`"env": "prod"`, "volume", `{app="shop"}`, "--targetLabels=env")
	f(`"app": "shop"`, "volume_range", `{app="shop"}`, "--step=300s")
	f("label: n", "detected-fields", `{env="test"}`)
	f("Querier.DecompressedLines", "query", `{env="test"}`, "--stats")
	refused, err := logcli(ctx, path, s, "query", `{env=`).CombinedOutput()
	if err == nil || !strings.Contains(string(refused), "parse error at line 1, col 6") {
		t.Errorf("a query that is none: %v %s", err, refused)
	}
}

// TestLogcliTail: what is pushed shows up in logcli's live tail.
func TestLogcliTail(t *testing.T) {
	path := peer(t, "logcli")
	s := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	push(t, s, time.Now(), `{"app":"shop"}`, "before")
	cmd := logcli(ctx, path, s, "query", "--tail", `{app="shop"}`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	sc := bufio.NewScanner(out)
	for _, want := range []string{"before", "first live", "second live"} {
		if want != "before" {
			push(t, s, time.Now(), `{"app":"shop"}`, want)
		}
		if !sc.Scan() || !strings.Contains(sc.Text(), want) || !strings.Contains(sc.Text(), `app="shop"`) {
			t.Fatalf("got %q, want %q", sc.Text(), want)
		}
	}
}

// TestCanary lets loki-canary write, tail, query and count, and requires that it
// misses nothing.
func TestCanary(t *testing.T) {
	path := peer(t, "loki-canary")
	s := start(t)
	lasts := 20 * time.Second
	// The canary takes a tail for dead that is silent for ten times as long, and
	// then counts what it reads again as unexpected: the machine may be busy.
	const interval = 400 * time.Millisecond
	if harness.Long() {
		lasts = 5 * time.Minute
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), lasts+time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-push", "-addr", strings.TrimPrefix(s.Base, "http://"), "-user", "any", "-pass", s.Token, "-port", port,
		"-labelname", "name", "-labelvalue", "c1", "-interval", interval.String(), "-pruneinterval", "2s", "-wait", "3s", "-max-wait", "10s",
		"-spot-check-interval", "2s", "-spot-check-query-rate", "3s", "-spot-check-initial-wait", "3s",
		"-metric-test-interval", "5s", "-metric-test-range", "10s")
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-time.After(lasts):
	case <-ctx.Done():
	}
	m := metrics(t, "http://127.0.0.1:"+port+"/metrics")
	cmd.Process.Kill()
	cmd.Wait()
	for _, zero := range []string{"missing_entries_total", "duplicate_entries_total", "out_of_order_entries_total", "unexpected_entries_total",
		"websocket_missing_entries_total", "spot_check_missing_entries_total", "ws_reconnects_total"} {
		if n, ok := m[zero]; !ok || n != 0 {
			t.Errorf("%s is %v (known: %v)\n%.4000s", zero, n, ok, log.String())
		}
	}
	if want := 0.8 * float64(lasts/interval); m["entries_total"] < want {
		t.Errorf("%v entries, want %v at least", m["entries_total"], want)
	}
	if m["ws_pings_total"] < lasts.Seconds()*0.8 || m["spot_check_entries_total"] == 0 {
		t.Errorf("%v pings, %v spot checks", m["ws_pings_total"], m["spot_check_entries_total"])
	}
	if d := m["metric_test_expected"] - m["metric_test_actual"]; d < -1 || d > 1 || m["metric_test_actual"] == 0 {
		t.Errorf("counted %v, want %v", m["metric_test_actual"], m["metric_test_expected"])
	}
	t.Logf("%v: %v entries, %v spot checks, %v pings; mean latency over the tail %.1f ms", lasts, m["entries_total"], m["spot_check_entries_total"],
		m["ws_pings_total"], 1000*m["response_latency_seconds_sum"]/m["response_latency_seconds_count"])
}

// metrics reads the canary's own counts, without their prefix.
func metrics(t *testing.T, url string) map[string]float64 {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for line := range strings.SplitSeq(string(b), "\n") {
		name, value, ok := strings.Cut(line, " ")
		if short, is := strings.CutPrefix(name, "loki_canary_"); ok && is {
			if v, err := strconv.ParseFloat(value, 64); err == nil {
				out[short] = v
			}
		}
	}
	return out
}
