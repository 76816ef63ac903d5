package envoy

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// target is what the cluster and server names say of the exchange.
type target struct {
	inbound, outbound, waypoint bool
	istio, consul               bool
	subset                      []byte
	host                        []byte // destination's full name
	service                     facts.Service
	known                       bool // service is
}

// target reads Istio's DIRECTION|PORT|SUBSET|FQDN cluster names and fixed ones,
// Consul's, and the server name outbound_.PORT_.SUBSET_.FQDN by which an Istio
// client tells the server which service it meant.
func (a *Access) target() target {
	var t target
	c := bytes.TrimSuffix(a.str(UpstreamCluster), []byte(";"))
	if i := bytes.IndexByte(c, '|'); i > 0 {
		switch string(c[:i]) {
		case "outbound":
			t.outbound, t.istio = true, true
		case "inbound":
			t.inbound, t.istio = true, true
		case "inbound-vip":
			t.inbound, t.waypoint, t.istio = true, true, true
		}
		if t.istio {
			_, rest := facts.CutByte(c[i+1:], '|') // after the port
			sub, host := facts.CutByte(rest, '|')
			t.host = host
			if t.outbound {
				t.subset = sub
			}
		}
	} else {
		t.fixed(c)
	}
	if rest, ok := bytes.CutPrefix(a.str(ServerName), []byte("outbound_.")); ok {
		t.istio = true
		_, rest, _ = cutPart(rest)
		sub, host, ok := cutPart(rest)
		if ok && (t.inbound || len(t.host) == 0) {
			t.host = host
			if len(sub) > 0 && string(sub) != "_" {
				t.subset = sub
			}
		}
	}
	t.service, t.known = facts.SplitService(t.host)
	t.consul = t.consul || t.service.Consul
	return t
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

// fixed reads cluster names that have no parts.
func (t *target) fixed(c []byte) {
	switch {
	case len(c) == 0:
	case string(c) == "PassthroughCluster" || string(c) == "BlackHoleCluster":
		t.outbound, t.istio = true, true
	case bytes.HasPrefix(c, []byte("InboundPassthroughCluster")):
		t.inbound, t.istio = true, true
	case string(c) == "local_app" || string(c) == "local_agent":
		t.inbound, t.consul = true, true
	case bytes.HasSuffix(c, []byte(".consul")):
		t.outbound, t.consul, t.host = true, true, c
	}
}

// write derives direction, reporter, destination and mutual TLS. What the
// format does not show stays absent: an outbound record does not name its own
// workload, nor whether a gateway wrote it.
func (t *target) write(o *facts.Out, a *Access) {
	switch {
	case t.waypoint:
		o.Derive(field.MeshReporter, "waypoint")
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
	if t.known {
		o.DeriveBytes(field.MeshDestinationService, t.host)
		o.DeriveBytes(field.MeshDestinationWorkload, t.service.Name)
		o.DeriveBytes(field.MeshDestinationNamespace, t.service.Namespace)
		o.DeriveBytes(field.MeshDestinationCluster, t.service.Cluster)
		if t.inbound {
			o.DeriveBytes(field.ServiceName, t.service.Name)
			o.DeriveBytes(field.K8sNamespaceName, t.service.Namespace)
		}
	} else if len(t.host) > 0 {
		o.DeriveBytes(field.MeshDestinationService, t.host)
	}
	o.DeriveBytes(field.MeshDestinationSubset, t.subset)
	if !t.inbound || a.str(PeerURI) != nil {
		return
	}
	if bytes.HasPrefix(a.str(ServerName), []byte("outbound_.")) {
		o.Derive(field.MeshMTLS, "mutual")
	} else if t.istio && !t.waypoint && a.null[ServerName] {
		o.Derive(field.MeshMTLS, "none")
	}
}

const rbacDenied = "rbac_access_denied_matched_policy["

// decide derives the decision of a policy from details, flags and failures. The
// flags stay empty on an RBAC denial, so details come first.
func (a *Access) decide(o *facts.Out) {
	details, flags := a.str(Details), a.str(Flags)
	if flags == nil && string(details) == "via_upstream" && a.slot[Termination] == nil && a.slot[Failure] == nil {
		return // the upstream answered: nothing was decided here
	}
	denied := details
	if !bytes.HasPrefix(denied, []byte(rbacDenied)) {
		denied = a.str(Termination)
	}
	switch {
	case bytes.HasPrefix(denied, []byte(rbacDenied)):
		decision(o, "deny", "rbac")
		rbacPolicy(o, denied[len(rbacDenied):])
	case bytes.HasPrefix(details, []byte("ext_authz_error")):
		decision(o, "error", "ext_authz")
	case bytes.HasPrefix(details, []byte("ext_authz_denied")) || hasFlag(flags, "UAEX"):
		decision(o, "deny", "ext_authz")
	case bytes.HasPrefix(details, []byte("jwt_authn_access_denied")):
		decision(o, "deny", "jwt")
	case hasFlag(flags, "RL") || bytes.HasSuffix(details, []byte("rate_limited")):
		decision(o, "rate_limited", "ratelimit")
	case hasFlag(flags, "RLSE"):
		decision(o, "error", "ratelimit")
	case string(details) == "filter_chain_not_found" && hasFlag(flags, "NR"):
		decision(o, "deny", "mtls")
		o.Derive(field.MeshMTLS, "none")
	case bytes.Contains(a.str(Failure), []byte("CERTIFICATE_VERIFY_FAILED")):
		decision(o, "error", "mtls")
	}
}

func decision(o *facts.Out, what, engine string) {
	o.Derive(field.MeshPolicyDecision, what)
	o.Derive(field.MeshPolicyEngine, engine)
}

// rbacPolicy reads none] or ns[NS]-policy[NAME]-rule[N]].
func rbacPolicy(o *facts.Out, b []byte) {
	o.DeriveBytes(field.MeshPolicyNamespace, part(b, "ns["))
	o.DeriveBytes(field.MeshPolicyName, part(b, "-policy["))
	o.DeriveBytes(field.MeshPolicyRule, part(b, "-rule["))
}

func part(b []byte, open string) []byte {
	i := bytes.Index(b, []byte(open))
	if i < 0 {
		return nil
	}
	b = b[i+len(open):]
	if i = bytes.IndexByte(b, ']'); i < 0 {
		return nil
	}
	return b[:i]
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
