package normalise

import (
	"strings"
	"testing"

	"github.com/meshtrail/meshtrail/internal/record"
)

var shapes = []struct {
	name string
	json bool
	line string
}{
	{"flat-access", true, `{"@timestamp":"2026-11-20T00:00:01.000000Z","authority":"cart.shop.svc.cluster.local:8080","bytes_received":1201,"bytes_sent":30211,"cluster":"prod-eu-west-1","downstream_local_address":"10.1.2.3:8080","downstream_peer_uri_san":"spiffe://prod-eu-west-1.example/ns/shop/sa/cart","downstream_remote_address":"10.1.2.4:41231","duration":12,"mesh":"istio","method":"GET","namespace":"shop","path":"/api/v1/cart/12","pod":"cart-0a1b2c3d-0a1b2","protocol":"HTTP/2","request_id":"0f8fad5b-d9cb-469f-a165-70867728950e","requested_server_name":"outbound_.8080_._.cart.shop.svc.cluster.local","response_code":200,"response_code_details":"via_upstream","response_flags":"-","route_name":"default","service":"cart","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","upstream_cluster":"outbound|8080||cart.shop.svc.cluster.local","upstream_host":"10.1.2.3:8080","upstream_service_time":"11","user_agent":"okhttp/4.12.0"}`},
	{"app-json", true, `{"@timestamp":"2026-11-20T00:00:01.000000Z","cluster":"prod-eu-west-1","level":"info","logger":"cart.db","mesh":"istio","msg":"db query took 4123us rows=12 table=orders","namespace":"shop","pod":"cart-0a1b2c3d-0a1b2","service":"cart","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}`},
	{"istio-json", true, `{"start_time":"2026-03-01T10:00:00.001Z","route_name":"default","method":"GET","path":"/reviews/7?full=1","protocol":"HTTP/1.1","response_code":200,"response_flags":"-","response_code_details":"via_upstream","connection_termination_details":null,"bytes_received":0,"bytes_sent":375,"duration":17,"upstream_service_time":"16","x_forwarded_for":null,"user_agent":"curl/8.9.1","request_id":"aaaaaaaa-2222-4333-8444-555555555555","authority":"reviews:9080","upstream_host":"10.0.0.4:9080","upstream_cluster":"inbound|9080||","upstream_local_address":"127.0.0.6:33333","downstream_local_address":"10.0.0.4:9080","downstream_remote_address":"10.0.0.3:44444","requested_server_name":"outbound_.9080_.v2_.reviews.shop.svc.cluster.local","upstream_transport_failure_reason":null}`},
	{"istio-text", false, `[2022-07-20T09:52:24.955Z] "GET /details/0 HTTP/1.1" 200 - via_upstream - "-" 0 178 2 1 "-" "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)" "785918d6-06b6-9312-bf77-6d9bd968dc21" "details:9080" "10.68.2.10:9080" inbound|9080|| 127.0.0.6:47889 10.68.2.10:9080 10.68.1.7:39696 outbound_.9080_._.details.default.svc.cluster.local default`},
	{"envoy-text", false, `[2021-04-14T16:36:00.361Z] "GET /foo HTTP/1.1" 200 - 0 463 6 3 "-" "HTTPie/1.0.3" "837aa8dc-344f-4faa-b7d5-c9cce1028519" "localhost:8080" "127.0.0.1:8081"`},
	{"linkerd-json", true, `{"client.addr":"10.42.0.70:32996","client.id":"traffic.booksapp.serviceaccount.identity.linkerd.cluster.local","host":"webapp:7000","method":"GET","processing_ns":"39826","request_bytes":"","response_bytes":"19627","status":200,"timestamp":"2022-08-23T20:33:42.321746212Z","total_ns":"14441135","trace_id":"","uri":"http://webapp:7000/","user_agent":"Go-http-client/1.1","version":"HTTP/2.0"}`},
	{"hubble-flow", true, `{"flow":{"time":"2021-11-10T10:40:57.716197300Z","verdict":"REDIRECTED","ethernet":{"source":"56:11:8a:89:a6:1c","destination":"8e:52:b3:36:14:fd"},"IP":{"source":"10.244.0.206","destination":"10.244.0.177","ipVersion":"IPv4"},"l4":{"TCP":{"source_port":59780,"destination_port":9080,"flags":{"SYN":true}}},"source":{"ID":2078,"identity":16370,"namespace":"bookinfo","labels":["k8s:app=ratings","k8s:io.kubernetes.pod.namespace=bookinfo"],"pod_name":"ratings-v1-b6994bb9-jgqxb","workloads":[{"name":"ratings-v1","kind":"Deployment"}]},"destination":{"ID":881,"identity":3418,"namespace":"bookinfo","labels":["k8s:app=productpage","k8s:version=v1"],"pod_name":"productpage-v1-6b746f74dc-9rcxx"},"Type":"L3_L4","node_name":"kind-control-plane","event_type":{"type":5},"traffic_direction":"EGRESS","policy_match_type":3,"is_reply":false,"egress_allowed_by":[{"name":"a","namespace":"b","kind":"C"}],"Summary":"TCP Flags: SYN"},"node_name":"kind-control-plane","time":"2021-11-10T10:40:57.716197300Z"}`},
	{"docker-json", true, `{"log":"{\"level\":\"error\",\"msg\":\"inner\",\"n\":1}\n","stream":"stderr","time":"2026-03-01T10:00:00.5Z"}`},
	{"cri-text", false, `2026-03-01T10:00:00.8Z stdout F plain application text of one line`},
}

func raws() []record.Raw {
	out := make([]record.Raw, len(shapes))
	for i, s := range shapes {
		out[i] = record.Raw{Payload: []byte(s.line), JSON: s.json}
	}
	return out
}

// TestNoAllocations holds every known shape to zero allocations per record once
// its names and the batch's columns are there, also where the protocol says
// more.
func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates on its own")
	}
	opt := Options{Source: "test", Now: 1, Class: "app"}
	for i, raw := range raws() {
		n, b := New(), &record.Batch{}
		run := func() {
			b.Reset()
			for k := range 8 {
				raw.Service, raw.Level = []string{"", "web"}[k%2], []string{"", "error"}[k%2]
				if err := n.Append(b, &raw, &opt); err != nil {
					t.Fatal(err)
				}
			}
		}
		run()
		run()
		if a := testing.AllocsPerRun(50, run); a != 0 {
			t.Errorf("%s: %v allocations for 8 records", shapes[i].name, a)
		}
	}
}

// TestAllShapesMixed holds a batch of all shapes, with attributes, to the same.
func TestAllShapesMixed(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates on its own")
	}
	opt := Options{Source: "test", Now: 1, Class: "app"}
	all := raws()
	for i := range all {
		all[i].Attrs = []record.Field{{Name: "namespace", Value: record.StringValue("shop")}, {Name: record.Labels, Value: record.StringValue("namespace")}}
	}
	n, b := New(), &record.Batch{}
	run := func() {
		b.Reset()
		for i := range all {
			if err := n.Append(b, &all[i], &opt); err != nil {
				t.Fatal(err)
			}
		}
	}
	run()
	if a := testing.AllocsPerRun(50, run); a != 0 {
		t.Errorf("%v allocations for %d records", a, len(all))
	}
	for i := range b.Len() {
		r := b.Record(i)
		if v, _ := r.Get("namespace"); v.Str != "shop" {
			t.Errorf("%s: the label is overwritten: %v", shapes[i].name, v)
		}
		if v, ok := r.Get("parse.format"); !ok || strings.HasPrefix(v.Str, "none") {
			t.Errorf("%s: no format", shapes[i].name)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	opt := Options{Source: "bench", Now: 1, Class: "app"}
	for i, raw := range raws() {
		b.Run(shapes[i].name, func(b *testing.B) {
			n, batch := New(), &record.Batch{}
			b.SetBytes(int64(len(raw.Payload)))
			b.ReportAllocs()
			rows := 0
			for b.Loop() {
				if rows++; rows == 2000 {
					batch.Reset()
					rows = 0
				}
				if err := n.Append(batch, &raw, &opt); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
