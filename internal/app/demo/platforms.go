package demo

import (
	"fmt"
	"strings"
	"time"
)

// elsewhere is a record of what stands around the three meshes: other meshes, an
// ingress controller, the audit logs of the cluster and of the cloud, a node.
func (w *world) elsewhere(t time.Time) doc {
	switch n := w.r.IntN(100); {
	case n < 22:
		return w.consul(t)
	case n < 40:
		return w.kuma(t)
	case n < 58:
		return w.ztunnel(t)
	case n < 76:
		return w.ingress(t)
	case n < 90:
		return w.kubernetesAudit(t)
	case n < 96:
		return w.cloudTrail(t)
	}
	return w.sshd(t)
}

// consul is the access log of an Envoy of Consul Connect.
func (w *world) consul(t time.Time) doc {
	d := w.istioJSON(t, calm)
	from, to := oneOf(w, "web", "api"), oneOf(w, "api", "cache", "billing")
	d["upstream_cluster"] = fmt.Sprintf("%s.default.dc1.internal.11111111-2222-3333-4444-555555555555.consul", to)
	d["authority"], d["route_name"] = to, "public_listener"
	d["kubernetes"] = doc{"namespace": "consul-demo", "pod": doc{"name": from + "-5d9c7b64f8-" + "x2x4z"}, "container": doc{"name": "consul-dataplane"}}
	return d
}

// kuma is Kuma's default text.
func (w *world) kuma(t time.Time) doc {
	e := w.exchange(&w.istio, w.pick(&w.istio))
	line := fmt.Sprintf(`[%s] default "%s %s HTTP/1.1" %d %s %d %d %d %d "-" "Go-http-client/1.1" "%s" "%s" "%s" "%s_kuma-demo_svc_8080" "%s_kuma-demo_svc_8080" "%s" "%s:8080"`,
		t.UTC().Format(millis), e.c.method, e.path, e.code, e.flags, w.r.IntN(900), e.sent, int(e.took), int(e.took*0.9), w.hex(16), e.id, e.to.name, e.from.name, e.to.name, e.client.ip, e.host.ip)
	return doc{"@timestamp": t.UTC().Format(millis), "message": line, "kubernetes": doc{"namespace": "kuma-demo", "pod": doc{"name": e.client.name}, "container": doc{"name": "kuma-sidecar"}}}
}

// ztunnel is a connection of Istio's ambient mode; now and then one that a policy
// refused.
func (w *world) ztunnel(t time.Time) doc {
	e := w.exchange(&w.istio, w.pick(&w.istio))
	level, end := "info", fmt.Sprintf(`direction="inbound" bytes_sent=%d bytes_recv=%d duration="%dms"`, e.sent, w.r.IntN(900), int(e.took))
	if w.r.IntN(25) == 0 {
		level, end = "error", `direction="inbound" bytes_sent=0 bytes_recv=0 duration="0ms" error="connection closed due to policy rejection: explicitly denied by: ambient/deny-legacy"`
	}
	line := strings.Join([]string{t.UTC().Format("2006-01-02T15:04:05.000000Z"), level, "access", "connection complete",
		fmt.Sprintf(`src.addr=%s:%d src.workload="%s" src.namespace="ambient" src.identity="spiffe://cluster.local/ns/ambient/sa/%s" dst.addr=%s:15008 dst.hbone_addr=%s:%d dst.service="%s.ambient.svc.cluster.local" dst.workload="%s" dst.namespace="ambient" dst.identity="spiffe://cluster.local/ns/ambient/sa/%s" %s`,
			e.client.ip, 32768+w.r.IntN(28000), e.client.name, e.from.name, e.host.ip, e.host.ip, e.to.port, e.to.name, e.host.name, e.to.name, end)}, "\t")
	return doc{"@timestamp": t.UTC().Format(millis), "message": line, "kubernetes": doc{"namespace": "istio-system", "pod": doc{"name": "ztunnel-" + e.host.node}, "container": doc{"name": "istio-proxy"}}}
}

// ingress is a request to ingress-nginx.
func (w *world) ingress(t time.Time) doc {
	e := w.exchange(&w.istio, w.pick(&w.istio))
	line := fmt.Sprintf(`203.0.113.%d - - [%s] "%s %s HTTP/2.0" %d %d "https://shop.example/" "Mozilla/5.0 (X11; Linux x86_64)" %d %.3f [shop-%s-%d] [] %s:%d %d %.3f %d %s`,
		1+w.r.IntN(250), t.UTC().Format("02/Jan/2006:15:04:05 -0700"), e.c.method, e.path, e.code, e.sent, 200+w.r.IntN(900), e.took/1000, e.to.name, e.to.port, e.host.ip, e.to.port, e.sent, e.took/1000, e.code, w.hex(16))
	return doc{"@timestamp": t.UTC().Format(millis), "message": line, "kubernetes": doc{"namespace": "ingress-nginx", "pod": doc{"name": "ingress-nginx-controller-7d4db76476-x7k2p"}, "container": doc{"name": "controller"}}}
}

// kubernetesAudit is an event of the API server's audit log.
func (w *world) kubernetesAudit(t time.Time) doc {
	user, verb, code, decision := oneOf(w, "alice@example.com", "system:serviceaccount:flux-system:kustomize-controller", "bob@example.com"), oneOf(w, "get", "list", "patch", "create"), 200, "allow"
	resource := oneOf(w, "pods", "deployments", "configmaps", "secrets")
	if user == "bob@example.com" && resource == "secrets" {
		code, decision = 403, "forbid"
	}
	stamp := t.UTC().Format("2006-01-02T15:04:05.000000Z")
	return doc{"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": w.uuid(), "stage": "ResponseComplete",
		"requestURI": "/api/v1/namespaces/shop/" + resource, "verb": verb, "user": doc{"username": user, "groups": []string{"system:authenticated"}},
		"sourceIPs": []string{"198.51.100.7"}, "userAgent": "kubectl/v1.31.0 (linux/amd64)",
		"objectRef":      doc{"resource": resource, "namespace": "shop", "apiVersion": "v1"},
		"responseStatus": doc{"code": code}, "requestReceivedTimestamp": stamp, "stageTimestamp": t.Add(4 * time.Millisecond).UTC().Format("2006-01-02T15:04:05.000000Z"),
		"annotations": doc{"authorization.k8s.io/decision": decision}}
}

// cloudTrail is an event of AWS's audit log.
func (w *world) cloudTrail(t time.Time) doc {
	d := doc{"eventVersion": "1.08", "eventTime": t.UTC().Format("2006-01-02T15:04:05Z"), "eventSource": "s3.amazonaws.com", "eventName": oneOf(w, "GetObject", "PutObject", "ListBuckets"),
		"awsRegion": "eu-west-1", "sourceIPAddress": "198.51.100.7", "userAgent": "aws-cli/2.17.0", "requestID": strings.ToUpper(w.hex(8)), "eventID": w.uuid(),
		"readOnly": true, "eventType": "AwsApiCall", "managementEvent": false, "recipientAccountId": "123456789012",
		"userIdentity": doc{"type": "AssumedRole", "principalId": "AROAEXAMPLE:deploy", "arn": "arn:aws:sts::123456789012:assumed-role/deploy/ci", "accountId": "123456789012"}}
	if w.r.IntN(12) == 0 {
		d["errorCode"], d["errorMessage"] = "AccessDenied", "Access Denied"
	}
	return d
}

// sshd is a line of a node's log-in daemon.
func (w *world) sshd(t time.Time) doc {
	what := fmt.Sprintf("Failed password for invalid user %s from 192.0.2.%d port %d ssh2", oneOf(w, "oracle", "admin", "test"), 1+w.r.IntN(250), 32768+w.r.IntN(28000))
	return doc{"@timestamp": t.UTC().Format(millis), "message": fmt.Sprintf("%s node-%d sshd[%d]: %s", t.UTC().Format("Jan _2 15:04:05"), 1+w.r.IntN(3), 1000+w.r.IntN(9000), what)}
}
