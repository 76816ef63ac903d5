package normalise

import (
	"bytes"
	"os"
	"testing"

	"github.com/meshtrail/meshtrail/internal/record"
)

// envoyLines returns the lines of golden files of Envoy's family, as payloads.
func envoyLines(t testing.TB) (raws []record.Raw) {
	t.Helper()
	for _, name := range []string{"own-envoy-family", "envoy-als-skywalking", "envoy-gloo-json", "envoy-gloo-server", "envoy-own-log", "kuma-upgrade", "kuma-docs", "osm-docs"} {
		b, err := os.ReadFile("testdata/" + name + ".log")
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range bytes.Split(bytes.TrimSpace(b), []byte("\n")) {
			raws = append(raws, record.Raw{Payload: line, JSON: line[0] == '{'})
		}
	}
	return raws
}

func BenchmarkEnvoyFamily(b *testing.B) {
	opt := Options{Source: "bench", Now: 1, Class: "app"}
	raws := envoyLines(b)
	n, batch := New(), &record.Batch{}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%2000 == 0 {
			batch.Reset()
		}
		if err := n.Append(batch, &raws[i%len(raws)], &opt); err != nil {
			b.Fatal(err)
		}
	}
}

// TestServiceOfOutbound: service.name is whose proxy wrote the record, or else what
// was called; nothing overrides what the sender says.
func TestServiceOfOutbound(t *testing.T) {
	line := []byte(`[2026-03-01T10:00:00.008Z] "GET / HTTP/1.1" 200 - via_upstream - "-" 0 1 2 1 "-" "a" "id" "redis:80" "10.0.0.4:6379" outbound|80||redis.shop.svc.cluster.local 10.0.0.3:50112 10.96.1.1:80 10.0.0.3:50110 - -`)
	text := func(pairs ...string) (out []record.Field) { return attributes(pairs...) }
	for name, c := range map[string]struct {
		raw             record.Raw
		service, source string
	}{
		"nobody says":        {record.Raw{Payload: line}, "redis", ""},
		"the pod":            {record.Raw{Payload: line, Attrs: text("k8s.pod.name", "web-7d4b9c8f6d-x2k9p")}, "web", "web"},
		"the receiver":       {record.Raw{Payload: line, Service: "web"}, "web", ""},
		"an attribute":       {record.Raw{Payload: line, Attrs: text("service.name", "web")}, "web", ""},
		"a label":            {record.Raw{Payload: line, Attrs: text("service", "web", "pod", "x-1")}, "", "x"},
		"a field of its own": {record.Raw{JSON: true, Payload: []byte(`{"service":"web","upstream_cluster":"outbound|80||redis.shop.svc.cluster.local","route_name":"a","response_flags":"-"}`)}, "", ""},
	} {
		_, got := alone(&c.raw, &Options{Now: 1, Class: "app"})
		have := map[string]string{}
		for _, f := range got.Fields {
			have[f.Name] = f.Value.Text()
		}
		if have["service.name"] != c.service || have["mesh.source.workload"] != c.source {
			t.Errorf("%s: service.name %q, source %q; want %q, %q", name, have["service.name"], have["mesh.source.workload"], c.service, c.source)
		}
	}
}

// TestResourceOfEnvoy: the four attributes of Envoy's OpenTelemetry logger name the
// proxy; fewer of them are somebody else's.
func TestResourceOfEnvoy(t *testing.T) {
	f := func(attrs []record.Field, payload string, want map[string]string) {
		t.Helper()
		raw := record.Raw{Payload: []byte(payload), Attrs: attrs, Time: 5}
		_, got := alone(&raw, &Options{Now: 1, Class: "app"})
		have := map[string]string{}
		for _, f := range got.Fields {
			have[f.Name] = f.Value.Text()
		}
		for name, v := range want {
			if have[name] != v {
				t.Errorf("%s is %q, want %q in %v", name, have[name], v, have)
			}
		}
	}
	osm := attributes("log_name", "otel", "zone_name", "", "cluster_name", "httpbin.shop", "node_name", "fabd4869-ce46-421e-a81b-977ebbc3c9b5")
	f(append(osm, attributes("someKey", "someValue")...), `[2022-10-20T15:53:13.764Z] authority=httpbin.httpbin:14001 bytes_received=0 bytes_sent=0`, map[string]string{
		"envoy.node.cluster": "httpbin.shop", "envoy.log_name": "otel", "envoy.node.id": "fabd4869-ce46-421e-a81b-977ebbc3c9b5", "cluster_name": "", "cloud.availability_zone": "",
		"someKey": "someValue", "server.address": "httpbin.httpbin", "parse.format": "envoy-text", "k8s.namespace.name": "shop",
	})
	istio := attributes("log_name", "otel", "zone_name", "z1", "cluster_name", "web.shop", "node_name", "sidecar~10.0.0.3~web-v1-7d4b9c8f6d-x2k9p.shop~shop.svc.cluster.local")
	f(istio, `[2026-03-01T10:00:00.008Z] "GET / HTTP/1.1" 200 - via_upstream - "-" 0 1 2 1 "-" "a" "id" "redis:80" "10.0.0.4:6379" outbound|80||redis.shop.svc.cluster.local 10.0.0.3:50112 10.96.1.1:80 10.0.0.3:50110 - -`, map[string]string{
		"service.name": "web-v1", "mesh.source.workload": "web-v1", "k8s.pod.name": "web-v1-7d4b9c8f6d-x2k9p", "cloud.availability_zone": "z1", "mesh.destination.workload": "redis", "parse.format": "istio-text",
	})
	f(attributes("cluster_name", "prod", "node_name", "n1"), "text", map[string]string{"cluster_name": "prod", "node_name": "n1", "envoy.node.cluster": ""})
}
