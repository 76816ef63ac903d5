package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meshtrail/meshtrail/internal/app"
)

// served runs a server with a few records and returns what every asking verb
// needs: its folder and the flags that point at it.
func served(t *testing.T) (dir string, flags []string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	if code, out, errs := run(t, "init", "--data", dir); code != exitOK || !strings.Contains(out, "meshtrail serve --data "+dir) {
		t.Fatalf("init: exit %d\n%s%s", code, out, errs)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready := make(chan [2]string, 1)
	done := make(chan error, 1)
	go func() {
		done <- app.Serve(ctx, app.ServeOptions{Data: dir, Listen: "127.0.0.1:0", Version: "test", Err: io.Discard, Ready: func(url, token string) { ready <- [2]string{url, token} }})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	at := <-ready
	now := time.Now().UTC()
	var body strings.Builder
	for i := range 20 {
		fmt.Fprintf(&body, "{\"create\":{}}\n{\"@timestamp\":%q,\"message\":\"order %02d \\u001b[31mplaced\",\"service\":{\"name\":\"cart\"},\"n\":%d}\n", now.Add(-time.Duration(i)*time.Second).Format(time.RFC3339Nano), i, i)
	}
	r, err := http.NewRequest("POST", at[0]+"/_bulk", strings.NewReader(body.String()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+at[1])
	r.Header.Set("Content-Type", "application/x-ndjson")
	resp, err := http.DefaultClient.Do(r)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v, %v", resp, err)
	}
	resp.Body.Close()
	return dir, []string{"--server", at[0], "--token-file", filepath.Join(dir, "admin.token")}
}

func TestTheReadingVerbs(t *testing.T) {
	dir, flags := served(t)
	ask := func(code int, want string, args ...string) string {
		t.Helper()
		got, out, errs := run(t, append(args, flags...)...)
		if got != code || !strings.Contains(out+errs, want) {
			t.Errorf("%v: exit %d, want %d and %q\n%s%s", args, got, code, want, out, errs)
		}
		return out
	}
	ask(exitOK, `order 00 \x1b[31mplaced`, "query", `{service="cart"}`)
	if out := ask(exitOK, "", "query", `{service="cart"}`, "--limit", "3", "--order", "oldest", "-o", "raw"); out != "order 19 \x1b[31mplaced\norder 18 \x1b[31mplaced\norder 17 \x1b[31mplaced\n" {
		t.Errorf("raw: %q", out)
	}
	jsonl := ask(exitOK, "", "query", `{service="cart"} | n >= 5`, "-o", "jsonl", "--limit", "0")
	for line := range strings.Lines(jsonl) {
		var o struct {
			Line   string
			Fields map[string]any
		}
		if err := json.Unmarshal([]byte(line), &o); err != nil || o.Fields["n"].(float64) < 5 {
			t.Errorf("%v in %s", err, line)
		}
	}
	if n := strings.Count(jsonl, "\n"); n != 15 {
		t.Errorf("%d records, want 15", n)
	}
	ask(exitOK, "3 records shown, more match", "query", `{service="cart"}`, "--limit", "3")
	ask(exitOK, "n=7", "query", `{service="cart"} |= "order 07"`, "--fields", "n")
	ask(exitOK, "time,n,line\n", "query", `{service="cart"}`, "-o", "csv", "--fields", "n")
	ask(exitOK, "service.name=cart", "query", `{service="cart"}`, "-o", "logfmt")
	ask(exitOK, `20  {service="cart"}`, "query", `sum by (service) (count_over_time({service="cart"}[1h]))`, "--step", "30m", "--from", "-30m")
	ask(exitOK, "cart", "stats", "--by", "service")
	ask(exitOK, "service_name", "fields")
	ask(exitOK, "20  cart", "values", "service")
	ask(exitOK, `{"name":"cart","n":20}`, "values", "service", "-o", "jsonl")

	ask(exitNoMatch, "nothing matches", "query", `{service="nosuch"}`)
	ask(exitNoMatch, "", "values", "nosuchfield")
	ask(exitUsage, "line 1", "query", `{service=`)
	ask(exitUsage, "line 1", "tail", `{service=`)
	ask(exitUsage, "unknown output", "query", "{}", "-o", "xml")
	ask(exitUsage, "--from", "query", "{}", "--from", "yesterday")
	ask(exitUsage, "is empty", "query", "{}", "--from", "now", "--to", "-1h")
	ask(exitUsage, "both --since and --from", "query", "{}", "--from", "-1h", "--since", "1h")

	report := filepath.Join(t.TempDir(), "soc2.html")
	ask(exitOK, "wrote "+report, "report", "soc2", "--from", "-1h", "-o", report)
	if data, err := os.ReadFile(report); err != nil || !strings.Contains(string(data), "elastic/admin") {
		t.Errorf("report: %v, %d bytes", err, len(data))
	}
	ask(exitUsage, ".html or .json", "report", "soc2", "-o", "x.pdf")
	if note := ask(exitOK, "sealed", "seal"); !strings.HasPrefix(note, "meshtrail/") {
		t.Errorf("seal printed %q", note)
	}
	if code, out, errs := run(t, "verify", dir); code != exitOK || !strings.Contains(out, "VERIFIED") {
		t.Errorf("verify of a live folder: exit %d\n%s%s", code, out, errs)
	}
	if code, _, _ := run(t, "verify", filepath.Join(dir, "segments")); code != exitCannotVerify {
		t.Errorf("verify of no data folder: exit %d", code)
	}
	if code, out, _ := run(t, "verify", dir, "--json", "-"); code != exitOK || !json.Valid([]byte(out)) {
		t.Errorf("verify --json -: exit %d\n%s", code, out)
	}
}

func TestTailShowsWhatWasKept(t *testing.T) {
	dir, flags := served(t)
	w := watching{t: &terminal{out: io.Discard, err: io.Discard}, query: `{service="cart"}`, limit: 5, after: "1"}
	w.server, w.tokenFile = flags[1], filepath.Join(dir, "admin.token")
	if err := w.open(); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	var err error
	if w.print, err = newPrinter(&terminal{out: &out}, "raw", nil, false); err != nil {
		t.Fatal(err)
	}
	if err := w.run(t.Context()); err != nil || strings.Count(out.String(), "placed") != 5 {
		t.Errorf("%v, %q", err, out.String())
	}
}

// TestTailOutlivesARestart: a server that was there and is not for a while is
// waited for, also before the first record was shown.
func TestTailOutlivesARestart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	asked := 0
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		switch asked++; asked {
		case 1: // and the stream ends
		case 2:
			rw.WriteHeader(http.StatusServiceUnavailable)
		default:
			cancel()
		}
	}))
	defer srv.Close()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("mt_"+strings.Repeat("a", 52)), 0o600); err != nil {
		t.Fatal(err)
	}
	w := watching{t: &terminal{out: io.Discard, err: io.Discard}, query: `{}`, pause: time.Millisecond}
	w.server, w.tokenFile = srv.URL, token
	if err := w.open(); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.print, err = newPrinter(w.t, "raw", nil, false); err != nil {
		t.Fatal(err)
	}
	if err := w.run(ctx); err != nil || asked != 3 {
		t.Errorf("asked %d times: %v", asked, err)
	}
}

func TestWhoIsRefusedAndWhoIsNotThere(t *testing.T) {
	dir, flags := served(t)
	wrong := filepath.Join(t.TempDir(), "wrong.token")
	if err := os.WriteFile(wrong, []byte("mt_"+strings.Repeat("a", 52)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{4, "unknown credential", []string{"query", "{}", "--server", flags[1], "--token-file", wrong}},
		{4, "--token-file", []string{"query", "{}", "--server", flags[1], "--token-file", wrong + "x"}},
		{75, "meshtrail serve", []string{"query", "{}", "--server", "http://127.0.0.1:1", "--token-file", filepath.Join(dir, "admin.token")}},
		{2, "without TLS", []string{"query", "{}", "--server", "http://logs.example.com:7420", "--token-file", filepath.Join(dir, "admin.token")}},
		{2, "no http or https", []string{"seal", "--server", "ftp://x", "--token-file", filepath.Join(dir, "admin.token")}},
	} {
		code, out, errs := run(t, c.args...)
		if code != c.code || !strings.Contains(errs, c.want) || !strings.Contains(errs, "hint: ") {
			t.Errorf("%v: exit %d, want %d and %q\n%s%s", c.args, code, c.code, c.want, out, errs)
		}
	}
}
