package envoy

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// target is what the cluster and server names say of the exchange.
type target struct {
	inbound, outbound, waypoint, gateway bool

	mesh    string // whose names they are, "" for nobody's
	id      []byte // of the mesh within its control plane
	subset  []byte
	host    []byte // destination's full name
	service facts.Service
	known   bool // service is
}

// target reads Istio's DIRECTION|PORT|SUBSET|FQDN cluster names and fixed ones,
// those of other meshes, and the server name outbound_.PORT_.SUBSET_.FQDN by which
// an Istio client tells the server which service it meant.
func (a *Access) target() target {
	var t target
	c := bytes.TrimSuffix(a.str(UpstreamCluster), []byte(";"))
	if i := bytes.IndexByte(c, '|'); i > 0 {
		t.parts(c, i)
	} else if len(c) > 0 {
		t.fixed(c)
	}
	if rest, ok := bytes.CutPrefix(a.str(ServerName), []byte("outbound_.")); ok {
		t.mesh = "istio"
		_, rest, _ = cutPart(rest)
		sub, host, ok := cutPart(rest)
		if ok && (t.inbound || len(t.host) == 0) {
			t.host = host
			if len(sub) > 0 && string(sub) != "_" {
				t.subset = sub
			}
		}
	}
	if !t.known {
		if len(c) == 0 && len(t.host) == 0 && bytes.HasSuffix(a.str(ServerName), []byte(".consul")) && a.http() {
			t.inbound = true // refused before it had a cluster: only Consul's clients ask for such a name
		}
		if len(t.host) == 0 && t.inbound { // Consul's clients name the service itself
			if s, ok := facts.SplitService(a.str(ServerName)); ok {
				t.service, t.known, t.host = s, true, a.str(ServerName)
			}
		} else {
			t.service, t.known = facts.SplitService(t.host)
		}
	}
	if t.service.Consul {
		t.mesh = "consul"
	}
	a.direction(&t)
	return t
}

// direction reads %KUMA_TRAFFIC_DIRECTION% and its like, which say it themselves.
func (a *Access) direction(t *target) {
	if t.inbound || t.outbound {
		return
	}
	switch d := a.str(Direction); {
	case bytes.EqualFold(d, []byte("inbound")):
		t.inbound = true
	case bytes.EqualFold(d, []byte("outbound")):
		t.outbound = true
	}
}

// parts reads cluster names whose parts bars separate: Istio's, and OSM's
// NAMESPACE/SERVICE|PORT[|local]. i is where the first bar is.
func (t *target) parts(c []byte, i int) {
	switch string(c[:i]) {
	case "outbound":
		t.outbound, t.mesh = true, "istio"
	case "inbound":
		t.inbound, t.mesh = true, "istio"
	case "inbound-vip":
		t.inbound, t.waypoint, t.mesh = true, true, "istio"
	default:
		ns, name, found := bytes.Cut(c[:i], []byte("/"))
		port, local := facts.CutByte(c[i+1:], '|')
		if !found || len(ns) == 0 || len(name) == 0 || !number(port) || len(local) > 0 && string(local) != "local" {
			return
		}
		t.mesh, t.service, t.known = "osm", facts.Service{Name: name, Namespace: ns}, true
		t.inbound, t.outbound = len(local) > 0, len(local) == 0
		return
	}
	_, rest := facts.CutByte(c[i+1:], '|') // after the port
	sub, host := facts.CutByte(rest, '|')
	t.host = host
	if t.outbound {
		t.subset = sub
	}
}

// cutPart cuts a server name at its first "_.".
func cutPart(b []byte) (part, rest []byte, ok bool) {
	for i := 0; ; i++ {
		n := bytes.IndexByte(b[i:], '_')
		if n < 0 || i+n+1 >= len(b) {
			return b, nil, false
		}
		if i += n; b[i+1] == '.' {
			return b[:i], b[i+2:], true
		}
	}
}

// fixed reads cluster names that bars do not separate.
func (t *target) fixed(c []byte) {
	switch {
	case string(c) == "PassthroughCluster" || string(c) == "BlackHoleCluster":
		t.outbound, t.mesh = true, "istio"
	case bytes.HasPrefix(c, []byte("InboundPassthroughCluster")):
		t.inbound, t.mesh = true, "istio"
	case string(c) == "local_app" || string(c) == "local_agent":
		t.inbound, t.mesh = true, "consul"
	case bytes.HasSuffix(c, []byte(".consul")):
		t.outbound, t.mesh, t.host = true, "consul", c
	case bytes.HasPrefix(c, []byte("cds_egress_")):
		t.outbound = true
		t.appmesh(c[len("cds_egress_"):])
	case bytes.HasPrefix(c, []byte("cds_ingress_")):
		t.inbound = true
		t.appmesh(c[len("cds_ingress_"):])
	case bytes.HasPrefix(c, []byte("kube_")) || bytes.HasPrefix(c, []byte("kube-svc:")) || bytes.HasSuffix(c, []byte("_gloo-system")):
		t.gateway, t.mesh = true, "gloo"
		t.gloo(c)
	default:
		t.ingress(c)
	}
}

// appmesh reads MESH_NODE_PROTOCOL_PORT. Names may hold underscores: the mesh is
// what stands before the first one.
func (t *target) appmesh(c []byte) {
	t.mesh = "appmesh"
	for range 2 {
		i := bytes.LastIndexByte(c, '_')
		if i < 0 {
			return
		}
		c = c[:i]
	}
	id, node, found := bytes.Cut(c, []byte("_"))
	if found && len(id) > 0 && len(node) > 0 {
		t.id, t.service, t.known = id, facts.Service{Name: node}, true
	}
}

// gloo reads kgateway's kube_NAMESPACE_SERVICE_PORT, and Gloo's
// kube-svc:NAMESPACE-SERVICE-PORT_NAMESPACE, whose dashes only the second
// namespace tells apart.
func (t *target) gloo(c []byte) {
	if rest, ok := bytes.CutPrefix(c, []byte("kube_")); ok {
		ns, rest, _ := bytes.Cut(rest, []byte("_"))
		name, port, found := bytes.Cut(rest, []byte("_"))
		if found && len(ns) > 0 && len(name) > 0 && number(port) {
			t.service, t.known = facts.Service{Name: name, Namespace: ns}, true
		}
		return
	}
	rest, ok := bytes.CutPrefix(c, []byte("kube-svc:"))
	i := bytes.LastIndexByte(rest, '_')
	if !ok || i < 0 {
		return
	}
	ns, rest := rest[i+1:], rest[:i]
	j := bytes.LastIndexByte(rest, '-')
	if j > len(ns)+1 && len(ns) > 0 && bytes.HasPrefix(rest, ns) && rest[len(ns)] == '-' && number(rest[j+1:]) {
		t.service, t.known = facts.Service{Name: rest[len(ns)+1 : j], Namespace: ns}, true
	}
}

// ingress reads Contour's NAMESPACE/SERVICE/PORT/HASH, and Envoy Gateway's
// ROUTEKIND/NAMESPACE/NAME/rule/N, which names a route and no service.
func (t *target) ingress(c []byte) {
	first, rest, found := bytes.Cut(c, []byte("/"))
	if !found {
		return
	}
	second, rest, _ := bytes.Cut(rest, []byte("/"))
	third, rest, found := bytes.Cut(rest, []byte("/"))
	switch {
	case !found:
	case bytes.HasSuffix(first, []byte("route")) && bytes.HasPrefix(rest, []byte("rule/")):
		t.gateway, t.mesh = true, "envoy-gateway"
	case number(third) && len(rest) == 10 && facts.Hex(rest):
		t.gateway, t.mesh = true, "contour"
		t.service, t.known = facts.Service{Name: second, Namespace: first}, len(first) > 0 && len(second) > 0
	}
}

// write derives direction, reporter, both ends, and mutual TLS. What the format
// does not show stays absent: an outbound record does not name its own workload,
// nor whether a gateway wrote it.
//
// service.name is the workload whose proxy wrote the record. Of an inbound record
// that is the destination. Of an outbound one it is what the receiver or the pod
// says; where neither does, it is the service that was called: what the record is
// evidence of.
func (t *target) write(o *facts.Out, a *Access) {
	switch {
	case t.waypoint:
		o.Derive(field.MeshReporter, "waypoint")
	case t.gateway || a.mesh == "emissary" || a.mesh == "envoy-gateway" || a.gateway && t.mesh == "":
		o.Derive(field.MeshReporter, "gateway")
	case t.inbound:
		o.Derive(field.MeshReporter, "destination")
	case t.outbound:
		o.Derive(field.MeshReporter, "source")
	}
	switch {
	case t.inbound:
		o.Derive(field.MeshDirection, "inbound")
	case t.outbound:
		o.Derive(field.MeshDirection, "outbound")
	}
	o.DeriveBytes(field.MeshID, t.id)
	t.ends(o, a)
	if !t.inbound || a.str(PeerURI) != nil {
		return
	}
	if bytes.HasPrefix(a.str(ServerName), []byte("outbound_.")) {
		o.Derive(field.MeshMTLS, "mutual")
	} else if t.mesh == "consul" && bytes.HasSuffix(a.str(ServerName), []byte(".consul")) {
		o.Derive(field.MeshMTLS, "mutual") // its public listener takes nothing else that names a server
	} else if t.mesh == "istio" && !t.waypoint && a.null[ServerName] && a.str(ClientCert) == nil {
		o.Derive(field.MeshMTLS, "none")
	}
}

// ends writes the destination, and the names that the record's own pod and peers
// give the two ends.
func (t *target) ends(o *facts.Out, a *Access) {
	own := facts.PodWorkload(o.Pod)
	source, destination := a.str(SourceWorkload), a.str(DestinationWorkload)
	switch {
	case len(own) == 0:
	case t.outbound && source == nil:
		source = own
	case t.inbound && !t.waypoint && !t.known && destination == nil:
		destination = own
	}
	if a.str(PeerURI) == nil || a.str(SourceWorkload) != nil { // otherwise the identity names it
		o.DeriveBytes(field.MeshSourceWorkload, source)
	}
	o.DeriveBytes(field.MeshSourceNamespace, a.str(SourceNamespace))
	full := t.host
	if len(full) == 0 {
		full = t.service.Name
	}
	o.DeriveBytes(field.MeshDestinationService, full)
	if destination == nil && t.known {
		destination = t.service.Name
	}
	o.DeriveBytes(field.MeshDestinationWorkload, destination)
	ns := a.str(DestinationNamespace)
	if ns == nil {
		ns = t.service.Namespace
	}
	o.DeriveBytes(field.MeshDestinationNamespace, ns)
	o.DeriveBytes(field.MeshDestinationCluster, t.service.Cluster)
	o.DeriveBytes(field.MeshDestinationSubset, t.subset)
	switch {
	case t.inbound && t.known:
		o.DeriveBytes(field.ServiceName, t.service.Name)
		o.DeriveBytes(field.K8sNamespaceName, t.service.Namespace)
	case t.inbound && destination != nil:
		o.Service = destination
	case t.outbound && len(source) > 0:
		o.Service = source
	case t.known:
		o.Service = t.service.Name
	case len(full) > 0:
		o.Service = full
	}
}

const rbacDenied = "rbac_access_denied_matched_policy["

// decide derives the decision of a policy from details, flags and failures, and
// returns the class of failure that it makes. The flags stay empty on an RBAC
// denial, so details come first.
func (a *Access) decide(o *facts.Out, flags []byte, consul bool) (class string) {
	details := a.str(Details)
	if flags == nil && string(details) == "via_upstream" && a.slot[Termination] == nil && a.slot[Failure] == nil && a.slot[ShadowResult] == nil {
		return "" // the upstream answered: nothing was decided here
	}
	denied := details
	if !bytes.HasPrefix(denied, []byte(rbacDenied)) {
		denied = a.str(Termination)
	}
	switch {
	case bytes.HasPrefix(denied, []byte(rbacDenied)):
		rbacDecision(o, "deny", bytes.TrimSuffix(denied[len(rbacDenied):], []byte("]")))
		if consul {
			o.Derive(field.MeshPolicyEngine, "intention") // nothing else has Consul use the filter
		}
		return "policy"
	case bytes.HasPrefix(details, []byte("ext_authz_error")):
		return decision(o, "error", "ext_authz", "policy")
	case bytes.HasPrefix(details, []byte("ext_authz_denied")) || hasFlag(flags, "UAEX"):
		return decision(o, "deny", "ext_authz", "policy")
	case bytes.HasPrefix(details, []byte("jwt_authn_access_denied")):
		return decision(o, "deny", "jwt", "policy")
	case hasFlag(flags, "RL") || bytes.HasSuffix(details, []byte("rate_limited")):
		return decision(o, "rate_limited", "ratelimit", "rate_limit")
	case hasFlag(flags, "RLSE"):
		return decision(o, "error", "ratelimit", "policy")
	case string(details) == "filter_chain_not_found" && hasFlag(flags, "NR") && a.slot[ServerName] == nil: // with one a gateway was asked for a name that it does not serve
		o.Derive(field.MeshMTLS, "none")
		return decision(o, "deny", "mtls", "policy")
	case bytes.Contains(a.str(Failure), []byte("CERTIFICATE_VERIFY_FAILED")):
		return decision(o, "error", "mtls", "tls")
	}
	switch string(a.str(ShadowResult)) {
	case "denied":
		rbacDecision(o, "shadow_deny", a.str(ShadowPolicy))
	case "allowed":
		rbacDecision(o, "shadow_allow", a.str(ShadowPolicy))
	}
	return ""
}

func decision(o *facts.Out, what, engine, class string) string {
	o.Decision(what, engine)
	return class
}

// rbacDecision writes what Envoy's RBAC filter decided, by a policy that it calls
// none, ns[NS]-policy[NAME]-rule[N] (Istio), or by its name.
func rbacDecision(o *facts.Out, what string, policy []byte) {
	engine := "rbac"
	if bytes.HasPrefix(policy, []byte("consul-intentions")) {
		engine = "intention"
	}
	decision(o, what, engine, "")
	o.RBACPolicy(policy)
}

// hasFlag reports whether a comma-separated list holds flag.
func hasFlag(list []byte, flag string) bool {
	for len(list) > 0 {
		var f []byte
		f, list, _ = bytes.Cut(list, []byte(","))
		if string(f) == flag {
			return true
		}
	}
	return false
}
