package forward

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// spool gives a fixed list of batches and checks the order of acknowledgements.
type spool struct {
	ids   []record.BatchID
	body  int
	next  int
	mu    sync.Mutex
	acked uint64
	all   chan struct{} // closed when the last batch was acknowledged
	err   error         // of Ack
	b     record.Batch
}

func newSpool(n, origins int) *spool {
	s := &spool{all: make(chan struct{}), body: 100}
	for i := range n {
		s.ids = append(s.ids, record.BatchID{Origin: fmt.Sprintf("o%d", i%origins), Epoch: 1, Seq: uint64(i)})
	}
	return s
}

func (s *spool) Next(ctx context.Context) (*record.Batch, uint64, error) {
	if s.next == len(s.ids) {
		<-ctx.Done()
		return nil, 0, ctx.Err()
	}
	s.b.Reset() // what was lent before must not be used any more
	s.b.ID, s.b.Tenant, s.b.Source, s.b.Ingest = s.ids[s.next], "acme", "file/x", 1
	s.b.Begin(1, "ops")
	s.b.Str(record.Body, strings.Repeat("x", s.body))
	s.b.End()
	s.b.Account.Received = 1
	s.next++
	return &s.b, uint64(s.next), nil
}

func (s *spool) Ack(seq uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seq <= s.acked {
		return fmt.Errorf("ack %d after %d", seq, s.acked)
	}
	if s.err != nil {
		return s.err
	}
	if s.acked = seq; seq == uint64(len(s.ids)) {
		close(s.all)
	}
	return nil
}

// upstream is a server that keeps batches by ID.
type upstream struct {
	t    testing.TB
	mu   sync.Mutex
	seen map[record.BatchID]int
	last map[string]uint64
	// answer decides what happens with a request of n batches: how many are
	// kept, and what is answered.
	answer func(try, n int) (kept int, resp *http.Response, err error)
	tries  int
}

func newUpstream(t testing.TB) *upstream {
	return &upstream{t: t, seen: map[record.BatchID]int{}, last: map[string]uint64{}}
}

func reply(code int, body string, headers ...string) *http.Response {
	h := http.Header{}
	for _, line := range headers {
		k, v, _ := strings.Cut(line, ": ")
		h.Set(k, v)
	}
	return &http.Response{StatusCode: code, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

func (u *upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Header.Get("Authorization") != "Bearer secret" || int64(len(body)) != r.ContentLength {
		u.t.Errorf("request: %v, authorization %q, %d bytes of %d", err, r.Header.Get("Authorization"), len(body), r.ContentLength)
	}
	var ids []record.BatchID
	for b := new(record.Batch); len(body) > 0; {
		n := binary.LittleEndian.Uint32(body)
		if err := record.Decode(body[4:4+n], b); err != nil {
			u.t.Error(err)
		}
		ids, body = append(ids, b.ID), body[4+n:]
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.tries++
	kept, resp, err := len(ids), reply(200, fmt.Sprintf(`{"acked":%d}`, len(ids))), error(nil)
	if u.answer != nil {
		kept, resp, err = u.answer(u.tries, len(ids))
	}
	for _, id := range ids[:kept] {
		if u.seen[id]++; u.seen[id] == 1 {
			if id.Seq < u.last[id.Origin] {
				u.t.Errorf("origin %s: %d after %d", id.Origin, id.Seq, u.last[id.Origin])
			}
			u.last[id.Origin] = id.Seq
		}
	}
	return resp, err
}

func run(t *testing.T, s *spool, u http.RoundTripper, cfg Config) error {
	t.Helper()
	if cfg.URL == "" {
		cfg.URL = "https://up.example"
	}
	f, err := New(Options{Config: cfg, Spool: s, Token: func() (string, error) { return "secret", nil }, Transport: u})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
	defer cancel()
	go func() {
		select {
		case <-s.all:
			cancel()
		case <-ctx.Done():
		}
	}()
	return f.Run(ctx)
}

func check(t *testing.T, s *spool, u *upstream) {
	t.Helper()
	if s.acked != uint64(len(s.ids)) {
		t.Errorf("acknowledged up to %d of %d", s.acked, len(s.ids))
	}
	for _, id := range s.ids {
		if u.seen[id] == 0 {
			t.Errorf("batch %v never arrived", id)
		}
	}
}

func TestNothingIsDropped(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			s, u := newSpool(300, 5), newUpstream(t)
			u.answer = func(_, n int) (int, *http.Response, error) {
				k := rng.IntN(n + 1)
				switch rng.IntN(9) {
				case 0:
					return 0, nil, errors.New("connection refused")
				case 1:
					return n, nil, errors.New("connection reset") // kept, not told
				case 2:
					return k, reply(503, fmt.Sprintf(`{"acked":%d}`, k), "Retry-After: 2"), nil
				case 3:
					return 0, reply(500, `<html>`), nil
				case 4:
					return 0, reply(401, `{"acked":0}`), nil
				case 5:
					return k, reply(400, fmt.Sprintf(`{"acked":%d,"error":{"reason":"bad"}}`, k)), nil
				case 6:
					return 0, reply(413, ``), nil
				case 7:
					return n, reply(200, `{}`), nil // a proxy's idea of success
				}
				return n, reply(200, fmt.Sprintf(`{"acked":%d}`, n)), nil
			}
			if err := run(t, s, u, Config{Request: 2000}); err != nil {
				t.Error(err)
			}
			check(t, s, u)
		})
	}
}

func TestBackoffHonoursRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, u := newSpool(1, 1), newUpstream(t)
		start := time.Now()
		var at []time.Duration
		u.answer = func(try, n int) (int, *http.Response, error) {
			at = append(at, time.Since(start))
			switch {
			case try == 1:
				return 0, reply(503, "", "Retry-After: 120"), nil
			case try == 2:
				return 0, reply(503, "", "Retry-After: "+time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)), nil
			case try < 12:
				return 0, reply(503, "", "Retry-After: 99999999"), nil
			}
			return n, reply(200, `{"acked":1}`), nil
		}
		if err := run(t, s, u, Config{}); err != nil {
			t.Error(err)
		}
		check(t, s, u)
		if d := at[1] - at[0]; d != 2*time.Minute {
			t.Errorf("waited %v instead of the 2m that were asked for", d)
		}
		if d := at[2] - at[1]; d < 59*time.Second || d > 61*time.Second {
			t.Errorf("waited %v until a date in one minute", d)
		}
		if d := at[11] - at[10]; d != maxRetryAfter {
			t.Errorf("waited %v, want the longest pause %v", d, maxRetryAfter)
		}
	})
}

func TestLargeAnswerIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, u := newSpool(1, 1), newUpstream(t)
		endless := &endless{}
		u.answer = func(try, n int) (int, *http.Response, error) {
			if try == 1 {
				return 0, &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(endless)}, nil
			}
			return n, reply(200, `{"acked":1}`), nil
		}
		if err := run(t, s, u, Config{}); err != nil {
			t.Error(err)
		}
		check(t, s, u)
		if endless.n > maxAnswer+1<<20 {
			t.Errorf("read %d bytes of an endless answer", endless.n)
		}
	})
}

type endless struct{ n int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.n += len(p)
	return len(p), nil
}

func TestInFlightIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, u := newSpool(200, 3), newUpstream(t)
		s.body = 10000
		u.answer = func(_, n int) (int, *http.Response, error) { return 0, nil, errors.New("down") }
		f, err := New(Options{Config: Config{URL: "https://up.example", InFlight: 2000}, Spool: s, Token: func() (string, error) { return "secret", nil }, Transport: u})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := f.Run(ctx); err != nil {
			t.Error(err)
		}
		if _, n := f.order.oldest(); n > 2000+1000 { // and the one that waits for room
			t.Errorf("%d bytes were taken into memory while the server was down", n)
		}
	})
}

func TestBatchesWithoutIDAndSpoolErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, u := newSpool(2, 1), newUpstream(t)
		s.ids[0] = record.BatchID{}
		if err := run(t, s, u, Config{}); err != nil {
			t.Error(err)
		}
		for id := range u.seen {
			if id.IsZero() || id.Origin != "o0" && !strings.HasPrefix(id.Origin, "content:") {
				t.Errorf("id %v", id)
			}
		}
		s = newSpool(2, 1)
		s.err = fault.Errorf(fault.Unavailable, "spool is poisoned")
		if err := run(t, s, newUpstream(t), Config{}); !fault.Is(err, fault.Unavailable) {
			t.Errorf("error of the spool: %v", err)
		}
	})
}

func TestConfig(t *testing.T) {
	f := func(url string, ok bool) {
		t.Helper()
		if err := (Config{URL: url}).Validate(); (err == nil) != ok {
			t.Errorf("%q: %v", url, err)
		}
	}
	f("https://logs.example:7420", true)
	f("https://logs.example/prefix/", true)
	f("http://127.0.0.1:7420", true)
	f("http://localhost:7420", true)
	f("http://[::1]:7420", true)
	f("http://logs.example:7420", false)
	f("https://user:pass@logs.example", false)
	f("logs.example:7420", false)
	f("", false)
}

func TestTLS(t *testing.T) {
	u := newUpstream(t)
	redirects := 0
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/base"+Path {
			redirects++
			http.NotFound(w, r)
			return
		}
		if u.tries == 0 {
			u.tries++
			http.Redirect(w, r, "/stolen", http.StatusTemporaryRedirect)
			return
		}
		resp, _ := u.RoundTrip(r)
		io.Copy(w, resp.Body)
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	s := newSpool(3, 1)
	f, err := New(Options{Config: Config{URL: srv.URL + "/base/", MinBackoff: time.Millisecond, MaxBackoff: 2 * time.Millisecond}, Spool: s, CA: ca, Token: func() (string, error) { return "secret", nil }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	go func() { <-s.all; cancel() }()
	if err := f.Run(ctx); err != nil {
		t.Fatal(err)
	}
	check(t, s, u)
	if redirects > 0 {
		t.Error("a redirect was followed")
	}
	if _, err := New(Options{Config: Config{URL: "https://x"}, Spool: s, CA: []byte("junk"), Token: func() (string, error) { return "", nil }}); err == nil {
		t.Error("a CA file without a certificate was taken")
	}
	// Without the CA the server is a stranger, and nothing is sent to it.
	s = newSpool(1, 1)
	f, err = New(Options{Config: Config{URL: srv.URL, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond}, Spool: s, Token: func() (string, error) { return "secret", nil }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	f.Run(ctx)
	if s.acked != 0 {
		t.Error("a batch was sent to a server that nobody vouches for")
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(200, []byte(`{"acked":2}`), "")
	f.Add(503, []byte(`{"acked":1,"error":{"kind":"overload","reason":"x"}}`), "7")
	f.Fuzz(func(t *testing.T, code int, body []byte, after string) {
		out := read(&http.Response{StatusCode: code, Header: http.Header{"Retry-After": {after}}, Body: io.NopCloser(bytes.NewReader(body))}, 2)
		if out.acked < 0 || out.acked > 2 || (out.reason == "") != (code == 200 && out.acked == 2) || out.after < 0 || out.after > maxRetryAfter {
			t.Fatalf("%+v", out)
		}
	})
}
