package hubble

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
)

// said reads a flow's summary as hubble prints it (pkg/hubble/parser):
//
//	TCP Flags: SYN, ACK | UDP | SCTP | ICMPv4 EchoRequest | ICMPv6 …
//	HTTP/1.1 GET http://host/path | HTTP/1.1 200 3ms (GET http://host/path)
//	DNS Query www.example.com. A | DNS Answer "10.0.0.1" TTL: 30 (Proxy www.example.com. A)
//	Kafka request produce correlation id 1 topic 'a'
//
// with "; Auth: SPIRE" behind it when the ends proved who they are.
func (t *Text) said(s []byte, o *facts.Out) {
	if rest, ok := bytes.CutPrefix(s, []byte("IP Trace ID: ")); ok {
		_, s, _ = bytes.Cut(rest, []byte("; "))
	}
	s, auth, _ := bytes.Cut(s, []byte("; Auth: "))
	if string(auth) == "SPIRE" {
		o.Derive(field.MeshMTLS, "mutual")
	}
	word, rest, _ := bytes.Cut(s, []byte(" "))
	switch {
	case string(word) == "TCP":
		o.Derive(field.NetworkTransport, "tcp")
		if flags, ok := bytes.CutPrefix(rest, []byte("Flags: ")); ok {
			n := len(t.made)
			for _, c := range flags {
				if c != ' ' {
					t.made = append(t.made, c)
				}
			}
			o.DeriveBytes(field.MeshFlowTCPFlags, t.made[n:])
		}
	case string(word) == "UDP":
		o.Derive(field.NetworkTransport, "udp")
	case string(word) == "SCTP":
		o.Derive(field.NetworkTransport, "sctp")
	case string(word) == "ICMPv4":
		o.Derive(field.NetworkTransport, "icmp")
	case string(word) == "ICMPv6":
		o.Derive(field.NetworkTransport, "icmpv6")
	case string(word) == "DNS":
		t.dns(rest, o)
	case string(word) == "Kafka":
		t.kafka(rest, o)
	case bytes.HasPrefix(word, []byte("HTTP/")):
		t.http(word, rest, o)
	}
}

func (t *Text) http(protocol, s []byte, o *facts.Out) {
	o.Protocol(protocol)
	first, rest, _ := bytes.Cut(s, []byte(" "))
	if code, ok := facts.Uint(first); ok { // CODE DURATION (METHOD URL)
		o.Int(field.HTTPResponseStatusCode, code)
		took, request, _ := bytes.Cut(rest, []byte(" ("))
		if ns, ok := facts.Span(took); ok {
			o.Int(field.MeshDurationNS, ns)
		}
		first, rest, _ = bytes.Cut(bytes.TrimSuffix(request, []byte(")")), []byte(" "))
	}
	if !facts.Token(first) {
		return
	}
	o.Method(first)
	o.URL(rest)
	o.Server(facts.SplitURL(rest).Host)
}

func (t *Text) dns(s []byte, o *facts.Out) {
	question, ok := bytes.CutPrefix(s, []byte("Query "))
	if !ok {
		answer, found := bytes.CutPrefix(s, []byte("Answer "))
		i := bytes.LastIndex(answer, []byte(" ("))
		if !found || i < 0 {
			return
		}
		question = bytes.TrimSuffix(answer[i+2:], []byte(")"))
		_, question, _ = bytes.Cut(question, []byte(" ")) // the source of the answer: Proxy
		t.answer(answer[:i], o)
	}
	name, types, _ := bytes.Cut(question, []byte(" "))
	o.DeriveBytes(field.DNSQuestionName, bytes.TrimSuffix(name, []byte(".")))
	o.DeriveBytes(field.DNSQuestionType, types)
}

// answer reads "10.0.0.1,10.0.0.2" TTL: 30, CNAMEs: …, or RCode: NAME TTL: ….
func (t *Text) answer(s []byte, o *facts.Out) {
	if rest, ok := bytes.CutPrefix(s, []byte("RCode: ")); ok {
		code, _, _ := bytes.Cut(rest, []byte(" TTL:"))
		switch string(code) {
		case "Non-Existent Domain":
			o.Derive(field.DNSResponseCode, "NXDOMAIN")
		case "Server Failure":
			o.Derive(field.DNSResponseCode, "SERVFAIL")
		case "Query Refused":
			o.Derive(field.DNSResponseCode, "REFUSED")
		case "Format Error":
			o.Derive(field.DNSResponseCode, "FORMERR")
		case "Not Implemented":
			o.Derive(field.DNSResponseCode, "NOTIMP")
		case "No Error":
			o.Derive(field.DNSResponseCode, "NOERROR")
		default:
			o.DeriveBytes(field.DNSResponseCode, code)
		}
		return
	}
	if len(s) > 0 && s[0] == '"' {
		if end := bytes.IndexByte(s[1:], '"'); end > 0 {
			o.DeriveBytes(field.DNSAnswers, s[1:end+1])
		}
	}
}

func (t *Text) kafka(s []byte, o *facts.Out) {
	o.Derive(field.MessagingSystem, "kafka")
	rest, ok := bytes.CutPrefix(s, []byte("request "))
	if !ok {
		rest, ok = bytes.CutPrefix(s, []byte("response "))
	}
	if ok {
		operation, _, _ := bytes.Cut(rest, []byte(" "))
		o.DeriveBytes(field.MessagingOperationName, operation)
	}
	if _, topic, ok := bytes.Cut(s, []byte(" topic '")); ok {
		topic, _ = facts.CutByte(topic, '\'')
		o.DeriveBytes(field.MessagingDestinationName, topic)
	}
}
