package istio

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/kv"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// The fields of ztunnel's access log (src/proxy/metrics.rs, access_log!; "http
// access" is of agentgateway's fork of it). They are slots of the JSON table too.
const (
	_ table.Slot = iota
	srcAddr
	srcWorkload
	srcNamespace
	srcIdentity
	srcCluster
	dstAddr
	dstHBONE
	dstService
	dstWorkload
	dstNamespace
	dstIdentity
	dstCluster
	direction
	bytesSent
	bytesReceived
	duration
	failure
	method
	path
	protocol
	responseCode
	requestID
	happening // the message
	scope
	count
)

func slotOf(key []byte) table.Slot {
	switch string(key) {
	case "src.addr":
		return srcAddr
	case "src.workload":
		return srcWorkload
	case "src.namespace":
		return srcNamespace
	case "src.identity":
		return srcIdentity
	case "src.cluster":
		return srcCluster
	case "dst.addr":
		return dstAddr
	case "dst.hbone_addr":
		return dstHBONE
	case "dst.service":
		return dstService
	case "dst.workload":
		return dstWorkload
	case "dst.namespace":
		return dstNamespace
	case "dst.identity":
		return dstIdentity
	case "dst.cluster":
		return dstCluster
	case "direction":
		return direction
	case "bytes_sent":
		return bytesSent
	case "bytes_recv":
		return bytesReceived
	case "duration":
		return duration
	case "error":
		return failure
	case "method":
		return method
	case "path":
		return path
	case "protocol":
		return protocol
	case "response_code":
		return responseCode
	case "request_id":
		return requestID
	}
	return 0
}

// access is one record of the access log by field.
type access struct {
	slot    [count][]byte
	scratch []byte
	cut     bool // the line ends within a quoted value
}

// read reads the pairs of a line. What is none of the access log's is kept under
// its own name.
func (a *access) read(pairs []byte, o *facts.Out) {
	a.slot = [count][]byte{}
	a.scratch, a.cut = a.scratch[:0], false
	s := kv.Scan(pairs, kv.Words)
	for p, ok := s.Next(); ok; p, ok = s.Next() {
		v := p.Value
		if len(v) > 0 && v[0] == '"' {
			a.cut = true
			o.PartialOf(string(p.Key))
			continue
		}
		if p.Escaped {
			n := len(a.scratch)
			a.scratch = kv.Unescape(a.scratch, v)
			v = a.scratch[n:]
		}
		if k := slotOf(p.Key); k != 0 && !p.Flag && a.slot[k] == nil {
			a.slot[k] = v
		} else if !p.Flag {
			o.OwnText(p.Key, v)
		}
	}
}

// write writes the fields under canonical names, and the facts that they imply.
func (a *access) write(o *facts.Out) {
	inbound, outbound := string(a.slot[direction]) == "inbound", string(a.slot[direction]) == "outbound"
	switch {
	case inbound:
		o.Derive(field.MeshDirection, "inbound")
		o.Derive(field.MeshReporter, "destination")
	case outbound:
		o.Derive(field.MeshDirection, "outbound")
		o.Derive(field.MeshReporter, "source")
	case len(a.slot[direction]) > 0 || string(a.slot[happening]) == "connection complete": // which all have: the line was cut
		o.PartialOf("direction")
	}
	a.identities(o)
	a.addresses(o)
	source, destination := a.side(o, srcWorkload, &sides[0]), a.side(o, dstWorkload, &sides[1])
	switch {
	case inbound:
		a.observed(o, destination, dstWorkload, dstNamespace, dstCluster)
	case outbound:
		a.observed(o, source, srcWorkload, srcNamespace, srcCluster)
	}
	if v := a.slot[dstService]; len(v) > 0 {
		o.Str(field.MeshDestinationService, v)
		o.DeriveBytes(field.ServerAddress, v)
	}
	a.number(o, bytesSent, field.MeshBytesSent)
	a.number(o, bytesReceived, field.MeshBytesReceived)
	if v := a.slot[duration]; len(v) > 0 {
		if ns, ok := facts.Span(v); ok {
			o.Int(field.MeshDurationNS, ns)
		} else {
			o.PartialOf("duration")
		}
	}
	a.http(o)
	if v := a.slot[failure]; len(v) > 0 {
		o.Str(field.MeshConnectionTerminationDetails, v)
		decide(o, v)
	}
	o.MeshType("istio-ambient")
}

// addresses writes both ends. dst.addr is the next hop: a tunnel's, when
// dst.hbone_addr says where the connection goes through it.
func (a *access) addresses(o *facts.Out) {
	if v := a.slot[srcAddr]; len(v) > 0 {
		if addr, ok := facts.SplitAddress(v); ok {
			o.Str(field.SourceAddress, addr.Host)
			o.DeriveBytes(field.ClientAddress, addr.Host)
			o.DeriveBytes(field.NetworkPeerAddress, addr.Host)
			if addr.Port > 0 {
				o.Int(field.SourcePort, addr.Port)
				o.Int(field.NetworkPeerPort, addr.Port)
			}
		} else {
			o.PartialOf("src.addr")
		}
	}
	to, hop := a.slot[dstHBONE], a.slot[dstAddr]
	if len(to) == 0 {
		to = hop
	} else if len(hop) > 0 && !bytes.Equal(to, hop) {
		o.Str(field.MeshHopAddress, hop)
	}
	if len(to) == 0 {
		return
	}
	o.Str(field.MeshUpstreamAddress, to)
	if addr, ok := facts.SplitAddress(to); ok {
		o.DeriveBytes(field.DestinationAddress, addr.Host)
		if addr.Port > 0 {
			o.Int(field.DestinationPort, addr.Port)
		}
	}
	o.Derive(field.NetworkTransport, "tcp")
}

// sides are the canonical names of source and destination.
var sides = [2]struct{ workload, pod, namespace, cluster field.ID }{
	{field.MeshSourceWorkload, field.MeshSourcePod, field.MeshSourceNamespace, field.MeshSourceCluster},
	{field.MeshDestinationWorkload, field.MeshDestinationPod, field.MeshDestinationNamespace, field.MeshDestinationCluster},
}

// side writes one end, and returns its workload. What ztunnel calls workload is the
// pod, or a canonical service when it knows no pod.
func (a *access) side(o *facts.Out, first table.Slot, names *struct{ workload, pod, namespace, cluster field.ID }) []byte {
	pod := a.slot[first]
	workload := facts.PodWorkload(pod)
	o.DeriveBytes(names.workload, workload)
	if len(workload) != len(pod) {
		o.Str(names.pod, pod)
	}
	if v := a.slot[first+1]; len(v) > 0 {
		o.Str(names.namespace, v)
	}
	if v := a.slot[first+3]; len(v) > 0 {
		o.Str(names.cluster, v)
	}
	return workload
}

// observed writes what the record is about: the end at which ztunnel stands.
func (a *access) observed(o *facts.Out, workload []byte, pod, namespace, cluster table.Slot) {
	o.DeriveBytes(field.ServiceName, workload)
	o.DeriveBytes(field.K8sNamespaceName, a.slot[namespace])
	o.DeriveBytes(field.K8sClusterName, a.slot[cluster])
	if len(workload) != len(a.slot[pod]) {
		o.DeriveBytes(field.K8sPodName, a.slot[pod])
	}
}

// identities writes who both ends proved to be. ztunnel names them only if they
// did, so a connection that was opened without is in the clear. One that failed
// for another reason than a policy says nothing. What an identity says of the
// workload is written before what ztunnel itself says.
func (a *access) identities(o *facts.Out) {
	source, destination := a.slot[srcIdentity], a.slot[dstIdentity]
	if len(source) > 0 {
		o.SourcePrincipal(source)
	}
	if len(destination) > 0 {
		o.Str(field.MeshDestinationPrincipal, destination)
		o.Derive(field.MeshMTLS, "mutual")
	}
	why := a.slot[failure]
	opened := !a.cut && len(a.slot[direction]) > 0 && len(a.slot[dstHBONE]) == 0 && (len(why) == 0 || bytes.HasPrefix(why, []byte(rejection)))
	if len(source) == 0 && len(destination) == 0 && opened {
		o.Derive(field.MeshMTLS, "none")
	}
}

func (a *access) number(o *facts.Out, k table.Slot, to field.ID) {
	v := a.slot[k]
	if len(v) == 0 {
		return
	}
	if n, ok := facts.Uint(v); ok {
		o.Int(to, n)
	} else if k == bytesSent {
		o.PartialOf("bytes_sent")
	} else {
		o.PartialOf("bytes_recv")
	}
}

// http writes what a record of "http access" says of its request.
func (a *access) http(o *facts.Out) {
	if v := a.slot[method]; len(v) > 0 {
		o.Method(v)
	}
	if v := a.slot[path]; len(v) > 0 {
		o.URL(v)
	}
	if v := a.slot[protocol]; len(v) > 0 {
		o.Protocol(v)
	}
	if v := a.slot[responseCode]; len(v) > 0 && string(v) != "0" {
		a.number(o, responseCode, field.HTTPResponseStatusCode)
	}
	if v := a.slot[requestID]; len(v) > 0 {
		o.Str(field.HTTPRequestHeaderXRequestID, v)
	}
}

const rejection = "connection closed due to policy rejection"

// decide derives the decision of a policy from an error (src/proxy.rs, Error). A
// timeout that only may be a NetworkPolicy's decides nothing.
func decide(o *facts.Out, why []byte) {
	why = bytes.TrimPrefix(why, []byte("connection closed"))
	rejected, ok := bytes.CutPrefix(why, []byte(" due to policy rejection"))
	switch {
	case ok:
		o.Decision("deny", "rbac")
		if i := bytes.Index(rejected, []byte("explicitly denied by: ")); i >= 0 {
			policy(o, rejected[i+len("explicitly denied by: "):])
		}
	case bytes.HasPrefix(why, []byte(" due to policy change")):
		o.Decision("deny", "rbac")
	case bytes.HasPrefix(why, []byte(": peer certificate revoked")):
		o.Decision("deny", "mtls")
	}
}

// converted is how istiod names the rules that it makes of a PeerAuthentication
// (pilot/pkg/serviceregistry/ambient/authorization.go).
var converted = []byte("converted_")

// policy writes NAMESPACE/NAME.
func policy(o *facts.Out, b []byte) {
	namespace, name := facts.CutByte(b, '/')
	if len(name) == 0 {
		return
	}
	o.DeriveBytes(field.MeshPolicyNamespace, namespace)
	o.DeriveBytes(field.MeshPolicyName, name)
	if bytes.HasPrefix(name, converted) || bytes.HasPrefix(name, []byte("istio_converted_")) {
		o.Derive(field.MeshPolicyKind, "PeerAuthentication")
	}
}
