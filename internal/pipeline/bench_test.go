package pipeline

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/meshtrail/meshtrail/internal/record"
)

type nowhere struct{}

func (nowhere) Append(context.Context, *record.Batch) error { return nil }

// lines returns n mixed records: access logs of which one in five is an
// application's, as JSON lines. MESHTRAIL_BENCH_LINES names a file to use
// instead.
func lines(b *testing.B, n int) [][]byte {
	b.Helper()
	if name := os.Getenv("MESHTRAIL_BENCH_LINES"); name != "" {
		data, err := os.ReadFile(name)
		if err != nil {
			b.Fatal(err)
		}
		all := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
		return all[:min(n, len(all))]
	}
	out := make([][]byte, n)
	for i := range out {
		if i%5 == 4 {
			out[i] = fmt.Appendf(nil, `{"@timestamp":"2026-11-20T00:00:%02d.000000Z","cluster":"prod-eu-west-1","level":"info","logger":"cart.db","mesh":"istio","msg":"db query took %dus rows=12 table=orders","namespace":"shop","pod":"cart-0a1b2c3d-%05x","service":"cart","trace_id":"4bf92f3577b34da6a3ce929d0e%06x"}`, i%60, i, i%64, i)
			continue
		}
		out[i] = fmt.Appendf(nil, `{"@timestamp":"2026-11-20T00:00:%02d.000000Z","authority":"cart.shop.svc.cluster.local:8080","bytes_received":%d,"bytes_sent":30211,"cluster":"prod-eu-west-1","downstream_local_address":"10.1.2.3:8080","downstream_peer_uri_san":"spiffe://prod-eu-west-1.example/ns/shop/sa/cart","downstream_remote_address":"10.1.2.4:41231","duration":%d,"mesh":"istio","method":"GET","namespace":"shop","path":"/api/v1/cart/%d","pod":"cart-0a1b2c3d-%05x","protocol":"HTTP/2","request_id":"0f8fad5b-d9cb-469f-a165-7086772%06x","requested_server_name":"outbound_.8080_._.cart.shop.svc.cluster.local","response_code":200,"response_code_details":"via_upstream","response_flags":"-","route_name":"default","service":"cart","trace_id":"4bf92f3577b34da6a3ce929d0e%06x","upstream_cluster":"outbound|8080||cart.shop.svc.cluster.local","upstream_host":"10.1.2.3:8080","upstream_service_time":"11","user_agent":"okhttp/4.12.0"}`, i%60, i, i%300, i, i%64, i, i)
	}
	return out
}

// BenchmarkIngest is the whole of intake but the append: batches of 2,000.
func BenchmarkIngest(b *testing.B) {
	all := lines(b, 20_000)
	p, err := New(Options{Appender: nowhere{}})
	if err != nil {
		b.Fatal(err)
	}
	var reqs []*Request
	size := 0
	for len(all) > 0 {
		n := min(2000, len(all))
		req := &Request{Tenant: "main", Source: "bench/admin"}
		for _, l := range all[:n] {
			req.Raws = append(req.Raws, record.Raw{Payload: l, JSON: true})
			size += len(l)
		}
		reqs, all = append(reqs, req), all[n:]
	}
	b.ReportAllocs()
	records, i := 0, 0
	for b.Loop() {
		req := reqs[i%len(reqs)]
		i++
		records += len(req.Raws)
		if _, err := p.Ingest(b.Context(), req); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(size / len(reqs)))
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(records), "ns/record")
}
