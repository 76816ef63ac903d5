package scrape

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/pipeline"
	"github.com/meshtrail/meshtrail/internal/receive"
	"github.com/meshtrail/meshtrail/internal/receive/receivetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func load(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// proxy answers with text, or fails.
type proxy struct {
	mu   sync.Mutex
	text string
	code int
}

func (p *proxy) set(text string, code int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text, p.code = text, code
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.code != http.StatusOK {
		http.Error(w, "no", p.code)
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	io.WriteString(z, p.text)
	z.Close()
}

func newScraper(t *testing.T, in pipeline.Intake, h http.Handler, t2 Target) *scraper {
	t.Helper()
	srv := httptest.NewServer(h)
	t2.Name, t2.URL = "proxy", srv.URL+"/stats/prometheus"
	r, err := New(Config{Targets: []Target{t2}}, receive.Shared{Intake: in})
	if err != nil {
		t.Fatal(err)
	}
	s := r.scrapers[0]
	clock := time.Unix(1_772_359_200, 0)
	s.now = func() time.Time { clock = clock.Add(time.Minute); return clock }
	t.Cleanup(func() { s.client.CloseIdleConnections(); srv.Close() })
	return s
}

// shown returns the records of the last request, one a line.
func shown(in *receivetest.Intake) string {
	reqs := in.Requests()
	var out []string
	for i := range reqs[len(reqs)-1].Raws {
		raw := &reqs[len(reqs)-1].Raws[i]
		out = append(out, strings.TrimSpace(receivetest.Fields(raw)+" "+string(raw.Payload)))
	}
	return strings.Join(out, "\n") + "\n"
}

func TestScrapes(t *testing.T) {
	in := &receivetest.Intake{}
	p := &proxy{}
	s := newScraper(t, in, p, Target{Counters: []string{"a", "b"}})
	for _, step := range []struct {
		text string
		code int
		want string
	}{
		{"a 5\nb{x=\"1\"} 2\nc 9\n", 200, "counter.name=a counter.target=proxy counter.value=5 event.name=mesh.counter record.kind=evidence\n" +
			"counter.label.x=1 counter.name=b counter.target=proxy counter.value=2 event.name=mesh.counter record.kind=evidence\n" +
			"counter.moved=2 counter.read=2 counter.target=proxy event.name=mesh.counters record.kind=evidence\n"},
		{"a 7\nb{x=\"1\"} 2\n", 200, "counter.increase=2 counter.name=a counter.since=2026-03-01T10:01:00Z counter.target=proxy counter.value=7 event.name=mesh.counter record.kind=evidence\n" +
			"counter.moved=1 counter.read=2 counter.since=2026-03-01T10:01:00Z counter.target=proxy event.name=mesh.counters record.kind=evidence\n"},
		{"", 503, "counter.since=2026-03-01T10:02:00Z counter.target=proxy event.name=mesh.counters.failed record.kind=evidence the target answers 503 Service Unavailable\n"},
		{"a 8\nb{x=\"1\"} 1\nb{x=\"2\"} 4\n", 200, "counter.increase=1 counter.name=a counter.since=2026-03-01T10:02:00Z counter.target=proxy counter.value=8 event.name=mesh.counter record.kind=evidence\n" +
			"counter.increase=1 counter.label.x=1 counter.name=b counter.reset=true counter.since=2026-03-01T10:02:00Z counter.target=proxy counter.value=1 event.name=mesh.counter record.kind=evidence\n" +
			"counter.increase=4 counter.label.x=2 counter.name=b counter.since=2026-03-01T10:02:00Z counter.target=proxy counter.value=4 event.name=mesh.counter record.kind=evidence\n" +
			"counter.moved=3 counter.read=3 counter.since=2026-03-01T10:02:00Z counter.target=proxy event.name=mesh.counters record.kind=evidence\n"},
		{"a x\n", 200, "counter.since=2026-03-01T10:05:00Z counter.target=proxy event.name=mesh.counters.failed record.kind=evidence line 1 is no sample: \"a x\"\n"},
		{"b{x=\"1\" y} 1\n", 200, "counter.since=2026-03-01T10:05:00Z counter.target=proxy event.name=mesh.counters.failed record.kind=evidence labels are not name=\"value\" with commas between\n"},
	} {
		p.set(step.text, step.code)
		if err := s.once(t.Context()); err != nil {
			s.failed(t.Context(), err)
		}
		if got := shown(in); got != step.want {
			t.Errorf("got:\n%swant:\n%s", got, step.want)
		}
	}
}

func TestKnownCounters(t *testing.T) {
	for file, want := range map[string]string{
		"istio.txt":   "counter.label.note=a \"quoted\" } brace\nand more",
		"linkerd.txt": "counter.label.client_id=web.emojivoto.serviceaccount.identity.linkerd.cluster.local",
	} {
		in := &receivetest.Intake{}
		s := newScraper(t, in, &proxy{text: load(t, file), code: 200}, Target{})
		if err := s.once(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := shown(in)
		if n := strings.Count(got, "event.name=mesh.counter "); n != map[string]int{"istio.txt": 3, "linkerd.txt": 2}[file] || !strings.Contains(got, want) {
			t.Errorf("%s: %d counters\n%s", file, n, got)
		}
	}
}

// TestHeldTriesSayTheSame fails the intake once: the growth is not lost.
func TestHeldTriesSayTheSame(t *testing.T) {
	fails := true
	in := &receivetest.Intake{Before: func(context.Context, *pipeline.Request) error {
		if fails = !fails; !fails {
			return fault.Errorf(fault.Denied, "no")
		}
		return nil
	}}
	p := &proxy{text: "a 1\n", code: 200}
	s := newScraper(t, in, p, Target{Counters: []string{"a"}})
	if err := s.once(t.Context()); err == nil {
		t.Fatal("kept")
	}
	if err := s.once(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.set("a 4\n", 200)
	if err := s.once(t.Context()); err == nil {
		t.Fatal("kept")
	}
	p.set("a 6\n", 200)
	if err := s.once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := shown(in); !strings.Contains(got, "counter.increase=5 ") {
		t.Error(got)
	}
}

func TestRunScrapesAtOnceAndEnds(t *testing.T) {
	got := make(chan struct{}, 1)
	in := &receivetest.Intake{Before: func(context.Context, *pipeline.Request) error { got <- struct{}{}; return nil }}
	srv := httptest.NewServer(&proxy{text: "a 1\n", code: 200})
	defer srv.Close()
	r, err := New(Config{Targets: []Target{{Name: "p", URL: srv.URL, Interval: time.Hour}}}, receive.Shared{Intake: in})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	<-got
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestValidate(t *testing.T) {
	good := Target{Name: "a", URL: "http://x:1/metrics"}
	for want, c := range map[string]Target{
		"":                    good,
		"targets[0].url":      {Name: "a", URL: "ftp://x"},
		"targets[0].name":     {URL: "http://x"},
		"targets[0].interval": {Name: "a", URL: "http://x", Interval: time.Millisecond},
		"targets[0].tls_cert": {Name: "a", URL: "http://x", TLSKey: "k"},
		"targets[0].tenant":   {Name: "a", URL: "http://x", Tenant: "A/B"},
		"targets[0].class":    {Name: "a", URL: "http://x", Class: "A/B"},
	} {
		err := Config{Targets: []Target{c}}.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%q: %v", want, err)
		}
	}
	if err := (Config{Targets: []Target{good, good}}).Validate(); err == nil {
		t.Error("one name twice")
	}
}

func TestBounds(t *testing.T) {
	in := &receivetest.Intake{}
	s := newScraper(t, in, &proxy{code: 200, text: strings.Repeat("a 1\n", maxSamples+1)}, Target{Counters: []string{"a"}})
	if err := s.once(t.Context()); !fault.Is(err, fault.TooLarge) {
		t.Errorf("%v", err)
	}
	s = newScraper(t, in, &proxy{code: 200, text: "a{" + strings.Repeat(`x="1",`, maxLabels+1) + "} 1\n"}, Target{Counters: []string{"a"}})
	if err := s.once(t.Context()); !fault.Is(err, fault.TooLarge) {
		t.Errorf("%v", err)
	}
}

func FuzzSamples(f *testing.F) {
	f.Add([]byte(load(f, "istio.txt")))
	f.Add([]byte(load(f, "linkerd.txt")))
	f.Fuzz(func(t *testing.T, b []byte) {
		set := receive.NewSet()
		defer set.Release()
		err := samples(b, func(_, labels []byte, _ float64) error {
			for n := 0; len(labels) > 0; n++ {
				_, _, rest, err := pair(labels, set)
				if err != nil {
					return err
				}
				if len(rest) >= len(labels) {
					t.Fatal("no progress")
				}
				labels = rest
			}
			return nil
		})
		if err != nil && !fault.Is(err, fault.Invalid) {
			t.Fatal(err)
		}
	})
}
