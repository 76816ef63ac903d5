package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestTailThatMissesSomething answers a tail by a script: it resumes from each
// place it was given, goes on after a gap, and ends with the code of an answer
// that is not whole.
func TestTailThatMissesSomething(t *testing.T) {
	record := func(ord int) string {
		return fmt.Sprintf("id: %d\ndata: {\"time\":\"2026-01-02T03:04:05Z\",\"ord\":\"%d\",\"class\":\"app\",\"line\":\"r%d\",\"fields\":{}}\n\n", ord, ord, ord)
	}
	var asked []string
	answers := []string{
		": open\nid: 5\n\n",                     // cut off before the first record
		": open\nid: 5\n\n" + record(6),         // and after one
		": open\nid: 6\n\n: alive\n\nid: 9\n\n", // only the place moved
		"id: 9\n\nevent: failed\ndata: {\"error\":{\"kind\":\"overload\",\"message\":\"more than 100 records\"},\"after\":\"9\"}\n\n",
		"id: 200\n\nevent: dropped\nid: 210\ndata: {\"records\":10,\"total\":10,\"why\":\"rate\",\"after\":\"200\"}\n\n",
		"id: 210\n\n" + record(211),
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		asked = append(asked, q.Get("after"))
		if q.Get("complete") != "true" || q.Get("query") != "{}" || q.Get("rate") != "3" {
			t.Errorf("asked %v", q)
		}
		w.Write([]byte(answers[len(asked)-1]))
	}))
	defer srv.Close()
	var out, errs strings.Builder
	w := watching{t: &terminal{out: &out, err: &errs}, query: "{}", limit: 2, rate: 3, pause: time.Millisecond}
	w.server, w.tokenFile, w.output = srv.URL, tokenFile(t), "raw"
	if err := w.open(); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.print, err = w.printer(w.t); err != nil {
		t.Fatal(err)
	}
	err = w.run(t.Context())
	if e, ok := err.(*exitError); !ok || e.code != exitPartial {
		t.Errorf("it ended with %v", err)
	}
	if got := strings.Join(asked, " "); got != " 5 6 9  210" {
		t.Errorf("resumed from %q", got)
	}
	if out.String() != "r6\nr211\n" {
		t.Errorf("shown: %q", out.String())
	}
	for _, want := range []string{"connection lost", "more than 100 records; going on with what comes now", "10 records not shown, more than --rate in a second"} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, errs.String())
		}
	}
}

// TestTailEndsWhereItMust: an error that will not go away ends it at once.
func TestTailEndsWhereItMust(t *testing.T) {
	for status, code := range map[int]int{http.StatusForbidden: 4, http.StatusUnauthorized: 4, http.StatusBadRequest: 2, http.StatusServiceUnavailable: 75} {
		n := 0
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			n++
			w.WriteHeader(status)
		}))
		got, _, errs := run(t, "tail", "--server", srv.URL, "--token-file", tokenFile(t))
		srv.Close()
		if got != code || n != 1 {
			t.Errorf("%d: exit %d, want %d, asked %d times\n%s", status, got, code, n, errs)
		}
	}
	for _, args := range [][]string{{"--since", "yesterday"}, {"--limit", "-1"}, {"--lang", "sql"}, {"-o", "parquet"}, {"rate({}[5m])"}} {
		if code, _, errs := run(t, append([]string{"tail", "--token-file", tokenFile(t)}, args...)...); code != exitUsage {
			t.Errorf("%v: exit %d\n%s", args, code, errs)
		}
	}
}

// TestTailMeetsThePast: of what is there already, what comes live as well is left
// to the tail.
func TestTailMeetsThePast(t *testing.T) {
	line := func(ord int) string {
		return fmt.Sprintf("{\"time\":\"2026-01-02T03:04:05Z\",\"ord\":\"%d\",\"class\":\"app\",\"line\":\"r%d\",\"fields\":{}}", ord, ord)
	}
	var past url.Values
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/query" {
			past = r.URL.Query()
			fmt.Fprintf(w, "%s\n%s\n%s\n{\"manifest\":{\"rows\":3}}\n", line(6), line(5), line(4))
			return
		}
		fmt.Fprintf(w, "id: 5\n\nid: 6\ndata: %s\n\n", line(6))
	}))
	defer srv.Close()
	code, out, errs := run(t, "tail", "{}", "--lines", "3", "--limit", "3", "-o", "raw", "--server", srv.URL, "--token-file", tokenFile(t))
	if code != exitOK || out != "r4\nr5\nr6\n" {
		t.Errorf("exit %d, %q\n%s", code, out, errs)
	}
	if past.Get("order") != "newest" || past.Get("limit") != "3" {
		t.Errorf("asked %v", past)
	}
}
