package native

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/meshtrail/meshtrail/internal/tail"
)

// sse reads server-sent events.
type sse struct {
	t    *testing.T
	scan *bufio.Scanner
	res  *http.Response
}

// openTail opens a tail of everything and wants to be told its place.
func openTail(t *testing.T, srv *httptest.Server, lastID, place string, params ...string) *sse {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	v := url.Values{"query": {"{}"}}
	for i := 0; i < len(params); i += 2 {
		v.Set(params[i], params[i+1])
	}
	req, err := http.NewRequestWithContext(ctx, "GET", srv.URL+"/api/v1/tail?"+v.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	s := &sse{t, bufio.NewScanner(res.Body), res}
	if got, want := s.event(), ": open|retry: 1000|id: "+place; got != want {
		t.Fatalf("opening %q, want %q", got, want)
	}
	return s
}

// event returns the lines of the next event, joined by |.
func (s *sse) event() string {
	s.t.Helper()
	var lines []string
	for s.scan.Scan() {
		if s.scan.Text() == "" {
			return strings.Join(lines, "|")
		}
		lines = append(lines, s.scan.Text())
	}
	s.t.Fatalf("tail ended after %v: %v", lines, s.scan.Err())
	return ""
}

func TestTail(t *testing.T) {
	srv, s := readingWorld(t, nil)
	put(t, s, "before")
	live := openTail(t, srv, "", "1048576")
	put(t, s, "one", "two")
	const one = `id: 2097152|data: {"time":"2026-11-20T12:00:00Z","ingest":"2026-11-20T12:00:00Z","ord":"2097152","class":"app","line":"one","fields":{"body":"one","n":0}}`
	if got := live.event(); got != one {
		t.Errorf("got %s\nwant %s", got, one)
	}
	if got := live.event(); !strings.HasPrefix(got, "id: 2097153|") {
		t.Errorf("second: %s", got)
	}
	// Whoever comes back with the id of an event gets what came after it, and
	// so does who saw no record yet.
	again := openTail(t, srv, "2097152", "2097152")
	if got := again.event(); !strings.HasPrefix(got, "id: 2097153|") {
		t.Errorf("resumed: %s", got)
	}
	first := openTail(t, srv, "1048576", "1048576")
	if got := first.event(); got != one {
		t.Errorf("resumed before the first record: %s", got)
	}
	put(t, s, "three")
	if got := again.event(); !strings.HasPrefix(got, "id: 3145728|") {
		t.Errorf("after the resumption: %s", got)
	}
}

func TestTailDropped(t *testing.T) {
	srv, s := readingWorld(t, nil)
	live := openTail(t, srv, "", "0")
	put(t, s, "1", "2", "3", "4", "5") // the queue holds three
	for range 3 {
		if got := live.event(); !strings.HasPrefix(got, "id: ") {
			t.Fatal(got)
		}
	}
	if got := live.event(); got != `event: dropped|id: 1048580|data: {"records":2,"total":2,"why":"slow","after":"1048578"}` {
		t.Errorf("got %s", got)
	}
	// They can be read from the place that was named.
	again := openTail(t, srv, "", "1048578", "after", "1048578")
	if got := again.event(); !strings.HasPrefix(got, "id: 1048579|") {
		t.Errorf("resumed: %s", got)
	}
}

func TestTailComplete(t *testing.T) {
	srv, s := readingWorld(t, nil)
	live := openTail(t, srv, "", "0", "complete", "true")
	put(t, s, "0", "1", "2", "3", "4", "5", "6", "7")
	for i := range 8 {
		if got := live.event(); !strings.HasPrefix(got, fmt.Sprintf("id: %d|data: ", 1<<20+i)) {
			t.Fatalf("record %d: %s", i, got)
		}
	}
}

func TestTailRate(t *testing.T) {
	srv, s := readingWorld(t, nil)
	live := openTail(t, srv, "", "0", "complete", "true", "rate", "2")
	put(t, s, "0", "1", "2", "3", "4", "5", "6", "7")
	for i := range 2 {
		if got := live.event(); !strings.HasPrefix(got, fmt.Sprintf("id: %d|data: ", 1<<20+i)) {
			t.Fatalf("record %d: %s", i, got)
		}
	}
	// The store is read in pages of three, within one second or more of them.
	shown, unseen := 2, 0
	for shown+unseen < 8 {
		got := live.event()
		if !strings.HasPrefix(got, "event: dropped|") {
			shown++
			continue
		}
		var u struct {
			Records, Total int
			Why, After     string
		}
		if err := json.Unmarshal([]byte(got[strings.Index(got, "{"):]), &u); err != nil || u.Why != "rate" || u.After == "" {
			t.Fatalf("%s: %v", got, err)
		}
		if unseen += u.Records; u.Total != unseen {
			t.Errorf("%s, want total %d", got, unseen)
		}
	}
	if unseen == 0 {
		t.Error("nothing was held back")
	}
}

// TestTailExpelled: a reader who lost too much is told where to come back.
func TestTailExpelled(t *testing.T) {
	hub := tail.New(tail.Options{Queue: 3, MaxLost: 3})
	srv, s := readingWorld(t, func(o *ReadingOptions) { o.Tail = hub })
	s.Watch(hub.Publish)
	live := openTail(t, srv, "", "0")
	socket := openSocket(t, srv, "")
	if m := socket(); m.Type != "open" || m.Place != "0" {
		t.Fatalf("opening %+v", m)
	}
	put(t, s, "0", "1", "2", "3", "4", "5", "6", "7")
	if got := live.event(); !strings.HasPrefix(got, `event: failed|data: {"error":{"kind":"overload","message":"`) || !strings.HasSuffix(got, `"after":"0"}`) {
		t.Errorf("got %s", got)
	}
	if m := socket(); m.Type != "failed" || m.After != "0" || m.Error.Kind != "overload" {
		t.Errorf("got %+v", m)
	}
	if m := socket(); m.Type != "closed" || m.Place != "StatusTryAgainLater" {
		t.Errorf("got %+v", m)
	}
}

func TestTailHeartbeatAndStop(t *testing.T) {
	done := make(chan struct{})
	srv, s := readingWorld(t, func(o *ReadingOptions) { o.Heartbeat = time.Millisecond; o.Done = done })
	put(t, s, "before")
	live := openTail(t, srv, "", "1048576", "query", `{nosuch="x"}`)
	if got := live.event(); got != ": alive" {
		t.Errorf("got %s", got)
	}
	// What does not match moves the place.
	put(t, s, "other")
	for got := ""; got != "id: 2097152"; {
		got = live.event()
		if got != "id: 2097152" && got != ": alive" {
			t.Fatalf("got %s", got)
		}
	}
	close(done)
	for live.scan.Scan() { // until the server ends it
	}
	if err := live.scan.Err(); err != nil {
		t.Errorf("end of a tail: %v", err)
	}
}

// TestTailOfAReaderThatTakesNothing: it is let go, and the handler ends.
func TestTailOfAReaderThatTakesNothing(t *testing.T) {
	srv, s := readingWorld(t, func(o *ReadingOptions) { o.Stall = 50 * time.Millisecond })
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /api/v1/tail?query=%%7B%%7D&complete=true HTTP/1.1\r\nHost: x\r\n\r\n")
	// One byte says that the tail is open; nothing else is read.
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	for range 40 { // more than the buffers of a connection hold
		put(t, s, strings.Repeat("x", 1<<20))
	}
	srv.Config.SetKeepAlivesEnabled(false)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := srv.Config.Shutdown(ctx); err != nil { // waits for the handler
		t.Errorf("the tail is still open: %v", err)
	}
}

// message is one of a websocket's.
type message struct {
	Type, Place, After, Why string
	Records                 json.RawMessage
	Error                   struct{ Kind, Message string }
}

func openSocket(t *testing.T, srv *httptest.Server, params string) func() message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	conn, _, err := websocket.Dial(ctx, srv.URL+"/api/v1/tail?"+params, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(1 << 24)
	t.Cleanup(func() { conn.CloseNow() })
	return func() (m message) {
		t.Helper()
		_, data, err := conn.Read(ctx)
		if err != nil {
			return message{Type: "closed", Place: websocket.CloseStatus(err).String()}
		}
		if err := json.Unmarshal(data, &m); err != nil {
			t.Fatalf("%v in %s", err, data)
		}
		return m
	}
}

func TestTailSocket(t *testing.T) {
	done := make(chan struct{})
	srv, s := readingWorld(t, func(o *ReadingOptions) { o.Done = done })
	put(t, s, "before")
	next := openSocket(t, srv, "query=%7B%7D")
	if m := next(); m.Type != "open" || m.Place != "1048576" {
		t.Fatalf("opening %+v", m)
	}
	put(t, s, "one", "two", "three", "four", "five")
	var records []struct{ Ord, Line string }
	if m := next(); m.Type != "records" || m.Place != "2097154" || json.Unmarshal(m.Records, &records) != nil || len(records) != 3 || records[2].Line != "three" {
		t.Fatalf("%+v", m)
	}
	if m := next(); m.Type != "dropped" || string(m.Records) != "2" || m.After != "2097154" || m.Place != "2097156" || m.Why != "slow" {
		t.Fatalf("%+v", m)
	}
	again := openSocket(t, srv, "after=2097154")
	if m := again(); m.Type != "open" || m.Place != "2097154" {
		t.Fatalf("opening %+v", m)
	}
	if m := again(); m.Type != "records" || json.Unmarshal(m.Records, &records) != nil || len(records) != 2 || records[0].Line != "four" {
		t.Fatalf("%+v", m)
	}
	close(done)
	if m := again(); m.Type != "closed" || m.Place != "StatusGoingAway" {
		t.Fatalf("%+v", m)
	}
}

// TestTailSocketOfAnotherOrigin: a foreign page in a browser gets nothing.
func TestTailSocketOfAnotherOrigin(t *testing.T) {
	srv, _ := readingWorld(t, nil)
	_, res, err := websocket.Dial(t.Context(), srv.URL+"/api/v1/tail", &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"https://evil.example"}}})
	if err == nil || res == nil || res.StatusCode != http.StatusForbidden {
		t.Fatalf("%v, %+v", err, res)
	}
	_, res, err = websocket.Dial(t.Context(), srv.URL+"/api/v1/tail?query=%7B", nil)
	if err == nil || res == nil || res.StatusCode != http.StatusBadRequest {
		t.Fatalf("a query that cannot be read: %v, %+v", err, res)
	}
}
