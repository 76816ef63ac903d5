package loki

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/query"
	"github.com/meshtrail/meshtrail/internal/record"
)

// patience bounds what a test waits for.
const patience = 20 * time.Second

// dial opens a tail of a world that is served over TCP.
func (w *world) dial(t *testing.T, path string, header http.Header, params ...string) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	srv := httptest.NewServer(w.handler)
	t.Cleanup(srv.Close)
	v := url.Values{}
	for i := 0; i < len(params); i += 2 {
		v.Add(params[i], params[i+1])
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, res, err := websocket.Dial(ctx, srv.URL+path+"?"+v.Encode(), &websocket.DialOptions{HTTPHeader: header})
	if err == nil {
		t.Cleanup(func() { conn.CloseNow() })
		conn.SetReadLimit(8 << 20)
	}
	return conn, res, err
}

func (w *world) mustDial(t *testing.T, header http.Header, params ...string) *websocket.Conn {
	t.Helper()
	conn, _, err := w.dial(t, "/loki/api/v1/tail", header, params...)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// next reads one message.
func next(t *testing.T, conn *websocket.Conn) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	kind, b, err := conn.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if kind != websocket.MessageText || !json.Valid(b) {
		t.Fatalf("message of type %v: %s", kind, b)
	}
	return string(b)
}

// commit appends one record as of now.
func (w *world) commit(at time.Duration, fields ...string) {
	w.t.Helper()
	b := &record.Batch{Tenant: "acme"}
	b.Begin(base.Add(at).UnixNano(), "app")
	for i := 0; i < len(fields); i += 2 {
		b.Str(fields[i], fields[i+1])
	}
	b.End()
	if err := w.store.Append(w.t.Context(), b); err != nil {
		w.t.Fatal(err)
	}
}

func TestTail(t *testing.T) {
	w := newWorld(t)
	conn := w.mustDial(t, nil, "query", `{service="cart"}`)
	// History first, oldest first, then what is committed, once.
	want := `{"streams":[{"stream":{"mesh":"istio","service":"cart"},"values":[["1795176000000000000","a \"quoted\" line"],["1795176001000000000","second"]]}]}`
	if got := next(t, conn); got != want {
		t.Errorf("history:\n got %s\nwant %s", got, want)
	}
	w.commit(3*time.Second, "service.name", "pay", "body", "not asked for")
	w.commit(4*time.Second, "service.name", "cart", "body", "live")
	want = `{"streams":[{"stream":{"service":"cart"},"values":[["1795176004000000000","live"]]}]}`
	if got := next(t, conn); got != want {
		t.Errorf("live:\n got %s\nwant %s", got, want)
	}
	if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestTailForms(t *testing.T) {
	w := newWorld(t)
	f := func(want, path string, header http.Header, params ...string) {
		t.Helper()
		conn, _, err := w.dial(t, path, header, params...)
		if err != nil {
			t.Fatal(err)
		}
		if got := next(t, conn); got != want {
			t.Errorf("%v\n got %s\nwant %s", params, got, want)
		}
	}
	flags := http.Header{"X-Loki-Response-Encoding-Flags": {"categorize-labels"}}
	const tail = "/loki/api/v1/tail"
	f(`{"streams":[{"stream":{"job":"batch"},"values":[["1795176002000000000","third",{"structuredMetadata":{"level":"info","detected_level":"info"}}]]}],"encodingFlags":["categorize-labels"]}`,
		tail, flags, "query", `{job="batch"}`)
	f(`{"streams":[{"stream":{"mesh":"istio","service":"cart"},"values":[["1795176001000000000","second"]]}]}`,
		tail, nil, "query", `{service="cart"}`, "limit", "1")
	f(`{"streams":[{"stream":{"job":"batch"},"values":[["1795176002000000000","third"]]}]}`,
		tail, nil, "query", `{job=~".*", service=""}`, "start", "1795176002")
	f(`{"streams":[{"stream":{"job":"batch","x":"3rd"},"values":[["1795176002000000000","=third"]]}]}`,
		tail, nil, "query", `{job="batch"} | label_format x="3rd" | line_format "={{__line__}}"`)
	f(`{"streams":[{"labels":"{job=\"batch\"}","entries":[{"ts":"2026-11-20T12:00:02Z","line":"third"}]}],"dropped_entries":null}`,
		"/api/prom/tail", nil, "query", `{job="batch"}`)
}

func TestTailRefused(t *testing.T) {
	w := newWorld(t)
	f := func(code int, want string, header http.Header, params ...string) {
		t.Helper()
		conn, res, err := w.dial(t, "/loki/api/v1/tail", header, params...)
		if err == nil {
			conn.CloseNow()
			t.Errorf("%v: accepted", params)
			return
		}
		b := make([]byte, 500)
		n, _ := res.Body.Read(b)
		if res.StatusCode != code || !strings.Contains(string(b[:n]), want) {
			t.Errorf("%v: %d %s, want %d %s", params, res.StatusCode, b[:n], code, want)
		}
	}
	f(400, "parse error at line 1, col 2", nil, "query", `{`)
	f(400, "a log query is wanted here", nil, "query", `rate({}[1m])`)
	f(400, "limit must be a positive value", nil, "query", `{}`, "limit", "-1")
	f(403, "may not read audit records", nil, "query", `{class="audit"}`)
	// A page of another origin may not borrow what the browser knows.
	page := http.Header{"Origin": {"https://evil.example"}}
	f(403, "", page, "query", `{}`)
	page.Set("Authorization", "Bearer abc")
	if _, _, err := w.dial(t, "/loki/api/v1/tail", page, "query", `{}`); err != nil {
		t.Errorf("a page with a credential of its own: %v", err)
	}
	w.audit.err = fault.Errorf(fault.Unavailable, "disk is full")
	f(503, "disk is full", nil, "query", `{}`)
}

// closing reads until the connection ends, and returns how it did.
func closing(t *testing.T, conn *websocket.Conn) websocket.CloseError {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		_, _, err := conn.Read(ctx)
		var end websocket.CloseError
		if errors.As(err, &end) {
			return end
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestTailEnds(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.TailMax = 50 * time.Millisecond })
	if end := closing(t, w.mustDial(t, nil, "query", `{}`)); end.Code != 1011 || end.Reason != "reached tail max duration limit" {
		t.Errorf("closed with %d %q", end.Code, end.Reason)
	}
}

// TestTailDelay: what comes late is sorted in.
func TestTailDelay(t *testing.T) {
	w := newWorld(t)
	conn := w.mustDial(t, nil, "query", `{service="cart"}`, "delay_for", "1", "start", "1795176050")
	now := 60 * time.Second // the engine's clock stands
	w.commit(now-900*time.Millisecond, "service.name", "cart", "body", "waits")
	w.commit(now-1100*time.Millisecond, "service.name", "cart", "body", "second")
	w.commit(now-1200*time.Millisecond, "service.name", "cart", "body", "third")
	got := next(t, conn)
	if strings.Contains(got, "third") {
		if !strings.Contains(got, `"third"],["1795176058900000000","second"]`) {
			t.Errorf("not in order of time: %s", got)
		}
	} else {
		got += next(t, conn)
	}
	if strings.Contains(got, "waits") || !strings.Contains(got, "second") || !strings.Contains(got, "third") {
		t.Errorf("got %s", got)
	}
}

// TestTailPings: signs of life come without being asked for.
func TestTailPings(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Ping = 10 * time.Millisecond })
	srv := httptest.NewServer(w.handler)
	defer srv.Close()
	pinged := make(chan struct{}, 1000)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, srv.URL+"/loki/api/v1/tail?query=%7B%7D", &websocket.DialOptions{
		OnPingReceived: func(context.Context, []byte) bool { pinged <- struct{}{}; return true },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	go func() {
		for {
			if _, _, err := conn.Read(ctx); err != nil {
				return
			}
		}
	}()
	for range 3 {
		select {
		case <-pinged:
		case <-ctx.Done():
			t.Fatal("no ping")
		}
	}
}

// TestTailSlow: a reader that takes nothing keeps no commit waiting, and is told
// what it lost.
func TestTailSlow(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Ping = 20 * time.Millisecond })
	conn := w.mustDial(t, nil, "query", `{service="cart"}`, "start", "1795176050")
	body := strings.Repeat("x", 100<<10)
	const n = 600 // 60 MB: more than sockets and messages hold
	committed := make(chan struct{})
	go func() {
		defer close(committed)
		for i := range n {
			w.commit(time.Duration(i)*time.Millisecond, "service.name", "cart", "body", fmt.Sprint(i, " ", body))
		}
	}()
	select {
	case <-committed:
	case <-time.After(patience):
		t.Fatal("a reader that takes nothing keeps commits waiting")
	}
	got, lost := 0, 0
	for got+lost < n {
		var m struct {
			Streams []struct{ Values [][]any }
			Dropped []struct {
				Timestamp string
				Labels    map[string]string
			} `json:"dropped_entries"`
		}
		if err := json.Unmarshal([]byte(next(t, conn)), &m); err != nil {
			t.Fatal(err)
		}
		for _, s := range m.Streams {
			got += len(s.Values)
		}
		for _, d := range m.Dropped {
			if d.Timestamp == "" {
				t.Error("a lost record without time")
			}
		}
		lost += len(m.Dropped)
	}
	if got == 0 || lost == 0 || got+lost != n {
		t.Errorf("%d told, %d lost, of %d", got, lost, n)
	}
}

// TestTailGone: a reader that goes away without a word leaves nothing behind.
func TestTailGone(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Ping = 10 * time.Millisecond })
	ended := make(chan struct{})
	inner := w.handler
	w.handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(rw, r)
		close(ended)
	})
	srv := httptest.NewServer(w.handler)
	defer srv.Close()
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "GET /loki/api/v1/tail?query=%%7B%%7D HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	if n, err := c.Read(make([]byte, 100)); err != nil || n == 0 {
		t.Fatal(n, err)
	}
	c.Close()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("the tail of a reader that went away goes on")
	}
}

// TestTailLoses: what the subscription lost is told, without saying what it was,
// and what ends the subscription ends the tail with its words.
func TestTailLoses(t *testing.T) {
	w := newWorld(t)
	shaper, err := query.NewShaper(query.LogQL, `{}`)
	if err != nil {
		t.Fatal(err)
	}
	w.options.TailMax, w.options.Ping = time.Hour, time.Hour
	tl := &tailer{o: &w.options, shaper: shaper, frames: make(chan []byte, 2)}
	in := make(chan news, 3)
	in <- news{dropped: 2}
	in <- news{dropped: maxDropped * 3}
	in <- news{err: fault.WithHint(fault.Errorf(fault.Overload, "the reader is too slow"), "ask for less")}
	code, why := tl.loop(t.Context(), t.Context(), in)
	if code != websocket.StatusInternalError || why != "the reader is too slow\nhint: ask for less" {
		t.Errorf("ended with %d %q", code, why)
	}
	tl.flush()
	if len(tl.frames) == 0 {
		t.Fatal("nothing was told")
	}
	if got, want := string(<-tl.frames), `{"streams":[],"dropped_entries":[{"timestamp":"1795176060000000000"},{"timestamp":"1795176060000000000"}`; !strings.HasPrefix(got, want) {
		t.Errorf("told %.300s", got)
	}
}

func TestClip(t *testing.T) {
	for _, s := range []string{"", "short", strings.Repeat("x", 123), strings.Repeat("x", 124), strings.Repeat("ü", 100), "\xff" + strings.Repeat("\x80", 200)} {
		if got := clip(s); len(got) > 123 || len(s) <= 123 && got != s || utf8.ValidString(s) && !utf8.ValidString(got) {
			t.Errorf("clip(%q) = %q", s, got)
		}
	}
}
