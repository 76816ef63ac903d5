package sensitive

import (
	"encoding/base64"
	"fmt"
	"syscall"
	"testing"
)

// spent returns the processor's time of this process in ns: on a machine that
// does other things too, it tells more than the clock.
func spent() float64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return float64(r.Utime.Nano() + r.Stime.Nano())
}

// column is one column of a batch, as policy sees it.
type column struct {
	name string
	data []byte
	ends []uint32
}

type table struct {
	cols  []*column
	index map[string]*column
}

func (t *table) set(name, v string) {
	if t.index == nil {
		t.index = map[string]*column{}
	}
	c := t.index[name]
	if c == nil {
		c = &column{name: name}
		t.index[name], t.cols = c, append(t.cols, c)
	}
	c.data = append(c.data, v...)
	c.ends = append(c.ends, uint32(len(c.data)))
}

// access returns n records of access logs, one in five of an application, as
// normalise leaves their strings.
func access(n int) *table {
	t := &table{}
	for i := range n {
		t.set("mesh.platform", "istio")
		t.set("cluster", "prod-eu-west-1")
		t.set("source.workload.namespace", "shop")
		t.set("k8s.pod.name", fmt.Sprintf("cart-0a1b2c3d-%05x", i%64))
		t.set("service", "cart")
		t.set("trace_id", fmt.Sprintf("4bf92f3577b34da6a3ce929d0e%06x", i))
		if i%5 == 4 {
			t.set("level", "info")
			t.set("logger", "cart.db")
			t.set("message", fmt.Sprintf("db query took %dus rows=12 table=orders", i))
			continue
		}
		t.set("http.authority", "cart.shop.svc.cluster.local:8080")
		t.set("destination.address", "10.1.2.3")
		t.set("source.identity", "spiffe://prod-eu-west-1.example/ns/shop/sa/cart")
		t.set("source.address", fmt.Sprintf("10.1.2.%d", i%200))
		t.set("http.method", "GET")
		t.set("http.path", fmt.Sprintf("/api/v1/cart/%d", i))
		t.set("http.protocol", "HTTP/2")
		t.set("http.request_id", fmt.Sprintf("0f8fad5b-d9cb-469f-a165-7086772%06x", i))
		t.set("tls.server_name", "outbound_.8080_._.cart.shop.svc.cluster.local")
		t.set("envoy.response_code_details", "via_upstream")
		t.set("envoy.response_flags", "-")
		t.set("envoy.route", "default")
		t.set("envoy.upstream_cluster", "outbound|8080||cart.shop.svc.cluster.local")
		t.set("upstream.address", "10.1.2.3")
		t.set("http.user_agent", "okhttp/4.12.0")
	}
	return t
}

// scan walks every column and returns how many findings there are.
func (t *table) scan(s *Scanner, c *Cursor, dst []Finding) (int, []Finding) {
	n := 0
	for _, col := range t.cols {
		c.Reset(s, s.Field(col.name), col.data, col.ends)
		for {
			i := 0
			if i, dst = c.Next(dst[:0]); i < 0 {
				break
			}
			n += len(dst)
		}
	}
	return n, dst
}

func benchmark(b *testing.B, set Set, n int) {
	t, s, c := access(n), New(set), new(Cursor)
	bytes := 0
	for _, col := range t.cols {
		bytes += len(col.data)
	}
	var dst []Finding
	b.SetBytes(int64(bytes))
	b.ReportAllocs()
	from := spent()
	for b.Loop() {
		_, dst = t.scan(s, c, dst)
	}
	per := (spent() - from) / float64(b.N)
	b.ReportMetric(per/float64(n), "ns/record")
	b.ReportMetric(per/float64(bytes), "ns/byte")
}

// BenchmarkAccess is what the detectors add to a batch of 2,000 records of
// access logs.
func BenchmarkAccess(b *testing.B) {
	b.Run("all", func(b *testing.B) { benchmark(b, All(), 2000) })
	b.Run("secrets", func(b *testing.B) { benchmark(b, Secrets(), 2000) })
	b.Run("single", func(b *testing.B) { benchmark(b, All(), 1) })
}

// BenchmarkText is the cost of text in which little repeats.
func BenchmarkText(b *testing.B) {
	lines := []string{
		`[2026-11-20T00:00:17.123Z] "GET /api/v1/cart/17?page=2 HTTP/1.1" 200 - via_upstream - "-" 0 30211 12 11 "-" "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36" "0f8fad5b-d9cb-469f-a165-708677200017" "cart.shop:8080" "-" outbound|8080||cart.shop.svc.cluster.local - - - - default`,
		`I1120 00:00:17.123456       1 controller.go:214] "Reconciling" controller="deployment" namespace="shop" name="cart" generation=17`,
		`level=info ts=2026-11-20T00:00:17.123Z caller=compact.go:519 component=tsdb msg="write block" mint=1605830400000 maxt=1605837600000 ulid=01EQJ4N0V3Q5ZB8PWE9Z1XK2CM duration=1.5s`,
	}
	s := New(All())
	var dst []Finding
	for _, l := range lines {
		v := []byte(l)
		b.Run(l[:4], func(b *testing.B) {
			b.SetBytes(int64(len(v)))
			from := spent()
			for b.Loop() {
				dst = s.FindIn(dst[:0], Field{}, v)
			}
			b.ReportMetric((spent()-from)/float64(b.N)/float64(len(v)), "ns/byte")
		})
	}
}

func encode64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
