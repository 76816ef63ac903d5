package normalise

import (
	"testing"

	"github.com/meshtrail/meshtrail/internal/record"
)

// meshShapes are lines of the programs of meshes, each as a record's payload.
var meshShapes = []struct{ name, line string }{
	{"ztunnel-text", "2026-03-01T10:00:00.820192Z\tinfo\taccess\tconnection complete\tsrc.addr=10.244.0.5:45896 src.workload=\"curl-7656cf8794-r7zb9\" src.namespace=\"shop\" src.identity=\"spiffe://cluster.local/ns/shop/sa/curl\" src.cluster=\"east\" dst.addr=10.244.0.16:15008 dst.hbone_addr=10.244.0.16:9080 dst.service=\"reviews.shop.svc.cluster.local\" dst.workload=\"reviews-v1-5fd6d4f8f8-26j92\" dst.namespace=\"shop\" dst.identity=\"spiffe://cluster.local/ns/shop/sa/reviews\" dst.cluster=\"west\" direction=\"outbound\" bytes_sent=84 bytes_recv=169 duration=\"2ms\""},
	{"ztunnel-denied", "2026-03-01T10:00:01.094336Z\terror\taccess\tconnection complete\tsrc.addr=10.244.0.14:46992 src.workload=\"shuttle-7b5db664c-v7b6x\" src.namespace=\"fleet\" src.identity=\"spiffe://cluster.local/ns/fleet/sa/shuttle\" dst.addr=10.244.0.9:15008 dst.hbone_addr=10.244.0.9:9080 dst.service=\"navcom.fleet.svc.cluster.local\" dst.workload=\"navcom-v1-7467bbc689-bj5jz\" dst.namespace=\"fleet\" dst.identity=\"spiffe://cluster.local/ns/fleet/sa/navcom\" direction=\"inbound\" bytes_sent=0 bytes_recv=0 duration=\"0ms\" error=\"connection closed due to policy rejection: allow policies exist, but none allowed\""},
	{"ztunnel-json", `{"level":"error","time":"2026-03-01T10:00:03.094336Z","scope":"access","message":"connection complete","src.addr":"10.244.0.14:46992","src.workload":"shuttle-7b5db664c-v7b6x","src.namespace":"fleet","src.identity":"spiffe://cluster.local/ns/fleet/sa/shuttle","dst.addr":"10.244.0.9:15008","dst.hbone_addr":"10.244.0.9:9080","dst.service":"navcom.fleet.svc.cluster.local","dst.workload":"navcom-v1-7467bbc689-bj5jz","dst.namespace":"fleet","dst.identity":"spiffe://cluster.local/ns/fleet/sa/navcom","direction":"inbound","bytes_sent":0,"bytes_recv":0,"duration":"0ms","error":"connection closed due to policy rejection: explicitly denied by: fleet/deny-all"}`},
	{"istio-log", "2026-03-01T10:00:00.316481Z\tdebug\tenvoy rbac external/envoy/source/extensions/filters/http/rbac/rbac_filter.cc:132\tenforced denied, matched policy ns[shop]-policy[deny-path]-rule[0]\tthread=30"},
	{"istio-log-json", `{"level":"debug","time":"2026-03-01T10:00:01.000002Z","scope":"envoy rbac","msg":"shadow denied, matched policy ns[shop]-policy[try]-rule[1]","caller":"external/envoy/source/extensions/filters/http/rbac/rbac_filter.cc:132","thread":"30"}`},
	{"linkerd-proxy", `[     3.100001s]  INFO ThreadId(01) inbound:server{port=9090}: linkerd_app_inbound::policy::tcp: Connection denied server.group=policy.linkerd.io server.kind=server server.name=db tls=Some(Established { client_id: Some(ClientId(Dns(Name("web.shop.serviceaccount.identity.linkerd.cluster.local")))), negotiated_protocol: Some("transport.l5d.io/v1") }) client=[fd00::7]:52118`},
	{"linkerd-proxy-json", `{"timestamp":"2026-03-01T10:00:01.919918Z","level":"INFO","fields":{"message":"Request denied","server.group":"policy.linkerd.io","server.kind":"server","server.name":"web-ui","route.group":"","route.kind":"default","route.name":"default","client.tls":"Some(Established { client_id: Some(ClientId(Dns(Name(\"web.shop.serviceaccount.identity.linkerd.cluster.local\")))), negotiated_protocol: None })","client.ip":"10.64.11.50"},"target":"linkerd_app_inbound::policy::http","spans":[{"name":"inbound"},{"port":16686,"name":"server"}],"threadId":"ThreadId(1)"}`},
	{"consul-text", `2026-03-01T10:00:01.753+0100 [ERROR] agent.http: Request error: method=GET url=/v1/acl/tokens?dc=dc1 from=10.129.252.77:55280 error="Permission denied: anonymous token lacks permission 'acl:read'"`},
	{"consul-json", `{"@level":"error","@message":"Request error","@module":"agent.http","@timestamp":"2026-03-01T10:00:03.300037Z","method":"GET","url":"/v1/acl/tokens?dc=dc1","from":"10.129.252.77:55280","error":"Permission denied: token lacks permission 'acl:read'"}`},
	{"consul-audit", `{"created_at":"2026-03-01T10:00:04.202935-05:00","event_type":"audit","payload":{"id":"1f85053f-badb-4567-d239-abc0ecee1570","version":"1","type":"HTTPEvent","timestamp":"2026-03-01T10:00:04.202847-05:00","auth":{"accessor_id":"00000000-0000-0000-0000-000000000002","description":"Anonymous Token","create_time":"2026-02-01T11:01:51.652566-05:00"},"request":{"operation":"PUT","endpoint":"/v1/kv/a","remote_addr":"[::1]:64015","user_agent":"curl/8.9.1","host":"127.0.0.1:8500"},"response":{"status":"403"},"stage":"OperationComplete"}}`},
	{"kuma-log", "2026-03-01T10:00:00.254Z\tERROR\tkuma-cp.run\tunable to start\t{\"error\": \"could not connect: refused\", \"mesh\": \"default\", \"retry\": true, \"attempt\": 3}"},
	{"hubble-compact", `2026-03-01T10:00:01.288Z: monitoring/debug-6f4b9c7d8-q8wzn:40118 (ID:9981) -> app/backend-84c6d5f7b9-7hn2m:8080 (ID:22410) policy-verdict:L3-Only INGRESS ALLOWED BY allow-all (CiliumNetworkPolicy), web (NetworkPolicy) (TCP Flags: SYN)`},
	{"cilium-monitor", `xx drop (Policy denied) flow 0x8a1f2c3d to endpoint 164, ifindex 42, file bpf_lxc.c:1998, , identity 52901->46212: 10.244.1.14:41022 -> 10.244.1.87:8080 tcp SYN`},
	{"cilium-verdict", `Policy verdict log: flow 0x83556614 local EP ID 354, remote ID remote-node, proto 6, ingress, action deny, auth: disabled, match none, [fd00:101::22]:58416 -> [fd00:101:224:3::9cac]:9090 tcp SYN`},
	{"cilium-log", `level=info msg="Rewrote endpoint BPF program" ciliumEndpointName=shop/web-0 containerID=1a2b3c4d5e containerInterface= datapathPolicyRevision=1 desiredPolicyRevision=2 endpointID=2434 identity=25410 ipv4=10.0.0.12 ipv6= k8sPodName=shop/web-0 subsys=endpoint`},
	{"cilium-monitor-json", `{"cpu":"CPU 01:","type":"drop","mark":"0x8a1f2c3d","ifindex":"3","state":"","reason":"Policy denied","source":164,"bytes":74,"srcLabel":52901,"dstLabel":46212,"dstID":87,"line":1998,"file":"bpf_lxc.c","extError":0,"summary":{"ethernet":"Ethernet","ipv4":"IPv4","tcp":"TCP {SYN}","l2":{"src":"a2:b1","dst":"c3:d4"},"l3":{"src":"10.244.1.14","dst":"10.244.1.87"},"l4":{"src":"41022","dst":"8080"}}}`},
	{"tetragon", `{"process_kprobe":{"process":{"exec_id":"a2luZDox","pid":52699,"uid":0,"cwd":"/","binary":"/usr/bin/vi","arguments":"/etc/passwd","flags":"execve rootcwd clone","start_time":"2026-03-01T09:59:59Z","auid":4294967295,"pod":{"namespace":"shop","name":"web-7d5b9c7c8c-lkb7g","container":{"id":"containerd://aed42","name":"web","image":{"id":"q@sha256:1","name":"q/web:1"},"start_time":"2026-03-01T09:00:00Z","pid":19},"pod_labels":{"app":"web"},"workload":"web","workload_kind":"Deployment"},"docker":"aed42","parent_exec_id":"a2luZDoy","tid":52699},"parent":{"exec_id":"a2luZDoy","pid":52600,"uid":0,"cwd":"/","binary":"/bin/bash","flags":"execve"},"function_name":"security_file_permission","args":[{"file_arg":{"path":"/etc/passwd"}},{"int_arg":4}],"return":{"int_arg":0},"action":"KPROBE_ACTION_SIGKILL","policy_name":"file-monitoring","return_action":"KPROBE_ACTION_POST"},"node_name":"kind-worker","time":"2026-03-01T10:00:00.234567890Z","cluster_name":"east"}`},
	{"osm-json", `{"level":"error","component":"envoy/ads","error":"no certificate","error_code":"E5001","time":"2026-03-01T10:00:01Z","file":"stream.go:77","message":"Error sending discovery response"}`},
}

func BenchmarkMesh(b *testing.B) {
	opt := Options{Source: "bench", Now: 1, Class: "app"}
	for _, s := range meshShapes {
		raw := record.Raw{Payload: []byte(s.line), JSON: s.line[0] == '{'}
		b.Run(s.name, func(b *testing.B) {
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
