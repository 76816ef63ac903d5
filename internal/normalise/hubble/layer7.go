package hubble

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
)

func (f *Flow) http(o *facts.Out) {
	f.copy(o, L7Type, field.MeshFlowL7)
	f.number(o, Latency, field.MeshDurationNS)
	if v := f.str(HTTPMethod); v != nil {
		o.Method(v)
	}
	if v := f.str(HTTPURL); v != nil {
		o.URL(v)
		o.Server(facts.SplitURL(v).Host)
	}
	o.Protocol(f.str(HTTPProtocol))
	if m := f.slot[HTTPCode]; m != nil && (m.Kind != jsonscan.Int || m.Int != 0) {
		f.number(o, HTTPCode, field.HTTPResponseStatusCode)
	}
	m := f.slot[HTTPHeaders]
	if m == nil {
		return
	}
	if m.Kind == jsonscan.JSON {
		f.array.Elements(m.Text, func(e *jsonscan.Member) { f.header(o, e) })
	}
	f.own(o, HTTPHeaders)
}

// header lifts what is known of one {"key":…,"value":…}; the list is kept too.
func (f *Flow) header(o *facts.Out, e *jsonscan.Member) {
	if e.Kind != jsonscan.JSON || f.item.Scan(e.Text, f.names) != nil {
		return
	}
	var key, value []byte
	for i := range f.item.Members {
		switch m := &f.item.Members[i]; m.Name.Text {
		case "key":
			key = m.Text
		case "value":
			value = m.Text
		}
	}
	switch {
	case len(value) == 0:
	case bytes.EqualFold(key, []byte("x-request-id")):
		o.DeriveBytes(field.HTTPRequestHeaderXRequestID, value)
	case bytes.EqualFold(key, []byte("user-agent")):
		o.DeriveBytes(field.UserAgentOriginal, value)
	case bytes.EqualFold(key, []byte("traceparent")):
		o.Traceparent(value)
	case bytes.EqualFold(key, []byte("x-b3-traceid")):
		if f.slot[TraceID] == nil {
			o.TraceID(value)
		}
	case bytes.EqualFold(key, []byte("x-forwarded-for")):
		o.DeriveBytes(field.HTTPRequestHeaderXForwardedFor, value)
	}
}

func (f *Flow) dns(o *facts.Out) {
	if v := f.str(DNSQuery); v != nil {
		o.Str(field.DNSQuestionName, bytes.TrimSuffix(v, []byte(".")))
	}
	if v := f.join(DNSTypes); len(v) > 0 {
		o.Str(field.DNSQuestionType, v)
	}
	if v := f.join(DNSAnswers); len(v) > 0 {
		o.Str(field.DNSAnswers, v)
	}
	m := f.slot[DNSCode]
	if m == nil {
		return
	}
	if m.Kind == jsonscan.Int {
		if codes := [...]string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"}; m.Int >= 0 && m.Int < int64(len(codes)) {
			o.Derive(field.DNSResponseCode, codes[m.Int])
			return
		}
	}
	o.Str(field.DNSResponseCode, m.Text)
}

func (f *Flow) kafka(o *facts.Out) {
	topic, operation := f.str(KafkaTopic), f.str(KafkaOperation)
	if topic == nil && operation == nil {
		return
	}
	o.Derive(field.MessagingSystem, "kafka")
	o.DeriveBytes(field.MessagingDestinationName, topic)
	o.DeriveBytes(field.MessagingOperationName, operation)
}

// decide derives what a network policy decided. A FORWARDED trace is not a
// decision; a FORWARDED policy verdict (event type 5) is.
func (f *Flow) decide(o *facts.Out) {
	what := ""
	event := f.slot[EventType]
	switch string(f.str(Verdict)) {
	case "DROPPED":
		if f.denied() {
			what = "deny"
		}
	case "AUDIT":
		what = "audit"
	case "FORWARDED", "REDIRECTED":
		if event != nil && event.Kind == jsonscan.Int && event.Int == 5 {
			what = "allow"
		}
	}
	if what != "" {
		o.Derive(field.MeshPolicyDecision, what)
		o.Derive(field.MeshPolicyEngine, "network-policy")
	}
	named := false
	for _, k := range [...]Key{IngressDeniedBy, EgressDeniedBy, IngressAllowedBy, EgressAllowedBy} {
		m := f.slot[k]
		if m == nil {
			continue
		}
		if m.Kind == jsonscan.JSON && !named {
			f.array.Elements(m.Text, func(e *jsonscan.Member) {
				if !named {
					named = f.policy(o, e)
				}
			})
		}
		f.own(o, k)
	}
}

// denied tells a drop by policy from any other: its reason says so, or it is on
// layer 7, where policy is the only one who drops.
func (f *Flow) denied() bool {
	switch string(f.str(DropReasonDesc)) {
	case "POLICY_DENIED", "POLICY_DENY", "AUTH_REQUIRED":
		return true
	}
	if m := f.slot[EventType]; m != nil && m.Int == 1 && policyReason(f.slot[EventSubType]) {
		return true
	}
	return policyReason(f.slot[DropReason]) || string(f.str(Type)) == "L7" || f.slot[L7Type] != nil
}

// policyReason reports whether a number is POLICY_DENIED or POLICY_DENY.
func policyReason(m *jsonscan.Member) bool {
	return m != nil && m.Kind == jsonscan.Int && (m.Int == 133 || m.Int == 181)
}

func (f *Flow) policy(o *facts.Out, e *jsonscan.Member) bool {
	name := f.field(e, "name")
	if name == nil {
		return false
	}
	o.DeriveBytes(field.MeshPolicyName, name)
	o.DeriveBytes(field.MeshPolicyNamespace, f.field(e, "namespace"))
	o.DeriveBytes(field.MeshPolicyKind, f.field(e, "kind"))
	return true
}
