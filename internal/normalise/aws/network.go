package aws

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/jsonscan"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// The members that queries, requests and findings are put together from.
const (
	_ table.Slot = iota
	queryName
	answers
	transport
	queryAction
	ruleGroup
	aclID
	wafAction
	headers
	blockStatus
	httpHost
	findingTime
	findingMade
	findingSeverity
	remoteAPI
	remoteNet
	apiError
)

var networkTables = []*table.Table{resolver, waf, finding(""), finding("detail.")}

// resolver is the query log of the Route 53 Resolver.
var resolver = &table.Table{
	Format: facts.Format{Name: "aws-resolver", Platform: "aws", Kind: facts.Flow, Of: "query logs of the Amazon Route 53 Resolver"},
	All:    [][]string{{"query_timestamp"}, {"query_name"}, {"rcode"}, {"srcaddr", "vpc_id", "account_id"}},
	Keys: map[string]table.Rule{
		"query_timestamp": table.Time(), "query_name": table.Take(queryName), "query_type": table.Text(field.DNSQuestionType),
		"rcode": table.Text(field.DNSResponseCode), "answers": table.Own().At(answers),
		"srcaddr": table.Text(field.ClientAddress), "srcport": table.Int(field.ClientPort), "transport": table.Take(transport),
		"account_id": table.Text(field.CloudAccountID), "region": table.Text(field.CloudRegion), "vpc_id": table.Text(field.AWSVPCID),
		"srcids.instance": table.Text(field.HostID), "srcids.network_interface": table.Text(field.AWSVPCInterfaceID),
		"firewall_rule_action": table.Own().At(queryAction), "firewall_rule_group_id": table.Text(field.MeshPolicyName).At(ruleGroup),
	},
	Finish: func(o *facts.Out, s *table.Slots) {
		o.Derive(field.CloudProvider, "aws")
		o.Derive(field.NetworkProtocolName, "dns")
		if v := s.Text(queryName); len(v) > 1 {
			o.Str(field.DNSQuestionName, bytes.TrimSuffix(v, []byte(".")))
		} else if v != nil {
			o.Str(field.DNSQuestionName, v) // the root
		}
		if v := s.Text(transport); v != nil {
			o.DeriveLower(field.NetworkTransport, v)
		}
		var few [512]byte
		list := few[:0]
		s.Elements(answers, func(m *jsonscan.Member) {
			if data := quotedAfter(m.Text, `"Rdata"`); data != nil && len(list)+len(data) < cap(few) {
				if len(list) > 0 {
					list = append(list, ',')
				}
				list = append(list, data...)
			}
		})
		o.DeriveBytes(field.DNSAnswers, list)
		switch string(s.Text(queryAction)) {
		case "BLOCK":
			o.Denied("dns-firewall")
		case "ALERT":
			o.Derive(field.MeshPolicyDecision, "audit")
			o.Derive(field.MeshPolicyEngine, "dns-firewall")
		case "ALLOW":
			o.Derive(field.MeshPolicyDecision, "allow")
			o.Derive(field.MeshPolicyEngine, "dns-firewall")
		}
	},
}

// waf is AWS WAF's log of web requests.
var waf = &table.Table{
	Format: facts.Format{Name: "aws-waf", Platform: "aws", Kind: facts.Access, Of: "AWS WAF: web requests and the rule that decided"},
	All:    [][]string{{"webaclId"}, {"action"}, {"httpRequest.clientIp", "httpRequest.uri"}, {"terminatingRuleId"}},
	Keys: map[string]table.Rule{
		"timestamp": table.Time(), "webaclId": table.Own().At(aclID), "action": table.Own().At(wafAction), "terminatingRuleId": table.Text(field.MeshPolicyRule),
		"httpRequest.clientIp": table.Text(field.ClientAddress), "httpRequest.httpMethod": table.Method(), "httpRequest.httpVersion": table.Protocol(),
		"httpRequest.uri": table.URL(), "httpRequest.args": table.Text(field.URLQuery), "httpRequest.requestId": table.Text(field.HTTPRequestHeaderXRequestID),
		"httpRequest.scheme": table.Text(field.URLScheme), "httpRequest.host": table.Server().At(httpHost), "httpRequest.headers": table.Own().At(headers),
		"responseCodeSent": table.Int(field.HTTPResponseStatusCode),
	},
	Finish: func(o *facts.Out, s *table.Slots) {
		place(o, s.Text(aclID))
		if _, res := resourceOf(s.Text(aclID)); res != nil { // regional/webacl/NAME/ID
			_, rest := facts.CutByte(res, '/')
			_, rest = facts.CutByte(rest, '/')
			name, _ := facts.CutByte(rest, '/')
			o.DeriveBytes(field.MeshPolicyName, name)
		}
		s.Elements(headers, func(m *jsonscan.Member) {
			name, value := quotedAfter(m.Text, `"name"`), quotedAfter(m.Text, `"value"`)
			switch {
			case equalFold(name, "host") && s.Member(httpHost) == nil && len(value) > 0:
				o.Server(value)
			case equalFold(name, "user-agent"):
				o.DeriveBytes(field.UserAgentOriginal, value)
			case equalFold(name, "x-forwarded-for"):
				o.DeriveBytes(field.HTTPRequestHeaderXForwardedFor, value)
			}
		})
		switch string(s.Text(wafAction)) {
		case "ALLOW":
			o.Derive(field.MeshPolicyDecision, "allow")
			o.Derive(field.MeshPolicyEngine, "waf")
		case "BLOCK", "CAPTCHA", "CHALLENGE":
			o.Denied("waf")
		}
	},
}

func equalFold(b []byte, low string) bool {
	if len(b) != len(low) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != low[i] {
			return false
		}
	}
	return true
}

// place derives the account and the region that an ARN names.
func place(o *facts.Out, arn []byte) {
	o.Derive(field.CloudProvider, "aws")
	rest, ok := bytes.CutPrefix(arn, []byte("arn:"))
	if !ok {
		return
	}
	_, rest = facts.CutByte(rest, ':')
	_, rest = facts.CutByte(rest, ':')
	region, rest := facts.CutByte(rest, ':')
	account, _ := facts.CutByte(rest, ':')
	o.DeriveBytes(field.CloudRegion, region)
	o.DeriveBytes(field.CloudAccountID, account)
}

// finding is a finding of GuardDuty.
func finding(at string) *table.Table {
	return &table.Table{
		Format: facts.Format{Name: "aws-guardduty", Platform: "aws", Kind: facts.Audit, Of: "findings of Amazon GuardDuty"},
		All:    within(at, []string{"schemaVersion"}, []string{"service.serviceName", "service.detectorId"}, []string{"type"}, []string{"accountId"}),
		Keys: with(at, map[string]table.Rule{
			"accountId": table.Text(field.CloudAccountID), "region": table.Text(field.CloudRegion), "id": table.Text(field.LogRecordUID),
			"type": table.Text(field.EventName), "description": table.Text(field.Body),
			"updatedAt": table.Take(findingTime), "createdAt": table.Take(findingMade), "severity": table.Own().At(findingSeverity),
			"resource.accessKeyDetails.userName": table.Text(field.UserName), "resource.accessKeyDetails.principalId": table.Text(field.UserID),
			"resource.instanceDetails.instanceId":                                table.Text(field.HostID),
			"service.action.awsApiCallAction.api":                                table.Text(field.EventAction),
			"service.action.awsApiCallAction.serviceName":                        table.Text(field.EventProvider),
			"service.action.awsApiCallAction.errorCode":                          table.Text(field.ErrorCode).At(apiError),
			"service.action.awsApiCallAction.remoteIpDetails.ipAddressV4":        table.Text(field.ClientAddress).At(remoteAPI),
			"service.action.networkConnectionAction.remoteIpDetails.ipAddressV4": table.Text(field.NetworkPeerAddress).At(remoteNet),
			"service.action.dnsRequestAction.domain":                             table.Text(field.DNSQuestionName),
		}),
		Finish: func(o *facts.Out, s *table.Slots) {
			o.Derive(field.CloudProvider, "aws")
			for _, slot := range [...]table.Slot{findingTime, findingMade} {
				m := s.Member(slot)
				if m == nil {
					continue
				}
				if ns, ok := facts.Time(m.Text); ok && !o.Fixed && o.Time == 0 {
					o.Time = ns
				} else {
					table.Keep(o, m)
				}
			}
			if m := s.Member(findingSeverity); m != nil && m.Kind != jsonscan.String {
				grade(o, m)
			}
			if refused(s.Text(apiError)) {
				o.Denied("iam")
			}
		},
	}
}

// grade derives the severity of GuardDuty's number: low from 1, medium from 4,
// high from 7, critical from 9.
func grade(o *facts.Out, m *jsonscan.Member) {
	v := m.Float
	if m.Kind == jsonscan.Int {
		v = float64(m.Int)
	}
	text, number := "low", int64(9)
	switch {
	case v >= 9:
		text, number = "critical", 21
	case v >= 7:
		text, number = "high", 17
	case v >= 4:
		text, number = "medium", 13
	}
	o.Derive(field.SeverityText, text)
	o.DeriveInt(field.SeverityNumber, number)
}
