package telemetry_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/meshtrail/meshtrail/internal/fault"
	"github.com/meshtrail/meshtrail/internal/telemetry"
)

func TestLogger(t *testing.T) {
	check := func(level string, json bool, want string) {
		t.Helper()
		var buf bytes.Buffer
		l, err := telemetry.Logger(&buf, level, json)
		if err != nil {
			t.Fatal(err)
		}
		l.Debug("d")
		l.Info("i", "n", 1)
		l.Error("e")
		for _, line := range strings.Split(want, " ") {
			if line != "" && !strings.Contains(buf.String(), line) {
				t.Errorf("level %s json %v: %q is not in %q", level, json, line, buf.String())
			}
		}
		if got, want := strings.Count(buf.String(), "\n"), len(strings.Fields(want)); got != want {
			t.Errorf("level %s json %v: %d lines, want %d", level, json, got, want)
		}
	}
	check("debug", false, "msg=d msg=i msg=e")
	check("INFO", false, "msg=i msg=e")
	check("", true, `"msg":"i","n":1 "msg":"e"`)
	check("error", true, `"msg":"e"`)

	if _, err := telemetry.Logger(io.Discard, "loud", false); !fault.Is(err, fault.Invalid) {
		t.Errorf("unknown level: got %v, want invalid", err)
	}
}

func scrape(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("scrape: status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestMetrics(t *testing.T) {
	m := telemetry.New()
	m.Counter("meshtrail_x_total", "X.", "kind").WithLabelValues("a").Add(2)
	m.Counter("meshtrail_x_total", "X.", "kind").WithLabelValues("a").Inc() // the same one
	m.Gauge("meshtrail_y", "Y.").WithLabelValues().Set(7)
	m.GaugeFunc("meshtrail_z", "Z.", func() float64 { return 9 })
	m.Histogram("meshtrail_h_seconds", "H.").WithLabelValues().Observe(0.003)
	m.Histogram("meshtrail_h_bytes", "H.").WithLabelValues().Observe(300)
	m.Histogram("meshtrail_h_records", "H.").WithLabelValues().Observe(3)
	text := scrape(t, m)
	for _, want := range []string{
		`meshtrail_x_total{kind="a"} 3`,
		`meshtrail_y 7`,
		`meshtrail_z 9`,
		`meshtrail_h_seconds_bucket{le="0.0025"} 0`,
		`meshtrail_h_seconds_bucket{le="0.005"} 1`,
		`meshtrail_h_bytes_bucket{le="1024"} 1`,
		`meshtrail_h_records_bucket{le="4"} 1`,
		`meshtrail_build_info{go="go`,
		`go_goroutines `,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("scrape lacks %q", want)
		}
	}
}

func TestOwnMistakesPanic(t *testing.T) {
	panics := func(name string, f func()) {
		t.Helper()
		defer func() {
			t.Helper()
			if recover() == nil {
				t.Errorf("%s: no panic", name)
			}
		}()
		f()
	}
	m := telemetry.New()
	m.Counter("meshtrail_a_total", "A.")
	panics("no prefix", func() { m.Counter("a_total", "A.") })
	panics("other labels", func() { m.Counter("meshtrail_a_total", "A.", "kind") })
	panics("other type", func() { m.Gauge("meshtrail_a_total", "A.") })
}

func TestNilMetrics(t *testing.T) {
	var m *telemetry.Metrics
	m.Counter("meshtrail_a_total", "A.", "kind").WithLabelValues("x").Inc()
	m.GaugeFunc("meshtrail_b", "B.", func() float64 { return 1 })
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 404 {
		t.Errorf("status %d, want 404", w.Code)
	}
}

func TestBounded(t *testing.T) {
	b := telemetry.NewBounded(2)
	check := func(v, want string) {
		t.Helper()
		if got := b.Value(v); got != want {
			t.Errorf("Value(%q) = %q, want %q", v, got, want)
		}
	}
	check("a\nb", telemetry.Other)
	check("\xff", telemetry.Other)
	check(strings.Repeat("x", telemetry.MaxLabel+1), telemetry.Other)
	check("a", "a")
	check("b", "b")
	check("c", telemetry.Other)
	check("a", "a")
	if n := testing.AllocsPerRun(100, func() { b.Value("a"); b.Value("zzz") }); n != 0 {
		t.Errorf("a known value costs %v allocations, want 0", n)
	}
}

func TestBoundedUnderLoad(t *testing.T) {
	b := telemetry.NewBounded(10)
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]bool{}
	for g := range 8 {
		wg.Go(func() {
			for i := range 100 {
				v := b.Value(fmt.Sprint((i + g) % 50))
				mu.Lock()
				seen[v] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != 11 { // ten values and Other
		t.Errorf("%d distinct values, want 11", len(seen))
	}
}
