package balancer

import (
	"bytes"

	"github.com/meshtrail/meshtrail/internal/normalise/facts"
	"github.com/meshtrail/meshtrail/internal/normalise/field"
	"github.com/meshtrail/meshtrail/internal/normalise/table"
)

// The slots of Azure's tables.
const (
	_ table.Slot = iota
	aURI
	aQuery
	aStatus
	aClient
	aSocket
	aPort
	aVersion
	aServer
	aHost
	aOriginal
	aCategory
	aAction
	aRule
	aMode
	aOriginPort
	aMessage
	aRewritten
)

var azureTime = map[string]table.Rule{"time": table.Time(), "timeStamp": table.Time(), "TimeGenerated": table.Time(), "category": table.Own().At(aCategory)}

func azure(keys map[string]table.Rule) map[string]table.Rule {
	for k, r := range azureTime {
		keys[k] = r
	}
	return keys
}

func category(name string) func(s *table.Slots) bool {
	return func(s *table.Slots) bool { return s.Is(aCategory, name) }
}

// gateway is Application Gateway's access log. timeTaken is seconds since its
// version 2.
var gateway = &table.Table{
	Format: facts.Format{Name: "azure-application-gateway", Platform: "azure", Kind: facts.Access, Of: "Azure Application Gateway, access log"},
	All:    [][]string{{"category"}, {"properties.clientIP", "properties.clientIp"}, {"properties.httpMethod"}, {"properties.httpStatus"}},
	Keys: azure(map[string]table.Rule{
		"properties.clientIP": table.Take(aClient), "properties.clientIp": table.Take(aClient), "properties.clientPort": table.Take(aPort),
		"properties.httpMethod": table.Method(), "properties.requestUri": table.Take(aURI), "properties.requestQuery": table.Take(aQuery), "properties.userAgent": table.Text(field.UserAgentOriginal),
		"properties.httpStatus": table.Take(aStatus), "properties.httpVersion": table.Protocol(),
		"properties.receivedBytes": table.Int(field.HTTPRequestSize), "properties.sentBytes": table.Int(field.HTTPResponseSize), "properties.timeTaken": table.Seconds(field.MeshDurationNS),
		"properties.sslCipher": table.Text(field.TLSCipher), "properties.sslProtocol": table.Take(aVersion),
		"properties.serverRouted": table.Text(field.MeshUpstreamAddress), "properties.serverStatus": table.Take(aServer), "properties.serverResponseLatency": table.Seconds(field.MeshUpstreamDurationNS),
		"properties.host": table.Own().At(aRewritten), "properties.originalHost": table.Take(aHost),
		"listenerName": table.Text(field.MeshListener), "ruleName": table.Text(field.MeshRoute), "backendPoolName": table.Text(field.MeshUpstreamCluster),
		"properties.transactionId": table.Text(field.HTTPRequestHeaderXRequestID),
		"properties.listenerName":  table.Text(field.MeshListener), "properties.ruleName": table.Text(field.MeshRoute), "properties.backendPoolName": table.Text(field.MeshUpstreamCluster),
		"properties.error_info": table.Text(field.MeshResponseCodeDetails),
	}),
	Match: category("ApplicationGatewayAccessLog"), Finish: finishAzure,
}

// gatewayFirewall is the log of Application Gateway's firewall.
var gatewayFirewall = &table.Table{
	Format: facts.Format{Name: "azure-application-gateway-waf", Platform: "azure", Kind: facts.Access, Of: "Azure Application Gateway, firewall log"},
	All:    [][]string{{"category"}, {"properties.clientIp", "properties.clientIP"}, {"properties.action"}, {"properties.ruleId", "properties.ruleSetType"}},
	Keys: azure(map[string]table.Rule{
		"properties.clientIp": table.Take(aClient), "properties.clientIP": table.Take(aClient), "properties.clientPort": table.Take(aPort),
		"properties.requestUri": table.Take(aURI), "properties.hostname": table.Take(aHost), "properties.transactionId": table.Text(field.HTTPRequestHeaderXRequestID),
		"properties.action": table.Own().At(aAction), "properties.ruleId": table.Text(field.MeshPolicyRule), "properties.policyId": table.Text(field.MeshPolicyName), "properties.message": table.Text(field.Body),
	}),
	Match: category("ApplicationGatewayFirewallLog"), Finish: finishAzure,
}

// frontDoor is Front Door's access log.
var frontDoor = &table.Table{
	Format: facts.Format{Name: "azure-front-door", Platform: "azure", Kind: facts.Access, Of: "Azure Front Door, access log"},
	All:    [][]string{{"category"}, {"properties.trackingReference"}, {"properties.httpMethod"}, {"properties.httpStatusCode"}},
	Keys: azure(map[string]table.Rule{
		"properties.trackingReference": table.Text(field.HTTPRequestHeaderXRequestID), "properties.httpMethod": table.Method(), "properties.httpVersion": table.Take(aOriginal),
		"properties.requestUri": table.Take(aURI), "properties.hostName": table.Take(aHost), "properties.requestBytes": table.Int(field.HTTPRequestSize), "properties.responseBytes": table.Int(field.HTTPResponseSize),
		"properties.userAgent": table.Text(field.UserAgentOriginal), "properties.clientIp": table.Take(aClient), "properties.clientIP": table.Take(aClient), "properties.socketIp": table.Take(aSocket), "properties.socketIP": table.Take(aSocket), "properties.clientPort": table.Take(aPort),
		"properties.timeToFirstByte": table.Seconds(field.MeshFirstByteNS), "properties.timeTaken": table.Seconds(field.MeshDurationNS),
		"properties.securityProtocol": table.Take(aVersion), "properties.securityCipher": table.Text(field.TLSCipher), "properties.sni": table.Text(field.TLSClientServerName),
		"properties.httpStatusCode": table.Take(aStatus), "properties.httpStatusDetails": table.Take(aServer), "properties.cacheStatus": table.Text(field.MeshCacheStatus),
		"properties.routingRuleName": table.Text(field.MeshRoute), "properties.endpoint": table.Text(field.MeshListener), "properties.originIp": table.Text(field.MeshUpstreamAddress), "properties.originName": table.Text(field.MeshUpstreamName),
		"properties.referer": table.Text(field.HTTPRequestHeaderReferer), "properties.errorInfo": table.Take(aMessage), "properties.ErrorInfo": table.Take(aMessage),
	}),
	Match: func(s *table.Slots) bool {
		return s.Is(aCategory, "FrontDoorAccessLog") || s.Is(aCategory, "FrontdoorAccessLog")
	},
	Finish: func(o *facts.Out, s *table.Slots) {
		if v := s.Text(aOriginal); v != nil {
			o.Derive(field.NetworkProtocolName, "http")
			if v = bytes.TrimSuffix(v, []byte(".0")); string(v) == "1" {
				v = []byte("1.0")
			}
			o.DeriveBytes(field.NetworkProtocolVersion, v)
		}
		if v := s.Text(aMessage); v != nil && string(v) != "NoError" {
			o.Str(field.MeshResponseCodeDetails, v)
		}
		finishAzure(o, s)
	},
}

// frontDoorFirewall is the log of Front Door's firewall.
var frontDoorFirewall = &table.Table{
	Format: facts.Format{Name: "azure-front-door-waf", Platform: "azure", Kind: facts.Access, Of: "Azure Front Door, firewall log"},
	All:    [][]string{{"category"}, {"properties.trackingReference"}, {"properties.action"}, {"properties.policy"}},
	Keys: azure(map[string]table.Rule{
		"properties.trackingReference": table.Text(field.HTTPRequestHeaderXRequestID), "properties.requestUri": table.Take(aURI), "properties.host": table.Take(aHost),
		"properties.clientIP": table.Take(aClient), "properties.clientIp": table.Take(aClient), "properties.socketIP": table.Take(aSocket), "properties.socketIp": table.Take(aSocket), "properties.clientPort": table.Take(aPort),
		"properties.action": table.Own().At(aAction), "properties.policyMode": table.Own().At(aMode), "properties.ruleName": table.Text(field.MeshPolicyRule), "properties.policy": table.Text(field.MeshPolicyName),
	}),
	Match: func(s *table.Slots) bool {
		return s.Is(aCategory, "FrontDoorWebApplicationFirewallLog") || s.Is(aCategory, "FrontdoorWebApplicationFirewallLog")
	},
	Finish: finishAzure,
}

func finishAzure(o *facts.Out, s *table.Slots) {
	o.Derive(field.MeshReporter, "gateway")
	uri, query, host := s.Text(aURI), s.Text(aQuery), s.Text(aHost)
	if uri != nil {
		o.URL(uri)
		if query != nil && bytes.IndexByte(uri, '?') < 0 {
			o.Str(field.URLQuery, query)
		}
		if h := facts.SplitURL(uri).Host; host == nil {
			host = h
		}
	}
	if v := s.Text(aRewritten); host == nil && v != nil {
		host = v
	}
	if host != nil {
		o.Server(host)
	}
	azurePeers(o, s)
	if n, ok := s.Int(aStatus); ok && n > 0 {
		o.Int(field.HTTPResponseStatusCode, n)
	}
	if n, ok := s.Int(aServer); ok && n > 99 {
		o.Int(field.MeshUpstreamStatusCode, n)
	} else if v := s.Text(aServer); v != nil && !ok {
		table.Keep(o, s.Member(aServer))
	}
	if v := s.Text(aVersion); v != nil {
		o.TLSVersion(bytes.TrimPrefix(v, []byte("TLS ")))
	}
	switch v := string(s.Text(aAction)); v {
	case "Blocked", "Block":
		if s.Is(aMode, "detection") {
			waf(o, "shadow_deny")
		} else {
			waf(o, "deny")
		}
	case "Detected", "Matched", "Log", "AnomalyScoring", "logandscore":
		waf(o, "audit")
	case "Allowed", "Allow":
		waf(o, "allow")
	}
}

func waf(o *facts.Out, what string) {
	o.Derive(field.MeshPolicyDecision, what)
	o.Derive(field.MeshPolicyEngine, "waf")
}

// azurePeers writes the client, which Azure took from X-Forwarded-For, and the peer
// when it is named.
func azurePeers(o *facts.Out, s *table.Slots) {
	client, socket := s.Text(aClient), s.Text(aSocket)
	if socket == nil || string(socket) == string(client) {
		o.Peer(client, nil)
		if n, ok := s.Int(aPort); ok && n > 0 && n < 65536 {
			o.Int(field.NetworkPeerPort, n)
			o.Int(field.ClientPort, n)
		}
		return
	}
	o.DeriveBytes(field.ClientAddress, before(client, ":"))
	if facts.IP(client) {
		o.Str(field.ClientAddress, client)
	}
	o.Str(field.NetworkPeerAddress, socket)
	if n, ok := s.Int(aPort); ok && n > 0 && n < 65536 {
		o.Int(field.NetworkPeerPort, n)
	}
}

// before returns what stands before the first sep.
func before(v []byte, sep string) []byte {
	v, _, _ = bytes.Cut(v, []byte(sep))
	return v
}
