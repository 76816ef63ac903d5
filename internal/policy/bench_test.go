package policy

import (
	"fmt"
	"testing"

	"github.com/meshtrail/meshtrail/internal/record"
)

// accessLogs are n records as intake makes them of an Envoy's access log: most
// columns repeat, a few are new in each.
func accessLogs(b *record.Batch, n int) {
	b.Tenant, b.Source = "shop", "bench"
	for i := range n {
		b.Begin(int64(i), DefaultClass)
		b.Str("parse.format", "istio-json")
		b.Str("parse.status", "ok")
		b.Str("mesh", "istio")
		b.Str("http.request.method", "GET")
		b.Str("url.path", fmt.Sprint("/api/v1/cart/", i%300))
		b.Int("http.response.status_code", int64(200+i%3))
		b.Int("mesh.duration_ns", int64(1_000_000+i*7919%90_000_000))
		b.Int("http.response.body.size", int64(i*31%50_000))
		b.Str("service.name", "cart")
		b.Str("k8s.namespace.name", "shop")
		b.Str("k8s.pod.name", fmt.Sprintf("cart-0a1b2c3d-%05x", i%64))
		b.Str("source.address", fmt.Sprintf("10.1.%d.%d", i%8, i%200))
		b.Str("http.request.header.x-request-id", fmt.Sprintf("0f8fad5b-d9cb-469f-a165-7086772%06x", i))
		b.Str("trace_id", fmt.Sprintf("4bf92f3577b34da6a3ce929d0e%06x", i))
		b.Str("user_agent.original", "okhttp/4.12.0")
		b.Str("mesh.upstream.cluster", "outbound|8080||cart.shop.svc.cluster.local")
		b.Str("mesh.response_flags", "-")
		b.End()
	}
}

// everything is a policy with all detectors on, a sample, hashes and labels.
var everything = Config{Rules: []Rule{
	{ID: "errors", When: []Condition{{Field: "status", Regex: "^5"}}, Keep: true},
	{ID: "probes", When: []Condition{{Field: "url_path", In: []string{"/healthz", "/readyz"}}}, Drop: true},
	{ID: "personal", Redact: &Redact{Detect: []string{"personal"}}},
}}

func BenchmarkAccessLogs(b *testing.B) {
	const n = 2000
	for _, c := range []struct {
		name string
		c    Config
	}{
		{"builtin", Config{}},
		{"detectors", Config{NoBuiltin: true, Rules: []Rule{{ID: "all", Redact: &Redact{Detect: []string{"all"}}}}}},
		{"secrets", Config{NoBuiltin: true, Rules: []Rule{{ID: "all", Redact: &Redact{Detect: []string{"secrets"}}}}}},
		{"all", everything},
		{"classes", Config{NoBuiltin: true, Rules: Builtin2()}},
	} {
		p, err := New(c.c)
		if err != nil {
			b.Fatal(err)
		}
		var bt record.Batch
		accessLogs(&bt, n)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Apply(&bt, ""); err != nil {
					b.Fatal(err)
				}
				bt.Account.Dropped = bt.Account.Dropped[:0]
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
		})
	}
}

func Builtin2() []Rule {
	var out []Rule
	for _, r := range Builtin() {
		if r.Class != "" {
			r.ID = r.ID[len(builtinPrefix):]
			out = append(out, r)
		}
	}
	return out
}
