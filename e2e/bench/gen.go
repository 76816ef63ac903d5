package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// pod is one stream: a workload's instance in a mesh.
type pod struct {
	cluster, namespace, service, name, mesh, ip string
}

var (
	services   = []string{"cart", "checkout", "payment", "catalog", "search", "users", "auth", "ledger", "shipping", "email", "reviews", "gateway", "inventory", "pricing", "fraud", "notify"}
	namespaces = []string{"shop", "identity", "finance", "edge", "platform"}
	meshes     = []string{"istio", "istio", "istio", "linkerd", "consul", "kuma"}
	regions    = []string{"eu-west-1", "us-east-1", "ap-south-1"}
	methods    = []string{"GET", "GET", "GET", "POST", "PUT", "DELETE"}
	protocols  = []string{"HTTP/2", "HTTP/2", "HTTP/1.1"}
	levels     = []string{"info", "info", "info", "info", "warn", "error"}
	loggers    = []string{"http", "db", "worker", "cache"}
	tables     = []string{"orders", "carts", "payments", "users"}
	agents     = []string{"Go-http-client/2.0", "okhttp/4.12.0", "python-requests/2.32.3", "curl/8.9.1", "grpc-java-netty/1.66.0", "kube-probe/1.31",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Version/18.1 Mobile/15E148 Safari/604.1"}
	// Some JSON writers escape "&": a parser must not mind.
	routes = []string{"/api/v1/cart/%", "/api/v1/cart/%/items", "/api/v1/products/%", `/api/v1/search?q=item%\u0026page=2`, "/api/v1/users/%/profile", "/api/v1/checkout",
		"/payment.PaymentService/Charge", "/ledger.Ledger/Append", "/healthz", "/api/v1/orders/%/shipment", "/login", "/api/v1/reviews/%?sort=top"}
	words = []string{"upstream", "retry", "budget", "exhausted", "timeout", "connection", "reset", "token", "expired", "cache", "miss", "invalid", "signature", "rate", "limited", "queue", "drained", "leader", "elected", "snapshot"}
)

// A workload is a set of records that its fields determine, wholly: record i
// depends on seed and i alone, so that any part is made at any time, on any core.
type workload struct {
	n     int // records, over 24 hours from day on
	seed  uint64
	pods  []pod
	day   time.Time
	wide  int // fields added to each record
	late  int // per cent of the records that come up to half an hour late
	batch int // records of a request
}

func newWorkload(n int, seed uint64, streams, batch int, day time.Time) *workload {
	r := rand.New(rand.NewPCG(seed, 77))
	w := &workload{n: n, seed: seed, pods: make([]pod, streams), day: day, batch: batch}
	for i := range w.pods {
		s := services[i%len(services)]
		w.pods[i] = pod{
			cluster: "prod-" + regions[i%3], namespace: namespaces[(i/3)%len(namespaces)], service: s, mesh: meshes[i%len(meshes)],
			name: fmt.Sprintf("%s-%08x-%05x", s, r.Uint32(), r.IntN(1<<20)),
			ip:   fmt.Sprintf("10.%d.%d.%d", r.IntN(16), r.IntN(256), 1+r.IntN(254)),
		}
	}
	return w
}

// end is after the last event time of w.
func (w *workload) end() time.Time { return w.day.Add(24*time.Hour + 10*time.Second) }

// A span is the records [from, to) of a workload.
type span struct {
	*workload
	from, to int
}

// entry is one drawn record: four fifths are access records of a mesh, the rest
// application logs (with a message).
type entry struct {
	at            time.Time
	pod, upstream *pod
	traceID       string

	msg, level, logger string // application logs

	method, path, protocol string // access records
	code                   int
	flags, details         string
	received, sent         int
	duration               int
	requestID, agent       string
	port                   int

	extra []int // values of the added fields
}

// drawer draws the records of a workload.
type drawer struct {
	w   *workload
	pcg rand.PCG
	r   *rand.Rand
	e   entry
}

func (w *workload) drawer() *drawer {
	d := &drawer{w: w}
	d.r = rand.New(&d.pcg)
	return d
}

func pick[T any](r *rand.Rand, s []T) T { return s[r.IntN(len(s))] }

// draw returns record i; the next call overwrites it.
func (d *drawer) draw(i int) *entry {
	d.pcg.Seed(d.w.seed, uint64(i)*0x9e3779b97f4a7c15+1)
	r, e := d.r, &d.e
	step := 24 * time.Hour / time.Duration(d.w.n)
	*e = entry{at: d.w.day.Add(time.Millisecond + time.Duration(i)*step + time.Duration(r.IntN(2000))*time.Millisecond), extra: e.extra[:0]}
	e.pod = &d.w.pods[int(float64(len(d.w.pods))*r.Float64()*r.Float64())]
	e.traceID = hexID(r, 32)
	if r.IntN(5) == 0 {
		e.level, e.logger, e.msg = pick(r, levels), e.pod.service+"."+pick(r, loggers), message(r, e.pod)
	} else {
		d.access(e)
	}
	for f := range d.w.wide {
		e.extra = append(e.extra, r.IntN(extraRange(f)))
	}
	if d.w.late > 0 && r.IntN(100) < d.w.late {
		if e.at = e.at.Add(-time.Duration(r.IntN(1800)) * time.Second); e.at.Before(d.w.day) {
			e.at = d.w.day.Add(time.Millisecond)
		}
	}
	return e
}

func (d *drawer) access(e *entry) {
	r := d.r
	up := &d.w.pods[r.IntN(len(d.w.pods))]
	e.upstream, e.code, e.flags, e.details = up, 200, "-", "via_upstream"
	switch x := r.IntN(1000); {
	case x < 4:
		e.code, e.flags, e.details = 503, "UF,URX", "upstream_reset_before_response_started{connection_failure}"
	case x < 8:
		e.code, e.flags, e.details = 504, "UT", "response_timeout"
	case x < 14:
		e.code, e.details = 403, "rbac_access_denied_matched_policy[none]"
	case x < 40:
		e.code = 404
	case x < 60:
		e.code = 201
	case x < 75:
		e.code = 304
	case x < 80:
		e.code = 500
	}
	e.path = pick(r, routes)
	if before, after, ok := strings.Cut(e.path, "%"); ok {
		e.path = before + strconv.Itoa(r.IntN(500_000)) + after
	}
	e.duration = int(r.ExpFloat64()*14) + 1
	if e.code == 504 {
		e.duration = 15_000 + r.IntN(40)
	}
	e.method, e.protocol, e.agent = pick(r, methods), pick(r, protocols), pick(r, agents)
	e.received, e.sent = r.IntN(4096), r.IntN(65_536)
	h := hexID(r, 32)
	e.requestID = h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
	e.port = 32_768 + r.IntN(28_000)
}

func hexID(r *rand.Rand, n int) string {
	const digits = "0123456789abcdef"
	b := make([]byte, n)
	var bits uint64
	for i := range b {
		if i%16 == 0 {
			bits = r.Uint64()
		}
		b[i] = digits[bits&15]
		bits >>= 4
	}
	return string(b)
}

func message(r *rand.Rand, p *pod) string {
	switch r.IntN(5) {
	case 0:
		return fmt.Sprintf("processed order %d for customer c-%06d in %dms", r.IntN(1e7), r.IntN(200_000), r.IntN(900))
	case 1:
		return fmt.Sprintf("%s %s %s after %d attempts: %s", pick(r, words), pick(r, words), pick(r, words), r.IntN(9), pick(r, words))
	case 2:
		return fmt.Sprintf("db query took %dus rows=%d table=%s", r.IntN(90_000), r.IntN(500), pick(r, tables))
	case 3:
		return fmt.Sprintf("cache miss key=%s:%s ttl=%ds", p.service, hexID(r, 12), r.IntN(3600))
	}
	return fmt.Sprintf("user u-%06d authenticated from %d.%d.%d.%d via oidc", r.IntN(90_000), 1+r.IntN(220), r.IntN(256), r.IntN(256), r.IntN(256))
}

// The added fields of wide records: few values, some, or nearly a value a record.
func extraRange(f int) int { return []int{4, 300, 1 << 30}[f%3] }

// extraText is the form of an added field's value: a word or a number.
func extraText(f, v int) string {
	if f%2 == 0 {
		return "v" + strconv.Itoa(v)
	}
	return strconv.Itoa(v)
}

const timeLayout = "2006-01-02T15:04:05.000000Z"

// appendJSON appends e as one flat JSON object, its names in order.
func (e *entry) appendJSON(b []byte) []byte {
	b = append(e.at.AppendFormat(append(b, `{"@timestamp":"`...), timeLayout), '"')
	e.each(func(name, v string) {
		b = append(append(append(append(append(b, `,"`...), name...), `":"`...), v...), '"')
	}, func(name string, v int) {
		b = strconv.AppendInt(append(append(append(b, `,"`...), name...), `":`...), int64(v), 10)
	})
	return append(e.appendExtra(b), '}')
}

// each calls str or num for each field of e but its time and the added ones, their
// names in order. Texts are as JSON writes them, without quotes.
func (e *entry) each(str func(name, v string), num func(name string, v int)) {
	p, up := e.pod, e.upstream
	if up == nil {
		str("cluster", p.cluster)
		str("level", e.level)
		str("logger", e.logger)
		str("mesh", p.mesh)
		str("msg", e.msg)
		str("namespace", p.namespace)
		str("pod", p.name)
		str("service", p.service)
		str("trace_id", e.traceID)
		return
	}
	host := up.service + "." + up.namespace + ".svc.cluster.local"
	str("authority", host+":8080")
	num("bytes_received", e.received)
	num("bytes_sent", e.sent)
	str("cluster", p.cluster)
	str("downstream_local_address", up.ip+":8080")
	str("downstream_peer_uri_san", "spiffe://"+p.cluster+".example/ns/"+p.namespace+"/sa/"+p.service)
	str("downstream_remote_address", p.ip+":"+strconv.Itoa(e.port))
	num("duration", e.duration)
	str("mesh", p.mesh)
	str("method", e.method)
	str("namespace", p.namespace)
	str("path", e.path)
	str("pod", p.name)
	str("protocol", e.protocol)
	str("request_id", e.requestID)
	str("requested_server_name", "outbound_.8080_._."+host)
	num("response_code", e.code)
	str("response_code_details", e.details)
	str("response_flags", e.flags)
	str("route_name", "default")
	str("service", p.service)
	str("trace_id", e.traceID)
	str("upstream_cluster", "outbound|8080||"+host)
	str("upstream_host", up.ip+":8080")
	str("upstream_service_time", strconv.Itoa(max(e.duration-1, 0)))
	str("user_agent", e.agent)
}

func (e *entry) appendExtra(b []byte) []byte {
	for f, v := range e.extra {
		b = fmt.Appendf(b, `,"x_%03d":`, f)
		if f%2 == 0 {
			b = strconv.AppendQuote(b, extraText(f, v))
		} else {
			b = append(b, extraText(f, v)...)
		}
	}
	return b
}
