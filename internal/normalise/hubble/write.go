package hubble

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
)

// Formats are the layouts that this package reads.
var Formats = []facts.Format{
	{Name: "hubble-flow", Platform: "hubble", Mesh: "cilium", Kind: facts.Flow, Of: "Cilium's Hubble, exported flows"},
	{Name: "hubble-event", Platform: "hubble", Mesh: "cilium", Kind: facts.Flow, Of: "Cilium's Hubble, lost, agent and debug events"},
	{Name: Compact, Platform: "hubble", Mesh: "cilium", Kind: facts.Flow, Of: "Cilium's Hubble, what hubble observe prints: compact and tab"},
}

// Write writes the slots under canonical names, and the facts they imply.
func (f *Flow) Write(o *facts.Out) {
	o.Status, o.Format = facts.OK, "hubble-flow"
	f.time(o)
	f.copy(o, UUID, field.LogRecordUID)
	f.copy(o, Verdict, field.MeshVerdict)
	f.drop(o)
	f.copy(o, Type, field.MeshFlowType)
	f.event(o)
	f.copy(o, Observation, field.MeshFlowObservationPoint)
	f.copy(o, Summary, field.MeshFlowSummary)
	f.packet(o)
	for side := range Key(2) {
		f.side(o, side)
	}
	f.observed(o)
	f.http(o)
	f.dns(o)
	f.kafka(o)
	f.decide(o)
	if v := f.str(TraceID); v != nil && !o.TraceID(v) {
		f.leave(o, TraceID)
	}
	if string(f.str(AuthType)) == "SPIRE" {
		o.Derive(field.MeshMTLS, "mutual")
	}
	f.own(o, AuthType)
	f.own(o, IPEncrypted)
	o.Derive(field.MeshReporter, "node")
	o.MeshType("cilium")
}

func (f *Flow) str(k Key) []byte {
	m := f.slot[k]
	if m == nil || m.Kind != jsonscan.String || len(m.Text) == 0 {
		return nil
	}
	return m.Text
}

// own keeps a slot under its own name.
func (f *Flow) own(o *facts.Out, k Key) {
	m := f.slot[k]
	if m == nil {
		return
	}
	name := o.Own(OwnName(m.Name.Text))
	switch m.Kind {
	case jsonscan.Int:
		o.B.Int(name, m.Int)
	case jsonscan.Float:
		o.B.Float(name, m.Float)
	case jsonscan.Bool:
		o.B.Bool(name, m.Int != 0)
	default:
		o.B.StrBytes(name, m.Text)
	}
}

// leave keeps a slot that is not what it should be.
func (f *Flow) leave(o *facts.Out, k Key) {
	if m := f.slot[k]; m != nil {
		o.PartialOf(OwnName(m.Name.Text))
	}
	o.Partial()
	f.own(o, k)
}

func (f *Flow) copy(o *facts.Out, k Key, name field.ID) {
	if v := f.str(k); v != nil {
		o.Str(name, v)
	} else if m := f.slot[k]; m != nil && m.Kind != jsonscan.String {
		f.leave(o, k)
	}
}

func (f *Flow) number(o *facts.Out, k Key, name field.ID) (int64, bool) {
	m := f.slot[k]
	if m == nil {
		return 0, false
	}
	n, ok := m.Int, m.Kind == jsonscan.Int
	if m.Kind == jsonscan.String {
		n, ok = facts.Uint(m.Text)
	}
	if !ok {
		f.leave(o, k)
		return 0, false
	}
	o.Int(name, n)
	return n, true
}

func (f *Flow) time(o *facts.Out) {
	v := f.str(Time)
	ns, ok := facts.Time(v)
	switch {
	case f.slot[Time] == nil:
	case !ok:
		f.leave(o, Time)
	case o.Fixed:
		f.own(o, Time)
	default:
		o.Time = ns
	}
}

// drop writes the reason by name; the number alone is deprecated.
func (f *Flow) drop(o *facts.Out) {
	if f.str(DropReasonDesc) != nil {
		f.copy(o, DropReasonDesc, field.MeshDropReason)
		return
	}
	if m := f.slot[DropReason]; m != nil && m.Kind == jsonscan.Int && m.Int != 0 {
		switch m.Int {
		case 133:
			o.Derive(field.MeshDropReason, "POLICY_DENIED")
		case 181:
			o.Derive(field.MeshDropReason, "POLICY_DENY")
		default:
			o.Str(field.MeshDropReason, m.Text)
		}
	}
}

func (f *Flow) event(o *facts.Out) {
	m, sub := f.slot[EventType], f.slot[EventSubType]
	if m == nil {
		f.own(o, EventSubType)
		return
	}
	b := append(f.scratch[:0], m.Text...)
	if sub != nil {
		b = append(append(b, '/'), sub.Text...)
	}
	f.scratch = b
	o.Str(field.MeshFlowEvent, b)
}

// packet writes addresses, ports, transport and direction.
func (f *Flow) packet(o *facts.Out) {
	f.copy(o, SourceIP, field.SourceAddress)
	f.copy(o, DestinationIP, field.DestinationAddress)
	transport := ""
	for _, p := range [...]struct {
		source Key
		name   string
	}{{TCPSourcePort, "tcp"}, {UDPSourcePort, "udp"}, {SCTPSourcePort, "sctp"}} {
		if f.slot[p.source] != nil || f.slot[p.source+1] != nil {
			transport = p.name
			f.number(o, p.source, field.SourcePort)
			f.number(o, p.source+1, field.DestinationPort)
		}
	}
	switch {
	case transport != "":
	case len(f.flags) > 0:
		transport = "tcp"
	case f.slot[ICMPv4] != nil:
		transport = "icmp"
		f.icmp(o, ICMPv4)
	case f.slot[ICMPv6] != nil:
		transport = "icmpv6"
		f.icmp(o, ICMPv6)
	}
	if transport != "" {
		o.Derive(field.NetworkTransport, transport)
	}
	if v := f.str(IPVersion); v != nil {
		o.DeriveLower(field.NetworkType, v)
	}
	if len(f.flags) > 0 {
		o.Str(field.MeshFlowTCPFlags, f.flags)
	}
	if m := f.slot[IsReply]; m != nil {
		if m.Kind == jsonscan.Bool {
			o.Bool(field.MeshFlowIsReply, m.Int != 0)
		} else {
			f.leave(o, IsReply)
		}
	}
	switch string(f.str(Direction)) {
	case "INGRESS":
		o.Derive(field.MeshDirection, "inbound")
	case "EGRESS":
		o.Derive(field.MeshDirection, "outbound")
	default:
		f.own(o, Direction)
	}
}

// icmp keeps the type. An empty object, which says type 0, says no more.
func (f *Flow) icmp(o *facts.Out, k Key) {
	if f.slot[k].Kind != jsonscan.JSON {
		f.own(o, k)
	}
}

// sides are the canonical names of source (0) and destination (1).
var sides = [2]struct{ workload, namespace, cluster, pod, service, identity, labels field.ID }{
	{field.MeshSourceWorkload, field.MeshSourceNamespace, field.MeshSourceCluster, field.MeshSourcePod, field.MeshSourceService, field.MeshSourceIdentityID, field.MeshSourceLabels},
	{field.MeshDestinationWorkload, field.MeshDestinationNamespace, field.MeshDestinationCluster, field.MeshDestinationPod, field.MeshDestinationService, field.MeshDestinationIdentityID, field.MeshDestinationLabels},
}

func (f *Flow) side(o *facts.Out, side Key) {
	n := &sides[side]
	if w := f.workload(side); len(w) > 0 {
		o.DeriveBytes(n.workload, w)
	}
	f.copy(o, SourceNamespace+side, n.namespace)
	f.copy(o, SourceCluster+side, n.cluster)
	f.copy(o, SourcePod+side, n.pod)
	f.copy(o, SourceServiceName+side, n.service)
	f.number(o, SourceIdentity+side, n.identity)
	if v := f.join(SourceLabels + side); len(v) > 0 {
		o.Str(n.labels, v)
	}
	f.own(o, SourceNames+side)
	f.own(o, SourceWorkloads+side)
}

// join returns the strings of an array with commas between. It is valid until
// the next call.
func (f *Flow) join(k Key) []byte {
	f.scratch = f.scratch[:0]
	m := f.slot[k]
	if m == nil {
		return nil
	}
	if m.Kind != jsonscan.JSON {
		return m.Text
	}
	f.array.Elements(m.Text, func(e *jsonscan.Member) {
		if len(f.scratch) > 0 {
			f.scratch = append(f.scratch, ',')
		}
		f.scratch = append(f.scratch, e.Text...)
	})
	return f.scratch
}

// workload returns the first workload of a side, else the one that named its
// pod.
func (f *Flow) workload(side Key) []byte {
	var name []byte
	if m := f.slot[SourceWorkloads+side]; m != nil && m.Kind == jsonscan.JSON {
		f.array.Elements(m.Text, func(e *jsonscan.Member) {
			if name == nil {
				name = f.field(e, "name")
			}
		})
	}
	if name == nil {
		name = facts.PodWorkload(f.str(SourcePod + side))
	}
	return name
}

// field returns a string member of an object that is an array's element.
func (f *Flow) field(e *jsonscan.Member, name string) []byte {
	if e.Kind != jsonscan.JSON || f.item.Scan(e.Text, f.names) != nil {
		return nil
	}
	for i := range f.item.Members {
		if m := &f.item.Members[i]; m.Name.Text == name && m.Kind == jsonscan.String {
			return m.Text
		}
	}
	return nil
}

// observed writes what the record is about: the endpoint whose node saw it.
func (f *Flow) observed(o *facts.Out) {
	f.copy(o, NodeName, field.K8sNodeName)
	var side Key
	switch string(f.str(Direction)) {
	case "INGRESS":
		side = 1
	case "EGRESS":
	default:
		return
	}
	if m := f.slot[IsReply]; m != nil && m.Kind == jsonscan.Bool && m.Int == 1 {
		side = 1 - side
	}
	o.DeriveBytes(field.ServiceName, f.workload(side))
	o.DeriveBytes(field.K8sNamespaceName, f.str(SourceNamespace+side))
	o.DeriveBytes(field.K8sPodName, f.str(SourcePod+side))
	o.DeriveBytes(field.K8sClusterName, f.str(SourceCluster+side))
	if m := f.slot[SourceLabels+side]; m != nil && m.Kind == jsonscan.JSON {
		f.array.Elements(m.Text, func(e *jsonscan.Member) {
			if app, ok := bytes.CutPrefix(e.Text, []byte("k8s:app=")); ok {
				o.DeriveBytes(field.K8sPodLabelApp, app)
			}
		})
	}
}
