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
	{"zap-json", true, `{"level":"info","ts":"2024-01-02T03:04:05.678Z","logger":"controller.pod","caller":"controller/pod.go:112","msg":"reconciled","controller":"pod","namespace":"shop","name":"cart-0a1b2c3d-0a1b2","reconcileID":"0f8fad5b-d9cb-469f-a165-70867728950e"}`},
	{"klog-text", false, `E0102 03:04:05.678901       1 reflector.go:147] "Failed to watch" err="connection refused" resource="pods" namespace="shop"`},
	{"logfmt", false, `ts=2024-01-02T03:04:05.678Z caller=main.go:12 level=warn component=tsdb msg="slow block" block=01HK took=12.5s`},
	{"applog-text", false, `2024-01-02 03:04:05.678  INFO 12345 --- [nio-8080-exec-1] o.s.web.servlet.DispatcherServlet        : Completed initialization in 12 ms`},
	{"postgres-text", false, `2024-01-02 03:04:05.678 -03 [4242] app@shop ERROR:  duplicate key value violates unique constraint "orders_pkey"`},
	{"mysql-text", false, `2024-01-02T03:04:05.678901Z 12 [Warning] [MY-010068] [Server] CA certificate ca.pem is self signed.`},
	{"uvicorn-access", false, `INFO:     192.0.2.7:52000 - "GET /orders?id=7 HTTP/1.1" 200 OK`},
	{"coloured-text", false, "\x1b[2m2024-01-02T03:04:05.678901Z\x1b[0m \x1b[32m INFO\x1b[0m \x1b[2mshop::server\x1b[0m\x1b[2m:\x1b[0m listening on 0.0.0.0:8080"},
	{"mongodb-json", true, `{"t":{"$date":"2024-01-02T03:04:05.678+00:00"},"s":"I","c":"NETWORK","id":22943,"ctx":"listener","msg":"Connection accepted","attr":{"remote":"192.0.2.7:52000","connectionId":12}}`},
	{"k8s-audit", true, `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"ba8076fa-6f45-4392-bceb-7de0e9eaafe5","stage":"ResponseComplete","requestURI":"/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/a","verb":"get","user":{"username":"system:serviceaccount:kube-system:a","uid":"4009fcd2","groups":["system:serviceaccounts","system:authenticated"]},"sourceIPs":["10.0.6.44"],"userAgent":"a/v0.0.0","objectRef":{"resource":"leases","namespace":"kube-system","name":"a","apiGroup":"coordination.k8s.io","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":200},"requestReceivedTimestamp":"2024-07-02T17:01:26.365713Z","stageTimestamp":"2024-07-02T17:01:26.370651Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by ClusterRoleBinding \"a\" of ClusterRole \"b\" to User \"c\""}}`},
	{"k8s-event", true, `{"metadata":{"name":"cart-7d4b9.17a1","namespace":"shop","uid":"6f1e1a3c-0001","creationTimestamp":"2026-01-10T12:00:00Z"},"reason":"FailedScheduling","message":"0/3 nodes are available","source":{"component":"default-scheduler"},"firstTimestamp":"2026-01-10T12:00:00Z","lastTimestamp":"2026-01-10T12:05:00Z","count":6,"type":"Warning","involvedObject":{"kind":"Pod","namespace":"shop","name":"cart-7d4b9","uid":"0a1b","apiVersion":"v1"}}`},
	{"cloudtrail", true, `{"eventVersion":"1.08","userIdentity":{"type":"AssumedRole","principalId":"AROAEXAMPLE:alice","arn":"arn:aws:sts::123456789012:assumed-role/dev/alice","accountId":"123456789012","accessKeyId":"ASIAEXAMPLE"},"eventTime":"2023-07-10T11:42:44Z","eventSource":"ec2.amazonaws.com","eventName":"RunInstances","awsRegion":"us-east-1","sourceIPAddress":"192.0.2.1","userAgent":"aws-cli/2.15","errorCode":"Client.UnauthorizedOperation","errorMessage":"not authorized because no identity-based policy allows it","requestParameters":null,"responseElements":null,"requestID":"c52b4d28","eventID":"293ba626","readOnly":false,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"123456789012"}`},
	{"gcp-audit", true, `{"protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","authenticationInfo":{"principalEmail":"dev@example.com"},"authorizationInfo":[{"granted":true,"permission":"compute.instances.delete"}],"methodName":"v1.compute.instances.delete","requestMetadata":{"callerIp":"192.0.2.1","callerSuppliedUserAgent":"gcloud"},"resourceName":"projects/p1/zones/europe-west1-b/instances/web","serviceName":"compute.googleapis.com","status":{}},"insertId":"o1","resource":{"type":"gce_instance","labels":{"project_id":"p1","zone":"europe-west1-b"}},"timestamp":"2026-01-10T12:03:00Z","severity":"NOTICE","logName":"projects/p1/logs/cloudaudit.googleapis.com%2Factivity"}`},
	{"azure-activity", true, `{"time":"2026-01-10T12:00:00.1234567Z","resourceId":"/SUBSCRIPTIONS/0A1B/RESOURCEGROUPS/RG/PROVIDERS/MICROSOFT.COMPUTE/VIRTUALMACHINES/WEB","operationName":"MICROSOFT.COMPUTE/VIRTUALMACHINES/DELETE","category":"Administrative","resultType":"Success","resultSignature":"Succeeded.","durationMs":"1520","callerIpAddress":"192.0.2.8","identity":{"authorization":{"scope":"/x","action":"y"},"claims":{"appid":"04b0"}},"level":"Information","location":"global"}`},
	{"aws-vpc-flow", false, `2 123456789012 eni-0a1b2c3d4e5f60718 10.0.1.5 10.0.2.9 49152 443 6 12 9000 1700000000 1700000060 ACCEPT OK`},
	{"aws-s3-access", false, `79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be logs-bucket [06/Feb/2026:00:01:00 +0000] 198.51.100.9 - 7B4A0FABBEXAMPLE REST.GET.VERSIONING - "GET /logs-bucket?versioning HTTP/1.1" 403 AccessDenied 243 - 7 - "-" "curl/8.5.0" -`},
	{"vault-audit", true, `{"time":"2026-01-10T12:00:00.123456789Z","type":"response","auth":{"display_name":"cart","policies":["default","shop"],"policy_results":{"allowed":true},"entity_id":"ent-1"},"request":{"id":"r-1","operation":"read","mount_type":"kv","path":"secret/data/shop/db","remote_address":"10.0.0.8"},"response":{"mount_type":"kv"}}`},
	{"clf-combined", false, `192.168.202.254 - - [20/Jul/2009:22:59:26 +0000] "GET /vmw/cgi/tramp HTTP/1.0" 200 134 "-" "gPXE/0.9.7"`},
	{"nginx-ingress", false, `10.0.0.5 - - [01/Aug/2023:09:00:02 +0000] "POST /api/orders HTTP/2.0" 200 17 "-" "okhttp/4.12.0" 512 0.204 [shop-orders-api-8080] [] 10.244.1.7:8080, 10.244.2.9:8080 0, 17 0.100, 0.104 504, 200 0f8fad5bd9cb469fa16570867728950e`},
	{"nginx-error", false, `2026/11/21 21:09:22 [error] 31#31: *19 user "alice": password mismatch, client: 127.0.0.1, server: web.example, request: "GET /auth/pw HTTP/1.1", host: "127.0.0.1:18080"`},
	{"nginx-json", true, `{"time": "2023-08-01T09:00:02+00:00", "remoteAddr": "10.0.0.5", "xForwardedFor": "203.0.113.9", "requestId": "9c6e0b0f7a4a4f0d8f6c3b2a19080706", "bytesSent": 615, "requestTime": 0.012, "status": 200, "vhost": "shop.example", "requestProto": "HTTP/1.1", "path": "/cart", "requestQuery": "a=1", "requestLength": 80, "method": "GET", "httpReferrer": "", "httpUserAgent": "curl/8.1", "proxyUpstreamName": "shop-cart-80", "upstreamAddr": "10.244.1.7:8080", "upstreamStatus": "200", "upstreamResponseTime": "0.011"}`},
	{"apache-error", false, `[Sat Nov 21 21:32:31.656728 2026] [auth_basic:error] [pid 26210:tid 26290] [client 127.0.0.1:48992] AH01617: user alice: authentication failure for "/priv/": Password Mismatch`},
	{"haproxy-http", false, `haproxy[14389]: 10.0.1.2:33317 [06/Feb/2009:12:14:14.655] http-in~ static/srv1 9/10/7/14/+30 200 +243 - - --NN 3/1/1/1/+2 1/0 {shop.example|Mozilla/5.0 (X11; Linux)} {text/html} "GET /image.iso?a=1 HTTP/1.0"`},
	{"haproxy-json", true, `{"time":"21/Nov/2026:21:09:31.194","client_ip":"127.0.0.1","client_port":51164,"frontend":"jsonf","backend":"app","server":"s1","status":404,"bytes_read":500,"method":"GET","uri":"/j?a=b","http_version":"HTTP/1.1","termination_state":"----","TR":0,"Tw":0,"Tc":0,"Tr":1,"Ta":1,"retries":"0"}`},
	{"traefik-clf", false, `172.17.0.1 - - [08/Dec/2021:13:59:39 +0000] "GET /index?toto=tata HTTP/1.1" 200 352 "-" "Nikto" 242 "test@docker" "http://172.17.0.3:80" 1ms`},
	{"traefik-json", true, `{"ClientAddr":"10.42.0.1:50312","ClientHost":"10.42.0.1","ClientPort":"50312","ClientUsername":"alice","DownstreamContentSize":13,"DownstreamStatus":503,"Duration":30012345,"OriginContentSize":13,"OriginDuration":29000000,"OriginStatus":503,"Overhead":1012345,"RequestAddr":"shop.example:8443","RequestContentSize":5,"RequestCount":8,"RequestHost":"shop.example","RequestMethod":"POST","RequestPath":"/api/cart?id=7","RequestPort":"8443","RequestProtocol":"HTTP/2.0","RequestScheme":"https","RetryAttempts":2,"RouterName":"shop-cart-route@kubernetescrd","ServiceAddr":"10.42.1.9:8080","ServiceName":"shop-cart-8080@kubernetescrd","ServiceURL":"http://10.42.1.9:8080","SpanId":"00f067aa0ba902b7","StartLocal":"2026-02-01T10:00:00.5+01:00","StartUTC":"2026-02-01T09:00:00.5Z","TLSCipher":"TLS_AES_128_GCM_SHA256","TLSClientSubject":"CN=client,O=shop","TLSVersion":"1.3","TraceId":"4bf92f3577b34da6a3ce929d0e0e4736","entryPointName":"websecure","level":"info","msg":"","request_User-Agent":"okhttp/4.12.0","request_X-Forwarded-For":"203.0.113.9","request_X-Request-Id":"c0ffee","time":"2026-02-01T10:00:00+01:00"}`},
	{"caddy-json", true, `{"level":"error","ts":1761019828.6153953,"logger":"http.log.access.log0","msg":"handled request","request":{"remote_ip":"10.0.0.1","remote_port":"46628","client_ip":"203.0.113.9","proto":"HTTP/3.0","method":"GET","host":"shop.example:8443","uri":"/cart?id=7","headers":{"User-Agent":["okhttp/4.12.0"],"Accept":["*/*","text/html"],"X-Forwarded-For":["203.0.113.9, 10.0.0.1"],"X-Request-Id":["c0ffee"],"Traceparent":["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],"Authorization":["REDACTED"],"Cookie":["REDACTED"]},"tls":{"resumed":false,"version":772,"cipher_suite":4867,"proto":"h3","server_name":"shop.example"}},"bytes_read":5,"user_id":"alice","duration":0.032411,"size":13,"status":502,"resp_headers":{"Server":["Caddy"],"Content-Type":[]}}`},
	{"aws-alb", false, `h2 2026-02-01T09:00:01.186641Z app/shop/50dc6c495c0c9188 203.0.113.9:48160 10.0.0.66:9000 0.001 0.027 0.002 502 - 5 257 "GET https://shop.example:443/cart?id=7 HTTP/2.0" "okhttp/4.12.0 \"x\"" TLS_AES_128_GCM_SHA256 TLSv1.3 arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/cart/73e2d6bc24d8a067 "Root=1-58337327-72bd00b0343d75b906739c42" "shop.example" "arn:aws:acm:eu-west-1:123456789012:certificate/1" 1 2026-02-01T09:00:01.150000Z "forward" "-" "-" "10.0.0.66:9000" "-" "-" "-" TID_dc57cebed65b444ebc8177bb698fe166`},
	{"aws-cloudfront", false, `2019-12-04	21:02:31	LAX1	392	192.0.2.100	GET	d111111abcdef8.cloudfront.net	/index.html	200	https://r.example/a%20b	Mozilla/5.0%20(Windows%20NT%2010.0;%20Win64;%20x64)	a=1	-	Hit	SOX4xwn4XV6Q4rgb7XiVGOHms_BGlTAC4KyHmureZmBNrjGdRLiNIQ==	shop.example	https	23	0.001	-	TLSv1.2	ECDHE-RSA-AES128-GCM-SHA256	Hit	HTTP/2.0	-	-	11040	0.001	Hit	text/html	78	-	-`},
	{"azure-front-door", true, `{"time":"2026-02-01T09:00:01.0000000Z","resourceId":"/SUBSCRIPTIONS/1/PROFILES/FD","category":"FrontDoorAccessLog","operationName":"Microsoft.Cdn/Profiles/AccessLog/Write","properties":{"trackingReference":"0xyz","httpMethod":"GET","httpVersion":"2.0","requestUri":"https://shop.example:443/cart?id=7","sni":"shop.example","requestBytes":"98","responseBytes":"1024","userAgent":"curl/8.1","clientIp":"203.0.113.9","clientPort":"50001","socketIp":"203.0.113.9","timeToFirstByte":"0.021","timeTaken":"0.022","requestProtocol":"HTTPS","securityProtocol":"TLS 1.3","rulesEngineMatchNames":[],"httpStatusCode":"200","edgeActionsStatusCode":"","httpStatusDetails":"200","pop":"AMS","cacheStatus":"MISS","errorInfo":"NoError","result":"N/A","endpoint":"shop.z01.azurefd.net","routingRuleName":"r1","hostName":"shop.example","originUrl":"https://o.example:443/cart?id=7","originIp":"10.0.0.7:443","originName":"o.example:443","referer":"","clientCountry":"NL","domain":"shop.example:443","securityCipher":"TLS_AES_256_GCM_SHA384"}}`},
	{"auditd-syscall", false, `type=SYSCALL msg=audit(1492000940.864:1095517): arch=c000003e syscall=62 success=yes exit=0 a0=1fde a1=1 a2=0 a3=8 items=0 ppid=1 pid=8158 auid=1000 uid=1000 gid=1001 euid=0 suid=1000 fsuid=1000 egid=1001 sgid=1001 fsgid=1001 tty=(none) ses=790 comm="bash" exe=2F7573722F62696E2F62617368 key="kill_signals"` + "\x1dARCH=x86_64 SYSCALL=kill AUID=\"alice\" UID=\"alice\""},
	{"auditd-user", false, `type=USER_LOGIN msg=audit(1481077043.193:421): pid=1298 uid=0 auid=1000 ses=1 subj=system_u:system_r:sshd_t:s0 msg='op=login acct=616C696365 exe="/usr/sbin/sshd" hostname=host.example addr=192.0.2.97 terminal=/dev/pts/0 res=success'`},
	{"laurel", true, `{"ID":"1688048710.843:30826","SYSCALL":{"arch":"0xc000003e","syscall":59,"success":"yes","exit":0,"items":3,"ppid":3839,"pid":11021,"auid":1000,"uid":0,"euid":0,"tty":"(none)","comm":"nft","exe":"/usr/sbin/nft","key":"sbin_susp","SYSCALL":"execve","AUID":"alice","UID":"root"},"EXECVE":{"argc":3,"ARGV":["/usr/sbin/nft","-j","list"]}}`},
	{"sshd", false, `Nov 21 10:00:01 web1 sshd[702]: Failed password for invalid user oracle from 203.0.113.8 port 51516 ssh2`},
	{"pam", false, `Nov 21 10:00:13 web1 sshd[714]: pam_unix(sshd:session): session opened for user alice(uid=1000) by (uid=0)`},
	{"sudo", false, `Nov 21 10:00:21 web1 sudo[8]:    alice : TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/usr/bin/sh -c a`},
	{"netfilter", false, `Nov 21 10:00:00 fw1 kernel: [ 1234.567890] [UFW BLOCK] IN=eth0 OUT= MAC=01:00:5e:00:00:01:c0:ff:ee:c0:ff:ee:08:00 SRC=203.0.113.9 DST=192.0.2.1 LEN=60 TOS=0x00 PREC=0x00 TTL=53 ID=54321 DF PROTO=TCP SPT=44321 DPT=22 WINDOW=29200 RES=0x00 SYN URGP=0 `},
	{"cef", false, `CEF:0|Shop|Wall|1.2|100|worm stopped|10|src=10.0.0.1 spt=1232 dst=2.1.2.2 dpt=443 proto=TCP act=Blocked suser=alice rt=1760000000123 request=https://shop.example/a?b\=1 requestMethod=GET cs1=rule 7 cs1Label=Rule Name`},
	{"leef", false, "LEEF:1.0|Vendor|Product|1.0|15345|src=192.0.2.0\tdst=172.50.123.1\tsev=5\tcat=anomaly\tsrcPort=81\tdstPort=21\tusrName=joe.black"},
	{"journald-json", true, `{"__CURSOR":"s=a;i=1","__REALTIME_TIMESTAMP":"1760000000123456","_BOOT_ID":"b1","PRIORITY":"6","SYSLOG_FACILITY":"4","SYSLOG_IDENTIFIER":"sshd","_HOSTNAME":"web1","_MACHINE_ID":"m1","_PID":"77","_COMM":"sshd","_EXE":"/usr/sbin/sshd","_SYSTEMD_UNIT":"ssh.service","_TRANSPORT":"syslog","MESSAGE":"Failed password for root from 203.0.113.9 port 51517 ssh2"}`},
	{"journald-export", false, "_CMDLINE=python3 /app/a.py"},
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
