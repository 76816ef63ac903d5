package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"
)

// dayStart is the first event time of the generated day.
var dayStart = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)

// pod is one stream: a workload's instance in a mesh.
type pod struct {
	cluster, namespace, service, name, mesh, ip string
}

var (
	services   = []string{"cart", "checkout", "payment", "catalog", "search", "users", "auth", "ledger", "shipping", "email", "reviews", "gateway", "inventory", "pricing", "fraud", "notify"}
	namespaces = []string{"shop", "identity", "finance", "edge", "platform"}
	meshes     = []string{"istio", "istio", "istio", "linkerd", "consul", "kuma"}
	regions    = []string{"eu-west-1", "us-east-1", "ap-south-1"}
	agents     = []string{"Go-http-client/2.0", "okhttp/4.12.0", "python-requests/2.32.3", "curl/8.9.1", "grpc-java-netty/1.66.0", "kube-probe/1.31",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Version/18.1 Mobile/15E148 Safari/604.1"}
	routes = []string{"/api/v1/cart/%d", "/api/v1/cart/%d/items", "/api/v1/products/%d", "/api/v1/search?q=item%d&page=2", "/api/v1/users/%d/profile", "/api/v1/checkout",
		"/payment.PaymentService/Charge", "/ledger.Ledger/Append", "/healthz", "/api/v1/orders/%d/shipment", "/login", "/api/v1/reviews/%d?sort=top"}
	words = []string{"upstream", "retry", "budget", "exhausted", "timeout", "connection", "reset", "token", "expired", "cache", "miss", "invalid", "signature", "rate", "limited", "queue", "drained", "leader", "elected", "snapshot"}
)

func pick[T any](r *rand.Rand, s []T) T { return s[r.IntN(len(s))] }

func pods(r *rand.Rand, n int) []pod {
	out := make([]pod, n)
	for i := range out {
		s := services[i%len(services)]
		out[i] = pod{
			cluster: "prod-" + regions[i%3], namespace: namespaces[(i/3)%len(namespaces)], service: s, mesh: meshes[i%len(meshes)],
			name: fmt.Sprintf("%s-%08x-%05x", s, r.Uint32(), r.IntN(1<<20)),
			ip:   fmt.Sprintf("10.%d.%d.%d", r.IntN(16), r.IntN(256), 1+r.IntN(254)),
		}
	}
	return out
}

func hexID(r *rand.Rand, n int) string {
	const digits = "0123456789abcdef"
	b := make([]byte, n)
	for i := range b {
		b[i] = digits[r.IntN(16)]
	}
	return string(b)
}

func uuid(r *rand.Rand) string {
	h := hexID(r, 32)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// makeRecord returns one flat JSON object: 80 % mesh access logs, 20 %
// application logs.
func makeRecord(r *rand.Rand, ps []pod, t time.Time) map[string]any {
	p := ps[int(float64(len(ps))*r.Float64()*r.Float64())]
	m := map[string]any{
		"@timestamp": t.UTC().Format("2006-01-02T15:04:05.000000Z"),
		"cluster":    p.cluster, "namespace": p.namespace, "service": p.service, "pod": p.name, "mesh": p.mesh,
		"trace_id": hexID(r, 32),
	}
	if r.IntN(10) < 2 {
		m["level"] = pick(r, []string{"info", "info", "info", "info", "warn", "error"})
		m["logger"] = p.service + "." + pick(r, []string{"http", "db", "worker", "cache"})
		m["msg"] = message(r, p)
		return m
	}
	access(r, m, p, pick(r, ps))
	return m
}

func message(r *rand.Rand, p pod) string {
	switch r.IntN(5) {
	case 0:
		return fmt.Sprintf("processed order %d for customer c-%06d in %dms", r.IntN(1e7), r.IntN(200000), r.IntN(900))
	case 1:
		return fmt.Sprintf("%s %s %s after %d attempts: %s", pick(r, words), pick(r, words), pick(r, words), r.IntN(9), pick(r, words))
	case 2:
		return fmt.Sprintf("db query took %dus rows=%d table=%s", r.IntN(90000), r.IntN(500), pick(r, []string{"orders", "carts", "payments", "users"}))
	case 3:
		return fmt.Sprintf("cache miss key=%s:%s ttl=%ds", p.service, hexID(r, 12), r.IntN(3600))
	}
	return fmt.Sprintf("user u-%06d authenticated from %d.%d.%d.%d via oidc", r.IntN(90000), 1+r.IntN(220), r.IntN(256), r.IntN(256), r.IntN(256))
}

func access(r *rand.Rand, m map[string]any, p, up pod) {
	code, flags, details := 200, "-", "via_upstream"
	switch x := r.IntN(1000); {
	case x < 4:
		code, flags, details = 503, "UF,URX", "upstream_reset_before_response_started{connection_failure}"
	case x < 8:
		code, flags, details = 504, "UT", "response_timeout"
	case x < 14:
		code, details = 403, "rbac_access_denied_matched_policy[none]"
	case x < 40:
		code = 404
	case x < 60:
		code = 201
	case x < 75:
		code = 304
	case x < 80:
		code = 500
	}
	route := pick(r, routes)
	if strings.Contains(route, "%d") {
		route = fmt.Sprintf(route, r.IntN(500000))
	}
	duration := int(r.ExpFloat64()*14) + 1
	if code == 504 {
		duration = 15000 + r.IntN(40)
	}
	host := up.service + "." + up.namespace + ".svc.cluster.local"
	m["method"] = pick(r, []string{"GET", "GET", "GET", "POST", "PUT", "DELETE"})
	m["path"] = route
	m["protocol"] = pick(r, []string{"HTTP/2", "HTTP/2", "HTTP/1.1"})
	m["authority"] = host + ":8080"
	m["response_code"], m["response_flags"], m["response_code_details"] = code, flags, details
	m["bytes_received"], m["bytes_sent"] = r.IntN(4096), r.IntN(65536)
	m["duration"], m["upstream_service_time"] = duration, strconv.Itoa(max(duration-1, 0))
	m["request_id"] = uuid(r)
	m["user_agent"] = pick(r, agents)
	m["upstream_host"], m["upstream_cluster"] = up.ip+":8080", "outbound|8080||"+host
	m["downstream_remote_address"] = p.ip + ":" + strconv.Itoa(32768+r.IntN(28000))
	m["downstream_local_address"] = up.ip + ":8080"
	m["requested_server_name"] = "outbound_.8080_._." + host
	m["downstream_peer_uri_san"] = "spiffe://" + p.cluster + ".example/ns/" + p.namespace + "/sa/" + p.service
	m["route_name"] = "default"
}

// generate writes n records over 24 h as JSON lines, in time order with up to
// 2 s of jitter. The same seed gives the same bytes.
func generate(n int, seed uint64, streams int, out string) error {
	r := rand.New(rand.NewPCG(seed, 77))
	ps := pods(r, streams)
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	step := 24 * time.Hour / time.Duration(n)
	for i := range n {
		t := dayStart.Add(time.Duration(i)*step + time.Duration(r.IntN(2000))*time.Millisecond)
		b, err := json.Marshal(makeRecord(r, ps, t))
		if err != nil {
			return err
		}
		w.Write(b)
		w.WriteByte('\n')
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}
