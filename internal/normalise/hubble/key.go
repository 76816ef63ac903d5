// Package hubble reads the flows of Cilium's Hubble, as its exporter and
// hubble observe -o jsonpb write them: within {"flow":{…}}, or bare as relay
// consumers keep them (cilium/api/v1/flow/flow.proto).
//
// Flows are protojson: default values are left out, so an absent is_reply is
// unknown and an absent verdict is no verdict; 64-bit numbers are strings. A
// denial on layer 7 is DROPPED without a drop reason; REDIRECTED goes to the
// proxy and is no denial; AUDIT would have been one.
//
// Source and destination are those of the packet. The workload that the record
// is about (service.name, k8s.*) is the one whose node saw the flow: the
// connection's server when the direction is ingress, else its client.
//
// It knows nothing of other platforms and does not detect: that is normalise.
// A Flow is scratch memory of one normaliser and aliases what it reads until the
// next Reset.
package hubble

import (
	"strings"

	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
)

// Key is a flattened member of a flow. 0 is none.
type Key uint8

// The keys. Those of source and destination are pairs: Source* + 1 is the
// destination's.
const (
	None Key = iota
	Time
	UUID
	Verdict
	DropReason
	DropReasonDesc
	AuthType
	SourceIP
	DestinationIP
	IPVersion
	IPEncrypted
	TCPSourcePort
	TCPDestinationPort
	UDPSourcePort
	UDPDestinationPort
	SCTPSourcePort
	SCTPDestinationPort
	ICMPv4
	ICMPv6
	TCPFlag // many
	SourceIdentity
	DestinationIdentity
	SourceNamespace
	DestinationNamespace
	SourcePod
	DestinationPod
	SourceLabels
	DestinationLabels
	SourceWorkloads
	DestinationWorkloads
	SourceCluster
	DestinationCluster
	SourceServiceName
	DestinationServiceName
	SourceNames
	DestinationNames
	Type
	NodeName
	L7Type
	Latency
	HTTPCode
	HTTPMethod
	HTTPURL
	HTTPProtocol
	HTTPHeaders
	DNSQuery
	DNSAnswers
	DNSTypes
	DNSCode
	KafkaTopic
	KafkaOperation
	EventType
	EventSubType
	Direction
	Observation
	TraceID
	IsReply
	Summary
	IngressDeniedBy
	EgressDeniedBy
	IngressAllowedBy
	EgressAllowedBy
	numKeys
)

var keys = map[string]Key{
	"time": Time, "uuid": UUID, "verdict": Verdict, "drop_reason": DropReason, "drop_reason_desc": DropReasonDesc, "auth_type": AuthType,
	"IP.source": SourceIP, "IP.destination": DestinationIP, "IP.ipVersion": IPVersion, "IP.encrypted": IPEncrypted,
	"l4.TCP.source_port": TCPSourcePort, "l4.TCP.destination_port": TCPDestinationPort,
	"l4.UDP.source_port": UDPSourcePort, "l4.UDP.destination_port": UDPDestinationPort,
	"l4.SCTP.source_port": SCTPSourcePort, "l4.SCTP.destination_port": SCTPDestinationPort,
	"l4.ICMPv4": ICMPv4, "l4.ICMPv4.type": ICMPv4, "l4.ICMPv6": ICMPv6, "l4.ICMPv6.type": ICMPv6,
	"source.identity": SourceIdentity, "destination.identity": DestinationIdentity,
	"source.namespace": SourceNamespace, "destination.namespace": DestinationNamespace,
	"source.pod_name": SourcePod, "destination.pod_name": DestinationPod,
	"source.labels": SourceLabels, "destination.labels": DestinationLabels,
	"source.workloads": SourceWorkloads, "destination.workloads": DestinationWorkloads,
	"source.cluster_name": SourceCluster, "destination.cluster_name": DestinationCluster,
	"source_service.name": SourceServiceName, "destination_service.name": DestinationServiceName,
	"source_names": SourceNames, "destination_names": DestinationNames,
	"Type": Type, "node_name": NodeName,
	"l7.type": L7Type, "l7.latency_ns": Latency,
	"l7.http.code": HTTPCode, "l7.http.method": HTTPMethod, "l7.http.url": HTTPURL, "l7.http.protocol": HTTPProtocol, "l7.http.headers": HTTPHeaders,
	"l7.dns.query": DNSQuery, "l7.dns.ips": DNSAnswers, "l7.dns.qtypes": DNSTypes, "l7.dns.rcode": DNSCode,
	"l7.kafka.topic": KafkaTopic, "l7.kafka.api_key": KafkaOperation,
	"event_type.type": EventType, "event_type.sub_type": EventSubType,
	"traffic_direction": Direction, "trace_observation_point": Observation,
	"trace_context.parent.trace_id": TraceID, "is_reply": IsReply, "Summary": Summary,
	"ingress_denied_by": IngressDeniedBy, "egress_denied_by": EgressDeniedBy,
	"ingress_allowed_by": IngressAllowedBy, "egress_allowed_by": EgressAllowedBy,
}

// envelope is what the exporter puts a flow in.
const envelope = "flow."

// KeyOf returns the key that a flattened name stands for, or None, and whether
// the name is within the exporter's envelope.
func KeyOf(name string) (k Key, within bool) {
	name, within = strings.CutPrefix(name, envelope)
	if strings.HasPrefix(name, "l4.TCP.flags.") {
		return TCPFlag, within
	}
	return keys[name], within
}

// OwnName is the name under which a member that has no canonical one is kept:
// that of the flow, without the envelope.
func OwnName(name string) string { return strings.TrimPrefix(name, envelope) }

// Other returns the kind of an exporter's record that is no flow, or "".
func Other(name string) string {
	for _, kind := range [...]string{"lost_events", "agent_event", "debug_event"} {
		if rest, ok := strings.CutPrefix(name, kind); ok && strings.HasPrefix(rest, ".") {
			return kind
		}
	}
	return ""
}

// Flow is one flow by key.
type Flow struct {
	slot    [numKeys]*jsonscan.Member
	flags   []byte // TCP flags that are set, comma-separated
	scratch []byte
	array   jsonscan.Object // reads arrays of the flow
	item    jsonscan.Object // reads objects within them
	names   *jsonscan.Names
}

// Reset empties the slots.
func (f *Flow) Reset() {
	f.slot = [numKeys]*jsonscan.Member{}
	f.flags = f.flags[:0]
	if f.names == nil {
		f.names = jsonscan.NewNames(nil)
	}
}

// fits reports whether a value is of a type that Write reads for the key. Any
// other is an ordinary member.
func (k Key) fits(kind jsonscan.Kind) bool {
	switch k {
	case HTTPMethod, HTTPURL, HTTPProtocol, DNSQuery, IPVersion, TraceID, DropReasonDesc, KafkaTopic, KafkaOperation:
		return kind == jsonscan.String
	case DNSTypes, DNSAnswers, SourceLabels, DestinationLabels:
		return kind == jsonscan.JSON || kind == jsonscan.String
	case DNSCode, DropReason:
		return kind == jsonscan.Int
	case EventType, EventSubType:
		return kind == jsonscan.Int
	}
	return true
}

// SetAll puts the members of o into their slots. The first of several that mean
// one key wins; the others are ordinary members.
func (f *Flow) SetAll(o *jsonscan.Object, key func(*jsonscan.Member) Key) {
	for i := range o.Members {
		m := &o.Members[i]
		switch k := key(m); {
		case k == None:
		case k == TCPFlag:
			f.flag(m)
		case f.slot[k] == nil && k.fits(m.Kind):
			f.slot[k] = m
		}
	}
}

// Holds reports whether a member of key k is written by Write. The exporter
// repeats a flow's time and node beside it: a repetition is held too.
func (f *Flow) Holds(k Key, m *jsonscan.Member) bool {
	if k == None {
		return false
	}
	if k == TCPFlag {
		return m.Kind == jsonscan.Bool
	}
	have := f.slot[k]
	return have == m || (k == Time || k == NodeName) && have != nil && string(have.Text) == string(m.Text)
}

func (f *Flow) flag(m *jsonscan.Member) {
	if m.Kind == jsonscan.Bool && m.Int == 1 {
		if len(f.flags) > 0 {
			f.flags = append(f.flags, ',')
		}
		name := m.Name.Text
		f.flags = append(f.flags, name[strings.LastIndexByte(name, '.')+1:]...)
	}
}

// Verdicts are the verdicts of flow.proto.
var verdicts = map[string]bool{"VERDICT_UNKNOWN": true, "FORWARDED": true, "DROPPED": true, "ERROR": true, "AUDIT": true, "REDIRECTED": true, "TRACED": true, "TRANSLATED": true}

// Match reports whether the filled slots are those of a flow.
func (f *Flow) Match(within, declared bool) bool {
	n := 0
	for _, m := range f.slot {
		if m != nil {
			n++
		}
	}
	v := f.slot[Verdict]
	switch {
	case declared || within:
		return n >= 2
	case v != nil:
		return v.Kind == jsonscan.String && verdicts[string(v.Text)] && n >= 3
	}
	return f.slot[SourceIP] != nil && (f.slot[Type] != nil || f.slot[SourceIdentity] != nil)
}
