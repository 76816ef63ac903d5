package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server keeps the documents of every bulk request.
type server struct {
	mu   sync.Mutex
	docs []map[string]any
	body []byte
	got  chan struct{} // one per request, when there is room
	code int
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	data, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.body = append(s.body, data...)
	for i, line := range bytes.Split(bytes.TrimSpace(data), []byte("\n")) {
		var d map[string]any
		if err := json.Unmarshal(line, &d); err != nil {
			panic(err)
		}
		if i%2 == 1 {
			s.docs = append(s.docs, d)
		}
	}
	code := s.code
	s.mu.Unlock()
	if code != 0 {
		w.WriteHeader(code)
	}
	io.WriteString(w, `{"took":1,"errors":false,"items":[]}`)
	select {
	case s.got <- struct{}{}:
	default:
	}
}

// past runs a demonstration until its past is posted.
func past(t *testing.T, seed uint64) *server {
	t.Helper()
	s := &server{got: make(chan struct{}, 1)}
	h := httptest.NewServer(s)
	defer h.Close()
	defer h.Client().CloseIdleConnections()
	ctx, cancel := context.WithCancel(t.Context())
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	ready := make(chan int, 1)
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Options{URL: h.URL, Token: "t", Rate: 6, Seed: seed, Client: h.Client(), Now: func() time.Time { return at }}, func(n int) { ready <- n })
	}()
	total := <-ready
	posted := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.docs)
	}
	for posted() < total {
		select {
		case <-s.got:
		case err := <-done:
			t.Fatalf("ended before all was posted: %v", err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return s
}

func TestThePastHoldsEveryPlatformAndBothStories(t *testing.T) {
	s := past(t, 1)
	if len(s.docs) < 15*60*6 {
		t.Errorf("%d records", len(s.docs))
	}
	var lines, out bytes.Buffer
	enc := json.NewEncoder(&lines)
	for _, d := range s.docs {
		if err := enc.Encode(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := pipeline.Parse(&lines, pipeline.ParseOptions{}, &out); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for line := range bytes.Lines(out.Bytes()) {
		var r map[string]any
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		if r["parse.status"] != "ok" {
			t.Fatalf("not understood: %s", line)
		}
		counts[r["parse.format"].(string)]++
		if r["mesh.response_code_details"] == "rbac_access_denied_matched_policy[none]" {
			counts["rbac"]++
		}
		if r["mesh.response_flags"] == "UH" {
			counts["outage"]++
		}
		if r["mesh.verdict"] == "DROPPED" {
			counts["dropped"]++
		}
		if d := r["mesh.policy.decision"]; d == "deny" {
			counts["denied by "+r["parse.format"].(string)]++
		}
	}
	for kind, least := range map[string]int{"rbac": 15, "outage": 15, "dropped": 15, "istio-json": 500, "istio-text": 500, "linkerd-json": 500, "hubble-flow": 500,
		"consul-json": 50, "kuma-text": 50, "istio-ztunnel": 50, "nginx-ingress": 50, "k8s-audit": 50, "cloudtrail": 15, "json": 100,
		"denied by istio-json": 15, "denied by istio-ztunnel": 2, "denied by k8s-audit": 5, "denied by cloudtrail": 1} {
		if counts[kind] < least {
			t.Errorf("%d records of kind %s", counts[kind], kind)
		}
	}
	t.Log(counts)
}

func TestTheSameSeedMakesTheSameTraffic(t *testing.T) {
	a, b, c := past(t, 7), past(t, 7), past(t, 8)
	if !bytes.Equal(a.body, b.body) {
		t.Error("the same seed made other traffic")
	}
	if bytes.Equal(a.body, c.body) {
		t.Error("another seed made the same traffic")
	}
}

func TestThePresentFollowsAndEnds(t *testing.T) {
	s := &server{got: make(chan struct{}, 1)}
	h := httptest.NewServer(s)
	defer h.Close()
	defer h.Client().CloseIdleConnections()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ready := make(chan int, 1)
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Options{URL: h.URL, Rate: 500, Seed: 1, Client: h.Client()}, func(n int) { ready <- n })
	}()
	past := <-ready
	for {
		select {
		case <-s.got:
		case err := <-done:
			t.Fatalf("the present ended by itself: %v", err)
		}
		s.mu.Lock()
		n := len(s.docs)
		s.mu.Unlock()
		if n > past {
			break
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("%v", err)
	}
}

func TestRefusals(t *testing.T) {
	for _, rate := range []int{0, -1, MaxRate + 1} {
		if err := Run(t.Context(), Options{Rate: rate}, nil); !fault.Is(err, fault.Invalid) {
			t.Errorf("rate %d: %v", rate, err)
		}
	}
	s := &server{code: http.StatusUnauthorized}
	h := httptest.NewServer(s)
	defer h.Close()
	defer h.Client().CloseIdleConnections()
	err := Run(t.Context(), Options{URL: h.URL, Rate: 1, Client: h.Client()}, func(int) { t.Error("ready") })
	if err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("%v", err)
	}
}
