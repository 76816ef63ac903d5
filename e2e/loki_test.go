package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/meshtrail/meshtrail/e2e/harness"
)

// pushLoki pushes lines of one stream, a millisecond apart, as Loki's clients do.
func pushLoki(t testing.TB, s *harness.Server, from time.Time, labels string, metadata string, lines ...string) {
	t.Helper()
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"streams":[{"stream":%s,"values":[`, labels)
	for i, l := range lines {
		if i > 0 {
			b.WriteByte(',')
		}
		text, _ := json.Marshal(l)
		fmt.Fprintf(&b, `["%d",%s,%s]`, from.Add(time.Duration(i)*time.Millisecond).UnixNano(), text, metadata)
	}
	b.WriteString("]}]}")
	s.Must("POST", "/loki/api/v1/push", map[string]string{"Content-Type": "application/json"}, b.Bytes())
}

// loki asks with logcli's and Grafana's headers, and returns the answer without
// its statistics.
func loki(t testing.TB, s *harness.Server, path string, params ...string) string {
	t.Helper()
	v := url.Values{}
	for i := 0; i < len(params); i += 2 {
		v.Add(params[i], params[i+1])
	}
	b := s.Must("GET", path+"?"+v.Encode(), map[string]string{
		"X-Scope-OrgID": "someone-else", "X-Query-Tags": "Source=logcli", "Cache-Control": "no-cache", "User-Agent": "loki-logcli/3.5",
	}, nil)
	text := string(b)
	if i := strings.Index(text, `,"stats":{`); i >= 0 {
		text = text[:i]
	}
	return text
}

// lokiLines pages through a query as logcli does: each page begins at the time
// of the last record of the one before, and repeats the records of that time.
func lokiLines(t testing.TB, s *harness.Server, query string, from, to time.Time, batch int) []string {
	t.Helper()
	var lines []string
	seen := map[string]bool{}
	start := from.UnixNano()
	for {
		b := s.Must("GET", "/loki/api/v1/query_range?"+url.Values{
			"query": {query}, "start": {strconv.FormatInt(start, 10)}, "end": {strconv.FormatInt(to.UnixNano(), 10)},
			"limit": {strconv.Itoa(batch)}, "direction": {"FORWARD"},
		}.Encode(), nil, nil)
		var res struct {
			Data struct {
				Result []struct{ Values [][2]string }
			}
		}
		if err := json.Unmarshal(b, &res); err != nil {
			t.Fatalf("%v: %s", err, b)
		}
		var page [][2]string
		for _, st := range res.Data.Result {
			page = append(page, st.Values...)
		}
		slices.SortStableFunc(page, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
		fresh := 0
		for _, e := range page {
			if !seen[e[0]+e[1]] {
				seen[e[0]+e[1]] = true
				lines = append(lines, e[1])
				fresh++
			}
		}
		if fresh == 0 {
			return lines
		}
		start, _ = strconv.ParseInt(page[len(page)-1][0], 10, 64)
	}
}

// TestLokiSession is a session of logcli and Grafana over plain HTTP: the same
// answers from memory, from segments, and after power loss.
func TestLokiSession(t *testing.T) {
	t.Parallel()
	s := harness.Serve(t, harness.Init(t))
	from := time.Now().Add(-10 * time.Minute).Truncate(time.Second)
	to := from.Add(5 * time.Minute)
	var lines []string
	for i := range 120 {
		lines = append(lines, fmt.Sprintf("request %d took %dms", i, i%7))
	}
	pushLoki(t, s, from, `{"app":"shop","env":"prod"}`, `{"trace_id":"abc"}`, lines...)
	pushLoki(t, s, from.Add(time.Minute), `{"app":"shop","env":"test"}`, `{}`, "one line", `{"msg":"json","n":5}`)
	ask := func() string {
		at := func(path string, params ...string) string {
			return loki(t, s, "/loki/api/v1/"+path, append(params, "start", fmt.Sprint(from.UnixNano()), "end", fmt.Sprint(to.UnixNano()))...)
		}
		return strings.Join([]string{
			at("labels"), at("label/env/values"), at("series", "match[]", `{app="shop"}`),
			at("query_range", "query", `{env="test"}`),
			at("query_range", "query", `{env="test"} | json | n > 4`),
			at("query_range", "query", `sum by (env) (count_over_time({app="shop"}[5m]))`, "step", "300"),
			at("index/volume", "query", `{app="shop"}`, "targetLabels", "env"),
			at("patterns", "query", `{env="prod"}`, "step", "300s"),
			at("detected_labels", "query", `{app="shop"}`),
			at("detected_field/trace_id/values", "query", `{app="shop"}`),
			loki(t, s, "/loki/api/v1/query", "query", `count_over_time({env="prod"}[10m])`, "time", fmt.Sprint(to.Unix())),
		}, "\n")
	}
	got := ask()
	for _, want := range []string{
		`{"status":"success","data":["prod","test"]}`,
		`"app":"shop","env":"prod"`,
		`"env":"test","n":"5"`,
		`{"metric":{"env":"prod"},"value":[`,
		`"pattern":"request <_> took <_>"`,
		`{"label":"env","cardinality":2}`,
		`{"values":["abc"],"limit":1000}`,
		`"120"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	pages := lokiLines(t, s, `{env="prod"}`, from, to, 17)
	if !slices.Equal(pages, lines) {
		t.Errorf("pages: %d lines, want %d: %.300q", len(pages), len(lines), pages)
	}
	s.Must("POST", "/api/v1/seal", nil, nil)
	if sealed := ask(); sealed != got {
		t.Errorf("sealed:\n%s\nbefore:\n%s", sealed, got)
	}
	s.Kill()
	s = harness.Serve(t, s.Data)
	if again := ask(); again != got {
		t.Errorf("after kill -9:\n%s\nbefore:\n%s", again, got)
	}
}

// TestLokiTail watches over a websocket while records are pushed, through the
// gate, and sees the server say goodbye.
func TestLokiTail(t *testing.T) {
	t.Parallel()
	s := harness.Serve(t, harness.Init(t))
	now := time.Now()
	pushLoki(t, s, now.Add(-time.Second), `{"app":"shop"}`, `{}`, "before")
	address := strings.Replace(s.Base, "http", "ws", 1) + "/loki/api/v1/tail?" + url.Values{
		"query": {`{app="shop"}`}, "start": {fmt.Sprint(now.Add(-time.Minute).UnixNano())}, "delay_for": {"0"}, "limit": {"30"},
	}.Encode()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, res, err := websocket.Dial(ctx, address, nil); err == nil || res == nil || res.StatusCode != 401 {
		t.Fatalf("without a credential: %v", err)
	}
	conn, _, err := websocket.Dial(ctx, address, &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + s.Token}}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	read := func(want string) {
		t.Helper()
		_, b, err := conn.Read(ctx)
		if err != nil || !strings.Contains(string(b), want) {
			t.Fatalf("%s %v, want %s", b, err, want)
		}
	}
	read(`"before"`)
	for i := range 20 {
		line := fmt.Sprint("live ", i)
		pushLoki(t, s, now.Add(time.Duration(i)*time.Millisecond), `{"app":"shop"}`, `{}`, line)
		read(`"` + line + `"`)
	}
	stopped := make(chan struct{})
	go func() { s.Stop(); close(stopped) }()
	if _, _, err := conn.Read(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("at the stop: %v", err)
	}
	<-stopped
}
