package demo

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// A doc is one document of a bulk request.
type doc map[string]any

// An incident is what is wrong at a moment of the story.
type incident int

const (
	calm   incident = iota
	outage          // payments of the shop has no healthy endpoint
	denied          // a workload without a mesh identity knocks everywhere
)

// at makes the records of one moment: mostly one, by chance of any mesh.
func (w *world) at(t time.Time, what incident) []doc {
	if what == denied && w.r.IntN(2) == 0 {
		return []doc{w.knock(t)}
	}
	switch n := w.r.IntN(100); {
	case n < 28:
		return []doc{w.istioJSON(t, what)}
	case n < 42:
		return []doc{w.istioText(t)}
	case n < 60:
		return []doc{w.linkerdJSON(t)}
	case n < 74:
		return []doc{w.hubbleJSON(t)}
	case n < 92:
		return []doc{w.elsewhere(t)}
	default:
		return []doc{w.application(t, what)}
	}
}

const (
	millis = "2006-01-02T15:04:05.000Z"
	nanos  = "2006-01-02T15:04:05.000000000Z"
)

// kubernetes is what a shipper adds about the pod that wrote the line.
func kubernetes(s *workload, p pod, container string) doc {
	return doc{"namespace": s.namespace, "pod": doc{"name": p.name, "ip": p.ip}, "container": doc{"name": container}, "node": doc{"name": p.node}}
}

// exchange is what the Envoy layouts have in common.
type exchange struct {
	c            *call
	from, to     *workload
	client, host pod
	path, id     string
	code         int
	flags, how   string
	took         float64 // ms
	sent         int
}

func (w *world) exchange(m *mesh, c *call) exchange {
	e := exchange{c: c, from: &m.services[c.from], to: &m.services[c.to], path: w.path(c), id: w.uuid(), code: 200, flags: "-", how: "via_upstream", took: w.ms(c.ms)}
	e.client, e.host = w.pod(e.from), w.pod(e.to)
	e.sent = 120 + w.r.IntN(6000)
	if c.method == "POST" {
		e.code = 201
	}
	switch n := w.r.IntN(1000); {
	case n < 14:
		e.code, e.sent = 404, 24
	case n < 18:
		e.code, e.how, e.flags, e.sent = 503, "upstream_reset_before_response_started{connection_termination}", "UC", 95
	case n < 21:
		e.code, e.how, e.flags, e.took, e.sent = 504, "response_timeout", "UT", 15000, 24
	}
	return e
}

// istioJSON is an Istio sidecar's JSON access log, outbound side.
func (w *world) istioJSON(t time.Time, what incident) doc {
	c := w.pick(&w.istio)
	if what == outage && w.r.IntN(2) == 0 {
		c = &w.istio.calls[5] // checkout asks payments
	}
	e := w.exchange(&w.istio, c)
	if what == outage && e.to.name == "payments" {
		e.code, e.flags, e.how, e.took, e.sent = 503, "UH", "no_healthy_upstream", 0, 19
	}
	upstream, service := any(e.host.ip+":"+strconv.Itoa(e.to.port)), any(strconv.Itoa(int(e.took)))
	if e.flags == "UH" {
		upstream, service = nil, nil
	}
	return doc{
		"start_time": t.UTC().Format(millis), "method": c.method, "path": e.path, "protocol": "HTTP/1.1",
		"response_code": e.code, "response_flags": e.flags, "response_code_details": e.how, "connection_termination_details": nil,
		"upstream_transport_failure_reason": nil, "bytes_received": w.r.IntN(900), "bytes_sent": e.sent,
		"duration": int(e.took), "upstream_service_time": service, "x_forwarded_for": nil,
		"user_agent": oneOf(w, "Go-http-client/1.1", "okhttp/4.12.0", "python-requests/2.32.3"), "request_id": e.id,
		"authority": e.to.name + ":" + strconv.Itoa(e.to.port), "upstream_host": upstream,
		"upstream_cluster":         fmt.Sprintf("outbound|%d||%s", e.to.port, e.to.host()),
		"upstream_local_address":   fmt.Sprintf("%s:%d", e.client.ip, 32768+w.r.IntN(28000)),
		"downstream_local_address": fmt.Sprintf("10.96.%d.10:%d", c.to, e.to.port), "downstream_remote_address": fmt.Sprintf("%s:%d", e.client.ip, 32768+w.r.IntN(28000)),
		"requested_server_name": nil, "route_name": "default", "traceparent": "00-" + w.hex(16) + "-" + w.hex(8) + "-01",
		"kubernetes": kubernetes(e.from, e.client, "istio-proxy"),
	}
}

// istioText is Istio's default text layout, inbound side, as Filebeat ships it.
func (w *world) istioText(t time.Time) doc {
	e := w.exchange(&w.istio, w.pick(&w.istio))
	line := fmt.Sprintf(`[%s] "%s %s HTTP/1.1" %d %s %s - "-" %d %d %d %d "-" "Go-http-client/1.1" "%s" "%s:%d" "%s:%d" inbound|%d|| 127.0.0.6:%d %s:%d %s:%d outbound_.%d_._.%s default`,
		t.UTC().Format(millis), e.c.method, e.path, e.code, e.flags, e.how, w.r.IntN(900), e.sent, int(e.took), int(e.took*0.9), e.id,
		e.to.name, e.to.port, e.host.ip, e.to.port, e.to.port, 32768+w.r.IntN(28000), e.host.ip, e.to.port, e.client.ip, 32768+w.r.IntN(28000), e.to.port, e.to.host())
	return doc{"@timestamp": t.UTC().Format(millis), "message": line, "kubernetes": kubernetes(e.to, e.host, "istio-proxy")}
}

// knock is the RBAC story: a workload outside the mesh asks for everything, and
// both Istio (403) and Cilium (DROPPED) say no.
func (w *world) knock(t time.Time) doc {
	if w.r.IntN(3) == 0 {
		d := w.flow(t, &workload{name: "legacy-batch", namespace: "batch"}, pod{"legacy-batch-0", "10.40.1.7", "node-2"}, &w.cilium.services[2], w.pod(&w.cilium.services[2]))
		d["flow"].(doc)["verdict"] = "DROPPED"
		d["flow"].(doc)["drop_reason"] = 133
		d["flow"].(doc)["drop_reason_desc"] = "POLICY_DENIED"
		d["flow"].(doc)["Summary"] = "TCP Flags: SYN"
		return d
	}
	s := &w.istio.services[w.r.IntN(len(w.istio.services))]
	p := w.pod(s)
	d := w.istioJSON(t, calm)
	d["path"] = oneOf(w, "/admin", "/api/export", "/internal/users", "/metrics", "/debug/pprof/heap")
	d["method"] = "GET"
	d["response_code"], d["response_flags"], d["response_code_details"] = 403, "-", "rbac_access_denied_matched_policy[none]"
	d["authority"] = s.name + ":" + strconv.Itoa(s.port)
	d["upstream_cluster"], d["upstream_host"], d["upstream_service_time"], d["upstream_local_address"] = fmt.Sprintf("inbound|%d||", s.port), nil, nil, nil
	d["downstream_remote_address"], d["downstream_local_address"] = fmt.Sprintf("10.40.1.7:%d", 32768+w.r.IntN(28000)), p.ip+":"+strconv.Itoa(s.port)
	d["duration"], d["bytes_sent"], d["user_agent"] = 0, 19, "curl/7.61.1"
	d["kubernetes"] = kubernetes(s, p, "istio-proxy")
	return d
}

// linkerdJSON is the Linkerd proxy's JSON access log.
func (w *world) linkerdJSON(t time.Time) doc {
	e := w.exchange(&w.linkerd, w.pick(&w.linkerd))
	ns := int64(e.took * 1e6)
	id := fmt.Sprintf("%s.%s.serviceaccount.identity.linkerd.cluster.local", e.from.name, e.from.namespace)
	return doc{
		"client.addr": fmt.Sprintf("%s:%d", e.client.ip, 32768+w.r.IntN(28000)), "client.id": id,
		"host": e.to.name + ":" + strconv.Itoa(e.to.port), "method": e.c.method,
		"processing_ns": strconv.FormatInt(20_000+w.r.Int64N(60_000), 10), "request_bytes": "", "response_bytes": strconv.Itoa(e.sent),
		"status": e.code, "timestamp": t.UTC().Format(nanos), "total_ns": strconv.FormatInt(ns, 10), "trace_id": w.hex(16),
		"uri":        fmt.Sprintf("http://%s:%d%s", e.to.name, e.to.port, e.path),
		"user_agent": "Go-http-client/2.0", "version": "HTTP/2.0",
		"kubernetes": kubernetes(e.to, e.host, "linkerd-proxy"),
	}
}

// hubbleJSON is a flow as the Hubble exporter writes it.
func (w *world) hubbleJSON(t time.Time) doc {
	c := w.pick(&w.cilium)
	from, to := &w.cilium.services[c.from], &w.cilium.services[c.to]
	d := w.flow(t, from, w.pod(from), to, w.pod(to))
	f := d["flow"].(doc)
	if w.r.IntN(3) > 0 {
		f["Type"] = "L7"
		code := oneOf(w, 200, 200, 200, 200, 201, 403)
		f["l7"] = doc{"type": "RESPONSE", "latency_ns": strconv.Itoa(int(w.ms(c.ms) * 1e6)), "http": doc{
			"code": code, "method": c.method, "url": fmt.Sprintf("http://%s.%s:%d%s", to.name, to.namespace, to.port, w.path(c)), "protocol": "HTTP/1.1"}}
		f["Summary"] = fmt.Sprintf("HTTP/1.1 %d (%s %s)", code, c.method, c.path)
	}
	return d
}

func (w *world) flow(t time.Time, from *workload, client pod, to *workload, host pod) doc {
	end := func(s *workload, p pod) doc {
		return doc{"ID": 100 + len(p.name), "identity": 2000 + len(s.name)*37, "namespace": s.namespace, "pod_name": p.name,
			"labels":    []string{"k8s:app=" + s.name, "k8s:io.kubernetes.pod.namespace=" + s.namespace, "k8s:io.cilium.k8s.policy.serviceaccount=" + s.name},
			"workloads": []doc{{"name": s.name, "kind": "Deployment"}}}
	}
	stamp := t.UTC().Format(nanos)
	return doc{"time": stamp, "node_name": "demo/" + host.node, "flow": doc{
		"time": stamp, "uuid": w.uuid(), "verdict": "FORWARDED",
		"IP":     doc{"source": client.ip, "destination": host.ip, "ipVersion": "IPv4"},
		"l4":     doc{"TCP": doc{"source_port": 32768 + w.r.IntN(28000), "destination_port": max(to.port, 80), "flags": doc{"SYN": true}}},
		"source": end(from, client), "destination": end(to, host), "Type": "L3_L4", "node_name": "demo/" + host.node,
		"event_type": doc{"type": 4}, "traffic_direction": "INGRESS", "trace_observation_point": "TO_ENDPOINT", "is_reply": false, "Summary": "TCP Flags: SYN",
	}}
}

// application is a line of the service itself.
func (w *world) application(t time.Time, what incident) doc {
	s := &w.istio.services[w.r.IntN(len(w.istio.services))]
	level, message := "info", ""
	switch w.r.IntN(4) {
	case 0:
		message = fmt.Sprintf("order %d placed, %d items", 100000+w.r.IntN(900000), 1+w.r.IntN(9))
	case 1:
		message = fmt.Sprintf("cache miss for product %d", 1+w.r.IntN(500))
	case 2:
		message = fmt.Sprintf("query took %d ms, %d rows", 1+w.r.IntN(90), w.r.IntN(400))
	default:
		level, message = "warn", fmt.Sprintf("slow response from catalog: %d ms", 300+w.r.IntN(900))
	}
	if what == outage {
		s = &w.istio.services[3]
		level, message = "error", fmt.Sprintf("charge failed for order %d: upstream answered 503, no healthy upstream", 100000+w.r.IntN(900000))
	}
	return doc{"@timestamp": t.UTC().Format(millis), "level": level, "message": message, "service": doc{"name": s.name},
		"kubernetes": kubernetes(s, w.pod(s), s.name)}
}

// encode writes documents as the body of a bulk request.
func encode(docs []doc) ([]byte, error) {
	var body []byte
	for _, d := range docs {
		data, err := json.Marshal(d)
		if err != nil {
			return nil, err
		}
		body = append(append(append(body, "{\"create\":{\"_index\":\"demo\"}}\n"...), data...), '\n')
	}
	return body, nil
}
